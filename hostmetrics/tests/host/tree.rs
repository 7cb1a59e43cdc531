//! A fake host, and what was told of it as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostmetrics::{Failure, Host, Options, Root, Scrapers};
use model::{Frames, Timestamp};
use tempfile::TempDir;
use wire::otlp::{AnyValue, Attributes, Data, Number, ResourceView};

/// 2026-01-01T00:00:00Z, when the fake host was started, in seconds.
pub(crate) const BOOT: u64 = 1_767_225_600;

/// A day later, in milliseconds: when the first scrape is.
pub(crate) const NOW: Timestamp = Timestamp((BOOT as i64 + 86_400) * 1000);

pub(crate) const STAT: &str = "cpu  3000 200 800 79000 50 6 7 8 0 0\n\
    cpu0 1000 200 300 40000 50 6 7 8 0 0\n\
    cpu1 2000 0 500 39000 0 0 0 0 0 0\n\
    intr 31667338 0 0 0\nctxt 5\nbtime 1767225600\nprocesses 4321\nprocs_running 1\nprocs_blocked 0\n";

/// The same a while later.
pub(crate) const LATER_STAT: &str = "cpu  3100 200 850 79250 50 6 7 8 0 0\n\
    cpu0 1100 200 350 40050 50 6 7 8 0 0\n\
    cpu1 2000 0 500 39200 0 0 0 0 0 0\n\
    btime 1767225600\nprocesses 4321\nprocs_running 1\nprocs_blocked 0\n";

pub(crate) const MEMINFO: &str = "MemTotal:        1000000 kB\nMemFree:          200000 kB\nMemAvailable:     600000 kB\n\
    Buffers:           50000 kB\nCached:           300000 kB\nSReclaimable:      40000 kB\nSUnreclaim:        10000 kB\n\
    Dirty:                12 kB\nShmem:              5000 kB\n";

const DISKSTATS: &str = "   8       0 sda 1000 20 80000 500 2000 30 160000 1500 1 900 2000 0 0 0 0 0 0\n\
    \x20  7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n\
    \x20face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
    \x20 eth0:    5000      50    1    2    0     0          0         0     7000      70    3    4    0     0       0          0\n";

const VMSTAT: &str =
    "nr_free_pages 7\npgpgin 1000\npgpgout 2000\npswpin 3\npswpout 4\npgfault 500\npgmajfault 20\n";

/// A host in a folder.
pub(crate) struct Tree {
    folder: TempDir,
}

impl Tree {
    /// The host of the reference's example.
    pub(crate) fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        tree.write("proc/stat", STAT);
        tree.write("proc/cpuinfo", "processor : 0\nmodel name : x\n\nprocessor : 1\n");
        tree.write("proc/loadavg", "0.52 0.41 0.30 1/345 9999\n");
        tree.write("proc/meminfo", MEMINFO);
        tree.write("proc/diskstats", DISKSTATS);
        tree.write("proc/net/dev", NET_DEV);
        tree.write("proc/net/tcp", "  sl  local_address rem_address   st\n");
        tree.write("proc/vmstat", VMSTAT);
        tree.write("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        tree.write("proc/uptime", "86400.75 1000.00\n");
        tree.write("proc/1/mountinfo", "");
        tree.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/:/bin/false\n");
        for (pid, state) in [(1, 'S'), (2, 'I'), (3, 'Z'), (4, 'S')] {
            tree.process(&Fake { pid, state, ..Fake::default() });
        }
        tree.process(&Fake {
            pid: 4,
            ticks: [150, 50, 0],
            start: 100_000,
            statm: "25600 2560 1 1 0 1 0",
            io: "rchar: 123\nwchar: 456\nsyscr: 7\nsyscw: 8\nread_bytes: 4096\nwrite_bytes: 8192\n",
            ..Fake::default()
        });
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.path().join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    pub(crate) fn process(&self, fake: &Fake<'_>) {
        let folder = format!("proc/{}", fake.pid);
        let [user, system, wait] = fake.ticks;
        let [minor, major] = fake.faults;
        let stat = format!(
            "{} ({}) {} 0 0 0 0 -1 {} {minor} 0 {major} 0 {user} {system} 0 0 20 0 {} 0 {} 104857600 2560 \
             18446744073709551615 4096 8192 77 0 0 0 0 0 0 0 0 0 17 1 0 0 {wait} 0 0\n",
            fake.pid, fake.comm, fake.state, fake.flags, fake.n_threads, fake.start
        );
        self.write(&format!("{folder}/stat"), stat);
        self.write(&format!("{folder}/statm"), fake.statm);
        self.write(&format!("{folder}/io"), fake.io);
        self.write(&format!("{folder}/cmdline"), fake.cmdline);
        self.write(&format!("{folder}/status"), fake.status);
        self.write(&format!("{folder}/cgroup"), "0::/kubepods/x\n");
        self.write(&format!("{folder}/task/{}/status", fake.pid), fake.status);
        self.write(&format!("{folder}/fd/0"), "");
        self.write(&format!("{folder}/fd/1"), "");
        let exe = self.path().join(format!("{folder}/exe"));
        if !fake.exe.is_empty() && !exe.exists() && !exe.is_symlink() {
            std::os::unix::fs::symlink(fake.exe, exe).unwrap();
        }
    }

    /// A host with these scrapers, as a configuration spells them.
    pub(crate) fn host(&self, scrapers: &str) -> Host {
        self.host_with(scrapers, Options::default())
    }

    pub(crate) fn host_with(&self, scrapers: &str, options: Options) -> Host {
        build(scrapers, Root::at(self.path()), options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What one scrape tells.
    pub(crate) fn scrape(&self, scrapers: &str) -> Told {
        Told::by(&mut self.host(scrapers), NOW)
    }
}

/// A host, or the first problem of its configuration.
pub(crate) fn build(scrapers: &str, root: Root, options: Options) -> Result<Host, String> {
    let parsed = config::parse(scrapers, "host.yaml").unwrap();
    let first = |problems: Vec<config::Problem>| problems[0].to_string();
    let scrapers: Scrapers = config::read(&parsed.root, "scrapers").map_err(first)?;
    Host::build(&scrapers, root, options).map_err(first)
}

/// A process of the fake host.
#[derive(Clone, Copy)]
pub(crate) struct Fake<'a> {
    pub(crate) pid: u32,
    pub(crate) state: char,
    pub(crate) comm: &'a str,
    pub(crate) flags: u64,
    /// User, system, wait.
    pub(crate) ticks: [u64; 3],
    /// Minor, major.
    pub(crate) faults: [u64; 2],
    pub(crate) n_threads: u64,
    pub(crate) start: u64,
    pub(crate) statm: &'a str,
    pub(crate) io: &'a str,
    pub(crate) cmdline: &'a str,
    pub(crate) status: &'a str,
    pub(crate) exe: &'a str,
}

impl Default for Fake<'_> {
    fn default() -> Self {
        Self {
            pid: 1,
            state: 'S',
            comm: "app",
            flags: 0,
            ticks: [0; 3],
            faults: [0; 2],
            n_threads: 1,
            start: 100,
            statm: "0 0 0 0 0 0 0",
            io: "rchar: 0\nwchar: 0\n",
            cmdline: "/bin/app\0--flag\0",
            status: "Name:\tapp\nUid:\t33\t33\t33\t33\nThreads:\t1\nShdPnd:\t0000000000004001\n\
                     voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n",
            exe: "/bin/app",
        }
    }
}

/// What a scrape told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) points: Vec<Point>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) n_resources: usize,
}

/// One point, as text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    /// `gauge`, `sum` or `monotonic`.
    pub(crate) kind: &'static str,
    /// `int` or `double`.
    pub(crate) number: &'static str,
    pub(crate) value: f64,
    /// In seconds since the epoch.
    pub(crate) start: u64,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) resource: BTreeMap<String, String>,
}

impl Told {
    pub(crate) fn by(host: &mut Host, now: Timestamp) -> Self {
        let scraped = host.scrape(now);
        let points = points_of(&scraped.frames);
        assert_eq!(points.len(), scraped.frames.n_items, "what is counted is there");
        for resource in &scraped.frames.resources {
            wire::otlp::check(model::Signal::Metrics, resource).unwrap();
        }
        Self { points, failures: scraped.failures, n_resources: scraped.frames.resources.len() }
    }

    /// `{attributes} value` of every point of a metric.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.of(name)
            .map(|point| format!("{} {}", point.attributes_text(), point.value).trim().to_owned())
            .collect()
    }

    /// The value of the only point of a metric that has these attribute values.
    pub(crate) fn value(&self, name: &str, values: &[&str]) -> f64 {
        let has =
            |point: &&Point| values.iter().all(|value| point.attributes.iter().any(|(_, own)| own == value));
        let found: Vec<&Point> = self.of(name).filter(has).collect();
        assert_eq!(found.len(), 1, "{name} {values:?}: {:?}", self.values(name));
        found[0].value
    }

    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Point> {
        self.points.iter().filter(move |point| point.name == name)
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.failures.iter().map(ToString::to_string).collect()
    }
}

impl Point {
    pub(crate) fn attributes_text(&self) -> String {
        if self.attributes.is_empty() {
            return String::new();
        }
        let pairs: Vec<String> =
            self.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{{{}}}", pairs.join(","))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pairs(attributes: Attributes<'_>) -> Vec<(String, String)> {
    let value = |value| match value {
        AnyValue::Str(value) => text(value),
        AnyValue::Int(value) => format!("int {value}"),
        other => panic!("an attribute of another type: {other:?}"),
    };
    attributes.map(|pair| pair.map(|pair| (text(pair.key), value(pair.value))).unwrap()).collect()
}

pub(crate) fn points_of(frames: &Frames) -> Vec<Point> {
    let mut found = Vec::new();
    for resource in &frames.resources {
        let view = ResourceView::new(resource).unwrap();
        let attributes: BTreeMap<_, _> = pairs(view.resource.attributes()).into_iter().collect();
        for scope in view.scopes() {
            let scope = scope.unwrap();
            for metric in scope.metrics() {
                let metric = metric.unwrap();
                let (points, kind) = match metric.data {
                    Data::Gauge(points) => (points, "gauge"),
                    Data::Sum { points, monotonic, .. } => {
                        (points, if monotonic { "monotonic" } else { "sum" })
                    }
                    other => panic!("unexpected data: {other:?}"),
                };
                for point in points {
                    let point = point.unwrap();
                    let (value, number) = match point.value.unwrap() {
                        Number::Int(value) => (value as f64, "int"),
                        Number::Double(value) => (value, "double"),
                    };
                    found.push(Point {
                        scope: text(scope.scope.name),
                        name: text(metric.name),
                        unit: text(metric.unit),
                        kind,
                        number,
                        value,
                        start: point.start / 1_000_000_000,
                        attributes: pairs(point.attributes()),
                        resource: attributes.clone(),
                    });
                }
            }
        }
    }
    found
}
