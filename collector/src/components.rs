//! THE list: everything that this binary contains. Adding a component is one file and one line here.

use pipeline::{Entry, Registry};

/// What the binary contains.
pub(crate) const REGISTRY: Registry = Registry { entries: COMPONENTS, version: env!("CARGO_PKG_VERSION") };

const COMPONENTS: &[Entry] = &[
    Entry::scraper::<receivers::HostMetrics>(),
    Entry::scraper::<receivers::KubeletStats>(),
    Entry::receiver::<receivers::Otlp>(),
    Entry::receiver::<receivers::Prometheus>(),
    Entry::stage::<processors::Batch>(),
    Entry::transform::<processors::MemoryLimiter>(),
    Entry::exporter::<exporters::Debug>(),
    Entry::exporter::<exporters::Logging>(),
    Entry::exporter::<exporters::Prometheus>(),
    Entry::exporter::<exporters::PrometheusRemoteWrite>(),
    Entry::extension::<extensions::FileStorage>(),
    Entry::extension::<extensions::HealthCheck>(),
];
