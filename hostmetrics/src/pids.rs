//! Which processes there are: the numbers among the names in `/proc`, without an allocation a name.

use std::io;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};

/// Names that one call of the kernel may give; about 200 processes.
const BUFFER_BYTES: usize = 8 << 10;

/// A buffer that folders are listed into.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    buffer: Vec<u8>,
}

impl Folders {
    /// Shows every name in a folder but `.` and `..`.
    pub(crate) fn list(&mut self, path: &str, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.reserve(BUFFER_BYTES);
        let folder = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut names = RawDir::new(folder, self.buffer.spare_capacity_mut());
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(name);
            }
        }
        Ok(())
    }

    /// Writes the ids of all processes below a `/proc` over `into`, in ascending order.
    pub(crate) fn processes(&mut self, proc: &str, into: &mut Vec<u32>) -> io::Result<()> {
        into.clear();
        self.list(proc, |name| {
            into.extend(crate::text::number(name).and_then(|pid| u32::try_from(pid).ok()));
        })?;
        into.sort_unstable();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_processes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1", "20", "3", "self", "3x", "99999999999"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut found = Vec::new();
        Folders::default().processes(folder.path().to_str().unwrap(), &mut found).unwrap();
        assert_eq!(found, [1, 3, 20]);
    }

    #[test]
    fn a_folder_with_more_names_than_the_buffer_holds_is_listed_whole() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..1000 {
            std::fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        let mut found = Vec::new();
        Folders::default().processes(folder.path().to_str().unwrap(), &mut found).unwrap();
        assert_eq!(found, (0..1000).collect::<Vec<u32>>());
    }
}
