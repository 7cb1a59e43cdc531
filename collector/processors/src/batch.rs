//! `batch`: joins small OTLP batches into larger ones.
//!
//! As the collector's `processor/batchprocessor`, except: a batch that is refused downstream is kept and offered again
//! until it is accepted, while senders wait (upstream drops it); scrapes pass at once, because a scrape is a whole
//! already and exporters join requests themselves; `metadata_keys` is refused, because requests carry no client metadata yet.
//!
//! ```yaml
//! batch:
//!   timeout: 200ms
//!   send_batch_size: 8192
//! ```

use std::time::Duration;

use config::{Problem, Timeout};
use model::{Frames, Metrics, Signal, Signals};
use pipeline::{Component, Inlet, Life, Outlet, Refused, Site, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{error, warn};

/// Wait before a refused batch is offered again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Joins small batches into larger ones.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Longest time that an item waits for others; 0 forwards at once.
    #[serde(default = "two_hundred_millis")]
    pub timeout: Timeout,
    /// Spans, points or records from which a batch is sent without waiting longer; 0 forwards at once.
    #[serde(default = "config::count::<8192>")]
    pub send_batch_size: usize,
    /// Largest batch; 0 means none. Larger ones are cut, inside a resource if need be.
    #[serde(default = "config::count::<0>")]
    pub send_batch_max_size: usize,
    /// Client metadata by which batches are kept apart.
    #[serde(default)]
    pub metadata_keys: Vec<String>,
    /// Largest number of distinct metadata values.
    #[serde(default = "config::count::<1000>")]
    pub metadata_cardinality_limit: usize,
}

fn two_hundred_millis() -> Timeout {
    Timeout::new(Duration::from_millis(200))
}

/// The running processor.
#[derive(Debug)]
pub struct Batch {
    timeout: Option<Duration>,
    size: usize,
    max_size: usize,
}

impl Component for Batch {
    const TYPE: &'static str = "batch";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.send_batch_max_size > 0 && config.send_batch_max_size < config.send_batch_size {
            problems.push(Problem::at("send_batch_max_size", "must not be smaller than send_batch_size"));
        }
        if !config.metadata_keys.is_empty() {
            problems.push(Problem::at(
                "metadata_keys",
                "batching by client metadata is not built in yet; remove the key to join all clients' data",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            timeout: config.timeout.as_duration(),
            size: config.send_batch_size,
            max_size: if config.send_batch_max_size == 0 { usize::MAX } else { config.send_batch_max_size },
        })
    }
}

impl Stage for Batch {
    async fn run(self, mut inlet: Inlet, out: Outlet, life: Life) {
        let mut waiting: Option<(Signal, Frames)> = None;
        let mut due: Option<Instant> = None;
        loop {
            let received = match due {
                None => inlet.receive().await,
                Some(at) => match tokio::time::timeout_at(at, inlet.receive()).await {
                    Ok(received) => received,
                    Err(_due) => {
                        self.flush(&mut waiting, 0, &out, &life).await;
                        due = None;
                        continue;
                    }
                },
            };
            match received {
                None => {
                    self.flush(&mut waiting, 0, &out, &life).await;
                    return;
                }
                Some(model::Batch::Metrics(Metrics::Otlp(frames))) => {
                    join(&mut waiting, Signal::Metrics, frames)
                }
                Some(model::Batch::Logs(frames)) => join(&mut waiting, Signal::Logs, frames),
                Some(model::Batch::Traces(frames)) => join(&mut waiting, Signal::Traces, frames),
                Some(scrape) => {
                    deliver(scrape, &out, &life).await;
                    continue;
                }
            }
            let trigger = if self.timeout.is_none() { 0 } else { self.size };
            self.flush(&mut waiting, trigger, &out, &life).await;
            due = match (waiting.is_some(), due, self.timeout) {
                (true, None, Some(timeout)) => Some(Instant::now() + timeout),
                (true, due, _) => due,
                (false, ..) => None,
            };
        }
    }
}

fn join(waiting: &mut Option<(Signal, Frames)>, signal: Signal, frames: Frames) {
    let (_, joined) = waiting.get_or_insert_with(|| (signal, Frames::default()));
    joined.n_items += frames.n_items;
    joined.resources.extend(frames.resources);
}

impl Batch {
    /// Sends what waits, when it holds at least `trigger` items.
    async fn flush(&self, waiting: &mut Option<(Signal, Frames)>, trigger: usize, out: &Outlet, life: &Life) {
        if waiting.as_ref().is_none_or(|(_, frames)| frames.n_items < trigger) {
            return;
        }
        let Some((signal, frames)) = waiting.take() else { return };
        let mut parts = cut(signal, frames, self.max_size);
        // What is left behind the cuts is a new batch, which waits for company again.
        if parts.len() > 1
            && let Some(rest) = parts.pop_if(|rest| rest.n_items < trigger)
        {
            *waiting = Some((signal, rest));
        }
        for part in parts {
            deliver(model::Batch::from_frames(signal, part), out, life).await;
        }
    }
}

/// Cuts off whole parts of `max_items` until the rest is no larger. Frames that cannot be cut stay whole.
fn cut(signal: Signal, mut frames: Frames, max_items: usize) -> Vec<Frames> {
    let mut parts = Vec::new();
    while frames.n_items > max_items {
        match wire::otlp::take(signal, &mut frames, max_items) {
            Ok(part) => parts.push(part),
            Err(_malformed) => break,
        }
    }
    parts.push(frames);
    parts
}

/// Offers a batch until it is accepted. While this waits, senders in front of the stage wait too.
async fn deliver(batch: model::Batch, out: &Outlet, life: &Life) {
    loop {
        match out.send(batch.clone()).await {
            Ok(()) => return,
            Err(refused)
                if refused.is_temporary() && refused != Refused::Stopping && !life.stop().is_raised() =>
            {
                warn!(processor = %life.id(), error = %refused, "a batch was refused and will be offered again");
                tokio::time::sleep(refused.retry_after().unwrap_or(RETRY_PAUSE)).await;
            }
            Err(refused) => {
                error!(processor = %life.id(), error = %refused, dropped_items = batch.n_items(), "Sender failed. Dropping data.");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
