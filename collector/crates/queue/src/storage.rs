//! The files below a queue, as a trait, so that tests can take everything away that a disk can take.
//!
//! One directory, flat. Names are given by the log; files are opened by name each time they are needed, so a queue
//! holds no more than a handful of descriptors.

mod files;

#[cfg(test)]
pub(crate) mod faulty;

pub use files::Files;

use std::io;

/// A directory of files.
pub trait Storage: Send + Sync + 'static {
    /// Names and lengths of all files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// A new file of zeros whose space is set aside. It is still there after a crash.
    fn create(&self, name: &str, n_bytes: u64) -> io::Result<Box<dyn StoredFile>>;

    /// An existing file.
    fn open(&self, name: &str) -> io::Result<Box<dyn StoredFile>>;

    /// Gives a file another name, replacing what has it. Holds after a crash.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away. It may be back after a crash.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How large the file system is and how much of it is free, in bytes, where that is known.
    fn space(&self) -> Option<Space>;

    /// Gives the directory up, so that another queue can have it. Nothing is written any more.
    fn release(&self) {}

    /// Where this is, for messages.
    fn place(&self) -> String;
}

/// Room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What can still be taken.
    pub free: u64,
}

/// An open file. Reading and writing name the place, so handles share nothing.
pub trait StoredFile: Send + Sync {
    /// Reads up to the end of `out` or of the file, and says how much that was.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Writes all of it. After an error any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file.
    fn truncate(&self, n_bytes: u64) -> io::Result<()>;

    /// Returns when everything that was written would survive a loss of power. After an error what was written since
    /// the last success has to be taken for lost: the kernel may have thrown it away and says so once only.
    fn sync(&self) -> io::Result<()>;
}
