//! Targets that mean harm, beside others: each scrape of them fails with the name of a limit, memory stays what it was,
//! and the others are scraped on time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use wire::compress::{Encoding, compress};
use world::child::free_port;
use world::http::{self, Server, reply};
use world::ledger::Ledger;
use world::sink::Sink;

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[Case::new(
    "hostile_targets_fail_by_name_cost_no_memory_and_delay_nobody",
    || block_on(beside_others()),
)];

/// Targets that behave.
const N_GOOD: usize = 20;

/// How long all are scraped without and with the hostile ones, each second.
const PHASE: Duration = Duration::from_secs(20);

/// How much the process may grow by them.
const MAX_GROWTH: u64 = 8 << 20;

/// What a target answers.
#[derive(Clone)]
enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A head and then the same piece so many times.
    Flood(&'static str, Vec<u8>, u64),
    /// A byte now and then, without end.
    Drip,
}

/// All kinds: a name, what the error of the scrape has to say, and the answer.
fn hostile() -> Vec<(&'static str, &'static str, Answer)> {
    let plain = |body: &[u8]| Answer::Bytes(page("Content-Type: text/plain\r\n", body));
    let labels: String = (0..10_000).map(|n| format!("l{n}=\"v\",")).collect();
    let value = "v".repeat(64 << 10);
    let long_values: String = (0..6).map(|n| format!("a{{n=\"{n}\",l=\"{value}\"}} 1\n")).collect();
    let location = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\n\r\n";
    vec![
        ("drip", "scrape_timeout", Answer::Drip),
        ("a_gigabyte", "MAX_WIRE_BYTES", Answer::Flood(CHUNKED, chunk(&b"# nothing\n".repeat(6500)), 16_000)),
        ("an_announced_gigabyte", "MAX_WIRE_BYTES", plain_announcing(1 << 30)),
        ("bomb", "max_ratio (200)", Answer::Bytes(page(ZIPPED, &bomb()))),
        (
            "headers",
            "MAX_HEADERS (100 lines)",
            Answer::Flood("HTTP/1.1 200 OK\r\n", b"x: y\r\n".repeat(1000), 1000),
        ),
        ("five_million_series", "MAX_WIRE_BYTES", Answer::Flood(CHUNKED, chunk(&series(1000)), 5000)),
        ("label_values", "label_value_length_limit", plain(long_values.as_bytes())),
        ("labels", "label_limit", plain(format!("a{{{labels}}} 1\n").as_bytes())),
        ("nul", "cannot parse the metrics: line 2", plain(b"a 1\nb\0 2\n")),
        ("broken_utf8", "not valid UTF-8", plain(b"a{b=\"\xff\xfe\"} 1\n")),
        ("cut", "broke while reading", plain_announcing(100)),
        (
            "web_page",
            "cannot parse the metrics: line 1",
            Answer::Bytes(page("Content-Type: text/html\r\n", b"<p>")),
        ),
        ("link_local", "follow_link_local_redirects", Answer::Bytes(location.into())),
    ]
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
const ZIPPED: &str = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";

fn page(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Says that much follows, and that is all.
fn plain_announcing(n_bytes: usize) -> Answer {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {n_bytes}\r\n\r\na 1\n");
    Answer::Bytes(head.into_bytes())
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn series(n: usize) -> Vec<u8> {
    (0..n).flat_map(|n| format!("series{{of=\"many\",n=\"{n}\"}} 1\n").into_bytes()).collect()
}

/// A gigabyte in a megabyte: a thousand times the same megabyte, each a member of its own.
fn bomb() -> Vec<u8> {
    zipped(&[b'#'; 1 << 20]).repeat(1 << 10)
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(Encoding::Gzip, bytes, &mut out);
    out
}

/// Serves an answer to whoever asks; gives the address.
async fn serve(answer: Answer, tasks: &mut JoinSet<()>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            connections.spawn(async move {
                // A client that has seen enough goes away, which is an error here and wanted.
                drop(give(stream, &answer).await);
            });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

async fn give(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    match answer {
        Answer::Bytes(bytes) => stream.write_all(bytes).await,
        Answer::Flood(first, piece, n_times) => {
            stream.write_all(first.as_bytes()).await?;
            for _ in 0..*n_times {
                stream.write_all(piece).await?;
            }
            stream.write_all(b"0\r\n\r\n").await
        }
        Answer::Drip => {
            stream.write_all(CHUNKED.as_bytes()).await?;
            loop {
                stream.write_all(b"1\r\n#\r\n").await?;
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn beside_others() -> Result<()> {
    let kinds = hostile();
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for (name, expected, answer) in kinds {
        addresses.push((name, expected, serve(answer, &mut tasks).await?));
    }
    let body: String = (0..200).map(|n| format!("work_total{{n=\"{n}\"}} {n}\n")).collect();
    let good = Server::start(move |_: http::Request| {
        let page = reply(200, "text/plain", body.clone());
        async { Ok(page) }
    })
    .await?;
    let sink = Sink::with(Ledger::remembering(10_000)).await?;
    let api = format!("127.0.0.1:{}", free_port()?);
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("hostile.json");
    std::fs::write(&list, "[]")?;
    let yaml = configuration(&good, &sink, &api, &list.display().to_string());
    let collector = Collector::start("hostile", &yaml).await?;

    sleep(PHASE).await;
    let before = collector.child.usage().context("it runs")?.peak_rss_bytes;
    let since = world::now_ms();
    let targets: Vec<&str> = addresses.iter().map(|(_, _, address)| address.as_str()).collect();
    std::fs::write(&list, serde_json::json!([{ "targets": targets }]).to_string())?;
    sleep(PHASE).await;
    let until = world::now_ms();
    let after = collector.child.usage().context("it runs")?.peak_rss_bytes;

    for (name, expected, address) in &addresses {
        let error = last_error(&api, address).await.with_context(|| format!("the error of {name}"))?;
        ensure!(error.contains(expected), "{name}: {expected:?} is not in {error:?}");
    }
    on_time(&sink.ledger(), since, until)?;
    let grown = after.saturating_sub(before);
    ensure!(grown <= MAX_GROWTH, "{grown} bytes more than MAX_GROWTH allows: {before} before, {after} after");
    Ok(())
}

fn configuration(good: &Server, sink: &Sink, api: &str, list: &str) -> String {
    let targets: Vec<String> = (0..N_GOOD).map(|n| format!("'{}'", good_address(good, n))).collect();
    format!(
        "
receivers:
  prometheus:
    api_server: {{enabled: true, server_config: {{endpoint: '{api}'}}}}
    config:
      global: {{scrape_interval: 1s}}
      scrape_configs:
        - job_name: good
          static_configs: [{{targets: [{targets}]}}]
          relabel_configs:
            - {{source_labels: [__address__], regex: '(.+)@.+', target_label: instance}}
            - {{source_labels: [__address__], regex: '.+@(.+)', target_label: __address__}}
        - job_name: hostile
          file_sd_configs: [{{files: ['{list}'], refresh_interval: 1s}}]
exporters:
  prometheusremotewrite:
    endpoint: {sink}
    sending_queue: {{batch: {{flush_timeout: 200ms}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        targets = targets.join(", "),
        sink = sink.url(),
    )
}

/// All are one server, told apart by a name in front.
fn good_address(good: &Server, n: usize) -> String {
    format!("good-{n}@{}", good.address())
}

/// What went wrong in the last scrape of a target.
async fn last_error(api: &str, address: &str) -> Result<String> {
    eventually("an error is shown", Duration::from_secs(10), || async {
        let answer = http::get(&format!("http://{api}/api/v1/targets?scrapePool=hostile")).await?.json()?;
        let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let url = format!("http://{address}/metrics");
        let target = targets.iter().find(|target| target["scrapeUrl"] == url.as_str());
        let error = target.and_then(|target| target["lastError"].as_str()).unwrap_or_default();
        Ok(if error.is_empty() { Err(answer.to_string()) } else { Ok(error.to_owned()) })
    })
    .await
}

/// Every target that behaves was up in every second, at its moment of it.
fn on_time(ledger: &Ledger, since: i64, until: i64) -> Result<()> {
    let is_good = |labels: &std::collections::BTreeMap<String, String>| labels["job"] == "good";
    let ups: Vec<_> = ledger.remembered("up").into_iter().filter(|up| is_good(&up.labels)).collect();
    ensure!(ups.len() == N_GOOD, "{} targets of {N_GOOD} were scraped", ups.len());
    for up in ups {
        let name = &up.labels["instance"];
        let inside: Vec<_> = up.samples.iter().filter(|(at, _)| (since..until).contains(at)).collect();
        let n_seconds = usize::try_from((until - since) / 1000)?;
        // The last scrape may still be on its way.
        ensure!(inside.len() + 2 >= n_seconds, "{name}: {} scrapes in {n_seconds} s", inside.len());
        ensure!(inside.iter().all(|(_, value)| *value == 1.0), "{name} was down: {inside:?}");
        for pair in inside.windows(2) {
            let distance = pair[1].0 - pair[0].0;
            ensure!((500..1500).contains(&distance), "{name}: {distance} ms from scrape to scrape");
        }
    }
    Ok(())
}
