//! Settings of the way from an exporter to its endpoint: timeout, retry, queue.

use std::time::Duration;

use config::{Period, Timeout};
use queue::Sizer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Backoff, RetryConfig};

/// The keys that every exporter has (the collector's exporterhelper); what is absent takes the exporter's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct SendingConfig {
    /// Longest time of one attempt; 0 means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// When and how often a failed request is tried again.
    #[serde(default)]
    pub retry_on_failure: RetryConfig,
    /// What waits between the pipeline and the endpoint. `sending_queue: null` or `enabled: false` sends directly.
    #[serde(default)]
    pub sending_queue: Option<QueueConfig>,
}

/// `sending_queue` as users write it; what is absent takes the exporter's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct QueueConfig {
    /// Whether there is a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Requests that may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_consumers: Option<usize>,
    /// Largest size, in what `sizer` counts; requests under way count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<usize>,
    /// What `queue_size` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizer: Option<Sizer>,
    /// Whether a full queue makes the sender wait instead of refusing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_on_overflow: Option<bool>,
    /// Whether the sender waits for the outcome of the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_result: Option<bool>,
    /// Storage extension that keeps the queue over a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Joins what arrives into larger requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchConfig>,
}

/// `sending_queue.batch`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BatchConfig {
    /// Longest time that an item waits for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush_timeout: Option<Period>,
    /// Size from which a request is sent without waiting longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<usize>,
    /// Largest size of a request; 0 means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<usize>,
    /// What the sizes count: `items` or `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizer: Option<Sizer>,
}

/// Where an exporter's defaults differ from the exporterhelper's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendingDefaults {
    /// Longest time of one attempt.
    pub timeout: Option<Duration>,
    /// Retry.
    pub retry: Backoff,
    /// Queue; `None` sends directly unless the user asks for one.
    pub queue: Option<Queueing>,
}

impl SendingDefaults {
    /// The defaults of the collector's exporterhelper.
    pub const HELPER: Self =
        Self { timeout: Some(Duration::from_secs(5)), retry: Backoff::HELPER, queue: Some(Queueing::HELPER) };
}

/// A queue as it will run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queueing {
    /// Lanes that keep order: what belongs to one shard is sent one after the other.
    pub n_shards: usize,
    /// Requests of one shard that may be under way at once; 1 keeps their order.
    pub n_consumers: usize,
    /// Requests of all shards that may be under way at once even if nothing waits. The number follows the backlog from there up
    /// to one a shard. Has no meaning where a shard has several consumers.
    pub min_requests: usize,
    /// Largest size, in what `sizer` counts.
    pub capacity: usize,
    /// What `capacity` counts.
    pub sizer: Sizer,
    /// Whether a full queue makes the sender wait.
    pub block_on_overflow: bool,
    /// How batches are joined into requests; `None` makes one request of each batch and shard.
    pub joining: Option<Joining>,
}

impl Queueing {
    /// The defaults of the collector's exporterhelper.
    pub const HELPER: Self = Self {
        n_shards: 1,
        n_consumers: 10,
        min_requests: 1,
        capacity: 1000,
        sizer: Sizer::Requests,
        block_on_overflow: false,
        joining: None,
    };
}

/// When a request that is being filled is full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joining {
    /// Longest time that an item waits for others.
    pub deadline: Duration,
    /// Items from which a request is sent without waiting longer.
    pub min_items: usize,
    /// Uncompressed bytes from which a request is sent without waiting longer.
    pub min_bytes: usize,
}

/// How an exporter's requests travel, after defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    /// Longest time of one attempt.
    pub timeout: Option<Duration>,
    /// Retry.
    pub retry: Backoff,
    /// Queue; `None` sends directly.
    pub queue: Option<Queueing>,
}

impl Sending {
    /// What the user wrote over an exporter's defaults.
    #[must_use]
    pub fn new(config: &SendingConfig, defaults: &SendingDefaults) -> Self {
        let queue = match &config.sending_queue {
            None => defaults.queue,
            Some(queue) if queue.enabled == Some(false) => None,
            Some(queue)
                if defaults.queue.is_none()
                    && queue.enabled.is_none()
                    && *queue == QueueConfig::default() =>
            {
                None
            }
            Some(queue) => Some(queueing(queue, defaults.queue.unwrap_or(Queueing::HELPER))),
        };
        Self {
            timeout: config.timeout.map_or(defaults.timeout, |timeout| timeout.as_duration()),
            retry: defaults.retry.with(&config.retry_on_failure),
            queue,
        }
    }
}

fn queueing(config: &QueueConfig, defaults: Queueing) -> Queueing {
    let joining = config.batch.as_ref().map(|batch| {
        let counts_bytes = batch.sizer == Some(Sizer::Bytes);
        let size = batch.min_size.unwrap_or(8192).max(1);
        Joining {
            deadline: batch.flush_timeout.map_or(Duration::from_millis(200), |period| period.as_duration()),
            min_items: if counts_bytes { usize::MAX } else { size },
            min_bytes: if counts_bytes { size } else { usize::MAX },
        }
    });
    Queueing {
        n_consumers: config.num_consumers.unwrap_or(defaults.n_consumers).max(1),
        capacity: config.queue_size.unwrap_or(defaults.capacity).max(1),
        sizer: config.sizer.unwrap_or(defaults.sizer),
        block_on_overflow: config.block_on_overflow.unwrap_or(defaults.block_on_overflow),
        joining: joining.or(defaults.joining),
        ..defaults
    }
}
