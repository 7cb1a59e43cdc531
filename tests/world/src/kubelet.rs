//! A kubelet over TLS, which may be an API server too: it asks who is there, answers what its script says, and remembers.
//!
//! As a real one it takes a client certificate or a bearer token; anything else is 401, and a path that was forbidden is 403. Its
//! certificate is for 127.0.0.1, `localhost` and `node-a`; authority, certificates and keys are files in `testdata/kubelet`.

pub mod node;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
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
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http::{Hangup, Request};

/// The token that is accepted until another one is named.
pub const TOKEN: &str = "first-token";

type Body = UnsyncBoxBody<Bytes, Hangup>;

/// A listening kubelet; dropping it closes everything.
#[derive(Debug)]
pub struct FakeKubelet {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    task: JoinHandle<Infallible>,
}

#[derive(Debug)]
struct State {
    answers: HashMap<String, Answer>,
    tokens: Vec<String>,
    is_open: bool,
    seen: Vec<Seen>,
    n_connections: usize,
}

/// What is answered at a path.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with this JSON.
    Json(Bytes),
    /// This status with this text.
    Status(u16, String),
    /// The other answer, after so long.
    Slow(Duration, Box<Answer>),
    /// 200 that announces all of this and breaks off in the middle.
    BreaksOff(Bytes),
    /// 200 with so many bytes of an endless JSON text.
    Huge(usize),
    /// The connection is closed instead.
    Hangup,
}

impl Answer {
    /// 200 with this JSON.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::Json(text.into())
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Path and query.
    pub path: String,
    /// The bearer token, if one was shown.
    pub token: Option<String>,
    /// Whether a certificate was shown that our authority signed.
    pub has_certificate: bool,
    /// What the client said it would take.
    pub accept: Option<String>,
}

/// Which certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// One that is good until 2120.
    Valid,
    /// One that was good until 2021.
    Expired,
}

/// A file of the PKI: `ca.pem`, `client.pem`, `client.key`, `kubelet.pem`.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/kubelet").join(name)
}

impl FakeKubelet {
    /// Over TLS, on a free loopback port.
    pub async fn start() -> Result<Self> {
        Self::start_with(Certificate::Valid).await
    }

    /// As [`Self::start`], with this certificate.
    pub async fn start_with(certificate: Certificate) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(certificate)?));
        Self::listen("https", Some(acceptor), false).await
    }

    /// The read-only port: no TLS, and nobody is asked who he is.
    pub async fn start_read_only() -> Result<Self> {
        Self::listen("http", None, true).await
    }

    async fn listen(scheme: &'static str, acceptor: Option<TlsAcceptor>, is_open: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let address = listener.local_addr()?;
        let tokens = vec![TOKEN.to_owned()];
        let state = State { answers: HashMap::new(), tokens, is_open, seen: Vec::new(), n_connections: 0 };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&state)));
        Ok(Self { address, scheme, state, task })
    }

    /// `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:port`, or `http` for the read-only port.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// From now on this is answered at this path.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.state().answers.insert(path.to_owned(), answer);
    }

    /// From now on this is the only token that is accepted.
    pub fn accept_only(&self, token: &str) {
        self.state().tokens = vec![token.to_owned()];
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many connections were opened.
    pub fn n_connections(&self) -> usize {
        self.state().n_connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeKubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tls(certificate: Certificate) -> Result<ServerConfig> {
    let name = match certificate {
        Certificate::Valid => "kubelet",
        Certificate::Expired => "expired",
    };
    let read = |name: &str| std::fs::read(file(name)).with_context(|| format!("reading {name}"));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read(&format!("{name}.pem"))?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&read(&format!("{name}.key"))?)?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&read("ca.pem")?) {
        roots.add(authority?)?;
    }
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_client_cert_verifier(clients).with_single_cert(chain, key)?)
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
                    let conversation = greet(stream, acceptor.clone(), Arc::clone(&state));
                    connections.spawn(async move { conversation.await.ok() });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn greet(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    state.lock().unwrap_or_else(PoisonError::into_inner).n_connections += 1;
    match acceptor {
        None => converse(stream, false, state).await,
        Some(acceptor) => {
            let stream = acceptor.accept(stream).await?;
            let has_certificate = stream.get_ref().1.peer_certificates().is_some();
            converse(stream, has_certificate, state).await;
        }
    }
    Ok(())
}

async fn converse<S>(stream: S, has_certificate: bool, state: Arc<Mutex<State>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request| respond(request, has_certificate, Arc::clone(&state)));
    // An error here is the client going away, or a hang-up that was asked for.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn respond(
    request: Request,
    has_certificate: bool,
    state: Arc<Mutex<State>>,
) -> Result<::http::Response<Body>, Hangup> {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = token.as_ref().is_some_and(|token| state.tokens.contains(token));
        let is_let_in = state.is_open || has_certificate || is_known;
        let answer = state.answers.get(&path).cloned();
        state.seen.push(Seen { path, token, has_certificate, accept: header("accept") });
        if is_let_in { answer } else { Some(Answer::Status(401, "Unauthorized".to_owned())) }
    };
    play(answer.unwrap_or_else(|| Answer::Status(404, "404 page not found".to_owned()))).await
}

async fn play(mut answer: Answer) -> Result<::http::Response<Body>, Hangup> {
    while let Answer::Slow(time, then) = answer {
        tokio::time::sleep(time).await;
        answer = *then;
    }
    match answer {
        Answer::Json(text) => Ok(reply(200, "application/json", text.len(), whole(text))),
        Answer::Status(status, text) => {
            Ok(reply(status, "text/plain; charset=utf-8", text.len(), whole(text.into())))
        }
        Answer::BreaksOff(text) => {
            let half = text.slice(..text.len() / 2);
            // What was sent so far leaves while nothing more is there.
            let pieces =
                futures_util::stream::iter([Ok(Frame::data(half)), Err(Hangup)]).then(|piece| async {
                    tokio::task::yield_now().await;
                    piece
                });
            let body = StreamBody::new(pieces).boxed_unsync();
            Ok(reply(200, "application/json", text.len(), body))
        }
        Answer::Huge(n_bytes) => Ok(reply(200, "application/json", n_bytes, huge(n_bytes))),
        Answer::Hangup | Answer::Slow(..) => Err(Hangup),
    }
}

fn whole(text: Bytes) -> Body {
    Full::new(text).map_err(|never| match never {}).boxed_unsync()
}

/// The beginning of a JSON text, and white space without end.
fn huge(n_bytes: usize) -> Body {
    const PIECE: usize = 64 << 10;
    let spaces = Bytes::from(vec![b' '; PIECE]);
    let mut left = n_bytes;
    let pieces = std::iter::from_fn(move || {
        let n = left.min(PIECE);
        left -= n;
        (n > 0).then(|| Ok(Frame::data(spaces.slice(..n))))
    });
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}

fn reply(status: u16, content_type: &str, n_bytes: usize, body: Body) -> ::http::Response<Body> {
    ::http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("content-length", n_bytes)
        .body(body)
        .expect("status and content type are literals")
}
