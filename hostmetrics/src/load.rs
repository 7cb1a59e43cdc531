//! `load`: how many tasks want to run, as means of 1, 5 and 15 minutes.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::GAUGE;
use crate::table::{Metric, Table, row};
use crate::text;
use crate::turn::{Scraper, Turn};

const METRICS: &[Metric] = &[
    Metric::on("system.cpu.load_average.15m", "{thread}", GAUGE, &[], "Mean load of 15 minutes."),
    Metric::on("system.cpu.load_average.1m", "{thread}", GAUGE, &[], "Mean load of 1 minute."),
    Metric::on("system.cpu.load_average.5m", "{thread}", GAUGE, &[], "Mean load of 5 minutes."),
];

/// Metrics in the order of the file's columns.
const COLUMNS: [usize; 3] = [
    row(METRICS, "system.cpu.load_average.1m"),
    row(METRICS, "system.cpu.load_average.5m"),
    row(METRICS, "system.cpu.load_average.15m"),
];

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Load>,
    /// Divides the load by the number of CPUs that this process may use.
    #[serde(default)]
    pub cpu_average: bool,
}

/// The scraper.
#[derive(Debug)]
pub struct Load {
    points: Points,
    divisor: f64,
}

impl Table for Load {
    const SCRAPER: &'static str = "load";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
}

impl Scraper for Load {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl Load {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        Self { points, divisor: if config.cpu_average { f64::from(n_usable_cpus()) } else { 1.0 } }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let path = turn.root.proc("loadavg");
        let text = match turn.files.read_again(&path, Pieces::One) {
            Ok(text) => text,
            Err(error) => return turn.failures.add(("load", "averages"), &path, &error, ""),
        };
        let mut words = text::words(text);
        for metric in COLUMNS {
            match words.next().and_then(text::fraction) {
                Some(load) => self.points.double(metric, load / self.divisor, &[]),
                None => {
                    let error = malformed("there are no three numbers at the beginning");
                    return turn.failures.add(("load", "averages"), &path, &error, "");
                }
            }
        }
    }
}

/// CPUs that this process may use, as Go counts them: by affinity, not by quota.
pub(crate) fn n_usable_cpus() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |cpus| cpus.count()).max(1)
}
