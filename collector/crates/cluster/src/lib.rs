//! Kubernetes as the rest of the program sees it: one watch per kind of resource and scope, however many look.
//!
//! [`Cluster::connect`] reaches an API server; [`Cluster::watch`] gives a [`Watch`], a handle on a shared, slim
//! copy of what the server holds. A watch begins with the first who looks and ends with the last. Objects are our
//! own structs that keep what meta labels and matching need, and nothing else: no `managedFields`, no
//! `kubectl.kubernetes.io/last-applied-configuration`.
//!
//! As the reflector of client-go: a list in pages, then a watch from its version with bookmarks; 410 lists anew.
//! Different on purpose: nothing that is known vanishes while the server is away or a list is under way, the
//! difference is made at the end of the list; there is no resync; an object whose kept fields are the same as
//! before is no change.

mod access;
mod api;
mod backoff;
mod cluster;
mod failure;
mod intern;
mod kind;
mod lines;
mod list;
mod metrics;
mod objects;
mod reflector;
mod scope;
mod store;
mod token;
mod watch;

pub use access::{Access, ConnectError, ServerAccess};
pub use api::{MAX_OBJECT_BYTES, MAX_PAGE_BYTES};
pub use cluster::Cluster;
pub use failure::{Failure, Reason};
pub use intern::intern;
pub use kind::Kind;
pub use objects::{
    Conditions, ConfigMap, Container, ContainerPort, Controller, Custom, Endpoint, EndpointAddress,
    EndpointSlice, Endpoints, Ingress, IngressRule, Metadata, MetadataOnly, Namespace, Node, Object, Pod,
    Reference, Resource, Secret, Service, ServicePort, SlicePort, Status, Subset, TextMap, Versioned,
};
pub use scope::Scope;
pub use store::Objects;
pub use watch::{State, Watch};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
