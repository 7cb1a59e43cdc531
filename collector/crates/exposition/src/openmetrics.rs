//! The grammar of OpenMetrics 1.0, as leniently as Prometheus reads it when it scrapes.
//!
//! As Prometheus `model/textparse/openmetricsparse.go` and `openmetricslex.l`: the shape of lines is strict (one
//! space, no blank lines, `# EOF` at the end), what families may contain is not looked at: a counter without
//! `_total`, any series with an exemplar of any length, interleaved families and repeated TYPE lines pass. Quoted
//! UTF-8 names are read although 1.0 does not know them.

use memchr::memchr;
use model::{Kind, Timestamp};

use crate::RawExemplar;
use crate::event::{Bad, Event, printable};
use crate::lines::Lines;
use crate::series::{Block, Rules, check_value, unescape_value};

type Suffix<'a> = (f64, Option<Timestamp>, Option<RawExemplar<'a>>, usize);

const EXEMPLAR: &[u8] = b" # {";
const UNENDED: &str = "the body does not end with # EOF";

impl<'a> Lines<'a> {
    /// What is not a sample.
    pub(crate) fn openmetrics_event(&mut self) -> Result<Event<'a>, Bad> {
        match self.body.get(self.pos) {
            None => Err(Bad::new(self.pos, UNENDED)),
            Some(b'#') => self.openmetrics_comment(),
            Some(_) => Err(Bad::expected("a metric name, `{` or `#`", self.body, self.pos)),
        }
    }

    /// Value, timestamp and exemplar behind a series that ends at `end`, and the position behind the line.
    #[inline]
    pub(crate) fn openmetrics_suffix(&self, end: usize) -> Result<Suffix<'a>, Bad> {
        let (value, mut end) = self.spaced_number(end, "a space and a value")?;
        let (mut timestamp, mut exemplar) = (None, None);
        if self.body.get(end) == Some(&b' ') && !self.body[end..].starts_with(EXEMPLAR) {
            (timestamp, end) = self.openmetrics_timestamp(end)?;
        }
        if self.body[end..].starts_with(EXEMPLAR) {
            let (read, exemplar_end) = self.exemplar(end + EXEMPLAR.len())?;
            exemplar = Some(read);
            end = exemplar_end;
        }
        Ok((value, timestamp, exemplar, self.newline(end)?))
    }

    /// `start` is behind the `{`.
    fn exemplar(&self, start: usize) -> Result<(RawExemplar<'a>, usize), Bad> {
        let mut block = Block::new(self.body, start, Rules::Exemplar);
        while let Some(item) = block.item()? {
            check_value(item, start)?;
        }
        let labels = &self.body[start..block.pos()];
        let (value, mut end) = self.spaced_number(block.pos(), "a space and the exemplar's value")?;
        let mut timestamp = None;
        if self.body.get(end) == Some(&b' ') {
            (timestamp, end) = self.openmetrics_timestamp(end)?;
        }
        Ok((RawExemplar::of_line(labels, value, timestamp), end))
    }

    /// A space and seconds with fractions; cut, not rounded, to milliseconds.
    fn openmetrics_timestamp(&self, at: usize) -> Result<(Option<Timestamp>, usize), Bad> {
        let (seconds, end) = self.spaced_number(at, "a timestamp")?;
        if !seconds.is_finite() {
            return Err(Bad::new(at + 1, "a timestamp is not finite"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "that is the rule; out of range saturates")]
        let millis = (seconds * 1000.0) as i64;
        Ok((Some(Timestamp(millis)), end))
    }

    /// One space and a number.
    #[inline]
    fn spaced_number(&self, at: usize, what: &str) -> Result<(f64, usize), Bad> {
        match self.body.get(at..at + 2) {
            Some([b' ', byte]) if !matches!(byte, b' ' | b'\n') => self.number(at + 1),
            _ => Err(Bad::expected(what, self.body, at)),
        }
    }

    fn newline(&self, at: usize) -> Result<usize, Bad> {
        match self.body.get(at) {
            Some(b'\n') => Ok(at + 1),
            None => Err(Bad::new(at, UNENDED)),
            Some(_) => Err(Bad::expected("the end of the line", self.body, at)),
        }
    }

    fn openmetrics_comment(&mut self) -> Result<Event<'a>, Bad> {
        let start = self.pos;
        let rest = &self.body[start..];
        if let Some(rest) = rest.strip_prefix(b"# EOF") {
            if !matches!(rest, [] | [b'\n']) {
                return Err(Bad::new(start + 5, "there is data after # EOF"));
            }
            self.pos = self.body.len();
            return Ok(Event::End);
        }
        let keyword = match rest.get(..7) {
            Some(b"# HELP ") => "HELP",
            Some(b"# TYPE ") => "TYPE",
            Some(b"# UNIT ") => "UNIT",
            _ => {
                let word = start + if rest.starts_with(b"# ") { 2 } else { 1 };
                return Err(Bad::expected("HELP, TYPE, UNIT or EOF", self.body, word));
            }
        };
        let (family, name_end) = self.family(start + 7, keyword)?;
        let end = memchr(b'\n', &self.body[name_end..]).map(|length| name_end + length);
        let (Some(b' '), Some(end)) = (self.body.get(name_end), end) else {
            return Err(Bad::expected(&format!("a space and the text of {keyword}"), self.body, name_end));
        };
        let text = &self.body[name_end + 1..end];
        self.pos = end + 1;
        if keyword == "TYPE" {
            return match kind_of(text) {
                Some(kind) => Ok(Event::Type { family, kind }),
                None => Err(Bad::new(name_end + 1, format!("unknown metric type \"{}\"", printable(text)))),
            };
        }
        let text = std::str::from_utf8(text)
            .map_err(|_| Bad::new(name_end, format!("the text of {keyword} is not valid UTF-8")))?;
        if keyword == "HELP" {
            return Ok(Event::Help { family, text: unescape_value(text) });
        }
        let is_suffix = family.strip_suffix(text).is_some_and(|stem| stem.ends_with('_'));
        if !text.is_empty() && !is_suffix {
            return Err(Bad::new(name_end + 1, format!("unit {text:?} is not a suffix of {family:?}")));
        }
        Ok(Event::Unit { family, unit: text.into() })
    }
}

fn kind_of(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"counter" => Kind::Counter,
        b"gauge" => Kind::Gauge,
        b"histogram" => Kind::Histogram,
        b"gaugehistogram" => Kind::GaugeHistogram,
        b"summary" => Kind::Summary,
        b"info" => Kind::Info,
        b"stateset" => Kind::StateSet,
        b"unknown" => Kind::Unknown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
