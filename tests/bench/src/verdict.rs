//! What was promised, and whether the figures keep it.

use crate::measure::Figures;
use crate::scrape::Outcome;

/// Between these numbers of active series the cost has to be flat; peak memory is promised from the larger one on.
pub(crate) const FEW_ACTIVE: u64 = 100_000;
const MANY_ACTIVE: u64 = 1_000_000;
/// A cost is flat when the largest fleet's is at most this many times the smallest one's.
const FLAT: f64 = 1.2;

/// A ratio that was promised: a peer's figure divided by ours.
struct Demand {
    what: &'static str,
    peer: &'static str,
    least: f64,
    min_active: u64,
    of: fn(&Figures) -> f64,
}

const DEMANDS: [Demand; 4] = [
    Demand {
        what: "CPU per sample at most 1/5 of vmagent's",
        peer: "vmagent",
        least: 5.0,
        min_active: 0,
        of: Figures::cpu_per_million,
    },
    Demand {
        what: "CPU per sample at most 1/10 of the Prometheus agent's",
        peer: "prometheus",
        least: 10.0,
        min_active: 0,
        of: Figures::cpu_per_million,
    },
    Demand {
        what: "peak memory at most 1/2 of vmagent's at 1M series",
        peer: "vmagent",
        least: 2.0,
        min_active: MANY_ACTIVE,
        of: Figures::peak_mib,
    },
    Demand {
        what: "peak memory at most 1/8 of the Prometheus agent's at 1M series",
        peer: "prometheus",
        least: 8.0,
        min_active: MANY_ACTIVE,
        of: Figures::peak_mib,
    },
];

/// A line a demand, with the settings that come off worst and best.
pub(crate) fn of_scraping(outcomes: &[Outcome]) -> String {
    let lines = DEMANDS.iter().map(|demand| demand.line(outcomes)).chain([flatness(outcomes)]);
    lines.map(|line| format!("- {line}\n")).collect()
}

impl Demand {
    fn line(&self, outcomes: &[Outcome]) -> String {
        let considered = outcomes.iter().filter(|outcome| outcome.setting.n_active() >= self.min_active);
        let mut ratios: Vec<(f64, String)> = considered
            .filter_map(|outcome| {
                let (ours, theirs) = (of(outcome, "muster")?, of(outcome, self.peer)?);
                Some(((self.of)(theirs) / (self.of)(ours), outcome.setting.name()))
            })
            .collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some((worst, at_worst)), Some((best, at_best))) = (ratios.first(), ratios.last()) else {
            return format!("{}: not measured", self.what);
        };
        let n_met = ratios.iter().filter(|(ratio, _)| *ratio >= self.least).count();
        let (verdict, n) = (word(n_met == ratios.len()), ratios.len());
        let what = self.what;
        format!(
            "{what}: {verdict} ({n_met} of {n} settings; worst 1/{worst:.1}: {at_worst}; best 1/{best:.1}: {at_best})"
        )
    }
}

/// Whether a sample of a large fleet costs what one of a small fleet costs, with gzip and as many series a target.
fn flatness(outcomes: &[Outcome]) -> String {
    const WHAT: &str = "cost per sample flat from 100k to 1M series";
    let alike = |outcome: &&Outcome| {
        outcomes.first().is_some_and(|first| {
            (first.setting.gzip, first.setting.n_series) == (outcome.setting.gzip, outcome.setting.n_series)
        })
    };
    let mut costs: Vec<(u64, f64)> = outcomes
        .iter()
        .filter(alike)
        .filter_map(|outcome| Some((outcome.setting.n_active(), of(outcome, "muster")?.cpu_per_million())))
        .collect();
    costs.sort_by_key(|(n_active, _)| *n_active);
    let (Some((few, least)), Some((many, most))) = (costs.first(), costs.last()) else {
        return format!("{WHAT}: not measured");
    };
    if *few > FEW_ACTIVE || *many < MANY_ACTIVE {
        return format!("{WHAT}: not measured");
    }
    let (ratio, few, many) = (most / least, few / 1000, many / 1000);
    format!(
        "{WHAT}: {} (at {many}k {ratio:.2} times the cost at {few}k; flat is up to {FLAT})",
        word(ratio <= FLAT)
    )
}

/// Figures of a program that delivered what was due: one that falls behind, or catches up, has other costs.
fn of<'a>(outcome: &'a Outcome, program: &str) -> Option<&'a Figures> {
    let mut kept = outcome.figures.iter().filter(|figures| outcome.setting.is_kept_by(figures));
    kept.find(|figures| figures.program == program)
}

pub(crate) fn word(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Setting;

    fn outcome(n_active: usize, figures: &[(&str, u64, u64)]) -> Outcome {
        let figures = figures.iter().map(|(program, millis, mib)| Figures {
            program: (*program).to_owned(),
            n_samples: 4 * n_active as u64,
            cpu: Duration::from_millis(*millis) * (n_active / 1000) as u32,
            peak_rss_bytes: mib << 20,
            ..Figures::default()
        });
        Outcome {
            figures: figures.collect(),
            missing: Vec::new(),
            remarks: Vec::new(),
            setting: Setting {
                n_targets: n_active / 20,
                n_series: 20,
                gzip: true,
                interval: Duration::from_secs(15),
                measured: Duration::from_secs(60),
                programs: Vec::new(),
            },
        }
    }

    #[test]
    fn one_setting_that_misses_is_enough_for_not_met_and_is_named() {
        let text = of_scraping(&[
            outcome(100_000, &[("muster", 100, 50)]),
            outcome(200_000, &[("muster", 100, 50), ("vmagent", 600, 60), ("prometheus", 1000, 400)]),
            outcome(1_000_000, &[("muster", 110, 50), ("vmagent", 220, 100), ("prometheus", 2200, 300)]),
        ]);
        let expected = "\
- CPU per sample at most 1/5 of vmagent's: NOT MET (1 of 2 settings; worst 1/2.0: 1000k series, gzip, 20 a target; \
best 1/6.0: 200k series, gzip, 20 a target)
- CPU per sample at most 1/10 of the Prometheus agent's: met (2 of 2 settings; worst 1/10.0: 200k series, gzip, 20 a \
target; best 1/20.0: 1000k series, gzip, 20 a target)
- peak memory at most 1/2 of vmagent's at 1M series: met (1 of 1 settings; worst 1/2.0: 1000k series, gzip, 20 a \
target; best 1/2.0: 1000k series, gzip, 20 a target)
- peak memory at most 1/8 of the Prometheus agent's at 1M series: NOT MET (0 of 1 settings; worst 1/6.0: 1000k series, \
gzip, 20 a target; best 1/6.0: 1000k series, gzip, 20 a target)
- cost per sample flat from 100k to 1M series: met (at 1000k 1.10 times the cost at 100k; flat is up to 1.2)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_program_that_fell_behind_is_not_judged() {
        let mut behind = outcome(1_000_000, &[("muster", 100, 50), ("vmagent", 1000, 200)]);
        behind.figures[1].n_samples /= 2;
        assert!(of_scraping(&[behind]).lines().all(|line| line.ends_with(": not measured")));
    }

    #[test]
    fn a_demand_without_figures_is_not_called_met() {
        let text = of_scraping(&[outcome(200_000, &[("muster", 100, 50)])]);
        assert_eq!(text.lines().count(), 5);
        assert!(text.lines().all(|line| line.ends_with(": not measured")), "{text}");
    }
}
