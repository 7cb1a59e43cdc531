//! The model: any order of pushes, pops, acknowledgements, rounds, faults, crashes and damage.
//!
//! It states: what was safe and not acknowledged is delivered, in whatever run; nothing is delivered that was not produced;
//! payloads are equal; the order within a shard holds; after a clean end nothing is sent twice, after the death of the
//! process only what nobody could have noted; a damaged frame costs only itself; the counters add up after every step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseResult};

use super::*;

/// Cases of one run of the tests, and steps of a case.
const CASES: u32 = 10_000;
const MAX_STEPS: usize = 60;

#[derive(Clone, Debug)]
enum Step {
    Push {
        shard: usize,
        n_bytes: usize,
    },
    Pop {
        shard: usize,
    },
    Done {
        which: usize,
    },
    Retry {
        which: usize,
    },
    /// The parts of a round of saving; a new round gives up what the last one did not commit only when it crashes.
    Collect,
    Work,
    Commit,
    /// A whole round.
    Note,
    Save,
    Fill {
        is_full: bool,
    },
    FailSyncs {
        n: u32,
    },
    ShortWrites {
        n: u32,
    },
    FailReads {
        n: u32,
    },
    /// A clean end and a new start.
    Restart {
        n_shards: usize,
    },
    /// The process dies: what was written stays.
    Kill {
        n_shards: usize,
    },
    /// Power is lost: each unsynced page is kept, lost or torn.
    LosePower {
        n_shards: usize,
        seed: u64,
    },
    /// Damage while nothing runs.
    Flip {
        file: usize,
        byte: usize,
        bit: u8,
    },
    Truncate {
        file: usize,
        n_bytes: usize,
    },
    ZeroTail {
        file: usize,
        n_bytes: usize,
    },
    LoseSegment {
        file: usize,
    },
    GarbleCursor {
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let shards = 1..4_usize;
    prop_oneof![
        14 => (0..3_usize, 0..90_usize).prop_map(|(shard, n_bytes)| Step::Push { shard, n_bytes }),
        8 => (0..3_usize).prop_map(|shard| Step::Pop { shard }),
        6 => (0..6_usize).prop_map(|which| Step::Done { which }),
        2 => (0..6_usize).prop_map(|which| Step::Retry { which }),
        2 => Just(Step::Collect),
        2 => Just(Step::Work),
        2 => Just(Step::Commit),
        2 => Just(Step::Note),
        5 => Just(Step::Save),
        1 => any::<bool>().prop_map(|is_full| Step::Fill { is_full }),
        1 => (1..3_u32).prop_map(|n| Step::FailSyncs { n }),
        1 => (1..3_u32).prop_map(|n| Step::ShortWrites { n }),
        1 => (1..3_u32).prop_map(|n| Step::FailReads { n }),
        1 => shards.clone().prop_map(|n_shards| Step::Restart { n_shards }),
        1 => shards.clone().prop_map(|n_shards| Step::Kill { n_shards }),
        1 => (shards, any::<u64>()).prop_map(|(n_shards, seed)| Step::LosePower { n_shards, seed }),
        1 => prop_oneof![
            (0..8_usize, 0..600_usize, 0..8_u8).prop_map(|(file, byte, bit)| Step::Flip { file, byte, bit }),
            (0..8_usize, 0..600_usize).prop_map(|(file, n_bytes)| Step::Truncate { file, n_bytes }),
            (0..8_usize, 0..600_usize).prop_map(|(file, n_bytes)| Step::ZeroTail { file, n_bytes }),
            (0..8_usize).prop_map(|file| Step::LoseSegment { file }),
            any::<u64>().prop_map(|seed| Step::GarbleCursor { seed }),
        ],
    ]
}

/// Limits of a case.
#[derive(Clone, Debug)]
struct Setting {
    n_shards: usize,
    memory_bytes: u64,
    max_memory_bytes: u64,
    max_bytes: u64,
}

fn setting() -> impl Strategy<Value = Setting> {
    let small_or_large = |small: u64| prop_oneof![Just(small), Just(1 << 30)];
    (1..4_usize, prop_oneof![Just(0), Just(120), Just(1 << 30)], small_or_large(300), small_or_large(1500))
        .prop_map(|(n_shards, memory_bytes, max_memory_bytes, max_bytes)| Setting {
            n_shards,
            memory_bytes,
            max_memory_bytes,
            max_bytes,
        })
}

/// What the model knows of a request.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Number of the run and shard that it was pushed to.
    run: u32,
    shard: usize,
    n_bytes: usize,
    /// Where it lies, once it is safe.
    place: Option<Place>,
    /// Whether it was acknowledged, and did not come again since.
    is_done: bool,
    /// Whether it was ever acknowledged.
    was_done: bool,
    /// Whether the queue said that it gave it up, or may have lost it: it need not come.
    may_be_gone: bool,
    /// Whether it may come again although it was acknowledged.
    may_come_again: bool,
}

struct World {
    disk: Faulty,
    setting: Setting,
    queue: Option<Queue>,
    held: Vec<InFlight>,
    job: Option<Job>,
    work: Option<Work>,
    fates: BTreeMap<u64, Fate>,
    run: u32,
    /// Highest run of which something was popped.
    last_run: u32,
    clock: Instant,
}

impl World {
    fn new(setting: Setting) -> Self {
        let mut world = Self {
            disk: Faulty::default(),
            queue: None,
            held: Vec::new(),
            job: None,
            work: None,
            fates: BTreeMap::new(),
            run: 0,
            last_run: 0,
            clock: Instant::now() + Duration::from_secs(3600),
            setting,
        };
        world.start(world.setting.n_shards);
        world
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().expect("a queue runs between two steps")
    }

    fn start(&mut self, n_shards: usize) {
        let options = DiskOptions {
            memory_bytes: self.setting.memory_bytes,
            max_memory_bytes: self.setting.max_memory_bytes,
            ..options()
        };
        let log = LogOptions { max_bytes: self.setting.max_bytes, ..SMALL };
        let disk = Arc::new(self.disk.clone());
        let queue = Queue::open_with(n_shards, Limits::default(), disk, options, log, Timestamp(0));
        let queue = queue.expect("nothing that happens here keeps a queue from starting");
        self.run = queue.inner.lock().run;
        self.queue = Some(queue);
        self.last_run = 0;
    }

    /// What the queue that ends knew to be safe.
    fn stop(&mut self) {
        self.note_places();
        self.queue = None;
        // Requests that somebody held go back into a queue that nobody has any more.
        self.held.clear();
        (self.job, self.work) = (None, None);
    }

    /// Asks the queue where its requests lie now.
    fn note_places(&mut self) {
        let state = self.queue().inner.lock();
        let waiting = state.shards.iter().flatten().map(|entry| (number(&entry.request), entry.place));
        let held = state.in_flight.values().map(|flight| (number(&flight.request), flight.place));
        let places: Vec<_> = waiting.chain(held).collect();
        drop(state);
        for (number, place) in places {
            if let Some(fate) = self.fates.get_mut(&number) {
                fate.place = place;
            }
        }
    }

    /// Numbers that the queue has, waiting or held.
    fn present(&self) -> BTreeSet<u64> {
        let state = self.queue().inner.lock();
        let waiting = state.shards.iter().flatten().map(|entry| number(&entry.request));
        waiting.chain(state.in_flight.values().map(|flight| number(&flight.request))).collect()
    }

    fn collect(&mut self, round: Round) -> Job {
        self.clock += Duration::from_secs(2);
        self.queue().inner.collect(round, self.clock, Timestamp(0))
    }

    fn work(&self, job: Job, round: Round) -> Work {
        let disk = self.queue().inner.disk.as_ref().expect("it has a disk");
        let mut log = disk.log.lock().unwrap();
        super::super::work(&mut log, job, round)
    }

    fn commit(&mut self, work: Work) {
        self.queue().inner.commit(work, self.clock);
    }

    fn round(&mut self, round: Round) {
        self.finish_round();
        let job = self.collect(round);
        let work = self.work(job, round);
        self.commit(work);
    }

    /// Rounds do not overlap: one that began is brought to its end.
    fn finish_round(&mut self) {
        if let Some(job) = self.job.take() {
            self.work = Some(self.work(job, Round::Save));
        }
        if let Some(work) = self.work.take() {
            self.commit(work);
        }
    }

    fn step(&mut self, step: Step) -> TestCaseResult {
        match step {
            Step::Push { shard, n_bytes } => self.push(shard, n_bytes),
            Step::Pop { shard } => self.pop(shard)?,
            Step::Done { which } if which < self.held.len() => self.done(which),
            Step::Retry { which } if which < self.held.len() => self.held.remove(which).retry(),
            Step::Done { .. } | Step::Retry { .. } => {}
            Step::Collect => {
                self.finish_round();
                self.job = Some(self.collect(Round::Save));
            }
            Step::Work => {
                if let Some(job) = self.job.take() {
                    self.work = Some(self.work(job, Round::Save));
                }
            }
            Step::Commit => self.finish_round(),
            Step::Note => self.round(Round::Note),
            Step::Save => self.round(Round::Save),
            Step::Fill { is_full } => self.disk.fail(|faults| faults.is_full = is_full),
            Step::FailSyncs { n } => self.disk.fail(|faults| faults.failing_syncs = n),
            Step::ShortWrites { n } => self.disk.fail(|faults| faults.short_writes = n),
            Step::FailReads { n } => self.disk.fail(|faults| faults.failing_reads = n),
            Step::Restart { n_shards } => self.restart(n_shards)?,
            Step::Kill { n_shards } => self.kill(n_shards)?,
            Step::LosePower { n_shards, seed } => self.lose_power(n_shards, seed)?,
            damage => self.damage(&damage)?,
        }
        adds_up(self.queue());
        Ok(())
    }

    fn push(&mut self, shard: usize, n_bytes: usize) {
        let n = self.fates.len() as u64;
        let shard = shard % self.queue().n_shards();
        let is_taken = self.queue().push(shard, request(n, n_bytes)).is_ok();
        let fate = Fate {
            run: self.run,
            shard,
            n_bytes,
            place: None,
            is_done: false,
            was_done: false,
            may_be_gone: !is_taken,
            may_come_again: false,
        };
        self.fates.insert(n, fate);
    }

    fn pop(&mut self, shard: usize) -> TestCaseResult {
        let shard = shard % self.queue().n_shards();
        let Some(taken) = self.queue().take(shard) else { return Ok(()) };
        let n = number(&taken);
        let fate = self.fates.get(&n).copied();
        let Some(fate) = fate else { return Err(TestCaseError::fail(format!("{n} was never produced"))) };
        prop_assert!(!fate.is_done, "{n} was acknowledged before");
        // Numbers grow with time, so within a run and a shard the smallest that waits comes first.
        let later = self.waiting(fate.run, fate.shard).find(|other| *other < n);
        prop_assert!(later.is_none(), "{n} came before {later:?}");
        prop_assert!(fate.run >= self.last_run, "{n} of run {} after one of run {}", fate.run, self.last_run);
        self.last_run = fate.run;
        if taken.is_resident() {
            prop_assert_eq!(&taken.payload, &payload(n, fate.n_bytes));
            self.held.push(taken);
            return Ok(());
        }
        let place = taken.place().expect("what is not in memory is on disk");
        let inner = Arc::clone(&self.queue().inner);
        match inner.loaded(taken, read_frame(&self.disk, place), false) {
            Loaded::Ready(taken) => {
                prop_assert_eq!(&taken.payload, &payload(n, fate.n_bytes));
                self.held.push(taken);
            }
            Loaded::Later(taken, _) => taken.retry(),
            Loaded::Gone => prop_assert!(fate.may_be_gone || self.is_limited(), "{n} is gone: {fate:?}"),
        }
        Ok(())
    }

    /// Numbers that wait and were pushed to this shard in this run.
    fn waiting(&self, run: u32, shard: usize) -> impl Iterator<Item = u64> {
        let state = self.queue().inner.lock();
        let waiting: Vec<u64> = state.shards.iter().flatten().map(|entry| number(&entry.request)).collect();
        let is_there = |n: &u64| self.fates.get(n).is_some_and(|fate| (fate.run, fate.shard) == (run, shard));
        waiting.into_iter().filter(is_there).collect::<Vec<_>>().into_iter()
    }

    /// Whether the queue may drop what it likes to stay within its limits.
    fn is_limited(&self) -> bool {
        self.setting.max_bytes < 1 << 30 || self.setting.max_memory_bytes < 1 << 30
    }

    fn done(&mut self, which: usize) {
        self.note_places();
        let taken = self.held.remove(which);
        if let Some(fate) = self.fates.get_mut(&number(&taken)) {
            (fate.is_done, fate.was_done) = (true, true);
        }
        taken.done();
    }

    /// What has to be there when the queue was opened again.
    fn check_opened(&mut self) -> TestCaseResult {
        let present = self.present();
        for n in &present {
            let fate = self.fates.get(n).copied();
            let Some(fate) = fate else { return Err(TestCaseError::fail(format!("{n} was never produced"))) };
            prop_assert!(!fate.is_done || fate.may_come_again, "{n} was acknowledged and is here again");
        }
        let is_limited = self.is_limited();
        for (n, fate) in &mut self.fates {
            let is_due = fate.place.is_some() && !fate.is_done;
            let is_there = present.contains(n);
            prop_assert!(
                !is_due || is_there || fate.may_be_gone || is_limited,
                "{n} was safe and is lost: {fate:?}"
            );
            // Of what was not safe a header may be there without its payload.
            fate.may_be_gone |= !is_there || fate.place.is_none();
            fate.is_done &= !is_there;
            fate.may_come_again = false;
        }
        adds_up(self.queue());
        Ok(())
    }

    fn restart(&mut self, n_shards: usize) -> TestCaseResult {
        self.disk.fail(|faults| *faults = crate::storage::faulty::Faults::default());
        self.held.clear();
        self.round(Round::Last);
        self.round(Round::Last);
        prop_assert!(
            self.queue().inner.lock().on_disk.unsaved.is_empty(),
            "nothing keeps a clean end from saving"
        );
        self.stop();
        self.start(n_shards);
        self.check_opened()
    }

    fn kill(&mut self, n_shards: usize) -> TestCaseResult {
        self.allow_unnoted();
        self.stop();
        self.disk.crash(|n_bytes| n_bytes);
        self.start(n_shards);
        self.check_opened()
    }

    fn lose_power(&mut self, n_shards: usize, seed: u64) -> TestCaseResult {
        for fate in self.fates.values_mut() {
            // What was acknowledged and not yet synced comes again, and so does what the last syncs did not keep.
            fate.may_come_again |= fate.is_done;
        }
        self.stop();
        let mut random = seed | 1;
        self.disk.crash(|n_bytes| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 3 {
                0 => 0,
                1 => n_bytes,
                _ => (random >> 8) as usize % (n_bytes + 1),
            }
        });
        self.start(n_shards);
        self.check_opened()
    }

    /// After the death of the process that may come again of which the log was not told, or not on a healthy disk.
    fn allow_unnoted(&mut self) {
        let state = self.queue().inner.lock();
        let unnoted: BTreeSet<u64> = state.on_disk.finished.iter().map(|place| place.seq).collect();
        let has_trouble = state.on_disk.trouble.is_some();
        drop(state);
        let is_between = self.job.is_some() || self.work.is_some();
        for fate in self.fates.values_mut() {
            let is_unnoted = fate.place.is_none_or(|place| unnoted.contains(&place.seq));
            fate.may_come_again |= fate.is_done && (is_unnoted || has_trouble || is_between);
        }
    }

    fn damage(&mut self, damage: &Step) -> TestCaseResult {
        let n_shards = self.queue().n_shards();
        self.restart(n_shards)?;
        let segments = self.disk.names(".seg");
        self.note_places();
        let mut struck = |file: usize, change: &mut dyn FnMut(&mut Vec<u8>) -> std::ops::Range<u64>| {
            let Some(name) = segments.get(file % segments.len().max(1)) else { return };
            let mut range = 0..0;
            self.disk.damage(name, |bytes| range = change(bytes));
            for fate in self.fates.values_mut() {
                let is_struck = fate.place.is_some_and(|place| {
                    *name == place.segment.name()
                        && place.offset < range.end
                        && range.start < place.offset + place.n_bytes
                });
                fate.may_be_gone |= is_struck;
            }
        };
        match damage {
            Step::Flip { file, byte, bit } => struck(*file, &mut |bytes| {
                let struck = (*byte).min(bytes.len() - 1);
                bytes[struck] ^= 1 << bit;
                struck as u64..struck as u64 + 1
            }),
            Step::Truncate { file, n_bytes } => struck(*file, &mut |bytes| {
                bytes.truncate(*n_bytes);
                bytes.len() as u64..u64::MAX
            }),
            Step::ZeroTail { file, n_bytes } => struck(*file, &mut |bytes| {
                let begin = *n_bytes.min(&bytes.len());
                bytes[begin..].fill(0);
                begin as u64..u64::MAX
            }),
            Step::LoseSegment { file } => {
                struck(*file, &mut |_| 0..u64::MAX);
                if let Some(name) = segments.get(file % segments.len().max(1)) {
                    self.disk.lose(name);
                }
            }
            Step::GarbleCursor { seed } => {
                self.disk.damage("cursor", |bytes| {
                    for (index, byte) in bytes.iter_mut().enumerate() {
                        *byte = (seed >> (index % 57)) as u8;
                    }
                });
                for fate in self.fates.values_mut() {
                    fate.may_come_again |= fate.is_done;
                }
            }
            _ => {}
        }
        self.held.clear();
        self.queue = None;
        self.start(n_shards);
        self.check_opened()
    }

    /// Everything that is left is sent, and everything that had to come has come.
    fn end(mut self) -> TestCaseResult {
        let n_shards = self.queue().n_shards();
        self.restart(n_shards)?;
        let mut n_idle = 0;
        while n_idle < 2 {
            let before = self.queue().len();
            for shard in 0..n_shards {
                self.pop(shard)?;
                while !self.held.is_empty() {
                    self.done(0);
                }
            }
            n_idle = if self.queue().len() < before { 0 } else { n_idle + 1 };
        }
        prop_assert!(self.queue().is_empty());
        adds_up(self.queue());
        for (n, fate) in &self.fates {
            prop_assert!(fate.was_done || fate.may_be_gone || self.is_limited(), "{n} never came: {fate:?}");
        }
        self.round(Round::Last);
        self.round(Round::Last);
        let left = self.disk.names(".seg");
        prop_assert!(
            left.is_empty(),
            "{left:?} stay: {:?}",
            self.queue().inner.disk.as_ref().map(|disk| &disk.log)
        );
        Ok(())
    }
}

// Pages are smaller than frames, or none would ever be torn.
const _: () = assert!(crate::storage::faulty::PAGE < crate::log::frame::HEADER_BYTES);

proptest! {
    // Without optimisation the usual generator takes most of the time.
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_safe_is_delivered_and_nothing_else(
        setting in setting(),
        steps in proptest::collection::vec(step(), 0..MAX_STEPS),
    ) {
        let mut world = World::new(setting);
        for step in steps {
            world.step(step)?;
        }
        world.end()?;
    }
}
