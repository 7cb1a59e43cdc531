//! The reference's example host: the values that upstream tells of the same files.

use hostmetrics::Options;
use model::Timestamp;

use crate::tree::{BOOT, Fake, LATER_STAT, NOW, Told, Tree};

#[test]
fn cpu_time_is_seconds_a_cpu_and_state() {
    let told = Tree::new().scrape("{cpu: }");
    assert_eq!(told.points.len(), 16);
    assert_eq!(told.value("system.cpu.time", &["cpu0", "user"]), 10.0);
    assert_eq!(told.value("system.cpu.time", &["cpu1", "idle"]), 390.0);
    assert!(told.points.iter().all(|point| point.start == BOOT));
    let scope = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/cpuscraper";
    assert!(told.points.iter().all(|point| point.scope == scope && point.resource.is_empty()));
}

#[test]
fn cpu_time_without_the_attribute_cpu_is_the_sum() {
    let told = Tree::new().scrape("cpu: {metrics: {system.cpu.time: {attributes: [state]}}}");
    assert_eq!(
        told.values("system.cpu.time"),
        [
            "{state=user} 30",
            "{state=nice} 2",
            "{state=system} 8",
            "{state=idle} 790",
            "{state=wait} 0.5",
            "{state=interrupt} 0.06",
            "{state=softirq} 0.07",
            "{state=steal} 0.08"
        ]
    );
}

#[test]
fn cpu_utilization_needs_two_scrapes() {
    let tree = Tree::new();
    let mut by_cpu = tree.host("cpu: {metrics: {system.cpu.utilization: {enabled: true}}}");
    let mut of_all =
        tree.host("cpu: {metrics: {system.cpu.utilization: {enabled: true, attributes: [state]}}}");
    for host in [&mut by_cpu, &mut of_all] {
        assert_eq!(Told::by(host, NOW).values("system.cpu.utilization"), [""; 0]);
    }
    tree.write("proc/stat", LATER_STAT);
    let told = Told::by(&mut by_cpu, Timestamp(NOW.0 + 10_000));
    let value = |values: &[&str]| told.value("system.cpu.utilization", values);
    assert_eq!(
        [value(&["cpu0", "user"]), value(&["cpu0", "system"]), value(&["cpu0", "idle"])],
        [0.5, 0.25, 0.25]
    );
    assert_eq!(
        [value(&["cpu1", "idle"]), value(&["cpu1", "user"]), value(&["cpu0", "steal"])],
        [1.0, 0.0, 0.0]
    );
    let told = Told::by(&mut of_all, Timestamp(NOW.0 + 10_000));
    let value = |state: &str| told.value("system.cpu.utilization", &[state]);
    assert_eq!([value("user"), value("system"), value("idle"), value("nice")], [0.25, 0.125, 0.625, 0.0]);
}

#[test]
fn cpus_are_counted() {
    let told = Tree::new().scrape("cpu: {metrics: {system.cpu.logical.count: {enabled: true}}}");
    assert_eq!(told.value("system.cpu.logical.count", &[]), 2.0);
}

#[test]
fn load_is_told_as_it_stands_there() {
    let told = Tree::new().scrape("{load: }");
    let of = |minutes: &str| told.value(&format!("system.cpu.load_average.{minutes}"), &[]);
    assert_eq!([of("1m"), of("5m"), of("15m")], [0.52, 0.41, 0.3]);
}

#[test]
fn memory_is_bytes_by_state_and_shares_of_all() {
    let told = Tree::new().scrape("memory: {metrics: {system.memory.utilization: {enabled: true}}}");
    assert_eq!(
        told.values("system.memory.usage"),
        [
            "{state=used} 409600000",
            "{state=free} 204800000",
            "{state=buffered} 51200000",
            "{state=cached} 348160000",
            "{state=slab_reclaimable} 40960000",
            "{state=slab_unreclaimable} 10240000"
        ]
    );
    let shares: Vec<f64> = told.of("system.memory.utilization").map(|point| point.value).collect();
    assert_eq!(shares, [0.4, 0.2, 0.05, 0.34, 0.04, 0.01]);
}

#[test]
fn used_memory_by_the_older_rule_is_what_is_neither_free_nor_cache() {
    let options = Options { uses_available_memory: false, ..Options::default() };
    let told = Told::by(&mut Tree::new().host_with("{memory: }", options), NOW);
    assert_eq!(told.value("system.memory.usage", &["used"]), 419_840_000.0);
}

#[test]
fn disks_that_were_used_are_told() {
    let told = Tree::new().scrape("{disk: }");
    let pair = |name: &str| [told.value(name, &["read"]), told.value(name, &["write"])];
    assert_eq!(pair("system.disk.io"), [40_960_000.0, 81_920_000.0]);
    assert_eq!(pair("system.disk.operations"), [1000.0, 2000.0]);
    assert_eq!(pair("system.disk.merged"), [20.0, 30.0]);
    assert_eq!(pair("system.disk.operation_time"), [0.5, 1.5]);
    let one = |name: &str| told.value(name, &["sda"]);
    assert_eq!(
        [
            one("system.disk.io_time"),
            one("system.disk.weighted_io_time"),
            one("system.disk.pending_operations")
        ],
        [0.9, 2.0, 1.0]
    );
    assert!(told.points.iter().all(|point| point.attributes[0].1 == "sda"), "loop0 was never used");
}

#[test]
fn interfaces_are_told_by_direction() {
    let told = Tree::new().scrape("{network: }");
    let pair = |name: &str| [told.value(name, &["receive"]), told.value(name, &["transmit"])];
    assert_eq!(pair("system.network.io"), [5000.0, 7000.0]);
    assert_eq!(pair("system.network.packets"), [50.0, 70.0]);
    assert_eq!(pair("system.network.errors"), [1.0, 3.0]);
    assert_eq!(pair("system.network.dropped"), [2.0, 4.0]);
    assert_eq!(told.of("system.network.connections").count(), 11, "states without sockets are zero");
}

#[test]
fn processes_are_counted_by_state() {
    let told = Tree::new().scrape("{processes: }");
    assert_eq!(
        told.values("system.processes.count"),
        [
            "{status=blocked} 0",
            "{status=idle} 1",
            "{status=running} 1",
            "{status=sleeping} 2",
            "{status=zombies} 1"
        ]
    );
    assert_eq!(told.value("system.processes.created", &[]), 4321.0);
}

#[test]
fn every_letter_of_the_kernel_is_counted_as_its_state() {
    let tree = Tree::new();
    (2..=4).for_each(|pid| tree.remove(&format!("proc/{pid}")));
    for (letter, state) in [
        ('S', "sleeping"),
        ('D', "blocked"),
        ('U', "blocked"),
        ('R', "running"),
        ('Z', "zombies"),
        ('I', "idle"),
        ('T', "stopped"),
        ('t', "stopped"),
        ('W', "paging"),
        ('L', "locked"),
        ('A', "daemon"),
        ('E', "detached"),
        ('O', "orphan"),
        ('Y', "system"),
        ('X', "unknown"),
        ('P', "unknown"),
        ('?', "unknown"),
    ] {
        // These two are overwritten by the kernel's own counts, which agree here.
        let [running, blocked] = ["running", "blocked"].map(|name| u8::from(name == state));
        let stat = format!("btime {BOOT}\nprocesses 9\nprocs_running {running}\nprocs_blocked {blocked}\n");
        tree.write("proc/stat", stat);
        tree.process(&Fake { state: letter, ..Fake::default() });
        for scrapers in ["{processes: }", "{process: , processes: }"] {
            let mut counted = tree.scrape(scrapers).values("system.processes.count");
            counted.retain(|line| !line.ends_with(" 0"));
            assert_eq!(counted, [format!("{{status={state}}} 1")], "{letter}, {scrapers}");
        }
    }
}

#[test]
fn a_process_is_a_resource_with_a_start_of_its_own() {
    let told = Tree::new().scrape("process: {mute_process_all_errors: true}");
    let of_four: Vec<_> =
        told.points.iter().filter(|point| point.resource["process.pid"] == "int 4").collect();
    let lines: Vec<String> = of_four
        .iter()
        .map(|point| format!("{}{} {}", point.name, point.attributes_text(), point.value))
        .collect();
    assert_eq!(
        lines,
        [
            "process.cpu.time{state=system} 0.5",
            "process.cpu.time{state=user} 1.5",
            "process.cpu.time{state=wait} 0",
            "process.disk.io{direction=read} 123",
            "process.disk.io{direction=write} 456",
            "process.memory.usage 10485760",
            "process.memory.virtual 104857600"
        ]
    );
    assert!(of_four.iter().all(|point| point.start == 1_767_226_600));
    assert_eq!(told.n_resources, 4);
    let resource: Vec<_> = of_four[0].resource.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        resource,
        [
            "process.command=/bin/app",
            "process.command_line=/bin/app --flag",
            "process.executable.name=app",
            "process.executable.path=/bin/app",
            "process.owner=web",
            "process.parent_pid=int 0",
            "process.pid=int 4"
        ]
    );
}

#[test]
fn space_of_a_real_mount_adds_up() {
    let tree = Tree::new();
    tree.write("proc/1/mountinfo", "36 35 98:0 / / rw - ext3 /dev/sda1 rw\n");
    let told = tree.scrape("filesystem: {metrics: {system.filesystem.utilization: {enabled: true}}}");
    let space = rustix::fs::statvfs(tree.path()).unwrap();
    let of = |state: &str| told.value("system.filesystem.usage", &[state]);
    assert_eq!(of("used") + of("free") + of("reserved"), (space.f_blocks * space.f_frsize) as f64);
    let share = told.value("system.filesystem.utilization", &[]);
    assert_eq!(share, of("used") / (of("used") + of("free")));
    let point = told.of("system.filesystem.usage").next().unwrap();
    assert_eq!(point.attributes_text(), "{device=/dev/sda1,mode=rw,mountpoint=/,type=ext3,state=used}");
    assert_eq!(told.of("system.filesystem.inodes.usage").count(), 2);
}
