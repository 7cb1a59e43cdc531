//! The host agent: what a scrape costs, beside node_exporter's collectors for the same things.
//!
//! Each scraper is measured on two ways out. Into a page, both programs serve the host's metrics over HTTP and are asked equally often, over one
//! connection each, which is kept as Prometheus keeps its own: node_exporter reads the host when it is asked, `muster` on its interval, into the exporter
//! `prometheus`. Into remote write, as agents run, `muster` sends what it reads as often to a sink, and only node_exporter is asked. Processor time is that
//! of all threads, user and system, as the scheduler counts it in nanoseconds. Scrapes of `muster` are counted by its own metrics, so that one that was
//! late is not counted.
//!
//! Both run at the same time and are asked in turn, so that a machine of uneven speed is as slow for the one as for the other, and each finds the caches as
//! the other has left them. Medians of slices are told: a moment in which somebody else took the machine changes nothing.

use std::fs;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use hostmetrics::{Host, Options, Root, Scrapers};
use model::Timestamp;
use tempfile::TempDir;
use tokio::time::{Instant, interval, sleep};
use world::child::{Child, binary, free_port};
use world::http::Connection;
use world::peers;
use world::sink::Sink;

use crate::table::{grouped, markdown};
use crate::{machine, print, say};

/// What is measured, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scrapes of each scraper.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    scrapes: u32,
    /// Processes beside those that are there.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    processes: u32,
    /// Seconds for which the agent with all scrapers runs at its default interval.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Only these scrapers, the many processes (`process`) or the agent as a whole (`agent`); may be given again.
    #[arg(long, value_parser = PossibleValuesParser::new(parts()))]
    only: Vec<String>,
}

/// Parts of the bench that compare with nobody.
const PROCESS: &str = "process";
const AGENT: &str = "agent";

/// What can be measured alone.
fn parts() -> impl Iterator<Item = &'static str> {
    MATCHING.into_iter().map(|(scrapers, _)| scrapers).chain([PROCESS, AGENT])
}

/// Scrapers and node_exporter's collectors for the same things.
const MATCHING: [(&str, &[&str]); 9] = [
    ("cpu", &["cpu"]),
    ("disk", &["diskstats"]),
    ("filesystem", &["filesystem"]),
    ("load", &["loadavg"]),
    ("memory", &["meminfo"]),
    ("network", &["netdev", "tcpstat"]),
    ("paging", &["vmstat"]),
    ("processes", &["processes"]),
    (
        QUICK_SCRAPERS,
        &["cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev", "tcpstat", "vmstat"],
    ),
];

/// Those that look at no process.
pub(crate) const QUICK_SCRAPERS: &str = "cpu, disk, filesystem, load, memory, network, paging";

/// Ours may cost at most this part of theirs.
const SHARE: f64 = 1.0 / 3.0;
/// Most processor time a process.
const PER_PROCESS: Duration = Duration::from_micros(25);
/// Most memory of the agent with everything.
const MEMORY: u64 = 15 << 20;
/// Most of a core that it takes.
const CORE: f64 = 0.005;

/// All scrapers of the agent, as they are by default.
pub(crate) const ALL_SCRAPERS: &str = "cpu: , disk: , filesystem: , load: , memory: , network: , nfs: , paging: , process: , processes: , system: ";

/// Time between scrapes, and between requests for pages.
const EVERY: Duration = Duration::from_millis(50);
/// Requests to each program in a slice.
const SLICE: u32 = 20;
/// Until Go's runtime and ours have what they need.
const WARM_UP: Duration = Duration::from_secs(2);

const HEAD: [&str; 10] = [
    "scraper",
    "into",
    "points",
    "allocations",
    "alone, us",
    "muster, us",
    "requests sent",
    "node_exporter, us",
    "ratio",
    "at most 1/3",
];

pub(crate) async fn run(args: &Args) -> Result<()> {
    print(&format!("### The host agent\n\n{}\n", machine::describe()))?;
    let mut rows = Vec::new();
    let is_wanted = |scrapers: &str| args.only.is_empty() || args.only.iter().any(|only| only == scrapers);
    for (scrapers, collectors) in MATCHING.into_iter().filter(|(scrapers, _)| is_wanted(scrapers)) {
        let own = alone(scrapers, args.scrapes, now())?;
        for way in [Way::Page, Way::RemoteWrite] {
            say(&format!("{scrapers}: {} scrapes into {}", args.scrapes, way.name()));
            let beside = beside(way, scrapers, collectors, own.n_points, args.scrapes).await?;
            rows.push(row(way, scrapers, &own, &beside));
        }
    }
    if !rows.is_empty() {
        print(&markdown(&HEAD, &rows))?;
    }
    if is_wanted(PROCESS) {
        say(&format!("{} processes are started", args.processes));
        print(&processes(args.processes)?)?;
    }
    if is_wanted(AGENT) {
        say(&format!("the agent runs for {} s", args.seconds));
        print(&agent(Duration::from_secs(args.seconds)).await?)?;
    }
    Ok(())
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

fn micros(nanos: f64) -> String {
    format!("{:.0}", nanos / 1000.0)
}

/// Processor time of all threads of a process, in nanoseconds.
fn cpu_nanos(pid: u32) -> Result<u64> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing threads")? {
        // A thread that has ended meanwhile has nothing to tell.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(nanos)
}

/// Processor time of this thread, in nanoseconds.
fn own_nanos() -> Result<u64> {
    // The scheduler counts when it is asked for something, or at its next tick.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("reading schedstat")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat begins with a number")
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// What a scrape costs when nothing is done with what it tells.
struct Alone {
    n_points: usize,
    n_resources: usize,
    n_allocations: u64,
    nanos: f64,
}

fn alone(scrapers: &str, n_scrapes: u32, at: Timestamp) -> Result<Alone> {
    let all = Scrapers::all();
    let mut wanted = Scrapers::default();
    for name in scrapers.split(", ") {
        match name {
            "cpu" => wanted.cpu.clone_from(&all.cpu),
            "disk" => wanted.disk.clone_from(&all.disk),
            "filesystem" => wanted.filesystem.clone_from(&all.filesystem),
            "load" => wanted.load.clone_from(&all.load),
            "memory" => wanted.memory.clone_from(&all.memory),
            "network" => wanted.network.clone_from(&all.network),
            "paging" => wanted.paging.clone_from(&all.paging),
            "processes" => wanted.processes.clone_from(&all.processes),
            "process" => wanted.process.clone_from(&all.process),
            other => anyhow::bail!("no scraper {other}"),
        }
    }
    let mut host = Host::build(&wanted, Root::new("", |_| None), Options::default())
        .map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    for _ in 0..3 {
        host.scrape(at);
    }
    let mut scraped = None;
    let info = allocation_counter::measure(|| scraped = Some(host.scrape(at)));
    let frames = scraped.context("there was a scrape")?.frames;
    let before = own_nanos()?;
    for _ in 0..n_scrapes {
        host.scrape(at);
    }
    let nanos = (own_nanos()? - before) as f64 / f64::from(n_scrapes);
    let (n_points, n_resources) = (frames.n_items, frames.resources.len());
    Ok(Alone { n_points, n_resources, n_allocations: info.count_total, nanos })
}

/// A collector with these receiver keys and exporters, in a folder of its own.
pub(crate) async fn muster(receiver: &str, exporter: &str, own_metrics: u16) -> Result<(Child, TempDir)> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let name = exporter.split(':').next().unwrap_or_default().trim();
    let config = format!(
        "receivers: {{hostmetrics: {{{receiver}}}}}\nexporters: {{{exporter}}}\nservice:\n  \
         telemetry: {{metrics: {{address: '127.0.0.1:{own_metrics}'}}}}\n  pipelines: {{metrics: {{receivers: \
         [hostmetrics], exporters: [{name}]}}}}\n"
    );
    let path = folder.path().join("config.yaml");
    fs::write(&path, config).context("writing the configuration")?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(&path).current_dir(folder.path());
    let mut child = Child::spawn("muster", &mut command, folder.path())?;
    child.ready(&format!("http://127.0.0.1:{own_metrics}/metrics"), Duration::from_secs(30)).await?;
    Ok((child, folder))
}

/// Points that a collector has scraped so far.
async fn scraped_points(own_metrics: u16) -> Result<u64> {
    let page = world::http::get(&format!("http://127.0.0.1:{own_metrics}/metrics")).await?.text();
    let line = page.lines().find(|line| line.starts_with("otelcol_scraper_scraped_metric_points"));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(value.context("the collector counts its points")? as u64)
}

/// How long a program may take until its page shows something.
const FIRST_PAGE: Duration = Duration::from_secs(30);

/// Asks for a page again and again, as often as it changes, from the time on when it shows something.
pub(crate) async fn ask_for(page: &mut Connection, time: Duration) -> Result<()> {
    let mut ticks = interval(EVERY);
    let began = Instant::now();
    while let Err(empty) = ask(page).await {
        ensure!(began.elapsed() < FIRST_PAGE, "{empty} after {FIRST_PAGE:?}");
        ticks.tick().await;
    }
    for _ in 0..time.as_millis() / EVERY.as_millis() {
        ticks.tick().await;
        ask(page).await?;
    }
    Ok(())
}

async fn ask(page: &mut Connection) -> Result<()> {
    let answer = page.get().await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    ensure!(!answer.body.is_empty(), "the page is empty");
    Ok(())
}

/// A program that is measured.
struct Measured {
    pid: u32,
    /// What it is asked for; nothing where it sends by itself.
    page: Option<Connection>,
}

/// Asks two programs in turn, each as often as its page changes. Gives the processor time of each in each slice, in nanoseconds.
async fn ask_both(programs: &mut [Measured; 2], n_slices: u32) -> Result<[Vec<u64>; 2]> {
    let mut ticks = interval(EVERY / 2);
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..n_slices {
        let before = [cpu_nanos(programs[0].pid)?, cpu_nanos(programs[1].pid)?];
        for _ in 0..SLICE {
            for program in &mut *programs {
                ticks.tick().await;
                if let Some(page) = &mut program.page {
                    ask(page).await?;
                }
            }
        }
        let after = [cpu_nanos(programs[0].pid)?, cpu_nanos(programs[1].pid)?];
        for ((spent, before), after) in spent.iter_mut().zip(before).zip(after) {
            spent.push(after.saturating_sub(before));
        }
    }
    Ok(spent)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Keys of a receiver that runs these scrapers as often as pages are asked for.
pub(crate) fn often(scrapers: &str) -> String {
    let keys: Vec<String> = scrapers.split(", ").map(|name| format!("{name}: ")).collect();
    let every = EVERY.as_millis();
    format!("collection_interval: {every}ms, initial_delay: 0s, scrapers: {{{}}}", keys.join(", "))
}

/// Where what `muster` reads goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A page that is asked for as often as it changes.
    Page,
    /// A receiver of remote write, with the exporter's defaults.
    RemoteWrite,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "a page",
            Self::RemoteWrite => "remote write",
        }
    }
}

/// What a scrape of each program cost, in nanoseconds, and what came of it.
struct Beside {
    ours: f64,
    theirs: f64,
    ratio: f64,
    /// Requests of remote write a scrape.
    n_sent: f64,
}

/// One scraper on its way out, beside node_exporter.
async fn beside(
    way: Way,
    scrapers: &str,
    collectors: &[&str],
    n_points: usize,
    n_scrapes: u32,
) -> Result<Beside> {
    let (own_metrics, port, sink) = (free_port()?, free_port()?, Sink::start().await?);
    let exporter = match way {
        Way::Page => format!("prometheus: {{endpoint: '127.0.0.1:{port}'}}"),
        Way::RemoteWrite => format!("prometheusremotewrite: {{endpoint: '{}'}}", sink.url()),
    };
    let (child, _folder) = muster(&often(scrapers), &exporter, own_metrics).await?;
    let page = match way {
        Way::Page => Some(Connection::open(&format!("http://127.0.0.1:{port}/metrics")).await?),
        Way::RemoteWrite => None,
    };
    let flags: Vec<String> = ["--collector.disable-defaults", "--web.disable-exporter-metrics"]
        .into_iter()
        .map(str::to_owned)
        .chain(collectors.iter().map(|name| format!("--collector.{name}")))
        .collect();
    let node = peers::node_exporter_with(&flags).await?;
    let node_page = Connection::open(&format!("{}/metrics", node.url)).await?;
    let mut programs =
        [Measured { pid: child.id(), page }, Measured { pid: node.child.id(), page: Some(node_page) }];
    sleep(WARM_UP).await;
    ask_both(&mut programs, 1).await?;

    let n_slices = n_scrapes.div_ceil(SLICE);
    let n_requests = || sink.ledger().totals().requests;
    let before = (scraped_points(own_metrics).await?, n_requests());
    let [ours, theirs] = ask_both(&mut programs, n_slices).await?;
    let n_sent = n_requests() - before.1;
    let n_done = (scraped_points(own_metrics).await? - before.0) as f64 / n_points as f64;
    let n_asked = f64::from(n_slices * SLICE);
    ensure!(n_done >= n_asked / 2.0, "only {n_done:.0} of {n_asked} scrapes were done");
    ensure!(way == Way::Page || n_sent > 0, "nothing was written");
    // What a scrape cost in each slice: of ours by how many there were in a slice on average.
    let of_slices = |spent: &[u64], n_done: f64| -> Vec<f64> {
        spent.iter().map(|nanos| *nanos as f64 * f64::from(n_slices) / n_done).collect()
    };
    let (ours, theirs) = (of_slices(&ours, n_done), of_slices(&theirs, n_asked));
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect());
    Ok(Beside { ours: median(ours), theirs: median(theirs), ratio, n_sent: n_sent as f64 / n_done })
}

fn row(way: Way, scrapers: &str, own: &Alone, beside: &Beside) -> Vec<String> {
    let sent = match way {
        Way::Page => String::new(),
        Way::RemoteWrite => format!("{:.2}", beside.n_sent),
    };
    vec![
        scrapers.to_owned(),
        way.name().to_owned(),
        own.n_points.to_string(),
        own.n_allocations.to_string(),
        micros(own.nanos),
        micros(beside.ours),
        sent,
        micros(beside.theirs),
        format!("{:.2}", beside.ratio),
        verdict(beside.ratio <= SHARE).to_owned(),
    ]
}

/// Processes that sleep, and end with this.
struct Sleepers(Vec<Process>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        for process in &mut self.0 {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

fn processes(n_processes: u32) -> Result<String> {
    const SCRAPES: u32 = 10;
    let mut sleepers = Sleepers(Vec::new());
    for _ in 0..n_processes {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sleepers.0.push(command.spawn().context("starting sleep")?);
    }
    // As if they had been running for a while: young processes are looked at closely in every scrape.
    let later = Timestamp(now().0 + 120_000);
    let own = alone("process", SCRAPES, later)?;
    let n = own.n_resources as f64;
    let nanos = own.nanos / n;
    let is_met = nanos <= PER_PROCESS.as_nanos() as f64;
    let is_free = (own.n_allocations as f64) < n / 10.0;
    Ok(format!(
        "\n- {} processes: {:.1} us of processor time a process, at most {} demanded: {}\n\
         - allocations of a scrape of all of them: {}, none a process demanded: {}\n",
        grouped(own.n_resources as u64),
        nanos / 1000.0,
        PER_PROCESS.as_micros(),
        verdict(is_met),
        own.n_allocations,
        verdict(is_free),
    ))
}

/// The agent with all scrapers and defaults, writing to a sink.
async fn agent(time: Duration) -> Result<String> {
    let sink = Sink::start().await?;
    let exporter = format!("prometheusremotewrite: {{endpoint: '{}'}}", sink.url());
    let (child, _folder) = muster(&format!("scrapers: {{{ALL_SCRAPERS}}}"), &exporter, free_port()?).await?;
    let began = Instant::now();
    let before = cpu_nanos(child.id())?;
    sleep(time).await;
    let usage = child.usage().context("the agent has ended")?;
    let share = (cpu_nanos(child.id())? - before) as f64 / began.elapsed().as_nanos() as f64;
    let n_series = sink.ledger().series();
    ensure!(n_series > 0, "nothing was written");
    Ok(format!(
        "- the agent with all scrapers every 60s, {} series, measured for {time:?}: {:.2} % of a core, at most {} % demanded: {}\n\
         - its resident memory at most: {:.1} MiB, {} MiB demanded: {}\n",
        grouped(n_series as u64),
        share * 100.0,
        CORE * 100.0,
        verdict(share <= CORE),
        usage.peak_rss_bytes as f64 / f64::from(1 << 20),
        MEMORY >> 20,
        verdict(usage.peak_rss_bytes <= MEMORY),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_threads_goes_up() {
        let before = own_nanos().unwrap();
        let mut sum = 0_u64;
        while own_nanos().unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_nanos(std::process::id()).unwrap() > 0);
        assert!(cpu_nanos(u32::MAX).is_err());
    }

    #[test]
    fn a_median_is_the_middle_or_halfway_between_two() {
        assert!((median(vec![3.0, 1.0, 90.0]) - 3.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 90.0, 2.0]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn only_remote_write_tells_of_requests_and_a_third_is_the_limit() {
        let own = Alone { n_points: 3, n_resources: 1, n_allocations: 6, nanos: 1400.0 };
        let beside = |ratio: f64| Beside { ours: 9e4, theirs: 3e5, ratio, n_sent: 0.987 };
        let page = row(Way::Page, "load", &own, &beside(0.3));
        assert_eq!(page, ["load", "a page", "3", "6", "1", "90", "", "300", "0.30", "met"]);
        let written = row(Way::RemoteWrite, "load", &own, &beside(0.34));
        assert_eq!(written[5..], ["90", "0.99", "300", "0.34", "NOT MET"]);
    }

    #[test]
    fn every_scraper_of_the_table_is_known_and_tells_something() {
        for (scrapers, collectors) in MATCHING {
            let own = alone(scrapers, 1, now()).unwrap();
            assert!(own.n_points > 0 && !collectors.is_empty(), "{scrapers}");
        }
    }
}
