//! `cpu`: time by state, utilization, frequency, and how many there are.
//!
//! As upstream's `cpuscraper`, with its older defaults, which dashboards know: `system.cpu.time` has a series a CPU and state, and
//! `system.cpu.logical.count` is off. `metrics: {system.cpu.time: {attributes: [state]}}` gives the newer form.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{COUNTER, GAUGE, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};

/// Columns of `/proc/stat`, in the kernel's order. Guest time is part of user time and is not taken off.
const STATES: [&str; 8] = ["user", "nice", "system", "idle", "wait", "interrupt", "softirq", "steal"];

const CPU: Attribute = Attribute::open("cpu");
const STATE: Attribute = Attribute::of("state", &STATES);

const METRICS: &[Metric] = &[
    Metric::off("system.cpu.frequency", "Hz", GAUGE, &[CPU], "Clock rate of a CPU now."),
    Metric::off("system.cpu.logical.count", "{cpu}", INT_SUM, &[], "CPUs that the system schedules on."),
    Metric::off("system.cpu.physical.count", "{cpu}", INT_SUM, &[], "Cores, without their second threads."),
    Metric::on("system.cpu.time", "s", COUNTER, &[CPU, STATE], "Time that a CPU spent in a state."),
    Metric::off(
        "system.cpu.utilization",
        "1",
        GAUGE,
        &[CPU, STATE],
        "Share of a state since the last scrape.",
    ),
];

const FREQUENCY: usize = row(METRICS, "system.cpu.frequency");
const LOGICAL: usize = row(METRICS, "system.cpu.logical.count");
const PHYSICAL: usize = row(METRICS, "system.cpu.physical.count");
const TIME: usize = row(METRICS, "system.cpu.time");
const UTILIZATION: usize = row(METRICS, "system.cpu.utilization");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Cpu>,
}

/// The scraper.
#[derive(Debug)]
pub struct Cpu {
    points: Points,
    /// Times of the last scrape by CPU, for utilization.
    last: Vec<Times>,
    /// `cpu0` and its like; the text is made once.
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    cpu: usize,
    ticks: [u64; STATES.len()],
}

impl Table for Cpu {
    const SCRAPER: &'static str = "cpu";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[
        Decision {
            about: "system.cpu.frequency, counts",
            upstream: "reads the /proc/cpuinfo of the container, not that below root_path",
            verdict: Verdict::Mended,
            test: "every_reader_honours_the_root_path",
        },
        Decision {
            about: "system.cpu.time, attribute cpu",
            upstream: "newer versions leave the attribute out unless it is asked for, which breaks dashboards",
            verdict: Verdict::Kept,
            test: "cpu_time_has_a_series_a_cpu_unless_the_configuration_leaves_the_attribute_out",
        },
    ];
}

/// What `/proc/cpuinfo` says.
#[derive(Debug, Default)]
struct CpuInfo {
    n_logical: u64,
    hertz: Vec<(usize, f64)>,
    /// Cores by package.
    cores: Vec<(u64, u64)>,
}

impl Scraper for Cpu {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Cpu {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        Self { points, last: Vec::new(), names: Vec::new() }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        if self.points.is_any_on(&[TIME, UTILIZATION]) {
            self.times(turn);
        }
        if self.points.is_any_on(&[LOGICAL, PHYSICAL, FREQUENCY]) {
            self.counts(turn);
        }
    }

    fn times(&mut self, turn: &mut Turn<'_>) {
        let path = turn.root.proc("stat");
        let text = match turn.files.read_again(&path, Pieces::One) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("cpu", "times"), &path, &error, ""),
        };
        let mut n_seen = 0;
        let mut is_broken = false;
        // CPUs stand in the first lines; what follows is long and of no use here.
        for line in text::lines(text).take_while(|line| line.starts_with(b"cpu")) {
            let Some((name, rest)) =
                line.split_at_checked(line.iter().position(|byte| *byte == b' ').unwrap_or(0))
            else {
                continue;
            };
            // The line `cpu` is the sum of all others.
            let Some(cpu) = text::number(&name[3.min(name.len())..]) else { continue };
            let Some(ticks) = text::numbers(rest) else {
                is_broken = true;
                continue;
            };
            let cpu = usize::try_from(cpu).unwrap_or(usize::MAX);
            self.one(n_seen, Times { cpu, ticks });
            n_seen += 1;
        }
        self.last.truncate(n_seen);
        if is_broken || n_seen == 0 {
            let error = malformed("a line of a CPU does not hold numbers, or there is none");
            turn.failures.add(("cpu", "times"), &path, &error, "");
        }
    }

    /// Takes the times of the CPU in line `place`.
    fn one(&mut self, place: usize, times: Times) {
        if self.names.len() <= place {
            self.names.push(String::new());
            self.last.push(times);
            self.names[place] = format!("cpu{}", times.cpu);
            self.put_times(place, &times);
            return;
        }
        // A CPU that went offline moves the lines of those behind it.
        let before = self.last.get(place).filter(|last| last.cpu == times.cpu).copied();
        if before.is_none() {
            self.names[place] = format!("cpu{}", times.cpu);
        }
        self.put_times(place, &times);
        if let Some(before) = before {
            self.put_utilization(place, &before, &times);
        }
        match self.last.get_mut(place) {
            Some(last) => *last = times,
            None => self.last.push(times),
        }
    }

    fn put_times(&mut self, place: usize, times: &Times) {
        for (state, ticks) in STATES.into_iter().zip(times.ticks) {
            self.points.double(TIME, ticks as f64 / crate::TICKS_PER_SECOND, &[&self.names[place], state]);
        }
    }

    fn put_utilization(&mut self, place: usize, before: &Times, now: &Times) {
        // The kernel lets some of them go back, idle and wait time among them: that counts as none.
        let since: [u64; STATES.len()] =
            std::array::from_fn(|state| now.ticks[state].saturating_sub(before.ticks[state]));
        let total = since.into_iter().fold(0, u64::saturating_add);
        for (state, ticks) in STATES.into_iter().zip(since) {
            let share = if total == 0 { 0.0 } else { ticks as f64 / total as f64 };
            self.points.double(UTILIZATION, share, &[&self.names[place], state]);
        }
    }

    fn counts(&mut self, turn: &mut Turn<'_>) {
        let path = turn.root.proc("cpuinfo");
        let info = match turn.files.read(&path) {
            Ok(text) => cpu_info(text),
            Err(error) => return turn.failures.add(("cpu", "counts and frequencies"), &path, &error, ""),
        };
        self.points.int(LOGICAL, info.n_logical, &[]);
        for (cpu, hertz) in &info.hertz {
            self.points.double(FREQUENCY, *hertz, &[&format!("cpu{cpu}")]);
        }
        if self.points.is_on(PHYSICAL) {
            let n_physical =
                cores_by_topology(turn).unwrap_or_else(|| info.cores.iter().map(|core| core.1).sum());
            self.points.int(PHYSICAL, n_physical, &[]);
        }
    }
}

fn cpu_info(text: &[u8]) -> CpuInfo {
    const HERTZ_PER_MEGAHERTZ: f64 = 1e6;
    let mut info = CpuInfo::default();
    let (mut cpu, mut package) = (0, 0);
    for line in text::lines(text) {
        let mut parts = line.splitn(2, |byte| *byte == b':').map(<[u8]>::trim_ascii);
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else { continue };
        let number = || text::number(value);
        match key {
            b"processor" => {
                info.n_logical += 1;
                cpu = number().and_then(|cpu| usize::try_from(cpu).ok()).unwrap_or(cpu);
                package = 0;
            }
            b"physical id" => package = number().unwrap_or(package),
            b"cpu cores" if !info.cores.iter().any(|known| known.0 == package) => {
                info.cores.push((package, number().unwrap_or(0)));
            }
            b"cpu MHz" => {
                info.hertz.extend(text::fraction(value).map(|mega| (cpu, mega * HERTZ_PER_MEGAHERTZ)));
            }
            _ => {}
        }
    }
    info
}

/// Cores as lists of the CPUs that share one; `None` where the kernel tells none.
fn cores_by_topology(turn: &mut Turn<'_>) -> Option<u64> {
    let mut cores = Vec::new();
    for entry in std::fs::read_dir(turn.root.sys("devices/system/cpu")).ok()?.flatten() {
        let name = entry.file_name();
        let is_cpu =
            name.to_str().and_then(|name| name.strip_prefix("cpu")).and_then(|id| id.parse::<u32>().ok());
        let path = entry.path().join("topology/core_cpus_list");
        if let (Some(_), Ok(list)) = (is_cpu, turn.files.read(&path.to_string_lossy())) {
            cores.push(list.to_vec());
        }
    }
    cores.sort_unstable();
    cores.dedup();
    (!cores.is_empty()).then_some(cores.len() as u64)
}
