//! A small HTTP/1.1 server and client over loopback: what the fakes are made of.
//!
//! Not the product's own `net`: a fake must not share its mistakes. No TLS, no redirects, no HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// A request as handlers receive it.
pub type Request = ::http::Request<Incoming>;
/// An answer of one of our servers.
pub type Reply = ::http::Response<Full<Bytes>>;

/// No body of more bytes than this is read, by the client or by a handler.
pub const MAX_BODY_BYTES: usize = 256 << 20;

/// Instead of an answer: the connection is closed.
#[derive(Debug, Clone, Copy)]
pub struct Hangup;

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Hangup {}

/// A listening server; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<Infallible>,
}

impl Server {
    /// Listens on a free loopback port.
    pub async fn start<H, F>(handler: H) -> io::Result<Server>
    where
        H: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
    {
        Server::listen("127.0.0.1:0", handler).await
    }

    /// Listens on a free port of a host and serves no more connections at a time than there are permits, which servers may
    /// share; one connection more is accepted and waits, the others are left to the system's backlog.
    pub async fn start_limited<H, F>(
        host: Ipv4Addr,
        permits: Arc<Semaphore>,
        handler: H,
    ) -> io::Result<Server>
    where
        H: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
    {
        Server::serve((host, 0), permits, handler).await
    }

    /// Listens on the given `host:port`.
    pub async fn listen<H, F>(address: &str, handler: H) -> io::Result<Server>
    where
        H: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
    {
        Server::serve(address, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), handler).await
    }

    async fn serve<H, F>(
        address: impl ToSocketAddrs,
        permits: Arc<Semaphore>,
        handler: H,
    ) -> io::Result<Server>
    where
        H: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Server { address, task: tokio::spawn(accept(listener, permits, handler)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port` with `path` after it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, permits: Arc<Semaphore>, handler: H) -> Infallible
where
    H: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let permit = permits.clone().acquire_owned().await.expect("nobody closes it");
                    let conversation = converse(stream, handler.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(permit);
                    });
                }
                // Out of file descriptors, most likely: a moment later some may be free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, Hangup>> + Send + 'static,
{
    stream.set_nodelay(true).ok();
    let service = service_fn(handler);
    // An error here is the peer going away, or a hang-up that was asked for: neither is news to a fake.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

/// An answer with this status, content type and body.
pub fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    ::http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::new(body.into()))
        .expect("status and content type are literals of the caller")
}

/// The whole body of a request.
pub async fn read_body(request: Request) -> Result<Bytes> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    Ok(body.map_err(anyhow::Error::from_boxed).context("reading the request's body")?.to_bytes())
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All response headers.
    pub headers: ::http::HeaderMap,
    /// The body as it came, not decompressed.
    pub body: Bytes,
}

impl Answer {
    /// The body as text, broken UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("reading JSON from {:?}", self.text()))
    }

    /// A header's value, if it is there and printable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// GET, with a deadline of ten seconds.
pub async fn get(url: &str) -> Result<Answer> {
    send("GET", url, &[], Bytes::new(), Duration::from_secs(10)).await
}

/// POST, with a deadline of ten seconds.
pub async fn post(url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer> {
    send("POST", url, headers, body.into(), Duration::from_secs(10)).await
}

/// One request over a connection of its own. Any status is an answer; errors are connections that failed.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
    deadline: Duration,
) -> Result<Answer> {
    let exchange = exchange(method, url, headers, body);
    match tokio::time::timeout(deadline, exchange).await {
        Ok(answer) => answer.with_context(|| format!("{method} {url}")),
        Err(_) => bail!("{method} {url}: no answer within {deadline:?}"),
    }
}

async fn exchange(method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
    let mut connection = Connection::open(url).await?;
    connection.exchange(method, headers, body).await
}

/// A connection that is kept from one request to the next, as Prometheus keeps its own; dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    url: String,
    authority: String,
    path: String,
    /// Dropped with the connection, so that a call given up on leaves nothing behind.
    _driver: JoinSet<hyper::Result<()>>,
}

impl Connection {
    /// Connects to the host of `url`, which is what all requests ask for.
    pub async fn open(url: &str) -> Result<Connection> {
        let uri: ::http::Uri = url.parse().context("not a URL")?;
        let authority = uri.authority().context("the URL names no host")?.clone();
        if uri.scheme_str() != Some("http") {
            bail!("only http:// is spoken here");
        }
        let port = authority.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((authority.host().trim_matches(['[', ']']), port)).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Connection {
            sender,
            url: url.to_owned(),
            authority: authority.to_string(),
            path,
            _driver: driver,
        })
    }

    /// GET, with a deadline of ten seconds.
    pub async fn get(&mut self) -> Result<Answer> {
        let deadline = Duration::from_secs(10);
        match tokio::time::timeout(deadline, self.exchange("GET", &[], Bytes::new())).await {
            Ok(answer) => answer.with_context(|| format!("GET {}", self.url)),
            Err(_) => bail!("GET {}: no answer within {deadline:?}", self.url),
        }
    }

    async fn exchange(&mut self, method: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        self.sender.ready().await?;
        let mut request =
            ::http::Request::builder().method(method).uri(&self.path).header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.sender.send_request(request.body(Full::new(body))?).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }
}
