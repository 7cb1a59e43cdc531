//! Native histograms: their buckets one by one, and one way of writing each of them.
//!
//! The same observations can be written with different spans: empty buckets may be listed or skipped. A scraped
//! histogram leaves without empty ones (Prometheus `histogram.Compact(0)`), whichever way it takes, so that both ways
//! give the same bytes. One that came as OTLP keeps gaps of up to two buckets as zeros, as the Go translators write it.

use std::borrow::Cow;

use model::{BucketCounts, Histogram, Span};

use crate::series::Reason;

/// Schemas of exponential histograms that Prometheus takes; OTLP calls them scales.
pub(crate) const MIN_SCHEMA: i32 = -4;
/// The finest one.
pub(crate) const MAX_SCHEMA: i32 = 8;

/// Buckets of one side, in order.
#[derive(Debug)]
pub(crate) struct Side<T> {
    pub(crate) spans: Vec<Span>,
    pub(crate) counts: Vec<T>,
    /// Index behind the last bucket.
    next: i64,
    /// So many empty buckets in a row are listed; more of them begin a new span.
    max_gap: i64,
}

impl<T: Copy + Default> Side<T> {
    pub(crate) fn new(max_gap: i64) -> Self {
        Self { spans: Vec::new(), counts: Vec::new(), next: 0, max_gap }
    }

    /// Adds a bucket behind all others.
    pub(crate) fn push(&mut self, index: i64, count: T) -> Result<(), Reason> {
        let gap = index - self.next;
        self.next = index + 1;
        match self.spans.last_mut() {
            Some(span) if gap <= self.max_gap => {
                (0..gap).for_each(|_| self.counts.push(T::default()));
                span.length += u32::try_from(gap + 1).map_err(|_| Reason::Malformed)?;
            }
            _ => {
                let offset = i32::try_from(gap).map_err(|_| Reason::Malformed)?;
                self.spans.push(Span { offset, length: 1 });
            }
        }
        self.counts.push(count);
        Ok(())
    }
}

/// Counts as remote write has them: the first as it is, every other one as the difference to the one before.
pub(crate) fn deltas(counts: &[u64]) -> Result<Vec<i64>, Reason> {
    let mut before = 0;
    let delta = |count: &u64| {
        let count = i64::try_from(*count).map_err(|_| Reason::Malformed)?;
        Ok(count - std::mem::replace(&mut before, count))
    };
    counts.iter().map(delta).collect()
}

/// What [`deltas`] was given.
pub(crate) fn counts_of(deltas: &[i64]) -> impl Iterator<Item = Result<u64, Reason>> + '_ {
    let mut count = 0i64;
    deltas.iter().map(move |delta| {
        count = count.checked_add(*delta).ok_or(Reason::Malformed)?;
        u64::try_from(count).map_err(|_| Reason::Malformed)
    })
}

/// Calls `each` with the index and the count of every bucket of one side. Spans and counts have to agree.
pub(crate) fn each_bucket<T>(
    spans: &[Span],
    mut counts: impl Iterator<Item = Result<T, Reason>>,
    mut each: impl FnMut(i64, T) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut index = 0i64;
    for (position, span) in spans.iter().enumerate() {
        if position > 0 && span.offset < 0 {
            return Err(Reason::Malformed);
        }
        index += i64::from(span.offset);
        for _ in 0..span.length {
            // A span may claim any length, but not more buckets than there are.
            let count = counts.next().ok_or(Reason::Malformed)??;
            each(index, count)?;
            index += 1;
        }
    }
    if counts.next().is_some() { Err(Reason::Malformed) } else { Ok(()) }
}

/// Checks a histogram and gives it without empty buckets, unchanged where it has none.
pub(crate) fn canonical(histogram: &Histogram) -> Result<Cow<'_, Histogram>, Reason> {
    if histogram.has_custom_buckets() {
        check_custom(histogram)?;
    } else if !histogram.custom_values.is_empty() {
        return Err(Reason::Malformed);
    }
    let (positive, negative) = (&histogram.positive_spans, &histogram.negative_spans);
    match &histogram.counts {
        BucketCounts::Integer { count, zero, positive_deltas, negative_deltas } => {
            let positive = compact(positive, counts_of(positive_deltas))?;
            let negative = compact(negative, counts_of(negative_deltas))?;
            if is_same(&positive, histogram, true) && is_same(&negative, histogram, false) {
                return Ok(Cow::Borrowed(histogram));
            }
            let counts = BucketCounts::Integer {
                count: *count,
                zero: *zero,
                positive_deltas: deltas(&positive.counts)?,
                negative_deltas: deltas(&negative.counts)?,
            };
            Ok(Cow::Owned(with_counts(histogram, positive.spans, negative.spans, counts)))
        }
        BucketCounts::Float { count, zero, positive: above, negative: below } => {
            let positive = compact(positive, above.iter().map(count_of_float))?;
            let negative = compact(negative, below.iter().map(count_of_float))?;
            if is_same(&positive, histogram, true) && is_same(&negative, histogram, false) {
                return Ok(Cow::Borrowed(histogram));
            }
            let (above, below) = (positive.counts, negative.counts);
            let counts = BucketCounts::Float { count: *count, zero: *zero, positive: above, negative: below };
            Ok(Cow::Owned(with_counts(histogram, positive.spans, negative.spans, counts)))
        }
    }
}

/// Finite ascending bounds, no bucket beyond the last of them but one, nothing at or below zero (Prometheus
/// `Histogram.Validate`).
fn check_custom(histogram: &Histogram) -> Result<(), Reason> {
    check_bounds(&histogram.custom_values)?;
    let first = histogram.positive_spans.first().map_or(0, |span| i64::from(span.offset));
    let spans = histogram.positive_spans.iter();
    let end: i64 = spans.map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
    let fits = first >= 0 && end <= histogram.custom_values.len() as i64 + 1;
    let has_zero_bucket = histogram.zero_threshold != 0.0
        || match histogram.counts {
            BucketCounts::Integer { zero, .. } => zero != 0,
            BucketCounts::Float { zero, .. } => zero != 0.0,
        };
    let is_good = fits && !has_zero_bucket && histogram.negative_spans.is_empty();
    if is_good { Ok(()) } else { Err(Reason::Malformed) }
}

pub(crate) fn check_bounds(bounds: &[f64]) -> Result<(), Reason> {
    let is_good = bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|a, b| a < b);
    if is_good { Ok(()) } else { Err(Reason::Bounds) }
}

fn count_of_float(count: &f64) -> Result<f64, Reason> {
    if *count >= 0.0 { Ok(*count) } else { Err(Reason::Malformed) }
}

fn compact<T: Copy + Default + PartialEq>(
    spans: &[Span],
    counts: impl Iterator<Item = Result<T, Reason>>,
) -> Result<Side<T>, Reason> {
    let mut side = Side::new(0);
    each_bucket(
        spans,
        counts,
        |index, count| {
            if count == T::default() { Ok(()) } else { side.push(index, count) }
        },
    )?;
    Ok(side)
}

/// Whether compacting changed nothing: equal spans have equally many counts, and none was dropped then.
fn is_same<T>(side: &Side<T>, histogram: &Histogram, is_positive: bool) -> bool {
    let spans = if is_positive { &histogram.positive_spans } else { &histogram.negative_spans };
    side.spans == *spans
}

fn with_counts(
    histogram: &Histogram,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    counts: BucketCounts,
) -> Histogram {
    Histogram {
        schema: histogram.schema,
        sum: histogram.sum,
        zero_threshold: histogram.zero_threshold,
        positive_spans,
        negative_spans,
        counts,
        reset_hint: histogram.reset_hint,
        custom_values: histogram.custom_values.clone(),
    }
}

#[cfg(test)]
mod tests;
