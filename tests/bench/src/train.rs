//! `train`: work for a program that counts what it does, so that the next build can be optimised for it.
//!
//! Work is what most users have: targets with many series and with few, compressed and plain, in both text formats, rules, both protocols of
//! remote write, queues in memory and on the disk, a host and a kubelet that are read, and pages that show them. What it does not do is taken for
//! rare, and built small instead of fast. The program ends as it does in service, because it writes its counts down then.

use std::slice;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;
use world::child::free_port;
use world::fleet::{Fleet, demo};
use world::http::Connection;
use world::sink::Sink;

use crate::measure::{Setting, delivered_once};
use crate::programs::{self, Task};
use crate::{fleet, kubelet, node, say};

/// How long each piece of work takes once it runs evenly.
const WORK: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_secs(5);
/// Time to end in.
const GRACE: Duration = Duration::from_secs(30);

/// Program, targets, series a target, and whether they have gzip.
const SCRAPING: [(&str, usize, u32, bool); 4] = [
    ("muster", 100, 2000, true),
    ("muster", 2000, 20, true),
    ("muster", 50, 2000, false),
    ("muster-1.0", 50, 2000, true),
];

/// Does all the work, one piece after the other.
pub(crate) async fn run() -> Result<()> {
    for (program, n_targets, n_series, gzip) in SCRAPING {
        let programs = vec![program.to_owned()];
        scraping(&Setting { n_targets, n_series, gzip, interval: INTERVAL, measured: WORK, programs })
            .await?;
    }
    all_kinds().await?;
    host().await?;
    page().await?;
    kubelet::train().await
}

async fn scraping(setting: &Setting) -> Result<()> {
    let program = &setting.programs[0];
    say(&format!("{}: {program} is trained for {WORK:?}", setting.name()));
    let stand = fleet::start(setting.n_targets, setting.n_series, setting.gzip).await?;
    let sink = Sink::start().await?;
    let url = sink.url();
    let groups = stand.groups();
    let task = Task { groups: &groups, interval: setting.interval, gzip: setting.gzip, sink: &url };
    let mut running = programs::start(program, &task).await?;
    delivered_once(slice::from_ref(&running), &sink, setting).await?;
    sleep(WORK).await;
    running.end(GRACE).await
}

/// Targets of all sizes in both text formats, some of which fail, by the rules of a usual job, with a queue on the disk.
async fn all_kinds() -> Result<()> {
    const RULES: &str = r"relabel_configs:
        [{source_labels: [__address__], regex: '(.+):(\d+)', target_label: port, replacement: '$$2'},
         {action: labelmap, regex: '__meta_kubernetes_pod_label_(.+)'}],
        metric_relabel_configs:
        [{source_labels: [__name__], regex: 'go_(gc|memstats)_.*', action: drop},
         {regex: 'pod_template_hash|uid', action: labeldrop}]";
    say(&format!("targets of all kinds: muster is trained for {WORK:?}"));
    let fleet = Fleet::start(demo(60, INTERVAL)).await?;
    let sink = Sink::start().await?;
    let job = |name: &str| format!("{{job_name: {name}, static_configs: {}, {RULES}}}", fleet.groups(name));
    let jobs: Vec<String> = fleet.jobs().into_iter().map(job).collect();
    let seconds = INTERVAL.as_secs();
    let scrape = format!(
        "global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s}}\nscrape_configs: [{}]",
        jobs.join(", ")
    );
    let mut running = programs::muster(&scrape, &sink.url(), programs::ON_DISK)?;
    sleep(WORK).await;
    running.end(GRACE).await?;
    ensure!(sink.ledger().series() > 0, "nothing was written");
    Ok(())
}

async fn host() -> Result<()> {
    say(&format!("a host: muster is trained for {WORK:?}"));
    let sink = Sink::start().await?;
    let receiver = format!("collection_interval: 1s, scrapers: {{{}}}", node::ALL_SCRAPERS);
    let exporter = format!("prometheusremotewrite: {{endpoint: '{}'}}", sink.url());
    let (mut child, _folder) = node::muster(&receiver, &exporter, free_port()?).await?;
    sleep(WORK).await;
    let status = child.terminate(GRACE).await?;
    ensure!(status.success(), "{}: {status}: {}", child.name(), child.last_words());
    ensure!(sink.ledger().series() > 0, "nothing was written");
    Ok(())
}

async fn page() -> Result<()> {
    say(&format!("pages of a host: muster is trained for {WORK:?}"));
    let port = free_port()?;
    let exporter = format!("prometheus: {{endpoint: '127.0.0.1:{port}'}}");
    let (mut child, _folder) =
        node::muster(&node::often(node::QUICK_SCRAPERS), &exporter, free_port()?).await?;
    let mut page = Connection::open(&format!("http://127.0.0.1:{port}/metrics")).await?;
    node::ask_for(&mut page, WORK).await?;
    let status = child.terminate(GRACE).await?;
    ensure!(status.success(), "{}: {status}: {}", child.name(), child.last_words());
    Ok(())
}
