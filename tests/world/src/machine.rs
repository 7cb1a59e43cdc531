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
pub fn undisturbed(name: &str, run: fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let watched = || {
        let watch = Watch::start();
        run().map_err(|error| (error, watch.taken()))
    };
    // Where nobody listens, the verdict of the next try is all there is.
    tried(name, watched, |again| drop(std::io::stderr().write_all(again.as_bytes())))
}

/// Tries until a failure counts; each comes with what the machine took meanwhile. `tell` is told of those that do not count.
fn tried(
    name: &str,
    mut run: impl FnMut() -> Result<(), (anyhow::Error, Taken)>,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<()> {
    for n in 1.. {
        let Err((error, taken)) = run() else { break };
        if n == N_TRIES || taken.is_little() {
            return Err(error.context(format!("try {n} of {name}; {taken}")));
        }
        tell(&format!("{name} failed in try {n} of {N_TRIES} and is run again; {taken}: {error:#}\n"));
    }
    Ok(())
}

/// A thread that naps and notes how much longer each nap was than it had to be.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    processors: Processors,
}

#[derive(Debug, Default)]
struct Shared {
    halts: Mutex<Vec<Duration>>,
    is_over: AtomicBool,
}

impl Watch {
    /// Begins to watch, until it is dropped.
    pub fn start() -> Self {
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
    pub fn taken(&self) -> Taken {
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
#[derive(Debug, Default)]
pub struct Taken {
    halts: Vec<Duration>,
    /// The share of the processors' time that the host gave to others while somebody here wanted it, 0 to 1.
    stolen: f64,
}

impl Taken {
    /// How many scrapes of one target the halts may have cost: all that were due in a halt, and the one under way.
    pub fn scrapes(&self, interval: Duration) -> u64 {
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn halts(millis: &[u64]) -> Taken {
        Taken { halts: millis.iter().copied().map(Duration::from_millis).collect(), stolen: 0.0 }
    }

    #[test]
    fn a_failure_on_a_machine_that_was_there_counts_at_once() {
        for taken in [halts(&[]), halts(&[60]), Taken { stolen: 0.02, ..Taken::default() }] {
            let mut taken = Some(taken);
            let fails = || Err((anyhow!("wrong"), taken.take().expect("one try")));
            let outcome = tried("a test", fails, |again| panic!("{again}"));
            let told = format!("{:#}", outcome.unwrap_err());
            assert!(told.starts_with("try 1 of a test; halts of the machine: "), "{told}");
            assert!(told.ends_with(": wrong"), "{told}");
        }
    }

    #[test]
    fn a_failure_on_a_machine_that_was_away_counts_the_third_time() {
        for (millis, stolen) in [(&[60, 60][..], 0.0), (&[], 0.03)] {
            let mut told = Vec::new();
            let fails = || Err((anyhow!("wrong"), Taken { stolen, ..halts(millis) }));
            let outcome = tried("a test", fails, |again| told.push(again.to_owned()));
            assert!(outcome.unwrap_err().to_string().starts_with("try 3 of a test; "));
            assert_eq!(told.len(), N_TRIES - 1);
            assert!(told[0].starts_with("a test failed in try 1 of 3 and is run again; halts"), "{told:?}");
        }
    }

    #[test]
    fn a_test_that_passes_is_not_run_again() {
        let mut outcomes = vec![Ok(()), Err((anyhow!("late"), halts(&[900])))];
        assert!(tried("a test", || outcomes.pop().expect("two tries"), |_| {}).is_ok());
        assert!(outcomes.is_empty());
    }

    #[test]
    fn a_halt_costs_what_was_due_in_it_and_the_scrape_under_way() {
        assert_eq!(halts(&[]).scrapes(Duration::from_millis(200)), 0);
        assert_eq!(halts(&[60, 450]).scrapes(Duration::from_millis(200)), 1 + 3);
    }

    #[test]
    fn what_the_host_took_is_a_share_of_all_ticks() {
        let before = Processors::of("cpu  10 1 5 100 2 0 3 4 7 7\ncpu0 1\n").unwrap();
        assert_eq!(before, Processors { all: 125, stolen: 4 });
        let after = Processors::of("cpu  20 1 5 160 2 0 3 34 7 7\n").unwrap();
        assert!((before.stolen_until(after) - 0.3).abs() < 1e-9);
        for text in ["", "cpu  1 2 3", "intr 1 2 3 4 5 6 7 8"] {
            assert_eq!(Processors::of(text), None, "{text}");
        }
    }
}
