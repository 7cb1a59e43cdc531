//! The answer of a token server.

use std::time::Duration;

use tokio::time::Instant;

use crate::auth::AuthError;
use crate::client::Response;

/// A token and how long it is good.
pub(super) struct Token {
    /// The whole value of `Authorization`.
    pub(super) authorization: String,
    pub(super) expires: Option<Instant>,
    /// The secret it was got with; another secret needs another token.
    pub(super) secret: String,
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

pub(super) fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

pub(super) fn read_token(response: &Response, secret: String) -> Result<Token, AuthError> {
    if !is_success(response) {
        return Err(AuthError::remote(
            format!("OAuth2 token server answered with status {}", response.status),
            None,
        ));
    }
    let answer: Answer = serde_json::from_slice(&response.body).map_err(|error| {
        // The answer may hold a token, and the parser quotes what it does not like.
        let place = format!("line {}, column {}", error.line(), error.column());
        AuthError::remote(format!("answer of the OAuth2 token server is no JSON as expected ({place})"), None)
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
