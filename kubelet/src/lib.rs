//! The kubelet: usage of a node, its pods, their containers and volumes, as OTLP metrics.
//!
//! [`Scraper`] asks a kubelet for `/stats/summary`, and for `/pods` where limits, container ids or kinds of volumes are wanted, and
//! writes what it hears as OTLP, encoded at once ([`model::Frames`]). Names, units and attributes are those of the OpenTelemetry
//! Collector's kubeletstats receiver: [`METRICS`] and [`RESOURCE_ATTRIBUTES`] hold them, and everything else is made from these
//! tables, the reference documentation (`kubelet/REFERENCE.md`) too.
//!
//! Answers are read in place: texts are borrowed from the body, and no tree is built. Three single objects of the API server (a
//! node, a claim, a volume) are fetched by plain HTTP, since watching them would hold more than it saves.
//!
//! Knows no pipeline: whoever uses it brings the interval and counts what a scrape tells.

mod access;
mod claims;
mod config;
mod emit;
mod endpoint;
mod json;
mod kube_config;
mod metric;
mod metric_config;
mod node;
mod pods;
mod points;
mod reference;
mod request;
mod resource;
mod resource_config;
mod scraper;
mod settings;
mod summary;
mod time;

#[cfg(test)]
mod tests;

pub use access::{AccessError, Surroundings};
pub use claims::MAX_LOOKUPS;
pub use config::{AllInterfaces, ApiConfig, AuthType, Config, ExtraLabel, MetricGroup};
pub use emit::Missing;
pub use metric::{Group, Kind, METRICS, Metric, N_METRICS, Needs, Row, ValueType};
pub use metric_config::{AggregationStrategy, MetricConfig, MetricsConfig};
pub use points::SCOPE;
pub use reference::reference;
pub use request::{MAX_ANSWER_BYTES, Outcome, RequestError, Subject};
pub use resource::{N_RESOURCE_ATTRIBUTES, RESOURCE_ATTRIBUTES, ResourceAttribute, ResourceRow};
pub use resource_config::{FilterConfig, ResourceAttributeConfig, ResourceAttributesConfig};
pub use scraper::{Scraped, Scraper, Skipped};
