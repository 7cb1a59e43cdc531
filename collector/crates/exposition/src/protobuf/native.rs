//! Native histograms, and classic ones that become native.

use model::{BucketCounts, Histogram, ResetHint, Span};
use wire::proto::{Field, Message, Value};

use super::metric::Composite;
use crate::buckets::{Classic, compact, from_deltas, to_deltas};
use crate::event::Bad;

/// Most buckets that one histogram may have on one side. The finest schema has about half as many in all.
const MAX_BUCKETS_PER_HISTOGRAM: usize = 1 << 20;

/// The buckets of one side as they are encoded.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Reads the native parts of a `Histogram` message; empty buckets are left out, as upstream.
pub(super) fn read(message: Message<'_>, is_gauge: bool) -> Result<Histogram, Bad> {
    let mut histogram = Histogram::default();
    let (mut count, mut zero, mut count_float, mut zero_float) = (0, 0, 0.0, 0.0);
    let (mut positive, mut negative) = (Side::default(), Side::default());
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => count = field.varint()?,
            2 => histogram.sum = f64::from_bits(model::canonical_bits(field.double()?)),
            4 => count_float = field.double()?,
            5 => histogram.schema = field.sint32()?,
            6 => histogram.zero_threshold = field.double()?,
            7 => zero = field.varint()?,
            8 => zero_float = field.double()?,
            9..=11 => negative.add(field.number - 9, &field)?,
            12..=14 => positive.add(field.number - 12, &field)?,
            _ => {}
        }
    }
    if is_gauge {
        histogram.reset_hint = ResetHint::Gauge;
    }
    let at = message.offset();
    let has_counts = !positive.counts.is_empty() || !negative.counts.is_empty();
    if count_float > 0.0 || zero_float > 0.0 || has_counts {
        let (spans, positive) = positive.floats("positive", at)?;
        let (negative_spans, negative) = negative.floats("negative", at)?;
        (histogram.positive_spans, histogram.negative_spans) = (spans, negative_spans);
        histogram.counts = BucketCounts::Float { count: count_float, zero: zero_float, positive, negative };
    } else {
        let (spans, positive_deltas) = positive.integers("positive", at)?;
        let (negative_spans, negative_deltas) = negative.integers("negative", at)?;
        (histogram.positive_spans, histogram.negative_spans) = (spans, negative_spans);
        histogram.counts = BucketCounts::Integer { count, zero, positive_deltas, negative_deltas };
    }
    Ok(histogram)
}

/// Makes a native histogram with custom buckets of the classic one.
pub(super) fn convert(of: &Composite<'_>, is_gauge: bool) -> Result<Histogram, Bad> {
    let mut classic = Classic::default();
    classic.set_count(of.count);
    classic.set_sum(of.sum);
    for bucket in of.buckets() {
        let bucket = bucket?;
        classic.set_bucket(bucket.bound, bucket.count);
    }
    let mut histogram = classic.convert().map_err(|reason| Bad::new(of.message.offset(), reason))?;
    if is_gauge {
        histogram.reset_hint = ResetHint::Gauge;
    }
    Ok(histogram)
}

impl Side {
    /// Adds a field: spans, deltas or counts.
    fn add(&mut self, which: u32, field: &Field<'_>) -> Result<(), Bad> {
        match (which, field.value) {
            (0, _) => self.spans.push(span(field.message()?)?),
            (1, Value::Len(packed)) => {
                let mut numbers = packed.fields();
                while let Some(number) = numbers.next_varint() {
                    self.deltas.push(zigzag(number?));
                    self.check_limit(field.offset)?;
                }
            }
            (1, _) => self.deltas.push(zigzag(field.varint()?)),
            (_, Value::Len(packed)) => {
                let (numbers, rest) = packed.bytes().as_chunks();
                if !rest.is_empty() {
                    return Err(packed.malformed("packed numbers are cut short").into());
                }
                self.counts.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => self.counts.push(field.double()?),
        }
        self.check_limit(field.offset)
    }

    fn check_limit(&self, at: usize) -> Result<(), Bad> {
        let most = self.spans.len().max(self.deltas.len()).max(self.counts.len());
        if most <= MAX_BUCKETS_PER_HISTOGRAM {
            return Ok(());
        }
        let limit = MAX_BUCKETS_PER_HISTOGRAM;
        Err(Bad::new(at, format!("a histogram has more buckets than max_buckets_per_histogram ({limit})")))
    }

    fn floats(&self, name: &str, at: usize) -> Result<(Vec<Span>, Vec<f64>), Bad> {
        self.check_spans(name, self.counts.len(), at)?;
        compact(&self.spans, &self.counts, 0).ok_or_else(|| too_far(name, at))
    }

    fn integers(mut self, name: &str, at: usize) -> Result<(Vec<Span>, Vec<i64>), Bad> {
        self.check_spans(name, self.deltas.len(), at)?;
        from_deltas(&mut self.deltas);
        let (spans, mut counts) = compact(&self.spans, &self.deltas, 0).ok_or_else(|| too_far(name, at))?;
        to_deltas(&mut counts);
        Ok((spans, counts))
    }

    fn check_spans(&self, name: &str, n_buckets: usize, at: usize) -> Result<(), Bad> {
        let needed: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        if usize::try_from(needed) == Ok(n_buckets) {
            return Ok(());
        }
        Err(Bad::new(
            at,
            format!("the spans on the {name} side need {needed} buckets, there are {n_buckets}"),
        ))
    }
}

fn too_far(name: &str, at: usize) -> Bad {
    Bad::new(at, format!("the spans on the {name} side reach further than 2^31 buckets"))
}

fn span(message: Message<'_>) -> Result<Span, Bad> {
    let mut span = Span::default();
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
