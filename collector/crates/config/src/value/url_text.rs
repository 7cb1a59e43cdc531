//! A URL as it was written, whether it is one or not.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::Secret;

/// A text that should be a URL, or nothing. A password in it is shown as `xxxxx` by `Display`, `Debug` and `Serialize`, but not
/// within [`Secret::revealing`]. Whether it is of use is told by who uses it, and knows the key.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct UrlText(String);

impl UrlText {
    /// Any text, as it was written.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as it was written, with everything in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn redacted(&self) -> String {
        let Ok(mut url) = Url::parse(&self.0) else {
            // What cannot be read may hold a password all the same.
            return if self.0.contains('@') { String::new() } else { self.0.clone() };
        };
        if url.password().is_none() {
            return self.0.clone();
        }
        if url.set_password(Some("xxxxx")).is_err() {
            return String::new();
        }
        if url.path() == "/" && !self.0.ends_with('/') {
            // What was written without a path is shown without one.
            return url.as_str().trim_end_matches('/').to_owned();
        }
        url.into()
    }
}

impl fmt::Display for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for UrlText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl Serialize for UrlText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if Secret::is_revealed() {
            return serializer.serialize_str(&self.0);
        }
        serializer.serialize_str(&self.redacted())
    }
}

impl JsonSchema for UrlText {
    fn schema_name() -> Cow<'static, str> {
        "UrlText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
