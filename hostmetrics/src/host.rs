//! All scrapers of a host behind one call.

use config::Problem;
use model::{Frames, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::failure::{Failure, Failures};
use crate::files::Files;
use crate::out::Out;
use crate::root::Root;
use crate::turn::{Scraper, Turn, boot_time};
use crate::{cpu, disk, filesystem, load, memory, network, nfs, paging, process, processes, system};

/// Which scrapers run, and their keys. One that is written down without keys has its defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Scrapers {
    /// Time by state, utilization, frequency, and how many there are.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<cpu::Config>,
    /// Operations, bytes and times of block devices.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub disk: Option<disk::Config>,
    /// Space and inodes of what is mounted.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<filesystem::Config>,
    /// How many tasks want to run.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub load: Option<load::Config>,
    /// What memory is used for.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub memory: Option<memory::Config>,
    /// Interfaces, TCP connections by state, connection tracking.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub network: Option<network::Config>,
    /// What the NFS client and the NFS server have done.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub nfs: Option<nfs::Config>,
    /// Swap by device, pages moved, page faults.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub paging: Option<paging::Config>,
    /// How many processes are in which state.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub processes: Option<processes::Config>,
    /// Time, memory and I/O of every process.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub process: Option<process::Config>,
    /// How long the host has been running.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub system: Option<system::Config>,
}

/// A section that is on, with its defaults, as soon as its key is written.
fn section<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::<T>::deserialize(from)?.unwrap_or_default()))
}

impl Scrapers {
    /// Every scraper with its defaults.
    #[must_use]
    pub fn all() -> Self {
        Self {
            cpu: Some(cpu::Config::default()),
            disk: Some(disk::Config::default()),
            filesystem: Some(filesystem::Config::default()),
            load: Some(load::Config::default()),
            memory: Some(memory::Config::default()),
            network: Some(network::Config::default()),
            nfs: Some(nfs::Config::default()),
            paging: Some(paging::Config::default()),
            processes: Some(processes::Config::default()),
            process: Some(process::Config::default()),
            system: Some(system::Config::default()),
        }
    }

    /// Whether none is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What decides about values, beside the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Values that are wrong upstream are wrong here, too (gate `muster.hostmetrics.upstreamValues`).
    pub has_upstream_values: bool,
    /// Used memory is what is not available (gate `receiver.hostmetricsreceiver.UseLinuxMemAvailable`).
    pub uses_available_memory: bool,
    /// Version of the program, for scopes.
    pub version: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { has_upstream_values: true, uses_available_memory: true, version: "" }
    }
}

/// What a scrape found.
#[derive(Debug)]
pub struct Scraped {
    /// OTLP metrics, one resource a scraper and one a process.
    pub frames: Frames,
    /// What could not be read.
    pub failures: Vec<Failure>,
}

/// The scrapers of one host. Calls may block as long as the kernel takes to answer; give them a thread of their own.
#[derive(Debug)]
pub struct Host {
    root: Root,
    options: Options,
    files: Files,
    /// When the host was started, in nanoseconds since the epoch; zero until it is known.
    boot: u64,
    /// Bytes and resources of the last scrape.
    last_size: (usize, usize),
    /// In the order in which they run: `process` looks at every process, which `processes` then need not do again.
    scrapers: Vec<Box<dyn Scraper>>,
}

impl Host {
    /// Scrapers as the configuration wants them. Nothing is read.
    ///
    /// # Errors
    /// Rules that the types cannot hold, with paths relative to the section `scrapers`.
    pub fn build(config: &Scrapers, root: Root, options: Options) -> Result<Self, Vec<Problem>> {
        let version = options.version;
        let mut all = Building::default();
        all.add("cpu", config.cpu.as_ref(), |c, p| cpu::Cpu::build(c, version, p));
        all.add("disk", config.disk.as_ref(), |c, p| disk::Disk::build(c, version, p));
        all.add("filesystem", config.filesystem.as_ref(), |c, p| {
            filesystem::Filesystem::build(c, version, p)
        });
        all.add("load", config.load.as_ref(), |c, p| load::Load::build(c, version, p));
        all.add("memory", config.memory.as_ref(), |c, p| {
            memory::Memory::build(c, options.uses_available_memory, version, p)
        });
        all.add("network", config.network.as_ref(), |c, p| network::Network::build(c, version, p));
        all.add("nfs", config.nfs.as_ref(), |c, p| nfs::Nfs::build(c, version, p));
        all.add("paging", config.paging.as_ref(), |c, p| paging::Paging::build(c, version, p));
        all.add("process", config.process.as_ref(), |c, p| process::Process::build(c, version, p));
        all.add("processes", config.processes.as_ref(), |c, p| processes::Processes::build(c, version, p));
        all.add("system", config.system.as_ref(), |c, p| system::System::build(c, version, p));
        let Building { scrapers, problems } = all;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { root, options, files: Files::default(), boot: 0, last_size: (0, 0), scrapers })
    }

    /// Whether the next scrape asks nothing but tables that the kernel has in memory, as far as the last one tells: then it takes no
    /// longer than it takes to read them, and needs no thread of its own. Processes may be waited for, and so may files and
    /// filesystems that somebody else serves. False before the first scrape.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.boot != 0 && !self.files.has_others() && self.scrapers.iter().all(|scraper| scraper.is_quick())
    }

    /// Reads everything once. Points carry `now`.
    pub fn scrape(&mut self, now: Timestamp) -> Scraped {
        let mut failures = Failures::default();
        if self.boot == 0 {
            match boot_time(&self.root, &mut self.files) {
                Ok(boot) => self.boot = boot,
                Err((path, error)) => failures.add(("host", "time of its start"), &path, &error, ""),
            }
        }
        let mut out = Out::like(self.last_size.0, self.last_size.1);
        let mut turn = Turn {
            root: &self.root,
            files: &mut self.files,
            failures: &mut failures,
            now,
            boot: self.boot,
            has_upstream_values: self.options.has_upstream_values,
            tally: None,
        };
        for scraper in &mut self.scrapers {
            scraper.scrape(&mut turn, &mut out);
        }
        self.last_size = out.size();
        Scraped { frames: out.into_frames(), failures: failures.take() }
    }
}

/// Scrapers that are being built, and what is wrong with their keys.
#[derive(Default)]
struct Building {
    scrapers: Vec<Box<dyn Scraper>>,
    problems: Vec<Problem>,
}

impl Building {
    /// Adds a scraper whose section is there; its problems are told below its name.
    fn add<C, S: Scraper + 'static>(
        &mut self,
        name: &str,
        config: Option<&C>,
        build: impl FnOnce(&C, &mut Vec<Problem>) -> S,
    ) {
        let Some(config) = config else { return };
        let mut own = Vec::new();
        self.scrapers.push(Box::new(build(config, &mut own)));
        self.problems.extend(own.into_iter().map(|problem| problem.under(name)));
    }
}
