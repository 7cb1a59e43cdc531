//! Whether a sudden fall of a job's targets is believed.
//!
//! A source of discovery that was in trouble and answers again may know half of what it knew before: an API server that has
//! just been restored, a server whose own sources are not loaded yet. So a fall of more than half of a job's targets right
//! after a reconnect is held for a while (`sudden_fall_hold`), and believed when it has lasted that long. Nothing else is held:
//! targets that vanish while discovery is well are gone at once.

use std::time::Duration;

use tokio::time::Instant;

/// How long after trouble a fall is doubted.
pub(super) const RECENT: Duration = Duration::from_secs(60);

/// What is remembered of one job's discovery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    troubled_at: Option<Instant>,
    /// When the fall that is being held was seen first.
    falling_since: Option<Instant>,
}

impl Doubt {
    /// Discovery has a problem now.
    pub(super) fn trouble(&mut self, now: Instant) {
        self.troubled_at = Some(now);
    }

    /// Until when a fall from one number of targets to another is held; `None` when the new number is believed.
    pub(super) fn judge(
        &mut self,
        before: usize,
        after: usize,
        hold: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let is_fall = after < before - before / 2;
        let is_recent = self.troubled_at.is_some_and(|at| now < at + RECENT);
        if !is_fall || !(is_recent || self.falling_since.is_some()) {
            self.falling_since = None;
            return None;
        }
        let until = *self.falling_since.get_or_insert(now) + hold;
        if now < until {
            return Some(until);
        }
        *self = Self::default();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOLD: Duration = Duration::from_secs(30);

    #[test]
    fn only_a_fall_of_more_than_half_is_held() {
        for (before, after, is_held) in [
            (100, 50, false),
            (100, 49, true),
            (101, 51, false),
            (101, 50, true),
            (3, 2, false),
            (3, 1, true),
            (1, 0, true),
            (0, 0, false),
            (10, 20, false),
        ] {
            let mut doubt = Doubt::default();
            let now = Instant::now();
            doubt.trouble(now);
            assert_eq!(doubt.judge(before, after, HOLD, now).is_some(), is_held, "{before} to {after}");
        }
    }

    #[test]
    fn a_fall_is_believed_where_discovery_was_well_and_when_it_has_lasted() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        assert_eq!(doubt.judge(10, 0, HOLD, start), None, "nothing was wrong");
        doubt.trouble(start);
        assert_eq!(doubt.judge(10, 0, HOLD, start + RECENT), None, "that was long ago");

        doubt.trouble(start);
        assert_eq!(doubt.judge(10, 1, HOLD, start + 59 * SECOND), Some(start + 89 * SECOND));
        assert_eq!(doubt.judge(10, 2, HOLD, start + 88 * SECOND), Some(start + 89 * SECOND));
        assert_eq!(doubt.judge(10, 2, HOLD, start + 89 * SECOND), None);
        assert_eq!(doubt.judge(2, 0, HOLD, start + 90 * SECOND), None, "one doubt for one trouble");
    }

    #[test]
    fn a_fall_that_recovers_is_forgotten() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        doubt.trouble(start);
        assert!(doubt.judge(10, 1, HOLD, start).is_some());
        assert_eq!(doubt.judge(10, 9, HOLD, start + SECOND), None);
        assert_eq!(doubt.judge(10, 1, HOLD, start + 20 * SECOND), Some(start + 50 * SECOND));
    }

    #[test]
    fn without_a_hold_everything_is_believed() {
        let mut doubt = Doubt::default();
        let now = Instant::now();
        doubt.trouble(now);
        assert_eq!(doubt.judge(10, 0, Duration::ZERO, now), None);
    }
}
