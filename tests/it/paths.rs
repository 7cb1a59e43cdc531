//! The way of a scrape to remote write, with and without OTLP in between; native histograms from OTLP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
    exponential_histogram_data_point::Buckets, metric::Data,
};
use prost::Message as _;
use wire::compress::{Encoding, Limit, decompress};
use wire::remote_write::v1::{MetricMetadata, TimeSeries, WriteRequest, decode};
use wire::remote_write::v2;
use world::child::free_port;
use world::http::{self, Server, read_body, reply};

use crate::Case;
use crate::programs::{self, Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("a_page_gives_the_same_remote_write_1_body_with_and_without_otlp_in_between", || {
        block_on(both_ways("prometheus.WriteRequest", "external_labels: {cluster: home}"))
    }),
    Case::new("a_page_gives_the_same_remote_write_2_body_with_and_without_otlp_in_between", || {
        block_on(both_ways("io.prometheus.write.v2.Request", "external_labels: {cluster: home}"))
    }),
    Case::new("a_page_gives_the_same_series_by_the_symbols_of_its_table_as_by_otlp", || {
        block_on(both_ways("io.prometheus.write.v2.Request", "external_labels: {}"))
    }),
    Case::new("the_gate_of_the_direct_path_is_described", gate_is_described),
    Case::new("an_exponential_histogram_from_otlp_arrives_as_a_native_one", || block_on(exponential())),
];

/// Names that builders of names would change, histograms, summaries, exemplars, units, other jobs.
const PAGE: &str = r#"# TYPE http_requests counter
# HELP http_requests Requests, by code.
http_requests_total{code="200",path="/a b"} 1027 # {trace_id="0af7651916cd43dd8448eb211c80319c",user="u"} 0.5
http_requests_created{code="200",path="/a b"} 1.6e9
# TYPE memory_bytes gauge
# UNIT memory_bytes bytes
# HELP memory_bytes Memory, with a unit.
memory_bytes 5e9
# TYPE hits_ratio gauge
# UNIT hits_ratio ratio
hits_ratio 0.25
# TYPE job:latency:p99 gauge
job:latency:p99{le="0.5"} NaN
# TYPE double__under_score_ gauge
double__under_score_{a__b="1",_c="2"} -1
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="0.005"} 1 # {span_id="b7ad6b7169203331"} 0.004 1600000000
latency_seconds_bucket{le="1000000.0"} 3
latency_seconds_bucket{le="+Inf"} 4
latency_seconds_sum 17.5
latency_seconds_count 4
# TYPE rpc summary
rpc{quantile="0.5"} 0.1
rpc_sum 12
rpc_count 40
# TYPE build info
build_info{version="1.2"} 1
# TYPE state stateset
state{state="on"} 1
state{state="off"} 0
# TYPE scoped unknown
scoped{otel_scope_name="lib",otel_scope_version="2",job="elsewhere",instance="x:1"} 7
# TYPE target info
target_info{env="prod"} 1
# EOF
"#;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A receiver of remote write that keeps requests.
struct Sink {
    server: Server,
    requests: Arc<Mutex<Vec<WriteRequest>>>,
}

impl Sink {
    async fn start() -> Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let server = Server::start(move |request: http::Request| {
            let kept = Arc::clone(&kept);
            async move {
                let is_v2 = request.headers()["content-type"] == v2::CONTENT_TYPE;
                let Ok(body) = read_body(request).await else { return Ok(reply(400, "text/plain", "")) };
                let Some(request) = read(&body, is_v2) else {
                    return Ok(reply(400, "text/plain", "unreadable"));
                };
                kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(request);
                let mut answer = reply(204, "text/plain", "");
                let written = "x-prometheus-remote-write-samples-written";
                answer.headers_mut().insert(written, u32::MAX.into());
                Ok(answer)
            }
        })
        .await?;
        Ok(Self { server, requests })
    }

    fn url(&self) -> String {
        self.server.url("/write")
    }

    /// The first request, as soon as there is one.
    async fn first(&self) -> Result<WriteRequest> {
        eventually("a request arrives", Duration::from_secs(20), || async {
            let requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(requests.first().cloned().ok_or_else(|| "none".to_owned()))
        })
        .await
    }
}

/// A request of either protocol, in 1.0.
fn read(body: &[u8], is_v2: bool) -> Option<WriteRequest> {
    let (mut plain, mut as_v1) = (Vec::new(), Vec::new());
    decompress(Encoding::Snappy, body, Limit::bytes(16 << 20), &mut plain).ok()?;
    if !is_v2 {
        return decode(&plain).ok();
    }
    v2::to_v1(&plain, v2::ToV1 { metadata: true, escape_names: false }, &mut as_v1).ok()?;
    decode(&as_v1).ok()
}

/// Values of these say something of the scrape, not of the page.
const OF_THE_SCRAPE: [&str; 1] = ["scrape_duration_seconds"];

/// Everything a body holds of one scrape: series with the times set to zero that are not of the page, and metadata.
type Content = (BTreeMap<Vec<u8>, usize>, Vec<MetricMetadata>);

fn content(request: &WriteRequest) -> Content {
    let first =
        request.timeseries.iter().flat_map(|series| &series.samples).map(|sample| sample.timestamp).min();
    let mut all = BTreeMap::new();
    for series in &request.timeseries {
        let mut series: TimeSeries = series.clone();
        let is_first = series.samples.iter().all(|sample| Some(sample.timestamp) == first);
        if !is_first {
            continue;
        }
        for exemplar in &mut series.exemplars {
            let is_of_scrape = Some(exemplar.timestamp) == first;
            exemplar.timestamp = if is_of_scrape { 0 } else { exemplar.timestamp };
        }
        let is_of_scrape = OF_THE_SCRAPE.contains(&series.label("__name__"));
        for sample in &mut series.samples {
            sample.timestamp = 0;
            sample.value = if is_of_scrape { 0.0 } else { sample.value };
        }
        *all.entry(series.encode_to_vec()).or_default() += 1;
    }
    let mut metadata = request.metadata.clone();
    metadata.sort_by(|a, b| a.metric_family_name.cmp(&b.metric_family_name));
    metadata.dedup();
    (all, metadata)
}

async fn both_ways(message: &str, exporter: &str) -> Result<()> {
    let page = Server::start(|_: http::Request| async { Ok(reply(200, OPENMETRICS, PAGE)) }).await?;
    let job = Job { message, exporter, ..Job::default() };
    let direct = content(&scraped(&page, &job).await?);
    let args = &["--feature-gates=-muster.directPath"];
    let through = content(&scraped(&page, &Job { args, ..job }).await?);
    let n_samples = PAGE.lines().filter(|line| !line.starts_with('#')).count();
    ensure!(direct.0.len() > n_samples, "{} series of {n_samples} samples", direct.0.len());
    ensure!(
        direct.1.iter().any(|metadata| metadata.metric_family_name.starts_with("http_requests")),
        "no metadata"
    );
    for (name, one, other) in [("directly", &direct, &through), ("through OTLP", &through, &direct)] {
        let alone = one.0.keys().filter(|series| !other.0.contains_key(*series));
        let alone: Vec<_> = alone.map(|series| TimeSeries::decode(&series[..])).collect();
        ensure!(alone.is_empty(), "only {name}: {alone:#?}");
    }
    ensure!(direct == through, "metadata or counts differ:\n{:#?}\n{:#?}", direct.1, through.1);
    Ok(())
}

fn gate_is_described() -> Result<()> {
    let text = programs::output(&programs::muster(), &["featuregate", "muster.directPath"])?;
    ensure!(text.starts_with("muster.directPath\tenabled=true\t") && text.contains("OTLP"), "{text}");
    Ok(())
}

/// How a page is scraped and written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Job<'a> {
    /// Of the exporter: which message it sends.
    pub(crate) message: &'a str,
    /// Another key of the scrape job.
    pub(crate) keys: &'a str,
    /// Another key of the exporter.
    pub(crate) exporter: &'a str,
    /// Of the program.
    pub(crate) args: &'a [&'a str],
}

/// The first request that a collector makes of the page.
pub(crate) async fn scraped(page: &Server, job: &Job<'_>) -> Result<WriteRequest> {
    let Job { message, keys, exporter, args } = *job;
    let sink = Sink::start().await?;
    let yaml = format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: page
          scrape_interval: 1s
          honor_labels: true
          {keys}
          static_configs: [{{targets: ['{page}']}}]
exporters:
  prometheusremotewrite:
    endpoint: {sink}
    send_metadata: true
    protobuf_message: {message}
    {exporter}
    remote_write_queue: {{num_consumers: 1}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        page = page.address(),
        sink = sink.url(),
    );
    let mut collector = Collector::start_with("paths", &yaml, args).await?;
    let request = sink.first().await?;
    let status = collector.child.terminate(Duration::from_secs(10)).await?;
    ensure!(status.success(), "{}", collector.child.last_words());
    Ok(request)
}

async fn exponential() -> Result<()> {
    let (sink, port) = (Sink::start().await?, free_port()?);
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters: {{prometheusremotewrite: {{endpoint: '{sink}'}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheusremotewrite]}}}}
",
        sink = sink.url(),
    );
    let _collector = Collector::start("exponential", &yaml).await?;
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: 1_700_000_000_000_000_000,
        count: 10,
        sum: Some(12.5),
        scale: 9,
        zero_count: 1,
        positive: Some(Buckets { offset: 2, bucket_counts: vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 6] }),
        ..ExponentialHistogramDataPoint::default()
    };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 };
    let data = Some(Data::ExponentialHistogram(data));
    let metric = Metric { name: "rpc.latency".into(), unit: "s".into(), data, ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let body = ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec();
    let headers = [("content-type", "application/x-protobuf")];
    let answer = http::post(&format!("http://127.0.0.1:{port}/v1/metrics"), &headers, body).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());

    let request = sink.first().await?;
    let series = request.timeseries.first().context("a series arrives")?;
    ensure!(series.label("__name__") == "rpc_latency_seconds", "{series:?}");
    let histogram = series.histograms.first().context("a histogram arrives")?;
    let spans: Vec<(i32, u32)> =
        histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
    // Two buckets of scale 9 are one of schema 8, and one more is the index that Prometheus counts by.
    ensure!(histogram.schema == 8 && spans == [(2, 1), (3, 1)], "{histogram:?}");
    ensure!(histogram.positive_deltas == [3, 3] && histogram.sum == 12.5, "{histogram:?}");
    ensure!(histogram.zero_threshold == 1e-128 && histogram.timestamp == 1_700_000_000_000, "{histogram:?}");
    Ok(())
}
