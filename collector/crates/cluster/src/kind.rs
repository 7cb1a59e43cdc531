//! Kinds of resources, and where the API serves them.

use std::fmt;

/// A kind of resource: its group, version and name in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    is_namespaced: bool,
}

impl Kind {
    /// Nodes.
    pub const NODE: Self = Self::cluster_wide("", "v1", "nodes");
    /// Namespaces.
    pub const NAMESPACE: Self = Self::cluster_wide("", "v1", "namespaces");
    /// Pods.
    pub const POD: Self = Self::namespaced("", "v1", "pods");
    /// Services.
    pub const SERVICE: Self = Self::namespaced("", "v1", "services");
    /// Endpoints.
    pub const ENDPOINTS: Self = Self::namespaced("", "v1", "endpoints");
    /// Secrets.
    pub const SECRET: Self = Self::namespaced("", "v1", "secrets");
    /// ConfigMaps.
    pub const CONFIG_MAP: Self = Self::namespaced("", "v1", "configmaps");
    /// Events: what is told about other objects.
    pub const EVENT: Self = Self::namespaced("", "v1", "events");
    /// EndpointSlices.
    pub const ENDPOINT_SLICE: Self = Self::namespaced("discovery.k8s.io", "v1", "endpointslices");
    /// Ingresses.
    pub const INGRESS: Self = Self::namespaced("networking.k8s.io", "v1", "ingresses");
    /// StatefulSets.
    pub const STATEFUL_SET: Self = Self::namespaced("apps", "v1", "statefulsets");
    /// ReplicaSets.
    pub const REPLICA_SET: Self = Self::namespaced("apps", "v1", "replicasets");
    /// Jobs.
    pub const JOB: Self = Self::namespaced("batch", "v1", "jobs");
    /// Leases.
    pub const LEASE: Self = Self::namespaced("coordination.k8s.io", "v1", "leases");
    /// ServiceMonitors of the Prometheus operator.
    pub const SERVICE_MONITOR: Self = Self::namespaced("monitoring.coreos.com", "v1", "servicemonitors");
    /// PodMonitors of the Prometheus operator.
    pub const POD_MONITOR: Self = Self::namespaced("monitoring.coreos.com", "v1", "podmonitors");
    /// Probes of the Prometheus operator.
    pub const PROBE: Self = Self::namespaced("monitoring.coreos.com", "v1", "probes");
    /// ScrapeConfigs of the Prometheus operator.
    pub const SCRAPE_CONFIG: Self = Self::namespaced("monitoring.coreos.com", "v1alpha1", "scrapeconfigs");

    const fn namespaced(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group, version, plural, is_namespaced: true }
    }

    const fn cluster_wide(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group, version, plural, is_namespaced: false }
    }

    /// The name in paths and in rules of RBAC, such as `pods`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.plural
    }

    /// The API group; empty for the core.
    #[must_use]
    pub fn group(self) -> &'static str {
        self.group
    }

    /// Group and version as objects write it in `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of the collection: of one namespace, or of all.
    pub(crate) fn path(self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

impl fmt::Display for Kind {
    /// As in rules of RBAC: `pods`, `servicemonitors.monitoring.coreos.com`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}
