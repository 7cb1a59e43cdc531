//! `disk`: operations, bytes and times of block devices, from `/proc/diskstats`.
//!
//! As upstream's `diskscraper`: partitions and loop devices are devices like others, one that was never used is left out.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::filter::{Devices, Filter};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{COUNTER, INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Metric, Table, row};
use crate::text;
use crate::turn::{Scraper, Turn};

const DEVICE: Attribute = Attribute::open("device");
const DIRECTION: Attribute = Attribute::of("direction", &["read", "write"]);

const METRICS: &[Metric] = &[
    Metric::on("system.disk.io", "By", INT_COUNTER, &[DEVICE, DIRECTION], "Bytes read and written."),
    Metric::on(
        "system.disk.io_time",
        "s",
        COUNTER,
        &[DEVICE],
        "Time in which the device had something to do.",
    ),
    Metric::on(
        "system.disk.merged",
        "{operations}",
        INT_COUNTER,
        &[DEVICE, DIRECTION],
        "Operations that became part of another one.",
    ),
    Metric::on(
        "system.disk.operation_time",
        "s",
        COUNTER,
        &[DEVICE, DIRECTION],
        "Time that operations took, waiting included.",
    ),
    Metric::on(
        "system.disk.operations",
        "{operations}",
        INT_COUNTER,
        &[DEVICE, DIRECTION],
        "Operations that were completed.",
    ),
    Metric::on("system.disk.pending_operations", "{operations}", INT_SUM, &[DEVICE], "Operations under way."),
    Metric::on(
        "system.disk.weighted_io_time",
        "s",
        COUNTER,
        &[DEVICE],
        "Time in which the device had something to do, times the operations under way.",
    ),
];

const IO: usize = row(METRICS, "system.disk.io");
const IO_TIME: usize = row(METRICS, "system.disk.io_time");
const MERGED: usize = row(METRICS, "system.disk.merged");
const OPERATION_TIME: usize = row(METRICS, "system.disk.operation_time");
const OPERATIONS: usize = row(METRICS, "system.disk.operations");
const PENDING: usize = row(METRICS, "system.disk.pending_operations");
const WEIGHTED: usize = row(METRICS, "system.disk.weighted_io_time");

/// The kernel counts sectors of this size, whatever the device has.
const SECTOR_BYTES: u64 = 512;
const MILLIS_PER_SECOND: f64 = 1000.0;

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Disk>,
    /// Devices that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Devices>,
    /// Devices that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Devices>,
}

/// The scraper.
#[derive(Debug)]
pub struct Disk {
    points: Points,
    filter: Filter,
}

impl Table for Disk {
    const SCRAPER: &'static str = "disk";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
}

/// Longest line of `/proc/diskstats`: 32 bytes of a name, and 22 numbers of up to 20 digits.
const MAX_LINE: usize = 512;

/// Columns of `/proc/diskstats` behind the name. Discards and flushes follow and are not told.
const N_COLUMNS: usize = 11;

impl Scraper for Disk {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Disk {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        let sides = (("include", config.include.as_ref()), ("exclude", config.exclude.as_ref()));
        Self { points, filter: Filter::build(sides.0, sides.1, problems) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let path = turn.root.proc("diskstats");
        let text = match turn.files.read_again(&path, Pieces::Lines { longest: MAX_LINE }) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("disk", "devices"), &path, &error, ""),
        };
        let mut n_broken = 0;
        for line in text::lines(text).filter(|line| !line.trim_ascii().is_empty()) {
            match device(line) {
                Some((_, columns)) if columns == [0; N_COLUMNS] => {}
                Some((name, columns)) if self.filter.takes(&name) => self.put(&name, columns),
                Some(_) => {}
                None => n_broken += 1,
            }
        }
        if n_broken > 0 {
            let error = malformed("a line is not a device with its counters");
            turn.failures.add(("disk", "devices"), &path, &error, "");
        }
    }

    fn put(&mut self, device: &str, columns: [u64; N_COLUMNS]) {
        let [reads, reads_merged, sectors_read, read_millis, writes, writes_merged, sectors_written, ..] =
            columns;
        let [.., write_millis, pending, busy_millis, weighted_millis] = columns;
        let seconds = |millis: u64| millis as f64 / MILLIS_PER_SECOND;
        let points = &mut self.points;
        for (direction, operations, merged, sectors, millis) in [
            ("read", reads, reads_merged, sectors_read, read_millis),
            ("write", writes, writes_merged, sectors_written, write_millis),
        ] {
            points.int(IO, sectors.saturating_mul(SECTOR_BYTES), &[device, direction]);
            points.int(OPERATIONS, operations, &[device, direction]);
            points.int(MERGED, merged, &[device, direction]);
            points.double(OPERATION_TIME, seconds(millis), &[device, direction]);
        }
        points.double(IO_TIME, seconds(busy_millis), &[device]);
        points.double(WEIGHTED, seconds(weighted_millis), &[device]);
        points.int(PENDING, pending, &[device]);
    }
}

/// A device and its counters; `None` for a line that has fewer, as kernels before 2.6.25 write them for partitions.
fn device(line: &[u8]) -> Option<(std::borrow::Cow<'_, str>, [u64; N_COLUMNS])> {
    let mut words = text::words(line).skip(2);
    let name = words.next()?;
    let mut columns = [0; N_COLUMNS];
    for column in &mut columns {
        *column = text::number(words.next()?)?;
    }
    Some((String::from_utf8_lossy(name), columns))
}
