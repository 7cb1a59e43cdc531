//! A handle on a shared watch.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::objects::Object;
use crate::store::{Dirty, Objects, Store, lock};
use crate::{Failure, Kind, Scope};

/// How a watch is doing.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whether a whole list has been read at least once. It stays so while the server is away: what is known is
    /// kept.
    pub is_synced: bool,
    /// Whether events are coming in now.
    pub is_live: bool,
    /// What goes wrong now.
    pub failure: Option<Failure>,
    /// When the server said anything at last.
    pub last_contact: Option<Instant>,
    /// The version up to which everything is known.
    pub resource_version: Option<Arc<str>>,
    /// The version of the last change that was seen, of any object; 0 before the first, and where versions are no numbers.
    pub last_change: u64,
}

/// A look at the objects of a scope. The watch behind it is shared, and ends when nobody looks any more.
///
/// Each handle hears of changes for itself. A new one, and a clone, hears of every object first.
pub struct Watch<T: Object> {
    shared: Arc<Shared<T>>,
    dirty: Arc<Dirty>,
    versions: watch::Receiver<u64>,
}

/// What all handles of a watch share; its task ends with the last of them.
pub(crate) struct Shared<T> {
    pub(crate) kind: Kind,
    pub(crate) scope: Scope,
    pub(crate) store: Arc<Store<T>>,
    pub(crate) task: AbortHandle,
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Object> Watch<T> {
    pub(crate) fn of(shared: Arc<Shared<T>>) -> Self {
        let (dirty, versions) = shared.store.subscribe();
        Self { shared, dirty, versions }
    }

    /// What kind is watched.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shared.kind
    }

    /// Which part of the cluster is watched.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.shared.scope
    }

    /// The objects at this moment. Cheap; hold it no longer than needed, since a change while it is held copies the map.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Objects<T>> {
        self.shared.store.snapshot()
    }

    /// Waits until objects or the state changed since this was called last.
    pub async fn changed(&mut self) {
        // The sender lives in the store, which the handle holds.
        drop(self.versions.changed().await);
    }

    /// Keys of objects that came, went or look different since this was called last; each once. The snapshot taken
    /// afterwards is at least as new.
    #[must_use]
    pub fn changes(&mut self) -> Vec<Arc<str>> {
        self.versions.mark_unchanged();
        std::mem::take(&mut *lock(&self.dirty)).into_iter().collect()
    }

    /// How the watch is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.store.state()
    }

    /// Whether a whole list has been read at least once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.state().is_synced
    }

    /// Waits until a whole list has been read.
    pub async fn synced(&mut self) {
        while !self.is_synced() {
            self.changed().await;
        }
    }

    /// What goes wrong now, with the remedy.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.state().failure.map(|failure| failure.message)
    }

    /// When the server said anything at last.
    #[must_use]
    pub fn last_contact(&self) -> Option<Instant> {
        self.state().last_contact
    }
}

impl<T: Object> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

impl<T: Object> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({} {})", self.shared.kind, self.shared.scope)
    }
}
