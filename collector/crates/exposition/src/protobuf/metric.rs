//! Metrics: values, and the rows of summaries and classic histograms.

use model::Timestamp;
use wire::proto::{Fields, Message};

use super::Found;
use super::key::Part;
use super::label_pair;
use crate::RawExemplar;
use crate::event::Bad;

/// A counter, a gauge or an untyped value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simple<'a> {
    pub(super) value: f64,
    pub(super) start: Option<Timestamp>,
    pub(super) exemplar: Option<RawExemplar<'a>>,
}

impl<'a> Simple<'a> {
    pub(super) fn read(payload: Message<'a>, is_counter: bool) -> Result<Self, Bad> {
        let mut read = Self { value: 0.0, start: None, exemplar: None };
        for field in payload.fields() {
            let field = field?;
            match field.number {
                1 => read.value = canonical(field.double()?),
                2 if is_counter => read.exemplar = Some(exemplar(field.message()?)?),
                3 if is_counter => read.start = start(field.message()?)?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A summary or a histogram: totals, and rows that are read one at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Composite<'a> {
    pub(super) message: Message<'a>,
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) start: Option<Timestamp>,
    /// Whether there are native buckets.
    pub(super) is_native: bool,
    /// Whether a row is left.
    pub(super) has_rows: bool,
    /// Quantiles or buckets, among other fields.
    rows: Fields<'a>,
}

/// A classic bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket<'a> {
    pub(super) bound: f64,
    pub(super) count: f64,
    pub(super) exemplar: Option<RawExemplar<'a>>,
}

/// Quantiles and buckets have the same field number.
const ROW: u32 = 3;

impl<'a> Composite<'a> {
    fn new(message: Message<'a>) -> Self {
        let rows = message.fields();
        Self { message, count: 0.0, sum: 0.0, start: None, is_native: false, has_rows: false, rows }
    }

    pub(super) fn summary(payload: Message<'a>) -> Result<Self, Bad> {
        let mut read = Self::new(payload);
        for field in payload.fields() {
            let field = field?;
            match field.number {
                1 => read.count = whole(field.varint()?),
                2 => read.sum = canonical(field.double()?),
                ROW => {
                    field.message()?;
                    read.has_rows = true;
                }
                4 => read.start = start(field.message()?)?,
                _ => {}
            }
        }
        Ok(read)
    }

    pub(super) fn histogram(payload: Message<'a>) -> Result<Self, Bad> {
        let mut read = Self::new(payload);
        let (mut count, mut count_float) = (0, 0.0);
        for field in payload.fields() {
            let field = field?;
            match field.number {
                1 => count = field.varint()?,
                2 => read.sum = canonical(field.double()?),
                ROW => {
                    field.message()?;
                    read.has_rows = true;
                }
                4 => count_float = field.double()?,
                6 => read.is_native |= field.double()? > 0.0,
                7 => read.is_native |= field.varint()? > 0,
                9 | 12 => {
                    field.message()?;
                    read.is_native = true;
                }
                15 => read.start = start(field.message()?)?,
                _ => {}
            }
        }
        read.count = either(count_float, count);
        Ok(read)
    }

    pub(super) fn sample(&self, part: Part, value: f64) -> Found<'a> {
        Found::Sample { part, value, start: self.start, exemplar: None }
    }

    fn next_row(&mut self) -> Result<Option<Message<'a>>, Bad> {
        for field in &mut self.rows {
            let field = field?;
            if field.number == ROW {
                return Ok(Some(field.message()?));
            }
        }
        Ok(None)
    }

    /// The next quantile and its value; there must be one.
    pub(super) fn next_quantile(&mut self) -> Result<(f64, f64), Bad> {
        let (mut quantile, mut value) = (0.0, 0.0);
        for field in self.next_row()?.unwrap_or_default().fields() {
            let field = field?;
            match field.number {
                1 => quantile = field.double()?,
                2 => value = canonical(field.double()?),
                _ => {}
            }
        }
        self.has_rows = Self { rows: self.rows, ..*self }.next_row()?.is_some();
        Ok((quantile, value))
    }

    /// The next bucket; behind the last one the infinite one, whether the body has it or not.
    pub(super) fn next_bucket(&mut self) -> Result<Bucket<'a>, Bad> {
        match self.next_row()? {
            Some(row) => bucket(row),
            None => Ok(Bucket { bound: f64::INFINITY, count: self.count, exemplar: None }),
        }
    }

    /// The buckets that the body has, from the first one on.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Result<Bucket<'a>, Bad>> + use<'a> {
        let mut rows = Self::new(self.message);
        std::iter::from_fn(move || rows.next_row().and_then(|row| row.map(bucket).transpose()).transpose())
    }

    /// The exemplars of the native form: its own, else those of the classic buckets; only such that have a time.
    pub(super) fn native_exemplars(&self) -> Result<Vec<RawExemplar<'a>>, Bad> {
        const OWN: u32 = 16;
        let (mut exemplars, mut has_own) = (Vec::new(), false);
        for field in self.message.fields() {
            let field = field?;
            if field.number == OWN {
                has_own = true;
                exemplars.push(exemplar(field.message()?)?);
            }
        }
        if !has_own && self.has_rows {
            for bucket in self.buckets() {
                exemplars.extend(bucket?.exemplar);
            }
        }
        exemplars.retain(|exemplar| exemplar.timestamp.is_some());
        Ok(exemplars)
    }
}

fn bucket(row: Message<'_>) -> Result<Bucket<'_>, Bad> {
    let mut read = Bucket { bound: 0.0, count: 0.0, exemplar: None };
    let (mut count, mut count_float) = (0, 0.0);
    for field in row.fields() {
        let field = field?;
        match field.number {
            1 => count = field.varint()?,
            2 => read.bound = field.double()?,
            3 => read.exemplar = Some(exemplar(field.message()?)?),
            4 => count_float = field.double()?,
            _ => {}
        }
    }
    read.count = either(count_float, count);
    Ok(read)
}

fn exemplar(message: Message<'_>) -> Result<RawExemplar<'_>, Bad> {
    let (mut value, mut at) = (0.0, None);
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => _ = label_pair(field.message()?)?,
            2 => value = canonical(field.double()?),
            3 => at = Some(timestamp(field.message()?)?),
            _ => {}
        }
    }
    Ok(RawExemplar::of_message(message.bytes(), value, at))
}

/// A `google.protobuf.Timestamp`; out of range saturates.
fn timestamp(message: Message<'_>) -> Result<Timestamp, Bad> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()?.cast_signed(),
            2 => nanos = field.int32()?,
            _ => {}
        }
    }
    let millis = seconds.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000));
    Ok(Timestamp(millis))
}

/// A start; zero says that it is not known.
fn start(message: Message<'_>) -> Result<Option<Timestamp>, Bad> {
    Ok(Some(timestamp(message)?).filter(|at| at.millis() != 0))
}

/// The number of a float histogram, or of any other where that is zero.
fn either(float: f64, integer: u64) -> f64 {
    if float == 0.0 { whole(integer) } else { canonical(float) }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn whole(number: u64) -> f64 {
    number as f64
}

fn canonical(value: f64) -> f64 {
    f64::from_bits(model::canonical_bits(value))
}
