//! What a fleet consists of, before it listens.

use std::time::Duration;

/// How a target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Every scrape, at once, with every series.
    Steady,
    /// Every scrape, but only after this long.
    Slow(Duration),
    /// Every seventh request is refused with 503; every third answer lacks its gauges.
    Flapping,
}

/// Which exposition format a target prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4, whatever is asked for.
    Text,
    /// OpenMetrics 1.0 with exemplars where the client accepts it, text otherwise.
    OpenMetrics,
}

/// One target to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scrape job it belongs to.
    pub job: String,
    /// Its `instance` label, unique in the fleet.
    pub instance: String,
    /// How many series it exposes, at least 5.
    pub series: u32,
    /// What it speaks.
    pub format: Format,
    /// How it answers.
    pub behaviour: Behaviour,
}

const JOBS: [&str; 6] = ["checkout", "payments", "search", "catalog", "shipping", "accounts"];

/// The demo's fleet: six jobs, 5 to 5,000 series, every third target in OpenMetrics, one flapping, one slow.
///
/// The slow one takes a third of `interval`, so that no scrape of it has to fail. The same `count` always gives
/// the same fleet.
pub fn demo(count: usize, interval: Duration) -> Vec<Plan> {
    (0..count)
        .map(|index| {
            let job = JOBS[index % JOBS.len()];
            let behaviour = match index {
                2 => Behaviour::Flapping,
                4 => Behaviour::Slow(interval / 3),
                _ => Behaviour::Steady,
            };
            Plan {
                job: job.to_owned(),
                instance: format!("{job}-{:02}", index / JOBS.len()),
                series: size(index),
                format: if index % 3 == 1 { Format::OpenMetrics } else { Format::Text },
                behaviour,
            }
        })
        .collect()
}

/// `count` steady text targets of one size: what benchmarks compare on.
pub fn even(count: usize, series: u32) -> Vec<Plan> {
    (0..count)
        .map(|index| Plan {
            job: "even".to_owned(),
            instance: format!("even-{index:04}"),
            series,
            format: Format::Text,
            behaviour: Behaviour::Steady,
        })
        .collect()
}

/// Sizes spread evenly over the magnitudes; the two special targets are of middle size, so that they are seen.
fn size(index: usize) -> u32 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    match index {
        0 => 5,
        1 => 5000,
        2 | 4 => 600,
        _ => (5.0 * 1000f64.powf((index as f64 * GOLDEN).fract())).round() as u32,
    }
}
