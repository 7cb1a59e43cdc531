//! Comparative benchmarks: our programs beside their peers, in one run, on the same input.
//!
//! Times are reports, never tests: tables of CPU seconds, memory and jitter, with ratios, what was promised beside them, and
//! what machine it was. Tables go to stdout as Markdown, progress to stderr.

mod allocator;
mod fleet;
mod jitter;
mod kubelet;
mod machine;
mod measure;
mod node;
mod outage;
mod process;
mod programs;
mod remote_write;
mod scrape;
mod soak;
mod table;
mod train;
mod verdict;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use measure::Setting;
use outage::Script;

/// Measures our programs beside their peers.
#[derive(Debug, Parser)]
#[command(name = "muster-bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU and memory: scrape and remote-write the same fleet with muster, vmagent and the Prometheus agent.
    Scrape(ScrapeArgs),
    /// The host agent: each scraper beside node_exporter's matching collectors, 5,000 processes, and the agent as a whole.
    Node(node::Args),
    /// The allocator against a real API server: time to the first assignment, CPU, memory, moves.
    Allocator(allocator::Args),
    /// Punctuality: many small targets, how evenly each is scraped, and what is kept open for it.
    Jitter(JitterArgs),
    /// A kubelet over TLS: what reading a node costs, alone.
    Kubelet(KubeletArgs),
    /// Remote write: bytes and CPU a sample by protocol, then an outage with each program.
    RemoteWrite(RemoteWriteArgs),
    /// Long runs that have to end without a fault.
    Soak(SoakArgs),
    /// A part of a fleet; `scrape` starts it where one process may not have all connections.
    #[command(hide = true)]
    Fleet(fleet::Args),
    /// Work for a program that counts what it does: `cargo xtask release` builds by that.
    Train,
}

#[derive(Debug, Args)]
struct KubeletArgs {
    /// Pods of the node.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pods: u16,
    /// Scrapes measured for each row.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    scrapes: u16,
}

#[derive(Debug, Args)]
struct RemoteWriteArgs {
    /// Seconds measured for each protocol.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[command(flatten)]
    script: OutageArgs,
}

#[derive(Debug, Args)]
struct SoakArgs {
    #[command(subcommand)]
    soak: Soak,
}

#[derive(Debug, Subcommand)]
enum Soak {
    /// A real Prometheus is away; afterwards nothing may be missing or there twice, by PromQL and by the ledger.
    Outage(OutageArgs),
}

#[derive(Debug, Args)]
struct OutageArgs {
    /// Number of targets.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Series a target.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(5..))]
    series: u32,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Seconds before the outage.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    before: u64,
    /// Seconds without receiver.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    outage: u64,
    /// Seconds after everything has arrived.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    after: u64,
}

impl OutageArgs {
    fn script(&self) -> Script {
        Script {
            n_targets: self.targets as usize,
            n_series: self.series,
            interval: Duration::from_secs(self.interval),
            before: Duration::from_secs(self.before),
            outage: Duration::from_secs(self.outage),
            after: Duration::from_secs(self.after),
        }
    }
}

#[derive(Debug, Args)]
struct ScrapeArgs {
    /// Number of targets.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Series a target.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(5..))]
    series: u32,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Seconds measured for each program, after every target was delivered once and one more interval.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Programs to measure, in this order.
    #[arg(long, value_delimiter = ',', default_value = "muster,vmagent,prometheus", value_parser = programs::PROGRAMS)]
    programs: Vec<String>,
    /// The fleet has no gzip.
    #[arg(long)]
    plain: bool,
    /// All settings that were promised, one after the other: 200k and 1M series, gzip and plain, 2000 and 20 series a target,
    /// and muster alone with 100k series. Takes about three quarters of an hour with 60 seconds each.
    #[arg(long, conflicts_with_all = ["targets", "series", "plain"])]
    matrix: bool,
}

#[derive(Debug, Args)]
struct JitterArgs {
    /// Number of targets.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Series a target.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..))]
    series: u32,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Seconds measured, after every target was delivered once.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Programs to measure, in this order.
    #[arg(long, value_delimiter = ',', default_value = "muster", value_parser = programs::PROGRAMS)]
    programs: Vec<String>,
}

impl ScrapeArgs {
    fn settings(self) -> Vec<Setting> {
        let (interval, measured) = (Duration::from_secs(self.interval), Duration::from_secs(self.seconds));
        if self.matrix {
            return scrape::matrix(interval, measured, &self.programs);
        }
        vec![Setting {
            n_targets: self.targets as usize,
            n_series: self.series,
            gzip: !self.plain,
            interval,
            measured,
            programs: self.programs,
        }]
    }
}

impl JitterArgs {
    fn setting(self) -> Setting {
        Setting {
            n_targets: self.targets as usize,
            n_series: self.series,
            gzip: true,
            interval: Duration::from_secs(self.interval),
            measured: Duration::from_secs(self.seconds),
            programs: self.programs,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Fleet and sink live in this process, beside the program that is measured.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            // Programs are process groups of their own: no signal reaches them, they end when they are dropped.
            tokio::select! {
                done = run(cli.bench) => done,
                signal = told_to_end() => signal.and_then(|()| bail!("told to end; the tables so far are complete")),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(bench: Bench) -> Result<()> {
    match bench {
        Bench::Scrape(args) => scrape::run(args.settings()).await,
        Bench::Kubelet(args) => kubelet::run(args.pods.into(), args.scrapes.into()).await,
        Bench::Node(args) => node::run(&args).await,
        Bench::Allocator(args) => allocator::run(args).await,
        Bench::Jitter(args) => jitter::run(&args.setting()).await,
        Bench::RemoteWrite(args) => {
            let script = args.script.script();
            remote_write::run(&script.setting(Duration::from_secs(args.seconds)), &script).await
        }
        Bench::Fleet(args) => fleet::serve(&args).await,
        Bench::Train => train::run().await,
        Bench::Soak(SoakArgs { soak: Soak::Outage(args) }) => soak::outage(&args.script()).await,
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        _ = terminate.recv() => Ok(()),
    }
}

/// A part of the result.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}").and_then(|()| out.flush())?)
}

/// Tells the reader of the terminal something. Nothing can be done about a terminal that is gone.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["muster-bench"], words].concat())
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for words in [
            &["scrape", "--programs", "nginx"][..],
            &["scrape", "--interval", "0"],
            &["scrape", "--targets", "0"],
            &["scrape", "--series", "4"],
            &["scrape", "--matrix", "--plain"],
            &["jitter", "--seconds", "0"],
            &["node", "--scrapes", "0"],
            &["node", "--only", "disks"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_matrix_keeps_interval_time_and_programs() {
        let words = ["scrape", "--matrix", "--interval", "15", "--seconds", "30", "--programs", "muster"];
        let Bench::Scrape(args) = parse(&words).unwrap().bench else { panic!("that is scrape") };
        for setting in args.settings() {
            let times = (setting.interval.as_secs(), setting.measured.as_secs());
            assert_eq!((times, &setting.programs[..]), ((15, 30), &["muster".to_owned()][..]));
        }
    }
}
