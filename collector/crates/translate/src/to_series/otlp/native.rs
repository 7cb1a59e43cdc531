//! Histograms of OTLP as native ones.
//!
//! As `exponentialToNativeHistogram` and `explicitHistogramToCustomBucketsHistogram` of the Go translators: scales finer
//! than 8 are merged down, coarser ones than -4 refused, a missing zero threshold is 1e-128, gaps of up to two empty
//! buckets are listed. What was scraped comes back as it was: without listed gaps, with its own threshold, as floats where
//! it was floats.

use model::{BucketCounts, CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint};
use wire::otlp::{Buckets, ExpHistogramPoint, HistogramPoint};

use crate::native::{MAX_SCHEMA, MIN_SCHEMA, Side, check_bounds, deltas};
use crate::scraped::{Absent, Origin};
use crate::series::Reason;

/// Width of the zero bucket where OTLP says none.
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;

fn max_gap(origin: Origin<'_>) -> i64 {
    if origin.is_scraped() { 0 } else { 2 }
}

pub(super) fn from_exponential(
    point: &ExpHistogramPoint<'_>,
    origin: Origin<'_>,
) -> Result<Histogram, Reason> {
    if point.scale < MIN_SCHEMA {
        return Err(Reason::Scale);
    }
    // Sixty-three halvings leave one bucket at most, whatever the scale.
    let shift = u32::try_from(point.scale - MAX_SCHEMA).unwrap_or(0).min(63);
    let positive = merged(&point.positive, shift, max_gap(origin))?;
    let negative = merged(&point.negative, shift, max_gap(origin))?;
    let keeps_threshold = origin.is_scraped() || point.zero_threshold != 0.0;
    Ok(Histogram {
        schema: point.scale.min(MAX_SCHEMA),
        sum: point.sum.unwrap_or(0.0),
        zero_threshold: if keeps_threshold { point.zero_threshold } else { DEFAULT_ZERO_THRESHOLD },
        counts: counts(origin, point.count, point.zero_count, (&positive.counts, &negative.counts))?,
        positive_spans: positive.spans,
        negative_spans: negative.spans,
        reset_hint: ResetHint::Unknown,
        custom_values: Vec::new(),
    })
}

/// One side, with so many halvings of the resolution. The index of OTLP is one less than that of Prometheus.
fn merged(buckets: &Buckets<'_>, shift: u32, max_gap: i64) -> Result<Side<u64>, Reason> {
    let mut side = Side::new(max_gap);
    let mut open = (0i64, 0u64);
    for (index, count) in (i64::from(buckets.offset)..).zip(buckets.counts()) {
        let (index, count) = ((index >> shift) + 1, count.map_err(|_| Reason::Malformed)?);
        if index == open.0 {
            open.1 = open.1.checked_add(count).ok_or(Reason::Malformed)?;
            continue;
        }
        if open.1 > 0 {
            side.push(open.0, open.1)?;
        }
        open = (index, count);
    }
    if open.1 > 0 {
        side.push(open.0, open.1)?;
    }
    Ok(side)
}

/// The bounds and counts of the point have been looked at and can be decoded.
pub(super) fn from_explicit(point: &HistogramPoint<'_>, origin: Origin<'_>) -> Result<Histogram, Reason> {
    let mut bucket_counts: Vec<u64> = point.bucket_counts().map_while(Result::ok).collect();
    let mut bounds: Vec<f64> = point.bounds().map_while(Result::ok).collect();
    if bucket_counts.is_empty() {
        (bucket_counts, bounds) = (vec![point.count], Vec::new());
    }
    check_bounds(&bounds)?;
    if bucket_counts.len() > bounds.len() + 1 {
        return Err(Reason::Bounds);
    }
    let mut side = Side::new(max_gap(origin));
    for (index, count) in (0..).zip(bucket_counts).filter(|bucket| bucket.1 > 0) {
        side.push(index, count)?;
    }
    Ok(Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        sum: point.sum.unwrap_or(0.0),
        counts: counts(origin, point.count, 0, (&side.counts, &[]))?,
        positive_spans: side.spans,
        custom_values: bounds,
        ..Histogram::default()
    })
}

fn counts(
    origin: Origin<'_>,
    count: u64,
    zero: u64,
    (positive, negative): (&[u64], &[u64]),
) -> Result<BucketCounts, Reason> {
    if origin.absent.has(Absent::INTEGERS) {
        let floats = |counts: &[u64]| counts.iter().map(|count| *count as f64).collect();
        let (count, zero) = (count as f64, zero as f64);
        return Ok(BucketCounts::Float {
            count,
            zero,
            positive: floats(positive),
            negative: floats(negative),
        });
    }
    let (positive_deltas, negative_deltas) = (deltas(positive)?, deltas(negative)?);
    Ok(BucketCounts::Integer { count, zero, positive_deltas, negative_deltas })
}
