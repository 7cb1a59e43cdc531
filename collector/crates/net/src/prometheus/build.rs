//! From the block to a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Secret;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Authorization, BasicAuth, OAuth2, PrometheusClientConfig, PrometheusTlsConfig, ProxyConfig};
use crate::BuildError;
use crate::assertion::{Algorithm, Assertion};
use crate::auth::{Auth, ExtraHeader, Value};
use crate::client::{Client, Http2, Settings};
use crate::files::Files;
use crate::oauth2::{Grant, TokenSource};
use crate::proxy::{Proxy, ProxyTarget};
use crate::tls::{Material, TlsError, TlsSource, server_name};

/// Of Prometheus' transport.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const MAX_IDLE_PER_HOST: usize = 1000;
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

/// What a client takes from where it runs.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Where relative names of files start.
    pub(crate) base_dir: &'a Path,
    /// Variables of the environment, for `proxy_from_environment`.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Surroundings<'a> {
    /// Those of this process.
    pub(crate) fn of_this_process(base_dir: &'a Path) -> Self {
        Self { base_dir, env: &|name| std::env::var(name).ok() }
    }
}

impl PrometheusClientConfig {
    pub(crate) fn settings(&self, surroundings: Surroundings<'_>) -> Result<Settings, BuildError> {
        let Surroundings { base_dir, .. } = surroundings;
        if let Some((key, message)) = self.check().into_iter().next() {
            return Err(BuildError::new(key, message));
        }
        let mut headers = Vec::new();
        for (name, header) in &self.http_headers {
            let key = format!("http_headers.{name}");
            let unusable = |_| BuildError::new(key.clone(), "cannot be the name of a header");
            let name = HeaderName::try_from(name.as_str()).map_err(unusable)?;
            let values = header.values.iter().map(|text| Value::Text(Secret::new(text)));
            let secrets = header.secrets.iter().cloned().map(Value::Text);
            let files = header.files.iter().map(|file| Value::file(format!("{key}.files"), base_dir, file));
            let values = values.chain(secrets).chain(files);
            headers.extend(values.map(|value| ExtraHeader { name: name.clone(), value, appends: true }));
        }
        Ok(Settings {
            auth: self.auth(surroundings)?,
            headers,
            follow_redirects: self.follow_redirects,
            follows_to_link_local: self.follow_link_local_redirects,
            ..settings(&self.tls_config, &self.proxy, surroundings, self.enable_http2)?
        })
    }

    /// What is wrong with certificates and keys that stand in the block itself, as key and message. Files are not looked
    /// at, and nothing of what is in a key is told.
    #[must_use]
    pub fn check_material(&self) -> Vec<(String, String)> {
        let mut found = self.tls_config.check_material("tls_config");
        if let Some(oauth2) = &self.oauth2 {
            found.extend(oauth2.tls_config.check_material("oauth2.tls_config"));
        }
        found
    }

    fn auth(&self, surroundings: Surroundings<'_>) -> Result<Auth, BuildError> {
        let Surroundings { base_dir, .. } = surroundings;
        if let Some(basic_auth) = &self.basic_auth {
            return Ok(basic_auth.auth(base_dir));
        }
        if let Some(oauth2) = &self.oauth2 {
            return oauth2.auth(surroundings);
        }
        Ok(self.authorization().map_or(Auth::None, |authorization| authorization.auth(base_dir)))
    }
}

impl BasicAuth {
    fn auth(&self, base_dir: &Path) -> Auth {
        let user = Some(Secret::new(&self.username));
        Auth::Basic {
            user: value(user.as_ref(), "basic_auth.username_file", &self.username_file, base_dir),
            password: value(
                self.password.as_ref(),
                "basic_auth.password_file",
                &self.password_file,
                base_dir,
            ),
        }
    }
}

impl Authorization {
    fn auth(&self, base_dir: &Path) -> Auth {
        let scheme = self.kind.trim();
        let scheme = if scheme.is_empty() { "Bearer" } else { scheme }.to_owned();
        let key = "authorization.credentials_file";
        let credentials = value(self.credentials.as_ref(), key, &self.credentials_file, base_dir);
        Auth::Token { scheme, credentials }
    }
}

impl OAuth2 {
    fn auth(&self, surroundings: Surroundings<'_>) -> Result<Auth, BuildError> {
        let Surroundings { base_dir, .. } = surroundings;
        let under = |error: BuildError| BuildError { key: format!("oauth2.{}", error.key), ..error };
        let settings = settings(&self.tls_config, &self.proxy, surroundings, true).map_err(under)?;
        let (grant, secret) = if self.is_by_assertion() {
            let (key, file) = ("oauth2.client_certificate_key_file", &self.client_certificate_key_file);
            let assertion = Grant::Assertion(self.assertion());
            (assertion, value(self.client_certificate_key.as_ref(), key, file, base_dir))
        } else {
            let (key, file) = ("oauth2.client_secret_file", &self.client_secret_file);
            let credentials = Grant::ClientCredentials { client_id: self.client_id.clone() };
            (credentials, value(self.client_secret.as_ref(), key, file, base_dir))
        };
        Ok(Auth::OAuth2(Arc::new(TokenSource {
            client: Client::from_settings(settings).map_err(under)?,
            token_url: self.token_url().to_owned(),
            grant,
            secret,
            scopes: self.scopes.clone(),
            endpoint_params: self.endpoint_params.clone().into_iter().collect(),
            state: Arc::default(),
        })))
    }

    fn token_url(&self) -> &str {
        self.token_url.as_ref().map_or("", |url| url.as_str())
    }

    fn assertion(&self) -> Assertion {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        Assertion {
            algorithm: Algorithm::parse(&self.signature_algorithm).unwrap_or_default(),
            key_id: self.client_certificate_key_id.clone(),
            issuer: or(&self.iss, &self.client_id),
            subject: self.client_id.clone(),
            audience: or(&self.audience, self.token_url()),
            scope: self.scopes.join(" "),
            claims: self.claims.clone().into_iter().collect(),
        }
    }
}

impl PrometheusTlsConfig {
    fn check_material(&self, prefix: &str) -> Vec<(String, String)> {
        // What else is wrong with the section is told by its rules.
        let Ok(source) = self.source(Path::new("")) else { return Vec::new() };
        let told = |error: TlsError| {
            let key = error.key().rsplit('.').next().unwrap_or_default().to_owned();
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            (format!("{prefix}.{key}"), format!("{error}{why}"))
        };
        source.check_pem().into_iter().map(told).collect()
    }

    fn source(&self, base_dir: &Path) -> Result<TlsSource, BuildError> {
        let find = |text_key: &str, text: &str, file_key: &str, file: &str| {
            Material::find((text_key, Some(text)), (file_key, Some(file)), "tls_config", base_dir)
        };
        let wanted_name = Some(self.server_name.as_str()).filter(|name| !name.is_empty());
        Ok(TlsSource {
            ca: find("ca", &self.ca, "ca_file", &self.ca_file),
            with_system_roots: false,
            cert: find("cert", &self.cert, "cert_file", &self.cert_file),
            key: find("key", self.key.as_ref().map_or("", Secret::expose), "key_file", &self.key_file),
            server_name: wanted_name
                .map(server_name)
                .transpose()
                .map_err(|message| BuildError::new("tls_config.server_name", message))?,
            verifies: !self.insecure_skip_verify,
            versions: self
                .versions()
                .map_err(|message| BuildError::new("tls_config.max_version", message))?,
        })
    }
}

impl ProxyConfig {
    fn proxy(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Proxy, BuildError> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.proxy_connect_header {
            for value in values {
                let unusable = || BuildError::new("proxy_connect_header", "cannot be sent as a header");
                let name = HeaderName::try_from(name.as_str()).map_err(|_| unusable())?;
                let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unusable())?;
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        if self.proxy_from_environment {
            let proxy = Proxy::from_environment(env, &headers);
            return proxy.map_err(|message| BuildError::new("proxy_from_environment", message));
        }
        if self.proxy_url.is_empty() {
            return Ok(Proxy::default());
        }
        let target = ProxyTarget::parse(self.proxy_url.as_str(), headers)
            .map_err(|message| BuildError::new("proxy_url", message))?;
        Ok(Proxy::fixed(target, Some(self.no_proxy.as_str()).filter(|text| !text.is_empty())))
    }
}

/// Settings without credentials.
fn settings(
    tls: &PrometheusTlsConfig,
    proxy: &ProxyConfig,
    surroundings: Surroundings<'_>,
    enable_http2: bool,
) -> Result<Settings, BuildError> {
    Ok(Settings {
        auth: Auth::None,
        headers: Vec::new(),
        tls: tls.source(surroundings.base_dir)?,
        proxy: proxy.proxy(surroundings.env)?,
        follow_redirects: true,
        follows_to_link_local: false,
        http2: if enable_http2 { Http2::IfOffered } else { Http2::Never },
        timeout: None,
        idle_timeout: Some(IDLE_TIMEOUT),
        max_idle_per_host: MAX_IDLE_PER_HOST,
        files: Some(Files::of_this_process()),
        max_requests: None,
        ping: enable_http2.then_some(PING),
    })
}

/// The file, if one is named, else the text.
fn value(text: Option<&Secret>, file_key: &str, file: &str, base_dir: &Path) -> Option<Value> {
    if file.is_empty() { text.cloned().map(Value::Text) } else { Some(Value::file(file_key, base_dir, file)) }
}
