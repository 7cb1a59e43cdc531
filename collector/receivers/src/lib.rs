//! Receivers: one file each, adapters only.

mod hostmetrics;
mod otlp;
mod prometheus;

pub use hostmetrics::HostMetrics;
pub use otlp::Otlp;
pub use prometheus::Prometheus;
