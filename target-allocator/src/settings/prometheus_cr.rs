//! The keys of `prometheus_cr`: which monitors of the Prometheus operator are watched, and what holds for all of them.
//!
//! As upstream's v0.158, and beyond it what a `Prometheus` object of the operator can say and upstream cannot pass on
//! (opentelemetry-operator#1934), in snake case: `scrape_timeout`, `pod_target_labels`, `ignore_namespace_selectors`,
//! `override_*`, `enforced_*` and `excluded_from_enforcement`. Their defaults change nothing.

use std::collections::BTreeMap;

use config::{ByteSize, Period, Timeout};
use schemars::JsonSchema;
use scrape::ScrapeProtocol;
use serde::Deserialize;

use crate::monitors::ScrapeClass;
use crate::selector::{Requirement, Selector};

/// Monitors of the Prometheus operator.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct PrometheusCr {
    /// Whether monitors are watched.
    #[serde(default)]
    pub enabled: bool,

    /// Only these namespaces; excludes `deny_namespaces`.
    #[serde(default)]
    pub allow_namespaces: Vec<String>,

    /// All namespaces but these; excludes `allow_namespaces`.
    #[serde(default)]
    pub deny_namespaces: Vec<String>,

    /// Where Secrets are watched, so that a new one, or new content, counts at once: needs the rights to list and watch them.
    /// Everywhere else what monitors refer to is read again every ten seconds, for which the right to get it is enough. Upstream
    /// notices changes only here, and takes the namespace of the collectors where nothing is said.
    #[serde(default)]
    pub secret_namespaces: Vec<String>,

    /// Which ServiceMonitors; absent is none, empty is all.
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    pub service_monitor_selector: Option<LabelSelector>,

    /// In which namespaces, by their labels; absent is all.
    #[serde(default)]
    pub service_monitor_namespace_selector: LabelSelector,

    /// Which PodMonitors; absent is none, empty is all.
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    pub pod_monitor_selector: Option<LabelSelector>,

    /// In which namespaces, by their labels; absent is all.
    #[serde(default)]
    pub pod_monitor_namespace_selector: LabelSelector,

    /// Which Probes; absent is none, empty is all.
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    pub probe_selector: Option<LabelSelector>,

    /// In which namespaces, by their labels; absent is all.
    #[serde(default)]
    pub probe_namespace_selector: LabelSelector,

    /// Which ScrapeConfigs; absent is none, empty is all.
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    pub scrape_config_selector: Option<LabelSelector>,

    /// In which namespaces, by their labels; absent is all.
    #[serde(default)]
    pub scrape_config_namespace_selector: LabelSelector,

    /// The interval of monitors that have none. `config.global.scrape_interval` does not reach them, as upstream.
    #[serde(default = "config::secs::<30>")]
    pub scrape_interval: Period,

    /// How long a scrape may take where a monitor does not say; by default ten seconds, or the interval when that is
    /// shorter.
    #[serde(default)]
    pub scrape_timeout: Option<Period>,

    /// Without effect, as upstream.
    #[serde(default)]
    pub evaluation_interval: Option<Timeout>,

    /// Formats that are asked for where a monitor names none; by default the four of text. Native histograms need
    /// `PrometheusProto`, which has to be listed here or in the monitor, as upstream.
    #[serde(default = "text_protocols")]
    pub scrape_protocols: Vec<ScrapeProtocol>,

    /// Scrape classes of the Prometheus operator, in its spelling. What they refer to lies in the namespace of the
    /// collectors.
    #[serde(default)]
    pub scrape_classes: Vec<ScrapeClass>,

    /// Leaves out endpoints of ServiceMonitors that name token or TLS files themselves. Files that a scrape class names
    /// are used; upstream leaves out those endpoints, too.
    #[serde(default)]
    pub deny_fs_access_through_sms: bool,

    /// Labels of pods that all targets of ServiceMonitors and PodMonitors get, beside those that the monitor names.
    #[serde(default)]
    pub pod_target_labels: Vec<String>,

    /// Whether monitors find targets in their own namespace alone, whatever their `namespaceSelector` says.
    #[serde(default)]
    pub ignore_namespace_selectors: bool,

    /// Whether labels of targets win over labels of samples, whatever ServiceMonitors, PodMonitors and ScrapeConfigs say.
    #[serde(default)]
    pub override_honor_labels: bool,

    /// Whether timestamps that targets expose are ignored, whatever monitors say, ScrapeConfigs among them.
    #[serde(default)]
    pub override_honor_timestamps: bool,

    /// A label that holds the namespace of the monitor on every target and every series, whatever its rules do; of ScrapeConfigs,
    /// too.
    #[serde(default)]
    pub enforced_namespace_label: String,

    /// Monitors to which `enforced_namespace_label` does not apply.
    #[serde(default)]
    pub excluded_from_enforcement: Vec<ExcludedObject>,

    /// Most samples of a scrape; monitors may ask for less. 0 is no limit, here and below.
    #[serde(default)]
    pub enforced_sample_limit: u64,

    /// Most targets of a job.
    #[serde(default)]
    pub enforced_target_limit: u64,

    /// Most labels of a series.
    #[serde(default)]
    pub enforced_label_limit: u64,

    /// Longest name of a label, in bytes.
    #[serde(default)]
    pub enforced_label_name_length_limit: u64,

    /// Longest value of a label, in bytes.
    #[serde(default)]
    pub enforced_label_value_length_limit: u64,

    /// Most dropped targets that are remembered.
    #[serde(default)]
    pub enforced_keep_dropped_targets: u64,

    /// Largest answer of a target after decompression.
    #[serde(default)]
    pub enforced_body_size_limit: ByteSize,
}

impl Default for PrometheusCr {
    /// As read from an empty section.
    fn default() -> Self {
        config::fill(&config::Node::map(), "prometheus_cr").expect("no key of prometheus_cr is required")
    }
}

/// A monitor, or all monitors of a kind in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ExcludedObject {
    /// The API group.
    #[serde(default = "monitoring_group")]
    pub group: String,
    /// The kind in plural and lower case: `servicemonitors`, `podmonitors`, `probes` or `scrapeconfigs`.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
    /// The name; all of the namespace where it is empty.
    #[serde(default)]
    pub name: String,
}

/// A Kubernetes label selector, in camel case or in the lower case that the operator writes; camel case wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(default, rename = "matchLabels")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// The same, as the operator writes it.
    #[serde(default, rename = "matchlabels")]
    pub lower_labels: Option<BTreeMap<String, String>>,
    /// Conditions on labels.
    #[serde(default, rename = "matchExpressions")]
    pub match_expressions: Option<Vec<Requirement>>,
    /// The same, as the operator writes it.
    #[serde(default, rename = "matchexpressions")]
    pub lower_expressions: Option<Vec<Requirement>>,
}

impl LabelSelector {
    /// The selector that is meant.
    #[must_use]
    pub fn selector(&self) -> Selector {
        Selector {
            match_labels: self
                .match_labels
                .as_ref()
                .or(self.lower_labels.as_ref())
                .cloned()
                .unwrap_or_default(),
            match_expressions: (self.match_expressions.as_ref().or(self.lower_expressions.as_ref()))
                .cloned()
                .unwrap_or_default(),
        }
    }
}

fn text_protocols() -> Vec<ScrapeProtocol> {
    vec![
        ScrapeProtocol::OpenMetricsText1,
        ScrapeProtocol::OpenMetricsText0,
        ScrapeProtocol::PrometheusText1,
        ScrapeProtocol::PrometheusText0,
    ]
}

fn monitoring_group() -> String {
    "monitoring.coreos.com".to_owned()
}
