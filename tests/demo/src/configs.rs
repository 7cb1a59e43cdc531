//! The configurations that the demo's programs get: what a reader would write by hand, with ports filled in.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use world::ledger::COLLECTOR_HEADER;

/// Where one scraper listens and writes to.
pub(crate) struct ScraperPorts<'a> {
    pub(crate) allocator: &'a str,
    pub(crate) sink: &'a str,
    pub(crate) prometheus: Option<&'a str>,
    pub(crate) health: u16,
    pub(crate) metrics: u16,
}

/// The allocator: one job per `file_sd` file, collectors from a list in a file, and what outlives a restart in another.
pub(crate) fn allocator(port: u16, interval: Duration, jobs: &[&str], folder: &Path) -> String {
    let seconds = seconds(interval);
    let folder = folder.display();
    let mut text = format!(
        "listen_addr: 127.0.0.1:{port}\n\
         allocation_strategy: consistent-hashing\n\
         state_file: {folder}/assignment.json\n\
         collectors:\n  file: {folder}/members\n\
         config:\n  global:\n    scrape_interval: {seconds}\n    scrape_timeout: {seconds}\n  scrape_configs:\n"
    );
    for job in jobs {
        write!(
            text,
            "    - job_name: {job}\n      file_sd_configs:\n        - files: [{folder}/{job}.json]\n"
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// One scraper: asks the allocator every second, writes to the sink under its name, and to Prometheus if it is there.
pub(crate) fn scraper(id: &str, ports: &ScraperPorts<'_>) -> String {
    let ScraperPorts { allocator, sink, prometheus, health, metrics } = ports;
    let mut exporters = format!(
        "  prometheusremotewrite:\n    endpoint: {sink}\n    headers:\n      {COLLECTOR_HEADER}: {id}\n"
    );
    let mut names = "prometheusremotewrite".to_owned();
    if let Some(prometheus) = prometheus {
        exporters +=
            &format!("  prometheusremotewrite/prometheus:\n    endpoint: {prometheus}/api/v1/write\n");
        names += ", prometheusremotewrite/prometheus";
    }
    format!(
        "extensions:\n  health_check:\n    endpoint: 127.0.0.1:{health}\n\
         receivers:\n  prometheus:\n    target_allocator:\n      endpoint: {allocator}\n      interval: 1s\n      collector_id: {id}\n      http_sd_config:\n        refresh_interval: 1s\n\
         exporters:\n{exporters}\
         service:\n  extensions: [health_check]\n  telemetry:\n    metrics:\n      address: 127.0.0.1:{metrics}\n  pipelines:\n    metrics:\n      receivers: [prometheus]\n      exporters: [{names}]\n"
    )
}

/// A Prometheus that only takes what is written to it.
pub(crate) const PROMETHEUS: &str = "global:\n  scrape_interval: 1m\n";

fn seconds(interval: Duration) -> String {
    format!("{}ms", interval.as_millis())
}
