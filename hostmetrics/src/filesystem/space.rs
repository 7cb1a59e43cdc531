//! How full filesystems are: asked by a thread of its own, because the kernel may never answer.
//!
//! A call that asks a dead NFS server cannot be given up. The thread that made it is left behind; another one goes on with
//! the mounts after it. A mount that hangs is not asked again before the thread that hangs on it comes back, and at
//! most [`MAX_HANGING`] threads are left behind: then everything that would need a new one is refused by the name of that
//! limit. Mounts that answer from memory need none. These threads keep nothing from ending: the process does not wait for them.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long all mounts together may take before the one that is being asked counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Most threads that are left behind.
pub const MAX_HANGING: usize = 4;

/// Space and inodes of a filesystem, in its own units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) block_bytes: u64,
    pub(super) blocks: u64,
    pub(super) free_blocks: u64,
    /// Those that everybody may use.
    pub(super) available_blocks: u64,
    pub(super) inodes: u64,
    pub(super) free_inodes: u64,
}

impl Space {
    pub(super) fn used(&self) -> u64 {
        self.blocks.saturating_sub(self.free_blocks).saturating_mul(self.block_bytes)
    }

    pub(super) fn free(&self) -> u64 {
        self.available_blocks.saturating_mul(self.block_bytes)
    }

    pub(super) fn reserved(&self) -> u64 {
        let all = self.blocks.saturating_mul(self.block_bytes);
        all.saturating_sub(self.used()).saturating_sub(self.free())
    }

    pub(super) fn used_inodes(&self) -> u64 {
        self.inodes.saturating_sub(self.free_inodes)
    }
}

/// Asks the kernel, which may take for ever.
pub(super) fn ask(path: &str) -> io::Result<Space> {
    let told = rustix::fs::statvfs(path)?;
    Ok(Space {
        block_bytes: told.f_frsize,
        blocks: told.f_blocks,
        free_blocks: told.f_bfree,
        available_blocks: told.f_bavail,
        inodes: told.f_files,
        free_inodes: told.f_ffree,
    })
}

type Ask = fn(&str) -> io::Result<Space>;
type Answer = (usize, io::Result<Space>);

/// Who asks, and what hangs.
#[derive(Debug)]
pub(super) struct Asking {
    ask: Ask,
    patience: Duration,
    worker: Option<Worker>,
    /// Mounts that hang, with the thread that hangs on each: it says something, or ends, once it comes back.
    hanging: HashMap<String, Worker>,
}

/// A thread that asks for one list of mounts after another, and ends when it is dropped.
#[derive(Debug)]
struct Worker {
    questions: Sender<Vec<(usize, String)>>,
    answers: Receiver<Answer>,
}

impl Worker {
    fn start(ask: Ask) -> io::Result<Self> {
        let (questions, asked) = channel::<Vec<(usize, String)>>();
        let (answered, answers) = channel();
        let run = move || {
            for question in asked {
                for (index, path) in question {
                    if answered.send((index, ask(&path))).is_err() {
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name("filesystems".to_owned()).stack_size(64 << 10).spawn(run)?;
        Ok(Self { questions, answers })
    }
}

impl Asking {
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, patience: PATIENCE, worker: None, hanging: HashMap::new() }
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks for all of these mounts; answers stand in the order of the paths.
    pub(super) fn ask(&mut self, paths: Vec<String>) -> Vec<io::Result<Space>> {
        // Whoever hung and has answered since is free again; its thread ends with its channel.
        self.hanging.retain(|_, worker| worker.answers.try_recv().is_err());
        let mut answers: Vec<Option<io::Result<Space>>> = paths.iter().map(|_| None).collect();
        let mut open: Vec<(usize, String)> = Vec::new();
        for (index, path) in paths.into_iter().enumerate() {
            if self.hanging.contains_key(&path) {
                answers[index] = Some(Err(hangs("it still does not answer")));
            } else {
                open.push((index, path));
            }
        }
        let until = Instant::now() + self.patience;
        while !open.is_empty() {
            match self.worker() {
                Ok(()) => self.ask_some(&mut open, &mut answers, until),
                Err(error) => {
                    for (index, _) in open.drain(..) {
                        answers[index] = Some(Err(io::Error::new(error.kind(), error.to_string())));
                    }
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(hangs("it was not asked")))).collect()
    }

    fn worker(&mut self) -> io::Result<()> {
        if self.worker.is_none() {
            if self.hanging.len() >= MAX_HANGING {
                return Err(hangs(&format!("not asked: max_hanging ({MAX_HANGING}) mounts hang already")));
            }
            self.worker = Some(Worker::start(self.ask)?);
        }
        Ok(())
    }

    /// Asks for what is open, until all of it is answered or one of it hangs; what was answered, or hangs, is taken out.
    fn ask_some(
        &mut self,
        open: &mut Vec<(usize, String)>,
        answers: &mut [Option<io::Result<Space>>],
        until: Instant,
    ) {
        let Some(worker) = self.worker.take() else { return };
        if worker.questions.send(open.clone()).is_err() {
            return;
        }
        while let Some((asked, _)) = open.first() {
            // The last of a long list still gets a moment.
            let left = until.saturating_duration_since(Instant::now()).max(self.patience / 10);
            match worker.answers.recv_timeout(left) {
                Ok((index, answer)) => {
                    answers[index] = Some(answer);
                    open.remove(0);
                }
                Err(RecvTimeoutError::Timeout) => {
                    answers[*asked] = Some(Err(hangs(&format!("no answer within {:?}", self.patience))));
                    let (_, path) = open.remove(0);
                    self.hanging.insert(path, worker);
                    return;
                }
                // The thread is gone, which only a panic in the system call's wrapper could do.
                Err(RecvTimeoutError::Disconnected) => {
                    answers[*asked] = Some(Err(hangs("whoever asked has ended")));
                    open.remove(0);
                    return;
                }
            }
        }
        self.worker = Some(worker);
    }
}

fn hangs(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, how.to_owned())
}
