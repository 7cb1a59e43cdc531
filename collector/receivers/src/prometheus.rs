//! `prometheus`: scrapes targets, its own or those that an allocator hands out.
//!
//! As contrib `receiver/prometheusreceiver`, with these differences on purpose: what the allocator answers is believed only when it
//! is certain (see [`follower`]); the process starts and scrapes what it knows while the allocator is away; a job that
//! cannot run is left out alone, by name; targets that only moved to another scraper end without stale markers.
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

mod follower;
mod into_pipelines;
mod kept;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{HttpUrl, Period, Problem};
use discovery::{Context, Discovery};
use model::{Labels, Signals};
use net::{HttpClientConfig, PrometheusClientConfig};
use pipeline::{Component, Fatal, Life, Outlets, Receiver, Site};
use schemars::JsonSchema;
use scrape::{Feed, GlobalConfig, HttpFetch, Job, Options, ScrapeConfig, ScrapeProtocol, Scraper};
use serde::{Deserialize, Serialize};
use telemetry::error_chain;
use tracing::{error, warn};
use translate::{ScopeInfo, ToOtlp};

use follower::Follower;
use into_pipelines::{DIRECT_PATH, IntoPipelines};

/// Longest wait for scrapes that are being delivered at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Scrapes targets, its own or those that an allocator hands out.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Jobs of its own, in Prometheus' words.
    #[serde(default)]
    pub config: PrometheusConfig,
    /// An allocator to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_allocator: Option<TargetAllocatorConfig>,
    /// Takes unit and type suffixes off names; not built in.
    #[serde(default)]
    pub trim_metric_suffixes: bool,
    /// Prometheus' HTTP API over the targets; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<serde_json::Value>,
    /// One more scrape at the end; not built in.
    #[serde(default)]
    pub scrape_on_shutdown: bool,
    /// Accepted for compatibility: the first targets never wait here.
    #[serde(default)]
    pub discovery_reload_on_startup: bool,
    /// A fixed delay before the first scrape; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_scrape_offset: Option<config::Timeout>,
    /// Removed by others: start times are passed on, never guessed.
    #[serde(default)]
    pub use_start_time_metric: bool,
    /// Removed by others, with `use_start_time_metric`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time_metric_regex: Option<String>,
    /// Former spelling of `extra_scrape_metrics`.
    #[serde(default)]
    pub report_extra_scrape_metrics: bool,
}

/// `config`: the part of a Prometheus configuration that is about scraping.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct PrometheusConfig {
    /// What jobs inherit.
    #[serde(default)]
    pub global: GlobalConfig,
    /// The jobs.
    #[serde(default)]
    pub scrape_configs: Option<Vec<ScrapeConfig>>,
    /// More jobs, in files; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_config_files: Option<Vec<String>>,
    /// Belongs to an exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<serde_json::Value>,
    /// Has no meaning here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_read: Option<serde_json::Value>,
    /// Has no meaning here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_files: Option<serde_json::Value>,
    /// Has no meaning here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerting: Option<serde_json::Value>,
}

/// `target_allocator`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct TargetAllocatorConfig {
    /// Where the allocator is.
    pub endpoint: HttpUrl,
    /// How often it is asked for its jobs.
    #[serde(default = "config::secs::<30>")]
    pub interval: Period,
    /// The name under which this scraper gets its targets, usually that of its pod.
    pub collector_id: String,
    /// How it is asked for the targets of a job.
    #[serde(default)]
    pub http_sd_config: Option<HttpSdTemplate>,
    /// How targets are asked, instead of what the jobs say.
    #[serde(default)]
    pub http_scrape_config: Option<PrometheusClientConfig>,
    /// Storage extension that keeps the last assignment over a restart. Not known upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// How it is reached.
    #[serde(flatten)]
    pub client: HttpClientConfig,
}

/// `http_sd_config`: everything of Prometheus' `http_sd_configs` but the URL.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct HttpSdTemplate {
    /// How often a job's targets are asked for.
    #[serde(default = "config::secs::<60>")]
    pub refresh_interval: Period,
    /// Given by the allocator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How the allocator is reached.
    #[serde(flatten)]
    pub client: PrometheusClientConfig,
}

/// The running receiver.
#[derive(Debug)]
pub struct Prometheus {
    jobs: Vec<Arc<Job>>,
    external_labels: Labels,
    base_dir: PathBuf,
    allocator: Option<Follower>,
    /// How scrapes become OTLP, where they do.
    into_otlp: Option<ToOtlp<'static>>,
}

impl Component for Prometheus {
    const TYPE: &'static str = "prometheus";
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = refused(&config);
        let mut configs = config.config.scrape_configs.unwrap_or_default();
        for scrape in &mut configs {
            // As upstream's receiver: a target that names no content type is read as text.
            scrape.fallback_scrape_protocol.get_or_insert(ScrapeProtocol::PrometheusText0);
        }
        if configs.is_empty() && config.target_allocator.is_none() {
            let message = "needs scrape_configs below config, or a target_allocator";
            problems.push(Problem::at("config", message));
        }
        let jobs = match Job::build_all(&configs, &config.config.global, &site.base_dir) {
            Ok(jobs) => jobs,
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| problem.under("config")));
                Vec::new()
            }
        };
        for (index, job) in jobs.iter().enumerate() {
            let path = format!("config::scrape_configs::{index}");
            problems
                .extend(job.config().sd.foreign.refused().into_iter().map(|problem| problem.under(&path)));
        }
        let external_labels = config.config.global.external_labels(|name| std::env::var(name).ok());
        let allocator =
            match config.target_allocator.map(|settings| Follower::build(settings, site)).transpose() {
                Ok(allocator) => allocator,
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| problem.under("target_allocator")));
                    None
                }
            };
        if !problems.is_empty() {
            return Err(problems);
        }
        let into_otlp = site
            .is_switched_off(DIRECT_PATH)
            .then(|| ToOtlp::new(ScopeInfo::prometheus_receiver(site.version)));
        Ok(Self { jobs, external_labels, base_dir: site.base_dir.clone(), allocator, into_otlp })
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let mut warn = |key: &str, message: &str| warnings.push(Problem::warning(key, message));
        if config.use_start_time_metric || config.start_time_metric_regex.is_some() {
            warn(
                "use_start_time_metric",
                "has no effect: start times are passed on, never guessed; remove the key",
            );
        }
        if config.report_extra_scrape_metrics {
            warn(
                "report_extra_scrape_metrics",
                "has no effect; set extra_scrape_metrics in config::global or a job",
            );
        }
        if let Some(template) =
            config.target_allocator.iter().find_map(|allocator| allocator.http_sd_config.as_ref())
            && template.url.is_some()
        {
            warn(
                "target_allocator::http_sd_config::url",
                "has no effect: the allocator gives the URL of each job",
            );
        }
        let configs = config.config.scrape_configs.as_deref().unwrap_or_default();
        for (index, scrape) in configs.iter().enumerate() {
            if let Ok(job) = Job::build(scrape, &config.config.global, std::path::Path::new("")) {
                let path = format!("config::scrape_configs::{index}");
                warnings.extend(job.warnings().iter().cloned().map(|problem| problem.under(&path)));
            }
        }
        warnings
    }
}

/// Keys that cannot work here, by name.
fn refused(config: &Config) -> Vec<Problem> {
    let elsewhere = "belongs to another program; remove the section";
    let not_built_in = "is not built in yet; remove the key";
    let section = &config.config;
    let keys = [
        (
            section.remote_write.is_some(),
            "config::remote_write",
            "a receiver writes nothing; configure a prometheusremotewrite exporter",
        ),
        (section.remote_read.is_some(), "config::remote_read", elsewhere),
        (section.rule_files.is_some(), "config::rule_files", elsewhere),
        (section.alerting.is_some(), "config::alerting", elsewhere),
        (section.scrape_config_files.is_some(), "config::scrape_config_files", not_built_in),
        (config.trim_metric_suffixes, "trim_metric_suffixes", not_built_in),
        (config.scrape_on_shutdown, "scrape_on_shutdown", not_built_in),
        (config.api_server.is_some(), "api_server", not_built_in),
        (
            config.initial_scrape_offset.is_some_and(|offset| offset.as_duration().is_some()),
            "initial_scrape_offset",
            not_built_in,
        ),
    ];
    keys.into_iter()
        .filter(|(is_set, ..)| *is_set)
        .map(|(_, key, message)| Problem::at(key, message))
        .collect()
}

impl Receiver for Prometheus {
    async fn run(self, out: Outlets, life: Life) -> Result<(), Fatal> {
        let metrics = life.telemetry().clone();
        // With an allocator every scraper has to agree on the moments at which a target is scraped, so that a move leaves
        // neither a gap nor an overlap. Without one, replicas differ, as Prometheus' replicas do.
        let seed =
            if self.allocator.is_some() { 0 } else { scrape::phase_seed(&hostname(), &self.external_labels) };
        let options = Options {
            seed,
            metrics: metrics.clone(),
            external_labels: self.external_labels.clone(),
            ..Options::default()
        };
        let sink = IntoPipelines::new(out.via("http"), self.into_otlp, &life);
        let scraper = Arc::new(Scraper::spawn(options, Arc::new(sink)));
        let context = Context { metrics, ..Context::new(self.base_dir) };
        let own = OwnJobs::start(&self.jobs, &context, &life);
        match self.allocator {
            None => {
                scraper.reload(own.feeds()).await;
                life.stopped().await;
            }
            Some(follower) => follower.follow(Arc::clone(&scraper), own, context, &life).await,
        }
        if let Some(scraper) = Arc::into_inner(scraper) {
            scraper.shutdown(SHUTDOWN_GRACE).await;
        }
        Ok(())
    }
}

/// The jobs of the configuration, with discoveries that outlive any reload of the allocator's.
struct OwnJobs {
    running: Vec<(Arc<Job>, Arc<HttpFetch>, Discovery)>,
}

impl OwnJobs {
    fn start(jobs: &[Arc<Job>], context: &Context, life: &Life) -> Self {
        let mut running = Vec::new();
        for job in jobs {
            let fetch = match HttpFetch::build(job) {
                Ok(fetch) => Arc::new(fetch),
                Err(problem) => {
                    error!(receiver = %life.id(), job = job.name(), error = %problem, "the job cannot run and is left out");
                    continue;
                }
            };
            match discovery::spawn(job.name(), &job.config().sd, context) {
                Ok(discovery) => running.push((Arc::clone(job), fetch, discovery)),
                Err(problems) => {
                    for problem in problems {
                        error!(receiver = %life.id(), job = job.name(), error = %problem, "the job cannot run and is left out");
                    }
                }
            }
        }
        Self { running }
    }

    fn feeds(&self) -> Vec<Feed> {
        let feed = |(job, fetch, discovery): &(Arc<Job>, Arc<HttpFetch>, Discovery)| Feed {
            job: Arc::clone(job),
            fetch: Arc::clone(fetch) as _,
            discovery: Discovery::of(discovery.snapshots()),
        };
        self.running.iter().map(feed).collect()
    }

    fn has(&self, job: &str) -> bool {
        self.running.iter().any(|(own, ..)| own.name() == job)
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
