//! All jobs of a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use model::Labels;
use telemetry::Registry;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use xxhash_rust::xxh64::xxh64;

use crate::Sink;
use crate::body::Buffers;
use crate::doubt::Room;
use crate::early::Early;
use crate::failure_log::FailureLog;
use crate::large::Large;
use crate::metrics::Metrics;
use crate::pool::{Control, Feed, Pool};
use crate::schedule::{Clock, SystemClock};
use crate::series::Common;
use crate::status::{JobStatus, View};
use crate::target_loop::Shared;

/// What a scraper knows of its surroundings.
#[derive(Clone)]
pub struct Options {
    /// Shifts the moments at which targets are scraped; see [`phase_seed`].
    pub seed: u64,
    /// How many scrapes are decompressed and parsed at the same time.
    pub n_cores: usize,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where metrics go.
    pub metrics: Registry,
    /// Labels for series that do not have them, added when everything else is done.
    pub external_labels: Labels,
    /// Whether it is passed on when series began to count, where targets say so: in protobuf, or in `_created` series of
    /// OpenMetrics, which are hidden then.
    pub start_timestamps: bool,
    /// How long a new target waits at least before its first scrape.
    pub initial_offset: Duration,
    /// How many new targets a second are scraped at once, ahead of their places in their intervals, where there is no
    /// `initial_offset`. Zero, as in Prometheus: every first scrape waits for its place. A target that is handed over always does.
    pub early_first_scrapes: usize,
    /// Whether all targets are scraped once more at [`Scraper::shutdown`].
    pub scrape_on_shutdown: bool,
}

impl Default for Options {
    /// The machine's clock and cores, seed zero, metrics for nobody.
    fn default() -> Self {
        let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            seed: 0,
            n_cores,
            clock: Arc::new(SystemClock),
            metrics: Registry::new(),
            external_labels: Labels::new(),
            start_timestamps: false,
            initial_offset: Duration::ZERO,
            early_first_scrapes: 0,
            scrape_on_shutdown: false,
        }
    }
}

/// A seed for the moments at which targets are scraped: replicas, which differ in their host's name or in
/// their external labels, scrape the same target at different moments.
#[must_use]
pub fn phase_seed(hostname: &str, external_labels: &Labels) -> u64 {
    xxh64(hostname.as_bytes(), external_labels.hash64())
}

/// Scrapes the targets of all its jobs and gives what it finds to a sink.
///
/// When it is dropped, everything stops; [`Scraper::shutdown`] waits for that. Neither tells the end of any
/// series: the process will be back, or somebody else carries on.
pub struct Scraper {
    shared: Arc<Shared>,
    failure_log: JoinHandle<()>,
    pools: Mutex<HashMap<String, PoolHandle>>,
}

struct PoolHandle {
    controls: mpsc::Sender<Control>,
    view: Arc<RwLock<View>>,
    task: JoinHandle<()>,
    is_closing: bool,
}

impl PoolHandle {
    /// Whether its job is gone and all its targets have ended.
    fn is_over(&self) -> bool {
        self.is_closing && self.view.read().unwrap_or_else(PoisonError::into_inner).is_over
    }
}

impl Scraper {
    /// Starts scraping on the current runtime; jobs come by [`Scraper::reload`].
    #[must_use]
    pub fn spawn(options: Options, sink: Arc<dyn Sink>) -> Self {
        let (failures, failure_log) = FailureLog::spawn();
        let shared = Shared {
            clock: options.clock,
            sink,
            cpu: Arc::new(Semaphore::new(options.n_cores.max(1))),
            buffers: Buffers::default(),
            large: Large::new(),
            held: Room::new(),
            metrics: Metrics::new(options.metrics.scope()),
            seed: options.seed,
            common: Arc::new(Common {
                external_labels: options.external_labels,
                start_timestamps: options.start_timestamps,
            }),
            failures,
            initial_offset: options.initial_offset,
            early: Early::new(if options.initial_offset.is_zero() { options.early_first_scrapes } else { 0 }),
            scrape_on_shutdown: options.scrape_on_shutdown,
        };
        Self { shared: Arc::new(shared), failure_log, pools: Mutex::default() }
    }

    /// From now on, these are the jobs. A job that was there before keeps its loops and everything known of
    /// its targets, whatever changed in it; the targets of a job that is gone end as if discovery had dropped
    /// them.
    pub async fn reload(&self, feeds: Vec<Feed>) {
        let mut messages = Vec::new();
        {
            let mut pools = self.lock();
            pools.retain(|_, pool| !pool.task.is_finished() && !pool.is_over());
            for (name, pool) in pools.iter_mut() {
                if !pool.is_closing && !feeds.iter().any(|feed| feed.job.name() == name) {
                    pool.is_closing = true;
                    messages.push((pool.controls.clone(), Control::Close));
                }
            }
            for feed in feeds {
                match pools.get_mut(feed.job.name()) {
                    Some(pool) => {
                        pool.is_closing = false;
                        messages.push((pool.controls.clone(), Control::Feed(feed)));
                    }
                    None => drop(pools.insert(feed.job.name().to_owned(), self.start(feed))),
                }
            }
        }
        for (controls, message) in messages {
            // A pool listens as long as we hold its sender.
            let _is_heard = controls.send(message).await.is_ok();
        }
    }

    /// These targets of a job (by [`crate::Target::hash`]) are scraped elsewhere from now on: they are left
    /// at once, and nobody is told that their series ended. They stay left until discovery has dropped them.
    pub async fn release(&self, job: &str, targets: Vec<u64>) {
        let controls = self.lock().get(job).map(|pool| pool.controls.clone());
        if let Some(controls) = controls {
            // A pool that is gone has no targets to release.
            let _is_heard = controls.send(Control::Release(targets)).await.is_ok();
        }
    }

    /// All jobs and how their targets are doing, by name.
    #[must_use]
    pub fn status(&self) -> Vec<JobStatus> {
        let views: Vec<(String, Arc<RwLock<View>>)> = {
            let pools = self.lock();
            let open = pools.iter().filter(|(_, pool)| !pool.is_closing);
            open.map(|(name, pool)| (name.clone(), Arc::clone(&pool.view))).collect()
        };
        let status = |(name, view): &(String, Arc<RwLock<View>>)| {
            view.read().unwrap_or_else(PoisonError::into_inner).status(name)
        };
        let mut all: Vec<JobStatus> = views.iter().map(status).collect();
        all.sort_by(|a, b| a.job.cmp(&b.job));
        all
    }

    /// Whether scrapes are held back, because it is open whose they are (see [`crate::Turn`]).
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.shared.held.is_used()
    }

    /// Stops everything. Scrapes that are being fetched are given up, unless there is a last scrape of all targets; those
    /// that are being delivered are waited for, as long as `grace` allows. What is held back ([`Self::is_in_doubt`]) is delivered,
    /// because rather it comes twice than not at all.
    pub async fn shutdown(self, grace: Duration) {
        let pools = std::mem::take(&mut *self.lock());
        let (mut tasks, mut controls) = (Vec::new(), Vec::new());
        for pool in pools.into_values() {
            tasks.push(pool.task);
            controls.push(pool.controls);
        }
        drop(controls);
        let deadline = tokio::time::Instant::now() + grace;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        // With the last who writes failures down gone, the file is finished.
        drop(self.shared);
        let _is_written = tokio::time::timeout_at(deadline, self.failure_log).await.is_ok();
    }

    fn start(&self, feed: Feed) -> PoolHandle {
        let (controls, receiver) = mpsc::channel(16);
        let view = Arc::new(RwLock::new(View::default()));
        let pool = Pool::new(Arc::clone(&self.shared), feed, receiver, Arc::clone(&view));
        PoolHandle { controls, view, task: tokio::spawn(pool.run()), is_closing: false }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, PoolHandle>> {
        // Nothing under the lock can panic half-way.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Scraper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scraper").finish_non_exhaustive()
    }
}
