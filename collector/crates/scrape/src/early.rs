//! First scrapes ahead of the schedule.
//!
//! Different from Prometheus on purpose, and only where it is asked for: a target that is new waits there for its place in its
//! interval, up to a whole one. Here it is scraped at once, and at its places from then on, unless so many are new in the same
//! second that scraping them together would be a burst: a process that starts with ten thousand targets spreads them as Prometheus
//! does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::schedule::Tick;

/// How soon a target must have its first scrape; one whose place comes sooner waits for that.
pub(crate) const SOON: Duration = Duration::from_millis(500);

const SECOND: Duration = Duration::from_secs(1);

/// Counts the first scrapes that were let ahead.
#[derive(Debug)]
pub(crate) struct Early {
    per_second: usize,
    taken: Mutex<Taken>,
}

/// How many were let ahead in the second that began then.
#[derive(Debug)]
struct Taken {
    since: Instant,
    n: usize,
}

impl Early {
    /// So many a second at most; zero lets none ahead.
    pub(crate) fn new(per_second: usize) -> Self {
        Self { per_second, taken: Mutex::new(Taken { since: Instant::now(), n: 0 }) }
    }

    /// When a target has its first scrape that is due at `tick`.
    pub(crate) fn first(&self, now: Tick, tick: Tick) -> Tick {
        if tick.since(now) > SOON && self.has_room() { now } else { tick }
    }

    fn has_room(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.since.elapsed() >= SECOND {
            *taken = Taken { since: Instant::now(), n: 0 };
        }
        let has_room = taken.n < self.per_second;
        taken.n += usize::from(has_room);
        has_room
    }
}
