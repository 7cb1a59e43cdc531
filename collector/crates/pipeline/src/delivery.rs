//! Seeing a request through to its end: accepted, rejected for good, or given up.
//!
//! | the endpoint | what is done |
//! |---|---|
//! | cannot be reached, `Later` | tried again with growing waits; `Retry-After` is obeyed up to `max_retry_after` |
//! | `BadItems` | cut in two until what is bad stands alone; extra requests are bounded by `max_bisections_per_minute` |
//! | `TooLarge` | cut in two; the size is remembered and later requests are cut before they are sent |
//! | `Denied` | dropped, or kept for `keep_denied_for` and tried again seldom |
//! | `Partial` | what was not taken is dropped |
//! | `Never` | dropped |
//!
//! Parts are sent one after the other, the older ones first, so the order of a lane holds. What is dropped is counted by
//! reason.

mod size;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Signal;
use queue::Request;
use telemetry::{RateLimited, Registry};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::budget::Budget;
use crate::entry::AnyExporter;
use crate::metrics::{ExporterCounters, PaceGauges};
use crate::pace::{Pace, Turn};
use crate::parallelism::{Backlog, Parallelism, TICK};
use crate::retry::random;
use crate::{ComponentId, ExportError, Sending};
use size::KnownSize;

/// Shortest wait before a request is tried again that was denied and is kept.
const DENIED_WAIT: Duration = Duration::from_secs(30);

/// A request of fewer bytes is not cut because it is too large: that cannot be the reason.
const MIN_SPLIT_BYTES: usize = 4 << 10;

/// Lines about dropped parts that are written in each period; the others are counted.
const DROP_LINES: (u32, Duration) = (10, Duration::from_secs(30));

/// An exporter with what it needs to see a request through to its end.
pub(crate) struct Sender {
    pub(crate) id: ComponentId,
    pub(crate) exporter: Box<dyn AnyExporter>,
    pub(crate) sending: Sending,
    pub(crate) counters: ExporterCounters,
    /// Shared by the lanes where each sends one request at a time; where a lane sends several there is no order to keep,
    /// and each request has a pace of its own.
    lanes: Option<(Pace, PaceGauges)>,
    /// Why the endpoint denies access, as long as it does.
    denied: Mutex<Option<&'static str>>,
    bisections: Budget,
    known_size: KnownSize,
    drop_lines: RateLimited,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Accepted, if need be but for some items that were counted.
    Done,
    /// The retry time is over, for some of it at least.
    GivenUp(String),
    /// Nothing of it was accepted and nothing ever will be.
    Never(String),
}

/// A request or a part of one.
struct Part {
    request: Request,
    /// It was born of a rejection, so sending it costs of the budget.
    is_bisected: bool,
    /// Items that were dropped before it was cut off. When the part before it was accepted whole, what is bad is here.
    n_dropped_before: Option<u64>,
}

/// How long to wait after a failed attempt.
struct Waits {
    /// By this request alone, before it asks for a turn again.
    own: Duration,
    /// Until the next attempt of it at the earliest.
    until_next: Duration,
    /// What the endpoint asked for, where that is more than is waited.
    cut: Option<String>,
}

/// How a request fares while its parts are sent.
struct Course {
    /// When the first attempt was made.
    began: Instant,
    /// When it came into the queue.
    queued: Instant,
    is_queued: bool,
    /// Parts still to be sent, the next one last.
    parts: Vec<Part>,
    n_dropped: u64,
    given_up: Option<String>,
    rejected: Option<String>,
}

impl Sender {
    pub(crate) fn new(
        id: &ComponentId,
        signal: Signal,
        exporter: Box<dyn AnyExporter>,
        sending: Sending,
        telemetry: &Registry,
    ) -> Self {
        let counters = ExporterCounters::new(telemetry, id, signal);
        let lanes = sending.queue.filter(|queue| queue.n_consumers <= 1);
        let lanes = lanes.map(|queue| {
            let pace = Pace::new(sending.retry, queue.min_requests.min(queue.n_shards));
            (pace, PaceGauges::new(telemetry, id, signal))
        });
        let bisections = Budget::per_minute(sending.retry.max_bisections_per_minute);
        let drop_lines = RateLimited::burst(DROP_LINES.0, DROP_LINES.1);
        let known_size = KnownSize::default();
        let id = id.clone();
        let denied = Mutex::default();
        Self { id, exporter, sending, counters, lanes, denied, bisections, known_size, drop_lines }
    }

    /// Lets the number of requests under way follow the backlog, for ever.
    pub(crate) async fn follow(&self, backlog: impl Fn() -> Backlog) {
        let (Some((pace, gauges)), Some(queue)) = (&self.lanes, &self.sending.queue) else { return };
        let most = queue.n_shards.max(1);
        let bounds = (queue.min_requests.clamp(1, most), most);
        let mut parallelism = Parallelism::default();
        let mut current = bounds.0;
        loop {
            gauges.desired(current);
            tokio::time::sleep(TICK).await;
            current = parallelism.tick(&pace.take_tally(), &backlog(), current, bounds);
            pace.allow(current);
        }
    }

    /// Sends until it is accepted, rejected for good, or given up. `age` is how long the request has waited in a queue, which keeps it
    /// meanwhile; `None` when somebody waits for the outcome.
    pub(crate) async fn deliver(&self, request: &Request, age: Option<Duration>) -> Delivery {
        let own;
        let pace = match &self.lanes {
            Some((pace, _)) => pace,
            None => {
                own = Pace::new(self.sending.retry, 1);
                &own
            }
        };
        let now = Instant::now();
        let whole = Part { request: request.clone(), is_bisected: false, n_dropped_before: None };
        let mut course = Course {
            began: now,
            queued: now.checked_sub(age.unwrap_or_default()).unwrap_or(now),
            is_queued: age.is_some(),
            parts: vec![whole],
            n_dropped: 0,
            given_up: None,
            rejected: None,
        };
        while let Some(part) = course.parts.pop() {
            self.deliver_part(part, &mut course, pace).await;
        }
        match (course.given_up, course.rejected) {
            (Some(reason), _) => Delivery::GivenUp(reason),
            (None, Some(reason)) if course.n_dropped >= request.head.n_items => Delivery::Never(reason),
            _ => Delivery::Done,
        }
    }

    async fn deliver_part(&self, part: Part, course: &mut Course, pace: &Pace) {
        let n_items = part.request.head.n_items;
        if part.request.payload.len() > self.known_size.most() && self.cut(&part, course, false) {
            return;
        }
        // The rest of it was accepted, so what is bad is here: sending it whole would be in vain.
        let is_suspect = part.n_dropped_before == Some(course.n_dropped);
        if is_suspect && n_items > 1 && self.cut(&part, course, true) {
            return;
        }
        if part.is_bisected && !self.bisections.take() {
            let text = format!(
                "part of a rejected request; no more requests to find what is bad in it this minute: \
                 max_bisections_per_minute ({})",
                self.sending.retry.max_bisections_per_minute
            );
            return self.drop_items(n_items, "bisection_limit", text, course);
        }
        if part.is_bisected {
            self.counters.bisection();
        }
        match self.answer(&part.request, course, pace).await {
            Ok(()) => {
                self.counters.sent(n_items);
                debug!(exporter = %self.id, items = n_items, "sent");
            }
            Err(error) => self.rejected(&part, error, course),
        }
    }

    /// What is done with a final answer that is not plain success.
    fn rejected(&self, part: &Part, error: ExportError, course: &mut Course) {
        let text = telemetry::error_chain(&error);
        let n_items = part.request.head.n_items;
        let reason = match error {
            ExportError::BadItems { .. } => {
                if self.sending.retry.max_bisections_per_minute > 0 && self.cut(part, course, true) {
                    debug!(exporter = %self.id, error = text, items = n_items, "cutting a rejected request");
                    return;
                }
                "bad_items"
            }
            ExportError::TooLarge { .. } => {
                let size = part.request.payload.len();
                if size >= MIN_SPLIT_BYTES && self.cut(part, course, false) {
                    let limit = self.known_size.learn(size);
                    warn!(
                        exporter = %self.id, error = text, bytes = size, now_at_most = limit,
                        "Request too large for the endpoint. Cutting it, and those after it."
                    );
                    return;
                }
                "too_large"
            }
            ExportError::Partial { n_rejected, .. } => {
                let n_rejected = n_rejected.min(n_items);
                self.counters.sent(n_items - n_rejected);
                return self.drop_items(n_rejected, "partial", text, course);
            }
            ExportError::Later { .. } => {
                self.drop_items(n_items, "retry_limit", text.clone(), course);
                course.given_up = Some(text);
                return;
            }
            ExportError::Denied { reason, .. } | ExportError::Never { reason, .. } => reason,
        };
        self.drop_items(n_items, reason, text, course);
    }

    /// Puts the halves of a part in its place. Says whether there are any.
    fn cut(&self, part: &Part, course: &mut Course, is_bisected: bool) -> bool {
        let n_items = part.request.head.n_items;
        match self.exporter.split(&part.request) {
            // Halves are smaller, or this would not end.
            Ok(Some([first, second])) if first.head.n_items.max(second.head.n_items) < n_items => {
                let is_bisected = is_bisected || part.is_bisected;
                let n_dropped_before = is_bisected.then_some(course.n_dropped);
                course.parts.push(Part { request: second, is_bisected, n_dropped_before });
                course.parts.push(Part { request: first, is_bisected, n_dropped_before: None });
                true
            }
            Ok(_) => false,
            Err(error) => {
                error!(exporter = %self.id, error = telemetry::error_chain(&error), "Cannot cut a request");
                false
            }
        }
    }

    fn drop_items(&self, n_items: u64, reason: &'static str, text: String, course: &mut Course) {
        self.counters.dropped(reason, n_items);
        course.n_dropped += n_items;
        if let Some(n_suppressed) = self.drop_lines.pass() {
            error!(
                exporter = %self.id, error = text, dropped_items = n_items, reason, suppressed = n_suppressed,
                "Exporting failed. Dropping data."
            );
        }
        course.rejected = Some(text);
    }

    /// Tries until there is an answer that is final, or the retry time is over.
    async fn answer(&self, request: &Request, course: &Course, pace: &Pace) -> Result<(), ExportError> {
        let (mut n_attempts, mut n_alone) = (0, 0);
        loop {
            if let Some(denied) = self.kept_too_long(course) {
                return Err(denied);
            }
            let turn = pace.turn().await;
            self.show_requests();
            let outcome = self.attempt(request, n_attempts).await;
            let error = match outcome {
                Err(error) if self.may_be_retried(&error, course) => error,
                outcome => {
                    turn.answered(request.head.n_items);
                    self.show_requests();
                    return outcome;
                }
            };
            n_attempts += 1;
            let waits = self.waits(turn, &error, course, &mut n_alone);
            self.show_requests();
            let Some(waits) = waits else { return Err(error) };
            warn!(
                exporter = %self.id, error = telemetry::error_chain(&error), interval = ?waits.until_next,
                retry_after = waits.cut.as_ref().map(tracing::field::display), attempts = n_attempts,
                "Exporting failed. Will retry the request after interval."
            );
            self.counters.retry();
            tokio::time::sleep(waits.own).await;
        }
    }

    /// While the endpoint denies access, what is too old to be kept need not wait for its turn to hear that.
    fn kept_too_long(&self, course: &Course) -> Option<ExportError> {
        let limit = self.sending.retry.keep_denied_for.filter(|_| course.is_queued)?;
        let reason = (*self.denied())?;
        let source =
            format!("access is denied ({reason}), and this is older than keep_denied_for ({limit:?})");
        (course.queued.elapsed() > limit).then(|| ExportError::Denied { reason, source: source.into() })
    }

    fn denied(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is denied is only kept where it waits in a queue.
    fn may_be_retried(&self, error: &ExportError, course: &Course) -> bool {
        match error {
            ExportError::Later { .. } => true,
            ExportError::Denied { .. } => course.is_queued && self.sending.retry.keep_denied_for.is_some(),
            _ => false,
        }
    }

    /// How long to wait after a failed attempt, or that it was the last one.
    fn waits(
        &self,
        turn: Turn<'_>,
        error: &ExportError,
        course: &Course,
        n_alone: &mut u32,
    ) -> Option<Waits> {
        let retry = &self.sending.retry;
        let (at_least, since, limit) = match error {
            ExportError::Later { after, .. } => {
                (after.map(|after| after.min(retry.max_retry_after)), course.began, retry.max_elapsed)
            }
            _ => (Some(DENIED_WAIT), course.queued, retry.keep_denied_for),
        };
        let cut = match error {
            ExportError::Later { after: Some(after), .. } if *after > retry.max_retry_after => {
                Some(format!("{after:?}, more than max_retry_after ({:?})", retry.max_retry_after))
            }
            _ => None,
        };
        if !retry.enabled && matches!(error, ExportError::Later { .. }) {
            // The next request may be tried at once, as nothing is held back for it.
            turn.answered(0);
            return None;
        }
        let failure = turn.failed(at_least);
        let mut own = Duration::ZERO;
        if failure.is_first {
            *n_alone += 1;
            own = retry.wait(*n_alone, random(), None);
        }
        let until_next = own.max(failure.not_before.saturating_duration_since(Instant::now()));
        let is_over = limit.is_some_and(|limit| since.elapsed() + until_next > limit);
        (!is_over).then_some(Waits { own, until_next, cut })
    }

    async fn attempt(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        let sending = self.exporter.send(request, n_before);
        let outcome = match self.sending.timeout {
            None => sending.await,
            Some(limit) => match tokio::time::timeout(limit, sending).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(ExportError::later(format!("no answer within timeout ({limit:?})"))),
            },
        };
        match &outcome {
            Err(ExportError::Denied { reason, .. }) => *self.denied() = Some(reason),
            // Whether it would let us in is not known.
            Err(ExportError::Later { .. }) => {}
            _ => *self.denied() = None,
        }
        self.counters.denied(self.denied().is_some());
        outcome
    }

    fn show_requests(&self) {
        if let Some((pace, gauges)) = &self.lanes {
            gauges.sending(pace.in_flight());
        }
    }
}

#[cfg(test)]
mod tests;
