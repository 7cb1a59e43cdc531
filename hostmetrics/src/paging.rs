//! `paging`: swap by device, pages moved, page faults.
//!
//! As upstream's `pagingscraper`. Its library takes every counter of `/proc/vmstat` for pages of 4 KiB and tells bytes where
//! the metric counts: faults are 4,096 times too many. Dashboards have thresholds on that, so it is kept unless the gate
//! `muster.hostmetrics.upstreamValues` is switched off.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{GAUGE, INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};

const DEVICE: Attribute = Attribute::open("device");
const DIRECTION: Attribute = Attribute::of("direction", &["page_in", "page_out"]);
const STATE: Attribute = Attribute::of("state", &["used", "free"]);
const TYPE: Attribute = Attribute::of("type", &["major", "minor"]);

const METRICS: &[Metric] = &[
    Metric::on(
        "system.paging.faults",
        "{faults}",
        INT_COUNTER,
        &[TYPE],
        "Page faults, with and without reading a disk.",
    ),
    Metric::on(
        "system.paging.operations",
        "{operations}",
        INT_COUNTER,
        &[DIRECTION, TYPE],
        "Pages moved in and out.",
    ),
    Metric::on("system.paging.usage", "By", INT_SUM, &[DEVICE, STATE], "Swap space by device."),
    Metric::off("system.paging.utilization", "1", GAUGE, &[DEVICE, STATE], "Share of swap space by device."),
];

const FAULTS: usize = row(METRICS, "system.paging.faults");
const OPERATIONS: usize = row(METRICS, "system.paging.operations");
const USAGE: usize = row(METRICS, "system.paging.usage");
const UTILIZATION: usize = row(METRICS, "system.paging.utilization");

/// No line of `/proc/swaps` is longer, as long as no swap file has a path of two thousand bytes.
const MAX_SWAP_LINE: usize = 2 << 10;

/// What upstream multiplies every counter with.
const UPSTREAM_FACTOR: u64 = 4096;

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Paging>,
}

/// The scraper.
#[derive(Debug)]
pub struct Paging {
    points: Points,
}

impl Table for Paging {
    const SCRAPER: &'static str = "paging";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[
        Decision {
            about: "system.paging.faults, system.paging.operations",
            upstream: "4,096 times the counters of the kernel",
            verdict: Verdict::Switch,
            test: "paging_counters_are_times_4096_unless_the_gate_mends_them",
        },
        Decision {
            about: "system.paging.usage, system.paging.utilization",
            upstream: "reads the /proc/swaps of the container, not that below root_path",
            verdict: Verdict::Mended,
            test: "every_reader_honours_the_root_path",
        },
        Decision {
            about: "system.paging.usage, attribute device",
            upstream: "was missing or the same for several devices in some versions",
            verdict: Verdict::Mended,
            test: "every_swap_device_has_series_of_its_own",
        },
    ];
}

impl Scraper for Paging {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Paging {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        Self { points: Points::build(&config.metrics, version, problems) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        if self.points.is_any_on(&[FAULTS, OPERATIONS]) {
            self.counters(turn);
        }
        if self.points.is_any_on(&[USAGE, UTILIZATION]) {
            self.swaps(turn);
        }
    }

    fn counters(&mut self, turn: &mut Turn<'_>) {
        let path = turn.root.proc("vmstat");
        let mut found = None;
        let mut look = |text: &[u8]| {
            found = counters(text);
            found.is_some()
        };
        let text = match turn.files.read_again(&path, Pieces::Until(&mut look)) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("paging", "counters"), &path, &error, ""),
        };
        let Some([pages_in, pages_out, swapped_in, swapped_out, faults, major]) =
            found.or_else(|| counters(text))
        else {
            let error =
                malformed("a counter of pgpgin, pgpgout, pswpin, pswpout, pgfault, pgmajfault is missing");
            return turn.failures.add(("paging", "counters"), &path, &error, "");
        };
        let factor = if turn.has_upstream_values { UPSTREAM_FACTOR } else { 1 };
        let points = &mut self.points;
        for (direction, kind, pages) in [
            ("page_in", "major", swapped_in),
            ("page_out", "major", swapped_out),
            ("page_in", "minor", pages_in),
            ("page_out", "minor", pages_out),
        ] {
            points.int(OPERATIONS, pages.saturating_mul(factor), &[direction, kind]);
        }
        points.int(FAULTS, major.saturating_mul(factor), &["major"]);
        points.int(FAULTS, faults.saturating_sub(major).saturating_mul(factor), &["minor"]);
    }

    fn swaps(&mut self, turn: &mut Turn<'_>) {
        let path = turn.root.proc("swaps");
        let text = match turn.files.read_again(&path, Pieces::Lines { longest: MAX_SWAP_LINE }) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("paging", "swap space"), &path, &error, ""),
        };
        let mut is_broken = false;
        for line in text::lines(text).skip(1).filter(|line| !line.trim_ascii().is_empty()) {
            match swap(line) {
                Some((device, size, used)) => self.put(&device, size, used),
                None => is_broken = true,
            }
        }
        if is_broken {
            let error = malformed("a line is not a device with size and usage");
            turn.failures.add(("paging", "swap space"), &path, &error, "");
        }
    }

    fn put(&mut self, device: &str, size: u64, used: u64) {
        for (state, bytes) in [("used", used), ("free", size.saturating_sub(used))] {
            self.points.int(USAGE, bytes, &[device, state]);
            if size > 0 {
                self.points.double(UTILIZATION, bytes as f64 / size as f64, &[device, state]);
            }
        }
    }
}

/// The counters that are told, in this order, of the lines of `/proc/vmstat`; `None` where one is missing.
fn counters(text: &[u8]) -> Option<[u64; 6]> {
    const KEYS: [&[u8]; 6] = [b"pgpgin", b"pgpgout", b"pswpin", b"pswpout", b"pgfault", b"pgmajfault"];
    let mut found = [None; KEYS.len()];
    // All of them begin with it, and most lines do not.
    for line in text::lines(text).filter(|line| line.starts_with(b"p")) {
        let mut words = text::words(line);
        let place = words.next().and_then(|key| KEYS.iter().position(|known| *known == key));
        if let Some(place) = place {
            found[place] = words.next().and_then(text::number);
            if found.iter().all(Option::is_some) {
                break;
            }
        }
    }
    let mut all = [0; KEYS.len()];
    for (number, found) in all.iter_mut().zip(found) {
        *number = found?;
    }
    Some(all)
}

/// Device, size and usage in bytes of a line of `/proc/swaps`.
fn swap(line: &[u8]) -> Option<(String, u64, u64)> {
    const BYTES_PER_KIB: u64 = 1024;
    let mut words = text::words(line);
    let device = text::unescape(words.next()?);
    let mut bytes = words.skip(1).map(|word| Some(text::number(word)?.saturating_mul(BYTES_PER_KIB)));
    Some((device, bytes.next()??, bytes.next()??))
}
