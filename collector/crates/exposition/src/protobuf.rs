//! The delimited protobuf format: a stream of `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! As Prometheus `model/textparse/protobufparse.go`: a family is shown as HELP, UNIT (where there is one), TYPE and the
//! samples that text would have; families without metrics are passed over. A histogram is native if it has a span, a
//! zero threshold or observations in the zero bucket. Messages are read in place, one metric at a time.
//!
//! Different on purpose: where a message field that may stand once stands twice, the last one counts; what is not shown
//! (the payload of another type than the family's, classic buckets beside a native histogram) is not looked at.

mod family;
mod key;
mod metric;
mod native;

use std::borrow::Cow;

use model::{Kind, Timestamp};
use wire::Malformed;
use wire::proto::Message;

use self::family::{Family, next_family};
pub(crate) use self::key::key_labels;
use self::key::{Key, Part};
use self::metric::{Composite, Simple};
use crate::Expected;
use crate::event::{Bad, Event, HistogramSample, ParseError, Place, Sample};
use crate::{Options, RawExemplar};

impl From<Malformed> for Bad {
    fn from(malformed: Malformed) -> Self {
        Self::new(malformed.offset, malformed.what)
    }
}

/// Walks over the families of a body.
#[derive(Clone, Debug)]
pub(crate) struct Families<'a> {
    options: Options,
    body: &'a [u8],
    /// Where the next family begins.
    pos: usize,
    /// Where the last event stands.
    start: usize,
    family: Family<'a>,
    step: Step<'a>,
    key: Key,
    timestamp: Option<Timestamp>,
    /// Whether the labels of the metric are known to be good.
    is_checked: bool,
    is_done: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Family,
    Help,
    Unit,
    Type,
    Metric,
    Of(Series<'a>),
}

/// Which series of the open metric comes next.
#[derive(Clone, Copy, Debug)]
enum Series<'a> {
    Simple(Simple<'a>),
    Native(Composite<'a>),
    Count(Composite<'a>),
    Sum(Composite<'a>),
    Rows(Composite<'a>),
    Converted(Composite<'a>),
}

/// What was found, but for the key of its series.
enum Found<'a> {
    Event(Event<'a>),
    Sample { part: Part, value: f64, start: Option<Timestamp>, exemplar: Option<RawExemplar<'a>> },
    Histogram(Box<HistogramSample<'a>>),
}

impl<'a> Families<'a> {
    /// At the beginning of `body`.
    pub(crate) fn new(body: &'a [u8], options: Options) -> Self {
        Self {
            options,
            body,
            pos: 0,
            start: 0,
            family: Family::default(),
            step: Step::Family,
            key: Key::default(),
            timestamp: None,
            is_checked: false,
            is_done: false,
        }
    }

    /// Where the message of the last event begins.
    pub(crate) fn place(&self) -> Place {
        Place::Byte(self.start)
    }

    /// The next event, as [`crate::Parser::next`] has it.
    pub(crate) fn next(&mut self, predicted: impl Expected) -> Option<Result<Event<'_>, ParseError>> {
        if self.is_done {
            return None;
        }
        match self.found() {
            Ok(Some(found)) => Some(self.event(found, predicted)),
            Ok(None) => {
                self.is_done = true;
                None
            }
            // Inside a family, places count from where it begins.
            Err(bad) => Some(Err(self.fail(Bad { at: bad.at + self.family.base, ..bad }))),
        }
    }

    fn event(&mut self, found: Found<'a>, predicted: impl Expected) -> Result<Event<'_>, ParseError> {
        let part = match &found {
            Found::Event(_) => None,
            Found::Sample { part, .. } => Some(*part),
            Found::Histogram(_) => Some(Part::Whole),
        };
        let mut is_predicted = false;
        if let Some(part) = part {
            self.key.select(part);
            is_predicted = predicted.is(self.key.bytes());
            if !is_predicted && !std::mem::replace(&mut self.is_checked, true) {
                self.key.check_labels().map_err(|bad| self.fail(Bad { at: self.start, ..bad }))?;
            }
        }
        let (series, timestamp) = (self.key.bytes(), self.timestamp);
        Ok(match found {
            Found::Event(event) => event,
            Found::Sample { value, start, exemplar, .. } => {
                Event::Sample(Sample { series, predicted: is_predicted, value, timestamp, start, exemplar })
            }
            Found::Histogram(sample) => {
                let mut sample: Box<HistogramSample<'_>> = sample;
                (sample.series, sample.predicted) = (series, is_predicted);
                Event::Histogram(sample)
            }
        })
    }

    #[cold]
    fn fail(&mut self, bad: Bad) -> ParseError {
        self.is_done = true;
        ParseError { place: Place::Byte(bad.at), message: bad.reason }
    }

    fn found(&mut self) -> Result<Option<Found<'a>>, Bad> {
        loop {
            let family = &self.family;
            let name = || Cow::Borrowed(family.name);
            match self.step {
                Step::Family => {
                    if !self.open_family()? {
                        return Ok(None);
                    }
                }
                Step::Help => {
                    let event = Event::Help { family: name(), text: Cow::Borrowed(family.help) };
                    self.step = Step::Unit;
                    return Ok(Some(Found::Event(event)));
                }
                Step::Unit => {
                    let event = Event::Unit { family: name(), unit: Cow::Borrowed(family.unit) };
                    self.step = Step::Type;
                    if !family.unit.is_empty() {
                        return Ok(Some(Found::Event(event)));
                    }
                }
                Step::Type => {
                    let event = Event::Type { family: name(), kind: family.kind };
                    self.step = Step::Metric;
                    return Ok(Some(Found::Event(event)));
                }
                Step::Metric => self.open_metric()?,
                Step::Of(series) => return self.sample(series).map(Some),
            }
        }
    }

    /// Goes to the next family that has metrics.
    fn open_family(&mut self) -> Result<bool, Bad> {
        self.family = Family::default();
        loop {
            let Some((message, base, end)) = next_family(self.body, self.pos)? else { return Ok(false) };
            (self.pos, self.start) = (end, base);
            self.family = Family::at(base);
            if !self.family.read(message)? {
                continue;
            }
            self.key.begin_family(self.family.name);
            self.step = Step::Help;
            return Ok(true);
        }
    }

    fn open_metric(&mut self) -> Result<(), Bad> {
        let Some(metric) = self.family.next_metric()? else {
            self.step = Step::Family;
            return Ok(());
        };
        self.start = self.family.base + metric.offset();
        self.is_checked = false;
        self.key.begin_metric();
        let mut payload = Message::default();
        self.timestamp = None;
        for field in metric.fields() {
            let field = field?;
            match field.number {
                1 => {
                    let label = field.message()?;
                    let end = label.offset() + label.bytes().len() - metric.offset();
                    self.key.label(&metric.bytes()[field.offset - metric.offset()..end]);
                }
                6 => {
                    let millis = field.varint()?.cast_signed();
                    self.timestamp = (millis != 0).then_some(Timestamp(millis));
                }
                number if number == self.family.payload_field() => payload = field.message()?,
                _ => {}
            }
        }
        self.step = Step::Of(self.first_series(payload)?);
        Ok(())
    }

    fn first_series(&self, payload: Message<'a>) -> Result<Series<'a>, Bad> {
        let options = self.options;
        Ok(match self.family.kind {
            Kind::Summary => Series::Count(Composite::summary(payload)?),
            Kind::Histogram | Kind::GaugeHistogram => {
                let mut histogram = Composite::histogram(payload)?;
                histogram.is_native &= options.native_histograms;
                let skips_classic = options.convert_to_nhcb && !options.always_classic;
                match histogram.is_native {
                    true => Series::Native(histogram),
                    false if skips_classic => Series::Converted(histogram),
                    false => Series::Count(histogram),
                }
            }
            kind => Series::Simple(Simple::read(payload, kind == Kind::Counter)?),
        })
    }

    /// A sample of the metric that is open.
    fn sample(&mut self, series: Series<'a>) -> Result<Found<'a>, Bad> {
        let (step, found) = match series {
            Series::Simple(simple) => {
                let Simple { value, start, exemplar } = simple;
                (Step::Metric, Found::Sample { part: Part::Whole, value, start, exemplar })
            }
            Series::Native(of) => {
                let next = match self.options.always_classic && of.has_rows {
                    true => Step::Of(Series::Count(of)),
                    false => Step::Metric,
                };
                (next, self.histogram(&of, native::read(of.message, self.is_gauge())?)?)
            }
            Series::Count(of) => (Step::Of(Series::Sum(of)), of.sample(Part::Count, of.count)),
            Series::Sum(of) if self.family.kind == Kind::Summary && !of.has_rows => {
                (Step::Metric, of.sample(Part::Sum, of.sum))
            }
            Series::Sum(of) => (Step::Of(Series::Rows(of)), of.sample(Part::Sum, of.sum)),
            Series::Rows(mut of) if self.family.kind == Kind::Summary => {
                let (quantile, value) = of.next_quantile()?;
                let next = if of.has_rows { Step::Of(Series::Rows(of)) } else { Step::Metric };
                (next, of.sample(Part::Quantile(quantile), value))
            }
            Series::Rows(mut of) => {
                let bucket = of.next_bucket()?;
                let next = if bucket.bound == f64::INFINITY {
                    self.behind_classic(of)
                } else {
                    Step::Of(Series::Rows(of))
                };
                let part = Part::Bucket(bucket.bound);
                let (value, exemplar) = (bucket.count, bucket.exemplar);
                (next, Found::Sample { part, value, start: of.start, exemplar })
            }
            Series::Converted(of) => {
                let histogram = native::convert(&of, self.is_gauge()).map_err(|bad| {
                    Bad::new(bad.at, format!("histogram {:?}: {}", self.family.name, bad.reason))
                })?;
                (Step::Metric, self.histogram(&of, histogram)?)
            }
        };
        self.step = step;
        Ok(found)
    }

    fn is_gauge(&self) -> bool {
        self.family.kind == Kind::GaugeHistogram
    }

    /// What follows the classic series of a histogram.
    fn behind_classic(&self, of: Composite<'a>) -> Step<'a> {
        let converts = self.options.convert_to_nhcb && !of.is_native;
        if converts { Step::Of(Series::Converted(of)) } else { Step::Metric }
    }

    fn histogram(&self, of: &Composite<'a>, histogram: model::Histogram) -> Result<Found<'a>, Bad> {
        Ok(Found::Histogram(Box::new(HistogramSample {
            series: &[],
            predicted: false,
            histogram,
            timestamp: self.timestamp,
            start: of.start,
            exemplars: of.native_exemplars()?,
        })))
    }
}

/// Name and value of a `LabelPair`, whatever they are.
fn label_pair(pair: Message<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut value) = (&[][..], &[][..]);
    for field in pair.fields() {
        let field = field?;
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Labels of an `Exemplar` message that was checked before. Bytes that are not UTF-8 are replaced.
pub(crate) fn exemplar_labels<'a>(
    exemplar: &'a [u8],
) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
    let fields = Message::new(exemplar).fields().filter_map(Result::ok).filter(|field| field.number == 1);
    fields.filter_map(|field| {
        let (name, value) = label_pair(field.message().ok()?).ok()?;
        Some((lossy(name), lossy(value)))
    })
}

fn lossy(raw: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(raw)
}

#[cfg(test)]
mod tests;
