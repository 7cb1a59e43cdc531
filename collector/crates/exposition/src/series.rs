//! The series part of a line: name and labels, in all their spellings.
//!
//! As Prometheus `model/textparse` (`promlex.l`, `openmetricslex.l`, `parseLVals`), whose leniencies are kept: text
//! takes blanks anywhere and a missing comma between labels, both formats take a trailing comma, an unknown escape
//! keeps its backslash. The name may stand in the braces, in quotes and without `=`, at any place.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use model::Kind;

use crate::event::{Bad, ParseError, Place, printable};
use crate::lines::Syntax;
use crate::names::{is_name_byte, is_name_start};
use crate::{Format, float, float_label, protobuf};

/// Most labels that one exposed series may have. Nobody gets near it; it bounds what one line can make others hold.
pub const MAX_LABELS_PER_SERIES: usize = 32_768;

/// Whose rules hold between braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    Text,
    OpenMetrics,
    Exemplar,
    /// Those of the specification: no quoted names, no trailing comma.
    Specification,
}

impl From<Syntax> for Rules {
    fn from(syntax: Syntax) -> Self {
        match syntax {
            Syntax::Text => Self::Text,
            Syntax::OpenMetrics => Self::OpenMetrics,
        }
    }
}

/// What stands between braces; still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// The name of the series.
    Name(&'a [u8]),
    /// A label; whether the value is UTF-8 is not known yet.
    Label { name: &'a [u8], value: &'a [u8] },
}

/// Walks over the labels between braces and checks them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    bytes: &'a [u8],
    pos: usize,
    rules: Rules,
}

impl<'a> Block<'a> {
    /// `pos` is behind the `{`.
    pub(crate) fn new(bytes: &'a [u8], pos: usize, rules: Rules) -> Self {
        Self { bytes, pos, rules }
    }

    /// Where the walk has come to: behind the `}` once there was no more item.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The next item, or nothing once the `}` is passed.
    pub(crate) fn item(&mut self) -> Result<Option<Item<'a>>, Bad> {
        self.skip_blanks();
        let (name, is_quoted) = match self.peek() {
            Some(b'}') => {
                self.pos += 1;
                return Ok(None);
            }
            Some(b'"') if self.rules == Rules::Specification => {
                return Err(Bad::new(self.pos, "OpenMetrics 1.0 has no quoted names"));
            }
            Some(b'"') => (self.quoted(self.rules != Rules::Exemplar, false)?, true),
            Some(byte) if is_name_start(byte) && byte != b':' => (self.bare(), false),
            _ => return Err(Bad::expected("a label name", self.bytes, self.pos)),
        };
        self.skip_blanks();
        let is_name = is_quoted && matches!(self.peek(), Some(b',' | b'}'));
        if is_name && self.rules != Rules::Exemplar {
            self.pos += usize::from(self.peek() == Some(b','));
            return Ok(Some(Item::Name(name)));
        }
        let value = self.value()?;
        self.skip_blanks();
        match (self.peek(), self.rules) {
            (Some(b','), Rules::Specification) if self.bytes.get(self.pos + 1) == Some(&b'}') => {
                return Err(Bad::new(self.pos, "OpenMetrics 1.0 has no comma behind the last label"));
            }
            (Some(b','), _) => self.pos += 1,
            (Some(b'}'), _) | (_, Rules::Text) => {}
            _ => return Err(Bad::expected("`,` or `}` after a label", self.bytes, self.pos)),
        }
        Ok(Some(Item::Label { name, value }))
    }

    /// `="value"`.
    fn value(&mut self) -> Result<&'a [u8], Bad> {
        if self.peek() != Some(b'=') {
            return Err(Bad::expected("`=` after a label name", self.bytes, self.pos));
        }
        self.pos += 1;
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(Bad::expected("a label value in quotes", self.bytes, self.pos));
        }
        self.quoted(self.rules == Rules::Text, self.rules != Rules::Exemplar)
    }

    fn bare(&mut self) -> &'a [u8] {
        let start = self.pos;
        while self.peek().is_some_and(|byte| is_name_byte(byte) && byte != b':') {
            self.pos += 1;
        }
        &self.bytes[start..self.pos]
    }

    fn quoted(&mut self, newline: bool, nul: bool) -> Result<&'a [u8], Bad> {
        let start = self.pos;
        self.pos = quoted_end(self.bytes, start, newline, nul)?;
        Ok(&self.bytes[start + 1..self.pos - 1])
    }

    fn skip_blanks(&mut self) {
        if self.rules == Rules::Text {
            self.pos = skip_blanks(self.bytes, self.pos);
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }
}

/// Position of the first byte from `pos` on that is neither space nor tab.
#[inline]
pub(crate) fn skip_blanks(bytes: &[u8], mut pos: usize) -> usize {
    while matches!(bytes.get(pos), Some(b' ' | b'\t')) {
        pos += 1;
    }
    pos
}

/// Position behind the quote that ends the string which begins at `start`. Whether raw newlines and NUL may stand
/// inside depends on where the string stands; an escaped newline may not, anywhere.
pub(crate) fn quoted_end(bytes: &[u8], start: usize, newline: bool, nul: bool) -> Result<usize, Bad> {
    let unterminated = || Bad::new(start, "a quoted string does not end");
    let mut pos = start + 1;
    let end = loop {
        let here = pos + memchr2(b'"', b'\\', bytes.get(pos..).unwrap_or(&[])).ok_or_else(unterminated)?;
        if bytes[here] == b'"' {
            break here;
        }
        pos = here + 1;
        // Prometheus' lexer does not see NUL where it is allowed: the byte behind is the escaped one.
        while nul && bytes.get(pos) == Some(&0) {
            pos += 1;
        }
        if bytes.get(pos) == Some(&b'\n') {
            return Err(Bad::new(here, "a backslash stands before the end of the line"));
        }
        pos += 1;
    };
    let inside = &bytes[start + 1..end];
    if !newline && memchr(b'\n', inside).is_some() {
        return Err(unterminated());
    }
    if !nul && memchr(0, inside).is_some() {
        return Err(Bad::new(start, "a quoted name holds a NUL byte"));
    }
    Ok(end + 1)
}

/// Walks over the series that begins at `start`, shows every part of it and gives the position behind it.
pub(crate) fn walk<'a>(
    syntax: Syntax,
    bytes: &'a [u8],
    start: usize,
    mut visit: impl FnMut(Item<'a>) -> Result<(), Bad>,
) -> Result<usize, Bad> {
    let mut pos = start;
    while bytes.get(pos).is_some_and(|byte| is_name_byte(*byte)) {
        pos += 1;
    }
    let mut is_named = pos > start;
    if is_named {
        visit(Item::Name(&bytes[start..pos]))?;
    }
    let open = if syntax == Syntax::Text { skip_blanks(bytes, pos) } else { pos };
    let nameless = || Bad::new(start, "the metric name is missing");
    if bytes.get(open) != Some(&b'{') {
        return if is_named { Ok(pos) } else { Err(nameless()) };
    }
    let mut block = Block::new(bytes, open + 1, syntax.into());
    loop {
        let at = block.pos();
        let Some(item) = block.item()? else { break };
        if matches!(item, Item::Name(_)) && std::mem::replace(&mut is_named, true) {
            return Err(Bad::new(at, "the metric name is given twice"));
        }
        visit(item)?;
    }
    if is_named { Ok(block.pos()) } else { Err(nameless()) }
}

/// Refuses a label value that is not UTF-8. Almost every series is ASCII, so the parser looks at each value only
/// where the whole is not.
pub(crate) fn check_value(item: Item<'_>, at: usize) -> Result<(), Bad> {
    match item {
        Item::Label { value, .. } => valid_value(value).map(drop).map_err(|bad| Bad { at, ..bad }),
        Item::Name(_) => Ok(()),
    }
}

/// Reads the labels of a series that a [`crate::Parser`] of the same format gave, unescaped, into `out`: `__name__`
/// first, then the others in order of appearance. What `out` held before is dropped. Labels with empty values are
/// included, though they mean the same as absent ones.
///
/// `kind` is the one of the last TYPE line before the series, whatever family that line named: while it says
/// histogram (summary), numbers in `le` (`quantile`) are rewritten to their OpenMetrics form, so that a series has
/// the same identity in every format. In protobuf bounds are numbers, always written so, and `kind` is not looked at.
///
/// # Errors
///
/// When a label name appears twice, a name is empty or not UTF-8, or there are more than [`MAX_LABELS_PER_SERIES`].
/// The error has no place; the parser knows it.
pub fn series_labels<'a>(
    format: Format,
    series: &'a [u8],
    kind: Kind,
    out: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
) -> Result<(), ParseError> {
    out.clear();
    let read = match format {
        Format::Text => line_labels(Syntax::Text, series, kind, out),
        Format::OpenMetrics => line_labels(Syntax::OpenMetrics, series, kind, out),
        Format::Protobuf => protobuf::key_labels(series, out),
    };
    let unplaced = |message: String| ParseError { place: Place::Nowhere, message };
    read.map_err(|bad| unplaced(bad.reason))?;
    match repeated(out) {
        Some(name) => Err(unplaced(format!("label name {name:?} is not unique"))),
        None => Ok(()),
    }
}

/// Names and values of labels.
pub(crate) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn line_labels<'a>(syntax: Syntax, series: &'a [u8], kind: Kind, out: &mut Pairs<'a>) -> Result<(), Bad> {
    let mut items = Vec::new();
    let collect = |item| {
        items.push(item);
        check_number(items.len())
    };
    let end = walk(syntax, series, 0, collect)?;
    if end < series.len() {
        return Err(Bad::expected("the end of the series", series, end));
    }
    let normalised = match kind {
        Kind::Histogram => "le",
        Kind::Summary => "quantile",
        _ => "",
    };
    out.push((Cow::Borrowed("__name__"), Cow::Borrowed("")));
    for item in items {
        match item {
            Item::Name(raw) => out[0].1 = valid_name("metric", raw)?,
            Item::Label { name, value } => {
                let name = valid_name("label", name)?;
                let value = unescape_value(valid_value(value)?);
                let number = if name == normalised { float::parse(value.as_bytes()) } else { None };
                out.push((name, number.map_or(value, |number| Cow::Owned(float_label(number)))));
            }
        }
    }
    Ok(())
}

/// Refuses a series with more names and labels than this.
pub(crate) fn check_number(n_items: usize) -> Result<(), Bad> {
    let limit = MAX_LABELS_PER_SERIES;
    if n_items <= limit {
        return Ok(());
    }
    Err(Bad::new(0, format!("a series has more labels than max_labels_per_series ({limit})")))
}

fn repeated<'l>(labels: &'l [(Cow<'_, str>, Cow<'_, str>)]) -> Option<&'l str> {
    let mut names: Vec<&str> = labels.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn valid_name<'a>(of: &str, raw: &'a [u8]) -> Result<Cow<'a, str>, Bad> {
    check_name(of, raw).map(unescape_value)
}

/// The name of a series or a label: UTF-8 and not empty.
pub(crate) fn check_name<'a>(of: &str, raw: &'a [u8]) -> Result<&'a str, Bad> {
    match std::str::from_utf8(raw) {
        Ok("") => Err(Bad::new(0, format!("a {of} name is empty"))),
        Ok(name) => Ok(name),
        Err(_) => Err(Bad::new(0, format!("the {of} name \"{}\" is not valid UTF-8", printable(raw)))),
    }
}

/// The value of a label: UTF-8.
pub(crate) fn valid_value(raw: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(raw).map_err(|_| Bad::new(0, "a label value is not valid UTF-8"))
}

/// Unescapes what identifies no series; bytes that are not UTF-8 are replaced.
pub(crate) fn raw_text(raw: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(raw) {
        Ok(name) => unescape_value(name),
        Err(_) => Cow::Owned(unescape_value(&String::from_utf8_lossy(raw)).into_owned()),
    }
}

/// Resolves `\\`, `\"` and `\n`; any other escape keeps both characters.
pub(crate) fn unescape_value(raw: &str) -> Cow<'_, str> {
    unescape(raw, true)
}

/// Resolves `\\` and `\n`; any other escape, `\"` too, keeps both characters.
pub(crate) fn unescape_help(raw: &str) -> Cow<'_, str> {
    unescape(raw, false)
}

fn unescape(raw: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = raw[first..].chars();
    while let Some(character) = rest.next() {
        let resolved = match (character, rest.as_str().as_bytes().first()) {
            ('\\', Some(b'\\')) => '\\',
            ('\\', Some(b'n')) => '\n',
            ('\\', Some(b'"')) if quotes => '"',
            _ => {
                text.push(character);
                continue;
            }
        };
        text.push(resolved);
        rest.next();
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests;
