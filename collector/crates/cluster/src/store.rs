//! What is known of a scope, and who wants to hear of changes.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::objects::Object;
use crate::{Failure, State};

/// Objects by key, `namespace/name` or `name`, in order. A snapshot: it does not change.
#[derive(Debug)]
pub struct Objects<T>(BTreeMap<Arc<str>, Arc<T>>);

impl<T> Objects<T> {
    /// The object with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<T>> {
        self.0.get(key)
    }

    /// Keys and objects in order of key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<T>)> + Clone {
        self.0.iter()
    }

    /// Keys and objects of a namespace in order of key.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<T>)> + Clone {
        let (first, behind) = (format!("{namespace}/"), format!("{namespace}0"));
        // `0` is what follows `/`.
        self.0.range::<str, _>((Bound::Included(first.as_str()), Bound::Excluded(behind.as_str())))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Clone for Objects<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Keys that changed since a subscriber looked last.
pub(crate) type Dirty = Mutex<HashSet<Arc<str>>>;

/// A change of one object.
#[derive(Debug)]
pub(crate) enum Change<T> {
    /// It is there, and looks like this.
    Is(T),
    /// It is gone.
    Gone(Arc<str>),
}

/// The shared copy of a scope. One task writes, any number read.
pub(crate) struct Store<T> {
    objects: RwLock<Arc<Objects<T>>>,
    state: Mutex<State>,
    subscribers: Mutex<Vec<Weak<Dirty>>>,
    /// Counts changes of objects and of the state.
    version: watch::Sender<u64>,
}

impl<T: Object> Store<T> {
    pub(crate) fn new() -> Self {
        Self {
            objects: RwLock::default(),
            state: Mutex::default(),
            subscribers: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Objects<T>> {
        Arc::clone(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn state(&self) -> State {
        self.lock_state().clone()
    }

    /// A new subscriber, to whom every object is a change.
    pub(crate) fn subscribe(&self) -> (Arc<Dirty>, watch::Receiver<u64>) {
        let dirty = Arc::new(Dirty::default());
        {
            let mut subscribers = lock(&self.subscribers);
            subscribers.retain(|subscriber| subscriber.strong_count() > 0);
            subscribers.push(Arc::downgrade(&dirty));
        }
        // First subscribed, then looked: what changes in between is a change twice, which harms nobody.
        let known = self.snapshot();
        lock(&dirty).extend(known.iter().map(|(key, _)| Arc::clone(key)));
        let mut versions = self.version.subscribe();
        versions.mark_changed();
        (dirty, versions)
    }

    /// Applies events in their order. Gives back how many objects look different now.
    pub(crate) fn apply(&self, changes: Vec<Change<T>>, resource_version: Option<&Arc<str>>) -> usize {
        let mut dirty = Vec::new();
        if !changes.is_empty() {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            // Copied only while somebody holds a snapshot.
            let objects = &mut Arc::make_mut(&mut objects).0;
            for change in changes {
                dirty.extend(match change {
                    Change::Is(object) => put(objects, object),
                    Change::Gone(key) => objects.remove(&key).map(|_| key),
                });
            }
        }
        if let Some(version) = resource_version {
            self.lock_state().resource_version = Some(Arc::clone(version));
        }
        let n_changes = dirty.len();
        self.tell(dirty);
        n_changes
    }

    /// Takes over a whole list: what is not in it is gone.
    pub(crate) fn replace(&self, listed: Vec<T>, resource_version: &Arc<str>) -> usize {
        let before = self.snapshot();
        let versions =
            listed.iter().filter_map(|object| object.metadata().resource_version.parse::<u64>().ok());
        let last_change = versions.max().unwrap_or(0);
        let mut dirty = Vec::new();
        let mut fresh = BTreeMap::new();
        for object in listed {
            let key = object.metadata().key();
            match before.get(&key) {
                Some(known) if **known == object => drop(fresh.insert(Arc::clone(&key), Arc::new(object))),
                _ => {
                    dirty.push(Arc::clone(&key));
                    drop(fresh.insert(key, Arc::new(object)));
                }
            }
        }
        dirty.extend(before.0.keys().filter(|key| !fresh.contains_key(*key)).cloned());
        *self.objects.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Objects(fresh));
        let was_synced = {
            let mut state = self.lock_state();
            state.resource_version = Some(Arc::clone(resource_version));
            state.last_change = state.last_change.max(last_change);
            std::mem::replace(&mut state.is_synced, true)
        };
        let n_changes = dirty.len();
        if n_changes == 0 && !was_synced {
            self.version.send_modify(|version| *version += 1);
        }
        self.tell(dirty);
        n_changes
    }

    /// An object has changed, and this is its version.
    pub(crate) fn saw_change(&self, resource_version: &str) {
        if let Ok(version) = resource_version.parse::<u64>() {
            let mut state = self.lock_state();
            state.last_change = state.last_change.max(version);
        }
    }

    /// The server has answered.
    pub(crate) fn heard(&self) {
        self.lock_state().last_contact = Some(Instant::now());
    }

    /// A watch is open: nothing is wrong any more.
    pub(crate) fn opened(&self) {
        let mut state = self.lock_state();
        state.last_contact = Some(Instant::now());
        let was_failing = state.failure.take().is_some();
        let was_live = std::mem::replace(&mut state.is_live, true);
        drop(state);
        if was_failing || !was_live {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// What goes wrong now. Gives back whether that is news.
    pub(crate) fn failed(&self, failure: Failure) -> bool {
        let mut state = self.lock_state();
        let is_news = state.failure.as_ref().is_none_or(|known| known.reason != failure.reason);
        state.failure = Some(failure);
        state.is_live = false;
        drop(state);
        if is_news {
            self.version.send_modify(|version| *version += 1);
        }
        is_news
    }

    fn tell(&self, dirty: Vec<Arc<str>>) {
        if dirty.is_empty() {
            return;
        }
        for subscriber in lock(&self.subscribers).iter().filter_map(Weak::upgrade) {
            lock(&subscriber).extend(dirty.iter().cloned());
        }
        self.version.send_modify(|version| *version += 1);
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A store of whatever type, as far as its state goes.
pub(crate) trait Stated: Send + Sync {
    fn state(&self) -> State;
}

impl<T: Object> Stated for Store<T> {
    fn state(&self) -> State {
        self.state()
    }
}

/// The key, if the object looks different from what was there.
fn put<T: Object>(objects: &mut BTreeMap<Arc<str>, Arc<T>>, object: T) -> Option<Arc<str>> {
    let key = object.metadata().key();
    let is_same = objects.get(&key).is_some_and(|known| **known == object);
    drop(objects.insert(Arc::clone(&key), Arc::new(object)));
    (!is_same).then_some(key)
}

/// No code of others runs under these locks, so what they hold is whole even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
