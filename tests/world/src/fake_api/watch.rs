//! Open watches of the fake: events as lines of JSON, until they end or are ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::address::Resource;
use super::store::{Change, Gone, Scope, cut_down};
use super::{Interruption, State, lock};
use crate::http::Hangup;

/// As long as a real one that is not told how long.
const LONGEST: Duration = Duration::from_secs(1_800);

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) scope: Scope,
    pub(super) wants_bookmarks: bool,
    sender: UnboundedSender<Piece>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    Cut,
    End,
}

impl Watcher {
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn tell(&self, event: &Value) {
        self.send(Piece::Bytes(line(event)));
    }

    fn send(&self, piece: Piece) {
        // Who is gone hears nothing.
        self.sender.send(piece).ok();
    }
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}

impl State {
    /// Opens a watch: what happened since the version that is asked for, then what happens.
    pub(super) fn watch(
        &mut self,
        scope: Scope,
        query: &HashMap<String, String>,
        breaks_off: bool,
        shared: Arc<Mutex<State>>,
    ) -> BoxStream<'static, Result<Frame<Bytes>, Hangup>> {
        let is_set =
            |name: &str| query.get(name).is_some_and(|value| ["1", "true"].contains(&value.as_str()));
        let (sender, receiver) = unbounded_channel();
        let wants_bookmarks = is_set("allowWatchBookmarks");
        let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let ends_at = Instant::now() + seconds.map_or(LONGEST, Duration::from_secs);
        let last_words = wants_bookmarks.then(|| (shared, scope.clone()));
        let watcher = Watcher { scope, wants_bookmarks, sender };
        let version = query.get("resourceVersion").map_or("", String::as_str);
        self.begin(&watcher, version, is_set("sendInitialEvents"));
        if breaks_off {
            watcher.send(Piece::Bytes(Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"ki")));
            watcher.send(Piece::Cut);
        }
        self.watchers.retain(Watcher::is_open);
        self.watchers.push(watcher);
        futures_util::stream::unfold(
            (receiver, last_words),
            move |(mut receiver, mut last_words)| async move {
                match tokio::time::timeout_at(ends_at, receiver.recv()).await {
                    Ok(Some(Piece::Bytes(bytes))) => Some((Ok(Frame::data(bytes)), (receiver, last_words))),
                    Ok(Some(Piece::Cut)) => {
                        // What was sent so far leaves while nothing more is there.
                        tokio::task::yield_now().await;
                        Some((Err(Hangup), (receiver, None)))
                    }
                    Ok(Some(Piece::End) | None) => None,
                    Err(_) => {
                        receiver.close();
                        last_words.take().map(|(shared, scope)| {
                            let bookmark = bookmark(&scope, lock(&shared).store.version());
                            (Ok(Frame::data(line(&bookmark))), (receiver, None))
                        })
                    }
                }
            },
        )
        .boxed()
    }

    /// Sends what a watch begins with.
    fn begin(&self, watcher: &Watcher, version: &str, sends_initial_events: bool) {
        let now = self.store.version();
        if sends_initial_events || version.is_empty() || version == "0" {
            for object in self.store.all(&watcher.scope) {
                watcher.tell(&json!({ "type": "ADDED", "object": cut_down(&watcher.scope, &object) }));
            }
            if sends_initial_events {
                let mut end = bookmark(&watcher.scope, now);
                end["object"]["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
                watcher.tell(&end);
            }
            return;
        }
        match self.store.since(&watcher.scope, version.parse().unwrap_or(0)) {
            Ok(changes) => changes.iter().for_each(|change| watcher.tell_change(change)),
            Err(gone) => {
                watcher.tell(&too_old(&gone));
                watcher.send(Piece::End);
            }
        }
    }

    /// Tells the watches of a resource what happened last.
    pub(super) fn tell_last_change(&mut self, resource: &Resource) {
        let before = self.store.version() - 1;
        for watcher in self.watchers.iter().filter(|watcher| watcher.scope.resource == resource) {
            let changes = self.store.since(&watcher.scope, before);
            changes.iter().flatten().for_each(|change| watcher.tell_change(change));
        }
    }

    pub(super) fn interrupt(&mut self, plural: &str, interruption: Interruption) -> usize {
        self.watchers.retain(Watcher::is_open);
        let version = self.store.version();
        let of = self.watchers.iter().filter(|watcher| watcher.scope.resource.plural == plural);
        of.map(|watcher| watcher.suffer(interruption, version)).count()
    }
}

impl Watcher {
    fn tell_change(&self, Change { before, after, .. }: &Change) {
        let before = before.as_ref().filter(|object| self.scope.holds(object));
        let (kind, object) = match (before, after.as_ref().filter(|object| self.scope.holds(object))) {
            (None, None) => return,
            (None, Some(after)) => ("ADDED", (**after).clone()),
            (Some(_), Some(after)) => ("MODIFIED", (**after).clone()),
            (Some(before), None) => {
                let mut object = (**before).clone();
                // It may still be there and only be selected no more: its version is that of the change.
                if let Some(after) = after {
                    object["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
                }
                ("DELETED", object)
            }
        };
        self.tell(&json!({ "type": kind, "object": cut_down(&self.scope, &object) }));
    }

    fn suffer(&self, interruption: Interruption, version: u64) {
        match interruption {
            Interruption::Gone => {
                self.tell(&too_old(&Gone { asked: 1, oldest: version }));
                self.send(Piece::End);
            }
            Interruption::Internal => {
                let object = status(500, "InternalError", "the fake was told to fail", None);
                self.tell(&json!({ "type": "ERROR", "object": object }));
                self.send(Piece::End);
            }
            Interruption::HalfObject => {
                self.send(Piece::Bytes(Bytes::from_static(
                    b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"na",
                )));
                self.send(Piece::End);
            }
            Interruption::NotJson => {
                self.send(Piece::Bytes(Bytes::from_static(b"<html>a proxy speaks</html>\n")))
            }
            Interruption::UnknownEvent => {
                let object =
                    json!({ "metadata": { "name": "unknown", "resourceVersion": version.to_string() } });
                self.tell(&json!({ "type": "FUTURE", "object": object }));
            }
            Interruption::DuplicateBookmarks => {
                for version in [version, version, version.saturating_sub(1)] {
                    self.tell(&bookmark(&self.scope, version));
                }
            }
            Interruption::Cut => self.send(Piece::Cut),
            Interruption::End => self.send(Piece::End),
        }
    }
}

/// An event that only says how far the watch is.
pub(super) fn bookmark(scope: &Scope, version: u64) -> Value {
    let object = json!({
        "apiVersion": scope.resource.version,
        "kind": scope.resource.kind,
        "metadata": { "resourceVersion": version.to_string() },
    });
    json!({ "type": "BOOKMARK", "object": cut_down(scope, &object) })
}

fn too_old(Gone { asked, oldest }: &Gone) -> Value {
    let message = format!("too old resource version: {asked} ({oldest})");
    json!({ "type": "ERROR", "object": status(410, "Expired", &message, None) })
}

/// What an API server says instead of an object.
pub(super) fn status(code: u16, reason: &str, message: &str, details: Option<Value>) -> Value {
    let mut status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let Some(details) = details {
        status["details"] = details;
    }
    status
}
