//! Everything that the groups of an evaluation are made of beside their own object, and which group asked for what.

use std::sync::Arc;

use cluster::{MetadataOnly, Namespace, Node, Pod, Service};
use futures_util::future::{FutureExt, select_all};
use hashbrown::HashMap;

use super::labels::Names;
use super::look::Look;

/// Kinds of objects that groups ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Pod,
    Service,
    Node,
    Namespace,
    ReplicaSet,
    Job,
}

/// An object that is asked for: its kind and key.
pub(super) type Asked = (Part, Arc<str>);

/// The other objects; what a role does not need is not watched.
#[derive(Default)]
pub(super) struct World {
    pub(super) pods: Option<Look<Pod>>,
    pub(super) services: Option<Look<Service>>,
    pub(super) nodes: Option<Look<Node>>,
    pub(super) namespaces: Option<Look<Namespace>>,
    pub(super) replica_sets: Option<Look<MetadataOnly>>,
    pub(super) jobs: Option<Look<MetadataOnly>>,
}

impl World {
    pub(super) async fn changed(&mut self) {
        let Self { pods, services, nodes, namespaces, replica_sets, jobs } = self;
        let mut waiting = Vec::new();
        waiting.extend(pods.as_mut().map(|look| look.changed().boxed()));
        waiting.extend(services.as_mut().map(|look| look.changed().boxed()));
        waiting.extend(nodes.as_mut().map(|look| look.changed().boxed()));
        waiting.extend(namespaces.as_mut().map(|look| look.changed().boxed()));
        waiting.extend(replica_sets.as_mut().map(|look| look.changed().boxed()));
        waiting.extend(jobs.as_mut().map(|look| look.changed().boxed()));
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        drop(select_all(waiting).await);
    }

    pub(super) fn is_synced(&self) -> bool {
        let Self { pods, services, nodes, namespaces, replica_sets, jobs } = self;
        pods.as_ref().is_none_or(Look::is_synced)
            && services.as_ref().is_none_or(Look::is_synced)
            && nodes.as_ref().is_none_or(Look::is_synced)
            && namespaces.as_ref().is_none_or(Look::is_synced)
            && replica_sets.as_ref().is_none_or(Look::is_synced)
            && jobs.as_ref().is_none_or(Look::is_synced)
    }

    /// Whether the server denies the right to look at objects in namespaces.
    pub(super) fn is_forbidden(&self) -> bool {
        let Self { pods, services, replica_sets, jobs, .. } = self;
        pods.as_ref().is_some_and(Look::is_forbidden)
            || services.as_ref().is_some_and(Look::is_forbidden)
            || replica_sets.as_ref().is_some_and(Look::is_forbidden)
            || jobs.as_ref().is_some_and(Look::is_forbidden)
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let Self { pods, services, nodes, namespaces, replica_sets, jobs } = self;
        let mut problems = Vec::new();
        problems.extend(pods.iter().flat_map(Look::problems));
        problems.extend(services.iter().flat_map(Look::problems));
        problems.extend(nodes.iter().flat_map(Look::problems));
        problems.extend(namespaces.iter().flat_map(Look::problems));
        problems.extend(replica_sets.iter().flat_map(Look::problems));
        problems.extend(jobs.iter().flat_map(Look::problems));
        problems
    }

    /// Begins a round: gives back what changed since the last one.
    pub(super) fn begin(&mut self) -> Vec<Asked> {
        let Self { pods, services, nodes, namespaces, replica_sets, jobs } = self;
        let mut changes = Vec::new();
        let mut add = |part: Part, keys: Option<Vec<Arc<str>>>| {
            changes.extend(keys.into_iter().flatten().map(|key| (part, key)));
        };
        add(Part::Pod, pods.as_mut().map(Look::begin));
        add(Part::Service, services.as_mut().map(Look::begin));
        add(Part::Node, nodes.as_mut().map(Look::begin));
        add(Part::Namespace, namespaces.as_mut().map(Look::begin));
        add(Part::ReplicaSet, replica_sets.as_mut().map(Look::begin));
        add(Part::Job, jobs.as_mut().map(Look::begin));
        changes
    }

    /// Ends the round.
    pub(super) fn end(&mut self) {
        let Self { pods, services, nodes, namespaces, replica_sets, jobs } = self;
        pods.iter_mut().for_each(Look::end);
        services.iter_mut().for_each(Look::end);
        nodes.iter_mut().for_each(Look::end);
        namespaces.iter_mut().for_each(Look::end);
        replica_sets.iter_mut().for_each(Look::end);
        jobs.iter_mut().for_each(Look::end);
    }
}

/// What a role asks when it makes a group. Every question is remembered, also one without an answer: when the object
/// comes, goes or changes, the group is made anew.
pub(super) struct Asking<'a> {
    world: &'a World,
    pub(super) names: &'a mut Names,
    pub(super) asked: Vec<Asked>,
    /// Whether jobs of pods are told.
    pub(super) tells_jobs: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(world: &'a World, names: &'a mut Names, tells_jobs: bool) -> Self {
        Self { world, names, asked: Vec::new(), tells_jobs }
    }

    pub(super) fn pod(&mut self, namespace: &str, name: &str) -> Option<&'a Arc<Pod>> {
        let look = self.world.pods.as_ref()?;
        let key = self.ask(Part::Pod, &[namespace, name]);
        look.get(&key)
    }

    pub(super) fn service(&mut self, namespace: &str, name: &str) -> Option<&'a Arc<Service>> {
        let look = self.world.services.as_ref()?;
        let key = self.ask(Part::Service, &[namespace, name]);
        look.get(&key)
    }

    /// Whether nodes are told at all.
    pub(super) fn tells_nodes(&self) -> bool {
        self.world.nodes.is_some()
    }

    pub(super) fn node(&mut self, name: &str) -> Option<&'a Arc<Node>> {
        let look = self.world.nodes.as_ref()?;
        let key = self.ask(Part::Node, &[name]);
        look.get(&key)
    }

    pub(super) fn namespace(&mut self, name: &str) -> Option<&'a Arc<Namespace>> {
        let look = self.world.namespaces.as_ref()?;
        let key = self.ask(Part::Namespace, &[name]);
        look.get(&key)
    }

    pub(super) fn replica_set(&mut self, namespace: &str, name: &str) -> Option<&'a Arc<MetadataOnly>> {
        let look = self.world.replica_sets.as_ref()?;
        let key = self.ask(Part::ReplicaSet, &[namespace, name]);
        look.get(&key)
    }

    pub(super) fn job(&mut self, namespace: &str, name: &str) -> Option<&'a Arc<MetadataOnly>> {
        let look = self.world.jobs.as_ref()?;
        let key = self.ask(Part::Job, &[namespace, name]);
        look.get(&key)
    }

    fn ask(&mut self, part: Part, words: &[&str]) -> Arc<str> {
        let key: Arc<str> = words.join("/").into();
        let is_known = self.asked.last().is_some_and(|last| *last == (part, Arc::clone(&key)));
        if !is_known {
            self.asked.push((part, Arc::clone(&key)));
        }
        key
    }
}

/// Which groups asked for an object.
#[derive(Default)]
pub(super) struct Askers {
    by_part: HashMap<Asked, Vec<Arc<str>>>,
    by_group: HashMap<Arc<str>, Box<[Asked]>>,
}

impl Askers {
    /// The groups that asked for this.
    pub(super) fn of(&self, asked: &Asked) -> &[Arc<str>] {
        self.by_part.get(asked).map_or(&[], Vec::as_slice)
    }

    /// What a group asked for this time; nothing when it is gone.
    pub(super) fn update(&mut self, group: &Arc<str>, mut asked: Vec<Asked>) {
        asked.sort_unstable_by(|(one, key), (other, other_key)| {
            (*one as u8).cmp(&(*other as u8)).then_with(|| key.cmp(other_key))
        });
        asked.dedup();
        let before = self.by_group.remove(group).unwrap_or_default();
        if *before != *asked {
            for old in &before {
                if let Some(groups) = self.by_part.get_mut(old) {
                    groups.retain(|known| known != group);
                    if groups.is_empty() {
                        drop(self.by_part.remove(old));
                    }
                }
            }
            for new in &asked {
                self.by_part.entry(new.clone()).or_default().push(Arc::clone(group));
            }
        }
        if !asked.is_empty() {
            drop(self.by_group.insert(Arc::clone(group), asked.into()));
        }
    }
}
