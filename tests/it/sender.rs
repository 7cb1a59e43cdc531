//! What a remote-write sender owes its receiver, line by line of Prometheus' compliance suite for senders: a page is scraped by
//! a real collector and looked at in a receiver that checks what it gets.
//!
//! Falling back between protocols, shards and splits have tests of their own beside the exporter.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use world::http::{self, Server, reply};
use world::ledger::{Ledger, Remembered};
use world::sink::{Dialect, Fault, Seen, Sink, Version};

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("protocol_compliance_headers_and_body", protocol),
    Case::new("sample_encoding_every_value_is_exact", values),
    Case::new("sample_encoding_timestamps_are_milliseconds_and_recent", timestamps),
    Case::new("label_validation_labels_of_any_text_arrive_sorted_and_once", labels),
    Case::new("metadata_encoding_type_help_and_unit_stand_on_every_series", metadata),
    Case::new("exemplar_encoding_exemplars_arrive_with_labels_value_and_time", exemplars),
    Case::new("histogram_encoding_a_classic_histogram_is_whole", histogram),
    Case::new("combined_features_names_that_clash_with_reports_do_no_harm", clash),
    Case::new("edge_cases_empty_and_strange_pages_are_sent", edges),
    Case::new("batching_behavior_no_request_is_beyond_ten_thousand_samples", batching),
    Case::new("retry_behavior_what_the_receiver_rejects_is_not_sent_again", rejected),
    Case::new("backoff_behavior_waits_grow_and_requests_say_how_often_they_were_tried", backoff),
    Case::new("response_processing_the_text_of_an_error_is_logged_verbatim", error_text),
    Case::new("remote_write_1_compatibility_an_old_receiver_gets_the_same_samples", old_receiver),
];

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PAGE: &str = r#"# TYPE requests counter
# HELP requests All "requests",\nof everybody.
requests_total{method="GET",path="/UMLAUT \"q\" \\ \n"} 1027 # {trace_id="abc",span_id="def",user="u"} 0.5
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
# HELP temperature_celsius Outside.
temperature_celsius -12.5
# TYPE value gauge
value{kind="zero"} 0
value{kind="integer"} 42
value{kind="precise"} 0.1234567890123456
value{kind="large"} 1.7976931348623157e308
value{kind="small"} 5e-324
value{kind="scientific"} 1.5e-7
value{kind="infinite"} +Inf
value{kind="minus"} -Inf
value{kind="none"} NaN
# TYPE job:rate:5m gauge
job:rate:5m{text="StaleNaN",__reserved="r"} 1
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 20 # {trace_id="h"} 0.05
latency_seconds_bucket{le="1.0"} 70
latency_seconds_bucket{le="+Inf"} 100
latency_seconds_sum 250.5
latency_seconds_count 100
# TYPE rpc summary
rpc{quantile="0.5"} 0.1
rpc_sum 12
rpc_count 40
# TYPE up gauge
up 7
# EOF
"#;

/// What arrived of the pages.
struct Received {
    ledger: Ledger,
    seen: Vec<Seen>,
    old: Ledger,
}

fn received() -> Result<&'static Received> {
    static RECEIVED: OnceLock<Result<Received, String>> = OnceLock::new();
    let outcome = RECEIVED.get_or_init(|| block_on(receive()).map_err(|error| format!("{error:#}")));
    outcome.as_ref().map_err(|error| anyhow!("{error}"))
}

/// [`PAGE`] with a letter that is not ASCII, as sources are.
fn page() -> String {
    PAGE.replace("UMLAUT", "\u{e4}")
}

/// Scrapes a rich, an empty and a large page until each has arrived twice.
async fn receive() -> Result<Received> {
    let page = Server::start(|_: http::Request| async { Ok(reply(200, OPENMETRICS, page())) }).await?;
    let empty = Server::start(|_: http::Request| async { Ok(reply(200, OPENMETRICS, "# EOF\n")) }).await?;
    let huge = format!("huge{{text=\"{}\"}} 1\n", "x".repeat(10_000));
    let large: String = (0..12_000).map(|n| format!("large{{n=\"{n}\"}} {n}\n")).chain([huge]).collect();
    let large = Server::start(move |_: http::Request| {
        let large = large.clone();
        async move { Ok(reply(200, "text/plain; version=0.0.4", large)) }
    })
    .await?;
    let (sink, old) =
        (Sink::with(Ledger::remembering(20_000)).await?, Sink::with(Ledger::remembering(100)).await?);
    old.speak(Dialect::RefusesV2);
    let targets = [&page, &empty, &large].map(|server| format!("'{}'", server.address())).join(", ");
    let yaml = format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs:
        - {{job_name: pages, scrape_interval: 1s, static_configs: [{{targets: [{targets}]}}]}}
  prometheus/old:
    config:
      scrape_configs:
        - {{job_name: pages, scrape_interval: 1s, static_configs: [{{targets: ['{page}']}}]}}
exporters:
  prometheusremotewrite: {{endpoint: {sink}}}
  prometheusremotewrite/old: {{endpoint: {old}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}
    metrics/old: {{receivers: [prometheus/old], exporters: [prometheusremotewrite/old]}}
",
        page = page.address(),
        sink = sink.url(),
        old = old.url(),
    );
    let mut collector = Collector::start("sender", &yaml).await?;
    eventually("all pages arrive twice", Duration::from_secs(60), || async {
        let counts = ["rpc_count", "huge"].map(|name| longest(&sink.ledger(), name));
        let n_old = longest(&old.ledger(), "rpc_count");
        Ok((counts[0] >= 2 && counts[1] >= 2 && n_old >= 2)
            .then_some(())
            .ok_or(format!("{counts:?} {n_old}")))
    })
    .await?;
    let status = collector.child.terminate(Duration::from_secs(10)).await?;
    ensure!(status.success(), "a signal ends it with {status}: {}", collector.child.last_words());
    let taken = |sink: &Sink| std::mem::take(&mut *sink.ledger());
    Ok(Received { seen: sink.seen(), ledger: taken(&sink), old: taken(&old) })
}

fn longest(ledger: &Ledger, name: &str) -> usize {
    ledger.remembered(name).iter().map(|series| series.samples.len()).max().unwrap_or(0)
}

/// The series of the page with this name and this label.
fn series<'a>(ledger: &'a Ledger, name: &str, label: Option<(&str, &str)>) -> Result<&'a Remembered> {
    let has = |series: &&Remembered| {
        label.is_none_or(|(name, value)| series.labels.get(name).is_some_and(|have| have == value))
    };
    let found = ledger.remembered(name).into_iter().find(has);
    found.ok_or_else(|| anyhow!("{name} {label:?} has not arrived"))
}

/// Protocol compliance, symbol table, HTTP method: whatever the sink demands, it had.
fn protocol() -> Result<()> {
    let received = received()?;
    ensure!(received.ledger.totals().violations == 0, "{:?}", received.ledger.violations());
    ensure!(received.old.totals().violations == 0, "{:?}", received.old.violations());
    for seen in &received.seen {
        ensure!(seen.version() == Some(Version::V2) && seen.status == Some(204), "{seen:?}");
        ensure!(seen.header("content-encoding") == "snappy", "{seen:?}");
        ensure!(seen.header("x-prometheus-remote-write-version") == "2.0.0", "{seen:?}");
        ensure!(seen.header("user-agent").starts_with("muster/"), "{seen:?}");
    }
    Ok(())
}

fn values() -> Result<()> {
    let ledger = &received()?.ledger;
    for (kind, value) in [
        ("zero", 0.0),
        ("integer", 42.0),
        ("precise", 0.123_456_789_012_345_6),
        ("large", f64::MAX),
        ("small", 5e-324),
        ("scientific", 1.5e-7),
        ("infinite", f64::INFINITY),
        ("minus", f64::NEG_INFINITY),
    ] {
        let got = series(ledger, "value", Some(("kind", kind)))?.samples[0].1;
        ensure!(got.to_bits() == value.to_bits(), "{kind}: {got}");
    }
    let nan = series(ledger, "value", Some(("kind", "none")))?.samples[0].1;
    ensure!(nan.to_bits() == 0x7ff8_0000_0000_0001, "{:x}", nan.to_bits());
    ensure!(series(ledger, "temperature_celsius", None)?.samples[0].1 == -12.5);
    Ok(())
}

fn timestamps() -> Result<()> {
    let now = world::now_ms();
    for series in received()?.ledger.all_remembered() {
        ensure!(series.samples.iter().all(|(at, _)| (now - at).abs() < 300_000), "{series:?}");
        ensure!(series.samples.is_sorted_by(|one, other| one.0 < other.0), "{series:?}");
    }
    Ok(())
}

fn labels() -> Result<()> {
    let ledger = &received()?.ledger;
    let requests = series(ledger, "requests_total", None)?;
    ensure!(requests.labels["path"] == "/\u{e4} \"q\" \\ \n", "{requests:?}");
    ensure!(requests.labels["job"] == "pages" && requests.labels.contains_key("instance"), "{requests:?}");
    ensure!(series(ledger, "huge", None)?.labels["text"].len() == 10_000);
    Ok(())
}

fn metadata() -> Result<()> {
    let ledger = &received()?.ledger;
    for (name, kind, help, unit) in [
        ("requests_total", 1, "All \"requests\",\nof everybody.", ""),
        ("temperature_celsius", 2, "Outside.", "celsius"),
        ("latency_seconds_bucket", 3, "", ""),
        ("latency_seconds_sum", 3, "", ""),
        ("rpc", 5, "", ""),
    ] {
        let told = series(ledger, name, None)?.told.clone().unwrap_or_default();
        ensure!((told.kind, &*told.help, &*told.unit) == (kind, help, unit), "{name}: {told:?}");
    }
    Ok(())
}

fn exemplars() -> Result<()> {
    let ledger = &received()?.ledger;
    let (labels, at, value) =
        series(ledger, "requests_total", None)?.exemplars.first().cloned().ok_or_else(|| anyhow!("none"))?;
    let texts: Vec<&str> = ["trace_id", "span_id", "user"].map(|name| &*labels[name]).to_vec();
    ensure!(texts == ["abc", "def", "u"] && value == 0.5, "{labels:?} {value}");
    ensure!((world::now_ms() - at).abs() < 300_000, "{at}");
    ensure!(!series(ledger, "latency_seconds_bucket", Some(("le", "0.1")))?.exemplars.is_empty());
    Ok(())
}

fn histogram() -> Result<()> {
    let ledger = &received()?.ledger;
    for (le, count) in [("0.1", 20.0), ("1.0", 70.0), ("+Inf", 100.0)] {
        let got = series(ledger, "latency_seconds_bucket", Some(("le", le)))?.samples[0].1;
        ensure!(got == count, "{le}: {got}");
    }
    ensure!(series(ledger, "latency_seconds_sum", None)?.samples[0].1 == 250.5);
    ensure!(series(ledger, "latency_seconds_count", None)?.samples[0].1 == 100.0);
    Ok(())
}

/// `up` of the page and the one that reports on its scrape are one series: whichever wins, nothing else suffers.
fn clash() -> Result<()> {
    let ledger = &received()?.ledger;
    ensure!(ledger.remembered("up").len() == 3, "{:?}", ledger.remembered("up"));
    ensure!(longest(ledger, "scrape_duration_seconds") >= 2);
    Ok(())
}

fn edges() -> Result<()> {
    let ledger = &received()?.ledger;
    let colons = series(ledger, "job:rate:5m", None)?;
    ensure!(colons.labels["text"] == "StaleNaN" && colons.labels["__reserved"] == "r", "{colons:?}");
    let empty =
        ledger.remembered("scrape_samples_scraped").into_iter().find(|series| series.samples[0].1 == 0.0);
    ensure!(empty.is_some(), "an empty page has no report");
    Ok(())
}

fn batching() -> Result<()> {
    let ledger = &received()?.ledger;
    ensure!(ledger.remembered("large").len() == 12_000, "{}", ledger.remembered("large").len());
    ensure!(ledger.largest_request() <= 10_000, "{} samples in a request", ledger.largest_request());
    Ok(())
}

fn old_receiver() -> Result<()> {
    let received = received()?;
    for name in ["requests_total", "temperature_celsius", "latency_seconds_bucket", "rpc", "job:rate:5m"] {
        let of = |ledger: &Ledger| {
            let mut all: Vec<_> = ledger
                .remembered(name)
                .into_iter()
                .map(|series| {
                    (series.labels.clone(), series.samples[0].1.to_bits(), series.exemplars.len().min(1))
                })
                .collect();
            all.sort();
            all
        };
        ensure!(of(&received.ledger) == of(&received.old), "{name}");
    }
    Ok(())
}

const REJECTED: [u16; 4] = [400, 401, 404, 413];
const PASSING: [u16; 5] = [429, 500, 502, 503, 504];

/// What receivers saw that answer always the same, and what was said about it.
struct Refusals {
    by_status: Vec<(u16, Vec<Seen>)>,
    log: String,
}

fn refusals() -> Result<&'static Refusals> {
    static REFUSALS: OnceLock<Result<Refusals, String>> = OnceLock::new();
    let outcome = REFUSALS.get_or_init(|| block_on(refuse()).map_err(|error| format!("{error:#}")));
    outcome.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Scrapes a page each second for eight seconds and sends it to receivers that take nothing.
async fn refuse() -> Result<Refusals> {
    let page = Server::start(|_: http::Request| async { Ok(reply(200, OPENMETRICS, page())) }).await?;
    let (mut exporters, mut names, mut sinks) = (String::new(), Vec::new(), Vec::new());
    for status in REJECTED.into_iter().chain(PASSING) {
        let sink = Sink::start().await?;
        sink.always(Some(Fault::Status(status)));
        exporters += &format!(
            "  prometheusremotewrite/s{status}:\n    remote_write:\n      url: {}\n      protobuf_message: \
             io.prometheus.write.v2.Request\n      queue_config: {{max_shards: 1, batch_send_deadline: 5s}}\n",
            sink.url()
        );
        names.push(format!("prometheusremotewrite/s{status}"));
        sinks.push((status, sink));
    }
    let yaml = format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs:
        - {{job_name: page, scrape_interval: 1s, static_configs: [{{targets: ['{page}']}}]}}
exporters:
{exporters}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [{names}]}}}}
",
        page = page.address(),
        names = names.join(", "),
    );
    let mut collector = Collector::start("refused", &yaml).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let by_status = sinks.iter().map(|(status, sink)| (*status, sink.seen())).collect();
    collector.child.kill()?;
    Ok(Refusals { by_status, log: collector.child.stderr() })
}

fn rejected() -> Result<()> {
    for (status, seen) in refusals()?.by_status.iter().filter(|(status, _)| REJECTED.contains(status)) {
        ensure!((1..=2).contains(&seen.len()), "{status}: {} requests in 8 s", seen.len());
        ensure!(seen.iter().all(|seen| seen.header("retry-attempt").is_empty()), "{status}: {seen:?}");
    }
    Ok(())
}

fn backoff() -> Result<()> {
    for (status, seen) in refusals()?.by_status.iter().filter(|(status, _)| PASSING.contains(status)) {
        ensure!(seen.len() >= 3, "{status}: {} requests", seen.len());
        for (n_before, request) in seen.iter().enumerate() {
            let want = if n_before == 0 { String::new() } else { n_before.to_string() };
            ensure!(request.header("retry-attempt") == want, "{status}: {:?}", request.headers);
        }
        let gaps: Vec<f64> = seen.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
        ensure!(gaps.windows(2).all(|pair| pair[1] >= 0.8 * pair[0]), "{status}: {gaps:?}");
        ensure!(gaps.iter().all(|gap| (0.001..60.0).contains(gap)), "{status}: {gaps:?}");
    }
    Ok(())
}

fn error_text() -> Result<()> {
    let refusals = refusals()?;
    for status in REJECTED.into_iter().chain(PASSING) {
        let text = format!("answered with status {status}: as the script says");
        ensure!(refusals.log.contains(&text), "{status} is not in the log:\n{}", refusals.log);
    }
    Ok(())
}
