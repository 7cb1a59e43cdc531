//! The segment log: requests on disk, in the order in which they were saved.
//!
//! A directory holds segments (`0000000007-5f3a91c2.seg`: number and salt), the file `cursor`, up to two files
//! `reserve-*` and `lock`. Segments are append-only, of one size, and their space is set aside when they are made. A
//! segment goes when every frame in it is done. What is opened again is never appended to: a new run begins a new segment.
//!
//! - [`Log::save`] returns for each request whether it would survive a loss of power from now on. When a sync fails, what was
//!   written since the last one counts as lost and the segment is not written again.
//! - [`Log::finish`] notes that a frame is done; [`Log::write_cursor`] makes that survive the death of the process, and with
//!   the next sync a loss of power.
//! - A damaged frame costs itself ([`Loss`]); how many frames and items are missing follows from the numbers in the frames
//!   beside it and in the cursor.
//! - Two segments are kept in reserve, for what is still in memory when the process ends on a full disk.
//!
//! Everything here blocks and belongs on a thread that may.

pub(crate) mod cursor;
pub(crate) mod frame;
pub(crate) mod pack;
pub(crate) mod segment;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use model::Timestamp;

use crate::storage::{Storage, StoredFile};
use crate::{Head, Request};
use cursor::{Cursor, CursorFile, Done};
use frame::{HEADER_BYTES, Header};
use pack::{Packed, Packer};
use segment::SegmentId;

/// Bytes of a slot of the cursor.
pub(crate) const SLOT_BYTES: usize = 64 << 10;

/// How many segments are kept in reserve.
const N_RESERVE: usize = 2;

/// Sizes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// Bytes of a segment; a larger frame gets a segment of its own size.
    pub(crate) segment_bytes: u64,
    /// Bytes that all segments together may take; the oldest one is dropped for a new one.
    pub(crate) max_bytes: u64,
    /// Bytes of a slot of the cursor.
    pub(crate) slot_bytes: usize,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
    /// Bytes of the frame.
    pub(crate) n_bytes: u64,
}

/// A request to be saved.
#[derive(Clone, Debug)]
pub(crate) struct Unsaved {
    pub(crate) run: u32,
    pub(crate) order: u64,
    pub(crate) shard: u32,
    pub(crate) pushed: Timestamp,
    pub(crate) request: Request,
}

/// A frame that was found when the log was opened.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) place: Place,
}

/// Frames that were on disk and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// First of their sequence numbers.
    pub first_seq: u64,
    /// Last of them.
    pub last_seq: u64,
    /// How many items they held, as far as that can be told; at most so many.
    pub n_items: u64,
    /// Time of an item that is not newer than they are.
    pub oldest: Option<Timestamp>,
    /// Time of an item that is not older than they are.
    pub newest: Option<Timestamp>,
    /// What is wrong.
    pub what: String,
}

impl Loss {
    /// One request.
    pub(crate) fn of(header: &Header, what: String) -> Self {
        Self::of_request(header.seq, &header.head, what)
    }

    /// One request, with what is known of it in memory.
    pub(crate) fn of_request(seq: u64, head: &Head, what: String) -> Self {
        let (oldest, newest) = (Some(head.oldest), Some(head.newest));
        Self { first_seq: seq, last_seq: seq, n_items: head.n_items, oldest, newest, what }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "?".to_owned(), |time| time.to_string());
        write!(
            f,
            "requests {} to {} ({} items, between {} and {} ms) are lost: {}",
            self.first_seq,
            self.last_seq,
            self.n_items,
            time(self.oldest),
            time(self.newest),
            self.what
        )
    }
}

/// What opening a log found.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Frames that are not done, in the order in which they were given to the queue.
    pub(crate) found: Vec<Found>,
    pub(crate) losses: Vec<Loss>,
    /// What a person should know: a damaged cursor, a segment that cannot be read.
    pub(crate) remarks: Vec<String>,
}

/// How saving went.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// For each request its place, or why it is not safe.
    pub(crate) outcomes: Vec<io::Result<Place>>,
    /// Segments that were dropped to stay within `max_bytes`.
    pub(crate) dropped: Vec<SegmentId>,
    /// Each sync's duration.
    pub(crate) syncs: Vec<std::time::Duration>,
}

/// The log, held by whoever writes it.
pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    options: LogOptions,
    run: u32,
    segments: BTreeMap<SegmentId, Segment>,
    active: Option<Active>,
    next_segment: u64,
    next_seq: u64,
    items: u64,
    done: Done,
    cursor: CursorFile,
    /// Whether the cursor has to be written.
    is_stale: bool,
    /// Segments in which nothing is left.
    leaving: Vec<SegmentId>,
    packer: Packer,
}

#[derive(Debug)]
struct Segment {
    n_bytes: u64,
    /// Frames that are not done.
    n_left: u64,
}

struct Active {
    id: SegmentId,
    file: Box<dyn StoredFile>,
    n_bytes: u64,
    n_used: u64,
    /// Written and not synced: which request, where.
    unsynced: Vec<(usize, Place)>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("place", &self.storage.place())
            .field("run", &self.run)
            .field("segments", &self.segments)
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens what is in a directory, or begins.
    pub(crate) fn open(storage: Arc<dyn Storage>, options: LogOptions) -> io::Result<(Self, Opened)> {
        let mut opened = Opened::default();
        let last = cursor::read(&*storage, options.slot_bytes).or_else(|error| match error.kind() {
            ErrorKind::InvalidData => {
                opened
                    .remarks
                    .push(format!("{error}: everything that is found is sent, also what was sent before"));
                Ok(None)
            }
            _ => Err(error),
        })?;
        let contents = Contents::read(&*storage, &mut opened.remarks)?;
        let known = last.clone().unwrap_or_default();
        opened.losses = contents.losses(last.as_ref());
        let mut segments = BTreeMap::new();
        for (id, segment) in contents.segments {
            let is_left = |frame: &&Found| !known.done.has(frame.header.seq);
            let n_left = segment.frames.iter().filter(is_left).count() as u64;
            if n_left == 0 && segment.is_whole {
                // It comes back at worst, and goes at the next start.
                let _removed = storage.remove(&id.name());
                continue;
            }
            let n_bytes = trimmed(&*storage, id, &segment);
            segments.insert(id, Segment { n_bytes, n_left });
            opened.found.extend(segment.frames.into_iter().filter(|frame| !known.done.has(frame.header.seq)));
        }
        opened.found.sort_by_key(|frame| frame.header.seq);
        let next_seq = contents.next_seq.max(known.next_seq);
        let mut done = Done::below(opened.found.first().map_or(next_seq, |first| first.header.seq));
        for pair in opened.found.windows(2) {
            done.insert_range(pair[0].header.seq + 1, pair[1].header.seq);
        }
        if let Some(last) = opened.found.last() {
            done.insert_range(last.header.seq + 1, next_seq);
        }
        let mut log = Self {
            cursor: CursorFile::new(&*storage, options.slot_bytes, last.as_ref()),
            run: contents.last_run.max(known.run) + 1,
            next_segment: contents.next_segment,
            segments,
            active: None,
            next_seq,
            items: contents.items.max(known.items),
            done,
            is_stale: true,
            leaving: Vec::new(),
            packer: Packer::default(),
            storage,
            options,
        };
        log.drop_copies(&mut opened.found);
        // The cursor's place is taken before any segment's; on a full disk that waits.
        if let Err(error) = log.write_cursor(true) {
            opened.remarks.push(format!("the cursor cannot be written: {error}"));
        }
        log.stock_reserve();
        Ok((log, opened))
    }

    /// Number of this run: one more than that of any frame before.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// Bytes that the segments take.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.n_bytes).sum()
    }

    /// Appends requests and syncs. With `is_last` the reserve may be used.
    pub(crate) fn save(&mut self, requests: &[Unsaved], is_last: bool) -> Saved {
        let mut saved = Saved { outcomes: Vec::with_capacity(requests.len()), ..Saved::default() };
        for (index, request) in requests.iter().enumerate() {
            if let Err(error) = self.append(index, request, is_last, &mut saved) {
                // What cannot be taken now need not be tried for each of the others.
                let again = || io::Error::new(error.kind(), error.to_string());
                saved.outcomes.extend(requests[index..].iter().map(|_| Err(again())));
                break;
            }
        }
        self.sync_active(&mut saved);
        saved
    }

    /// Notes that a frame is done. The segment of the last one goes as soon as the cursor says so.
    pub(crate) fn finish(&mut self, place: Place) {
        self.done.insert(place.seq);
        self.is_stale = true;
        let Some(segment) = self.segments.get_mut(&place.segment) else { return };
        segment.n_left = segment.n_left.saturating_sub(1);
        let is_active = self.active.as_ref().is_some_and(|active| active.id == place.segment);
        if segment.n_left == 0 && !is_active {
            self.leaving.push(place.segment);
        }
    }

    /// Writes which frames are done, and makes it survive a loss of power when asked to.
    ///
    /// Segments without anything left go with a cursor that is safe, so that they do not look lost after a crash; when the
    /// cursor cannot be written they go all the same, because it is space that is needed then.
    pub(crate) fn write_cursor(&mut self, sync: bool) -> io::Result<()> {
        let written = self.try_write_cursor(sync);
        if sync || written.is_err() {
            let leaving = std::mem::take(&mut self.leaving);
            let is_any = !leaving.is_empty();
            leaving.into_iter().for_each(|id| self.remove(id));
            if is_any {
                self.stock_reserve();
            }
        }
        written
    }

    fn try_write_cursor(&mut self, sync: bool) -> io::Result<()> {
        if self.is_stale {
            let mut cursor = Cursor {
                generation: 0,
                run: self.run,
                next_seq: self.next_seq,
                items: self.items,
                done: self.done.clone(),
            };
            self.cursor.write(&*self.storage, &mut cursor)?;
            self.is_stale = false;
        }
        if sync && let Err(error) = self.cursor.sync() {
            self.is_stale = true;
            return Err(error);
        }
        Ok(())
    }

    /// Whether everything that is known of done frames is on disk for good.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_stale && self.cursor.is_synced()
    }

    /// Brings frames into the order in which their requests were pushed. A request that had to be saved again has a later
    /// number than what came after it, and its first copy may be there too.
    fn drop_copies(&mut self, found: &mut Vec<Found>) {
        found.sort_by_key(|frame| (frame.header.run, frame.header.order, frame.header.seq));
        let is_copy = |pair: &[Found]| {
            let [one, two] = [pair[0].header, pair[1].header];
            (one.run, one.order) == (two.run, two.order)
        };
        let copies: Vec<Place> =
            found.windows(2).filter(|pair| is_copy(pair)).map(|pair| pair[0].place).collect();
        for place in copies {
            self.finish(place);
            found.retain(|frame| frame.place != place);
        }
    }

    fn append(
        &mut self,
        index: usize,
        unsaved: &Unsaved,
        is_last: bool,
        saved: &mut Saved,
    ) -> io::Result<()> {
        let payload = &unsaved.request.payload;
        let size = |n: usize| {
            u32::try_from(n)
                .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a request has 4 GiB or more"))
        };
        let mut header = Header {
            seq: self.next_seq,
            run: unsaved.run,
            order: unsaved.order,
            shard: unsaved.shard,
            items_before: self.items,
            pushed: unsaved.pushed,
            head: unsaved.request.head,
            packing: pack::PLAIN,
            n_packed: 0,
            packed_crc: 0,
            n_bytes: size(payload.len())?,
        };
        let fits = |log: &Self, packed: &Packed| {
            let n_frame = (HEADER_BYTES + packed.bytes.len()) as u64;
            log.active.as_ref().is_some_and(|active| active.n_used + n_frame <= active.n_bytes)
        };
        let mut packed = self.packer.pack(payload);
        if !fits(self, &packed) {
            // Frames lean on others of their own segment, so a new one begins with whole frames.
            self.packer.clear();
            packed = self.packer.pack(payload);
            self.begin_segment((HEADER_BYTES + packed.bytes.len()) as u64, is_last, saved)?;
        }
        (header.packing, header.n_packed) = (packed.packing, size(packed.bytes.len())?);
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("a segment that was begun is there"));
        };
        header.packed_crc = crc32c::crc32c_append(active.id.salt, &packed.bytes);
        let mut frame = Vec::with_capacity(HEADER_BYTES + packed.bytes.len());
        header.write(active.id.salt, &mut frame);
        frame.extend_from_slice(&packed.bytes);
        let place = Place {
            seq: self.next_seq,
            segment: active.id,
            offset: active.n_used,
            n_bytes: header.n_frame(),
        };
        if let Err(error) = active.file.write_at(active.n_used, &frame) {
            // Part of the frame may be there, and may be whole after a crash: its number is not used again.
            self.skip_frame(header.head.n_items);
            self.sync_active(saved);
            self.end_segment();
            return Err(error);
        }
        active.n_used += header.n_frame();
        active.unsynced.push((index, place));
        self.packer.placed(packed, place.offset);
        self.next_seq += 1;
        self.items += header.head.n_items;
        // The cursor says how far the log went, so that a missing end is noticed.
        self.is_stale = true;
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.n_left += 1;
        }
        // Replaced when the sync fails.
        saved.outcomes.push(Ok(place));
        Ok(())
    }

    fn skip_frame(&mut self, n_items: u64) {
        self.done.insert(self.next_seq);
        self.next_seq += 1;
        self.items += n_items;
        self.is_stale = true;
    }

    fn sync_active(&mut self, saved: &mut Saved) {
        let Some(active) = &mut self.active else { return };
        if active.unsynced.is_empty() {
            return;
        }
        let unsynced = std::mem::take(&mut active.unsynced);
        let began = std::time::Instant::now();
        let synced = active.file.sync();
        saved.syncs.push(began.elapsed());
        let Err(error) = synced else { return };
        self.end_segment();
        for (index, place) in unsynced {
            // The frame may be whole all the same: it is void, and the request will be saved under another number.
            self.finish(place);
            saved.outcomes[index] = Err(io::Error::new(error.kind(), format!("sync failed: {error}")));
        }
    }

    fn begin_segment(&mut self, n_frame: u64, is_last: bool, saved: &mut Saved) -> io::Result<()> {
        self.sync_active(saved);
        self.end_segment();
        let n_bytes = self.options.segment_bytes.max(n_frame);
        while self.n_bytes() + n_bytes > self.options.max_bytes {
            let Some(oldest) = self.segments.keys().next().copied() else { break };
            self.remove(oldest);
            saved.dropped.push(oldest);
        }
        let id = SegmentId { number: self.next_segment, salt: random() };
        let name = id.name();
        let made = self.storage.create(&name, n_bytes).or_else(|error| {
            if is_last && error.kind() == ErrorKind::StorageFull {
                self.take_reserve(&name)
            } else {
                Err(error)
            }
        });
        let file = made?;
        self.next_segment += 1;
        self.segments.insert(id, Segment { n_bytes, n_left: 0 });
        self.active = Some(Active { id, file, n_bytes, n_used: 0, unsynced: Vec::new() });
        Ok(())
    }

    /// Nothing more is written to the active segment.
    fn end_segment(&mut self) {
        let Some(active) = self.active.take() else { return };
        if self.segments.get(&active.id).is_some_and(|segment| segment.n_left == 0) {
            self.leaving.push(active.id);
        }
    }

    fn remove(&mut self, id: SegmentId) {
        if self.segments.remove(&id).is_none() {
            return;
        }
        if self.active.as_ref().is_some_and(|active| active.id == id) {
            self.active = None;
        }
        // A file that stays is removed at the next start, which finds it done.
        let _removed = self.storage.remove(&id.name());
    }

    fn stock_reserve(&self) {
        for index in 0..N_RESERVE {
            let name = reserve_name(index);
            if self.storage.open(&name).is_err() {
                // Without space there is no reserve; the next segment that goes makes some.
                let _made = self.storage.create(&name, self.options.segment_bytes);
            }
        }
    }

    fn take_reserve(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let mut outcome = Err(io::Error::new(ErrorKind::StorageFull, "no space, and the reserve is used up"));
        for index in 0..N_RESERVE {
            if self.storage.open(&reserve_name(index)).is_ok() {
                outcome =
                    self.storage.rename(&reserve_name(index), name).and_then(|()| self.storage.open(name));
                break;
            }
        }
        outcome
    }
}

fn reserve_name(index: usize) -> String {
    format!("reserve-{index}")
}

/// A number that others do not know.
fn random() -> u32 {
    // A fresh `RandomState` is keyed anew for every call.
    RandomState::new().build_hasher().finish() as u32
}

/// Gives back the space behind the last frame of a segment that will not be written again.
fn trimmed(storage: &dyn Storage, id: SegmentId, segment: &SegmentContents) -> u64 {
    let is_cut = segment.end < segment.n_bytes && segment.is_whole;
    let cut = is_cut && storage.open(&id.name()).and_then(|file| file.truncate(segment.end)).is_ok();
    if cut { segment.end } else { segment.n_bytes }
}

/// Reads one frame. `Err` with `InvalidData` when it, or the frame that it leans on, is damaged.
pub(crate) fn read_frame(storage: &dyn Storage, place: Place) -> io::Result<Request> {
    let file = storage.open(&place.segment.name())?;
    let salt = place.segment.salt;
    let (header, packed) = read_packed(&*file, salt, place.offset)?;
    if header.seq != place.seq {
        return Err(damaged("another one stands in its place"));
    }
    let read_base = |offset| match read_packed(&*file, salt, offset) {
        Ok((base, packed)) if base.packing == pack::WHOLE => Ok(packed),
        Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
        _ => Err(damaged("the one that it leans on is damaged")),
    };
    let payload = pack::unpack(header.packing, packed, read_base)?;
    Ok(Request { payload: Bytes::from(payload), head: header.head })
}

fn read_packed(file: &dyn StoredFile, salt: u32, offset: u64) -> io::Result<(Header, Vec<u8>)> {
    let mut bytes = [0; HEADER_BYTES];
    let n_read = file.read_at(offset, &mut bytes)?;
    let header = Header::read(&bytes[..n_read], salt).ok_or_else(|| damaged("its header is damaged"))?;
    let mut packed = vec![0; header.n_packed as usize];
    let n_read = file.read_at(offset.saturating_add(HEADER_BYTES as u64), &mut packed)?;
    if n_read < packed.len() {
        return Err(damaged("it is cut off"));
    }
    if crc32c::crc32c_append(salt, &packed) != header.packed_crc {
        return Err(damaged("its checksum does not match"));
    }
    Ok((header, packed))
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Everything that a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) segments: BTreeMap<SegmentId, SegmentContents>,
    /// One more than the last frame's number.
    next_seq: u64,
    next_segment: u64,
    last_run: u32,
    /// Items up to and with the last frame.
    items: u64,
}

#[derive(Debug)]
pub(crate) struct SegmentContents {
    pub(crate) n_bytes: u64,
    pub(crate) frames: Vec<Found>,
    /// Places without a readable frame, from byte to byte.
    pub(crate) holes: Vec<(u64, u64)>,
    pub(crate) end: u64,
    pub(crate) n_torn: u64,
    /// Whether the file could be read to its end.
    pub(crate) is_whole: bool,
}

impl Contents {
    pub(crate) fn read(storage: &dyn Storage, remarks: &mut Vec<String>) -> io::Result<Self> {
        let mut contents = Self::default();
        for (name, n_bytes) in storage.list()? {
            let Some(id) = SegmentId::parse(&name) else { continue };
            contents.next_segment = contents.next_segment.max(id.number + 1);
            let scanned = storage.open(&name).and_then(|file| segment::scan(&*file, n_bytes, id.salt));
            let (scan, is_whole) = match scanned {
                Ok(scan) => (scan, true),
                // Its owner removed it in the meantime.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    remarks.push(format!("segment {name} cannot be read and is left alone: {error}"));
                    (segment::Scan::default(), false)
                }
            };
            let found = |(offset, header): (u64, Header)| Found {
                place: Place { seq: header.seq, segment: id, offset, n_bytes: header.n_frame() },
                header,
            };
            let segment = SegmentContents {
                n_bytes,
                frames: scan.frames.into_iter().map(found).collect(),
                holes: scan.holes,
                end: scan.end,
                n_torn: scan.n_torn,
                is_whole,
            };
            for frame in &segment.frames {
                let header = &frame.header;
                contents.next_seq = contents.next_seq.max(header.seq + 1);
                contents.items = contents.items.max(header.items_before + header.head.n_items);
                contents.last_run = contents.last_run.max(header.run);
            }
            contents.segments.insert(id, segment);
        }
        Ok(contents)
    }

    /// Frames that were durable, are not done and cannot be found. Without a cursor only what is missing inside of a
    /// segment can be told from what was done.
    pub(crate) fn losses(&self, cursor: Option<&Cursor>) -> Vec<Loss> {
        let mut frames: Vec<&Found> = self.segments.values().flat_map(|segment| &segment.frames).collect();
        frames.sort_by_key(|frame| frame.header.seq);
        let mut losses = Vec::new();
        let mut before: Option<&Found> = None;
        for frame in &frames {
            losses.extend(gap(before, Some(frame), cursor));
            before = Some(frame);
        }
        losses.extend(gap(before, None, cursor));
        losses
    }
}

/// What is missing between two frames, or before the first, or behind the last.
fn gap(before: Option<&Found>, after: Option<&Found>, cursor: Option<&Cursor>) -> Option<Loss> {
    let known = cursor.cloned().unwrap_or_default();
    let first = before.map_or(known.done.low(), |before| before.header.seq + 1);
    let (end, items_at_end) = match after {
        Some(after) => (after.header.seq, after.header.items_before),
        None => (known.next_seq, known.items),
    };
    let is_one_segment =
        before.zip(after).is_some_and(|(before, after)| before.place.segment == after.place.segment);
    if first >= end || (cursor.is_none() && !is_one_segment) {
        return None;
    }
    let first = (first..end).find(|seq| !known.done.has(*seq))?;
    let last = (first..end).rev().find(|seq| !known.done.has(*seq))?;
    let items_at_first = before.map_or(0, |before| before.header.items_before + before.header.head.n_items);
    Some(Loss {
        first_seq: first,
        last_seq: last,
        n_items: if before.is_some() { items_at_end.saturating_sub(items_at_first) } else { 0 },
        oldest: before.map(|before| before.header.head.oldest),
        newest: after.map(|after| after.header.head.newest),
        what: if is_one_segment { "their place is damaged" } else { "their segment is missing or cut off" }
            .to_owned(),
    })
}
