//! Services, endpoints, endpoint slices and ingresses.

use std::sync::Arc;

use serde::Deserialize;

use super::read::{nothing, or_default, shared, shared_list, shared_option};
use super::{Metadata, Object, Reference, Resource, TextMap};
use crate::Kind;

/// A service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WrittenService")]
pub struct Service {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: Arc<str>,
    /// Its address inside of the cluster; `None` for headless ones is written as such.
    pub cluster_ip: Arc<str>,
    /// The address that was asked of the load balancer.
    pub load_balancer_ip: Arc<str>,
    /// The addresses that the load balancer has.
    pub load_balancer_ips: Box<[Arc<str>]>,
    /// The name that stands for it elsewhere.
    pub external_name: Arc<str>,
    /// Ports.
    pub ports: Box<[ServicePort]>,
    /// Labels of the pods behind it.
    pub selector: TextMap,
    /// The family of addresses that comes first, where the service asks for two.
    pub primary_family: Option<Arc<str>>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServicePort {
    /// The name; may be empty.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub name: Arc<str>,
    /// The number.
    #[serde(default)]
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub protocol: Arc<str>,
}

impl Object for Service {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Service {
    const KIND: Kind = Kind::SERVICE;
}

#[derive(Deserialize)]
struct WrittenService {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: LoadBalancerStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type", deserialize_with = "shared_option")]
    kind: Option<Arc<str>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<Arc<str>>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<Arc<str>>,
    external_name: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePort>,
    selector: TextMap,
    #[serde(deserialize_with = "shared_option")]
    ip_family_policy: Option<Arc<str>>,
    #[serde(deserialize_with = "shared_list")]
    ip_families: Box<[Arc<str>]>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LoadBalancerStatus {
    #[serde(deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<LoadBalancerIngress>,
}

#[derive(Deserialize)]
struct LoadBalancerIngress {
    #[serde(default)]
    ip: Option<Arc<str>>,
}

impl From<WrittenService> for Service {
    fn from(WrittenService { metadata, spec, status }: WrittenService) -> Self {
        let policy = spec.ip_family_policy.as_deref();
        let is_dual = matches!(policy, Some("PreferDualStack" | "RequireDualStack"));
        let balancers = status.load_balancer.ingress.into_iter();
        Self {
            metadata,
            kind: spec.kind.unwrap_or_else(nothing),
            cluster_ip: spec.cluster_ip.unwrap_or_else(nothing),
            load_balancer_ip: spec.load_balancer_ip.unwrap_or_else(nothing),
            load_balancer_ips: balancers.filter_map(|ingress| ingress.ip).collect(),
            external_name: spec.external_name.unwrap_or_else(nothing),
            ports: spec.ports.into(),
            selector: spec.selector,
            primary_family: spec.ip_families.first().filter(|_| is_dual).cloned(),
        }
    }
}

/// Addresses behind a service, in one object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Endpoints {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// Addresses that have the same ports.
    #[serde(default, deserialize_with = "or_default")]
    pub subsets: Vec<Subset>,
}

/// Addresses that have the same ports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subset {
    /// Those that are ready.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<EndpointAddress>,
    /// Those that are not.
    #[serde(deserialize_with = "or_default")]
    pub not_ready_addresses: Vec<EndpointAddress>,
    /// The ports of all of them.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
}

/// An address in [`Endpoints`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointAddress {
    /// The address.
    pub ip: Arc<str>,
    /// The host name; may be empty.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub hostname: Arc<str>,
    /// The node behind it.
    #[serde(default, deserialize_with = "shared_option")]
    pub node_name: Option<Arc<str>>,
    /// The object behind it.
    #[serde(default)]
    pub target_ref: Option<Box<Reference>>,
}

impl Object for Endpoints {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Endpoints {
    const KIND: Kind = Kind::ENDPOINTS;
}

/// Some of the addresses behind a service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub address_type: Arc<str>,
    /// The addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// The ports of all of them.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: Vec<SlicePort>,
}

impl EndpointSlice {
    /// The label that names the service behind which the slice stands.
    pub const SERVICE_NAME: &'static str = "kubernetes.io/service-name";

    /// The name of the service behind which it stands.
    #[must_use]
    pub fn service_name(&self) -> Option<&Arc<str>> {
        self.metadata.labels.get(Self::SERVICE_NAME)
    }
}

/// An endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses, which are as good as each other.
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: Box<[Arc<str>]>,
    /// What it can do.
    #[serde(default, deserialize_with = "or_default")]
    pub conditions: Conditions,
    /// The host name.
    #[serde(default, deserialize_with = "shared_option")]
    pub hostname: Option<Arc<str>>,
    /// The node behind it.
    #[serde(default, deserialize_with = "shared_option")]
    pub node_name: Option<Arc<str>>,
    /// The zone it is in.
    #[serde(default, deserialize_with = "shared_option")]
    pub zone: Option<Arc<str>>,
    /// The object behind it.
    #[serde(default)]
    pub target_ref: Option<Box<Reference>>,
    /// Where it is, as slices of version v1beta1 said it.
    #[serde(default)]
    pub deprecated_topology: TextMap,
}

/// What an endpoint can do; `None` is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// It takes new work.
    pub ready: Option<bool>,
    /// It works, ready or not.
    pub serving: Option<bool>,
    /// It is about to end.
    pub terminating: Option<bool>,
}

/// A port of a slice; what is not said counts for all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlicePort {
    /// The name.
    #[serde(default, deserialize_with = "shared_option")]
    pub name: Option<Arc<str>>,
    /// The number.
    #[serde(default)]
    pub port: Option<i32>,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default, deserialize_with = "shared_option")]
    pub protocol: Option<Arc<str>>,
    /// What is spoken there.
    #[serde(default, deserialize_with = "shared_option")]
    pub app_protocol: Option<Arc<str>>,
}

impl Object for EndpointSlice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for EndpointSlice {
    const KIND: Kind = Kind::ENDPOINT_SLICE;
}

/// An ingress.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WrittenIngress")]
pub struct Ingress {
    /// Name, labels and the like.
    pub metadata: Metadata,
    /// Who serves it.
    pub class_name: Option<Arc<str>>,
    /// Hosts that are served with TLS; they may begin with `*.`.
    pub tls_hosts: Box<[Arc<str>]>,
    /// Where requests go.
    pub rules: Box<[IngressRule]>,
}

/// A rule of an ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// The host; empty stands for all.
    pub host: Arc<str>,
    /// Paths; `None` where the rule says nothing about HTTP.
    pub paths: Option<Box<[Arc<str>]>>,
}

impl Object for Ingress {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Resource for Ingress {
    const KIND: Kind = Kind::INGRESS;
}

#[derive(Deserialize)]
struct WrittenIngress {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: IngressSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressSpec {
    #[serde(deserialize_with = "shared_option")]
    ingress_class_name: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    tls: Vec<IngressTls>,
    #[serde(deserialize_with = "or_default")]
    rules: Vec<WrittenRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressTls {
    #[serde(deserialize_with = "shared_list")]
    hosts: Box<[Arc<str>]>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenRule {
    #[serde(deserialize_with = "shared_option")]
    host: Option<Arc<str>>,
    http: Option<HttpRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HttpRule {
    #[serde(deserialize_with = "or_default")]
    paths: Vec<HttpPath>,
}

#[derive(Deserialize)]
struct HttpPath {
    #[serde(default = "nothing", deserialize_with = "shared")]
    path: Arc<str>,
}

impl From<WrittenIngress> for Ingress {
    fn from(WrittenIngress { metadata, spec }: WrittenIngress) -> Self {
        let rule = |written: WrittenRule| IngressRule {
            host: written.host.unwrap_or_else(nothing),
            paths: written.http.map(|http| http.paths.into_iter().map(|path| path.path).collect()),
        };
        Self {
            metadata,
            class_name: spec.ingress_class_name,
            tls_hosts: spec.tls.into_iter().flat_map(|tls| tls.hosts).collect(),
            rules: spec.rules.into_iter().map(rule).collect(),
        }
    }
}
