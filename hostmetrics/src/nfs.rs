//! `nfs`: what the NFS client and the NFS server of the kernel have done.
//!
//! As upstream's `nfsscraper`: a host without client or server has no metrics of it, and that is no error. The files belong to a
//! network namespace; that of the host is read.

mod names;

use std::io;

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::malformed;
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};
use names::{V3_PROCEDURES, V4_CLIENT_OPERATIONS, V4_SERVER_OPERATIONS, V4_SERVER_PROCEDURES};

const TRANSPORT: Attribute = Attribute::of("network.transport", &["udp", "tcp"]);
const VERSION: Attribute = Attribute::of("onc_rpc.version", &["3", "4"]).integer();
const OPERATION: Attribute = Attribute::open("nfs.operation.name");
const PROCEDURE: Attribute = Attribute::open("onc_rpc.procedure.name");
const DIRECTION: Attribute = Attribute::of("network.io.direction", &["receive", "transmit"]);
const STATUS: Attribute = Attribute::of("nfs.server.repcache.status", &["hit", "miss", "nocache"]);
const ERROR: Attribute = Attribute::of("error.type", &["format", "auth", "client"]);

const METRICS: &[Metric] = &[
    Metric::on("nfs.client.net.count", "{record}", INT_COUNTER, &[TRANSPORT], "Records by transport."),
    Metric::on(
        "nfs.client.net.tcp.connection.accepted",
        "{connection}",
        INT_COUNTER,
        &[],
        "TCP connections.",
    ),
    Metric::on(
        "nfs.client.operation.count",
        "{operation}",
        INT_COUNTER,
        &[VERSION, OPERATION],
        "NFSv4 operations.",
    ),
    Metric::on(
        "nfs.client.procedure.count",
        "{procedure}",
        INT_COUNTER,
        &[VERSION, PROCEDURE],
        "NFSv3 procedures.",
    ),
    Metric::on("nfs.client.rpc.authrefresh.count", "{authrefresh}", INT_COUNTER, &[], "Credentials renewed."),
    Metric::on("nfs.client.rpc.count", "{request}", INT_COUNTER, &[], "Requests."),
    Metric::on("nfs.client.rpc.retransmit.count", "{retransmit}", INT_COUNTER, &[], "Requests sent again."),
    Metric::on("nfs.server.fh.stale.count", "{fh}", INT_COUNTER, &[], "File handles that were stale."),
    Metric::on("nfs.server.io", "By", INT_COUNTER, &[DIRECTION], "Bytes read and written."),
    Metric::on("nfs.server.net.count", "{request}", INT_COUNTER, &[TRANSPORT], "Requests by transport."),
    Metric::on(
        "nfs.server.net.tcp.connection.accepted",
        "{connection}",
        INT_COUNTER,
        &[],
        "TCP connections.",
    ),
    Metric::on(
        "nfs.server.operation.count",
        "{operation}",
        INT_COUNTER,
        &[VERSION, OPERATION],
        "NFSv4 operations.",
    ),
    Metric::on(
        "nfs.server.procedure.count",
        "{procedure}",
        INT_COUNTER,
        &[VERSION, PROCEDURE],
        "Procedures.",
    ),
    Metric::on(
        "nfs.server.repcache.requests",
        "{request}",
        INT_COUNTER,
        &[STATUS],
        "Requests by reply cache.",
    ),
    Metric::on("nfs.server.rpc.count", "{request}", INT_COUNTER, &[ERROR], "Requests that were refused."),
    Metric::on("nfs.server.thread.count", "{thread}", INT_SUM, &[], "Threads of the server."),
];

const CLIENT_NET: usize = row(METRICS, "nfs.client.net.count");
const CLIENT_CONNECTIONS: usize = row(METRICS, "nfs.client.net.tcp.connection.accepted");
const CLIENT_OPERATIONS: usize = row(METRICS, "nfs.client.operation.count");
const CLIENT_PROCEDURES: usize = row(METRICS, "nfs.client.procedure.count");
const CLIENT_AUTHREFRESH: usize = row(METRICS, "nfs.client.rpc.authrefresh.count");
const CLIENT_RPC: usize = row(METRICS, "nfs.client.rpc.count");
const CLIENT_RETRANSMIT: usize = row(METRICS, "nfs.client.rpc.retransmit.count");
const SERVER_STALE: usize = row(METRICS, "nfs.server.fh.stale.count");
const SERVER_IO: usize = row(METRICS, "nfs.server.io");
const SERVER_NET: usize = row(METRICS, "nfs.server.net.count");
const SERVER_CONNECTIONS: usize = row(METRICS, "nfs.server.net.tcp.connection.accepted");
const SERVER_OPERATIONS: usize = row(METRICS, "nfs.server.operation.count");
const SERVER_PROCEDURES: usize = row(METRICS, "nfs.server.procedure.count");
const SERVER_REPCACHE: usize = row(METRICS, "nfs.server.repcache.requests");
const SERVER_RPC: usize = row(METRICS, "nfs.server.rpc.count");
const SERVER_THREADS: usize = row(METRICS, "nfs.server.thread.count");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Nfs>,
}

/// The scraper.
#[derive(Debug)]
pub struct Nfs {
    points: Points,
}

impl Table for Nfs {
    const SCRAPER: &'static str = "nfs";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[Decision {
        about: "all metrics, root_path",
        upstream: "reads the files of its own container",
        verdict: Verdict::Mended,
        test: "every_reader_honours_the_root_path",
    }];
}

impl Scraper for Nfs {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Nfs {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        Self { points: Points::build(&config.metrics, version, problems) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        for (name, put) in [("rpc/nfs", put_client as Put), ("rpc/nfsd", put_server)] {
            let path = turn.root.net(name);
            let text = match turn.files.read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    turn.failures.add(("nfs", "counters"), &path, &error, "");
                    continue;
                }
            };
            let mut is_broken = false;
            for line in text::lines(text) {
                let mut words = text::words(line);
                let Some(key) = words.next() else { continue };
                // `th` ends with fractions, which no metric tells.
                let numbers: Vec<u64> = words.map_while(text::number).collect();
                is_broken |= put(&mut self.points, key, &numbers).is_none();
            }
            if is_broken {
                let error = malformed("a line has fewer numbers than the kernel writes");
                turn.failures.add(("nfs", "counters"), &path, &error, "");
            }
        }
    }
}

/// Takes one line; `None` where numbers are missing. Lines that no metric tells are passed over.
type Put = fn(&mut Points, &[u8], &[u64]) -> Option<()>;

fn put_client(points: &mut Points, key: &[u8], numbers: &[u64]) -> Option<()> {
    match key {
        b"net" => {
            let [_, udp, tcp, connections] = *numbers.first_chunk()?;
            points.int(CLIENT_NET, udp, &["udp"]);
            points.int(CLIENT_NET, tcp, &["tcp"]);
            points.int(CLIENT_CONNECTIONS, connections, &[]);
        }
        b"rpc" => {
            let [calls, retransmits, refreshes] = *numbers.first_chunk()?;
            points.int(CLIENT_RPC, calls, &[]);
            points.int(CLIENT_RETRANSMIT, retransmits, &[]);
            points.int(CLIENT_AUTHREFRESH, refreshes, &[]);
        }
        b"proc3" => put_named(points, CLIENT_PROCEDURES, "3", &V3_PROCEDURES, numbers)?,
        b"proc4" => put_named(points, CLIENT_OPERATIONS, "4", &V4_CLIENT_OPERATIONS, numbers)?,
        _ => {}
    }
    Some(())
}

fn put_server(points: &mut Points, key: &[u8], numbers: &[u64]) -> Option<()> {
    match key {
        b"rc" => {
            let counts: [u64; 3] = *numbers.first_chunk()?;
            for (status, count) in ["hit", "miss", "nocache"].into_iter().zip(counts) {
                points.int(SERVER_REPCACHE, count, &[status]);
            }
        }
        b"fh" => points.int(SERVER_STALE, *numbers.first()?, &[]),
        b"io" => {
            let [read, written] = *numbers.first_chunk()?;
            points.int(SERVER_IO, read, &["receive"]);
            points.int(SERVER_IO, written, &["transmit"]);
        }
        b"th" => points.int(SERVER_THREADS, *numbers.first()?, &[]),
        b"net" => {
            let [_, udp, tcp, connections] = *numbers.first_chunk()?;
            points.int(SERVER_NET, udp, &["udp"]);
            points.int(SERVER_NET, tcp, &["tcp"]);
            points.int(SERVER_CONNECTIONS, connections, &[]);
        }
        b"rpc" => {
            let [_, _, format, auth, client] = *numbers.first_chunk()?;
            for (error, count) in [("format", format), ("auth", auth), ("client", client)] {
                points.int(SERVER_RPC, count, &[error]);
            }
        }
        b"proc3" => put_named(points, SERVER_PROCEDURES, "3", &V3_PROCEDURES, numbers)?,
        b"proc4" => put_named(points, SERVER_PROCEDURES, "4", &V4_SERVER_PROCEDURES, numbers)?,
        b"proc4ops" => put_named(points, SERVER_OPERATIONS, "4", &V4_SERVER_OPERATIONS, numbers)?,
        _ => {}
    }
    Some(())
}

/// The first number says how many follow. What a newer kernel counts beyond the names that are known is not told.
fn put_named(
    points: &mut Points,
    metric: usize,
    version: &str,
    names: &[&str],
    numbers: &[u64],
) -> Option<()> {
    let (n_values, values) = numbers.split_first()?;
    if values.len() as u64 != *n_values {
        return None;
    }
    for (name, value) in names.iter().zip(values) {
        points.int(metric, *value, &[version, name]);
    }
    Some(())
}
