//! The exporter's own metrics.

use telemetry::{Counter, Gauge, Registry, Scope};
use wire::remote_write::Protocol;
use wire::remote_write::v2::Counts;

/// What the exporter counts beside what every exporter does.
pub(super) struct Metrics {
    _scope: Scope,
    protocol: Gauge,
    /// Samples, histograms, exemplars.
    unwritten: [Counter; 3],
}

impl Metrics {
    pub(super) fn new(registry: &Registry, exporter: &str) -> Self {
        let scope = registry.scope();
        Self {
            protocol: scope.gauge(
                "muster_remote_write_protocol_version",
                "Version of the remote write protocol that is spoken: 1 or 2.",
                &[("exporter", exporter)],
            ),
            unwritten: ["samples", "histograms", "exemplars"].map(|kind| {
                scope.counter(
                    "muster_remote_write_unwritten_total",
                    "What a receiver of remote write 2.0 accepted and did not write, as its answers say.",
                    &[("exporter", exporter), ("kind", kind)],
                )
            }),
            _scope: scope,
        }
    }

    pub(super) fn speaks(&self, protocol: Protocol) {
        self.protocol.set(match protocol {
            Protocol::V1 => 1.0,
            Protocol::V2 => 2.0,
        });
    }

    pub(super) fn unwritten(&self, counts: Counts) {
        for (counter, n) in self.unwritten.iter().zip([counts.samples, counts.histograms, counts.exemplars]) {
            counter.inc_by(n);
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}
