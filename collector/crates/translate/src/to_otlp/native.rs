//! Native histograms as points of OTLP.
//!
//! Bucket `i` of Prometheus is bucket `i - 1` of OTLP, and OTLP lists empty ones. Histograms with bounds of their own become
//! explicit ones. Float histograms become integer ones where all of their counts are whole, which is noted
//! ([`Absent::INTEGERS`]); the Go receiver cuts fractions off, here such a point is dropped and counted. Gauge histograms
//! are dropped, as the specification demands.

use model::{BucketCounts, Histogram, ResetHint, Timestamp};

use super::assemble::count_of;
use super::group::Shape;
use crate::native::{MAX_SCHEMA, MIN_SCHEMA, canonical, counts_of, each_bucket};
use crate::scraped::Absent;
use crate::series::{MAX_EXPONENTIAL_BUCKETS, Reason};

/// A point of a native histogram.
pub(super) struct NativePoint {
    /// Index of its sample.
    pub(super) index: u32,
    pub(super) at: Timestamp,
    pub(super) form: Native,
}

/// What such a point holds.
pub(super) enum Native {
    Exponential(Exponential),
    Custom(Custom),
    /// The series has ended.
    Ended,
}

pub(super) struct Exponential {
    pub(super) scale: i32,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Run,
    pub(super) negative: Run,
}

/// Consecutive buckets as OTLP counts them.
#[derive(Default)]
pub(super) struct Run {
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

pub(super) struct Custom {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) bounds: Vec<f64>,
    pub(super) bucket_counts: Vec<u64>,
}

/// The form of a histogram that has not ended, and what it lacks.
pub(super) fn form_of(histogram: &Histogram) -> Result<(Shape, Native, Absent), Reason> {
    let histogram = canonical(histogram)?;
    if histogram.reset_hint == ResetHint::Gauge {
        return Err(Reason::GaugeHistogram);
    }
    let whole = Whole::of(&histogram)?;
    let absent = if whole.is_float { Absent::INTEGERS } else { Absent::default() };
    if histogram.has_custom_buckets() {
        let mut bucket_counts = vec![0; histogram.custom_values.len() + 1];
        for (index, count) in whole.positive {
            let bucket = usize::try_from(index).ok().and_then(|index| bucket_counts.get_mut(index));
            *bucket.ok_or(Reason::Malformed)? = count;
        }
        let (count, sum, bounds) = (whole.count, histogram.sum, histogram.custom_values.clone());
        let custom = Custom { count, sum, bounds, bucket_counts };
        return Ok((Shape::Custom, Native::Custom(custom), absent.with(Absent::CLASSIC)));
    }
    if !(MIN_SCHEMA..=MAX_SCHEMA).contains(&histogram.schema) {
        return Err(Reason::Scale);
    }
    let exponential = Exponential {
        scale: histogram.schema,
        count: whole.count,
        sum: histogram.sum,
        zero_count: whole.zero,
        zero_threshold: histogram.zero_threshold,
        positive: Run::of(&whole.positive)?,
        negative: Run::of(&whole.negative)?,
    };
    Ok((Shape::Exponential, Native::Exponential(exponential), absent))
}

/// A histogram in whole numbers, with the index of each bucket.
struct Whole {
    is_float: bool,
    count: u64,
    zero: u64,
    positive: Vec<(i64, u64)>,
    negative: Vec<(i64, u64)>,
}

impl Whole {
    fn of(histogram: &Histogram) -> Result<Self, Reason> {
        let whole = |count: f64| count_of(count).ok_or(Reason::FractionalHistogram);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let (is_float, count, zero) = match &histogram.counts {
            BucketCounts::Integer { count, zero, positive_deltas, negative_deltas } => {
                collect(&mut positive, &histogram.positive_spans, counts_of(positive_deltas))?;
                collect(&mut negative, &histogram.negative_spans, counts_of(negative_deltas))?;
                (false, *count, *zero)
            }
            BucketCounts::Float { count, zero, positive: above, negative: below } => {
                let counts = |counts: &'_ [f64]| counts.iter().map(|count| whole(*count)).collect::<Vec<_>>();
                collect(&mut positive, &histogram.positive_spans, counts(above).into_iter())?;
                collect(&mut negative, &histogram.negative_spans, counts(below).into_iter())?;
                (true, whole(*count)?, whole(*zero)?)
            }
        };
        Ok(Self { is_float, count, zero, positive, negative })
    }
}

fn collect(
    buckets: &mut Vec<(i64, u64)>,
    spans: &[model::Span],
    counts: impl Iterator<Item = Result<u64, Reason>>,
) -> Result<(), Reason> {
    each_bucket(spans, counts, |index, count| {
        buckets.push((index, count));
        Ok(())
    })
}

impl Run {
    fn of(buckets: &[(i64, u64)]) -> Result<Self, Reason> {
        let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
            return Ok(Self::default());
        };
        let n_buckets = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        if n_buckets > MAX_EXPONENTIAL_BUCKETS {
            return Err(Reason::WideHistogram);
        }
        let mut counts = vec![0; n_buckets];
        for (index, count) in buckets {
            counts[(index - first) as usize] = *count;
        }
        Ok(Self { offset: i32::try_from(first - 1).map_err(|_| Reason::Malformed)?, counts })
    }
}
