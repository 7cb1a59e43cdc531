//! Reading small files again and again: one buffer, no allocation once it has grown.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};

/// Largest file that is read.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// More than nearly every file of `/proc` has.
const FIRST_BYTES: usize = 16 << 10;

/// What the kernel gathers of a table before it hands it out, at least.
const PAGE_BYTES: usize = 4 << 10;

/// `SYSFS_MAGIC`
const SYSFS_MAGIC: rustix::fs::FsWord = 0x6265_6572;

/// Most files that stay open. Each scraper reads one or two in every scrape.
const MAX_KEPT: usize = 32;

/// A buffer that files are read into.
#[derive(Debug, Default)]
pub(crate) struct Files {
    buffer: Vec<u8>,
    /// Files that every scrape reads, by path.
    kept: Vec<(String, File)>,
    /// Where files of processes are found.
    processes: Option<(String, OwnedFd)>,
    /// Whether a file was not the kernel's own, so that somebody else may have to answer: `lxcfs` for one puts files of its own over
    /// those of `/proc`.
    has_others: bool,
}

impl Files {
    /// The buffer, for what is asked of the kernel without a file.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether files were read that are not the kernel's own.
    pub(crate) fn has_others(&self) -> bool {
        self.has_others
    }

    /// The file, and whether it is the kernel's own.
    fn open(&mut self, path: &str) -> io::Result<(File, bool)> {
        let file = File::open(path)?;
        let is_own = is_of_the_kernel(&file);
        self.has_others |= !is_own;
        Ok((file, is_own))
    }

    /// The whole of a file.
    pub(crate) fn read(&mut self, path: &str) -> io::Result<&[u8]> {
        let (mut file, _) = self.open(path)?;
        fill(&mut self.buffer, &mut Pieces::Many, |piece, _at| file.read(piece))
    }

    /// Opens a `/proc` whose processes are read next, anew in every scrape: from there on [`Files::read_of_process`] finds its way, and
    /// whose files they are is asked once for all of them.
    pub(crate) fn enter(&mut self, proc: &str) -> io::Result<()> {
        let folder = openat(CWD, proc, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        self.has_others |= !is_of_the_kernel(&folder);
        match &mut self.processes {
            Some((path, known)) if path == proc => *known = folder,
            other => *other = Some((proc.to_owned(), folder)),
        }
        Ok(())
    }

    /// The whole of a file of a process. The kernel writes it in one piece: an answer that does not fill the buffer is all there is,
    /// and needs no second question.
    pub(crate) fn read_of_process(&mut self, path: &str) -> io::Result<&[u8]> {
        let inside = self.processes.as_ref().and_then(|(proc, folder)| {
            let inside = path.strip_prefix(proc.as_str())?.strip_prefix('/')?;
            Some((folder.as_fd(), inside))
        });
        let (folder, inside) = inside.unwrap_or((CWD, path));
        let mut file = File::from(openat(folder, inside, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        fill(&mut self.buffer, &mut Pieces::One, |piece, _at| file.read(piece))
    }

    /// The whole of a file that every scrape reads. If it is the kernel's own it stays open, because finding and opening it costs
    /// more than reading it does; what is mounted over it later is not seen.
    pub(crate) fn read_again(&mut self, path: &str, mut pieces: Pieces<'_>) -> io::Result<&[u8]> {
        if let Some(place) = self.kept.iter().position(|(known, _)| known == path) {
            let file = &self.kept[place].1;
            match fill(&mut self.buffer, &mut pieces, |piece, at| file.read_at(piece, at)).map(<[u8]>::len) {
                Ok(len) => return Ok(&self.buffer[..len]),
                // What it tells of may be gone, and there again.
                Err(_) => drop(self.kept.swap_remove(place)),
            }
        }
        let (mut file, is_own) = self.open(path)?;
        if !is_own && matches!(pieces, Pieces::Lines { .. }) {
            pieces = Pieces::Many;
        }
        let len = fill(&mut self.buffer, &mut pieces, |piece, _at| file.read(piece))?.len();
        if is_own && self.kept.len() < MAX_KEPT {
            self.kept.push((path.to_owned(), file));
        }
        Ok(&self.buffer[..len])
    }

    /// Whether a table of mounts that [`Files::read_again`] has kept open tells the same as when this was asked last, or when it was opened
    /// (proc(5): a table that has changed is exceptional).
    pub(crate) fn is_unchanged(&self, mounts: &str) -> bool {
        let Some((_, file)) = self.kept.iter().find(|(known, _)| known == mounts) else { return false };
        let mut asked = [PollFd::new(file, PollFlags::PRI)];
        let told = poll(&mut asked, Some(&Timespec::default()));
        told.is_ok() && !asked[0].revents().intersects(PollFlags::PRI | PollFlags::ERR | PollFlags::NVAL)
    }

    /// Shows a file line by line, however large it is; a line longer than the buffer is passed over.
    pub(crate) fn lines(&mut self, path: &str, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let (mut file, _) = self.open(path)?;
        if self.buffer.is_empty() {
            self.buffer.resize(FIRST_BYTES, 0);
        }
        let mut kept = 0;
        loop {
            let n_read = match file.read(&mut self.buffer[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            };
            let len = kept + n_read;
            let mut start = 0;
            while let Some(end) = memchr::memchr(b'\n', &self.buffer[start..len]) {
                each(&self.buffer[start..start + end]);
                start += end + 1;
            }
            if n_read == 0 {
                if start < len {
                    each(&self.buffer[start..len]);
                }
                return Ok(());
            }
            self.buffer.copy_within(start..len, 0);
            kept = if start == 0 && len == self.buffer.len() { 0 } else { len - start };
        }
    }
}

/// Whether a file is one that the kernel makes up when it is read.
fn is_of_the_kernel(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|told| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&told.f_type))
}

/// How the kernel hands a file out, and how much of it is wanted.
pub(crate) enum Pieces<'a> {
    /// At once: an answer that does not fill the buffer is all there is.
    One,
    /// As many whole lines at a time as [`PAGE_BYTES`] hold, until there are no more. None is longer than this: an answer that leaves
    /// room for another one is the last.
    Lines { longest: usize },
    /// A few lines at a time, until this has seen what it looks for: it is shown the whole lines so far.
    Until(&'a mut dyn FnMut(&[u8]) -> bool),
    /// A few lines at a time, until there are no more.
    Many,
}

impl Pieces<'_> {
    /// Whether nothing is to be asked for after an answer of `n_read` bytes, which left room in the buffer. `text` is all there is so far.
    fn are_all(&mut self, text: &[u8], n_read: usize) -> bool {
        match self {
            Self::One => true,
            Self::Lines { longest } => n_read + *longest <= PAGE_BYTES,
            Self::Until(has_seen) => has_seen(&text[..memchr::memrchr(b'\n', text).map_or(0, |end| end + 1)]),
            Self::Many => false,
        }
    }
}

/// Puts a whole file into the buffer; `read` is asked for what comes from a place on.
fn fill<'b>(
    buffer: &'b mut Vec<u8>,
    pieces: &mut Pieces<'_>,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<&'b [u8]> {
    if buffer.is_empty() {
        buffer.resize(FIRST_BYTES, 0);
    }
    let mut len = 0;
    loop {
        let n_read = match read(&mut buffer[len..], len as u64) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            outcome => outcome?,
        };
        len += n_read;
        let is_full = len == buffer.len();
        if n_read == 0 || (!is_full && pieces.are_all(&buffer[..len], n_read)) {
            return Ok(&buffer[..len]);
        }
        if is_full {
            if len >= MAX_FILE_BYTES {
                let message = format!("larger than max_file_bytes ({MAX_FILE_BYTES})");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            buffer.resize(2 * len, 0);
        }
    }
}

/// A file in which something is not where it belongs.
pub(crate) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_file_larger_than_the_buffer_is_read_whole() {
        let text = vec![b'x'; 3 * FIRST_BYTES + 7];
        let file = file(&text);
        let mut files = Files::default();
        assert_eq!(files.read(file.path().to_str().unwrap()).unwrap().len(), text.len());
        assert_eq!(files.read_of_process(file.path().to_str().unwrap()).unwrap().len(), text.len());
    }

    #[test]
    fn files_that_are_not_the_kernels_own_are_noticed() {
        let mut files = Files::default();
        files.read("/proc/self/stat").unwrap();
        files.lines("/sys/kernel/notes", |_| {}).ok();
        assert!(!files.has_others());
        files.read(file(b"x").path().to_str().unwrap()).unwrap();
        assert!(files.has_others());
    }

    #[test]
    fn files_of_processes_are_found_from_their_folder_and_nowhere_else() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let path = |place: usize| folders[place].path().join("7/stat").to_str().unwrap().to_owned();
        for (place, text) in ["first", "second"].into_iter().enumerate() {
            std::fs::create_dir(folders[place].path().join("7")).unwrap();
            std::fs::write(path(place), text).unwrap();
        }
        let mut files = Files::default();
        files.enter("/proc").unwrap();
        assert!(!files.has_others());
        assert_eq!(files.read_of_process(&path(0)).unwrap(), b"first");
        files.enter(folders[0].path().to_str().unwrap()).unwrap();
        assert!(files.has_others());
        // The folder is gone by its name: only who has it open finds what is in it.
        let moved = folders[1].path().join("moved");
        std::fs::rename(folders[0].path(), &moved).unwrap();
        assert_eq!(files.read_of_process(&path(0)).unwrap(), b"first");
        assert_eq!(files.read_of_process(&path(1)).unwrap(), b"second");
        assert_eq!(
            files.enter(folders[0].path().to_str().unwrap()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_file_that_every_scrape_reads_is_opened_once_and_tells_the_newest() {
        let mut files = Files::default();
        let path = format!("/proc/{}/comm", std::process::id());
        let name = files.read_again(&path, Pieces::Many).unwrap().to_vec();
        let open = |files: &Files| files.kept.iter().map(|(_, file)| file.as_raw_fd()).collect::<Vec<_>>();
        let opened = open(&files);
        std::fs::write(&path, "another").unwrap();
        assert_eq!(files.read_again(&path, Pieces::One).unwrap(), b"another\n");
        assert_eq!(open(&files), opened);
        assert_eq!(opened.len(), 1);
        std::fs::write(&path, name.trim_ascii_end()).unwrap();
    }

    #[test]
    fn nothing_is_asked_for_behind_an_answer_that_leaves_room_for_a_line() {
        let lengths = [PAGE_BYTES - 64, 10, PAGE_BYTES - 100, 5];
        let read_of = |pieces: &mut Pieces<'_>| {
            let mut answers = lengths.iter();
            let answer = |piece: &mut [u8], _at: u64| {
                let len = answers.next().copied().unwrap_or(0);
                piece[..len].fill(b'\n');
                Ok(len)
            };
            fill(&mut Vec::new(), pieces, answer).unwrap().len()
        };
        assert_eq!(read_of(&mut Pieces::Lines { longest: 64 }), lengths[0]);
        assert_eq!(read_of(&mut Pieces::Lines { longest: 65 }), lengths[..2].iter().sum::<usize>());
        assert_eq!(read_of(&mut Pieces::Many), lengths.iter().sum::<usize>());
    }

    #[test]
    fn a_file_is_read_until_a_whole_line_is_seen() {
        let mut answers = [&b"a 1\nb "[..], b"2", b"3\nc 4\n", b"d 5\n"].into_iter();
        let mut seen = Vec::new();
        let mut pieces = |text: &[u8]| {
            seen = text.to_vec();
            text.ends_with(b"c 4\n")
        };
        let mut buffer = Vec::new();
        let read = fill(&mut buffer, &mut Pieces::Until(&mut pieces), |piece, _at| {
            let answer = answers.next().unwrap_or_default();
            piece[..answer.len()].copy_from_slice(answer);
            Ok(answer.len())
        });
        assert_eq!(read.unwrap(), b"a 1\nb 23\nc 4\n");
        assert_eq!(seen, b"a 1\nb 23\nc 4\n");
        assert_eq!(answers.len(), 1);
    }

    #[test]
    fn a_table_of_mounts_is_unchanged_once_it_was_opened() {
        let mut files = Files::default();
        assert!(!files.is_unchanged("/proc/self/mountinfo"));
        files.read_again("/proc/self/mountinfo", Pieces::Many).unwrap();
        assert!(files.is_unchanged("/proc/self/mountinfo"));
    }

    #[test]
    fn a_file_that_has_ended_is_opened_anew_and_missed() {
        let mut files = Files::default();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let path = format!("/proc/{}/stat", child.id());
        let first = files.read_again(&path, Pieces::One).map(<[u8]>::to_vec);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!first.unwrap().is_empty());
        assert_eq!(files.read_again(&path, Pieces::One).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(files.kept.is_empty());
    }

    #[test]
    fn only_files_of_the_kernel_stay_open_and_not_more_than_the_limit() {
        let mut files = Files::default();
        let other = file(b"1");
        let path = other.path().to_str().unwrap();
        assert_eq!(files.read_again(path, Pieces::Many).unwrap(), b"1");
        std::fs::write(path, b"2").unwrap();
        assert_eq!(files.read_again(path, Pieces::Many).unwrap(), b"2");
        assert!(files.kept.is_empty());
        for number in 0..MAX_KEPT + 3 {
            files.read_again(&format!("/proc/{}stat", "./".repeat(number)), Pieces::One).unwrap();
        }
        assert_eq!(files.kept.len(), MAX_KEPT);
    }

    #[test]
    fn a_file_without_end_is_refused_with_the_name_of_the_limit() {
        let error = Files::default().read("/dev/zero").unwrap_err().to_string();
        assert!(error.contains("max_file_bytes"), "{error}");
    }

    #[test]
    fn lines_are_shown_whole_wherever_the_buffer_ends() {
        let lines: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
        let file = file(lines.join("\n").as_bytes());
        let mut seen = Vec::new();
        let mut files = Files::default();
        let path = file.path().to_str().unwrap().to_owned();
        files.lines(&path, |line| seen.push(String::from_utf8_lossy(line).into_owned())).unwrap();
        assert_eq!(seen, lines);
    }

    #[test]
    fn a_line_longer_than_the_buffer_hides_no_other() {
        let text = [b"first\n".to_vec(), vec![b'x'; 2 * FIRST_BYTES], b"\nlast\n".to_vec()].concat();
        let file = file(&text);
        let mut seen = Vec::new();
        let path = file.path().to_str().unwrap().to_owned();
        Files::default().lines(&path, |line| seen.push(line.len())).unwrap();
        assert_eq!((seen[0], seen[seen.len() - 1]), (5, 4));
    }
}
