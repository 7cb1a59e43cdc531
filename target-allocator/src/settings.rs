//! What the allocator was told to do: file, environment and flags in one checked value.
//!
//! Precedence as upstream: file, then environment (`OTELCOL_NAMESPACE`, `ALLOW_INSECURE_AUTH_SECRETS`), then flags.
//! Different on purpose: unknown keys are warnings with a place and the nearest known key (upstream ignores them), all
//! problems are told at once, periods may be written the Prometheus way (`1d`), and `${env:X}` works in every key but
//! `config` and `prometheus_cr`, where `$` belongs to relabelling.
//!
//! A cluster is asked where something needs it: pods that are members (no `collectors`), monitors (`prometheus_cr`), and jobs that
//! use `kubernetes_sd_configs`. Where nothing does, none is looked for.

mod file;
mod merge;
mod prometheus_cr;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Problem;

use crate::assign::Strategy;
use crate::jobs::JobSpec;
use crate::kubernetes::KubernetesSettings;
use crate::members::Source;
use crate::monitors::Policy;

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
    /// What the cluster is asked for; nothing where no cluster is needed.
    pub kubernetes: Option<KubernetesSettings>,
    /// What is scraped, sorted by name.
    pub jobs: Vec<Arc<JobSpec>>,
    /// The folder at which relative file names start.
    pub base_dir: PathBuf,
}

impl Settings {
    /// Which monitors are jobs; nothing where none are watched.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.kubernetes.as_ref()?.monitors.as_ref()
    }
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
