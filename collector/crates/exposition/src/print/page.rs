//! A whole page: families, groups of series, and the end, in any of the formats.
//!
//! As Prometheus `common/expfmt`. The text formats know no native histograms: there, as upstream, such a series is a classic
//! histogram with nothing but the bucket without a bound. Histograms whose bounds are listed one by one are classic ones in every
//! format, because none has a place for their bounds.

use std::borrow::Cow;

use model::{Exemplar, Histogram, Kind, Timestamp};

use super::native::classic_buckets;
use super::{openmetrics, protobuf, text};
use crate::{Escaping, Protocol, float_label};

/// What a page says of a family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// Its name with `_total` or `_info`, as the series of counters and infos are called; of histograms and summaries
    /// without suffix.
    pub name: &'a str,
    /// Its type.
    pub kind: Kind,
    /// The HELP text; empty for none.
    pub help: &'a str,
    /// The UNIT word; empty for none. Written where the name ends with it, and in formats that have it.
    pub unit: &'a str,
}

/// Which part of its group a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The value itself, called like the family.
    Value,
    /// A quantile of a summary.
    Quantile,
    /// A bucket of a histogram.
    Bucket,
    /// The sum of a histogram or summary.
    Sum,
    /// The number of observations of a histogram or summary.
    Count,
}

impl Part {
    /// The part that a series of this name is of the family that `head` describes, and the suffix that says so.
    #[must_use]
    pub fn of<'n>(kind: Kind, family: &str, name: &'n str) -> (Self, &'n str) {
        let suffix = name.strip_prefix(family).unwrap_or("");
        let part = match (kind, suffix) {
            (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => Self::Bucket,
            (Kind::Histogram | Kind::Summary | Kind::GaugeHistogram, "_sum") => Self::Sum,
            (Kind::Histogram | Kind::Summary | Kind::GaugeHistogram, "_count") => Self::Count,
            (Kind::GaugeHistogram, "_gsum") => Self::Sum,
            (Kind::GaugeHistogram, "_gcount") => Self::Count,
            (Kind::Summary, "") => Self::Quantile,
            _ => Self::Value,
        };
        (part, suffix)
    }

    /// The label that tells series of this part apart inside their group; empty for none.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Bucket => "le",
            Self::Quantile => "quantile",
            Self::Value | Self::Sum | Self::Count => "",
        }
    }

    pub(super) fn is_count(self) -> bool {
        matches!(self, Self::Bucket | Self::Count)
    }
}

/// One series of a group.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a, L> {
    /// Which part of the group it is.
    pub part: Part,
    /// What follows the family's name in its own.
    pub suffix: &'a str,
    /// Its labels in the order in which they are written; `__name__` may be among them.
    pub labels: L,
    /// Its value.
    pub value: f64,
    /// An exemplar.
    pub exemplar: Option<&'a Exemplar>,
}

/// Series that belong together: one counter, one gauge, all of one histogram or summary.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a, L> {
    /// The series, in the order in which they are written; there is one at least.
    pub lines: &'a [Line<'a, L>],
    /// The native histogram, where the line of part [`Part::Value`] is one.
    pub histogram: Option<&'a Histogram>,
    /// Since when it counts.
    pub start: Option<Timestamp>,
    /// The time to write with its values.
    pub at: Option<Timestamp>,
}

/// Writes a page.
#[derive(Debug)]
pub struct Printer {
    protocol: Protocol,
    escaping: Escaping,
    text: String,
    bytes: Vec<u8>,
    /// The family's message of the protobuf format, which is written when its length is known.
    message: Vec<u8>,
}

impl Printer {
    /// A printer for this format.
    #[must_use]
    pub fn new(protocol: Protocol, escaping: Escaping) -> Self {
        Self { protocol, escaping, text: String::new(), bytes: Vec::new(), message: Vec::new() }
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, n_bytes: usize) {
        match self.protocol {
            Protocol::PrometheusProto => self.bytes.reserve(n_bytes),
            _ => self.text.reserve(n_bytes),
        }
    }

    /// Bytes that were written and not yet taken.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.text.len() + self.bytes.len() + self.message.len()
    }

    /// What was written since the last call. A family should be ended.
    pub fn take(&mut self) -> Vec<u8> {
        match self.protocol {
            Protocol::PrometheusProto => std::mem::take(&mut self.bytes),
            _ => std::mem::take(&mut self.text).into_bytes(),
        }
    }

    /// Begins a family, or goes on with one: protobuf says everything again then, the text formats nothing.
    pub fn begin_family(&mut self, head: Head<'_>, goes_on: bool) {
        let name = self.escaping.escape(head.name);
        let head = Head { name: &name, ..head };
        match self.protocol {
            Protocol::PrometheusProto => protobuf::head(&mut self.message, head),
            _ if goes_on => {}
            Protocol::OpenMetricsText0 | Protocol::OpenMetricsText1 => {
                openmetrics::head(&mut self.text, head);
            }
            Protocol::PrometheusText0 | Protocol::PrometheusText1 => text::head(&mut self.text, head),
        }
    }

    /// Writes a group of the family that was begun.
    pub fn group<'l, L>(&mut self, head: Head<'_>, group: &Group<'_, L>)
    where
        L: Iterator<Item = (&'l str, &'l str)> + Clone,
    {
        let name = self.escaping.escape(head.name);
        let names = Names { family: &name, escaping: self.escaping };
        let head = Head { name: &name, ..head };
        match self.protocol {
            Protocol::PrometheusProto => protobuf::group(&mut self.message, head, names, group),
            _ => {
                let is_open_metrics =
                    matches!(self.protocol, Protocol::OpenMetricsText0 | Protocol::OpenMetricsText1);
                self.lines(names, group, is_open_metrics);
                if let Some(start) = group.start.filter(|_| is_open_metrics && has_created(head)) {
                    let labels = group_labels(group.lines);
                    openmetrics::created(&mut self.text, head, names, labels, start);
                }
            }
        }
    }

    /// Ends a family.
    pub fn end_family(&mut self) {
        if self.protocol == Protocol::PrometheusProto {
            protobuf::delimited(&mut self.bytes, &self.message);
            self.message.clear();
        }
    }

    /// Ends the page.
    pub fn end(&mut self) {
        if matches!(self.protocol, Protocol::OpenMetricsText0 | Protocol::OpenMetricsText1) {
            self.text.push_str("# EOF\n");
        }
    }

    fn lines<'l, L>(&mut self, names: Names<'_>, group: &Group<'_, L>, is_open_metrics: bool)
    where
        L: Iterator<Item = (&'l str, &'l str)> + Clone,
    {
        let write = if is_open_metrics { openmetrics::line } else { text::line };
        let (text, at) = (&mut self.text, group.at);
        for line in group.lines.iter().filter(|line| line.part != Part::Value || group.histogram.is_none()) {
            let labels = line.labels.clone().map(|(name, value)| (name, Cow::Borrowed(value)));
            let sample = Sample { suffix: line.suffix, value: line.value, at, exemplar: line.exemplar };
            write(text, names, &mut labels.into_iter(), line.part, &sample);
        }
        let is_classic = group.lines.iter().any(|line| line.part == Part::Count);
        let Some(histogram) = group.histogram.filter(|_| !is_classic) else { return };
        let exemplar = group.lines.iter().find_map(|line| line.exemplar);
        for (bound, count) in classic_buckets(histogram) {
            let labels = with_label(group_labels(group.lines), "le", float_label(bound));
            let exemplar = exemplar.filter(|_| bound == f64::INFINITY);
            let sample = Sample { suffix: "_bucket", value: count, at, exemplar };
            write(text, names, &mut labels.into_iter(), Part::Bucket, &sample);
        }
        let count = super::native::count(histogram);
        for (part, suffix, value) in [(Part::Sum, "_sum", histogram.sum), (Part::Count, "_count", count)] {
            let labels = group_labels(group.lines).map(|(name, value)| (name, Cow::Borrowed(value)));
            let sample = Sample { suffix, value, at, exemplar: None };
            write(text, names, &mut labels.into_iter(), part, &sample);
        }
    }
}

/// How names are written: the family's is escaped already.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) family: &'a str,
    pub(super) escaping: Escaping,
}

/// What stands behind the labels of a line.
pub(super) struct Sample<'a> {
    /// What follows the family's name in that of the series.
    pub(super) suffix: &'a str,
    pub(super) value: f64,
    pub(super) at: Option<Timestamp>,
    pub(super) exemplar: Option<&'a Exemplar>,
}

/// Labels of a line on their way out.
pub(super) type LineLabels<'i, 'l> = dyn Iterator<Item = (&'l str, Cow<'l, str>)> + 'i;

/// Labels that all series of the group have.
pub(super) fn group_labels<'l, L>(
    lines: &[Line<'_, L>],
) -> impl Iterator<Item = (&'l str, &'l str)> + Clone + use<'l, L>
where
    L: Iterator<Item = (&'l str, &'l str)> + Clone,
{
    let first = lines.first().map(|line| (line.labels.clone(), line.part.label()));
    let own = first.as_ref().map_or("", |first| first.1);
    let labels = first.map(|first| first.0).into_iter().flatten();
    labels.filter(move |(name, _)| *name != "__name__" && *name != own)
}

/// The labels with one more, in order of name.
fn with_label<'l>(
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    name: &'l str,
    value: String,
) -> Vec<(&'l str, Cow<'l, str>)> {
    let mut all: Vec<_> = labels.map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    let at = all.partition_point(|label| label.0 < name);
    all.insert(at, (name, Cow::Owned(value)));
    all
}

/// Whether OpenMetrics has a `_created` line for the family.
fn has_created(head: Head<'_>) -> bool {
    match head.kind {
        Kind::Counter => head.name.ends_with("_total"),
        Kind::Histogram | Kind::Summary => true,
        _ => false,
    }
}

/// The UNIT word where the name ends with it, as readers demand.
pub(super) fn unit_of<'a>(name: &str, unit: &'a str) -> Option<&'a str> {
    let fits = name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
    (fits && !unit.is_empty()).then_some(unit)
}

#[cfg(test)]
mod tests;
