//! How texts and lists are read: interned, and with `null` for nothing.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::intern::{MAX_INTERNED_BYTES, intern};

/// A text that is shared with equal ones, unless it is long. `null` is the empty text.
pub(super) struct Text(pub(super) Arc<str>);

impl Text {
    pub(super) fn shared(text: &str) -> Arc<str> {
        if text.len() <= MAX_INTERNED_BYTES { intern(text) } else { text.into() }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Text::shared(text)))
            }

            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                Ok(Text(Text::shared("")))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// For `deserialize_with`: a text that many objects have.
pub(super) fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    Text::deserialize(deserializer).map(|Text(text)| text)
}

/// For `deserialize_with`: a text that many objects have, or none.
pub(super) fn shared_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<str>>, D::Error> {
    Option::<Text>::deserialize(deserializer).map(|text| text.map(|Text(text)| text))
}

/// For `deserialize_with`: texts that many objects have.
pub(super) fn shared_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[Arc<str>]>, D::Error> {
    let texts = Option::<Vec<Text>>::deserialize(deserializer)?;
    Ok(texts.unwrap_or_default().into_iter().map(|Text(text)| text).collect())
}

/// For `deserialize_with`: `null` is what is there when nothing is written.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// For `default`: the empty text, once for all.
pub(super) fn nothing() -> Arc<str> {
    Text::shared("")
}
