//! The parser of a body in any format.

use crate::convert::Converted;
use crate::created::Starts;
use crate::event::{Event, ParseError, Place};
use crate::lines::{Lines, Syntax};
use crate::protobuf::Families;
use crate::{Expected, Format, specification};

/// What a parser does beyond reading what stands there. Nothing, by default, as in Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Native histograms are read (`scrape_native_histograms`); otherwise their native parts are passed over. Only
    /// protobuf has them.
    pub native_histograms: bool,
    /// The classic series of a histogram are given beside its native form, be it read or converted
    /// (`always_scrape_classic_histograms`).
    pub always_classic: bool,
    /// Classic histograms become native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
    pub convert_to_nhcb: bool,
    /// `_created` series of OpenMetrics are hidden and become the start times of the other series of their family.
    pub start_timestamps: bool,
    /// How much of OpenMetrics is looked at.
    pub strictness: Strictness,
}

/// What is refused in OpenMetrics. The other formats know only one strictness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// What Prometheus refuses when it scrapes: broken lines.
    #[default]
    Scrape,
    /// Everything that the specification of OpenMetrics 1.0 forbids, families that contradict their type among it.
    /// Such a body is walked over twice.
    Specification,
}

/// Walks over the body of a scrape.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    source: Source<'a>,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Lines(Lines<'a>),
    Converted(Box<Converted<'a>>),
    Families(Box<Families<'a>>),
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of `body` that does what is asked by default.
    #[must_use]
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self::with(format, body, Options::default())
    }

    /// A parser at the beginning of `body`.
    #[must_use]
    pub fn with(format: Format, body: &'a [u8], options: Options) -> Self {
        let lines = match format {
            Format::Text => Lines::new(Syntax::Text, body),
            Format::OpenMetrics => openmetrics(body, options),
            Format::Protobuf => {
                return Self { source: Source::Families(Box::new(Families::new(body, options))) };
            }
        };
        let source = if options.convert_to_nhcb {
            Source::Converted(Box::new(Converted::new(lines, options.always_classic)))
        } else {
            Source::Lines(lines)
        };
        Self { source }
    }

    /// The next event; nothing at the end of the body and after an error.
    ///
    /// `predicted` is the series expected next: it knows a [`crate::Sample::series`] or [`crate::HistogramSample::series`] that
    /// a parser of the same format and options gave before, or nothing. When exactly this series comes, it is not
    /// parsed and [`crate::Sample::predicted`] is true. Everything else about the event is the same with and without
    /// the prediction.
    ///
    /// The event may lend from the parser: it is gone when the next one is asked for.
    #[inline]
    pub fn next(&mut self, predicted: impl Expected) -> Option<Result<Event<'_>, ParseError>> {
        match &mut self.source {
            Source::Lines(lines) => lines.next(predicted),
            Source::Converted(converted) => converted.next(predicted),
            Source::Families(families) => families.next(predicted),
        }
    }

    /// Reads as many lines as are nothing but an expected series, a blank and a number of few digits: most of most bodies, at a
    /// fraction of what an event costs. Their values are written to `values`, and it is said how many there are. Everything else
    /// is left for [`Self::next`], so nothing may be read at all.
    ///
    /// `expected` are the series expected next, in order; the parser takes no more than there is place in `values`.
    #[inline]
    pub fn plain_values(
        &mut self,
        expected: impl Iterator<Item = impl Expected>,
        values: &mut [f64],
    ) -> usize {
        match &mut self.source {
            Source::Lines(lines) => lines.plain_values(expected, values),
            Source::Converted(_) | Source::Families(_) => 0,
        }
    }

    /// Where the last event stands: its line, or the first byte of its message. Lines are counted up to there, so it
    /// is for errors, not for every event.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.source {
            Source::Lines(lines) => lines.place(),
            Source::Converted(converted) => converted.place(),
            Source::Families(families) => families.place(),
        }
    }
}

fn openmetrics(body: &[u8], options: Options) -> Lines<'_> {
    let mut lines = Lines::new(Syntax::OpenMetrics, body);
    if options.strictness == Strictness::Specification {
        lines.refuse(specification::check(body));
    }
    if options.start_timestamps {
        lines.find_starts(Starts::default());
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests;
