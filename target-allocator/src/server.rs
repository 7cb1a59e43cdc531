//! The listeners: plain HTTP, and HTTPS for clients with a certificate.
//!
//! As upstream: the same pages on both, 90 s for the head of a request, TLS 1.2 or newer, and without a certificate of the
//! configured authority the handshake fails, even for `/livez`. Certificates are read again when their files change.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Problem;
use net::{BindError, Body, BuildError, Listener, Received, ServeOptions, ServerTls, TlsServerConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::errors::MAX_REPORT_BYTES;
use crate::settings::{HttpsSettings, Settings};

/// Why the allocator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be set up.
    #[error("cannot serve")]
    Bind(#[from] BindError),
    /// Files of the HTTPS listener cannot be used.
    #[error("cannot serve HTTPS")]
    Tls(#[from] BuildError),
    /// The cluster cannot be asked.
    #[error("cannot ask the cluster")]
    Cluster(#[from] cluster::ConnectError),
    /// The configuration asks for what cannot be set up.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
}

/// Listeners that nobody serves yet.
pub(crate) struct Listeners {
    http: Listener,
    https: Option<(Listener, Arc<ServerTls>)>,
}

/// Takes the ports, so that a port in use is found before anything else happens.
pub(crate) fn bind(settings: &Settings) -> Result<Listeners, StartError> {
    let https = settings.https.as_ref().map(bind_https).transpose()?;
    Ok(Listeners { http: Listener::bind(&settings.listen_addr)?, https })
}

fn bind_https(settings: &HttpsSettings) -> Result<(Listener, Arc<ServerTls>), StartError> {
    let text = |path: &Path| path.display().to_string();
    let files = TlsServerConfig {
        cert_file: text(&settings.cert_file),
        key_file: text(&settings.key_file),
        client_ca_file: text(&settings.ca_file),
        ..TlsServerConfig::default()
    };
    let tls = ServerTls::build(&files, Path::new(""))?;
    Ok((Listener::bind(&settings.listen_addr)?, Arc::new(tls)))
}

impl Listeners {
    /// Answers until the servers are stopped.
    pub(crate) fn serve(self, api: &Api) -> Servers {
        let (stop, stopped) = watch::channel(false);
        let mut servers =
            Servers { http: Some(self.http.local_addr()), https: None, stop, tasks: Vec::new() };
        servers.tasks.push(tokio::spawn(serve(self.http, None, api.clone(), stopped.clone())));
        if let Some((listener, tls)) = self.https {
            servers.https = Some(listener.local_addr());
            servers.tasks.push(tokio::spawn(serve(listener, Some(tls), api.clone(), stopped)));
        }
        servers
    }
}

async fn serve(
    listener: Listener,
    tls: Option<Arc<ServerTls>>,
    api: Api,
    mut stopped: watch::Receiver<bool>,
) {
    let is_secure = tls.is_some();
    let options =
        ServeOptions { tls, read_header_timeout: Some(Duration::from_secs(90)), ..ServeOptions::default() };
    let answer = net::answer(move |request: Received| {
        let api = api.clone();
        async move {
            let (parts, body) = request.into_parts();
            if !Api::is_report(&parts) {
                return api.answer(&parts, is_secure).await.map(Body::from);
            }
            match net::read_body(body, MAX_REPORT_BYTES).await {
                Ok(report) => api.take_report(&parts, &report).map(Body::from),
                Err(error) => net::reply(error.status(), telemetry::error_chain(&error)),
            }
        }
    });
    let stop = async move {
        // An error means that the servers are gone, which is a reason to stop as well.
        drop(stopped.wait_for(|is_stopped| *is_stopped).await);
    };
    let served = listener.serve(options, answer, stop).await;
    if served.n_cut > 0 {
        tracing::warn!(connections = served.n_cut, "connections were cut because they did not end in time");
    }
}

/// Running servers.
#[derive(Debug)]
pub(crate) struct Servers {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { http: None, https: None, stop: watch::channel(false).0, tasks: Vec::new() }
    }
}

impl Servers {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.http.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    pub(crate) fn local_addr_https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Stops accepting and waits for answers under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A panic in a server was logged where it happened.
            drop(task.await);
        }
    }
}
