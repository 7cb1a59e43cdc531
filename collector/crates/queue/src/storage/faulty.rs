//! A disk in memory that loses what a disk can lose.
//!
//! What was written is visible at once and safe after a sync, page by page. A crash keeps, loses or tears every page that
//! was not synced; a failed sync throws the pages away and the next one succeeds without them, as Linux does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Space, Storage, StoredFile};

/// Small, so that frames of tests lie on several.
pub(crate) const PAGE: usize = 64;

/// Which operations fail from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Nothing new finds room.
    pub(crate) is_full: bool,
    /// The next so many syncs fail.
    pub(crate) failing_syncs: u32,
    /// The next so many writes stop halfway.
    pub(crate) short_writes: u32,
    /// The next so many reads fail.
    pub(crate) failing_reads: u32,
}

/// Cloning gives another handle of the same disk.
#[derive(Clone, Default)]
pub(crate) struct Faulty {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Arc<Mutex<Inode>>>,
    /// Removed since the last crash; each may be back after the next.
    removed: Vec<(String, Arc<Mutex<Inode>>)>,
    faults: Faults,
}

#[derive(Default)]
struct Inode {
    live: Vec<u8>,
    safe: Vec<u8>,
    unsynced: BTreeSet<usize>,
}

impl Inode {
    fn page(bytes: &[u8], page: usize) -> &[u8] {
        let begin = (page * PAGE).min(bytes.len());
        &bytes[begin..(begin + PAGE).min(bytes.len())]
    }

    fn keep(&mut self, page: usize, n_bytes: usize) {
        let kept = Self::page(&self.live, page);
        let kept = kept[..kept.len().min(n_bytes)].to_vec();
        let begin = page * PAGE;
        self.safe[begin..begin + kept.len()].copy_from_slice(&kept);
    }
}

impl Faulty {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(crate) fn fail(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.disk().faults);
    }

    /// Ends everything at once. `choose` says of each unsynced page how many of its bytes were written, and of each removed
    /// file (asked with 1) whether it is gone.
    pub(crate) fn crash(&self, mut choose: impl FnMut(usize) -> usize) {
        let mut disk = self.disk();
        disk.faults = Faults::default();
        for (name, inode) in std::mem::take(&mut disk.removed) {
            if choose(1) == 0 {
                disk.files.entry(name).or_insert(inode);
            }
        }
        for inode in disk.files.values() {
            let mut inode = inode.lock().unwrap();
            for page in std::mem::take(&mut inode.unsynced) {
                inode.keep(page, choose(PAGE));
            }
            inode.live = inode.safe.clone();
        }
    }

    /// Names of the files whose name ends so.
    pub(crate) fn names(&self, ending: &str) -> Vec<String> {
        self.disk().files.keys().filter(|name| name.ends_with(ending)).cloned().collect()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.disk().files.get(name).cloned();
        if let Some(inode) = inode {
            let mut inode = inode.lock().unwrap();
            change(&mut inode.live);
            inode.safe = inode.live.clone();
            inode.unsynced.clear();
        }
    }

    /// Removes a file for good.
    pub(crate) fn lose(&self, name: &str) {
        self.disk().files.remove(name);
    }
}

impl Storage for Faulty {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let length = |inode: &Mutex<Inode>| inode.lock().unwrap().live.len() as u64;
        Ok(self.disk().files.iter().map(|(name, inode)| (name.clone(), length(inode))).collect())
    }

    fn create(&self, name: &str, n_bytes: u64) -> io::Result<Box<dyn StoredFile>> {
        let mut disk = self.disk();
        if disk.faults.is_full {
            return Err(ErrorKind::StorageFull.into());
        }
        if disk.files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let zeros = vec![0; n_bytes as usize];
        let inode = Arc::new(Mutex::new(Inode { live: zeros.clone(), safe: zeros, ..Inode::default() }));
        disk.files.insert(name.to_owned(), Arc::clone(&inode));
        drop(disk);
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let inode = self.disk().files.get(name).cloned().ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let inode = disk.files.remove(from).ok_or(ErrorKind::NotFound)?;
        disk.files.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let inode = disk.files.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.removed.push((name.to_owned(), inode));
        Ok(())
    }

    fn space(&self) -> Option<Space> {
        None
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

struct Handle {
    disk: Faulty,
    inode: Arc<Mutex<Inode>>,
}

impl Handle {
    /// Takes one of a number of faults.
    fn is_struck(&self, of: impl FnOnce(&mut Faults) -> &mut u32) -> bool {
        let mut disk = self.disk.disk();
        let left = of(&mut disk.faults);
        let is_struck = *left > 0;
        *left = left.saturating_sub(1);
        is_struck
    }
}

impl StoredFile for Handle {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.is_struck(|faults| &mut faults.failing_reads) {
            return Err(io::Error::other("reading failed"));
        }
        let inode = self.inode.lock().unwrap();
        let rest = inode.live.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let is_short = self.is_struck(|faults| &mut faults.short_writes);
        let bytes = if is_short { &bytes[..bytes.len() / 2] } else { bytes };
        let (begin, end) = (offset as usize, offset as usize + bytes.len());
        let mut inode = self.inode.lock().unwrap();
        if inode.live.len() < end {
            inode.live.resize(end, 0);
            inode.safe.resize(end, 0);
        }
        inode.live[begin..end].copy_from_slice(bytes);
        inode.unsynced.extend(begin / PAGE..end.div_ceil(PAGE));
        if is_short { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, n_bytes: u64) -> io::Result<()> {
        let mut inode = self.inode.lock().unwrap();
        inode.live.truncate(n_bytes as usize);
        inode.safe.truncate(n_bytes as usize);
        let n_pages = (n_bytes as usize).div_ceil(PAGE);
        inode.unsynced.retain(|page| *page < n_pages);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let is_failing = self.is_struck(|faults| &mut faults.failing_syncs);
        let mut inode = self.inode.lock().unwrap();
        for page in std::mem::take(&mut inode.unsynced) {
            if !is_failing {
                inode.keep(page, PAGE);
            }
        }
        if is_failing { Err(io::Error::other("sync failed")) } else { Ok(()) }
    }
}
