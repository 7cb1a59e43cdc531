//! One program, one fleet, one sink: what a sample costs.
//!
//! A program runs alone; where the system allows fewer open files than there are targets, in several processes that share them, and figures are
//! those of all of them in sum. When every target has been delivered once, and then as much in an interval as is due in one, CPU time
//! (user and system), samples and bytes that the sink acknowledged, and context switches are counted over the measured time; peak memory is
//! that of the whole run, open files are those at its end. Samples are all that arrive, `up` and its like included.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};
use world::child::Usage;
use world::sink::Sink;

use crate::process::{self, Descriptors};
use crate::programs::{self, Running, Task};
use crate::{fleet, say};

/// How long a program may take beyond its first intervals until every target has been delivered once.
const START: Duration = Duration::from_secs(60);
/// How many intervals a program may take until it delivers what it scrapes, neither less nor old samples as well.
const MAX_SETTLING: u32 = 6;
/// No program writes more series about each scrape than this.
const MAX_REPORTS: u32 = 10;
const POLL: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) n_targets: usize,
    /// Series a target.
    pub(crate) n_series: u32,
    pub(crate) gzip: bool,
    pub(crate) interval: Duration,
    pub(crate) measured: Duration,
    pub(crate) programs: Vec<String>,
}

impl Setting {
    /// Series of all targets.
    pub(crate) fn n_active(&self) -> u64 {
        self.n_targets as u64 * u64::from(self.n_series)
    }

    /// In a few words, for messages.
    pub(crate) fn name(&self) -> String {
        let encoding = if self.gzip { "gzip" } else { "plain" };
        format!("{}k series, {encoding}, {} a target", self.n_active() / 1000, self.n_series)
    }

    /// Scrapes that are due in the measured time.
    pub(crate) fn n_scrapes(&self) -> f64 {
        self.n_scrapes_in(self.measured)
    }

    fn n_scrapes_in(&self, time: Duration) -> f64 {
        self.n_targets as f64 * time.as_secs_f64() / self.interval.as_secs_f64()
    }

    /// Whether so many samples are what is scraped in that time, a tenth more or less.
    fn is_due(&self, n_samples: u64, time: Duration) -> bool {
        let at_least = self.n_scrapes_in(time) * f64::from(self.n_series) * 0.9;
        let at_most = self.n_scrapes_in(time) * f64::from(self.n_series + MAX_REPORTS) * 1.1;
        (at_least..=at_most).contains(&(n_samples as f64))
    }

    /// Whether a program delivered what was due, so that its costs are those of scraping it.
    pub(crate) fn is_kept_by(&self, figures: &Figures) -> bool {
        self.is_due(figures.n_samples, self.measured)
    }
}

/// One program's figures over the measured time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) program: String,
    pub(crate) n_samples: u64,
    pub(crate) n_requests: u64,
    /// Bodies of these requests, compressed.
    pub(crate) wire_bytes: u64,
    pub(crate) cpu: Duration,
    pub(crate) n_switches: u64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) descriptors: Descriptors,
}

impl Figures {
    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.n_samples as f64
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        self.peak_rss_bytes as f64 / f64::from(1 << 20)
    }

    pub(crate) fn bytes_per_sample(&self) -> f64 {
        self.wire_bytes as f64 / self.n_samples as f64
    }
}

/// Counters that only rise.
struct Reading {
    usage: Usage,
    n_switches: u64,
    n_samples: u64,
    n_requests: u64,
    wire_bytes: u64,
}

fn read(running: &[Running], sink: &Sink) -> Result<Reading> {
    let mut usage = Usage::default();
    for one in running {
        let Usage { cpu, rss_bytes, peak_rss_bytes } = one.usage()?;
        usage.cpu += cpu;
        usage.rss_bytes += rss_bytes;
        usage.peak_rss_bytes += peak_rss_bytes;
    }
    let switches = running.iter().filter_map(|one| process::context_switches(one.id()));
    let totals = sink.ledger().totals();
    Ok(Reading {
        usage,
        n_switches: switches.sum(),
        n_samples: totals.delivered,
        n_requests: totals.requests,
        wire_bytes: sink.body_bytes(),
    })
}

/// Measures one program; gives its figures, and what the fleet had to leave out.
pub(crate) async fn measure(program: &str, setting: &Setting) -> Result<(Figures, Vec<String>)> {
    say(&format!("{}: {program} starts", setting.name()));
    let parts = fleet::in_parts(setting.n_targets, setting.n_series, setting.gzip).await?;
    let sink = Sink::start().await?;
    let url = sink.url();
    let mut running = Vec::new();
    for part in &parts {
        let task = Task { groups: &part.groups, interval: setting.interval, gzip: setting.gzip, sink: &url };
        running.push(programs::start(program, &task).await?);
    }
    delivered_once(&running, &sink, setting).await?;
    settled(&sink, setting).await;
    say(&format!("{}: {program} is measured for {:?}", setting.name(), setting.measured));
    let before = read(&running, &sink)?;
    sleep(setting.measured).await;
    let after = read(&running, &sink)?;
    let n_samples = after.n_samples - before.n_samples;
    ensure!(n_samples > 0, "{program} delivered nothing in the measured time");
    let open = running.iter().filter_map(|one| process::descriptors(one.id()));
    let figures = Figures {
        program: program.to_owned(),
        n_samples,
        n_requests: after.n_requests - before.n_requests,
        wire_bytes: after.wire_bytes - before.wire_bytes,
        cpu: after.usage.cpu.saturating_sub(before.usage.cpu),
        n_switches: after.n_switches.saturating_sub(before.n_switches),
        peak_rss_bytes: after.usage.peak_rss_bytes,
        descriptors: open.fold(Descriptors::default(), Descriptors::plus),
    };
    let cost = figures.cpu_per_million();
    say(&format!("{}: {program} took {cost:.3} CPU s a million samples", setting.name()));
    let mut remarks = parts[0].remarks.clone();
    if parts.len() > 1 {
        remarks.insert(0, format!("shared by {} processes of each program", parts.len()));
    }
    Ok((figures, remarks))
}

/// Waits for an interval in which nothing is caught up or left behind; a program that has none of these is measured as it is.
async fn settled(sink: &Sink, setting: &Setting) {
    for _ in 0..MAX_SETTLING {
        let before = sink.ledger().totals().delivered;
        sleep(setting.interval).await;
        if setting.is_due(sink.ledger().totals().delivered - before, setting.interval) {
            return;
        }
    }
}

/// Waits until as many samples have arrived as all targets have. vmagent spreads first scrapes over the interval, and
/// Prometheus sends only when it has looked at its log.
pub(crate) async fn delivered_once(running: &[Running], sink: &Sink, setting: &Setting) -> Result<()> {
    let patience = setting.interval * 4 + START;
    let deadline = Instant::now() + patience;
    loop {
        let delivered = sink.ledger().totals().delivered;
        if delivered >= setting.n_active() {
            return Ok(());
        }
        running.iter().try_for_each(|one| one.usage().map(drop))?;
        ensure!(
            Instant::now() < deadline,
            "{delivered} of {} samples were delivered in the first {patience:?}; a longer --interval gives it more time",
            setting.n_active()
        );
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_scraped_in_the_time_is_due() {
        let setting = Setting {
            n_targets: 10,
            n_series: 20,
            gzip: true,
            interval: Duration::from_secs(15),
            measured: Duration::from_secs(60),
            programs: Vec::new(),
        };
        for (n_samples, is_kept) in [(719, false), (720, true), (1000, true), (1320, true), (1321, false)] {
            let figures = Figures { n_samples, ..Figures::default() };
            assert_eq!(setting.is_kept_by(&figures), is_kept, "{n_samples}");
        }
    }
}
