//! The allocator in a cluster: pods that are members, monitors that are jobs, and what they refer to.
//!
//! All of it looks at one connection ([`cluster::Cluster`]), whose watches are shared with discovery. Nothing here decides: pods
//! become members in [`crate::members`], monitors become jobs in [`crate::monitors`].

mod assignment;
mod events;
mod follow;
mod material;
mod pods;

use std::sync::Arc;
use std::time::SystemTime;

use cluster::{Access, Cluster};
use tokio::sync::{Notify, watch};

use crate::jobs::JobSpec;
use crate::marks::{Mark, Marks};
use crate::members::{PodFeed, PodSource};
use crate::monitors::{Monitor, Namespaces, Policy, Quarantined, Selected, Warned};

pub use assignment::{MAX_SHARED_BYTES, SharedAssignment, SharedAt, Unwritten, Version};
pub use follow::Following;
pub use material::REREAD;

/// What the allocator asks a cluster for.
#[derive(Clone, Debug, PartialEq)]
pub struct KubernetesSettings {
    /// How the API server is reached.
    pub access: Access,
    /// Which monitors are jobs; nothing where none are watched.
    pub monitors: Option<Policy>,
    /// The ConfigMap through which replicas share their assignment, if they do.
    pub shared_at: Option<SharedAt>,
}

/// A connection, and how it was made.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    /// How.
    pub access: Access,
    /// The connection.
    pub cluster: Cluster,
    /// How discovery of jobs looks at it.
    pub discovery: discovery::Kubernetes,
}

impl Kubernetes {
    /// Over a connection that is there.
    #[must_use]
    pub fn over(access: Access, cluster: Cluster) -> Self {
        let discovery =
            discovery::Kubernetes::over(access.clone(), cluster.clone(), discovery::Sharing::ClusterWide);
        Self { access, cluster, discovery }
    }

    /// Follows the pods of a source for as long as somebody looks at the feed.
    #[must_use]
    pub fn pods(&self, source: &PodSource, changed: &Arc<Notify>) -> PodFeed {
        pods::feed(&self.cluster, source, changed)
    }
}

impl Kubernetes {
    /// How new what all watches know is.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let states = self.cluster.states();
        let mark = |(kind, scope, state): &(cluster::Kind, cluster::Scope, cluster::State)| {
            let known = state.resource_version.as_ref()?.parse().ok()?;
            Some((format!("{kind} {scope}"), Mark { known, changed: state.last_change }))
        };
        let marks: Vec<(String, Mark)> = states.iter().filter_map(mark).collect();
        Marks::of(marks.iter().map(|(watch, mark)| (watch.as_str(), *mark)))
    }
}

/// What monitors became.
#[derive(Debug, Default)]
pub struct Monitored {
    /// The jobs, in order of name.
    pub jobs: Vec<Arc<JobSpec>>,
    /// Selected monitors that make no jobs because something is wrong.
    pub quarantine: Vec<Held>,
    /// What works, perhaps not as it was meant.
    pub warnings: Vec<Warned>,
    /// How many of each kind there are, in the order of [`crate::monitors::Kind::ALL`].
    pub selected: [Selected; 4],
    /// Every monitor that is known.
    pub monitors: Vec<Arc<Monitor>>,
    /// Labels of namespaces, where they are asked for.
    pub namespaces: Namespaces,
    /// What the administrator said about monitors; nothing where none are watched.
    pub policy: Option<Policy>,
    /// Why not all monitors are known yet; empty when they are.
    pub waits_for: Vec<String>,
    /// What goes wrong with the watches now.
    pub problems: Vec<String>,
}

impl Monitored {
    /// Whether the other says the same. Jobs and monitors that did not change are the same allocations.
    fn says_same(&self, other: &Self) -> bool {
        let Self { jobs, quarantine, warnings, selected, monitors, namespaces, policy, waits_for, problems } =
            self;
        are_same(jobs, &other.jobs)
            && *quarantine == other.quarantine
            && *warnings == other.warnings
            && *selected == other.selected
            && are_same(monitors, &other.monitors)
            && *namespaces == other.namespaces
            && *policy == other.policy
            && *waits_for == other.waits_for
            && *problems == other.problems
    }
}

fn are_same<T>(ours: &[Arc<T>], theirs: &[Arc<T>]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// A monitor in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which, and why.
    pub what: Quarantined,
    /// Since when, for this reason.
    pub since: SystemTime,
}

/// What monitors became, kept up to date.
pub type MonitorFeed = watch::Receiver<Arc<Monitored>>;
