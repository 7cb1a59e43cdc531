//! An API server in memory, for tests: lists in pages, watches with bookmarks, and faults on command.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, poll_fn};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use telemetry::Registry;
use tokio::sync::mpsc;

use crate::Cluster;
use crate::api::Api;
use crate::store::lock;

/// What goes wrong with the next request, or with the watches that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Open watches end in the middle of a line.
    Cut,
    /// Open watches say 410, and so does what goes on from an old version.
    Expire,
    /// Open watches send what is no JSON.
    Garbage,
    /// Open watches send the same bookmark twice.
    Bookmarks,
    /// The next request is answered with this status, and with `Retry-After: 1` where it is 429.
    Status(u16),
    /// The next request for another page is answered with 410.
    PageExpired,
    /// The next list is half a list.
    HalfList,
}

/// The objects of one collection, whatever path is asked for.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    /// What is older has expired.
    oldest: u64,
    page: usize,
    objects: BTreeMap<String, Value>,
    log: Vec<(u64, String)>,
    watches: Vec<mpsc::UnboundedSender<Bytes>>,
    faults: VecDeque<Fault>,
    paths: Vec<String>,
}

impl FakeApi {
    pub(crate) fn with_pages_of(page: usize) -> Self {
        let api = Self::default();
        lock(&api.0).page = page;
        api
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::of(Api::new(kube::Client::new(self.clone(), "default"), None), Registry::new())
    }

    /// Creates or changes an object.
    pub(crate) fn put(&self, namespace: &str, name: &str, more: &Value) {
        let mut state = lock(&self.0);
        state.version += 1;
        let version = state.version;
        let mut object = more.clone();
        object["metadata"]["namespace"] = namespace.into();
        object["metadata"]["name"] = name.into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let known = state.objects.insert(format!("{namespace}/{name}"), object.clone());
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        state.event(version, kind, &object);
    }

    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        let mut state = lock(&self.0);
        let Some(mut object) = state.objects.remove(&format!("{namespace}/{name}")) else { return };
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        state.event(version, "DELETED", &object);
    }

    pub(crate) fn fail(&self, fault: Fault) {
        let mut state = lock(&self.0);
        let version = state.version;
        match fault {
            Fault::Cut => {
                state.send(b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"na");
                state.watches.clear();
            }
            Fault::Expire => {
                state.version += 1;
                state.oldest = state.version;
                let gone =
                    json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
                state.send(format!("{gone}\n").as_bytes());
                state.watches.clear();
            }
            Fault::Garbage => {
                state.send(b"<html>\n");
                state.watches.clear();
            }
            Fault::Bookmarks => {
                let object = json!({"kind": "Pod", "metadata": {"resourceVersion": version.to_string()}});
                let bookmark = json!({"object": object, "type": "BOOKMARK"});
                state.send(format!("{bookmark}\n{bookmark}\n").as_bytes());
            }
            other => state.faults.push_back(other),
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        lock(&self.0).faults.clear();
    }

    pub(crate) fn n_watches(&self) -> usize {
        let mut state = lock(&self.0);
        state.watches.retain(|watch| !watch.is_closed());
        state.watches.len()
    }

    /// Paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        lock(&self.0).paths.clone()
    }
}

type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

impl tower_service::Service<Request<Body>> for FakeApi {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query: BTreeMap<String, String> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut state = lock(&self.0);
        state.paths.push(request.uri().to_string());
        ready(Ok(state.answer(&query)))
    }
}

impl State {
    fn event(&mut self, version: u64, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.send(line.as_bytes());
        self.log.push((version, line));
    }

    fn send(&mut self, text: &[u8]) {
        self.watches.retain(|watch| watch.send(Bytes::copy_from_slice(text)).is_ok());
    }

    fn answer(&mut self, query: &BTreeMap<String, String>) -> Answer {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        let continued = number("continue");
        let is_watch = query.contains_key("watch");
        match self.faults.front().copied() {
            Some(Fault::Status(code)) => {
                let _done = self.faults.pop_front();
                return failure(code);
            }
            Some(Fault::PageExpired) if continued.is_some() => {
                let _done = self.faults.pop_front();
                return failure(410);
            }
            Some(Fault::HalfList) if !is_watch => {
                let _done = self.faults.pop_front();
                return whole(200, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"meta");
            }
            _ => {}
        }
        if is_watch { self.watch(number("resourceVersion").unwrap_or(0)) } else { self.list(continued) }
    }

    fn list(&self, continued: Option<u64>) -> Answer {
        let from = usize::try_from(continued.unwrap_or(0)).unwrap_or(0);
        let items: Vec<&Value> = self.objects.values().skip(from).take(self.page).collect();
        let behind = from + items.len();
        let next = if behind < self.objects.len() { behind.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": self.version.to_string(), "continue": next});
        whole(200, &json!({"kind": "List", "metadata": metadata, "items": items}).to_string())
    }

    fn watch(&mut self, from: u64) -> Answer {
        if from < self.oldest {
            return failure(410);
        }
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for (_, line) in self.log.iter().filter(|(version, _)| *version > from) {
            // The receiver is right here.
            drop(sender.send(Bytes::copy_from_slice(line.as_bytes())));
        }
        self.watches.push(sender);
        let pieces = poll_fn(move |ctx| receiver.poll_recv(ctx)).map(|piece| Ok(Frame::data(piece)));
        Response::new(StreamBody::new(pieces.boxed()))
    }
}

fn failure(code: u16) -> Answer {
    let mut answer = whole(code, &json!({"kind": "Status", "code": code, "message": "as told"}).to_string());
    if code == 429 {
        drop(answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("1")));
    }
    answer
}

fn whole(code: u16, text: &str) -> Answer {
    let piece = Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())));
    let mut answer = Response::new(StreamBody::new(futures_util::stream::iter([piece]).boxed()));
    *answer.status_mut() = http::StatusCode::from_u16(code).expect("tests use real codes");
    answer
}
