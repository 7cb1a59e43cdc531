//! The alert rules in `deploy/alerts`: what promtool says of them, and whether the metrics that they look at exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::child::free_port;
use world::http;
use world::peers::find;

use crate::Case;
use crate::programs::{self, Collector, block_on, eventually};
use crate::tidy::root;

pub(crate) const CASES: &[Case] = &[
    Case::needing("promtool_finds_nothing_wrong_with_the_rules", &["promtool"], rules_are_valid),
    Case::needing("each_alert_fires_when_it_has_to_and_only_then", &["promtool"], alerts_fire),
    Case::new("each_alert_has_a_test", alerts_are_tested),
    Case::new("rules_look_at_metrics_that_a_running_collector_has", || block_on(metrics_exist())),
];

fn folder() -> PathBuf {
    root().join("deploy/alerts")
}

fn rules() -> Result<String> {
    let path = folder().join("muster.rules.yaml");
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn promtool(words: &[&str], file: &str) -> Result<()> {
    let program = find("promtool").context("promtool is not installed")?;
    let path = folder().join(file).display().to_string();
    let outcome = programs::run(Path::new(&program), &[words, &[&path]].concat())?;
    ensure!(outcome.code == Some(0), "{}\n{}", outcome.stdout, outcome.stderr);
    Ok(())
}

fn rules_are_valid() -> Result<()> {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], "muster.rules.yaml")
}

fn alerts_fire() -> Result<()> {
    promtool(&["test", "rules"], "muster.rules.test.yaml")
}

fn alerts_are_tested() -> Result<()> {
    let rules = rules()?;
    let tests = std::fs::read_to_string(folder().join("muster.rules.test.yaml"))?;
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(alerts.len() >= 5, "found only {alerts:?}");
    for alert in alerts {
        let blocks: Vec<&str> = tests.split("alertname: ").filter(|block| block.starts_with(alert)).collect();
        let is_expected =
            |block: &&&str| block.lines().nth(1).is_some_and(|line| line.trim() == "exp_alerts:");
        let n_firing = blocks.iter().filter(is_expected).count();
        ensure!(n_firing > 0 && n_firing < blocks.len(), "{alert} has to be tested with and without firing");
    }
    Ok(())
}

/// Names of our metrics in expressions.
fn names(rules: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // Annotations put what they name into backquotes.
    let words = rules.split('`').step_by(2).flat_map(|text| text.split(|c: char| !is_part(c)));
    words.filter(|word| word.starts_with("otelcol_") || word.starts_with("muster_")).collect()
}

async fn metrics_exist() -> Result<()> {
    let rules = rules()?;
    let wanted = names(&rules);
    ensure!(wanted.len() >= 9, "the rules name only {wanted:?}");
    let (metrics, receiver) = (free_port()?, free_port()?);
    let _collector = Collector::start("alerts", &yaml(metrics, receiver)).await?;
    eventually("every metric of the rules is there", Duration::from_secs(20), || async {
        let page = http::get(&format!("http://127.0.0.1:{metrics}/metrics")).await?.text();
        let is_missing = |name: &&&str| !page.contains(&format!("# TYPE {name} "));
        let missing: Vec<&&str> = wanted.iter().filter(is_missing).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}")) })
    })
    .await
}

/// Its remote write has no receiver, so that metrics of failures are there as well.
fn yaml(metrics: u16, receiver: u16) -> String {
    format!(
        "
receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{receiver}'}}}}}}
  prometheus:
    config: {{scrape_configs: [{{job_name: own, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]}}]}}
exporters:
  prometheusremotewrite: {{endpoint: 'http://127.0.0.1:1/write', sending_queue: {{storage: file_storage}}}}
  debug:
extensions:
  health_check: {{endpoint: HEALTH}}
  file_storage: {{directory: data, create_directory: true}}
service:
  extensions: [health_check, file_storage]
  telemetry: {{metrics: {{address: '127.0.0.1:{metrics}'}}}}
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
    traces: {{receivers: [otlp], exporters: [debug]}}
"
    )
}
