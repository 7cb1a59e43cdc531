//! Where a sending queue is kept: in memory, or in a directory that outlives the process.
//!
//! `sending_queue.storage` names a storage extension, as upstream spells it. Remote write also keeps its queue in the data
//! directory of the process (`--data-dir`) where there is one. Below the directory each exporter and signal has one of its own,
//! `queue/<exporter>.<signal>`, which is locked while it is in use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Problem;
use model::Signal;
use queue::{DiskOptions, Files, Inspection, Limits, Meters, Queue};
use tracing::warn;

use crate::{ComponentId, Fatal, Site};

/// Default of `sending_queue.max_disk_bytes`.
pub(crate) const MAX_DISK_BYTES: u64 = 4 << 30;

/// Bytes of requests that stay in memory although they are on disk.
const MEMORY_BYTES: u64 = 16 << 20;

/// Bytes of requests that wait in memory while the disk refuses.
const MAX_MEMORY_BYTES: u64 = 64 << 20;

/// Longest time that items wait for others where the queue is kept: what is not in a request yet is not on disk either.
pub(crate) const MAX_JOINING: Duration = Duration::from_millis(50);

/// Where an exporter's queue is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// It ends with the process.
    #[default]
    Memory,
    /// In the directory of this storage extension.
    Extension(String),
    /// In the data directory, where there is one.
    DataDir,
    /// In a directory of the exporter's own, relative to the configuration.
    Directory(PathBuf),
}

/// How a queue is kept, after defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storing {
    /// Where.
    pub storage: Storage,
    /// Bytes that it may take there.
    pub max_bytes: u64,
    /// How old a request may become.
    pub max_age: Option<Duration>,
    /// Whether the user bound the queue by `queue_size`. Without that only bytes and age bind what is on disk.
    pub has_size: bool,
    /// Whether the user bound the time for which a request is retried. Without that nothing that is on disk is given up.
    pub has_retry_limit: bool,
}

impl Storing {
    /// The directory of this exporter's queue; `None` keeps it in memory.
    pub(crate) fn directory(&self, site: &Site) -> Result<Option<PathBuf>, Problem> {
        let Some(signal) = site.signal else { return Ok(None) };
        let root = match &self.storage {
            Storage::Memory => return Ok(None),
            Storage::Extension(id) => site.storage("sending_queue::storage", id)?,
            Storage::DataDir => match &site.data_dir {
                Some(root) => root.clone(),
                None => return Ok(None),
            },
            Storage::Directory(directory) => site.base_dir.join(directory),
        };
        Ok(Some(root.join(QUEUES).join(directory_name(&site.id, signal))))
    }
}

/// The folder of all queues of a storage.
const QUEUES: &str = "queue";

/// `prometheusremotewrite%2Ffar.metrics`.
fn directory_name(id: &ComponentId, signal: Signal) -> String {
    let mut name = String::new();
    for byte in id.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
            name.push(byte.into());
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + "." + signal.as_str()
}

/// Opens the queue of an exporter in its directory, with what was left there.
pub(crate) async fn open(
    id: &ComponentId,
    directory: &Path,
    n_shards: usize,
    limits: Limits,
    storing: &Storing,
    meters: Meters,
) -> Result<Queue, Fatal> {
    let options = DiskOptions {
        owner: format!("exporter `{id}`"),
        max_bytes: storing.max_bytes,
        max_age: storing.max_age,
        memory_bytes: MEMORY_BYTES,
        max_memory_bytes: MAX_MEMORY_BYTES,
        meters,
    };
    let doing = format!("opening the sending queue of exporter `{id}` in {}", directory.display());
    let directory = directory.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let files = Files::lock(&directory, &options.owner)?;
        Queue::open(n_shards, limits, Arc::new(files), options)
    });
    match opened.await {
        Ok(queue) => queue.map_err(|error| Fatal::new(doing, error)),
        Err(panicked) => Err(Fatal::new(doing, panicked)),
    }
}

/// Names queues that hold requests and that no exporter of the configuration sends.
pub(crate) async fn warn_of_strays(used: BTreeSet<PathBuf>) {
    let look = tokio::task::spawn_blocking(move || {
        for (directory, inspection) in strays(&used) {
            warn!(
                directory = %directory.display(), requests = inspection.requests, items = inspection.items,
                "a sending queue belongs to no exporter: give its exporter back the id in the name of the directory and its \
                 data is sent, or remove the directory"
            );
        }
    });
    // It only looks; if it cannot, nothing is said.
    let _looked = look.await;
}

fn strays(used: &BTreeSet<PathBuf>) -> Vec<(PathBuf, Inspection)> {
    let folders: BTreeSet<&Path> = used.iter().filter_map(|directory| directory.parent()).collect();
    let mut strays = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let directory = entry.path();
            if used.contains(&directory) {
                continue;
            }
            let inspection = Inspection::of(&directory).ok().filter(|inspection| inspection.requests > 0);
            strays.extend(inspection.map(|inspection| (directory, inspection)));
        }
    }
    strays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_after_exporter_and_signal() {
        let name = |id: &str| directory_name(&ComponentId::parse(id).unwrap(), Signal::Metrics);
        assert_eq!(name("prometheusremotewrite"), "prometheusremotewrite.metrics");
        assert_eq!(name("prometheusremotewrite/../far"), "prometheusremotewrite%2F..%2Ffar.metrics");
    }
}
