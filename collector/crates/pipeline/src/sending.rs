//! Settings of the way from an exporter to its endpoint: timeout, retry, queue.

use std::path::PathBuf;
use std::time::Duration;

use config::{ByteSize, Period, Timeout};
use queue::Sizer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::storing::{MAX_DISK_BYTES, MAX_JOINING};
use crate::{Backoff, RetryConfig, Storage, Storing};

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
    /// Storage extension that keeps the queue over a restart. Then requests are retried without a limit of time unless
    /// `max_elapsed_time` is set, and `max_disk_bytes` and `max_age` bind the queue; `queue_size` does where it is set too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Bytes that a kept queue may take on disk, 4GiB if absent; then its oldest requests are dropped. Not a key of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_disk_bytes: Option<ByteSize>,
    /// How old a request of a kept queue may become, without limit if absent or 0; then it is dropped. Not a key of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Timeout>,
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
    /// Whether the queue is kept in the data directory, where the process has one.
    pub uses_data_dir: bool,
}

impl SendingDefaults {
    /// The defaults of the collector's exporterhelper.
    pub const HELPER: Self = Self {
        timeout: Some(Duration::from_secs(5)),
        retry: Backoff::HELPER,
        queue: Some(Queueing::HELPER),
        uses_data_dir: false,
    };
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
    /// How the queue is kept.
    pub storing: Storing,
    /// The directory of the queue; `None` keeps it in memory.
    pub directory: Option<PathBuf>,
}

impl Sending {
    /// The defaults of the collector's exporterhelper, for tests to start from.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::new(&SendingConfig::default(), &SendingDefaults::HELPER)
    }

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
            storing: storing(config, defaults.uses_data_dir),
            directory: None,
        }
    }

    /// What changes because the queue is kept in a directory.
    pub(crate) fn be_kept(&mut self) {
        if !self.storing.has_retry_limit {
            self.retry.max_elapsed = None;
        }
        if let Some(joining) = self.queue.as_mut().and_then(|queue| queue.joining.as_mut()) {
            joining.deadline = joining.deadline.min(MAX_JOINING);
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

fn storing(config: &SendingConfig, uses_data_dir: bool) -> Storing {
    let queue = config.sending_queue.as_ref();
    let storage = queue.and_then(|queue| queue.storage.clone()).map(Storage::Extension);
    let default = if uses_data_dir { Storage::DataDir } else { Storage::Memory };
    Storing {
        storage: storage.unwrap_or(default),
        max_bytes: queue.and_then(|queue| queue.max_disk_bytes).map_or(MAX_DISK_BYTES, ByteSize::as_u64),
        max_age: queue.and_then(|queue| queue.max_age).and_then(|age| age.as_duration()),
        has_size: queue.is_some_and(|queue| queue.queue_size.is_some()),
        has_retry_limit: config.retry_on_failure.max_elapsed_time.is_some(),
    }
}
