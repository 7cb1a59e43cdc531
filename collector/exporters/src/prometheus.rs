//! `prometheus`: the last value of every series, for others to scrape at `/metrics`.
//!
//! As contrib `exporter/prometheusexporter`, with these differences on purpose: a scrape is read straight from its series table and
//! comes out with its own names, values and times; what was not updated for `metric_expiration` goes on a timer, also when
//! nobody asks; an answer is written piece by piece while the reader takes it; the number of series has a limit
//! (`max_series`); families keep their UNIT, and infos and state sets their type, in OpenMetrics.
//!
//! Native histograms are whole in the protobuf format; text and OpenMetrics show their count and sum, and the one bucket that says
//! the same as the count, as upstream. `sending_queue` is read and without effect: there is nothing to wait for.
//!
//! ```yaml
//! prometheus:
//!   endpoint: 0.0.0.0:8889
//!   metric_expiration: 10m
//!   const_labels:
//!     cluster: home
//! ```

mod config;
mod deltas;
mod page;
mod server;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::config::Problem;
use bytes::Bytes;
use model::{Batch, Metrics, Signals, Timestamp};
use net::{HttpServerConfig, Listener, ServeOptions};
use pipeline::{
    Backoff, Bodies, Component, ExportError, Exporter, Fatal, Life, Refused, Request, Sending, SendingConfig,
    SendingDefaults, Site, Stop,
};
use telemetry::RateLimited;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;
use translate::{Report, Scratch, SeriesRef, ToSeries};

use self::config::Config;
use deltas::{Deltas, Unadded};
use server::Service;
use store::{Goal, Store, Tick, Untaken};

/// Longest time between two looks for series to end.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Samples after which the store is unlocked for a moment, at the end of a family.
const SAMPLES_A_LOCK: usize = 512;

/// The running exporter.
#[derive(Debug)]
pub struct Prometheus {
    endpoint: String,
    server: HttpServerConfig,
    to_series: ToSeries,
    expiration: Duration,
    service: Service,
    deltas: Arc<Mutex<Deltas>>,
    scratch: Mutex<Vec<Scratch>>,
    drops: RateLimited,
    full: RateLimited,
    /// The server and the timer. They end with the exporter.
    tasks: Mutex<JoinSet<()>>,
    stop: Stop,
}

impl Component for Prometheus {
    const TYPE: &'static str = "prometheus";
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let endpoint = config.check()?;
        let expiration = config.metric_expiration.as_duration();
        Ok(Self {
            endpoint,
            to_series: config.to_series(),
            expiration,
            service: Service {
                store: Arc::new(Mutex::new(Store::new(config.max_series, expiration))),
                origin: Instant::now(),
                open_metrics: config.enable_open_metrics,
                with_times: config.send_timestamps,
            },
            deltas: Arc::new(Mutex::new(Deltas::new(config.max_series, Tick::count(expiration)))),
            server: config.server,
            scratch: Mutex::default(),
            drops: RateLimited::every(Duration::from_secs(30)),
            full: RateLimited::every(Duration::from_secs(30)),
            tasks: Mutex::default(),
            stop: Stop::new(),
        })
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        let doing = || format!("starting exporter `{}`", life.id());
        let options = self.server.options().map_err(|error| Fatal::new(doing(), error))?;
        let options = ServeOptions { http2: false, ..options };
        let listener = Listener::bind(&self.endpoint).map_err(|error| Fatal::new(doing(), error))?;
        let mut tasks = locked(&self.tasks);
        tasks.spawn(self.service.clone().serve(listener, options, self.stop.clone()));
        let sweeper = Sweeper { service: self.service.clone(), deltas: Arc::clone(&self.deltas) };
        tasks.spawn(sweeper.run(self.expiration, self.stop.clone()));
        Ok(())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop.raise();
        // Readers may take the rest of their page; the runtime ends with the process anyway.
        locked(&self.tasks).detach_all();
    }
}

impl Exporter for Prometheus {
    const DEFAULTS: SendingDefaults =
        SendingDefaults { timeout: None, retry: Backoff::HELPER, queue: None, uses_data_dir: false };
    /// Samples are shown as soon as they are encoded.
    const SENDS: bool = false;

    fn sending(_config: &Config, common: &SendingConfig) -> Sending {
        Sending { queue: None, ..Sending::new(common, &Self::DEFAULTS) }
    }

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let Batch::Metrics(metrics) = batch else {
            return Err(Refused::Never { reason: "only metrics".to_owned() });
        };
        let mut scratch = locked(&self.scratch).pop().unwrap_or_default();
        let mut taking = Taking::new(&self.service);
        let mut n_unadded = 0;
        let report = match metrics {
            Metrics::Scrape(scrape) => {
                self.to_series.scrape(scrape, &mut scratch, &mut |series| taking.put(&series))
            }
            Metrics::Otlp(frames) => {
                let (mut report, mut unadded) = (Report::default(), Unadded::default());
                for resource in &frames.resources {
                    match taking.repeat(resource) {
                        Some(n_samples) => report.n_samples += n_samples,
                        None => report.add(&self.resource(resource, &mut scratch, &mut taking, &mut unadded)),
                    }
                }
                n_unadded = self.tell_unadded(&unadded);
                report
            }
        };
        let Taking { n_untaken, untaken, newest, guard, .. } = taking;
        drop(guard);
        locked(&self.scratch).push(scratch);
        self.tell(&report, &untaken, n_untaken);
        bodies.drop_items((report.n_dropped() + n_untaken + n_unadded) as u64);
        // An empty body, so that what was taken is counted as sent.
        bodies.first().note(report.n_samples - n_untaken, newest);
        Ok(())
    }

    async fn send(&self, _request: &Request, _n_before: u32) -> Result<(), ExportError> {
        Ok(())
    }

    /// Ends the server, so that another exporter can listen where it did.
    async fn make_room(&self) -> bool {
        self.stop.raise();
        let mut tasks = std::mem::take(&mut *locked(&self.tasks));
        while tasks.join_next().await.is_some() {}
        true
    }
}

impl Prometheus {
    /// Takes an OTLP resource message that is not known.
    fn resource(
        &self,
        resource: &Bytes,
        scratch: &mut Scratch,
        taking: &mut Taking<'_>,
        unadded: &mut Unadded,
    ) -> Report {
        let cumulated = locked(&self.deltas).cumulate(resource, taking.now, unadded);
        let n_forgotten = taking.begin_message();
        let message = cumulated.as_ref().unwrap_or(resource);
        let report = self.to_series.resource(message, scratch, &mut |series| taking.put(&series));
        if cumulated.is_none() && report.n_dropped() == 0 && report.n_samples == taking.goals.len() {
            taking.learn(message, n_forgotten);
        }
        report
    }

    /// Says which deltas were not added up. Gives their number.
    fn tell_unadded(&self, unadded: &Unadded) -> usize {
        let (endpoint, n_overlapping, n_refused) = (&self.endpoint, unadded.n_overlapping, unadded.n_refused);
        if n_overlapping > 0
            && let Some(suppressed) = self.drops.pass()
        {
            warn!(
                endpoint,
                suppressed,
                "{n_overlapping} delta points dropped: they overlap or repeat what was added up before; let each series have one writer"
            );
        }
        if n_refused > 0
            && let Some(suppressed) = self.full.pass()
        {
            let limit = &unadded.limit;
            warn!(
                endpoint,
                suppressed,
                dropped_items = n_refused,
                "no room for another delta series: {limit}"
            );
        }
        n_overlapping + n_refused
    }

    fn tell(&self, report: &Report, untaken: &[Untaken], n_untaken: usize) {
        let endpoint = &self.endpoint;
        if let Some(dropped) = report.dropped.first()
            && let Some(suppressed) = self.drops.pass()
        {
            warn!(endpoint, suppressed, "{dropped}");
        }
        for reason in untaken {
            match reason {
                Untaken::Conflict(_) => warn!(endpoint, "{reason}"),
                Untaken::Full(_) => {
                    if let Some(suppressed) = self.full.pass() {
                        warn!(endpoint, suppressed, dropped_items = n_untaken, "{reason}");
                    }
                }
            }
        }
    }
}

/// Puts the samples of a batch into the store.
struct Taking<'a> {
    store: &'a Mutex<Store>,
    guard: Option<MutexGuard<'a, Store>>,
    now: Tick,
    /// Samples since the store was locked, and the family of the last one.
    n_locked: usize,
    family: String,
    newest: Timestamp,
    n_untaken: usize,
    /// What there is to be said of samples that were not taken.
    untaken: Vec<Untaken>,
    /// Where the samples of the last message went.
    goals: Vec<Goal>,
}

impl<'a> Taking<'a> {
    fn new(service: &'a Service) -> Self {
        Self {
            store: &service.store,
            guard: None,
            now: Tick::since(service.origin),
            n_locked: 0,
            family: String::new(),
            newest: Timestamp(i64::MIN),
            n_untaken: 0,
            untaken: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Puts the samples of a message that is known. Gives their number.
    fn repeat(&mut self, message: &[u8]) -> Option<usize> {
        let store = self.guard.get_or_insert_with(|| locked(self.store));
        let repeated = store.repeat(message, self.now)?;
        self.newest = self.newest.max(repeated.newest);
        self.n_locked += repeated.n_samples;
        if self.n_locked >= SAMPLES_A_LOCK {
            self.guard = None;
            self.n_locked = 0;
        }
        Some(repeated.n_samples)
    }

    /// What [`Store::learn`] wants to know of the time before a message.
    fn begin_message(&mut self) -> u64 {
        self.goals.clear();
        self.guard.get_or_insert_with(|| locked(self.store)).n_forgotten()
    }

    fn learn(&mut self, message: &[u8], n_forgotten: u64) {
        let store = self.guard.get_or_insert_with(|| locked(self.store));
        store.learn(message, &self.goals, n_forgotten, self.now);
    }

    fn put(&mut self, series: &SeriesRef<'_>) {
        self.n_locked += 1;
        if self.n_locked == SAMPLES_A_LOCK {
            self.family.clear();
            self.family.push_str(series.family.name);
        } else if self.n_locked > SAMPLES_A_LOCK && self.family != series.family.name {
            // Between families, so that nobody sees half of a histogram.
            self.guard = None;
            self.n_locked = 0;
        }
        let store = self.guard.get_or_insert_with(|| locked(self.store));
        self.newest = self.newest.max(series.at);
        let reason = match store.put(series, self.now) {
            Ok(goal) => return self.goals.extend(goal),
            Err(reason) => reason,
        };
        self.n_untaken += 1;
        let is_news = match &reason {
            Untaken::Conflict(conflict) => conflict.is_first,
            Untaken::Full(_) => !self.untaken.iter().any(|known| matches!(known, Untaken::Full(_))),
        };
        if is_news {
            self.untaken.push(reason);
        }
    }
}

/// Ends what was not updated.
struct Sweeper {
    service: Service,
    deltas: Arc<Mutex<Deltas>>,
}

impl Sweeper {
    /// Looks again and again, until `stop`.
    async fn run(self, expiration: Duration, stop: Stop) {
        let interval = (expiration / 4).clamp(Duration::from_millis(100), MAX_SWEEP_INTERVAL);
        loop {
            tokio::select! {
                () = stop.raised() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let now = Tick::since(self.service.origin);
            locked(&self.service.store).expire(now);
            locked(&self.deltas).expire(now);
        }
    }
}

/// A lock whose holder may have panicked: what it guards is whole after each call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
