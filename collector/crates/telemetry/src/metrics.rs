//! The registry of our own metrics.
//!
//! Counters, gauges and histograms are those of the `prometheus` crate; the registry around them is our own,
//! because components come and go while the process runs. A [`Scope`] remembers what was made through it and
//! takes it away when it is dropped; what a second scope holds too (a component that is replaced during a
//! reload) stays, with its value. Names are printed exactly as given: no `_total` and no unit is added, as
//! the OpenTelemetry Collector does by default.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{HistogramOpts, Opts, TextEncoder};

pub use prometheus::{Gauge, Histogram, IntCounter as Counter};

use crate::{Identity, process};

/// All metrics of this process, or of a part under test. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

struct Family {
    help: &'static str,
    kind: MetricType,
    children: BTreeMap<Labels, Child>,
}

/// Sorted by name.
type Labels = Vec<(String, String)>;

struct Child {
    metric: Metric,
    /// How many scopes hold it; a metric of the registry itself is held for ever.
    holders: usize,
}

#[derive(Clone)]
enum Metric {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Observed(Arc<dyn Fn() -> Option<f64> + Send + Sync>),
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle that takes its metrics away when it is dropped.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { inner: Arc::new(ScopeInner { registry: self.clone(), held: Mutex::default() }) }
    }

    /// A counter that stays for the life of the process; the same one when it is there already.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        self.hold_counter(name, help, labels).0
    }

    /// A gauge that stays for the life of the process; the same one when it is there already.
    #[must_use]
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        self.hold_gauge(name, help, labels).0
    }

    /// A histogram that stays for the life of the process; the same one when it is there already. Bounds
    /// ascend and need no `+Inf`.
    #[must_use]
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &[f64],
        labels: &[(&str, &str)],
    ) -> Histogram {
        self.hold_histogram(name, help, bounds, labels).0
    }

    /// A counter whose value is asked for when the metrics are printed. `None` leaves it out.
    pub fn observe_counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.hold(
            name,
            help,
            MetricType::COUNTER,
            sorted(labels),
            Held::Replace(Metric::Observed(Arc::new(value))),
        );
    }

    /// A gauge whose value is asked for when the metrics are printed. `None` leaves it out.
    pub fn observe_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.hold(
            name,
            help,
            MetricType::GAUGE,
            sorted(labels),
            Held::Replace(Metric::Observed(Arc::new(value))),
        );
    }

    /// Adds `otelcol_process_cpu_seconds`, `otelcol_process_memory_rss` and `otelcol_process_uptime`.
    pub fn observe_process(&self) {
        process::register(self);
    }

    /// Adds `target_info`, which says who this is. Dots in names of attributes become `_`.
    pub fn describe(&self, identity: &Identity) {
        let labels = identity.attributes().map(|(key, value)| (label_name(key), value.to_owned())).collect();
        let one = Metric::Observed(Arc::new(|| Some(1.0)));
        self.hold("target_info", "Target metadata", MetricType::GAUGE, labels, Held::Replace(one));
    }

    /// Everything in the Prometheus text format 0.0.4, families sorted by name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Fails only for families without metrics, which are not gathered.
        drop(TextEncoder::new().encode_utf8(&self.gather(), &mut text));
        text
    }

    /// The value of a counter or gauge, the count of a histogram. Meant for tests and for pages about
    /// ourselves.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let metric = self.lock().get(name)?.children.get(&sorted(labels))?.metric.clone();
        match metric {
            Metric::Counter(counter) => {
                counter.collect().first()?.get_metric().first().map(|metric| metric.get_counter().get_value())
            }
            Metric::Gauge(gauge) => Some(gauge.get()),
            Metric::Histogram(histogram) => histogram.collect().first()?.get_metric().first().map(count),
            Metric::Observed(value) => value(),
        }
    }

    fn gather(&self) -> Vec<MetricFamily> {
        // Observed values are asked for outside of the lock: they are code of others, which may make metrics.
        let families: Vec<_> = self.lock().iter().map(|(name, family)| (*name, family.snapshot())).collect();
        families.into_iter().filter_map(|(name, snapshot)| snapshot.into_proto(name)).collect()
    }

    fn hold_counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> (Counter, bool) {
        let labels = sorted(labels);
        let fresh = Counter::with_opts(opts(name, help, &labels)).expect(CONSTANT);
        match self.hold(name, help, MetricType::COUNTER, labels, Held::Keep(Metric::Counter(fresh.clone()))) {
            Some(Metric::Counter(counter)) => (counter, true),
            other => (fresh, other.is_some()),
        }
    }

    fn hold_gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> (Gauge, bool) {
        let labels = sorted(labels);
        let fresh = Gauge::with_opts(opts(name, help, &labels)).expect(CONSTANT);
        match self.hold(name, help, MetricType::GAUGE, labels, Held::Keep(Metric::Gauge(fresh.clone()))) {
            Some(Metric::Gauge(gauge)) => (gauge, true),
            other => (fresh, other.is_some()),
        }
    }

    fn hold_histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &[f64],
        labels: &[(&str, &str)],
    ) -> (Histogram, bool) {
        let labels = sorted(labels);
        let opts = HistogramOpts { common_opts: opts(name, help, &labels), buckets: bounds.to_vec() };
        let fresh = Histogram::with_opts(opts).expect(CONSTANT);
        match self.hold(
            name,
            help,
            MetricType::HISTOGRAM,
            labels,
            Held::Keep(Metric::Histogram(fresh.clone())),
        ) {
            Some(Metric::Histogram(histogram)) => (histogram, true),
            other => (fresh, other.is_some()),
        }
    }

    /// Finds or makes a metric and counts one more holder. `None`, and a line in the log, when the name has
    /// another kind.
    fn hold(
        &self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        labels: Labels,
        held: Held,
    ) -> Option<Metric> {
        let mut families = self.lock();
        let family = families.entry(name).or_insert_with(|| Family { help, kind, children: BTreeMap::new() });
        if family.kind != kind {
            drop(families);
            tracing::error!(metric = name, "metric is not shown: its name is taken by one of another kind");
            return None;
        }
        let (metric, replaces) = match held {
            Held::Keep(metric) => (metric, false),
            Held::Replace(metric) => (metric, true),
        };
        let child =
            family.children.entry(labels).or_insert_with(|| Child { metric: metric.clone(), holders: 0 });
        child.holders += 1;
        if replaces {
            child.metric = metric;
        }
        Some(child.metric.clone())
    }

    fn release(&self, name: &str, labels: &Labels) {
        let mut families = self.lock();
        let Some(family) = families.get_mut(name) else { return };
        let Some(child) = family.children.get_mut(labels) else { return };
        child.holders -= 1;
        if child.holders == 0 {
            family.children.remove(labels);
        }
        if family.children.is_empty() {
            families.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        // No code of others runs under the lock, so the map is whole even if a holder panicked.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("n_families", &self.lock().len()).finish()
    }
}

/// Metrics of one component: they disappear when the last clone of the scope is dropped, unless another scope
/// made the same ones.
#[derive(Clone)]
pub struct Scope {
    inner: Arc<ScopeInner>,
}

struct ScopeInner {
    registry: Registry,
    held: Mutex<Vec<(&'static str, Labels)>>,
}

impl Scope {
    /// A counter; the same one when it is there already.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        let (counter, is_held) = self.inner.registry.hold_counter(name, help, labels);
        self.remember(name, labels, is_held);
        counter
    }

    /// A gauge; the same one when it is there already.
    #[must_use]
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        let (gauge, is_held) = self.inner.registry.hold_gauge(name, help, labels);
        self.remember(name, labels, is_held);
        gauge
    }

    /// A histogram; the same one when it is there already. Bounds ascend and need no `+Inf`.
    #[must_use]
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &[f64],
        labels: &[(&str, &str)],
    ) -> Histogram {
        let (histogram, is_held) = self.inner.registry.hold_histogram(name, help, bounds, labels);
        self.remember(name, labels, is_held);
        histogram
    }

    /// A counter whose value is asked for when the metrics are printed. `None` leaves it out; the last
    /// closure wins.
    pub fn observe_counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.observe(name, help, MetricType::COUNTER, labels, Arc::new(value));
    }

    /// A gauge whose value is asked for when the metrics are printed. `None` leaves it out; the last closure
    /// wins.
    pub fn observe_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.observe(name, help, MetricType::GAUGE, labels, Arc::new(value));
    }

    /// The registry behind the scope.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn observe(
        &self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        labels: &[(&str, &str)],
        value: Arc<dyn Fn() -> Option<f64> + Send + Sync>,
    ) {
        let held = Held::Replace(Metric::Observed(value));
        let held = self.inner.registry.hold(name, help, kind, sorted(labels), held);
        self.remember(name, labels, held.is_some());
    }

    fn remember(&self, name: &'static str, labels: &[(&str, &str)], is_held: bool) {
        if is_held {
            self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).push((name, sorted(labels)));
        }
    }
}

impl Drop for ScopeInner {
    fn drop(&mut self) {
        let held = std::mem::take(self.held.get_mut().unwrap_or_else(PoisonError::into_inner));
        for (name, labels) in held {
            self.registry.release(name, &labels);
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// What happens to a metric that is there already.
enum Held {
    Keep(Metric),
    Replace(Metric),
}

struct Snapshot {
    help: &'static str,
    kind: MetricType,
    children: Vec<(Labels, Metric)>,
}

impl Family {
    fn snapshot(&self) -> Snapshot {
        let children =
            self.children.iter().map(|(labels, child)| (labels.clone(), child.metric.clone())).collect();
        Snapshot { help: self.help, kind: self.kind, children }
    }
}

impl Snapshot {
    fn into_proto(self, name: &str) -> Option<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        for (labels, metric) in &self.children {
            family.mut_metric().extend(metric.collect(self.kind, labels));
        }
        if family.get_metric().is_empty() { None } else { Some(family) }
    }
}

impl Metric {
    fn collect(&self, kind: MetricType, labels: &Labels) -> Vec<proto::Metric> {
        let families = match self {
            Self::Counter(counter) => counter.collect(),
            Self::Gauge(gauge) => gauge.collect(),
            Self::Histogram(histogram) => histogram.collect(),
            Self::Observed(value) => {
                return value().map(|value| observed(kind, labels, value)).into_iter().collect();
            }
        };
        families.into_iter().flat_map(|mut family| family.take_metric()).collect()
    }
}

fn observed(kind: MetricType, labels: &Labels, value: f64) -> proto::Metric {
    let mut metric = proto::Metric::default();
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name(name.clone());
        pair.set_value(value.clone());
        pair
    });
    metric.set_label(pairs.collect());
    if kind == MetricType::COUNTER {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

const CONSTANT: &str = "names of our metrics and labels are constants and valid";

fn opts(name: &str, help: &str, labels: &Labels) -> Opts {
    // The crate refuses an empty help, a registry without one would still work.
    let help = if help.is_empty() { name } else { help };
    Opts::new(name, help).const_labels(labels.iter().cloned().collect::<HashMap<_, _>>())
}

fn sorted(labels: &[(&str, &str)]) -> Labels {
    let mut labels: Labels =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    labels.sort_unstable();
    labels
}

fn label_name(attribute: &str) -> String {
    attribute.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

fn count(metric: &proto::Metric) -> f64 {
    let n = metric.get_histogram().get_sample_count();
    // Counts beyond 2^53 do not occur.
    n as f64
}

#[cfg(test)]
mod tests;
