//! OTLP and a scrape into the `prometheus` exporter, and a real Prometheus that scrapes it.

use std::time::Duration;

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use world::child::{Signal, free_port};
use world::fleet::Fleet;
use world::peers::{self, Mode};

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing("a_prometheus_scrapes_what_came_by_otlp_in_every_format", &["prometheus"], || {
        block_on(scraped())
    }),
    Case::new("a_scraped_page_is_exposed_and_a_reload_keeps_the_port", || block_on(exposed())),
];

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

fn nanos(seconds_ago: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() - seconds_ago) * 1_000_000_000
}

/// A counter by deltas, and a histogram.
fn metrics(start: u64, end: u64) -> Vec<u8> {
    let point = NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: end,
        value: Some(number_data_point::Value::AsInt(20)),
        ..Default::default()
    };
    let sum = Sum {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Delta as i32,
        is_monotonic: true,
    };
    let point = HistogramDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: end,
        count: 4,
        sum: Some(3.5),
        bucket_counts: vec![1, 2, 1],
        explicit_bounds: vec![0.5, 1.0],
        ..Default::default()
    };
    let histogram = Histogram {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
    };
    let metric = |name: &str, unit: &str, data| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Default::default()
    };
    let metrics = vec![
        metric("orders", "", metric::Data::Sum(sum)),
        metric("order.duration", "s", metric::Data::Histogram(histogram)),
    ];
    let attributes = vec![
        attribute("service.name", "checkout"),
        attribute("service.instance.id", "pod-1"),
        attribute("k8s.pod.name", "checkout-0"),
    ];
    let resource = ResourceMetrics {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
        ..Default::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

fn prometheus_yaml(targets: [(&str, u16); 2]) -> String {
    let jobs = targets.map(|(by, port)| {
        format!(
            "
  - job_name: {by}
    scrape_interval: 1s
    honor_labels: true
    static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{by: '{by}'}}}}]"
        )
    });
    format!("scrape_configs:{}\n", jobs.concat())
}

async fn scraped() -> Result<()> {
    let (otlp, open_metrics, text) = (free_port()?, free_port()?, free_port()?);
    let mut collector = Collector::start(
        "exposing",
        &format!(
            "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters:
  prometheus/open_metrics: {{endpoint: '127.0.0.1:{open_metrics}', enable_open_metrics: true}}
  prometheus/text: {{endpoint: '127.0.0.1:{text}'}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheus/open_metrics, prometheus/text]}}}}
"
        ),
    )
    .await?;
    // Two deltas that follow each other.
    let times = [nanos(30), nanos(20), nanos(10)];
    for pair in times.windows(2) {
        let headers = [("content-type", "application/x-protobuf")];
        let url = format!("http://127.0.0.1:{otlp}/v1/metrics");
        let answer = world::http::post(&url, &headers, metrics(pair[0], pair[1])).await?;
        ensure!(answer.status == 200, "status {} {}", answer.status, answer.text());
    }
    // One asks for OpenMetrics first and gets what the exporter speaks, the other for protobuf.
    let yaml = prometheus_yaml([("open_metrics", open_metrics), ("text", text)]);
    for mode in [Mode::Server, Mode::NativeServer] {
        let prometheus = peers::prometheus(mode, &yaml).await?;
        for by in ["open_metrics", "text"] {
            sees_everything(&prometheus.url, by).await?;
        }
    }
    ensure!(
        collector.child.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    Ok(())
}

async fn sees_everything(prometheus: &str, by: &str) -> Result<()> {
    let by = format!("by='{by}',job='checkout',instance='pod-1'");
    for (query, expected) in [
        (format!("orders_total{{{by}}}"), 40.0),
        (format!("order_duration_seconds_bucket{{{by},le=~'1|1.0'}}"), 3.0),
        (format!("order_duration_seconds_bucket{{{by},le='+Inf'}}"), 4.0),
        (format!("order_duration_seconds_count{{{by}}}"), 4.0),
        (format!("order_duration_seconds_sum{{{by}}}"), 3.5),
        (format!("target_info{{{by},k8s_pod_name='checkout-0'}}"), 1.0),
    ] {
        eventually(&query, Duration::from_secs(20), || async {
            let found = peers::promql(prometheus, &query).await?;
            let values: Vec<f64> = found.iter().map(|element| element.value).collect();
            Ok(if values == [expected] { Ok(()) } else { Err(format!("{found:?}")) })
        })
        .await?;
    }
    Ok(())
}

fn exposing_yaml(fleet: &Fleet, port: u16, keys: &str) -> String {
    format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs:
        - {{job_name: even, scrape_interval: 300ms, scrape_timeout: 200ms, static_configs: [{{targets: ['{}']}}]}}
exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'{keys}}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheus]}}}}
",
        fleet.address(0)
    )
}

async fn shows(port: u16, parts: &[&str]) -> Result<()> {
    eventually("the page shows what was scraped", Duration::from_secs(20), || async {
        let page = match world::http::get(&format!("http://127.0.0.1:{port}/metrics")).await {
            Ok(answer) => answer.text(),
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        let missing: Vec<&&str> = parts.iter().filter(|part| !page.contains(**part)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} not in:\n{page}")) })
    })
    .await
}

async fn exposed() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let port = free_port()?;
    let mut collector = Collector::start("exposed", &exposing_yaml(&fleet, port, "")).await?;
    let up = format!("up{{instance=\"{}\",job=\"even\"}} 1\n", fleet.address(0));
    shows(port, &["# TYPE up gauge\n", &up, "scrape_samples_scraped{"]).await?;
    collector.rewrite(&exposing_yaml(&fleet, port, ", namespace: my"))?;
    collector.child.signal(Signal::HUP)?;
    shows(port, &["# TYPE my_up gauge\n", &format!("my_{up}")]).await?;
    ensure!(
        collector.child.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    Ok(())
}
