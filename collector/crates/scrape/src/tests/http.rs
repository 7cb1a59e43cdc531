//! A real exporter on loopback, scraped over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::{Context, spawn};
use futures_util::future::BoxFuture;
use model::Scrape;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{job, show, target};
use crate::{Failure, Feed, Fetch, HttpFetch, Options, Refused, ScrapeError, Scraper, Sink};

struct Channel(mpsc::Sender<Scrape>);

impl Sink for Channel {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move { self.0.send(scrape).await.map_err(|_| Refused { reason: "gone".to_owned() }) })
    }
}

/// Serves these answers one after the other, then the last one for ever; notes heads of requests.
async fn exporter(answers: Vec<Vec<u8>>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&heads);
    tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        let mut answer = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer = answers.next().unwrap_or(answer);
            let mut head = vec![0; 4096];
            let n = stream.read(&mut head).await.unwrap();
            noted.lock().unwrap().push(String::from_utf8_lossy(&head[..n]).to_lowercase());
            stream.write_all(&answer).await.unwrap();
        }
    });
    (address, heads)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::compress::compress(wire::compress::Encoding::Gzip, text.as_bytes(), &mut out);
    out
}

#[tokio::test]
async fn an_exporter_is_scraped_over_http() {
    let plain = "Content-Type: text/plain; version=0.0.4\r\n";
    let zipped = "Content-Type: application/openmetrics-text\r\nContent-Encoding: gzip\r\n";
    let (address, heads) = exporter(vec![
        answer("200 OK", plain, b"# TYPE requests_total counter\nrequests_total{code=\"200\"} 4\nold 1\n"),
        answer("200 OK", zipped, &gzip("# TYPE requests counter\nrequests_total{code=\"200\"} 5\n# EOF\n")),
        answer("500 Internal Server Error", plain, b"no"),
    ])
    .await;
    let job = job(&format!(
        "scrape_interval: 50ms\nscrape_timeout: 50ms\nmetrics_path: /probe\nparams: {{module: [m]}}\n\
         static_configs: [{{targets: ['{address}']}}]\nrelabel_configs: [{{target_label: instance, replacement: 't:1'}}]"
    ));
    let (sender, mut scrapes) = mpsc::channel(8);
    let scraper = Scraper::spawn(Options::default(), Arc::new(Channel(sender)));
    let fetch = Arc::new(HttpFetch::build(&job).unwrap());
    let discovery = spawn(job.name(), &job.config().sd, &Context::new(".")).unwrap();
    scraper.reload(vec![Feed { job, fetch, discovery }]).await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        let scrape = tokio::time::timeout(Duration::from_secs(20), scrapes.recv()).await.unwrap().unwrap();
        texts.push(show(&scrape, false));
    }
    scraper.shutdown(Duration::from_secs(1)).await;
    assert_eq!(
        texts,
        [
            "requests_total{code=\"200\"} 4\nold 1\nup 1",
            "requests_total{code=\"200\"} 5\nold STALE\nup 1",
            "requests_total{code=\"200\"} STALE\nup 0",
        ]
    );
    let head = heads.lock().unwrap()[0].clone();
    for expected in [
        "get /probe?module=m http/1.1",
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,",
        "accept-encoding: gzip",
        "x-prometheus-scrape-timeout-seconds: 0.05",
        "user-agent: muster/",
    ] {
        assert!(head.contains(expected), "{head}");
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let plain = "Content-Type: text/plain\r\n";
    let kind = |config: &'static str, answer: Vec<u8>| async move {
        let (address, _) = exporter(vec![answer]).await;
        let job = job(&format!(
            "{config}\nrelabel_configs: [{{target_label: __address__, replacement: '{address}'}}]"
        ));
        let fetch = HttpFetch::build(&job).unwrap();
        let error = fetch.fetch(&target(&job, &[])).await.unwrap_err();
        ScrapeError::from(error).kind()
    };
    assert_eq!(kind("", answer("404 Not Found", plain, b"")).await, Failure::Status);
    let redirect = answer("302 Found", "Location: http://127.0.0.1:1/\r\n", b"");
    assert_eq!(kind("follow_redirects: false", redirect).await, Failure::Status);
    assert_eq!(kind("body_size_limit: 4B", answer("200 OK", plain, b"a 1\n")).await, Failure::BodySizeLimit);
    assert_eq!(kind("", b"nonsense\r\n\r\n".to_vec()).await, Failure::Connect);
    let slow = "scrape_interval: 60ms\nscrape_timeout: 50ms";
    assert_eq!(kind(slow, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()).await, Failure::Connect);
}
