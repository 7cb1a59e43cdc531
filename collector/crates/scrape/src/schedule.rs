//! When a target is scraped.
//!
//! As Prometheus `scrape`: a target has a fixed place in its interval, found from its identity and counted on
//! absolute time, so restarts keep the phase and targets spread evenly; a scrape that takes too long skips
//! ticks instead of running twice; timestamps snap to the tick when they are next to it, which makes deltas
//! constant.
//!
//! Different on purpose: every tick is computed anew from the wall clock, so the phase neither drifts nor is
//! lost when the clock is corrected.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Largest distance from the tick at which a timestamp still snaps to it; never more than a hundredth of the
/// interval.
const TOLERANCE: Duration = Duration::from_millis(2);

/// Where the wall clock's time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    pub(crate) fn at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Time from `earlier` to here; zero when it is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp(i64::try_from(self.0 / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// A target's ticks: all times that are `offset` modulo `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval: u64,
    offset: u64,
}

impl Schedule {
    /// `seed` is the same for all targets of a process and differs between replicas, so that they scrape the
    /// same target at different moments.
    pub(crate) fn new(target_hash: u64, seed: u64, interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { interval, offset: (target_hash ^ seed) % interval }
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The next tick: not before now, and after the last one. A last tick that lies further ahead than an
    /// interval means that the clock was set back; it does not count.
    pub(crate) fn next(&self, now: Tick, last: Option<Tick>) -> Tick {
        let earliest = match last {
            Some(last) if last.0 < now.0.saturating_add(self.interval) => now.0.max(last.0 + 1),
            _ => now.0,
        };
        let into = (earliest % self.interval + self.interval - self.offset) % self.interval;
        if into == 0 { Tick(earliest) } else { Tick(earliest.saturating_add(self.interval - into)) }
    }

    /// How many ticks passed unused between two that were used.
    pub(crate) fn n_skipped(&self, last: Tick, next: Tick) -> u64 {
        (next.0.saturating_sub(last.0) / self.interval).saturating_sub(1)
    }

    /// The time of a scrape that was due at `tick` and begins now.
    pub(crate) fn snap(&self, tick: Tick, now: Tick) -> Tick {
        let tolerance = (self.interval / 100).min(TOLERANCE.as_nanos() as u64);
        if now.0.abs_diff(tick.0) <= tolerance { tick } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn schedule(hash: u64) -> Schedule {
        Schedule::new(hash, 0, Duration::from_secs(10))
    }

    #[test]
    fn a_restart_keeps_the_phase() {
        let schedule = schedule(3 * SECOND);
        assert_eq!(schedule.next(Tick(100 * SECOND), None), Tick(103 * SECOND));
        assert_eq!(schedule.next(Tick(107 * SECOND), None), Tick(113 * SECOND));
        assert_eq!(schedule.next(Tick(113 * SECOND), None), Tick(113 * SECOND), "a tick may be now");
    }

    #[test]
    fn a_slow_scrape_skips_ticks() {
        let schedule = schedule(0);
        let last = Tick(100 * SECOND);
        assert_eq!(schedule.next(Tick(101 * SECOND), Some(last)), Tick(110 * SECOND));
        let next = schedule.next(Tick(121 * SECOND), Some(last));
        assert_eq!((next, schedule.n_skipped(last, next)), (Tick(130 * SECOND), 2));
    }

    #[test]
    fn waking_early_does_not_scrape_twice() {
        let schedule = schedule(0);
        let early = Tick(100 * SECOND - 400_000);
        assert_eq!(schedule.next(early, Some(Tick(100 * SECOND))), Tick(110 * SECOND));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_scraping() {
        let schedule = schedule(0);
        assert_eq!(schedule.next(Tick(500 * SECOND), Some(Tick(4000 * SECOND))), Tick(500 * SECOND));
    }

    #[test]
    fn timestamps_snap_to_the_tick_when_they_are_next_to_it() {
        let long = schedule(0);
        let tick = Tick(100 * SECOND);
        assert_eq!(long.snap(tick, Tick(tick.0 + 1_900_000)), tick);
        assert_eq!(long.snap(tick, Tick(tick.0 - 1_900_000)), tick);
        assert_eq!(long.snap(tick, Tick(tick.0 + 2_100_000)), Tick(tick.0 + 2_100_000));
        let short = Schedule::new(0, 0, Duration::from_millis(50));
        assert_eq!(
            short.snap(tick, Tick(tick.0 + 1_000_000)),
            Tick(tick.0 + 1_000_000),
            "a hundredth of the interval"
        );
    }

    #[test]
    fn targets_spread_over_the_interval_and_replicas_differ() {
        let offsets: Vec<u64> = (0..1000_u64)
            .map(|n| Schedule::new(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 7, Duration::from_secs(10)).offset)
            .collect();
        for tenth in 0..10 {
            let n = offsets.iter().filter(|offset| *offset / SECOND == tenth).count();
            assert!((60..140).contains(&n), "{n} of 1000 in second {tenth}");
        }
        let hash = 0x1234_5678_9abc_def0;
        assert_ne!(schedule(hash), Schedule::new(hash, 99, Duration::from_secs(10)));
    }
}
