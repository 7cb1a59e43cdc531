//! `hostmetrics`, also `host_metrics`: CPU, memory, disks, filesystems, network and processes of a Linux host.
//!
//! As the collector's `receiver/hostmetricsreceiver`; what each scraper tells stands in `hostmetrics/REFERENCE.md`, with what was decided
//! about upstream's defects. Left on purpose: a `root_path` that is missing is found at the start, not by `validate`, which may
//! run elsewhere; two receivers may have different root paths; entity events (`metadata_collection_interval`) are not built in.
//!
//! ```yaml
//! hostmetrics:
//!   root_path: /hostfs
//!   collection_interval: 10s
//!   scrapers:
//!     cpu:
//!     load:
//!     memory:
//!       metrics:
//!         system.memory.utilization: {enabled: true}
//!     filesystem:
//!       exclude_fs_types: {fs_types: [tmpfs, overlay], match_type: strict}
//!     process:
//!       mute_process_all_errors: true
//! ```

use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use config::{Period, Problem};
use hostmetrics::{Failure, Host, Options, Root, Scraped, Scrapers};
use model::{Batch, Metrics, Signals, Timestamp};
use pipeline::{Component, Fatal, Life, ScrapeError, Scraper, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Metrics of the host.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Where the host's file system is mounted; empty on the host itself. `HOST_PROC`, `HOST_SYS` and `HOST_ETC` win where
    /// they are set.
    #[serde(default)]
    pub root_path: String,
    /// What is looked at; at least one of them.
    #[serde(default)]
    pub scrapers: Scrapers,
    /// How often the host is told as an entity. Has no effect: entity events are not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_collection_interval: Option<Period>,
}

/// The running receiver.
#[derive(Debug)]
pub struct HostMetrics {
    root_path: String,
    /// A scrape that takes too long is left behind; it keeps the host until it comes back.
    host: Arc<Mutex<Host>>,
    /// How the last scrape went.
    pace: Pace,
}

/// A scrape that takes no longer than this, and asks nobody who may not answer, is done where everything else is: handing it to a
/// thread costs more than most scrapes, and longer than this no other task waits for it.
const QUICK: Duration = Duration::from_millis(1);

/// A scrape may take so long once because its thread had to wait for a core.
const HELD_UP: Duration = Duration::from_millis(10);

/// How long scrapes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// The next one needs no thread of its own.
    Quick,
    /// Nor does it, but if it is as slow as this one, the one after it does.
    HeldUp,
    /// The next one needs a thread.
    Slow,
}

impl Pace {
    /// After a scrape that took so long. `is_from_memory` says whether it asked nobody who may not answer.
    fn after(self, took: Duration, is_from_memory: bool) -> Self {
        match self {
            _ if !is_from_memory => Self::Slow,
            _ if took <= QUICK => Self::Quick,
            Self::Quick if took <= HELD_UP => Self::HeldUp,
            _ => Self::Slow,
        }
    }
}

/// Most failures of one scrape that are put into one message.
const MAX_TOLD: usize = 8;

impl Component for HostMetrics {
    const TYPE: &'static str = "hostmetrics";
    const ALIASES: &'static [&'static str] = &["host_metrics"];
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        if config.scrapers.is_empty() {
            let problem =
                Problem::at("scrapers", "must specify at least one scraper when using hostmetrics receiver");
            return Err(vec![problem.with_hint("write `cpu:` or another one below scrapers")]);
        }
        let options = Options {
            has_upstream_values: !site.is_switched_off("muster.hostmetrics.upstreamValues"),
            uses_available_memory: !site.is_switched_off("receiver.hostmetricsreceiver.UseLinuxMemAvailable"),
            version: site.version,
        };
        let root = Root::new(&config.root_path, |name| std::env::var(name).ok());
        let under = |problem: Problem| problem.under("scrapers");
        let host = Host::build(&config.scrapers, root, options)
            .map_err(|problems| problems.into_iter().map(under).collect::<Vec<_>>())?;
        Ok(Self { root_path: config.root_path, host: Arc::new(Mutex::new(host)), pace: Pace::Slow })
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        let interval = config.metadata_collection_interval.map(|_| {
            let message = "has no effect: entity events of the host are not built in";
            Problem::warning("metadata_collection_interval", message)
        });
        interval.into_iter().collect()
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        if self.root_path.is_empty() {
            return Ok(());
        }
        let doing = || {
            let (id, path) = (life.id(), &self.root_path);
            format!(
                "starting receiver `{id}`: root_path {path:?}; mount the host's file system there, or leave the key out"
            )
        };
        let found = tokio::fs::metadata(&self.root_path).await;
        found.map(drop).map_err(|error| Fatal::new(doing(), error))
    }
}

impl Scraper for HostMetrics {
    const EVERY: Period = Period::from_secs(60);

    async fn scrape(&mut self, now: Timestamp) -> Result<Batch, ScrapeError> {
        let done = if self.pace != Pace::Slow {
            scrape(&self.host, now)
        } else {
            let host = Arc::clone(&self.host);
            // The kernel may take its time: a dead mount, a process whose memory is being written out.
            let done = tokio::task::spawn_blocking(move || scrape(&host, now)).await;
            done.map_err(|error| ScrapeError { source: Some(error.into()), ..nothing("reading the host") })?
        };
        let Some(Done { scraped, took, is_from_memory }) = done else {
            return Err(nothing("the scrape before this one has not come back"));
        };
        self.pace = self.pace.after(took, is_from_memory);
        let batch = Batch::Metrics(Metrics::Otlp(scraped.frames));
        if scraped.failures.is_empty() { Ok(batch) } else { Err(partial(batch, &scraped.failures)) }
    }
}

/// What a scrape brought, and how.
struct Done {
    scraped: Scraped,
    took: Duration,
    is_from_memory: bool,
}

/// Scrapes, unless another scrape still does.
fn scrape(host: &Mutex<Host>, now: Timestamp) -> Option<Done> {
    let mut host = match host.try_lock() {
        Ok(host) => host,
        Err(TryLockError::Poisoned(host)) => host.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let began = Instant::now();
    let scraped = host.scrape(now);
    Some(Done { scraped, took: began.elapsed(), is_from_memory: host.is_quick() })
}

fn nothing(doing: &str) -> ScrapeError {
    ScrapeError { doing: doing.to_owned(), partial: None, n_errors: 1, source: None }
}

fn partial(batch: Batch, failures: &[Failure]) -> ScrapeError {
    let mut told: Vec<String> = failures.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    if failures.len() > MAX_TOLD {
        told.push(format!("and {} more", failures.len() - MAX_TOLD));
    }
    let n_errors = failures.iter().map(|failure| failure.n).sum();
    ScrapeError { doing: told.join(" | "), partial: Some(Box::new(batch)), n_errors, source: None }
}

#[cfg(test)]
mod tests;
