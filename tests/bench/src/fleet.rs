//! The fleet that is scraped, cut to what the system allows; in this process, or in several of their own.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use world::child::{Child, allow_open_files};
use world::fleet::{Fleet, Options, Plan, even};

use crate::print;

/// Ports that a fleet takes at most: the range that Linux gives out has some 28,000, and connections need theirs.
const MAX_PORTS: usize = 10_000;
/// Open files of a program that are not connections to targets.
const SPARE: u64 = 1000;
/// The job of all targets.
const JOB: &str = "even";
/// How long a part may take to start.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A fleet and what had to be done to fit it in.
pub(crate) struct Stand {
    pub(crate) fleet: Fleet,
    /// Deviations from one port and one lasting connection a target, for the head of a table.
    pub(crate) remarks: Vec<String>,
}

impl Stand {
    /// Its targets, as `static_configs` have them.
    pub(crate) fn groups(&self) -> Value {
        self.fleet.groups(JOB)
    }
}

/// A part of a fleet, in a process of its own: its connections count against no other limit.
pub(crate) struct Part {
    /// Dropping it ends the part.
    _child: Child,
    _logs: TempDir,
    pub(crate) groups: Value,
    /// As [`Stand::remarks`].
    pub(crate) remarks: Vec<String>,
}

/// Which targets a part has.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the loopback device that it listens on.
    #[arg(long)]
    host: Ipv4Addr,
    /// Number of the first target.
    #[arg(long)]
    first: usize,
    /// Number of targets.
    #[arg(long)]
    targets: usize,
    /// Series a target.
    #[arg(long)]
    series: u32,
    /// The fleet has no gzip.
    #[arg(long)]
    plain: bool,
}

/// Starts a fleet of equal targets, in several parts where one cannot keep a connection to each target. Scrapers that are given a part
/// each share the targets as in a cluster.
pub(crate) async fn in_parts(n_targets: usize, n_series: u32, gzip: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut host = Ipv4Addr::LOCALHOST;
    for (first, targets) in shares(n_targets, allow_open_files()?) {
        parts.push(part(&Args { host, first, targets, series: n_series, plain: !gzip }).await?);
        // All ports of one address would leave none to connections.
        host = Ipv4Addr::from(u32::from(host) + 1);
    }
    Ok(parts)
}

/// First target and number of targets of each part. Of several parts each has a port for every target.
fn shares(n_targets: usize, allowed: u64) -> Vec<(usize, usize)> {
    let is_one = n_targets <= most_connections(allowed);
    let n_parts = if is_one { 1 } else { n_targets.div_ceil((usable(allowed) / 2).clamp(1, MAX_PORTS)) };
    let start = |part: usize| n_targets * part / n_parts;
    (0..n_parts).map(|part| (start(part), start(part + 1) - start(part))).collect()
}

async fn part(args: &Args) -> Result<Part> {
    let logs = tempfile::tempdir().context("making a folder")?;
    let mut command = Command::new(std::env::current_exe().context("finding the running program")?);
    command.args(["fleet".to_owned(), format!("--host={}", args.host), format!("--first={}", args.first)]);
    command.args([format!("--targets={}", args.targets), format!("--series={}", args.series)]);
    if args.plain {
        command.arg("--plain");
    }
    let mut child = Child::spawn_bound("fleet", &command, logs.path())?;
    let deadline = Instant::now() + START;
    let told = loop {
        let told = child.stdout();
        if told.ends_with('\n') {
            break told;
        }
        ensure!(child.ended().is_none(), "the fleet has ended: {}", child.last_words());
        ensure!(Instant::now() < deadline, "the fleet is not there after {START:?}");
        sleep(POLL).await;
    };
    let told: Value = serde_json::from_str(&told).context("reading what a fleet says")?;
    let remarks = told["remarks"].as_array().into_iter().flatten();
    let remarks = remarks.filter_map(|remark| remark.as_str().map(str::to_owned)).collect();
    Ok(Part { _child: child, _logs: logs, groups: told["groups"].clone(), remarks })
}

/// Is a part: says where its targets are, and stays until it is ended.
pub(crate) async fn serve(args: &Args) -> Result<()> {
    let plans = even(args.first + args.targets, args.series).split_off(args.first);
    let stand = with(args.host, plans, !args.plain).await?;
    print(&json!({"groups": stand.groups(), "remarks": stand.remarks}).to_string())?;
    std::future::pending().await
}

/// Starts a fleet of equal targets in this process.
///
/// A program that keeps a connection to each target needs a file for each, and the fleet has both ends' worth: its own
/// ports, and the connections that it has accepted. Where the system does not allow so many, ports are shared, and
/// connections end with their answers.
pub(crate) async fn start(n_targets: usize, n_series: u32, gzip: bool) -> Result<Stand> {
    with(Ipv4Addr::LOCALHOST, even(n_targets, n_series), gzip).await
}

async fn with(host: Ipv4Addr, plans: Vec<Plan>, gzip: bool) -> Result<Stand> {
    let (allowed, n_targets) = (allow_open_files()?, plans.len());
    let options = Options { host, ..options(n_targets, gzip, allowed) };
    let fleet = Fleet::with(plans, options).await.context("starting the fleet")?;
    let mut remarks = Vec::new();
    if fleet.n_listeners() < n_targets {
        remarks.push(format!("{} ports (open files allowed: {allowed})", fleet.n_listeners()));
    }
    if !options.keep_alive {
        remarks.push("a connection each scrape, for all programs".to_owned());
    }
    Ok(Stand { fleet, remarks })
}

/// How many files are left for ports and connections.
fn usable(allowed: u64) -> usize {
    usize::try_from(allowed.saturating_sub(SPARE)).unwrap_or(usize::MAX)
}

/// To so many targets of a fleet connections can be kept.
fn most_connections(allowed: u64) -> usize {
    usable(allowed) / 4 * 3
}

fn options(n_targets: usize, gzip: bool, allowed: u64) -> Options {
    let usable = usable(allowed);
    let keep_alive = n_targets <= most_connections(allowed);
    let (ports, max_connections) = match keep_alive {
        true => (usable.saturating_sub(n_targets), usize::MAX),
        // Each port may hold one connection more, which waits.
        false => (usable / 8, usable / 2),
    };
    let max_listeners = ports.clamp(1, MAX_PORTS);
    Options { gzip, keep_alive, max_listeners, max_connections, ..Options::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_connections_of_a_fleet_fit_into_the_files_allowed() {
        for allowed in [1500, 4096, 20_000, 1 << 20] {
            for n_targets in [100, 1000, 10_000, 50_000] {
                let options = options(n_targets, true, allowed);
                let ports = options.max_listeners.min(n_targets);
                let connections =
                    if options.keep_alive { n_targets } else { options.max_connections + ports };
                assert!(ports + connections + SPARE as usize <= allowed as usize, "{allowed} {n_targets}");
            }
        }
    }

    #[test]
    fn parts_have_each_target_once_and_keep_all_connections() {
        for (allowed, n_targets, n_parts) in [(20_000, 50_000, 6), (20_000, 14_250, 1), (1 << 20, 50_000, 1)]
        {
            let shares = shares(n_targets, allowed);
            assert_eq!(shares.len(), n_parts);
            let mut next = 0;
            for (first, targets) in shares {
                assert_eq!(first, next);
                let options = options(targets, true, allowed);
                assert!(options.keep_alive && (n_parts == 1 || options.max_listeners >= targets));
                next += targets;
            }
            assert_eq!(next, n_targets);
        }
    }

    #[test]
    fn a_small_fleet_is_not_cut() {
        let options = options(100, false, 1 << 20);
        assert!(options.keep_alive && !options.gzip && options.max_listeners >= 100);
    }
}
