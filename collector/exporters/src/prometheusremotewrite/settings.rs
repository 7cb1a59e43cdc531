//! The keys, and which of them cannot work.

use std::collections::BTreeMap;

use config::{HttpUrl, LabelName, Problem};
use net::HttpClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use translate::Strategy;

use super::entry::Entry;

/// Samples to a Prometheus by remote write.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Where requests go, for example `http://mimir:8080/api/v1/push`. Needed unless `remote_write` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HttpUrl>,
    /// An entry of Prometheus' `remote_write` as it is there, instead of the keys here that say the same. Not known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<Entry>,
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
    /// Sends TYPE, HELP and UNIT of each family with its samples. Remote write 2.0 always does.
    #[serde(default)]
    pub send_metadata: bool,
    /// The message to send. Without it, remote write 2.0 is tried, and 1.0 is sent to receivers that do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protobuf_message: Option<ProtobufMessage>,
    /// Compresses by zstd, as VictoriaMetrics' own senders do, which takes half the bytes. Speaks remote write 1.0. A receiver that
    /// does not know it is sent snappy. Not known to others.
    #[serde(default)]
    pub vm_protocol: bool,
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

/// `protobuf_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ProtobufMessage {
    /// Remote write 1.0.
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    /// Remote write 2.0. A receiver that answers 415 is sent 1.0 all the same.
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
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
    /// Every character stays; needs remote write 2.0. Receivers that do not know it are sent names with underscores.
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    /// Everything stays; needs remote write 2.0. Receivers that do not know it are sent names with underscores.
    NoTranslation,
}

impl Config {
    /// Where requests go.
    pub(super) fn url(&self) -> Option<&HttpUrl> {
        self.remote_write.as_ref().map(|entry| &entry.url).or(self.endpoint.as_ref())
    }

    /// The protocol that was asked for.
    pub(super) fn message(&self) -> Option<ProtobufMessage> {
        let asked_for = self.remote_write.as_ref().and_then(|entry| entry.protobuf_message);
        asked_for.or(self.protobuf_message).or(self.vm_protocol.then_some(ProtobufMessage::V1))
    }

    /// Whether 1.0 carries metadata.
    pub(super) fn sends_metadata(&self) -> bool {
        self.send_metadata || self.remote_write.as_ref().is_some_and(|entry| entry.metadata_config.send)
    }

    /// How names are made, as the translation wants to know it.
    pub(super) fn strategy(&self) -> Strategy {
        match self.translation_strategy {
            None => Strategy::of_add_metric_suffixes(self.add_metric_suffixes),
            Some(TranslationStrategy::UnderscoreEscapingWithSuffixes) => {
                Strategy::UnderscoreEscapingWithSuffixes
            }
            Some(TranslationStrategy::UnderscoreEscapingWithoutSuffixes) => {
                Strategy::UnderscoreEscapingWithoutSuffixes
            }
            Some(TranslationStrategy::NoUtf8EscapingWithSuffixes) => Strategy::NoUtf8EscapingWithSuffixes,
            Some(TranslationStrategy::NoTranslation) => Strategy::NoTranslation,
        }
    }

    /// As [`Self::strategy`], for receivers that know only remote write 1.0.
    pub(super) fn strategy_of_v1(&self) -> Strategy {
        match self.strategy() {
            Strategy::NoUtf8EscapingWithSuffixes => Strategy::UnderscoreEscapingWithSuffixes,
            Strategy::NoTranslation => Strategy::UnderscoreEscapingWithoutSuffixes,
            escaping => escaping,
        }
    }
}

/// Keys that cannot work here, by name.
pub(super) fn refused(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |is_set: bool, key: &str, message: &str| {
        if is_set {
            problems.push(Problem::at(key, message));
        }
    };
    refuse(
        !config.include_metadata_keys.is_empty(),
        "include_metadata_keys",
        "client metadata is not passed on yet",
    );
    let instead = "is not read; pass --data-dir, or set sending_queue::storage, to keep the queue on disk";
    refuse(config.wal.is_some(), "wal", instead);
    let (old, new) = (&config.resource_to_telemetry_conversion, &config.resource_constant_labels);
    refuse(
        (old.enabled || old.exclude_service_attributes)
            && !(new.included.is_empty() && new.excluded.is_empty()),
        "resource_to_telemetry_conversion",
        "stands beside resource_constant_labels, which replaces it; keep one of them",
    );
    let message = format!(
        "{} keeps names that need remote write 2.0; take protobuf_message away, or use {}",
        config.strategy().as_str(),
        config.strategy_of_v1().as_str()
    );
    let is_v1 = config.message() == Some(ProtobufMessage::V1);
    refuse(is_v1 && !config.strategy().escapes(), "translation_strategy", &message);
    refuse(
        config.vm_protocol && config.message() == Some(ProtobufMessage::V2),
        "vm_protocol",
        "speaks remote write 1.0, and protobuf_message asks for 2.0; keep one of them",
    );
    refuse(config.url().is_none(), "endpoint", "is missing: where do requests go?");
    if let Some(entry) = &config.remote_write {
        let twice = "stands beside remote_write, which says it; keep one of them";
        refuse(config.endpoint.is_some(), "endpoint", twice);
        refuse(
            config.protobuf_message.is_some() && entry.protobuf_message.is_some(),
            "protobuf_message",
            twice,
        );
        // The time of an attempt is the spine's too, and may say something else.
        let beside = HttpClientConfig { timeout: None, ..config.client.clone() };
        refuse(
            beside != HttpClientConfig::default(),
            "remote_write",
            "stands beside keys of confighttp, such as tls or headers; say in remote_write how requests are made",
        );
        problems.extend(entry.refused());
    }
    problems
}

/// What a user should know though it works.
pub(super) fn warnings(config: &Config) -> Vec<Problem> {
    let old = config.export_created_metric.iter();
    let mut warnings: Vec<Problem> =
        old.map(|_| Problem::warning("export_created_metric", "has no effect; remove the key")).collect();
    if config.keep_classic_histograms && !config.convert_explicit_histograms_to_nhcb {
        let message =
            "has no effect without convert_explicit_histograms_to_nhcb; set that, or remove the key";
        warnings.push(Problem::warning("keep_classic_histograms", message));
    }
    warnings.extend(config.remote_write.iter().flat_map(Entry::warnings));
    warnings
}
