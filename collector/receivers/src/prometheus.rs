//! `prometheus`: scrapes targets, its own or those that an allocator hands out.
//!
//! As contrib `receiver/prometheusreceiver`, with these differences on purpose: what the allocator answers is believed only when it
//! is certain (see [`follower`]); the process starts and scrapes what it knows while the allocator is away; one of its jobs
//! that cannot run is left out alone, by name; targets that only moved to another scraper end without stale markers; files
//! with jobs are read again when they change (see [`own_jobs`]); a file with credentials that is absent is a warning, not
//! an error, because it may come later.
//!
//! ```yaml
//! prometheus:
//!   config:
//!     scrape_configs:
//!       - job_name: node
//!         static_configs: [{targets: [localhost:9100]}]
//!   target_allocator:
//!     endpoint: http://allocator:8080
//!     interval: 30s
//!     collector_id: ${env:POD_NAME}
//! ```

mod api_server;
mod follower;
mod into_pipelines;
mod job_source;
mod kept;
mod own_jobs;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{Problem, Timeout};
use discovery::Context;
use model::{Labels, Signals};
use pipeline::{Component, Fatal, Life, Outlets, Receiver, Site};
use scrape::{Job, Options, Scraper};
use telemetry::error_chain;
use tracing::warn;
use translate::{ScopeInfo, ToOtlp};

use api_server::ApiServer;
use follower::Follower;
use into_pipelines::{DIRECT_PATH, IntoPipelines};
use job_source::JobSource;
use own_jobs::OwnJobs;
use settings::{Config, TargetAllocatorConfig};

/// Feature gate of the upstream receiver, off by default: start times of series are passed on.
const START_TIMESTAMPS: &str = "receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion";

/// Longest wait for scrapes that are being delivered at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The same where every target is scraped once more. The process waits five seconds for a receiver.
const LAST_SCRAPE_GRACE: Duration = Duration::from_millis(4500);

/// New targets that are scraped at once each second where an allocator tells of them. More than these wait for their places in
/// their intervals, as all do where no allocator is.
const EARLY_FIRST_SCRAPES: usize = 100;

/// The running receiver.
#[derive(Debug)]
pub struct Prometheus {
    source: JobSource,
    jobs: Vec<Arc<Job>>,
    external_labels: Labels,
    base_dir: PathBuf,
    allocator: Option<Follower>,
    initial_offset: Duration,
    scrape_on_shutdown: bool,
    api: Option<ApiServer>,
    bound: Option<api_server::Bound>,
    start_timestamps: bool,
    /// How scrapes become OTLP, where they do.
    into_otlp: Option<ToOtlp<'static>>,
}

impl Component for Prometheus {
    const TYPE: &'static str = "prometheus";
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::refused(&config);
        let source = JobSource::new(&config.config, &site.base_dir);
        if source.is_empty() && config.target_allocator.is_none() {
            let message = "needs scrape_configs or scrape_config_files below config, or a target_allocator";
            problems.push(Problem::at("config", message));
        }
        let jobs = source.read().unwrap_or_else(|found| {
            problems.extend(found.into_iter().map(|problem| problem.under("config")));
            Vec::new()
        });
        let external_labels = config.config.global.external_labels(|name| std::env::var(name).ok());
        let allocator =
            match config.target_allocator.map(|settings| Follower::build(settings, site)).transpose() {
                Ok(allocator) => allocator,
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| problem.under("target_allocator")));
                    None
                }
            };
        let api = config.api_server.map(ApiServer::build).transpose().unwrap_or_else(|found| {
            problems.extend(found.into_iter().map(|problem| problem.under("api_server")));
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let must_be_otlp = site.is_switched_off(DIRECT_PATH) || config.trim_metric_suffixes;
        let into_otlp = must_be_otlp.then(|| ToOtlp {
            trim_metric_suffixes: config.trim_metric_suffixes,
            ..ToOtlp::new(ScopeInfo::prometheus_receiver(site.version))
        });
        Ok(Self {
            api: api.flatten(),
            bound: None,
            source,
            jobs,
            external_labels,
            base_dir: site.base_dir.clone(),
            allocator,
            initial_offset: config.initial_scrape_offset.and_then(Timeout::as_duration).unwrap_or_default(),
            scrape_on_shutdown: config.scrape_on_shutdown,
            start_timestamps: site.is_switched_on(START_TIMESTAMPS),
            into_otlp,
        })
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        settings::warnings(config)
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        self.bound = self.api.as_ref().map(|api| api.bind(life)).transpose()?;
        Ok(())
    }
}

impl Receiver for Prometheus {
    const SETS_PACE: bool = true;

    async fn run(self, out: Outlets, life: Life) -> Result<(), Fatal> {
        let metrics = life.telemetry().clone();
        // With an allocator every scraper has to agree on the moments at which a target is scraped, so that a move leaves
        // neither a gap nor an overlap. Without one, replicas differ, as Prometheus' replicas do.
        let seed =
            if self.allocator.is_some() { 0 } else { scrape::phase_seed(&hostname(), &self.external_labels) };
        let options = Options {
            seed,
            metrics: metrics.clone(),
            external_labels: self.external_labels,
            initial_offset: self.initial_offset,
            early_first_scrapes: if self.allocator.is_some() { EARLY_FIRST_SCRAPES } else { 0 },
            scrape_on_shutdown: self.scrape_on_shutdown,
            start_timestamps: self.start_timestamps,
            ..Options::default()
        };
        let grace = if self.scrape_on_shutdown { LAST_SCRAPE_GRACE } else { SHUTDOWN_GRACE };
        let sink = IntoPipelines::new(out.via("http"), self.into_otlp, &life);
        let scraper = Arc::new(Scraper::spawn(options, Arc::new(sink)));
        let context = Context { metrics, ..Context::new(self.base_dir) };
        let own = Arc::new(OwnJobs::start(self.jobs, self.source, context.clone(), &life));
        let serving = async {
            match self.allocator {
                None => {
                    serve(&scraper, &own, &life).await;
                    Duration::ZERO
                }
                Some(follower) => {
                    follower.follow(Arc::clone(&scraper), Arc::clone(&own), context, &life).await
                }
            }
        };
        let api = self
            .bound
            .map(|bound| tokio::spawn(bound.serve(Arc::downgrade(&scraper), hostname(), life.clone())));
        let waited = tokio::select! {
            waited = serving => waited,
            never = own.look_after(&life) => match never {},
        };
        if let Some(api) = api {
            // Its port is free for who comes next when this returns.
            api.abort();
            let _was_cut = api.await.is_err();
        }
        if let Some(scraper) = Arc::into_inner(scraper) {
            scraper.shutdown(grace.min(LAST_SCRAPE_GRACE.saturating_sub(waited))).await;
        }
        Ok(())
    }
}

/// Scrapes the jobs of the configuration until `life` ends.
async fn serve(scraper: &Scraper, own: &OwnJobs, life: &Life) {
    let mut changes = own.changes();
    loop {
        scraper.reload(own.feeds()).await;
        tokio::select! {
            () = life.stopped() => return,
            // The sender lives in `own`.
            _changed = changes.changed() => {}
        }
    }
}

fn hostname() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(name) => name.trim().to_owned(),
        Err(error) => {
            warn!(
                error = error_chain(&error),
                "the host does not say its name; scrape moments do not depend on it"
            );
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
