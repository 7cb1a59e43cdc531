//! Waiting between attempts.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use config::{Period, Timeout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `retry_on_failure` as users write it; what is absent takes the exporter's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RetryConfig {
    /// Whether a failed request is tried again at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Wait before the second attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_interval: Option<Period>,
    /// Share of the wait that is random, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub randomization_factor: Option<f64>,
    /// Factor from one wait to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// Longest wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<Period>,
    /// When a request is given up, counted from its first attempt; 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_elapsed_time: Option<Timeout>,
    /// Longest wait that an endpoint can ask for with `Retry-After`. Not known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry_after: Option<Period>,
    /// Extra requests a minute that may be spent on finding what is bad in requests that were rejected because of their
    /// content, so that only that is lost; 0 drops such requests whole, as others do. Not known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bisections_per_minute: Option<u32>,
    /// Keeps what the endpoint denies (401, 403, 404) in the queue for so long, and tries it again seldom; without it,
    /// or without a queue, such requests are dropped at once. Nothing else is sent meanwhile. Not known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_denied_for: Option<Period>,
}

/// Exponential backoff with jitter, as the collector's exporterhelper has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Whether to try again at all.
    pub enabled: bool,
    /// Wait before the second attempt.
    pub initial: Duration,
    /// Share of the wait that is random.
    pub randomization: f64,
    /// Factor from one wait to the next.
    pub multiplier: f64,
    /// Longest wait.
    pub max: Duration,
    /// When to give up, counted from the first attempt; `None` means never.
    pub max_elapsed: Option<Duration>,
    /// Longest wait that an endpoint can ask for.
    pub max_retry_after: Duration,
    /// Extra requests a minute to find what is bad in rejected ones; 0 drops them whole.
    pub max_bisections_per_minute: u32,
    /// How long what the endpoint denies is kept, counted from when it came into the queue; `None` drops it at once.
    pub keep_denied_for: Option<Duration>,
}

impl Backoff {
    /// The defaults of the collector's exporterhelper.
    pub const HELPER: Self = Self {
        enabled: true,
        initial: Duration::from_secs(5),
        randomization: 0.5,
        multiplier: 1.5,
        max: Duration::from_secs(30),
        max_elapsed: Some(Duration::from_secs(300)),
        max_retry_after: Duration::from_secs(300),
        max_bisections_per_minute: 1200,
        keep_denied_for: None,
    };

    /// What the user wrote over these defaults.
    #[must_use]
    pub fn with(self, config: &RetryConfig) -> Self {
        Self {
            enabled: config.enabled.unwrap_or(self.enabled),
            initial: config.initial_interval.map_or(self.initial, |period| period.as_duration()),
            randomization: config.randomization_factor.unwrap_or(self.randomization).clamp(0.0, 1.0),
            multiplier: config.multiplier.unwrap_or(self.multiplier).max(1.0),
            max: config.max_interval.map_or(self.max, |period| period.as_duration()),
            max_elapsed: config.max_elapsed_time.map_or(self.max_elapsed, |timeout| timeout.as_duration()),
            max_retry_after: config
                .max_retry_after
                .map_or(self.max_retry_after, |period| period.as_duration()),
            max_bisections_per_minute: config
                .max_bisections_per_minute
                .unwrap_or(self.max_bisections_per_minute),
            keep_denied_for: config
                .keep_denied_for
                .map_or(self.keep_denied_for, |period| Some(period.as_duration())),
        }
    }

    /// The wait after attempt number `n_attempts` (1 is the first) failed. `random` is evenly spread over 0..1.
    ///
    /// An answer that names its own wait (`asked`) is obeyed where it is longer.
    #[must_use]
    pub fn wait(&self, n_attempts: u32, random: f64, asked: Option<Duration>) -> Duration {
        let exponent = i32::try_from(n_attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = (self.initial.as_secs_f64() * self.multiplier.powi(exponent)).min(self.max.as_secs_f64());
        let spread = base * self.randomization;
        let wait = Duration::from_secs_f64((base - spread + 2.0 * spread * random).clamp(0.0, 86_400.0));
        asked.map_or(wait, |asked| asked.max(wait))
    }
}

/// A number evenly spread over 0..1. Good enough to keep senders from marching in step; not for secrets.
pub(crate) fn random() -> f64 {
    // A fresh `RandomState` is keyed anew for every call.
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_obey_the_server() {
        let backoff = Backoff { randomization: 0.0, ..Backoff::HELPER };
        let waits: Vec<f64> = [1, 2, 3, 9].map(|n| backoff.wait(n, 0.3, None).as_secs_f64()).to_vec();
        assert_eq!(waits, [5.0, 7.5, 11.25, 30.0]);
        assert_eq!(backoff.wait(1, 0.0, Some(Duration::from_secs(60))).as_secs(), 60);
        assert_eq!(backoff.wait(1, 0.0, Some(Duration::from_secs(1))).as_secs(), 5);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let backoff = Backoff::HELPER;
        assert_eq!(backoff.wait(1, 0.0, None).as_secs_f64(), 2.5);
        assert_eq!(backoff.wait(1, 1.0, None).as_secs_f64(), 7.5);
        let random = random();
        assert!((0.0..1.0).contains(&random));
    }
}
