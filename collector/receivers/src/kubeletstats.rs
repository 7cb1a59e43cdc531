//! `kubeletstats`, also `kubelet_stats`: usage of a node, its pods, containers and volumes, from its kubelet.
//!
//! As contrib's `receiver/kubeletstatsreceiver`; the metrics are in `kubelet/REFERENCE.md`. Differences: what fails beside the summary
//! costs only what needs it; a container without an id and a volume of unknown kind keep their metrics; an unknown start is zero;
//! answers are bounded; `auth_type: readOnly` is another word for `none`; `exec` in a kubeconfig is refused by name.
//!
//! ```yaml
//! kubeletstats:
//!   collection_interval: 20s
//!   auth_type: serviceAccount
//!   endpoint: ${env:K8S_NODE_NAME}:10250
//!   insecure_skip_verify: true
//!   metric_groups: [container, pod, node, volume]
//!   extra_metadata_labels: [container.id, k8s.volume.type]
//!   metrics:
//!     k8s.pod.cpu_limit_utilization: {enabled: true}
//! ```

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use config::{Period, Problem};
use kubelet::{METRICS, Missing, Outcome, RequestError, Scraped, Skipped, Subject, Surroundings};
use model::{Batch, Signal, Signals, Timestamp};
use pipeline::{Component, Fatal, Life, ScrapeError, Scraper, ScraperConfig, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{Counter, Scope};

/// Metrics of a node, its pods, their containers and volumes, from its kubelet.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// What to ask and what to send.
    #[serde(flatten)]
    kubelet: kubelet::Config,
    /// The keys of every scraper: requests end before its time is over, so that what came until then is sent.
    #[serde(flatten)]
    scraper: ScraperConfig,
}

/// The receiver.
#[derive(Debug)]
pub struct KubeletStats {
    config: Config,
    version: &'static str,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    scraper: kubelet::Scraper,
    counters: Counters,
}

impl Component for KubeletStats {
    const TYPE: &'static str = "kubeletstats";
    const ALIASES: &'static [&'static str] = &["kubelet_stats"];
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let problems = config.kubelet.check();
        if problems.is_empty() {
            Ok(Self { config, version: site.version, running: None })
        } else {
            Err(problems)
        }
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        config.kubelet.warnings()
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        self.start_in(&Surroundings::of_process(), life)
    }
}

impl KubeletStats {
    fn start_in(&mut self, surroundings: &Surroundings, life: &Life) -> Result<(), Fatal> {
        let now = Timestamp::from(SystemTime::now());
        let scraper = kubelet::Scraper::build(&self.config.kubelet, surroundings, self.version, now)
            .map_err(|error| Fatal::new(format!("starting receiver `{}`", life.id()), error))?;
        let counters = Counters::new(life.telemetry().scope(), life.id().to_string());
        self.running = Some(Running { scraper, counters });
        Ok(())
    }

    /// Time for the requests: a tenth less than the spine gives, or a second, so that what came until then is not lost.
    fn limit(&self) -> Duration {
        let settings = &self.config.scraper;
        let every = settings.collection_interval.unwrap_or(Self::EVERY).as_duration();
        let all = settings.timeout.as_duration().unwrap_or(every);
        all - (all / 10).min(Duration::from_secs(1))
    }
}

impl Scraper for KubeletStats {
    const EVERY: Period = Period::from_secs(10);

    async fn scrape(&mut self, now: Timestamp) -> Result<Batch, ScrapeError> {
        let limit = self.limit();
        let Some(Running { scraper, counters }) = &mut self.running else {
            return Err(ScrapeError {
                doing: "the receiver was not started".to_owned(),
                n_errors: 1,
                partial: None,
                source: None,
            });
        };
        let Scraped { frames, failures, requests, skipped, missing } = scraper.scrape(now, limit).await;
        counters.count(&requests, &skipped, missing);
        let is_empty = frames.n_items == 0;
        let batch = Batch::from_frames(Signal::Metrics, frames);
        if failures.is_empty() {
            return Ok(batch);
        }
        Err(ScrapeError {
            doing: "reading the kubelet".to_owned(),
            n_errors: failures.len() as u64,
            partial: (!is_empty).then(|| Box::new(batch)),
            source: Some(Box::new(Failures(failures))),
        })
    }
}

/// Everything that failed in one scrape.
#[derive(Debug)]
struct Failures(Vec<RequestError>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = self.0.iter().map(|failed| telemetry::error_chain(failed)).collect();
        f.write_str(&told.join("; "))
    }
}

impl std::error::Error for Failures {}

/// What is counted, made when there is something to count.
#[derive(Debug)]
struct Counters {
    scope: Scope,
    receiver: String,
    requests: HashMap<(&'static str, &'static str), Counter>,
    skipped: HashMap<&'static str, Counter>,
    missing: HashMap<&'static str, Counter>,
}

impl Counters {
    fn new(scope: Scope, receiver: String) -> Self {
        Self { scope, receiver, requests: HashMap::new(), skipped: HashMap::new(), missing: HashMap::new() }
    }

    fn count(&mut self, requests: &[(Subject, Outcome)], skipped: &Skipped, missing: Missing) {
        let (scope, receiver) = (&self.scope, self.receiver.as_str());
        for (subject, outcome) in requests {
            let (request, outcome) = (subject.as_str(), outcome.as_str());
            let counter = self.requests.entry((request, outcome)).or_insert_with(|| {
                let labels = [("receiver", receiver), ("request", request), ("outcome", outcome)];
                scope.counter(
                    "muster_kubelet_requests_total",
                    "Requests to kubelet and API server by how they ended.",
                    &labels,
                )
            });
            counter.inc();
        }
        for (row, n_skipped) in METRICS.iter().zip(skipped.0).filter(|(_, n_skipped)| *n_skipped > 0) {
            let counter = self.skipped.entry(row.name).or_insert_with(|| {
                let labels = [("receiver", receiver), ("metric", row.name)];
                scope.counter(
                    "muster_kubelet_skipped_values_total",
                    "Values that an answer did not have, or that were unusable.",
                    &labels,
                )
            });
            counter.inc_by(u64::from(n_skipped));
        }
        let missing = [("container.id", missing.container_ids), ("k8s.volume.type", missing.volume_types)];
        for (attribute, n_missing) in missing.into_iter().filter(|(_, n_missing)| *n_missing > 0) {
            let counter = self.missing.entry(attribute).or_insert_with(|| {
                let labels = [("receiver", receiver), ("attribute", attribute)];
                scope.counter(
                    "muster_kubelet_missing_metadata_total",
                    "Resources that lack an attribute that was asked for.",
                    &labels,
                )
            });
            counter.inc_by(u64::from(n_missing));
        }
    }
}

#[cfg(test)]
mod tests;
