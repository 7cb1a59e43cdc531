//! Our own metrics over HTTP, at `service.telemetry.metrics`.

use http::{Method, StatusCode, header};
use net::{Listener, Received, Reply, ServeOptions, answer, reply};
use pipeline::{Stop, TelemetryConfig};
use telemetry::{Registry, error_chain};
use tokio::task::JoinHandle;
use tracing::info;

/// The page and where it is served; serving can move while the process runs.
pub(crate) struct OwnMetrics {
    registry: Registry,
    serving: Option<Serving>,
}

struct Serving {
    address: String,
    stop: Stop,
    task: JoinHandle<()>,
}

impl OwnMetrics {
    /// Not served yet.
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, serving: None }
    }

    /// Serves where the configuration says, and no longer where it said before.
    ///
    /// # Errors
    /// What to tell the user when the address cannot be used; it is then served where it was.
    pub(crate) async fn listen(&mut self, telemetry: &TelemetryConfig) -> Result<(), String> {
        let metrics = telemetry.metrics.clone().unwrap_or_default();
        let address = metrics
            .listen()
            .map_err(|(key, message)| format!("service::telemetry::metrics::{key}: {message}"))?;
        if self.serving.as_ref().map(|serving| &serving.address) == address.as_ref() {
            return Ok(());
        }
        let listener = address.as_deref().map(Listener::bind).transpose().map_err(|error| {
            let remedy = "set service::telemetry::metrics::address, or level: none";
            format!("serving our own metrics: {}; or {remedy}", error_chain(&error))
        })?;
        self.stop().await;
        if let (Some(listener), Some(address)) = (listener, address) {
            info!(address = %listener.local_addr(), "serving our own metrics");
            let stop = Stop::new();
            let (registry, stopped) = (self.registry.clone(), stop.clone());
            let task = tokio::spawn(async move {
                let page = answer(move |request| std::future::ready(page(&request, &registry)));
                let options = ServeOptions { http2: false, ..ServeOptions::default() };
                listener.serve(options, page, async move { stopped.raised().await }).await;
            });
            self.serving = Some(Serving { address, stop, task });
        }
        Ok(())
    }

    /// Serves no longer.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop.raise();
            // A panic in there would be reported by the runtime; there is nothing more to do about it here.
            let _ended = serving.task.await;
        }
    }
}

fn page(request: &Received, registry: &Registry) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut page = reply(StatusCode::OK, registry.text());
            let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            page.headers_mut().insert(header::CONTENT_TYPE, text);
            page
        }
        (&Method::GET | &Method::HEAD, _) => {
            reply(StatusCode::NOT_FOUND, "404 page not found; try /metrics\n")
        }
        _ => reply(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [GET, HEAD]\n"),
    }
}
