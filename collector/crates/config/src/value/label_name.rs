//! Names of labels.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::written_as_text;

/// The name of a label: any text but the empty one, as Prometheus' `utf8` validation scheme has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelName(String);

impl LabelName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is good under the `legacy` validation scheme: `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        !self.0.starts_with(|first: char| first.is_ascii_digit())
            && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }
}

written_as_text!(LabelName, "label-name", "The name of a label.");

impl FromStr for LabelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("a label name must not be empty".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl Deref for LabelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
