//! The HTTP client block of Prometheus: the same keys on scrape jobs, service discovery and remote write.
//!
//! As `common/config/http_config.go` of Prometheus: names, defaults, which keys exclude each other, and how
//! the block is printed again (secrets as `<secret>`, defaults left out, `bearer_token` as `authorization`).
//! Flatten it into the section that has it:
//!
//! ```yaml
//! authorization: {credentials_file: /var/run/secrets/token}
//! tls_config: {ca_file: /etc/ca.pem, server_name: metrics.example}
//! proxy_url: http://proxy:3128
//! no_proxy: 10.0.0.0/8
//! follow_redirects: false
//! http_headers: {X-Tenant: {values: [team-a]}}
//! ```

mod build;
mod mentioned;
mod rules;

pub(crate) use build::Surroundings;

use std::collections::BTreeMap;

use config::{HttpUrl, Secret, UrlText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// How requests are made.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct PrometheusClientConfig {
    /// User and password.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub authorization: Option<Authorization>,
    /// A token from an OAuth 2.0 server.
    #[serde(default)]
    pub oauth2: Option<OAuth2>,
    /// Old form of `authorization.credentials`.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub bearer_token: Option<Secret>,
    /// Old form of `authorization.credentials_file`.
    #[serde(default)]
    pub bearer_token_file: String,
    /// TLS.
    #[serde(default)]
    pub tls_config: PrometheusTlsConfig,
    /// Go where a 3xx answer points to. Credentials are not sent to another host.
    #[serde(default = "config::on")]
    pub follow_redirects: bool,
    /// Follow redirects to link-local addresses (169.254.0.0/16, fe80::/10) of another host too. Not known to
    /// Prometheus, which follows them: they are where clouds hand out the credentials of machines.
    #[serde(default)]
    pub follow_link_local_redirects: bool,
    /// Speak HTTP/2 over TLS where the server offers it.
    #[serde(default = "config::on")]
    pub enable_http2: bool,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// More headers.
    #[serde(default)]
    pub http_headers: BTreeMap<String, HttpHeader>,
}

/// User and password, each in one form.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BasicAuth {
    /// User.
    pub username: String,
    /// File with the user, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username_ref: String,
    /// Password.
    #[serde(skip_serializing_if = "is_unset")]
    pub password: Option<Secret>,
    /// File with the password, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password_ref: String,
}

/// The `Authorization` header: a word and credentials.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Authorization {
    /// The word before the credentials; `Bearer` when empty.
    #[serde(rename = "type", serialize_with = "or_bearer")]
    pub kind: String,
    /// Credentials.
    #[serde(skip_serializing_if = "is_unset")]
    pub credentials: Option<Secret>,
    /// File with the credentials, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credentials_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credentials_ref: String,
}

/// Where tokens come from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OAuth2 {
    /// Who asks.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub client_id: String,
    /// Password of who asks.
    #[serde(default, skip_serializing_if = "is_unset")]
    #[schemars(extend("x-scalars" = "text"))]
    pub client_secret: Option<Secret>,
    /// File with that password.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_secret_file: String,
    /// Name in a secret store; not supported.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_secret_ref: String,
    /// `client_credentials`, which empty means too, or `urn:ietf:params:oauth:grant-type:jwt-bearer`: a signed
    /// assertion.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub grant_type: String,
    /// Key that signs the assertion: RSA of at least 2048 bits, PKCS#8 or PKCS#1, as PEM.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub client_certificate_key: Option<Secret>,
    /// File with that key, read for each request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_file: String,
    /// Name in a secret store; not supported.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_ref: String,
    /// The name of the key that the token server knows (`kid`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_id: String,
    /// How the assertion is signed: `RS256`, which empty means too, `RS384` or `RS512`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signature_algorithm: String,
    /// Who issues the assertion (`iss`); `client_id` when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub iss: String,
    /// Whom it is for (`aud`); `token_url` when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub audience: String,
    /// More claims of the assertion; they win over all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// What the token should be good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub scopes: Vec<String>,
    /// Where to ask. A password in it is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<HttpUrl>,
    /// More parameters of the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    #[serde(default, skip_serializing_if = "PrometheusTlsConfig::is_default")]
    pub tls_config: PrometheusTlsConfig,
    /// Proxy towards the token server.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// TLS of a client.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PrometheusTlsConfig {
    /// Authorities that may sign the server's certificate, as PEM; without any the system's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// File with them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_ref: String,
    /// Our certificate, as PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert: String,
    /// File with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_ref: String,
    /// Key of our certificate, as PEM.
    #[serde(skip_serializing_if = "is_unset")]
    pub key: Option<Secret>,
    /// File with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_file: String,
    /// Name in a secret store; not supported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_ref: String,
    /// The name to ask the server for and to find in its certificate, instead of the host of the URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Lowest version: `TLS12` or `TLS13`. Older ones are not spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<PrometheusTlsVersion>,
    /// Highest version: `TLS12` or `TLS13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<PrometheusTlsVersion>,
}

impl PrometheusTlsConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A version as Prometheus writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum PrometheusTlsVersion {
    /// TLS 1.0
    #[serde(rename = "TLS10")]
    Tls10,
    /// TLS 1.1
    #[serde(rename = "TLS11")]
    Tls11,
    /// TLS 1.2
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "TLS13")]
    Tls13,
}

impl std::fmt::Debug for PrometheusTlsVersion {
    /// As in configurations.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// Through which proxy requests go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ProxyConfig {
    /// The proxy: `http`, `https` or `socks5`.
    #[serde(skip_serializing_if = "UrlText::is_empty")]
    pub proxy_url: UrlText,
    /// What is reached directly: names, addresses, networks, separated by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// Take `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` instead.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_from_environment: bool,
    /// Headers for the proxy, sent when a tunnel is asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// Values of one header. All of them are sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-scalars" = "text"))]
pub struct HttpHeader {
    /// Values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values that are not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files with values, read for each request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Default for PrometheusClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: String::new(),
            tls_config: PrometheusTlsConfig::default(),
            follow_redirects: true,
            follow_link_local_redirects: false,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            http_headers: BTreeMap::new(),
        }
    }
}

impl PrometheusClientConfig {
    /// `authorization`, or what the old keys say in its form.
    fn authorization(&self) -> Option<Authorization> {
        let kind = "Bearer".to_owned();
        if self.authorization.is_some() {
            self.authorization.clone()
        } else if !self.bearer_token_file.is_empty() {
            let credentials_file = self.bearer_token_file.clone();
            Some(Authorization { kind, credentials_file, ..Authorization::default() })
        } else if !is_unset(&self.bearer_token) {
            Some(Authorization { kind, credentials: self.bearer_token.clone(), ..Authorization::default() })
        } else {
            None
        }
    }
}

/// What is printed, in the form and order of Prometheus.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<&'a BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<&'a OAuth2>,
    #[serde(skip_serializing_if = "PrometheusTlsConfig::is_default")]
    tls_config: &'a PrometheusTlsConfig,
    follow_redirects: bool,
    #[serde(skip_serializing_if = "is_false")]
    follow_link_local_redirects: bool,
    enable_http2: bool,
    #[serde(flatten)]
    proxy: &'a ProxyConfig,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    http_headers: &'a BTreeMap<String, HttpHeader>,
}

impl Serialize for PrometheusClientConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let printed = Printed {
            basic_auth: self.basic_auth.as_ref(),
            authorization: self.authorization(),
            oauth2: self.oauth2.as_ref(),
            tls_config: &self.tls_config,
            follow_redirects: self.follow_redirects,
            follow_link_local_redirects: self.follow_link_local_redirects,
            enable_http2: self.enable_http2,
            proxy: &self.proxy,
            http_headers: &self.http_headers,
        };
        printed.serialize(serializer)
    }
}

fn or_bearer<S: Serializer>(kind: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let kind = kind.trim();
    serializer.serialize_str(if kind.is_empty() { "Bearer" } else { kind })
}

fn is_unset(secret: &Option<Secret>) -> bool {
    secret.as_ref().is_none_or(Secret::is_empty)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
