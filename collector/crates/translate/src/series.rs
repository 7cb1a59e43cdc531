//! What comes out: a series with one sample, lent for the length of a call, and a report of what did not come out.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;

use model::{Exemplar, Family, Histogram, Kind, Labels, Point, SeriesId, SeriesTable, Timestamp};

use crate::labels::Entry;

/// One sample of one series.
#[derive(Clone, Copy, Debug)]
pub struct SeriesRef<'a> {
    /// Name and labels.
    pub labels: SeriesLabels<'a>,
    /// Bits of the value; [`model::STALE_BITS`] ends the series. Of a native histogram, the sum's.
    pub bits: u64,
    /// The native histogram that the sample is; none for plain samples and for the end of any series. Without empty
    /// buckets where it was scraped.
    pub histogram: Option<&'a Histogram>,
    /// Time of the value.
    pub at: Timestamp,
    /// Since when the series counts, where that is known.
    pub start: Option<Timestamp>,
    /// What is known of its family.
    pub family: FamilyRef<'a>,
    /// Its exemplars.
    pub exemplars: Exemplars<'a>,
}

/// One sample of each of many series that go out as they stand in the table.
#[derive(Clone, Copy, Debug)]
pub struct TableRun<'a> {
    /// Whose series they are. Each has a family.
    pub table: &'a SeriesTable,
    /// Series and values, in order.
    pub points: &'a [Point],
    /// Time of the values.
    pub at: Timestamp,
}

/// No external labels.
static NO_LABELS: Labels = Labels::new();

impl<'a> TableRun<'a> {
    /// The samples one by one.
    pub fn series(self) -> impl Iterator<Item = SeriesRef<'a>> {
        let Self { table, points, at } = self;
        points.iter().map(move |point| SeriesRef {
            labels: SeriesLabels(Source::Table(table, point.series, &NO_LABELS)),
            bits: point.bits,
            histogram: None,
            at,
            start: None,
            family: table.family(point.series).map(FamilyRef::of).unwrap_or_default(),
            exemplars: Exemplars::default(),
        })
    }
}

/// Labels of a series, `__name__` among them: sorted by name, each name once, none empty.
#[derive(Clone, Copy, Debug)]
pub struct SeriesLabels<'a>(pub(crate) Source<'a>);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// Straight from the table of a target, with external labels where it has none of their name.
    Table(&'a SeriesTable, SeriesId, &'a Labels),
    /// Places in a text.
    Text(&'a str, &'a [Entry]),
}

impl<'a> SeriesLabels<'a> {
    /// Names and values in order of name.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        match self.0 {
            Source::Table(table, id, external) if external.is_empty() => Either::Table(table.labels(id)),
            Source::Table(table, id, external) => {
                Either::Merged(Merged::new(table.labels(id), external.iter()))
            }
            Source::Text(text, entries) => {
                Either::Text(entries.iter().map(move |entry| (entry.name.of(text), entry.value.of(text))))
            }
        }
    }

    /// The series of a table whose labels these are, nothing added.
    #[inline]
    #[must_use]
    pub fn in_table(self) -> Option<(&'a SeriesTable, SeriesId)> {
        match self.0 {
            Source::Table(table, id, external) if external.is_empty() => Some((table, id)),
            _ => None,
        }
    }

    /// The value of a label, or the empty string where it is absent.
    #[must_use]
    pub fn value(self, name: &str) -> &'a str {
        self.iter().find(|label| label.0 == name).map_or("", |label| label.1)
    }
}

impl fmt::Display for SeriesLabels<'_> {
    /// As in exposition text: the name, then `{a="1", b="2"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Labels = self.iter().filter(|label| label.0 != "__name__").collect();
        write!(f, "{}{others}", self.value("__name__"))
    }
}

/// One of three iterators over the same items.
#[derive(Clone)]
enum Either<A, B, C> {
    Table(A),
    Merged(B),
    Text(C),
}

impl<T, A, B, C> Iterator for Either<A, B, C>
where
    A: Iterator<Item = T>,
    B: Iterator<Item = T>,
    C: Iterator<Item = T>,
{
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Table(labels) => labels.next(),
            Self::Merged(labels) => labels.next(),
            Self::Text(labels) => labels.next(),
        }
    }
}

/// Two sorted lists of labels as one; where both have a name, the first list's label stands.
struct Merged<A: Iterator, B: Iterator> {
    first: Peekable<A>,
    second: Peekable<B>,
}

impl<A: Iterator, B: Iterator> Merged<A, B> {
    fn new(first: A, second: B) -> Self {
        Self { first: first.peekable(), second: second.peekable() }
    }
}

impl<'a, A, B> Clone for Merged<A, B>
where
    A: Iterator<Item = (&'a str, &'a str)> + Clone,
    B: Iterator<Item = (&'a str, &'a str)> + Clone,
{
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), second: self.second.clone() }
    }
}

impl<'a, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = (&'a str, &'a str)>,
    B: Iterator<Item = (&'a str, &'a str)>,
{
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (Some(first), Some(second)) = (self.first.peek(), self.second.peek()) else {
            return self.first.next().or_else(|| self.second.next());
        };
        match first.0.cmp(second.0) {
            Ordering::Less => self.first.next(),
            Ordering::Greater => self.second.next(),
            Ordering::Equal => {
                self.second.next();
                self.first.next()
            }
        }
    }
}

/// What is known of a series' family; empty where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyRef<'a> {
    /// The family's name, without the suffix of its series.
    pub name: &'a str,
    /// Its type.
    pub kind: Kind,
    /// The HELP text.
    pub help: &'a str,
    /// The UNIT word.
    pub unit: &'a str,
}

impl<'a> FamilyRef<'a> {
    /// What a table says of a family.
    #[must_use]
    pub fn of(family: &'a Family) -> Self {
        Self { name: &family.name, kind: family.kind, help: &family.help, unit: &family.unit }
    }
}

/// Exemplars of one sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplars<'a>(pub(crate) &'a [(u32, Exemplar)]);

impl<'a> Exemplars<'a> {
    /// The exemplars, in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a Exemplar> + Clone {
        self.0.iter().map(|(_, exemplar)| exemplar)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// What a translation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Samples that were emitted; of a translation to OTLP, points.
    pub n_samples: usize,
    /// Strings in which invalid UTF-8 was replaced.
    pub n_repaired: usize,
    /// Points that were not translated, one entry per reason.
    pub dropped: Vec<Dropped>,
}

impl Report {
    /// Points that were not translated, for any reason.
    #[must_use]
    pub fn n_dropped(&self) -> usize {
        self.dropped.iter().map(|dropped| dropped.n_points).sum()
    }

    /// Adds what became of another part of the batch.
    pub fn add(&mut self, other: &Self) {
        self.n_samples += other.n_samples;
        self.add_losses(other);
    }

    /// Adds what another translation of the same batch left out or repaired.
    pub(crate) fn add_losses(&mut self, other: &Self) {
        self.n_repaired += other.n_repaired;
        for dropped in &other.dropped {
            self.drop_points(dropped.reason, dropped.metric.as_bytes(), dropped.n_points);
        }
    }

    pub(crate) fn drop_points(&mut self, reason: Reason, metric: &[u8], n_points: usize) {
        if n_points == 0 {
            return;
        }
        match self.dropped.iter_mut().find(|dropped| dropped.reason == reason) {
            Some(dropped) => dropped.n_points += n_points,
            None => {
                let metric = String::from_utf8_lossy(metric).into_owned();
                self.dropped.push(Dropped { reason, metric, n_points });
            }
        }
    }
}

/// Points that were not translated for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub reason: Reason,
    /// Name of the first metric to which it happened.
    pub metric: String,
    /// How many points.
    pub n_points: usize,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points dropped, of `{}` first: {}", self.n_points, self.metric, self.reason)
    }
}

/// Buckets that one side of an exponential histogram may list, empty ones included.
pub(crate) const MAX_EXPONENTIAL_BUCKETS: usize = 1 << 16;

/// Why a point was not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Exponential histograms and those with bounds of their own have no classic form.
    ExponentialHistogram,
    /// The specification has no form for gauge histograms.
    GaugeHistogram,
    /// Counts of OTLP are whole numbers.
    FractionalHistogram,
    /// There is no schema for this scale.
    Scale,
    /// OTLP lists all buckets between the first and the last one, and there are too many.
    WideHistogram,
    /// Bounds that Prometheus does not take.
    Bounds,
    /// Series count from a fixed start.
    Delta,
    /// It is not known what the values count from.
    UnspecifiedTemporality,
    /// The point has neither a value nor the flag that says so.
    NoValue,
    /// The metric has no name, or none is left when illegal characters are gone.
    Nameless,
    /// An attribute's key has no character that a label name may have.
    NamelessLabel,
    /// The point cannot be decoded.
    Malformed,
}

impl Reason {
    /// A short word for a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExponentialHistogram => "exponential_histogram",
            Self::GaugeHistogram => "gauge_histogram",
            Self::FractionalHistogram => "fractional_histogram",
            Self::Scale => "scale",
            Self::WideHistogram => "wide_histogram",
            Self::Bounds => "bounds",
            Self::Delta => "delta",
            Self::UnspecifiedTemporality => "unspecified_temporality",
            Self::NoValue => "no_value",
            Self::Nameless => "nameless",
            Self::NamelessLabel => "nameless_label",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExponentialHistogram => "exponential_histogram: needs native histograms",
            Self::GaugeHistogram => "gauge_histogram: OTLP has no gauge histograms",
            Self::FractionalHistogram => "fractional_histogram: OTLP counts in whole numbers",
            Self::Scale => "scale: only schemas from -4 to 8 have a counterpart",
            Self::WideHistogram => {
                return write!(
                    f,
                    "wide_histogram: first and last bucket are more than max_exponential_buckets ({MAX_EXPONENTIAL_BUCKETS}) apart"
                );
            }
            Self::Bounds => "bounds: bounds of buckets have to be finite and ascending",
            Self::Delta => "delta: put `deltatocumulative` before this exporter",
            Self::UnspecifiedTemporality => "unspecified_temporality: is neither cumulative nor delta",
            Self::NoValue => "no_value: has neither a value nor the flag for none",
            Self::Nameless => "nameless: no name is left without illegal characters",
            Self::NamelessLabel => "nameless_label: a label has no name without illegal characters",
            Self::Malformed => "malformed: cannot be decoded",
        })
    }
}
