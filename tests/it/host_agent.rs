//! The host agent: agreement with node_exporter, what reaches Prometheus, the tutorials' configurations, the manifest.

mod manifest;
mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use world::child::{Child, free_port};
use world::ledger::Ledger;
use world::peers;
use world::sink::Sink;

use crate::Case;
use crate::programs::{Collector, block_on, eventually, muster};
use crate::tidy::root;
use page::Page;

pub(crate) const CASES: &[Case] = &[
    Case::needing("values_agree_with_node_exporter", &["prometheus-node-exporter"], || block_on(agrees())),
    Case::new("remote_write_and_the_exporter_tell_the_same_series", || block_on(both_ways())),
    Case::new("both_spellings_of_the_receiver_tell_the_same_series", || block_on(both_spellings())),
    Case::new("a_file_that_never_answers_keeps_nothing_from_ending", || block_on(hangs())),
    Case::needing("the_tutorials_configurations_run_unmodified", &["unshare"], || block_on(tutorials())),
    Case::new("the_manifest_has_the_example_least_rights_and_probes", manifest::holds),
];

const WAIT: Duration = Duration::from_secs(30);

/// Keys of ours and of node_exporter's for the same thing: name, attributes to labels, name, labels.
struct Pair {
    ours: (&'static str, Vec<(&'static str, String)>),
    theirs: (&'static str, Vec<(&'static str, String)>),
    /// What ours may differ from the values that node_exporter told before and after.
    slack: f64,
}

fn pair(
    ours: (&'static str, &[(&'static str, &str)]),
    theirs: (&'static str, &[(&'static str, &str)]),
    slack: f64,
) -> Pair {
    let owned = |labels: &[(&'static str, &str)]| {
        labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect::<Vec<_>>()
    };
    Pair { ours: (ours.0, owned(ours.1)), theirs: (theirs.0, owned(theirs.1)), slack }
}

async fn agrees() -> Result<()> {
    let node = peers::node_exporter().await?;
    let port = free_port()?;
    let yaml = format!(
        "
receivers:
  hostmetrics:
    collection_interval: 500ms
    initial_delay: 0s
    scrapers: {{cpu: , memory: {{metrics: {{system.memory.limit: {{enabled: true}}}}}}, disk: , network: , filesystem: , load: }}
exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}', send_timestamps: true}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [hostmetrics], exporters: [prometheus]}}}}
"
    );
    let mut collector = Collector::start("host-agent", &yaml).await?;
    let urls = (format!("http://127.0.0.1:{port}/metrics"), format!("{}/metrics", node.url));
    let Round { own, before, after } = Round::new(&urls).await?;
    let pairs = pairs(&own, &before)?;
    for kind in ["cpu", "disk", "network", "filesystem", "load"] {
        let n_pairs = pairs.iter().filter(|pair| pair.ours.0.starts_with(&format!("system_{kind}_"))).count();
        let n_pairs = if kind == "load" {
            pairs.iter().filter(|pair| pair.ours.0.contains("load_average")).count()
        } else {
            n_pairs
        };
        ensure!(n_pairs >= 2, "{kind}: only {n_pairs} values can be compared");
    }
    let mut wrong = Vec::new();
    for Pair { ours, theirs, slack } in &pairs {
        let value = own.value(ours.0, &ours.1)?;
        let (low, high) = (before.value(theirs.0, &theirs.1)?, after.value(theirs.0, &theirs.1)?);
        let is_between = value >= low.min(high) - slack && value <= low.max(high) + slack;
        if !is_between {
            wrong.push(format!("{} {:?}: {value}, node_exporter from {low} to {high}", ours.0, ours.1));
        }
    }
    ensure!(wrong.is_empty(), "of {} values differ:\n{}", pairs.len(), wrong.join("\n"));
    // Other programs take and give back memory meanwhile; a quiet moment comes.
    eventually("memory agrees", WAIT, || async {
        let wrong = Round::new(&urls).await?.memory_that_differs()?;
        Ok(if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) })
    })
    .await?;
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{}", collector.child.last_words());
    Ok(())
}

/// A page of ours, and what node_exporter told before and after.
struct Round {
    own: Page,
    before: Page,
    after: Page,
}

/// What each state of memory is of node_exporter's numbers, which are added and taken away.
const MEMORY: &[(&str, &[(f64, &str)])] = &[
    ("used", &[(1.0, "MemTotal"), (-1.0, "MemAvailable")]),
    ("free", &[(1.0, "MemFree")]),
    ("buffered", &[(1.0, "Buffers")]),
    ("cached", &[(1.0, "Cached"), (1.0, "SReclaimable")]),
    ("slab_reclaimable", &[(1.0, "SReclaimable")]),
    ("slab_unreclaimable", &[(1.0, "SUnreclaim")]),
];

impl Round {
    /// Waits for one more scrape of ours.
    async fn new((own_url, node_url): &(String, String)) -> Result<Self> {
        let before = Page::get(node_url).await?;
        let from = world::now_ms();
        let own = eventually("the agent scrapes once more", WAIT, || async {
            let page = Page::get(own_url).await?;
            let at = page.samples("system_cpu_load_average_1m").next().and_then(|sample| sample.at);
            Ok(if at > Some(from) { Ok(page) } else { Err(format!("{at:?} and not after {from}")) })
        })
        .await?;
        Ok(Self { own, before, after: Page::get(node_url).await? })
    }

    /// States of memory that are not between what node_exporter told before and after, give or take a little.
    fn memory_that_differs(&self) -> Result<Vec<String>> {
        const SHARE: f64 = 0.02;
        const MIB: f64 = 1_048_576.0;
        let n_states = self.own.samples("system_memory_usage_bytes").count();
        ensure!(n_states == MEMORY.len(), "{n_states} states of memory");
        let mut wrong = Vec::new();
        for (state, parts) in MEMORY {
            let theirs = |page: &Page| -> Result<f64> {
                let part = |(sign, name): &(f64, &str)| {
                    Ok(sign * page.value(&format!("node_memory_{name}_bytes"), &[])?)
                };
                parts.iter().map(part).sum()
            };
            let (before, after) = (theirs(&self.before)?, theirs(&self.after)?);
            let slack = before.max(after) * SHARE + MIB;
            let value = self.own.value("system_memory_usage_bytes", &[("state", (*state).to_owned())])?;
            if value < before.min(after) - slack || value > before.max(after) + slack {
                wrong.push(format!("{state}: {value}, node_exporter from {before} to {after}"));
            }
        }
        Ok(wrong)
    }
}

/// Everything that both tell, but for states of memory.
fn pairs(own: &Page, node: &Page) -> Result<Vec<Pair>> {
    // The kernel counts in hundredths; node_exporter reads CPUs one by one.
    const TICKS: f64 = 0.03;
    let mut pairs = vec![pair(("system_memory_limit_bytes", &[]), ("node_memory_MemTotal_bytes", &[]), 0.0)];
    for (minutes, theirs) in [("1m", "node_load1"), ("5m", "node_load5"), ("15m", "node_load15")] {
        let ours = match minutes {
            "1m" => "system_cpu_load_average_1m",
            "5m" => "system_cpu_load_average_5m",
            _ => "system_cpu_load_average_15m",
        };
        pairs.push(pair((ours, &[]), (theirs, &[]), 0.0));
    }
    for sample in own.samples("system_cpu_time_seconds_total") {
        let (cpu, state) = (sample.label("cpu"), sample.label("state"));
        let mode = match state {
            "wait" => "iowait",
            "interrupt" => "irq",
            other => other,
        };
        let number = cpu.trim_start_matches("cpu");
        pairs.push(pair(
            ("system_cpu_time_seconds_total", &[("cpu", cpu), ("state", state)]),
            ("node_cpu_seconds_total", &[("cpu", number), ("mode", mode)]),
            TICKS,
        ));
    }
    for (ours, direction, theirs) in [
        ("system_disk_io_bytes_total", "read", "node_disk_read_bytes_total"),
        ("system_disk_io_bytes_total", "write", "node_disk_written_bytes_total"),
        ("system_disk_operations_total", "read", "node_disk_reads_completed_total"),
        ("system_disk_operations_total", "write", "node_disk_writes_completed_total"),
        ("system_network_io_bytes_total", "receive", "node_network_receive_bytes_total"),
        ("system_network_io_bytes_total", "transmit", "node_network_transmit_bytes_total"),
        ("system_network_packets_total", "receive", "node_network_receive_packets_total"),
        ("system_network_errors_total", "transmit", "node_network_transmit_errs_total"),
    ] {
        for sample in own.samples(ours).filter(|sample| sample.label("direction") == direction) {
            let device = sample.label("device");
            if node.value(theirs, &[("device", device.to_owned())]).is_ok() {
                pairs.push(pair(
                    (ours, &[("device", device), ("direction", direction)]),
                    (theirs, &[("device", device)]),
                    0.0,
                ));
            }
        }
    }
    for sample in
        own.samples("system_filesystem_usage_bytes").filter(|sample| sample.label("state") == "free")
    {
        let (device, point) = (sample.label("device"), sample.label("mountpoint"));
        let labels = [("device", device), ("mountpoint", point), ("state", "free")];
        let theirs = [("device", device), ("mountpoint", point)];
        if let Ok(size) = node.value("node_filesystem_size_bytes", &[("mountpoint", point.to_owned())]) {
            let slack = size / 50.0;
            pairs.push(pair(
                ("system_filesystem_usage_bytes", &labels),
                ("node_filesystem_avail_bytes", &theirs),
                slack,
            ));
            let labels = [("device", device), ("mountpoint", point), ("state", "free")];
            pairs.push(pair(
                ("system_filesystem_inodes_usage", &labels),
                ("node_filesystem_files_free", &theirs),
                size / 4096.0 / 20.0,
            ));
        }
    }
    Ok(pairs)
}

/// A host with two CPUs, a load and two processes.
fn small_host() -> Result<TempDir> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let write = |name: &str, text: &str| -> Result<()> {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    let boot = world::now_ms() / 1000 - 1000;
    write("proc/stat", &format!("cpu0 1 2 3 4 5 6 7 8\ncpu1 1 2 3 4 5 6 7 8\nbtime {boot}\n"))?;
    write("proc/loadavg", "0.5 0.4 0.3 1/2 3\n")?;
    write("etc/passwd", "web:x:33:33::/:/bin/false\n")?;
    for pid in [7, 8] {
        let stat = format!("{pid} (app) S 1 0 0 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1000 4096 1 0 1 1 1\n");
        write(&format!("proc/{pid}/stat"), &stat)?;
        write(&format!("proc/{pid}/statm"), "25600 2560 0 0 0 0 0\n")?;
        write(&format!("proc/{pid}/io"), "rchar: 1\nwchar: 2\n")?;
        write(&format!("proc/{pid}/cmdline"), "/bin/app\0--flag\0")?;
        write(&format!("proc/{pid}/status"), "Uid:\t33\t33\t33\t33\n")?;
    }
    Ok(folder)
}

async fn both_ways() -> Result<()> {
    let host = small_host()?;
    let sink = Sink::with(Ledger::remembering(1000)).await?;
    let port = free_port()?;
    let yaml = format!(
        "
receivers:
  hostmetrics:
    root_path: '{}'
    collection_interval: 1s
    initial_delay: 0s
    scrapers: {{cpu: , load: , process: }}
exporters:
  prometheus: {{endpoint: '127.0.0.1:{port}', resource_to_telemetry_conversion: {{enabled: true}}}}
  prometheusremotewrite: {{endpoint: '{}', resource_to_telemetry_conversion: {{enabled: true}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [hostmetrics], exporters: [prometheus, prometheusremotewrite]}}}}
",
        host.path().display(),
        sink.url()
    );
    let mut collector = Collector::start("both-ways", &yaml).await?;
    // 2 CPUs in 8 states, 3 loads, and of each process 3 states, 2 directions and 2 sizes of memory.
    let n_series = 2 * 8 + 3 + 2 * (3 + 2 + 2);
    let url = format!("http://127.0.0.1:{port}/metrics");
    let page = eventually("the exporter tells everything", WAIT, || async {
        let page = Page::get(&url).await?;
        let n_there = page.of_hosts().len();
        Ok(if n_there >= n_series { Ok(page) } else { Err(format!("{n_there} of {n_series}")) })
    })
    .await?;
    eventually("everything is written", WAIT, || async {
        let n_written = written(&sink).len();
        Ok(if n_written >= n_series { Ok(()) } else { Err(format!("{n_written} of {n_series}")) })
    })
    .await?;
    ensure!(page.of_hosts().len() == n_series, "{:?}", page.of_hosts());
    ensure!(written(&sink) == page.of_hosts(), "{:#?}\n{:#?}", written(&sink), page.of_hosts());
    let of_seven = "process_cpu_time_seconds_total{process_command=/bin/app,process_command_line=/bin/app --flag,\
                    process_executable_name=app,process_owner=web,process_parent_pid=1,process_pid=7,state=user}";
    ensure!(page.of_hosts().contains(of_seven), "{:#?}", page.of_hosts());
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{}", collector.child.last_words());
    Ok(())
}

async fn both_spellings() -> Result<()> {
    let host = small_host()?;
    let ports = [free_port()?, free_port()?];
    let keys = format!(
        "{{root_path: '{}', collection_interval: 1s, initial_delay: 0s, scrapers: {{cpu: , load: }}}}",
        host.path().display()
    );
    let yaml = format!(
        "
receivers: {{hostmetrics/old: {keys}, host_metrics/new: {keys}}}
exporters:
  prometheus/old: {{endpoint: '127.0.0.1:{}'}}
  prometheus/new: {{endpoint: '127.0.0.1:{}'}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics/old: {{receivers: [hostmetrics/old], exporters: [prometheus/old]}}
    metrics/new: {{receivers: [host_metrics/new], exporters: [prometheus/new]}}
",
        ports[0], ports[1]
    );
    let mut collector = Collector::start("both-spellings", &yaml).await?;
    // 2 CPUs in 8 states, 3 loads.
    let n_series = 2 * 8 + 3;
    let mut told = Vec::new();
    for port in ports {
        let url = format!("http://127.0.0.1:{port}/metrics");
        let series = eventually("everything is told", WAIT, || async {
            let series = Page::get(&url).await?.of_hosts();
            Ok(if series.len() == n_series { Ok(series) } else { Err(format!("{series:#?}")) })
        })
        .await?;
        told.push(series);
    }
    ensure!(told[0] == told[1], "{told:#?}");
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{}", collector.child.last_words());
    Ok(())
}

/// Series of the host that were written, as text.
fn written(sink: &Sink) -> BTreeSet<String> {
    let ledger = sink.ledger();
    let texts = ledger.all_remembered().map(|series| page::text_of(&series.labels));
    texts.filter(|text| page::is_of_host(text)).collect()
}

/// A pipe that nobody writes to stands for a file that the kernel never answers about.
async fn hangs() -> Result<()> {
    let host = small_host()?;
    let made = Command::new("mkfifo").arg(host.path().join("proc/meminfo")).status()?;
    ensure!(made.success(), "mkfifo ended with {made}");
    let yaml = format!(
        "
receivers:
  hostmetrics:
    root_path: '{}'
    collection_interval: 200ms
    initial_delay: 0s
    scrapers: {{memory: }}
  hostmetrics/other: {{root_path: '{}', collection_interval: 200ms, initial_delay: 0s, scrapers: {{load: }}}}
exporters: {{debug: }}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [hostmetrics, hostmetrics/other], exporters: [debug]}}}}
",
        host.path().display(),
        host.path().display()
    );
    let mut collector = Collector::start("hangs", &yaml).await?;
    for word in ["no answer within the timeout", "the scrape before this one has not come back"] {
        eventually(word, WAIT, || async {
            let words = collector.child.stderr();
            Ok(if words.contains(word) { Ok(()) } else { Err(words) })
        })
        .await?;
    }
    // From here on it hangs, and the other receiver goes on.
    let n_scrapes = |words: &str| words.matches("\"data points\":3").count();
    let n_before = n_scrapes(&collector.child.stderr());
    eventually("the other receiver goes on", WAIT, || async {
        let words = collector.child.stderr();
        Ok(if n_scrapes(&words) >= n_before + 3 { Ok(()) } else { Err(words) })
    })
    .await?;
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{ended}: {}", collector.child.last_words());
    Ok(())
}

/// Gives the program a root file system in which the host is mounted at `/hostfs`, and becomes it.
const WITH_HOSTFS: &str = r#"
set -e
new=$1; shift
mount -t tmpfs none "$new"
for entry in /*; do
    if [ -L "$entry" ]; then cp -P "$entry" "$new$entry"
    elif [ -d "$entry" ]; then mkdir "$new$entry"; mount --rbind "$entry" "$new$entry"; fi
done
mkdir "$new/hostfs"
mount --rbind / "$new/hostfs"
exec chroot "$new" "$@"
"#;

async fn tutorials() -> Result<()> {
    for name in ["na23-06-hostmetrics-all-scrapers", "na23-06-markdown-hostmetrics-minimal"] {
        let config = root().join(format!("tests/corpus/configs/{name}.yaml"));
        runs_unmodified(name, &config).await.with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// A metric of each scraper that tutorials name.
const OF_SCRAPERS: &[(&str, &str)] = &[
    ("cpu", "system.cpu.time{"),
    ("disk", "system.disk.io{"),
    ("filesystem", "system.filesystem.usage{"),
    ("load", "system.cpu.load_average.1m{"),
    ("memory", "system.memory.usage{"),
    ("network", "system.network.io{"),
    ("paging", "system.paging.faults{"),
    ("process", "process.cpu.time{"),
    ("processes", "system.processes.count{"),
];

/// A metric of each scraper of a configuration, as its points are printed.
fn wanted(config: &Path) -> Result<Vec<&'static str>> {
    let text = std::fs::read_to_string(config).context("reading the configuration")?;
    let parsed = config::parse(&text, "tutorial").map_err(anyhow::Error::from)?;
    let scrapers = parsed.root.at(&["receivers", "hostmetrics", "scrapers"]).context("it has no scrapers")?;
    let metric = |scraper: &str| {
        let of_scraper = OF_SCRAPERS.iter().find(|(name, _)| *name == scraper);
        of_scraper.map(|(_, metric)| *metric).with_context(|| format!("no metric of `{scraper}` is known"))
    };
    scrapers.entries().map(|(scraper, _)| metric(scraper)).collect()
}

async fn runs_unmodified(name: &str, config: &Path) -> Result<()> {
    let wanted = wanted(config)?;
    ensure!(wanted.len() >= 6, "{wanted:?}");
    let folder = tempfile::tempdir().context("making a folder")?;
    let new: PathBuf = folder.path().join("root");
    std::fs::create_dir(&new)?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "--propagation", "private", "sh", "-c", WITH_HOSTFS, "sh"]);
    command.arg(&new).arg(muster()).arg("--config").arg(config);
    // Its own metrics would want a port that others may have.
    command.arg("--set=service.telemetry.metrics.level=none");
    // Points are printed with their names.
    command.arg("--set=exporters.debug.verbosity=normal");
    let mut child = Child::spawn(name, &mut command, folder.path())?;
    eventually("every scraper tells something", WAIT, || async {
        let words = child.stderr();
        let is_told = |metric: &str| words.lines().any(|line| line.starts_with(metric));
        let missing: Vec<&str> = wanted.iter().copied().filter(|metric| !is_told(metric)).collect();
        // Points name what runs on this machine, which is nobody's business; the log does not.
        let log: Vec<&str> = words.lines().filter(|line| line.starts_with('{')).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("not {missing:?}:\n{}", log.join("\n"))) })
    })
    .await?;
    let ended = child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{ended}: {}", child.last_words());
    Ok(())
}
