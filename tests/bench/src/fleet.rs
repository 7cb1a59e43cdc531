//! The fleet that is scraped, cut to what the system allows.

use anyhow::{Context, Result};
use world::child::allow_open_files;
use world::fleet::{Fleet, Options, even};

/// Ports that a fleet takes at most: the range that Linux gives out has some 28,000, and connections need theirs.
const MAX_PORTS: usize = 10_000;
/// Open files of a program that are not connections to targets.
const SPARE: u64 = 1000;

/// A fleet and what had to be done to fit it in.
pub(crate) struct Stand {
    pub(crate) fleet: Fleet,
    /// Deviations from one port and one lasting connection a target, for the head of a table.
    pub(crate) remarks: Vec<String>,
}

/// Starts a fleet of equal targets.
///
/// A program that keeps a connection to each target needs a file for each, and the fleet has both ends' worth: its own
/// ports, and the connections that it has accepted. Where the system does not allow so many, ports are shared, and
/// connections end with their answers.
pub(crate) async fn start(n_targets: usize, n_series: u32, gzip: bool) -> Result<Stand> {
    let allowed = allow_open_files()?;
    let options = options(n_targets, gzip, allowed);
    let fleet = Fleet::with(even(n_targets, n_series), options).await.context("starting the fleet")?;
    let mut remarks = Vec::new();
    if fleet.n_listeners() < n_targets {
        remarks.push(format!("{} ports (open files allowed: {allowed})", fleet.n_listeners()));
    }
    if !options.keep_alive {
        remarks.push("a connection each scrape, for all programs".to_owned());
    }
    Ok(Stand { fleet, remarks })
}

fn options(n_targets: usize, gzip: bool, allowed: u64) -> Options {
    let usable = usize::try_from(allowed.saturating_sub(SPARE)).unwrap_or(usize::MAX);
    let keep_alive = n_targets <= usable / 4 * 3;
    let (ports, max_connections) = match keep_alive {
        true => (usable.saturating_sub(n_targets), usize::MAX),
        // Each port may hold one connection more, which waits.
        false => (usable / 8, usable / 2),
    };
    Options { gzip, keep_alive, max_listeners: ports.clamp(1, MAX_PORTS), max_connections }
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
    fn a_small_fleet_is_not_cut() {
        let options = options(100, false, 1 << 20);
        assert!(options.keep_alive && !options.gzip && options.max_listeners >= 100);
    }
}
