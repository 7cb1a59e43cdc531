//! How many requests of an exporter may be under way, and when the next one may go.
//!
//! While the endpoint works, as many as the backlog asks for ([`Pace::allow`]). From the first failure on there is one at a
//! time, whichever lane's turn it is, with waits that grow until something is answered again: an endpoint in trouble
//! sees one careful sender, not one a lane. Lanes take turns in the order in which they came, so a request that alone
//! brings the endpoint to fail holds up its own lane only. Prometheus lets every shard retry by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Backoff;
use crate::retry::random;

/// The turns of one exporter.
pub(crate) struct Pace {
    backoff: Backoff,
    /// Held by whoever is next, so that turns are taken in order.
    line: tokio::sync::Mutex<()>,
    changed: Notify,
    state: Mutex<State>,
}

struct State {
    allowed: usize,
    in_flight: usize,
    /// Failures since something was answered.
    n_failures: u32,
    failed_at: Option<Instant>,
    /// When the next request may go.
    not_before: Option<Instant>,
    tally: Tally,
}

/// What happened since it was asked for last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Items that were answered, whatever the answer.
    pub(crate) n_items: u64,
    /// Time that these requests took, one after the other.
    pub(crate) busy: Duration,
    /// Attempts that failed and may work later.
    pub(crate) n_failed: u64,
}

/// The right to make one attempt.
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
    began: Instant,
}

/// What a failure means for the one whose attempt it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Until when nobody may try.
    pub(crate) not_before: Instant,
    /// The endpoint seemed to work before, so it may be the request.
    pub(crate) is_first: bool,
}

impl Pace {
    /// At most `allowed` requests at once.
    pub(crate) fn new(backoff: Backoff, allowed: usize) -> Self {
        let state = State {
            allowed: allowed.max(1),
            in_flight: 0,
            n_failures: 0,
            failed_at: None,
            not_before: None,
            tally: Tally::default(),
        };
        Self { backoff, line: tokio::sync::Mutex::new(()), changed: Notify::new(), state: Mutex::new(state) }
    }

    /// Waits until one more request may go.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let _next = self.line.lock().await;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let not_before = {
                let mut state = self.lock();
                let not_before = state.not_before.filter(|at| *at > now);
                if not_before.is_none() && state.in_flight < state.limit() {
                    state.in_flight += 1;
                    return Turn { pace: self, began: now };
                }
                not_before
            };
            match not_before {
                Some(at) => drop(tokio::time::timeout_at(at, changed).await),
                None => changed.await,
            }
        }
    }

    /// From now on so many requests may be under way while the endpoint works.
    pub(crate) fn allow(&self, n_requests: usize) {
        self.lock().allowed = n_requests.max(1);
        self.changed.notify_waiters();
    }

    /// Requests that are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// What happened since the last call.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.lock().tally)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and numbers are whole even if something did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn limit(&self) -> usize {
        if self.n_failures > 0 { 1 } else { self.allowed }
    }
}

impl Turn<'_> {
    /// The endpoint answered, well or not: it works.
    pub(crate) fn answered(self, n_items: u64) {
        let mut state = self.pace.lock();
        state.tally.n_items += n_items;
        state.tally.busy += self.began.elapsed();
        (state.n_failures, state.failed_at, state.not_before) = (0, None, None);
    }

    /// The attempt failed and may work later. The next one, of whichever lane, has to wait at least `at_least`.
    pub(crate) fn failed(self, at_least: Option<Duration>) -> Failure {
        let now = Instant::now();
        let mut state = self.pace.lock();
        state.tally.n_failed += 1;
        let is_first = state.n_failures == 0;
        // Attempts that were under way together fail for one reason, which counts once.
        let is_same = state.failed_at.is_some_and(|at| self.began < at);
        if !is_same {
            state.n_failures += 1;
            state.failed_at = Some(now);
        }
        let wait = self.pace.backoff.wait(state.n_failures, random(), at_least);
        let asked = if is_same { at_least.unwrap_or_default() } else { wait };
        let not_before = state.not_before.unwrap_or(now).max(now + asked);
        state.not_before = Some(not_before);
        Failure { not_before, is_first: is_first || is_same }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.lock().in_flight -= 1;
        self.pace.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
