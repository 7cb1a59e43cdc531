//! The objects of a kind that an evaluation may see.

use std::sync::Arc;

use cluster::{Cluster, Kind, Object, Objects, Reason, Scope, Watch};

use super::selector::Selector;

/// Watches of one kind, one for the cluster or one for each namespace, and a label selector that is applied here.
pub(super) struct Look<T: Object> {
    watches: Vec<Watch<T>>,
    /// What is looked at in the current round; empty between rounds, so that a change need not copy the map.
    snapshots: Vec<Arc<Objects<T>>>,
    selector: Selector,
}

impl<T: Object> Look<T> {
    pub(super) fn open(cluster: &Cluster, kind: Kind, scopes: &[Scope], selector: Selector) -> Self {
        let watches = scopes.iter().map(|scope| cluster.watch_kind(kind, scope)).collect();
        Self { watches, snapshots: Vec::new(), selector }
    }

    /// Waits until anything has changed.
    pub(super) async fn changed(&mut self) {
        let waiting = self.watches.iter_mut().map(|watch| Box::pin(watch.changed()));
        drop(futures_util::future::select_all(waiting).await);
    }

    pub(super) fn is_synced(&self) -> bool {
        self.watches.iter().all(Watch::is_synced)
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.watches.iter().filter_map(Watch::problem)
    }

    /// Whether the server denies the right to begin at all.
    pub(super) fn is_forbidden(&self) -> bool {
        let states = self.watches.iter().map(Watch::state);
        states
            .filter(|state| !state.is_synced)
            .any(|state| state.failure.is_some_and(|failure| failure.reason == Reason::Forbidden))
    }

    /// Begins a round: gives back the keys of what changed since the last one.
    pub(super) fn begin(&mut self) -> Vec<Arc<str>> {
        let changes = self.watches.iter_mut().flat_map(Watch::changes).collect();
        self.snapshots = self.watches.iter().map(Watch::snapshot).collect();
        changes
    }

    /// Ends the round.
    pub(super) fn end(&mut self) {
        self.snapshots.clear();
    }

    /// The object with this key, if it is there and selected.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<T>> {
        let is_home = |watch: &Watch<T>| {
            let namespace = key.split_once('/').map(|(namespace, _)| namespace);
            watch.scope().name().is_none_or(|name| Some(name) == namespace)
        };
        let home = self.watches.iter().position(is_home)?;
        let object = self.snapshots.get(home)?.get(key)?;
        self.selector.takes(&object.metadata().labels).then_some(object)
    }
}
