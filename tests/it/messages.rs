//! What a user reads when something is wrong, and with which exit code.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::http::{self, Server};
use world::sink::Sink;

use crate::Case;
use crate::programs::{self, Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("bad_configurations_are_refused_with_every_place", bad_configurations),
    Case::new("no_configuration_and_unknown_flags_end_with_one", bad_command_lines),
    Case::new("a_port_in_use_is_named_with_a_remedy", port_in_use),
    Case::new("secrets_are_printed_only_when_asked_for", secrets_stay_secret),
    Case::new("targets_that_misbehave_are_down_by_name_and_the_others_go_on", || block_on(hostile_targets())),
];

/// A configuration, and what the message has to contain.
const BAD: &[(&str, &[&str])] = &[
    ("receivers: [\n", &["bad.yaml:"]),
    ("", &["empty", "service::pipelines"]),
    (
        "receivers: {otlp: {protocols: {grpc: {endpont: 'x:1'}}}}\n",
        &["bad.yaml:1:39", "`endpont`", "did you mean `endpoint`?"],
    ),
    ("receivers: {otlp: {}}\n", &["receivers::otlp", "at least one protocol"]),
    (
        "receivers:\n  prometheus:\n    config:\n      scrape_configs:\n        - job_name: a\n          scrape_interval: 10x\n",
        &["bad.yaml:6:28", "scrape_interval", "10x"],
    ),
    (
        "receivers:\n  prometheus:\n    config:\n      scrape_configs:\n        - job_name: a\n          relabel_configs: [{action: hashmod}]\n",
        &["bad.yaml:6:", "modulus"],
    ),
    ("exporters:\n  prometheusremotewrite:\n    endpoint: not a url\n", &["bad.yaml:3:15", "endpoint"]),
    ("receivers:\n  kubernets: {}\n", &["bad.yaml:2:3", "unknown receiver type `kubernets`"]),
];

fn bad_configurations() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bad.yaml");
    for (yaml, parts) in BAD {
        std::fs::write(&path, yaml)?;
        let outcome =
            programs::run(&programs::muster(), &["validate", "--config", &path.display().to_string()])?;
        ensure!(outcome.code == Some(1), "exit code {:?} for:\n{yaml}", outcome.code);
        for part in *parts {
            ensure!(
                outcome.stderr.contains(part),
                "`{part}` is not said of:\n{yaml}\nbut:\n{}",
                outcome.stderr
            );
        }
        ensure!(outcome.stdout.is_empty(), "errors belong on stderr");
    }
    Ok(())
}

fn bad_command_lines() -> Result<()> {
    for (args, part) in [
        (&["validate"][..], "at least one config flag must be provided"),
        (&["--nonsense"], "--nonsense"),
        (&["--config", "nope.yaml"], "nope.yaml"),
        (&["--config", "yaml:{}", "--set", "foo"], "foo"),
        (&["--config", "yaml:{}", "--feature-gates", "no.such.gate"], "no.such.gate"),
    ] {
        let outcome = programs::run(&programs::muster(), args)?;
        ensure!(outcome.code == Some(1), "{args:?}: exit code {:?}", outcome.code);
        ensure!(outcome.stderr.contains(part), "{args:?}: `{part}` is not in:\n{}", outcome.stderr);
    }
    Ok(())
}

fn port_in_use() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let yaml = format!(
        "yaml:{{receivers: {{otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}}}, exporters: {{debug: {{}}}}, \
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{logs: {{receivers: [otlp], exporters: [debug]}}}}}}}}"
    );
    let outcome = programs::run(&programs::muster(), &["--config", &yaml])?;
    ensure!(outcome.code == Some(1), "exit code {:?}", outcome.code);
    for part in [address.as_str(), "in use"] {
        ensure!(outcome.stderr.contains(part), "`{part}` is not in:\n{}", outcome.stderr);
    }
    Ok(())
}

fn secrets_stay_secret() -> Result<()> {
    let yaml = "yaml:{receivers: {prometheus: {config: {scrape_configs: [{job_name: a, basic_auth: {username: u, password: hunter2}}]}}}, \
                exporters: {prometheusremotewrite: {endpoint: 'http://127.0.0.1:1/w', headers: {X-Token: hunter2}}}, \
                service: {pipelines: {metrics: {receivers: [prometheus], exporters: [prometheusremotewrite]}}}}";
    let redacted = programs::output(&programs::muster(), &["print-config", "--config", yaml])?;
    ensure!(!redacted.contains("hunter2") && redacted.contains("job_name: a"), "{redacted}");
    ensure!(redacted.contains("max_batch_size_bytes"), "defaults are missing:\n{redacted}");
    let shown =
        programs::output(&programs::muster(), &["print-config", "--mode", "unredacted", "--config", yaml])?;
    ensure!(shown.matches("hunter2").count() == 2, "{shown}");
    Ok(())
}

/// Targets that send HTML, half a body, a bomb, garbage or an error beside one that is well.
async fn hostile_targets() -> Result<()> {
    let bomb = gzip_bomb();
    let server = Server::start(move |request: http::Request| {
        let bomb = bomb.clone();
        async move {
            let text = "text/plain; version=0.0.4";
            Ok(match request.uri().path() {
                "/well" => http::reply(200, text, "fine 1\n"),
                "/html" => http::reply(200, "text/html", "<html>not metrics</html>"),
                "/garbage" => http::reply(200, text, "fine 1\n}{ nonsense\n"),
                "/error" => http::reply(500, text, "fine 1\n"),
                "/large" => http::reply(200, text, "x".repeat(2 << 20)),
                "/bomb" => {
                    let mut reply = http::reply(200, text, bomb);
                    reply.headers_mut().insert("content-encoding", "gzip".parse().expect("a valid header"));
                    reply
                }
                _ => return Err(http::Hangup),
            })
        }
    })
    .await?;
    let sink = Sink::with(world::ledger::Ledger::remembering(1000)).await?;
    let paths = ["well", "html", "garbage", "error", "large", "bomb", "reset"];
    let jobs: Vec<String> = paths
        .iter()
        .map(|path| {
            format!(
                "{{job_name: {path}, metrics_path: /{path}, body_size_limit: 1MB, static_configs: [{{targets: ['{}']}}]}}",
                server.address()
            )
        })
        .collect();
    let yaml = format!(
        "
receivers:
  prometheus:
    config:
      global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
      scrape_configs: [{}]
exporters: {{prometheusremotewrite: {{endpoint: '{}', remote_write_queue: {{queue_size: 100}}}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        jobs.join(", "),
        sink.url()
    );
    let mut collector = Collector::start("hostile", &yaml).await?;
    eventually("every target has reported", Duration::from_secs(20), || async {
        let ledger = sink.ledger();
        let ups: Vec<(String, f64)> = ledger
            .remembered("up")
            .iter()
            .filter_map(|series| Some((series.labels.get("job")?.clone(), series.samples.last()?.1)))
            .collect();
        Ok(if ups.len() == paths.len() { Ok(()) } else { Err(format!("{ups:?}")) })
    })
    .await?;
    {
        let ledger = sink.ledger();
        for series in ledger.remembered("up") {
            let job = series.labels.get("job").context("up has a job")?;
            let expected = if job == "well" { 1.0 } else { 0.0 };
            ensure!(
                series.samples.iter().all(|(_, value)| *value == expected),
                "{job}: {:?}",
                series.samples
            );
        }
        ensure!(ledger.remembered("fine").len() == 1, "a failed scrape must leave nothing behind");
    }
    let rss = collector.child.usage().context("the collector runs")?.peak_rss_bytes;
    ensure!(rss < 100 << 20, "peak memory {} MiB", rss >> 20);
    ensure!(
        collector.child.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    let log = collector.child.stderr();
    for part in ["body_size_limit", "/html", "status 500", "line 2: expected a metric name"] {
        ensure!(log.contains(part), "`{part}` is not in the log:\n{log}");
    }
    Ok(())
}

/// A gigabyte of zeros in a megabyte of gzip: one member many times over.
fn gzip_bomb() -> Vec<u8> {
    let mut member = Vec::new();
    wire::compress::compress(wire::compress::Encoding::Gzip, &vec![b'0'; 16 << 20], &mut member);
    member.repeat(64)
}
