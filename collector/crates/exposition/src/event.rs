//! What a parser finds, borrowed from the body where possible.

use std::borrow::Cow;

use model::{Kind, Timestamp};

use crate::series::{Block, Item, Rules, raw_text};

/// One line that means something.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// `# TYPE`: what the family is. In text it holds for the normalisation of every series until the next one.
    Type {
        /// The family's name, unescaped.
        family: Cow<'a, str>,
        /// Its type; `untyped` and `unknown` are [`Kind::Unknown`].
        kind: Kind,
    },
    /// `# HELP`.
    Help {
        /// The family's name, unescaped.
        family: Cow<'a, str>,
        /// The text, unescaped; may be empty.
        text: Cow<'a, str>,
    },
    /// `# UNIT`, in OpenMetrics only.
    Unit {
        /// The family's name, unescaped.
        family: Cow<'a, str>,
        /// The unit; may be empty, otherwise the family's name ends with it.
        unit: Cow<'a, str>,
    },
    /// Any other comment, in text only.
    Comment,
    /// A sample.
    Sample(Sample<'a>),
    /// OpenMetrics' `# EOF`; nothing comes after it. Text just ends.
    End,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The series as it stands in the body, from the first byte of the name to the `}` (or to the end of a name
    /// without labels): equal text means equal series while the TYPE lines stay the same, so this is the key of
    /// caches.
    pub series: &'a [u8],
    /// Whether the series is the predicted one and was taken without being parsed.
    pub predicted: bool,
    /// The value; NaN always has the bits [`model::NAN_BITS`].
    pub value: f64,
    /// The time in the body, where there is one.
    pub timestamp: Option<Timestamp>,
    /// The exemplar, in OpenMetrics only.
    pub exemplar: Option<RawExemplar<'a>>,
}

/// An exemplar; its labels are checked, but stay escaped until asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawExemplar<'a> {
    /// From behind the `{` on, the `}` included; checked by the parser.
    pub(crate) labels: &'a [u8],
    /// Its value; NaN always has the bits [`model::NAN_BITS`].
    pub value: f64,
    /// Its time, where there is one.
    pub timestamp: Option<Timestamp>,
}

impl<'a> RawExemplar<'a> {
    /// Its labels, unescaped, in order of appearance. Bytes of a name that are not UTF-8 are replaced.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let mut block = Block::new(self.labels, 0, Rules::Exemplar);
        std::iter::from_fn(move || match block.item() {
            Ok(Some(Item::Label { name, value })) => Some((raw_text(name), raw_text(value))),
            _ => None,
        })
    }
}

/// A line that is not what the format allows. Prometheus fails the whole scrape for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// Line in the body, counted from one; zero where a series was read apart from its body.
    pub line: usize,
    /// What was expected and what stands there.
    pub message: String,
}

impl ParseError {
    /// The same error, placed in a body.
    #[must_use]
    pub fn at(self, line: usize) -> Self {
        Self { line, ..self }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

/// A [`ParseError`] whose place is still a position in bytes.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) at: usize,
    pub(crate) reason: String,
}

impl Bad {
    pub(crate) fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into() }
    }

    /// `expected X, found Y`, where Y is what stands at `at`.
    pub(crate) fn expected(what: &str, bytes: &[u8], at: usize) -> Self {
        Self::new(at, format!("expected {what}, found {}", shown(bytes, at)))
    }
}

/// Bytes of a body for a message: text as it is, control characters and bytes that are no text as escapes.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                character if character.is_control() => text.extend(character.escape_default()),
                character => text.push(character),
            }
        }
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    text
}

/// What stands at a position, short enough for a message.
fn shown(bytes: &[u8], at: usize) -> String {
    /// Longest excerpt of a body in a message, in bytes.
    const EXCERPT: usize = 40;
    match bytes.get(at) {
        None => "the end of the body".to_owned(),
        Some(b'\n') => "the end of the line".to_owned(),
        Some(b' ' | b'\t') => "a blank".to_owned(),
        Some(_) => {
            let rest = &bytes[at..bytes.len().min(at + EXCERPT)];
            let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
            format!("`{}`", printable(&rest[..end.unwrap_or(rest.len())]))
        }
    }
}
