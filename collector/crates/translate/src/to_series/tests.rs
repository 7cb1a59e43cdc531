//! OTLP as series here; what scrapes become is in [`identity`].

mod histograms;
mod identity;

use bytes::Bytes;
use expect_test::{Expect, expect};
use model::{Frames, Signal};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1 as pb;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::*;
use crate::fixture::{AT, from_otlp};
use crate::{Dropped, Reason};

const NANOS: u64 = AT.0 as u64 * 1_000_000;

fn string(text: &str) -> Value {
    Value::StringValue(text.into())
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| pair(key, string(value))).collect()
}

fn number(attributes: &[(&str, &str)], value: f64) -> pb::NumberDataPoint {
    pb::NumberDataPoint {
        attributes: texts(attributes),
        time_unix_nano: NANOS,
        value: Some(pb::number_data_point::Value::AsDouble(value)),
        ..pb::NumberDataPoint::default()
    }
}

fn metric(name: &str, unit: &str, data: pb::metric::Data) -> pb::Metric {
    pb::Metric {
        name: name.into(),
        unit: unit.into(),
        description: "Says it.".into(),
        data: Some(data),
        metadata: vec![],
    }
}

fn gauge(name: &str, unit: &str, data_points: Vec<pb::NumberDataPoint>) -> pb::Metric {
    metric(name, unit, pb::metric::Data::Gauge(pb::Gauge { data_points }))
}

fn sum(
    name: &str,
    temporality: i32,
    is_monotonic: bool,
    data_points: Vec<pb::NumberDataPoint>,
) -> pb::Metric {
    let data = pb::Sum { data_points, aggregation_temporality: temporality, is_monotonic };
    metric(name, "", pb::metric::Data::Sum(data))
}

const SERVICE: [(&str, &str); 3] =
    [("service.name", "cart"), ("service.namespace", "shop"), ("service.instance.id", "c-1")];

fn frames(resource: &[(&str, &str)], metrics: Vec<pb::Metric>) -> Frames {
    frames_in_scope(texts(resource), InstrumentationScope::default(), metrics)
}

fn frames_in_scope(
    attributes: Vec<KeyValue>,
    scope: InstrumentationScope,
    metrics: Vec<pb::Metric>,
) -> Frames {
    let resource = pb::ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![pb::ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
        schema_url: String::new(),
    };
    let bytes = Bytes::from(resource.encode_to_vec());
    Frames { n_items: wire::otlp::count_items(Signal::Metrics, &bytes).unwrap(), resources: vec![bytes] }
}

fn check(options: &ToSeries, frames: &Frames, want: &Expect) -> Report {
    // Once more with buffers that are warm.
    let mut scratch = Scratch::default();
    let cold = from_otlp(options, frames, &mut scratch);
    let (lines, report) = from_otlp(options, frames, &mut scratch);
    assert_eq!(cold, (lines.clone(), report.clone()));
    want.assert_eq(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    report
}

#[test]
fn names_get_suffixes_and_resources_become_job_and_instance() {
    let metrics = vec![
        gauge("queue.length", "{items}", vec![number(&[("queue.name", "a")], 3.0)]),
        sum("requests", 2, true, vec![number(&[("http.method", "GET"), ("code", "200")], 7.0)]),
        sum("active", 2, false, vec![number(&[], -1.0)]),
        gauge("load", "1", vec![number(&[], 0.5)]),
    ];
    check(
        &ToSeries::default(),
        &frames(&SERVICE, metrics),
        &expect![[r#"
            queue_length{instance="c-1", job="shop/cart", queue_name="a"} 3
            requests_total{code="200", http_method="GET", instance="c-1", job="shop/cart"} 7
            active{instance="c-1", job="shop/cart"} -1
            load_ratio{instance="c-1", job="shop/cart"} 0.5
        "#]],
    );
}

#[test]
fn other_attributes_of_the_resource_become_target_info_with_the_newest_time() {
    let resource = [&SERVICE[..], &[("host.name", "h"), ("empty", "")]].concat();
    let newer = pb::NumberDataPoint { time_unix_nano: NANOS + 2_000_000, ..number(&[], 2.0) };
    let frames = frames(&resource, vec![gauge("a", "", vec![number(&[], 1.0), newer])]);
    let with = check(
        &ToSeries::default(),
        &frames,
        &expect![[r#"
            a{instance="c-1", job="shop/cart"} 1
            a{instance="c-1", job="shop/cart"} 2 1700000000002
            target_info{host_name="h", instance="c-1", job="shop/cart"} 1 1700000000002
        "#]],
    );
    assert_eq!((with.n_samples, with.n_dropped()), (3, 0));
    check(
        &ToSeries { target_info: false, ..ToSeries::default() },
        &frames,
        &expect![[r#"
            a{instance="c-1", job="shop/cart"} 1
            a{instance="c-1", job="shop/cart"} 2 1700000000002
        "#]],
    );
}

#[test]
fn there_is_no_target_info_without_identity_or_without_anything_to_say() {
    let metrics = || vec![gauge("a", "", vec![number(&[], 1.0)])];
    check(
        &ToSeries::default(),
        &frames(&[("host.name", "h")], metrics()),
        &expect![[r#"
        a{} 1
    "#]],
    );
    check(
        &ToSeries::default(),
        &frames(&SERVICE[..1], metrics()),
        &expect![[r#"
        a{job="cart"} 1
    "#]],
    );
    let no_points = frames(&[("service.name", "a"), ("host.name", "h")], vec![]);
    check(&ToSeries::default(), &no_points, &expect![""]);
}

#[test]
fn target_info_ends_with_the_last_series() {
    let stale = pb::NumberDataPoint { flags: 1, value: None, ..number(&[], 0.0) };
    let frames = frames(&[("service.name", "a"), ("host.name", "h")], vec![gauge("a", "", vec![stale])]);
    check(
        &ToSeries::default(),
        &frames,
        &expect![[r#"
            a{job="a"} STALE
            target_info{host_name="h", job="a"} STALE
        "#]],
    );
}

#[test]
fn the_namespace_and_external_labels_go_everywhere() {
    let options = ToSeries {
        namespace: "my app".into(),
        external_labels: [("cluster", "c1"), ("code", "never"), ("job", "never")].into_iter().collect(),
        ..ToSeries::default()
    };
    let resource = [&SERVICE[..1], &[("host.name", "h")]].concat();
    let frames = frames(&resource, vec![sum("requests", 2, true, vec![number(&[("code", "200")], 1.0)])]);
    check(
        &options,
        &frames,
        &expect![[r#"
            my_app_requests_total{cluster="c1", code="200", job="cart"} 1
            my_app_target_info{cluster="c1", code="never", host_name="h", job="cart"} 1
        "#]],
    );
}

#[test]
fn attributes_of_the_resource_become_labels_where_that_is_asked_for() {
    let resource = [&SERVICE[..], &[("host.name", "h"), ("code", "r")]].concat();
    let frames =
        frames(&resource, vec![gauge("a", "", vec![number(&[("code", "p"), ("host_name", "x")], 1.0)])]);
    let all = ToSeries { resource_to_telemetry: true, target_info: false, ..ToSeries::default() };
    check(
        &all,
        &frames,
        &expect![[r#"
            a{code="r", host_name="h;x", instance="c-1", job="shop/cart", service_instance_id="c-1", service_name="cart", service_namespace="shop"} 1
        "#]],
    );
    check(
        &ToSeries { exclude_service_attributes: true, target_info: true, ..all },
        &frames,
        &expect![[r#"
            a{code="r", host_name="h;x", instance="c-1", job="shop/cart"} 1
            target_info{code="r", host_name="h", instance="c-1", job="shop/cart"} 1
        "#]],
    );
}

#[test]
fn an_attribute_of_the_resource_without_a_name_is_left_out() {
    let frames = frames(
        &[("service.name", "a"), ("!!", "x"), ("k", "v")],
        vec![gauge("a", "", vec![number(&[], 1.0)])],
    );
    check(
        &ToSeries { resource_to_telemetry: true, exclude_service_attributes: true, ..ToSeries::default() },
        &frames,
        &expect![[r#"
            a{job="a", k="v"} 1
            target_info{job="a", k="v"} 1
        "#]],
    );
}

#[test]
fn chosen_attributes_of_the_resource_become_labels() {
    let resource = [&SERVICE[..], &[("host.name", "h"), ("host.id", "i"), ("code", "r")]].concat();
    let frames = frames(&resource, vec![gauge("a", "", vec![number(&[("code", "p")], 1.0)])]);
    let patterns = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    let resource_labels = ResourceLabels { included: patterns(&["host.*"]), excluded: patterns(&["*.id"]) };
    check(
        &ToSeries { resource_labels, target_info: false, ..ToSeries::default() },
        &frames,
        &expect![[r#"
            a{code="p", host_name="h", instance="c-1", job="shop/cart"} 1
        "#]],
    );
}

#[test]
fn the_schema_of_a_scope_is_a_label_too() {
    let scope = pb::ScopeMetrics {
        scope: Some(InstrumentationScope { name: "lib".into(), ..InstrumentationScope::default() }),
        metrics: vec![gauge("a", "", vec![number(&[], 1.0)])],
        schema_url: "https://s".into(),
    };
    let resource = pb::ResourceMetrics { scope_metrics: vec![scope], ..pb::ResourceMetrics::default() };
    let frames = Frames { resources: vec![resource.encode_to_vec().into()], n_items: 1 };
    check(
        &ToSeries::default(),
        &frames,
        &expect![[r#"
            a{otel_scope_name="lib", otel_scope_schema_url="https://s"} 1
        "#]],
    );
}

#[test]
fn scopes_become_labels_unless_they_are_switched_off() {
    let scope = InstrumentationScope {
        name: "lib".into(),
        version: "1.2".into(),
        attributes: texts(&[("k.v", "x")]),
        dropped_attributes_count: 0,
    };
    let metrics = vec![gauge("a", "", vec![number(&[("otel_scope_name", "mine")], 1.0)])];
    let frames = frames_in_scope(texts(&SERVICE[..1]), scope, metrics);
    check(
        &ToSeries::default(),
        &frames,
        &expect![[r#"
            a{job="cart", otel_scope_k_v="x", otel_scope_name="lib", otel_scope_version="1.2"} 1
        "#]],
    );
    check(
        &ToSeries { scope_info: false, ..ToSeries::default() },
        &frames,
        &expect![[r#"
            a{job="cart", otel_scope_name="mine"} 1
        "#]],
    );
}

#[test]
fn names_are_translated_by_the_strategy() {
    let points = || vec![number(&[("http.method", "GET"), ("_x", "1")], 1.0)];
    let frames = frames(&SERVICE[..1], vec![gauge("cpu.time", "s", points())]);
    let of = |strategy| ToSeries { strategy, ..ToSeries::default() };
    check(
        &of(Strategy::UnderscoreEscapingWithSuffixes),
        &frames,
        &expect![[r#"
            cpu_time_seconds{http_method="GET", job="cart", key_x="1"} 1
        "#]],
    );
    check(
        &of(Strategy::UnderscoreEscapingWithoutSuffixes),
        &frames,
        &expect![[r#"
            cpu_time{http_method="GET", job="cart", key_x="1"} 1
        "#]],
    );
    check(
        &of(Strategy::NoUtf8EscapingWithSuffixes),
        &frames,
        &expect![[r#"
            cpu.time_seconds{_x="1", http.method="GET", job="cart"} 1
        "#]],
    );
    check(
        &of(Strategy::NoTranslation),
        &frames,
        &expect![[r#"
            cpu.time{_x="1", http.method="GET", job="cart"} 1
        "#]],
    );
}

#[test]
fn colliding_attributes_are_joined_in_order_of_key() {
    let points = vec![number(&[("a_b", "3"), ("a.b", "1"), ("a-b", "1"), ("a:b", "2"), ("job", "x")], 1.0)];
    check(
        &ToSeries::default(),
        &frames(&SERVICE[..1], vec![gauge("m", "", points)]),
        &expect![[r#"
            m{a_b="1;2;3", job="cart"} 1
        "#]],
    );
}

#[test]
fn values_of_every_kind_become_text_and_empty_ones_vanish() {
    let attributes = vec![
        pair("bool", Value::BoolValue(true)),
        pair("bytes", Value::BytesValue(b"hi".to_vec())),
        pair("double", Value::DoubleValue(2.5)),
        pair("empty", string("")),
        pair("int", Value::IntValue(-3)),
        KeyValue { key: "none".into(), value: None, key_strindex: 0 },
    ];
    let point = pb::NumberDataPoint {
        attributes,
        value: Some(pb::number_data_point::Value::AsInt(i64::MAX)),
        ..number(&[], 0.0)
    };
    check(
        &ToSeries::default(),
        &frames(&[], vec![gauge("m", "", vec![point])]),
        &expect![[r#"
            m{bool="true", bytes="aGk=", double="2.5", int="-3"} 9223372036854776000
        "#]],
    );
}

fn histogram_point() -> pb::HistogramDataPoint {
    pb::HistogramDataPoint {
        attributes: texts(&[("le", "mine"), ("path", "/")]),
        time_unix_nano: NANOS,
        count: 6,
        sum: Some(2.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 10.0],
        exemplars: [0.5, 0.7, 11.0]
            .into_iter()
            .map(|value| pb::Exemplar {
                value: Some(pb::exemplar::Value::AsDouble(value)),
                trace_id: vec![0xab; 16],
                time_unix_nano: NANOS,
                ..pb::Exemplar::default()
            })
            .collect(),
        ..pb::HistogramDataPoint::default()
    }
}

fn histogram(temporality: i32, data_points: Vec<pb::HistogramDataPoint>) -> pb::Metric {
    let data = pb::Histogram { data_points, aggregation_temporality: temporality };
    metric("latency", "s", pb::metric::Data::Histogram(data))
}

#[test]
fn histograms_become_cumulative_buckets_with_their_exemplars() {
    check(
        &ToSeries::default(),
        &frames(&[], vec![histogram(2, vec![histogram_point()])]),
        &expect![[r#"
            latency_seconds_sum{le="mine", path="/"} 2.5
            latency_seconds_count{le="mine", path="/"} 6
            latency_seconds_bucket{le="0.5", path="/"} 1 # {trace_id="abababababababababababababababab"} 0.5
            latency_seconds_bucket{le="10", path="/"} 3 # {trace_id="abababababababababababababababab"} 0.7
            latency_seconds_bucket{le="+Inf", path="/"} 6 # {trace_id="abababababababababababababababab"} 11
        "#]],
    );
}

#[test]
fn a_stale_histogram_ends_all_of_its_series() {
    let stale = pb::HistogramDataPoint { flags: 1, exemplars: vec![], ..histogram_point() };
    let no_sum =
        pb::HistogramDataPoint { sum: None, bucket_counts: vec![], attributes: vec![], ..stale.clone() };
    check(
        &ToSeries::default(),
        &frames(&[], vec![histogram(2, vec![stale, no_sum])]),
        &expect![[r#"
            latency_seconds_sum{le="mine", path="/"} STALE
            latency_seconds_count{le="mine", path="/"} STALE
            latency_seconds_bucket{le="0.5", path="/"} STALE
            latency_seconds_bucket{le="10", path="/"} STALE
            latency_seconds_bucket{le="+Inf", path="/"} STALE
            latency_seconds_count{} STALE
            latency_seconds_bucket{le="+Inf"} STALE
        "#]],
    );
}

#[test]
fn summaries_become_quantiles() {
    let quantile = |quantile, value| pb::summary_data_point::ValueAtQuantile { quantile, value };
    let point = pb::SummaryDataPoint {
        time_unix_nano: NANOS,
        count: 3,
        sum: 6.0,
        quantile_values: vec![quantile(0.5, 2.0), quantile(1.0, 3.0)],
        ..pb::SummaryDataPoint::default()
    };
    let data = pb::metric::Data::Summary(pb::Summary { data_points: vec![point] });
    check(
        &ToSeries::default(),
        &frames(&[], vec![metric("rpc", "ms", data)]),
        &expect![[r#"
            rpc_milliseconds_sum{} 6
            rpc_milliseconds_count{} 3
            rpc_milliseconds{quantile="0.5"} 2
            rpc_milliseconds{quantile="1"} 3
        "#]],
    );
}

#[test]
fn long_exemplars_keep_only_their_ids() {
    let exemplar = |value: &str| pb::Exemplar {
        filtered_attributes: texts(&[("user.id", value)]),
        value: Some(pb::exemplar::Value::AsInt(1)),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..pb::Exemplar::default()
    };
    let unset = pb::Exemplar { trace_id: vec![0; 16], span_id: vec![], value: None, ..exemplar("") };
    let exemplars = vec![exemplar("u"), exemplar(&"u".repeat(100)), unset];
    let point = pb::NumberDataPoint { exemplars, ..number(&[], 1.0) };
    check(
        &ToSeries::default(),
        &frames(&[], vec![sum("c", 2, true, vec![point])]),
        &expect![[r#"
            c_total{} 1 # {span_id="0202020202020202", trace_id="01010101010101010101010101010101", user_id="u"} 1 # {span_id="0202020202020202", trace_id="01010101010101010101010101010101"} 1
        "#]],
    );
}

#[test]
fn what_cannot_be_a_series_is_reported_by_reason() {
    let exponential = pb::ExponentialHistogram {
        data_points: vec![pb::ExponentialHistogramDataPoint::default(); 2],
        aggregation_temporality: 2,
    };
    let no_value = pb::NumberDataPoint { value: None, ..number(&[], 0.0) };
    let metrics = vec![
        metric("exp", "", pb::metric::Data::ExponentialHistogram(exponential.clone())),
        metric("exp2", "", pb::metric::Data::ExponentialHistogram(exponential)),
        sum("delta", 1, true, vec![number(&[], 1.0)]),
        histogram(1, vec![histogram_point()]),
        sum("unspecified", 0, false, vec![number(&[], 1.0)]),
        gauge("", "s", vec![number(&[], 1.0)]),
        gauge("!!", "", vec![number(&[], 1.0)]),
        gauge(
            "ok",
            "",
            vec![number(&[("!!", "x")], 1.0), no_value, number(&[("", "x")], 1.0), number(&[], 1.0)],
        ),
        gauge("empty", "", vec![]),
        pb::Metric { data: None, ..gauge("nothing", "", vec![]) },
    ];
    let report = check(
        &ToSeries::default(),
        &frames(&[], metrics),
        &expect![[r#"
            ok{} 1
        "#]],
    );
    let printed: String = report.dropped.iter().map(|dropped| format!("{dropped}\n")).collect();
    expect![[r#"
        4 points dropped, of `exp` first: exponential_histogram: needs native histograms
        2 points dropped, of `delta` first: delta: put `deltatocumulative` before this exporter
        1 points dropped, of `unspecified` first: unspecified_temporality: is neither cumulative nor delta
        2 points dropped, of `` first: nameless: no name is left without illegal characters
        2 points dropped, of `ok` first: nameless_label: a label has no name without illegal characters
        1 points dropped, of `ok` first: no_value: has neither a value nor the flag for none
    "#]]
    .assert_eq(&printed);
    assert_eq!(report.n_dropped(), 12);
}

#[test]
fn every_reason_begins_with_the_word_that_metrics_know_it_by() {
    for reason in [
        Reason::ExponentialHistogram,
        Reason::GaugeHistogram,
        Reason::FractionalHistogram,
        Reason::Scale,
        Reason::WideHistogram,
        Reason::Bounds,
        Reason::Delta,
        Reason::UnspecifiedTemporality,
        Reason::NoValue,
        Reason::Nameless,
        Reason::NamelessLabel,
        Reason::Malformed,
    ] {
        assert!(reason.to_string().starts_with(&format!("{}: ", reason.as_str())), "{reason}");
    }
}

#[test]
fn exemplars_of_exactly_128_characters_keep_their_attributes() {
    let exemplar = |n_value: usize| pb::Exemplar {
        filtered_attributes: texts(&[("k", &"\u{e4}".repeat(n_value))]),
        value: Some(pb::exemplar::Value::AsDouble(1.0)),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..pb::Exemplar::default()
    };
    // Names and hex digits of the two ids: 8 + 32 + 7 + 16; characters count, not bytes.
    let room = 128 - 63 - "k".len();
    for (n_value, keeps) in [(room, true), (room + 1, false)] {
        let point = pb::NumberDataPoint { exemplars: vec![exemplar(n_value)], ..number(&[], 1.0) };
        let frames = frames(&[], vec![sum("c", 2, true, vec![point])]);
        let (lines, _) = from_otlp(&ToSeries::default(), &frames, &mut Scratch::default());
        assert_eq!(lines[0].contains("k=\"\u{e4}"), keeps, "{lines:?}");
        assert!(lines[0].contains("span_id=") && lines[0].contains("trace_id="), "{lines:?}");
    }
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    let mut frames =
        frames(&[("service.name", "SERVICE")], vec![gauge("m", "", vec![number(&[("k", "VALUE")], 1.0)])]);
    let mut bytes = frames.resources[0].to_vec();
    for (text, broken) in [(&b"VALUE"[..], &b"\xffALUE"[..]), (b"SERVICE", b"SERVIC\xfe")] {
        let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
        bytes[at..at + text.len()].copy_from_slice(broken);
    }
    frames.resources[0] = bytes.into();
    let (lines, report) = from_otlp(&ToSeries::default(), &frames, &mut Scratch::default());
    assert_eq!(lines, ["m{job=\"SERVIC\u{fffd}\", k=\"\u{fffd}ALUE\"} 1"]);
    assert_eq!(report.n_repaired, 2);
}

#[test]
fn malformed_points_are_dropped_and_the_others_pass() {
    let good = frames(&[], vec![gauge("good", "", vec![number(&[], 1.0)])]);
    // A gauge whose only point ends in the middle of a tag.
    let bad = Bytes::from_static(&[0x12, 9, 0x12, 7, 0x0a, 1, b'b', 0x2a, 2, 0x0a, 0]);
    let mut broken = bad.to_vec();
    broken[8] = 3;
    broken[1] += 1;
    broken[3] += 1;
    broken[10] = 1;
    broken.push(0x80);
    let frames =
        Frames { resources: vec![broken.into(), good.resources[0].clone(), b"\xff"[..].into()], n_items: 3 };
    let report = check(
        &ToSeries::default(),
        &frames,
        &expect![[r#"
            good{} 1
        "#]],
    );
    assert_eq!(report.dropped, [Dropped { reason: Reason::Malformed, metric: "b".into(), n_points: 2 }]);
}

#[test]
fn families_are_described() {
    let metrics = vec![gauge("a.b", "By/s", vec![number(&[], 1.0)]), histogram(2, vec![histogram_point()])];
    let mut families = Vec::new();
    ToSeries::default().otlp(&frames(&[], metrics), &mut Scratch::default(), &mut |series| {
        let FamilyRef { name, kind, help, unit } = series.family;
        families.push(format!("{name} {kind} {help} {unit}"));
    });
    families.dedup();
    assert_eq!(
        families,
        [
            "a_b_bytes_per_second gauge Says it. bytes_per_second",
            "latency_seconds histogram Says it. seconds"
        ]
    );
}
