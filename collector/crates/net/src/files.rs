//! Open files, of which connections to targets may not take all.
//!
//! A scraper keeps a connection to each target, and each is an open file. Where the system allows fewer files than there are targets,
//! the last ones would be taken from what must not go without: the way to the endpoint, the disk, the health check. So
//! clients for targets share what is left after a reserve. When it is used up, connections take turns: one that waits gets the
//! next that ends, and an answered connection is closed instead of kept while others wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// Files that are kept back at least, unless that were more than half of all.
const MIN_RESERVE: u64 = 64;

/// One of so many files is kept back where that is more.
const RESERVE_SHARE: u64 = 8;

/// The share of a process' open files that connections to targets may have.
#[derive(Debug)]
pub(crate) struct Files {
    limit: u64,
    permits: Arc<Semaphore>,
    n_waiting: AtomicUsize,
    was_told: AtomicBool,
}

/// One open file.
pub(crate) type File = OwnedSemaphorePermit;

/// Those of this process. As in Go programs, the soft limit is raised to the hard one when it is first asked for.
static OWN: LazyLock<Files> = LazyLock::new(|| {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    Files::new(if is_raised { maximum } else { current }.unwrap_or(u64::MAX))
});

impl Files {
    pub(crate) fn of_this_process() -> &'static Self {
        &OWN
    }

    fn new(limit: u64) -> Self {
        let reserve = MIN_RESERVE.max(limit / RESERVE_SHARE).min(limit / 2);
        let n_shared = usize::try_from(limit - reserve).unwrap_or(usize::MAX);
        let permits = Arc::new(Semaphore::new(n_shared.clamp(1, Semaphore::MAX_PERMITS)));
        Self { limit, permits, n_waiting: AtomicUsize::new(0), was_told: AtomicBool::new(false) }
    }

    /// A file for a connection; waits, in the order of asking, until there is one.
    pub(crate) async fn take(&self) -> File {
        if let Ok(file) = Arc::clone(&self.permits).try_acquire_owned() {
            return file;
        }
        if !self.was_told.swap(true, Ordering::Relaxed) {
            warn!(
                limit = self.limit,
                "Too many open files: RLIMIT_NOFILE is too small for a connection to each target; connections take turns. \
                 Raise the limit (ulimit -n, LimitNOFILE= of systemd)"
            );
        }
        let _waiting = Waiting::new(&self.n_waiting);
        Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Whether somebody waits for a file.
    pub(crate) fn are_wanted(&self) -> bool {
        self.n_waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counted also when the wait is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(n_waiting: &'a AtomicUsize) -> Self {
        n_waiting.fetch_add(1, Ordering::Relaxed);
        Self(n_waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_back() {
        let shared = |limit| Files::new(limit).permits.available_permits();
        assert_eq!(
            [shared(1), shared(64), shared(256), shared(1024), shared(1 << 20)],
            [1, 32, 192, 896, 917_504]
        );
        assert_eq!(shared(u64::MAX), Semaphore::MAX_PERMITS);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_file_that_is_free() {
        let files = Arc::new(Files::new(2));
        let first = files.take().await;
        let waiter = tokio::spawn({
            let files = Arc::clone(&files);
            async move { drop(files.take().await) }
        });
        while !files.are_wanted() {
            tokio::task::yield_now().await;
        }
        drop(first);
        waiter.await.unwrap();
        assert!(!files.are_wanted());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_counts_no_longer() {
        let files = Files::new(2);
        let _first = files.take().await;
        let given_up = tokio::time::timeout(std::time::Duration::from_secs(1), files.take()).await;
        assert!(given_up.is_err() && !files.are_wanted());
    }
}
