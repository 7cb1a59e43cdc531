//! Views of `opentelemetry.proto.metrics.v1`.

use super::common::{Attributes, Repeated, View};
use super::points::{ExpHistogramPoint, HistogramPoint, NumberPoint, SummaryPoint};
use super::{Malformed, Message};

/// One metric with its points.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    message: Message<'a>,
    /// Its name; text, unless the sender is broken.
    pub name: &'a [u8],
    /// What it says.
    pub description: &'a [u8],
    /// Its unit, in UCUM notation.
    pub unit: &'a [u8],
    /// Its points.
    pub data: Data<'a>,
}

impl<'a> Metric<'a> {
    /// Facts about the metric itself, for example `prometheus.type`.
    #[must_use]
    pub fn metadata(&self) -> Attributes<'a> {
        Repeated::new(self.message, 12)
    }
}

impl<'a> View<'a> for Metric<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut metric = Self { message, name: &[], description: &[], unit: &[], data: Data::Empty };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => metric.name = field.bytes()?,
                2 => metric.description = field.bytes()?,
                3 => metric.unit = field.bytes()?,
                5 => metric.data = Data::Gauge(Repeated::new(field.message()?, 1)),
                7 => metric.data = Data::sum(field.message()?)?,
                9 => {
                    let (points, temporality) = points_of(field.message()?)?;
                    metric.data = Data::Histogram { points, temporality };
                }
                10 => {
                    let (points, temporality) = points_of(field.message()?)?;
                    metric.data = Data::ExponentialHistogram { points, temporality };
                }
                11 => metric.data = Data::Summary(Repeated::new(field.message()?, 1)),
                _ => {}
            }
        }
        Ok(metric)
    }
}

/// The points of a metric, by kind.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// No data, or of a kind that is not known here.
    Empty,
    /// Current values.
    Gauge(Repeated<'a, NumberPoint<'a>>),
    /// Sums.
    Sum {
        /// The points.
        points: Repeated<'a, NumberPoint<'a>>,
        /// What the values count from.
        temporality: Temporality,
        /// Whether the sum never goes down.
        monotonic: bool,
    },
    /// Histograms with explicit bounds.
    Histogram {
        /// The points.
        points: Repeated<'a, HistogramPoint<'a>>,
        /// What the counts count from.
        temporality: Temporality,
    },
    /// Histograms with exponential bounds.
    ExponentialHistogram {
        /// The points.
        points: Repeated<'a, ExpHistogramPoint<'a>>,
        /// What the counts count from.
        temporality: Temporality,
    },
    /// Summaries.
    Summary(Repeated<'a, SummaryPoint<'a>>),
}

impl<'a> Data<'a> {
    fn sum(message: Message<'a>) -> Result<Self, Malformed> {
        let (points, temporality) = points_of(message)?;
        let mut monotonic = false;
        for field in message.fields() {
            let field = field?;
            if field.number == 3 {
                monotonic = field.bool()?;
            }
        }
        Ok(Self::Sum { points, temporality, monotonic })
    }
}

fn points_of<'a, T>(message: Message<'a>) -> Result<(Repeated<'a, T>, Temporality), Malformed> {
    let mut temporality = Temporality::Unspecified;
    for field in message.fields() {
        let field = field?;
        if field.number == 2 {
            temporality = Temporality::of(field.int32()?);
        }
    }
    Ok((Repeated::new(message, 1), temporality))
}

/// What the values of a sum or histogram count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Not said, or not known here.
    Unspecified,
    /// From the report before.
    Delta,
    /// From a fixed start.
    Cumulative,
}

impl Temporality {
    fn of(number: i32) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }

    /// The word that the Go collector prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "Unspecified",
            Self::Delta => "Delta",
            Self::Cumulative => "Cumulative",
        }
    }
}
