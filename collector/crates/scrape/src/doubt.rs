//! Scrapes that are held back because nobody knows yet whose they are, see [`crate::Turn`].
//!
//! Answers are kept as they came, so that nothing that is known of the target's series depends on scrapes that may not be ours.
//! They share [`HELD_BYTES`]; what finds no room there is sent, because rather it comes twice than not at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::schedule::Tick;
use crate::{Fetched, ScrapeError};

/// Answers that all targets together hold back, as they came.
const HELD_BYTES: usize = 128 << 20;

/// Permits are for so many bytes; the least that an answer counts.
const UNIT: usize = 1 << 10;

/// The room that all targets share.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(HELD_BYTES / UNIT)))
    }

    /// Whether anything is held back.
    pub(crate) fn is_used(&self) -> bool {
        self.0.available_permits() < HELD_BYTES / UNIT
    }
}

/// A scrape that is held back.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) at: Tick,
    pub(crate) fetched: Result<Fetched, ScrapeError>,
    /// How long the target took to answer.
    pub(crate) took: Duration,
    /// Nothing where there was no room left.
    _room: Option<OwnedSemaphorePermit>,
}

/// What is held back of one target, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Doubt(VecDeque<Held>);

impl Doubt {
    /// Holds a scrape back. Whether there is room for that; where there is none, everything has to be sent.
    pub(crate) fn hold(
        &mut self,
        room: &Room,
        at: Tick,
        fetched: Result<Fetched, ScrapeError>,
        took: Duration,
    ) -> bool {
        let n_bytes = fetched.as_ref().map_or(0, |fetched| fetched.body.len());
        let n_units = u32::try_from(n_bytes / UNIT + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&room.0).try_acquire_many_owned(n_units).ok();
        let has_room = permit.is_some();
        self.0.push_back(Held { at, fetched, took, _room: permit });
        if !has_room {
            static FULL: telemetry::RateLimited = telemetry::RateLimited::burst(1, Duration::from_secs(60));
            if FULL.pass().is_some() {
                tracing::warn!(
                    "it is open for too long whose targets are, and HELD_BYTES ({HELD_BYTES}) are full: scrapes are sent that another scraper may send, too, until the allocator answers"
                );
            }
        }
        has_room
    }

    /// When the oldest scrape was due.
    pub(crate) fn oldest(&self) -> Option<Tick> {
        self.0.front().map(|held| held.at)
    }

    /// Takes the oldest scrape out.
    pub(crate) fn take(&mut self) -> Option<Held> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn answer(n_bytes: usize) -> Result<Fetched, ScrapeError> {
        Ok(Fetched { body: vec![0; n_bytes].into(), ..Fetched::default() })
    }

    #[test]
    fn all_targets_share_the_room_and_give_it_back() {
        let (room, at) = (Room::new(), Tick::at(SystemTime::UNIX_EPOCH));
        let (mut one, mut other) = (Doubt::default(), Doubt::default());
        assert!(!room.is_used());
        assert!(one.hold(&room, at, answer(HELD_BYTES - UNIT), Duration::ZERO));
        assert!(room.is_used());
        assert!(!other.hold(&room, at, answer(0), Duration::ZERO), "an empty answer counts, too");
        assert_eq!(other.oldest(), Some(at), "it is not lost");
        drop(one.take());
        assert!(!room.is_used());
        assert!(other.hold(&room, at, answer(0), Duration::ZERO));
    }
}
