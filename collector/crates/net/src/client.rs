//! Sending a request and reading its answer, within limits.
//!
//! One [`Client`] per configuration, shared by everything that uses it: it keeps connections open, notices
//! changed certificates and adds credentials. What it adds goes to the host it was meant for and nowhere
//! else: a redirect to another host, or from TLS to none, is followed without it, and what was left behind once is
//! not taken up again on the way back. (Prometheus also trusts subdomains; here they are other hosts. It sends
//! `http_headers` along; here they stay at home, since they hold secrets as often as not.)

mod hop;
mod lane;
mod link_local;
mod progress;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use url::Url;

use crate::auth::{Auth, AuthError, ExtraHeader};
use crate::connect::{Connector, Tls, Uses};
use crate::error::{BuildError, MAX_HEAD_BYTES, NetError};
use crate::files::Files;
use crate::http_client::HttpClientConfig;
use crate::prometheus::PrometheusClientConfig;
use crate::proxy::{Proxy, ProxyKind, ProxyTarget, peer_of};
use crate::tls::{Contents, TlsError, TlsSource};

use hop::{Hop, authorization_in, is_redirect, parse_url, uri_of};
use lane::{Failed, Lane, Lanes};
use progress::{BodyLimits, Progress, read_answer, was_stale};

/// Redirects that are followed for one request, as in Go.
const MAX_REDIRECTS: usize = 10;

/// Sent unless the caller names another.
const USER_AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Usually GET or POST.
    pub method: Method,
    /// `http` or `https`; a user and password in it are used and not shown.
    pub url: String,
    /// Sent as they are, beside what the client's configuration adds.
    pub headers: HeaderMap,
    /// Sent as it is; compression is the caller's.
    pub body: Bytes,
    /// For everything together: connecting, redirects, the whole body. Without one, that of the configuration
    /// counts.
    pub timeout: Option<Duration>,
    /// Largest body of the answer in bytes, as it comes over the wire.
    pub body_limit: usize,
    /// Bytes of the answer's body that are kept while it is read. A longer one is only counted, see
    /// [`NetError::BodyNotKept`].
    pub kept_limit: usize,
    /// Where to connect to, whatever host the URL names and wherever redirects lead. No proxy is asked then, and the
    /// connection is closed after the answer.
    pub unix_socket: Option<Arc<Path>>,
    /// Follows only redirects that keep method and body (307 and 308) and lead to the same host, not from TLS to none; any other
    /// one is the answer. For data that has to arrive whole at whom it is meant for.
    pub keeps_to_host: bool,
    /// An answer that is longer than `body_limit` is cut there instead of being an error. For whom the status counts,
    /// whatever the text.
    pub cuts_answer: bool,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(url: impl Into<String>, timeout: Duration, body_limit: usize) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let (method, timeout, unix_socket) = (Method::GET, Some(timeout), None);
        Self {
            method,
            url: url.into(),
            headers,
            body,
            timeout,
            body_limit,
            kept_limit: usize::MAX,
            unix_socket,
            keeps_to_host: false,
            cuts_answer: false,
        }
    }

    /// A POST.
    #[must_use]
    pub fn post(
        url: impl Into<String>,
        body: impl Into<Bytes>,
        timeout: Duration,
        body_limit: usize,
    ) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(url, timeout, body_limit) }
    }

    /// With one more header; replaces one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came, not decompressed.
    pub body: Bytes,
    /// Headers after the body; empty almost always, but gRPC says there how it went.
    pub trailers: HeaderMap,
}

/// A client with connections that stay open. Cloning gives another handle.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    /// For requests that need no TLS.
    plain: Connections,
    /// For those of them that need no proxy and no HTTP/2 either.
    lanes: Lanes,
    connector: Connector,
    /// Made when first needed and again when certificates changed.
    secure: Mutex<Option<Arc<Secure>>>,
    /// Permits for requests at the same time.
    slots: Option<Semaphore>,
}

type Connections = Pool<Connector, Full<Bytes>>;

/// What is made of certificates, and the connections that use it.
struct Secure {
    contents: Contents,
    tls: Tls,
    connections: Connections,
}

/// What both families of configuration come down to.
pub(crate) struct Settings {
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<ExtraHeader>,
    pub(crate) tls: TlsSource,
    pub(crate) proxy: Proxy,
    pub(crate) follow_redirects: bool,
    /// Redirects may lead to link-local addresses.
    pub(crate) follows_to_link_local: bool,
    pub(crate) http2: Http2,
    /// When a request names none.
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    /// Connections kept open per host; zero closes each after its answer.
    pub(crate) max_idle_per_host: usize,
    pub(crate) max_requests: Option<usize>,
    /// Where connections get their files from; without any, from what the system allows.
    pub(crate) files: Option<&'static Files>,
    /// How often a silent HTTP/2 connection is tested, and how long the answer may take.
    pub(crate) ping: Option<(Duration, Duration)>,
}

/// When HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http2 {
    Never,
    /// Over TLS, when the server offers it.
    IfOffered,
    /// Always, also without TLS.
    Always,
}

impl Client {
    /// A client by the rules of Prometheus. Files are read when they are needed, so that one that is missing
    /// now fails requests until it is there. Relative names count from `base_dir`.
    ///
    /// # Errors
    /// When keys contradict each other, when something is asked for that is not supported, or when
    /// certificates given as text are unusable.
    pub fn build(config: &PrometheusClientConfig, base_dir: &Path) -> Result<Self, BuildError> {
        Self::from_settings(config.settings(base_dir)?)
    }

    /// A client by the rules of `confighttp`. Relative names count from the working directory.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_http(config: &HttpClientConfig) -> Result<Self, BuildError> {
        Self::from_settings(config.settings(Http2::IfOffered)?)
    }

    /// A client that speaks HTTP/2 only, also without TLS, as gRPC needs it.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_http2(config: &HttpClientConfig) -> Result<Self, BuildError> {
        Self::from_settings(config.settings(Http2::Always)?)
    }

    pub(crate) fn from_settings(settings: Settings) -> Result<Self, BuildError> {
        settings
            .tls
            .check_texts()
            .map_err(|error| BuildError::new(error.key(), "cannot set up TLS").because(error))?;
        let connector = Connector::new(settings.proxy.clone(), None).sharing(settings.files);
        let plain = settings.connections(connector.clone(), settings.max_idle_per_host);
        let slots = settings.max_requests.map(|most| Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let (lanes, secure) = (Lanes::default(), Mutex::new(None));
        Ok(Self { inner: Arc::new(Inner { settings, plain, lanes, connector, secure, slots }) })
    }

    /// Sends a request and reads the whole answer. Any status is an answer.
    ///
    /// # Errors
    /// When there is no answer, see [`NetError`].
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let url = parse_url(&request.url)?;
        let limit = request.timeout.or(self.inner.settings.timeout);
        let progress = Progress::new(&url);
        let exchange = self.exchange(request, url, &progress);
        match limit {
            None => exchange.await,
            Some(limit) => match tokio::time::timeout(limit, exchange).await {
                Ok(result) => result,
                Err(_) => Err(NetError::Timeout { peer: progress.peer(), limit, during: progress.phase() }),
            },
        }
    }

    async fn exchange(&self, request: Request, url: Url, progress: &Progress) -> Result<Response, NetError> {
        let _slot = match &self.inner.slots {
            Some(slots) => Some(slots.acquire().await.expect("the semaphore is never closed")),
            None => None,
        };
        let limits =
            BodyLimits { most: request.body_limit, kept: request.kept_limit, is_cut: request.cuts_answer };
        let mut hop = Hop::first(request, url);
        for _ in 0..=MAX_REDIRECTS {
            progress.enter(&hop.url);
            let (answer, lane) = match self.inner.lane_of(&hop) {
                Some(host) => {
                    let (answer, lane) = self.hop_by_lane(&hop, &host, progress).await?;
                    (answer, Some((host, lane)))
                }
                None => (self.hop(&hop, progress).await?, None),
            };
            let location = answer.headers().get(header::LOCATION);
            let (follows, status) = (self.inner.settings.follow_redirects, answer.status());
            match location.filter(|to| follows && is_redirect(status) && hop.may_follow(status, to)) {
                Some(location) => {
                    hop = hop.redirected(status, location)?;
                    self.inner.check_redirect(&hop, progress).await?;
                }
                None => {
                    let reading = read_answer(answer, limits, progress);
                    let Some((host, mut lane)) = lane else { return reading.await };
                    let response = lane.drive(reading).await?;
                    self.inner.park(&host, lane).await;
                    return Ok(response);
                }
            }
        }
        let reason = format!("more than the limit of {MAX_REDIRECTS} redirects");
        Err(NetError::Redirect { peer: progress.peer(), reason })
    }

    /// As [`Self::hop`], over a connection that this task drives.
    async fn hop_by_lane(
        &self,
        hop: &Hop,
        host: &str,
        progress: &Progress,
    ) -> Result<(http::Response<Incoming>, Lane), NetError> {
        let mut headers = self.inner.headers(hop).await?;
        let host_header = HeaderValue::try_from(host.strip_suffix(":80").unwrap_or(host));
        let host_header = host_header
            .map_err(|error| unsendable(&hop.url, AuthError::ours("not a host", Some(error.into()))))?;
        headers.entry(header::HOST).or_insert(host_header);
        let uri = uri_of(&hop.url)?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut may_repeat = true;
        loop {
            let idle_timeout = self.inner.settings.idle_timeout;
            let mut lane = match self.inner.lanes.take(host, idle_timeout).await {
                Some(lane) => lane,
                None => {
                    let opened = Lane::open(&self.inner.connector, &uri).await;
                    opened.map_err(|source| NetError::Connect { peer: progress.peer(), source })?
                }
            };
            progress.connected();
            let mut request = http::Request::new(Full::new(hop.body.clone()));
            *request.method_mut() = hop.method.clone();
            *request.uri_mut() = path.clone().into();
            *request.headers_mut() = headers.clone();
            match lane.send(request).await {
                Ok(answer) => return Ok((answer, lane)),
                Err(Failed { was_used: true, was_unsent, .. })
                    if may_repeat && (was_unsent || hop.method.is_safe()) =>
                {
                    may_repeat = false;
                }
                Err(failed) => return Err(progress.lane_failed(failed.error)),
            }
        }
    }

    /// One request to one host. A kept connection that the server closed at the same moment is no reason to
    /// fail a request that may be repeated (as in Go).
    async fn hop(&self, hop: &Hop, progress: &Progress) -> Result<http::Response<Incoming>, NetError> {
        let headers = self.inner.headers(hop).await?;
        let connections = match &hop.unix_socket {
            None => self.inner.connections(&hop.url)?,
            Some(socket) => self.inner.connections_over(socket, &hop.url)?,
        };
        let uri = uri_of(&hop.url)?;
        let mut may_repeat = hop.method.is_safe();
        loop {
            let mut request = http::Request::new(Full::new(hop.body.clone()));
            *request.method_mut() = hop.method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            if self.inner.settings.http2 == Http2::Always {
                *request.version_mut() = http::Version::HTTP_2;
            }
            progress.watch(capture_connection(&mut request));
            match connections.request(request).await {
                Ok(answer) => {
                    if let Some(uses) = answer.extensions().get::<Uses>() {
                        uses.mark();
                    }
                    return Ok(answer);
                }
                Err(error) if may_repeat && was_stale(&error) => may_repeat = false,
                Err(error) => return Err(progress.failed(error)),
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Inner {
    /// Everything the request carries. On foreign ground, only what is no secret.
    async fn headers(&self, hop: &Hop) -> Result<HeaderMap, NetError> {
        let mut headers = hop.headers.clone();
        let refused = |error: AuthError| unsendable(&hop.url, error);
        if hop.is_at_home {
            for extra in &self.settings.headers {
                let value = extra.value().map_err(refused)?;
                if extra.appends {
                    headers.append(extra.name.clone(), value);
                } else {
                    headers.insert(extra.name.clone(), value);
                }
            }
            if !headers.contains_key(header::AUTHORIZATION)
                && let Some(value) = self.settings.auth.header().await.map_err(refused)?
            {
                headers.insert(header::AUTHORIZATION, value);
            }
        }
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(value) = authorization_in(&hop.url)
        {
            headers.insert(header::AUTHORIZATION, value);
        }
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        if hop.unix_socket.is_none()
            && let Some(value) = self.proxy_authorization(&hop.url)
        {
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
        Ok(headers)
    }

    async fn check_redirect(&self, hop: &Hop, progress: &Progress) -> Result<(), NetError> {
        if self.settings.follows_to_link_local || hop.is_same_host() || hop.unix_socket.is_some() {
            return Ok(());
        }
        let is_resolved_by_us = self.proxy_of(&hop.url).is_none();
        link_local::refuse(&hop.url, is_resolved_by_us)
            .await
            .map_err(|reason| NetError::Redirect { peer: progress.peer(), reason })
    }

    /// For a proxy that forwards; one that tunnels gets it with its CONNECT.
    fn proxy_authorization(&self, url: &Url) -> Option<HeaderValue> {
        let target = self.proxy_of(url)?;
        if url.scheme() == "http" && target.kind != ProxyKind::Socks5 { target.authorization() } else { None }
    }

    fn proxy_of(&self, url: &Url) -> Option<&ProxyTarget> {
        let port = url.port_or_known_default()?;
        self.settings.proxy.of(url.scheme() == "https", url.host_str()?, port).map(Arc::as_ref)
    }

    /// Host and port, where a request can go by a lane.
    fn lane_of(&self, hop: &Hop) -> Option<String> {
        let url = &hop.url;
        let is_plain =
            url.scheme() == "http" && hop.unix_socket.is_none() && self.settings.http2 != Http2::Always;
        let host = url.host_str().filter(|_| is_plain && self.proxy_of(url).is_none())?;
        Some(format!("{host}:{}", url.port_or_known_default()?))
    }

    async fn park(&self, host: &str, lane: Lane) {
        let Settings { idle_timeout, max_idle_per_host, files, .. } = &self.settings;
        if files.is_some_and(Files::are_wanted) {
            return;
        }
        self.lanes.park(host, lane, *idle_timeout, *max_idle_per_host).await;
    }

    fn connections(&self, url: &Url) -> Result<Connections, NetError> {
        let is_proxy_secure = self.proxy_of(url).is_some_and(|target| target.kind == ProxyKind::Https);
        if url.scheme() == "https" || is_proxy_secure {
            Ok(self.secure(url)?.connections.clone())
        } else {
            Ok(self.plain.clone())
        }
    }

    /// Connections are kept by host, which says nothing about a socket; so these are for one request.
    fn connections_over(&self, socket: &Arc<Path>, url: &Url) -> Result<Connections, NetError> {
        let tls = if url.scheme() == "https" { Some(self.secure(url)?.tls.clone()) } else { None };
        let connector = Connector::over(Arc::clone(socket), tls).sharing(self.settings.files);
        Ok(self.settings.connections(connector, 0))
    }

    fn secure(&self, url: &Url) -> Result<Arc<Secure>, NetError> {
        let refused = |error: TlsError| {
            let error = AuthError::ours("cannot set up TLS", Some(error.into()));
            unsendable(url, error)
        };
        let contents = self.settings.tls.read().map_err(refused)?;
        let mut current = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = current.as_ref()
            && known.contents.is_same_as(&contents)
        {
            return Ok(Arc::clone(known));
        }
        let tls = self.settings.tls(&contents).map_err(refused)?;
        let connector = Connector::new(self.settings.proxy.clone(), Some(tls.clone()));
        let connector = connector.sharing(self.settings.files);
        let connections = self.settings.connections(connector, self.settings.max_idle_per_host);
        let secure = Arc::new(Secure { contents, tls, connections });
        *current = Some(Arc::clone(&secure));
        Ok(secure)
    }
}

impl Settings {
    fn tls(&self, contents: &Contents) -> Result<Tls, TlsError> {
        let alpn: &[&[u8]] = match self.http2 {
            Http2::Never => &[b"http/1.1"],
            Http2::IfOffered => &[b"h2", b"http/1.1"],
            Http2::Always => &[b"h2"],
        };
        let config = self.tls.client_config(contents, alpn)?;
        let mut config_for_proxies = config.clone();
        config_for_proxies.alpn_protocols.clear();
        let server_name = self.tls.server_name.clone();
        Ok(Tls { config: Arc::new(config), config_for_proxies: Arc::new(config_for_proxies), server_name })
    }

    fn connections(&self, connector: Connector, max_idle_per_host: usize) -> Connections {
        let mut builder = Pool::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(self.idle_timeout).pool_max_idle_per_host(max_idle_per_host);
        builder.http2_only(self.http2 == Http2::Always);
        // Bodies are read in pieces of at most this size, too.
        builder.http1_max_buf_size(MAX_HEAD_BYTES);
        builder.http2_max_header_list_size(MAX_HEAD_BYTES as u32);
        builder.http2_initial_stream_window_size(1 << 20).http2_initial_connection_window_size(2 << 20);
        if let Some((interval, patience)) = self.ping {
            builder.http2_keep_alive_interval(interval).http2_keep_alive_timeout(patience);
        }
        builder.build(connector)
    }
}

fn unsendable(url: &Url, error: AuthError) -> NetError {
    let peer = peer_of(url);
    if error.is_remote {
        return NetError::Connect { peer, source: error.into() };
    }
    NetError::Unsendable { peer, reason: error.reason, source: error.source }
}

#[cfg(test)]
mod tests;
