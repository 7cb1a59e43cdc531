//! A real exporter on loopback, scraped over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::{Context, spawn};
use futures_util::future::BoxFuture;
use model::{Scrape, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{job, show, target};
use crate::body::{Buffers, digest};
use crate::cache::Cache;
use crate::report::Report;
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

const PLAIN: &str = "Content-Type: text/plain; version=0.0.4\r\n";

#[tokio::test]
async fn an_exporter_is_scraped_over_http() {
    let body = b"# TYPE requests_total counter\nrequests_total{code=\"200\"} 4\n";
    let (address, heads) = exporter(vec![answer("200 OK", PLAIN, body)]).await;
    let job = job(&format!(
        "scrape_interval: 1s\nscrape_timeout: 1s\nmetrics_path: /probe\nparams: {{module: [m]}}\n\
         static_configs: [{{targets: ['{address}']}}]\n\
         relabel_configs: [{{target_label: instance, replacement: 't:1'}}]"
    ));
    let (sender, mut scrapes) = mpsc::channel(8);
    let scraper = Scraper::spawn(Options::default(), Arc::new(Channel(sender)));
    let fetch = Arc::new(HttpFetch::build(&job).unwrap());
    let discovery = spawn(job.name(), &job.config().sd, &Context::new(".")).unwrap();
    scraper.reload(vec![Feed { job, fetch, discovery }]).await;
    // On a busy machine a scrape may take longer than its second; one that is good comes.
    let good = async {
        loop {
            let text = show(&scrapes.recv().await.unwrap(), false);
            if text == "requests_total{code=\"200\"} 4\nup 1" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), good).await.unwrap();
    scraper.shutdown(Duration::from_secs(1)).await;
    let head = heads.lock().unwrap()[0].clone();
    for expected in [
        "get /probe?module=m http/1.1",
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,",
        "accept-encoding: gzip",
        "x-prometheus-scrape-timeout-seconds: 1\r\n",
        "user-agent: muster/",
    ] {
        assert!(head.contains(expected), "{head}");
    }
}

#[tokio::test]
async fn answers_are_read_as_they_come() {
    let zipped = "Content-Type: application/openmetrics-text\r\nContent-Encoding: gzip\r\n";
    let (address, _) = exporter(vec![
        answer("200 OK", PLAIN, b"a_total 4\nold 1\n"),
        answer("200 OK", zipped, &gzip("# TYPE a counter\na_total 5\n# EOF\n")),
        answer("500 Internal Server Error", PLAIN, b"no"),
    ])
    .await;
    let job = job(&format!(
        "relabel_configs: [{{target_label: __address__, replacement: '{address}'}}, \
         {{target_label: instance, replacement: 't:1'}}]"
    ));
    let target = target(&job, &[]);
    let fetch = HttpFetch::build(&job).unwrap();
    let (mut cache, buffers) = (Cache::new(&job, &target, &Arc::default()), Buffers::default());
    let mut texts = Vec::new();
    for at in 1..=3 {
        let fetched = fetch.fetch(&target, usize::MAX).await.map_err(ScrapeError::from);
        let digested = digest(fetched, &job, Timestamp(at), &mut cache, &buffers, 0);
        let report = Report {
            is_up: digested.error.is_none(),
            duration: Duration::ZERO,
            n_scraped: digested.counts.scraped,
            n_kept: digested.counts.kept,
            n_added: digested.counts.added,
            timeout: target.timeout,
            sample_limit: 0,
            body_bytes: digested.body_bytes,
        };
        texts.push(show(&cache.finish(&report), false));
        cache.delivered();
    }
    assert_eq!(texts, ["a_total 4\nold 1\nup 1", "a_total 5\nold STALE\nup 1", "a_total STALE\nup 0"]);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let kind = |config: &'static str, answer: Vec<u8>| async move {
        let (address, _) = exporter(vec![answer]).await;
        let job = job(&format!(
            "{config}\nrelabel_configs: [{{target_label: __address__, replacement: '{address}'}}]"
        ));
        let fetch = HttpFetch::build(&job).unwrap();
        let error = fetch.fetch(&target(&job, &[]), usize::MAX).await.unwrap_err();
        ScrapeError::from(error).kind()
    };
    assert_eq!(kind("", answer("404 Not Found", PLAIN, b"")).await, Failure::Status);
    let redirect = answer("302 Found", "Location: http://127.0.0.1:1/\r\n", b"");
    assert_eq!(kind("follow_redirects: false", redirect).await, Failure::Status);
    assert_eq!(kind("body_size_limit: 4B", answer("200 OK", PLAIN, b"a 1\n")).await, Failure::BodySizeLimit);
    assert_eq!(kind("", b"nonsense\r\n\r\n".to_vec()).await, Failure::Connect);
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec();
    assert_eq!(kind("", cut).await, Failure::Connect);
}
