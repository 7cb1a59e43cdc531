//! Classic and native histograms, and which of the two is shown.

use super::schema::Span;
use super::*;

const NATIVE: Options = Options {
    native_histograms: true,
    always_classic: false,
    convert_to_nhcb: false,
    start_timestamps: false,
    strictness: crate::Strictness::Scrape,
};

fn bucket(bound: f64, count: u64) -> Bucket {
    Bucket { upper_bound: Some(bound), cumulative_count: Some(count), ..Bucket::default() }
}

fn span(offset: i32, length: u32) -> Span {
    Span { offset: Some(offset), length: Some(length) }
}

fn classic() -> Histogram {
    Histogram {
        sample_count: Some(5),
        sample_sum: Some(2.5),
        bucket: vec![bucket(0.5, 1), bucket(2.0, 4)],
        ..Histogram::default()
    }
}

/// The classic histogram with a native form beside.
fn both() -> Histogram {
    Histogram {
        schema: Some(3),
        zero_threshold: Some(0.001),
        zero_count: Some(1),
        positive_span: vec![span(-1, 2), span(3, 1)],
        positive_delta: vec![2, -1, 0],
        ..classic()
    }
}

fn of(histogram: Histogram) -> Vec<u8> {
    of_kind(4, histogram)
}

fn of_kind(kind: i32, histogram: Histogram) -> Vec<u8> {
    body(&[family("h", kind, vec![Metric { histogram: Some(histogram), ..Metric::default() }])])
}

/// What is shown behind the metadata.
fn samples(body: &[u8], options: Options) -> String {
    let shown = shown_with(PROTOBUF, body, options);
    shown.split_once("histogram\n").unwrap_or_else(|| panic!("no histogram: {shown}")).1.to_owned()
}

/// What kinds of series are shown: `c`lassic, `n`ative, `x` converted.
fn forms(body: &[u8], options: Options) -> String {
    let is_converted = |line: &str| line.contains("schema: -53");
    let lines = samples(body, options);
    lines
        .lines()
        .filter_map(|line| match line {
            line if line.starts_with("h_count") => Some('c'),
            line if line.starts_with("h Histogram") => Some(if is_converted(line) { 'x' } else { 'n' }),
            _ => None,
        })
        .collect()
}

#[test]
fn classic_series_come_as_count_sum_and_buckets_with_the_infinite_one_added() {
    assert_eq!(
        samples(&of(classic()), NATIVE),
        "h_count 5\nh_sum 2.5\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2.0\"} 4\nh_bucket{le=\"+Inf\"} 5\n"
    );
}

#[test]
fn the_infinite_bucket_is_not_added_where_it_is_and_ends_the_buckets() {
    let mut histogram = classic();
    histogram.bucket[1] = bucket(f64::INFINITY, 5);
    histogram.bucket.push(bucket(7.0, 5));
    assert_eq!(
        samples(&of(histogram), NATIVE),
        "h_count 5\nh_sum 2.5\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 5\n"
    );
}

#[test]
fn float_counts_stand_in_for_whole_ones() {
    let mut histogram = classic();
    histogram.sample_count_float = Some(5.5);
    histogram.bucket[0].cumulative_count_float = Some(1.5);
    assert_eq!(
        samples(&of(histogram), NATIVE),
        "h_count 5.5\nh_sum 2.5\nh_bucket{le=\"0.5\"} 1.5\nh_bucket{le=\"2.0\"} 4\nh_bucket{le=\"+Inf\"} 5.5\n"
    );
}

#[test]
fn the_switches_choose_between_native_classic_and_converted() {
    let (classic, both) = (of(classic()), of(both()));
    let switches = |native_histograms, always_classic, convert_to_nhcb| Options {
        native_histograms,
        always_classic,
        convert_to_nhcb,
        ..Options::default()
    };
    for (native, always, convert, of_classic, of_both) in [
        (false, false, false, "c", "c"),
        (false, true, false, "c", "c"),
        (true, false, false, "c", "n"),
        (true, true, false, "c", "nc"),
        (false, false, true, "x", "x"),
        (false, true, true, "cx", "cx"),
        (true, false, true, "x", "n"),
        (true, true, true, "cx", "nc"),
    ] {
        let options = switches(native, always, convert);
        assert_eq!(
            (&*forms(&classic, options), &*forms(&both, options)),
            (of_classic, of_both),
            "{options:?}"
        );
    }
}

#[test]
fn classic_series_beside_native_ones_need_a_bucket() {
    let histogram = Histogram { bucket: vec![], ..both() };
    let options = Options { always_classic: true, ..NATIVE };
    assert_eq!(forms(&of(histogram), options), "n");
}

#[test]
fn a_span_a_zero_threshold_or_a_zero_count_make_a_histogram_native() {
    let empty = || Histogram { sample_count: Some(0), ..Histogram::default() };
    for (histogram, form) in [
        (empty(), "c"),
        (Histogram { schema: Some(3), ..empty() }, "c"),
        (Histogram { zero_count_float: Some(1.0), ..empty() }, "c"),
        (Histogram { positive_span: vec![span(0, 0)], ..empty() }, "n"),
        (Histogram { negative_span: vec![Span::default()], ..empty() }, "n"),
        (Histogram { zero_threshold: Some(1e-128), ..empty() }, "n"),
        (Histogram { zero_count: Some(1), ..empty() }, "n"),
    ] {
        assert_eq!(forms(&of(histogram.clone()), NATIVE), form, "{histogram:?}");
    }
}

#[test]
fn metrics_of_both_forms_may_stand_in_one_family() {
    let metric = |histogram| Metric { histogram: Some(histogram), ..Metric::default() };
    let body = body(&[family("h", 4, vec![metric(classic()), metric(both()), metric(classic())])]);
    assert_eq!(forms(&body, NATIVE), "cnc");
    assert_eq!(forms(&body, Options { convert_to_nhcb: true, ..NATIVE }), "xnx");
}

#[test]
fn whole_numbers_are_read_as_deltas_without_empty_buckets() {
    let histogram = Histogram {
        negative_span: vec![span(0, 4)],
        negative_delta: vec![1, -1, 0, 3],
        start_timestamp: time(3, 0),
        ..both()
    };
    expect![[r#"
        h Histogram { schema: 3, sum: 2.5, zero_threshold: 0.001, positive_spans: [Span { offset: -1, length: 2 }, Span { offset: 3, length: 1 }], negative_spans: [Span { offset: 0, length: 1 }, Span { offset: 2, length: 1 }], counts: Integer { count: 5, zero: 1, positive_deltas: [2, -1, 0], negative_deltas: [1, 2] }, reset_hint: Unknown, custom_values: [] } since 3000
    "#]]
    .assert_eq(&samples(&of(histogram), NATIVE));
}

#[test]
fn a_float_count_makes_a_float_histogram() {
    let histogram = Histogram {
        sample_count_float: Some(4.5),
        zero_count_float: Some(0.5),
        positive_delta: vec![],
        positive_count: vec![1.5, 0.0, 2.5],
        ..both()
    };
    expect![[r#"
        h Histogram { schema: 3, sum: 2.5, zero_threshold: 0.001, positive_spans: [Span { offset: -1, length: 1 }, Span { offset: 4, length: 1 }], negative_spans: [], counts: Float { count: 4.5, zero: 0.5, positive: [1.5, 2.5], negative: [] }, reset_hint: Gauge, custom_values: [] }
    "#]]
    .assert_eq(&samples(&of_kind(5, histogram), NATIVE));
}

#[test]
fn float_buckets_make_a_float_histogram_even_when_nothing_was_observed() {
    let histogram = Histogram {
        zero_threshold: Some(0.1),
        positive_span: vec![span(0, 1)],
        positive_count: vec![0.0],
        ..Histogram::default()
    };
    assert!(
        samples(&of(histogram), NATIVE)
            .contains("Float { count: 0.0, zero: 0.0, positive: [], negative: [] }")
    );
}

#[test]
fn spans_must_cover_the_buckets() {
    for (spans, deltas, message) in [
        (vec![span(0, 2)], vec![1], "the spans on the positive side need 2 buckets, there are 1"),
        (vec![span(0, 1)], vec![1, 1], "the spans on the positive side need 1 buckets, there are 2"),
        (
            vec![span(0, u32::MAX), span(0, u32::MAX)],
            vec![],
            "the spans on the positive side need 8589934590 buckets, there are 0",
        ),
        (
            vec![span(i32::MAX, 1), span(i32::MAX, 1), span(0, 1)],
            vec![0, 0, 1],
            "the spans on the positive side reach further than 2^31 buckets",
        ),
    ] {
        let histogram = Histogram { positive_span: spans, positive_delta: deltas, ..Histogram::default() };
        let shown = samples(&of(histogram), NATIVE);
        assert!(shown.ends_with(&format!("{message}\n")), "{shown}");
    }
    let negative = Histogram { negative_span: vec![span(0, 1)], ..Histogram::default() };
    assert!(samples(&of(negative), NATIVE).contains("the negative side need 1"));
}

#[test]
fn the_number_of_buckets_is_limited() {
    let length = (1 << 20) + 1;
    let histogram = Histogram {
        positive_span: vec![span(0, length)],
        positive_delta: vec![0; length as usize],
        ..Histogram::default()
    };
    let message = samples(&of(histogram), NATIVE);
    assert!(message.contains("max_buckets_per_histogram (1048576)"), "{message}");
}

#[test]
fn a_gauge_histogram_says_so_and_its_bounds_are_spelt_alike() {
    let shown = samples(&of_kind(5, both()), NATIVE);
    assert!(shown.contains("reset_hint: Gauge"), "{shown}");
    assert!(samples(&of_kind(5, classic()), NATIVE).contains("h_bucket{le=\"2.0\"} 4\n"));
    let converted = samples(&of_kind(5, classic()), Options { convert_to_nhcb: true, ..NATIVE });
    assert!(converted.contains("schema: -53") && converted.contains("reset_hint: Gauge"), "{converted}");
}

fn exemplar(id: &str, timestamp: Option<Time>) -> Exemplar {
    Exemplar { label: vec![label("id", id)], value: Some(1.0), timestamp }
}

#[test]
fn a_classic_bucket_has_its_exemplar_with_or_without_a_time() {
    let mut histogram = classic();
    histogram.bucket[0].exemplar = Some(exemplar("a", None));
    histogram.bucket[1].exemplar = Some(exemplar("b", time(1, 0)));
    let shown = samples(&of(histogram), Options::default());
    assert!(shown.contains("h_bucket{le=\"0.5\"} 1 # {{id=\"a\"}} 1\n"), "{shown}");
    assert!(shown.contains("h_bucket{le=\"2.0\"} 4 # {{id=\"b\"}} 1 @1000\n"), "{shown}");
}

#[test]
fn a_native_histogram_has_its_own_exemplars_or_those_of_its_buckets_if_they_have_times() {
    let mut histogram = both();
    histogram.bucket[0].exemplar = Some(exemplar("bucket", time(1, 0)));
    histogram.bucket[1].exemplar = Some(exemplar("timeless", None));
    let ids = |histogram: &Histogram| -> Vec<String> {
        let shown = samples(&of(histogram.clone()), NATIVE);
        shown.split("{id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&histogram), ["bucket"]);
    histogram.exemplars =
        vec![exemplar("own", time(0, 0)), exemplar("timeless", None), exemplar("more", time(2, 0))];
    assert_eq!(ids(&histogram), ["own", "more"]);
    histogram.exemplars = vec![exemplar("timeless", None)];
    assert_eq!(ids(&histogram), [""; 0]);
}

#[test]
fn a_classic_histogram_is_converted_with_its_exemplars_time_and_start() {
    let mut histogram = classic();
    histogram.bucket[0].exemplar = Some(exemplar("a", time(1, 0)));
    histogram.start_timestamp = time(5, 0);
    let metric = Metric { histogram: Some(histogram), timestamp_ms: Some(7), ..Metric::default() };
    let body = body(&[family("h", 4, vec![metric])]);
    expect![[r#"
        h Histogram { schema: -53, sum: 2.5, zero_threshold: 0.0, positive_spans: [Span { offset: 0, length: 3 }], negative_spans: [], counts: Integer { count: 5, zero: 0, positive_deltas: [1, 2, -2], negative_deltas: [] }, reset_hint: Unknown, custom_values: [0.5, 2.0] } @7 since 5000 # {{id="a"}} 1 @1000
    "#]]
    .assert_eq(&samples(&body, Options { convert_to_nhcb: true, ..NATIVE }));
}

#[test]
fn a_classic_histogram_that_cannot_be_converted_fails_the_body() {
    let mut histogram = classic();
    histogram.bucket[1] = bucket(2.0, 0);
    let shown = samples(&of(histogram), Options { convert_to_nhcb: true, ..NATIVE });
    assert!(
        shown.contains("histogram \"h\": the bucket up to 2 counts 0, less than one below (1)"),
        "{shown}"
    );
}
