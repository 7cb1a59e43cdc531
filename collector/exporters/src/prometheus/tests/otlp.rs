//! Metrics that came by OTLP.

use bytes::Bytes;
use expect_test::expect;
use exposition::Format;
use model::{Batch, Frames, Signal};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar,
    exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use translate::{ScopeInfo, scrape_to_otlp};

use super::fixture::{exporter, parsed, put};
use super::{OPEN_METRICS, UTF8, check, page, round_trip};
use crate::prometheus::Prometheus;
use pipeline::{Bodies, Exporter};

const SECOND: u64 = 1_000_000_000;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let attribute = |(key, text): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: value(text),
        ..KeyValue::default()
    };
    pairs.iter().map(attribute).collect()
}

fn resource_of(metrics: Vec<Metric>) -> ResourceMetrics {
    let resource = Resource {
        attributes: attributes(&[
            ("service.name", "shop"),
            ("service.instance.id", "i-1"),
            ("k8s.pod.name", "shop-0"),
        ]),
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() };
    let scope = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
    ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() }
}

/// Hands metrics of one resource over. Gives the points that were taken as samples and those that were dropped.
fn push(exporter: &Prometheus, metrics: Vec<Metric>) -> usize {
    let bytes = Bytes::from(resource_of(metrics).encode_to_vec());
    let n_items = wire::otlp::count_items(Signal::Metrics, &bytes).unwrap();
    let frames = Frames { resources: vec![bytes], n_items };
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_frames(Signal::Metrics, frames), &mut bodies).unwrap();
    bodies.iter().map(|(_, body)| body.n_items).sum()
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.into(), unit: unit.into(), data: Some(data), ..Metric::default() }
}

fn point(start: u64, end: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start * SECOND,
        time_unix_nano: end * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn sum(temporality: i32, is_monotonic: bool, point: NumberDataPoint) -> Data {
    Data::Sum(Sum { data_points: vec![point], aggregation_temporality: temporality, is_monotonic })
}

fn histogram(temporality: i32, (start, end): (u64, u64), bounds: &[f64], counts: &[u64]) -> Data {
    let id = Exemplar {
        trace_id: vec![0xab; 16],
        time_unix_nano: end * SECOND,
        value: Some(exemplar::Value::AsDouble(0.5)),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        start_time_unix_nano: start * SECOND,
        time_unix_nano: end * SECOND,
        count: counts.iter().sum(),
        sum: Some(1.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        exemplars: vec![id],
        ..HistogramDataPoint::default()
    };
    Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: temporality })
}

fn some_metrics() -> Vec<Metric> {
    vec![
        metric("queue.length", "{items}", Data::Gauge(Gauge { data_points: vec![point(0, 100, 3.0)] })),
        metric("http.requests", "1", sum(CUMULATIVE, true, point(90, 100, 7.0))),
        metric("http.duration", "s", histogram(CUMULATIVE, (90, 100), &[1.0, 2.5], &[2, 0, 1])),
    ]
}

#[tokio::test]
async fn otlp_metrics_have_prometheus_names_scope_labels_and_a_target_info() {
    let exporter = exporter("enable_open_metrics: true");
    push(&exporter, some_metrics());
    check(&exporter, OPEN_METRICS, &expect![[r##"
        # TYPE http_duration_seconds histogram
        # UNIT http_duration_seconds seconds
        http_duration_seconds_bucket{instance="i-1",job="shop",le="1.0",otel_scope_name="lib",otel_scope_version="1"} 2 # {trace_id="abababababababababababababababab"} 0.5 100.000
        http_duration_seconds_bucket{instance="i-1",job="shop",le="2.5",otel_scope_name="lib",otel_scope_version="1"} 2
        http_duration_seconds_bucket{instance="i-1",job="shop",le="+Inf",otel_scope_name="lib",otel_scope_version="1"} 3
        http_duration_seconds_sum{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 1.5
        http_duration_seconds_count{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 3
        http_duration_seconds_created{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 90.000
        # TYPE http_requests counter
        http_requests_total{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 7.0
        http_requests_created{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 90.000
        # TYPE queue_length gauge
        queue_length{instance="i-1",job="shop",otel_scope_name="lib",otel_scope_version="1"} 3.0
        # HELP target_info Target metadata
        # TYPE target_info gauge
        target_info{instance="i-1",job="shop",k8s_pod_name="shop-0"} 1.0
        # EOF
    "##]]).await;
}

#[tokio::test]
async fn options_change_names_and_labels() {
    for (yaml, line) in [
        ("namespace: my", "my_http_requests_total{instance=\"i-1\",job=\"shop\",otel_scope_name=\"lib\","),
        ("without_scope_info: true", "http_requests_total{instance=\"i-1\",job=\"shop\"} 7\n"),
        ("add_metric_suffixes: false", "http_requests{instance="),
        ("const_labels: {cluster: home}", "http_requests_total{cluster=\"home\",instance="),
        (
            "resource_to_telemetry_conversion: {enabled: true}",
            "http_requests_total{instance=\"i-1\",job=\"shop\",k8s_pod_name=\"shop-0\",",
        ),
        ("translation_strategy: NoUTF8EscapingWithSuffixes", "{\"http.requests_total\",instance="),
        ("translation_strategy: NoTranslation", "{\"http.requests\",instance="),
        (
            "translation_strategy: UnderscoreEscapingWithoutSuffixes",
            "http_requests{instance=\"i-1\",job=\"shop\",otel_scope",
        ),
    ] {
        let exporter = exporter(yaml);
        push(&exporter, some_metrics());
        let page = page(&exporter, UTF8).await;
        assert!(page.contains(line), "{yaml}:\n{page}");
    }
}

#[tokio::test]
async fn readers_that_know_no_utf8_get_underscores_whatever_the_strategy() {
    let exporter = exporter("translation_strategy: NoTranslation");
    push(&exporter, some_metrics());
    let page = page(&exporter, "").await;
    assert!(page.contains("\nhttp_requests{instance="), "{page}");
    assert!(page.lines().all(|line| !line.starts_with('{')), "{page}");
}

/// The values of series whose name begins so, in order of the page.
async fn values(exporter: &Prometheus, name: &str) -> Vec<String> {
    let page = page(exporter, "").await;
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect()
}

#[tokio::test]
async fn a_point_without_a_value_removes_its_series() {
    let exporter = exporter("");
    push(&exporter, some_metrics());
    assert_eq!(values(&exporter, "http_").await.len(), 6);
    let mut ended = point(90, 101, 0.0);
    (ended.flags, ended.value) = (1, None);
    push(&exporter, vec![metric("http.requests", "1", sum(CUMULATIVE, true, ended))]);
    assert_eq!(values(&exporter, "http_requests").await.len(), 0);
    // Nobody has to repeat the buckets.
    let mut data = histogram(CUMULATIVE, (90, 101), &[], &[]);
    if let Data::Histogram(histogram) = &mut data {
        histogram.data_points[0].flags = 1;
    }
    push(&exporter, vec![metric("http.duration", "s", data)]);
    assert_eq!(values(&exporter, "http_").await.len(), 0);
}

#[tokio::test]
async fn deltas_of_a_sum_are_added_up_where_they_follow_each_other() {
    let exporter = exporter("");
    let steps = [
        ((100, 110), 5.0, "5", "the first"),
        ((110, 120), 2.0, "7", "begins where the last one ended"),
        ((110, 120), 2.0, "7", "sent twice"),
        ((115, 125), 9.0, "7", "overlaps"),
        ((130, 140), 3.0, "3", "after a gap it begins anew"),
        ((140, 150), 1.5, "4.5", "and goes on"),
        ((0, 160), 1.0, "1", "without a start it begins anew"),
    ];
    for ((start, end), value, shown, why) in steps {
        push(&exporter, vec![metric("jobs", "", sum(DELTA, true, point(start, end, value)))]);
        assert_eq!(values(&exporter, "jobs_total").await, [shown], "{why}");
    }
}

#[tokio::test]
async fn deltas_of_integers_stay_exact() {
    let exporter = exporter("");
    for (start, end) in [(100, 110), (110, 120)] {
        let mut half = point(start, end, 0.0);
        half.value = Some(number_data_point::Value::AsInt((1 << 52) + 1));
        push(&exporter, vec![metric("jobs", "", sum(DELTA, true, half))]);
    }
    let exact: f64 = values(&exporter, "jobs_total").await[0].parse().unwrap();
    assert_eq!(exact, ((1u64 << 53) + 2) as f64);
}

#[tokio::test]
async fn deltas_of_a_histogram_are_added_up_until_its_bounds_change() {
    let exporter = exporter("");
    let push = |times, bounds: &[f64], counts: &[u64]| {
        push(&exporter, vec![metric("took", "s", histogram(DELTA, times, bounds, counts))]);
    };
    push((100, 110), &[1.0, 2.0], &[1, 2, 3]);
    push((110, 120), &[1.0, 2.0], &[1, 0, 0]);
    assert_eq!(values(&exporter, "took_seconds").await, ["2", "4", "7", "3", "7"]);
    push((120, 130), &[5.0], &[1, 1]);
    assert_eq!(values(&exporter, "took_seconds").await, ["1", "2", "1.5", "2"]);
}

#[tokio::test]
async fn series_of_other_resources_attributes_and_kinds_are_added_up_apart() {
    let exporter = exporter("");
    let with = |pairs: &[(&str, &str)], times: (u64, u64)| {
        let mut point = point(times.0, times.1, 1.0);
        point.attributes = attributes(pairs);
        metric("jobs", "", sum(DELTA, true, point))
    };
    push(&exporter, vec![with(&[("a", "1"), ("b", "2")], (100, 110)), with(&[("a", "2")], (100, 110))]);
    // The order of attributes says nothing.
    push(&exporter, vec![with(&[("b", "2"), ("a", "1")], (110, 120))]);
    assert_eq!(values(&exporter, "jobs_total").await, ["2", "1"]);
    assert_eq!(super::locked(&exporter.deltas).len(), 2);
}

#[test]
fn delta_series_beyond_max_series_are_refused_by_the_name_of_the_limit() {
    let exporter = exporter("max_series: 1");
    let cumulate = |name: &str, times: (u64, u64)| {
        let data = sum(DELTA, true, point(times.0, times.1, 1.0));
        let bytes = resource_of(vec![metric(name, "", data)]).encode_to_vec();
        let mut unadded = super::Unadded::default();
        super::locked(&exporter.deltas).cumulate(&bytes.into(), super::Tick(0), &mut unadded).unwrap();
        (1 - unadded.n_refused, unadded.limit)
    };
    assert_eq!(cumulate("a", (1, 2)), (1, String::new()));
    assert_eq!(cumulate("b", (1, 2)), (0, "max_series: 1 of 1".to_owned()));
    assert_eq!(cumulate("a", (2, 3)), (1, String::new()));
    super::locked(&exporter.deltas).expire(super::Tick(3001));
    assert_eq!(cumulate("b", (3, 4)), (1, String::new()));
}

#[tokio::test]
async fn deltas_that_go_down_are_dropped() {
    let exporter = exporter("");
    assert_eq!(push(&exporter, vec![metric("jobs", "", sum(DELTA, false, point(1, 2, 3.0)))]), 1);
    assert_eq!(values(&exporter, "jobs").await.len(), 0);
}

#[test]
fn exponential_deltas_become_cumulative_before_they_are_translated() {
    let exporter = exporter("");
    let data = |times: (u64, u64), counts: &[u64]| {
        let point = ExponentialHistogramDataPoint {
            start_time_unix_nano: times.0 * SECOND,
            time_unix_nano: times.1 * SECOND,
            count: counts.iter().sum(),
            sum: Some(2.0),
            scale: 3,
            positive: Some(Buckets { offset: 4, bucket_counts: counts.to_vec() }),
            ..Default::default()
        };
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![point],
            aggregation_temporality: DELTA,
        })
    };
    let cumulate = |times, counts: &[u64]| {
        let bytes = resource_of(vec![metric("size", "By", data(times, counts))]).encode_to_vec();
        let mut deltas = super::locked(&exporter.deltas);
        let cumulated =
            deltas.cumulate(&bytes.into(), super::Tick(0), &mut super::Unadded::default()).unwrap();
        let resource = ResourceMetrics::decode(&cumulated[..]).unwrap();
        let Some(Data::ExponentialHistogram(histogram)) = &resource.scope_metrics[0].metrics[0].data else {
            panic!("{resource:?}")
        };
        assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
        let point = &histogram.data_points[0];
        let positive = point.positive.clone().unwrap();
        (point.start_time_unix_nano / SECOND, point.count, point.sum, positive.offset, positive.bucket_counts)
    };
    assert_eq!(cumulate((100, 110), &[1, 2]), (100, 3, Some(2.0), 4, vec![1, 2]));
    assert_eq!(cumulate((110, 120), &[0, 1, 1]), (100, 5, Some(4.0), 4, vec![1, 3, 1]));
}

#[tokio::test]
async fn a_scrape_gives_the_same_page_directly_and_through_otlp() {
    for (format, body) in
        [(Format::OpenMetrics, round_trip::OPEN_METRICS_BODY), (Format::Text, round_trip::TEXT_BODY)]
    {
        let scrape = parsed(body, format);
        let (direct, detour) = (exporter(""), exporter(""));
        put(&direct, &scrape);
        let frames = scrape_to_otlp(&scrape, &ScopeInfo::prometheus_receiver("0.0.0"));
        detour.encode(&Batch::from_frames(Signal::Metrics, frames), &mut Bodies::new(1)).unwrap();
        let samples = |page: String| -> Vec<String> {
            // OTLP has no gauge histograms: their series lose each other, or go.
            let is_compared = |line: &&str| !line.starts_with('#') && !line.starts_with("sizes_");
            page.lines().filter(is_compared).map(str::to_owned).collect()
        };
        assert_eq!(samples(page(&direct, UTF8).await), samples(page(&detour, UTF8).await));
    }
}
