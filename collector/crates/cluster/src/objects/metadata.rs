//! What all objects have.

use std::sync::Arc;

use serde::Deserialize;

use super::TextMap;
use super::read::{nothing, or_default, shared};

/// Metadata of an object. Equality leaves the versions out: they change with fields that nobody reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
pub struct Metadata {
    /// The name.
    pub name: Arc<str>,
    /// The namespace; empty for what belongs to none.
    pub namespace: Arc<str>,
    /// Tells an object from others of the same name, before and after.
    pub uid: Arc<str>,
    /// Changes with every write.
    pub resource_version: Arc<str>,
    /// Changes with every write of the specification; 0 where the kind has none.
    pub generation: i64,
    /// Labels.
    pub labels: TextMap,
    /// Annotations.
    pub annotations: TextMap,
    /// The owner that made it.
    pub controller: Option<Box<Controller>>,
    /// Whether it is being deleted: it has a `deletionTimestamp`.
    pub is_terminating: bool,
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, namespace, uid, labels, annotations, controller, is_terminating, .. } = self;
        *name == other.name
            && *namespace == other.namespace
            && *uid == other.uid
            && *labels == other.labels
            && *annotations == other.annotations
            && *controller == other.controller
            && *is_terminating == other.is_terminating
    }
}

impl Metadata {
    /// `namespace/name`, or the name where there is no namespace: what an object is found by.
    #[must_use]
    pub fn key(&self) -> Arc<str> {
        if self.namespace.is_empty() {
            Arc::clone(&self.name)
        } else {
            format!("{}/{}", self.namespace, self.name).into()
        }
    }
}

/// The owner of an object that controls it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Controller {
    /// Its kind, such as `ReplicaSet`.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub kind: Arc<str>,
    /// Its name.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub name: Arc<str>,
}

/// Another object that an object names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// Its kind, such as `Pod`.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub kind: Arc<str>,
    /// Its namespace.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub namespace: Arc<str>,
    /// Its name.
    #[serde(default = "nothing", deserialize_with = "shared")]
    pub name: Arc<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default = "nothing", deserialize_with = "shared")]
    name: Arc<str>,
    #[serde(default = "nothing", deserialize_with = "shared")]
    namespace: Arc<str>,
    #[serde(default)]
    uid: Option<Arc<str>>,
    #[serde(default)]
    resource_version: Option<Arc<str>>,
    #[serde(default, deserialize_with = "or_default")]
    generation: i64,
    #[serde(default)]
    labels: TextMap,
    #[serde(default)]
    annotations: TextMap,
    #[serde(default, deserialize_with = "or_default")]
    owner_references: Vec<Owner>,
    #[serde(default)]
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default, deserialize_with = "or_default")]
    controller: bool,
    #[serde(flatten)]
    owner: Controller,
}

impl From<Written> for Metadata {
    fn from(written: Written) -> Self {
        let controller = written.owner_references.into_iter().find(|owner| owner.controller);
        Self {
            name: written.name,
            namespace: written.namespace,
            uid: written.uid.unwrap_or_else(nothing),
            resource_version: written.resource_version.unwrap_or_else(nothing),
            generation: written.generation,
            labels: written.labels,
            annotations: written.annotations,
            controller: controller.map(|owner| Box::new(owner.owner)),
            is_terminating: written.deletion_timestamp.is_some(),
        }
    }
}
