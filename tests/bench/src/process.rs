//! What a process holds and does, as Linux tells it below `/proc`.

use std::fs;

/// Files that a process has open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Descriptors {
    pub(crate) open: u64,
    /// Those of them that are sockets: connections and listeners.
    pub(crate) sockets: u64,
}

impl Descriptors {
    /// Those of two processes.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { open: self.open + other.open, sockets: self.sockets + other.sockets }
    }

    /// The larger of each count.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { open: self.open.max(other.open), sockets: self.sockets.max(other.sockets) }
    }
}

/// What a process has open now; `None` once it has ended.
pub(crate) fn descriptors(pid: u32) -> Option<Descriptors> {
    let mut found = Descriptors::default();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        // One that was closed meanwhile is not counted.
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        found.open += 1;
        found.sockets += u64::from(link.to_string_lossy().starts_with("socket:"));
    }
    Some(found)
}

/// How often threads of a process were taken from a core, or gave it up; those of threads that have ended are forgotten.
pub(crate) fn context_switches(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let of_task = |entry: fs::DirEntry| {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.filter_map(|line| line.rsplit_once(':')?.1.trim().parse::<u64>().ok()).sum::<u64>()
    };
    Some(tasks.map(of_task).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_among_the_open_files() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = descriptors(std::process::id()).unwrap();
        assert!(found.sockets >= 1 && found.open > found.sockets, "{found:?}");
        assert_eq!(descriptors(u32::MAX), None);
    }

    #[test]
    fn switches_of_all_threads_are_counted_and_a_process_that_is_gone_has_none() {
        // The test's own main thread waits for this one, so that it has given its core up at least once.
        assert!(context_switches(std::process::id()) > Some(0));
        assert_eq!(context_switches(u32::MAX), None);
    }
}
