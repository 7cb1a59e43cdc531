//! A client for components that know whom they talk to and how: no block of a configuration, but its parts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Secret, UrlText};
use http::HeaderMap;

use crate::BuildError;
use crate::auth::{Auth, Value};
use crate::client::{Client, Http2, Settings};
use crate::proxy::{Proxy, ProxyTarget};
use crate::tls_config::TlsClientConfig;

/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Connections kept open for each host.
const MAX_IDLE_PER_HOST: usize = 4;

/// What a client is made of. It speaks HTTP/1.1 and follows no redirects; relative file names count from the working directory.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// TLS.
    pub tls: TlsClientConfig,
    /// What is shown so that we are let in.
    pub credentials: Credentials,
    /// Through which proxy.
    pub proxy: Route,
}

/// What is shown with each request.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nothing, beside a client certificate.
    #[default]
    None,
    /// A bearer token.
    Token(Secret),
    /// A bearer token in a file, which is read again when it changes.
    TokenFile(PathBuf),
    /// User and password.
    Basic(String, Secret),
}

/// Through which proxy requests go.
#[derive(Clone, Debug, Default)]
pub enum Route {
    /// None.
    #[default]
    Direct,
    /// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    Environment,
    /// This one.
    Proxy(UrlText),
}

impl Client {
    /// A client from its parts. Files are read when they are needed, so that one that is missing now fails requests until it is
    /// there.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_from(options: &ClientOptions) -> Result<Self, BuildError> {
        Self::from_settings(Settings {
            auth: options.credentials.auth(),
            headers: Vec::new(),
            tls: options.tls.source(Path::new(""))?,
            proxy: options.proxy.proxy()?,
            follow_redirects: false,
            follows_to_link_local: false,
            http2: Http2::Never,
            timeout: None,
            idle_timeout: Some(IDLE_TIMEOUT),
            max_idle_per_host: MAX_IDLE_PER_HOST,
            max_requests: None,
            files: None,
            ping: None,
        })
    }
}

impl Credentials {
    fn auth(&self) -> Auth {
        let bearer =
            |credentials| Auth::Token { scheme: "Bearer".to_owned(), credentials: Some(credentials) };
        match self {
            Self::None => Auth::None,
            Self::Token(token) => bearer(Value::Text(token.clone())),
            Self::TokenFile(path) => {
                bearer(Value::file("token file", Path::new(""), &path.display().to_string()))
            }
            Self::Basic(user, password) => Auth::Basic {
                user: Some(Value::Text(Secret::new(user.as_str()))),
                password: Some(Value::Text(password.clone())),
            },
        }
    }
}

impl Route {
    fn proxy(&self) -> Result<Proxy, BuildError> {
        match self {
            Self::Direct => Ok(Proxy::default()),
            Self::Environment => {
                let proxy = Proxy::from_environment(|name| std::env::var(name).ok(), &HeaderMap::new());
                proxy.map_err(|message| BuildError::new("HTTPS_PROXY", message))
            }
            Self::Proxy(url) => {
                let target = ProxyTarget::parse(url.as_str(), HeaderMap::new());
                Ok(Proxy::fixed(target.map_err(|message| BuildError::new("proxy_url", message))?, None))
            }
        }
    }
}
