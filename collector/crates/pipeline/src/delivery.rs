//! Trying a request until it is accepted, rejected for good, or the retry time is over.

use queue::Request;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::entry::AnyExporter;
use crate::metrics::ExporterCounters;
use crate::retry::random;
use crate::{ComponentId, ExportError, Sending};

/// An exporter with what it needs to see a request through to its end.
pub(crate) struct Sender {
    pub(crate) id: ComponentId,
    pub(crate) exporter: Box<dyn AnyExporter>,
    pub(crate) sending: Sending,
    pub(crate) counters: ExporterCounters,
}

/// How a request ended.
pub(crate) enum Delivery {
    Done,
    GivenUp(String),
    Never(String),
}

impl Sender {
    /// Tries until it worked, cannot work, or the retry time is over.
    pub(crate) async fn deliver(&self, request: &Request) -> Delivery {
        let began = Instant::now();
        let mut n_attempts = 0;
        loop {
            let error = match self.attempt(request, n_attempts).await {
                Ok(()) => {
                    self.counters.sent(request.head.n_items);
                    debug!(exporter = %self.id, items = request.head.n_items, "sent");
                    return Delivery::Done;
                }
                Err(error) => error,
            };
            n_attempts += 1;
            let reason = telemetry::error_chain(&error);
            let (after, is_never) = match error {
                ExportError::Never { .. } => (None, true),
                ExportError::Later { after, .. } => (after, false),
            };
            let retry = &self.sending.retry;
            let wait = retry.wait(n_attempts, random(), after);
            let is_over =
                !retry.enabled || retry.max_elapsed.is_some_and(|limit| began.elapsed() + wait > limit);
            if is_never || is_over {
                self.counters.send_failed(request.head.n_items);
                error!(
                    exporter = %self.id, error = reason, dropped_items = request.head.n_items, attempts = n_attempts,
                    "Exporting failed. Dropping data."
                );
                return if is_never { Delivery::Never(reason) } else { Delivery::GivenUp(reason) };
            }
            warn!(
                exporter = %self.id, error = reason, interval = ?wait, attempts = n_attempts,
                "Exporting failed. Will retry the request after interval."
            );
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        let Some(limit) = self.sending.timeout else { return self.exporter.send(request, n_before).await };
        match tokio::time::timeout(limit, self.exporter.send(request, n_before)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(ExportError::Later {
                after: None,
                source: format!("no answer within timeout ({limit:?})").into(),
            }),
        }
    }
}
