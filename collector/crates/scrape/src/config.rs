//! The keys of `global` and `scrape_configs`.
//!
//! As Prometheus 3.14 `config/config.go`: same keys, same inheritance, same rendering.
//! [`ScrapeConfig::inherit`] gives the job as it takes effect; printed, that is what a target allocator
//! serves under `/scrape_configs`.
//!
//! ```yaml
//! global:
//!   scrape_interval: 30s
//! scrape_configs:
//!   - job_name: node
//!     static_configs: [{targets: [node-1:9100]}]
//!     metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]
//! ```

use std::collections::BTreeMap;

use config::{ByteSize, Period};
use discovery::SdConfigs;
use exposition::{Escaping, Protocol};
use net::PrometheusClientConfig;
use relabel::RuleConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What jobs inherit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct GlobalConfig {
    /// How often targets are scraped.
    #[serde(default = "config::secs::<60>")]
    pub scrape_interval: Period,

    /// How long a scrape may take; by default ten seconds, or the interval when that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Period>,

    /// Formats that are asked for, the first one preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,

    /// For recording and alerting rules; there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_interval: Option<Period>,

    /// For recording and alerting rules; there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_query_offset: Option<String>,

    /// For queries; there are none here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query_log_file: String,

    /// Labels for samples on their way out, where they lack them; `$name` is taken from the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub external_labels: BTreeMap<String, String>,

    /// Limits.
    #[serde(flatten)]
    pub limits: Limits,

    /// Which names series may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name_validation_scheme: Option<NameScheme>,

    /// How targets are asked to write names outside the old character set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name_escaping_scheme: Option<EscapingScheme>,

    /// Switches.
    #[serde(flatten)]
    pub switches: Switches,
}

/// A scrape job.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ScrapeConfig {
    /// Becomes the label `job` of targets that have none; unique.
    #[schemars(extend("x-scalars" = "text"))]
    pub job_name: String,

    /// Whether labels of samples win over labels of targets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub honor_labels: bool,

    /// Whether timestamps that targets expose count.
    #[serde(default = "config::on")]
    pub honor_timestamps: bool,

    /// Whether series with exposed timestamps get stale markers, too.
    #[serde(default)]
    pub track_timestamps_staleness: bool,

    /// Parameters of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub params: BTreeMap<String, Vec<String>>,

    /// How often targets are scraped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<Period>,

    /// How long a scrape may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Period>,

    /// Formats that are asked for, the first one preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,

    /// The format of answers whose content type says nothing useful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,

    /// Path of the request.
    #[serde(default = "metrics_path", skip_serializing_if = "String::is_empty")]
    pub metrics_path: String,

    /// `http` or `https`.
    #[serde(default = "http")]
    pub scheme: Scheme,

    /// Whether compressed answers are asked for.
    #[serde(default = "config::on")]
    pub enable_compression: bool,

    /// Limits.
    #[serde(flatten)]
    pub limits: Limits,

    /// Most buckets of a native histogram; zero means any number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub native_histogram_bucket_limit: u64,

    /// Least growth from one bucket of a native histogram to the next; zero means any.
    #[serde(default, skip_serializing_if = "is_zero_factor")]
    pub native_histogram_min_bucket_factor: f64,

    /// Which names series may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name_validation_scheme: Option<NameScheme>,

    /// How targets are asked to write names outside the old character set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name_escaping_scheme: Option<EscapingScheme>,

    /// Switches.
    #[serde(flatten)]
    pub switches: Switches,

    /// Rules over the labels of targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<RuleConfig>,

    /// Rules over the labels of series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<RuleConfig>,

    /// Where targets come from.
    #[serde(flatten)]
    pub sd: SdConfigs,

    /// How targets are reached.
    #[serde(flatten)]
    pub client: PrometheusClientConfig,
}

/// Limits that a job inherits where it has none. Zero is as good as absent: what nobody has set has the default below,
/// or no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Limits {
    /// Largest answer after decompression; one that reaches it fails the scrape. 256 MiB by default, and 64 MiB as it
    /// comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size_limit: Option<ByteSize>,

    /// Most samples of a scrape after `metric_relabel_configs`; more fail the scrape. Without it, an answer in text may have
    /// 2000000 samples before `metric_relabel_configs`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sample_limit: u64,

    /// Most targets of a job after `relabel_configs`; more fail the scrapes of all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub target_limit: u64,

    /// Most labels of a series, its name included; more fail the scrape. 1000 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_limit: u64,

    /// Longest name of a label, in bytes; a longer one fails the scrape. 4096 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_name_length_limit: u64,

    /// Longest value of a label, in bytes; a longer one fails the scrape. 32768 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_value_length_limit: u64,

    /// Most dropped targets that are remembered to be shown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keep_dropped_targets: u64,

    /// Where failed scrapes are written down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scrape_failure_log_file: String,
}

/// Switches that a job inherits where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Switches {
    /// Whether native histograms are scraped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_native_histograms: Option<bool>,

    /// Whether a classic histogram is scraped even where a native one is exposed beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always_scrape_classic_histograms: Option<bool>,

    /// Whether classic histograms become native ones with custom buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,

    /// Whether `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` are reported,
    /// too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_scrape_metrics: Option<bool>,
}

/// A format that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ScrapeProtocol {
    /// Prometheus protobuf, delimited.
    PrometheusProto,
    /// OpenMetrics 1.0.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText1,
    /// OpenMetrics 0.0.1.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText0,
    /// Prometheus text 1.0.0.
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText1,
    /// Prometheus text 0.0.4.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText0,
}

impl From<ScrapeProtocol> for Protocol {
    fn from(protocol: ScrapeProtocol) -> Self {
        match protocol {
            ScrapeProtocol::PrometheusProto => Self::PrometheusProto,
            ScrapeProtocol::OpenMetricsText1 => Self::OpenMetricsText1,
            ScrapeProtocol::OpenMetricsText0 => Self::OpenMetricsText0,
            ScrapeProtocol::PrometheusText1 => Self::PrometheusText1,
            ScrapeProtocol::PrometheusText0 => Self::PrometheusText0,
        }
    }
}

impl ScrapeProtocol {
    const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1, Self::OpenMetricsText0, Self::PrometheusText1, Self::PrometheusText0];
    const PROTO_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];
}

/// Which names series and labels may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameScheme {
    /// Any text.
    Utf8,
    /// Letters, digits, underscores; colons in names of series.
    Legacy,
}

/// How names outside the old character set are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EscapingScheme {
    /// As they are.
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// Foreign characters become `_`.
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`.
    Dots,
    /// `U__` in front, foreign characters as their code.
    Values,
}

impl From<EscapingScheme> for Escaping {
    fn from(scheme: EscapingScheme) -> Self {
        match scheme {
            EscapingScheme::AllowUtf8 => Self::AllowUtf8,
            EscapingScheme::Underscores => Self::Underscores,
            EscapingScheme::Dots => Self::Dots,
            EscapingScheme::Values => Self::Values,
        }
    }
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Default for GlobalConfig {
    /// As read from an empty section.
    fn default() -> Self {
        config::fill(&config::Node::map(), "global").expect("no key of global is required")
    }
}

impl GlobalConfig {
    /// `external_labels` with `$name` and `${name}` taken from the environment, where an unknown one is empty
    /// and `$$` is a dollar sign.
    #[must_use]
    pub fn external_labels(&self, env: impl Fn(&str) -> Option<String>) -> model::Labels {
        self.external_labels.iter().map(|(name, value)| (name, expand(value, &env))).collect()
    }

    /// How long a scrape may take where the job does not say.
    #[must_use]
    pub fn timeout(&self) -> Period {
        let ten_seconds = Period::from_secs(10);
        self.scrape_timeout.unwrap_or_else(|| shorter(ten_seconds, self.scrape_interval))
    }

    fn escaping(&self) -> EscapingScheme {
        self.metric_name_escaping_scheme.unwrap_or_else(|| {
            default_escaping(self.metric_name_validation_scheme.unwrap_or(NameScheme::Utf8))
        })
    }
}

impl ScrapeConfig {
    /// A job of this name without any other key.
    #[must_use]
    pub fn new(job_name: impl Into<String>) -> Self {
        Self {
            job_name: job_name.into(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: BTreeMap::new(),
            scrape_interval: None,
            scrape_timeout: None,
            scrape_protocols: None,
            fallback_scrape_protocol: None,
            metrics_path: metrics_path(),
            scheme: http(),
            enable_compression: true,
            limits: Limits::default(),
            native_histogram_bucket_limit: 0,
            native_histogram_min_bucket_factor: 0.0,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            switches: Switches::default(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            sd: SdConfigs::default(),
            client: PrometheusClientConfig::default(),
        }
    }

    /// The job as it takes effect: nothing that can be inherited is left open.
    #[must_use]
    pub fn inherit(&self, global: &GlobalConfig) -> Self {
        let mut job = self.clone();
        let interval = self.scrape_interval.unwrap_or(global.scrape_interval);
        job.scrape_interval = Some(interval);
        job.scrape_timeout = Some(self.scrape_timeout.unwrap_or_else(|| shorter(global.timeout(), interval)));
        job.limits = self.limits.or(&global.limits);
        job.switches = self.switches.or(&global.switches);
        job.scrape_protocols =
            Some(self.protocols(global, job.switches.scrape_native_histograms == Some(true)));
        let names = self.metric_name_validation_scheme;
        let inherited = global.metric_name_validation_scheme.unwrap_or(NameScheme::Utf8);
        job.metric_name_validation_scheme = Some(names.unwrap_or(inherited));
        // A job that chooses its own names does not inherit how they are escaped: `allow-utf-8` would not fit
        // `legacy`.
        let escaping = names.map_or_else(|| global.escaping(), default_escaping);
        job.metric_name_escaping_scheme = Some(self.metric_name_escaping_scheme.unwrap_or(escaping));
        job
    }

    fn protocols(&self, global: &GlobalConfig, native_histograms: bool) -> Vec<ScrapeProtocol> {
        let given = self.scrape_protocols.as_ref().or(global.scrape_protocols.as_ref());
        match given {
            Some(protocols) => protocols.clone(),
            None if native_histograms => ScrapeProtocol::PROTO_FIRST.to_vec(),
            None => ScrapeProtocol::DEFAULT.to_vec(),
        }
    }
}

impl Limits {
    fn or(&self, other: &Self) -> Self {
        let or = |own: u64, other: u64| if own == 0 { other } else { own };
        let own_size = self.body_size_limit.filter(|size| !size.is_zero());
        let own_log = (!self.scrape_failure_log_file.is_empty()).then_some(&self.scrape_failure_log_file);
        Self {
            body_size_limit: own_size.or(other.body_size_limit).filter(|size| !size.is_zero()),
            sample_limit: or(self.sample_limit, other.sample_limit),
            target_limit: or(self.target_limit, other.target_limit),
            label_limit: or(self.label_limit, other.label_limit),
            label_name_length_limit: or(self.label_name_length_limit, other.label_name_length_limit),
            label_value_length_limit: or(self.label_value_length_limit, other.label_value_length_limit),
            keep_dropped_targets: or(self.keep_dropped_targets, other.keep_dropped_targets),
            scrape_failure_log_file: own_log.unwrap_or(&other.scrape_failure_log_file).clone(),
        }
    }
}

impl Switches {
    fn or(&self, other: &Self) -> Self {
        let or = |own: Option<bool>, other: Option<bool>| Some(own.or(other).unwrap_or(false));
        Self {
            scrape_native_histograms: or(self.scrape_native_histograms, other.scrape_native_histograms),
            always_scrape_classic_histograms: or(
                self.always_scrape_classic_histograms,
                other.always_scrape_classic_histograms,
            ),
            convert_classic_histograms_to_nhcb: or(
                self.convert_classic_histograms_to_nhcb,
                other.convert_classic_histograms_to_nhcb,
            ),
            extra_scrape_metrics: or(self.extra_scrape_metrics, other.extra_scrape_metrics),
        }
    }
}

fn default_escaping(names: NameScheme) -> EscapingScheme {
    match names {
        NameScheme::Utf8 => EscapingScheme::AllowUtf8,
        NameScheme::Legacy => EscapingScheme::Underscores,
    }
}

fn shorter(one: Period, other: Period) -> Period {
    if one.as_duration() <= other.as_duration() { one } else { other }
}

/// As Go's `os.Expand`.
fn expand(text: &str, env: &impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match rest.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            Some((name, after)) => (name, after),
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()))
            }
        };
        expanded.push_str(&env(name).unwrap_or_default());
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http() -> Scheme {
    Scheme::Http
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_zero_factor(value: &f64) -> bool {
    *value == 0.0
}

#[cfg(test)]
mod tests;
