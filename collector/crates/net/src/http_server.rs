//! `confighttp` of the OpenTelemetry Collector, server side.
//!
//! `max_request_body_size` bounds a body as it comes and again after decompression. `write_timeout` bounds
//! how long a client may leave an answer unread, where upstream bounds the whole answer. CORS,
//! authenticators, middlewares and Unix sockets are refused by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use config::{HostPort, Secret, Timeout};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BuildError;
use crate::serve::ServeOptions;
use crate::tls_config::TlsServerConfig;
use crate::tls_server::ServerTls;

/// Largest body when `max_request_body_size` is zero, as upstream.
const DEFAULT_BODY_BYTES: u64 = 20 << 20;

/// How a receiver or extension listens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct HttpServerConfig {
    /// Where to listen, as `host:port`. Each component has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HostPort>,
    /// `tcp`; nothing else is supported.
    pub transport: String,
    /// TLS; without it plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsServerConfig>,
    /// An authenticator among the extensions; not supported.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub auth: serde_json::Value,
    /// Which pages of other origins may ask; not supported.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub cors: serde_json::Value,
    /// Largest body in bytes, before and after decompression; zero means 20 MiB.
    pub max_request_body_size: u64,
    /// Pass the headers of requests on with the data.
    pub include_metadata: bool,
    /// Headers of every answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_headers: BTreeMap<String, Secret>,
    /// Encodings of bodies that are taken; empty means all that are supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compression_algorithms: Vec<String>,
    /// Time for a whole request; zero means no bound.
    pub read_timeout: Timeout,
    /// Time for the head of a request; zero means no bound.
    pub read_header_timeout: Timeout,
    /// How long a client may leave an answer unread; zero means no bound.
    pub write_timeout: Timeout,
    /// How long an unused connection is kept, if that is shorter than `read_header_timeout`; zero means no
    /// bound.
    pub idle_timeout: Timeout,
    /// Keep connections open after an answer.
    pub keep_alives_enabled: bool,
    /// Extensions that see each request; not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<serde_json::Value>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            transport: "tcp".to_owned(),
            tls: None,
            auth: serde_json::Value::Null,
            cors: serde_json::Value::Null,
            max_request_body_size: DEFAULT_BODY_BYTES,
            include_metadata: false,
            response_headers: BTreeMap::new(),
            compression_algorithms: Vec::new(),
            read_timeout: Timeout::NONE,
            read_header_timeout: Timeout::from_secs(60),
            write_timeout: Timeout::from_secs(30),
            idle_timeout: Timeout::from_secs(60),
            keep_alives_enabled: true,
            middlewares: Vec::new(),
        }
    }
}

impl HttpServerConfig {
    /// What keeps a server from starting, as key and message.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let tls = self.tls.iter().flat_map(TlsServerConfig::check);
        let mut found: Vec<_> = tls.map(|(key, message)| (format!("tls.{key}"), message)).collect();
        let mut add = |key: &str, message: String| found.push((key.to_owned(), message));
        if !matches!(self.transport.as_str(), "" | "tcp") {
            add("transport", format!("`{}` is not supported; only `tcp` is", self.transport));
        }
        if !self.auth.is_null() {
            add(
                "auth",
                "authenticators are not supported; require client certificates with `tls.client_ca_file`"
                    .into(),
            );
        }
        if !self.cors.is_null() {
            add("cors", "requests from pages of other origins are not supported".into());
        }
        if !self.middlewares.is_empty() {
            add("middlewares", "middlewares are not supported".into());
        }
        for (name, value) in &self.response_headers {
            if !is_header(name, value) {
                add(&format!("response_headers.{name}"), "has characters that no header can hold".into());
            }
        }
        found
    }

    /// Largest body, before and after decompression.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        let bytes =
            if self.max_request_body_size == 0 { DEFAULT_BODY_BYTES } else { self.max_request_body_size };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Whether a body with this `Content-Encoding` is taken, as far as `compression_algorithms` decides that.
    /// A body without encoding is named by the empty word.
    #[must_use]
    pub fn takes_encoding(&self, content_encoding: &str) -> bool {
        self.compression_algorithms.is_empty()
            || self.compression_algorithms.iter().any(|name| name == content_encoding)
    }

    /// The bounds for [`crate::Listener::serve`]. Reads the certificates.
    ///
    /// # Errors
    /// When something is asked for that is not supported, or when certificates are missing or unusable.
    pub fn options(&self) -> Result<ServeOptions, BuildError> {
        if let Some((key, message)) = self.check().into_iter().next() {
            return Err(BuildError::new(key, message));
        }
        let tls = self.tls.as_ref().map(|tls| ServerTls::build(tls, Path::new(""))).transpose()?;
        let mut response_headers = HeaderMap::new();
        for (name, value) in &self.response_headers {
            let unusable =
                || BuildError::new(format!("response_headers.{name}"), "cannot be sent as a header");
            let value = HeaderValue::try_from(value.expose()).map_err(|_| unusable())?;
            response_headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| unusable())?, value);
        }
        let waits = [self.read_header_timeout.as_duration(), self.idle_timeout.as_duration()];
        Ok(ServeOptions {
            tls: tls.map(Arc::new),
            read_header_timeout: waits.into_iter().flatten().min(),
            read_timeout: self.read_timeout.as_duration(),
            write_timeout: self.write_timeout.as_duration(),
            keep_alive: self.keep_alives_enabled,
            response_headers,
            ..ServeOptions::default()
        })
    }
}

fn is_header(name: &str, value: &Secret) -> bool {
    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value.expose()).is_ok()
}

#[cfg(test)]
mod tests;
