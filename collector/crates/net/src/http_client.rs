//! `confighttp` of the OpenTelemetry Collector, client side.
//!
//! `endpoint` is a key of the component, because each has its own rules for it. Keys that only tune buffers
//! are accepted and have no effect; what would change the meaning of a request and is not supported is
//! refused by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use config::{Secret, Timeout, UrlText};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::compress::Encoding;

use crate::BuildError;
use crate::auth::{Auth, ExtraHeader, Value};
use crate::client::{Http2, Settings};
use crate::proxy::{Proxy, ProxyTarget};
use crate::tls_config::TlsClientConfig;

/// How requests of an exporter are made.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct HttpClientConfig {
    /// The proxy: `http`, `https` or `socks5`. Without one, `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` count.
    #[serde(skip_serializing_if = "UrlText::is_empty")]
    pub proxy_url: UrlText,
    /// TLS.
    pub tls: TlsClientConfig,
    /// Longest time for one request with its answer; zero means no bound. Each component has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// More headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// An authenticator among the extensions; not supported.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub auth: serde_json::Value,
    /// How bodies are compressed. Each component has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How hard.
    pub compression_params: CompressionParams,
    /// Accepted for compatibility, without effect.
    pub read_buffer_size: u64,
    /// Accepted for compatibility, without effect.
    pub write_buffer_size: u64,
    /// Accepted for compatibility, without effect: connections are bounded per host.
    pub max_idle_conns: u64,
    /// Connections kept open for each host; zero means `max_idle_conns`.
    pub max_idle_conns_per_host: u64,
    /// Most requests at the same time; zero means no bound.
    pub max_conns_per_host: u64,
    /// How long an unused connection is kept.
    pub idle_conn_timeout: Timeout,
    /// Close each connection after its answer.
    pub disable_keep_alives: bool,
    /// How long an HTTP/2 connection may be silent until it is tested; zero means it is not.
    pub http2_read_idle_timeout: Timeout,
    /// How long the answer to that test may take.
    pub http2_ping_timeout: Timeout,
    /// Speak HTTP/2 over TLS where the server offers it.
    pub force_attempt_http2: bool,
    /// Keep cookies; not supported.
    #[serde(skip_serializing_if = "Cookies::is_default")]
    pub cookies: Cookies,
    /// Extensions that see each request; not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<serde_json::Value>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            proxy_url: UrlText::default(),
            tls: TlsClientConfig::default(),
            timeout: None,
            headers: BTreeMap::new(),
            auth: serde_json::Value::Null,
            compression: None,
            compression_params: CompressionParams::default(),
            read_buffer_size: 0,
            write_buffer_size: 0,
            max_idle_conns: 100,
            max_idle_conns_per_host: 0,
            max_conns_per_host: 0,
            idle_conn_timeout: Timeout::from_secs(90),
            disable_keep_alives: false,
            http2_read_idle_timeout: Timeout::NONE,
            http2_ping_timeout: Timeout::NONE,
            force_attempt_http2: true,
            cookies: Cookies::default(),
            middlewares: Vec::new(),
        }
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Compression {
    /// Not at all.
    #[serde(rename = "none", alias = "")]
    None,
    /// gzip
    #[serde(rename = "gzip")]
    Gzip,
    /// Zstandard
    #[serde(rename = "zstd")]
    Zstd,
    /// The block format of snappy.
    #[serde(rename = "snappy")]
    Snappy,
    /// zlib
    #[serde(rename = "zlib")]
    Zlib,
    /// zlib by its other name.
    #[serde(rename = "deflate")]
    Deflate,
    /// The framed format of snappy; not supported.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// Not supported.
    #[serde(rename = "lz4")]
    Lz4,
}

impl Compression {
    /// What `wire` calls it; none for what is not supported.
    #[must_use]
    pub fn encoding(self) -> Option<Encoding> {
        match self {
            Self::None => Some(Encoding::Identity),
            Self::Gzip => Some(Encoding::Gzip),
            Self::Zstd => Some(Encoding::Zstd),
            Self::Snappy => Some(Encoding::Snappy),
            Self::Zlib | Self::Deflate => Some(Encoding::Zlib),
            Self::SnappyFramed | Self::Lz4 => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SnappyFramed => "x-snappy-framed",
            Self::Lz4 => "lz4",
            other => other.encoding().map_or("", Encoding::as_str),
        }
    }
}

/// How hard bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct CompressionParams {
    /// The level of the algorithm; zero means its default.
    pub level: i32,
}

/// Whether cookies are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Cookies {
    /// Keep them.
    pub enabled: bool,
}

impl Cookies {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl HttpClientConfig {
    /// What keeps a client from being built, as key and message.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> =
            self.tls.check().into_iter().map(|(key, message)| (format!("tls.{key}"), message)).collect();
        let mut add = |key: &str, message: &str| found.push((key.to_owned(), message.to_owned()));
        if !self.auth.is_null() {
            add("auth", "authenticators are not supported; put the credentials into `headers`");
        }
        if self.cookies.enabled {
            add("cookies", "cookies are not supported");
        }
        if !self.middlewares.is_empty() {
            add("middlewares", "middlewares are not supported");
        }
        if let Some(compression) = self.compression.filter(|compression| compression.encoding().is_none()) {
            let name = compression.as_str();
            add(
                "compression",
                &format!("`{name}` is not supported; use gzip, zstd, snappy, zlib, deflate or none"),
            );
        }
        for (name, value) in &self.headers {
            let is_usable =
                HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::try_from(value.expose()).is_ok();
            if !is_usable {
                add(
                    &format!("headers.{name}"),
                    "the name or the value has characters that no header can hold",
                );
            }
        }
        found
    }

    /// The level for the compressor, if one is named.
    #[must_use]
    pub fn compression_level(&self) -> Option<i32> {
        Some(self.compression_params.level).filter(|level| *level > 0)
    }

    pub(crate) fn settings(&self, http2: Http2) -> Result<Settings, BuildError> {
        if let Some((key, message)) = self.check().into_iter().next() {
            return Err(BuildError::new(key, message));
        }
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let unusable = |_| BuildError::new(format!("headers.{name}"), "cannot be the name of a header");
            let value = Value::Text(value.clone());
            let name = HeaderName::try_from(name.as_str()).map_err(unusable)?;
            headers.push(ExtraHeader { name, value, appends: false });
        }
        let patience = self.http2_ping_timeout.as_duration().unwrap_or(Duration::from_secs(15));
        let http2 = if self.force_attempt_http2 || http2 == Http2::Always { http2 } else { Http2::Never };
        Ok(Settings {
            auth: Auth::None,
            headers,
            tls: self.tls.source(Path::new(""))?,
            proxy: self.proxy()?,
            follow_redirects: true,
            follows_to_link_local: true,
            http2,
            timeout: self.timeout.and_then(Timeout::as_duration),
            idle_timeout: self.idle_conn_timeout.as_duration(),
            max_idle_per_host: self.max_idle_per_host(),
            files: None,
            max_requests: usize::try_from(self.max_conns_per_host).ok().filter(|n| *n > 0),
            ping: self.http2_read_idle_timeout.as_duration().map(|interval| (interval, patience)),
        })
    }

    fn max_idle_per_host(&self) -> usize {
        let most = [self.max_idle_conns_per_host, self.max_idle_conns].into_iter().find(|most| *most > 0);
        match most {
            _ if self.disable_keep_alives => 0,
            Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
            None => usize::MAX,
        }
    }

    fn proxy(&self) -> Result<Proxy, BuildError> {
        if self.proxy_url.is_empty() {
            let proxy = Proxy::from_environment(|name| std::env::var(name).ok(), &HeaderMap::new());
            return proxy.map_err(|message| BuildError::new("proxy_url", message));
        }
        let target = ProxyTarget::parse(self.proxy_url.as_str(), HeaderMap::new());
        Ok(Proxy::fixed(target.map_err(|message| BuildError::new("proxy_url", message))?, None))
    }
}

#[cfg(test)]
mod tests;
