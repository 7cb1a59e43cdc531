//! The URL of a proxy.

use std::borrow::Cow;
use std::fmt;

use config::HttpUrl;
use http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::proxy::ProxyTarget;

/// The URL of a proxy, or nothing. A password in it is shown as `xxxxx`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyUrl {
    text: String,
}

impl ProxyUrl {
    /// Any text, as it was written. Whether it is of use is told by who builds a client.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text as it was written, with everything in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn target(&self, connect_headers: HeaderMap) -> Result<ProxyTarget, String> {
        ProxyTarget::parse(&self.text, connect_headers)
    }

    fn redacted(&self) -> String {
        let Ok(mut url) = Url::parse(&self.text) else { return String::new() };
        if url.password().is_some() && url.set_password(Some("xxxxx")).is_err() {
            return String::new();
        }
        if url.path() == "/" && !self.text.ends_with('/') {
            // What was written without a path is shown without one.
            return url.as_str().trim_end_matches('/').to_owned();
        }
        url.into()
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for ProxyUrl {
    /// Any text: whether it is of use is told by who builds a client, and knows the key.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: String::deserialize(deserializer)? })
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The common schemes are shown in full within `Secret::revealing`.
        match self.text.parse::<HttpUrl>() {
            Ok(url) => url.serialize(serializer),
            Err(_) => serializer.serialize_str(&self.redacted()),
        }
    }
}

impl JsonSchema for ProxyUrl {
    fn schema_name() -> Cow<'static, str> {
        "ProxyUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
