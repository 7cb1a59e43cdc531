//! What a queue on disk tells of itself, as metrics. The names are in ARCHITECTURE.md.

use telemetry::{Counter, Histogram, Scope};

use crate::Dropped;

/// Bounds of the time that a sync takes, in seconds.
const SYNC_BOUNDS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Counters of one queue.
#[derive(Clone, Debug)]
pub struct Meters {
    dropped: [Counter; Dropped::ALL.len()],
    pub(crate) recovered: Counter,
    pub(crate) errors: Counter,
    pub(crate) sync_seconds: Histogram,
}

impl Meters {
    /// Makes them with these labels.
    #[must_use]
    pub fn new(scope: &Scope, labels: &[(&str, &str)]) -> Self {
        Self {
            dropped: Dropped::ALL.map(|reason| {
                let mut labels = labels.to_vec();
                labels.push(("reason", reason.as_str()));
                scope.counter(
                    "muster_exporter_dropped_items_total",
                    "Items that are lost, by reason.",
                    &labels,
                )
            }),
            recovered: scope.counter(
                "muster_exporter_queue_recovered_items_total",
                "Items that were found on disk at the start.",
                labels,
            ),
            errors: scope.counter(
                "muster_exporter_queue_disk_errors_total",
                "Rounds of saving that the disk refused.",
                labels,
            ),
            sync_seconds: scope.histogram(
                "muster_exporter_queue_sync_seconds",
                "Time that a sync of the queue on disk takes.",
                &SYNC_BOUNDS,
                labels,
            ),
        }
    }

    pub(crate) fn dropped(&self, reason: Dropped, n_items: u64) {
        self.dropped[reason as usize].inc_by(n_items);
    }
}
