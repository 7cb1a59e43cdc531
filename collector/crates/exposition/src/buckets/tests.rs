//! Compaction and conversion of buckets.

use model::ResetHint;

use super::*;

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

#[test]
fn empty_buckets_are_left_out() {
    for (spans, counts, kept_spans, kept) in [
        (vec![span(-2, 3)], vec![1, 2, 3], vec![span(-2, 3)], vec![1, 2, 3]),
        (vec![span(0, 4)], vec![0, 1, 0, 0], vec![span(1, 1)], vec![1]),
        (vec![span(1, 3)], vec![1, 0, 1], vec![span(1, 1), span(1, 1)], vec![1, 1]),
        (vec![span(1, 1), span(0, 1)], vec![1, 1], vec![span(1, 2)], vec![1, 1]),
        (vec![span(1, 0), span(2, 1)], vec![1], vec![span(3, 1)], vec![1]),
        (vec![span(1, 1), span(2, 1), span(3, 1)], vec![1, 0, 1], vec![span(1, 1), span(6, 1)], vec![1, 1]),
        (vec![span(0, 2)], vec![0, 0], vec![], vec![]),
        (vec![], vec![], vec![], vec![]),
    ] {
        assert_eq!(compact(&spans, &counts, 0), Some((kept_spans, kept)), "{spans:?} {counts:?}");
    }
}

#[test]
fn short_gaps_stay_where_they_may() {
    let counts = [0, 1, 0, 0, 1, 0, 0, 0, 1, 0];
    let kept = (vec![span(1, 4), span(3, 1)], vec![1, 0, 0, 1, 1]);
    assert_eq!(compact(&[span(0, 10)], &counts, 2), Some(kept));
}

#[test]
fn an_offset_that_does_not_fit_is_no_offset() {
    assert_eq!(compact(&[span(i32::MAX, 1), span(i32::MAX, 1)], &[0, 1], 0), None);
    assert_eq!(compact(&[span(i32::MIN, 1)], &[1], 0), Some((vec![span(i32::MIN, 1)], vec![1])));
}

#[test]
fn differences_of_any_numbers_are_undone() {
    for numbers in [vec![], vec![5], vec![1, -7, i64::MAX, i64::MIN, 0]] {
        let mut turned = numbers.clone();
        to_deltas(&mut turned);
        from_deltas(&mut turned);
        assert_eq!(turned, numbers);
    }
}

fn classic(rows: &[(f64, f64)], count: Option<f64>) -> Classic {
    let mut classic = Classic::default();
    rows.iter().for_each(|(bound, count)| classic.set_bucket(*bound, *count));
    count.into_iter().for_each(|count| classic.set_count(count));
    classic.set_sum(1.5);
    classic
}

#[test]
fn whole_counts_become_deltas_of_custom_buckets() {
    let converted = classic(&[(0.5, 1.0), (1.0, 1.0), (f64::INFINITY, 4.0)], Some(4.0)).convert().unwrap();
    let counts =
        BucketCounts::Integer { count: 4, zero: 0, positive_deltas: vec![1, -1, 3], negative_deltas: vec![] };
    let expected = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        sum: 1.5,
        positive_spans: vec![span(0, 3)],
        counts,
        reset_hint: ResetHint::Unknown,
        custom_values: vec![0.5, 1.0],
        ..Histogram::default()
    };
    assert_eq!(converted, expected);
}

#[test]
fn one_fraction_makes_all_counts_floats_without_empty_buckets() {
    let converted = classic(&[(0.5, 1.5), (1.0, 1.5)], Some(4.0)).convert().unwrap();
    let counts = BucketCounts::Float { count: 4.0, zero: 0.0, positive: vec![1.5, 2.5], negative: vec![] };
    assert_eq!((converted.counts, converted.positive_spans), (counts, vec![span(0, 1), span(1, 1)]));
    let huge = classic(&[(0.5, 1e19)], None).convert().unwrap();
    assert!(matches!(huge.counts, BucketCounts::Float { .. }), "beyond 2^63");
}

#[test]
fn bounds_are_sorted_and_the_first_of_equal_ones_counts() {
    let rows = [(2.0, 3.0), (1.0, 1.0), (2.0, 9.0), (f64::NEG_INFINITY, 0.0)];
    let converted = classic(&rows, Some(3.0)).convert().unwrap();
    assert_eq!(converted.custom_values, [f64::NEG_INFINITY, 1.0, 2.0]);
}

#[test]
fn a_missing_count_is_that_of_the_last_bucket() {
    let converted = classic(&[(1.0, 2.0)], None).convert().unwrap();
    assert!(matches!(converted.counts, BucketCounts::Integer { count: 2, .. }));
    let empty = classic(&[], Some(0.0)).convert().unwrap();
    assert_eq!((empty.positive_spans, empty.custom_values), (vec![], vec![]));
}

#[test]
fn histograms_that_contradict_themselves_are_not_converted() {
    for (rows, count, reason) in [
        (&[(1.0, 2.0), (2.0, 1.0)][..], None, "the bucket up to 2 counts 1, less than one below (2)"),
        (&[(1.0, 2.0)], Some(1.0), "the bucket up to inf counts 1, less than one below (2)"),
        (
            &[(f64::INFINITY, 2.0)],
            Some(3.0),
            "the count 3 differs from the bucket up to +Inf, which counts 2",
        ),
        (&[(1.0, -1.0)], None, "the bucket up to 1 counts -1, less than nothing"),
        (&[(f64::NAN, 1.0)], None, "the bound of a bucket is NaN"),
        (&[], Some(-1.0), "the count is -1, less than nothing"),
        (&[(1.0, 1.0)], Some(f64::NAN), "the count NaN differs from the bucket up to +Inf, which counts NaN"),
        (&[], None, "it has neither a count nor buckets"),
    ] {
        assert_eq!(classic(rows, count).convert(), Err(reason.to_owned()), "{rows:?}");
    }
}

proptest::proptest! {
    #[test]
    fn compaction_keeps_every_filled_bucket_where_it_is(
        runs in proptest::collection::vec((0i32..5, proptest::collection::vec(0i64..3, 0..6)), 0..5),
        max_gap in 0i64..3,
    ) {
        let spans: Vec<Span> =
            runs.iter().map(|(offset, counts)| span(*offset, u32::try_from(counts.len()).unwrap())).collect();
        let counts: Vec<i64> = runs.iter().flat_map(|(_, counts)| counts.clone()).collect();
        let (kept_spans, kept) = compact(&spans, &counts, max_gap).unwrap();
        proptest::prop_assert_eq!(filled(&kept_spans, &kept), filled(&spans, &counts));
        proptest::prop_assert!(kept_spans.iter().skip(1).all(|span| i64::from(span.offset) > max_gap));
        let n_buckets: u32 = kept_spans.iter().map(|span| span.length).sum();
        proptest::prop_assert_eq!(n_buckets as usize, kept.len());
    }
}

/// Index and count of every bucket that is not empty.
fn filled(spans: &[Span], counts: &[i64]) -> Vec<(i64, i64)> {
    let mut index = 0;
    let mut counts = counts.iter();
    let mut filled = Vec::new();
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            filled.push((index, *count));
            index += 1;
        }
    }
    filled.retain(|(_, count)| *count != 0);
    filled
}
