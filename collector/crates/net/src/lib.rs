//! HTTP clients and servers: TLS, authentication, proxies, limits on everything that comes in.
//!
//! Two families of configuration meet here, and each is read as its owner reads it: the client block of
//! Prometheus ([`PrometheusClientConfig`], `common/config/http_config.go`) and `confighttp` with `configtls`
//! of the OpenTelemetry Collector ([`HttpClientConfig`], [`HttpServerConfig`]). Both build the same
//! [`Client`]. What upstream can do and this crate cannot is refused by the name of its key, never ignored.
//!
//! Bodies come and go as bytes; nothing is decompressed behind the caller's back. Every body has a limit,
//! every request a timeout, every server a bound on connections. TLS is rustls with ring, given explicitly to
//! each client and server, so that it does not matter what else in the process chose a provider.

mod assertion;
mod auth;
mod body;
mod client;
mod client_options;
mod connect;
mod error;
mod file;
mod files;
mod http_client;
mod http_server;
mod listener;
mod oauth2;
mod prometheus;
mod proxy;
mod serve;
mod tls;
mod tls_config;
mod tls_server;

#[cfg(test)]
mod testing;

pub use body::{Body, BodyError, DecodeBody, decode_body, read_body};
pub use client::{Client, Destination, Request, Response};
pub use client_options::{ClientOptions, Credentials, Route};
pub use error::{BoxError, BuildError, NetError, Phase};
pub use http_client::{Compression, CompressionParams, Cookies, HttpClientConfig};
pub use http_server::HttpServerConfig;
pub use listener::{BindError, Listener};
pub use prometheus::{
    Authorization, BasicAuth, HttpHeader, OAuth2, PrometheusClientConfig, PrometheusTlsConfig,
    PrometheusTlsVersion, ProxyConfig,
};
pub use serve::{Again, Answer, Peer, Received, Reply, ServeOptions, Served, answer, reply};
pub use tls_config::{TlsClientConfig, TlsServerConfig, TlsVersion};
pub use tls_server::ServerTls;
