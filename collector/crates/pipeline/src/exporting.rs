//! The way from a pipeline's end to an endpoint: encode, join, seal, queue, send, retry.
//!
//! As the collector's exporterhelper, with these differences on purpose: batches are encoded when they arrive, so the queue
//! holds only finished requests; requests of one shard stay in order through retries; items wait for company in an
//! open body and are sent at the latest after the joining deadline.

mod hand_over;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{Batch, Signal, Timestamp};
use queue::{Head, InFlight, Limits, Queue, Reason, Request, Sizer};
use telemetry::Registry;
use tokio::sync::{Mutex, Notify, RwLock};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::component::Body;
use crate::delivery::{Delivery, Sender};
use crate::entry::AnyExporter;
use crate::flow::Consume;
use crate::parallelism::Backlog;
use crate::sending::{Joining, Queueing};
use crate::{Bodies, ComponentId, Fatal, Refused, Sending, storing};

/// Scratch bodies kept for the next batch, so that encoding reuses their memory.
const MAX_SPARE_BODIES: usize = 4;

/// Capacity above which a scratch body is given back to the allocator instead of being kept.
const MAX_SPARE_BYTES: usize = 8 << 20;

/// Bytes that one queue may hold, whatever `queue_size` counts, unless it counts bytes.
const MAX_QUEUE_BYTES: u64 = 64 << 20;

pub(crate) use hand_over::Door;

/// An exporter at the end of its pipelines, for one signal.
pub(crate) struct Exporting {
    signal: Signal,
    sender: Sender,
    waiting: Option<Waiting>,
    spare: std::sync::Mutex<Vec<Bodies>>,
    /// What takes from the queue, and ends with it.
    consumers: std::sync::Mutex<JoinSet<()>>,
    /// What goes on until it is stopped.
    helpers: std::sync::Mutex<JoinSet<()>>,
    /// Whoever has the directory of the queue now. Locked while it changes hands; batches wait then.
    successor: Arc<RwLock<Option<Arc<Exporting>>>>,
}

/// The queue and the bodies that are being filled for it.
struct Waiting {
    settings: Queueing,
    queue: Queue,
    /// Open bodies by shard. The lock is held from the check for room to the push, so that a batch goes in whole or not at
    /// all and requests of a shard are pushed in the order in which they were filled.
    open: Mutex<Vec<Body>>,
    /// An open body got its first item.
    opened: Notify,
}

impl Exporting {
    /// Opens the queue and begins to send.
    ///
    /// # Errors
    /// When the directory of the queue cannot be taken.
    pub(crate) async fn start(
        id: &ComponentId,
        signal: Signal,
        exporter: Box<dyn AnyExporter>,
        sending: Sending,
        telemetry: &Registry,
    ) -> Result<Arc<Self>, Fatal> {
        let sender = Sender::new(id, signal, exporter, sending, telemetry);
        let waiting = match sender.sending.queue {
            Some(settings) => Some(Waiting::open(&sender, settings).await?),
            None => None,
        };
        let exporting = Arc::new(Self {
            signal,
            sender,
            waiting,
            spare: std::sync::Mutex::default(),
            consumers: std::sync::Mutex::default(),
            helpers: std::sync::Mutex::default(),
            successor: Arc::default(),
        });
        exporting.spawn_tasks();
        Ok(exporting)
    }

    /// The directory of the queue.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.sender.sending.directory.as_deref()
    }

    fn spawn_tasks(self: &Arc<Self>) {
        let Some(waiting) = &self.waiting else { return };
        let mut consumers = self.consumers.lock().expect("no code panics while it holds this lock");
        for shard in 0..waiting.queue.n_shards() {
            for _consumer in 0..waiting.settings.n_consumers.max(1) {
                let this = Arc::clone(self);
                consumers.spawn(async move { this.send_queued(shard).await });
            }
        }
        let mut helpers = self.helpers.lock().expect("no code panics while it holds this lock");
        let this = Arc::clone(self);
        let queue = waiting.queue.clone();
        helpers.spawn(async move {
            let backlog =
                || Backlog { n_items: queue.sizes().items, delay: queue.oldest_age().unwrap_or_default() };
            this.sender.follow(backlog).await;
        });
        if let Some(joining) = waiting.settings.joining {
            let this = Arc::clone(self);
            helpers.spawn(async move { this.flush_in_time(joining).await });
        }
        let queue = waiting.queue.clone();
        helpers.spawn(async move { queue.keep().await });
    }

    /// Lets the exporter give up what its successor needs. Says whether it did.
    pub(crate) async fn make_room(&self) -> bool {
        self.sender.exporter.make_room().await
    }

    /// Sends what was accepted, within the deadline, or leaves it on disk; what is left then is counted, logged and dropped.
    pub(crate) async fn drain(&self, deadline: Duration) {
        if let Some(waiting) = &self.waiting {
            self.flush(waiting).await;
            waiting.queue.save_and_drain(deadline).await;
        }
        self.stop(deadline).await;
    }

    /// Ends all work on the queue. What is neither sent nor on disk is lost.
    async fn stop(&self, deadline: Duration) {
        for tasks in [&self.consumers, &self.helpers] {
            let mut tasks =
                std::mem::take(&mut *tasks.lock().expect("no code panics while it holds this lock"));
            tasks.shutdown().await;
        }
        let Some(waiting) = &self.waiting else { return };
        waiting.queue.save_all().await;
        let n_kept = waiting.queue.sizes();
        let left = waiting.queue.take_rest();
        waiting.queue.release();
        let n_items: u64 = left.iter().map(|request| request.head.n_items).sum();
        if !left.is_empty() {
            self.sender.counters.dropped("shutdown", n_items);
            error!(
                exporter = %self.sender.id, dropped_items = n_items, requests = left.len(), limit = ?deadline,
                "Dropping data: the sending queue could not be emptied before the end"
            );
        }
        let n_kept = n_kept.items.saturating_sub(n_items);
        if n_kept > 0 {
            info!(
                exporter = %self.sender.id, items = n_kept, directory = ?self.directory(),
                "the rest of the sending queue stays on disk for the next start"
            );
        }
    }

    fn bodies(&self) -> Bodies {
        let spare = self.spare.lock().expect("no code panics while it holds this lock").pop();
        spare.unwrap_or_else(|| {
            Bodies::new(self.waiting.as_ref().map_or(1, |waiting| waiting.queue.n_shards()))
        })
    }

    fn keep(&self, mut bodies: Bodies) {
        for body in &mut bodies.bodies {
            body.clear(MAX_SPARE_BYTES);
        }
        bodies.full.clear();
        bodies.n_dropped = 0;
        let mut spare = self.spare.lock().expect("no code panics while it holds this lock");
        if spare.len() < MAX_SPARE_BODIES {
            spare.push(bodies);
        }
    }

    fn seal(&self, body: &mut Body) -> Request {
        let sealed = self.sender.exporter.seal(&mut body.bytes);
        let head = Head {
            signal: self.signal,
            n_items: body.n_items as u64,
            oldest: body.oldest.unwrap_or_default(),
            newest: body.newest.unwrap_or_default(),
            format: sealed.format,
        };
        body.clear(MAX_SPARE_BYTES);
        Request { payload: sealed.payload, head }
    }

    async fn accept(&self, batch: &Batch) -> Result<(), Refused> {
        let mut bodies = self.bodies();
        if let Err(refused) = self.sender.exporter.encode(batch, &mut bodies) {
            self.keep(bodies);
            self.sender.counters.send_failed(batch.n_items() as u64);
            return Err(refused);
        }
        if bodies.n_dropped > 0 {
            self.sender.counters.send_failed(bodies.n_dropped);
        }
        let outcome = match &self.waiting {
            Some(waiting) => self.enqueue(waiting, &mut bodies).await,
            // In a box, since most exporters have a queue: a future has room for whatever may happen in it.
            None if self.sender.exporter.sends() => Box::pin(self.send_now(&mut bodies)).await,
            None => {
                self.sender.counters.sent(bodies.iter().map(|(_, body)| body.n_items as u64).sum());
                Ok(())
            }
        };
        self.keep(bodies);
        outcome
    }

    async fn send_now(&self, bodies: &mut Bodies) -> Result<(), Refused> {
        let closed = bodies.full.iter_mut().map(|(_, body)| body);
        for body in closed.chain(&mut bodies.bodies).filter(|body| body.n_items > 0) {
            let request = self.seal(body);
            match self.sender.deliver(&request, None).await {
                Delivery::Done => {}
                Delivery::GivenUp(reason) => return Err(Refused::NotDelivered { reason }),
                Delivery::Never(reason) => return Err(Refused::Never { reason }),
            }
        }
        Ok(())
    }

    async fn enqueue(&self, waiting: &Waiting, bodies: &mut Bodies) -> Result<(), Refused> {
        let mut open = waiting.open.lock().await;
        if !waiting.settings.block_on_overflow
            && let Err(refused) = waiting.has_room(&open, bodies)
        {
            self.sender.counters.enqueue_failed(bodies.iter().map(|(_, body)| body.n_items as u64).sum());
            return Err(refused);
        }
        let mut outcome = Ok(());
        for (shard, body) in &mut bodies.full {
            // What waited in the open body is older and goes first.
            for body in [&mut open[*shard], body] {
                outcome = outcome.and(self.push(waiting, *shard, body).await);
            }
        }
        for (shard, (open, body)) in open.iter_mut().zip(&mut bodies.bodies).enumerate() {
            if body.n_items == 0 {
                continue;
            }
            let was_empty = open.n_items == 0;
            open.append(body);
            if waiting.is_full(open) {
                outcome = outcome.and(self.push(waiting, shard, open).await);
            } else if was_empty {
                waiting.opened.notify_one();
            }
        }
        self.sender.counters.queue_size(waiting.queue.len());
        outcome
    }

    /// Seals a body and puts it into the queue; an empty one is passed over.
    async fn push(&self, waiting: &Waiting, shard: usize, body: &mut Body) -> Result<(), Refused> {
        if body.n_items == 0 {
            return Ok(());
        }
        let request = self.seal(body);
        let n_items = request.head.n_items;
        let outcome = waiting.push(shard, request).await;
        if outcome.is_err() {
            self.sender.counters.enqueue_failed(n_items);
        }
        outcome
    }

    /// Pushes every open body. What finds no room stays open.
    async fn flush(&self, waiting: &Waiting) {
        let mut open = waiting.open.lock().await;
        for (shard, body) in open.iter_mut().enumerate().filter(|(_, body)| body.n_items > 0) {
            if waiting.queue.capacity().get(Sizer::Requests).is_some_and(|limit| waiting.queue.len() >= limit)
            {
                warn!(exporter = %self.sender.id, "sending queue is full; items wait in the open request");
                waiting.opened.notify_one();
                return;
            }
            let n_items = body.n_items;
            if let Err(refused) = self.push(waiting, shard, body).await {
                error!(exporter = %self.sender.id, dropped_items = n_items, error = %refused, "Dropping data");
            }
        }
        self.sender.counters.queue_size(waiting.queue.len());
    }

    async fn flush_in_time(&self, joining: Joining) {
        let Some(waiting) = &self.waiting else { return };
        loop {
            waiting.opened.notified().await;
            tokio::time::sleep(joining.deadline).await;
            self.flush(waiting).await;
        }
    }

    async fn send_queued(&self, shard: usize) {
        let Some(waiting) = &self.waiting else { return };
        while let Some(request) = waiting.queue.pop(shard).await {
            self.sender.counters.in_flight(waiting.queue.sizes().in_flight);
            self.send_in_time(request).await;
            self.sender.counters.queue_size(waiting.queue.len());
            self.sender.counters.in_flight(waiting.queue.sizes().in_flight);
        }
    }

    /// Sends until it ended one way or the other, or is too old for a queue that has an age limit.
    async fn send_in_time(&self, request: InFlight) {
        let age = request.age();
        let max_age = self.sender.sending.storing.max_age.filter(|_| self.directory().is_some());
        let sending = self.sender.deliver(&request, Some(age));
        let is_over = match max_age {
            None => {
                // How it ended is logged and counted by `deliver`; either way the request has left the queue.
                let _ended = sending.await;
                false
            }
            Some(max_age) => tokio::time::timeout(max_age.saturating_sub(age), sending).await.is_err(),
        };
        if is_over { request.expire() } else { request.done() }
    }
}

impl Waiting {
    async fn open(sender: &Sender, settings: Queueing) -> Result<Self, Fatal> {
        let n_shards = settings.n_shards.max(1);
        let size = Limits::of(settings.sizer, settings.capacity as u64);
        let storing = &sender.sending.storing;
        let queue = match &sender.sending.directory {
            None => Queue::new(
                n_shards,
                Limits::of(Sizer::Bytes, MAX_QUEUE_BYTES).and(settings.sizer, settings.capacity as u64),
            ),
            Some(directory) => {
                let limits = if storing.has_size { size } else { Limits::default() };
                let meters = sender.counters.queue_meters();
                storing::open(&sender.id, directory, n_shards, limits, storing, meters).await?
            }
        };
        // What only bytes and age bind is never full in what `queue_size` counts.
        let capacity = queue.capacity().get(settings.sizer).map_or(f64::INFINITY, |size| size as f64);
        sender.counters.queue_capacity(capacity);
        sender.counters.observe_queue(&queue);
        let open = Mutex::new(vec![Body::default(); n_shards]);
        Ok(Self { settings, queue, open, opened: Notify::new() })
    }

    /// Whether a body need not wait for more.
    fn is_full(&self, body: &Body) -> bool {
        self.fills(body.n_items, body.bytes.len())
    }

    fn fills(&self, n_items: usize, n_bytes: usize) -> bool {
        let joining = self.settings.joining;
        joining.is_none_or(|joining| n_items >= joining.min_items || n_bytes >= joining.min_bytes)
    }

    /// Whether everything that these bodies would push finds room.
    fn has_room(&self, open: &[Body], bodies: &Bodies) -> Result<(), Refused> {
        let mut requests = bodies.full.len() as u64;
        let mut items: u64 = bodies.full.iter().map(|(_, body)| body.n_items as u64).sum();
        for (shard, (open, body)) in open.iter().zip(&bodies.bodies).enumerate() {
            let is_flushed = open.n_items > 0 && bodies.full.iter().any(|(full, _)| *full == shard);
            let (n_items, n_bytes) = (open.n_items + body.n_items, open.bytes.len() + body.bytes.len());
            if is_flushed || (body.n_items > 0 && self.fills(n_items, n_bytes)) {
                requests += 1;
                items += n_items as u64;
            }
        }
        let (sizes, limits) = (self.queue.sizes(), self.queue.capacity());
        for (sizer, used, more) in
            [(Sizer::Requests, sizes.requests, requests), (Sizer::Items, sizes.items, items)]
        {
            if let Some(limit) = limits.get(sizer).filter(|limit| more > 0 && used + more > *limit) {
                let limit = format!("queue_size: {used} of {limit} {sizer}");
                return Err(Refused::Full { what: "sending queue".to_owned(), limit });
            }
        }
        Ok(())
    }

    async fn push(&self, shard: usize, request: Request) -> Result<(), Refused> {
        let pushed = if self.settings.block_on_overflow {
            self.queue.push_wait(shard, request).await
        } else {
            self.queue.push(shard, request)
        };
        pushed.map_err(|rejected| match rejected.reason {
            Reason::Full(full) => Refused::Full { what: "sending queue".to_owned(), limit: full.to_string() },
            Reason::TooLarge(too_large) => Refused::Never { reason: too_large.to_string() },
            Reason::Closed => Refused::Stopping,
        })
    }
}

impl Consume for Exporting {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            if self.directory().is_none() {
                return self.accept(&batch).await;
            }
            let successor = self.successor.read().await;
            match &*successor {
                None => self.accept(&batch).await,
                Some(successor) => successor.consume(batch).await,
            }
        })
    }
}

impl Body {
    /// Notes items that were just appended, and their time.
    #[inline]
    pub fn note(&mut self, n_items: usize, at: Timestamp) {
        self.n_items += n_items;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
    }

    /// Moves everything from another body behind what is here.
    fn append(&mut self, other: &mut Self) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, &mut other.bytes);
        } else {
            self.bytes.extend_from_slice(&other.bytes);
        }
        self.n_items += other.n_items;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.newest = self.newest.into_iter().chain(other.newest).max();
        other.clear(MAX_SPARE_BYTES);
    }

    fn clear(&mut self, max_kept_bytes: usize) {
        self.bytes.clear();
        if self.bytes.capacity() > max_kept_bytes {
            self.bytes = Vec::new();
        }
        (self.n_items, self.oldest, self.newest) = (0, None, None);
    }
}
