//! Exporters: one file each, adapters only.

mod debug;
mod logging;
mod prometheus;
mod prometheusremotewrite;

pub use debug::Debug;
pub use logging::Logging;
pub use prometheus::Prometheus;
pub use prometheusremotewrite::PrometheusRemoteWrite;
