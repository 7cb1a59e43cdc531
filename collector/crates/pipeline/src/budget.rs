//! So many a minute, and not more at once.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// A token bucket that holds what one minute brings. It is full in the beginning.
pub(crate) struct Budget {
    per_minute: u32,
    state: Mutex<(f64, Instant)>,
}

impl Budget {
    pub(crate) fn per_minute(per_minute: u32) -> Self {
        Self { per_minute, state: Mutex::new((f64::from(per_minute), Instant::now())) }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self) -> bool {
        let full = f64::from(self.per_minute);
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, seen) = *state;
        let left = (left + full * now.duration_since(seen).as_secs_f64() / 60.0).min(full);
        let is_there = left >= 1.0;
        *state = (if is_there { left - 1.0 } else { left }, now);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(budget: &Budget) -> usize {
        (0..1000).take_while(|_| budget.take()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_brings_the_whole_budget_and_never_more() {
        let budget = Budget::per_minute(60);
        assert_eq!(taken(&budget), 60);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(taken(&budget), 5);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(&budget), 60);
        assert_eq!(taken(&Budget::per_minute(0)), 0);
    }
}
