//! An API server in this process, for what a real one cannot be made to do: it goes wrong on command.
//!
//! It lists in pages, watches with bookmarks and selects by labels and fields as [`crate::control_plane`] does; a test asks both the
//! same and compares (`tests/it/kubernetes`). It is not written to over HTTP: tests put objects with [`FakeApi::put`]. Its objects are
//! recorded from a real API server (`testdata/api`, made by `cargo xtask record`) or built by [`crate::control_plane::objects`].
//!
//! Faults: [`Fault`] is what happens to the next request for a resource, [`Interruption`] what happens to its open watches.

mod address;
mod selector;
mod store;
mod watch;

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use self::address::Address;
use self::store::{Scope, Store};
use self::watch::Watcher;
use crate::control_plane::Client;
use crate::http::{Hangup, Request};

pub use address::{RESOURCES, Resource};

type Body = UnsyncBoxBody<Bytes, Hangup>;
type Response = ::http::Response<Body>;

/// What happens to a request for a resource instead of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 410: the list, or its next page, is too old.
    Gone,
    /// 429, to be tried again after so many seconds.
    TooMany(u32),
    /// This status, with a `Status` object that says so.
    Status(u16),
    /// The answer comes after so long.
    Slow(Duration),
    /// The answer breaks off in the middle: a list half-way, a watch after half of its first line.
    BreaksOff,
    /// 200 with a page of a proxy, which is no JSON.
    NotJson,
    /// The connection is closed.
    Hangup,
}

/// What happens to the open watches of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// An `ERROR` event with 410 Gone, and the end.
    Gone,
    /// An `ERROR` event with 500, and the end.
    Internal,
    /// Half of an event, and a proper end.
    HalfObject,
    /// A line that is no JSON; the watch goes on.
    NotJson,
    /// An event of a type that nobody knows; the watch goes on.
    UnknownEvent,
    /// The same bookmark twice, and one that is older than both.
    DuplicateBookmarks,
    /// The connection breaks.
    Cut,
    /// A proper end.
    End,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `pods`; empty for what is no resource.
    pub resource: &'static str,
    /// The path.
    pub path: String,
    /// Words after the question mark.
    pub query: HashMap<String, String>,
    /// The bearer token, if one was shown.
    pub token: Option<String>,
}

impl Seen {
    /// Whether it began a watch.
    pub fn is_watch(&self) -> bool {
        is_watch(&self.query)
    }
}

/// A listening API server; dropping it closes everything.
#[derive(Debug)]
pub struct FakeApi {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    task: JoinHandle<Infallible>,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    faults: HashMap<&'static str, VecDeque<Fault>>,
    faults_of_pages: HashMap<&'static str, VecDeque<Fault>>,
    forbidden: HashSet<&'static str>,
    missing: HashSet<&'static str>,
    token: Option<String>,
    seen: Vec<Seen>,
    watchers: Vec<Watcher>,
}

impl FakeApi {
    /// Over plain HTTP, on a free loopback port, without objects.
    pub async fn start() -> Result<Self> {
        Self::listen("http", None).await
    }

    /// Over TLS, with the certificate of [`crate::control_plane`].
    pub async fn start_tls() -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(crate::control_plane::server_tls()?));
        Self::listen("https", Some(acceptor)).await
    }

    async fn listen(scheme: &'static str, acceptor: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let address = listener.local_addr()?;
        let state = Arc::default();
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&state)));
        Ok(Self { address, scheme, state, task })
    }

    /// `http://127.0.0.1:PORT`, or `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// A client for it; only over TLS.
    pub fn client(&self, token: &str) -> Result<Client> {
        Client::new(&self.url(), token)
    }

    /// A kubeconfig for it, to be written to a file; `token` is shown if it is not empty.
    pub fn kubeconfig(&self, token: &str) -> String {
        let ca = crate::control_plane::ca_file();
        let user = if token.is_empty() { "{}".to_owned() } else { format!("{{token: {token}}}") };
        let url = self.url();
        let ca = if self.scheme == "https" {
            format!(", certificate-authority: {}", ca.display())
        } else {
            String::new()
        };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\nclusters:\n- {{name: fake, cluster: {{server: '{url}'{ca}}}}}\n\
             users:\n- {{name: fake, user: {user}}}\ncontexts:\n- {{name: fake, context: {{cluster: fake, user: fake}}}}\n"
        )
    }

    /// Creates an object or replaces it, and tells the watches. Its kind is one of [`RESOURCES`].
    pub fn put(&self, object: &Value) {
        let mut state = self.state();
        state.store.put(resource(object), object);
        state.tell_last_change(resource(object));
    }

    /// Deletes the object of this kind, namespace and name, and tells the watches.
    pub fn delete(&self, object: &Value) {
        let mut state = self.state();
        let before = state.store.version();
        state.store.delete(resource(object), &store::key(object));
        if state.store.version() > before {
            state.tell_last_change(resource(object));
        }
    }

    /// Puts every object that was recorded of a resource: `pods`.
    pub fn put_recorded(&self, plural: &str) -> Result<Vec<Value>> {
        let resource = Resource::of(plural);
        let mut objects = recorded(plural)?;
        for object in &mut objects {
            object["apiVersion"] = json!(resource.version);
            object["kind"] = json!(resource.kind);
            self.put(object);
        }
        Ok(objects)
    }

    /// The next requests for this resource go wrong, one for each fault that is told.
    pub fn fail(&self, plural: &str, fault: Fault) {
        self.state().faults.entry(Resource::of(plural).plural).or_default().push_back(fault);
    }

    /// As [`Self::fail`], of requests for further pages of a list alone.
    pub fn fail_page(&self, plural: &str, fault: Fault) {
        self.state().faults_of_pages.entry(Resource::of(plural).plural).or_default().push_back(fault);
    }

    /// Whether this resource is answered with 403.
    pub fn forbid(&self, plural: &str, is_forbidden: bool) {
        let plural = Resource::of(plural).plural;
        let forbidden = &mut self.state().forbidden;
        if is_forbidden {
            forbidden.insert(plural)
        } else {
            forbidden.remove(plural)
        };
    }

    /// Whether this resource does not exist, as before its definition was applied.
    pub fn take_away(&self, plural: &str, is_missing: bool) {
        let plural = Resource::of(plural).plural;
        let missing = &mut self.state().missing;
        if is_missing {
            missing.insert(plural)
        } else {
            missing.remove(plural)
        };
    }

    /// From now on only this bearer token is accepted.
    pub fn accept_only(&self, token: &str) {
        self.state().token = Some(token.to_owned());
    }

    /// Does this to the open watches of a resource and says how many they were.
    pub fn interrupt(&self, plural: &str, interruption: Interruption) -> usize {
        self.state().interrupt(Resource::of(plural).plural, interruption)
    }

    /// Sends a bookmark to the watches of a resource that asked for bookmarks.
    pub fn bookmark(&self, plural: &str) {
        let state = self.state();
        let version = state.store.version();
        let of = |watcher: &&Watcher| watcher.scope.resource.plural == plural && watcher.wants_bookmarks;
        state
            .watchers
            .iter()
            .filter(of)
            .for_each(|watcher| watcher.tell(&watch::bookmark(&watcher.scope, version)));
    }

    /// Forgets what happened to a resource: pages and watches that begin earlier are answered with 410.
    pub fn compact(&self, plural: &str) {
        self.state().store.compact(Resource::of(plural));
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many watches of a resource are open.
    pub fn n_watches(&self, plural: &str) -> usize {
        let mut state = self.state();
        state.watchers.retain(Watcher::is_open);
        state.watchers.iter().filter(|watcher| watcher.scope.resource.plural == plural).count()
    }

    /// The version of everything, as the next list will say.
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The resource that an object is of.
fn resource(object: &Value) -> &'static Resource {
    let found = RESOURCES.iter().find(|resource| object["kind"] == resource.kind);
    found.unwrap_or_else(|| panic!("the fake API serves no kind {}", object["kind"]))
}

/// Where recordings are kept.
pub(crate) fn recordings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/api")
}

/// The objects of a resource as a real API server listed them.
pub fn recorded(plural: &str) -> Result<Vec<Value>> {
    let path = recordings().join(format!("{plural}.json"));
    let text = std::fs::read(&path)
        .with_context(|| format!("reading {}; `cargo xtask record` makes it", path.display()))?;
    let list: Value = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    list["items"].as_array().cloned().with_context(|| format!("{} is no list", path.display()))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_watch(query: &HashMap<String, String>) -> bool {
    query.get("watch").is_some_and(|value| ["1", "true"].contains(&value.as_str()))
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    state: Arc<Mutex<State>>,
) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(greet(stream, acceptor.clone(), Arc::clone(&state)));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn greet(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    stream.set_nodelay(true).ok();
    match acceptor {
        None => converse(stream, state).await,
        Some(acceptor) => {
            // A client that does not get through the handshake tells so itself.
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, state).await;
            }
        }
    }
}

async fn converse<S>(stream: S, state: Arc<Mutex<State>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request| respond(request, Arc::clone(&state)));
    // An error here is the client going away, or a hang-up that was asked for.
    let server = auto::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn respond(request: Request, state: Arc<Mutex<State>>) -> Result<Response, Hangup> {
    let path = request.uri().path().to_owned();
    let query = address::query(request.uri().query().unwrap_or_default());
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `as=PartialObjectMetadataList` for lists, without `List` for watches.
    let is_metadata_only = accept.contains("as=PartialObjectMetadata");
    let address = Address::parse(&path);
    let fault = {
        let mut state = lock(&state);
        let resource = address.as_ref().map_or("", |address| address.resource.plural);
        let is_known = state.token.is_none() || state.token == token;
        state.seen.push(Seen { resource, path: path.clone(), query: query.clone(), token });
        if !is_known {
            return Ok(refuse(401, "Unauthorized", "Unauthorized"));
        }
        let Some(address) = &address else { return Ok(not_found()) };
        if state.missing.contains(resource) {
            return Ok(not_found());
        }
        if state.forbidden.contains(resource) {
            return Ok(forbidden(address, &query));
        }
        state.next_fault(resource, query.contains_key("continue"))
    };
    let Some(address) = address else { return Ok(not_found()) };
    let breaks_off = match fault {
        None => false,
        Some(Fault::BreaksOff) => true,
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            false
        }
        Some(Fault::Gone) => return Ok(refuse(410, "Expired", TOO_OLD)),
        Some(Fault::TooMany(seconds)) => return Ok(too_many(seconds)),
        Some(Fault::Status(status)) => {
            return Ok(refuse(status, "InternalError", "the fake was told to refuse"));
        }
        Some(Fault::NotJson) => {
            return Ok(reply(200, "text/html", whole("<html><body>a proxy speaks</body></html>")));
        }
        Some(Fault::Hangup) => return Err(Hangup),
    };
    if request.method() != ::http::Method::GET {
        return Ok(refuse(405, "MethodNotAllowed", "the fake is only read; put objects with FakeApi::put"));
    }
    let scope = Scope::new(&address, &query, is_metadata_only);
    Ok(answer(&address, scope, &query, breaks_off, &state))
}

/// What a real API server says of a page that is too old.
const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
                       the continue parameter, or use the continue token in this response to retrieve the remainder of the results.";

fn answer(
    address: &Address,
    scope: Scope,
    query: &HashMap<String, String>,
    breaks_off: bool,
    state: &Arc<Mutex<State>>,
) -> Response {
    let shared = Arc::clone(state);
    let mut state = lock(state);
    if let Some(name) = &address.name {
        let key = (address.namespace.clone().unwrap_or_default(), name.clone());
        return match state.store.get(address.resource, &key) {
            Some(object) => {
                reply(200, "application/json", whole(store::cut_down(&scope, &object).to_string()))
            }
            None => {
                let message = format!("{} \"{name}\" not found", in_messages(address.resource));
                let mut details = details(address.resource);
                details["name"] = json!(name);
                refuse_with(404, "NotFound", &message, Some(details))
            }
        };
    }
    if is_watch(query) {
        let stream = state.watch(scope, query, breaks_off, shared);
        return reply(200, "application/json", StreamBody::new(stream).boxed_unsync());
    }
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
    let token = query.get("continue").map_or("", String::as_str);
    let Some(list) = state.store.page(&scope, limit, token) else { return refuse(410, "Expired", TOO_OLD) };
    let text = Bytes::from(list.to_string());
    if !breaks_off {
        return reply(200, "application/json", whole(text));
    }
    let half = text.slice(..text.len() / 2);
    let pieces = futures_util::stream::iter([Ok(Frame::data(half)), Err(Hangup)]).then(|piece| async {
        // What was sent so far leaves while nothing more is there.
        tokio::task::yield_now().await;
        piece
    });
    reply(200, "application/json", StreamBody::new(pieces).boxed_unsync())
}

impl State {
    fn next_fault(&mut self, plural: &str, is_page: bool) -> Option<Fault> {
        let of_pages = self.faults_of_pages.get_mut(plural).filter(|_| is_page).and_then(VecDeque::pop_front);
        of_pages.or_else(|| self.faults.get_mut(plural).and_then(VecDeque::pop_front))
    }
}

fn group(resource: &Resource) -> &str {
    resource.version.split_once('/').map_or("", |(group, _)| group)
}

/// `pods`, or `probes.monitoring.coreos.com`.
fn in_messages(resource: &Resource) -> String {
    let dot = if group(resource).is_empty() { "" } else { "." };
    format!("{}{dot}{}", resource.plural, group(resource))
}

/// What a refusal is about.
fn details(resource: &Resource) -> Value {
    match group(resource) {
        "" => json!({ "kind": resource.plural }),
        group => json!({ "group": group, "kind": resource.plural }),
    }
}

fn forbidden(address: &Address, query: &HashMap<String, String>) -> Response {
    let verb = match (&address.name, is_watch(query)) {
        (Some(_), _) => "get",
        (None, true) => "watch",
        (None, false) => "list",
    };
    let at = match &address.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let (plural, group) = (address.resource.plural, group(address.resource));
    let message = format!(
        "{} is forbidden: User \"nobody\" cannot {verb} resource \"{plural}\" in API group \"{group}\" {at}",
        in_messages(address.resource)
    );
    refuse_with(403, "Forbidden", &message, Some(details(address.resource)))
}

/// Of a path that is served by nobody.
fn not_found() -> Response {
    reply(404, "text/plain; charset=utf-8", whole("404 page not found\n"))
}

fn too_many(seconds: u32) -> Response {
    let text = "Too many requests, please try again later.\n";
    let mut response = reply(429, "text/plain; charset=utf-8", whole(text));
    response.headers_mut().insert("retry-after", seconds.into());
    response
}

fn refuse(status: u16, reason: &str, message: &str) -> Response {
    refuse_with(status, reason, message, None)
}

fn refuse_with(status: u16, reason: &str, message: &str, details: Option<Value>) -> Response {
    reply(status, "application/json", whole(watch::status(status, reason, message, details).to_string()))
}

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

fn reply(status: u16, content_type: &str, body: Body) -> Response {
    let response = ::http::Response::builder().status(status).header("content-type", content_type);
    response.body(body).expect("status and content type are literals")
}

#[cfg(test)]
mod tests;
