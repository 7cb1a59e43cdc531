//! OAuth 2.0: tokens for client credentials (RFC 6749, section 4.4) or for a signed assertion (RFC 7523).
//!
//! As Go's `golang.org/x/oauth2`, which Prometheus uses: a token is kept until shortly before it expires, whatever the
//! target says of it (a 401 fetches no new one); client credentials are sent in a header first and in the body when the
//! server does not take that. A secret or key that changes in its file makes a new token necessary.

mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::assertion::Assertion;
use crate::auth::{AuthError, Value};
use crate::client::{Client, Request, Response};
use crate::proxy::basic;

use token::{Token, is_success, read_token};

/// The grant by signed assertion.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The other grant, which is the default.
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

/// A token is renewed so long before it expires, as in Go.
const EARLY: Duration = Duration::from_secs(10);

/// Longest wait for a token; a request that needs it may give up earlier.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer of a token server, as in Go.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// Where tokens come from.
#[derive(Debug)]
pub(crate) struct TokenSource {
    pub(crate) client: Client,
    pub(crate) token_url: String,
    pub(crate) grant: Grant,
    /// The password of the client, or the key that signs its assertions.
    pub(crate) secret: Option<Value>,
    pub(crate) scopes: Vec<String>,
    pub(crate) endpoint_params: Vec<(String, String)>,
    /// Held while a token is fetched, so that many requests wait for one token.
    pub(crate) state: Arc<Mutex<State>>,
}

/// How the client proves who it is.
#[derive(Debug)]
pub(crate) enum Grant {
    ClientCredentials { client_id: String },
    Assertion(Assertion),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    token: Option<Token>,
    /// The server did not take credentials in a header but in the body.
    wants_body: bool,
}

impl TokenSource {
    /// The value of `Authorization`, with a token that is still good. Boxed, because the request for a token
    /// is part of sending another one.
    pub(crate) fn authorization(self: &Arc<Self>) -> BoxFuture<'static, Result<String, AuthError>> {
        Box::pin(Arc::clone(self).current())
    }

    async fn current(self: Arc<Self>) -> Result<String, AuthError> {
        let secret = self.secret.as_ref().map_or_else(|| Ok(String::new()), Value::read)?;
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(token) = &state.token
            && token.secret == secret
            && token.expires.is_none_or(|expires| Instant::now() + EARLY < expires)
        {
            return Ok(token.authorization.clone());
        }
        // It is fetched to the end even where the request that needs it gives up, as in Go: a server that takes longer
        // than a scrape may take would never be heard otherwise.
        let renewing = tokio::spawn(async move { self.renew(secret, state).await });
        renewing.await.map_err(|error| AuthError::ours("cannot get an OAuth2 token", Some(error.into())))?
    }

    async fn renew(&self, secret: String, mut state: OwnedMutexGuard<State>) -> Result<String, AuthError> {
        let response = match &self.grant {
            Grant::Assertion(assertion) => {
                self.ask(self.with_assertion(&assertion.sign(&secret, SystemTime::now())?)).await?
            }
            Grant::ClientCredentials { client_id } => {
                self.ask_in_turn(client_id, &secret, &mut state).await?
            }
        };
        let token = read_token(&response, secret)?;
        let authorization = token.authorization.clone();
        state.token = Some(token);
        Ok(authorization)
    }

    /// With the credentials in a header; where that does not help, in the body, from then on.
    async fn ask_in_turn(
        &self,
        client_id: &str,
        secret: &str,
        state: &mut State,
    ) -> Result<Response, AuthError> {
        let mut response = self.ask(self.with_credentials(client_id, secret, state.wants_body)?).await?;
        if !is_success(&response) && !state.wants_body {
            response = self.ask(self.with_credentials(client_id, secret, true)?).await?;
            state.wants_body = is_success(&response);
        }
        Ok(response)
    }

    async fn ask(&self, question: Request) -> Result<Response, AuthError> {
        let answered = self.client.send(question).await;
        answered.map_err(|error| AuthError::remote("cannot get an OAuth2 token", Some(error.into())))
    }

    fn with_assertion(&self, assertion: &str) -> Request {
        let mut form = self.form(JWT_BEARER);
        form.append_pair("assertion", assertion);
        self.question(HeaderMap::new(), form.finish())
    }

    fn with_credentials(&self, client_id: &str, secret: &str, in_body: bool) -> Result<Request, AuthError> {
        let mut form = self.form(CLIENT_CREDENTIALS);
        let mut headers = HeaderMap::new();
        if in_body {
            form.append_pair("client_id", client_id);
            form.append_pair("client_secret", secret);
        } else {
            let text = basic(&form_encoded(client_id), &form_encoded(secret));
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| AuthError::ours("`oauth2.client_id` cannot be put into a header", None))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(self.question(headers, form.finish()))
    }

    /// What every question says. `endpoint_params` may name another grant, for servers with a word of their own.
    fn form(&self, grant: &str) -> Serializer<'static, String> {
        let mut form = Serializer::new(String::new());
        if !self.endpoint_params.iter().any(|(name, _)| name == "grant_type") {
            form.append_pair("grant_type", grant);
        }
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        form.extend_pairs(&self.endpoint_params);
        form
    }

    fn question(&self, mut headers: HeaderMap, form: String) -> Request {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Request {
            method: Method::POST,
            headers: headers.into(),
            body: Bytes::from(form),
            ..Request::get(&self.token_url, TOKEN_TIMEOUT, MAX_TOKEN_BYTES)
        }
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests;
