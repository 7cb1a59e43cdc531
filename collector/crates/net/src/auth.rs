//! What a client adds to each request so that it is let in.
//!
//! Secrets in files are read again for every request and trimmed, as Prometheus does.

use std::path::Path;
use std::sync::Arc;

use config::Secret;
use http::{HeaderName, HeaderValue};

use crate::error::BoxError;
use crate::file::WatchedFile;
use crate::oauth2::TokenSource;
use crate::proxy::basic;

/// Why a request cannot carry what it should. Never shows a secret.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct AuthError {
    pub(crate) reason: String,
    #[source]
    pub(crate) source: Option<BoxError>,
    /// The fault lies with somebody else, and may pass.
    pub(crate) is_remote: bool,
}

impl AuthError {
    pub(crate) fn ours(reason: impl Into<String>, source: Option<BoxError>) -> Self {
        Self { reason: reason.into(), source, is_remote: false }
    }

    pub(crate) fn remote(reason: impl Into<String>, source: Option<BoxError>) -> Self {
        Self { reason: reason.into(), source, is_remote: true }
    }
}

/// A text that must not be shown, or the file that holds it.
#[derive(Debug)]
pub(crate) enum Value {
    Text(Secret),
    File { key: String, file: WatchedFile },
}

impl Value {
    pub(crate) fn file(key: impl Into<String>, base_dir: &Path, name: &str) -> Self {
        Self::File { key: key.into(), file: WatchedFile::new(base_dir, name) }
    }

    pub(crate) fn read(&self) -> Result<String, AuthError> {
        match self {
            Self::Text(secret) => Ok(secret.expose().to_owned()),
            Self::File { key, file } => file.read_trimmed().map_err(|source| {
                let reason = format!("cannot read {}, named by `{key}`", file.path().display());
                AuthError::ours(reason, Some(source.into()))
            }),
        }
    }
}

/// How a client proves who it is.
#[derive(Debug, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        user: Option<Value>,
        password: Option<Value>,
    },
    Token {
        scheme: String,
        credentials: Option<Value>,
    },
    OAuth2(Arc<TokenSource>),
}

impl Auth {
    /// The value of `Authorization` for the next request.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, AuthError> {
        let read = |value: &Option<Value>| value.as_ref().map_or_else(|| Ok(String::new()), Value::read);
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic { user, password } => basic(&read(user)?, &read(password)?),
            Self::Token { scheme, credentials } => format!("{scheme} {}", read(credentials)?),
            // In a box, since the futures of all requests would be as large otherwise.
            Self::OAuth2(source) => Box::pin(source.authorization()).await?,
        };
        secret_header(&text, "authorization").map(Some)
    }
}

/// A header that a client adds to each request.
#[derive(Debug)]
pub(crate) struct ExtraHeader {
    pub(crate) name: HeaderName,
    pub(crate) value: Value,
    /// Added beside what is there, instead of replacing it.
    pub(crate) appends: bool,
}

impl ExtraHeader {
    pub(crate) fn value(&self) -> Result<HeaderValue, AuthError> {
        secret_header(&self.value.read()?, self.name.as_str())
    }
}

fn secret_header(text: &str, name: &str) -> Result<HeaderValue, AuthError> {
    let mut value = HeaderValue::try_from(text.trim()).map_err(|_| {
        AuthError::ours(format!("value of the header `{name}` has characters that no header can hold"), None)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
