//! Answers that are large: measured before they are kept, and few of them at the same time.
//!
//! A target that never had a large answer may be out to harm. What comes beyond [`UNPROVEN_BYTES`] is therefore read, counted
//! and forgotten; if it ends within the limits, the target is asked once more, now that it is known how much room it needs.
//! From then on it has that room and a quarter more, until an answer is refused. The price is a second request in the first scrape
//! of a large target. Upstream keeps whatever comes.
//!
//! Bodies beyond that size share [`LARGE_BODIES_BYTES`], whatever the number of targets; who finds no room waits, within the
//! timeout of the scrape.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::{Fetch, FetchError, Fetched, Target};

/// Answers of up to this size are kept from anybody, also what smaller ones inflate to.
pub(crate) const UNPROVEN_BYTES: usize = 512 << 10;

/// Bodies larger than [`UNPROVEN_BYTES`] that are in memory at the same time, as they come. One that is larger than this has
/// it all for itself.
const LARGE_BODIES_BYTES: usize = 256 << 20;

/// Permits are for so many bytes.
const UNIT: usize = 64 << 10;

/// How large the answers of a target were, which is what it may have again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proven {
    /// As they come.
    pub(crate) wire: usize,
    /// After decompression.
    pub(crate) inflated: usize,
}

/// What may be kept of an answer, given how large one was before.
pub(crate) fn allowance(proven: usize) -> usize {
    proven.saturating_add(proven / 4).max(UNPROVEN_BYTES)
}

/// The room that large answers share.
#[derive(Debug)]
pub(crate) struct Large(Semaphore);

/// An answer and its share of the room.
pub(crate) struct Kept<'a> {
    pub(crate) fetched: Fetched,
    pub(crate) room: Option<SemaphorePermit<'a>>,
}

impl Large {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(LARGE_BODIES_BYTES / UNIT))
    }

    /// Asks a target whose answers had the size `proven` before. A size that was measured is noted there at once, so that a
    /// target that is too slow for two requests within one timeout has its room in the next scrape.
    pub(crate) async fn fetch(
        &self,
        fetch: &dyn Fetch,
        target: &Target,
        proven: &mut usize,
    ) -> Result<Kept<'_>, FetchError> {
        let deadline = Instant::now() + target.timeout;
        let first = self.fetch_into_room(fetch, target, allowance(*proven), deadline).await;
        match first {
            Err(FetchError::NotKept { size, .. }) => {
                *proven = size;
                self.fetch_into_room(fetch, target, allowance(size), deadline).await
            }
            other => other,
        }
    }

    async fn fetch_into_room(
        &self,
        fetch: &dyn Fetch,
        target: &Target,
        kept: usize,
        deadline: Instant,
    ) -> Result<Kept<'_>, FetchError> {
        let room = if kept > UNPROVEN_BYTES {
            let no_room = |_| FetchError::NoRoom { wanted: kept, limit: LARGE_BODIES_BYTES };
            Some(timeout_at(deadline, self.room(kept)).await.map_err(no_room)?)
        } else {
            None
        };
        Ok(Kept { fetched: fetch.fetch(target, kept).await?, room })
    }

    async fn room(&self, n_bytes: usize) -> SemaphorePermit<'_> {
        let n_units = n_bytes.min(LARGE_BODIES_BYTES).div_ceil(UNIT);
        let n_units = u32::try_from(n_units).expect("all of the room is a few thousand units");
        self.0.acquire_many(n_units).await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::{BoxFuture, join_all};

    use super::*;
    use crate::tests::{job, target};

    /// A target with answers of this size; notes what was to be kept, and how much was held at the same time.
    #[derive(Default)]
    struct Sized {
        size: usize,
        kept: Mutex<Vec<usize>>,
        held: AtomicUsize,
        most: AtomicUsize,
    }

    impl Fetch for Sized {
        fn fetch<'a>(&'a self, _: &'a Target, kept: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
            Box::pin(async move {
                self.kept.lock().unwrap().push(kept);
                if self.size > kept {
                    return Err(FetchError::NotKept { size: self.size, kept });
                }
                let held = self.held.fetch_add(self.size, Ordering::Relaxed) + self.size;
                self.most.fetch_max(held, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.held.fetch_sub(self.size, Ordering::Relaxed);
                Ok(Fetched::default())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_is_measured_then_kept_and_then_expected() {
        let target = target(&job(""), &[]);
        let large = Large::new();
        let fetch = Sized { size: 20 << 20, ..Sized::default() };
        let mut proven = 0;
        let too_short = Duration::from_millis(500);
        let first = tokio::time::timeout(too_short, large.fetch(&fetch, &target, &mut proven)).await;
        assert!(first.is_err(), "the second request takes a second");
        assert_eq!(proven, 20 << 20, "what was measured is remembered");
        large.fetch(&fetch, &target, &mut proven).await.ok().unwrap();
        assert_eq!(*fetch.kept.lock().unwrap(), [512 << 10, 25 << 20, 25 << 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn large_answers_wait_for_room_and_small_ones_do_not() {
        let target = target(&job(""), &[]);
        let large = Large::new();
        let fetch = Sized { size: 50 << 20, ..Sized::default() };
        // Each gives its room back at once, as one whose answer was digested does.
        let fetched = |_| async { large.fetch(&fetch, &target, &mut (50 << 20)).await.is_ok() };
        let all = join_all((0..20).map(fetched)).await;
        assert_eq!(all, [true; 20]);
        assert_eq!(fetch.most.load(Ordering::Relaxed), 200 << 20, "four at a time");
        let small = Sized { size: 100 << 10, ..Sized::default() };
        let _all_the_room = large.room(usize::MAX).await;
        large.fetch(&small, &target, &mut 0).await.ok().unwrap();
        let error = large.fetch(&fetch, &target, &mut (50 << 20)).await.err().unwrap().to_string();
        assert!(error.contains("LARGE_BODIES_BYTES (268435456)"), "{error}");
    }
}
