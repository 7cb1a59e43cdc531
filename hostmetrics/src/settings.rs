//! `metrics` of a scraper: which are sent, with which attributes, and how points are put together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::table::{Metric, Table};

/// How points that differ only in an attribute that is left out become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AggregationStrategy {
    /// Their sum; what sums do by default.
    Sum,
    /// Their mean; what gauges do by default.
    Avg,
    /// The smallest.
    Min,
    /// The greatest.
    Max,
}

/// What the configuration says of one metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct MetricConfig {
    /// Whether it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Attributes that its points keep; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<String>>,
    /// How points become one when attributes are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation_strategy: Option<AggregationStrategy>,
}

/// The key `metrics` of a scraper. Its keys are the names of the scraper's table.
pub struct MetricsConfig<T> {
    by_name: BTreeMap<String, MetricConfig>,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> MetricsConfig<T> {
    /// What is said of a metric.
    #[must_use]
    pub fn of(&self, metric: &Metric) -> Cow<'_, MetricConfig> {
        self.by_name.get(metric.name).map_or_else(|| Cow::Owned(MetricConfig::default()), Cow::Borrowed)
    }

    /// Says something of a metric.
    pub fn set(&mut self, name: &str, config: MetricConfig) {
        self.by_name.insert(name.to_owned(), config);
    }

    /// With every metric of the table switched on.
    #[must_use]
    pub fn everything() -> Self {
        let on = MetricConfig { enabled: Some(true), ..MetricConfig::default() };
        let by_name = T::METRICS.iter().map(|metric| (metric.name.to_owned(), on.clone())).collect();
        Self { by_name, table: PhantomData }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl<T> Default for MetricsConfig<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), table: PhantomData }
    }
}

impl<T> Clone for MetricsConfig<T> {
    fn clone(&self) -> Self {
        Self { by_name: self.by_name.clone(), table: PhantomData }
    }
}

impl<T> PartialEq for MetricsConfig<T> {
    fn eq(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }
}

impl<T> fmt::Debug for MetricsConfig<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.by_name.fmt(f)
    }
}

impl<'de, T> Deserialize<'de> for MetricsConfig<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A metric that is written down without keys has its defaults.
        let by_name = BTreeMap::<String, Option<MetricConfig>>::deserialize(deserializer)?;
        let by_name = by_name.into_iter().map(|(name, config)| (name, config.unwrap_or_default())).collect();
        Ok(Self { by_name, table: PhantomData })
    }
}

impl<T> Serialize for MetricsConfig<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_name.serialize(serializer)
    }
}

impl<T: Table> JsonSchema for MetricsConfig<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("MetricsOf{}", T::SCRAPER).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: Map<String, Value> =
            T::METRICS.iter().map(|metric| (metric.name.to_owned(), schema_of(metric))).collect();
        json_schema!({ "type": "object", "properties": properties })
    }
}

fn schema_of(metric: &Metric) -> Value {
    let enabled = json!({
        "type": "boolean",
        "default": metric.is_on,
        "description": "Whether it is sent."
    });
    let mut properties = json!({ "enabled": enabled });
    if !metric.attributes.is_empty() {
        let mut names: Vec<&str> =
            metric.attributes.iter().flat_map(|attribute| [attribute.name, attribute.key]).collect();
        names.dedup();
        properties["attributes"] = json!({
            "type": "array",
            "items": { "type": "string", "enum": names },
            "description": "Attributes that its points keep; all where this is left out."
        });
        properties["aggregation_strategy"] = json!({
            "type": "string",
            "enum": ["sum", "avg", "min", "max"],
            "description": "How points become one when attributes are left out."
        });
    }
    let description = format!("{} ({}, {})", metric.description, metric.kind.as_str(), metric.unit);
    json!({ "type": "object", "description": description, "properties": properties })
}
