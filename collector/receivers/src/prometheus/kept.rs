//! The last assignment, kept on disk for a start while the allocator is away.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use discovery::Group;
use model::Labels;
use serde::{Deserialize, Serialize};

/// Largest file that is read back, in bytes.
const MAX_KEPT_BYTES: u64 = 512 << 20;

/// What the allocator said last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// For whom it is.
    pub(super) collector_id: String,
    /// The answer to `/scrape_configs`, as it came.
    pub(super) scrape_configs: String,
    /// Target groups by job.
    pub(super) targets: BTreeMap<String, Vec<KeptGroup>>,
}

/// A target group in the shape of HTTP SD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptGroup {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl From<&Group> for KeptGroup {
    fn from(group: &Group) -> Self {
        Self {
            targets: group.targets.iter().map(|target| target.value("__address__").to_owned()).collect(),
            labels: group.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl KeptGroup {
    /// The group, under a source of its own.
    pub(super) fn to_group(&self, index: usize) -> Arc<Group> {
        let address = |target: &String| -> Labels { [("__address__", target)].into_iter().collect() };
        Arc::new(Group {
            source: format!("kept:{index}").into(),
            labels: self.labels.iter().collect(),
            targets: self.targets.iter().map(address).collect(),
        })
    }
}

/// The file of one receiver.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
    /// Held while the file is replaced: the shares of many jobs have news at the same time.
    turn: Arc<Mutex<()>>,
}

impl Kept {
    /// Below the directory of a storage extension.
    pub(super) fn new(storage: &Path, receiver: &str) -> Self {
        Self {
            path: storage.join(format!("receiver_{}", receiver.replace('/', "_"))).join("assignment.json"),
            turn: Arc::default(),
        }
    }

    /// What was kept for this scraper; `None` when there is nothing, or it is for another one.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn read(&self, collector_id: &str) -> io::Result<Option<Assignment>> {
        let size = match std::fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if size > MAX_KEPT_BYTES {
            let text = format!("{} is larger than MAX_KEPT_BYTES ({MAX_KEPT_BYTES})", self.path.display());
            return Err(io::Error::other(text));
        }
        let kept: Assignment =
            serde_json::from_slice(&std::fs::read(&self.path)?).map_err(io::Error::other)?;
        Ok((kept.collector_id == collector_id).then_some(kept))
    }

    /// Replaces what was kept, all or nothing. Only our own user can read it: scrape configs can hold credentials.
    ///
    /// # Errors
    /// When the directory cannot be written; what was kept before stays.
    pub(super) fn write(&self, newest: impl FnOnce() -> Assignment) -> io::Result<()> {
        // There is nothing behind the lock that a panic could leave half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked for only now, so that the last one to write has the newest.
        let assignment = newest();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let fresh = self.path.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        serde_json::to_writer(io::BufWriter::new(&mut file), &assignment).map_err(io::Error::other)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_by_the_same_scraper_only() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "prometheus/2");
        assert_eq!(kept.read("s-0").unwrap(), None);
        let group = Group {
            source: "x:0".into(),
            labels: [("zone", "a")].into_iter().collect(),
            targets: vec![[("__address__", "h:1")].into_iter().collect()],
        };
        let targets = BTreeMap::from([("job".to_owned(), vec![KeptGroup::from(&group)])]);
        let assignment =
            Assignment { collector_id: "s-0".to_owned(), scrape_configs: "{}".to_owned(), targets };
        kept.write(|| assignment.clone()).unwrap();
        assert_eq!(kept.read("s-1").unwrap(), None);
        let back = kept.read("s-0").unwrap().unwrap();
        assert_eq!(back, assignment);
        let group_back = back.targets["job"][0].to_group(0);
        assert_eq!((&group_back.labels, &group_back.targets), (&group.labels, &group.targets));
    }

    #[test]
    fn many_writers_at_once_leave_a_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "prometheus");
        let assignment =
            |n: usize| Assignment { scrape_configs: "x".repeat(n * 10_000), ..Assignment::default() };
        std::thread::scope(|scope| {
            for n in 0..8 {
                let kept = &kept;
                scope.spawn(move || kept.write(|| assignment(n)).unwrap());
            }
        });
        assert!(kept.read("").unwrap().is_some());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_assignment() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "prometheus");
        kept.write(Assignment::default).unwrap();
        std::fs::write(&kept.path, "{\"collector_id\": \"s-").unwrap();
        assert!(kept.read("s-0").is_err());
    }
}
