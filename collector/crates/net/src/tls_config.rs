//! `configtls`: the TLS settings of the OpenTelemetry Collector's clients and servers.
//!
//! Certificate files are read again whenever they change, so `reload_interval` is accepted and has no effect.
//! Choosing cipher suites or curves and keys in a TPM are refused by name: rustls offers safe ones only.

use std::path::Path;

use config::{Secret, Timeout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BuildError;
use crate::tls::{Material, TlsSource, Version, server_name, versions};

/// TLS of a client.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TlsClientConfig {
    /// No TLS where the scheme of the endpoint does not ask for it.
    pub insecure: bool,
    /// Accept any certificate of the server.
    pub insecure_skip_verify: bool,
    /// The name the server's certificate must have, instead of the host of the endpoint.
    pub server_name_override: String,
    /// File with the authorities that may sign the server's certificate; without it the system's.
    pub ca_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<Secret>,
    /// File with our certificate.
    pub cert_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_pem: Option<Secret>,
    /// File with the key of our certificate.
    pub key_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<Secret>,
    /// Trust the system's authorities beside those given.
    pub include_system_ca_certs_pool: bool,
    /// Lowest version: `1.2` or `1.3`; lower ones mean `1.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Highest version: `1.2` or `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
    /// Accepted for compatibility: changed files are noticed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_interval: Option<Timeout>,
    /// Not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Not supported.
    pub include_insecure_cipher_suites: bool,
    /// Not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Not supported.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub tpm: serde_json::Value,
}

/// TLS of a server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TlsServerConfig {
    /// File with our certificate, and the chain up to the authority.
    pub cert_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_pem: Option<Secret>,
    /// File with the key of our certificate.
    pub key_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<Secret>,
    /// File with the authorities of clients. With it every client must show a certificate that one of them
    /// signed.
    pub client_ca_file: String,
    /// Accepted for compatibility: changed files are noticed at once.
    pub client_ca_file_reload: bool,
    /// Authorities for connections that the same section opens; without effect in a server.
    pub ca_file: String,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<Secret>,
    /// Without effect in a server.
    pub include_system_ca_certs_pool: bool,
    /// Lowest version: `1.2` or `1.3`; lower ones mean `1.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Highest version: `1.2` or `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
    /// Accepted for compatibility: changed files are noticed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_interval: Option<Timeout>,
    /// Not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Not supported.
    pub include_insecure_cipher_suites: bool,
    /// Not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Not supported.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub tpm: serde_json::Value,
}

impl TlsClientConfig {
    /// What cannot work, as key and message; keys are relative to the TLS section.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut problems = Problems::default();
        problems.either("ca_file", &self.ca_file, "ca_pem", self.ca_pem.as_ref());
        problems.either("cert_file", &self.cert_file, "cert_pem", self.cert_pem.as_ref());
        problems.either("key_file", &self.key_file, "key_pem", self.key_pem.as_ref());
        let has_cert = !self.cert_file.is_empty() || is_set(self.cert_pem.as_ref());
        let has_key = !self.key_file.is_empty() || is_set(self.key_pem.as_ref());
        problems.pair(has_cert, has_key);
        problems.versions(self.min_version, self.max_version);
        problems.unsupported(&self.cipher_suites, &self.curve_preferences, &self.tpm);
        if !self.server_name_override.is_empty() && server_name(&self.server_name_override).is_err() {
            problems.add("server_name_override", "not a host name or an IP address");
        }
        problems.found
    }

    pub(crate) fn source(&self, base_dir: &Path) -> Result<TlsSource, BuildError> {
        if let Some((key, message)) = self.check().into_iter().next() {
            return Err(BuildError::new(format!("tls.{key}"), message));
        }
        let find = |text: (&str, Option<&Secret>), file: (&str, &str)| {
            Material::find((text.0, text.1.map(Secret::expose)), (file.0, Some(file.1)), "tls", base_dir)
        };
        let wanted_name = Some(self.server_name_override.as_str()).filter(|name| !name.is_empty());
        Ok(TlsSource {
            ca: find(("ca_pem", self.ca_pem.as_ref()), ("ca_file", &self.ca_file)),
            with_system_roots: self.include_system_ca_certs_pool,
            cert: find(("cert_pem", self.cert_pem.as_ref()), ("cert_file", &self.cert_file)),
            key: find(("key_pem", self.key_pem.as_ref()), ("key_file", &self.key_file)),
            server_name: wanted_name
                .map(server_name)
                .transpose()
                .map_err(|message| BuildError::new("tls.server_name_override", message))?,
            verifies: !self.insecure_skip_verify,
            versions: wanted_versions(self.min_version, self.max_version)
                .map_err(|message| BuildError::new("tls.max_version", message))?,
        })
    }
}

impl TlsServerConfig {
    /// What cannot work, as key and message; keys are relative to the TLS section.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut problems = Problems::default();
        problems.either("cert_file", &self.cert_file, "cert_pem", self.cert_pem.as_ref());
        problems.either("key_file", &self.key_file, "key_pem", self.key_pem.as_ref());
        let has_cert = !self.cert_file.is_empty() || is_set(self.cert_pem.as_ref());
        let has_key = !self.key_file.is_empty() || is_set(self.key_pem.as_ref());
        problems.pair(has_cert, has_key);
        if !has_cert && !has_key {
            problems.add("cert_file", "a server with TLS needs `cert_file` or `cert_pem`, and a key");
        }
        problems.versions(self.min_version, self.max_version);
        problems.unsupported(&self.cipher_suites, &self.curve_preferences, &self.tpm);
        problems.found
    }
}

/// A version as `configtls` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// What the library thinks best.
    #[serde(rename = "")]
    Unset,
    /// TLS 1.0
    #[serde(rename = "1.0")]
    Tls10,
    /// TLS 1.1
    #[serde(rename = "1.1")]
    Tls11,
    /// TLS 1.2
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersion {
    fn version(self) -> Option<Version> {
        match self {
            Self::Unset => None,
            Self::Tls10 => Some(Version::Tls10),
            Self::Tls11 => Some(Version::Tls11),
            Self::Tls12 => Some(Version::Tls12),
            Self::Tls13 => Some(Version::Tls13),
        }
    }
}

pub(crate) fn wanted_versions(
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, &'static str> {
    versions(min.and_then(TlsVersion::version), max.and_then(TlsVersion::version))
}

fn is_set(secret: Option<&Secret>) -> bool {
    secret.is_some_and(|secret| !secret.expose().is_empty())
}

/// Collects what is wrong with a section.
#[derive(Default)]
struct Problems {
    found: Vec<(String, String)>,
}

impl Problems {
    fn add(&mut self, key: &str, message: impl Into<String>) {
        self.found.push((key.to_owned(), message.into()));
    }

    fn either(&mut self, file_key: &str, file: &str, text_key: &str, text: Option<&Secret>) {
        if !file.is_empty() && is_set(text) {
            self.add(file_key, format!("give `{file_key}` or `{text_key}`, not both"));
        }
    }

    fn pair(&mut self, has_cert: bool, has_key: bool) {
        match (has_cert, has_key) {
            (true, false) => {
                self.add("key_file", "a certificate needs its key: give `key_file` or `key_pem` too")
            }
            (false, true) => {
                self.add("cert_file", "a key needs its certificate: give `cert_file` or `cert_pem` too")
            }
            _ => {}
        }
    }

    fn versions(&mut self, min: Option<TlsVersion>, max: Option<TlsVersion>) {
        if let Err(message) = wanted_versions(min, max) {
            self.add("max_version", message);
        }
    }

    fn unsupported(&mut self, cipher_suites: &[String], curves: &[String], tpm: &serde_json::Value) {
        if !cipher_suites.is_empty() {
            self.add(
                "cipher_suites",
                "cipher suites cannot be chosen; only safe ones are offered. Remove the key",
            );
        }
        if !curves.is_empty() {
            self.add(
                "curve_preferences",
                "curves cannot be chosen; only safe ones are offered. Remove the key",
            );
        }
        let is_on = tpm.get("enabled").and_then(serde_json::Value::as_bool).unwrap_or(!tpm.is_null());
        if is_on {
            self.add("tpm", "keys in a TPM are not supported");
        }
    }
}
