//! Fleet and ledger side by side, over a window of time.
//!
//! Four questions per target: which scrapes were served and did not arrive (*lost*), where was a scrape due and nobody
//! came (*unscraped*), for how long did nobody own it, for how long did two. The first three are read from the
//! fleet's own book, so a scraper that reports nothing cannot look good; the last from the writers of `up`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::fleet::{Attempt, Behaviour, Fleet};
use crate::ledger::{Ledger, Target, Up};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First millisecond.
    pub from: i64,
    /// First millisecond after it.
    pub to: i64,
    /// How often every target is scraped.
    pub interval: Duration,
}

/// The answer for all targets.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Verdict {
    /// Targets of the fleet.
    pub targets: usize,
    /// Series of the fleet.
    pub series: u64,
    /// Samples that a single, punctual owner of every target would have delivered: `delivered` and `missing` together.
    pub expected: u64,
    /// Samples that were served in the window and arrived, each counted once.
    pub delivered: u64,
    /// Samples that should have arrived and did not: `lost` and `unscraped` together.
    pub missing: u64,
    /// Samples that were served and never arrived.
    pub lost: u64,
    /// Samples of scrapes that were due and were not made.
    pub unscraped: u64,
    /// Samples that arrived more than once, since the ledger began.
    pub duplicated: u64,
    /// Samples that arrived after newer ones of their series, since the ledger began.
    pub out_of_order: u64,
    /// Stale markers, since the ledger began.
    pub stale_markers: u64,
    /// Those on targets that never flap.
    pub stale_markers_on_steady_targets: u64,
    /// Samples whose value belongs to another series, since the ledger began.
    pub wrong_values: u64,
    /// The longest time that a scrape of some target was overdue.
    pub max_unowned_seconds: f64,
    /// The longest time in which two collectors scraped the same target.
    pub max_double_owned_seconds: f64,
    /// Targets that were overdue for longer than an interval, in words.
    pub unowned: Vec<String>,
    /// Targets that two collectors scraped for longer than an interval, in words.
    pub double_owned: Vec<String>,
    /// The first targets of which something was lost, left out, late or doubled, in words.
    pub blemishes: Vec<String>,
}

const MAX_BLEMISHES: usize = 40;

/// Everything known of one target.
#[derive(Clone, Copy)]
struct Story<'a> {
    attempts: &'a [Attempt],
    series: u32,
    series_at: &'a dyn Fn(u32) -> u32,
    arrived: &'a VecDeque<(u32, u32)>,
    ups: &'a VecDeque<Up>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    delivered: u64,
    lost: u64,
    surplus: u64,
    unscraped: u64,
    /// When the first lost scrape was served, and its number.
    first_lost: Option<(i64, u32)>,
    /// The scrape before the longest pause.
    before_pause: i64,
    unowned_ms: i64,
    double_ms: i64,
}

impl Window {
    /// How much longer than an interval nobody or two may own a target before it counts: clocks and schedulers
    /// are not exact.
    pub fn tolerance_ms(&self) -> i64 {
        self.interval_ms() / 10
    }

    fn interval_ms(&self) -> i64 {
        self.interval.as_millis().max(1) as i64
    }

    fn holds(&self, at: i64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// Compares what the fleet served in the window with what the ledger has. Ask again a little later while samples
/// may be under way: `lost` includes them.
pub fn verdict(fleet: &Fleet, ledger: &Ledger, window: Window) -> Verdict {
    let totals = ledger.totals();
    let mut verdict = Verdict {
        targets: fleet.targets().len(),
        series: fleet.series(),
        duplicated: totals.duplicated,
        out_of_order: totals.out_of_order,
        stale_markers: totals.stale_markers,
        wrong_values: totals.wrong_values,
        ..Verdict::default()
    };
    let (nothing_arrived, never_up) = (VecDeque::new(), VecDeque::new());
    for target in fleet.targets() {
        let known = ledger.target(&target.plan.job, &target.plan.instance);
        let account = account(
            &Story {
                attempts: &target.attempts(),
                series: target.plan.series,
                series_at: &|sequence| target.series_at(sequence),
                arrived: known.map_or(&nothing_arrived, |known| &known.arrived),
                ups: known.map_or(&never_up, |known| &known.ups),
            },
            &window,
        );
        verdict.add(&target.plan.instance, &account, &window);
        verdict.blemish(&target.plan.instance, &account, known);
        if target.plan.behaviour != Behaviour::Flapping {
            verdict.stale_markers_on_steady_targets += known.map_or(0, |known| known.stale_markers);
        }
    }
    verdict.missing = verdict.lost + verdict.unscraped;
    verdict.expected = verdict.delivered + verdict.missing;
    verdict
}

impl Verdict {
    fn add(&mut self, name: &str, account: &Account, window: &Window) {
        self.delivered += account.delivered;
        self.lost += account.lost;
        self.duplicated += account.surplus;
        self.unscraped += account.unscraped;
        let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
        self.max_unowned_seconds = self.max_unowned_seconds.max(seconds(account.unowned_ms));
        self.max_double_owned_seconds = self.max_double_owned_seconds.max(seconds(account.double_ms));
        let limit = window.interval_ms() + window.tolerance_ms();
        if account.unowned_ms > limit {
            self.unowned.push(format!("{name}: nobody for {:.1} s", seconds(account.unowned_ms)));
        }
        if account.double_ms > limit {
            self.double_owned.push(format!("{name}: two scrapers for {:.1} s", seconds(account.double_ms)));
        }
    }
}

impl Verdict {
    fn blemish(&mut self, name: &str, account: &Account, known: Option<&Target>) {
        let (out_of_order, duplicated) = known.map_or((0, 0), |known| (known.out_of_order, known.duplicated));
        let mut words = Vec::new();
        if let Some((at, sequence)) = account.first_lost {
            words.push(format!("{} samples lost, first of scrape {sequence} at {at}", account.lost));
        }
        if account.unscraped > 0 {
            words.push(format!("{} samples unscraped after {}", account.unscraped, account.before_pause));
        }
        if out_of_order > 0 {
            words.push(format!("{out_of_order} out of order"));
        }
        if duplicated > 0 {
            words.push(format!("{duplicated} duplicated"));
        }
        if !words.is_empty() && self.blemishes.len() < MAX_BLEMISHES {
            self.blemishes.push(format!("{name}: {}", words.join(", ")));
        }
    }
}

fn account(story: &Story<'_>, window: &Window) -> Account {
    let mut account = Account { double_ms: double_owned(story.ups, window), ..Account::default() };
    for attempt in story.attempts.iter().filter(|attempt| window.holds(attempt.at)) {
        let Some(sequence) = attempt.sequence else { continue };
        let served = (story.series_at)(sequence);
        let index = story.arrived.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
        let arrived = index.map_or(0, |index| story.arrived[index].1);
        if arrived < served {
            account.first_lost.get_or_insert((attempt.at, sequence));
        }
        account.delivered += u64::from(arrived.min(served));
        account.lost += u64::from(served.saturating_sub(arrived));
        account.surplus += u64::from(arrived.saturating_sub(served));
    }
    for (from, to) in pauses(story.attempts, window) {
        let overdue = to - from - window.interval_ms();
        if overdue > account.unowned_ms {
            (account.unowned_ms, account.before_pause) = (overdue, from);
        }
        // Rounded: a scrape half an interval late is late, one and a half intervals late means one was left out.
        let left_out = (overdue + window.interval_ms() / 2).div_euclid(window.interval_ms()).max(0);
        account.unscraped += left_out as u64 * u64::from(story.series);
    }
    account
}

/// Times between scrapes that touch the window. Its edges count as scrapes only where there is none beyond them.
fn pauses(attempts: &[Attempt], window: &Window) -> Vec<(i64, i64)> {
    let mut times = attempts.iter().map(|attempt| attempt.at).collect::<Vec<_>>();
    times.sort_unstable();
    let first = times.partition_point(|at| *at < window.from).saturating_sub(1);
    let after = times.partition_point(|at| *at < window.to);
    let mut times = times[first..after].to_vec();
    if times.first().is_none_or(|first| *first > window.from) {
        times.insert(0, window.from);
    }
    times.push(window.to);
    times.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The longest time in which two collectors both went on scraping: from the later one's first scrape to the earlier
/// one's last. Scrapes of one collector belong together while less than one and a half intervals lie between them.
fn double_owned(ups: &VecDeque<Up>, window: &Window) -> i64 {
    struct Tenure {
        collector: u16,
        first: i64,
        last: i64,
    }
    let mut tenures: Vec<Tenure> = Vec::new();
    let longest_pause = window.interval_ms() * 3 / 2;
    for up in ups.iter().filter(|up| window.holds(up.at)) {
        let goes_on =
            |tenure: &&mut Tenure| tenure.collector == up.collector && up.at - tenure.last < longest_pause;
        match tenures.iter_mut().rev().find(goes_on) {
            Some(tenure) => tenure.last = up.at,
            None => tenures.push(Tenure { collector: up.collector, first: up.at, last: up.at }),
        }
    }
    let pairs =
        tenures.iter().enumerate().flat_map(|(index, a)| tenures[index + 1..].iter().map(move |b| (a, b)));
    let overlaps = pairs.filter(|(a, b)| a.collector != b.collector);
    overlaps.map(|(a, b)| a.last.min(b.last) - a.first.max(b.first)).max().unwrap_or(0).max(0)
}
