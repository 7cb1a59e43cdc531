//! Keeping the assignment in a file: before it is answered where that matters, and else every few seconds.

use std::path::PathBuf;
use std::time::Duration;

use telemetry::error_chain;
use tokio::time::Instant;

use crate::kept::Kept;
use crate::members::LastPolls;
use crate::placement::Placement;

/// How often owners are written that would be found again without the file, or nearly.
const EVERY: Duration = Duration::from_secs(5);

/// The file, and what is in it.
pub(super) struct Keeping {
    path: PathBuf,
    written: Option<Kept>,
    /// The epoch in which it was written last.
    epoch: u64,
    /// When it may be written again although nothing urgent has changed.
    next: Option<Instant>,
    /// The last try failed and that was said.
    is_failing: bool,
}

impl Keeping {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, written: None, epoch: 0, next: None, is_failing: false }
    }

    /// What an earlier run left.
    pub(super) fn read(&self) -> Option<Kept> {
        Kept::read(&self.path).unwrap_or_else(|error| {
            let (path, error) = (self.path.display(), error_chain(&error));
            tracing::warn!(%path, error, "the assignment of the last run cannot be used and is left out (state_file)");
            None
        })
    }

    /// When [`Self::keep`] has something left to write.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Writes what changed. A failure is said once and changes nothing else: answers matter more than the file.
    pub(super) async fn keep(&mut self, placement: &Placement, polls: &LastPolls, now: Instant) {
        let kept = Kept::of(placement, polls);
        let is_urgent = self.written.as_ref().is_none_or(|written| written.is_behind(&kept));
        let is_new = placement.epoch != self.epoch && self.written.as_ref() != Some(&kept);
        if !is_urgent && !is_new {
            self.next = None;
            return;
        }
        let is_waiting = self.is_failing || !is_urgent;
        if is_waiting && now < *self.next.get_or_insert(now + EVERY) {
            return;
        }
        let path = self.path.clone();
        let writing = tokio::task::spawn_blocking(move || kept.write(&path).map(|()| kept));
        let outcome = writing.await.map_err(std::io::Error::other).and_then(|written| written);
        match outcome {
            Ok(kept) => {
                (self.written, self.epoch, self.next) = (Some(kept), placement.epoch, None);
                self.is_failing = false;
            }
            Err(error) => {
                if !self.is_failing {
                    let (path, error) = (self.path.display(), error_chain(&error));
                    tracing::warn!(%path, error, "the assignment cannot be kept; a restart would begin without it (state_file)");
                }
                self.is_failing = true;
                self.next = Some(now + EVERY);
            }
        }
    }
}
