//! The loop behind a watch: a list, then events from its version on, and back to the list when that version has expired.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use tokio::time::{Instant, sleep};

use crate::api::{Api, MAX_OBJECT_BYTES, collection, get, piece};
use crate::backoff::{Backoff, between};
use crate::failure::{Failure, Reason, StatusBody};
use crate::lines::Lines;
use crate::list::{JSON, list};
use crate::metrics::Metrics;
use crate::objects::{Metadata, Object};
use crate::store::{Change, Store};
use crate::{Kind, Scope};

/// How long a watch is asked to last, at least and at most; spread, so that watches do not end together.
const LASTS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(600)];

/// A watch that says nothing for so long is broken: bookmarks come about every minute.
const SILENCE: Duration = Duration::from_secs(150);

/// How long a kind that the server does not know is left alone.
const UNKNOWN_KIND: Duration = Duration::from_secs(20);

/// A watch that ends sooner than this without a word counts as a failure.
const TOO_SHORT: Duration = Duration::from_secs(1);

/// Wants only the metadata; servers that do not know how send everything.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

pub(crate) struct Reflector<T> {
    pub(crate) api: Api,
    pub(crate) kind: Kind,
    pub(crate) scope: Scope,
    pub(crate) store: Arc<Store<T>>,
    pub(crate) metrics: Metrics,
}

impl<T: Object> Reflector<T> {
    /// Runs until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        // From which version the next watch goes on; without one a list is needed.
        let mut from: Option<Arc<str>> = None;
        loop {
            let outcome = match &mut from {
                None => self.list().await.map(|version| {
                    from = Some(version);
                    true
                }),
                Some(version) => self.watch(version).await,
            };
            match outcome {
                Ok(true) => backoff.reset(),
                Ok(false) => sleep(backoff.next(None)).await,
                Err(failure) => {
                    if matches!(failure.reason, Reason::Expired | Reason::BadAnswer | Reason::TooLarge) {
                        from = None;
                    }
                    let wait = backoff.next(failure.retry_after);
                    let is_unknown = failure.reason == Reason::NotFound;
                    self.failed(failure);
                    sleep(if is_unknown { wait.max(between(UNKNOWN_KIND / 2, UNKNOWN_KIND)) } else { wait })
                        .await;
                }
            }
        }
    }

    async fn list(&mut self) -> Result<Arc<str>, Failure> {
        let listing = list(&self.api, self.kind, &self.scope, &*self.store).await;
        let (listed, version) = listing.map_err(|failure| self.explained("list", failure))?;
        let n_objects = listed.len();
        let n_changes = self.store.replace(listed, &version);
        self.metrics.listed();
        self.metrics.keeps(n_objects);
        tracing::debug!(resource = %self.kind, scope = %self.scope, n_objects, n_changes, "listed");
        Ok(version)
    }

    /// Follows events until the watch ends; `version` moves with them. Says whether the watch was of any use.
    async fn watch(&mut self, version: &mut Arc<str>) -> Result<bool, Failure> {
        self.follow(version).await.map_err(|failure| self.explained("watch", failure))
    }

    async fn follow(&mut self, version: &mut Arc<str>) -> Result<bool, Failure> {
        let seconds = between(LASTS[0], LASTS[1]).as_secs().to_string();
        let parameters = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", &**version),
            ("timeoutSeconds", seconds.as_str()),
        ];
        let path = collection(self.kind, &self.scope, &parameters);
        let accept = if T::IS_METADATA_ONLY { METADATA } else { JSON };
        let mut body = self.api.open(get(&path, accept)).await?.into_body();
        let opened = Instant::now();
        let mut said_anything = false;
        self.store.opened();
        let mut lines = Lines::new(MAX_OBJECT_BYTES);
        // What stands behind the last newline when the stream ends was cut off: the next watch sends it again.
        while let Some(data) = piece(&mut body, SILENCE).await? {
            lines.push(&data);
            said_anything |= self.take(&mut lines, version)?;
        }
        Ok(said_anything || opened.elapsed() >= TOO_SHORT)
    }

    /// Applies all whole lines together. What stands before a bad one is applied, too.
    fn take(&mut self, lines: &mut Lines, version: &mut Arc<str>) -> Result<bool, Failure> {
        let mut changes = Vec::new();
        let mut counts = [0_u64; EventKind::ALL.len()];
        let before = Arc::clone(version);
        let outcome = loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            };
            let event: Event<T> = match serde_json::from_slice(&line) {
                Ok(event) => event,
                Err(error) => {
                    break Err(Failure::new(
                        Reason::BadAnswer,
                        format!("an event is not as it should be: {error}"),
                    ));
                }
            };
            counts[event.kind() as usize] += 1;
            match event {
                Event::Is(_, object) => {
                    version.clone_from(&object.metadata().resource_version);
                    self.store.saw_change(version);
                    changes.push(Change::Is(object));
                }
                Event::Deleted(object) => {
                    version.clone_from(&object.metadata().resource_version);
                    self.store.saw_change(version);
                    changes.push(Change::Gone(object.metadata().key()));
                }
                Event::Bookmark(at) => *version = at,
                Event::Error(status) => break Err(Failure::told(status)),
            }
        };
        for (kind, count) in EventKind::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            self.metrics.event(kind.name(), count);
        }
        self.store.heard();
        let has_moved = *version != before;
        if !changes.is_empty() || has_moved {
            let _n_changes = self.store.apply(changes, Some(version));
            self.metrics.keeps(self.store.snapshot().len());
        }
        outcome.map(|()| counts.iter().any(|count| *count > 0))
    }

    fn failed(&self, failure: Failure) {
        self.metrics.failed(failure.reason);
        // 410 is how a watch ends that was away too long; nobody has to do anything.
        if failure.reason == Reason::Expired {
            tracing::debug!(%failure, "listing anew");
        } else if self.store.failed(failure.clone()) {
            tracing::warn!(%failure, "the API server does not give what is needed; what is known stays");
        }
    }

    /// What was attempted, and what helps.
    fn explained(&self, verb: &str, failure: Failure) -> Failure {
        let kind = self.kind;
        let reason = failure.reason;
        let failure = failure.while_doing(format!("cannot {verb} {kind} {}", self.scope));
        match reason {
            Reason::Forbidden => {
                let place = match self.scope.name() {
                    Some(namespace) => format!("in namespace {namespace}"),
                    None => "in the whole cluster".to_owned(),
                };
                failure.with_remedy(format!(
                    "grant the verbs list and watch on {kind} {place} to the account in use"
                ))
            }
            Reason::Unauthorized => failure.with_remedy("check the token or the client certificate"),
            Reason::NotFound if !kind.group().is_empty() => {
                failure.with_remedy(format!("install the resource {kind} in version {}", kind.api_version()))
            }
            _ => failure,
        }
    }
}

/// Types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventKind {
    const ALL: [Self; 5] = [Self::Added, Self::Modified, Self::Deleted, Self::Bookmark, Self::Error];

    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Bookmark => "bookmark",
            Self::Error => "error",
        }
    }
}

/// A line of a watch.
enum Event<T> {
    /// The object is there; whether it was added makes no difference.
    Is(EventKind, T),
    Deleted(T),
    Bookmark(Arc<str>),
    Error(StatusBody),
}

impl<T> Event<T> {
    fn kind(&self) -> EventKind {
        match self {
            Self::Is(kind, _) => *kind,
            Self::Deleted(_) => EventKind::Deleted,
            Self::Bookmark(_) => EventKind::Bookmark,
            Self::Error(_) => EventKind::Error,
        }
    }
}

/// A bookmark's object; only the version counts.
#[derive(Deserialize)]
struct Marked {
    metadata: Metadata,
}

/// Reads the type first, as servers write it, so that the object is read as what it is without a detour. The other order is
/// understood, too.
impl<'de, T: Object> Deserialize<'de> for Event<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(std::marker::PhantomData<T>);
        impl<'de, T: Object> Visitor<'de> for Reader<T> {
            type Value = Event<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event of a watch")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<T>, A::Error> {
                let (mut kind, mut event, mut early) = (None::<String>, None, None::<serde_json::Value>);
                while let Some(key) = map.next_key::<String>()? {
                    match (key.as_str(), &kind) {
                        ("type", _) => kind = Some(map.next_value()?),
                        ("object", None) => early = Some(map.next_value()?),
                        ("object", Some(kind)) => {
                            event = Some(match kind.as_str() {
                                "ADDED" => Event::Is(EventKind::Added, map.next_value()?),
                                "MODIFIED" => Event::Is(EventKind::Modified, map.next_value()?),
                                "DELETED" => Event::Deleted(map.next_value()?),
                                "BOOKMARK" => {
                                    Event::Bookmark(map.next_value::<Marked>()?.metadata.resource_version)
                                }
                                "ERROR" => Event::Error(map.next_value()?),
                                other => return Err(unknown(other)),
                            });
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                match (event, kind, early) {
                    (Some(event), _, _) => Ok(event),
                    (None, Some(kind), Some(object)) => late(&kind, object).map_err(A::Error::custom),
                    _ => Err(A::Error::custom("`type` and `object` are needed")),
                }
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

fn late<T: Object>(kind: &str, object: serde_json::Value) -> Result<Event<T>, serde_json::Error> {
    Ok(match kind {
        "ADDED" => Event::Is(EventKind::Added, serde_json::from_value(object)?),
        "MODIFIED" => Event::Is(EventKind::Modified, serde_json::from_value(object)?),
        "DELETED" => Event::Deleted(serde_json::from_value(object)?),
        "BOOKMARK" => Event::Bookmark(serde_json::from_value::<Marked>(object)?.metadata.resource_version),
        "ERROR" => Event::Error(serde_json::from_value(object)?),
        other => return Err(unknown(other)),
    })
}

fn unknown<E: serde::de::Error>(kind: &str) -> E {
    E::custom(format!("unknown type of event `{kind}`"))
}
