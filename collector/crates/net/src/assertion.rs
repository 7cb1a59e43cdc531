//! Signed assertions (RFC 7523): a JSON Web Token by which a client proves to a token server who it is.
//!
//! As Prometheus' `common/config/oauth_assertion.go`: the same claims, RSA with PKCS#1 v1.5 padding, keys as PKCS#8 or
//! PKCS#1. Unlike Go, ring refuses keys of less than 2048 bits.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use crate::auth::AuthError;

/// How long a token server may take an assertion, in seconds.
const LIFETIME: u64 = 10 * 60;

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    #[default]
    Rs256,
    Rs384,
    Rs512,
}

impl Algorithm {
    /// By its name; empty means the default.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Rs256 => &RSA_PKCS1_SHA256,
            Self::Rs384 => &RSA_PKCS1_SHA384,
            Self::Rs512 => &RSA_PKCS1_SHA512,
        }
    }
}

/// What every assertion of a client says.
#[derive(Debug)]
pub(crate) struct Assertion {
    pub(crate) algorithm: Algorithm,
    /// Which of our keys it is, as the server knows it; empty when it need not know.
    pub(crate) key_id: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    pub(crate) scope: String,
    /// Win over all others.
    pub(crate) claims: Map<String, Value>,
}

impl Assertion {
    /// A token that is good from now on, signed with this key.
    ///
    /// # Errors
    /// When the key is none; the text never shows any of it.
    pub(crate) fn sign(&self, key: &str, now: SystemTime) -> Result<String, AuthError> {
        let key = key_pair(key)?;
        let mut header = json!({"alg": self.algorithm.name(), "typ": "JWT"});
        if !self.key_id.is_empty() {
            header["kid"] = self.key_id.as_str().into();
        }
        let said = format!("{}.{}", encoded(&header), encoded(&self.claims(now, &uuid()?)));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(self.algorithm.encoding(), &SystemRandom::new(), said.as_bytes(), &mut signature)
            .map_err(|_| AuthError::ours("cannot sign the assertion for the OAuth2 token server", None))?;
        Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn claims(&self, now: SystemTime, id: &str) -> Value {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.audience,
            "jti": id,
            "iat": seconds,
            "exp": seconds + LIFETIME,
        });
        if !self.scope.is_empty() {
            claims["scope"] = self.scope.as_str().into();
        }
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        claims
    }
}

/// Reads the key, so that a bad one is found before the first request.
pub(crate) fn check_key(pem: &str) -> Result<(), AuthError> {
    key_pair(pem).map(drop)
}

fn key_pair(pem: &str) -> Result<RsaKeyPair, AuthError> {
    let unusable = |why: String| {
        let reason = format!(
            "the key of the OAuth2 client is not usable: {why}; give an RSA key of at least 2048 bits as PEM"
        );
        AuthError::ours(reason, None)
    };
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        Ok(_) => return Err(unusable("neither PKCS#8 nor PKCS#1".to_owned())),
        Err(_) => return Err(unusable("no private key in PEM".to_owned())),
    };
    pair.map_err(|rejected| unusable(rejected.to_string()))
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A random UUID, so that a server can tell an assertion that it has seen.
fn uuid() -> Result<String, AuthError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| AuthError::ours("the system has no random numbers", None))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    };

    use super::*;
    use crate::testing::testdata_text;

    fn assertion(algorithm: Algorithm) -> Assertion {
        let claims = json!({"team": "a", "aud": "own"});
        Assertion {
            algorithm,
            key_id: "k1".to_owned(),
            issuer: "me".to_owned(),
            subject: "client".to_owned(),
            audience: "http://tokens/".to_owned(),
            scope: "a b".to_owned(),
            claims: claims.as_object().unwrap().clone(),
        }
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_who_asks_whom_and_until_when() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let token = assertion(Algorithm::Rs256).sign(&testdata_text("rsa.pkcs8.key"), now).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(decoded(parts[0]), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let mut claims = decoded(parts[1]);
        let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(id.as_str().unwrap().len(), 36);
        let expected = json!({
            "iss": "me", "sub": "client", "aud": "own", "scope": "a b", "iat": 1000, "exp": 1600, "team": "a"
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn signatures_hold_for_every_algorithm_and_form_of_key() {
        let public = RsaKeyPair::from_pkcs8(
            PrivateKeyDer::from_pem_slice(testdata_text("rsa.pkcs8.key").as_bytes()).unwrap().secret_der(),
        );
        let public = public.unwrap().public().as_ref().to_vec();
        for (name, verification) in [
            ("RS256", &RSA_PKCS1_2048_8192_SHA256),
            ("RS384", &RSA_PKCS1_2048_8192_SHA384),
            ("RS512", &RSA_PKCS1_2048_8192_SHA512),
        ] {
            for key in ["rsa.pkcs8.key", "rsa.pkcs1.key"] {
                let algorithm = Algorithm::parse(name).unwrap();
                let token = assertion(algorithm).sign(&testdata_text(key), UNIX_EPOCH).unwrap();
                let (said, signature) = token.rsplit_once('.').unwrap();
                assert_eq!(decoded(said.split_once('.').unwrap().0)["alg"], name);
                let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
                let key = UnparsedPublicKey::new(verification, &public);
                key.verify(said.as_bytes(), &signature).unwrap();
                assert!(key.verify(b"something else", &signature).is_err());
            }
        }
        assert_eq!(Algorithm::parse("HS256"), None);
    }

    #[test]
    fn no_two_assertions_are_the_same() {
        assert_ne!(uuid().unwrap(), uuid().unwrap());
    }

    #[test]
    fn a_key_that_cannot_sign_is_refused_without_being_shown() {
        for (pem, why) in [
            ("unique-secret-text".to_owned(), "no private key in PEM"),
            (testdata_text("client.key"), "WrongAlgorithm"),
        ] {
            let error = check_key(&pem).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("RSA key of at least 2048 bits"), "{error}");
            assert!(!error.contains("unique-secret-text"), "{error}");
        }
    }
}
