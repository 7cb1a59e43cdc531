//! The queue in memory.
//!
//! Everything that changes stands behind one lock that is held for a few moves and never across an await.
//! Waiting is done outside of it: consumers wait for their shard, producers for room, in the order in which
//! they came.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{Full, Limits, TooLarge, Weight};
use crate::{Load, Request};

/// A bounded first-in-first-out queue in shards. Cloning gives another handle of the same queue.
///
/// What is popped stays part of the queue until [`InFlight::done`]: it counts against the limits, and when
/// its holder is dropped (a cancelled task, a panic) it is back in its old place.
pub struct Queue<T: Load = Request> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// One for each shard: something can be popped, or nothing will come any more.
    ready: Vec<Notify>,
    /// Room was made, or none will be made any more.
    freed: Notify,
    /// Nothing waits and nothing is in flight.
    empty: Notify,
    /// Held by the producer whose turn it is to wait for room, so that a large request is not passed over for
    /// ever.
    turn: tokio::sync::Mutex<()>,
}

struct State<T> {
    shards: Vec<VecDeque<Entry<T>>>,
    /// When each request in flight was pushed, by its number.
    in_flight: BTreeMap<u64, Instant>,
    /// Everything that waits or is in flight.
    used: Weight,
    next_number: u64,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing, still gives.
    Closed,
    /// Takes and gives nothing.
    Abandoned,
}

struct Entry<T> {
    number: u64,
    pushed: Instant,
    weight: Weight,
    item: T,
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
pub struct Rejected<T> {
    /// What was to be pushed.
    pub item: T,
    /// Why it was not.
    pub reason: Reason,
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> std::error::Error for Rejected<T> {}

impl<T: Load> Queue<T> {
    /// An empty queue. A number of shards below one counts as one.
    #[must_use]
    pub fn new(n_shards: usize, limits: Limits) -> Self {
        let n_shards = n_shards.max(1);
        let state = State {
            shards: (0..n_shards).map(|_| VecDeque::new()).collect(),
            in_flight: BTreeMap::new(),
            used: Weight::default(),
            next_number: 0,
            phase: Phase::Open,
        };
        let inner = Inner {
            limits,
            state: Mutex::new(state),
            ready: (0..n_shards).map(|_| Notify::new()).collect(),
            freed: Notify::new(),
            empty: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
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
    pub fn push(&self, shard: usize, item: T) -> Result<(), Rejected<T>> {
        let shard = shard % self.n_shards();
        let weight = Weight::of(&item);
        let mut state = self.inner.lock();
        if let Err(reason) = self.inner.may_push(&state, &weight) {
            return Err(Rejected { item, reason });
        }
        let number = state.next_number;
        state.next_number += 1;
        state.used.add(&weight);
        state.shards[shard].push_back(Entry { number, pushed: Instant::now(), weight, item });
        drop(state);
        self.inner.ready[shard].notify_one();
        Ok(())
    }

    /// As [`Self::push`], but waits for room. Those who wait are served in the order in which they came. When
    /// the wait is given up the request is gone with it and the queue is unchanged.
    ///
    /// # Errors
    /// When there never will be room, or when the queue is closed, also while waiting. The request comes
    /// back.
    pub async fn push_wait(&self, shard: usize, item: T) -> Result<(), Rejected<T>> {
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
    pub async fn pop(&self, shard: usize) -> Option<InFlight<T>> {
        let shard = shard % self.n_shards();
        loop {
            let mut ready = std::pin::pin!(self.inner.ready[shard].notified());
            ready.as_mut().enable();
            if let Some(taken) = self.try_pop(shard) {
                return Some(taken);
            }
            if self.inner.lock().phase != Phase::Open {
                return None;
            }
            ready.await;
        }
    }

    /// Takes the first request of a shard if there is one now.
    #[must_use]
    pub fn try_pop(&self, shard: usize) -> Option<InFlight<T>> {
        let shard = shard % self.n_shards();
        let mut state = self.inner.lock();
        if state.phase == Phase::Abandoned {
            return None;
        }
        let entry = state.shards[shard].pop_front()?;
        state.in_flight.insert(entry.number, entry.pushed);
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
        let state = self.inner.lock();
        let waiting = state.shards.iter().filter_map(|shard| shard.front()).map(|entry| entry.pushed);
        let oldest = waiting.chain(state.in_flight.values().copied()).min()?;
        Some(oldest.elapsed())
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

    /// Closes the queue and waits until everything was acknowledged, but not longer than `within`. Then
    /// nothing more is given out, and what nobody holds is returned, oldest first. What is in flight at that
    /// moment comes back into the queue when its holder gives up; [`Self::take_rest`] collects it.
    pub async fn drain(&self, within: Duration) -> Vec<T> {
        self.close();
        // Whether time ran out shows in what is left.
        let _ = tokio::time::timeout(within, self.wait_until_empty()).await;
        self.take_rest()
    }

    /// Ends the queue at once: nothing is given out any more, and what nobody holds is returned, oldest
    /// first.
    #[must_use]
    pub fn take_rest(&self) -> Vec<T> {
        self.inner.enter(Phase::Abandoned);
        let mut state = self.inner.lock();
        let mut rest: Vec<_> = state.shards.iter_mut().flat_map(std::mem::take).collect();
        for entry in &rest {
            state.used.remove(&entry.weight);
        }
        drop(state);
        rest.sort_unstable_by_key(|entry| entry.number);
        rest.into_iter().map(|entry| entry.item).collect()
    }

    async fn wait_until_empty(&self) {
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

impl<T: Load> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Load> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("limits", &self.inner.limits).field("sizes", &self.sizes()).finish()
    }
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of others runs under the lock, so its state is whole even if a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_push(&self, state: &State<T>, weight: &Weight) -> Result<(), Reason> {
        if state.phase != Phase::Open {
            return Err(Reason::Closed);
        }
        self.limits.admits(weight)?;
        self.limits.fits(&state.used, weight)?;
        Ok(())
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

    fn acknowledge(&self, entry: &Entry<T>) {
        let mut state = self.lock();
        state.in_flight.remove(&entry.number);
        state.used.remove(&entry.weight);
        let is_empty = state.used.requests == 0;
        drop(state);
        self.freed.notify_waiters();
        if is_empty {
            self.empty.notify_waiters();
        }
    }

    fn put_back(&self, shard: usize, entry: Entry<T>) {
        let mut state = self.lock();
        state.in_flight.remove(&entry.number);
        let line = &mut state.shards[shard];
        let place = line.partition_point(|waiting| waiting.number < entry.number);
        line.insert(place, entry);
        drop(state);
        self.ready[shard].notify_one();
    }
}

/// A request that was popped and not acknowledged yet. Dropping it gives it back, as [`Self::retry`] does.
pub struct InFlight<T> {
    queue: Arc<Inner<T>>,
    shard: usize,
    /// Present until it is acknowledged or given back.
    entry: Option<Entry<T>>,
}

impl<T> InFlight<T> {
    /// It was sent, or given up for good: it leaves the queue and makes room.
    pub fn done(mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.acknowledge(&entry);
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

    fn entry(&self) -> &Entry<T> {
        self.entry.as_ref().expect("present until `done`, which consumes it")
    }
}

impl<T> Deref for InFlight<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entry().item
    }
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.put_back(self.shard, entry);
        }
    }
}

impl<T> fmt::Debug for InFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("shard", &self.shard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
