use model::CUSTOM_BUCKETS_SCHEMA;
use proptest::prelude::*;

use super::*;

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

/// Buckets as spans and counts, with gaps of so many empty buckets listed.
fn side(max_gap: i64, buckets: &[(i64, u64)]) -> (Vec<Span>, Vec<u64>) {
    let mut side = Side::new(max_gap);
    buckets.iter().for_each(|(index, count)| side.push(*index, *count).unwrap());
    (side.spans, side.counts)
}

#[test]
fn short_gaps_are_listed_and_longer_ones_begin_a_span() {
    let buckets = [(-3, 1), (-1, 2), (2, 3), (6, 4)];
    assert_eq!(side(2, &buckets), (vec![span(-3, 6), span(3, 1)], vec![1, 0, 2, 0, 0, 3, 4]));
    let apart = vec![span(-3, 1), span(1, 1), span(2, 1), span(3, 1)];
    assert_eq!(side(0, &buckets), (apart, vec![1, 2, 3, 4]));
}

#[test]
fn an_index_beyond_what_a_span_can_say_is_malformed() {
    let mut side = Side::new(0);
    side.push(-5_000_000_000, 1u64).unwrap_err();
    assert!(Side::new(0).push(i64::from(i32::MAX), 1u64).is_ok());
}

#[test]
fn counts_and_deltas_are_two_ways_to_say_one_thing() {
    let counts = [3, 3, 0, 7];
    assert_eq!(deltas(&counts), Ok(vec![3, 0, -3, 7]));
    assert_eq!(counts_of(&[3, 0, -3, 7]).collect::<Result<Vec<_>, _>>(), Ok(counts.to_vec()));
    assert_eq!(deltas(&[u64::MAX]), Err(Reason::Malformed));
    assert_eq!(counts_of(&[-1]).next(), Some(Err(Reason::Malformed)));
    assert_eq!(counts_of(&[i64::MAX, 1]).nth(1), Some(Err(Reason::Malformed)));
}

#[test]
fn a_span_may_not_claim_more_buckets_than_there_are() {
    let claims = [(vec![span(0, u32::MAX)], vec![1]), (vec![], vec![1]), (vec![span(0, 1)], vec![])];
    for (spans, deltas) in claims {
        assert_eq!(each_bucket(&spans, counts_of(&deltas), |_, _| Ok(())), Err(Reason::Malformed));
    }
}

fn integer(positive_spans: Vec<Span>, positive_deltas: Vec<i64>) -> Histogram {
    let counts = BucketCounts::Integer { count: 9, zero: 1, positive_deltas, negative_deltas: vec![] };
    Histogram { positive_spans, counts, ..Histogram::default() }
}

#[test]
fn a_histogram_without_empty_buckets_is_lent_as_it_is() {
    let compact = integer(vec![span(-1, 2), span(3, 1)], vec![1, 1, 2]);
    assert!(matches!(canonical(&compact), Ok(Cow::Borrowed(_))));
}

#[test]
fn empty_buckets_and_empty_spans_are_left_out() {
    let sparse = integer(vec![span(-1, 3), span(0, 2), span(4, 0), span(1, 1)], vec![0, 1, -1, 2, -2, 5]);
    let want = integer(vec![span(0, 1), span(1, 1), span(6, 1)], vec![1, 1, 3]);
    assert_eq!(canonical(&sparse).unwrap().into_owned(), want);
}

#[test]
fn bounds_have_to_be_finite_and_ascending() {
    for (bounds, is_good) in [
        (vec![], true),
        (vec![1.0, 2.0], true),
        (vec![1.0, 1.0], false),
        (vec![2.0, 1.0], false),
        (vec![f64::NAN], false),
        (vec![f64::INFINITY], false),
    ] {
        assert_eq!(check_bounds(&bounds).is_ok(), is_good, "{bounds:?}");
        let custom = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: bounds.clone(),
            ..Histogram::default()
        };
        assert_eq!(canonical(&custom).is_ok(), is_good, "{bounds:?}");
    }
}

proptest! {
    #[test]
    fn compacting_keeps_every_filled_bucket_and_is_done_once(
        spans in prop::collection::vec((0i32..5, 0u32..4), 0..5),
        counts in prop::collection::vec(0u64..4, 20),
        is_float in any::<bool>(),
    ) {
        let spans: Vec<Span> = spans.into_iter().map(|(offset, length)| span(offset, length)).collect();
        let n_buckets: u32 = spans.iter().map(|span| span.length).sum();
        let counts = &counts[..n_buckets as usize];
        let mut histogram = integer(spans, deltas(counts).unwrap());
        if is_float {
            let positive = counts.iter().map(|count| *count as f64).collect();
            histogram.counts = BucketCounts::Float { count: 1.0, zero: 0.0, positive, negative: vec![] };
        }
        let filled = |histogram: &Histogram| {
            let mut filled = Vec::new();
            let mut keep = |index, count| {
                filled.extend((count != 0.0).then_some((index, count)));
                Ok(())
            };
            match &histogram.counts {
                BucketCounts::Integer { positive_deltas, .. } => {
                    let counts = counts_of(positive_deltas).map(|count| count.map(|count| count as f64));
                    each_bucket(&histogram.positive_spans, counts, &mut keep).unwrap();
                }
                BucketCounts::Float { positive, .. } => {
                    each_bucket(&histogram.positive_spans, positive.iter().map(|count| Ok(*count)), &mut keep).unwrap();
                }
            }
            filled
        };
        let compact = canonical(&histogram).unwrap();
        prop_assert_eq!(filled(&compact), filled(&histogram));
        prop_assert!(matches!(canonical(&compact), Ok(Cow::Borrowed(_))));
    }
}
