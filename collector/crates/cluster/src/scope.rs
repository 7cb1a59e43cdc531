//! Which objects of a kind are looked at.

use std::fmt;
use std::sync::Arc;

/// A part of the cluster: a namespace or all, and what the server is asked to select.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) labels: Option<Arc<str>>,
    pub(crate) fields: Option<Arc<str>>,
}

impl Scope {
    /// All objects.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The objects of one namespace.
    #[must_use]
    pub fn namespace(name: &str) -> Self {
        Self { namespace: Some(name.into()), ..Self::default() }
    }

    /// Only objects whose labels a selector takes, written as for `kubectl -l`; the empty one takes all.
    #[must_use]
    pub fn with_labels(self, selector: &str) -> Self {
        Self { labels: (!selector.is_empty()).then(|| selector.into()), ..self }
    }

    /// Only objects whose fields a selector takes, written as for `kubectl --field-selector`; the empty one takes all.
    #[must_use]
    pub fn with_fields(self, selector: &str) -> Self {
        Self { fields: (!selector.is_empty()).then(|| selector.into()), ..self }
    }

    /// Whether every object of a namespace is looked at; an empty one stands for what belongs to none.
    #[must_use]
    pub fn has_all_of(&self, namespace: &str) -> bool {
        let is_selected = self.labels.is_some() || self.fields.is_some();
        !is_selected && self.name().is_none_or(|name| name == namespace)
    }

    /// The namespace, where it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "in namespace {namespace}")?,
            None => f.write_str("in the cluster")?,
        }
        if let Some(labels) = &self.labels {
            write!(f, " with labels {labels}")?;
        }
        self.fields.as_ref().map_or(Ok(()), |fields| write!(f, " with fields {fields}"))
    }
}
