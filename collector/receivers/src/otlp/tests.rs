//! What clients are answered, over loopback with a client of our own; messages are made by `opentelemetry-proto`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};
use model::{Batch, Signal};
use net::{Client, HttpClientConfig, Request, Response};
use opentelemetry_proto::tonic::collector::{
    logs::v1 as clogs, metrics::v1 as cmetrics, trace::v1 as ctrace,
};
use opentelemetry_proto::tonic::{logs::v1 as logs, metrics::v1 as metrics, trace::v1 as trace};
use pipeline::{Bodies, Entry, ExportError, Exporter, Graph, Plan, Refused, Stop};
use prost::Message as _;
use tokio::sync::oneshot;
use wire::compress::{Encoding, compress};

use super::*;

/// Long enough for a busy machine; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A receiver with both protocols, and what arrived behind it.
struct Running {
    grpc: SocketAddr,
    http: SocketAddr,
    client: Client,
    arrived: Arc<Mutex<Vec<(Signal, usize)>>>,
}

impl Running {
    /// With an outlet that takes everything, or refuses everything for one reason.
    async fn start(refused: Option<Refused>) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrived);
        let life = Life::for_test("otlp", &Stop::new());
        let out = Outlets::for_test(&life, move |batch: Batch| {
            seen.lock().unwrap().push((batch.signal(), batch.n_items()));
            refused.clone().map_or(Ok(()), Err)
        });
        Self { arrived, ..Self::start_before(out, life).await }
    }

    async fn start_before(out: Outlets, life: Life) -> Self {
        let yaml = "
            protocols:
              grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1}
              http: {endpoint: '127.0.0.1:0'}
        ";
        let root = config::parse(yaml, "test.yaml").unwrap().root;
        let config = config::read(&root, "receivers::otlp").unwrap();
        let mut receiver = Otlp::build(config, &Site::for_test("otlp", None)).unwrap();
        receiver.start(&life).await.unwrap();
        let address = |bound: &Option<(Listener, ServeOptions)>| bound.as_ref().unwrap().0.local_addr();
        let (grpc, http) = (address(&receiver.grpc), address(&receiver.http));
        let client = Client::build_http2(&HttpClientConfig::default()).unwrap();
        tokio::spawn(receiver.run(out, life));
        Self { grpc, http, client, arrived: Arc::default() }
    }

    async fn post(
        &self,
        to: SocketAddr,
        path: &str,
        body: Vec<u8>,
        headers: &[(&'static str, &'static str)],
    ) -> Response {
        let request = Request::post(format!("http://{to}/{path}"), body, PATIENCE, 1 << 20);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        self.client.send(request).await.unwrap()
    }

    /// A call with this body, frame and all.
    async fn call(&self, method: &str, framed: Vec<u8>, encoding: Option<&'static str>) -> Response {
        let mut headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
        headers.extend(encoding.map(|encoding| ("grpc-encoding", encoding)));
        let response = self.post(self.grpc, method, framed, &headers).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.headers[header::CONTENT_TYPE], "application/grpc");
        response
    }

    /// Status and message of a call that fails.
    async fn failure(&self, method: &str, framed: Vec<u8>, encoding: Option<&'static str>) -> String {
        let response = self.call(method, framed, encoding).await;
        assert!(response.body.is_empty(), "a failed call has no message");
        let trailer = |name: &str| response.trailers[name].to_str().unwrap();
        format!("{}: {}", trailer("grpc-status"), trailer("grpc-message"))
    }

    async fn export(&self, path: &str, body: Vec<u8>) -> Response {
        self.post(self.http, path, body, &[("content-type", "application/x-protobuf")]).await
    }

    fn arrived(&self) -> Vec<(Signal, usize)> {
        std::mem::take(&mut *self.arrived.lock().unwrap())
    }
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

fn gzipped(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(Encoding::Gzip, message, &mut out);
    out
}

fn two_points() -> Vec<u8> {
    let gauge = metrics::Gauge { data_points: vec![metrics::NumberDataPoint::default(); 2] };
    let metric = metrics::Metric {
        name: "temperature".to_owned(),
        data: Some(metrics::metric::Data::Gauge(gauge)),
        ..Default::default()
    };
    let scope = metrics::ScopeMetrics { metrics: vec![metric], ..Default::default() };
    let resource = metrics::ResourceMetrics { scope_metrics: vec![scope], ..Default::default() };
    cmetrics::ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

fn three_records() -> Vec<u8> {
    let scope = logs::ScopeLogs { log_records: vec![logs::LogRecord::default(); 3], ..Default::default() };
    let resource = logs::ResourceLogs { scope_logs: vec![scope], ..Default::default() };
    clogs::ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
}

fn four_spans() -> Vec<u8> {
    let scope = trace::ScopeSpans { spans: vec![trace::Span::default(); 2], ..Default::default() };
    let resource = trace::ResourceSpans { scope_spans: vec![scope], ..Default::default() };
    ctrace::ExportTraceServiceRequest { resource_spans: vec![resource; 2] }.encode_to_vec()
}

#[tokio::test]
async fn a_call_of_each_signal_reaches_its_outlet_and_is_answered_with_an_empty_partial_success() {
    let receiver = Running::start(None).await;
    let calls = [
        (METRICS, two_points(), (Signal::Metrics, 2)),
        (LOGS, three_records(), (Signal::Logs, 3)),
        (TRACES, four_spans(), (Signal::Traces, 4)),
    ];
    for (method, message, expected) in calls {
        let response = receiver.call(method, framed(0, &message), None).await;
        assert_eq!(response.trailers["grpc-status"], "0");
        let (head, answer) = response.body.split_at(5);
        assert_eq!(head, [0, 0, 0, 0, 2]);
        let answer = cmetrics::ExportMetricsServiceResponse::decode(answer).unwrap();
        assert_eq!(answer.partial_success, Some(cmetrics::ExportMetricsPartialSuccess::default()));
        assert_eq!(receiver.arrived(), [expected]);
    }
}

#[tokio::test]
async fn a_call_without_items_is_fine_and_disturbs_nobody() {
    let receiver = Running::start(None).await;
    let response = receiver.call(LOGS, framed(0, &[]), None).await;
    assert_eq!(response.trailers["grpc-status"], "0");
    assert_eq!(receiver.arrived(), []);
}

#[tokio::test]
async fn a_message_may_be_compressed_in_ways_that_are_known() {
    let receiver = Running::start(None).await;
    let message = framed(1, &gzipped(&three_records()));
    let response = receiver.call(LOGS, message.clone(), Some("gzip")).await;
    assert_eq!(response.trailers["grpc-status"], "0");
    // A client that compresses leaves small messages as they are and says so in the flag.
    let response = receiver.call(TRACES, framed(0, &four_spans()), Some("gzip")).await;
    assert_eq!(response.trailers["grpc-status"], "0");
    assert_eq!(receiver.arrived(), [(Signal::Logs, 3), (Signal::Traces, 4)]);

    let response = receiver.call(LOGS, message, Some("lz4")).await;
    assert_eq!(response.trailers["grpc-status"], "12");
    assert_eq!(response.trailers["grpc-message"], r#"grpc-encoding "lz4" is not supported"#);
    assert_eq!(response.headers["grpc-accept-encoding"], "identity,gzip,deflate,zstd");
    assert_eq!(receiver.arrived(), []);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let receiver = Running::start(None).await;
    let method = "opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    assert_eq!(receiver.failure(method, framed(0, &[]), None).await, format!("12: unknown method /{method}"));
}

#[tokio::test]
async fn a_message_over_the_limit_exhausts_resources_before_and_after_decompression() {
    let receiver = Running::start(None).await;
    let limit = 1 << 20;
    let expected = "8: message is larger than max_recv_msg_size_mib (1)";
    let large = vec![0; limit + 1];
    assert_eq!(receiver.failure(LOGS, framed(0, &large), None).await, expected);
    assert_eq!(receiver.failure(LOGS, framed(1, &gzipped(&large)), Some("gzip")).await, expected);

    // As large as allowed: a field that nobody knows, whose length takes three bytes.
    let message = [&[0x7a, 0xfc, 0xff, 0x3f][..], &vec![0; limit - 4]].concat();
    let response = receiver.call(LOGS, framed(0, &message), None).await;
    assert_eq!(response.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_message_that_is_not_otlp_is_an_invalid_argument() {
    let receiver = Running::start(None).await;
    for message in [&b"\xff\xff"[..], b"\x0a\x05ab", b"\x0a\x02\x12\x7f"] {
        let failure = receiver.failure(METRICS, framed(0, message), None).await;
        assert!(failure.starts_with("3: "), "{message:?}: {failure}");
    }
    assert_eq!(receiver.arrived(), []);
}

#[tokio::test]
async fn a_broken_frame_is_an_internal_error() {
    let receiver = Running::start(None).await;
    let records = three_records();
    let mut cut = framed(0, &records);
    cut.pop();
    let two = [framed(0, &records), framed(0, &records)].concat();
    let compressed = framed(1, &gzipped(&records));
    let cases = [
        (Vec::new(), None, "no head"),
        (vec![0, 0, 0, 0], None, "no head"),
        (cut, None, "its length is not that of the body"),
        (two, None, "its length is not that of the body"),
        (framed(2, &records), Some("gzip"), "unknown flag 2"),
        (compressed.clone(), None, "its message is compressed, and grpc-encoding does not say how"),
        (compressed, Some("identity"), "its message is compressed, and grpc-encoding does not say how"),
    ];
    for (body, encoding, what) in cases {
        let failure = receiver.failure(LOGS, body, encoding).await;
        assert_eq!(failure, format!("13: broken gRPC frame: {what}"));
    }
    let failure = receiver.failure(LOGS, framed(1, &records), Some("gzip")).await;
    assert!(failure.starts_with("13: cannot decompress the body"), "{failure}");
    assert_eq!(receiver.arrived(), []);
}

#[tokio::test]
async fn other_content_types_are_refused_at_the_grpc_port() {
    let receiver = Running::start(None).await;
    for other in ["application/x-protobuf", "application/grpc-web", "application/grpc-web+proto"] {
        let message = framed(0, &three_records());
        let response = receiver.post(receiver.grpc, LOGS, message, &[("content-type", other)]).await;
        assert_eq!(response.status, 415, "{other}");
    }
    assert_eq!(receiver.post(receiver.grpc, LOGS, Vec::new(), &[]).await.status, 415);
    assert_eq!(receiver.arrived(), []);

    let headers = [("content-type", "application/grpc+proto")];
    let response = receiver.post(receiver.grpc, LOGS, framed(0, &three_records()), &headers).await;
    assert_eq!(response.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_temporary_refusal_asks_the_client_to_come_again() {
    let full = Refused::Full { what: "queue".to_owned(), limit: "queue_size 7".to_owned() };
    let receiver = Running::start(Some(full)).await;
    let failure = receiver.failure(LOGS, framed(0, &three_records()), None).await;
    assert_eq!(failure, "14: queue is full (queue_size 7)");

    let response = receiver.export("v1/logs", three_records()).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.headers[header::RETRY_AFTER], "1");
    assert_eq!(response.headers[header::CONTENT_TYPE], "application/x-protobuf");
    let status = wire::otlp::Status::decode(&response.body).unwrap();
    assert_eq!((status.code, status.message.as_str()), (14, "queue is full (queue_size 7)"));
}

#[tokio::test]
async fn a_refusal_for_good_is_an_internal_error_whose_message_survives_the_trailers() {
    let never = Refused::Never { reason: "\u{fc}ber 100%\n\u{7f}~".to_owned() };
    let receiver = Running::start(Some(never)).await;
    let failure = receiver.failure(TRACES, framed(0, &four_spans()), None).await;
    assert_eq!(failure, "13: not acceptable: %C3%BCber 100%25%0A%7F~");

    let response = receiver.export("v1/traces", four_spans()).await;
    assert_eq!(response.status, 500);
    assert!(!response.headers.contains_key(header::RETRY_AFTER));
    let status = wire::otlp::Status::decode(&response.body).unwrap();
    assert_eq!((status.code, status.message.as_str()), (13, "not acceptable: \u{fc}ber 100%\n\u{7f}~"));
}

#[tokio::test]
async fn each_signal_reaches_its_outlet_over_http() {
    let receiver = Running::start(None).await;
    let exports = [("v1/metrics", two_points()), ("v1/logs", three_records()), ("v1/traces", four_spans())];
    for (path, body) in exports {
        let response = receiver.export(path, body).await;
        assert_eq!((response.status, &response.body[..]), (200, &[0x0a, 0][..]));
    }
    assert_eq!(receiver.arrived(), [(Signal::Metrics, 2), (Signal::Logs, 3), (Signal::Traces, 4)]);
    let response = receiver.export("v1/logs", b"\xff".to_vec()).await;
    assert_eq!(response.status, 400);
    assert_eq!(wire::otlp::Status::decode(&response.body).unwrap().code, 3);
}

/// Stands at both ends of a real graph and lends the outlets of its beginning to the test.
struct Lender;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

static BORROWER: Mutex<Option<oneshot::Sender<Outlets>>> = Mutex::new(None);

impl Component for Lender {
    const TYPE: &'static str = "lender";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Nothing;
    fn build(_config: Nothing, _site: &Site) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Receiver for Lender {
    async fn run(self, out: Outlets, life: Life) -> Result<(), Fatal> {
        let borrower = BORROWER.lock().unwrap().take().expect("one test borrows, once");
        drop(borrower.send(out));
        life.stopped().await;
        Ok(())
    }
}

impl Exporter for Lender {
    fn encode(&self, _batch: &Batch, _bodies: &mut Bodies) -> Result<(), Refused> {
        Ok(())
    }
    async fn send(&self, _request: &pipeline::Request, _n_before: u32) -> Result<(), ExportError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_signal_that_no_pipeline_takes_is_unimplemented() {
    const REGISTRY: pipeline::Registry = pipeline::Registry {
        entries: &[Entry::receiver::<Lender>(), Entry::exporter::<Lender>()],
        version: "0.0.0",
    };
    let yaml = "
        receivers: {lender: {}}
        exporters: {lender: {}}
        service: {pipelines: {traces: {receivers: [lender], exporters: [lender]}}}
    ";
    let root = config::parse(yaml, "test.yaml").unwrap().root;
    let plan = Plan::build(&root, &REGISTRY, PathBuf::from("."), None, HashMap::new()).unwrap();
    let (lend, lent) = oneshot::channel();
    *BORROWER.lock().unwrap() = Some(lend);
    let mut graph = Graph::new(telemetry::Registry::new());
    graph.apply(&plan).await.unwrap();
    let life = Life::for_test("otlp", &Stop::new());
    let receiver = Running::start_before(lent.await.unwrap(), life).await;

    let response = receiver.call(TRACES, framed(0, &four_spans()), None).await;
    assert_eq!(response.trailers["grpc-status"], "0");
    let failure = receiver.failure(LOGS, framed(0, &three_records()), None).await;
    assert_eq!(failure, "12: no pipeline takes logs from this receiver");
    assert_eq!(receiver.export("v1/logs", three_records()).await.status, 404);
    graph.shut_down().await;
}
