//! Whether a file is still the one that was read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What changes when a file is written or replaced. Links are followed: a mounted ConfigMap is replaced by
/// turning one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    pub(crate) n_bytes: u64,
    inode: u64,
    device: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Self {
            modified: metadata.modified().ok(),
            n_bytes: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
        })
    }

    /// Whether both are the same file, perhaps with another content.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
