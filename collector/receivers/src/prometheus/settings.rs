//! The keys of the receiver, and which of them cannot work.

use config::{HttpUrl, Period, Problem, Timeout};
use net::{HttpClientConfig, PrometheusClientConfig};
use schemars::JsonSchema;
use scrape::{GlobalConfig, Job, ScrapeConfig};
use serde::{Deserialize, Serialize};

use super::START_TIMESTAMPS;
use super::api_server::ApiServerConfig;

/// Scrapes targets, its own or those that an allocator hands out.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Jobs of its own, in Prometheus' words.
    #[serde(default)]
    pub config: PrometheusConfig,
    /// An allocator to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_allocator: Option<TargetAllocatorConfig>,
    /// Takes unit and type suffixes off names. Scrapes leave as OTLP then.
    #[serde(default)]
    pub trim_metric_suffixes: bool,
    /// Prometheus' HTTP API over the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<ApiServerConfig>,
    /// Scrapes every target once more when the process ends or the receiver is exchanged, as far as 4.5 s allow.
    #[serde(default)]
    pub scrape_on_shutdown: bool,
    /// Accepted for compatibility: the first targets never wait here.
    #[serde(default)]
    pub discovery_reload_on_startup: bool,
    /// How long a new target waits at least before its first scrape, beside the wait for its place in the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_scrape_offset: Option<Timeout>,
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
    /// More jobs, in files that hold `scrape_configs`; the last element of a path may hold `*`, `?` and `[a-z]`. Relative names
    /// start at the folder of the configuration, names in these files at the folder of the file. They are read again when
    /// they change.
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
    /// Accepted for compatibility: settings of Go's runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<serde_json::Value>,
    /// Accepted for compatibility: settings of Prometheus' database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<serde_json::Value>,
    /// Accepted for compatibility: settings of Prometheus' own traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<serde_json::Value>,
    /// Accepted for compatibility: settings of Prometheus' OTLP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<serde_json::Value>,
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

/// Keys that cannot work here, by name.
pub(super) fn refused(config: &Config) -> Vec<Problem> {
    let elsewhere = "belongs to another program; remove the section";
    let section = &config.config;
    let has_alerting = |key: &str| is_given(section.alerting.as_ref().and_then(|alerting| alerting.get(key)));
    let keys = [
        (
            is_given(section.remote_write.as_ref()),
            "config::remote_write",
            "a receiver writes nothing; paste the entry below exporters.prometheusremotewrite.remote_write",
        ),
        (is_given(section.remote_read.as_ref()), "config::remote_read", elsewhere),
        (is_given(section.rule_files.as_ref()), "config::rule_files", elsewhere),
        (has_alerting("alertmanagers"), "config::alerting::alertmanagers", elsewhere),
        (has_alerting("alert_relabel_configs"), "config::alerting::alert_relabel_configs", elsewhere),
    ];
    keys.into_iter()
        .filter(|(is_set, ..)| *is_set)
        .map(|(_, key, message)| Problem::at(key, message))
        .collect()
}

/// Whether a section says anything; an empty one is as good as none, as upstream.
fn is_given(section: Option<&serde_json::Value>) -> bool {
    match section {
        None | Some(serde_json::Value::Null) => false,
        Some(serde_json::Value::Array(items)) => !items.is_empty(),
        Some(serde_json::Value::Object(keys)) => !keys.is_empty(),
        Some(_) => true,
    }
}

/// What a user should know though it works.
pub(super) fn warnings(config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut warn = |key: &str, message: &str| warnings.push(Problem::warning(key, message));
    let of_start_times = [
        ("use_start_time_metric", config.use_start_time_metric),
        ("start_time_metric_regex", config.start_time_metric_regex.is_some()),
    ];
    for (key, _) in of_start_times.into_iter().filter(|(_, is_set)| *is_set) {
        warn(
            key,
            &format!(
                "has no effect: start times are never guessed, and those that targets expose are passed on with \
                 --feature-gates={START_TIMESTAMPS} only; remove the key"
            ),
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
    let section = &config.config;
    for (key, is_set) in [
        ("runtime", section.runtime.is_some()),
        ("storage", section.storage.is_some()),
        ("tracing", section.tracing.is_some()),
        ("otlp", section.otlp.is_some()),
    ] {
        if is_set {
            warn(
                &format!("config::{key}"),
                "has no effect here: it is about Prometheus itself; remove the section",
            );
        }
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
