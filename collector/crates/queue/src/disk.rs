//! What makes a queue survive: which requests are saved, when, and what becomes of those that are not in memory.
//!
//! Memory comes first. A request that is acknowledged within [`MIN_AGE`] never touches the disk; what is still there is
//! saved, together with all others, every [`SAVE_EVERY`], and synced. So the death of the process costs at most what was
//! pushed in the last 200 ms (the sum of the two, and 50 ms for the disk), and nothing is sent twice except what was in flight, because acknowledgements of
//! saved requests are written at once. A loss of power costs the same, and can send again what was acknowledged since
//! the last sync.
//!
//! What is safe leaves memory when more than `memory_bytes` are there, the newest first, and is read again when its turn comes.
//! While the disk refuses, everything stays in memory, up to `max_memory_bytes`; beyond that the oldest is dropped.
//!
//! No lock is held while the disk works: a round collects under the lock, works without it, and commits under it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use model::Timestamp;
use telemetry::RateLimited;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::limits::{Full, TooLarge, Weight};
use crate::log::segment::SegmentId;
use crate::log::{Log, LogOptions, Opened, Place, SLOT_BYTES, Saved, Unsaved, read_frame};
use crate::queue::{Entry, InFlight, Inner, Reason, State};
use crate::storage::Storage;
use crate::{Limits, Loss, Meters, Queue, Request, Sizer};

/// Requests that are acknowledged faster are not saved.
pub(crate) const MIN_AGE: Duration = Duration::from_millis(50);

/// Time between two rounds of saving.
pub(crate) const SAVE_EVERY: Duration = Duration::from_millis(100);

/// How long after a refusal the disk is asked again.
const RETRY_DISK: Duration = Duration::from_secs(1);

/// How often a request is read that the disk fails to read, before it counts as damaged.
const MAX_READS: u32 = 3;

/// Time that an end gives to the endpoint when everything is on disk already.
const SAVED_DRAIN: Duration = Duration::from_secs(2);

/// Sizes of segments.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=8 << 20;

/// Shortest time over which growth is measured.
const GROWTH_WINDOW: Duration = Duration::from_secs(10);

/// How a queue uses its directory.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Whose queue it is, for messages: "exporter `x`".
    pub owner: String,
    /// Bytes that the requests may take on disk; then the oldest are dropped.
    pub max_bytes: u64,
    /// How old a request may become; then it is dropped.
    pub max_age: Option<Duration>,
    /// Bytes of requests that stay in memory although they are on disk.
    pub memory_bytes: u64,
    /// Bytes of requests that may wait in memory alone while the disk refuses; then the oldest are dropped.
    pub max_memory_bytes: u64,
    /// Where it counts.
    pub meters: Meters,
}

/// Why a queue gave something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// `max_bytes`: the disk holds as much as it may.
    MaxBytes,
    /// `max_age`: too old.
    MaxAge,
    /// `max_memory_bytes`: the disk refuses and memory holds as much as it may.
    MaxMemoryBytes,
    /// It was on disk and cannot be read.
    Damaged,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MaxBytes, Self::MaxAge, Self::MaxMemoryBytes, Self::Damaged];

    /// The word in metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxBytes => "max_bytes",
            Self::MaxAge => "max_age",
            Self::MaxMemoryBytes => "max_memory_bytes",
            Self::Damaged => "damaged",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Items since the queue was opened. What was pushed and found is done, dropped, or still here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Taken from producers.
    pub pushed: u64,
    /// Found on disk, or found missing there.
    pub found: u64,
    /// Acknowledged by whoever popped them.
    pub done: u64,
    /// Given up, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

impl Tally {
    pub(crate) fn left(&mut self, dropped: Option<Dropped>, n_items: u64) {
        match dropped {
            None => self.done += n_items,
            Some(reason) => self.dropped[reason as usize] += n_items,
        }
    }
}

/// The disk of a queue.
pub(crate) struct Disk {
    options: DiskOptions,
    storage: Arc<dyn Storage>,
    log: Mutex<Log>,
    /// There is something to save, or to note as done.
    work: Notify,
    drops: RateLimited,
    damages: RateLimited,
}

/// What the state of a queue holds because of its disk.
#[derive(Default)]
pub(crate) struct OnDisk {
    /// Requests that are in memory alone, with their shards.
    unsaved: BTreeMap<u64, usize>,
    unsaved_bytes: u64,
    /// Bytes of payloads in memory.
    pub(crate) resident_bytes: u64,
    /// Saved requests that are done, and what is to be noted of them.
    finished: Vec<Place>,
    /// Bytes of frames that are not done.
    saved_bytes: u64,
    /// Segments up to this one were dropped.
    dropped_to: Option<SegmentId>,
    /// Why the disk refuses, and when it is asked again.
    trouble: Option<(String, Instant)>,
    /// Bytes on disk at an earlier time, and how much they grew a second up to then.
    growth: Option<(Instant, u64, f64)>,
}

impl OnDisk {
    /// Says whether it is the first one.
    pub(crate) fn note_unsaved(&mut self, number: u64, shard: usize, n_bytes: u64) -> bool {
        self.unsaved_bytes += n_bytes;
        self.unsaved.insert(number, shard);
        self.unsaved.len() == 1
    }

    pub(crate) fn forget_unsaved(&mut self, number: u64, n_bytes: u64) {
        if self.unsaved.remove(&number).is_some() {
            self.unsaved_bytes -= n_bytes;
        }
    }

    /// A request left the queue. Where it was saved, the log has to hear of it.
    pub(crate) fn finish(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.saved_bytes = self.saved_bytes.saturating_sub(place.n_bytes);
            self.finished.push(place);
        }
    }
}

/// What one round writes.
pub(crate) struct Job {
    requests: Vec<Unsaved>,
    /// Number and shard of each.
    numbers: Vec<(u64, usize)>,
    finished: Vec<Place>,
}

/// What a round did.
pub(crate) struct Work {
    saved: Saved,
    numbers: Vec<(u64, usize)>,
    cursor: io::Result<()>,
}

/// What a round is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// To note what is done, without a sync.
    Note,
    /// To save what is older than [`MIN_AGE`], and sync.
    Save,
    /// To save everything, from the reserve if need be, and sync.
    Last,
}

/// How reading went.
pub(crate) enum Loaded {
    Ready(InFlight),
    /// It was dropped, or damaged.
    Gone,
    /// The disk may be able to read it later.
    Later(InFlight, io::Error),
}

impl Queue {
    /// A queue that keeps its requests in `storage`, with what an earlier one left there. Blocks.
    ///
    /// What was left is sent before anything new, in the order in which it came: the earlier queue may have had other shards.
    ///
    /// # Errors
    /// When the directory cannot be read. A full disk is no error.
    pub fn open(
        n_shards: usize,
        limits: Limits,
        storage: Arc<dyn Storage>,
        options: DiskOptions,
    ) -> io::Result<Self> {
        let capacity = storage.space().map_or(options.max_bytes, |space| space.total.min(options.max_bytes));
        let log_options = LogOptions {
            segment_bytes: (capacity / 16).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end()),
            max_bytes: options.max_bytes,
            slot_bytes: SLOT_BYTES,
        };
        Self::open_with(n_shards, limits, storage, options, log_options, Timestamp::from(SystemTime::now()))
    }

    pub(crate) fn open_with(
        n_shards: usize,
        limits: Limits,
        storage: Arc<dyn Storage>,
        options: DiskOptions,
        log_options: LogOptions,
        wall: Timestamp,
    ) -> io::Result<Self> {
        let (log, opened) = Log::open(Arc::clone(&storage), log_options)?;
        report(&options, &*storage, &opened);
        let run = log.run();
        let disk = Disk {
            options,
            storage,
            log: Mutex::new(log),
            work: Notify::new(),
            drops: RateLimited::every(Duration::from_secs(30)),
            damages: RateLimited::burst(20, Duration::from_secs(60)),
        };
        let queue = Self::with(n_shards, limits, Some(disk), run);
        queue.take_over(&opened, wall);
        Ok(queue)
    }

    /// Puts what was found into the lines.
    fn take_over(&self, opened: &Opened, wall: Timestamp) {
        let n_shards = self.n_shards();
        let mut state = self.inner.lock();
        let now = Instant::now();
        for (number, found) in opened.found.iter().enumerate() {
            let header = &found.header;
            let age = u64::try_from(wall.millis().saturating_sub(header.pushed.millis())).unwrap_or(0);
            let weight = Weight { requests: 1, items: header.head.n_items, bytes: u64::from(header.n_bytes) };
            state.tally.found += weight.items;
            state.on_disk.saved_bytes += found.place.n_bytes;
            state.add(
                header.shard as usize % n_shards,
                Entry {
                    number: number as u64,
                    run: header.run,
                    order: header.order,
                    home: header.shard,
                    pushed: now.checked_sub(Duration::from_millis(age)).unwrap_or(now),
                    weight,
                    request: Request { payload: Bytes::new(), head: header.head },
                    is_resident: false,
                    place: Some(found.place),
                },
            );
        }
        let n_lost: u64 = opened.losses.iter().map(|loss| loss.n_items).sum();
        state.tally.found += n_lost;
        state.tally.dropped[Dropped::Damaged as usize] += n_lost;
    }

    /// Items since the queue was opened.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.inner.lock().tally
    }

    /// Bytes of requests on disk that are not done, 0 without a disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.inner.lock().on_disk.saved_bytes
    }

    /// Bytes of requests in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.inner.lock().on_disk.resident_bytes
    }

    /// Whether the disk takes what it is given; `None` without a disk.
    #[must_use]
    pub fn is_disk_usable(&self) -> Option<bool> {
        self.inner.disk.as_ref()?;
        Some(self.inner.lock().on_disk.trouble.is_none())
    }

    /// Seconds until the disk is full if it goes on as in the last while; `None` while it does not grow.
    #[must_use]
    pub fn seconds_to_full(&self) -> Option<f64> {
        let disk = self.inner.disk.as_ref()?;
        let mut state = self.inner.lock();
        let (used, now) = (state.on_disk.saved_bytes, Instant::now());
        let (since, before, mut a_second) = state.on_disk.growth.unwrap_or((now, used, 0.0));
        let window = now.saturating_duration_since(since);
        if state.on_disk.growth.is_none() {
            state.on_disk.growth = Some((now, used, 0.0));
        } else if window >= GROWTH_WINDOW {
            a_second = (used as f64 - before as f64) / window.as_secs_f64();
            state.on_disk.growth = Some((now, used, a_second));
        }
        drop(state);
        let free = disk.storage.space().map_or(u64::MAX, |space| space.free);
        let left = disk.options.max_bytes.saturating_sub(used).min(free);
        (a_second > 0.0).then(|| left as f64 / a_second)
    }

    /// Saves what has to be saved, until it is dropped. Does nothing without a disk.
    pub async fn keep(&self) {
        let Some(disk) = &self.inner.disk else { return };
        let mut next_save = Instant::now();
        loop {
            let round = self.inner.next_round(next_save);
            match round {
                Some(round) => {
                    if round == Round::Save {
                        next_save = Instant::now() + SAVE_EVERY;
                    }
                    self.run_round(round).await;
                }
                // Whatever waits becomes due, or too old, sooner or later.
                None if self.inner.is_idle() => {
                    let _ = tokio::time::timeout(RETRY_DISK, disk.work.notified()).await;
                }
                None => {
                    let _ = tokio::time::timeout_at(next_save, disk.work.notified()).await;
                }
            }
        }
    }

    /// Saves everything now. Says whether everything is safe. Without a disk nothing is.
    pub async fn save_all(&self) -> bool {
        if self.inner.disk.is_none() {
            return self.is_empty();
        }
        self.run_round(Round::Last).await;
        // What was acknowledged meanwhile.
        self.run_round(Round::Last).await;
        self.inner.lock().on_disk.unsaved.is_empty()
    }

    /// Gives the directory up. Nothing may be done with the queue afterwards.
    pub fn release(&self) {
        if let Some(disk) = &self.inner.disk {
            disk.storage.release();
        }
    }

    /// Takes nothing any more and waits until everything was acknowledged, but not longer than `within`. What can be saved is
    /// saved first; where that is all, there is no reason to wait long for an endpoint that does not answer.
    pub async fn save_and_drain(&self, within: Duration) {
        self.close();
        let within = if self.save_all().await { within.min(SAVED_DRAIN) } else { within };
        // Whether time ran out shows in what is left.
        let _ = tokio::time::timeout(within, self.wait_until_empty()).await;
    }

    async fn run_round(&self, round: Round) {
        let inner = Arc::clone(&self.inner);
        let now = Instant::now();
        // The work is not given up when this future is, so what it wrote is always committed.
        let work =
            tokio::task::spawn_blocking(move || inner.round(round, now, Timestamp::from(SystemTime::now())));
        if let Err(error) = work.await
            && error.is_panic()
        {
            error!(%error, "saving the sending queue panicked");
        }
    }

    /// Reads a request that is on disk alone. `None` when it is gone, or given back.
    pub(crate) async fn load(&self, taken: InFlight) -> Option<InFlight> {
        let mut taken = taken;
        let mut n_reads = 0;
        loop {
            let (Some(disk), Some(place)) = (&self.inner.disk, taken.place()) else { return None };
            let storage = Arc::clone(&disk.storage);
            // It fails only when the runtime ends; then the request goes back.
            let read = tokio::task::spawn_blocking(move || read_frame(&*storage, place)).await.ok()?;
            n_reads += 1;
            match self.inner.loaded(taken, read, n_reads >= MAX_READS) {
                Loaded::Ready(loaded) => return Some(loaded),
                Loaded::Gone => return None,
                Loaded::Later(back, error) => {
                    if let Some(suppressed) = disk.damages.pass() {
                        warn!(owner = disk.options.owner, %error, suppressed, "a request on disk cannot be read now");
                    }
                    tokio::time::sleep(RETRY_DISK).await;
                    taken = back;
                }
            }
        }
    }
}

fn report(options: &DiskOptions, storage: &dyn Storage, opened: &Opened) {
    let (owner, directory) = (&options.owner, storage.place());
    for remark in &opened.remarks {
        warn!(owner, directory, "{remark}");
    }
    for loss in &opened.losses {
        options.meters.dropped(Dropped::Damaged, loss.n_items);
        error!(owner, directory, "{loss}");
    }
    let items: u64 = opened.found.iter().map(|found| found.header.head.n_items).sum();
    options.meters.recovered.inc_by(items);
    if items > 0 {
        info!(
            owner,
            directory,
            requests = opened.found.len(),
            items,
            "the sending queue continues where it was left"
        );
    }
}

impl Disk {
    /// Drops the oldest of what is in memory alone, until there is room. What is in flight stays.
    pub(crate) fn make_room_in_memory(&self, state: &mut State, n_bytes: u64) -> Result<(), Reason> {
        let limit = self.options.max_memory_bytes;
        if n_bytes > limit {
            return Err(TooLarge { sizer: Sizer::Bytes, size: n_bytes, limit }.into());
        }
        if state.on_disk.unsaved_bytes + n_bytes <= limit {
            return Ok(());
        }
        let numbers: Vec<(u64, usize)> =
            state.on_disk.unsaved.iter().map(|(n, shard)| (*n, *shard)).collect();
        for (number, shard) in numbers {
            if state.on_disk.unsaved_bytes + n_bytes <= limit {
                return Ok(());
            }
            if let Ok(index) = state.shards[shard].binary_search_by_key(&number, |entry| entry.number) {
                self.drop_waiting(state, shard, index, Dropped::MaxMemoryBytes);
            }
        }
        let used = state.on_disk.unsaved_bytes;
        if used + n_bytes <= limit { Ok(()) } else { Err(Full { sizer: Sizer::Bytes, used, limit }.into()) }
    }

    /// Drops a request that waits. Says whether that lets the next run begin.
    fn drop_waiting(&self, state: &mut State, shard: usize, index: usize, reason: Dropped) -> bool {
        let Some(entry) = state.shards[shard].remove(index) else { return false };
        let begins_run = state.leave(entry.number, entry.run, &entry.weight, entry.is_resident);
        state.on_disk.finish(entry.place);
        state.tally.left(Some(reason), entry.weight.items);
        self.count(state, reason, &entry.request, entry.weight.items);
        begins_run
    }

    /// Counts and logs what is given up.
    fn count(&self, state: &State, reason: Dropped, request: &Request, n_items: u64) {
        self.options.meters.dropped(reason, n_items);
        if let Some(suppressed) = self.drops.pass() {
            let (oldest, newest) = (request.head.oldest, request.head.newest);
            let trouble = state.on_disk.trouble.as_ref().map(|(text, _)| text);
            error!(
                owner = self.options.owner, limit = reason.as_str(), dropped_items = n_items, %oldest, %newest, suppressed,
                disk = trouble, "Dropping data: the sending queue met a limit"
            );
        }
    }
}

impl Inner {
    pub(crate) fn wake_keeper(&self) {
        if let Some(disk) = &self.disk {
            disk.work.notify_one();
        }
    }

    /// What is to be done now.
    fn next_round(&self, next_save: Instant) -> Option<Round> {
        let disk = self.disk.as_ref()?;
        // The log is locked only by rounds, which do not overlap with this.
        let is_settled = disk.log.try_lock().is_ok_and(|log| log.is_settled());
        let state = self.lock();
        let now = Instant::now();
        let can_save = !state.on_disk.unsaved.is_empty()
            && state.on_disk.trouble.as_ref().is_none_or(|(_, retry_at)| now >= *retry_at);
        let is_expiring = disk.options.max_age.is_some() && state.used.requests > 0;
        let has_finished = !state.on_disk.finished.is_empty();
        if now >= next_save && (can_save || has_finished || !is_settled || is_expiring) {
            return Some(Round::Save);
        }
        has_finished.then_some(Round::Note)
    }

    /// Whether nothing becomes due by the passing of a round.
    fn is_idle(&self) -> bool {
        let Some(disk) = &self.disk else { return true };
        let is_settled = disk.log.try_lock().is_ok_and(|log| log.is_settled());
        let state = self.lock();
        is_settled
            && state.on_disk.finished.is_empty()
            && (state.on_disk.unsaved.is_empty() || state.on_disk.trouble.is_some())
    }

    /// Collects, works, commits. Blocks.
    pub(crate) fn round(&self, round: Round, now: Instant, wall: Timestamp) {
        let Some(disk) = &self.disk else { return };
        // What panicked left a log that was between two steps; each of them is safe to stop after.
        let mut log = disk.log.lock().unwrap_or_else(PoisonError::into_inner);
        let job = self.collect(round, now, wall);
        let work = work(&mut log, job, round);
        let begins_run = self.commit(work, now);
        drop(log);
        let is_empty = self.lock().used.requests == 0;
        self.tell_of_departure(is_empty, begins_run);
    }

    /// First part of a round: what it is to write.
    pub(crate) fn collect(&self, round: Round, now: Instant, wall: Timestamp) -> Job {
        let mut job = Job { requests: Vec::new(), numbers: Vec::new(), finished: Vec::new() };
        let Some(disk) = &self.disk else { return job };
        let mut state = self.lock();
        if round != Round::Note {
            let begins_run = expire(disk, &mut state, now);
            if begins_run {
                self.tell_of_departure(false, true);
            }
        }
        job.finished = std::mem::take(&mut state.on_disk.finished);
        let is_refused = state.on_disk.trouble.as_ref().is_some_and(|(_, retry_at)| now < *retry_at);
        if round == Round::Note || (is_refused && round != Round::Last) {
            return job;
        }
        let numbers: Vec<(u64, usize)> =
            state.on_disk.unsaved.iter().map(|(n, shard)| (*n, *shard)).collect();
        for (number, shard) in numbers {
            let found = match state.in_flight.get(&number) {
                Some(flight) => {
                    Some((flight.run, flight.order, flight.home, flight.pushed, flight.request.clone()))
                }
                None => state
                    .find(shard, number)
                    .map(|entry| (entry.run, entry.order, entry.home, entry.pushed, entry.request.clone())),
            };
            let Some((run, order, home, pushed, request)) = found else { continue };
            let age = now.saturating_duration_since(pushed);
            if round == Round::Save && age < MIN_AGE {
                continue;
            }
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let pushed = Timestamp(wall.millis().saturating_sub(age));
            job.requests.push(Unsaved { run, order, shard: home, pushed, request });
            job.numbers.push((number, shard));
        }
        job
    }

    /// Last part of a round: what it wrote is safe now. Says whether that lets the next run begin.
    pub(crate) fn commit(&self, work: Work, now: Instant) -> bool {
        let Some(disk) = &self.disk else { return false };
        let mut state = self.lock();
        let has_saved = work.saved.outcomes.iter().any(Result::is_ok);
        let mut refused = work.cursor.err();
        for ((number, shard), outcome) in work.numbers.into_iter().zip(work.saved.outcomes) {
            match outcome {
                Ok(place) => self.saved(disk, &mut state, number, shard, place),
                Err(error) => refused = Some(error),
            }
        }
        for sync in work.saved.syncs {
            disk.options.meters.sync_seconds.observe(sync.as_secs_f64());
        }
        disk.tell(&mut state, refused, has_saved, now);
        let mut begins_run = false;
        for segment in work.saved.dropped {
            begins_run |= drop_segment(disk, &mut state, segment);
        }
        begins_run
    }

    fn saved(&self, disk: &Disk, state: &mut State, number: u64, shard: usize, place: Place) {
        if let Some(flight) = state.in_flight.get_mut(&number) {
            flight.place = Some(place);
            let n_bytes = flight.request.payload.len() as u64;
            state.on_disk.saved_bytes += place.n_bytes;
            state.on_disk.forget_unsaved(number, n_bytes);
            return;
        }
        let is_crowded = state.on_disk.resident_bytes > disk.options.memory_bytes;
        let Some(entry) = state.find(shard, number) else {
            // It was sent, or dropped, in the meantime.
            state.on_disk.finished.push(place);
            return;
        };
        entry.place = Some(place);
        let n_bytes = entry.weight.bytes;
        if is_crowded && entry.is_resident {
            entry.is_resident = false;
            entry.request.payload = Bytes::new();
            state.on_disk.resident_bytes -= n_bytes;
        }
        state.on_disk.saved_bytes += place.n_bytes;
        state.on_disk.forget_unsaved(number, n_bytes);
    }

    /// Makes of what reading gave what becomes of the request.
    pub(crate) fn loaded(&self, mut taken: InFlight, read: io::Result<Request>, is_last_try: bool) -> Loaded {
        let (Some(disk), Some(place)) = (&self.disk, taken.place()) else { return Loaded::Gone };
        let error = match read {
            Ok(request) => {
                taken.fill(request.payload);
                return Loaded::Ready(taken);
            }
            Err(error) => error,
        };
        let is_read_error = error.kind() == ErrorKind::Other || error.raw_os_error() == Some(EIO);
        let is_damage = match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::NotFound => true,
            _ => is_read_error && is_last_try,
        };
        if !is_damage {
            return Loaded::Later(taken, error);
        }
        let was_dropped = self.lock().on_disk.dropped_to.is_some_and(|dropped| place.segment <= dropped);
        let reason = if was_dropped { Dropped::MaxBytes } else { Dropped::Damaged };
        let head = taken.head;
        disk.options.meters.dropped(reason, head.n_items);
        if !was_dropped && let Some(suppressed) = disk.damages.pass() {
            let loss = Loss::of_request(place.seq, &head, error.to_string());
            error!(owner = disk.options.owner, directory = disk.storage.place(), suppressed, "{loss}");
        }
        taken.drop_as(reason);
        Loaded::Gone
    }
}

impl InFlight {
    /// It is older than `max_age`: the queue gives it up.
    pub fn expire(self) {
        if let Some(disk) = &self.queue.disk {
            disk.count(&self.queue.lock(), Dropped::MaxAge, &self, self.head.n_items);
        }
        self.drop_as(Dropped::MaxAge);
    }
}

impl Disk {
    /// Says once that the disk refuses, and once that it takes again.
    fn tell(&self, state: &mut State, refused: Option<io::Error>, has_saved: bool, now: Instant) {
        let (owner, directory) = (&self.options.owner, self.storage.place());
        match refused {
            Some(error) => {
                self.options.meters.errors.inc();
                let what = if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                    "the disk is full"
                } else {
                    "the disk fails"
                };
                if state.on_disk.trouble.is_none() {
                    let limit = self.options.max_memory_bytes;
                    error!(
                        owner, directory, %error, max_memory_bytes = limit,
                        "{what}: the sending queue is kept in memory until the disk takes it again"
                    );
                }
                state.on_disk.trouble = Some((format!("{what}: {error}"), now + RETRY_DISK));
            }
            None if has_saved && state.on_disk.trouble.is_some() => {
                state.on_disk.trouble = None;
                info!(owner, directory, "the disk takes the sending queue again");
            }
            None => {}
        }
    }
}

/// `EIO`, which has no kind of its own.
const EIO: i32 = 5;

/// Middle part of a round: the disk works, nothing is locked but the log.
pub(crate) fn work(log: &mut Log, job: Job, round: Round) -> Work {
    let saved = log.save(&job.requests, round == Round::Last);
    for place in job.finished {
        log.finish(place);
    }
    let cursor = log.write_cursor(round != Round::Note);
    Work { saved, numbers: job.numbers, cursor }
}

/// Drops what became too old. Says whether that lets the next run begin.
fn expire(disk: &Disk, state: &mut State, now: Instant) -> bool {
    let Some(max_age) = disk.options.max_age else { return false };
    let mut begins_run = false;
    for shard in 0..state.shards.len() {
        while let Some(entry) = state.shards[shard].front()
            && now.saturating_duration_since(entry.pushed) > max_age
        {
            begins_run |= disk.drop_waiting(state, shard, 0, Dropped::MaxAge);
        }
    }
    begins_run
}

/// Drops what waits in a segment that is gone. What somebody holds is in memory alone from now on.
fn drop_segment(disk: &Disk, state: &mut State, segment: SegmentId) -> bool {
    state.on_disk.dropped_to = state.on_disk.dropped_to.max(Some(segment));
    let is_there = |place: &Option<Place>| place.is_some_and(|place| place.segment == segment);
    let mut begins_run = false;
    for shard in 0..state.shards.len() {
        while let Some(index) = state.shards[shard].iter().position(|entry| is_there(&entry.place)) {
            begins_run |= disk.drop_waiting(state, shard, index, Dropped::MaxBytes);
        }
    }
    let held: Vec<u64> = state
        .in_flight
        .iter()
        .filter(|(_, flight)| flight.is_resident && is_there(&flight.place))
        .map(|(number, _)| *number)
        .collect();
    for number in held {
        let Some(flight) = state.in_flight.get_mut(&number) else { continue };
        let (shard, n_bytes, place) =
            (flight.shard, flight.request.payload.len() as u64, flight.place.take());
        state.on_disk.finish(place);
        state.on_disk.note_unsaved(number, shard, n_bytes);
    }
    begins_run
}

#[cfg(test)]
pub(crate) mod tests;
