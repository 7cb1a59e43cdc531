//! Self-metrics of components, registered by the spine so that no part can forget them.
//!
//! Names are those of the OpenTelemetry Collector. Components hold a scope of the registry: when a reload takes a
//! component away, its metrics go with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::Signal;
use queue::Queue;
use telemetry::{Counter, Gauge, Registry, Scope};

use crate::ComponentId;

/// Counters of one outcome, one a signal.
#[derive(Clone)]
struct BySignal([Counter; 3]);

impl BySignal {
    fn new(scope: &Scope, names: [&'static str; 3], help: &'static str, labels: &[(&str, &str)]) -> Self {
        Self(names.map(|name| scope.counter(name, help, labels)))
    }

    fn add(&self, signal: Signal, n_items: usize) {
        self.0[signal as usize].inc_by(n_items as u64);
    }
}

/// What a receiver handed to its pipelines, by transport.
#[derive(Clone)]
pub(crate) struct ReceiverCounters {
    scope: Scope,
    id: Arc<str>,
    transport: &'static str,
    /// Made when the first batch comes, so that a transport that is never used shows no series.
    counters: Arc<Mutex<Option<(BySignal, BySignal)>>>,
}

impl ReceiverCounters {
    pub(crate) fn new(registry: &Registry, id: &ComponentId) -> Self {
        let (scope, id) = (registry.scope(), id.to_string().into());
        Self { scope, id, transport: "", counters: Arc::default() }
    }

    pub(crate) fn via(&self, transport: &'static str) -> Self {
        Self { transport, counters: Arc::default(), ..self.clone() }
    }

    pub(crate) fn count(&self, signal: Signal, n_items: usize, is_accepted: bool) {
        let mut counters = self.counters.lock().expect("no code panics while it holds this lock");
        let (accepted, refused) = counters.get_or_insert_with(|| {
            let labels = [("receiver", &*self.id), ("transport", self.transport)];
            let accepted = BySignal::new(
                &self.scope,
                [
                    "otelcol_receiver_accepted_metric_points",
                    "otelcol_receiver_accepted_log_records",
                    "otelcol_receiver_accepted_spans",
                ],
                "Items that pipelines accepted from the receiver.",
                &labels,
            );
            let refused = BySignal::new(
                &self.scope,
                [
                    "otelcol_receiver_refused_metric_points",
                    "otelcol_receiver_refused_log_records",
                    "otelcol_receiver_refused_spans",
                ],
                "Items that pipelines refused.",
                &labels,
            );
            (accepted, refused)
        });
        if is_accepted { accepted.add(signal, n_items) } else { refused.add(signal, n_items) }
    }
}

impl std::fmt::Debug for ReceiverCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiverCounters({}, {})", self.id, self.transport)
    }
}

/// What a scraping receiver found.
pub(crate) struct ScraperCounters {
    _scope: Scope,
    scraped: Counter,
    errored: Counter,
}

impl ScraperCounters {
    pub(crate) fn new(registry: &Registry, id: &ComponentId, scraper: &str) -> Self {
        let scope = registry.scope();
        let id = id.to_string();
        let labels = [("receiver", &*id), ("scraper", scraper)];
        Self {
            scraped: scope.counter(
                "otelcol_scraper_scraped_metric_points",
                "Points that were scraped.",
                &labels,
            ),
            errored: scope.counter(
                "otelcol_scraper_errored_metric_points",
                "What could not be read: points, files or whole scrapes.",
                &labels,
            ),
            _scope: scope.clone(),
        }
    }

    pub(crate) fn scraped(&self, n_items: usize) {
        self.scraped.inc_by(n_items as u64);
    }

    pub(crate) fn errored(&self, n_errors: u64) {
        self.errored.inc_by(n_errors);
    }
}

/// What went into a processor and came out.
#[derive(Clone)]
pub(crate) struct ProcessorCounters {
    _scope: Scope,
    incoming: [Counter; 3],
    outgoing: [Counter; 3],
}

impl ProcessorCounters {
    pub(crate) fn new(registry: &Registry, id: &ComponentId) -> Self {
        let (scope, id) = (registry.scope(), id.to_string());
        let counter = |name: &'static str, help: &'static str| {
            Signal::ALL.map(|signal| {
                scope.counter(name, help, &[("processor", &*id), ("otel_signal", signal.as_str())])
            })
        };
        Self {
            incoming: counter("otelcol_processor_incoming_items", "Items that went into the processor."),
            outgoing: counter("otelcol_processor_outgoing_items", "Items that came out of the processor."),
            _scope: scope.clone(),
        }
    }

    pub(crate) fn incoming(&self, signal: Signal, n_items: usize) {
        self.incoming[signal as usize].inc_by(n_items as u64);
    }

    pub(crate) fn outgoing(&self, signal: Signal, n_items: usize) {
        self.outgoing[signal as usize].inc_by(n_items as u64);
    }
}

/// What an exporter sent, and what waits in front of it.
pub(crate) struct ExporterCounters {
    scope: Scope,
    sent: Counter,
    send_failed: Counter,
    enqueue_failed: Counter,
    queue_size: Gauge,
    queue_capacity: Gauge,
    in_flight: Gauge,
    exporter: String,
    signal: Signal,
    denied: Gauge,
    retries: Counter,
    bisections: Counter,
    dropped: DroppedCounters,
}

impl ExporterCounters {
    pub(crate) fn new(registry: &Registry, id: &ComponentId, signal: Signal) -> Self {
        let (scope, id) = (registry.scope(), id.to_string());
        let [sent, send_failed, enqueue_failed] = exporter_names(signal);
        let labels = [("exporter", &*id)];
        let by_type = [("exporter", &*id), ("data_type", signal.as_str())];
        Self {
            sent: scope.counter(sent, "Items that the endpoint acknowledged.", &labels),
            send_failed: scope.counter(send_failed, "Items that were given up.", &labels),
            enqueue_failed: scope.counter(enqueue_failed, "Items that found no room in the queue.", &labels),
            queue_size: scope.gauge(
                "otelcol_exporter_queue_size",
                "Requests in the sending queue.",
                &by_type,
            ),
            queue_capacity: scope.gauge(
                "otelcol_exporter_queue_capacity",
                "Size of the sending queue; +Inf where only bytes and age bind it.",
                &by_type,
            ),
            in_flight: scope.gauge(
                "otelcol_exporter_in_flight_requests",
                "Requests that left the queue and are not done.",
                &by_type,
            ),
            denied: scope.gauge(
                "muster_exporter_denied",
                "1 while the endpoint answers 401, 403 or 404, whatever it is sent.",
                &by_type,
            ),
            retries: scope.counter(
                "muster_exporter_retries_total",
                "Attempts after the first one of a request.",
                &by_type,
            ),
            bisections: scope.counter(
                "muster_exporter_bisection_requests_total",
                "Extra requests that were sent to find what is bad in a rejected one.",
                &by_type,
            ),
            dropped: DroppedCounters::new(&scope, &id, signal),
            exporter: id.clone(),
            signal,
            scope: scope.clone(),
        }
    }

    pub(crate) fn sent(&self, n_items: u64) {
        self.sent.inc_by(n_items);
    }

    pub(crate) fn send_failed(&self, n_items: u64) {
        self.send_failed.inc_by(n_items);
    }

    /// Items that are lost; `reason` is one fixed word.
    pub(crate) fn dropped(&self, reason: &'static str, n_items: u64) {
        self.send_failed(n_items);
        self.dropped.add(reason, n_items);
    }

    /// Counters of a queue that is kept on disk.
    pub(crate) fn queue_meters(&self) -> queue::Meters {
        queue::Meters::new(&self.scope, &[("exporter", &*self.exporter), ("data_type", self.signal.as_str())])
    }

    /// Shows what waits in a queue.
    pub(crate) fn observe_queue(&self, queue: &Queue) {
        let labels = [("exporter", &*self.exporter), ("data_type", self.signal.as_str())];
        let scope = &self.scope;
        let of = |value: fn(&Queue) -> Option<f64>| {
            // The metrics must not keep the queue alive.
            let queue = queue.downgrade();
            move || queue.upgrade().and_then(|queue| value(&queue))
        };
        scope.observe_gauge(
            "muster_exporter_queue_memory_bytes",
            "Bytes of queued requests in memory.",
            &labels,
            of(|queue| Some(queue.memory_bytes() as f64)),
        );
        scope.observe_gauge(
            "muster_exporter_queue_oldest_age_seconds",
            "How long the oldest request has been in the queue; 0 when it is empty.",
            &labels,
            of(|queue| Some(queue.oldest_age().unwrap_or_default().as_secs_f64())),
        );
        if queue.is_disk_usable().is_none() {
            return;
        }
        scope.observe_gauge(
            "muster_exporter_queue_disk_bytes",
            "Bytes of queued requests on disk.",
            &labels,
            of(|queue| Some(queue.disk_bytes() as f64)),
        );
        scope.observe_gauge(
            "muster_exporter_queue_disk_usable",
            "1 while the disk takes what it is given, 0 while the queue is in memory alone.",
            &labels,
            of(|queue| queue.is_disk_usable().map(|is_usable| f64::from(u8::from(is_usable)))),
        );
        scope.observe_gauge(
            "muster_exporter_queue_full_in_seconds",
            "Estimated time until the queue on disk is full; absent while it does not grow.",
            &labels,
            of(Queue::seconds_to_full),
        );
    }

    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    pub(crate) fn bisection(&self) {
        self.bisections.inc();
    }

    pub(crate) fn denied(&self, is_denied: bool) {
        self.denied.set(f64::from(u8::from(is_denied)));
    }

    pub(crate) fn enqueue_failed(&self, n_items: u64) {
        self.enqueue_failed.inc_by(n_items);
    }

    pub(crate) fn queue_size(&self, requests: u64) {
        self.queue_size.set(requests as f64);
    }

    pub(crate) fn queue_capacity(&self, size: f64) {
        self.queue_capacity.set(size);
    }

    pub(crate) fn in_flight(&self, requests: u64) {
        self.in_flight.set(requests as f64);
    }
}

/// How many requests are under way at once, where lanes share one pace.
pub(crate) struct PaceGauges {
    _scope: Scope,
    desired: Gauge,
    sending: Gauge,
}

impl PaceGauges {
    pub(crate) fn new(registry: &Registry, id: &ComponentId, signal: Signal) -> Self {
        let (scope, id) = (registry.scope(), id.to_string());
        let labels = [("exporter", &*id), ("data_type", signal.as_str())];
        Self {
            desired: scope.gauge(
                "muster_exporter_desired_requests",
                "Requests that should be under way at once, from what comes in and what waits.",
                &labels,
            ),
            sending: scope.gauge(
                "muster_exporter_sending_requests",
                "Requests that the endpoint is working on.",
                &labels,
            ),
            _scope: scope.clone(),
        }
    }

    pub(crate) fn desired(&self, n_requests: usize) {
        self.desired.set(n_requests as f64);
    }

    pub(crate) fn sending(&self, n_requests: usize) {
        self.sending.set(n_requests as f64);
    }
}

/// Lost items by reason; a reason has a series from its first item on.
struct DroppedCounters {
    scope: Scope,
    exporter: String,
    signal: Signal,
    by_reason: Mutex<BTreeMap<&'static str, Counter>>,
}

impl DroppedCounters {
    fn new(scope: &Scope, exporter: &str, signal: Signal) -> Self {
        let (scope, exporter) = (scope.clone(), exporter.to_owned());
        Self { scope, exporter, signal, by_reason: Mutex::default() }
    }

    fn add(&self, reason: &'static str, n_items: u64) {
        let mut by_reason = self.by_reason.lock().expect("no code panics while it holds this lock");
        let counter = by_reason.entry(reason).or_insert_with(|| {
            let labels =
                [("exporter", &*self.exporter), ("data_type", self.signal.as_str()), ("reason", reason)];
            self.scope.counter(
                "muster_exporter_dropped_items_total",
                "Items that are lost, by reason.",
                &labels,
            )
        });
        counter.inc_by(n_items);
    }
}

fn exporter_names(signal: Signal) -> [&'static str; 3] {
    match signal {
        Signal::Metrics => [
            "otelcol_exporter_sent_metric_points",
            "otelcol_exporter_send_failed_metric_points",
            "otelcol_exporter_enqueue_failed_metric_points",
        ],
        Signal::Logs => [
            "otelcol_exporter_sent_log_records",
            "otelcol_exporter_send_failed_log_records",
            "otelcol_exporter_enqueue_failed_log_records",
        ],
        Signal::Traces => [
            "otelcol_exporter_sent_spans",
            "otelcol_exporter_send_failed_spans",
            "otelcol_exporter_enqueue_failed_spans",
        ],
    }
}
