//! How targets are reached: references become what they refer to, and a scrape class fills what is missing.
//!
//! As upstream, TLS of a class is used whole where the monitor has none; otherwise only its files fill what the monitor
//! lacks. Of the authorization of a class see [`super::class`].

use config::{HttpUrl, Problem, Secret, UrlText};
use net::{PrometheusClientConfig, PrometheusTlsConfig};

use super::Kind;
use super::class::ScrapeClass;
use super::crd::{
    Authorization, BasicAuth, ClassAuthorization, KeyRef, Login, OAuth2, ProxyConfig, SafeTlsConfig,
    SecretOrConfigMap, TlsConfig, TlsFiles,
};
use super::draft::Draft;
use super::material::{Answer, EntryRef, Holder, ObjectRef};

/// What a monitor says about TLS.
#[derive(Clone, Copy)]
pub(super) struct OwnTls<'a> {
    safe: &'a SafeTlsConfig,
    files: Option<&'a TlsFiles>,
}

impl<'a> OwnTls<'a> {
    /// Of a kind that knows no files; an empty section is as good as none.
    pub(super) fn safe(tls: Option<&'a SafeTlsConfig>) -> Option<Self> {
        let tls = tls.filter(|tls| **tls != SafeTlsConfig::default())?;
        Some(Self { safe: tls, files: None })
    }

    /// Of a ServiceMonitor; an empty section counts, as upstream.
    pub(super) fn with_files(tls: Option<&'a TlsConfig>) -> Option<Self> {
        tls.map(|tls| Self { safe: &tls.safe, files: Some(&tls.files) })
    }
}

impl Draft<'_> {
    /// Logs in as the monitor says, else as its class does.
    pub(super) fn login(
        &mut self,
        path: &str,
        client: &mut PrometheusClientConfig,
        login: &Login,
        class: Option<&ScrapeClass>,
    ) {
        let namespace = self.monitor.namespace.clone();
        if let Some(basic_auth) = &login.basic_auth {
            client.basic_auth = Some(self.basic_auth(&format!("{path}::basicAuth"), basic_auth));
        }
        if let Some(oauth2) = &login.oauth2 {
            client.oauth2 = Some(self.oauth2(&format!("{path}::oauth2"), oauth2));
        }
        let own = login.authorization.as_ref().filter(|own| !own.is_empty());
        let has_other = client.basic_auth.is_some()
            || client.oauth2.is_some()
            || client.bearer_token.is_some()
            || !client.bearer_token_file.is_empty();
        let of_class = class.and_then(|class| Some((class.path(), class.authorization.as_ref()?)));
        client.authorization = match own {
            Some(own) => {
                let path = format!("{path}::authorization");
                let mut authorization = self.authorization(&path, &namespace, own);
                if let Some((path, class)) = of_class.filter(|_| authorization.credentials.is_none()) {
                    let of_class = self.class_authorization(&path, class);
                    authorization.credentials = of_class.credentials;
                    if authorization.credentials.is_none() {
                        authorization.credentials_file = of_class.credentials_file;
                    }
                }
                let is_empty = own.credentials.is_none()
                    && authorization.credentials.is_none()
                    && authorization.credentials_file.is_empty();
                if is_empty && matches!(self.monitor.kind, Kind::ServiceMonitor | Kind::PodMonitor) {
                    let problem = Problem::at(format!("{path}::credentials"), "credentials are needed");
                    self.refuse(problem.with_hint("refer to a Secret, or remove the section"));
                }
                Some(authorization)
            }
            None if has_other => None,
            None => of_class.map(|(path, class)| self.class_authorization(&path, class)),
        };
    }

    /// The token of the old field `bearerTokenSecret`.
    pub(super) fn bearer(&mut self, path: &str, key: Option<&KeyRef>) -> Option<Secret> {
        let key = key.filter(|key| !key.name.is_empty())?;
        let namespace = self.monitor.namespace.clone();
        self.secret(&format!("{path}::bearerTokenSecret"), &namespace, key)
    }

    fn class_authorization(&mut self, path: &str, class: &ClassAuthorization) -> net::Authorization {
        let namespace = self.policy.namespace().to_owned();
        let own = self.authorization(&format!("{path}::authorization"), &namespace, &class.own);
        net::Authorization { credentials_file: class.credentials_file.clone(), ..own }
    }

    fn authorization(&mut self, path: &str, namespace: &str, own: &Authorization) -> net::Authorization {
        let credentials = own.credentials.as_ref().filter(|key| !key.name.is_empty());
        net::Authorization {
            kind: own.kind.trim().to_owned(),
            credentials: credentials
                .and_then(|key| self.secret(&format!("{path}::credentials"), namespace, key)),
            ..net::Authorization::default()
        }
    }

    fn basic_auth(&mut self, path: &str, basic_auth: &BasicAuth) -> net::BasicAuth {
        let namespace = self.monitor.namespace.clone();
        let username = self.secret(&format!("{path}::username"), &namespace, &basic_auth.username);
        net::BasicAuth {
            username: username.map(|name| name.expose().to_owned()).unwrap_or_default(),
            password: self.secret(&format!("{path}::password"), &namespace, &basic_auth.password),
            ..net::BasicAuth::default()
        }
    }

    fn oauth2(&mut self, path: &str, oauth2: &OAuth2) -> net::OAuth2 {
        let namespace = self.monitor.namespace.clone();
        let id = self.either(&format!("{path}::clientId"), &namespace, &oauth2.client_id);
        if id.is_none() && oauth2.client_id.is_empty() {
            self.refuse(
                Problem::at(format!("{path}::clientId"), "nothing is referred to")
                    .with_hint("name a key under `secret` or `configMap`"),
            );
        }
        let token_url = match oauth2.token_url.parse::<HttpUrl>() {
            Ok(url) => Some(url),
            Err(message) => {
                self.refuse(Problem::at(format!("{path}::tokenUrl"), message));
                None
            }
        };
        let own = OwnTls::safe(oauth2.tls_config.as_ref());
        net::OAuth2 {
            client_id: id.map(|id| id.expose().to_owned()).unwrap_or_default(),
            client_secret: self.secret(&format!("{path}::clientSecret"), &namespace, &oauth2.client_secret),
            scopes: oauth2.scopes.clone(),
            token_url,
            endpoint_params: oauth2.endpoint_params.clone(),
            tls_config: self.tls(&format!("{path}::tlsConfig"), own, None),
            proxy: self.proxy(path, &oauth2.proxy),
            ..net::OAuth2::default()
        }
    }

    /// TLS as the monitor says, filled up by its class.
    pub(super) fn tls(
        &mut self,
        path: &str,
        own: Option<OwnTls<'_>>,
        class: Option<&ScrapeClass>,
    ) -> PrometheusTlsConfig {
        let of_class = class.and_then(|class| Some((class.path(), class.tls_config.as_ref()?)));
        match (own, of_class) {
            (None, None) => PrometheusTlsConfig::default(),
            (None, Some((class_path, class))) => {
                let namespace = self.policy.namespace().to_owned();
                let tls = self.safe_tls(&format!("{class_path}::tlsConfig"), &namespace, &class.safe);
                with_files(tls, &class.files)
            }
            (Some(own), of_class) => {
                let namespace = self.monitor.namespace.clone();
                let tls = self.safe_tls(path, &namespace, own.safe);
                let tls = own.files.map_or(tls.clone(), |files| with_files(tls, files));
                of_class.map_or(tls.clone(), |(_, class)| with_missing_files(tls, &class.files))
            }
        }
    }

    fn safe_tls(&mut self, path: &str, namespace: &str, tls: &SafeTlsConfig) -> PrometheusTlsConfig {
        let ca = self.either(&format!("{path}::ca"), namespace, &tls.ca);
        let cert = self.either(&format!("{path}::cert"), namespace, &tls.cert);
        let key = tls.key_secret.as_ref();
        let text = |found: Option<Secret>| found.map(|text| text.expose().to_owned()).unwrap_or_default();
        PrometheusTlsConfig {
            ca: text(ca),
            cert: text(cert),
            key: key.and_then(|key| self.secret(&format!("{path}::keySecret"), namespace, key)),
            server_name: tls.server_name.clone(),
            insecure_skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            min_version: tls.min_version,
            max_version: tls.max_version,
            ..PrometheusTlsConfig::default()
        }
    }

    /// The proxy. `path` is the section in which its fields stand.
    pub(super) fn proxy(&mut self, path: &str, proxy: &ProxyConfig) -> net::ProxyConfig {
        let namespace = self.monitor.namespace.clone();
        let mut headers = std::collections::BTreeMap::new();
        for (name, keys) in &proxy.proxy_connect_header {
            let mut values = Vec::new();
            for (index, key) in keys.iter().enumerate() {
                let path = format!("{path}::proxyConnectHeader::{name}::{index}");
                values.extend(self.secret(&path, &namespace, key));
            }
            headers.insert(name.clone(), values);
        }
        net::ProxyConfig {
            proxy_url: UrlText::new(proxy.proxy_url.as_str()),
            no_proxy: proxy.no_proxy.clone(),
            proxy_from_environment: proxy.proxy_from_environment.unwrap_or(false),
            proxy_connect_header: headers,
        }
    }

    fn either(&mut self, path: &str, namespace: &str, which: &SecretOrConfigMap) -> Option<Secret> {
        match (&which.secret, &which.config_map) {
            (Some(_), Some(_)) => {
                self.refuse(
                    Problem::at(path, "`secret` and `configMap` exclude each other")
                        .with_hint("give one of them"),
                );
                None
            }
            (Some(key), None) => self.secret(&format!("{path}::secret"), namespace, key),
            (None, Some(key)) => self.entry(&format!("{path}::configMap"), Holder::ConfigMap, namespace, key),
            (None, None) => None,
        }
    }

    /// What a key of a Secret holds; why not is told.
    pub(super) fn secret(&mut self, path: &str, namespace: &str, key: &KeyRef) -> Option<Secret> {
        self.entry(path, Holder::Secret, namespace, key)
    }

    fn entry(&mut self, path: &str, holder: Holder, namespace: &str, key: &KeyRef) -> Option<Secret> {
        if key.name.is_empty() || key.key.is_empty() {
            let missing = if key.name.is_empty() { "name" } else { "key" };
            let message = format!("the {missing} of what is referred to is missing");
            self.refuse(Problem::at(path, message).with_hint(format!("give `name` and `key` of a {holder}")));
            return None;
        }
        let object = ObjectRef { holder, namespace: namespace.to_owned(), name: key.name.clone() };
        let entry = EntryRef { object, key: key.key.clone() };
        let answer = self.ask(entry.clone());
        match answer {
            Answer::Value(value) => return Some(value),
            // Nothing is made of the monitor until it is read.
            Answer::NotReadYet => return Some(Secret::default()),
            _ => {}
        }
        if let Some((message, hint)) = answer.why_not(&entry) {
            self.refuse(Problem::at(path, message).with_hint(hint));
        }
        None
    }
}

fn with_files(tls: PrometheusTlsConfig, files: &TlsFiles) -> PrometheusTlsConfig {
    PrometheusTlsConfig {
        ca_file: files.ca_file.clone(),
        cert_file: files.cert_file.clone(),
        key_file: files.key_file.clone(),
        ..tls
    }
}

/// Files of a class where there is neither text nor file.
fn with_missing_files(mut tls: PrometheusTlsConfig, class: &TlsFiles) -> PrometheusTlsConfig {
    let has_key = tls.key.is_some() || !tls.key_file.is_empty();
    if tls.ca.is_empty() && tls.ca_file.is_empty() {
        tls.ca_file.clone_from(&class.ca_file);
    }
    if tls.cert.is_empty() && tls.cert_file.is_empty() {
        tls.cert_file.clone_from(&class.cert_file);
    }
    if !has_key {
        tls.key_file.clone_from(&class.key_file);
    }
    tls
}
