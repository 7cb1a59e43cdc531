//! `jitter`: how evenly many small targets are scraped, and what is kept open for it.
//!
//! The fleet writes down when each request arrives. Two requests for a target that follow each other should be an interval
//! apart; jitter is how far they are from it, the fleet's own delay included. The samples' timestamps are judged alike.

use std::slice;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};
use world::fleet::Fleet;
use world::now_ms;
use world::sink::Sink;

use crate::measure::{Setting, delivered_once};
use crate::process::{self, Descriptors};
use crate::programs::{self, Running, Task};
use crate::table::{grouped, markdown};
use crate::verdict::word;
use crate::{fleet, machine, print, say};

/// Jitter in parts of the interval that 99 of 100 scrapes have to keep below.
const MOST_JITTER: f64 = 0.05;
/// Open files that are no connections to targets: the sink, listeners, the runtime.
const OTHER_FILES: u64 = 100;
/// How often open files are counted; counting ten thousand takes some milliseconds.
const LOOK: Duration = Duration::from_secs(5);

const HEAD: [&str; 10] = [
    "program",
    "intervals",
    "p50 ms",
    "p99 ms",
    "max ms",
    "p99 of timestamps ms",
    "CPU, % of a core",
    "peak MiB",
    "most open files",
    "most sockets",
];

/// Distances from the interval in milliseconds, sorted.
#[derive(Debug, Default)]
struct Jitter(Vec<i64>);

/// One program's figures.
struct Figures {
    program: String,
    requests: Jitter,
    timestamps: Jitter,
    cpu_share: f64,
    peak_mib: f64,
    most: Descriptors,
}

/// Measures every program and prints the table and the verdicts.
pub(crate) async fn run(setting: &Setting) -> Result<()> {
    let (mut all, mut remarks) = (Vec::new(), Vec::new());
    for program in &setting.programs {
        if !programs::is_there(program) {
            print(&format!("{program} is missing: not installed\n"))?;
            continue;
        }
        let measured = measure(program, setting).await.with_context(|| format!("measuring {program}"))?;
        all.push(measured.0);
        remarks = measured.1;
    }
    let remarks: String = remarks.iter().map(|remark| format!(", {remark}")).collect();
    let head = format!(
        "### {} targets of {} series every {:?}\n\nmeasured for {:?}{remarks}; {}\n\n",
        grouped(setting.n_targets as u64),
        setting.n_series,
        setting.interval,
        setting.measured,
        machine::describe()
    );
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    print(&(head + &markdown(&HEAD, &rows)))?;
    let verdicts: String = all.iter().map(|figures| verdicts(setting, figures)).collect();
    print(&verdicts)
}

async fn measure(program: &str, setting: &Setting) -> Result<(Figures, Vec<String>)> {
    say(&format!("jitter: {program} starts"));
    let stand = fleet::start(setting.n_targets, setting.n_series, setting.gzip).await?;
    let sink = Sink::start().await?;
    let url = sink.url();
    let groups = stand.groups();
    let task = Task { groups: &groups, interval: setting.interval, gzip: setting.gzip, sink: &url };
    let running = programs::start(program, &task).await?;
    delivered_once(slice::from_ref(&running), &sink, setting).await?;
    say(&format!("jitter: {program} is measured for {:?}", setting.measured));
    let (since, began, before) = (now_ms(), Instant::now(), running.usage()?);
    let most = watch_files(&running, began + setting.measured).await?;
    let after = running.usage()?;
    let cpu = after.cpu.saturating_sub(before.cpu);
    let figures = Figures {
        program: program.to_owned(),
        requests: Jitter::new(setting.interval, request_times(&stand.fleet, since)),
        timestamps: Jitter::new(setting.interval, timestamps(&sink, since)),
        cpu_share: cpu.as_secs_f64() / began.elapsed().as_secs_f64(),
        peak_mib: after.peak_rss_bytes as f64 / f64::from(1 << 20),
        most,
    };
    Ok((figures, stand.remarks))
}

/// The most files that are open at a time until the deadline.
async fn watch_files(running: &Running, deadline: Instant) -> Result<Descriptors> {
    let mut most = Descriptors::default();
    loop {
        running.usage()?;
        most = most.max(process::descriptors(running.id()).unwrap_or_default());
        let now = Instant::now();
        if now >= deadline {
            return Ok(most);
        }
        sleep(LOOK.min(deadline - now)).await;
    }
}

/// When each target was asked, since a moment.
fn request_times(fleet: &Fleet, since: i64) -> Vec<Vec<i64>> {
    let times = |target: &world::fleet::Target| {
        target.attempts().iter().map(|attempt| attempt.at).filter(|at| *at >= since).collect()
    };
    fleet.targets().iter().map(times).collect()
}

/// Timestamps of each target's scrapes, since a moment.
fn timestamps(sink: &Sink, since: i64) -> Vec<Vec<i64>> {
    let ledger = sink.ledger();
    let times = |target: &world::ledger::Target| {
        target.ups.iter().map(|up| up.at).filter(|at| *at >= since).collect()
    };
    ledger.targets().iter().map(times).collect()
}

impl Jitter {
    /// Of the times of each target, in order and in milliseconds.
    fn new(interval: Duration, times: Vec<Vec<i64>>) -> Self {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let distance = |pair: &[i64]| (pair[1] - pair[0] - interval).abs();
        let mut all: Vec<i64> = times.iter().flat_map(|times| times.windows(2).map(distance)).collect();
        all.sort_unstable();
        Self(all)
    }

    /// The distance that so many of a hundred do not exceed; `None` when no interval was seen whole.
    fn percentile(&self, percent: usize) -> Option<i64> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied()
    }

    fn show(&self, percent: usize) -> String {
        self.percentile(percent).map_or_else(|| "none".to_owned(), |millis| millis.to_string())
    }
}

fn row(figures: &Figures) -> Vec<String> {
    vec![
        figures.program.clone(),
        grouped(figures.requests.0.len() as u64),
        figures.requests.show(50),
        figures.requests.show(99),
        figures.requests.show(100),
        figures.timestamps.show(99),
        format!("{:.1}", figures.cpu_share * 100.0),
        format!("{:.1}", figures.peak_mib),
        grouped(figures.most.open),
        grouped(figures.most.sockets),
    ]
}

fn verdicts(setting: &Setting, figures: &Figures) -> String {
    let name = &figures.program;
    let Some(p99) = figures.requests.percentile(99) else {
        return format!("- {name}: no interval was seen whole; --seconds has to be longer than --interval\n");
    };
    let share = p99 as f64 / setting.interval.as_millis() as f64;
    let files = setting.n_targets as u64 + OTHER_FILES;
    format!(
        "- {name}: p99 of jitter below {:.0} % of the interval: {} ({:.2} %)\n\
         - {name}: open files at most one a target and {OTHER_FILES}: {} ({} of {})\n",
        MOST_JITTER * 100.0,
        word(share < MOST_JITTER),
        share * 100.0,
        word(figures.most.open <= files),
        grouped(figures.most.open),
        grouped(files),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn jitter_is_the_distance_of_neighbours_from_the_interval_in_either_direction() {
        let jitter = Jitter::new(SECOND, vec![vec![0, 1000, 1990, 3005], vec![500], vec![]]);
        assert_eq!(jitter.0, [0, 10, 15]);
        assert_eq!(
            (jitter.percentile(50), jitter.percentile(99), jitter.percentile(100)),
            (Some(10), Some(15), Some(15))
        );
        assert_eq!(Jitter::default().percentile(99), None);
    }

    #[test]
    fn a_scrape_that_is_left_out_is_jitter_of_an_interval() {
        assert_eq!(Jitter::new(SECOND, vec![vec![0, 2000]]).0, [1000]);
    }

    #[test]
    fn too_much_jitter_and_too_many_files_are_not_met() {
        let setting = Setting {
            n_targets: 10,
            n_series: 20,
            gzip: true,
            interval: SECOND,
            measured: SECOND,
            programs: Vec::new(),
        };
        let verdict = |spacing: i64, open| {
            let requests = Jitter::new(SECOND, vec![vec![0, spacing]]);
            let most = Descriptors { open, sockets: open };
            let program = "muster".to_owned();
            verdicts(
                &setting,
                &Figures {
                    program,
                    requests,
                    timestamps: Jitter::default(),
                    cpu_share: 0.0,
                    peak_mib: 0.0,
                    most,
                },
            )
        };
        let expected = "\
- muster: p99 of jitter below 5 % of the interval: met (4.90 %)
- muster: open files at most one a target and 100: met (110 of 110)
";
        assert_eq!(verdict(1049, 110), expected);
        assert_eq!(verdict(1050, 111).matches("NOT MET").count(), 2);
    }
}
