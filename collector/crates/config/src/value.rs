//! Values that cannot be wrong once they are read: periods, sizes, addresses, names, secrets.

mod address;
mod label_name;
mod period;
mod quantity;
mod secret;
mod size;
mod url_text;

pub use address::{HostPort, HttpUrl};
pub use label_name::LabelName;
pub use period::{Period, Timeout};
pub use secret::Secret;
pub use size::ByteSize;
pub use url_text::UrlText;

/// The traits of a value that is written as one string: `Deserialize` by `FromStr`, `Serialize` by `Display`, and a schema
/// that names the format.
macro_rules! written_as_text {
    ($name:ident, $format:literal, $description:literal) => {
        impl $name {
            /// What schemas call this form of text.
            pub(crate) const FORMAT: &'static str = $format;
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $format, "description": $description })
            }
        }
    };
}
use written_as_text;

/// A value in a message, cut when it is long.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("\"{}...\"", text[..end].escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

#[cfg(test)]
mod tests;
