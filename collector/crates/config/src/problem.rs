//! What is wrong with the user's text, and where.
//!
//! Upstream names the Go type and the section of a mistake but neither file nor line; a [`Problem`] always says where the
//! words stand that must be changed, when they stand anywhere at all.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::Node;

/// A position in a source text. Lines and columns count from one; columns count characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as it was named, or another name of the text: `env:X`, `--set a.b`.
    pub source: Arc<str>,
    /// Line, from one; zero where the value was not read from text.
    pub line: u32,
    /// Column in characters, from one; zero where the value was not read from text.
    pub column: u32,
}

impl Place {
    /// The place of values that were made by the program instead of being read.
    #[must_use]
    pub fn unknown() -> Self {
        static NOWHERE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self { source: NOWHERE.clone(), line: 0, column: 0 }
    }

    /// Whether this is a position in a text.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.line > 0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, "{}:{}:{}", self.source, self.line, self.column)
        } else {
            f.write_str("(not from a file)")
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration works, perhaps not as it was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One mistake in a configuration.
///
/// Prints like a compiler's message, in one line:
/// ``error: collector.yaml:12:5: receivers::otlp: unknown key `endpont`; did you mean `endpoint`?``
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration can still be used.
    pub severity: Severity,
    /// Where in the text it is, as far as known.
    pub place: Option<Place>,
    /// Keys from the root, joined by `::`; list items by their index. Empty at the root.
    pub path: String,
    /// What is wrong, in lower case, without place, path and full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake without which the configuration cannot be used.
    #[must_use]
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message) = (path.into(), message.into());
        Self { severity: Severity::Error, place: None, path, message, hint: None }
    }

    /// Something to be told that does not stop the start.
    #[must_use]
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// A mistake that a component finds in its own section: the path is relative to the section, and whoever knows the
    /// section completes it by [`Problem::within`].
    #[must_use]
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::error(key, message)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says where it is; an unknown place is not taken.
    #[must_use]
    pub fn with_place(mut self, place: &Place) -> Self {
        self.place = place.is_known().then(|| place.clone());
        self
    }

    /// Puts the path of the surrounding section in front.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.path = match (prefix.is_empty(), self.path.is_empty()) {
            (_, true) => prefix.to_owned(),
            (true, false) => self.path,
            (false, false) => format!("{prefix}::{}", self.path),
        };
        self
    }

    /// Completes a problem whose path is relative to `section`: finds the place, as near as the keys exist, and puts
    /// `prefix` in front of the path.
    #[must_use]
    pub fn within(mut self, prefix: &str, section: &Node) -> Self {
        if self.place.is_none() {
            self = self.clone().with_place(section.place_of(&self.path));
        }
        self.under(prefix)
    }

    /// Whether the configuration cannot be used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
