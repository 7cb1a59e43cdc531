//! Native histograms in remote write 1: [`model::Histogram`] to bytes, and back from what was decoded.

use model::{BucketCounts, Histogram as ModelHistogram, ResetHint, Span, Timestamp};

use super::{BucketSpan, Histogram, ModelExemplar, histogram, put_exemplar, put_label};
use crate::proto::{
    WireType, put_double, put_len, put_message, put_sint, put_tag, put_uint, put_varint, varint_len, zigzag,
};

/// Appends one `TimeSeries` with a native histogram to a `WriteRequest`.
///
/// `labels` are sorted by name and none is empty. An exemplar without a time gets that of the histogram.
pub fn append_histogram_series<'a, 'e>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    histogram: &ModelHistogram,
    at: i64,
    exemplars: impl Iterator<Item = &'e ModelExemplar>,
) {
    put_message(out, 1, |out| {
        labels.for_each(|label| put_label(out, label));
        exemplars.for_each(|exemplar| put_exemplar(out, exemplar, at));
        put_message(out, 4, |out| put_histogram(out, histogram, at));
    });
}

pub(in crate::remote_write) fn put_histogram(out: &mut Vec<u8>, histogram: &ModelHistogram, at: i64) {
    match &histogram.counts {
        BucketCounts::Integer { count, .. } => put_uint(out, 1, *count),
        BucketCounts::Float { count, .. } => put_double(out, 2, *count),
    }
    put_double_unless_zero(out, 3, histogram.sum);
    if histogram.schema != 0 {
        put_sint(out, 4, i64::from(histogram.schema));
    }
    put_double_unless_zero(out, 5, histogram.zero_threshold);
    match &histogram.counts {
        BucketCounts::Integer { zero, positive_deltas, negative_deltas, .. } => {
            put_uint(out, 6, *zero);
            put_spans(out, 8, &histogram.negative_spans);
            put_deltas(out, 9, negative_deltas);
            put_spans(out, 11, &histogram.positive_spans);
            put_deltas(out, 12, positive_deltas);
        }
        BucketCounts::Float { zero, positive, negative, .. } => {
            put_double(out, 7, *zero);
            put_spans(out, 8, &histogram.negative_spans);
            put_doubles(out, 10, negative);
            put_spans(out, 11, &histogram.positive_spans);
            put_doubles(out, 13, positive);
        }
    }
    let hint = hint_number(histogram.reset_hint);
    if hint != 0 {
        put_uint(out, 14, hint);
    }
    if at != 0 {
        put_uint(out, 15, at as u64);
    }
    put_doubles(out, 16, &histogram.custom_values);
}

/// Minus zero is written, as it is for samples.
fn put_double_unless_zero(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_double(out, field, value);
    }
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        put_message(out, field, |out| {
            if span.offset != 0 {
                put_sint(out, 1, i64::from(span.offset));
            }
            if span.length != 0 {
                put_uint(out, 2, u64::from(span.length));
            }
        });
    }
}

fn put_deltas(out: &mut Vec<u8>, field: u32, deltas: &[i64]) {
    if !deltas.is_empty() {
        put_tag(out, field, WireType::Len);
        put_varint(out, deltas.iter().map(|delta| varint_len(zigzag(*delta)) as u64).sum());
        deltas.iter().for_each(|delta| put_varint(out, zigzag(*delta)));
    }
}

fn put_doubles(out: &mut Vec<u8>, field: u32, numbers: &[f64]) {
    if !numbers.is_empty() {
        put_len(out, field, 8 * numbers.len());
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    }
}

fn hint_number(hint: ResetHint) -> u64 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Yes => 1,
        ResetHint::No => 2,
        ResetHint::Gauge => 3,
    }
}

impl Histogram {
    /// Its time.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    /// The histogram as the model has it: of floats where the count is one. A reset hint that is not known counts as
    /// unknown.
    #[must_use]
    pub fn to_model(&self) -> ModelHistogram {
        let spans = |spans: &[BucketSpan]| {
            spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect()
        };
        ModelHistogram {
            schema: self.schema,
            sum: self.sum,
            zero_threshold: self.zero_threshold,
            positive_spans: spans(&self.positive_spans),
            negative_spans: spans(&self.negative_spans),
            counts: self.counts(),
            reset_hint: match self.reset_hint {
                1 => ResetHint::Yes,
                2 => ResetHint::No,
                3 => ResetHint::Gauge,
                _ => ResetHint::Unknown,
            },
            custom_values: self.custom_values.clone(),
        }
    }

    fn counts(&self) -> BucketCounts {
        use histogram::{Count, ZeroCount};
        match self.count {
            Some(Count::Float(count)) => BucketCounts::Float {
                count,
                zero: match self.zero_count {
                    Some(ZeroCount::Float(zero)) => zero,
                    Some(ZeroCount::Int(zero)) => zero as f64,
                    None => 0.0,
                },
                positive: self.positive_counts.clone(),
                negative: self.negative_counts.clone(),
            },
            Some(Count::Int(_)) | None => BucketCounts::Integer {
                count: if let Some(Count::Int(count)) = self.count { count } else { 0 },
                zero: match self.zero_count {
                    Some(ZeroCount::Int(zero)) => zero,
                    Some(ZeroCount::Float(zero)) => zero as u64,
                    None => 0,
                },
                positive_deltas: self.positive_deltas.clone(),
                negative_deltas: self.negative_deltas.clone(),
            },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
