//! The lines of requests, in memory.
//!
//! Everything that changes stands behind one lock that is held for a few moves and never across an await or a disk.
//! Waiting is done outside of it: consumers wait for their shard, producers for room, in the order in which
//! they came. What a queue with a directory does beyond that is in `disk`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::disk::{Disk, OnDisk, Tally};
use crate::limits::{Full, Limits, TooLarge, Weight};
use crate::log::Place;
use crate::{Dropped, Request};

/// A bounded first-in-first-out queue in shards. Cloning gives another handle of the same queue.
///
/// What is popped stays part of the queue until [`InFlight::done`]: it counts against the limits, and when
/// its holder is dropped (a cancelled task, a panic) it is back in its old place.
#[derive(Clone)]
pub struct Queue {
    pub(crate) inner: Arc<Inner>,
}

/// A handle that does not keep its queue alive.
#[derive(Clone)]
pub struct WeakQueue(Weak<Inner>);

impl WeakQueue {
    /// The queue, while it lives.
    #[must_use]
    pub fn upgrade(&self) -> Option<Queue> {
        self.0.upgrade().map(|inner| Queue { inner })
    }
}

impl fmt::Debug for WeakQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakQueue")
    }
}

pub(crate) struct Inner {
    limits: Limits,
    state: Mutex<State>,
    /// One for each shard: something can be popped, or nothing will come any more.
    ready: Vec<Notify>,
    /// Room was made, or none will be made any more.
    freed: Notify,
    /// Nothing waits and nothing is in flight.
    empty: Notify,
    /// Held by the producer whose turn it is to wait for room, so that a large request is not passed over for
    /// ever.
    turn: tokio::sync::Mutex<()>,
    /// Where requests are kept; `None` keeps them in memory alone.
    pub(crate) disk: Option<Disk>,
}

pub(crate) struct State {
    pub(crate) shards: Vec<VecDeque<Entry>>,
    pub(crate) in_flight: BTreeMap<u64, Flight>,
    /// Everything that waits or is in flight.
    pub(crate) used: Weight,
    next_number: u64,
    phase: Phase,
    /// Requests of each run of the queue that wait or are in flight. Only those of the first run are popped: a run may
    /// spread series over its shards in its own way, so nothing of it may overtake what an earlier one left.
    pub(crate) runs: BTreeMap<u32, u64>,
    pub(crate) run: u32,
    pub(crate) on_disk: OnDisk,
    pub(crate) tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing, still gives.
    Closed,
    /// Takes and gives nothing.
    Abandoned,
}

/// A request that waits.
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) run: u32,
    /// Place in the order of its run.
    pub(crate) order: u64,
    /// Shard in its run, which may have had other shards.
    pub(crate) home: u32,
    pub(crate) pushed: Instant,
    pub(crate) weight: Weight,
    /// Its payload is empty while it is on disk alone.
    pub(crate) request: Request,
    pub(crate) is_resident: bool,
    pub(crate) place: Option<Place>,
}

/// What the queue knows of a request that somebody holds.
pub(crate) struct Flight {
    pub(crate) shard: usize,
    pub(crate) run: u32,
    pub(crate) order: u64,
    pub(crate) home: u32,
    pub(crate) pushed: Instant,
    pub(crate) request: Request,
    pub(crate) is_resident: bool,
    pub(crate) place: Option<Place>,
}

/// How much a queue holds, with what is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Requests that wait or are in flight.
    pub requests: u64,
    /// Their points, records or spans.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of the requests are in flight.
    pub in_flight: u64,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No room now; later there may be.
    #[error(transparent)]
    Full(#[from] Full),
    /// No room ever.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The queue takes nothing any more.
    #[error("sending queue is closed")]
    Closed,
}

/// A request that was not taken, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// What was to be pushed.
    pub item: Request,
    /// Why it was not.
    pub reason: Reason,
}

impl Queue {
    /// An empty queue in memory. A number of shards below one counts as one.
    #[must_use]
    pub fn new(n_shards: usize, limits: Limits) -> Self {
        Self::with(n_shards, limits, None, 0)
    }

    pub(crate) fn with(n_shards: usize, limits: Limits, disk: Option<Disk>, run: u32) -> Self {
        let n_shards = n_shards.max(1);
        let state = State {
            shards: (0..n_shards).map(|_| VecDeque::new()).collect(),
            in_flight: BTreeMap::new(),
            used: Weight::default(),
            next_number: 0,
            phase: Phase::Open,
            runs: BTreeMap::new(),
            run,
            on_disk: OnDisk::default(),
            tally: Tally::default(),
        };
        let inner = Inner {
            limits,
            state: Mutex::new(state),
            ready: (0..n_shards).map(|_| Notify::new()).collect(),
            freed: Notify::new(),
            empty: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            disk,
        };
        Self { inner: Arc::new(inner) }
    }

    /// How many shards there are.
    #[must_use]
    pub fn n_shards(&self) -> usize {
        self.inner.ready.len()
    }

    /// How much may wait.
    #[must_use]
    pub fn capacity(&self) -> Limits {
        self.inner.limits
    }

    /// Puts a request at the end of a shard (the number is taken modulo the number of shards) or says why
    /// not.
    ///
    /// # Errors
    /// When there is no room, when there never will be, or when the queue is closed. The request comes back.
    pub fn push(&self, shard: usize, item: Request) -> Result<(), Rejected> {
        let shard = shard % self.n_shards();
        let weight = Weight::of(&item);
        let mut state = self.inner.lock();
        if let Err(reason) = self.inner.may_push(&mut state, &weight) {
            return Err(Rejected { item, reason });
        }
        let number = state.next_number;
        let run = state.run;
        state.add(
            shard,
            Entry {
                number,
                run,
                order: number,
                home: u32::try_from(shard).unwrap_or(u32::MAX),
                pushed: Instant::now(),
                weight,
                request: item,
                is_resident: true,
                place: None,
            },
        );
        state.tally.pushed += weight.items;
        let is_first = self.inner.disk.is_some() && state.on_disk.note_unsaved(number, shard, weight.bytes);
        drop(state);
        if is_first {
            self.inner.wake_keeper();
        }
        self.inner.ready[shard].notify_one();
        Ok(())
    }

    /// As [`Self::push`], but waits for room. Those who wait are served in the order in which they came. When
    /// the wait is given up the request is gone with it and the queue is unchanged.
    ///
    /// # Errors
    /// When there never will be room, or when the queue is closed, also while waiting. The request comes
    /// back.
    pub async fn push_wait(&self, shard: usize, item: Request) -> Result<(), Rejected> {
        let turn = self.inner.turn.lock().await;
        let mut item = item;
        loop {
            let mut freed = std::pin::pin!(self.inner.freed.notified());
            freed.as_mut().enable();
            match self.push(shard, item) {
                Err(Rejected { item: back, reason: Reason::Full(_) }) => item = back,
                other => {
                    drop(turn);
                    return other;
                }
            }
            freed.await;
        }
    }

    /// Takes the first request of a shard, waiting for one if need be. `None` when the queue is closed and
    /// the shard empty. Nothing is lost when the wait is given up.
    ///
    /// What is on disk is read on a thread that may block. A request that turns out to be damaged is counted, named in the
    /// log and passed over.
    pub async fn pop(&self, shard: usize) -> Option<InFlight> {
        let shard = shard % self.n_shards();
        loop {
            let mut ready = std::pin::pin!(self.inner.ready[shard].notified());
            ready.as_mut().enable();
            match self.take(shard) {
                Some(taken) if taken.is_resident() => return Some(taken),
                Some(taken) => {
                    if let Some(loaded) = self.load(taken).await {
                        return Some(loaded);
                    }
                    continue;
                }
                None => {}
            }
            if self.inner.lock().ends(shard) {
                return None;
            }
            ready.await;
        }
    }

    /// Takes the first request of a shard if there is one now; what is on disk alone is not read.
    pub(crate) fn take(&self, shard: usize) -> Option<InFlight> {
        let mut state = self.inner.lock();
        if state.phase == Phase::Abandoned {
            return None;
        }
        let first_run = *state.runs.first_key_value()?.0;
        if state.shards[shard].front()?.run != first_run {
            return None;
        }
        let entry = state.shards[shard].pop_front()?;
        let flight = Flight {
            shard,
            run: entry.run,
            order: entry.order,
            home: entry.home,
            pushed: entry.pushed,
            request: entry.request.clone(),
            is_resident: entry.is_resident,
            place: entry.place,
        };
        state.in_flight.insert(entry.number, flight);
        let more = !state.shards[shard].is_empty();
        drop(state);
        // A permit of `Notify` wakes one consumer; when several requests came before it ran, the next one is
        // woken here.
        if more {
            self.inner.ready[shard].notify_one();
        }
        Some(InFlight { queue: Arc::clone(&self.inner), shard, entry: Some(entry) })
    }

    /// How much waits or is in flight.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let state = self.inner.lock();
        let Weight { requests, items, bytes } = state.used;
        Sizes { requests, items, bytes, in_flight: state.in_flight.len() as u64 }
    }

    /// Requests that wait or are in flight.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sizes().requests
    }

    /// Whether nothing waits and nothing is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the oldest request has been here, waiting or in flight.
    #[must_use]
    pub fn oldest_age(&self) -> Option<Duration> {
        self.inner.oldest_age()
    }

    /// Takes nothing any more; what is here can still be popped. Whoever waits for room is refused.
    pub fn close(&self) {
        self.inner.enter(Phase::Closed);
    }

    /// Whether the queue takes nothing any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.lock().phase != Phase::Open
    }

    /// Takes and gives nothing any more; what is in flight may still end.
    pub fn stop_giving(&self) {
        self.inner.enter(Phase::Abandoned);
    }

    /// A handle that does not keep the queue alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakQueue {
        WeakQueue(Arc::downgrade(&self.inner))
    }

    /// Closes the queue and waits until everything was acknowledged, but not longer than `within`. Then
    /// nothing more is given out, and what nobody holds and no disk keeps is returned, oldest first. What is in flight
    /// at that moment comes back into the queue when its holder gives up; [`Self::take_rest`] collects it.
    pub async fn drain(&self, within: Duration) -> Vec<Request> {
        self.close();
        // Whether time ran out shows in what is left.
        let _ = tokio::time::timeout(within, self.wait_until_empty()).await;
        self.take_rest()
    }

    /// Ends the queue at once: nothing is given out any more, and what nobody holds and no disk keeps is returned, oldest
    /// first.
    #[must_use]
    pub fn take_rest(&self) -> Vec<Request> {
        self.inner.enter(Phase::Abandoned);
        let mut state = self.inner.lock();
        let mut rest: Vec<_> = state.shards.iter_mut().flat_map(std::mem::take).collect();
        for entry in &rest {
            state.leave(entry.number, entry.run, &entry.weight, entry.is_resident);
        }
        drop(state);
        rest.retain(|entry| entry.place.is_none());
        rest.sort_unstable_by_key(|entry| entry.number);
        rest.into_iter().map(|entry| entry.request).collect()
    }

    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let mut empty = std::pin::pin!(self.inner.empty.notified());
            empty.as_mut().enable();
            if self.is_empty() {
                return;
            }
            empty.await;
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("limits", &self.inner.limits).field("sizes", &self.sizes()).finish()
    }
}

impl State {
    /// Puts an entry at the end of a shard.
    pub(crate) fn add(&mut self, shard: usize, entry: Entry) {
        self.next_number = entry.number + 1;
        self.used.add(&entry.weight);
        *self.runs.entry(entry.run).or_default() += 1;
        if entry.is_resident {
            self.on_disk.resident_bytes += entry.weight.bytes;
        }
        self.shards[shard].push_back(entry);
    }

    /// Takes an entry out of every count. Says whether that lets the next run begin.
    pub(crate) fn leave(&mut self, number: u64, run: u32, weight: &Weight, is_resident: bool) -> bool {
        self.used.remove(weight);
        if is_resident {
            self.on_disk.resident_bytes -= weight.bytes;
        }
        self.on_disk.forget_unsaved(number, weight.bytes);
        let Some(left) = self.runs.get_mut(&run) else { return false };
        *left -= 1;
        let is_over = *left == 0;
        if is_over {
            self.runs.remove(&run);
        }
        is_over
    }

    /// Whether a consumer of a shard has nothing to wait for.
    fn ends(&self, shard: usize) -> bool {
        self.phase == Phase::Abandoned || (self.phase == Phase::Closed && self.shards[shard].is_empty())
    }

    pub(crate) fn find(&mut self, shard: usize, number: u64) -> Option<&mut Entry> {
        let line = &mut self.shards[shard];
        let index = line.binary_search_by_key(&number, |entry| entry.number).ok()?;
        line.get_mut(index)
    }
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock, so its state is whole even if a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_push(&self, state: &mut State, weight: &Weight) -> Result<(), Reason> {
        if state.phase != Phase::Open {
            return Err(Reason::Closed);
        }
        self.limits.admits(weight)?;
        self.limits.fits(&state.used, weight)?;
        if let Some(disk) = &self.disk {
            disk.make_room_in_memory(state, weight.bytes)?;
        }
        Ok(())
    }

    pub(crate) fn oldest_age(&self) -> Option<Duration> {
        let state = self.lock();
        let waiting = state.shards.iter().filter_map(|shard| shard.front()).map(|entry| entry.pushed);
        let oldest = waiting.chain(state.in_flight.values().map(|flight| flight.pushed)).min()?;
        Some(oldest.elapsed())
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase == Phase::Abandoned || state.phase == phase {
            return;
        }
        state.phase = phase;
        drop(state);
        self.freed.notify_waiters();
        self.empty.notify_waiters();
        for shard in &self.ready {
            shard.notify_waiters();
        }
    }

    /// Wakes whoever waits for what a departure may have brought: room, emptiness, the next run.
    pub(crate) fn tell_of_departure(&self, is_empty: bool, begins_run: bool) {
        self.freed.notify_waiters();
        if is_empty {
            self.empty.notify_waiters();
        }
        if begins_run {
            for shard in &self.ready {
                shard.notify_one();
            }
        }
        // Consumers of a closed queue that waited for an earlier run see its end too.
        if is_empty {
            for shard in &self.ready {
                shard.notify_waiters();
            }
        }
    }

    /// Takes a request that somebody held out of the queue for good.
    fn acknowledge(&self, entry: &Entry, dropped: Option<Dropped>) {
        let mut state = self.lock();
        let place = state.in_flight.remove(&entry.number).and_then(|flight| flight.place);
        let begins_run = state.leave(entry.number, entry.run, &entry.weight, entry.is_resident);
        state.tally.left(dropped, entry.weight.items);
        state.on_disk.finish(place);
        let is_empty = state.used.requests == 0;
        drop(state);
        if place.is_some() {
            self.wake_keeper();
        }
        self.tell_of_departure(is_empty, begins_run);
    }

    fn put_back(&self, shard: usize, mut entry: Entry) {
        let mut state = self.lock();
        if let Some(flight) = state.in_flight.remove(&entry.number) {
            entry.place = flight.place;
        }
        let line = &mut state.shards[shard];
        let index = line.partition_point(|waiting| waiting.number < entry.number);
        line.insert(index, entry);
        drop(state);
        self.ready[shard].notify_one();
    }
}

/// A request that was popped and not acknowledged yet. Dropping it gives it back, as [`Self::retry`] does.
pub struct InFlight {
    pub(crate) queue: Arc<Inner>,
    shard: usize,
    /// Present until it is acknowledged or given back.
    entry: Option<Entry>,
}

impl InFlight {
    /// It was sent, or given up for good: it leaves the queue and makes room.
    pub fn done(mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.acknowledge(&entry, None);
        }
    }

    /// It goes back to its old place, before everything that was pushed later.
    pub fn retry(self) {
        drop(self);
    }

    /// How long ago it was pushed.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.entry().pushed.elapsed()
    }

    /// The queue gives it up.
    pub(crate) fn drop_as(mut self, reason: Dropped) {
        if let Some(entry) = self.entry.take() {
            self.queue.acknowledge(&entry, Some(reason));
        }
    }

    pub(crate) fn is_resident(&self) -> bool {
        self.entry().is_resident
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.entry().place
    }

    /// Its payload was read.
    pub(crate) fn fill(&mut self, payload: Bytes) {
        let Some(entry) = &mut self.entry else { return };
        let mut state = self.queue.lock();
        entry.request.payload = payload;
        entry.is_resident = true;
        state.on_disk.resident_bytes += entry.weight.bytes;
        if let Some(flight) = state.in_flight.get_mut(&entry.number) {
            flight.request.payload = entry.request.payload.clone();
            flight.is_resident = true;
        }
    }

    fn entry(&self) -> &Entry {
        self.entry.as_ref().expect("present until `done`, which consumes it")
    }
}

impl Deref for InFlight {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.entry().request
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.put_back(self.shard, entry);
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("shard", &self.shard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
