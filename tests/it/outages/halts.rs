//! When the machine itself stood still: a virtual machine may not run for most of a second, and whatever was due then is late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether time passed.
const NAP: Duration = Duration::from_millis(5);

/// A nap that is longer by this much is a halt, and no mere wait for a core.
const HALT: Duration = Duration::from_millis(50);

/// A thread that naps and notes how much longer each nap was than it had to be.
pub(super) struct Halts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lengths: Mutex<Vec<Duration>>,
    is_over: AtomicBool,
}

impl Halts {
    pub(super) fn watch() -> Self {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        thread::spawn(move || {
            while !watched.is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let halt = began.elapsed().saturating_sub(NAP);
                if halt >= HALT {
                    watched.lengths.lock().unwrap_or_else(PoisonError::into_inner).push(halt);
                }
            }
        });
        Self { shared }
    }

    /// How many scrapes of one target the halts may have cost: all that were due in a halt, and the one under way.
    pub(super) fn scrapes(&self, interval: Duration) -> u64 {
        let per_halt = |halt: &Duration| (halt.as_millis() / interval.as_millis()) as u64 + 1;
        self.lengths().iter().map(per_halt).sum()
    }

    /// All halts, in words.
    pub(super) fn told(&self) -> String {
        format!("halts of the machine: {:?}", self.lengths())
    }

    fn lengths(&self) -> Vec<Duration> {
        self.shared.lengths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Halts {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}
