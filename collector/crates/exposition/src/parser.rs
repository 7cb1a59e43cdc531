//! The parser: one walk over a body, line by line.
//!
//! What text and OpenMetrics have in common stands here, above all the prediction of series, which makes the
//! parsing of an unchanged exposition a comparison and a number per line. The grammars are in `text` and
//! `openmetrics`.

use memchr::memchr_iter;

use crate::event::{Bad, Event, ParseError, Sample};
use crate::names::{is_name_byte, is_name_start};
use crate::series::{check_value, skip_blanks, walk};
use crate::{Format, float};

/// Walks over the body of a scrape.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    pub(crate) format: Format,
    pub(crate) body: &'a [u8],
    /// Where the next event is looked for.
    pub(crate) pos: usize,
    /// Where the last event began.
    start: usize,
    is_done: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of `body`.
    #[must_use]
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self { format, body, pos: 0, start: 0, is_done: false }
    }

    /// The next event; nothing at the end of the body and after an error.
    ///
    /// `predicted` is the series expected on the next line: a [`Sample::series`] that a parser of the same format
    /// gave before, or nothing. When the line begins with exactly this series, the series is not parsed and
    /// [`Sample::predicted`] is true. Everything else about the event is the same with and without the prediction.
    #[inline]
    pub fn next(&mut self, predicted: &[u8]) -> Option<Result<Event<'a>, ParseError>> {
        if self.is_done {
            return None;
        }
        if self.format == Format::Text {
            self.skip_empty_lines();
        }
        self.start = self.pos;
        if let Some(end) = self.behind(predicted) {
            return Some(self.sample(end, true));
        }
        if self.body.get(self.pos).is_some_and(|byte| *byte == b'{' || is_name_start(*byte)) {
            return Some(self.new_sample());
        }
        let event = match self.format {
            Format::Text => self.text_event(),
            Format::OpenMetrics => self.openmetrics_event().map(Some),
        };
        self.is_done = matches!(event, Ok(None | Some(Event::End)));
        event.map_err(|bad| self.fail(bad)).transpose()
    }

    /// Line of the last event, counted from one. Counts the lines up to there, so it is for errors, not for every
    /// line.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line_at(self.start)
    }

    fn line_at(&self, pos: usize) -> usize {
        1 + memchr_iter(b'\n', &self.body[..pos.min(self.body.len())]).count()
    }

    /// Position behind the series at the beginning of the line, if that is the predicted one.
    #[inline]
    fn behind(&self, predicted: &[u8]) -> Option<usize> {
        let last = *predicted.last()?;
        let rest = self.body[self.pos..].strip_prefix(predicted)?;
        let end = self.pos + predicted.len();
        // Nothing can prolong a series behind its `}`. A bare name could go on, or have labels.
        if last == b'}' {
            return Some(end);
        }
        let follows = match self.format {
            Format::Text if matches!(rest.first(), Some(b' ' | b'\t')) => {
                self.body.get(skip_blanks(self.body, end)).copied()
            }
            _ => rest.first().copied(),
        };
        let goes_on = rest.first().is_some_and(|byte| is_name_byte(*byte)) || follows == Some(b'{');
        (!goes_on).then_some(end)
    }

    /// The error, placed; nothing comes after it.
    #[cold]
    fn fail(&mut self, bad: Bad) -> ParseError {
        self.is_done = true;
        ParseError { line: self.line_at(bad.at), message: bad.reason }
    }

    /// A sample whose series must be parsed.
    fn new_sample(&mut self) -> Result<Event<'a>, ParseError> {
        match self.series_end() {
            Ok(end) => self.sample(end, false),
            Err(bad) => Err(self.fail(bad)),
        }
    }

    fn series_end(&self) -> Result<usize, Bad> {
        let end = walk(self.format, self.body, self.pos, |_| Ok(()))?;
        if !self.body[self.pos..end].is_ascii() {
            walk(self.format, self.body, self.pos, |item| check_value(item, self.pos))?;
        }
        Ok(end)
    }

    /// The sample whose series ends at `end`.
    #[inline]
    fn sample(&mut self, end: usize, predicted: bool) -> Result<Event<'a>, ParseError> {
        let series = &self.body[self.pos..end];
        let suffix = match self.format {
            Format::Text => self.text_suffix(end).map(|(value, at, end)| (value, at, None, end)),
            Format::OpenMetrics => self.openmetrics_suffix(end),
        };
        match suffix {
            Ok((value, timestamp, exemplar, end)) => {
                self.pos = end;
                Ok(Event::Sample(Sample { series, predicted, value, timestamp, exemplar }))
            }
            Err(bad) => Err(self.fail(bad)),
        }
    }

    /// The number at `at` and the position behind it.
    #[inline]
    pub(crate) fn number(&self, at: usize) -> Result<(f64, usize), Bad> {
        // Most values are small whole numbers. Up to 15 digits are exact, and the pass that adds them up finds the
        // end.
        const EXACT_DIGITS: usize = 15;
        let rest = &self.body[at..];
        let mut whole = 0u64;
        let mut n_digits = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(n_digits)
            && n_digits < EXACT_DIGITS
        {
            whole = whole * 10 + u64::from(digit - b'0');
            n_digits += 1;
        }
        if n_digits > 0 && matches!(rest.get(n_digits), None | Some(b' ' | b'\n')) {
            #[expect(clippy::cast_precision_loss, reason = "15 decimal digits fit into 53 bits")]
            return Ok((whole as f64, at + n_digits));
        }
        let is_text = self.format == Format::Text;
        let ends = |byte: &u8| matches!(byte, b' ' | b'\n') || (is_text && matches!(byte, b'\t' | b'{'));
        if let Some((value, length)) = float::parse_leading(rest)
            && rest.get(length).is_none_or(ends)
        {
            return Ok((value, at + length));
        }
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        match float::parse(&rest[..length]) {
            Some(value) => Ok((value, at + length)),
            None => Err(Bad::expected("a number", self.body, at)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
