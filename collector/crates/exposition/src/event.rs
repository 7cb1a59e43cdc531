//! What a parser finds, borrowed from the body where possible.

use std::borrow::Cow;

use model::{Histogram, Kind, Timestamp};

use crate::protobuf::exemplar_labels;
use crate::series::{Block, Item, Rules, raw_text};

/// One line that means something, or what stands for one in protobuf.
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
    /// `# UNIT`, in OpenMetrics and protobuf only.
    Unit {
        /// The family's name, unescaped.
        family: Cow<'a, str>,
        /// The unit; in OpenMetrics it may be empty, otherwise the family's name ends with it.
        unit: Cow<'a, str>,
    },
    /// Any other comment, in text only.
    Comment,
    /// A sample.
    Sample(Sample<'a>),
    /// A sample that is a native histogram: from protobuf, or made of classic series.
    Histogram(Box<HistogramSample<'a>>),
    /// OpenMetrics' `# EOF`; nothing comes after it. Text and protobuf just end.
    End,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The series as it stands in the body, from the first byte of the name to the `}` (or to the end of a name
    /// without labels); in protobuf, the encoded bytes of its name and labels. Equal bytes mean equal series while
    /// the TYPE lines stay the same, so this is the key of caches; [`crate::series_labels`] reads it.
    pub series: &'a [u8],
    /// Whether the series is the predicted one and was taken without being parsed.
    pub predicted: bool,
    /// The value; NaN always has the bits [`model::NAN_BITS`].
    pub value: f64,
    /// The time in the body, where there is one.
    pub timestamp: Option<Timestamp>,
    /// When the series began to count, where the body says so: always in protobuf, in OpenMetrics if
    /// [`crate::Options::start_timestamps`] is on.
    pub start: Option<Timestamp>,
    /// The exemplar, in OpenMetrics and protobuf only.
    pub exemplar: Option<RawExemplar<'a>>,
}

/// A native histogram of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample<'a> {
    /// The series, as [`Sample::series`]. A histogram that was made of the classic series of a line format has a text
    /// that stands nowhere in the body, but is read like any other.
    pub series: &'a [u8],
    /// Whether the series is the predicted one.
    pub predicted: bool,
    /// The value, without empty buckets at the ends of spans.
    pub histogram: Histogram,
    /// The time in the body, where there is one.
    pub timestamp: Option<Timestamp>,
    /// When the series began to count, where the body says so.
    pub start: Option<Timestamp>,
    /// In order of appearance. From protobuf only those with a time of their own, as upstream.
    pub exemplars: Vec<RawExemplar<'a>>,
}

/// An exemplar; its labels are checked, but stay escaped until asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawExemplar<'a> {
    labels: RawLabels<'a>,
    /// Its value; NaN always has the bits [`model::NAN_BITS`].
    pub value: f64,
    /// Its time, where there is one.
    pub timestamp: Option<Timestamp>,
}

/// Labels of an exemplar, checked by the parser.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RawLabels<'a> {
    /// From behind the `{` on, the `}` included.
    Line(&'a [u8]),
    /// A whole `Exemplar` message.
    Message(&'a [u8]),
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> RawExemplar<'a> {
    pub(crate) fn of_line(labels: &'a [u8], value: f64, timestamp: Option<Timestamp>) -> Self {
        Self { labels: RawLabels::Line(labels), value, timestamp }
    }

    pub(crate) fn of_message(message: &'a [u8], value: f64, timestamp: Option<Timestamp>) -> Self {
        Self { labels: RawLabels::Message(message), value, timestamp }
    }

    /// What stands between its braces, the `}` included, if it stands on a line.
    pub(crate) fn block(&self) -> Option<&'a [u8]> {
        match self.labels {
            RawLabels::Line(block) => Some(block),
            RawLabels::Message(_) => None,
        }
    }

    /// Its labels, unescaped, in order of appearance. Bytes that are not UTF-8 are replaced.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let (line, message) = match self.labels {
            RawLabels::Line(block) => (Some(line_labels(block)), None),
            RawLabels::Message(message) => (None, Some(exemplar_labels(message))),
        };
        line.into_iter().flatten().chain(message.into_iter().flatten())
    }
}

fn line_labels<'a>(block: &'a [u8]) -> impl Iterator<Item = Pair<'a>> {
    let mut block = Block::new(block, 0, Rules::Exemplar);
    std::iter::from_fn(move || match block.item() {
        Ok(Some(Item::Label { name, value })) => Some((raw_text(name), raw_text(value))),
        _ => None,
    })
}

/// Where something stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not in a body: a series was read apart from its own.
    Nowhere,
    /// On this line, counted from one.
    Line(usize),
    /// At this byte of a protobuf body, counted from zero.
    Byte(usize),
}

/// Bytes that are not what the format allows. Prometheus fails the whole scrape for one line of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What was expected and what stands there.
    pub message: String,
}

impl ParseError {
    /// The same error, placed in a body.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Place::Nowhere => f.write_str(&self.message),
            Place::Line(line) => write!(f, "line {line}: {}", self.message),
            Place::Byte(byte) => write!(f, "byte {byte}: {}", self.message),
        }
    }
}

/// A [`ParseError`] whose place is still a position in bytes.
#[derive(Clone, Debug)]
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
