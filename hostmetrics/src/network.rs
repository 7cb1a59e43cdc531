//! `network`: interfaces, TCP connections by state, connection tracking.
//!
//! As upstream's `networkscraper`, with the network namespace of the host also where the host is seen through a mount, and with
//! connections counted by asking the kernel for its sockets, or from its tables; upstream looks at every open file of every
//! process for that.

mod states;

use std::io;

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::filter::{Filter, Interfaces};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};
use states::{Counts, STATES};

const DEVICE: Attribute = Attribute::open("device");
const DIRECTION: Attribute = Attribute::of("direction", &["receive", "transmit"]);
const PROTOCOL: Attribute = Attribute::of("protocol", &["tcp"]);
const STATE: Attribute = Attribute::of("state", &STATES);

const METRICS: &[Metric] = &[
    Metric::on(
        "system.network.connections",
        "{connections}",
        INT_SUM,
        &[PROTOCOL, STATE],
        "TCP sockets by state.",
    ),
    Metric::off("system.network.conntrack.count", "{entries}", INT_SUM, &[], "Connections that are tracked."),
    Metric::off(
        "system.network.conntrack.max",
        "{entries}",
        INT_SUM,
        &[],
        "Connections that can be tracked.",
    ),
    Metric::on(
        "system.network.dropped",
        "{packets}",
        INT_COUNTER,
        &[DEVICE, DIRECTION],
        "Packets that were dropped.",
    ),
    Metric::on(
        "system.network.errors",
        "{errors}",
        INT_COUNTER,
        &[DEVICE, DIRECTION],
        "Packets that were broken.",
    ),
    Metric::on("system.network.io", "By", INT_COUNTER, &[DEVICE, DIRECTION], "Bytes received and sent."),
    Metric::on(
        "system.network.packets",
        "{packets}",
        INT_COUNTER,
        &[DEVICE, DIRECTION],
        "Packets received and sent.",
    ),
];

const CONNECTIONS: usize = row(METRICS, "system.network.connections");
const CONNTRACK_COUNT: usize = row(METRICS, "system.network.conntrack.count");
const CONNTRACK_MAX: usize = row(METRICS, "system.network.conntrack.max");
const DROPPED: usize = row(METRICS, "system.network.dropped");
const ERRORS: usize = row(METRICS, "system.network.errors");
const IO: usize = row(METRICS, "system.network.io");
const PACKETS: usize = row(METRICS, "system.network.packets");

/// Columns of one direction in `/proc/net/dev`.
const N_COLUMNS: usize = 8;

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Network>,
    /// Interfaces that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Interfaces>,
    /// Interfaces that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Interfaces>,
}

/// The scraper.
#[derive(Debug)]
pub struct Network {
    points: Points,
    filter: Filter,
    /// Whether the host's network is the one that this process is in; found out at the first scrape.
    is_own_network: Option<bool>,
}

impl Table for Network {
    const SCRAPER: &'static str = "network";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[
        Decision {
            about: "interfaces and connections, root_path",
            upstream: "without the host's network it reads those of its own container",
            verdict: Verdict::Mended,
            test: "the_network_is_that_of_the_host",
        },
        Decision {
            about: "system.network.conntrack, root_path",
            upstream: "without the host's network it tells the numbers of its own container",
            verdict: Verdict::Mended,
            test: "numbers_of_another_network_are_not_taken_for_the_hosts",
        },
        Decision {
            about: "system.network.connections",
            upstream: "looks at every open file of every process",
            verdict: Verdict::Mended,
            test: "connections_are_counted_from_the_tables_of_the_kernel",
        },
    ];
}

impl Scraper for Network {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Network {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        let sides = (("include", config.include.as_ref()), ("exclude", config.exclude.as_ref()));
        Self { points, filter: Filter::build(sides.0, sides.1, problems), is_own_network: None }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        if self.points.is_any_on(&[DROPPED, ERRORS, IO, PACKETS]) {
            self.interfaces(turn);
        }
        if self.points.is_on(CONNECTIONS) {
            self.connections(turn);
        }
        self.conntrack(turn);
    }

    fn interfaces(&mut self, turn: &mut Turn<'_>) {
        let path = turn.root.net("dev");
        let text = match turn.files.read_again(&path, Pieces::Many) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("network", "interfaces"), &path, &error, ""),
        };
        let mut is_broken = false;
        // Two lines of headings come first.
        for line in text::lines(text).skip(2) {
            match interface(line) {
                Some((name, columns)) if self.filter.takes(&name) => self.put(&name, columns),
                Some(_) => {}
                None => is_broken = true,
            }
        }
        if is_broken {
            let error = malformed("a line is not an interface with its counters");
            turn.failures.add(("network", "interfaces"), &path, &error, "");
        }
    }

    fn put(&mut self, device: &str, columns: [u64; 2 * N_COLUMNS]) {
        let (received, sent) = columns.split_at(N_COLUMNS);
        for (direction, columns) in [("receive", received), ("transmit", sent)] {
            for (metric, value) in [IO, PACKETS, ERRORS, DROPPED].into_iter().zip(columns) {
                self.points.int(metric, *value, &[device, direction]);
            }
        }
    }

    fn connections(&mut self, turn: &mut Turn<'_>) {
        let is_own = *self.is_own_network.get_or_insert_with(|| turn.root.is_own_network());
        // Whatever refuses, the tables can be read.
        let asked = if is_own { states::ask(turn.files.buffer()).ok() } else { None };
        let Some(Counts(counts)) = asked.or_else(|| read_tables(turn)) else { return };
        for (state, count) in STATES.into_iter().zip(counts) {
            self.points.int(CONNECTIONS, count, &["tcp", state]);
        }
    }

    fn conntrack(&mut self, turn: &mut Turn<'_>) {
        for (metric, name) in [(CONNTRACK_COUNT, "nf_conntrack_count"), (CONNTRACK_MAX, "nf_conntrack_max")] {
            if !self.points.is_on(metric) {
                continue;
            }
            let path = turn.root.proc(&format!("sys/net/netfilter/{name}"));
            if turn.root.is_of_another_network(&path) {
                let error =
                    io::Error::other("the kernel shows each process the numbers of its own network only");
                let remedy =
                    "let the pod have the host's network (hostNetwork: true), or switch the metric off";
                turn.failures.add(("network", "connection tracking"), &path, &error, remedy);
                continue;
            }
            match turn.files.read(&path).map(|text| text::number(text.trim_ascii())) {
                Ok(Some(number)) => self.points.int(metric, number, &[]),
                Ok(None) => {
                    let error = malformed("there is no number");
                    turn.failures.add(("network", "connection tracking"), &path, &error, "");
                }
                Err(error) => {
                    let remedy = "switch the metric off, or load the kernel module nf_conntrack";
                    turn.failures.add(("network", "connection tracking"), &path, &error, remedy);
                }
            }
        }
    }
}

/// An interface and its counters. Names of aliases hold a colon, so the last one ends the name.
fn interface(line: &[u8]) -> Option<(std::borrow::Cow<'_, str>, [u64; 2 * N_COLUMNS])> {
    let colon = memchr::memrchr(b':', line)?;
    let (name, columns) = (line[..colon].trim_ascii(), &line[colon + 1..]);
    let mut numbers = [0; 2 * N_COLUMNS];
    let mut words = text::words(columns);
    for number in &mut numbers {
        *number = text::number(words.next()?)?;
    }
    (!name.is_empty()).then(|| (String::from_utf8_lossy(name), numbers))
}

/// Sockets as the kernel prints them; `None` where there is no table, which is noted.
fn read_tables(turn: &mut Turn<'_>) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut missing = Vec::new();
    for table in ["tcp", "tcp6"] {
        let path = turn.root.net(table);
        match turn.files.lines(&path, |line| counts.add_line(line)) {
            Ok(()) => {}
            // A kernel without IPv6 has one table only.
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push((path, error)),
            Err(error) => turn.failures.add(("network", "connections"), &path, &error, ""),
        }
    }
    if let [(path, error), _] = missing.as_slice() {
        turn.failures.add(("network", "connections"), path, error, "");
        return None;
    }
    Some(counts)
}
