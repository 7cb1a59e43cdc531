//! Files that may change while we run: passwords, tokens, certificates.
//!
//! Prometheus reads them again for every request. Here the content is kept while size and modification time
//! stay the same, but only once the file is old enough for a second change to show in its time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Largest file of secrets or certificates that is read. A bundle of all public authorities has 250 kB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Clocks of file systems tick coarsely; two changes closer than this may carry the same time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A file whose present content can be asked for at any time.
pub(crate) struct WatchedFile {
    path: PathBuf,
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    stamp: Stamp,
    content: Arc<[u8]>,
}

#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    modified: SystemTime,
    n_bytes: u64,
}

impl WatchedFile {
    /// Relative names count from `base_dir`.
    pub(crate) fn new(base_dir: &Path, name: &str) -> Self {
        Self { path: base_dir.join(name), seen: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The present content. As long as it does not change, the same allocation is returned.
    pub(crate) fn read(&self) -> io::Result<Arc<[u8]>> {
        let metadata = std::fs::metadata(&self.path)?;
        if metadata.len() > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("file is larger than the limit of {MAX_FILE_BYTES} bytes")));
        }
        let stamp = Stamp { modified: metadata.modified()?, n_bytes: metadata.len() };
        let age = SystemTime::now().duration_since(stamp.modified).unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.as_ref()
            && seen.stamp == stamp
            && age > SETTLED_AFTER
        {
            return Ok(Arc::clone(&seen.content));
        }
        let content = std::fs::read(&self.path)?;
        let content = match seen.as_ref() {
            Some(seen) if *seen.content == *content => Arc::clone(&seen.content),
            _ => content.into(),
        };
        *seen = Some(Seen { stamp, content: Arc::clone(&content) });
        Ok(content)
    }

    /// The present content as text without surrounding white space.
    pub(crate) fn read_trimmed(&self) -> io::Result<String> {
        let content = self.read()?;
        let text = std::str::from_utf8(&content).map_err(|_| io::Error::other("file is not UTF-8"))?;
        Ok(text.trim().to_owned())
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedFile").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = WatchedFile::new(folder.path(), "token");
        assert!(file.read().is_err());
        for text in ["one\n", "two\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file.read_trimmed().unwrap(), text.trim());
        }
    }

    #[test]
    fn the_same_content_is_the_same_allocation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let file = WatchedFile::new(folder.path(), "ca.pem");
        let first = file.read().unwrap();
        std::fs::write(&path, "one").unwrap();
        assert!(Arc::ptr_eq(&first, &file.read().unwrap()));
    }
}
