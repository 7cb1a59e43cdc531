//! Rules of `oauth2`.

use super::{Found, at_most_one};
use crate::assertion::{Algorithm, check_key};
use crate::oauth2::{CLIENT_CREDENTIALS, JWT_BEARER};
use crate::prometheus::{OAuth2, is_unset};

impl OAuth2 {
    /// Whether a signed assertion proves who asks, instead of a password.
    pub(in crate::prometheus) fn is_by_assertion(&self) -> bool {
        self.grant_type == JWT_BEARER
    }

    pub(super) fn check(&self, found: &mut Found) {
        for (key, is_missing) in
            [("client_id", self.client_id.is_empty()), ("token_url", self.token_url.is_none())]
        {
            if is_missing {
                found.push((format!("oauth2.{key}"), "missing".to_owned()));
            }
        }
        if self.is_by_assertion() {
            self.check_assertion(found);
        } else {
            let keys = ["client_secret", "client_secret_file", "client_secret_ref"];
            let given = [
                !is_unset(&self.client_secret),
                !self.client_secret_file.is_empty(),
                !self.client_secret_ref.is_empty(),
            ];
            at_most_one("oauth2", keys, given, found);
        }
        self.check_params(found);
        self.tls_config.check("oauth2.tls_config", found);
        self.proxy.check("oauth2.", found);
    }

    fn check_assertion(&self, found: &mut Found) {
        let keys = ["client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref"];
        let given = [
            !is_unset(&self.client_certificate_key),
            !self.client_certificate_key_file.is_empty(),
            !self.client_certificate_key_ref.is_empty(),
        ];
        at_most_one("oauth2", keys, given, found);
        if Algorithm::parse(&self.signature_algorithm).is_none() {
            let message = format!("`{}` is not known; use RS256, RS384 or RS512", self.signature_algorithm);
            found.push(("oauth2.signature_algorithm".to_owned(), message));
        }
    }

    /// Go fails every request for a token over these.
    fn check_params(&self, found: &mut Found) {
        let taken = |name: &str| match name {
            "scope" => !self.scopes.is_empty(),
            "assertion" => self.is_by_assertion(),
            _ => false,
        };
        for name in self.endpoint_params.keys().filter(|name| taken(name)) {
            let message = format!("`{name}` is a parameter that the request has already");
            found.push((format!("oauth2.endpoint_params.{name}"), message));
        }
    }

    /// Prometheus loads these, and then every request fails.
    pub(super) fn check_support(&self, found: &mut Found) {
        if !matches!(self.grant_type.as_str(), "" | CLIENT_CREDENTIALS | JWT_BEARER) {
            let message = format!(
                "the grant `{}` is not known; use {CLIENT_CREDENTIALS} or {JWT_BEARER}",
                self.grant_type
            );
            found.push(("oauth2.grant_type".to_owned(), message));
        }
        if !self.is_by_assertion() {
            return;
        }
        let has_key = !is_unset(&self.client_certificate_key)
            || !self.client_certificate_key_file.is_empty()
            || !self.client_certificate_key_ref.is_empty();
        if !has_key {
            let message =
                "missing: the grant needs a key that signs; give this key or client_certificate_key_file";
            found.push(("oauth2.client_certificate_key".to_owned(), message.to_owned()));
        }
        if let Some(key) = self.client_certificate_key.as_ref().filter(|key| !key.is_empty())
            && let Err(error) = check_key(key.expose())
        {
            found.push(("oauth2.client_certificate_key".to_owned(), error.to_string()));
        }
    }
}
