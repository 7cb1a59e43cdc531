//! OAuth 2.0 client credentials (RFC 6749, section 4.4).
//!
//! As Go's `golang.org/x/oauth2/clientcredentials`, which Prometheus uses: a token is kept until shortly
//! before it expires, and the credentials are sent in a header first and in the body when the server does not
//! take that.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::auth::{AuthError, Value};
use crate::client::{Client, Request, Response};
use crate::proxy::basic;

/// A token is renewed so long before it expires, as in Go.
const EARLY: Duration = Duration::from_secs(10);

/// Longest wait for a token when the request that needs it sets no shorter one.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer of a token server, as in Go.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// Where tokens come from.
#[derive(Debug)]
pub(crate) struct TokenSource {
    pub(crate) client: Client,
    pub(crate) token_url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Value>,
    pub(crate) scopes: Vec<String>,
    pub(crate) endpoint_params: Vec<(String, String)>,
    /// Held while a token is fetched, so that many requests wait for one token.
    pub(crate) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    token: Option<Token>,
    /// The server did not take credentials in a header but in the body.
    wants_body: bool,
}

struct Token {
    authorization: String,
    expires: Option<Instant>,
    /// The secret it was got with; another secret needs another token.
    secret: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl TokenSource {
    /// The value of `Authorization`, with a token that is still good. Boxed, because the request for a token
    /// is part of sending another one.
    pub(crate) fn authorization(&self) -> BoxFuture<'_, Result<String, AuthError>> {
        Box::pin(self.current())
    }

    async fn current(&self) -> Result<String, AuthError> {
        let secret = self.client_secret.as_ref().map_or_else(|| Ok(String::new()), Value::read)?;
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.secret == secret
            && token.expires.is_none_or(|expires| Instant::now() + EARLY < expires)
        {
            return Ok(token.authorization.clone());
        }
        let mut response = self.ask(&secret, state.wants_body).await?;
        if !is_success(&response) && !state.wants_body {
            response = self.ask(&secret, true).await?;
            state.wants_body = is_success(&response);
        }
        let token = read_token(&response, secret)?;
        let authorization = token.authorization.clone();
        state.token = Some(token);
        Ok(authorization)
    }

    async fn ask(&self, secret: &str, in_body: bool) -> Result<Response, AuthError> {
        let answered = self.client.send(self.question(secret, in_body)?).await;
        answered.map_err(|error| AuthError::remote("cannot get an OAuth2 token", Some(error.into())))
    }

    fn question(&self, secret: &str, in_body: bool) -> Result<Request, AuthError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        form.extend_pairs(&self.endpoint_params);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if in_body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", secret);
        } else {
            let mut value =
                HeaderValue::try_from(basic(&form_encoded(&self.client_id), &form_encoded(secret)))
                    .map_err(|_| AuthError::ours("`oauth2.client_id` cannot be put into a header", None))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Request {
            method: Method::POST,
            url: self.token_url.clone(),
            headers,
            body: Bytes::from(form.finish()),
            timeout: Some(TOKEN_TIMEOUT),
            body_limit: MAX_TOKEN_BYTES,
        })
    }
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

fn read_token(response: &Response, secret: String) -> Result<Token, AuthError> {
    if !is_success(response) {
        return Err(AuthError::remote(
            format!("OAuth2 token server answered with status {}", response.status),
            None,
        ));
    }
    let answer: Answer = serde_json::from_slice(&response.body).map_err(|error| {
        AuthError::remote("answer of the OAuth2 token server is not usable", Some(error.into()))
    })?;
    if answer.access_token.is_empty() {
        return Err(AuthError::remote("answer of the OAuth2 token server has no `access_token`", None));
    }
    let scheme = match answer.token_type.as_str() {
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") => "Bearer",
        other => other,
    };
    // Some servers write the number as text.
    let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok());
    let lifetime = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let expires = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
    Ok(Token { authorization: format!("{scheme} {}", answer.access_token), expires, secret })
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
