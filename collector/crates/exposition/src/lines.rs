//! The formats of lines: one walk over a body, line by line.
//!
//! What text and OpenMetrics have in common stands here, above all the prediction of series, which makes the
//! parsing of an unchanged exposition a comparison and a number per line. The grammars are in `text` and
//! `openmetrics`.

use memchr::memchr_iter;

use crate::Expected;
use crate::created::Starts;
use crate::event::{Bad, Event, ParseError, Place, Sample};
use crate::float;
use crate::names::{is_name_byte, is_name_start};
use crate::series::{check_value, skip_blanks, walk};

/// A grammar of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// Prometheus text.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

/// Walks over the lines of a body.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) body: &'a [u8],
    /// Where the next event is looked for.
    pub(crate) pos: usize,
    /// Where the last event began.
    pub(crate) start: usize,
    is_done: bool,
    /// Where start times of series are found; nothing where nobody asks for them.
    starts: Option<Box<Starts<'a>>>,
    /// What a stricter reader refuses: nothing on this line or behind it is given.
    refused: Option<Box<Bad>>,
}

impl<'a> Lines<'a> {
    /// At the beginning of `body`.
    pub(crate) fn new(syntax: Syntax, body: &'a [u8]) -> Self {
        Self { syntax, body, pos: 0, start: 0, is_done: false, starts: None, refused: None }
    }

    /// From now on, start times are looked for.
    pub(crate) fn find_starts(&mut self, starts: Starts<'a>) {
        self.starts = Some(Box::new(starts));
    }

    /// Ends before the line on which this was found.
    pub(crate) fn refuse(&mut self, found: Result<(), Bad>) {
        self.refused = found.err().map(Box::new);
    }

    /// The next event, as [`crate::Parser::next`] has it.
    #[inline]
    pub(crate) fn next(&mut self, predicted: impl Expected) -> Option<Result<Event<'a>, ParseError>> {
        if self.starts.is_some() || self.refused.is_some() {
            self.next_extra(predicted)
        } else {
            self.line(predicted)
        }
    }

    /// The next event where more is asked for than what stands on its line.
    #[inline(never)]
    fn next_extra(&mut self, predicted: impl Expected) -> Option<Result<Event<'a>, ParseError>> {
        let mut starts = self.starts.take();
        let found = loop {
            let bad = self.refused.take_if(|bad| bad.at <= self.pos);
            if let Some(bad) = bad {
                break Some(Err(self.fail(*bad)));
            }
            let mut event = self.line(predicted);
            if let (Some(starts), Some(Ok(event))) = (&mut starts, &mut event)
                && starts.is_hidden(event, self.body, self.start)
            {
                continue;
            }
            break event;
        };
        self.starts = starts;
        found
    }

    /// The event that stands next in the body.
    #[inline]
    pub(crate) fn line(&mut self, predicted: impl Expected) -> Option<Result<Event<'a>, ParseError>> {
        if self.is_done {
            return None;
        }
        if self.syntax == Syntax::Text {
            self.skip_empty_lines();
        }
        self.start = self.pos;
        if let Some(end) = self.behind(predicted) {
            return Some(self.sample(end, true));
        }
        if self.body.get(self.pos).is_some_and(|byte| *byte == b'{' || is_name_start(*byte)) {
            return Some(self.new_sample());
        }
        let event = match self.syntax {
            Syntax::Text => self.text_event(),
            Syntax::OpenMetrics => self.openmetrics_event().map(Some),
        };
        self.is_done = matches!(event, Ok(None | Some(Event::End)));
        event.map_err(|bad| self.fail(bad)).transpose()
    }

    /// Values of lines, as [`crate::Parser::plain_values`] has them.
    #[inline]
    pub(crate) fn plain_values(
        &mut self,
        expected: impl Iterator<Item = impl Expected>,
        values: &mut [f64],
    ) -> usize {
        if self.is_done || self.starts.is_some() || self.refused.is_some() {
            return 0;
        }
        let mut n_values = 0;
        for (place, series) in values.iter_mut().zip(expected) {
            let Some((value, end)) = self.plain_value(series) else { break };
            *place = value;
            (self.start, self.pos) = (self.pos, end);
            n_values += 1;
        }
        n_values
    }

    /// The value on a line of a series, one blank and a number of few digits, and the position behind the line.
    #[inline]
    fn plain_value(&self, series: impl Expected) -> Option<(f64, usize)> {
        let line = &self.body[self.pos..];
        // What is no sample need not be compared.
        if line.first() == Some(&b'#') {
            return None;
        }
        let n_series = series.length_in(line)?;
        let (b' ', number) = line[n_series..].split_first()? else { return None };
        let (value, n_number) = float::parse_short(number)?;
        (number.get(n_number) == Some(&b'\n')).then_some((value, self.pos + n_series + n_number + 2))
    }

    /// Line of the last event. Counts the lines up to there.
    pub(crate) fn place(&self) -> Place {
        self.place_at(self.start)
    }

    fn place_at(&self, pos: usize) -> Place {
        Place::Line(1 + memchr_iter(b'\n', &self.body[..pos.min(self.body.len())]).count())
    }

    /// Position behind the series at the beginning of the line, if that is the predicted one.
    #[inline]
    fn behind(&self, predicted: impl Expected) -> Option<usize> {
        let end = self.pos + predicted.length_in(&self.body[self.pos..])?;
        // Nothing can prolong a series behind its `}`. A bare name could go on, or have labels.
        if self.body[end - 1] == b'}' {
            return Some(end);
        }
        let rest = &self.body[end..];
        let follows = match self.syntax {
            Syntax::Text if matches!(rest.first(), Some(b' ' | b'\t')) => {
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
        ParseError { place: self.place_at(bad.at), message: bad.reason }
    }

    /// A sample whose series must be parsed.
    fn new_sample(&mut self) -> Result<Event<'a>, ParseError> {
        match self.series_end() {
            Ok(end) => self.sample(end, false),
            Err(bad) => Err(self.fail(bad)),
        }
    }

    fn series_end(&self) -> Result<usize, Bad> {
        let end = walk(self.syntax, self.body, self.pos, |_| Ok(()))?;
        if !self.body[self.pos..end].is_ascii() {
            walk(self.syntax, self.body, self.pos, |item| check_value(item, self.pos))?;
        }
        Ok(end)
    }

    /// The sample whose series ends at `end`.
    #[inline]
    fn sample(&mut self, end: usize, predicted: bool) -> Result<Event<'a>, ParseError> {
        let series = &self.body[self.pos..end];
        let suffix = match self.syntax {
            Syntax::Text => self.text_suffix(end).map(|(value, at, end)| (value, at, None, end)),
            Syntax::OpenMetrics => self.openmetrics_suffix(end),
        };
        match suffix {
            Ok((value, timestamp, exemplar, end)) => {
                self.pos = end;
                Ok(Event::Sample(Sample { series, predicted, value, timestamp, start: None, exemplar }))
            }
            Err(bad) => Err(self.fail(bad)),
        }
    }

    /// The number at `at` and the position behind it.
    #[inline]
    pub(crate) fn number(&self, at: usize) -> Result<(f64, usize), Bad> {
        // Most values have few digits, and reading one finds its end.
        let rest = &self.body[at..];
        if let Some((value, length)) = float::parse_short(rest)
            && matches!(rest.get(length), None | Some(b' ' | b'\n'))
        {
            return Ok((value, at + length));
        }
        let is_text = self.syntax == Syntax::Text;
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
