//! `debug`: prints what passes, for people.
//!
//! As the collector's `exporter/debugexporter` and `internal/otlptext`: one log line a batch with counts (`basic`), and
//! one line (`normal`) or a block (`detailed`) for every point, record and span below it.
//!
//! ```yaml
//! debug:
//!   verbosity: detailed
//! ```

mod detailed;
mod normal;
mod value;

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use config::Problem;
use model::{Batch, Frames, Metrics, Signal, Signals, Timestamp};
use pipeline::{Backoff, Bodies, Component, ExportError, Exporter, Refused, Request, SendingDefaults, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use translate::{ScopeInfo, ToOtlp};
use wire::Malformed;
use wire::otlp::count_metrics;

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// One line a batch, with counts.
    #[default]
    Basic,
    /// One line for each point, record and span.
    Normal,
    /// Everything, on many lines.
    Detailed,
}

/// Prints what passes, for people.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// How much is printed.
    #[serde(default)]
    pub verbosity: Verbosity,
    /// Batches that are printed at the beginning of each second.
    #[serde(default = "config::number::<2>")]
    pub sampling_initial: u64,
    /// After those, every so-many-th batch of the same second is printed; 1 prints all, 0 none.
    #[serde(default = "config::number::<1>")]
    pub sampling_thereafter: u64,
    /// Whether to print through our own log. Otherwise to `output_paths`.
    #[serde(default = "config::on")]
    pub use_internal_logger: bool,
    /// `stdout` or `stderr`, where the log is not used.
    #[serde(default = "stdout")]
    pub output_paths: Vec<String>,
}

fn stdout() -> Vec<String> {
    vec!["stdout".to_owned()]
}

/// The running exporter.
#[derive(Debug)]
pub struct Debug {
    id: String,
    config: Config,
    scope: ScopeInfo<'static>,
    sampler: Mutex<Sampler>,
}

/// Which batches of the current second are printed.
#[derive(Debug, Default)]
struct Sampler {
    second: Option<Instant>,
    n_batches: u64,
}

impl Sampler {
    fn passes(&mut self, config: &Config, now: Instant) -> bool {
        if self.second.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1)) {
            *self = Self { second: Some(now), n_batches: 0 };
        }
        self.n_batches += 1;
        let over = self.n_batches.saturating_sub(config.sampling_initial);
        over == 0 || (config.sampling_thereafter > 0 && over.is_multiple_of(config.sampling_thereafter))
    }
}

impl Debug {
    /// With settings that another component spells differently.
    pub(crate) fn with(config: Config, site: &Site) -> Self {
        let scope = ScopeInfo::prometheus_receiver(site.version);
        Self { id: site.id.to_string(), config, scope, sampler: Mutex::default() }
    }

    fn print(&self, message: &Message<'_>) -> std::io::Result<()> {
        let [resources, middle, items] = message.counts;
        if !self.config.use_internal_logger {
            let text = format!("{} {}\n{}", message.signal, items, message.text);
            for path in &self.config.output_paths {
                match path.as_str() {
                    "stderr" => std::io::stderr().write_all(text.as_bytes())?,
                    _ => std::io::stdout().write_all(text.as_bytes())?,
                }
            }
            return Ok(());
        }
        let id = &self.id;
        match message.signal {
            Signal::Metrics => {
                info!(
                    exporter = id,
                    "resource metrics" = resources,
                    metrics = middle,
                    "data points" = items,
                    "Metrics"
                );
            }
            Signal::Logs => info!(exporter = id, "resource logs" = resources, "log records" = items, "Logs"),
            Signal::Traces => info!(exporter = id, "resource spans" = resources, spans = items, "Traces"),
        }
        // The blocks stand below their line as the Go collector prints them; the log itself would escape their newlines.
        std::io::stderr().write_all(message.text.as_bytes())
    }
}

impl Component for Debug {
    const TYPE: &'static str = "debug";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let unknown = config.output_paths.iter().position(|path| path != "stdout" && path != "stderr");
        if let Some(index) = unknown {
            let path = format!("output_paths[{index}]");
            return Err(vec![Problem::at(
                path,
                "only stdout and stderr are built in; the `file` exporter writes files",
            )]);
        }
        Ok(Self::with(config, site))
    }
}

impl Exporter for Debug {
    const DEFAULTS: SendingDefaults = SendingDefaults {
        timeout: None,
        retry: Backoff { enabled: false, ..Backoff::HELPER },
        queue: None,
        uses_data_dir: false,
    };

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let now = Instant::now();
        if !self.sampler.lock().expect("no code panics while it holds this lock").passes(&self.config, now) {
            return Ok(());
        }
        let converted;
        let frames = match batch {
            Batch::Metrics(Metrics::Scrape(scrape)) => {
                let (frames, losses) = ToOtlp::new(self.scope).scrape(scrape);
                for dropped in &losses.dropped {
                    warn!(exporter = self.id, "{dropped}");
                }
                bodies.drop_items(losses.n_dropped() as u64);
                converted = frames;
                &converted
            }
            Batch::Metrics(Metrics::Otlp(frames)) | Batch::Logs(frames) | Batch::Traces(frames) => frames,
        };
        let malformed = |error: Malformed| Refused::Never { reason: error.to_string() };
        let counts = counts(batch.signal(), frames).map_err(malformed)?;
        let mut text = String::new();
        match self.config.verbosity {
            Verbosity::Basic => {}
            Verbosity::Normal => normal::print(batch.signal(), frames, &mut text).map_err(malformed)?,
            Verbosity::Detailed => detailed::print(batch.signal(), frames, &mut text).map_err(malformed)?,
        }
        let body = bodies.first();
        Message { signal: batch.signal(), counts, text: &text }.encode(&mut body.bytes);
        body.note(frames.n_items.max(1), Timestamp::from(std::time::SystemTime::now()));
        Ok(())
    }

    async fn send(&self, request: &Request, _n_before: u32) -> Result<(), ExportError> {
        let mut rest = &request.payload[..];
        while let Some((message, after)) = Message::decode(request.head.signal, rest) {
            self.print(&message).map_err(|error| ExportError::never("output", error))?;
            rest = after;
        }
        Ok(())
    }
}

/// One batch on its way to be printed: three counts, the length of the text, the text.
struct Message<'a> {
    signal: Signal,
    counts: [u32; 3],
    text: &'a str,
}

impl<'a> Message<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        for count in self.counts {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&(self.text.len() as u64).to_le_bytes());
        out.extend_from_slice(self.text.as_bytes());
    }

    fn decode(signal: Signal, bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(20)?;
        let count = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
        let counts = [count(0)?, count(4)?, count(8)?];
        let length = usize::try_from(u64::from_le_bytes(head[12..].try_into().ok()?)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        Some((Self { signal, counts, text: std::str::from_utf8(text).ok()? }, rest))
    }
}

/// Resources, then metrics (for the others nothing), then points, records or spans.
fn counts(signal: Signal, frames: &Frames) -> Result<[u32; 3], Malformed> {
    let mut n_metrics = 0;
    if signal == Signal::Metrics {
        for resource in &frames.resources {
            n_metrics += count_metrics(resource)?;
        }
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok([number(frames.resources.len()), number(n_metrics), number(frames.n_items)])
}

#[cfg(test)]
mod tests;
