//! A rule as configurations spell it.
//!
//! As Prometheus `model/relabel` (`Config`): texts may be written as any scalar (`regex: true`), null is the empty
//! text, and a rule is printed as Prometheus prints it, so that a printed list of scrape configurations can be
//! compared with upstream's.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One rule over a label set: what is read, what it must match, and what happens then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-scalars" = "text"))]
pub struct RuleConfig {
    /// Labels whose values are read and joined; a missing label is the empty text.
    pub source_labels: Vec<String>,

    /// Stands between the joined values.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "String", extend("x-null" = "none"))]
    pub separator: String,

    /// RE2 expression that the whole joined text must match; a dot matches newlines too.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "String", extend("x-null" = "none"))]
    pub regex: String,

    /// Number of shares for `hashmod`.
    pub modulus: u64,

    /// Label that is written, or compared by `keepequal` and `dropequal`. With `replace` it may refer to groups of
    /// the expression.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "String", extend("x-null" = "none"))]
    pub target_label: String,

    /// What `replace` writes and how `labelmap` names its copies; `$1` and `${name}` are groups of the expression,
    /// `$$` is a dollar sign.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "String", extend("x-null" = "none"))]
    pub replacement: String,

    /// What happens: `replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`,
    /// `labelkeep`, `lowercase` or `uppercase`.
    pub action: Action,
}

impl Default for RuleConfig {
    /// What a rule is where its configuration says nothing.
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: Self::SEPARATOR.to_owned(),
            regex: Self::REGEX.to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: Self::REPLACEMENT.to_owned(),
            action: Action::Replace,
        }
    }
}

impl RuleConfig {
    pub(crate) const SEPARATOR: &str = ";";
    pub(crate) const REGEX: &str = "(.*)";
    pub(crate) const REPLACEMENT: &str = "$1";
}

impl Serialize for RuleConfig {
    /// As Prometheus prints it: `separator`, `replacement` and `action` always, the others where they say something.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Upstream refuses to read back an expression beside these two actions, so it must not be printed.
        let takes_regex = !matches!(self.action, Action::KeepEqual | Action::DropEqual);
        let mut map = serializer.serialize_map(None)?;
        if !self.source_labels.is_empty() {
            map.serialize_entry("source_labels", &self.source_labels)?;
        }
        map.serialize_entry("separator", &self.separator)?;
        if takes_regex && self.regex != Self::REGEX {
            map.serialize_entry("regex", &self.regex)?;
        }
        if self.modulus != 0 {
            map.serialize_entry("modulus", &self.modulus)?;
        }
        if !self.target_label.is_empty() {
            map.serialize_entry("target_label", &self.target_label)?;
        }
        map.serialize_entry("replacement", &self.replacement)?;
        map.serialize_entry("action", &self.action)?;
        map.end()
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// Writes the expanded replacement to the target label.
    #[default]
    Replace,
    /// Drops the whole set unless the text matches.
    Keep,
    /// Drops the whole set when the text matches.
    Drop,
    /// Drops the whole set unless the text equals the target label's value.
    KeepEqual,
    /// Drops the whole set when the text equals the target label's value.
    DropEqual,
    /// Writes the share that the text falls into.
    HashMod,
    /// Copies every label whose name matches to a name made from it.
    LabelMap,
    /// Removes every label whose name matches.
    LabelDrop,
    /// Removes every label whose name does not match.
    LabelKeep,
    /// Writes the text in lower case.
    Lowercase,
    /// Writes the text in upper case.
    Uppercase,
}

impl Action {
    pub(crate) const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    const WORDS: [&'static str; 11] = [
        "replace",
        "keep",
        "drop",
        "keepequal",
        "dropequal",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
    ];

    /// The word in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The action of this name, in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let lower = word.to_lowercase();
        Self::ALL.into_iter().find(|action| action.as_str() == lower)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::parse(&word).ok_or_else(|| de::Error::unknown_variant(&word, &Self::WORDS))
    }
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "RelabelAction".into()
    }

    /// A plain string: the words count in any case, which an enumeration could not say.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Any scalar as text; null is the empty one.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_unit<E: de::Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    }

    deserializer.deserialize_any(Text)
}

#[cfg(test)]
mod tests;
