//! The largest request that the endpoint takes, as far as it has told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a size is held to. Then a whole request is tried again, as the endpoint may have been set up anew.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Learned from requests that were too large.
#[derive(Debug, Default)]
pub(super) struct KnownSize(Mutex<Option<(usize, Instant)>>);

impl KnownSize {
    /// The most bytes that a request should have.
    pub(super) fn most(&self) -> usize {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(_, at)| at.elapsed() < REMEMBERED).map_or(usize::MAX, |(most, _)| most)
    }

    /// A request of `too_large` bytes was too large: from now on three quarters of that are the most, so that the limit is found
    /// in a few steps and halves of what was refused are tried.
    pub(super) fn learn(&self, too_large: usize) -> usize {
        let most = self.most().min(too_large / 4 * 3);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((most, Instant::now()));
        most
    }
}
