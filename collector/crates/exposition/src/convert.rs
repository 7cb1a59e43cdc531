//! Classic histograms of the formats of lines, converted to native ones with custom buckets.
//!
//! As Prometheus `model/textparse/nhcbparse.go`: consecutive series of a histogram's family that have the same labels,
//! `le` aside, become one histogram, which comes where the next thing begins. A group that cannot be converted (counts
//! that do not grow, a count that differs from the last bucket ...) is silently left out, its classic series too unless
//! they are kept. In protobuf, where a histogram is one message, the parser itself converts.
//!
//! Different on purpose: the histogram has the time of its own last series; upstream gives it the one of the series
//! behind it.

use model::{Kind, Timestamp};

use crate::Expected;
use crate::buckets::Classic;
use crate::event::{Event, HistogramSample, ParseError, Place, Sample};
use crate::lines::{Lines, Syntax};
use crate::series::{Pairs, series_labels};
use crate::{Format, RawExemplar, float, print};

/// A parser of lines with its classic histograms converted.
#[derive(Clone, Debug)]
pub(crate) struct Converted<'a> {
    lines: Lines<'a>,
    keeps_classic: bool,
    family: String,
    kind: Kind,
    group: Option<Group<'a>>,
    /// What stands behind a histogram that was given.
    held: Option<Event<'a>>,
    /// Whether the lines have ended.
    is_done: bool,
    /// Name and labels of the last histogram, as text.
    series: String,
}

/// The series of one histogram.
#[derive(Clone, Debug)]
struct Group<'a> {
    /// Without name and bound, sorted.
    labels: Pairs<'a>,
    classic: Classic,
    timestamp: Option<Timestamp>,
    start: Option<Timestamp>,
    exemplars: Vec<RawExemplar<'a>>,
}

/// What a classic series says of its histogram.
enum Role {
    Bucket(f64),
    Count,
    Sum,
    /// A bucket whose bound is no number.
    Unbounded,
}

impl<'a> Converted<'a> {
    pub(crate) fn new(lines: Lines<'a>, keeps_classic: bool) -> Self {
        Self {
            lines,
            keeps_classic,
            family: String::new(),
            kind: Kind::Unknown,
            group: None,
            held: None,
            is_done: false,
            series: String::new(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.lines.place()
    }

    /// The next event, as [`crate::Parser::next`] has it.
    pub(crate) fn next(&mut self, predicted: impl Expected) -> Option<Result<Event<'_>, ParseError>> {
        let found = self.find(predicted)?;
        Some(found.map(|event| match event {
            Event::Histogram(sample) => {
                let mut sample: Box<HistogramSample<'_>> = sample;
                sample.series = self.series.as_bytes();
                sample.predicted = predicted.is(sample.series);
                Event::Histogram(sample)
            }
            event => event,
        }))
    }

    /// The next event, but for the series of a histogram.
    fn find(&mut self, predicted: impl Expected) -> Option<Result<Event<'a>, ParseError>> {
        loop {
            let event = match self.held.take() {
                Some(event) => event,
                None => match self.next_line() {
                    Ok(Some(event)) => event,
                    Ok(None) => return self.histogram().map(Ok),
                    Err(error) => return Some(Err(error)),
                },
            };
            let Event::Sample(mut sample) = event else {
                if let Some(histogram) = self.histogram() {
                    self.held = Some(event);
                    return Some(Ok(histogram));
                }
                if let Event::Type { family, kind } = &event {
                    family.as_ref().clone_into(&mut self.family);
                    self.kind = *kind;
                }
                return Some(Ok(event));
            };
            let role = match self.role(&sample) {
                Ok(role) => role,
                Err(error) => {
                    self.is_done = true;
                    self.group = None;
                    return Some(Err(error.at(self.place())));
                }
            };
            let goes_on = role.as_ref().is_some_and(|(_, labels)| self.is_of_group(labels));
            if !goes_on && let Some(histogram) = self.histogram() {
                self.held = Some(Event::Sample(sample));
                return Some(Ok(histogram));
            }
            sample.predicted = predicted.is(sample.series);
            match role {
                None | Some((Role::Unbounded, _)) => return Some(Ok(Event::Sample(sample))),
                Some((role, labels)) => self.collect(&role, labels, &sample),
            }
            if self.keeps_classic {
                return Some(Ok(Event::Sample(sample)));
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        if self.is_done {
            return Ok(None);
        }
        let next = self.lines.next(b"");
        self.is_done = !matches!(next, Some(Ok(_)));
        if matches!(next, Some(Err(_))) {
            self.group = None;
        }
        next.transpose()
    }

    /// What a series of the current histogram is, and its labels without name and bound.
    fn role(&self, sample: &Sample<'a>) -> Result<Option<(Role, Pairs<'a>)>, ParseError> {
        if self.kind != Kind::Histogram {
            return Ok(None);
        }
        let format = match self.lines.syntax {
            Syntax::Text => Format::Text,
            Syntax::OpenMetrics => Format::OpenMetrics,
        };
        let mut labels = Pairs::new();
        series_labels(format, sample.series, self.kind, &mut labels)?;
        let (_, name) = labels.swap_remove(0);
        let bound = labels.iter().position(|(name, _)| name == "le");
        let bound = bound.map(|at| labels.swap_remove(at).1);
        let role = match name.strip_prefix(&*self.family) {
            Some("_count") => Role::Count,
            Some("_sum") => Role::Sum,
            Some("_bucket") => {
                let bound = bound.and_then(|bound| float::parse(bound.as_bytes()));
                bound.filter(|bound| !bound.is_nan()).map_or(Role::Unbounded, Role::Bucket)
            }
            _ => return Ok(None),
        };
        labels.sort_unstable();
        Ok(Some((role, labels)))
    }

    fn is_of_group(&self, labels: &Pairs<'a>) -> bool {
        self.group.as_ref().is_none_or(|group| group.labels == *labels)
    }

    fn collect(&mut self, role: &Role, labels: Pairs<'a>, sample: &Sample<'a>) {
        let group = self.group.get_or_insert_with(|| Group {
            labels,
            classic: Classic::default(),
            timestamp: None,
            start: sample.start,
            exemplars: Vec::new(),
        });
        group.timestamp = sample.timestamp;
        group.exemplars.extend(sample.exemplar);
        match role {
            Role::Bucket(bound) => group.classic.set_bucket(*bound, sample.value),
            Role::Count => group.classic.set_count(sample.value),
            Role::Sum => group.classic.set_sum(sample.value),
            Role::Unbounded => {}
        }
    }

    /// The histogram that was collected, if it can be converted.
    fn histogram(&mut self) -> Option<Event<'a>> {
        let group = self.group.take()?;
        let histogram = group.classic.convert().ok()?;
        self.series.clear();
        let name = [("__name__", self.family.as_str())];
        let labels = group.labels.iter().map(|(name, value)| (&**name, &**value));
        print::series(&mut self.series, name.into_iter().chain(labels));
        Some(Event::Histogram(Box::new(HistogramSample {
            series: &[],
            predicted: false,
            histogram,
            timestamp: group.timestamp,
            start: group.start,
            exemplars: group.exemplars,
        })))
    }
}

#[cfg(test)]
mod tests;
