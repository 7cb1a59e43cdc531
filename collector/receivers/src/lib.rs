//! Receivers: one file each, adapters only.

mod hostmetrics;
mod kubeletstats;
mod otlp;
mod prometheus;

pub use hostmetrics::HostMetrics;
pub use kubeletstats::KubeletStats;
pub use otlp::Otlp;
pub use prometheus::Prometheus;
