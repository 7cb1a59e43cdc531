//! `logging`: the former name of `debug`, removed by others and kept because many configurations still use it.
//!
//! `loglevel` of the oldest generation is read as well: `debug` prints in detail, `info` one line an item, `warn` and
//! `error` only counts.
//!
//! ```yaml
//! logging:
//!   loglevel: debug
//! ```

use config::Problem;
use model::{Batch, Signals};
use pipeline::{Bodies, Component, ExportError, Exporter, Refused, Request, Sealed, SendingDefaults, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::debug::{self, Debug, Verbosity};

/// Prints what passes, for people.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// How much is printed; `normal` where neither key is given.
    #[serde(default)]
    pub verbosity: Option<Verbosity>,
    /// How much is printed, in the words of the oldest generation.
    #[serde(default)]
    pub loglevel: Option<LogLevel>,
    /// Batches that are printed at the beginning of each second.
    #[serde(default = "config::number::<2>")]
    pub sampling_initial: u64,
    /// After those, every so-many-th batch of the same second is printed; 1 prints all, 0 none.
    #[serde(default = "config::number::<1>")]
    pub sampling_thereafter: u64,
}

/// The words of the oldest generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// In detail.
    Debug,
    /// One line an item.
    Info,
    /// Counts.
    Warn,
    /// Counts.
    Error,
}

impl From<LogLevel> for Verbosity {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Detailed,
            LogLevel::Info => Self::Normal,
            LogLevel::Warn | LogLevel::Error => Self::Basic,
        }
    }
}

/// The running exporter: a [`Debug`] under another name.
#[derive(Debug)]
pub struct Logging(Debug);

impl Component for Logging {
    const TYPE: &'static str = "logging";
    const DEPRECATED: Option<&'static str> =
        Some("use `debug`; `loglevel: debug` is called `verbosity: detailed` there");
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let by_level = config.loglevel.map(Verbosity::from);
        if let (Some(verbosity), Some(by_level)) = (config.verbosity, by_level)
            && verbosity != by_level
        {
            return Err(vec![Problem::at(
                "loglevel",
                "says something else than `verbosity`; remove one of them",
            )]);
        }
        let settings = debug::Config {
            verbosity: config.verbosity.or(by_level).unwrap_or(Verbosity::Normal),
            sampling_initial: config.sampling_initial,
            sampling_thereafter: config.sampling_thereafter,
            use_internal_logger: true,
            output_paths: Vec::new(),
        };
        Ok(Self(Debug::with(settings, site)))
    }
}

impl Exporter for Logging {
    const DEFAULTS: SendingDefaults = Debug::DEFAULTS;

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        self.0.encode(batch, bodies)
    }

    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        self.0.seal(body)
    }

    async fn send(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        self.0.send(request, n_before).await
    }
}
