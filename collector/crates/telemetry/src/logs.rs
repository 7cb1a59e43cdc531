//! Starting the log and changing its level later.
//!
//! Keys, levels and defaults are those of `service.telemetry.logs` in the OpenTelemetry Collector. Two things
//! differ on purpose: sampling of equal lines is not done here (callers limit repeated warnings, with a count
//! of what was suppressed), and debug lines of network libraries are not shown at any level but their
//! warnings are.

use std::collections::BTreeMap;
use std::io::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use crate::Identity;
use crate::line::{Lines, Output};

/// `service.telemetry.logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogsConfig {
    /// Lines below this level are not written.
    #[serde(default)]
    pub level: Level,
    /// How a line looks.
    #[serde(default)]
    pub encoding: Encoding,
    /// Leaves out where a line comes from.
    #[serde(default)]
    pub disable_caller: bool,
    /// Leaves out the `resource` field, which names this instance.
    #[serde(default)]
    pub disable_zap_resource: bool,
    /// Fields that every line carries.
    #[serde(default)]
    pub initial_fields: BTreeMap<String, serde_json::Value>,
    /// Where lines go: `stderr` or `stdout`.
    #[serde(default = "stderr")]
    pub output_paths: Vec<String>,
    /// Where complaints about logging itself go. Accepted for compatibility, without effect.
    #[serde(default = "stderr")]
    pub error_output_paths: Vec<String>,
    /// Accepted for compatibility, without effect.
    #[serde(default)]
    pub development: bool,
    /// Accepted for compatibility, without effect: lines carry no stack traces.
    #[serde(default)]
    pub disable_stacktrace: bool,
    /// Accepted for compatibility, without effect: repeated warnings are limited where they arise.
    #[serde(default)]
    pub sampling: serde_json::Value,
    /// Export of our own lines by OTLP; not supported.
    #[serde(default)]
    pub processors: Vec<serde_json::Value>,
}

impl LogsConfig {
    /// What cannot work, as key and message.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.processors.is_empty() {
            let message = "export of our own logs is not supported; lines go to `output_paths`";
            problems.push(("processors".to_owned(), message.to_owned()));
        }
        if !matches!(self.output_paths.as_slice(), [path] if path == "stderr" || path == "stdout") {
            let message = "must be one of `stderr` and `stdout`";
            problems.push(("output_paths".to_owned(), message.to_owned()));
        }
        problems
    }

    fn output(&self) -> Output {
        if self.output_paths.iter().any(|path| path == "stdout") { Output::Stdout } else { Output::Stderr }
    }
}

impl Default for LogsConfig {
    fn default() -> Self {
        serde_json::from_value(serde_json::Value::Object(serde_json::Map::new()))
            .expect("every key has a default")
    }
}

fn stderr() -> Vec<String> {
    vec!["stderr".to_owned()]
}

/// How much is said. The words are zap's; the three above `error` mean `error` here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything.
    #[serde(alias = "DEBUG")]
    Debug,
    /// Life-cycle and above.
    #[default]
    #[serde(alias = "INFO")]
    Info,
    /// What heals itself, and above.
    #[serde(alias = "WARN", alias = "warning")]
    Warn,
    /// Lost data only.
    #[serde(alias = "ERROR", alias = "dpanic", alias = "panic", alias = "fatal")]
    Error,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Time, level, origin, message and fields as JSON, separated by tabs.
    #[default]
    Console,
    /// One JSON object with the keys `level`, `ts`, `caller`, `msg`, and the fields.
    Json,
}

/// The running log.
#[derive(Clone, Debug)]
pub struct Logs {
    verbosity: reload::Handle<Verbosity, Registry>,
}

impl Logs {
    /// Changes the level from now on.
    pub fn set_level(&self, level: Level) {
        // Fails only when the subscriber is gone, and then nobody listens.
        drop(self.verbosity.reload(Verbosity(level.filter())));
    }
}

/// The log was started before, by somebody else in this process.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the log: this process has one already")]
pub struct InitError(#[source] tracing::dispatcher::SetGlobalDefaultError);

/// Starts the log of this process.
///
/// # Errors
/// When the process has a log already.
pub fn init(config: &LogsConfig, identity: &Identity) -> Result<Logs, InitError> {
    let (dispatch, logs) = build(config, identity, config.output());
    tracing::dispatcher::set_global_default(dispatch).map_err(InitError)?;
    Ok(logs)
}

/// A log that writes into `writer` instead, for use with `tracing::dispatcher::with_default`.
pub fn to_writer(
    config: &LogsConfig,
    identity: &Identity,
    writer: impl Write + Send + 'static,
) -> (Dispatch, Logs) {
    build(config, identity, Output::writer(writer))
}

fn build(config: &LogsConfig, identity: &Identity, output: Output) -> (Dispatch, Logs) {
    let (filter, verbosity) = reload::Layer::new(Verbosity(config.level.filter()));
    let lines = Lines::new(config, identity, output);
    let subscriber = Registry::default().with(filter).with(lines);
    (Dispatch::new(subscriber), Logs { verbosity })
}

/// Libraries whose chatter below `warn` helps nobody who runs a collector.
const CHATTY: [&str; 8] = ["h2", "hyper", "hyper_util", "kube", "mio", "rustls", "tokio_rustls", "tower"];

#[derive(Debug)]
struct Verbosity(LevelFilter);

impl<S: Subscriber> Layer<S> for Verbosity {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let origin = metadata.target().split("::").next().unwrap_or_default();
        let limit = if CHATTY.contains(&origin) { self.0.min(LevelFilter::WARN) } else { self.0 };
        *metadata.level() <= limit
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0)
    }
}

#[cfg(test)]
mod tests;
