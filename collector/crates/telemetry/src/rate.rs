//! Saying a repeated thing seldom.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one warning, or a few, through in each period and counts the others.
///
/// ```
/// use std::time::Duration;
/// use telemetry::RateLimited;
///
/// static REFUSED: RateLimited = RateLimited::every(Duration::from_secs(60));
/// if let Some(suppressed) = REFUSED.pass() {
///     tracing::warn!(suppressed, "data refused");
/// }
/// ```
#[derive(Debug)]
pub struct RateLimited {
    n_each: u32,
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the current period began, and how many lines were written in it.
    began: Option<Instant>,
    n_said: u32,
    suppressed: u64,
}

impl RateLimited {
    /// One line in each period.
    #[must_use]
    pub const fn every(period: Duration) -> Self {
        Self::burst(1, period)
    }

    /// This many lines in each period.
    #[must_use]
    pub const fn burst(n_each: u32, period: Duration) -> Self {
        Self { n_each, period, state: Mutex::new(State { began: None, n_said: 0, suppressed: 0 }) }
    }

    /// Whether the line may be written now; if so, how many were kept back since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    /// As [`Self::pass`], at a given time.
    pub fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_running = state.began.is_some_and(|began| now.saturating_duration_since(began) < self.period);
        if !is_running {
            (state.began, state.n_said) = (Some(now), 0);
        }
        if state.n_said >= self.n_each {
            state.suppressed += 1;
            return None;
        }
        state.n_said += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_line_tells_how_many_were_kept_back() {
        let limited = RateLimited::every(Duration::from_secs(10));
        let start = Instant::now();
        let at = |secs| limited.pass_at(start + Duration::from_secs(secs));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1), None);
        assert_eq!(at(9), None);
        assert_eq!(at(10), Some(2));
        assert_eq!(at(11), None);
        assert_eq!(at(30), Some(1));
    }
}
