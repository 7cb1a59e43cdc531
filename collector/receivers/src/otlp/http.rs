//! OTLP/HTTP with protobuf bodies.

use ::http::{HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use config::Problem;
use model::Signal;
use net::{BuildError, HttpServerConfig, Received, Reply, ServeOptions, reply};
use pipeline::Outlets;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::otlp::{PartialSuccess, Status, export_response};

use super::export::{Failed, code, export};

/// `protocols.http`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// How to listen; `endpoint` is `localhost:4318` where it is absent.
    #[serde(flatten)]
    pub server: HttpServerConfig,
    /// Where traces are posted.
    #[serde(default = "traces_path")]
    pub traces_url_path: String,
    /// Where metrics are posted.
    #[serde(default = "metrics_path")]
    pub metrics_url_path: String,
    /// Where logs are posted.
    #[serde(default = "logs_path")]
    pub logs_url_path: String,
    /// Where profiles are posted; they are not received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles_url_path: Option<String>,
}

fn traces_path() -> String {
    "/v1/traces".to_owned()
}

fn metrics_path() -> String {
    "/v1/metrics".to_owned()
}

fn logs_path() -> String {
    "/v1/logs".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        config::fill(&config::Node::map(), "protocols::http").expect("no key of the section is required")
    }
}

impl Config {
    pub(super) fn check(&self) -> Vec<Problem> {
        self.server
            .check()
            .into_iter()
            .map(|(key, message)| Problem::at(key.replace('.', "::"), message))
            .collect()
    }

    pub(super) fn endpoint(&self) -> String {
        self.server.endpoint.as_ref().map_or_else(|| "localhost:4318".to_owned(), ToString::to_string)
    }

    pub(super) fn options(&self) -> Result<ServeOptions, BuildError> {
        self.server.options()
    }

    fn signal(&self, path: &str) -> Option<Signal> {
        let paths = [
            (&self.metrics_url_path, Signal::Metrics),
            (&self.logs_url_path, Signal::Logs),
            (&self.traces_url_path, Signal::Traces),
        ];
        paths.into_iter().find(|(known, _)| *known == path).map(|(_, signal)| signal)
    }
}

const PROTOBUF: &str = "application/x-protobuf";

/// What answers requests.
#[derive(Clone, Debug)]
pub(super) struct Service {
    config: Config,
    out: Outlets,
}

impl Service {
    pub(super) fn new(config: Config, out: Outlets) -> Self {
        Self { config, out }
    }

    pub(super) async fn answer(self, request: Received) -> Reply {
        let signal = self.config.signal(request.uri().path()).filter(|signal| self.out.wants(*signal));
        let Some(signal) = signal else { return reply(StatusCode::NOT_FOUND, "404 page not found\n") };
        if request.method() != Method::POST {
            return reply(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [POST]");
        }
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
        if media_type != PROTOBUF {
            let hint = if media_type == "application/json" { "; JSON is not built in yet" } else { "" };
            let text = format!("415 unsupported media type, supported: [{PROTOBUF}]{hint}");
            return reply(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
        match self.body(request).await {
            Ok(body) => match export(signal, &body, &self.out).await {
                Ok(()) => encoded(StatusCode::OK, export_response(&PartialSuccess::default())),
                Err(failed) => refusal(&failed),
            },
            Err(reply) => reply,
        }
    }

    async fn body(&self, request: Received) -> Result<Bytes, Reply> {
        let limit = self.config.server.body_limit();
        let (head, body) = request.into_parts();
        let encoding =
            head.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !self.config.server.takes_encoding(encoding) {
            let text = format!("content encoding `{encoding}` is not among compression_algorithms");
            return Err(problem(StatusCode::BAD_REQUEST, text));
        }
        let body =
            net::read_body(body, limit).await.map_err(|error| problem(error.status(), chain(&error)))?;
        net::decode_body(Some(encoding), body, limit).map_err(|error| {
            // Upstream answers an encoding that it does not know with 400.
            let status = match error.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
                other => other,
            };
            problem(status, chain(&error))
        })
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    telemetry::error_chain(error)
}

fn encoded(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = reply(status, body);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    reply
}

fn problem(status: StatusCode, message: String) -> Reply {
    encoded(status, Status { code: code::INVALID_ARGUMENT, message, retry_after: None }.encode())
}

fn refusal(failed: &Failed) -> Reply {
    let (number, message) = failed.status();
    let status = match number {
        code::INVALID_ARGUMENT => StatusCode::BAD_REQUEST,
        code::UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut reply = encoded(status, Status { code: number, message, retry_after: None }.encode());
    if let Failed::Refused(refused) = failed
        && let Some(after) = refused.retry_after()
    {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    reply
}
