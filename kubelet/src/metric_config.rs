//! `metrics`: switches of single metrics.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::ByName;
use crate::metric::METRICS;

/// Switches by name of the metric. Its schema knows the names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct MetricsConfig(ByName<MetricConfig>);

/// The switches of one metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct MetricConfig {
    /// Whether it is sent; each metric has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Attributes to keep; points that differ only in others become one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<String>>,
    /// How such points become one: sums add up and gauges take the mean where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_strategy: Option<AggregationStrategy>,
}

/// How points become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AggregationStrategy {
    /// They add up.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl MetricsConfig {
    /// What is said of a metric.
    #[must_use]
    pub fn of(&self, name: &str) -> MetricConfig {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Names of the metrics that are switched on in so many words.
    pub(crate) fn switched_on(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, metric)| metric.enabled == Some(true)).map(|(name, _)| name.as_str())
    }
}

impl JsonSchema for MetricsConfig {
    fn schema_name() -> Cow<'static, str> {
        "MetricsConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let metrics: Map<String, Value> = METRICS
            .iter()
            .map(|row| {
                let mut keys = json!({
                    "enabled": { "type": ["boolean", "null"], "description": format!("Default: {}.", row.is_on) },
                });
                if !row.attributes.is_empty() {
                    keys["attributes"] = json!({
                        "type": ["array", "null"],
                        "items": { "enum": row.attributes },
                        "description": "Attributes to keep; all where the key is absent.",
                    });
                    keys["aggregation_strategy"] = json!({
                        "enum": ["sum", "avg", "min", "max"],
                        "description": "How points that differ only in other attributes become one.",
                    });
                }
                let schema = json!({
                    "type": ["object", "null"],
                    "description": row.description,
                    "properties": keys,
                    "additionalProperties": false,
                });
                (row.name.to_owned(), schema)
            })
            .collect();
        json_schema!({ "type": "object", "properties": metrics, "additionalProperties": false })
    }
}
