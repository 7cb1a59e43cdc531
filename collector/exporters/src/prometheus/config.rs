//! Keys of the exporter.

use std::collections::BTreeMap;

use config::{LabelName, Period, Problem};
use net::HttpServerConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use translate::{HistogramOptions, Strategy, ToSeries};

/// The last value of every series, for others to scrape at `/metrics`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Stands in front of every name, with an underscore between.
    #[serde(default)]
    pub namespace: String,
    /// Labels for every series that does not have them already.
    #[serde(default)]
    pub const_labels: BTreeMap<LabelName, String>,
    /// Shows the time of each value. Readers then mind it: they take a value that is too old for missing.
    #[serde(default)]
    pub send_timestamps: bool,
    /// How long a series is shown after its last update, counted from the arrival of that.
    #[serde(default = "config::secs::<300>")]
    pub metric_expiration: Period,
    /// Resource attributes as labels of every series.
    #[serde(default)]
    pub resource_to_telemetry_conversion: ResourceToTelemetry,
    /// Speaks OpenMetrics with readers that ask for it: with exemplars, units and `_created` lines.
    #[serde(default)]
    pub enable_open_metrics: bool,
    /// Leaves `otel_scope_` labels out.
    #[serde(default)]
    pub without_scope_info: bool,
    /// Appends unit and `_total` to names of OTLP metrics. Older spelling of `translation_strategy`.
    #[serde(default = "config::on")]
    pub add_metric_suffixes: bool,
    /// How names of OTLP metrics are made. Readers that do not ask for names beyond the old character set get underscores all
    /// the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation_strategy: Option<TranslationStrategy>,
    /// Series that are kept at most; more are dropped, counted and warned about. A series takes some 100 to 200 bytes.
    #[serde(default = "config::count::<5_000_000>")]
    pub max_series: usize,
    /// How to listen; `endpoint` is required.
    #[serde(flatten)]
    pub server: HttpServerConfig,
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "PrometheusResourceToTelemetry")]
pub struct ResourceToTelemetry {
    /// Whether every series gets the attributes of its resource as labels.
    pub enabled: bool,
    /// Leaves those out that `job` and `instance` are made of.
    pub exclude_service_attributes: bool,
}

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "PrometheusTranslationStrategy")]
pub enum TranslationStrategy {
    /// Names as Prometheus 2 took them, with unit and type.
    UnderscoreEscapingWithSuffixes,
    /// Names as Prometheus 2 took them.
    UnderscoreEscapingWithoutSuffixes,
    /// Every character stays; unit and type are appended.
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    /// Everything stays.
    NoTranslation,
}

impl Config {
    /// The address to listen on, or what is wrong.
    pub(super) fn check(&self) -> Result<String, Vec<Problem>> {
        let server = self.server.check().into_iter();
        let mut problems: Vec<Problem> =
            server.map(|(key, message)| Problem::at(key.replace('.', "::"), message)).collect();
        if self.server.endpoint.is_none() {
            problems.push(Problem::at("endpoint", "is required: where to listen, for example 0.0.0.0:8889"));
        }
        for name in ["__name__", "le", "quantile"] {
            if self.const_labels.keys().any(|label| label.as_str() == name) {
                let message = "cannot be the same for every series; choose another name";
                problems.push(Problem::at(format!("const_labels::{name}"), message));
            }
        }
        match &self.server.endpoint {
            Some(endpoint) if problems.is_empty() => Ok(endpoint.to_string()),
            _ => Err(problems),
        }
    }

    pub(super) fn to_series(&self) -> ToSeries {
        let strategy = match self.translation_strategy {
            None => Strategy::of_add_metric_suffixes(self.add_metric_suffixes),
            Some(TranslationStrategy::UnderscoreEscapingWithSuffixes) => {
                Strategy::UnderscoreEscapingWithSuffixes
            }
            Some(TranslationStrategy::UnderscoreEscapingWithoutSuffixes) => {
                Strategy::UnderscoreEscapingWithoutSuffixes
            }
            Some(TranslationStrategy::NoUtf8EscapingWithSuffixes) => Strategy::NoUtf8EscapingWithSuffixes,
            Some(TranslationStrategy::NoTranslation) => Strategy::NoTranslation,
        };
        let const_labels = self.const_labels.iter();
        ToSeries {
            namespace: self.namespace.clone(),
            strategy,
            histograms: HistogramOptions { native: true, ..HistogramOptions::default() },
            resource_to_telemetry: self.resource_to_telemetry_conversion.enabled,
            exclude_service_attributes: self.resource_to_telemetry_conversion.exclude_service_attributes,
            scope_info: !self.without_scope_info,
            external_labels: const_labels.map(|(name, value)| (name.as_str(), value)).collect(),
            ..ToSeries::default()
        }
    }
}
