//! What could not be read: said once a kind, counted always.

use std::fmt;
use std::io;

/// Things of one kind that could not be read in one scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The scraper that needs it.
    pub scraper: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The first file that failed.
    pub file: String,
    /// Why.
    pub reason: String,
    /// What to do about it; empty where nothing comes to mind.
    pub remedy: &'static str,
    /// How many of this kind there were.
    pub n: u64,
    kind: io::ErrorKind,
}

impl fmt::Display for Failure {
    /// The text does not hold how many there were, so that it is the same as long as the failure lasts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.scraper, self.what, self.file, self.reason)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl Failure {
    fn is(&self, (scraper, what): (&'static str, &'static str), kind: io::ErrorKind) -> bool {
        self.scraper == scraper && self.what == what && self.kind == kind
    }
}

/// Most failures of one scrape that are told one by one, and most of those that are alike: each of a thousand mounts may fail, and something
/// else as well.
const MAX_FAILURES: usize = 64;
const MAX_ALIKE: usize = 8;

/// The failures of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<Failure>);

impl Failures {
    /// Notes a failure.
    pub(crate) fn add(
        &mut self,
        (scraper, what): (&'static str, &'static str),
        file: &str,
        error: &io::Error,
        remedy: &'static str,
    ) {
        let kind = error.kind();
        if self.0.iter().filter(|known| known.is((scraper, what), kind)).count() >= MAX_ALIKE {
            return self.count((scraper, what), kind);
        }
        if self.0.len() >= MAX_FAILURES {
            // What is not told is counted with what was told last.
            return self.0[MAX_FAILURES - 1].n += 1;
        }
        let (file, reason) = (file.to_owned(), error.to_string());
        self.0.push(Failure { scraper, what, file, reason, remedy, n: 1, kind });
    }

    /// Notes the failure of one of many processes: those of the same thing and reason are one, with the first file.
    pub(crate) fn add_one_of_many(
        &mut self,
        (scraper, what): (&'static str, &'static str),
        file: &str,
        error: &io::Error,
        remedy: &'static str,
    ) {
        let kind = error.kind();
        if self.0.iter().any(|known| known.is((scraper, what), kind)) {
            return self.count((scraper, what), kind);
        }
        self.add((scraper, what), file, error, remedy);
    }

    fn count(&mut self, thing: (&'static str, &'static str), kind: io::ErrorKind) {
        if let Some(known) = self.0.iter_mut().find(|known| known.is(thing, kind)) {
            known.n += 1;
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.0)
    }
}

/// Whether a process, or what belongs to it, went away while it was looked at.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    // ESRCH: the process ended between opening one of its files and reading it.
    const NO_SUCH_PROCESS: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_are_alike_hide_no_other_and_all_are_counted() {
        let mut failures = Failures::default();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        for number in 0..1000 {
            failures.add(("filesystem", "space of a mount"), &format!("/mnt/{number}"), &denied, "");
        }
        failures.add(("memory", "usage"), "/proc/meminfo", &denied, "");
        let all = failures.take();
        assert_eq!(all.len(), MAX_ALIKE + 1);
        assert_eq!((all[MAX_ALIKE].scraper, &*all[MAX_ALIKE].file), ("memory", "/proc/meminfo"));
        assert_eq!(all.iter().map(|failure| failure.n).sum::<u64>(), 1001);
    }

    #[test]
    fn no_more_than_the_limit_are_told_and_all_are_counted() {
        const WHAT: [&str; 20] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s",
            "t",
        ];
        let mut failures = Failures::default();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        for number in 0..5 * WHAT.len() {
            failures.add(("x", WHAT[number % WHAT.len()]), "/proc/x", &denied, "");
        }
        let all = failures.take();
        assert_eq!((all.len(), all.iter().map(|failure| failure.n).sum::<u64>()), (MAX_FAILURES, 100));
    }

    #[test]
    fn failures_of_many_processes_are_one_with_a_count() {
        let mut failures = Failures::default();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let what = ("process", "executable of a process");
        failures.add_one_of_many(what, "/proc/2/exe", &denied, "set mute_process_exe_error");
        failures.add_one_of_many(what, "/proc/3/exe", &denied, "set mute_process_exe_error");
        failures.add(what, "/proc/4/exe", &io::Error::from(io::ErrorKind::InvalidData), "");
        let all = failures.take();
        assert_eq!(all.iter().map(|failure| failure.n).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(
            all[0].to_string(),
            "process: executable of a process: /proc/2/exe: permission denied; set mute_process_exe_error"
        );
    }
}
