//! Target groups from what runs in a Kubernetes cluster.
//!
//! As Prometheus `discovery/kubernetes`: the same roles, meta labels and sources of groups. Objects come from the shared
//! watches of `cluster`; jobs that ask for the same share one evaluation, too, and an object that changes has only
//! those groups made anew that it is part of. A group that comes out the same stays the same `Arc`.
//!
//! Different on purpose: an object without targets has no group; the annotation in which kubectl keeps a copy of an object
//! becomes no label; pods that have no other part than their ports are in the order of the object, where upstream's
//! order is random. Label selectors can be applied to one watch of everything instead of asking the server for each
//! ([`Sharing`]).

mod audience;
mod config;
mod evaluation;
mod index;
mod labels;
mod look;
mod passed;
mod roles;
mod selector;
mod subscriber;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ::config::Problem;
use cluster::{Access, Cluster};
use telemetry::Registry;

use crate::board::Post;

pub use self::config::{AttachMetadata, KubernetesSdConfig, Namespaces, Role, SelectorConfig};
use self::evaluation::{Evaluation, Query};
pub use self::passed::{Passed, Sight};
pub use self::subscriber::{GroupFilter, GroupLabels};

/// How long after a connection could not be prepared it is tried again: files may come.
const RETRY: Duration = Duration::from_secs(10);

/// How much of the cluster a watch covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// What a job asks for, and no more: each namespace and label selector has its own watch, as upstream.
    #[default]
    AsWritten,
    /// The whole cluster: namespaces and label selectors are applied here, so that any number of jobs has one watch per kind. Where
    /// the right to that is missing, a job that names namespaces is looked after as written.
    ClusterWide,
}

/// The clusters that jobs look at. Jobs of one process that share this share watches and evaluations.
#[derive(Clone, Default)]
pub struct Kubernetes {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    access: Option<Access>,
    sharing: Sharing,
    clusters: Mutex<HashMap<Access, Cluster>>,
    evaluations: Mutex<HashMap<(Access, Query), Weak<Evaluation>>>,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("sharing", &self.inner.sharing).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Clusters with another way to the one that jobs mean which name none; without it that is the one around the pod.
    #[must_use]
    pub fn new(access: Access, sharing: Sharing) -> Self {
        Self { inner: Arc::new(Inner { access: Some(access), sharing, ..Inner::default() }) }
    }

    /// As [`Self::new`], over a connection that is there already: its watches are shared with whoever else uses it.
    #[must_use]
    pub fn over(access: Access, cluster: Cluster, sharing: Sharing) -> Self {
        let kubernetes = Self::new(access.clone(), sharing);
        drop(lock(&kubernetes.inner.clusters).insert(access, cluster));
        kubernetes
    }

    fn access(&self, config: &KubernetesSdConfig, base_dir: &std::path::Path) -> Access {
        config.access(base_dir).or_else(|| self.inner.access.clone()).unwrap_or(Access::Pod)
    }

    async fn cluster(&self, access: &Access, registry: &Registry) -> Result<Cluster, String> {
        if let Some(known) = lock(&self.inner.clusters).get(access) {
            return Ok(known.clone());
        }
        let fresh = Cluster::connect(access, registry.clone()).await.map_err(|error| error.to_string())?;
        // Another job may have been as quick: the first one stays.
        Ok(lock(&self.inner.clusters).entry(access.clone()).or_insert(fresh).clone())
    }

    fn evaluation(&self, access: &Access, cluster: &Cluster, query: Query) -> Arc<Evaluation> {
        let mut evaluations = lock(&self.inner.evaluations);
        evaluations.retain(|_, evaluation| evaluation.strong_count() > 0);
        let key = (access.clone(), query);
        if let Some(known) = evaluations.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(Evaluation::start(cluster, &key.1));
        drop(evaluations.insert(key, Arc::downgrade(&fresh)));
        fresh
    }
}

/// What a job brings along.
pub(crate) struct Wants {
    pub(crate) config: KubernetesSdConfig,
    pub(crate) base_dir: PathBuf,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) registry: Registry,
    pub(crate) filter: Option<GroupFilter>,
}

/// Follows the cluster until the task is dropped.
pub(crate) async fn run(wants: Wants, post: Post) {
    let Wants { config, base_dir, kubernetes, registry, filter } = wants;
    let access = kubernetes.access(&config, &base_dir);
    let cluster = loop {
        match kubernetes.cluster(&access, &registry).await {
            Ok(cluster) => break cluster,
            Err(message) => post.problems(vec![Problem::error("", message)]),
        }
        post.failed();
        tokio::time::sleep(RETRY).await;
    };
    let mut namespaces: BTreeSet<Arc<str>> =
        config.namespaces.names.iter().map(|name| name.as_str().into()).collect();
    if config.namespaces.own_namespace {
        namespaces.insert(Arc::clone(cluster.default_namespace()));
    }
    // Nodes belong to no namespace.
    let wanted = Some(namespaces.clone()).filter(|names| !names.is_empty() && config.role != Role::Node);
    let mut sharing = kubernetes.inner.sharing;
    let look = |sharing| {
        let evaluation = kubernetes.evaluation(&access, &cluster, Query::of(&config, &namespaces, sharing));
        let views = evaluation.subscribe(wanted.clone(), filter.clone());
        (evaluation, views)
    };
    let (mut evaluation, mut views) = look(sharing);
    loop {
        let view = views.borrow_and_update().clone();
        if view.is_forbidden && wanted.is_some() && sharing == Sharing::ClusterWide {
            tracing::info!(
                ?namespaces,
                "the whole cluster may not be looked at; each namespace gets watches of its own"
            );
            sharing = Sharing::AsWritten;
            (evaluation, views) = look(sharing);
            continue;
        }
        let problems = view.problems.iter().map(|message| Problem::warning("", &**message)).collect();
        if view.is_whole {
            post.answer_of(view.groups.to_vec(), view.n_passed_over, problems);
        } else {
            post.problems(problems);
        }
        // The sender lives as long as the evaluation, unless that panicked: then what is known stays.
        if views.changed().await.is_err() {
            drop(evaluation);
            return std::future::pending().await;
        }
    }
}

/// No code of others runs under these locks, so what they hold is whole even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
