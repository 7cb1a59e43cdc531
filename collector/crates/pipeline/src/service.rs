//! The `service` section: which components run and how they are joined.

use std::collections::BTreeMap;

use config::HostPort;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::LogsConfig;

/// `service`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ServiceConfig {
    /// Extensions that are started, in this order.
    #[serde(default)]
    pub extensions: Option<Vec<String>>,
    /// Pipelines by `signal` or `signal/name`.
    #[serde(default)]
    pub pipelines: Option<BTreeMap<String, Option<PipelineConfig>>>,
    /// Our own logs and metrics.
    #[serde(default)]
    pub telemetry: Option<TelemetryConfig>,
}

/// `service.telemetry`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct TelemetryConfig {
    /// Our own log lines.
    #[serde(default)]
    pub logs: Option<LogsConfig>,
    /// Our own metrics.
    #[serde(default)]
    pub metrics: Option<MetricsConfig>,
    /// Our own traces. Accepted for compatibility: there are none yet, and a warning says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<serde_json::Value>,
    /// Attributes of this process: a flat map, where null takes one of `service.name`, `service.version` and
    /// `service.instance.id` away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<BTreeMap<String, Option<serde_json::Value>>>,
}

/// `service.telemetry.metrics`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct MetricsConfig {
    /// How much is said; `none` serves nothing.
    #[serde(default)]
    pub level: MetricsLevel,
    /// Where the metrics are served. Others have removed this key; `readers` is its heir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<HostPort>,
    /// Where the metrics are served, in the words of the declarative configuration. Only a pull reader with a Prometheus
    /// exporter is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<Vec<serde_json::Value>>,
    /// Accepted for compatibility, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<serde_json::Value>,
}

/// `service.telemetry.metrics.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// No metrics.
    None,
    /// Upstream's smallest set; the same as normal here.
    Basic,
    /// The default.
    #[default]
    Normal,
    /// Upstream's largest set; the same as normal here.
    Detailed,
}

/// Where metrics are served unless the configuration says otherwise.
const DEFAULT_ADDRESS: &str = "localhost:8888";

impl MetricsConfig {
    /// Where our own metrics are served; `None` when they are not.
    ///
    /// # Errors
    /// Key and message where a reader is not one that we can run.
    pub fn listen(&self) -> Result<Option<String>, (String, String)> {
        if self.level == MetricsLevel::None {
            return Ok(None);
        }
        if let Some(address) = &self.address {
            return Ok(Some(address.to_string()));
        }
        let Some(readers) = &self.readers else { return Ok(Some(DEFAULT_ADDRESS.to_owned())) };
        let Some(first) = readers.first() else { return Ok(None) };
        let prometheus = first.pointer("/pull/exporter/prometheus").ok_or_else(|| {
            (
                "readers::0".to_owned(),
                "only a `pull` reader with a `prometheus` exporter is built in".to_owned(),
            )
        })?;
        let host = prometheus.get("host").and_then(serde_json::Value::as_str).unwrap_or("localhost");
        let port = prometheus.get("port").and_then(serde_json::Value::as_u64).unwrap_or(8888);
        Ok(Some(format!("{host}:{port}")))
    }
}

/// One pipeline: who feeds it, what happens on the way, where it ends.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PipelineConfig {
    /// Receivers and connectors that feed it.
    #[serde(default)]
    pub receivers: Option<Vec<String>>,
    /// Processors in the order in which data passes them.
    #[serde(default)]
    pub processors: Option<Vec<String>>,
    /// Exporters and connectors that get what arrives at the end.
    #[serde(default)]
    pub exporters: Option<Vec<String>>,
}
