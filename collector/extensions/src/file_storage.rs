//! `file_storage`: a directory in which components keep what must survive a restart.
//!
//! Spelled as contrib `extension/storage/filestorage`. The form inside differs: upstream keeps one bbolt database a component,
//! here each component writes files of its own below it: sending queues in `queue/<exporter>.<signal>`. Keys that tune bbolt are
//! accepted and have no effect: a queue is always synced, several times a second, and its files go as they are sent.
//!
//! ```yaml
//! file_storage:
//!   directory: /var/lib/muster
//!   create_directory: true
//! ```

use std::path::PathBuf;

use config::{Problem, Timeout};
use model::Signals;
use pipeline::{Component, Extension, Fatal, Life, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A directory for what must survive a restart.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The directory.
    #[serde(default = "usual_directory")]
    pub directory: String,
    /// Whether to make the directory when it is not there.
    #[serde(default)]
    pub create_directory: bool,
    /// Rights of a directory that is made, in octal.
    #[serde(default = "usual_permissions")]
    pub directory_permissions: String,
    /// Accepted for compatibility: a directory that another process holds is refused at once.
    #[serde(default = "config::timeout_secs::<1>")]
    pub timeout: Timeout,
    /// Accepted for compatibility: sending queues are synced whatever it says.
    #[serde(default)]
    pub fsync: bool,
    /// Accepted for compatibility: damage costs only what is damaged, and is named in the log.
    #[serde(default)]
    pub recreate: bool,
    /// Accepted for compatibility: there is no database to compact, files shrink by being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<serde_json::Value>,
}

fn usual_directory() -> String {
    "/var/lib/otelcol/file_storage".to_owned()
}

fn usual_permissions() -> String {
    "0750".to_owned()
}

/// The running extension.
#[derive(Debug)]
pub struct FileStorage {
    directory: PathBuf,
    /// Rights with which the directory is made; `None` when it has to be there.
    make_with: Option<u32>,
}

impl Component for FileStorage {
    const TYPE: &'static str = "file_storage";
    const SIGNALS: Signals = Signals::NONE;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let mode = u32::from_str_radix(&config.directory_permissions, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| {
            vec![Problem::at("directory_permissions", "not rights in octal; write for example \"0750\"")]
        })?;
        if config.directory.is_empty() {
            return Err(vec![Problem::at("directory", "must not be empty")]);
        }
        Ok(Self {
            directory: site.base_dir.join(&config.directory),
            make_with: config.create_directory.then_some(mode),
        })
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        let directory = self.directory.display();
        let doing = format!("starting extension `{}` in {directory}", life.id());
        if let Some(mode) = self.make_with {
            let made = tokio::fs::DirBuilder::new().recursive(true).mode(mode).create(&self.directory).await;
            return made.map_err(|error| Fatal::new(doing, error));
        }
        match tokio::fs::metadata(&self.directory).await {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(Fatal { doing: format!("{doing}: not a directory"), source: None }),
            Err(error) => {
                Err(Fatal::new(format!("{doing}: make the directory, or set create_directory: true"), error))
            }
        }
    }
}

impl Extension for FileStorage {
    fn storage(&self) -> Option<PathBuf> {
        Some(self.directory.clone())
    }

    async fn run(self, life: Life) -> Result<(), Fatal> {
        life.stopped().await;
        Ok(())
    }
}
