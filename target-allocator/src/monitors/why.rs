//! Why something is not scraped: the first step that does not match, as a sentence.

use std::fmt;

use super::{EntryRef, Kind, ObjectRef};

/// The first step on the way from a monitor to a target that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The kind has no selector, and therefore selects nothing.
    NoSelector {
        /// The kind.
        kind: Kind,
    },
    /// `allow_namespaces` is set and does not list the namespace.
    NotAllowed {
        /// The namespace of the monitor.
        namespace: String,
    },
    /// `deny_namespaces` lists the namespace.
    Denied {
        /// The namespace of the monitor.
        namespace: String,
    },
    /// The labels of the namespace are needed and not known.
    UnknownNamespace {
        /// The kind.
        kind: Kind,
        /// The namespace of the monitor.
        namespace: String,
    },
    /// The labels of the namespace do not match.
    NamespaceLabels {
        /// The kind.
        kind: Kind,
        /// The namespace of the monitor.
        namespace: String,
        /// The first condition that does not hold.
        condition: String,
    },
    /// The labels of the monitor do not match.
    Labels {
        /// The kind.
        kind: Kind,
        /// The first condition that does not hold.
        condition: String,
    },
    /// Secrets or ConfigMaps that the monitor refers to have not been read yet.
    Waiting {
        /// The first of them.
        object: ObjectRef,
    },
    /// The monitor is in quarantine.
    Quarantined {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The monitor makes no job.
    NoJob {
        /// The field that would have to list something.
        field: String,
    },
    /// The monitor looks for targets in other namespaces.
    SubjectNamespace {
        /// The namespace of the object.
        namespace: String,
        /// Where the monitor looks.
        searched: Vec<String>,
    },
    /// The labels of the object do not match the monitor's selector.
    SubjectLabels {
        /// The first condition that does not hold.
        condition: String,
    },
    /// The monitor does not select objects of this kind.
    SubjectKind {
        /// The kind of the monitor.
        kind: Kind,
        /// What it finds targets from.
        finds: &'static str,
    },
    /// The pod has ended.
    Ended {
        /// Its phase.
        phase: String,
    },
    /// No endpoint of the monitor names a port of the object.
    NoPort {
        /// The ports that endpoints of the monitor name.
        wanted: Vec<String>,
        /// The ports of the object.
        present: Vec<String>,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSelector { kind } => {
                let key = kind.selector_key();
                write!(f, "prometheus_cr::{key} is not set: no {kind} matches; write `{key}: {{}}` for all")
            }
            Self::NotAllowed { namespace } => {
                write!(f, "prometheus_cr::allow_namespaces does not list namespace `{namespace}`")
            }
            Self::Denied { namespace } => {
                write!(f, "prometheus_cr::deny_namespaces lists namespace `{namespace}`")
            }
            Self::UnknownNamespace { kind, namespace } => write!(
                f,
                "prometheus_cr::{} asks for labels, and those of namespace `{namespace}` are not known; let the \
                 service account of the allocator list namespaces",
                kind.namespace_selector_key()
            ),
            Self::NamespaceLabels { kind, namespace, condition } => write!(
                f,
                "the labels of namespace `{namespace}` do not meet `{condition}` of prometheus_cr::{}",
                kind.namespace_selector_key()
            ),
            Self::Labels { kind, condition } => write!(
                f,
                "the labels of the {kind} do not meet `{condition}` of prometheus_cr::{}",
                kind.selector_key()
            ),
            Self::Waiting { object } => {
                write!(f, "{object}, which the monitor refers to, has not been read yet")
            }
            Self::Quarantined { field, reason } => {
                write!(f, "the monitor is in quarantine: {field}: {reason}")
            }
            Self::NoJob { field } => write!(f, "the monitor makes no job: {field} names nothing to scrape"),
            Self::SubjectNamespace { namespace, searched } => {
                write!(f, "the monitor looks in namespace {}, not in `{namespace}`", listed(searched, "none"))
            }
            Self::SubjectLabels { condition } => {
                write!(f, "the labels of the object do not meet `{condition}` of the monitor's selector")
            }
            Self::SubjectKind { kind, finds } => write!(f, "a {kind} finds its targets from {finds}"),
            Self::Ended { phase } => write!(f, "the pod has ended: its phase is {phase}"),
            Self::NoPort { wanted, present } => write!(
                f,
                "the monitor asks for port {}, the object has {}",
                listed(wanted, "none"),
                listed(present, "no port")
            ),
        }
    }
}

fn listed(names: &[String], none: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { none.to_owned() } else { names.join(" or ") }
}

impl Why {
    /// The monitor waits for an entry to be read.
    pub(super) fn waiting(entry: &EntryRef) -> Self {
        Self::Waiting { object: entry.object.clone() }
    }
}
