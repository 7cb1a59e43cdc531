//! The assignment that replicas share: a ConfigMap that whoever decides first writes, and the others take over.
//!
//! Replicas know the same targets and members and therefore the same owners, but not at the same moment, and a handover
//! begins when one of them notices. So members, turns and who has heard of them are written down before they are answered, and a
//! write goes through only on top of the version that it was decided from. Upstream shares nothing: replicas of it may
//! answer differently for as long as they know different things.

use std::sync::Arc;

use cluster::{Cluster, ConfigMap, Failure, Kind, Reason, Scope, Watch};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::kept::Kept;
use crate::marks::Seen;

/// Largest assignment that is written, in bytes: an object may have 1 MiB. Some 50,000 targets that change hands at once.
pub const MAX_SHARED_BYTES: usize = 900 << 10;

/// The entry that holds the assignment.
const KEPT: &str = "assignment.json";

/// The entry that says how new what it was decided from is.
const SEEN: &str = "seen";

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAt {
    /// The namespace of the ConfigMap.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One version of it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its resource version: a later one is higher.
    pub number: u64,
    /// The assignment; nothing where it cannot be used.
    pub kept: Option<Arc<Kept>>,
    /// What its writer had seen.
    pub seen: Option<Seen>,
}

/// Why a version was not written.
#[derive(Debug)]
pub enum Unwritten {
    /// Another replica was first.
    Behind,
    /// The API server does not answer, or refuses.
    Failed(Failure),
}

/// The ConfigMap, watched for as long as this lives.
#[derive(Debug)]
pub struct SharedAssignment {
    at: SharedAt,
    cluster: Cluster,
    watch: Watch<ConfigMap>,
    /// The version that was read last.
    newest: Option<Version>,
    _bell: JoinSet<()>,
}

impl SharedAssignment {
    /// Starts to watch; `changed` is rung when there is something new.
    #[must_use]
    pub fn open(cluster: &Cluster, at: SharedAt, changed: &Arc<Notify>) -> Self {
        let scope = Scope::namespace(&at.namespace).with_fields(&format!("metadata.name={}", at.name));
        let watch = cluster.watch::<ConfigMap>(&scope);
        let (mut ring, changed) = (watch.clone(), Arc::clone(changed));
        let mut bell = JoinSet::new();
        drop(bell.spawn(async move {
            loop {
                ring.changed().await;
                // Keys are not needed, but would pile up.
                drop(ring.changes());
                changed.notify_one();
            }
        }));
        Self { at, cluster: cluster.clone(), watch, newest: None, _bell: bell }
    }

    /// The newest version; nothing where none was written yet.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn newest(&mut self) -> Result<Option<&Version>, String> {
        let state = self.watch.state();
        if !state.is_synced {
            let why = state.failure.map_or_else(|| "no answer yet".to_owned(), |failure| failure.message);
            let SharedAt { namespace, name } = &self.at;
            return Err(format!(
                "the assignment that replicas share, ConfigMap {namespace}/{name}, was not read yet: {why} (state_config_map)"
            ));
        }
        let snapshot = self.watch.snapshot();
        let object = snapshot.iter().map(|(_, object)| object).next();
        let number = |object: &ConfigMap| object.metadata.resource_version.parse().unwrap_or(0);
        match object {
            Some(object) => self.remember(number(object), || self::version(number(object), object)),
            // What was written a moment ago may not have been told yet.
            None if self.newest.as_ref().is_some_and(|known| known.number <= state.last_change) => {
                self.newest = None;
            }
            None => {}
        }
        Ok(self.newest.as_ref())
    }

    /// Writes the version that follows `after`, and gives it back.
    ///
    /// # Errors
    /// When another replica was first, or it cannot be written.
    pub async fn write(
        &mut self,
        kept: &Arc<Kept>,
        seen: Seen,
        after: Option<u64>,
    ) -> Result<Version, Unwritten> {
        let SharedAt { namespace, name } = &self.at;
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "namespace": namespace, "name": name,
                "labels": { "app.kubernetes.io/managed-by": "muster-allocator" } },
            "data": { KEPT: String::from_utf8(kept.print()).expect("JSON is UTF-8"), SEEN: seen.to_string() },
        });
        let written = match after {
            None => self.cluster.create(Kind::CONFIG_MAP, Some(namespace), &object).await,
            Some(number) => {
                object["metadata"]["resourceVersion"] = number.to_string().into();
                self.cluster.replace(Kind::CONFIG_MAP, Some(namespace), name, &object).await
            }
        };
        let written = written.map_err(|failure| match failure.reason {
            Reason::Conflict => Unwritten::Behind,
            // It was deleted since.
            Reason::NotFound if after.is_some() => Unwritten::Behind,
            _ => Unwritten::Failed(failure),
        })?;
        let number = written_number(&written);
        let version = Version { number, kept: Some(Arc::clone(kept)), seen: Some(seen) };
        self.remember(number, || version.clone());
        Ok(version)
    }

    fn remember(&mut self, number: u64, version: impl FnOnce() -> Version) {
        if self.newest.as_ref().is_none_or(|known| known.number < number) {
            self.newest = Some(version());
        }
    }
}

fn written_number(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn version(number: u64, object: &ConfigMap) -> Version {
    let entry = |key: &str| object.data.get(key).map(|text| &**text);
    let kept = entry(KEPT).ok_or_else(|| format!("it has no entry `{KEPT}`"));
    let kept = kept.and_then(|text| Kept::parse(text.as_bytes())).map(Arc::new);
    let kept = kept.map_err(|why| {
        let name = &object.metadata.name;
        tracing::warn!(%name, why, "the assignment that replicas share cannot be used and is written anew (state_config_map)");
    });
    Version { number, kept: kept.ok(), seen: entry(SEEN).and_then(Seen::parse) }
}
