//! Pods, nodes, namespaces, secrets, config maps, and objects of kinds that are not known beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Secret as SecretText;
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::Value;

use super::read::{nothing, or_default, shared, shared_option};
use super::{Metadata, Object, Resource, TextMap};
use crate::Kind;

/// What a condition says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known, or nobody has said.
    #[default]
    Unknown,
}

impl Status {
    /// In lower case, as labels have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WrittenPod")]
pub struct Pod {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// The node it was given to.
    pub node_name: Arc<str>,
    /// Its address; empty while it has none.
    pub ip: Arc<str>,
    /// The address of its node.
    pub host_ip: Arc<str>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Arc<str>,
    /// The condition `Ready`.
    pub ready: Status,
    /// Containers; those that only initialise stand behind the others.
    pub containers: Box<[Container]>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The name.
    pub name: Arc<str>,
    /// The image as it is asked for.
    pub image: Arc<str>,
    /// The id that the runtime gave it; empty before it runs.
    pub id: Arc<str>,
    /// Whether it initialises the pod.
    pub is_init: bool,
    /// Ports it names.
    pub ports: Box<[ContainerPort]>,
}

/// A port that a container names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// The name; may be empty.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub name: Arc<str>,
    /// The number.
    #[serde(default)]
    pub container_port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub protocol: Arc<str>,
}

impl Object for Pod {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Pod {
    const KIND: Kind = Kind::POD;
}

#[derive(Deserialize)]
struct WrittenPod {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: PodSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    #[serde(deserialize_with = "shared_option")]
    node_name: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<WrittenContainer>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<WrittenContainer>,
}

#[derive(Deserialize)]
struct WrittenContainer {
    #[serde(default = "nothing", deserialize_with = "shared")]
    name: Arc<str>,
    #[serde(default = "nothing", deserialize_with = "shared")]
    image: Arc<str>,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<ContainerPort>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    #[serde(rename = "podIP")]
    ip: Option<Arc<str>>,
    #[serde(rename = "hostIP", deserialize_with = "shared_option")]
    host_ip: Option<Arc<str>>,
    #[serde(deserialize_with = "shared_option")]
    phase: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type", default = "nothing", deserialize_with = "shared")]
    kind: Arc<str>,
    #[serde(default = "nothing", deserialize_with = "shared")]
    status: Arc<str>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    #[serde(default = "nothing", deserialize_with = "shared")]
    name: Arc<str>,
    #[serde(rename = "containerID", default)]
    id: Option<Arc<str>>,
}

impl From<WrittenPod> for Pod {
    fn from(WrittenPod { metadata, spec, status }: WrittenPod) -> Self {
        let container = |written: WrittenContainer, is_init: bool, statuses: &[ContainerStatus]| {
            let id = statuses.iter().find(|status| status.name == written.name);
            Container {
                id: id.and_then(|status| status.id.clone()).unwrap_or_else(nothing),
                name: written.name,
                image: written.image,
                is_init,
                ports: written.ports.into(),
            }
        };
        let (main, init) = (&status.container_statuses, &status.init_container_statuses);
        let containers = (spec.containers.into_iter().map(|written| container(written, false, main)))
            .chain(spec.init_containers.into_iter().map(|written| container(written, true, init)))
            .collect();
        let ready = status.conditions.iter().find(|condition| &*condition.kind == "Ready");
        Self {
            metadata,
            node_name: spec.node_name.unwrap_or_else(nothing),
            ip: status.ip.unwrap_or_else(nothing),
            host_ip: status.host_ip.unwrap_or_else(nothing),
            phase: status.phase.unwrap_or_else(nothing),
            ready: ready.map_or(Status::Unknown, |condition| Status::of(&condition.status)),
            containers,
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WrittenNode")]
pub struct Node {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// What its cloud calls it.
    pub provider_id: Arc<str>,
    /// Its addresses: type and address, in the order in which the node tells them.
    pub addresses: Box<[(Arc<str>, Arc<str>)]>,
    /// Conditions by type.
    pub conditions: Box<[(Arc<str>, Status)]>,
    /// Where its kubelet listens; 0 when it has not said.
    pub kubelet_port: i32,
}

impl Object for Node {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Node {
    const KIND: Kind = Kind::NODE;
}

#[derive(Deserialize)]
struct WrittenNode {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<Arc<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    daemon_endpoints: DaemonEndpoints,
}

#[derive(Deserialize)]
struct NodeAddress {
    #[serde(rename = "type", default = "nothing", deserialize_with = "shared")]
    kind: Arc<str>,
    #[serde(default = "nothing", deserialize_with = "shared")]
    address: Arc<str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DaemonEndpoints {
    #[serde(deserialize_with = "or_default")]
    kubelet_endpoint: DaemonEndpoint,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DaemonEndpoint {
    port: i32,
}

impl From<WrittenNode> for Node {
    fn from(WrittenNode { metadata, spec, status }: WrittenNode) -> Self {
        let addresses = status.addresses.into_iter().map(|address| (address.kind, address.address));
        let conditions = status.conditions.into_iter();
        Self {
            metadata,
            provider_id: spec.provider_id.unwrap_or_else(nothing),
            addresses: addresses.collect(),
            conditions: conditions.map(|condition| (condition.kind, Status::of(&condition.status))).collect(),
            kubelet_port: status.daemon_endpoints.kubelet_endpoint.port,
        }
    }
}

/// An object of which the metadata is enough: ReplicaSets and Jobs, whose owners are asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MetadataOnly {
    /// Name, labels and the like.
    pub metadata: Metadata,
}

impl Object for MetadataOnly {
    const IS_METADATA_ONLY: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// An object of which is only asked whether it was written. Nothing of its content is fetched.
#[derive(Clone, Debug, Deserialize)]
pub struct Versioned {
    /// Name, labels and the like.
    pub metadata: Metadata,
}

impl PartialEq for Versioned {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.metadata, &other.metadata);
        one == other && one.resource_version == other.resource_version
    }
}

impl Object for Versioned {
    const IS_METADATA_ONLY: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Namespace {
    /// Name, labels and the like.
    pub metadata: Metadata,
}

impl Object for Namespace {
    const IS_METADATA_ONLY: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Namespace {
    const KIND: Kind = Kind::NAMESPACE;
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WrittenSecret")]
pub struct Secret {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// The values; `None` where one is no UTF-8 text.
    pub data: BTreeMap<Arc<str>, Option<SecretText>>,
}

impl Object for Secret {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Secret {
    const KIND: Kind = Kind::SECRET;
}

#[derive(Deserialize)]
struct WrittenSecret {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    data: BTreeMap<Arc<str>, ByteString>,
}

impl From<WrittenSecret> for Secret {
    fn from(WrittenSecret { mut metadata, data }: WrittenSecret) -> Self {
        // Tools keep copies of the data there, and annotations are shown.
        metadata.annotations = TextMap::default();
        let text = |bytes: ByteString| String::from_utf8(bytes.0).ok().map(SecretText::new);
        Self { metadata, data: data.into_iter().map(|(key, bytes)| (key, text(bytes))).collect() }
    }
}

/// A config map; its binary data is not kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ConfigMap {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// The values.
    #[serde(default, deserialize_with = "or_default")]
    pub data: BTreeMap<Arc<str>, Arc<str>>,
}

impl Object for ConfigMap {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for ConfigMap {
    const KIND: Kind = Kind::CONFIG_MAP;
}

/// An object whose kind is said where it is watched: metadata, and the specification as it stands.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Custom {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// The specification; null where there is none.
    #[serde(default)]
    pub spec: Value,
}

impl Object for Custom {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
