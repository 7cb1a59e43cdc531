//! Objects as far as they are looked at.
//!
//! Shapes follow the API's types of the same names; fields that nobody reads are not kept. Texts that many objects
//! share are interned.

mod core;
mod metadata;
mod network;
mod read;
mod text_map;

use serde::de::DeserializeOwned;

use crate::Kind;

pub use self::core::{
    ConfigMap, Container, ContainerPort, Custom, MetadataOnly, Namespace, Node, Pod, Secret, Status,
    Versioned,
};
pub use metadata::{Controller, Metadata, Reference};
pub use network::{
    Conditions, Endpoint, EndpointAddress, EndpointSlice, Endpoints, Ingress, IngressRule, Service,
    ServicePort, SlicePort, Subset,
};
pub use text_map::TextMap;

/// What a watch can hold. Two objects are equal when what is kept of them is; versions do not count, but for [`Versioned`].
pub trait Object: DeserializeOwned + PartialEq + Send + Sync + 'static {
    /// Whether the metadata is all that is read, so that the server need not send more.
    const IS_METADATA_ONLY: bool = false;

    /// Name, namespace, labels and the like.
    fn metadata(&self) -> &Metadata;
}

/// An object whose type says where the API serves it.
pub trait Resource: Object {
    /// The kind.
    const KIND: Kind;
}

#[cfg(test)]
mod tests;
