//! `remote_write`: an entry of Prometheus' `remote_write`, as users have it.
//!
//! As Prometheus `config/config.go`. Where the two disagree, what stands in the entry is meant as Prometheus means it: without
//! `send_exemplars` and `send_native_histograms` neither is sent, and waits double from 30 ms to 5 s without end. Differs on
//! purpose: HTTP/2 is spoken over TLS where the server offers it, unless `enable_http2` is false. Keys of its queue are those of ours
//! where ours has them; [`Entry::warnings`] names the others.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{HttpUrl, Period, Problem, Secret, Timeout};
use net::{HttpHeader, PrometheusClientConfig};
use pipeline::{Backoff, Queueing, RetryConfig, Sizer};
use relabel::{RuleConfig, Rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::ProtobufMessage;

/// Default of `queue_config.min_backoff`.
const MIN_BACKOFF: Duration = Duration::from_millis(30);

/// Default of `queue_config.max_backoff`.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// `remote_write`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Entry {
    /// Where requests go.
    pub url: HttpUrl,
    /// Accepted for compatibility: metrics are named after the exporter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub name: String,
    /// Longest time of one attempt.
    #[serde(default = "config::secs::<30>")]
    pub remote_timeout: Period,
    /// More headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub headers: BTreeMap<String, Secret>,
    /// The message to send; as the key of this name beside the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protobuf_message: Option<ProtobufMessage>,
    /// Rules that each series goes through, external labels included, before it is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<RuleConfig>,
    /// Sends exemplars.
    #[serde(default)]
    pub send_exemplars: bool,
    /// Sends native histograms.
    #[serde(default)]
    pub send_native_histograms: bool,
    /// Accepted for compatibility: each connection asks DNS anew.
    #[serde(default)]
    pub round_robin_dns: bool,
    /// What is known of families, in remote write 1.0.
    #[serde(default)]
    pub metadata_config: MetadataConfig,
    /// What waits between the pipeline and the endpoint.
    #[serde(default)]
    pub queue_config: QueueConfig,
    /// Signing for Amazon; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<serde_json::Value>,
    /// Tokens of Azure; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azuread: Option<serde_json::Value>,
    /// Tokens of Google; not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_iam: Option<serde_json::Value>,
    /// How requests are made.
    #[serde(flatten)]
    pub client: PrometheusClientConfig,
}

/// `metadata_config`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct MetadataConfig {
    /// Whether TYPE, HELP and UNIT are sent. Remote write 2.0 always sends them.
    #[serde(default = "config::on")]
    pub send: bool,
    /// Accepted for compatibility: they go with the samples of their family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_interval: Option<Period>,
    /// Accepted for compatibility, as `send_interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_samples_per_send: Option<u64>,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { send: true, send_interval: None, max_samples_per_send: None }
    }
}

/// `queue_config`; what is absent takes the exporter's default.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct QueueConfig {
    /// Samples of one shard that may wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<usize>,
    /// Requests that may be under way at once; series are spread over so many shards and keep their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shards: Option<usize>,
    /// Requests that may be under way at once even if nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_shards: Option<usize>,
    /// Samples from which a request is sent without waiting for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_samples_per_send: Option<usize>,
    /// Longest time that a sample waits for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_send_deadline: Option<Period>,
    /// Wait before the second attempt; 30 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_backoff: Option<Period>,
    /// Longest wait between attempts; 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Period>,
    /// Accepted for compatibility: 429 is always tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on_http_429: Option<bool>,
    /// Requests whose newest sample is older than this are dropped; 0 keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_age_limit: Option<Timeout>,
}

impl Entry {
    /// What the client is built from.
    pub(super) fn client(&self) -> PrometheusClientConfig {
        let mut client = self.client.clone();
        for (name, value) in &self.headers {
            let header = HttpHeader { secrets: vec![value.clone()], ..HttpHeader::default() };
            client.http_headers.insert(name.clone(), header);
        }
        client
    }

    /// What `write_relabel_configs` says.
    pub(super) fn rules(&self) -> Result<Rules, Vec<Problem>> {
        let problem =
            |(index, message)| Problem::at(format!("remote_write::write_relabel_configs::{index}"), message);
        Rules::build(&self.write_relabel_configs)
            .map_err(|wrong: Vec<(usize, String)>| wrong.into_iter().map(problem).collect())
    }

    /// The age from which samples are not sent any more.
    pub(super) fn age_limit(&self) -> Option<Duration> {
        self.queue_config.sample_age_limit.and_then(|limit| limit.as_duration())
    }

    /// Keys that cannot work here, by name.
    pub(super) fn refused(&self) -> Vec<Problem> {
        let signers = [("sigv4", &self.sigv4), ("azuread", &self.azuread), ("google_iam", &self.google_iam)];
        let is_set = signers.into_iter().filter(|(_, section)| section.is_some());
        is_set
            .map(|(key, _)| {
                let message =
                    "is not built in; use basic_auth, authorization or oauth2, or a proxy that signs";
                Problem::at(format!("remote_write::{key}"), message)
            })
            .collect()
    }

    /// Keys without effect, by name.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        let (metadata, queue) = (&self.metadata_config, &self.queue_config);
        let with_samples = "has no effect: metadata goes with the samples of its family";
        let keys = [
            ("name", !self.name.is_empty(), "has no effect: metrics are named after the exporter"),
            ("round_robin_dns", self.round_robin_dns, "has no effect: each connection asks DNS anew"),
            ("metadata_config::send_interval", metadata.send_interval.is_some(), with_samples),
            ("metadata_config::max_samples_per_send", metadata.max_samples_per_send.is_some(), with_samples),
            (
                "queue_config::max_samples_per_send",
                queue.max_samples_per_send.is_some(),
                "is when a request is sent, not its limit: requests hold whole scrapes; max_batch_size_bytes limits them",
            ),
            (
                "queue_config::retry_on_http_429",
                queue.retry_on_http_429 == Some(false),
                "has no effect: 429 is tried again, after the time that the receiver asks for",
            ),
        ];
        let is_set = keys.into_iter().filter(|(_, is_set, _)| *is_set);
        is_set.map(|(key, _, message)| Problem::warning(format!("remote_write::{key}"), message)).collect()
    }

    /// When and how often a failed request is tried again, under what the spine's keys say.
    pub(super) fn backoff(&self, defaults: Backoff, asked_for: &RetryConfig) -> Backoff {
        let queue = &self.queue_config;
        let entry = Backoff {
            initial: queue.min_backoff.map_or(MIN_BACKOFF, |wait| wait.as_duration()),
            multiplier: 2.0,
            max: queue.max_backoff.map_or(MAX_BACKOFF, |wait| wait.as_duration()),
            max_elapsed: None,
            ..defaults
        };
        entry.with(asked_for)
    }

    /// Changes the queue as far as the entry says something about it.
    pub(super) fn shape(&self, queueing: &mut Queueing) {
        let queue = &self.queue_config;
        queueing.n_shards = queue.max_shards.unwrap_or(queueing.n_shards).max(1);
        queueing.min_requests = queue.min_shards.unwrap_or(queueing.min_requests).max(1);
        if let Some(capacity) = queue.capacity {
            queueing.sizer = Sizer::Items;
            queueing.capacity = capacity.saturating_mul(queueing.n_shards).max(1);
        }
        if let Some(joining) = &mut queueing.joining {
            joining.min_items = queue.max_samples_per_send.unwrap_or(joining.min_items);
            joining.deadline =
                queue.batch_send_deadline.map_or(joining.deadline, |deadline| deadline.as_duration());
        }
    }
}
