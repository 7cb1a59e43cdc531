//! The `otlp` receiver into `debug`, for all three signals, over HTTP and gRPC.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use world::child::free_port;

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("three_signals_over_http_are_printed_in_detail", || block_on(three_signals())),
    Case::new("what_is_wrong_with_a_request_is_answered_as_upstream_answers", || block_on(bad_requests())),
];

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
}

fn resource() -> Option<Resource> {
    let attribute =
        KeyValue { key: "service.name".to_owned(), value: text("checkout"), ..Default::default() };
    Some(Resource { attributes: vec![attribute], ..Default::default() })
}

fn metrics() -> Vec<u8> {
    metrics_at(1_709_164_800_000)
}

/// A gauge at this time in milliseconds.
pub(crate) fn metrics_at(millis: i64) -> Vec<u8> {
    let point = NumberDataPoint {
        time_unix_nano: millis.unsigned_abs() * 1_000_000,
        value: Some(number_data_point::Value::AsInt(42)),
        ..Default::default()
    };
    let metric = Metric {
        name: "queue.length".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Default::default()
    };
    let scope = ScopeMetrics { metrics: vec![metric], ..Default::default() };
    let resource = ResourceMetrics { resource: resource(), scope_metrics: vec![scope], ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

/// One record.
pub(crate) fn logs() -> Vec<u8> {
    let record = LogRecord { body: text("out of stock"), severity_number: 13, ..Default::default() };
    let scope = ScopeLogs { log_records: vec![record], ..Default::default() };
    let resource = ResourceLogs { resource: resource(), scope_logs: vec![scope], ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
}

fn traces() -> Vec<u8> {
    let span = Span {
        name: "GET /cart".to_owned(),
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        ..Default::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..Default::default() };
    let resource = ResourceSpans { resource: resource(), scope_spans: vec![scope], ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

fn yaml(port: u16) -> String {
    format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}', max_request_body_size: 1000}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
    traces: {{receivers: [otlp], exporters: [debug]}}
"
    )
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

async fn three_signals() -> Result<()> {
    let port = free_port()?;
    let mut collector = Collector::start("otlp", &yaml(port)).await?;
    for (signal, body) in [("metrics", metrics()), ("logs", logs()), ("traces", traces())] {
        let answer =
            world::http::post(&format!("http://127.0.0.1:{port}/v1/{signal}"), &[PROTOBUF], body).await?;
        ensure!(answer.status == 200, "{signal}: status {} {}", answer.status, answer.text());
        ensure!(answer.header("content-type") == Some("application/x-protobuf"), "{signal}: content type");
    }
    let wanted = [
        "Name: queue.length",
        "Value: 42",
        "Timestamp: 2024-02-29 00:00:00 +0000 UTC",
        "-> service.name: Str(checkout)",
        "Body: Str(out of stock)",
        "SeverityNumber: Warn(13)",
        "Name           : GET /cart",
        "Trace ID       : abababababababababababababababab",
    ];
    eventually("everything is printed", Duration::from_secs(10), || async {
        let log = collector.child.stderr();
        let missing: Vec<&str> = wanted.into_iter().filter(|part| !log.contains(part)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} not in:\n{log}")) })
    })
    .await?;
    ensure!(
        collector.child.terminate(Duration::from_secs(10)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    Ok(())
}

/// Path, headers and body of a request, and the status that answers it.
type BadRequest = (&'static str, &'static [(&'static str, &'static str)], Vec<u8>, u16);

async fn bad_requests() -> Result<()> {
    let port = free_port()?;
    let _collector = Collector::start("otlp", &yaml(port)).await?;
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let get = world::http::get(&url("/v1/logs")).await?;
    ensure!(
        (get.status, get.text().trim()) == (405, "405 method not allowed, supported: [POST]"),
        "{} {}",
        get.status,
        get.text()
    );
    let cases: [BadRequest; 6] = [
        ("/v1/logs", &[], logs(), 415),
        ("/v1/logs", &[("content-type", "text/html")], logs(), 415),
        ("/v1/logs", &[("content-type", "application/x-protobuf; charset=utf-8")], logs(), 200),
        ("/v1/logs", &[PROTOBUF], b"\x0a\xff\xff".to_vec(), 400),
        ("/v1/logs", &[PROTOBUF, ("content-encoding", "br")], logs(), 400),
        ("/v1/nonsense", &[PROTOBUF], logs(), 404),
    ];
    for (path, headers, body, status) in cases {
        let answer = world::http::post(&url(path), headers, body).await?;
        ensure!(answer.status == status, "{path} {headers:?}: {} {}", answer.status, answer.text());
    }
    let mut zipped = Vec::new();
    wire::compress::compress(wire::compress::Encoding::Gzip, &vec![0; 100_000], &mut zipped);
    for body in [vec![0; 5000], zipped] {
        let encoding = if body.len() == 5000 { "identity" } else { "gzip" };
        let answer =
            world::http::post(&url("/v1/logs"), &[PROTOBUF, ("content-encoding", encoding)], body).await?;
        ensure!(answer.status == 413, "{encoding}: {} {}", answer.status, answer.text());
    }
    let empty =
        world::http::post(&url("/v1/logs"), &[PROTOBUF], Vec::new()).await.context("an empty request")?;
    ensure!(empty.status == 200, "an empty request is fine: {}", empty.status);
    Ok(())
}
