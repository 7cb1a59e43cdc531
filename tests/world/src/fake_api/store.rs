//! Objects of the fake, what happened to them, and pages of a list as it was when its first page was asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::address::{Address, Resource};
use super::selector::Selector;

/// Namespace and name; in this order lists are sorted.
pub(super) type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Store {
    version: u64,
    kinds: HashMap<&'static str, Kind>,
    /// The rest of each list that has more pages, by its token.
    pages: HashMap<String, Page>,
}

#[derive(Debug, Default)]
struct Kind {
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
    /// Changes up to this version are forgotten.
    compacted: u64,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
}

#[derive(Debug, Clone)]
struct Page {
    version: u64,
    rest: Vec<Arc<Value>>,
}

/// What is asked of a list or a watch.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
    pub(super) selector: Selector,
    /// Of each object only its metadata is wanted.
    pub(super) is_metadata_only: bool,
}

impl Scope {
    pub(super) fn new(address: &Address, query: &HashMap<String, String>, is_metadata_only: bool) -> Self {
        let word = |name: &str| query.get(name).map_or("", String::as_str);
        let selector = Selector::parse(word("labelSelector"), word("fieldSelector"));
        Self { resource: address.resource, namespace: address.namespace.clone(), selector, is_metadata_only }
    }

    pub(super) fn holds(&self, object: &Value) -> bool {
        let namespace = object["metadata"]["namespace"].as_str();
        self.namespace.as_deref().is_none_or(|wanted| namespace == Some(wanted))
            && self.selector.matches(object)
    }
}

/// The fake remembers no such version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// The version asked for, and the oldest that is known.
    pub(super) asked: u64,
    pub(super) oldest: u64,
}

impl Store {
    /// The version of everything.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn kind(&mut self, resource: &Resource) -> &mut Kind {
        self.kinds.entry(resource.plural).or_default()
    }

    pub(super) fn get(&self, resource: &Resource, key: &Key) -> Option<Arc<Value>> {
        self.kinds.get(resource.plural)?.objects.get(key).cloned()
    }

    /// Creates an object or replaces it; it gets the next version.
    pub(super) fn put(&mut self, resource: &'static Resource, object: &Value) {
        self.version += 1;
        let version = self.version;
        let mut object = object.clone();
        object["apiVersion"] = json!(resource.version);
        object["kind"] = json!(resource.kind);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let key = key(&object);
        let kind = self.kind(resource);
        let after = Arc::new(object);
        let before = kind.objects.insert(key, Arc::clone(&after));
        kind.history.push(Change { version, before, after: Some(after) });
    }

    /// Removes an object, if it is there.
    pub(super) fn delete(&mut self, resource: &'static Resource, key: &Key) {
        let version = self.version + 1;
        let kind = self.kind(resource);
        let Some(before) = kind.objects.remove(key) else { return };
        // What is told of a deletion carries the version of the deletion.
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(version.to_string());
        kind.history.push(Change { version, before: Some(Arc::new(last)), after: None });
        self.version = version;
    }

    /// Forgets what happened so far, as a compaction does; lists that have more pages have none any more.
    pub(super) fn compact(&mut self, resource: &Resource) {
        let version = self.version;
        let kind = self.kind(resource);
        kind.history.clear();
        kind.compacted = version;
        let token = format!("{}:", resource.plural);
        self.pages.retain(|name, _| !name.starts_with(&token));
    }

    /// Everything in a scope, sorted.
    pub(super) fn all(&self, scope: &Scope) -> Vec<Arc<Value>> {
        let objects =
            self.kinds.get(scope.resource.plural).into_iter().flat_map(|kind| kind.objects.values());
        objects.filter(|object| scope.holds(object)).cloned().collect()
    }

    /// What happened after a version.
    pub(super) fn since(&self, scope: &Scope, version: u64) -> Result<Vec<Change>, Gone> {
        let Some(kind) = self.kinds.get(scope.resource.plural) else { return Ok(Vec::new()) };
        if version < kind.compacted {
            return Err(Gone { asked: version, oldest: kind.compacted });
        }
        Ok(kind.history.iter().filter(|change| change.version > version).cloned().collect())
    }

    /// A page of at most `limit` objects (0: all of them), as the list of an API server.
    pub(super) fn page(&mut self, scope: &Scope, limit: usize, token: &str) -> Option<Value> {
        let Page { version, rest } = match token {
            "" => Page { version: self.version, rest: self.all(scope) },
            // A page may be asked for again.
            token => self.pages.get(token)?.clone(),
        };
        let n = if limit == 0 { rest.len() } else { limit.min(rest.len()) };
        let (now, later) = rest.split_at(n);
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if !later.is_empty() {
            let next = format!("{}:{version}:{}", scope.resource.plural, self.pages.len());
            metadata["continue"] = json!(next);
            // How many are left is not known where only some are selected.
            if scope.selector == Selector::default() {
                metadata["remainingItemCount"] = json!(later.len());
            }
            self.pages.insert(next, Page { version, rest: later.to_vec() });
        }
        let items: Vec<Value> = now.iter().map(|object| in_list(scope, object)).collect();
        let (version, kind) = match scope.is_metadata_only {
            true => (METADATA, "PartialObjectMetadata"),
            false => (scope.resource.version, scope.resource.kind),
        };
        Some(json!({
            "apiVersion": version,
            "kind": format!("{kind}List"),
            "metadata": metadata,
            "items": items,
        }))
    }
}

/// Group and version of what is left of an object whose metadata alone is wanted.
const METADATA: &str = "meta.k8s.io/v1";

/// An object, or only its metadata.
pub(super) fn cut_down(scope: &Scope, object: &Value) -> Value {
    match scope.is_metadata_only {
        true => {
            json!({ "apiVersion": METADATA, "kind": "PartialObjectMetadata", "metadata": object["metadata"] })
        }
        false => object.clone(),
    }
}

/// Objects of Kubernetes' own kinds do not say in a list what they are.
fn in_list(scope: &Scope, object: &Value) -> Value {
    let mut object = cut_down(scope, object);
    let says_kind = scope.is_metadata_only || scope.resource.is_custom();
    if let (false, Some(map)) = (says_kind, object.as_object_mut()) {
        map.remove("apiVersion");
        map.remove("kind");
    }
    object
}

/// Namespace and name of an object.
pub(super) fn key(object: &Value) -> Key {
    let word = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (word("namespace"), word("name"))
}
