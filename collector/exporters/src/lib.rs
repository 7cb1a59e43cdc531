//! Exporters: one file each, adapters only.

mod debug;
mod logging;
mod prometheusremotewrite;

pub use debug::Debug;
pub use logging::Logging;
pub use prometheusremotewrite::PrometheusRemoteWrite;
