//! Bodies made by `prost` from the published schema, and what is read in them.

mod damage;
mod histograms;
mod schema;

use expect_test::{Expect, expect};
use model::Timestamp;
use proptest::prelude::*;
use prost::Message as _;

use self::schema::{
    Bucket, Counter, Exemplar, Family, Gauge, Histogram, Label, Metric, Quantile, Summary, Time, Untyped,
    body,
};
use crate::parser::tests::{error, shown, shown_told, shown_with};
use crate::{Event, Format, Options, Parser, Place, float_label, print, series_labels};

const PROTOBUF: Format = Format::Protobuf;

fn label(name: &str, value: &str) -> Label {
    Label { name: Some(name.into()), value: Some(value.into()) }
}

fn time(seconds: i64, nanos: i32) -> Option<Time> {
    Some(Time { seconds: Some(seconds), nanos: Some(nanos) })
}

fn gauge(labels: Vec<Label>, value: f64) -> Metric {
    Metric { label: labels, gauge: Some(Gauge { value: Some(value) }), ..Metric::default() }
}

fn counter(value: f64) -> Metric {
    Metric { counter: Some(Counter { value: Some(value), ..Counter::default() }), ..Metric::default() }
}

fn family(name: &str, kind: i32, metric: Vec<Metric>) -> Family {
    Family { name: Some(name.into()), r#type: Some(kind), metric, ..Family::default() }
}

fn check(families: &[Family], expected: Expect) {
    expected.assert_eq(&shown(PROTOBUF, &body(families)));
}

/// The error of a body that has one.
fn refused(body: &[u8]) -> String {
    error(PROTOBUF, body).unwrap_or_else(|| panic!("nothing is wrong: {}", shown(PROTOBUF, body)))
}

#[test]
fn a_whole_exposition_is_read_in_order() {
    let mut up = family("up", 1, vec![gauge(vec![label("a", "1"), label("b", "x\"\n")], 1.0)]);
    up.help = Some("Is it up?\\".into());
    up.unit = Some("bool".into());
    up.metric[0].timestamp_ms = Some(-5);
    let mut total = family("c_total", 0, vec![counter(3.0)]);
    total.metric[0].counter.as_mut().unwrap().start_timestamp = time(1, 999_999_999);
    let untyped = Metric { untyped: Some(Untyped { value: Some(f64::NAN) }), ..Metric::default() };
    let untyped = family("\u{e9} ", 3, vec![untyped, Metric::default()]);
    check(
        &[up, total, untyped],
        expect![[r#"
            help up "Is it up?\\"
            unit up "bool"
            type up gauge
            up{a="1",b="x\"\n"} 1 @-5
            help c_total ""
            type c_total counter
            c_total 3 since 1999
            help é  ""
            type é  unknown
            {"é "} NaN
            {"é "} 0
        "#]],
    );
}

#[test]
fn families_without_metrics_are_passed_over_whatever_they_hold() {
    let mut bad = family("", 77, vec![]);
    bad.help = Some("x".into());
    let good = family("up", 1, vec![gauge(vec![], 1.0)]);
    let expected = "help up \"\"\ntype up gauge\nup 1\n";
    assert_eq!(shown(PROTOBUF, &body(&[bad.clone(), good, bad])), expected);
    assert_eq!(shown(PROTOBUF, b""), "");
    assert_eq!(shown(PROTOBUF, b"\0\0"), "");
}

#[test]
fn a_summary_is_count_sum_and_quantiles() {
    let quantile = |quantile, value| Quantile { quantile: Some(quantile), value: Some(value) };
    let summary = Summary {
        sample_count: Some(7),
        sample_sum: Some(0.5),
        quantile: vec![quantile(0.5, 1.0), quantile(1.0, f64::NAN)],
        start_timestamp: time(0, 0),
    };
    let empty = Summary { start_timestamp: time(2, 0), ..Summary::default() };
    let of = |summary| Metric { label: vec![label("a", "b")], summary: Some(summary), ..Metric::default() };
    check(
        &[family("s", 2, vec![of(summary), of(empty)])],
        expect![[r#"
            help s ""
            type s summary
            s_count{a="b"} 7
            s_sum{a="b"} 0.5
            s{a="b",quantile="0.5"} 1
            s{a="b",quantile="1.0"} NaN
            s_count{a="b"} 0 since 2000
            s_sum{a="b"} 0 since 2000
        "#]],
    );
}

#[test]
fn the_type_of_the_family_says_which_payload_counts() {
    let mut metric = counter(3.0);
    metric.gauge = Some(Gauge { value: Some(4.0) });
    for (kind, shown_value) in [(0, "3"), (1, "4"), (3, "0")] {
        let lines = shown(PROTOBUF, &body(&[family("x", kind, vec![metric.clone()])]));
        assert!(lines.ends_with(&format!("\nx {shown_value}\n")), "{lines}");
    }
    let missing = Family { r#type: None, ..family("x", 1, vec![counter(3.0)]) };
    assert!(shown(PROTOBUF, &body(&[missing])).contains("type x counter\nx 3\n"), "counter is the default");
}

#[test]
fn a_timestamp_of_zero_is_none() {
    let mut metric = counter(1.0);
    metric.timestamp_ms = Some(0);
    let body = body(&[family("x", 0, vec![metric])]);
    assert!(shown(PROTOBUF, &body).ends_with("\nx 1\n"));
}

#[test]
fn a_counter_has_one_exemplar() {
    let exemplar = Exemplar {
        label: vec![label("trace_id", "7f\n"), label("b", "")],
        value: Some(0.25),
        timestamp: time(-1, -1_000_000),
    };
    let mut metric = counter(1.0);
    metric.counter.as_mut().unwrap().exemplar = Some(exemplar);
    let shown = shown(PROTOBUF, &body(&[family("x", 0, vec![metric])]));
    assert!(shown.ends_with("x 1 # {{trace_id=\"7f\\n\"}} 0.25 @-1001\n"), "{shown}");
}

#[test]
fn names_and_texts_are_utf8() {
    let good = body(&[family("abcd", 1, vec![gauge(vec![label("efgh", "ijkl")], 1.0)])]);
    for (from, message) in [
        ("abcd", "byte 1: invalid metric name \"\\xffbcd\""),
        ("efgh", "byte 11: the label name \"\\xfffgh\" is not valid UTF-8"),
        ("ijkl", "byte 11: a label value is not valid UTF-8"),
    ] {
        let mut broken = good.clone();
        let at = broken.windows(4).position(|window| window == from.as_bytes()).unwrap();
        broken[at] = 0xff;
        assert_eq!(refused(&broken), message);
    }
    let mut bad_help = family("abcd", 1, vec![gauge(vec![], 1.0)]);
    bad_help.help = Some("wxyz".into());
    let mut broken = body(&[bad_help]);
    let at = broken.windows(4).position(|window| window == b"wxyz").unwrap();
    broken[at] = 0xff;
    assert_eq!(refused(&broken), "byte 1: the help of metric \"abcd\" is not valid UTF-8");
}

#[test]
fn names_are_not_empty() {
    assert_eq!(
        refused(&body(&[family("", 1, vec![gauge(vec![], 1.0)])])),
        "byte 1: invalid metric name \"\""
    );
    let nameless = family("x", 1, vec![gauge(vec![label("", "a")], 1.0)]);
    assert!(refused(&body(&[nameless])).ends_with("a label name is empty"));
}

#[test]
fn a_label_name_must_be_unique_and_a_bound_is_a_label() {
    for (metric, name) in [
        (gauge(vec![label("a", "1"), label("a", "2")], 1.0), "a"),
        (gauge(vec![label("__name__", "y")], 1.0), "__name__"),
    ] {
        let shown = shown(PROTOBUF, &body(&[family("x", 1, vec![metric])]));
        assert!(shown.ends_with(&format!("label name {name:?} is not unique\n")), "{shown}");
    }
    let histogram = Histogram { bucket: vec![Bucket::default()], ..Histogram::default() };
    let metric = Metric { label: vec![label("le", "1")], histogram: Some(histogram), ..Metric::default() };
    let shown = shown(PROTOBUF, &body(&[family("x", 4, vec![metric])]));
    assert!(
        shown.contains("x_count{le=\"1\"} 0\n") && shown.contains("label name \"le\" is not unique\n"),
        "{shown}"
    );
}

#[test]
fn unknown_types_are_refused_and_unknown_fields_are_not() {
    let broken = body(&[family("x", 6, vec![counter(1.0)])]);
    assert_eq!(refused(&broken), "byte 1: unknown metric type 6 of metric \"x\"");
    let mut message = family("x", 0, vec![counter(1.0)]).encode_to_vec();
    // Field 15 as a varint, as bytes and as a group that holds a field.
    message.extend([0x78, 1, 0x7a, 1, 0, 0x7b, 0x08, 1, 0x7c]);
    let mut delimited = vec![u8::try_from(message.len()).unwrap()];
    delimited.extend(message);
    assert!(shown(PROTOBUF, &delimited).ends_with("type x counter\nx 1\n"));
}

#[test]
fn native_parts_are_looked_at_only_when_asked_for() {
    let options = Options { native_histograms: true, ..Options::default() };
    let histogram = Histogram { zero_count: Some(1), sample_count: Some(1), ..Histogram::default() };
    let metric = Metric { histogram: Some(histogram), ..Metric::default() };
    let body = body(&[family("x", 4, vec![metric])]);
    assert!(shown(PROTOBUF, &body).ends_with("x_count 1\nx_sum 0\nx_bucket{le=\"+Inf\"} 1\n"));
    assert!(shown_with(PROTOBUF, &body, options).contains("x Histogram { schema: 0"));
}

#[test]
fn the_place_is_where_the_message_begins() {
    let body = body(&[family("x", 0, vec![counter(1.0), counter(2.0)])]);
    let mut parser = Parser::new(PROTOBUF, &body);
    let mut places = Vec::new();
    while parser.next(b"").is_some() {
        places.push(parser.place());
    }
    // Length, name and type are six bytes; a metric is eleven and its tag and length are two.
    assert_eq!(places, [1, 1, 8, 21].map(Place::Byte));
}

#[test]
fn a_series_is_predicted_by_its_bytes() {
    let families = |value| {
        let labels = vec![label("a", "1"), label("b", "2")];
        let buckets = vec![Bucket { upper_bound: Some(1.0), ..Bucket::default() }];
        let histogram = Histogram { bucket: buckets, sample_count: Some(value), ..Histogram::default() };
        let metric = Metric { label: labels.clone(), histogram: Some(histogram), ..Metric::default() };
        body(&[family("h", 4, vec![metric]), family("g", 1, vec![gauge(labels, 1.0), gauge(vec![], 2.0)])])
    };
    let keys = keys(&families(1));
    let next = families(1000);
    let mut parser = Parser::new(PROTOBUF, &next);
    let mut hits = Vec::new();
    for key in &keys {
        if let Event::Sample(sample) = parser.next(&**key).unwrap().unwrap() {
            assert_eq!(sample.series, key);
            hits.push(sample.predicted);
        }
    }
    assert_eq!(hits, [true; 6]);
}

/// Keys of all events, empty for those that have none.
fn keys(body: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = Parser::new(PROTOBUF, body);
    let mut keys = Vec::new();
    while let Some(Ok(event)) = parser.next(b"") {
        keys.push(if let Event::Sample(sample) = event { sample.series.to_vec() } else { Vec::new() });
    }
    keys
}

#[test]
fn bounds_that_are_written_alike_make_one_key() {
    let buckets = [0.0, -0.0].map(|bound| Bucket { upper_bound: Some(bound), ..Bucket::default() });
    let histogram = Histogram { bucket: buckets.to_vec(), ..Histogram::default() };
    let metric = Metric { histogram: Some(histogram), ..Metric::default() };
    let keys = keys(&body(&[family("h", 4, vec![metric])]));
    assert_eq!(keys[4], keys[5]);
}

#[test]
fn what_is_no_key_is_refused() {
    for key in [&b""[..], b"x", &[0; 12], &[9; 40], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, b'x']] {
        let error = series_labels(PROTOBUF, key, model::Kind::Gauge, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "these bytes are not the series of a protobuf body", "{key:?}");
    }
}

#[test]
fn the_number_of_labels_is_limited() {
    let labels = |n: usize| (0..n).map(|index| label(&format!("l{index}"), "")).collect();
    let of = |n| body(&[family("x", 1, vec![gauge(labels(n), 1.0)])]);
    assert_eq!(error(PROTOBUF, &of(crate::MAX_LABELS_PER_SERIES - 2)), None);
    let message = refused(&of(crate::MAX_LABELS_PER_SERIES - 1));
    assert!(message.contains("max_labels_per_series (32768)"), "{message}");
}

proptest! {
    /// Identity does not depend on the format: text and protobuf give equal labels and values.
    #[test]
    fn a_series_has_the_same_labels_in_text(
        labels in proptest::collection::btree_map("[a-d]{1,3}", "[a-z\\\\\"\n\u{e9}]{1,4}", 0..4),
        bounds in proptest::collection::vec(proptest::num::f64::NORMAL, 0..4),
        value in proptest::num::f64::ANY,
        at in proptest::option::of(1i64..1 << 50),
    ) {
        let pairs = labels.iter().map(|(name, value)| label(name, value)).collect();
        let buckets = bounds.iter().map(|bound| Bucket { upper_bound: Some(*bound), cumulative_count: Some(2), ..Bucket::default() });
        let histogram = Histogram { bucket: buckets.collect(), sample_sum: Some(value), sample_count: Some(9), ..Histogram::default() };
        let metric = Metric { label: pairs, histogram: Some(histogram), timestamp_ms: at, ..Metric::default() };
        let body = body(&[family("x", 4, vec![metric])]);
        let mut text = "# HELP x \n# TYPE x histogram\n".to_owned();
        let rows = [("x_count", None, 9.0), ("x_sum", None, value)].into_iter()
            .chain(bounds.iter().map(|bound| ("x_bucket", Some(*bound), 2.0)))
            .chain([("x_bucket", Some(f64::INFINITY), 9.0)]);
        for (name, bound, value) in rows {
            let le = bound.map(float_label);
            let own = labels.iter().map(|(name, value)| (&**name, &**value));
            let le = le.iter().map(|le| ("le", &**le));
            print::sample(&mut text, [("__name__", name)].into_iter().chain(own).chain(le), value, at.map(Timestamp));
        }
        prop_assert_eq!(shown(PROTOBUF, &body), shown(Format::Text, text.as_bytes()));
    }

    #[test]
    fn a_prediction_changes_nothing(names in proptest::collection::vec("[ab]", 1..6), shift in 0usize..3) {
        let metrics = names.iter().map(|name| gauge(vec![label("l", name)], 1.0)).collect();
        let body = body(&[family("x", 1, metrics)]);
        let keys = keys(&body);
        let told = shown_told(PROTOBUF, &body, Options::default(), |n| keys.get(n + shift).cloned().unwrap_or_default());
        prop_assert_eq!(told, shown(PROTOBUF, &body));
    }
}
