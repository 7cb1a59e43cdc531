//! Receivers: one file each, adapters only.

mod otlp;
mod prometheus;

pub use otlp::Otlp;
pub use prometheus::Prometheus;
