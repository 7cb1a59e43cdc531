//! How many requests should be under way at once, from what came in, what went out and what waits.
//!
//! As Prometheus calculates the number of its shards (`storage/remote/queue_manager.go`): enough to send what comes in
//! and, beside that, a twentieth of the backlog each second. Differs on purpose in this: the backlog is counted, not
//! estimated from the delay, and a change moves no series from one lane to another, so order is never at stake.

use std::time::Duration;

use crate::pace::Tally;

/// How often the number is calculated anew.
pub(crate) const TICK: Duration = Duration::from_secs(10);

/// Weight of the last tick in the averages.
const WEIGHT: f64 = 0.2;

/// Share of the backlog that should be sent in each second.
const BACKLOG_SHARE: f64 = 0.05;

/// A change of less than this share of the present number is not made.
const TOLERANCE: f64 = 0.3;

/// While what is sent is older than this, the number does not fall.
const MAX_DELAY_TO_SHRINK: Duration = Duration::from_secs(10);

/// Ticks without failures before the number is changed again.
const QUIET_TICKS: u32 = 2;

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Backlog {
    /// Points, records or spans, those under way included.
    pub(crate) n_items: u64,
    /// How long the oldest request has waited.
    pub(crate) delay: Duration,
}

/// Moving averages over ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parallelism {
    incoming: Option<f64>,
    outgoing: Option<f64>,
    busy: Option<f64>,
    n_waiting: u64,
    n_quiet_ticks: u32,
}

impl Parallelism {
    /// After a tick: the number of requests that should be under way at once, between `bounds`.
    pub(crate) fn tick(
        &mut self,
        tally: &Tally,
        backlog: &Backlog,
        current: usize,
        bounds: (usize, usize),
    ) -> usize {
        let seconds = TICK.as_secs_f64();
        let n_in = (tally.n_items + backlog.n_items).saturating_sub(self.n_waiting);
        self.n_waiting = backlog.n_items;
        let incoming = average(&mut self.incoming, n_in as f64 / seconds);
        let outgoing = average(&mut self.outgoing, tally.n_items as f64 / seconds);
        let busy = average(&mut self.busy, tally.busy.as_secs_f64() / seconds);
        self.n_quiet_ticks = if tally.n_failed > 0 { 0 } else { self.n_quiet_ticks.saturating_add(1) };
        let current = current.clamp(bounds.0, bounds.1);
        if self.n_quiet_ticks < QUIET_TICKS || tally.n_items == 0 || outgoing <= 0.0 {
            return current;
        }
        let needed = busy / outgoing * (incoming + BACKLOG_SHARE * backlog.n_items as f64);
        let is_close = (needed - current as f64).abs() <= TOLERANCE * current as f64;
        if is_close || (needed < current as f64 && backlog.delay > MAX_DELAY_TO_SHRINK) {
            return current;
        }
        // A number beyond the bounds is cut; `as` does the same for one beyond `usize`.
        (needed.ceil() as usize).clamp(bounds.0, bounds.1)
    }
}

fn average(average: &mut Option<f64>, value: f64) -> f64 {
    let next = average.map_or(value, |before| before + WEIGHT * (value - before));
    *average = Some(next);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: (usize, usize) = (1, 50);

    fn tally(n_items: u64, busy_seconds: u64) -> Tally {
        Tally { n_items, busy: Duration::from_secs(busy_seconds), n_failed: 0 }
    }

    fn backlog(n_items: u64, delay_seconds: u64) -> Backlog {
        Backlog { n_items, delay: Duration::from_secs(delay_seconds) }
    }

    /// The number after so many equal ticks.
    fn after(n_ticks: usize, tally: &Tally, backlog: &Backlog, first: usize) -> usize {
        let mut parallelism = Parallelism { n_waiting: backlog.n_items, ..Parallelism::default() };
        (0..n_ticks).fold(first, |current, _| parallelism.tick(tally, backlog, current, BOUNDS))
    }

    #[test]
    fn what_comes_in_sets_the_number_where_nothing_waits() {
        // 35 s of sending in 10 s.
        assert_eq!(after(3, &tally(100_000, 35), &backlog(0, 0), 1), 4);
        assert_eq!(after(3, &tally(100_000, 35), &backlog(0, 0), 9), 4);
    }

    #[test]
    fn a_backlog_raises_the_number_up_to_the_most() {
        // 100 items a second are sent by one request at a time; 12,000 wait.
        assert_eq!(after(3, &tally(1000, 10), &backlog(12_000, 120), 1), 7);
        assert_eq!(after(3, &tally(1000, 10), &backlog(1_000_000, 120), 1), 50);
    }

    #[test]
    fn small_changes_are_not_made_and_the_number_does_not_fall_while_behind() {
        assert_eq!(after(3, &tally(100_000, 50), &backlog(0, 0), 4), 4);
        assert_eq!(after(3, &tally(100_000, 10), &backlog(0, 11), 9), 9);
        assert_eq!(after(3, &tally(100_000, 10), &backlog(0, 9), 9), 1);
    }

    #[test]
    fn failures_and_silence_change_nothing_for_two_ticks() {
        let mut parallelism = Parallelism::default();
        let failing = Tally { n_failed: 1, ..tally(100_000, 35) };
        let quiet = backlog(0, 0);
        assert_eq!(parallelism.tick(&failing, &quiet, 2, BOUNDS), 2);
        assert_eq!(parallelism.tick(&tally(100_000, 35), &quiet, 2, BOUNDS), 2);
        assert_eq!(parallelism.tick(&tally(0, 0), &quiet, 2, BOUNDS), 2);
        assert_eq!(parallelism.tick(&tally(100_000, 35), &quiet, 2, BOUNDS), 3);
    }
}
