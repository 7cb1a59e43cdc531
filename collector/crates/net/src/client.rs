//! Sending a request and reading its answer, within limits.
//!
//! One [`Client`] per configuration, shared by everything that uses it: it keeps connections open, notices
//! changed certificates and adds credentials. What it adds goes to the host it was meant for and nowhere
//! else: a redirect to another host, or from TLS to none, is followed without it, and what was left behind once is
//! not taken up again on the way back. (Prometheus also trusts subdomains; here they are other hosts. It sends
//! `http_headers` along; here they stay at home, since they hold secrets as often as not.)

mod destination;
mod hop;
mod http1;
mod lane;
mod link_local;
mod progress;

use std::future::{Future, ready};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::Either;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use crate::auth::{Auth, AuthError, ExtraHeader};
use crate::connect::{Connector, Tls, Uses};
use crate::error::{BuildError, MAX_HEAD_BYTES, NetError};
use crate::files::Files;
use crate::http_client::HttpClientConfig;
use crate::prometheus::{PrometheusClientConfig, Surroundings};
use crate::proxy::{Proxy, ProxyKind, ProxyTarget};
use crate::tls::{Contents, TlsError, TlsSource};

pub use destination::Destination;

use destination::Place;
use hop::{Hop, is_redirect};
use http1::{AnswerHead, Lane, RequestHead};
use lane::Lanes;
use progress::{BodyLimits, Progress, read_body, was_stale};

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
    pub url: Destination,
    /// Sent as they are, beside what the client's configuration adds. Who asks for the same again and again shares them between
    /// requests; [`Self::headers_mut`] changes those of this one.
    pub headers: Arc<HeaderMap>,
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
    /// Memory for the body of a large answer that comes over a pooled connection. Who asks for the same again and again gives back that
    /// of the last answer, which then need not be got from the system anew.
    pub buffer: BytesMut,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(url: impl Into<Destination>, timeout: Duration, body_limit: usize) -> Self {
        // Shared, so that who has headers of its own pays nothing for none.
        static NO_HEADERS: LazyLock<Arc<HeaderMap>> = LazyLock::new(Arc::default);

        let (headers, body) = (Arc::clone(&NO_HEADERS), Bytes::new());
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
            buffer: BytesMut::new(),
        }
    }

    /// A POST.
    #[must_use]
    pub fn post(
        url: impl Into<Destination>,
        body: impl Into<Bytes>,
        timeout: Duration,
        body_limit: usize,
    ) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(url, timeout, body_limit) }
    }

    /// With one more header; replaces one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers_mut().insert(name, value);
        self
    }

    /// The headers, to be changed for this request alone.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        Arc::make_mut(&mut self.headers)
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

/// A request on its way.
struct Asked {
    hop: Hop,
    limits: BodyLimits,
    progress: Progress,
    buffer: BytesMut,
}

impl Asked {
    fn of(mut request: Request) -> Result<Self, NetError> {
        let place = request.url.place()?;
        let limits =
            BodyLimits { most: request.body_limit, kept: request.kept_limit, is_cut: request.cuts_answer };
        let progress = Progress::new(&place);
        let buffer = std::mem::take(&mut request.buffer);
        Ok(Self { hop: Hop::first(request, place), limits, progress, buffer })
    }
}

/// An answer whose body is still to be read.
enum Answer {
    Pooled(http::Response<Incoming>),
    Lane(AnswerHead, Box<Lane>),
}

impl Answer {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        match self {
            Self::Pooled(answer) => (answer.status(), answer.headers()),
            Self::Lane(head, _) => (head.status, &head.headers),
        }
    }
}

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
        Self::from_settings(config.settings(Surroundings::of_this_process(base_dir))?)
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
    pub fn send(&self, request: Request) -> impl Future<Output = Result<Response, NetError>> + Send {
        let limit = request.timeout.or(self.inner.settings.timeout);
        let mut asked = match Asked::of(request) {
            Ok(asked) => asked,
            Err(error) => return Either::Left(ready(Err(error))),
        };
        // Borrowed, not moved: what a future takes out of what it has caught stands in it twice.
        Either::Right(async move {
            let exchange = self.exchange(&mut asked);
            match limit {
                None => exchange.await,
                Some(limit) => match tokio::time::timeout(limit, exchange).await {
                    Ok(result) => result,
                    Err(_) => {
                        let progress = &asked.progress;
                        Err(NetError::Timeout { peer: progress.peer(), limit, during: progress.phase() })
                    }
                },
            }
        })
    }

    async fn exchange(&self, asked: &mut Asked) -> Result<Response, NetError> {
        let Asked { hop, limits, progress, buffer } = asked;
        let _slot = match &self.inner.slots {
            Some(slots) => Some(slots.acquire().await.expect("the semaphore is never closed")),
            None => None,
        };
        for _ in 0..=MAX_REDIRECTS {
            progress.enter(&hop.place);
            let mut answer = if self.inner.goes_by_lane(hop) {
                self.hop_by_lane(hop, progress).await?
            } else {
                // In a box like everything that is rare and large: a future is moved as a whole.
                Answer::Pooled(Box::pin(self.hop(hop, progress)).await?)
            };
            let (status, headers) = answer.head();
            let location = headers.get(header::LOCATION);
            let follows = self.inner.settings.follow_redirects;
            match location.filter(|to| follows && is_redirect(status) && hop.may_follow(status, to)) {
                Some(location) => {
                    hop.redirect(status, location)?;
                    Box::pin(self.inner.check_redirect(hop, progress)).await?;
                }
                None => {
                    let (body, trailers) = match &mut answer {
                        Answer::Pooled(answer) => {
                            Box::pin(read_body(answer.body_mut(), *limits, progress, buffer)).await?
                        }
                        Answer::Lane(head, lane) => lane.read(head, *limits, progress).await?,
                    };
                    let (status, headers) = match answer {
                        Answer::Pooled(answer) => (answer.status(), answer.into_parts().0.headers),
                        Answer::Lane(head, lane) => {
                            self.inner.park(hop.place.peer(), lane);
                            (head.status, head.headers)
                        }
                    };
                    return Ok(Response { status: status.as_u16(), headers, body, trailers });
                }
            }
        }
        let reason = format!("more than the limit of {MAX_REDIRECTS} redirects");
        Err(NetError::Redirect { peer: progress.peer(), reason })
    }

    /// As [`Self::hop`], over a connection that this task drives.
    async fn hop_by_lane(&self, hop: &Hop, progress: &Progress) -> Result<Answer, NetError> {
        let headers = self.inner.headers(hop).await?;
        let place = &hop.place;
        let mut may_repeat = true;
        loop {
            let idle_timeout = self.inner.settings.idle_timeout;
            let parked = self.inner.lanes.take(place.peer(), idle_timeout).await;
            let was_used = parked.is_some();
            let mut lane = match parked {
                Some(lane) => lane,
                None => {
                    let opening = self.inner.connector.clone().connect(place.uri()?);
                    let opened = Box::pin(opening).await;
                    let conn =
                        opened.map_err(|source| NetError::Connect { peer: progress.peer(), source })?;
                    Box::new(Lane::new(conn))
                }
            };
            progress.connected();
            let head = RequestHead {
                method: &hop.method,
                path: place.path(),
                host: place.host_header(),
                user_agent: USER_AGENT,
                headers: &headers,
            };
            match lane.send(&head, &hop.body).await {
                Ok(head) => return Ok(Answer::Lane(head, lane)),
                Err(failed)
                    if was_used
                        && may_repeat
                        && failed.was_unanswered
                        && (failed.was_unsent || hop.method.is_safe()) =>
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
        let mut headers = Arc::unwrap_or_clone(self.inner.headers(hop).await?);
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        let connections = match &hop.unix_socket {
            None => self.inner.connections(&hop.place)?,
            Some(socket) => self.inner.connections_over(socket, &hop.place)?,
        };
        let uri = hop.place.uri()?;
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
    /// Everything the request carries but for what HTTP itself adds. On foreign ground, only what is no secret.
    async fn headers(&self, hop: &Hop) -> Result<Arc<HeaderMap>, NetError> {
        // Most requests carry nothing but what the caller gave.
        let mut headers = Arc::clone(&hop.headers);
        let refused = |error: AuthError| unsendable(&hop.place, error);
        if hop.is_at_home {
            for extra in &self.settings.headers {
                let value = extra.value().map_err(refused)?;
                if extra.appends {
                    Arc::make_mut(&mut headers).append(extra.name.clone(), value);
                } else {
                    Arc::make_mut(&mut headers).insert(extra.name.clone(), value);
                }
            }
            if !headers.contains_key(header::AUTHORIZATION)
                && let Some(value) = self.settings.auth.header().await.map_err(refused)?
            {
                Arc::make_mut(&mut headers).insert(header::AUTHORIZATION, value);
            }
        }
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(value) = hop.place.authorization()
        {
            Arc::make_mut(&mut headers).insert(header::AUTHORIZATION, value);
        }
        if hop.unix_socket.is_none()
            && let Some(value) = self.proxy_authorization(&hop.place)
        {
            Arc::make_mut(&mut headers).insert(header::PROXY_AUTHORIZATION, value);
        }
        Ok(headers)
    }

    async fn check_redirect(&self, hop: &Hop, progress: &Progress) -> Result<(), NetError> {
        if self.settings.follows_to_link_local || hop.is_same_host() || hop.unix_socket.is_some() {
            return Ok(());
        }
        let is_resolved_by_us = self.proxy_of(&hop.place).is_none();
        link_local::refuse(hop.place.url(), is_resolved_by_us)
            .await
            .map_err(|reason| NetError::Redirect { peer: progress.peer(), reason })
    }

    /// For a proxy that forwards; one that tunnels gets it with its CONNECT.
    fn proxy_authorization(&self, place: &Place) -> Option<HeaderValue> {
        let target = self.proxy_of(place)?;
        let is_forwarding = !place.is_secure() && target.kind != ProxyKind::Socks5;
        if is_forwarding { target.authorization() } else { None }
    }

    fn proxy_of(&self, place: &Place) -> Option<&ProxyTarget> {
        let url = place.url();
        let port = url.port_or_known_default()?;
        self.settings.proxy.of(place.is_secure(), url.host_str()?, port).map(Arc::as_ref)
    }

    fn goes_by_lane(&self, hop: &Hop) -> bool {
        let is_plain =
            !hop.place.is_secure() && hop.unix_socket.is_none() && self.settings.http2 != Http2::Always;
        is_plain && self.proxy_of(&hop.place).is_none()
    }

    fn park(&self, host: &str, lane: Box<Lane>) {
        let Settings { idle_timeout, max_idle_per_host, files, .. } = &self.settings;
        if !files.is_some_and(Files::are_wanted) {
            self.lanes.park(host, lane, *idle_timeout, *max_idle_per_host);
        }
    }

    fn connections(&self, place: &Place) -> Result<Connections, NetError> {
        let is_proxy_secure = self.proxy_of(place).is_some_and(|target| target.kind == ProxyKind::Https);
        if place.is_secure() || is_proxy_secure {
            Ok(self.secure(place)?.connections.clone())
        } else {
            Ok(self.plain.clone())
        }
    }

    /// Connections are kept by host, which says nothing about a socket; so these are for one request.
    fn connections_over(&self, socket: &Arc<Path>, place: &Place) -> Result<Connections, NetError> {
        let tls = if place.is_secure() { Some(self.secure(place)?.tls.clone()) } else { None };
        let connector = Connector::over(Arc::clone(socket), tls).sharing(self.settings.files);
        Ok(self.settings.connections(connector, 0))
    }

    fn secure(&self, place: &Place) -> Result<Arc<Secure>, NetError> {
        let refused = |error: TlsError| {
            let error = AuthError::ours("cannot set up TLS", Some(error.into()));
            unsendable(place, error)
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

fn unsendable(place: &Place, error: AuthError) -> NetError {
    let peer = place.peer().to_owned();
    if error.is_remote {
        return NetError::Connect { peer, source: error.into() };
    }
    NetError::Unsendable { peer, reason: error.reason, source: error.source }
}

#[cfg(test)]
mod tests;
