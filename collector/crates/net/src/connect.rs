//! From a URL to a connection: directly or through a proxy, with or without TLS.
//!
//! Written on hyper's own client parts rather than on reqwest, which cannot ask a server for another name
//! than the host of the URL; Prometheus' `tls_config.server_name` does both, ask and verify.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::BoxError;
use crate::files::{File, Files};
use crate::proxy::{Proxy, ProxyKind, ProxyTarget};
use crate::tls::server_name;

/// As Go's default dialer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// As Go's default transport and Prometheus.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    proxy: Proxy,
    tls: Option<Tls>,
    /// Connected to instead of any host.
    unix_socket: Option<Arc<Path>>,
    /// Where a connection's file has to come from.
    files: Option<&'static Files>,
}

/// How to secure connections.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// For destinations, offering the HTTP versions that are wanted.
    pub(crate) config: Arc<ClientConfig>,
    /// For proxies, offering none.
    pub(crate) config_for_proxies: Arc<ClientConfig>,
    /// Asked for and verified instead of the destination's host.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Connector {
    pub(crate) fn new(proxy: Proxy, tls: Option<Tls>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        Self { tcp, proxy, tls, unix_socket: None, files: None }
    }

    /// Connects to a unix socket, whatever the host.
    pub(crate) fn over(unix_socket: Arc<Path>, tls: Option<Tls>) -> Self {
        Self { unix_socket: Some(unix_socket), ..Self::new(Proxy::default(), tls) }
    }

    /// Connections get their files from these.
    pub(crate) fn sharing(self, files: Option<&'static Files>) -> Self {
        Self { files, ..self }
    }

    pub(crate) async fn connect(self, destination: Uri) -> Result<Conn, BoxError> {
        let is_https = destination.scheme_str() == Some("https");
        let host = destination.host().ok_or("no host in the URL")?.to_owned();
        let port = destination.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let conn = match self.proxy.of(is_https, &host, port).cloned() {
            None => self.dial(destination).await?,
            Some(target) if is_https || target.kind == ProxyKind::Socks5 => {
                self.tunnel(&target, destination).await?
            }
            Some(target) => return Ok(self.dial_proxy(&target).await?.for_forwarding()),
        };
        if is_https { self.secure(conn, &host).await } else { Ok(conn) }
    }

    async fn dial(&self, destination: Uri) -> Result<Conn, BoxError> {
        let file = match self.files {
            Some(files) => Some(files.take().await),
            None => None,
        };
        if let Some(path) = &self.unix_socket {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|source| UnixSocket { path: Arc::clone(path), source })?;
            return Ok(Conn::new(TokioIo::new(stream), file));
        }
        Ok(Conn::new(self.tcp.clone().call(destination).await?, file))
    }

    async fn dial_proxy(&self, target: &ProxyTarget) -> Result<Conn, BoxError> {
        let conn = self.dial(target.uri.clone()).await?;
        if target.kind != ProxyKind::Https {
            return Ok(conn);
        }
        let tls = self.tls.as_ref().ok_or("connection was opened without TLS settings")?;
        let name = server_name(target.uri.host().unwrap_or_default())?;
        handshake(conn, Arc::clone(&tls.config_for_proxies), name).await
    }

    async fn tunnel(&self, target: &Arc<ProxyTarget>, destination: Uri) -> Result<Conn, BoxError> {
        let through = ToProxy { connector: self.clone(), target: Arc::clone(target) };
        if target.kind == ProxyKind::Socks5 {
            let mut socks = SocksV5::new(target.uri.clone(), through);
            if let Some((user, password)) = target.user.clone() {
                socks = socks.with_auth(user, password);
            }
            return Ok(socks.call(destination).await?);
        }
        let mut tunnel = Tunnel::new(target.uri.clone(), through);
        if let Some(authorization) = target.authorization() {
            tunnel = tunnel.with_auth(authorization);
        }
        if !target.connect_headers.is_empty() {
            tunnel = tunnel.with_headers(target.connect_headers.clone());
        }
        Ok(tunnel.call(destination).await?)
    }

    async fn secure(&self, conn: Conn, host: &str) -> Result<Conn, BoxError> {
        let tls = self.tls.as_ref().ok_or("connection was opened without TLS settings")?;
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        handshake(conn, Arc::clone(&tls.config), name).await
    }
}

/// A unix socket that cannot be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the unix socket {}", path.display())]
struct UnixSocket {
    path: Arc<Path>,
    source: std::io::Error,
}

async fn handshake(
    conn: Conn,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Conn, BoxError> {
    let connecting = TlsConnector::from(config).connect(name, TokioIo::new(conn));
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
        .await
        .map_err(|_| format!("TLS handshake took longer than {HANDSHAKE_TIMEOUT:?}"))??;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Conn { io: Box::new(TokioIo::new(stream)), is_proxied: false, is_http2, _file: None })
}

impl Service<Uri> for Connector {
    type Response = Conn;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Conn, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        Box::pin(self.clone().connect(destination))
    }
}

/// The way to the proxy itself, on which tunnels are built.
#[derive(Clone)]
struct ToProxy {
    connector: Connector,
    target: Arc<ProxyTarget>,
}

impl Service<Uri> for ToProxy {
    type Response = Conn;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Conn, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.connector.dial_proxy(&this.target).await })
    }
}

/// A connection, whatever it is made of.
pub(crate) struct Conn {
    io: Box<dyn Io>,
    is_proxied: bool,
    is_http2: bool,
    /// Given back with the connection. That of a connection within TLS is kept within.
    _file: Option<File>,
}

pub(crate) trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

impl Conn {
    pub(crate) fn new(io: impl Io + 'static, file: Option<File>) -> Self {
        Self { io: Box::new(io), is_proxied: false, is_http2: false, _file: file }
    }

    /// Requests name their whole URL, because the other end is a proxy that forwards them.
    fn for_forwarding(mut self) -> Self {
        self.is_proxied = true;
        self
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxied).extra(Uses::default());
        if self.is_http2 { connected.negotiated_h2() } else { connected }
    }
}

/// Remembers whether an answer came over a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses(Arc<std::sync::atomic::AtomicBool>);

impl Uses {
    pub(crate) fn mark(&self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether an answer came over this connection before.
    pub(crate) fn is_marked(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::prometheus::Surroundings;
    use crate::testing::prometheus;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_a_handshake_is_given_up_after_ten_seconds() {
        let block = prometheus("tls_config: {insecure_skip_verify: true}");
        let tls = block.settings(Surroundings::of_this_process(Path::new(""))).unwrap().tls;
        let config = tls.client_config(&tls.read().unwrap(), &[]).unwrap();
        let (ours, _silent) = tokio::io::duplex(1 << 16);
        let conn = Conn::new(TokioIo::new(ours), None);
        let before = Instant::now();
        let outcome = handshake(conn, Arc::new(config), server_name("metrics.example").unwrap()).await;
        assert_eq!(outcome.err().unwrap().to_string(), "TLS handshake took longer than 10s");
        assert_eq!(before.elapsed().as_secs(), 10);
    }
}
