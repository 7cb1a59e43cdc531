//! When a target is scraped.
//!
//! As Prometheus `scrape`: a target has a fixed place in its interval, found from its identity and counted on
//! absolute time, so restarts keep the phase and targets spread evenly; a scrape that takes too long skips
//! ticks instead of running twice; timestamps snap to the tick when they are next to it, which makes deltas
//! constant.
//!
//! Different on purpose: every tick is computed anew from the wall clock, so the phase neither drifts nor is
//! lost when the clock is corrected. Places are those of [`SLOTS`], not of every nanosecond: targets that share one are
//! scraped one behind the other, with a single wake-up and with code and branch predictions still in the caches, which costs a
//! fifth to a half less. Since they wait for each other, timestamps snap from farther away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Places in an interval.
const SLOTS: u64 = 64;

/// Largest distance from the tick at which a timestamp still snaps to it; never more than a hundredth of the
/// interval. Prometheus has 2 ms by default.
const TOLERANCE: Duration = Duration::from_millis(20);

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
        let slot = (interval / SLOTS).max(1);
        let place = (target_hash ^ seed) % interval;
        Self { interval, offset: place - place % slot }
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
        let schedule = schedule(5 * SECOND);
        assert_eq!(schedule.next(Tick(100 * SECOND), None), Tick(105 * SECOND));
        assert_eq!(schedule.next(Tick(107 * SECOND), None), Tick(115 * SECOND));
        assert_eq!(schedule.next(Tick(115 * SECOND), None), Tick(115 * SECOND), "a tick may be now");
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
        assert_eq!(long.snap(tick, Tick(tick.0 + 19_900_000)), tick);
        assert_eq!(long.snap(tick, Tick(tick.0 - 19_900_000)), tick);
        assert_eq!(long.snap(tick, Tick(tick.0 + 20_100_000)), Tick(tick.0 + 20_100_000));
        let short = Schedule::new(0, 0, Duration::from_millis(50));
        assert_eq!(
            short.snap(tick, Tick(tick.0 + 1_000_000)),
            Tick(tick.0 + 1_000_000),
            "a hundredth of the interval"
        );
    }

    fn offsets_of_a_thousand() -> Vec<u64> {
        (0..1000_u64)
            .map(|n| Schedule::new(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 7, Duration::from_secs(10)).offset)
            .collect()
    }

    #[test]
    fn targets_share_slots_about_evenly() {
        let mut n_of_slot = std::collections::BTreeMap::new();
        for offset in offsets_of_a_thousand() {
            assert_eq!(offset % (10 * SECOND / SLOTS), 0, "{offset} is not where a slot begins");
            *n_of_slot.entry(offset).or_insert(0) += 1;
        }
        assert_eq!(n_of_slot.len(), 64);
        assert!(n_of_slot.values().all(|n| (5..=30).contains(n)), "{n_of_slot:?}");
    }

    #[test]
    fn an_interval_of_less_than_the_slots_has_a_place_for_every_nanosecond() {
        assert_eq!(Schedule::new(7, 0, Duration::from_nanos(10)).offset, 7);
    }

    #[test]
    fn targets_spread_over_the_interval_and_replicas_differ() {
        let offsets = offsets_of_a_thousand();
        for tenth in 0..10 {
            let n = offsets.iter().filter(|offset| *offset / SECOND == tenth).count();
            assert!((60..140).contains(&n), "{n} of 1000 in second {tenth}");
        }
        let hash = 0x1234_5678_9abc_def0;
        assert_ne!(schedule(hash), Schedule::new(hash, 0xcbf2_9ce4_8422_2325, Duration::from_secs(10)));
    }
}
