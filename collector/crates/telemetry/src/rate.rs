//! Saying a repeated thing seldom.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one warning through in each period and counts the others.
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
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    said: Option<Instant>,
    suppressed: u64,
}

impl RateLimited {
    /// One line in each period.
    #[must_use]
    pub const fn every(period: Duration) -> Self {
        Self { period, state: Mutex::new(State { said: None, suppressed: 0 }) }
    }

    /// Whether the line may be written now; if so, how many were kept back since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    /// As [`Self::pass`], at a given time.
    pub fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_too_soon = state.said.is_some_and(|said| now.saturating_duration_since(said) < self.period);
        if is_too_soon {
            state.suppressed += 1;
            return None;
        }
        state.said = Some(now);
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
