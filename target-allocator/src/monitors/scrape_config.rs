//! ScrapeConfigs: a job nearly as Prometheus spells it.
//!
//! Rules of the scrape class stand before the job name, those of the ScrapeConfig behind it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use config::{Problem, schema_of};
use schemars::JsonSchema;
use scrape::{EscapingScheme, NameScheme, ScrapeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::client::OwnTls;
use super::crd::{Common, Login, ProxyConfig, Relabeling, SafeTlsConfig};
use super::draft::{Draft, node_of};
use super::rules::{RuleList, set};

/// `spec` of a ScrapeConfig without its ways to find targets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    /// Becomes `job`.
    job_name: String,
    /// Rules over the labels of targets, after those of the scrape class.
    relabelings: Vec<Relabeling>,
    /// Rules over the labels of series, after those of the scrape class.
    metric_relabelings: Vec<Relabeling>,
    /// Path of the request; `/metrics` where empty.
    metrics_path: String,
    /// How often targets are scraped.
    scrape_interval: String,
    /// How long a scrape may take; not longer than the interval.
    scrape_timeout: String,
    /// Whether timestamps that targets expose count.
    honor_timestamps: Option<bool>,
    /// Whether series with exposed timestamps get stale markers, too.
    track_timestamps_staleness: Option<bool>,
    /// Whether labels of samples win over labels of targets.
    honor_labels: Option<bool>,
    /// Parameters of the request.
    params: BTreeMap<String, Vec<String>>,
    /// `http` or `https`, in any case; `http` where empty.
    scheme: String,
    /// Whether compressed answers are asked for.
    enable_compression: Option<bool>,
    /// Whether HTTP/2 is spoken where the server offers it.
    #[serde(rename = "enableHTTP2")]
    enable_http2: Option<bool>,
    /// TLS.
    tls_config: Option<SafeTlsConfig>,
    /// Largest answer after decompression.
    body_size_limit: String,
    /// Which names series may have.
    name_validation_scheme: Option<NameValidation>,
    /// How names outside the old character set are written.
    name_escaping_scheme: Option<NameEscaping>,
    #[serde(flatten)]
    login: Login,
    #[serde(flatten)]
    proxy: ProxyConfig,
    /// What every kind can say.
    #[serde(flatten)]
    common: Common,
}

/// Which names series may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum NameValidation {
    #[serde(alias = "utf8")]
    UTF8,
    #[serde(alias = "legacy")]
    Legacy,
}

/// How names outside the old character set are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum NameEscaping {
    AllowUTF8,
    Underscores,
    Dots,
    Values,
}

/// The schema of [`Spec`].
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Spec>);

/// Makes the job of a ScrapeConfig.
pub(super) fn make(draft: &mut Draft<'_>, spec: &Value) {
    let mut node = node_of(spec);
    let sd = draft.take_sd(&mut node);
    let Some(spec) = draft.read::<Spec>(&node, "spec", &SCHEMA) else { return };
    if sd.is_empty() {
        draft.warn(
            Problem::warning("spec", "no way to find targets is given")
                .with_hint("add `staticConfigs`, for example"),
        );
    }
    let class = draft.class(&spec.common.scrape_class);
    let mut config = ScrapeConfig::new(draft.job_name(None));
    config.sd = sd;
    config.honor_labels = draft.honors_labels(spec.honor_labels.unwrap_or(false));
    config.honor_timestamps = draft.honors_timestamps(spec.honor_timestamps);
    config.track_timestamps_staleness = spec.track_timestamps_staleness.unwrap_or(false);
    if !spec.metrics_path.is_empty() {
        config.metrics_path.clone_from(&spec.metrics_path);
    }
    config.params.clone_from(&spec.params);
    config.enable_compression = spec.enable_compression.unwrap_or(true);
    config.scrape_interval = draft.period("spec::scrapeInterval", &spec.scrape_interval);
    config.scrape_timeout = draft.period("spec::scrapeTimeout", &spec.scrape_timeout);
    config.scheme = draft.scheme("spec::scheme", &spec.scheme);
    config.metric_name_validation_scheme = spec.name_validation_scheme.map(NameScheme::from);
    config.metric_name_escaping_scheme = spec.name_escaping_scheme.map(EscapingScheme::from);
    let body_size = draft.size("spec::bodySizeLimit", &spec.body_size_limit);
    draft.common(&mut config, &spec.common, class, body_size);
    let client = &mut config.client;
    client.enable_http2 = spec.enable_http2.unwrap_or(true);
    client.proxy = draft.proxy("spec", &spec.proxy);
    client.tls_config = draft.tls("spec::tlsConfig", OwnTls::safe(spec.tls_config.as_ref()), class);
    draft.login("spec", client, &spec.login, class);
    let mut rules = RuleList::of_job();
    draft.class_rules(&mut rules, class, false);
    if !spec.job_name.is_empty() {
        rules.push("spec::jobName", set("job", &spec.job_name));
    }
    draft.own_rules(&mut rules, "spec::relabelings", &spec.relabelings);
    let metric_rules = draft.metric_rules(class, "spec::metricRelabelings", &spec.metric_relabelings);
    draft.add("spec", config, rules, metric_rules);
}

impl From<NameValidation> for NameScheme {
    fn from(scheme: NameValidation) -> Self {
        match scheme {
            NameValidation::UTF8 => Self::Utf8,
            NameValidation::Legacy => Self::Legacy,
        }
    }
}

impl From<NameEscaping> for EscapingScheme {
    fn from(scheme: NameEscaping) -> Self {
        match scheme {
            NameEscaping::AllowUTF8 => Self::AllowUtf8,
            NameEscaping::Underscores => Self::Underscores,
            NameEscaping::Dots => Self::Dots,
            NameEscaping::Values => Self::Values,
        }
    }
}
