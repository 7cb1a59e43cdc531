//! `kubelet`: what reading a kubelet costs, over TLS, in the whole process.
//!
//! A fake kubelet in this process answers as one with so many pods. Our program reads it again and again and hands the points to
//! `debug`, which only counts them; CPU time (user and system) is that of the whole process over the measured scrapes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use world::child::{Child, Usage, binary};
use world::kubelet::{Answer, FakeKubelet, file, node};

use crate::table::markdown;
use crate::{machine, print, say};

/// What a scrape of 250 pods with default metrics may take.
pub(crate) const MOST_CPU: Duration = Duration::from_millis(5);

/// Between two scrapes: enough for a busy machine to keep up.
const INTERVAL: Duration = Duration::from_millis(100);

/// Time to end in.
const GRACE: Duration = Duration::from_secs(30);

/// Scrapes before the measured ones.
const WARM_UP: usize = 10;

/// What is wanted of the kubelet.
struct Variant {
    name: &'static str,
    keys: &'static str,
}

const VARIANTS: [Variant; 2] = [
    Variant { name: "default metrics", keys: "" },
    Variant {
        name: "with volumes, container ids, limits and requests",
        keys: ", metric_groups: [container, pod, node, volume], extra_metadata_labels: [container.id, k8s.volume.type], metrics: \
               {k8s.pod.cpu_limit_utilization: {enabled: true}, k8s.pod.memory_limit_utilization: {enabled: true}, \
               k8s.container.cpu_limit_utilization: {enabled: true}, k8s.container.memory_limit_utilization: {enabled: true}}",
    },
];

/// Measures and prints a table, and whether the first row is within what was promised.
pub(crate) async fn run(n_pods: usize, n_scrapes: usize) -> Result<()> {
    let (summary, pods) = (node::summary(n_pods), node::pods(n_pods));
    let mut rows = Vec::new();
    let mut first = None;
    for variant in &VARIANTS {
        say(&format!("kubelet: {} is measured over {n_scrapes} scrapes", variant.name));
        let (cpu, usage) = measure(variant, &summary, &pods, n_scrapes).await?;
        first.get_or_insert(cpu);
        let mib = usage.peak_rss_bytes as f64 / f64::from(1 << 20);
        rows.push(vec![
            variant.name.to_owned(),
            format!("{:.2}", cpu.as_secs_f64() * 1e3),
            format!("{mib:.1}"),
        ]);
    }
    let verdict = match first {
        Some(cpu) if n_pods == 250 && cpu <= MOST_CPU => "\nkept: at most 5 ms with default metrics\n",
        Some(_) if n_pods == 250 => "\nmissed: at most 5 ms with default metrics\n",
        _ => "",
    };
    print(&format!(
        "### kubelet, {n_pods} pods\n\nsummary {} KiB, pods {} KiB, {n_scrapes} scrapes every {INTERVAL:?}; {}\n\n{}{verdict}",
        summary.len() / 1024,
        pods.len() / 1024,
        machine::describe(),
        markdown(&["kubeletstats", "CPU ms / scrape", "peak MiB"], &rows)
    ))
}

/// Reads a usual node in each way, for a program that counts what it does.
pub(crate) async fn train() -> Result<()> {
    const PODS: usize = 100;
    const SCRAPES: usize = 100;
    let (summary, pods) = (node::summary(PODS), node::pods(PODS));
    for variant in &VARIANTS {
        say(&format!("kubelet: muster is trained for {SCRAPES} scrapes, {}", variant.name));
        measure(variant, &summary, &pods, SCRAPES).await?;
    }
    Ok(())
}

/// CPU time a scrape, and what the process has used.
async fn measure(
    variant: &Variant,
    summary: &str,
    pods: &str,
    n_scrapes: usize,
) -> Result<(Duration, Usage)> {
    let kubelet = FakeKubelet::start().await?;
    kubelet.answer("/stats/summary", Answer::json(summary.to_owned()));
    kubelet.answer("/pods", Answer::json(pods.to_owned()));
    let folder = tempfile::tempdir().context("making a folder")?;
    let mut child = start(&kubelet, variant, &folder)?;
    scraped(&kubelet, &mut child, WARM_UP).await?;
    let before = usage(&child)?;
    let n_before = n_seen(&kubelet);
    scraped(&kubelet, &mut child, n_before + n_scrapes).await?;
    let after = usage(&child)?;
    let n = u32::try_from(n_seen(&kubelet) - n_before).context("as many scrapes as fit")?;
    let status = child.terminate(GRACE).await?;
    ensure!(status.success(), "muster: {status}: {}", child.last_words());
    Ok((after.cpu.saturating_sub(before.cpu) / n, after))
}

fn start(kubelet: &FakeKubelet, variant: &Variant, folder: &TempDir) -> Result<Child> {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| file(name).display().to_string());
    let config = format!(
        "receivers: {{kubeletstats: {{endpoint: '{}', ca_file: {ca}, cert_file: {cert}, key_file: {key}, \
         collection_interval: {INTERVAL:?}, initial_delay: 0s{}}}}}\nexporters: {{debug: }}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [kubeletstats], exporters: [debug]}}}}}}\n",
        kubelet.address(),
        variant.keys
    );
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).context("writing the configuration")?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(&path).current_dir(folder.path());
    Child::spawn("muster", &mut command, folder.path())
}

fn n_seen(kubelet: &FakeKubelet) -> usize {
    kubelet.seen().iter().filter(|seen| seen.path == "/stats/summary").count()
}

fn usage(child: &Child) -> Result<Usage> {
    child.usage().with_context(|| format!("muster has ended: {}", child.last_words()))
}

/// Waits until the kubelet was asked so often.
async fn scraped(kubelet: &FakeKubelet, child: &mut Child, n_scrapes: usize) -> Result<()> {
    let patience =
        INTERVAL * 4 * u32::try_from(n_scrapes).context("as many scrapes as fit")? + Duration::from_secs(30);
    let deadline = Instant::now() + patience;
    while n_seen(kubelet) < n_scrapes {
        ensure!(child.ended().is_none(), "muster has ended: {}", child.last_words());
        ensure!(Instant::now() < deadline, "{} of {n_scrapes} scrapes within {patience:?}", n_seen(kubelet));
        sleep(INTERVAL / 2).await;
    }
    Ok(())
}
