//! Monitors of the Prometheus operator to scrape jobs.
//!
//! Pure: objects, labels of namespaces and [`Material`] go in, jobs come out ([`Generator`]). Who watches the API server
//! calls [`Generator::generate`] after every change and serves [`Generated::jobs`] beside the jobs of `config`; a job that
//! did not change is the same allocation again.
//!
//! What becomes of a field follows prometheus-operator 0.93 (`pkg/prometheus/promcfg.go`, `resource_selector.go`) as the
//! OpenTelemetry target allocator calls it: newest Prometheus, one shard, EndpointSlices unless a monitor asks for
//! Endpoints, TLS inline. Names of jobs and labels of targets are the same. Different on purpose:
//!
//! - Every job is checked alone by what checks static jobs ([`scrape::Job`]). A monitor that fails is in quarantine alone,
//!   with the field and the reason; upstream then takes over no monitor at all any more.
//! - A selector that is not set selects nothing, as upstream, but says so ([`Selected::nothing`]).
//! - A field that is not known is a warning with the nearest known one.
//! - The rules that share targets out over `$(SHARD)` are left out, see [`rules`].
//! - What the administrator's scrape class says never collides with the monitor, see [`class`].

mod class;
mod client;
mod crd;
mod draft;
mod endpoint;
mod field;
mod generator;
mod material;
mod pod_monitor;
mod policy;
mod probe;
mod rules;
mod scrape_config;
mod sd;
mod service_monitor;
mod subject;
mod why;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::selector::ObjectLabels;

pub use class::ScrapeClass;
pub use crd::{
    AttachMetadata, Authorization, BasicAuth, ClassAuthorization, KeyRef, OAuth2, ProxyConfig, Relabeling,
    SafeTlsConfig, SecretOrConfigMap, TlsConfig, TlsFiles,
};
pub use generator::{
    Generated, Generator, Inputs, MAX_ENDPOINTS, MAX_JOB_BYTES, Quarantined, Selected, Warned,
};
pub use material::{Answer, EntryRef, Holder, Material, ObjectRef};
pub use policy::Policy;
pub use subject::{Reach, Subject, SubjectKind, SubjectPort};
pub use why::Why;

/// The kinds of monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Endpoints of services.
    ServiceMonitor,
    /// Ports of pods.
    PodMonitor,
    /// Targets behind a prober.
    Probe,
    /// A job nearly as Prometheus spells it.
    ScrapeConfig,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ServiceMonitor, Self::PodMonitor, Self::Probe, Self::ScrapeConfig];

    /// The kind as the API server names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["ServiceMonitor", "PodMonitor", "Probe", "ScrapeConfig"][self as usize]
    }

    /// The kind in paths of the API server: plural and lower case.
    #[must_use]
    pub fn resource(self) -> &'static str {
        ["servicemonitors", "podmonitors", "probes", "scrapeconfigs"][self as usize]
    }

    /// The version of the API.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::ScrapeConfig => "v1alpha1",
            _ => "v1",
        }
    }

    /// The key of the settings that selects objects of this kind.
    #[must_use]
    pub fn selector_key(self) -> &'static str {
        ["service_monitor_selector", "pod_monitor_selector", "probe_selector", "scrape_config_selector"]
            [self as usize]
    }

    /// The key of the settings that selects namespaces for this kind.
    #[must_use]
    pub fn namespace_selector_key(self) -> &'static str {
        [
            "service_monitor_namespace_selector",
            "pod_monitor_namespace_selector",
            "probe_namespace_selector",
            "scrape_config_namespace_selector",
        ][self as usize]
    }

    /// What names of jobs begin with.
    #[must_use]
    pub fn job_prefix(self) -> &'static str {
        ["serviceMonitor", "podMonitor", "probe", "scrapeConfig"][self as usize]
    }
}

/// The API group of all kinds.
pub const GROUP: &str = "monitoring.coreos.com";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Labels of namespaces, by name.
pub type Namespaces = BTreeMap<String, ObjectLabels>;

/// Which monitor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for MonitorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A monitor as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// Kind, namespace and name.
    pub key: MonitorKey,
    /// The identity of the object, for events about it.
    pub uid: String,
    /// Counts changes of the specification.
    pub generation: i64,
    /// Its labels.
    pub labels: ObjectLabels,
    /// Its annotations.
    pub annotations: ObjectLabels,
    /// Its specification.
    pub spec: Value,
}

#[cfg(test)]
mod tests;
