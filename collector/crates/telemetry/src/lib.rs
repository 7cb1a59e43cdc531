//! What Muster says about itself: log lines and metrics.
//!
//! Lines have the shape of the OpenTelemetry Collector (zap's console and JSON encodings), metrics its names,
//! so that existing parsers and dashboards keep working. The crate only observes; nothing here decides
//! anything.

mod error;
mod identity;
mod line;
pub mod logs;
mod metrics;
mod process;
mod rate;
mod time;

pub use error::error_chain;
pub use identity::Identity;
pub use logs::{Encoding, InitError, Level, Logs, LogsConfig};
pub use metrics::{Counter, Gauge, Histogram, Registry, Scope};
pub use rate::RateLimited;
pub use time::{civil, iso8601};
