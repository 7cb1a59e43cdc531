//! Which keys exclude each other, and which are known but do not work here.

use http::{HeaderMap, HeaderName, HeaderValue};

mod oauth2;

use super::{Authorization, BasicAuth, PrometheusClientConfig, PrometheusTlsConfig, PrometheusTlsVersion};
use super::{ProxyConfig, is_unset};
use crate::proxy::ProxyTarget;
use crate::tls::{Version, server_name, versions};

/// Headers that the client itself sets, as Prometheus lists them; the last three are of request signing.
const RESERVED: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Key and message.
type Found = Vec<(String, String)>;

impl PrometheusClientConfig {
    /// Everything that keeps a client from being built: [`Self::check_rules`] and [`Self::check_support`].
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = self.check_rules();
        found.extend(self.check_support());
        found
    }

    /// What Prometheus itself refuses, as key and message.
    #[must_use]
    pub fn check_rules(&self) -> Vec<(String, String)> {
        let mut found = Found::new();
        self.ways_to_log_in(&mut found);
        if let Some(basic_auth) = &self.basic_auth {
            basic_auth.check(&mut found);
        }
        if let Some(authorization) = &self.authorization {
            authorization.check(&mut found);
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check(&mut found);
        }
        self.tls_config.check("tls_config", &mut found);
        self.proxy.check("", &mut found);
        self.check_headers(&mut found);
        found
    }

    /// What Prometheus can do and this program cannot, as key and message.
    #[must_use]
    pub fn check_support(&self) -> Vec<(String, String)> {
        let mut refs = Vec::new();
        let mut found = Found::new();
        if let Some(basic_auth) = &self.basic_auth {
            refs.push(("basic_auth.username_ref".to_owned(), &basic_auth.username_ref));
            refs.push(("basic_auth.password_ref".to_owned(), &basic_auth.password_ref));
        }
        if let Some(authorization) = &self.authorization {
            refs.push(("authorization.credentials_ref".to_owned(), &authorization.credentials_ref));
        }
        self.tls_config.refs("tls_config", &mut refs);
        self.tls_config.check_support("tls_config", &mut found);
        if let Some(oauth2) = &self.oauth2 {
            refs.push(("oauth2.client_secret_ref".to_owned(), &oauth2.client_secret_ref));
            refs.push(("oauth2.client_certificate_key_ref".to_owned(), &oauth2.client_certificate_key_ref));
            oauth2.tls_config.refs("oauth2.tls_config", &mut refs);
            oauth2.tls_config.check_support("oauth2.tls_config", &mut found);
            oauth2.check_support(&mut found);
        }
        for (key, name) in refs {
            if !name.is_empty() {
                found.push((key, "secret stores are not supported; give the value or a file".to_owned()));
            }
        }
        found
    }

    fn ways_to_log_in(&self, found: &mut Found) {
        let has_token = !is_unset(&self.bearer_token);
        let has_token_file = !self.bearer_token_file.is_empty();
        let ways = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("bearer_token", has_token),
            ("bearer_token_file", has_token_file),
        ];
        let given: Vec<_> = ways.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key).collect();
        if let [_, second, ..] = given.as_slice() {
            let message =
                format!("only one way to log in can be used, but there are {}", given.join(" and "));
            found.push(((*second).to_owned(), message));
        }
    }

    fn check_headers(&self, found: &mut Found) {
        for (name, header) in &self.http_headers {
            let key = format!("http_headers.{name}");
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                found.push((key, format!("setting header `{name}` is not allowed")));
                continue;
            }
            if HeaderName::try_from(name.as_str()).is_err() {
                found.push((key, format!("`{name}` cannot be the name of a header")));
                continue;
            }
            let secrets = header.secrets.iter().map(config::Secret::expose);
            let mut values = header.values.iter().map(String::as_str).chain(secrets);
            if values.any(|value| HeaderValue::try_from(value).is_err()) {
                found.push((key, "a value has characters that no header can hold".to_owned()));
            }
        }
    }
}

impl BasicAuth {
    fn check(&self, found: &mut Found) {
        let users =
            [!self.username.is_empty(), !self.username_file.is_empty(), !self.username_ref.is_empty()];
        at_most_one("basic_auth", ["username", "username_file", "username_ref"], users, found);
        let passwords =
            [!is_unset(&self.password), !self.password_file.is_empty(), !self.password_ref.is_empty()];
        at_most_one("basic_auth", ["password", "password_file", "password_ref"], passwords, found);
    }
}

impl Authorization {
    fn check(&self, found: &mut Found) {
        let given = [
            !is_unset(&self.credentials),
            !self.credentials_file.is_empty(),
            !self.credentials_ref.is_empty(),
        ];
        at_most_one("authorization", ["credentials", "credentials_file", "credentials_ref"], given, found);
        if self.kind.trim().eq_ignore_ascii_case("basic") {
            let message = "cannot be `basic`; use `basic_auth` instead";
            found.push(("authorization.type".to_owned(), message.to_owned()));
        }
    }
}

impl PrometheusTlsConfig {
    fn check(&self, prefix: &str, found: &mut Found) {
        let has_ca = [!self.ca.is_empty(), !self.ca_file.is_empty(), !self.ca_ref.is_empty()];
        at_most_one(prefix, ["ca", "ca_file", "ca_ref"], has_ca, found);
        let has_cert = [!self.cert.is_empty(), !self.cert_file.is_empty(), !self.cert_ref.is_empty()];
        at_most_one(prefix, ["cert", "cert_file", "cert_ref"], has_cert, found);
        let has_key = [!is_unset(&self.key), !self.key_file.is_empty(), !self.key_ref.is_empty()];
        at_most_one(prefix, ["key", "key_file", "key_ref"], has_key, found);
        match (has_cert.contains(&true), has_key.contains(&true)) {
            (true, false) => {
                let message = "a client certificate needs its key: give `key` or `key_file` too";
                found.push((format!("{prefix}.key"), message.to_owned()));
            }
            (false, true) => {
                let message = "a client key needs its certificate: give `cert` or `cert_file` too";
                found.push((format!("{prefix}.cert"), message.to_owned()));
            }
            _ => {}
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && min > max
        {
            found.push((format!("{prefix}.max_version"), format!("{max:?} is below min_version, {min:?}")));
        }
        if !self.server_name.is_empty() && server_name(&self.server_name).is_err() {
            found.push((format!("{prefix}.server_name"), "not a host name or an IP address".to_owned()));
        }
    }

    /// Go speaks TLS 1.0 and 1.1 when told to; rustls does not know how.
    fn check_support(&self, prefix: &str, found: &mut Found) {
        for (key, version) in [("min_version", self.min_version), ("max_version", self.max_version)] {
            if let Some(version) = version.filter(|version| version.is_too_old()) {
                let message = format!(
                    "{version:?} is not spoken, and a server that knows nothing newer cannot be reached; \
                     remove the key or set TLS12"
                );
                found.push((format!("{prefix}.{key}"), message));
            }
        }
    }

    pub(super) fn versions(&self) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, &'static str> {
        versions(
            self.min_version.map(PrometheusTlsVersion::version),
            self.max_version.map(PrometheusTlsVersion::version),
        )
    }

    fn refs<'a>(&'a self, prefix: &str, refs: &mut Vec<(String, &'a String)>) {
        for (key, name) in
            [("ca_ref", &self.ca_ref), ("cert_ref", &self.cert_ref), ("key_ref", &self.key_ref)]
        {
            refs.push((format!("{prefix}.{key}"), name));
        }
    }
}

impl PrometheusTlsVersion {
    fn is_too_old(self) -> bool {
        self < Self::Tls12
    }

    fn version(self) -> Version {
        match self {
            Self::Tls10 => Version::Tls10,
            Self::Tls11 => Version::Tls11,
            Self::Tls12 => Version::Tls12,
            Self::Tls13 => Version::Tls13,
        }
    }
}

impl ProxyConfig {
    fn check(&self, prefix: &str, found: &mut Found) {
        let mut add = |key: &str, message: &str| found.push((format!("{prefix}{key}"), message.to_owned()));
        let has_url = !self.proxy_url.is_empty();
        if let Some(Err(message)) =
            has_url.then(|| ProxyTarget::parse(self.proxy_url.as_str(), HeaderMap::new()))
        {
            add("proxy_url", &message);
        }
        if !self.proxy_connect_header.is_empty() && !self.proxy_from_environment && !has_url {
            add("proxy_connect_header", "needs `proxy_url` or `proxy_from_environment`");
        }
        if self.proxy_from_environment && has_url {
            add("proxy_from_environment", "excludes `proxy_url`");
        }
        if self.proxy_from_environment && !self.no_proxy.is_empty() {
            add("proxy_from_environment", "excludes `no_proxy`; set NO_PROXY in the environment");
        }
        if !self.no_proxy.is_empty() && !has_url {
            add("no_proxy", "needs `proxy_url`");
        }
        let is_usable = |(name, values): (&String, &Vec<config::Secret>)| {
            HeaderName::try_from(name.as_str()).is_ok()
                && values.iter().all(|value| HeaderValue::try_from(value.expose()).is_ok())
        };
        if !self.proxy_connect_header.iter().all(is_usable) {
            add("proxy_connect_header", "a name or value has characters that no header can hold");
        }
    }
}

fn at_most_one(prefix: &str, keys: [&str; 3], given: [bool; 3], found: &mut Found) {
    let names: Vec<_> =
        keys.iter().zip(given).filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect();
    if let [_, second, ..] = names.as_slice() {
        let message = format!("only one of `{}` can be given", keys.join("`, `"));
        found.push((format!("{prefix}.{second}"), message));
    }
}
