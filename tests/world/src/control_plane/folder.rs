//! Where a control plane keeps its data: in memory if there is room, because etcd syncs every write.
//!
//! A process that was killed leaves its folder behind; the next one removes it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A file system in memory on Linux.
const IN_MEMORY: &str = "/dev/shm";
/// What etcd reserves at once, and room for 100,000 objects.
const WANTED_BYTES: u64 = 1 << 30;
const PREFIX: &str = "muster-control-plane-";

/// A folder that is removed with this value.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn make() -> Result<Self> {
        let place = place();
        remove_orphans(&place);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&place);
        Ok(Self(folder.with_context(|| format!("making a folder in {}", place.display()))?))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn place() -> PathBuf {
    let has_room = rustix::fs::statvfs(IN_MEMORY)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= WANTED_BYTES);
    if has_room { PathBuf::from(IN_MEMORY) } else { std::env::temp_dir() }
}

/// Removes folders of processes that are gone.
fn remove_orphans(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be at it as well.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_not_before() {
        let place = tempfile::tempdir().unwrap();
        let folder = |pid: u32| place.path().join(format!("{PREFIX}{pid}-x"));
        // No process has the id of all processes.
        let (orphan, own) = (folder(0), folder(std::process::id()));
        fs::create_dir(&orphan).and_then(|()| fs::create_dir(&own)).unwrap();
        remove_orphans(place.path());
        assert!(!orphan.exists() && own.exists());
    }
}
