//! Text that must not be seen: passwords, tokens, keys.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A text that `Debug`, `Display` and `Serialize` show as `<secret>`, as Prometheus' `config.Secret` does.
///
/// The one way to write it out is [`Secret::revealing`], which holds for one thread and one call; upstream turns redaction off
/// for the whole process while it renders.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

thread_local! {
    static REVEALED: Cell<bool> = const { Cell::new(false) };
}

/// What is shown instead.
const REDACTED: &str = "<secret>";

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty, which mostly means "not given".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs `write`, in which `Serialize` on this thread writes secrets as they are.
    pub fn revealing<T>(write: impl FnOnce() -> T) -> T {
        struct Restore(bool);
        impl Drop for Restore {
            fn drop(&mut self) {
                REVEALED.set(self.0);
            }
        }
        let _restore = Restore(REVEALED.replace(true));
        write()
    }

    /// Whether [`Secret::revealing`] is in force on this thread: for types that show a part of a secret.
    #[must_use]
    pub fn is_revealed() -> bool {
        REVEALED.get()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if Self::is_revealed() { &self.0 } else { REDACTED })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `writeOnly` also keeps the value out of messages.
        json_schema!({ "type": "string", "writeOnly": true })
    }
}
