//! Exponential histograms, explicit ones as native ones, and what they lose or keep.

use super::*;

fn native() -> ToSeries {
    let histograms = HistogramOptions { native: true, ..HistogramOptions::default() };
    ToSeries { histograms, ..ToSeries::default() }
}

fn buckets(offset: i32, counts: &[u64]) -> Option<pb::exponential_histogram_data_point::Buckets> {
    Some(pb::exponential_histogram_data_point::Buckets { offset, bucket_counts: counts.to_vec() })
}

fn exponential_point() -> pb::ExponentialHistogramDataPoint {
    pb::ExponentialHistogramDataPoint {
        attributes: texts(&[("path", "/")]),
        time_unix_nano: NANOS,
        count: 12,
        sum: Some(2.5),
        zero_count: 2,
        zero_threshold: 0.001,
        scale: 3,
        positive: buckets(-1, &[1, 2, 0, 3]),
        negative: buckets(4, &[4]),
        ..pb::ExponentialHistogramDataPoint::default()
    }
}

fn exponential(temporality: i32, data_points: Vec<pb::ExponentialHistogramDataPoint>) -> pb::Metric {
    let data = pb::ExponentialHistogram { data_points, aggregation_temporality: temporality };
    metric("latency", "s", pb::metric::Data::ExponentialHistogram(data))
}

fn printed(options: &ToSeries, metric: pb::Metric) -> (Vec<String>, Report) {
    from_otlp(options, &frames(&[], vec![metric]), &mut Scratch::default())
}

#[test]
fn an_exponential_histogram_is_a_native_one_whose_buckets_count_from_one_more() {
    let (lines, _) = printed(&native(), exponential(2, vec![exponential_point()]));
    let want = "latency_seconds{path=\"/\"} native(schema=3,sum=2.5,threshold=0.001,count=12,zero=2,pos=0:1:2:0:3,neg=5:4)";
    assert_eq!(lines, [want]);
}

#[test]
fn gaps_of_more_than_two_buckets_begin_a_span() {
    let point = |counts: &[u64]| pb::ExponentialHistogramDataPoint {
        positive: buckets(0, counts),
        negative: None,
        attributes: vec![],
        ..exponential_point()
    };
    for (counts, want) in [
        (&[1, 0, 0, 1][..], "pos=1:1:0:0:1"),
        (&[1, 0, 0, 0, 1], "pos=1:1;3:1"),
        (&[0, 0, 0, 0, 1, 0], "pos=5:1"),
        (&[0, 0], "zero=2)"),
    ] {
        let (lines, _) = printed(&native(), exponential(2, vec![point(counts)]));
        assert!(lines[0].contains(want), "{lines:?} {want}");
    }
}

#[test]
fn scales_finer_than_eight_are_merged_down() {
    let point = |scale, offset, counts: &[u64]| pb::ExponentialHistogramDataPoint {
        scale,
        positive: buckets(offset, counts),
        negative: None,
        attributes: vec![],
        ..exponential_point()
    };
    for (scale, offset, counts, want) in [
        (8, 0, &[1, 2, 3, 4][..], "pos=1:1:2:3:4"),
        (9, 0, &[1, 2, 3, 4], "pos=1:3:7"),
        (9, -1, &[1, 2, 3, 4], "pos=0:1:5:4"),
        (10, -3, &[1, 2, 3, 4, 5], "pos=0:6:9"),
        (20, 0, &[1, 2, 3, 4], "pos=1:10"),
        (i32::MAX, -2, &[1, 2, 3, 4], "pos=0:3:7"),
    ] {
        let (lines, report) = printed(&native(), exponential(2, vec![point(scale, offset, counts)]));
        assert!(lines[0].contains("schema=8,") && lines[0].contains(want), "{lines:?} {want}");
        assert_eq!(report.n_dropped(), 0);
    }
}

#[test]
fn scales_coarser_than_minus_four_are_dropped_and_counted() {
    let point = |scale| pb::ExponentialHistogramDataPoint { scale, ..exponential_point() };
    let (lines, report) = printed(&native(), exponential(2, vec![point(-4), point(-5), point(i32::MIN)]));
    assert_eq!(lines.len(), 1);
    assert_eq!(report.dropped, [Dropped { reason: Reason::Scale, metric: "latency".into(), n_points: 2 }]);
}

#[test]
fn a_missing_zero_threshold_is_tiny_and_a_missing_sum_zero() {
    let point = pb::ExponentialHistogramDataPoint { zero_threshold: 0.0, sum: None, ..exponential_point() };
    let (lines, _) = printed(&native(), exponential(2, vec![point]));
    let threshold = format!("sum=0,threshold={}", 1e-128);
    assert!(lines[0].contains(&threshold), "{lines:?}");
}

#[test]
fn a_stale_exponential_histogram_ends_its_series_with_a_plain_sample() {
    let point = pb::ExponentialHistogramDataPoint { flags: 1, ..exponential_point() };
    let (lines, _) = printed(&native(), exponential(2, vec![point]));
    assert_eq!(lines, ["latency_seconds{path=\"/\"} STALE"]);
}

#[test]
fn delta_histograms_of_every_kind_are_dropped_and_counted() {
    for metric in [exponential(1, vec![exponential_point()]), histogram(1, vec![histogram_point()])] {
        let (lines, report) = printed(&native(), metric);
        assert_eq!(lines, [] as [&str; 0]);
        assert_eq!((report.dropped[0].reason, report.n_dropped()), (Reason::Delta, 1));
    }
}

#[test]
fn an_exponential_histogram_keeps_its_exemplars() {
    let exemplars = vec![pb::Exemplar {
        value: Some(pb::exemplar::Value::AsDouble(0.5)),
        trace_id: vec![0xab; 16],
        time_unix_nano: NANOS,
        filtered_attributes: texts(&[("user.id", "u")]),
        ..pb::Exemplar::default()
    }];
    let point = pb::ExponentialHistogramDataPoint { exemplars, ..exponential_point() };
    let (lines, _) = printed(&native(), exponential(2, vec![point]));
    let want = " # {trace_id=\"abababababababababababababababab\", user_id=\"u\"} 0.5";
    assert!(lines[0].ends_with(want), "{lines:?}");
}

#[test]
fn whoever_takes_no_native_histograms_gets_none_and_is_told() {
    let (lines, report) = printed(&ToSeries::default(), exponential(2, vec![exponential_point()]));
    assert_eq!((lines.len(), report.dropped[0].reason), (0, Reason::ExponentialHistogram));
}

/// Options that make native histograms of explicit ones.
fn converting(keep_classic: bool) -> ToSeries {
    let histograms = HistogramOptions { native: true, explicit_to_custom: true, keep_classic };
    ToSeries { histograms, ..ToSeries::default() }
}

#[test]
fn explicit_histograms_become_native_ones_and_keep_their_classic_series_if_asked() {
    let point = || pb::HistogramDataPoint { exemplars: vec![], ..histogram_point() };
    let (lines, _) = printed(&converting(false), histogram(2, vec![point()]));
    let want = "latency_seconds{le=\"mine\", path=\"/\"} native(schema=-53,sum=2.5,count=6,pos=0:1:2:3,bounds=0.5:10)";
    assert_eq!(lines, [want]);
    let (both, _) = printed(&converting(true), histogram(2, vec![point()]));
    let (classic, _) = printed(&native(), histogram(2, vec![point()]));
    assert_eq!(both, [&lines[..], &classic[..]].concat());
}

#[test]
fn explicit_histograms_of_every_shape_become_native_ones() {
    let point = |count, bucket_counts: &[u64], bounds: &[f64]| pb::HistogramDataPoint {
        attributes: vec![],
        count,
        bucket_counts: bucket_counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        exemplars: vec![],
        ..histogram_point()
    };
    for (point, want) in [
        (point(5, &[], &[]), "count=5,pos=0:5)"),
        (point(0, &[], &[]), "count=0)"),
        (point(3, &[0, 0, 3], &[1.0, 2.0]), "count=3,pos=2:3,bounds=1:2)"),
        (point(2, &[1, 0, 0, 0, 1], &[1.0, 2.0, 3.0, 4.0]), "count=2,pos=0:1;3:1,bounds=1:2:3:4)"),
        (point(3, &[1, 2], &[1.0, 2.0]), "count=3,pos=0:1:2,bounds=1:2)"),
    ] {
        let (lines, _) = printed(&converting(false), histogram(2, vec![point]));
        assert!(lines[0].ends_with(want), "{lines:?} {want}");
    }
    for (counts, bounds) in
        [(&[1, 2, 3][..], &[1.0][..]), (&[1, 2], &[f64::INFINITY]), (&[1, 2, 0], &[2.0, 1.0])]
    {
        let (lines, report) = printed(&converting(false), histogram(2, vec![point(3, counts, bounds)]));
        assert_eq!((lines.len(), report.dropped[0].reason), (0, Reason::Bounds));
    }
}

#[test]
fn a_stale_explicit_histogram_ends_what_was_made_of_it() {
    let stale =
        pb::HistogramDataPoint { flags: 1, attributes: vec![], exemplars: vec![], ..histogram_point() };
    let (lines, _) = printed(&converting(false), histogram(2, vec![stale]));
    assert_eq!(lines, ["latency_seconds{} STALE"]);
}

#[test]
fn counts_that_no_delta_can_hold_are_malformed() {
    let point =
        pb::ExponentialHistogramDataPoint { positive: buckets(0, &[u64::MAX]), ..exponential_point() };
    let merged = pb::ExponentialHistogramDataPoint {
        scale: 9,
        positive: buckets(0, &[u64::MAX, u64::MAX]),
        ..exponential_point()
    };
    let far = pb::ExponentialHistogramDataPoint { positive: buckets(i32::MAX, &[1]), ..exponential_point() };
    let (lines, report) = printed(&native(), exponential(2, vec![point, merged, far]));
    assert_eq!((lines.len(), report.dropped[0].reason, report.n_dropped()), (0, Reason::Malformed, 3));
}

proptest::proptest! {
    #[test]
    fn merging_loses_no_observation_and_nothing_panics(
        scale in proptest::prop_oneof![-4i32..12, proptest::prelude::any::<i32>()],
        offset in proptest::prop_oneof![-40i32..40, proptest::prelude::any::<i32>()],
        counts in proptest::collection::vec(0u64..5, 0..40),
    ) {
        let point = pb::ExponentialHistogramDataPoint {
            scale,
            positive: buckets(offset, &counts),
            negative: None,
            ..exponential_point()
        };
        let mut n_observations = None;
        let frames = frames(&[], vec![exponential(2, vec![point])]);
        let report = native().otlp(&frames, &mut Scratch::default(), &mut |series| {
            let histogram = series.histogram.expect("the point has not ended");
            let model::BucketCounts::Integer { positive_deltas, .. } = &histogram.counts else { panic!() };
            let counts = crate::native::counts_of(positive_deltas).map(|count| count.unwrap());
            n_observations = Some(counts.sum::<u64>());
            let n_buckets: u32 = histogram.positive_spans.iter().map(|span| span.length).sum();
            assert_eq!(n_buckets as usize, positive_deltas.len());
            assert!(histogram.schema <= 8);
        });
        match n_observations {
            Some(n_observations) => proptest::prop_assert_eq!(n_observations, counts.iter().sum::<u64>()),
            // Too coarse, or the last index is none that Prometheus has.
            None => proptest::prop_assert!(report.n_dropped() == 1 && (scale < -4 || offset > i32::MAX - 41)),
        }
    }
}
