//! The keys of the receiver, and rules between them.
//!
//! As the OpenTelemetry Collector's kubeletstats receiver. `readOnly` is accepted as another word for `none`, since documents call
//! the kubelet's port 10255 so.

use std::collections::BTreeMap;

use config::Problem;
use net::TlsClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::{self, Needs};
use crate::metric_config::MetricsConfig;
use crate::resource_config::ResourceAttributesConfig;
use crate::settings::Settings;

/// Metrics of a node, its pods, their containers and volumes, from its kubelet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// How the kubelet is asked to let us in.
    #[serde(default)]
    pub auth_type: AuthType,
    /// Where the kubelet listens: `host:port`, or a URL. Without a scheme it is `https`, for `none` it is `http`. Empty means this
    /// host's name and port 10250, for `none` 10255. For `kubeConfig` the name of the node.
    #[serde(default)]
    pub endpoint: String,
    /// TLS towards the kubelet. For `serviceAccount` the authority is the service account's unless `ca_file` names another; the
    /// system's authorities are trusted beside it.
    #[serde(flatten)]
    pub tls: TlsClientConfig,
    /// For `kubeConfig`: the context to use instead of the current one.
    #[serde(default)]
    pub context: String,
    /// Accepted for compatibility, without effect: requests are few.
    #[serde(default)]
    pub kube_api_qps: f64,
    /// Accepted for compatibility, without effect: requests are few.
    #[serde(default)]
    pub kube_api_burst: u64,
    /// What to add to resources from the kubelet's list of pods, which is asked for only when something here needs it.
    #[serde(default)]
    pub extra_metadata_labels: Vec<ExtraLabel>,
    /// Of what to send metrics.
    #[serde(default = "default_groups")]
    pub metric_groups: Vec<MetricGroup>,
    /// Send network metrics of all interfaces instead of the default one.
    #[serde(default)]
    pub collect_all_network_interfaces: AllInterfaces,
    /// How the Kubernetes API is reached: for what is behind a persistent volume claim, and for the capacity of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k8s_api_config: Option<ApiConfig>,
    /// Name of the node, for the metrics that compare with its capacity.
    #[serde(default)]
    pub node: String,
    /// Switches of single metrics, by name.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// Switches and filters of resource attributes, by name.
    #[serde(default)]
    pub resource_attributes: ResourceAttributesConfig,
}

/// How a kubelet or an API server is asked to let us in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AuthType {
    /// With a client certificate: `cert_file` and `key_file`.
    #[default]
    #[serde(rename = "tls")]
    Tls,
    /// With the token of the pod's service account.
    #[serde(rename = "serviceAccount")]
    ServiceAccount,
    /// As a kubeconfig file says (`KUBECONFIG`, or `~/.kube/config`), through the API server.
    #[serde(rename = "kubeConfig")]
    KubeConfig,
    /// Not at all: the read-only port.
    #[serde(rename = "none")]
    None,
    /// The same as `none`.
    #[serde(rename = "readOnly")]
    ReadOnly,
}

impl AuthType {
    /// Whether nothing is shown.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self, Self::None | Self::ReadOnly)
    }
}

/// What can be added to resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ExtraLabel {
    /// `container.id`, on containers.
    #[serde(rename = "container.id")]
    ContainerId,
    /// `k8s.volume.type` and `k8s.persistentvolumeclaim.name`, on volumes.
    #[serde(rename = "k8s.volume.type")]
    VolumeType,
}

/// Of what metrics are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricGroup {
    /// Containers of pods.
    Container,
    /// Pods.
    Pod,
    /// The node and its system containers.
    Node,
    /// Volumes of pods.
    Volume,
}

impl MetricGroup {
    pub(crate) fn group(self) -> metric::Group {
        match self {
            Self::Container => metric::Group::Container,
            Self::Pod => metric::Group::Pod,
            Self::Node => metric::Group::Node,
            Self::Volume => metric::Group::Volume,
        }
    }
}

fn default_groups() -> Vec<MetricGroup> {
    vec![MetricGroup::Container, MetricGroup::Pod, MetricGroup::Node]
}

/// Whose network metrics are of all interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AllInterfaces {
    /// Those of pods.
    pub pod: bool,
    /// Those of the node.
    pub node: bool,
}

/// How the Kubernetes API is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ApiConfig {
    /// `serviceAccount`, `kubeConfig`, or `none`: the address of the cluster from the environment, without credentials and without
    /// looking at its certificate.
    #[serde(default = "service_account")]
    pub auth_type: AuthType,
    /// For `kubeConfig`: the context to use instead of the current one.
    #[serde(default)]
    pub context: String,
    /// Accepted for compatibility, without effect: requests are few.
    #[serde(default)]
    pub kube_api_qps: f64,
    /// Accepted for compatibility, without effect: requests are few.
    #[serde(default)]
    pub kube_api_burst: u64,
}

fn service_account() -> AuthType {
    AuthType::ServiceAccount
}

impl Config {
    /// Rules between keys; paths are relative to the section.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.tls.check().into_iter().map(|(key, message)| Problem::at(key, message)).collect();
        self.check_access(&mut problems);
        let mut seen = Vec::new();
        for (index, label) in self.extra_metadata_labels.iter().enumerate() {
            if seen.contains(label) {
                let at = format!("extra_metadata_labels::{index}");
                problems.push(Problem::at(at, "is given twice").with_hint("leave it out"));
            }
            seen.push(*label);
        }
        if let Some(api) = &self.k8s_api_config
            && api.auth_type == AuthType::Tls
        {
            let message = "`tls` is no way to reach the API server";
            let hint = "write serviceAccount, kubeConfig or none";
            problems.push(Problem::at("k8s_api_config::auth_type", message).with_hint(hint));
        }
        problems.extend(self.resource_attributes.check());
        self.check_node(&mut problems);
        problems
    }

    fn check_access(&self, problems: &mut Vec<Problem>) {
        let mut add = |key: &str, message: &str, hint: &str| {
            problems.push(Problem::at(key, message).with_hint(hint));
        };
        match self.auth_type {
            AuthType::Tls => {
                let has_cert = !self.tls.cert_file.is_empty() || self.tls.cert_pem.is_some();
                let has_key = !self.tls.key_file.is_empty() || self.tls.key_pem.is_some();
                if !has_cert && !has_key {
                    let message = "`tls`, the default, needs a client certificate";
                    add(
                        "auth_type",
                        message,
                        "give cert_file and key_file, or write auth_type: serviceAccount",
                    );
                }
                if self.endpoint.starts_with("http://") {
                    add(
                        "endpoint",
                        "auth_type `tls` needs an https endpoint",
                        "write https://, or auth_type: none",
                    );
                }
            }
            AuthType::ServiceAccount if self.endpoint.starts_with("http://") => {
                let message = "the token of the service account is not sent without TLS";
                add("endpoint", message, "write https://, or auth_type: none");
            }
            AuthType::KubeConfig if !is_name(&self.endpoint) => {
                let message = "must be the name of the node for auth_type `kubeConfig`: the API server passes requests on";
                add("endpoint", message, "write for example ${env:K8S_NODE_NAME}");
            }
            _ => {}
        }
        if self.auth_type != AuthType::KubeConfig
            && let Err(message) =
                crate::endpoint::base_url(&self.endpoint, self.auth_type, || "localhost".to_owned())
        {
            add("endpoint", &message, "write for example https://${env:K8S_NODE_NAME}:10250");
        }
    }

    /// Metrics that compare with the node need its name and somebody who knows it.
    fn check_node(&self, problems: &mut Vec<Problem>) {
        let Some(row) = Settings::rows_on(self).find(|row| row.needs == Needs::Node) else { return };
        if self.node.is_empty() {
            let message = format!("must be the name of the node, because `{}` is on", row.name);
            problems.push(Problem::at("node", message).with_hint("write for example ${env:K8S_NODE_NAME}"));
        } else if !is_name(&self.node) {
            let message = "is not the name of a node: letters, digits, `-` and `.`";
            problems.push(Problem::at("node", message).with_hint("write for example ${env:K8S_NODE_NAME}"));
        }
        if self.k8s_api_config.is_none() {
            let message =
                format!("is missing: `{}` needs the node's capacity, which the API server knows", row.name);
            let hint = "write k8s_api_config: {auth_type: serviceAccount}";
            problems.push(Problem::at("k8s_api_config", message).with_hint(hint));
        }
    }

    /// What works, but perhaps not as it was meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let mut warn = |key: &str, message: &str| warnings.push(Problem::warning(key, message));
        if self.tls.insecure {
            warn("insecure", "has no effect: the scheme of the endpoint decides; write http:// for no TLS");
        }
        let has_volumes = self.metric_groups.contains(&MetricGroup::Volume);
        let wants_type = self.extra_metadata_labels.contains(&ExtraLabel::VolumeType);
        if wants_type && !has_volumes {
            warn(
                "extra_metadata_labels",
                "`k8s.volume.type` has no effect without `volume` in metric_groups",
            );
        }
        let group_of = |row: &metric::Row| self.metric_groups.iter().any(|group| group.group() == row.group);
        for name in self.metrics.switched_on() {
            if metric::Metric::named(name).is_some_and(|metric| !group_of(metric.row())) {
                warn(&format!("metrics::{name}"), "has no effect: its group is not in metric_groups");
            }
        }
        warnings
    }
}

/// Whether a text may be the name of a node or another object, which becomes part of a path.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && !text.starts_with('.')
}

/// Keys and their sections, as maps of the configuration have them.
pub(crate) type ByName<T> = BTreeMap<String, T>;

#[cfg(test)]
mod tests;
