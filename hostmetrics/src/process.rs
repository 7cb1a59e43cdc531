//! `process`: time, memory, I/O of every process, each a resource of its own.
//!
//! As upstream's `processscraper`. Files are read through buffers that are used again, and who a process is is read only when that may
//! have changed: a process that goes on as it was costs three small files and no allocation. Mended: threads of the kernel have
//! no program and that is no error; what can be read is told although something else cannot; errors of many processes
//! are one. Values that mislead upstream are kept unless the gate `muster.hostmetrics.upstreamValues` is switched off.

pub(crate) mod attributes;
mod identity;
mod owners;
pub(crate) mod stat;

pub use attributes::{AttributeConfig, AttributesConfig, ValueFilter};
pub use identity::MAX_COMMAND_LINE_BYTES;

use std::collections::HashMap;

use config::{Problem, Timeout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TICKS_PER_SECOND;
use crate::failure::is_gone;
use crate::files::malformed;
use crate::filter::{Filter, Names};
use crate::memory::MemInfo;
use crate::out::Out;
use crate::pids::Folders;
use crate::points::Points;
use crate::processes::Tally;
use crate::settings::MetricsConfig;
use crate::table::how::{COUNTER, GAUGE, INT_COUNTER, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::text;
use crate::turn::{Scraper, Turn};
use attributes::{Fact, Wanted};
use identity::{Identity, Reader, Unread};
use owners::Owners;
use stat::{Io, Stat, Status, pages};

const SWITCH: Attribute = Attribute::of("type", &["involuntary", "voluntary"]).named("context_switch_type");
const FAULT: Attribute = Attribute::of("type", &["major", "minor"]).named("paging_fault_type");
const STATE: Attribute = Attribute::of("state", &["system", "user", "wait"]);
const DIRECTION: Attribute = Attribute::of("direction", &["read", "write"]);

const METRICS: &[Metric] = &[
    Metric::off(
        "process.context_switches",
        "{count}",
        INT_COUNTER,
        &[SWITCH],
        "How often its threads left a CPU.",
    ),
    Metric::on("process.cpu.time", "s", COUNTER, &[STATE], "Processor time, and time of waiting for disks."),
    Metric::off("process.cpu.utilization", "1", GAUGE, &[STATE], "Share of all CPUs since the last scrape."),
    Metric::on(
        "process.disk.io",
        "By",
        INT_COUNTER,
        &[DIRECTION],
        "Bytes read and written, not only those of disks.",
    ),
    Metric::off(
        "process.disk.operations",
        "{operations}",
        INT_COUNTER,
        &[DIRECTION],
        "Calls that read and write.",
    ),
    Metric::off("process.handles", "{count}", INT_SUM, &[], "Open handles; on Windows only."),
    Metric::on("process.memory.usage", "By", INT_SUM, &[], "Memory that is resident."),
    Metric::off("process.memory.utilization", "1", GAUGE, &[], "Resident memory in percent of all memory."),
    Metric::on("process.memory.virtual", "By", INT_SUM, &[], "Memory that is mapped."),
    Metric::off("process.open_file_descriptors", "{count}", INT_SUM, &[], "Open files."),
    Metric::off("process.paging.faults", "{faults}", INT_COUNTER, &[FAULT], "Page faults."),
    Metric::off("process.signals_pending", "{signals}", INT_SUM, &[], "Signals that wait, as bits."),
    Metric::off("process.threads", "{threads}", INT_SUM, &[], "Threads."),
    Metric::off("process.uptime", "s", GAUGE, &[], "Time since the process was started."),
];

const SWITCHES: usize = row(METRICS, "process.context_switches");
const CPU_TIME: usize = row(METRICS, "process.cpu.time");
const CPU_UTILIZATION: usize = row(METRICS, "process.cpu.utilization");
const DISK_IO: usize = row(METRICS, "process.disk.io");
const DISK_OPERATIONS: usize = row(METRICS, "process.disk.operations");
const MEMORY: usize = row(METRICS, "process.memory.usage");
const MEMORY_UTILIZATION: usize = row(METRICS, "process.memory.utilization");
const MEMORY_VIRTUAL: usize = row(METRICS, "process.memory.virtual");
const OPEN_FILES: usize = row(METRICS, "process.open_file_descriptors");
const FAULTS: usize = row(METRICS, "process.paging.faults");
const SIGNALS: usize = row(METRICS, "process.signals_pending");
const THREADS: usize = row(METRICS, "process.threads");
const UPTIME: usize = row(METRICS, "process.uptime");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Process>,
    /// Which attributes its resources have, and which processes are left out by them.
    #[serde(default)]
    pub resource_attributes: AttributesConfig,
    /// Names of executables that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Names>,
    /// Names of executables that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Names>,
    /// Says nothing of what cannot be read of processes.
    #[serde(default)]
    pub mute_process_all_errors: bool,
    /// Says nothing of names that cannot be read.
    #[serde(default)]
    pub mute_process_name_error: bool,
    /// Says nothing of executables that cannot be read.
    #[serde(default)]
    pub mute_process_exe_error: bool,
    /// Says nothing of I/O that cannot be read.
    #[serde(default)]
    pub mute_process_io_error: bool,
    /// Says nothing of users that are not known.
    #[serde(default)]
    pub mute_process_user_error: bool,
    /// Says nothing of cgroups that cannot be read.
    #[serde(default)]
    pub mute_process_cgroup_error: bool,
    /// Processes younger than this are not told.
    #[serde(default)]
    pub scrape_process_delay: Timeout,
}

/// Which errors nobody wants to hear.
#[derive(Clone, Copy, Debug, Default)]
struct Mutes {
    name: bool,
    exe: bool,
    io: bool,
    user: bool,
    cgroup: bool,
    other: bool,
}

impl Mutes {
    fn of(config: &Config) -> Self {
        let all = config.mute_process_all_errors;
        Self {
            name: all || config.mute_process_name_error,
            exe: all || config.mute_process_exe_error,
            io: all || config.mute_process_io_error,
            user: all || config.mute_process_user_error,
            cgroup: all || config.mute_process_cgroup_error,
            other: all,
        }
    }
}

/// What can fail, and what to do about it.
struct What {
    stat: (&'static str, &'static str),
    command_line: (&'static str, &'static str),
    executable: (&'static str, &'static str),
    owner: (&'static str, &'static str),
    cgroup: (&'static str, &'static str),
    io: (&'static str, &'static str),
    other: (&'static str, &'static str),
}

const WHAT: What = What {
    stat: ("state of a process", "run as root, or set mute_process_name_error"),
    command_line: ("command line of a process", "run as root, or set mute_process_name_error"),
    executable: ("executable of a process", "grant SYS_PTRACE, or set mute_process_exe_error"),
    owner: (
        "user of a process",
        "mount the host's /etc/passwd below root_path, or set mute_process_user_error",
    ),
    cgroup: ("cgroup of a process", "set mute_process_cgroup_error"),
    io: ("I/O of a process", "grant SYS_PTRACE, or set mute_process_io_error"),
    other: ("files of a process", "grant SYS_PTRACE, or set mute_process_all_errors"),
};

/// The scraper.
#[derive(Debug)]
pub struct Process {
    points: Points,
    filter: Filter,
    wanted: Wanted,
    mutes: Mutes,
    /// Processes younger than this, in milliseconds, are not told.
    delay: i64,
    owners: Owners,
    folders: Folders,
    pids: Vec<u32>,
    path: String,
    known: HashMap<u32, Known>,
    turn: u64,
}

/// A process that was there at the last scrape.
#[derive(Debug)]
struct Known {
    identity: Identity,
    /// The scrape that saw it last.
    turn: u64,
    last: Option<Cpu>,
}

/// Processor time at a time.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    /// Milliseconds since the epoch.
    at: i64,
    user: u64,
    system: u64,
    wait: u64,
}

/// Facts of the host that some metrics need.
#[derive(Clone, Copy, Debug, Default)]
struct Surroundings {
    n_cpus: u64,
    memory: u64,
}

impl Table for Process {
    const SCRAPER: &'static str = "process";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.43.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[
        Decision {
            about: "process.memory.utilization",
            upstream: "a percentage, although the unit is 1",
            verdict: Verdict::Switch,
            test: "misleading_values_of_a_process_are_kept_unless_the_gate_mends_them",
        },
        Decision {
            about: "process.disk.io",
            upstream: "all that is read and written, pipes and sockets included",
            verdict: Verdict::Switch,
            test: "misleading_values_of_a_process_are_kept_unless_the_gate_mends_them",
        },
        Decision {
            about: "process.signals_pending",
            upstream: "the bits of the signals as a number, not how many there are",
            verdict: Verdict::Switch,
            test: "misleading_values_of_a_process_are_kept_unless_the_gate_mends_them",
        },
        Decision {
            about: "process.executable.path of kernel threads",
            upstream: "an error a thread and scrape",
            verdict: Verdict::Mended,
            test: "a_kernel_thread_has_no_executable_and_that_is_no_error",
        },
        Decision {
            about: "files that may not be read",
            upstream: "drops the process, or says so in every scrape",
            verdict: Verdict::Mended,
            test: "what_can_be_read_of_a_process_is_told_although_the_rest_cannot",
        },
        Decision {
            about: "process.owner",
            upstream: "looks users up in the passwd file of the container",
            verdict: Verdict::Mended,
            test: "every_reader_honours_the_root_path",
        },
    ];
}

impl Scraper for Process {
    /// The kernel may make who reads a process wait until others are done with its memory.
    fn is_quick(&self) -> bool {
        false
    }

    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        let folder = turn.root.proc_folder();
        let mut pids = std::mem::take(&mut self.pids);
        if let Err(error) = turn.files.enter(folder).and_then(|()| self.folders.processes(folder, &mut pids))
        {
            return turn.failures.add(("process", "list of processes"), folder, &error, "");
        }
        if self.wanted.has(Fact::Owner)
            && let Err(error) = self.owners.refresh(turn.root, turn.files)
            && !self.mutes.user
        {
            turn.failures.add(("process", WHAT.owner.0), &turn.root.etc("passwd"), &error, WHAT.owner.1);
        }
        self.turn += 1;
        let around = self.surroundings(turn);
        let mut tally = Tally::default();
        let mut n_there = pids.len();
        for pid in &pids {
            if self.one(*pid, turn, &around, &mut tally, out).is_none() {
                n_there -= 1;
            }
        }
        turn.tally = Some(tally.of(n_there));
        self.known.retain(|_, known| known.turn == self.turn);
        self.pids = pids;
    }
}

impl Process {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        let sides = (("include", config.include.as_ref()), ("exclude", config.exclude.as_ref()));
        let delay = config.scrape_process_delay.as_duration().unwrap_or_default();
        Self {
            points,
            filter: Filter::build(sides.0, sides.1, problems),
            wanted: Wanted::build(&config.resource_attributes, problems),
            mutes: Mutes::of(config),
            delay: i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
            owners: Owners::default(),
            folders: Folders::default(),
            pids: Vec::new(),
            path: String::new(),
            known: HashMap::new(),
            turn: 0,
        }
    }

    fn surroundings(&self, turn: &mut Turn<'_>) -> Surroundings {
        let mut around = Surroundings::default();
        if self.points.is_on(CPU_UTILIZATION) {
            let text = turn.files.read(&turn.root.proc("stat"));
            let is_cpu = |line: &&[u8]| line.get(3).is_some_and(u8::is_ascii_digit);
            around.n_cpus = text.map_or(0, |text| {
                text::lines(text).take_while(|line| line.starts_with(b"cpu")).filter(is_cpu).count() as u64
            });
        }
        if self.points.is_on(MEMORY_UTILIZATION) {
            let text = turn.files.read(&turn.root.proc("meminfo"));
            around.memory = text.ok().and_then(|text| MemInfo::parse(text).ok()).map_or(0, |info| info.total);
        }
        around
    }

    /// Tells one process; `None` when it is gone.
    fn one(
        &mut self,
        pid: u32,
        turn: &mut Turn<'_>,
        around: &Surroundings,
        tally: &mut Tally,
        out: &mut Out,
    ) -> Option<()> {
        // Stat files are a few hundred bytes; a copy on the stack leaves the buffer to the files that follow.
        let mut copy = [0; 1024];
        turn.root.process(&mut self.path, pid, "stat");
        let n_bytes = match turn.files.read_of_process(&self.path) {
            Ok(text) => {
                let n_bytes = text.len().min(copy.len());
                copy[..n_bytes].copy_from_slice(&text[..n_bytes]);
                n_bytes
            }
            Err(error) if is_gone(&error) => return None,
            Err(error) => {
                self.fail(self.mutes.name, WHAT.stat, &error, turn);
                return Some(());
            }
        };
        let Some(stat) = Stat::parse(&copy[..n_bytes]) else {
            self.fail(self.mutes.name, WHAT.stat, &malformed("fields are missing"), turn);
            return Some(());
        };
        tally.add(stat.state);
        let started = started(turn.boot, stat.start);
        let started_millis = i64::try_from(started / 1_000_000).unwrap_or(i64::MAX);
        if turn.now.millis().saturating_sub(started_millis) < self.delay {
            return Some(());
        }
        let mut known = self.known.remove(&pid);
        let is_current = |known: &Known| known.identity.is_current(&stat, started_millis, turn.now.millis());
        if !known.as_ref().is_some_and(is_current) {
            let identity = self.identify(pid, &stat, turn)?;
            let last = known.and_then(|known| known.last.filter(|_| known.identity.is_same_process(&stat)));
            known = Some(Known { identity, turn: self.turn, last });
        }
        let mut known = known?;
        known.turn = self.turn;
        for Unread { what: (what, remedy), file, error } in &known.identity.unread {
            turn.failures.add_one_of_many(("process", what), file, error, remedy);
        }
        let is_there =
            !known.identity.is_taken || self.tell(pid, &stat, &mut known, started, turn, around).is_some();
        out.take(&mut self.points, &known.identity.resource);
        self.known.insert(pid, known);
        is_there.then_some(())
    }

    fn identify(&mut self, pid: u32, stat: &Stat<'_>, turn: &mut Turn<'_>) -> Option<Identity> {
        let mut reader = Reader {
            wanted: &self.wanted,
            filter: &self.filter,
            mutes: &self.mutes,
            owners: &mut self.owners,
            path: &mut self.path,
            unread: Vec::new(),
        };
        reader.read(pid, stat, turn)
    }

    /// Puts the points of a process; `None` when it went away meanwhile, though what was read before is true.
    fn tell(
        &mut self,
        pid: u32,
        stat: &Stat<'_>,
        known: &mut Known,
        started: u64,
        turn: &mut Turn<'_>,
        around: &Surroundings,
    ) -> Option<()> {
        self.points.begin(started, turn.now_nanos());
        self.put_cpu(stat, known, turn.now.millis(), around);
        for (kind, faults) in [("major", stat.major_faults), ("minor", stat.minor_faults)] {
            self.points.int(FAULTS, faults, &[kind]);
        }
        self.points.int(THREADS, stat.n_threads, &[]);
        let uptime = turn.now_nanos().saturating_sub(started) as f64 / 1e9;
        self.points.double(UPTIME, uptime, &[]);
        if self.points.is_any_on(&[MEMORY, MEMORY_VIRTUAL, MEMORY_UTILIZATION]) {
            self.put_memory(pid, turn, around)?;
        }
        if self.points.is_any_on(&[DISK_IO, DISK_OPERATIONS]) {
            self.put_io(pid, turn)?;
        }
        if self.points.is_on(OPEN_FILES) {
            self.put_open_files(pid, turn)?;
        }
        if self.points.is_on(SIGNALS) {
            self.put_signals(pid, turn)?;
        }
        if self.points.is_on(SWITCHES) {
            self.put_switches(pid, turn)?;
        }
        Some(())
    }

    fn put_cpu(&mut self, stat: &Stat<'_>, known: &mut Known, now: i64, around: &Surroundings) {
        let cpu = Cpu { at: now, user: stat.user, system: stat.system, wait: stat.wait };
        let last = known.last.replace(cpu);
        let states = [
            ("system", cpu.system, last.map(|last| last.system)),
            ("user", cpu.user, last.map(|last| last.user)),
            ("wait", cpu.wait, last.map(|last| last.wait)),
        ];
        let millis = last.map_or(0, |last| now.saturating_sub(last.at));
        for (state, ticks, before) in states {
            self.points.double(CPU_TIME, ticks as f64 / TICKS_PER_SECOND, &[state]);
            if let Some(before) = before.filter(|_| millis > 0 && around.n_cpus > 0) {
                let seconds = ticks.saturating_sub(before) as f64 / TICKS_PER_SECOND;
                let share = seconds / (millis as f64 / 1000.0) / around.n_cpus as f64;
                self.points.double(CPU_UTILIZATION, share, &[state]);
            }
        }
    }

    fn put_memory(&mut self, pid: u32, turn: &mut Turn<'_>, around: &Surroundings) -> Option<()> {
        const PERCENT: f64 = 100.0;
        turn.root.process(&mut self.path, pid, "statm");
        match turn.files.read_of_process(&self.path).map(pages) {
            Ok(Some((all, resident))) => {
                let page_bytes = rustix::param::page_size() as u64;
                let resident = resident.saturating_mul(page_bytes);
                self.points.int(MEMORY, resident, &[]);
                self.points.int(MEMORY_VIRTUAL, all.saturating_mul(page_bytes), &[]);
                if around.memory > 0 {
                    let factor = if turn.has_upstream_values { PERCENT } else { 1.0 };
                    let share = resident as f64 / around.memory as f64 * factor;
                    self.points.double(MEMORY_UTILIZATION, share, &[]);
                }
            }
            Ok(None) => self.fail(self.mutes.other, WHAT.other, &malformed("fields are missing"), turn),
            Err(error) if is_gone(&error) => return None,
            Err(error) => self.fail(self.mutes.other, WHAT.other, &error, turn),
        }
        Some(())
    }

    fn put_io(&mut self, pid: u32, turn: &mut Turn<'_>) -> Option<()> {
        turn.root.process(&mut self.path, pid, "io");
        match turn.files.read_of_process(&self.path).map(Io::parse) {
            Ok(Some(io)) => {
                let (read, written) = if turn.has_upstream_values {
                    (io.read_chars, io.written_chars)
                } else {
                    (io.read_bytes, io.written_bytes)
                };
                self.points.int(DISK_IO, read, &["read"]);
                self.points.int(DISK_IO, written, &["write"]);
                self.points.int(DISK_OPERATIONS, io.read_calls, &["read"]);
                self.points.int(DISK_OPERATIONS, io.write_calls, &["write"]);
            }
            Ok(None) => self.fail(self.mutes.io, WHAT.io, &malformed("fields are missing"), turn),
            Err(error) if is_gone(&error) => return None,
            Err(error) => self.fail(self.mutes.io, WHAT.io, &error, turn),
        }
        Some(())
    }

    fn put_open_files(&mut self, pid: u32, turn: &mut Turn<'_>) -> Option<()> {
        turn.root.process(&mut self.path, pid, "fd");
        let mut n_open = 0;
        match self.folders.list(&self.path, |_| n_open += 1) {
            Ok(()) => self.points.int(OPEN_FILES, n_open, &[]),
            Err(error) if is_gone(&error) => return None,
            Err(error) => self.fail(self.mutes.other, WHAT.other, &error, turn),
        }
        Some(())
    }

    fn put_signals(&mut self, pid: u32, turn: &mut Turn<'_>) -> Option<()> {
        turn.root.process(&mut self.path, pid, "status");
        match turn.files.read_of_process(&self.path).map(Status::parse) {
            Ok(Status { pending, .. }) => {
                let value = if turn.has_upstream_values { pending } else { u64::from(pending.count_ones()) };
                self.points.int(SIGNALS, value, &[]);
            }
            Err(error) if is_gone(&error) => return None,
            Err(error) => self.fail(self.mutes.other, WHAT.other, &error, turn),
        }
        Some(())
    }

    /// Switches of all threads; those of threads that have ended are forgotten by the kernel.
    fn put_switches(&mut self, pid: u32, turn: &mut Turn<'_>) -> Option<()> {
        turn.root.process(&mut self.path, pid, "task");
        let (mut voluntary, mut involuntary) = (0_u64, 0_u64);
        let folder = self.path.clone();
        let outcome = self.folders.list(&folder, |thread| {
            let path = format!("{folder}/{}/status", String::from_utf8_lossy(thread));
            // A thread that has ended meanwhile counts as none.
            if let Ok(text) = turn.files.read_of_process(&path) {
                let status = Status::parse(text);
                voluntary = voluntary.saturating_add(status.voluntary);
                involuntary = involuntary.saturating_add(status.involuntary);
            }
        });
        match outcome {
            Ok(()) => {
                self.points.int(SWITCHES, involuntary, &["involuntary"]);
                self.points.int(SWITCHES, voluntary, &["voluntary"]);
            }
            Err(error) if is_gone(&error) => return None,
            Err(error) => self.fail(self.mutes.other, WHAT.other, &error, turn),
        }
        Some(())
    }

    fn fail(
        &self,
        is_muted: bool,
        (what, remedy): (&'static str, &'static str),
        error: &std::io::Error,
        turn: &mut Turn<'_>,
    ) {
        if !is_muted {
            turn.failures.add_one_of_many(("process", what), &self.path, error, remedy);
        }
    }
}

/// When a process was started, in nanoseconds since the epoch.
fn started(boot: u64, ticks: u64) -> u64 {
    const NANOS_PER_TICK: u64 = 10_000_000;
    boot.saturating_add(ticks.saturating_mul(NANOS_PER_TICK))
}
