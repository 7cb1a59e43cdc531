//! The grammar of text 0.0.4 and 1.0.0, which is one.
//!
//! As Prometheus `model/textparse/promparse.go` and `promlex.l`, odd corners included: a name needs no blank before
//! the value (`up+1`), a TYPE word must follow its name after exactly one byte, a NUL where a line begins ends the
//! body. One difference on purpose: blanks before a name do not become part of the name.

use std::borrow::Cow;

use memchr::memchr;
use model::{Kind, Timestamp};

use crate::event::{Bad, Event, printable};
use crate::lines::Lines;
use crate::names::{is_name_byte, is_name_start};
use crate::series::{quoted_end, raw_text, skip_blanks, unescape_help};

impl<'a> Lines<'a> {
    /// Goes to the first byte of a line that has any, blanks before it skipped.
    #[inline]
    pub(crate) fn skip_empty_lines(&mut self) {
        while matches!(self.body.get(self.pos), Some(b' ' | b'\t' | b'\n')) {
            self.pos += 1;
        }
    }

    /// What is not a sample.
    pub(crate) fn text_event(&mut self) -> Result<Option<Event<'a>>, Bad> {
        match self.body.get(self.pos) {
            None | Some(0) => Ok(None),
            Some(b'#') => self.text_comment(),
            Some(_) => Err(Bad::expected("a metric name, `{` or `#`", self.body, self.pos)),
        }
    }

    /// Value and timestamp behind a series that ends at `end`, and the position behind the line.
    #[inline]
    pub(crate) fn text_suffix(&self, end: usize) -> Result<(f64, Option<Timestamp>, usize), Bad> {
        let start = skip_blanks(self.body, end);
        if matches!(self.body.get(start), None | Some(b'\n' | b'{')) {
            return Err(Bad::expected("a value", self.body, start));
        }
        let (value, end) = self.number(start)?;
        let mut end = skip_blanks(self.body, end);
        let mut timestamp = None;
        if matches!(self.body.get(end), Some(b'0'..=b'9')) {
            let (read, timestamp_end) = self.text_timestamp(end)?;
            timestamp = Some(read);
            end = skip_blanks(self.body, timestamp_end);
        }
        match self.body.get(end) {
            None => Ok((value, timestamp, end)),
            Some(b'\n') => Ok((value, timestamp, end + 1)),
            Some(_) if timestamp.is_some() => {
                Err(Bad::expected("the end of the line after the timestamp", self.body, end))
            }
            Some(_) => Err(Bad::expected("a timestamp or the end of the line", self.body, end)),
        }
    }

    /// Milliseconds in decimal digits, without a sign.
    fn text_timestamp(&self, start: usize) -> Result<(Timestamp, usize), Bad> {
        let mut end = start;
        let mut millis = Some(0i64);
        while let Some(digit @ b'0'..=b'9') = self.body.get(end) {
            millis = millis.and_then(|ms| ms.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
            end += 1;
        }
        match millis {
            Some(millis) => Ok((Timestamp(millis), end)),
            None => Err(Bad::new(start, "a timestamp does not fit into 64 bits")),
        }
    }

    /// HELP, TYPE, or a comment that says nothing to us.
    fn text_comment(&mut self) -> Result<Option<Event<'a>>, Bad> {
        let start = skip_blanks(self.body, self.pos + 1);
        let is_help = match self.body.get(start..start + 4) {
            Some(b"HELP") => Some(true),
            Some(b"TYPE") => Some(false),
            _ => None,
        };
        let keyword_ends = matches!(self.body.get(start + 4), Some(b' ' | b'\t'));
        if let Some(is_help) = is_help
            && start > self.pos + 1
            && keyword_ends
        {
            return self.text_metadata(skip_blanks(self.body, start + 4), is_help).map(Some);
        }
        let end = self.line_end(start);
        if start == self.pos + 1 && memchr(0, &self.body[start..end]).is_some() {
            // The body ends at a NUL here too, unless a blank follows the `#`.
            return Ok(None);
        }
        self.pos = self.body.len().min(end + 1);
        Ok(Some(Event::Comment))
    }

    fn text_metadata(&mut self, start: usize, is_help: bool) -> Result<Event<'a>, Bad> {
        let keyword = if is_help { "HELP" } else { "TYPE" };
        let (family, text_start) = self.family(start, keyword)?;
        let end = self.line_end(text_start);
        let raw = &self.body[text_start..end];
        if raw.first() == Some(&0) {
            return Err(Bad::expected("a blank after the metric name", self.body, text_start));
        }
        // One byte separates name and text, whatever it is; a line of blanks is no text.
        let is_blank = raw.iter().all(|byte| matches!(byte, b' ' | b'\t' | 0));
        let text = if is_blank { &[] } else { &raw[1..] };
        self.pos = self.body.len().min(end + 1);
        if is_help {
            let text = std::str::from_utf8(text)
                .map_err(|_| Bad::new(text_start, "the text of HELP is not valid UTF-8"))?;
            return Ok(Event::Help { family, text: unescape_help(text) });
        }
        let kind = match text {
            b"counter" => Kind::Counter,
            b"gauge" => Kind::Gauge,
            b"histogram" => Kind::Histogram,
            b"summary" => Kind::Summary,
            b"untyped" => Kind::Unknown,
            word => {
                return Err(Bad::new(text_start, format!("unknown metric type \"{}\"", printable(word))));
            }
        };
        Ok(Event::Type { family, kind })
    }

    /// The name on a HELP, TYPE or UNIT line, bare or quoted, and the position behind it.
    pub(crate) fn family(&self, start: usize, keyword: &str) -> Result<(Cow<'a, str>, usize), Bad> {
        match self.body.get(start) {
            Some(b'"') => {
                let end = quoted_end(self.body, start, true, false)?;
                Ok((raw_text(&self.body[start + 1..end - 1]), end))
            }
            Some(byte) if is_name_start(*byte) => {
                let rest = &self.body[start..];
                let length = rest.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(rest.len());
                Ok((raw_text(&rest[..length]), start + length))
            }
            _ => Err(Bad::expected(&format!("a metric name after {keyword}"), self.body, start)),
        }
    }

    /// Position of the newline that ends the line, or of the end of the body.
    pub(crate) fn line_end(&self, from: usize) -> usize {
        memchr(b'\n', &self.body[from..]).map_or(self.body.len(), |length| from + length)
    }
}

#[cfg(test)]
mod tests;
