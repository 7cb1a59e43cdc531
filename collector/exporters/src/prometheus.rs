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
use deltas::{Cumulated, Deltas};
use server::Service;
use store::{Store, Tick, Untaken};

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

    fn sending(_config: &Config, common: &SendingConfig) -> Sending {
        Sending { queue: None, ..Sending::new(common, &Self::DEFAULTS) }
    }

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let Batch::Metrics(metrics) = batch else {
            return Err(Refused::Never { reason: "only metrics".to_owned() });
        };
        let mut scratch = locked(&self.scratch).pop().unwrap_or_default();
        let mut taking = Taking::new(&self.service);
        let mut take = |series: SeriesRef<'_>| taking.put(&series);
        let mut n_unadded = 0;
        let report = match metrics {
            Metrics::Scrape(scrape) => self.to_series.scrape(scrape, &mut scratch, &mut take),
            Metrics::Otlp(frames) => {
                let now = Tick::since(self.service.origin);
                let cumulated = locked(&self.deltas).cumulate(frames, now);
                let frames = cumulated.as_ref().map_or(frames, |cumulated| &cumulated.frames);
                let report = self.to_series.otlp(frames, &mut scratch, &mut take);
                n_unadded = cumulated.map_or(0, |cumulated| self.tell_unadded(&cumulated));
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

    /// There is nothing to do: samples are shown as soon as they are encoded.
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
    /// Says which deltas were not added up. Gives their number.
    fn tell_unadded(&self, cumulated: &Cumulated) -> usize {
        let (endpoint, n_overlapping, n_refused) =
            (&self.endpoint, cumulated.n_overlapping, cumulated.n_refused);
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
            let limit = &cumulated.limit;
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
        }
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
        let Err(reason) = store.put(series, self.now) else { return };
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
