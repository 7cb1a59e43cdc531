//! Views of the points of metrics, and of exemplars.

use super::common::{Attributes, Repeated, View};
use super::packed::{Doubles, Fixed64s, Varints};
use super::{Malformed, Message};
use crate::proto::Field;

/// A number as it was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
}

impl Number {
    /// The number as a float; large integers lose their last digits.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// Flag bit of every point: no value was recorded at this time, the series has ended.
const NO_RECORDED_VALUE: u32 = 1;

/// One value of a gauge or sum.
#[derive(Clone, Copy, Debug)]
pub struct NumberPoint<'a> {
    message: Message<'a>,
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// The value.
    pub value: Option<Number>,
    /// Flag bits.
    pub flags: u32,
}

impl<'a> NumberPoint<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 7)
    }

    /// Its exemplars.
    #[must_use]
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.message, 5)
    }

    /// Whether the point says that the series has ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> View<'a> for NumberPoint<'a> {
    #[inline]
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut point = Self { message, start: 0, time: 0, value: None, flags: 0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => point.start = field.fixed64()?,
                3 => point.time = field.fixed64()?,
                4 => point.value = Some(Number::Double(field.double()?)),
                6 => point.value = Some(Number::Int(field.fixed64()? as i64)),
                8 => point.flags = field.uint32()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// One histogram with explicit bounds.
#[derive(Clone, Copy, Debug)]
pub struct HistogramPoint<'a> {
    message: Message<'a>,
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum, where it makes sense.
    pub sum: Option<f64>,
    /// The smallest one.
    pub min: Option<f64>,
    /// The largest one.
    pub max: Option<f64>,
    /// Flag bits.
    pub flags: u32,
}

impl<'a> HistogramPoint<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 9)
    }

    /// Observations per bucket: one more than there are bounds, or none at all.
    #[must_use]
    pub fn bucket_counts(&self) -> Fixed64s<'a> {
        Fixed64s::new(self.message, 6)
    }

    /// Upper bounds of all buckets but the last.
    #[must_use]
    pub fn bounds(&self) -> Doubles<'a> {
        Doubles::new(self.message, 7)
    }

    /// Its exemplars.
    #[must_use]
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.message, 8)
    }

    /// Whether the point says that the series has ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> View<'a> for HistogramPoint<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut point =
            Self { message, start: 0, time: 0, count: 0, sum: None, min: None, max: None, flags: 0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => point.start = field.fixed64()?,
                3 => point.time = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = Some(field.double()?),
                10 => point.flags = field.uint32()?,
                11 => point.min = Some(field.double()?),
                12 => point.max = Some(field.double()?),
                _ => {}
            }
        }
        Ok(point)
    }
}

/// One histogram with exponential bounds.
#[derive(Clone, Copy, Debug)]
pub struct ExpHistogramPoint<'a> {
    message: Message<'a>,
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum, where it makes sense.
    pub sum: Option<f64>,
    /// Bounds are powers of 2^(2^-scale).
    pub scale: i32,
    /// Observations within [`Self::zero_threshold`] of zero.
    pub zero_count: u64,
    /// Buckets above zero.
    pub positive: Buckets<'a>,
    /// Buckets below zero.
    pub negative: Buckets<'a>,
    /// Flag bits.
    pub flags: u32,
    /// The smallest observation.
    pub min: Option<f64>,
    /// The largest observation.
    pub max: Option<f64>,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
}

impl<'a> ExpHistogramPoint<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 1)
    }

    /// Its exemplars.
    #[must_use]
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.message, 11)
    }

    /// Whether the point says that the series has ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }

    fn set(&mut self, field: &Field<'a>) -> Result<(), Malformed> {
        match field.number {
            2 => self.start = field.fixed64()?,
            3 => self.time = field.fixed64()?,
            4 => self.count = field.fixed64()?,
            5 => self.sum = Some(field.double()?),
            6 => self.scale = field.sint32()?,
            7 => self.zero_count = field.fixed64()?,
            8 => self.positive = Buckets::decode(field.message()?)?,
            9 => self.negative = Buckets::decode(field.message()?)?,
            10 => self.flags = field.uint32()?,
            12 => self.min = Some(field.double()?),
            13 => self.max = Some(field.double()?),
            14 => self.zero_threshold = field.double()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> View<'a> for ExpHistogramPoint<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut point = Self {
            message,
            start: 0,
            time: 0,
            count: 0,
            sum: None,
            scale: 0,
            zero_count: 0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            flags: 0,
            min: None,
            max: None,
            zero_threshold: 0.0,
        };
        for field in message.fields() {
            point.set(&field?)?;
        }
        Ok(point)
    }
}

/// A run of exponential buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buckets<'a> {
    message: Message<'a>,
    /// Index of the first bucket.
    pub offset: i32,
}

impl<'a> Buckets<'a> {
    /// Observations per bucket.
    #[must_use]
    pub fn counts(&self) -> Varints<'a> {
        Varints::new(self.message, 2)
    }
}

impl<'a> View<'a> for Buckets<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut offset = 0;
        for field in message.fields() {
            let field = field?;
            if field.number == 1 {
                offset = field.sint32()?;
            }
        }
        Ok(Self { message, offset })
    }
}

/// One summary.
#[derive(Clone, Copy, Debug)]
pub struct SummaryPoint<'a> {
    message: Message<'a>,
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Flag bits.
    pub flags: u32,
}

impl<'a> SummaryPoint<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 7)
    }

    /// Its quantiles.
    #[must_use]
    pub fn quantiles(&self) -> Repeated<'a, Quantile> {
        Repeated::new(self.message, 6)
    }

    /// Whether the point says that the series has ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> View<'a> for SummaryPoint<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut point = Self { message, start: 0, time: 0, count: 0, sum: 0.0, flags: 0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => point.start = field.fixed64()?,
                3 => point.time = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = field.double()?,
                8 => point.flags = field.uint32()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// One quantile of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// Which one: 0 to 1.
    pub quantile: f64,
    /// Its value.
    pub value: f64,
}

impl<'a> View<'a> for Quantile {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut quantile = Self { quantile: 0.0, value: 0.0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => quantile.quantile = field.double()?,
                2 => quantile.value = field.double()?,
                _ => {}
            }
        }
        Ok(quantile)
    }
}

/// An observation kept as an example.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    message: Message<'a>,
    /// Time of the observation, in nanoseconds since the epoch.
    pub time: u64,
    /// Its value.
    pub value: Option<Number>,
    /// The span during which it was made: 8 bytes, or none.
    pub span_id: &'a [u8],
    /// The trace of that span: 16 bytes, or none.
    pub trace_id: &'a [u8],
}

impl<'a> Exemplar<'a> {
    /// Attributes that the point does not have.
    #[must_use]
    pub fn filtered_attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 7)
    }
}

impl<'a> View<'a> for Exemplar<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut exemplar = Self { message, time: 0, value: None, span_id: &[], trace_id: &[] };
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => exemplar.time = field.fixed64()?,
                3 => exemplar.value = Some(Number::Double(field.double()?)),
                4 => exemplar.span_id = field.bytes()?,
                5 => exemplar.trace_id = field.bytes()?,
                6 => exemplar.value = Some(Number::Int(field.fixed64()? as i64)),
                _ => {}
            }
        }
        Ok(exemplar)
    }
}
