//! The scraper `process`: what it tells, keeps and leaves out.

use hostmetrics::Options;
use model::Timestamp;

use crate::tree::{Fake, NOW, Told, Tree};

/// Flag of threads of the kernel.
const KERNEL_THREAD: u64 = 0x0020_0000;

const EVERYTHING: &str = "process: {metrics: {process.memory.utilization: {enabled: true}, \
    process.signals_pending: {enabled: true}, process.threads: {enabled: true}, process.context_switches: {enabled: true}, \
    process.open_file_descriptors: {enabled: true}, process.paging.faults: {enabled: true}, process.uptime: {enabled: true}, \
    process.cpu.utilization: {enabled: true}, process.disk.operations: {enabled: true}}, \
    resource_attributes: {process.pid: {metrics_include: [{strict: '4'}]}}}";

#[test]
fn misleading_values_of_a_process_are_kept_unless_the_gate_mends_them() {
    let tree = Tree::new();
    let of = |has_upstream_values| {
        let options = Options { has_upstream_values, ..Options::default() };
        let told = Told::by(&mut tree.host_with(EVERYTHING, options), NOW);
        let read = told.value("process.disk.io", &["read"]);
        [told.value("process.memory.utilization", &[]), read, told.value("process.signals_pending", &[])]
    };
    let share = 10_485_760.0 / 1_024_000_000.0;
    assert_eq!(of(true), [share * 100.0, 123.0, f64::from(0x4001)]);
    assert_eq!(of(false), [share, 4096.0, 2.0]);
}

#[test]
fn what_is_off_by_default_is_told_when_asked_for() {
    let tree = Tree::new();
    tree.process(&Fake {
        pid: 4,
        ticks: [150, 50, 0],
        faults: [7, 8],
        n_threads: 3,
        start: 100_000,
        ..Fake::default()
    });
    let mut host = tree.host(EVERYTHING);
    Told::by(&mut host, NOW);
    tree.process(&Fake {
        pid: 4,
        ticks: [350, 50, 100],
        faults: [7, 8],
        n_threads: 3,
        start: 100_000,
        ..Fake::default()
    });
    let told = Told::by(&mut host, Timestamp(NOW.0 + 10_000));
    // Two seconds in ten, of two CPUs.
    assert_eq!(told.value("process.cpu.utilization", &["user"]), 0.1);
    assert_eq!(told.value("process.cpu.utilization", &["wait"]), 0.05);
    assert_eq!(told.value("process.cpu.utilization", &["system"]), 0.0);
    assert_eq!(told.value("process.paging.faults", &["minor"]), 7.0);
    assert_eq!(told.value("process.paging.faults", &["major"]), 8.0);
    assert_eq!(told.value("process.threads", &[]), 3.0);
    assert_eq!(told.value("process.context_switches", &["voluntary"]), 5.0);
    assert_eq!(told.value("process.context_switches", &["involuntary"]), 6.0);
    assert_eq!(told.value("process.open_file_descriptors", &[]), 2.0);
    assert_eq!(told.value("process.uptime", &[]), 86_400.0 - 1000.0 + 10.0);
}

#[test]
fn a_kernel_thread_has_no_executable_and_that_is_no_error() {
    let tree = Tree::new();
    tree.remove("proc/2");
    tree.process(&Fake {
        pid: 2,
        comm: "kthreadd",
        flags: KERNEL_THREAD,
        cmdline: "",
        exe: "",
        ..Fake::default()
    });
    let told = tree.scrape("{process: }");
    assert_eq!(told.errors(), [""; 0]);
    let thread = told.points.iter().find(|point| point.resource["process.pid"] == "int 2").unwrap();
    let keys: Vec<&str> = thread.resource.keys().map(String::as_str).collect();
    assert_eq!(keys, ["process.executable.name", "process.owner", "process.parent_pid", "process.pid"]);
    assert_eq!(thread.resource["process.executable.name"], "kthreadd");
}

#[test]
fn what_can_be_read_of_a_process_is_told_although_the_rest_cannot() {
    let tree = Tree::new();
    // A folder in the place of a file cannot be read, whoever asks.
    for file in ["io", "cmdline"] {
        tree.remove(&format!("proc/4/{file}"));
        tree.write(&format!("proc/4/{file}/x"), "");
    }
    tree.write("etc/passwd", "");
    let told = tree.scrape("{process: }");
    let of_four = told.points.iter().filter(|point| point.resource["process.pid"] == "int 4");
    let names: Vec<&str> = of_four.map(|point| point.name.as_str()).collect();
    assert!(names.contains(&"process.cpu.time") && names.contains(&"process.memory.usage"), "{names:?}");
    assert!(!names.contains(&"process.disk.io"));
    let whats: Vec<&str> = told.failures.iter().map(|failure| failure.what).collect();
    assert_eq!(whats, ["user of a process", "command line of a process", "I/O of a process"]);
    assert_eq!(told.failures[0].n, 4, "one for each process");
    for failure in &told.failures {
        assert!(failure.to_string().contains("set mute_process_"), "{failure}");
    }
}

#[test]
fn what_cannot_be_read_is_told_in_every_scrape_in_the_same_words() {
    let tree = Tree::new();
    tree.write("etc/passwd", "");
    let mut host = tree.host("{process: }");
    let first = Told::by(&mut host, NOW);
    let second = Told::by(&mut host, Timestamp(NOW.0 + 10_000));
    assert_eq!(first.errors(), second.errors());
    assert_eq!((first.failures[0].n, second.failures[0].n), (4, 4));
}

#[test]
fn every_kind_of_error_can_be_muted() {
    let tree = Tree::new();
    for file in ["io", "cmdline", "cgroup", "exe"] {
        tree.remove(&format!("proc/4/{file}"));
        tree.write(&format!("proc/4/{file}/x"), "");
    }
    tree.write("etc/passwd", "");
    let n_errors = |keys: &str| {
        let attributes = "resource_attributes: {process.cgroup: {enabled: true}}";
        tree.scrape(&format!("process: {{{keys}{attributes}}}")).failures.len()
    };
    assert_eq!(n_errors(""), 5);
    for kind in ["name", "exe", "io", "user", "cgroup"] {
        assert_eq!(n_errors(&format!("mute_process_{kind}_error: true, ")), 4, "{kind}");
    }
    assert_eq!(n_errors("mute_process_all_errors: true, "), 0);
}

#[test]
fn a_process_that_starts_another_program_is_told_under_its_name() {
    let tree = Tree::new();
    let mut host = tree.host("{process: }");
    let name = |told: &Told| {
        let of_four = told.points.iter().find(|point| point.resource["process.pid"] == "int 4").unwrap();
        of_four.resource["process.executable.name"].clone()
    };
    assert_eq!(name(&Told::by(&mut host, NOW)), "app");
    tree.process(&Fake { pid: 4, comm: "other", start: 100_000, ..Fake::default() });
    assert_eq!(name(&Told::by(&mut host, Timestamp(NOW.0 + 10_000))), "other");
}

#[test]
fn a_number_that_was_given_to_another_process_starts_anew() {
    let tree = Tree::new();
    let mut host = tree.host(EVERYTHING);
    Told::by(&mut host, NOW);
    tree.process(&Fake { pid: 4, ticks: [1, 1, 1], start: 200_000, ..Fake::default() });
    let told = Told::by(&mut host, Timestamp(NOW.0 + 10_000));
    assert_eq!(told.of("process.cpu.utilization").count(), 0, "there is nothing to compare with");
    assert_eq!(told.of("process.cpu.time").next().unwrap().start, crate::tree::BOOT + 2000);
}

#[test]
fn one_look_at_every_process_serves_both_scrapers() {
    let tree = Tree::new();
    let alone = tree.scrape("{processes: }");
    let both = tree.scrape("{process: , processes: }");
    assert_eq!(both.values("system.processes.count"), alone.values("system.processes.count"));
}
