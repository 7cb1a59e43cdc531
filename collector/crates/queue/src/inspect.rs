//! What lies in the directory of a queue, read without touching it.

use std::io::{self, ErrorKind};
use std::path::Path;

use serde::Serialize;

use crate::log::cursor::{self, Cursor};
use crate::log::{Contents, Loss, SLOT_BYTES, SegmentContents, read_frame};
use crate::storage::{Files, Storage};

/// A directory, as `muster debug queue` shows it. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub directory: String,
    /// What the cursor says; `None` when there is none, or when it cannot be read (see `remarks`).
    pub cursor: Option<CursorReport>,
    /// By age, the oldest first.
    pub segments: Vec<SegmentReport>,
    /// Requests that are not done.
    pub requests: u64,
    /// Their points, records or spans.
    pub items: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Requests that were there and are not any more.
    pub losses: Vec<LossReport>,
    /// Everything else that is wrong.
    pub remarks: Vec<String>,
}

/// What the cursor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CursorReport {
    /// All requests below this number are done.
    pub done_below: u64,
    /// Ranges of requests above that are done, first to last.
    pub done: Vec<(u64, u64)>,
    /// Number of the next request when the cursor was written.
    pub next_seq: u64,
    /// How often it was written.
    pub generation: u64,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its file.
    pub name: String,
    /// Length of the file.
    pub bytes: u64,
    /// Bytes up to the end of the last request.
    pub used_bytes: u64,
    /// Requests in it.
    pub requests: u64,
    /// Those that are not done.
    pub waiting: u64,
    /// Points, records or spans in it.
    pub items: u64,
    /// First sequence number.
    pub first_seq: Option<u64>,
    /// Last sequence number.
    pub last_seq: Option<u64>,
    /// Time of the oldest item.
    pub oldest_ms: Option<i64>,
    /// Time of the newest item.
    pub newest_ms: Option<i64>,
    /// Places from byte to byte where no request can be read.
    pub holes: Vec<(u64, u64)>,
    /// Bytes behind the last request that are not zero: one that was not finished.
    pub torn_bytes: u64,
    /// Requests whose payload is damaged and that are not done.
    pub damaged: Vec<LossReport>,
}

/// Requests that are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossReport {
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number.
    pub last_seq: u64,
    /// At most so many points, records or spans.
    pub items: u64,
    /// No item is older, where that is known.
    pub oldest_ms: Option<i64>,
    /// No item is newer, where that is known.
    pub newest_ms: Option<i64>,
    /// What is wrong.
    pub what: String,
}

impl From<Loss> for LossReport {
    fn from(loss: Loss) -> Self {
        Self {
            first_seq: loss.first_seq,
            last_seq: loss.last_seq,
            items: loss.n_items,
            oldest_ms: loss.oldest.map(|time| time.millis()),
            newest_ms: loss.newest.map(|time| time.millis()),
            what: loss.what,
        }
    }
}

impl Inspection {
    /// Reads a directory, which may be in use.
    ///
    /// # Errors
    /// When it cannot be read, or holds nothing of a queue.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let files = Files::read_only(directory);
        if !files.list()?.iter().any(|(name, _)| name.ends_with(".seg") || name == "cursor" || name == "lock")
        {
            return Err(io::Error::new(ErrorKind::NotFound, "there is no sending queue in it"));
        }
        Self::read(&files, SLOT_BYTES)
    }

    pub(crate) fn read(storage: &dyn Storage, slot_bytes: usize) -> io::Result<Self> {
        let mut remarks = Vec::new();
        let mut read_cursor = || match cursor::read(storage, slot_bytes) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                remarks.push(error.to_string());
                Ok(None)
            }
            other => other,
        };
        // The first says what has to be there, the second what of that was done while the segments were read.
        let before = read_cursor()?;
        let mut of_segments = Vec::new();
        let contents = Contents::read(storage, &mut of_segments)?;
        let after = read_cursor()?;
        remarks.extend(of_segments);
        remarks.dedup();
        let cursor = before.zip(after).map(|(before, after)| Cursor { done: after.done, ..before });
        let known = cursor.clone().unwrap_or_default();
        let segments: Vec<SegmentReport> = contents
            .segments
            .iter()
            .map(|(id, segment)| SegmentReport::new(id.name(), segment, cursor.as_ref(), storage))
            .collect();
        let waiting = || {
            let frames = contents.segments.values().flat_map(|segment| &segment.frames);
            frames.filter(|frame| !known.done.has(frame.header.seq))
        };
        Ok(Self {
            directory: storage.place(),
            requests: waiting().count() as u64,
            items: waiting().map(|frame| frame.header.head.n_items).sum(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            losses: contents.losses(cursor.as_ref()).into_iter().map(LossReport::from).collect(),
            cursor: cursor.map(|cursor| CursorReport {
                done_below: cursor.done.low(),
                done: cursor.done.ranges().collect(),
                next_seq: cursor.next_seq,
                generation: cursor.generation,
            }),
            segments,
            remarks,
        })
    }

    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_whole = |segment: &SegmentReport| segment.holes.is_empty() && segment.damaged.is_empty();
        self.losses.is_empty() && self.remarks.is_empty() && self.segments.iter().all(is_whole)
    }
}

impl SegmentReport {
    fn new(name: String, segment: &SegmentContents, cursor: Option<&Cursor>, storage: &dyn Storage) -> Self {
        let headers = || segment.frames.iter().map(|frame| &frame.header);
        let is_done = |seq: u64| cursor.is_some_and(|cursor| cursor.done.has(seq));
        // What the cursor does not know of may be half written by now.
        let is_safe = |seq: u64| cursor.is_none_or(|cursor| seq < cursor.next_seq);
        let due =
            segment.frames.iter().filter(|frame| is_safe(frame.header.seq) && !is_done(frame.header.seq));
        let damaged = due.filter_map(|frame| match read_frame(storage, frame.place) {
            // It was done, and removed, in the meantime.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(LossReport::from(Loss::of(&frame.header, error.to_string()))),
            Ok(_) => None,
        });
        Self {
            name,
            bytes: segment.n_bytes,
            used_bytes: segment.end.min(segment.n_bytes),
            requests: segment.frames.len() as u64,
            waiting: headers().filter(|header| !is_done(header.seq)).count() as u64,
            items: headers().map(|header| header.head.n_items).sum(),
            first_seq: headers().map(|header| header.seq).min(),
            last_seq: headers().map(|header| header.seq).max(),
            oldest_ms: headers().map(|header| header.head.oldest.millis()).min(),
            newest_ms: headers().map(|header| header.head.newest.millis()).max(),
            holes: segment.holes.clone(),
            torn_bytes: segment.n_torn,
            damaged: damaged.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Timestamp;

    use super::*;
    use crate::disk::tests::{SMALL, options, request};
    use crate::storage::faulty::Faulty;
    use crate::{Limits, Queue};

    async fn filled(disk: &Faulty) -> Queue {
        let storage = Arc::new(disk.clone());
        let queue = Queue::open_with(1, Limits::default(), storage, options(), SMALL, Timestamp(0)).unwrap();
        for n in 10..19 {
            queue.push(0, request(n, 40)).unwrap();
        }
        assert!(queue.save_all().await);
        queue
    }

    #[tokio::test]
    async fn a_directory_in_use_is_read_as_it_is() {
        let disk = Faulty::default();
        let queue = filled(&disk).await;
        queue.pop(0).await.unwrap().done();
        assert!(queue.save_all().await);
        let seen = Inspection::read(&disk, SMALL.slot_bytes).unwrap();
        assert!(seen.is_sound(), "{seen:?}");
        assert_eq!((seen.requests, seen.items, seen.segments.len()), (8, 16, 3));
        let first = &seen.segments[0];
        assert_eq!(
            (first.first_seq, first.last_seq, first.requests, first.waiting),
            (Some(0), Some(3), 4, 3)
        );
        assert_eq!((first.oldest_ms, first.newest_ms, first.used_bytes), (Some(10), Some(13), 512));
        let cursor = seen.cursor.unwrap();
        assert_eq!((cursor.done_below, cursor.done, cursor.next_seq), (1, vec![], 9));
    }

    #[tokio::test]
    async fn damage_is_named_by_sequence_and_time() {
        let disk = Faulty::default();
        drop(filled(&disk).await);
        let names = disk.names(".seg");
        disk.damage(&names[0], |bytes| bytes[100] ^= 1);
        disk.damage(&names[1], |bytes| bytes[128 + 20] ^= 1);
        let seen = Inspection::read(&disk, SMALL.slot_bytes).unwrap();
        assert!(!seen.is_sound());
        assert_eq!(
            seen.segments[0].damaged.iter().map(|loss| (loss.first_seq, loss.oldest_ms)).collect::<Vec<_>>(),
            [(0, Some(10))]
        );
        assert_eq!(seen.segments[1].holes, [(128, 256)]);
        let loss = &seen.losses[0];
        assert_eq!((loss.first_seq, loss.last_seq, loss.items), (5, 5, 2));
        assert_eq!((loss.oldest_ms, loss.newest_ms), (Some(14), Some(16)));
        disk.damage("cursor", |bytes| bytes.fill(7));
        let seen = Inspection::read(&disk, SMALL.slot_bytes).unwrap();
        assert_eq!((seen.cursor.is_some(), seen.remarks.len()), (false, 1));
    }
}
