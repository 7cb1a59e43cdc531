//! Real files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FallocateFlags;

use super::{Space, Storage, StoredFile};

/// A directory of the file system, held by one queue at a time.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    is_writable: bool,
    /// Held while the queue is open; absent for who only looks.
    lock: Mutex<Option<File>>,
}

/// Name of the file that is locked. It holds the owner's name, for the message to others.
const LOCK: &str = "lock";

/// As much of an owner's name as is read.
const MAX_OWNER_BYTES: u64 = 1024;

impl Files {
    /// Takes a directory for the queue of `owner`, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made, or when another queue, of this or another process, has it: the message names both.
    pub fn lock(directory: &Path, owner: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(directory.join(LOCK));
        let mut lock = match opened {
            Ok(lock) => lock,
            // On a full disk no file can be made, but the directory itself can be locked.
            Err(error) if is_full(&error) => File::open(directory)?,
            Err(error) => return Err(error),
        };
        let owner = format!("{owner} (process {})", std::process::id());
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // An unreadable name only makes the message shorter.
                let _read = lock.take(MAX_OWNER_BYTES).read_to_string(&mut holder);
                let message = format!(
                    "{} is in use by {}; {owner} needs a directory of its own",
                    directory.display(),
                    if holder.is_empty() { "another process" } else { holder.trim() },
                );
                return Err(io::Error::new(ErrorKind::ResourceBusy, message));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // The name serves messages only, so a full disk does not matter.
        let _written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(owner.as_bytes()));
        Ok(Self { directory: directory.to_owned(), is_writable: true, lock: Mutex::new(Some(lock)) })
    }

    /// A directory to look at, without taking it. Another process may be using it.
    #[must_use]
    pub fn read_only(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), is_writable: false, lock: Mutex::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl Storage for Files {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // It was removed in between, which is for whoever owns the directory to do.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            if metadata.is_file() {
                found.extend(entry.file_name().into_string().ok().map(|name| (name, metadata.len())));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn create(&self, name: &str, n_bytes: u64) -> io::Result<Box<dyn StoredFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let made = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, n_bytes) {
            // Where space cannot be set aside, writing finds out whether there is any.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(n_bytes),
            other => other.map_err(io::Error::from),
        };
        match made.and_then(|()| file.sync_all()).and_then(|()| self.sync_directory()) {
            Ok(()) => Ok(Box::new(file)),
            Err(error) => {
                // What cannot be removed now is an empty file that the next start removes.
                let _removed = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let path = self.path(name);
        let file = if self.is_writable {
            OpenOptions::new().read(true).write(true).open(path)?
        } else {
            File::open(path)?
        };
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        self.sync_directory()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn space(&self) -> Option<Space> {
        let stat = rustix::fs::statvfs(&self.directory).ok()?;
        Some(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn release(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }
}

impl StoredFile for File {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut n_read = 0;
        while n_read < out.len() {
            match FileExt::read_at(self, &mut out[n_read..], offset + n_read as u64) {
                Ok(0) => break,
                Ok(n) => n_read += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(n_read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn truncate(&self, n_bytes: u64) -> io::Result<()> {
        self.set_len(n_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_and_the_refusal_names_both() {
        let directory = tempfile::tempdir().unwrap();
        let first = Files::lock(directory.path(), "exporter `a`").unwrap();
        let refused = Files::lock(directory.path(), "exporter `b`").unwrap_err().to_string();
        assert!(refused.contains("in use by exporter `a` (process "), "{refused}");
        assert!(refused.contains("exporter `b`"), "{refused}");
        drop(first);
        Files::lock(directory.path(), "exporter `b`").unwrap();
    }

    #[test]
    fn a_new_file_is_zeros_and_a_rename_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::lock(directory.path(), "test").unwrap();
        let file = files.create("a", 10_000).unwrap();
        let mut read = vec![1; 20_000];
        assert_eq!(file.read_at(0, &mut read).unwrap(), 10_000);
        assert!(read[..10_000].iter().all(|byte| *byte == 0));
        file.write_at(9_999, b"xy").unwrap();
        file.sync().unwrap();
        assert!(files.create("a", 1).is_err(), "it is there already");
        files.create("b", 1).unwrap();
        files.rename("a", "b").unwrap();
        assert_eq!(files.list().unwrap().iter().filter(|(name, _)| name != LOCK).count(), 1);
        let mut two = [0; 2];
        files.open("b").unwrap().read_at(9_999, &mut two).unwrap();
        assert_eq!(&two, b"xy");
        assert!(files.space().is_some_and(|space| space.total >= space.free && space.total > 0));
    }
}
