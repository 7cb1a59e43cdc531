//! Serving a listener: HTTP/1.1 and, where it is wanted, HTTP/2 (also without TLS, as gRPC speaks it) on one port.
//!
//! Everything a client can hold on to is bounded: the number of connections, the time to send a request's
//! head and body, the time an answer may lie unread, and how long a stopping server waits. An answer that
//! panics costs its request (500), not the server.

mod heads;
mod io;

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::body::Body;
use crate::error::BoxError;
use crate::listener::Listener;
use crate::tls_server::ServerTls;

use heads::Date;
use io::{Metered, Received as ReceivedBytes};

/// As Go's and Prometheus' clients allow.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Length of what every HTTP/2 client says first; until so much arrived, the version is unknown.
const PREFACE_BYTES: u64 = 24;

/// A request as it is handed to [`Answer`]. Its extensions hold the [`Peer`].
pub type Received = http::Request<Body>;

/// An answer.
pub type Reply = http::Response<Body>;

/// What answers requests. Many run at the same time.
pub type Answer = Arc<dyn Fn(Received) -> BoxFuture<'static, Reply> + Send + Sync>;

/// An [`Answer`] from an async function.
pub fn answer<F, Fut>(function: F) -> Answer
where
    F: Fn(Received) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    Arc::new(move |request| function(request).boxed())
}

/// An answer of a status and a plain text.
pub fn reply(status: StatusCode, text: impl Into<Body>) -> Reply {
    let mut reply = Reply::new(text.into());
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, plain);
    reply
}

/// In the extensions of a [`Reply`]: a request of the same bytes on the same connection has the same answer, but for its body. Only where
/// nothing but the request decides about status and headers. Connections that speak HTTP/2 or TLS, and those that hyper answers, ask for every
/// answer anew.
#[derive(Clone)]
pub struct Again(Arc<dyn Fn() -> Body + Send + Sync>);

impl Again {
    /// Bodies that this function makes.
    pub fn new(body: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        Self(Arc::new(body))
    }

    /// The body as it is now.
    #[must_use]
    pub fn body(&self) -> Body {
        (self.0)()
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// TLS; without it plain text.
    pub tls: Option<Arc<ServerTls>>,
    /// Connections at the same time; more wait in the system's queue.
    pub max_connections: usize,
    /// Time for the head of a request, counted from the end of the previous one. None means no bound.
    pub read_header_timeout: Option<Duration>,
    /// Time for a request with its body. None means no bound.
    pub read_timeout: Option<Duration>,
    /// How long a client may leave an answer unread. None means no bound.
    pub write_timeout: Option<Duration>,
    /// Keep connections open after an answer.
    pub keep_alive: bool,
    /// Speak HTTP/2, too. Pages that are scraped do without: no scraper speaks it in plain text, and finding out which version a
    /// client speaks costs each new connection. There answers should be quick: of a client that goes away while one is made, nothing is known
    /// before it is written.
    pub http2: bool,
    /// Requests at the same time on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Sent with every answer.
    pub response_headers: HeaderMap,
    /// How long a stopping server waits for requests that are being answered.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            tls: None,
            max_connections: 10_000,
            read_header_timeout: Some(Duration::from_secs(60)),
            read_timeout: None,
            write_timeout: Some(Duration::from_secs(30)),
            keep_alive: true,
            http2: true,
            max_concurrent_streams: 200,
            response_headers: HeaderMap::new(),
            drain: Duration::from_secs(10),
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Connections that had to be cut because they did not end in time.
    pub n_cut: usize,
}

impl Listener {
    /// Answers requests until `stop` completes. Then no connection is accepted any more, idle ones are
    /// closed, and those with a request get `options.drain` to finish it.
    pub async fn serve(
        self,
        options: ServeOptions,
        answer: Answer,
        stop: impl Future<Output = ()> + Send,
    ) -> Served {
        let address = self.local_addr();
        let slots = Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let (stopping, stopped) = watch::channel(false);
        let drain = options.drain;
        let date = Date::default();
        let shared = Arc::new(Shared { builder: builder(&options), options, answer, address, date });
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepting = async {
                let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
                (self.tcp.accept().await, slot)
            };
            let (accepted, slot) = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = accepting => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                    connections.spawn(async move {
                        shared.connection(stream, peer, stopped).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, %address, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.tcp);
        stopping.send_replace(true);
        // Whether time ran out shows in what is left.
        let _ = tokio::time::timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
        let n_cut = connections.len();
        connections.shutdown().await;
        Served { n_cut }
    }
}

fn builder(options: &ServeOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.read_header_timeout)
        .keep_alive(options.keep_alive)
        .max_buf_size(128 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .keep_alive_timeout(Duration::from_secs(20));
    // With TLS both sides say beforehand what they speak, and HTTP/2 may be what they agreed on.
    if options.http2 || options.tls.is_some() { builder } else { builder.http1_only() }
}

/// What all connections of a server share.
struct Shared {
    builder: auto::Builder<TokioExecutor>,
    options: ServeOptions,
    answer: Answer,
    address: SocketAddr,
    date: Date,
}

impl Shared {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stopped: watch::Receiver<bool>,
    ) {
        let outcome = match &self.options.tls {
            None => self.plainly(stream, peer, stopped).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await;
                match handshake {
                    Ok(Ok(stream)) => self.converse(self.metered(stream), peer, stopped).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("TLS handshake took too long".into()),
                }
            }
        };
        if let Err(error) = outcome {
            // Clients come and go as they like; whoever looks for one of them sets the level to debug.
            let address = self.address;
            tracing::debug!(error = &*error as &dyn std::error::Error, %peer, %address, "connection ended");
        }
    }

    fn metered<I>(&self, io: I) -> Metered<I> {
        Metered::new(io, self.options.write_timeout)
    }

    async fn plainly(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), BoxError> {
        let mut io = self.metered(stream);
        if !self.options.http2 && self.options.keep_alive {
            match self.answer_heads(&mut io, peer, stopped.clone()).await? {
                Some(unread) => io.put_back(unread),
                None => return Ok(io.shutdown().await?),
            }
        }
        self.converse(io, peer, stopped).await
    }

    async fn converse<I>(
        self: &Arc<Self>,
        io: Metered<I>,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), BoxError>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let received = io.received();
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let shared = Arc::clone(self);
            let deadline = self.options.read_timeout.and_then(|limit| Instant::now().checked_add(limit));
            let request = request.map(|body| Body::incoming(body, deadline));
            async move { Ok::<_, std::convert::Infallible>(shared.respond(request, peer).await) }
        });
        let mut conversation = Box::pin(self.builder.serve_connection(TokioIo::new(io), service));
        let silence = self.wait_for_preface(&received);
        tokio::select! {
            ended = conversation.as_mut() => return ended,
            () = silence => return Err("no request arrived within read_header_timeout".into()),
            // The sender is gone only when the server is, and then this task too.
            _ = stopped.wait_for(|is_stopped| *is_stopped) => {}
        }
        conversation.as_mut().graceful_shutdown();
        conversation.await
    }

    /// Until the client has said enough to know its version of HTTP, hyper's own timeouts do not run.
    /// Completes only when that took too long.
    async fn wait_for_preface(&self, received: &ReceivedBytes) {
        match self.options.read_header_timeout {
            Some(limit) if self.builder.is_http2_available() => tokio::time::sleep(limit).await,
            _ => std::future::pending().await,
        }
        if received.n_bytes() >= PREFACE_BYTES {
            std::future::pending().await
        }
    }

    async fn respond(&self, mut request: Received, peer: SocketAddr) -> Reply {
        request.extensions_mut().insert(Peer(peer));
        // The call itself may panic too, not only its future. What the answer shares with others is its own
        // business, as it would be for a panic in a thread.
        let answering = AssertUnwindSafe(async { (self.answer)(request).await });
        let mut reply = match answering.catch_unwind().await {
            Ok(reply) => reply,
            Err(panic) => return self.panicked(&*panic),
        };
        self.add_headers(&mut reply);
        reply
    }

    /// The answer instead of one that panicked.
    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Reply {
        let panic = panic_text(panic);
        tracing::error!(panic, address = %self.address, "answering a request panicked");
        let mut reply = reply(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n");
        self.add_headers(&mut reply);
        reply
    }

    fn add_headers(&self, reply: &mut Reply) {
        for (name, value) in &self.options.response_headers {
            reply.headers_mut().insert(name.clone(), value.clone());
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
