//! How long to wait before the server is asked again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_millis(250);

/// Longest wait of our own.
const LONGEST: Duration = Duration::from_secs(30);

/// Longest wait that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Waits that double, each somewhere between half of itself and the whole.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    n_failures: u32,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.n_failures = 0;
    }

    /// The next wait. What the server asked for is obeyed, and spread over as much again up to a second, so that
    /// those who were sent away together do not come back together.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let whole = LONGEST.min(FIRST * 2_u32.pow(self.n_failures.min(10)));
        self.n_failures += 1;
        let own = between(whole / 2, whole);
        asked.map_or(own, |asked| {
            let asked = asked.min(LONGEST_ASKED);
            own.max(between(asked, asked + asked.min(Duration::from_secs(1))))
        })
    }
}

/// A time evenly spread between two. Good enough to keep many from marching in step.
pub(crate) fn between(least: Duration, most: Duration) -> Duration {
    // A fresh `RandomState` is keyed anew for every call.
    let bits = RandomState::new().build_hasher().finish();
    let fraction = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    least + (most - least).mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        for whole in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.next(None);
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_up_to_a_limit() {
        let asked = |seconds| Backoff::default().next(Some(Duration::from_secs(seconds))).as_secs_f64();
        assert!((7.0..=8.0).contains(&asked(7)));
        assert!((300.0..=301.0).contains(&asked(86_400)));
    }
}
