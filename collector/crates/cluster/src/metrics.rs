//! Our own metrics about watches.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `muster_cluster_watches` | `resource` | watches that somebody looks at |
//! | `muster_cluster_objects` | `resource` | objects that are kept |
//! | `muster_cluster_events_total` | `resource`, `type` | events received: added, modified, deleted, bookmark, error |
//! | `muster_cluster_lists_total` | `resource` | whole lists read; more than one per watch is a relist |
//! | `muster_cluster_failures_total` | `resource`, `reason` | requests that failed, see [`Reason::name`] |

use telemetry::{Counter, Gauge, Registry, Scope};

use crate::{Kind, Reason};

/// Metrics of one watch; they go when it ends and nobody else watches the kind.
pub(crate) struct Metrics {
    scope: Scope,
    resource: String,
    watches: Gauge,
    objects: Gauge,
    n_objects: f64,
    lists: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry, kind: Kind) -> Self {
        let (scope, resource) = (registry.scope(), kind.to_string());
        let labels = [("resource", resource.as_str())];
        let watches = scope.gauge("muster_cluster_watches", "Watches that somebody looks at.", &labels);
        let objects = scope.gauge("muster_cluster_objects", "Objects that are kept.", &labels);
        let lists = scope.counter("muster_cluster_lists_total", "Whole lists that were read.", &labels);
        watches.inc();
        Self { scope, resource, watches, objects, n_objects: 0.0, lists }
    }

    pub(crate) fn event(&self, kind: &str, n_events: u64) {
        let labels = [("resource", self.resource.as_str()), ("type", kind)];
        let help = "Events received from watches.";
        self.scope.counter("muster_cluster_events_total", help, &labels).inc_by(n_events);
    }

    pub(crate) fn failed(&self, reason: Reason) {
        let labels = [("resource", self.resource.as_str()), ("reason", reason.name())];
        let help = "Lists and watches that failed.";
        self.scope.counter("muster_cluster_failures_total", help, &labels).inc();
    }

    pub(crate) fn listed(&self) {
        self.lists.inc();
    }

    /// How many objects this watch keeps now.
    pub(crate) fn keeps(&mut self, n_objects: usize) {
        let n_objects = n_objects as f64;
        self.objects.add(n_objects - self.n_objects);
        self.n_objects = n_objects;
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.watches.dec();
        self.objects.sub(self.n_objects);
    }
}
