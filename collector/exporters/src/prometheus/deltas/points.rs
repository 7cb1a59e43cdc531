//! Points that are added up.

use wire::Malformed;
use wire::otlp::{ExpHistogramPoint, HistogramPoint, Number, NumberPoint, View};
use wire::proto::{Message, put_double, put_fixed64, put_message};

use super::exponential::Exponential;

/// Fields of a metric that hold its points.
pub(super) const SUM: u32 = 7;
pub(super) const HISTOGRAM: u32 = 9;
pub(super) const EXPONENTIAL: u32 = 10;

/// What was added up so far.
#[derive(Clone, Debug)]
pub(super) struct State {
    start: u64,
    end: u64,
    /// Whether the point says that its series has ended.
    pub(super) is_stale: bool,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(Number),
    Histogram { count: u64, sum: Option<f64>, bounds: Vec<f64>, buckets: Vec<u64> },
    Exponential(Exponential),
}

/// What a point is to what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Add,
    Begin,
    Drop,
}

/// The field of a point that holds its attributes.
pub(super) fn attributes_field(kind: u32) -> u32 {
    match kind {
        SUM => 7,
        HISTOGRAM => 9,
        _ => 1,
    }
}

/// Whether [`State::write`] writes this field of a point. The smallest and the largest observation go: they are those of one report.
pub(super) fn is_rewritten(kind: u32, number: u32) -> bool {
    match kind {
        SUM => matches!(number, 2 | 4 | 6),
        HISTOGRAM => matches!(number, 2 | 4 | 5 | 6 | 11 | 12),
        _ => matches!(number, 2 | 4..=9 | 12 | 13),
    }
}

impl State {
    pub(super) fn read(kind: u32, message: Message<'_>) -> Result<Self, Malformed> {
        match kind {
            SUM => {
                let point = NumberPoint::decode(message)?;
                let value = point.value.unwrap_or(Number::Int(0));
                let is_stale = point.is_stale();
                Ok(Self { start: point.start, end: point.time, is_stale, value: Value::Number(value) })
            }
            HISTOGRAM => {
                let point = HistogramPoint::decode(message)?;
                let value = Value::Histogram {
                    count: point.count,
                    sum: point.sum,
                    bounds: point.bounds().collect::<Result<_, _>>()?,
                    buckets: point.bucket_counts().collect::<Result<_, _>>()?,
                };
                Ok(Self { start: point.start, end: point.time, is_stale: point.is_stale(), value })
            }
            _ => {
                let point = ExpHistogramPoint::decode(message)?;
                let value = Value::Exponential(Exponential::read(&point)?);
                Ok(Self { start: point.start, end: point.time, is_stale: point.is_stale(), value })
            }
        }
    }

    /// Bytes that it takes.
    pub(super) fn n_bytes(&self) -> usize {
        let n_numbers = match &self.value {
            Value::Number(_) => 0,
            Value::Histogram { bounds, buckets, .. } => bounds.len() + buckets.len(),
            Value::Exponential(value) => value.n_buckets(),
        };
        size_of::<Self>() + 8 * n_numbers
    }

    pub(super) fn step(&self, next: &Self) -> Step {
        let fits = match (&self.value, &next.value) {
            (Value::Histogram { bounds, .. }, Value::Histogram { bounds: others, .. }) => bounds == others,
            (Value::Exponential(own), Value::Exponential(other)) => own.fits(other),
            _ => true,
        };
        if next.end <= self.end {
            Step::Drop
        } else if next.start == self.end && fits {
            Step::Add
        } else if next.start == 0 || next.start >= self.end {
            Step::Begin
        } else {
            Step::Drop
        }
    }

    pub(super) fn add(&mut self, next: Self) {
        self.end = next.end;
        match (&mut self.value, next.value) {
            (Value::Number(own), Value::Number(other)) => *own = sum(*own, other),
            (
                Value::Histogram { count, sum, buckets, .. },
                Value::Histogram { count: more, sum: more_sum, buckets: others, .. },
            ) => {
                *count = count.saturating_add(more);
                *sum = sum.zip(more_sum).map(|(own, more)| own + more);
                buckets.resize(buckets.len().max(others.len()), 0);
                for (own, more) in buckets.iter_mut().zip(others) {
                    *own = own.saturating_add(more);
                }
            }
            (Value::Exponential(own), Value::Exponential(other)) => own.add(other),
            // The kind of the points is part of what identifies a series.
            (own, other) => *own = other,
        }
    }

    /// Appends the fields of which [`is_rewritten`] says so.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_fixed64(out, 2, self.start);
        match &self.value {
            Value::Number(Number::Int(value)) => put_fixed64(out, 6, *value as u64),
            Value::Number(Number::Double(value)) => put_double(out, 4, *value),
            Value::Histogram { count, sum, buckets, .. } => {
                put_fixed64(out, 4, *count);
                if let Some(sum) = sum {
                    put_double(out, 5, *sum);
                }
                put_message(out, 6, |out| {
                    buckets.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
                });
            }
            Value::Exponential(value) => value.write(out),
        }
    }
}

/// Integers stay integers until they would not fit, or meet a float.
fn sum(one: Number, two: Number) -> Number {
    match (one, two) {
        (Number::Int(one), Number::Int(two)) => match one.checked_add(two) {
            Some(sum) => Number::Int(sum),
            None => Number::Double(one as f64 + two as f64),
        },
        _ => Number::Double(one.as_f64() + two.as_f64()),
    }
}
