//! `health_check`: says over HTTP whether data can flow, for probes.
//!
//! As contrib `extension/healthcheckextension`: 200 when every component has started, 503 before and while stopping. The keys
//! of its second version (`use_v2` and below) are refused by name.
//!
//! ```yaml
//! health_check:
//!   endpoint: 0.0.0.0:13133
//! ```

use std::time::Instant;

use config::Problem;
use http::{HeaderValue, StatusCode, header};
use model::Signals;
use net::{HttpServerConfig, Listener, Reply, ServeOptions, answer, reply};
use pipeline::{Component, Extension, Fatal, Health, Life, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Says over HTTP whether data can flow.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The path that answers.
    #[serde(default = "root")]
    pub path: String,
    /// Texts instead of the usual ones.
    #[serde(default)]
    pub response_body: Option<Bodies>,
    /// Former check of exporter failures; upstream has switched it off too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_collector_pipeline: Option<serde_json::Value>,
    /// The second version of this extension, which is not built in.
    #[serde(default)]
    pub use_v2: bool,
    /// How to listen; `endpoint` is `localhost:13133` where it is absent.
    #[serde(flatten)]
    pub server: HttpServerConfig,
}

/// Texts instead of the usual ones.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct Bodies {
    /// Sent with 200.
    #[serde(default)]
    pub healthy: String,
    /// Sent with 503.
    #[serde(default)]
    pub unhealthy: String,
}

fn root() -> String {
    "/".to_owned()
}

const DEFAULT_ENDPOINT: &str = "localhost:13133";

/// The running extension.
#[derive(Debug)]
pub struct HealthCheck {
    endpoint: String,
    path: String,
    bodies: Option<Bodies>,
    server: HttpServerConfig,
    bound: Option<(Listener, ServeOptions)>,
}

impl Component for HealthCheck {
    const TYPE: &'static str = "health_check";
    const SIGNALS: Signals = Signals::NONE;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems: Vec<Problem> = config
            .server
            .check()
            .into_iter()
            .map(|(key, message)| Problem::at(key.replace('.', "::"), message))
            .collect();
        if config.use_v2 {
            problems.push(Problem::at(
                "use_v2",
                "the second version of health_check is not built in; remove the key",
            ));
        }
        if !config.path.starts_with('/') {
            problems.push(Problem::at("path", "must start with /"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let endpoint =
            config.server.endpoint.as_ref().map_or(DEFAULT_ENDPOINT.to_owned(), ToString::to_string);
        Ok(Self {
            endpoint,
            path: config.path,
            bodies: config.response_body,
            server: config.server,
            bound: None,
        })
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        let old = config.check_collector_pipeline.iter();
        old.map(|_| {
            Problem::warning("check_collector_pipeline", "has no effect, as upstream; remove the key")
        })
        .collect()
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        let doing = || format!("starting extension `{}`", life.id());
        let options = self.server.options().map_err(|error| Fatal::new(doing(), error))?;
        let listener = Listener::bind(&self.endpoint).map_err(|error| Fatal::new(doing(), error))?;
        self.bound = Some((listener, options));
        Ok(())
    }
}

impl Extension for HealthCheck {
    async fn run(self, life: Life) -> Result<(), Fatal> {
        let Some((listener, options)) = self.bound else { return Ok(()) };
        let (health, path, bodies, began) = (life.health(), self.path, self.bodies, Instant::now());
        let since = telemetry::iso8601(std::time::SystemTime::now());
        let page = answer(move |request| {
            let is_ready = *health.borrow() == Health::Ready;
            let page = if request.uri().path() == path {
                verdict(is_ready, bodies.as_ref(), &since, began)
            } else {
                reply(StatusCode::NOT_FOUND, "404 page not found\n")
            };
            std::future::ready(page)
        });
        listener.serve(options, page, async move { life.stopped().await }).await;
        Ok(())
    }
}

fn verdict(is_ready: bool, bodies: Option<&Bodies>, since: &str, began: Instant) -> Reply {
    let (status, text) = match (is_ready, bodies) {
        (true, Some(bodies)) => (StatusCode::OK, bodies.healthy.clone()),
        (false, Some(bodies)) => (StatusCode::SERVICE_UNAVAILABLE, bodies.unhealthy.clone()),
        (true, None) => {
            let uptime = format!("{:.3}s", began.elapsed().as_secs_f64());
            let body =
                serde_json::json!({ "status": "Server available", "upSince": since, "uptime": uptime });
            (StatusCode::OK, body.to_string())
        }
        (false, None) => {
            let body = serde_json::json!({ "status": "Server not available" });
            (StatusCode::SERVICE_UNAVAILABLE, body.to_string())
        }
    };
    let mut page = reply(status, text);
    if bodies.is_none() {
        page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    page
}
