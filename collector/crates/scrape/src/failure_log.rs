//! `scrape_failure_log_file`: failed scrapes, one JSON object a line, with the keys of Prometheus' file.
//!
//! Prometheus keeps the file open until the configuration is loaded again. Here it is opened for what has come together,
//! so that whoever rotates it needs to tell nobody. Loops never wait for the disk: a bounded number of lines waits for
//! them, and what finds no place there is counted and said.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;
use telemetry::{RateLimited, error_chain, iso8601};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{Job, Target};

/// Most failures that wait to be written.
const MAX_WAITING: usize = 1024;

/// Where loops leave word of failed scrapes.
#[derive(Debug)]
pub(crate) struct FailureLog {
    lines: mpsc::Sender<Line>,
    n_lost: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Line {
    file: PathBuf,
    text: String,
}

impl FailureLog {
    /// Starts who writes; it ends when the log is dropped and everything is written.
    pub(crate) fn spawn() -> (Self, JoinHandle<()>) {
        let (lines, waiting) = mpsc::channel(MAX_WAITING);
        let n_lost = Arc::new(AtomicU64::new(0));
        let writing = tokio::spawn(write(waiting, Arc::clone(&n_lost)));
        (Self { lines, n_lost }, writing)
    }

    /// Writes a failure down, where the job wants that.
    pub(crate) fn note(&self, job: &Job, target: &Target, at: SystemTime, error: &str) {
        let Some(file) = job.failure_log() else { return };
        let object = json!({
            "time": iso8601(at),
            "level": "ERROR",
            "msg": error,
            "scrape_pool": job.name(),
            "target": &*target.url,
        });
        if self.lines.try_send(Line { file, text: object.to_string() }).is_err() {
            self.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(mut waiting: mpsc::Receiver<Line>, n_lost: Arc<AtomicU64>) {
    static UNWRITABLE: RateLimited = RateLimited::burst(5, Duration::from_secs(60));
    let mut lines = Vec::new();
    while waiting.recv_many(&mut lines, MAX_WAITING).await > 0 {
        let batch = std::mem::take(&mut lines);
        // Only fails when the process is going down.
        let Ok(failed) = tokio::task::spawn_blocking(move || append(batch)).await else { return };
        for (file, error) in failed {
            if let Some(suppressed) = UNWRITABLE.pass() {
                tracing::warn!(
                    file = %file.display(), error = error_chain(&error), suppressed,
                    "cannot write to scrape_failure_log_file; failed scrapes are not written down"
                );
            }
        }
        let n_lost = n_lost.swap(0, Ordering::Relaxed);
        if n_lost > 0 {
            tracing::warn!(
                n_lost,
                limit = MAX_WAITING,
                "failed scrapes came faster than scrape_failure_log_file takes them; MAX_WAITING of them wait at most"
            );
        }
    }
}

/// Appends lines to their files; gives the files that could not be written.
fn append(lines: Vec<Line>) -> Vec<(PathBuf, io::Error)> {
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for line in lines {
        let text = texts.entry(line.file).or_default();
        text.push_str(&line.text);
        text.push('\n');
    }
    let append = |file: &PathBuf, text: String| {
        std::fs::OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())
    };
    texts
        .into_iter()
        .filter_map(|(file, text)| append(&file, text).err().map(|error| (file, error)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_told_and_does_not_hold_up_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let line = |name: &str, text: &str| Line { file: folder.path().join(name), text: text.to_owned() };
        let failed = append(vec![line("good", "1"), line("absent/bad", "2"), line("good", "3")]);
        assert_eq!(
            failed.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>(),
            [folder.path().join("absent/bad")]
        );
        drop(append(vec![line("good", "4")]));
        assert_eq!(std::fs::read_to_string(folder.path().join("good")).unwrap(), "1\n3\n4\n");
    }

    #[tokio::test]
    async fn what_finds_no_place_is_lost_and_counted() {
        let (lines, _waiting) = mpsc::channel(1);
        let log = FailureLog { lines, n_lost: Arc::default() };
        let job = crate::tests::job("scrape_failure_log_file: x.log");
        let target = crate::tests::target(&job, &[]);
        for _ in 0..3 {
            log.note(&job, &target, SystemTime::UNIX_EPOCH, "no");
        }
        assert_eq!(log.n_lost.load(Ordering::Relaxed), 2);
    }
}
