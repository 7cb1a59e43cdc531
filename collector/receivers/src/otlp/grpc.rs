//! OTLP/gRPC: unary calls by hand, so that messages stay bytes.
//!
//! A call is a POST whose body is one frame (a flag, a length, a message) and whose outcome stands in trailers
//! ("gRPC over HTTP2", PROTOCOL-HTTP2).

use std::path::Path;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use config::{HostPort, Problem};
use model::Signal;
use net::{
    Body, BodyError, BuildError, DecodeBody, Received, Reply, ServeOptions, ServerTls, TlsServerConfig, reply,
};
use pipeline::Outlets;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::compress::{DecompressError, Encoding};
use wire::otlp::{PartialSuccess, export_response};

use super::export::{code, export};

/// Largest message where `max_recv_msg_size_mib` is zero, as upstream.
const DEFAULT_MESSAGE_MIB: usize = 4;

/// Flag and length in front of a message.
const FRAME_HEAD_BYTES: usize = 5;

/// What clients are told about `grpc-encoding`. What gRPC calls `snappy` is the framed format, so it is not among them.
const ACCEPTED_ENCODINGS: &str = "identity,gzip,deflate,zstd";

/// `protocols.grpc`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Where to listen; `localhost:4317` where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HostPort>,
    /// `tcp`; nothing else is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// TLS; without it plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsServerConfig>,
    /// Largest message in MiB, before and after decompression; 0 means 4.
    pub max_recv_msg_size_mib: usize,
    /// Calls at the same time on one connection; 0 means 200.
    pub max_concurrent_streams: u32,
    /// Accepted for compatibility, without effect.
    pub read_buffer_size: u64,
    /// Accepted for compatibility, without effect.
    pub write_buffer_size: u64,
    /// Accepted for compatibility: idle connections are tested every minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<serde_json::Value>,
    /// An authenticator among the extensions; not built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<serde_json::Value>,
    /// Accepted for compatibility: client metadata is not passed on yet.
    pub include_metadata: bool,
    /// Extensions that see each call; not built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<serde_json::Value>,
}

impl Config {
    pub(super) fn check(&self) -> Vec<Problem> {
        let tls = self.tls.iter().flat_map(TlsServerConfig::check);
        let mut problems: Vec<Problem> =
            tls.map(|(key, message)| Problem::at(format!("tls::{key}"), message)).collect();
        if let Some(transport) = self.transport.as_ref().filter(|transport| *transport != "tcp") {
            problems.push(Problem::at("transport", format!("`{transport}` is not built in; only `tcp` is")));
        }
        if self.auth.is_some() {
            problems.push(Problem::at(
                "auth",
                "authenticators are not built in; require client certificates with tls",
            ));
        }
        if !self.middlewares.is_empty() {
            problems.push(Problem::at("middlewares", "middlewares are not built in"));
        }
        problems
    }

    pub(super) fn endpoint(&self) -> String {
        self.endpoint.as_ref().map_or_else(|| "localhost:4317".to_owned(), ToString::to_string)
    }

    pub(super) fn options(&self) -> Result<ServeOptions, BuildError> {
        let tls = self.tls.as_ref().map(|tls| ServerTls::build(tls, Path::new(""))).transpose()?;
        let defaults = ServeOptions::default();
        let streams = if self.max_concurrent_streams == 0 {
            defaults.max_concurrent_streams
        } else {
            self.max_concurrent_streams
        };
        Ok(ServeOptions {
            tls: tls.map(Arc::new),
            max_concurrent_streams: streams,
            write_timeout: None,
            ..defaults
        })
    }

    fn message_limit(&self) -> usize {
        let mib =
            if self.max_recv_msg_size_mib == 0 { DEFAULT_MESSAGE_MIB } else { self.max_recv_msg_size_mib };
        mib.saturating_mul(1 << 20)
    }
}

/// What answers calls.
#[derive(Clone, Debug)]
pub(super) struct Service {
    limit: usize,
    out: Outlets,
}

/// An outcome that is not OK: code and message.
type Outcome = Result<(), (i32, String)>;

impl Service {
    pub(super) fn new(config: &Config, out: Outlets) -> Self {
        Self { limit: config.message_limit(), out }
    }

    pub(super) async fn answer(self, request: Received) -> Reply {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_grpc) {
            return reply(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "this port speaks gRPC; OTLP over HTTP is served at another one\n",
            );
        }
        trailed(&self.call(request).await)
    }

    async fn call(&self, request: Received) -> Outcome {
        let path = request.uri().path().to_owned();
        let signal = match path.as_str() {
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
            _ => return Err((code::UNIMPLEMENTED, format!("unknown method {path}"))),
        };
        if !self.out.wants(signal) {
            return Err((code::UNIMPLEMENTED, format!("no pipeline takes {signal} from this receiver")));
        }
        let (head, body) = request.into_parts();
        let encoding =
            head.headers.get("grpc-encoding").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let framed =
            net::read_body(body, self.limit.saturating_add(FRAME_HEAD_BYTES)).await.map_err(|error| {
                match error {
                    BodyError::TooLarge { .. } => self.too_large(),
                    other => (code::INTERNAL, telemetry::error_chain(&other)),
                }
            })?;
        let message = self.message(&framed, encoding.as_deref())?;
        export(signal, &message, &self.out).await.map_err(|failed| failed.status())
    }

    /// The one message of a unary call, decompressed.
    fn message(&self, framed: &Bytes, encoding: Option<&str>) -> Result<Bytes, (i32, String)> {
        let broken = |what: &str| (code::INTERNAL, format!("broken gRPC frame: {what}"));
        let head = framed.get(..FRAME_HEAD_BYTES).ok_or_else(|| broken("no head"))?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if framed.len() != FRAME_HEAD_BYTES + length {
            return Err(broken("its length is not that of the body"));
        }
        let message = framed.slice(FRAME_HEAD_BYTES..);
        match head[0] {
            0 => return Ok(message),
            1 => {}
            flag => return Err(broken(&format!("unknown flag {flag}"))),
        }
        let Some(encoding) = encoding.filter(|name| Encoding::parse(name) != Some(Encoding::Identity)) else {
            return Err(broken("its message is compressed, and grpc-encoding does not say how"));
        };
        net::decode_body(Some(encoding), message, self.limit).map_err(|error| match error {
            DecodeBody::TooLarge(DecompressError::MaxBytes { .. }) => self.too_large(),
            DecodeBody::TooLarge(ratio) => (code::RESOURCE_EXHAUSTED, ratio.to_string()),
            DecodeBody::Unknown { name } => {
                (code::UNIMPLEMENTED, format!("grpc-encoding {name:?} is not supported"))
            }
            broken @ DecodeBody::Broken(_) => (code::INTERNAL, telemetry::error_chain(&broken)),
        })
    }

    fn too_large(&self) -> (i32, String) {
        let mib = self.limit >> 20;
        (code::RESOURCE_EXHAUSTED, format!("message is larger than max_recv_msg_size_mib ({mib})"))
    }
}

/// `application/grpc`, perhaps with a suffix or parameters; `application/grpc-web` is another protocol.
fn is_grpc(content_type: &str) -> bool {
    let rest = content_type.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The answer with its outcome in the trailers. A message that is no header value is percent-encoded, as gRPC asks.
fn trailed(outcome: &Outcome) -> Reply {
    let mut trailers = HeaderMap::new();
    let data = match outcome {
        Ok(()) => {
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let response = export_response(&PartialSuccess::default());
            let length = u32::try_from(response.len()).expect("an empty answer is short");
            [&[0][..], &length.to_be_bytes(), &response].concat()
        }
        Err((number, message)) => {
            trailers.insert("grpc-status", HeaderValue::from(*number));
            trailers.insert("grpc-message", percent_encoded(message));
            Vec::new()
        }
    };
    let mut reply = Reply::new(Body::with_trailers(data, trailers));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED_ENCODINGS));
    reply
}

fn percent_encoded(message: &str) -> HeaderValue {
    let encode = |byte: u8| match byte {
        b'%' => "%25".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let text: String = message.bytes().map(encode).collect();
    HeaderValue::from_str(&text).expect("only printable ASCII is left")
}
