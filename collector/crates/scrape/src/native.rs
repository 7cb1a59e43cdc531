//! What a job allows native histograms to cost.
//!
//! As Prometheus `scrape/target.go` (`bucketLimitAppender`, `maxSchemaAppender`) and `model/histogram`
//! (`ReduceResolution`): a histogram that is finer than `native_histogram_min_bucket_factor` allows, or has more buckets
//! than `native_histogram_bucket_limit`, is made coarser, each time by merging two neighbouring buckets into one. Where
//! that does not help, the scrape fails.

use model::{BucketCounts, Histogram, Span};

use crate::{ScrapeConfig, ScrapeError};

/// Schemas whose bounds are computed.
const COARSEST: i32 = -4;
const FINEST: i32 = 8;

/// Schemas that are reserved for finer bounds than anybody writes; such histograms are made as fine as we can tell.
const FINEST_RESERVED: i32 = 52;

/// Limits on each histogram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NativeLimits {
    /// Buckets of both sides; the greatest number where there is no limit.
    max_buckets: u64,
    max_schema: i32,
}

impl NativeLimits {
    pub(crate) fn of(config: &ScrapeConfig) -> Self {
        let limit = config.native_histogram_bucket_limit;
        Self {
            max_buckets: if limit == 0 { u64::MAX } else { limit },
            max_schema: max_schema(config.native_histogram_min_bucket_factor),
        }
    }

    /// Makes the histogram as coarse as it has to be. `false`: its schema is none that anybody knows.
    ///
    /// # Errors
    /// When it has too many buckets even so.
    pub(crate) fn fit(self, histogram: &mut Histogram) -> Result<bool, ScrapeError> {
        if histogram.has_custom_buckets() {
            return self.check(histogram).map(|()| true);
        }
        if !(COARSEST..=FINEST_RESERVED).contains(&histogram.schema) {
            return Ok(false);
        }
        if histogram.schema > self.max_schema {
            reduce(histogram, self.max_schema);
        }
        while n_buckets(histogram) > self.max_buckets && histogram.schema > COARSEST {
            reduce(histogram, histogram.schema - 1);
        }
        self.check(histogram).map(|()| true)
    }

    fn check(self, histogram: &Histogram) -> Result<(), ScrapeError> {
        let found = n_buckets(histogram);
        if found > self.max_buckets {
            return Err(ScrapeError::BucketLimit { found, limit: self.max_buckets });
        }
        Ok(())
    }
}

/// The finest schema whose buckets each reach at least `factor` times as far as the one before.
fn max_schema(factor: f64) -> i32 {
    if factor <= 1.0 {
        return FINEST;
    }
    let finest = (-factor.log2().log2()).floor();
    // Within the schemas there are, so it fits.
    finest.clamp(f64::from(COARSEST), f64::from(FINEST)) as i32
}

fn n_buckets(histogram: &Histogram) -> u64 {
    let n = match &histogram.counts {
        BucketCounts::Integer { positive_deltas, negative_deltas, .. } => {
            positive_deltas.len() + negative_deltas.len()
        }
        BucketCounts::Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    n as u64
}

fn reduce(histogram: &mut Histogram, schema: i32) {
    let shift = histogram.schema - schema;
    let Histogram { positive_spans, negative_spans, counts, .. } = histogram;
    match counts {
        BucketCounts::Integer { positive_deltas, negative_deltas, .. } => {
            for (spans, deltas) in [(positive_spans, positive_deltas), (negative_spans, negative_deltas)] {
                let mut count = 0i64;
                for delta in deltas.iter_mut() {
                    count = count.wrapping_add(*delta);
                    *delta = count;
                }
                merge(spans, deltas, shift, i64::wrapping_add);
                let mut before = 0i64;
                for count in deltas.iter_mut() {
                    let delta = count.wrapping_sub(before);
                    before = std::mem::replace(count, delta);
                }
            }
        }
        BucketCounts::Float { positive, negative, .. } => {
            merge(positive_spans, positive, shift, |a, b| a + b);
            merge(negative_spans, negative, shift, |a, b| a + b);
        }
    }
    histogram.schema = schema;
}

/// Merges the buckets that fall together when bounds are `2^shift` times as far apart.
fn merge<T: Copy>(spans: &mut Vec<Span>, counts: &mut Vec<T>, shift: i32, add: impl Fn(T, T) -> T) {
    let (mut kept_spans, mut kept): (Vec<Span>, Vec<T>) = (Vec::new(), Vec::with_capacity(counts.len()));
    let mut all = counts.iter().copied();
    let (mut index, mut last) = (0i64, None);
    for span in spans.iter() {
        index += i64::from(span.offset);
        for count in all.by_ref().take(span.length as usize) {
            // Bucket `i` ends at `base^i`, so the first of a group of two has an odd index.
            let merged = ((index - 1) >> shift) + 1;
            index += 1;
            match (last, kept.last_mut(), kept_spans.last_mut()) {
                (Some(before), Some(sum), _) if before == merged => *sum = add(*sum, count),
                (Some(before), _, Some(span)) if before + 1 == merged => {
                    span.length += 1;
                    kept.push(count);
                }
                _ => {
                    let gap = merged - last.map_or(0, |before| before + 1);
                    // Indices become smaller, and they fitted before.
                    let offset = i32::try_from(gap).unwrap_or(if gap < 0 { i32::MIN } else { i32::MAX });
                    kept_spans.push(Span { offset, length: 1 });
                    kept.push(count);
                }
            }
            last = Some(merged);
        }
    }
    (*spans, *counts) = (kept_spans, kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> NativeLimits {
        NativeLimits::of(&crate::tests::config(text))
    }

    fn histogram(schema: i32, first: i32, counts: &[i64]) -> Histogram {
        let mut before = 0;
        let positive_deltas =
            counts.iter().map(|count| count - std::mem::replace(&mut before, *count)).collect();
        Histogram {
            schema,
            positive_spans: vec![Span { offset: first, length: counts.len() as u32 }],
            counts: BucketCounts::Integer {
                count: counts.iter().sum::<i64>() as u64,
                zero: 0,
                positive_deltas,
                negative_deltas: Vec::new(),
            },
            ..Histogram::default()
        }
    }

    /// Index and count of every bucket above zero.
    fn buckets(histogram: &Histogram) -> Vec<(i64, i64)> {
        let BucketCounts::Integer { positive_deltas, .. } = &histogram.counts else { unreachable!() };
        let (mut index, mut count, mut deltas) = (0i64, 0, positive_deltas.iter());
        let mut all = Vec::new();
        for span in &histogram.positive_spans {
            index += i64::from(span.offset);
            for delta in deltas.by_ref().take(span.length as usize) {
                count += delta;
                all.push((index, count));
                index += 1;
            }
        }
        all
    }

    #[test]
    fn the_factor_between_bounds_decides_the_finest_schema() {
        for (factor, schema) in [
            (0.0, 8),
            (1.0, 8),
            (0.5, 8),
            (1.001, 8),
            (1.1, 2),
            (1.2, 1),
            (2.0, 0),
            (4.0, -1),
            (65_536.0, -4),
            (1e300, -4),
        ] {
            assert_eq!(max_schema(factor), schema, "{factor}");
        }
    }

    #[test]
    fn a_histogram_that_is_too_fine_is_merged_down() {
        let mut fine = histogram(1, -1, &[1, 2, 3, 4, 5]);
        assert!(limits("native_histogram_min_bucket_factor: 2").fit(&mut fine).unwrap());
        // Buckets -1 and 0 fall together, 1 and 2, 3.
        assert_eq!((fine.schema, buckets(&fine)), (0, vec![(0, 3), (1, 7), (2, 5)]));
    }

    #[test]
    fn too_many_buckets_are_halved_until_they_fit() {
        let mut wide = histogram(3, 1, &[1; 16]);
        assert!(limits("native_histogram_bucket_limit: 5").fit(&mut wide).unwrap());
        assert_eq!((wide.schema, buckets(&wide)), (1, vec![(1, 4), (2, 4), (3, 4), (4, 4)]));
    }

    #[test]
    fn buckets_far_apart_stay_far_apart() {
        let mut sparse = histogram(2, 1, &[7]);
        sparse.positive_spans.push(Span { offset: 100, length: 1 });
        let BucketCounts::Integer { positive_deltas, .. } = &mut sparse.counts else { unreachable!() };
        positive_deltas.push(-4);
        assert!(limits("native_histogram_min_bucket_factor: 2").fit(&mut sparse).unwrap());
        assert_eq!(buckets(&sparse), [(1, 7), (26, 3)]);
    }

    #[test]
    fn what_cannot_become_coarser_fails_by_name() {
        let mut coarse = histogram(-4, 1, &[1, 1, 1]);
        let error = limits("native_histogram_bucket_limit: 2").fit(&mut coarse).unwrap_err();
        assert_eq!(error.to_string(), "native_histogram_bucket_limit exceeded: 3 buckets, limit 2");
        let mut custom = Histogram { schema: model::CUSTOM_BUCKETS_SCHEMA, ..histogram(0, 0, &[1, 1, 1]) };
        limits("native_histogram_bucket_limit: 2").fit(&mut custom).unwrap_err();
        assert!(limits("native_histogram_bucket_limit: 3").fit(&mut custom).unwrap());
    }

    #[test]
    fn finer_schemas_than_there_are_become_the_finest_and_unknown_ones_are_none() {
        let mut reserved = histogram(9, 1, &[1, 1]);
        assert!(limits("{}").fit(&mut reserved).unwrap());
        assert_eq!((reserved.schema, buckets(&reserved)), (8, vec![(1, 2)]));
        assert!(!limits("{}").fit(&mut histogram(-9, 1, &[1])).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn merging_keeps_every_observation(
            counts in proptest::collection::vec(0i64..1000, 1..40), first in -30i32..30, schema in -3i32..=8, limit in 1u64..20,
        ) {
            let mut merged = histogram(schema, first, &counts);
            let fitted = limits(&format!("native_histogram_bucket_limit: {limit}")).fit(&mut merged);
            let total: i64 = buckets(&merged).iter().map(|bucket| bucket.1).sum();
            proptest::prop_assert_eq!(total, counts.iter().sum::<i64>());
            proptest::prop_assert!(fitted.is_err() || buckets(&merged).len() as u64 <= limit);
        }
    }
}
