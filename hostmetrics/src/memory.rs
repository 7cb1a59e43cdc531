//! `memory`: what memory is used for, from `/proc/meminfo`.
//!
//! As upstream's `memoryscraper`. States overlap: `used` holds the slab that cannot be reclaimed, `cached` the one that can, so they add
//! up to more than there is. `used` is what is not available; with the gate
//! `receiver.hostmetricsreceiver.UseLinuxMemAvailable` switched off it is what is neither free, nor buffers, nor cache.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{GAUGE, INT_GAUGE, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};

const STATE: Attribute =
    Attribute::of("state", &["used", "free", "buffered", "cached", "slab_reclaimable", "slab_unreclaimable"]);
const HUGEPAGES_STATE: Attribute = Attribute::of("system.memory.linux.hugepages.state", &["free", "used"]);

const METRICS: &[Metric] = &[
    Metric::off(
        "system.linux.memory.available",
        "By",
        INT_SUM,
        &[],
        "What programs can get without swapping.",
    ),
    Metric::off("system.linux.memory.dirty", "By", INT_SUM, &[], "What waits to be written to disk."),
    Metric::off("system.memory.limit", "By", INT_SUM, &[], "All memory there is."),
    Metric::off("system.memory.linux.hugepages.limit", "{page}", INT_SUM, &[], "Huge pages there are."),
    Metric::off("system.memory.linux.hugepages.page_size", "By", INT_SUM, &[], "Size of a huge page."),
    Metric::off(
        "system.memory.linux.hugepages.reserved",
        "{page}",
        INT_SUM,
        &[],
        "Huge pages that are promised and not yet used.",
    ),
    Metric::off(
        "system.memory.linux.hugepages.surplus",
        "{page}",
        INT_SUM,
        &[],
        "Huge pages beyond those that were configured.",
    ),
    Metric::off(
        "system.memory.linux.hugepages.usage",
        "{page}",
        INT_SUM,
        &[HUGEPAGES_STATE],
        "Huge pages by state.",
    ),
    Metric::off(
        "system.memory.linux.hugepages.utilization",
        "1",
        GAUGE,
        &[HUGEPAGES_STATE],
        "Share of huge pages by state.",
    ),
    Metric::off("system.memory.linux.shared", "By", INT_SUM, &[], "Shared memory and tmpfs."),
    Metric::off("system.memory.page_size", "By", INT_GAUGE, &[], "Size of a page."),
    Metric::on("system.memory.usage", "By", INT_SUM, &[STATE], "Memory by what it is used for."),
    Metric::off("system.memory.utilization", "1", GAUGE, &[STATE], "Share of memory by what it is used for."),
];

const AVAILABLE: usize = row(METRICS, "system.linux.memory.available");
const DIRTY: usize = row(METRICS, "system.linux.memory.dirty");
const LIMIT: usize = row(METRICS, "system.memory.limit");
const HUGE_LIMIT: usize = row(METRICS, "system.memory.linux.hugepages.limit");
const HUGE_SIZE: usize = row(METRICS, "system.memory.linux.hugepages.page_size");
const HUGE_RESERVED: usize = row(METRICS, "system.memory.linux.hugepages.reserved");
const HUGE_SURPLUS: usize = row(METRICS, "system.memory.linux.hugepages.surplus");
const HUGE_USAGE: usize = row(METRICS, "system.memory.linux.hugepages.usage");
const HUGE_UTILIZATION: usize = row(METRICS, "system.memory.linux.hugepages.utilization");
const SHARED: usize = row(METRICS, "system.memory.linux.shared");
const PAGE_SIZE: usize = row(METRICS, "system.memory.page_size");
const USAGE: usize = row(METRICS, "system.memory.usage");
const UTILIZATION: usize = row(METRICS, "system.memory.utilization");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Memory>,
}

/// The scraper.
#[derive(Debug)]
pub struct Memory {
    points: Points,
    /// Whether `used` is what is not available.
    uses_available: bool,
}

impl Table for Memory {
    const SCRAPER: &'static str = "memory";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[Decision {
        about: "system.memory.usage",
        upstream: "states overlap and add up to more than there is",
        verdict: Verdict::Kept,
        test: "memory_states_overlap_as_dashboards_expect",
    }];
}

/// Lines of `/proc/meminfo`, in bytes or pages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemInfo {
    pub(crate) total: u64,
    free: u64,
    available: Option<u64>,
    buffers: u64,
    cached: u64,
    reclaimable: u64,
    unreclaimable: u64,
    dirty: u64,
    shared: u64,
    huge_total: u64,
    huge_free: u64,
    huge_reserved: u64,
    huge_surplus: u64,
    huge_size: u64,
}

impl MemInfo {
    /// Reads the file's text. Where a line is missing that every kernel writes, and without which numbers would be wrong, its name.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        const BYTES_PER_KIB: u64 = 1024;
        let mut info = Self::default();
        let (mut total, mut free, mut buffers, mut cached) = (None, None, None, None);
        for line in text::lines(text) {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let Some(number) = text::words(&line[colon + 1..]).next().and_then(text::number) else {
                continue;
            };
            let bytes = number.saturating_mul(BYTES_PER_KIB);
            match &line[..colon] {
                b"MemTotal" => total = Some(bytes),
                b"MemFree" => free = Some(bytes),
                b"MemAvailable" => info.available = Some(bytes),
                b"Buffers" => buffers = Some(bytes),
                b"Cached" => cached = Some(bytes),
                b"SReclaimable" => info.reclaimable = bytes,
                b"SUnreclaim" => info.unreclaimable = bytes,
                b"Dirty" => info.dirty = bytes,
                b"Shmem" => info.shared = bytes,
                b"HugePages_Total" => info.huge_total = number,
                b"HugePages_Free" => info.huge_free = number,
                b"HugePages_Rsvd" => info.huge_reserved = number,
                b"HugePages_Surp" => info.huge_surplus = number,
                b"Hugepagesize" => info.huge_size = bytes,
                _ => {}
            }
        }
        info.total = total.filter(|total| *total > 0).ok_or("MemTotal")?;
        info.free = free.ok_or("MemFree")?;
        info.buffers = buffers.ok_or("Buffers")?;
        info.cached = cached.ok_or("Cached")?;
        Ok(info)
    }

    /// What can be had without swapping; kernels before 3.14 do not tell.
    fn available(&self) -> u64 {
        self.available.unwrap_or_else(|| self.free.saturating_add(self.buffers).saturating_add(self.cached))
    }

    fn used(&self, uses_available: bool) -> u64 {
        let unused = if uses_available {
            self.available()
        } else {
            [self.buffers, self.cached, self.reclaimable].into_iter().fold(self.free, u64::saturating_add)
        };
        self.total.saturating_sub(unused)
    }
}

impl Scraper for Memory {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Memory {
    pub(crate) fn build(
        config: &Config,
        uses_available: bool,
        version: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self { points: Points::build(&config.metrics, version, problems), uses_available }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let path = turn.root.proc("meminfo");
        let info = match turn.files.read_again(&path, Pieces::One).map(MemInfo::parse) {
            Ok(Ok(info)) => info,
            Ok(Err(name)) => {
                let error = malformed(format_args!("there is no line `{name}: NUMBER kB`"));
                return turn.failures.add(("memory", "usage"), &path, &error, "");
            }
            Err(error) => return turn.failures.add(("memory", "usage"), &path, &error, ""),
        };
        self.put_states(&info);
        self.put_huge_pages(&info);
        let points = &mut self.points;
        points.int(AVAILABLE, info.available(), &[]);
        points.int(DIRTY, info.dirty, &[]);
        points.int(LIMIT, info.total, &[]);
        points.int(SHARED, info.shared, &[]);
        points.int(PAGE_SIZE, rustix::param::page_size() as u64, &[]);
    }

    fn put_states(&mut self, info: &MemInfo) {
        let states = [
            ("used", info.used(self.uses_available)),
            ("free", info.free),
            ("buffered", info.buffers),
            ("cached", info.cached.saturating_add(info.reclaimable)),
            ("slab_reclaimable", info.reclaimable),
            ("slab_unreclaimable", info.unreclaimable),
        ];
        for (state, bytes) in states {
            self.points.int(USAGE, bytes, &[state]);
            self.points.double(UTILIZATION, bytes as f64 / info.total as f64, &[state]);
        }
    }

    fn put_huge_pages(&mut self, info: &MemInfo) {
        let points = &mut self.points;
        points.int(HUGE_LIMIT, info.huge_total, &[]);
        points.int(HUGE_SIZE, info.huge_size, &[]);
        points.int(HUGE_RESERVED, info.huge_reserved, &[]);
        points.int(HUGE_SURPLUS, info.huge_surplus, &[]);
        for (state, pages) in
            [("free", info.huge_free), ("used", info.huge_total.saturating_sub(info.huge_free))]
        {
            points.int(HUGE_USAGE, pages, &[state]);
            if info.huge_total > 0 {
                points.double(HUGE_UTILIZATION, pages as f64 / info.huge_total as f64, &[state]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_is_refused_by_the_name_of_the_line_that_is_missing() {
        let lines = ["MemTotal: 100 kB\n", "MemFree: 20 kB\n", "Buffers: 5 kB\n", "Cached: 30 kB\n"];
        let names = ["MemTotal", "MemFree", "Buffers", "Cached"];
        for (n_lines, name) in names.into_iter().enumerate() {
            assert_eq!(MemInfo::parse(lines[..n_lines].concat().as_bytes()).unwrap_err(), name);
        }
        let info = MemInfo::parse(lines.concat().as_bytes()).unwrap();
        assert_eq!((info.total, info.free, info.buffers, info.cached), (102_400, 20_480, 5120, 30_720));
        assert_eq!(MemInfo::parse(b"MemTotal: 0 kB\n").unwrap_err(), "MemTotal");
    }
}
