//! The life of one target: scraped tick by tick, ended when it is gone.
//!
//! As Prometheus `scrape` (`scrapeLoop.run`, `endOfRunStaleness`): never two scrapes at once; the end of a
//! target's series is told one tick, one interval and a tenth of it after the last scrape, at the time of the
//! first of these ticks. Nothing is told when the loop is released, because the target lives on elsewhere,
//! nor when the process ends.
//!
//! Different on purpose: a target that comes back meanwhile goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use telemetry::RateLimited;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::body::{Buffers, Digested, digest};
use crate::cache::Cache;
use crate::doubt::{Doubt, Room};
use crate::early::Early;
use crate::failure_log::FailureLog;
use crate::large::{Kept, Large, Proven};
use crate::metrics::Metrics;
use crate::orders::Inbox;
use crate::report::Report;
use crate::schedule::{Clock, Schedule, Tick};
use crate::series::Common;
use crate::status::{Health, LastScrape, Slate};
use crate::{Claim, Fetch, FetchError, Fetched, Job, ScrapeError, Sink, Target};

/// How much longer than its timeout a scrape is waited for, so that the one who fetches can say how far it
/// came.
const GRACE: Duration = Duration::from_millis(10);

/// Bodies of up to this size, decompressed, are digested where they arrive, which takes about a millisecond at most; larger
/// ones on a thread that may be kept busy.
const SMALL_BODY: usize = 256 << 10;

/// Whether a body is small when it is decompressed, as far as can be told from the one `before`, zero where there was none.
fn is_small(fetched: &Fetched, before: usize) -> bool {
    let is_plain = fetched.content_encoding.is_none();
    fetched.body.len() <= SMALL_BODY && (is_plain || (1..=SMALL_BODY).contains(&before))
}

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn Sink>,
    /// One permit for each scrape that may be digested at the same time.
    pub(crate) cpu: Arc<Semaphore>,
    pub(crate) buffers: Buffers,
    pub(crate) large: Large,
    /// For answers that are held back.
    pub(crate) held: Room,
    pub(crate) metrics: Metrics,
    pub(crate) seed: u64,
    pub(crate) common: Arc<Common>,
    pub(crate) failures: FailureLog,
    /// How long a new target waits at least.
    pub(crate) initial_offset: Duration,
    /// Which new targets do not wait for their places.
    pub(crate) early: Early,
    /// Whether targets are scraped once more when the process ends.
    pub(crate) scrape_on_shutdown: bool,
}

/// What a loop scrapes.
#[derive(Clone)]
pub(crate) struct Assignment {
    pub(crate) job: Arc<Job>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) target: Arc<Target>,
    /// The job has so many targets, which is too many.
    pub(crate) too_many: Option<usize>,
}

/// What a loop is told. Dropping the sender releases the loop: it stops at once and tells nobody.
#[derive(Clone)]
pub(crate) enum Order {
    /// Scrape.
    Run(Assignment),
    /// The target is gone.
    End(Assignment),
    /// Scrape once more at once, then stop and tell nobody.
    Last(Assignment),
    /// The process ends: stop, and tell nobody.
    Stop(Assignment),
}

/// A loop. Nearly all the time it waits for its next tick: what it needs while it scrapes is in boxes that are there so long, so
/// that ten thousand targets take the memory of the few that are scraped at the same time.
pub(crate) struct TargetLoop {
    pub(crate) id: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) slate: Arc<Slate>,
    pub(crate) orders: Inbox<Order>,
    /// Told the id when the end of the series has been told.
    pub(crate) ended: mpsc::Sender<u64>,
    pub(crate) cache: Option<Box<Cache>>,
    /// How large the last answer was, unless it was refused.
    pub(crate) proven: Proven,
    /// Scrapes that may be somebody else's.
    pub(crate) doubt: Doubt,
    pub(crate) last: Option<Tick>,
    pub(crate) due: Option<(Schedule, Tick)>,
    /// The first scrape is not before this; a target that is handed over does not wait.
    pub(crate) first_after: Instant,
}

impl TargetLoop {
    /// Runs until it is released.
    pub(crate) async fn run(&mut self) {
        loop {
            let order = self.orders.read();
            let goes_on = match order {
                Order::Run(assignment) => {
                    self.decide(&assignment).await;
                    self.scrape_next(&assignment).await
                }
                Order::End(assignment) => {
                    self.send_held(&assignment).await;
                    self.end(&assignment).await
                }
                Order::Last(assignment) => {
                    self.let_go(&assignment).await;
                    return Box::pin(self.scrape_last(&assignment)).await;
                }
                Order::Stop(_) => false,
            };
            if !goes_on {
                break;
            }
        }
        // It may have been told while it was fetching.
        let last = self.orders.read();
        if let Order::Stop(assignment) = last {
            self.let_go(&assignment).await;
        }
    }

    /// Waits for the next tick and scrapes, or returns early when there is a new order. `false`: released.
    async fn scrape_next(&mut self, assignment: &Assignment) -> bool {
        let (schedule, tick) = self.next_tick(&assignment.target);
        let now = Tick::at(self.shared.clock.now());
        tokio::select! {
            biased;
            () = sleep(tick.since(now)) => {}
            goes_on = self.orders.changed() => return goes_on,
        }
        if let Some(last) = self.last {
            self.shared.metrics.skipped_ticks.inc_by(schedule.n_skipped(last, tick));
        }
        (self.last, self.due) = (Some(tick), None);
        let now = Tick::at(self.shared.clock.now());
        let at = schedule.snap(tick, now);
        // Doubt may have ended with the time.
        self.decide(assignment).await;
        match assignment.target.turn.claim(tick.timestamp(), now.timestamp()) {
            Claim::Ours => Box::pin(self.scrape(assignment, at)).await,
            Claim::Theirs => true,
            Claim::Open => Box::pin(self.scrape_and_hold(assignment, at)).await,
        }
    }

    /// The tick that is waited for. An order that leaves the schedule as it is does not move it.
    fn next_tick(&mut self, target: &Target) -> (Schedule, Tick) {
        let schedule = Schedule::new(target.hash, self.shared.seed, target.interval);
        if let Some((of, tick)) = self.due
            && of == schedule
        {
            return (schedule, tick);
        }
        let is_first = self.last.is_none() && target.turn.from.is_none();
        let wait = if is_first { self.first_after.duration_since(Instant::now()) } else { Duration::ZERO };
        let now = Tick::at(self.shared.clock.now() + wait);
        let place = schedule.next(now, self.last);
        let is_new = is_first && target.turn.until.is_none();
        let tick = if is_new { self.shared.early.first(now, place) } else { place };
        self.due = Some((schedule, tick));
        (schedule, tick)
    }

    /// As Prometheus' `ScrapeOnShutdown`: off the schedule, even where the first scrape is still waited for.
    async fn scrape_last(&mut self, assignment: &Assignment) {
        let at = Tick::at(self.shared.clock.now());
        let is_new = self.last.is_none_or(|last| last.timestamp() < at.timestamp());
        let claim = assignment.target.turn.claim(at.timestamp(), at.timestamp());
        if is_new && claim != Claim::Theirs {
            self.scrape(assignment, at).await;
        }
    }

    async fn scrape(&mut self, assignment: &Assignment, at: Tick) -> bool {
        let began = Instant::now();
        let shared = Arc::clone(&self.shared);
        let Some(fetched) = self.fetch(&shared, assignment).await else { return false };
        let (fetched, room) = apart(fetched);
        self.take_in(assignment, fetched, room, at, began).await
    }

    /// Scrapes while it is open whose scrape it is.
    async fn scrape_and_hold(&mut self, assignment: &Assignment, at: Tick) -> bool {
        let began = Instant::now();
        let shared = Arc::clone(&self.shared);
        let Some(fetched) = self.fetch(&shared, assignment).await else { return false };
        let (fetched, _) = apart(fetched);
        if !self.doubt.hold(&shared.held, at, fetched, began.elapsed()) {
            self.send_held(assignment).await;
        }
        true
    }

    /// Sends what was held back and is ours, and forgets what is not.
    async fn decide(&mut self, assignment: &Assignment) {
        while let Some(at) = self.doubt.oldest() {
            let now = Tick::at(self.shared.clock.now());
            match assignment.target.turn.claim(at.timestamp(), now.timestamp()) {
                Claim::Ours => Box::pin(self.send_oldest(assignment)).await,
                Claim::Theirs => drop(self.doubt.take()),
                Claim::Open => return,
            }
        }
    }

    /// Holds nothing back any more: what is not known to be another scraper's is sent, because nobody else may have it.
    async fn let_go(&mut self, assignment: &Assignment) {
        self.decide(assignment).await;
        self.send_held(assignment).await;
    }

    async fn send_held(&mut self, assignment: &Assignment) {
        while self.doubt.oldest().is_some() {
            Box::pin(self.send_oldest(assignment)).await;
        }
    }

    async fn send_oldest(&mut self, assignment: &Assignment) {
        let Some(held) = self.doubt.take() else { return };
        let now = Instant::now();
        let began = now.checked_sub(held.took).unwrap_or(now);
        let _goes_on = self.take_in(assignment, held.fetched, None, held.at, began).await;
    }

    /// Makes samples of an answer and sends them. The room is held until the body is gone. `false`: the process is going down.
    async fn take_in(
        &mut self,
        assignment: &Assignment,
        fetched: Result<Fetched, ScrapeError>,
        room: Option<SemaphorePermit<'_>>,
        at: Tick,
        began: Instant,
    ) -> bool {
        let wire = fetched.as_ref().map(|fetched| fetched.body.len()).ok();
        let Some((mut cache, digested)) = self.digest(assignment, fetched, at).await else { return false };
        drop(room);
        // Where no answer came, nothing new is known.
        if let Some(wire) = wire {
            self.proven = match digested.error {
                None => Proven { wire, inflated: usize::try_from(digested.body_bytes).unwrap_or_default() },
                Some(_) => Proven::default(),
            };
        }
        let job = assignment.job.config();
        let duration = began.elapsed();
        let scrape = cache.finish(&Report {
            is_up: digested.error.is_none(),
            duration,
            n_scraped: digested.counts.scraped,
            n_kept: digested.counts.kept,
            n_added: digested.counts.added,
            timeout: assignment.target.timeout,
            sample_limit: job.limits.sample_limit,
            body_bytes: digested.body_bytes,
        });
        self.note(assignment, &digested, at, duration, cache.n_series());
        if self.send(scrape).await {
            cache.delivered();
        }
        self.cache = Some(cache);
        true
    }

    /// `None`: released.
    async fn fetch<'s>(
        &mut self,
        shared: &'s Shared,
        assignment: &Assignment,
    ) -> Option<Result<Kept<'s>, ScrapeError>> {
        let Assignment { job, target, .. } = assignment;
        if let Some(found) = assignment.too_many {
            let limit = job.config().limits.target_limit;
            return Some(Err(ScrapeError::TargetLimit { found, limit }));
        }
        let fetch = timeout(
            target.timeout + GRACE,
            shared.large.fetch(&*assignment.fetch, target, &mut self.proven.wire),
        );
        let fetched = tokio::select! {
            biased;
            () = self.orders.released() => return None,
            fetched = fetch => fetched,
        };
        let late = || FetchError::Timeout { limit: target.timeout, source: None };
        Some(fetched.unwrap_or_else(|_| Err(late())).map_err(ScrapeError::from))
    }

    /// The part that costs CPU, one permit at a time. `None`: the process is going down.
    async fn digest(
        &mut self,
        assignment: &Assignment,
        fetched: Result<Fetched, ScrapeError>,
        at: Tick,
    ) -> Option<(Box<Cache>, Digested)> {
        let Assignment { job, target, .. } = assignment;
        let mut cache = match self.cache.take() {
            Some(mut cache) => {
                cache.adapt(job, target);
                cache
            }
            None => Box::new(Cache::new(job, target, &self.shared.common)),
        };
        let _permit = self.shared.cpu.acquire().await.ok()?;
        let is_small = fetched.as_ref().map_or(true, |fetched| is_small(fetched, self.proven.inflated));
        let (shared, job, at) = (Arc::clone(&self.shared), Arc::clone(job), at.timestamp());
        let proven = self.proven.inflated;
        let work = move || {
            let digested = digest(fetched, &job, at, &mut cache, &shared.buffers, proven);
            (cache, digested)
        };
        if is_small {
            return Some(work());
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    fn note(
        &self,
        assignment: &Assignment,
        digested: &Digested,
        at: Tick,
        duration: Duration,
        n_series: usize,
    ) {
        let error = digested.error.as_ref();
        self.shared.metrics.scraped(&digested.counts, error, duration.as_secs_f64());
        let error = error.map(|error| telemetry::error_chain(error));
        if let Some(error) = &error {
            self.warn(assignment, error);
            self.shared.failures.note(&assignment.job, &assignment.target, self.shared.clock.now(), error);
        }
        self.slate.write(LastScrape {
            health: if error.is_none() { Health::Up } else { Health::Down },
            at: Some(at.timestamp()),
            duration,
            error,
            n_samples: digested.counts.kept,
            n_series,
            refused: None,
        });
    }

    /// Says that the target went down; of very many targets at a time, some are named.
    fn warn(&self, assignment: &Assignment, error: &str) {
        static DOWN: RateLimited = RateLimited::burst(20, Duration::from_secs(10));
        let (job, target) = (assignment.job.name(), &assignment.target.url);
        match self.slate.read().health {
            Health::Down => tracing::debug!(job, %target, error, "target is still down"),
            _ => match DOWN.pass() {
                Some(suppressed) => tracing::warn!(job, %target, error, suppressed, "target is down"),
                None => tracing::debug!(job, %target, error, "target is down"),
            },
        }
    }

    /// Whether the sink took it.
    async fn send(&self, scrape: model::Scrape) -> bool {
        let Err(refused) = self.shared.sink.append(scrape).await else { return true };
        self.shared.metrics.refused.inc();
        self.slate.refused(&refused.reason);
        false
    }

    /// Waits, tells the end of all series, and waits for what comes then. `false`: released.
    async fn end(&mut self, assignment: &Assignment) -> bool {
        let target = &assignment.target;
        if let Some(last) = self.last {
            let schedule = Schedule::new(target.hash, self.shared.seed, target.interval);
            let now = Tick::at(self.shared.clock.now());
            let tick = schedule.next(now, Some(last));
            let patience = schedule.interval() + schedule.interval() / 10;
            tokio::select! {
                biased;
                () = sleep(tick.since(now) + patience) => {}
                goes_on = self.orders.changed() => return goes_on,
            }
            Box::pin(self.tell_end(tick)).await;
        }
        // Where nobody listens any more, the sender of the orders is gone as well.
        let _is_heard = self.ended.send(self.id).await.is_ok();
        self.orders.changed().await
    }

    async fn tell_end(&mut self, tick: Tick) {
        let Some(mut cache) = self.cache.take() else { return };
        if let Some(scrape) = cache.end(tick.timestamp())
            && self.send(scrape).await
        {
            cache.delivered();
        }
        self.cache = Some(cache);
    }
}

/// An answer, and its share of the room for large ones.
fn apart(
    fetched: Result<Kept<'_>, ScrapeError>,
) -> (Result<Fetched, ScrapeError>, Option<SemaphorePermit<'_>>) {
    match fetched {
        Ok(Kept { fetched, room }) => (Ok(fetched), room),
        Err(error) => (Err(error), None),
    }
}
