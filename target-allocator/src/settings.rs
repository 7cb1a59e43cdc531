//! What the allocator was told to do: file, environment and flags in one checked value.
//!
//! Precedence as upstream: file, then environment (`OTELCOL_NAMESPACE`, `ALLOW_INSECURE_AUTH_SECRETS`), then flags.
//! Different on purpose: unknown keys are warnings with a place and the nearest known key (upstream ignores them), all
//! problems are told at once, periods may be written the Prometheus way (`1d`), and `${env:X}` works in every key but
//! `config` and `prometheus_cr`, where `$` belongs to relabelling.
//!
//! Kubernetes is not spoken yet. Keys that need it are read and checked; where the allocator could not work without it, the
//! start is refused by the name of the key, with the remedy.

mod file;
mod merge;
mod prometheus_cr;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Problem;

use crate::assign::Strategy;
use crate::jobs::JobSpec;
use crate::members::Source;

pub use file::{Collectors, File, Https, PollingConfig};
pub use merge::{Input, load};
pub use prometheus_cr::{ExcludedObject, LabelSelector, PrometheusCr};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where plain HTTP is served.
    pub listen_addr: String,
    /// Where HTTPS is served, if it is.
    pub https: Option<HttpsSettings>,
    /// How targets are shared out.
    pub strategy: Strategy,
    /// Whether targets that relabelling drops are left out.
    pub filters: bool,
    /// Whether plain HTTP clients see credentials.
    pub shows_secrets: bool,
    /// How long a sudden fall of a job's targets right after a reconnect is not believed; zero believes at once.
    pub sudden_fall_hold: Duration,
    /// Where the assignment is kept for a restart, if it is.
    pub state_file: Option<PathBuf>,
    /// Where members come from.
    pub members: Source,
    /// What is scraped, sorted by name.
    pub jobs: Vec<Arc<JobSpec>>,
    /// The folder at which relative file names start.
    pub base_dir: PathBuf,
}

/// The HTTPS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsSettings {
    /// Where it is served.
    pub listen_addr: String,
    /// The authority that client certificates must come from.
    pub ca_file: PathBuf,
    /// Our certificate.
    pub cert_file: PathBuf,
    /// Our key.
    pub key_file: PathBuf,
}

/// Settings, and what should be said about them.
#[derive(Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub settings: Settings,
    /// What works, perhaps not as it was meant.
    pub warnings: Vec<Problem>,
}

#[cfg(test)]
mod tests;
