//! `processes`: how many processes are in which state, and how many were ever started.
//!
//! As upstream's `processesscraper`, with its oddity: `running` and `blocked` are the kernel's counts of threads, not of processes, and
//! what the states then lack of all processes is `unknown`. States that no process is in are not told. Where the scraper
//! `process` has just looked at every process, what it found is used.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::is_gone;
use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::pids::Folders;
use crate::points::Points;
use crate::process::stat::Stat;
use crate::settings::MetricsConfig;
use crate::table::how::{INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};

/// States, and the letters of the kernel that mean them.
const STATES: [(&str, &[u8]); 13] = [
    ("blocked", b"DU"),
    ("daemon", b"A"),
    ("detached", b"E"),
    ("idle", b"I"),
    ("locked", b"L"),
    ("orphan", b"O"),
    ("paging", b"W"),
    ("running", b"R"),
    ("sleeping", b"S"),
    ("stopped", b"Tt"),
    ("system", b"Y"),
    ("unknown", b""),
    ("zombies", b"Z"),
];
const BLOCKED: usize = 0;
const RUNNING: usize = 7;
const UNKNOWN: usize = 11;

const STATUS: Attribute = Attribute::of(
    "status",
    &[
        "blocked", "daemon", "detached", "idle", "locked", "orphan", "paging", "running", "sleeping",
        "stopped", "system", "unknown", "zombies",
    ],
);

const METRICS: &[Metric] = &[
    Metric::on("system.processes.count", "{processes}", INT_SUM, &[STATUS], "Processes by state."),
    Metric::on("system.processes.created", "{processes}", INT_COUNTER, &[], "Processes ever started."),
];

const COUNT: usize = row(METRICS, "system.processes.count");
const CREATED: usize = row(METRICS, "system.processes.created");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Processes>,
}

/// The scraper.
#[derive(Debug)]
pub struct Processes {
    points: Points,
    folders: Folders,
    pids: Vec<u32>,
    path: String,
}

/// Processes by state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    counts: [u64; STATES.len()],
    n_processes: u64,
}

impl Tally {
    /// Counts a process by the kernel's letter for its state.
    pub(crate) fn add(&mut self, letter: u8) {
        let state = STATES.iter().position(|(_, letters)| letters.contains(&letter)).unwrap_or(UNKNOWN);
        self.counts[state] += 1;
    }

    /// Says how many processes there are, those included that nothing is known of.
    pub(crate) fn of(mut self, n_processes: usize) -> Self {
        self.n_processes = n_processes as u64;
        self
    }
}

impl Table for Processes {
    const SCRAPER: &'static str = "processes";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[Decision {
        about: "system.processes.count, running and blocked",
        upstream: "threads, not processes",
        verdict: Verdict::Kept,
        test: "running_and_blocked_are_the_threads_that_the_kernel_counts",
    }];
}

impl Scraper for Processes {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Processes {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        Self {
            points: Points::build(&config.metrics, version, problems),
            folders: Folders::default(),
            pids: Vec::new(),
            path: String::new(),
        }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let path = turn.root.proc("stat");
        let keys: [&str; 3] = ["processes ", "procs_running ", "procs_blocked "];
        let found = turn.files.read_again(&path, Pieces::One).map(|text| {
            let mut found = [None; 3];
            for line in text::lines(text) {
                for (key, place) in keys.iter().zip(&mut found) {
                    *place = text::after(line, key).and_then(text::number).or(*place);
                }
            }
            found
        });
        let [created, running, blocked] = match found {
            Ok(found) => found,
            Err(error) => return turn.failures.add(("processes", "counts"), &path, &error, ""),
        };
        match created {
            Some(created) => self.points.int(CREATED, created, &[]),
            None => {
                let error = malformed("there is no line `processes NUMBER`");
                turn.failures.add(("processes", "counts"), &path, &error, "");
            }
        }
        if self.points.is_on(COUNT) {
            self.states(turn, running.unwrap_or(0), blocked.unwrap_or(0));
        }
    }

    fn states(&mut self, turn: &mut Turn<'_>, running: u64, blocked: u64) {
        let Some(Tally { mut counts, n_processes }) = turn.tally.or_else(|| self.look(turn)) else { return };
        (counts[RUNNING], counts[BLOCKED]) = (running, blocked);
        let n_counted = counts.into_iter().fold(0, u64::saturating_add);
        if n_processes > n_counted {
            counts[UNKNOWN] = n_processes - n_counted;
        }
        for (place, (state, _)) in STATES.into_iter().enumerate() {
            if counts[place] > 0 || [RUNNING, BLOCKED].contains(&place) {
                self.points.int(COUNT, counts[place], &[state]);
            }
        }
    }

    /// Looks at every process itself.
    fn look(&mut self, turn: &mut Turn<'_>) -> Option<Tally> {
        let folder = turn.root.proc_folder();
        let listed = turn.files.enter(folder).and_then(|()| self.folders.processes(folder, &mut self.pids));
        if let Err(error) = listed {
            turn.failures.add(("processes", "list of processes"), folder, &error, "");
            return None;
        }
        let mut tally = Tally::default();
        let mut n_there = self.pids.len();
        for pid in &self.pids {
            turn.root.process(&mut self.path, *pid, "stat");
            match turn.files.read_of_process(&self.path) {
                Ok(text) => {
                    if let Some(stat) = Stat::parse(text) {
                        tally.add(stat.state);
                    }
                }
                Err(error) if is_gone(&error) => n_there -= 1,
                Err(error) => {
                    turn.failures.add_one_of_many(
                        ("processes", "state of a process"),
                        &self.path,
                        &error,
                        "",
                    );
                }
            }
        }
        Some(tally.of(n_there))
    }
}
