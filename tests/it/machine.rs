//! What the machine took from a test: a virtual machine may not run for most of a second, or get half of its processors, and
//! whatever was due then is late. That says nothing about the programs under test.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether time passed.
const NAP: Duration = Duration::from_millis(5);

/// A nap that is longer by this much is a halt, and no mere wait for a core.
const HALT: Duration = Duration::from_millis(50);

/// Halts that are too short in sum, and a share of the processors that is too small, to be the cause of anything.
const FEW_HALTS: Duration = Duration::from_millis(100);
const SMALL_SHARE: f64 = 0.03;

/// How often a test is run that fails while the machine takes something from it.
const N_TRIES: usize = 3;

/// Runs a test that judges by the clock. Where it fails, and the machine stood still or its host gave the processors to others
/// meanwhile, it is run again, up to [`N_TRIES`] times in all; where neither was so, the first failure counts.
pub(crate) fn undisturbed(name: &str, run: fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for n in 1.. {
        let watch = Watch::start();
        let Err(error) = run() else { break };
        let taken = watch.taken();
        if n == N_TRIES || taken.is_little() {
            return Err(error.context(format!("try {n} of {name}; {taken}")));
        }
        let again = format!("{name} failed in try {n} of {N_TRIES} and is run again; {taken}: {error:#}\n");
        // Where nobody listens, the verdict of the next try is all there is.
        let _told = std::io::stderr().write_all(again.as_bytes());
    }
    Ok(())
}

/// A thread that naps and notes how much longer each nap was than it had to be.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    processors: Processors,
}

#[derive(Default)]
struct Shared {
    halts: Mutex<Vec<Duration>>,
    is_over: AtomicBool,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        thread::spawn(move || {
            while !watched.is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let halt = began.elapsed().saturating_sub(NAP);
                if halt >= HALT {
                    watched.halts.lock().unwrap_or_else(PoisonError::into_inner).push(halt);
                }
            }
        });
        Self { shared, processors: Processors::now() }
    }

    /// What was taken since the start.
    pub(crate) fn taken(&self) -> Taken {
        let halts = self.shared.halts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stolen = self.processors.stolen_until(Processors::now());
        Taken { halts, stolen }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

/// What a test did not get.
pub(crate) struct Taken {
    halts: Vec<Duration>,
    /// The share of the processors' time that the host gave to others while somebody here wanted it, 0 to 1.
    stolen: f64,
}

impl Taken {
    /// How many scrapes of one target the halts may have cost: all that were due in a halt, and the one under way.
    pub(crate) fn scrapes(&self, interval: Duration) -> u64 {
        let per_halt = |halt: &Duration| (halt.as_millis() / interval.as_millis()) as u64 + 1;
        self.halts.iter().map(per_halt).sum()
    }

    fn is_little(&self) -> bool {
        self.halts.iter().sum::<Duration>() < FEW_HALTS && self.stolen < SMALL_SHARE
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { halts, stolen } = self;
        write!(
            f,
            "halts of the machine: {halts:?}, {:.0} % of its processors given to others",
            stolen * 100.0
        )
    }
}

/// Sums over all processors since the machine's start, in its ticks.
#[derive(Clone, Copy, Default)]
struct Processors {
    all: u64,
    stolen: u64,
}

impl Processors {
    /// Zeros where the system does not tell.
    fn now() -> Self {
        std::fs::read_to_string("/proc/stat").ok().and_then(|text| Self::of(&text)).unwrap_or_default()
    }

    /// From the first line of `/proc/stat` (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal.
    fn of(text: &str) -> Option<Self> {
        let words = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).take(8).collect();
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    fn stolen_until(self, later: Self) -> f64 {
        let all = later.all.saturating_sub(self.all).max(1);
        later.stolen.saturating_sub(self.stolen) as f64 / all as f64
    }
}
