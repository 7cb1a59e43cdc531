//! A cluster, and the watches that are open on it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use http::Method;
use serde_json::Value;
use telemetry::Registry;

use crate::access::{Access, ConnectError};
use crate::api::{Api, MAX_OBJECT_BYTES, get, request, single};
use crate::list::JSON;
use crate::metrics::Metrics;
use crate::objects::{Object, Resource};
use crate::reflector::Reflector;
use crate::store::{Objects, Stated, Store, lock};
use crate::watch::{Shared, State, Watch};
use crate::{Failure, Kind, Reason, Scope};

/// A connection to an API server. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// A watch is known by what type its objects are read as, the kind and the scope.
type WatchKey = (TypeId, Kind, Scope);

struct Inner {
    api: Api,
    default_namespace: Arc<str>,
    registry: Registry,
    watches: Mutex<HashMap<WatchKey, Open>>,
}

/// An open watch; gone when nobody looks any more.
struct Open {
    shared: Weak<dyn Any + Send + Sync>,
    stated: Weak<dyn Stated>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Prepares a connection; the server is not asked anything yet. Metrics go to `registry`.
    ///
    /// # Errors
    /// When files that say where the server is cannot be read, or what they say cannot be used.
    pub async fn connect(access: &Access, registry: Registry) -> Result<Self, ConnectError> {
        Ok(Self::of(access.api().await?, registry))
    }

    pub(crate) fn of(api: Api, registry: Registry) -> Self {
        let default_namespace = api.default_namespace().into();
        let watches = Mutex::default();
        Self { inner: Arc::new(Inner { api, default_namespace, registry, watches }) }
    }

    /// The namespace of the pod, or of the context of the kubeconfig; `default` where neither says one.
    #[must_use]
    pub fn default_namespace(&self) -> &Arc<str> {
        &self.inner.default_namespace
    }

    /// A look at the objects of a type in a scope. Needs a runtime: the first look starts the watch.
    #[must_use]
    pub fn watch<T: Resource>(&self, scope: &Scope) -> Watch<T> {
        self.watch_kind(T::KIND, scope)
    }

    /// A look at the objects of a kind, read as a type that fits many kinds, such as [`crate::Custom`].
    #[must_use]
    pub fn watch_kind<T: Object>(&self, kind: Kind, scope: &Scope) -> Watch<T> {
        let mut watches = lock(&self.inner.watches);
        watches.retain(|_, open| open.shared.strong_count() > 0);
        let key = (TypeId::of::<T>(), kind, scope.clone());
        let known = watches.get(&key).and_then(|open| open.shared.upgrade());
        if let Some(shared) = known.and_then(|any| any.downcast::<Shared<T>>().ok()) {
            return Watch::of(shared);
        }
        let store = Arc::new(Store::<T>::new());
        let reflector = Reflector {
            api: self.inner.api.clone(),
            kind,
            scope: scope.clone(),
            store: Arc::clone(&store),
            metrics: Metrics::new(&self.inner.registry, kind),
        };
        let task = tokio::spawn(reflector.run()).abort_handle();
        let stated: Arc<dyn Stated> = Arc::<Store<T>>::clone(&store);
        let shared = Arc::new(Shared { kind, scope: scope.clone(), store, task });
        let any: Arc<dyn Any + Send + Sync> = Arc::<Shared<T>>::clone(&shared);
        drop(watches.insert(key, Open { shared: Arc::downgrade(&any), stated: Arc::downgrade(&stated) }));
        Watch::of(shared)
    }

    /// What open watches of a kind know, without asking the server: the scope, the state and the objects of each.
    #[must_use]
    pub fn known<T: Object>(&self, kind: Kind) -> Vec<(Scope, State, Arc<Objects<T>>)> {
        let watches = lock(&self.inner.watches);
        let of_kind = watches.iter().filter(|((id, of, _), _)| *id == TypeId::of::<T>() && *of == kind);
        let shared = of_kind.filter_map(|(_, open)| open.shared.upgrade()?.downcast::<Shared<T>>().ok());
        shared.map(|shared| (shared.scope.clone(), shared.store.state(), shared.store.snapshot())).collect()
    }

    /// How many watches are open.
    #[must_use]
    pub fn n_watches(&self) -> usize {
        lock(&self.inner.watches).values().filter(|open| open.shared.strong_count() > 0).count()
    }

    /// How each open watch is doing, in order of kind and scope.
    #[must_use]
    pub fn states(&self) -> Vec<(Kind, Scope, State)> {
        let watches = lock(&self.inner.watches);
        let open = watches.iter().filter(|(_, open)| open.shared.strong_count() > 0);
        let state = |((_, kind, scope), open): (&WatchKey, &Open)| {
            Some((*kind, scope.clone(), open.stated.upgrade()?.state()))
        };
        let mut states: Vec<_> = open.filter_map(state).collect();
        states.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        states
    }

    /// Reads one object as JSON; `None` where there is none.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn get(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Failure> {
        let path = single(kind, namespace, name);
        match self.inner.api.read(get(&path, JSON), MAX_OBJECT_BYTES, "MAX_OBJECT_BYTES").await {
            Ok(body) => parsed(&body).map(Some),
            Err(failure) if failure.reason == Reason::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
        .map_err(|failure| failure.while_doing(format!("cannot get {kind} {name}")))
    }

    /// Creates an object, and gives it back as the server keeps it. `apiVersion` and `kind` must stand in it.
    ///
    /// # Errors
    /// [`Reason::Conflict`] when it exists already; when the server does not answer, or refuses.
    pub async fn create(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, Failure> {
        let path = crate::api::collection(
            kind,
            &Scope { namespace: namespace.map(Into::into), ..Scope::all() },
            &[],
        );
        self.write(Method::POST, &path, JSON, object, format!("cannot create {kind}")).await
    }

    /// Replaces an object that is as the one given was read: `resourceVersion` must stand in it.
    ///
    /// # Errors
    /// [`Reason::Conflict`] when it has changed since; [`Reason::NotFound`]; when the server does not answer, or refuses.
    pub async fn replace(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<Value, Failure> {
        let path = single(kind, namespace, name);
        self.write(Method::PUT, &path, JSON, object, format!("cannot replace {kind} {name}")).await
    }

    /// Changes the fields of an object that a JSON merge patch names.
    ///
    /// # Errors
    /// [`Reason::NotFound`]; when the server does not answer, or refuses.
    pub async fn patch(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<Value, Failure> {
        let path = single(kind, namespace, name);
        let content_type = "application/merge-patch+json";
        self.write(Method::PATCH, &path, content_type, patch, format!("cannot patch {kind} {name}")).await
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        object: &Value,
        what: String,
    ) -> Result<Value, Failure> {
        let body = serde_json::to_vec(object).expect("values with text keys can be written");
        let request = request(method, path, JSON, Some(content_type), body);
        let read = self.inner.api.read(request, MAX_OBJECT_BYTES, "MAX_OBJECT_BYTES").await;
        read.and_then(|body| parsed(&body)).map_err(|failure| failure.while_doing(what))
    }
}

fn parsed(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::new(Reason::BadAnswer, format!("the answer is no JSON: {error}")))
}
