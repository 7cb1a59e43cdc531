//! `prometheusremotewrite`: samples to a Prometheus by remote write 1.0.
//!
//! As contrib `exporter/prometheusremotewriteexporter`, with these differences on purpose: a scrape is written straight from its
//! series table, without a detour through OTLP; requests of one series are sent in order, one at a time; `Retry-After` is
//! obeyed and 429 is retried (upstream does neither unless told to); items wait up to a second for others, so that small
//! targets share a request. Native histograms are sent from scrapes and from OTLP alike.
//!
//! ```yaml
//! prometheusremotewrite:
//!   endpoint: http://prometheus:9090/api/v1/write
//!   external_labels:
//!     cluster: home
//! ```

mod response;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use config::{HttpUrl, LabelName, Problem};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use model::{Batch, Frames, Metrics, Scrape, Signals};
use net::{Client, HttpClientConfig};
use pipeline::{
    Backoff, Bodies, Component, ExportError, Exporter, Joining, Queueing, Refused, Request, Sealed, Sending,
    SendingConfig, SendingDefaults, Site, Sizer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::RateLimited;
use tracing::warn;
use translate::{HistogramOptions, Report, ResourceLabels, Scratch, SeriesRef, Strategy, ToSeries};
use wire::compress::{Compressor, Encoding};
use wire::remote_write::v1;

/// Answers are short; what is longer is not read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Items from which a request is sent without waiting for more.
const MIN_SAMPLES_PER_REQUEST: usize = 2000;

/// Longest time that a sample waits for others.
const JOINING_DEADLINE: Duration = Duration::from_secs(1);

/// Samples to a Prometheus by remote write.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Where requests go, for example `http://mimir:8080/api/v1/push`.
    pub endpoint: HttpUrl,
    /// Stands in front of every name of OTLP metrics, with an underscore between.
    #[serde(default)]
    pub namespace: String,
    /// Labels for every series that does not have them already.
    #[serde(default)]
    pub external_labels: BTreeMap<LabelName, String>,
    /// What waits between the pipeline and the endpoint.
    #[serde(default)]
    pub remote_write_queue: RemoteWriteQueue,
    /// Resource attributes as labels of every series. Newer spelling: `resource_constant_labels`.
    #[serde(default)]
    pub resource_to_telemetry_conversion: ResourceToTelemetry,
    /// Which resource attributes become labels of every series.
    #[serde(default)]
    pub resource_constant_labels: ResourceConstantLabels,
    /// The `target_info` series of each resource.
    #[serde(default)]
    pub target_info: TargetInfo,
    /// Leaves `otel_scope_` labels out.
    #[serde(default)]
    pub disable_scope_info: bool,
    /// Appends unit and `_total` to names of OTLP metrics. Older spelling of `translation_strategy`.
    #[serde(default = "config::on")]
    pub add_metric_suffixes: bool,
    /// How names of OTLP metrics are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation_strategy: Option<TranslationStrategy>,
    /// Sends TYPE, HELP and UNIT of each family with its samples.
    #[serde(default)]
    pub send_metadata: bool,
    /// The message to send; only `prometheus.WriteRequest` (remote write 1.0) is built in.
    #[serde(default = "write_request")]
    pub protobuf_message: String,
    /// Client metadata to pass on as headers; not built in.
    #[serde(default)]
    pub include_metadata_keys: Vec<String>,
    /// Uncompressed bytes from which a batch is cut into several requests.
    #[serde(default = "config::count::<3_000_000>")]
    pub max_batch_size_bytes: usize,
    /// Accepted for compatibility: requests of different series are sent by `num_consumers` at once, those of one series
    /// never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_request_parallelism: Option<usize>,
    /// Makes histograms with explicit bounds native ones with custom buckets instead of classic series.
    #[serde(default)]
    pub convert_explicit_histograms_to_nhcb: bool,
    /// Keeps the classic series beside them; without `convert_explicit_histograms_to_nhcb` it has no effect.
    #[serde(default)]
    pub keep_classic_histograms: bool,
    /// Upstream's write-ahead log; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal: Option<serde_json::Value>,
    /// Removed by others; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_created_metric: Option<serde_json::Value>,
    /// How requests are made.
    #[serde(flatten)]
    pub client: HttpClientConfig,
}

fn write_request() -> String {
    "prometheus.WriteRequest".to_owned()
}

/// `remote_write_queue`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct RemoteWriteQueue {
    /// Whether there is a queue.
    #[serde(default = "config::on")]
    pub enabled: bool,
    /// Requests that may wait.
    #[serde(default = "config::count::<10_000>")]
    pub queue_size: usize,
    /// Requests that may be under way at once; series are spread over them and keep their order.
    #[serde(default = "config::count::<5>")]
    pub num_consumers: usize,
}

impl Default for RemoteWriteQueue {
    fn default() -> Self {
        config::fill(&config::Node::map(), "remote_write_queue").expect("no key of the section is required")
    }
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResourceToTelemetry {
    /// Whether every series gets the attributes of its resource as labels.
    pub enabled: bool,
    /// Leaves those out that `job` and `instance` are made of.
    pub exclude_service_attributes: bool,
}

/// `resource_constant_labels`. In patterns `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResourceConstantLabels {
    /// Patterns of attributes that become labels; without any, those that are not excluded do.
    pub included: Vec<String>,
    /// Patterns of attributes that do not, whatever else matches.
    pub excluded: Vec<String>,
}

/// `target_info`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct TargetInfo {
    /// Whether the series is sent.
    #[serde(default = "config::on")]
    pub enabled: bool,
}

impl Default for TargetInfo {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
pub enum TranslationStrategy {
    /// Names as Prometheus 2 took them, with unit and type.
    UnderscoreEscapingWithSuffixes,
    /// Names as Prometheus 2 took them.
    UnderscoreEscapingWithoutSuffixes,
    /// Every character stays; needs remote write 2.0.
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    /// Everything stays; needs remote write 2.0.
    NoTranslation,
}

/// The running exporter.
#[derive(Debug)]
pub struct PrometheusRemoteWrite {
    endpoint: String,
    client: Client,
    to_series: ToSeries,
    send_metadata: bool,
    max_batch_bytes: usize,
    scratch: Mutex<Vec<Scratch>>,
    compressors: Mutex<Vec<Compressor>>,
    drops: RateLimited,
}

impl Component for PrometheusRemoteWrite {
    const TYPE: &'static str = "prometheusremotewrite";
    const ALIASES: &'static [&'static str] = &["prometheus_remote_write"];
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = refused(&config);
        let client = Client::build_http(&config.client).map_err(|error| {
            problems.push(Problem::at(error.key.replace('.', "::"), telemetry::error_chain(&error)))
        });
        let strategy = match config.translation_strategy {
            None => Strategy::of_add_metric_suffixes(config.add_metric_suffixes),
            Some(TranslationStrategy::UnderscoreEscapingWithoutSuffixes) => {
                Strategy::UnderscoreEscapingWithoutSuffixes
            }
            Some(_) => Strategy::UnderscoreEscapingWithSuffixes,
        };
        let to_series = ToSeries {
            namespace: config.namespace,
            strategy,
            resource_to_telemetry: config.resource_to_telemetry_conversion.enabled,
            exclude_service_attributes: config.resource_to_telemetry_conversion.exclude_service_attributes,
            target_info: config.target_info.enabled,
            scope_info: !config.disable_scope_info,
            external_labels: config
                .external_labels
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
            resource_labels: ResourceLabels {
                included: config.resource_constant_labels.included,
                excluded: config.resource_constant_labels.excluded,
            },
            histograms: HistogramOptions {
                native: true,
                explicit_to_custom: config.convert_explicit_histograms_to_nhcb,
                keep_classic: config.keep_classic_histograms,
            },
        };
        match client {
            Ok(client) if problems.is_empty() => Ok(Self {
                endpoint: config.endpoint.as_str().to_owned(),
                client,
                to_series,
                send_metadata: config.send_metadata,
                max_batch_bytes: config.max_batch_size_bytes.max(1),
                scratch: Mutex::default(),
                compressors: Mutex::default(),
                drops: RateLimited::every(Duration::from_secs(30)),
            }),
            _ => Err(problems),
        }
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        let old = config.export_created_metric.iter();
        let mut warnings: Vec<Problem> =
            old.map(|_| Problem::warning("export_created_metric", "has no effect; remove the key")).collect();
        if config.keep_classic_histograms && !config.convert_explicit_histograms_to_nhcb {
            let message =
                "has no effect without convert_explicit_histograms_to_nhcb; set that, or remove the key";
            warnings.push(Problem::warning("keep_classic_histograms", message));
        }
        warnings
    }
}

/// Keys that cannot work here, by name.
fn refused(config: &Config) -> Vec<Problem> {
    use TranslationStrategy::{NoTranslation, NoUtf8EscapingWithSuffixes};
    let mut problems = Vec::new();
    let mut refuse = |is_set: bool, key: &str, message: &str| {
        if is_set {
            problems.push(Problem::at(key, message));
        }
    };
    refuse(
        config.protobuf_message != "prometheus.WriteRequest",
        "protobuf_message",
        "only prometheus.WriteRequest is built in yet",
    );
    refuse(
        !config.include_metadata_keys.is_empty(),
        "include_metadata_keys",
        "client metadata is not passed on yet",
    );
    refuse(config.wal.is_some(), "wal", "is not built in; the queue is kept in memory in this version");
    let (old, new) = (&config.resource_to_telemetry_conversion, &config.resource_constant_labels);
    refuse(
        (old.enabled || old.exclude_service_attributes)
            && !(new.included.is_empty() && new.excluded.is_empty()),
        "resource_to_telemetry_conversion",
        "stands beside resource_constant_labels, which replaces it; keep one of them",
    );
    let beyond_old_names = match config.translation_strategy {
        Some(NoUtf8EscapingWithSuffixes) => Some("NoUTF8EscapingWithSuffixes"),
        Some(NoTranslation) => Some("NoTranslation"),
        _ => None,
    };
    if let Some(name) = beyond_old_names {
        let message = format!(
            "{name} keeps names that need remote write 2.0, which is not built in yet; use UnderscoreEscapingWithSuffixes"
        );
        refuse(true, "translation_strategy", &message);
    }
    problems
}

impl Exporter for PrometheusRemoteWrite {
    const DEFAULTS: SendingDefaults = SendingDefaults {
        timeout: Some(Duration::from_secs(5)),
        retry: Backoff { initial: Duration::from_millis(50), ..Backoff::HELPER },
        queue: Some(Queueing {
            n_shards: 5,
            n_consumers: 1,
            min_requests: 1,
            capacity: 10_000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            joining: Some(Joining {
                deadline: JOINING_DEADLINE,
                min_items: MIN_SAMPLES_PER_REQUEST,
                min_bytes: 3_000_000,
            }),
        }),
    };

    fn sending(config: &Config, common: &SendingConfig) -> Sending {
        let mut sending = Sending::new(common, &Self::DEFAULTS);
        let own = &config.remote_write_queue;
        if common.sending_queue.is_none() && !own.enabled {
            sending.queue = None;
        }
        let asked_for = common.sending_queue.as_ref();
        if let Some(queue) = &mut sending.queue {
            // Consumers are shards here: each sends its series in order, one request at a time.
            queue.n_shards =
                asked_for.and_then(|queue| queue.num_consumers).unwrap_or(own.num_consumers).max(1);
            queue.n_consumers = 1;
            queue.capacity = asked_for.and_then(|queue| queue.queue_size).unwrap_or(own.queue_size).max(1);
            if let Some(joining) = &mut queue.joining {
                joining.min_bytes = joining.min_bytes.min(config.max_batch_size_bytes);
            }
        }
        sending
    }

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let mut scratch =
            self.scratch.lock().expect("no code panics while it holds this lock").pop().unwrap_or_default();
        let report = match batch {
            Batch::Metrics(Metrics::Scrape(scrape)) => self.encode_scrape(scrape, &mut scratch, bodies),
            Batch::Metrics(Metrics::Otlp(frames)) => self.encode_otlp(frames, &mut scratch, bodies),
            Batch::Logs(_) | Batch::Traces(_) => {
                return Err(Refused::Never { reason: "only metrics".to_owned() });
            }
        };
        self.scratch.lock().expect("no code panics while it holds this lock").push(scratch);
        self.tell(&report);
        bodies.drop_items(report.n_dropped() as u64);
        Ok(())
    }

    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        let free = || self.compressors.lock().expect("no code panics while it holds this lock");
        let mut compressor = free().pop().unwrap_or_else(|| Compressor::new(Encoding::Snappy, None));
        let mut sealed = Vec::new();
        compressor.compress(body, &mut sealed);
        free().push(compressor);
        body.clear();
        Bytes::from(sealed).into()
    }

    async fn send(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        let mut http = net::Request {
            timeout: None,
            ..net::Request::post(
                self.endpoint.clone(),
                request.payload.clone(),
                Duration::ZERO,
                MAX_ANSWER_BYTES,
            )
        };
        let headers = &mut http.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(v1::CONTENT_TYPE));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(wire::remote_write::CONTENT_ENCODING));
        headers.insert(
            HeaderName::from_static("x-prometheus-remote-write-version"),
            HeaderValue::from_static(v1::VERSION),
        );
        if n_before > 0 {
            headers.insert(HeaderName::from_static("retry-attempt"), HeaderValue::from(n_before));
        }
        match self.client.send(http).await {
            Ok(answer) => {
                let sent = response::Sent { n_items: request.head.n_items, is_v2: false };
                response::judge(&answer, sent, std::time::SystemTime::now())
            }
            Err(error) => Err(ExportError::later(error)),
        }
    }
}

impl PrometheusRemoteWrite {
    /// A whole scrape goes to one shard: its series are written by nobody else, so their order is kept.
    fn encode_scrape(&self, scrape: &Scrape, scratch: &mut Scratch, bodies: &mut Bodies) -> Report {
        let shard = bodies.shard(scrape.target.labels.hash64());
        let mut writer = Writer::new(self, bodies);
        self.to_series.scrape(scrape, scratch, &mut |series| writer.append(shard, &series))
    }

    fn encode_otlp(&self, frames: &Frames, scratch: &mut Scratch, bodies: &mut Bodies) -> Report {
        let mut writer = Writer::new(self, bodies);
        self.to_series.otlp(frames, scratch, &mut |series| {
            let mut hasher = DefaultHasher::new();
            series.labels.iter().for_each(|label| label.hash(&mut hasher));
            let shard = writer.bodies.shard(hasher.finish());
            writer.append(shard, &series);
        })
    }

    fn tell(&self, report: &Report) {
        if report.dropped.is_empty() {
            return;
        }
        if let Some(n_suppressed) = self.drops.pass() {
            for dropped in &report.dropped {
                warn!(endpoint = self.endpoint, suppressed = n_suppressed, "{dropped}");
            }
        }
    }
}

/// Appends series to the bodies of their shards.
struct Writer<'a> {
    exporter: &'a PrometheusRemoteWrite,
    bodies: &'a mut Bodies,
    /// The family whose metadata was appended last.
    family: String,
}

impl<'a> Writer<'a> {
    fn new(exporter: &'a PrometheusRemoteWrite, bodies: &'a mut Bodies) -> Self {
        Self { exporter, bodies, family: String::new() }
    }

    #[inline]
    fn append(&mut self, shard: usize, series: &SeriesRef<'_>) {
        let body = self.bodies.of(shard);
        let sample = (series.bits, series.at.millis());
        match series.labels.in_table() {
            _ if series.histogram.is_some() => append_histogram(&mut body.bytes, series),
            Some((table, id)) if series.exemplars.is_empty() => {
                v1::append_encoded_series(&mut body.bytes, table.encoded_labels(id), sample);
            }
            _ => v1::append_series(&mut body.bytes, series.labels.iter(), &[sample], series.exemplars.iter()),
        }
        body.note(1, series.at);
        if self.exporter.send_metadata && self.family != series.family.name {
            self.family.clear();
            self.family.push_str(series.family.name);
            let family = &series.family;
            v1::append_metadata(&mut body.bytes, family.kind, family.name, family.help, family.unit);
        }
        if body.bytes.len() >= self.exporter.max_batch_bytes {
            self.bodies.close(shard);
        }
    }
}

fn append_histogram(out: &mut Vec<u8>, series: &SeriesRef<'_>) {
    if let Some(histogram) = series.histogram {
        let (labels, exemplars) = (series.labels.iter(), series.exemplars.iter());
        v1::append_histogram_series(out, labels, histogram, series.at.millis(), exemplars);
    }
}

#[cfg(test)]
mod tests;
