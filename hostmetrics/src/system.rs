//! `system`: how long the host has been running.
//!
//! As upstream's `systemscraper`, read from `/proc/uptime` below `root_path` instead of being asked of the kernel that we run on.

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{Pieces, malformed};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::GAUGE;
use crate::table::{Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};

const METRICS: &[Metric] =
    &[Metric::on("system.uptime", "s", GAUGE, &[], "Whole seconds since the host was started.")];

const UPTIME: usize = row(METRICS, "system.uptime");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<System>,
}

/// The scraper.
#[derive(Debug)]
pub struct System {
    points: Points,
}

impl Table for System {
    const SCRAPER: &'static str = "system";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[Decision {
        about: "system.uptime",
        upstream: "asks the kernel it runs on, whatever root_path says",
        verdict: Verdict::Mended,
        test: "every_reader_honours_the_root_path",
    }];
}

impl Scraper for System {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }
}

impl System {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        Self { points: Points::build(&config.metrics, version, problems) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let path = turn.root.proc("uptime");
        let uptime = turn
            .files
            .read_again(&path, Pieces::One)
            .map(|text| text::words(text).next().and_then(text::fraction));
        match uptime {
            Ok(Some(seconds)) => self.points.double(UPTIME, seconds.floor(), &[]),
            Ok(None) => {
                let error = malformed("there is no number at the beginning");
                turn.failures.add(("system", "uptime"), &path, &error, "");
            }
            Err(error) => turn.failures.add(("system", "uptime"), &path, &error, ""),
        }
    }
}
