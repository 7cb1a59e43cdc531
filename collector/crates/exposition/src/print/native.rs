//! Native histograms as what readers of classic ones understand.

use model::{BucketCounts, Histogram};

/// All observations.
pub(super) fn count(histogram: &Histogram) -> f64 {
    match histogram.counts {
        BucketCounts::Integer { count, .. } => count as f64,
        BucketCounts::Float { count, .. } => count,
    }
}

/// Bounds and cumulative counts of the classic histogram that says the same, as far as one can: every bucket of a histogram
/// with listed bounds, otherwise only the one without a bound.
pub(super) fn classic_buckets(histogram: &Histogram) -> Vec<(f64, f64)> {
    let all = (f64::INFINITY, count(histogram));
    if !histogram.has_custom_buckets() {
        return vec![all];
    }
    let mut counts = vec![0.0; histogram.custom_values.len()];
    let mut index = 0usize;
    let mut filled = absolute(&histogram.counts).into_iter();
    for span in &histogram.positive_spans {
        index = index.saturating_add_signed(span.offset as isize);
        for _ in 0..span.length {
            let Some(count) = filled.next() else { break };
            if let Some(place) = counts.get_mut(index) {
                *place = count;
            }
            index = index.saturating_add(1);
        }
    }
    let mut sum = 0.0;
    let bounds = histogram.custom_values.iter().zip(counts).map(|(bound, count)| {
        sum += count;
        (*bound, sum)
    });
    bounds.chain([all]).collect()
}

/// Counts of the buckets above zero, none of them as a difference.
fn absolute(counts: &BucketCounts) -> Vec<f64> {
    match counts {
        BucketCounts::Integer { positive_deltas, .. } => positive_deltas
            .iter()
            .scan(0i64, |last, delta| {
                *last = last.saturating_add(*delta);
                Some(*last as f64)
            })
            .collect(),
        BucketCounts::Float { positive, .. } => positive.clone(),
    }
}

#[cfg(test)]
mod tests {
    use model::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    #[test]
    fn listed_bounds_become_classic_buckets() {
        let histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![0.5, 1.0, 2.0],
            positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 1, length: 2 }],
            counts: BucketCounts::Integer {
                count: 9,
                zero: 0,
                positive_deltas: vec![2, 1, 1],
                negative_deltas: vec![],
            },
            ..Histogram::default()
        };
        assert_eq!(classic_buckets(&histogram), [(0.5, 2.0), (1.0, 2.0), (2.0, 5.0), (f64::INFINITY, 9.0)]);
    }

    #[test]
    fn spans_that_promise_too_much_do_no_harm() {
        let histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![1.0],
            positive_spans: vec![Span { offset: i32::MIN, length: u32::MAX }],
            counts: BucketCounts::Float { count: 3.0, zero: 0.0, positive: vec![1.0, 2.0], negative: vec![] },
            ..Histogram::default()
        };
        assert_eq!(classic_buckets(&histogram), [(1.0, 1.0), (f64::INFINITY, 3.0)]);
    }

    #[test]
    fn computed_bounds_leave_only_the_bucket_without_one() {
        let counts = BucketCounts::Float { count: 2.5, zero: 0.0, positive: vec![2.5], negative: vec![] };
        let histogram = Histogram { counts, ..Histogram::default() };
        assert_eq!(classic_buckets(&histogram), [(f64::INFINITY, 2.5)]);
    }
}
