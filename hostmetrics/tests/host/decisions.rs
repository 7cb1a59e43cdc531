//! Upstream's known defects, one by one: what is kept, what is mended.

use hostmetrics::{Options, tables};

use crate::tree::{MEMINFO, NOW, Told, Tree};

/// Sources of the tests that the tables name.
const TESTS: [&str; 5] = [
    include_str!("decisions.rs"),
    include_str!("processes.rs"),
    include_str!("goldens.rs"),
    include_str!("../../src/filesystem/tests.rs"),
    include_str!("../../src/root.rs"),
];

#[test]
fn every_decision_names_a_test_that_is_there() {
    let mut n_decisions = 0;
    for (scraper, _, decisions) in tables() {
        for decision in decisions {
            let head = format!("fn {}() {{", decision.test);
            let is_head = |line: &str| line.trim_start() == head;
            let is_there = TESTS.iter().any(|source| source.lines().any(is_head));
            assert!(is_there, "{scraper}: {}", decision.test);
            n_decisions += 1;
        }
    }
    assert!(n_decisions >= 15, "{n_decisions}");
}

#[test]
fn cpu_time_has_a_series_a_cpu_unless_the_configuration_leaves_the_attribute_out() {
    assert_eq!(Tree::new().scrape("{cpu: }").points.len(), 16);
    let told = Tree::new().scrape("cpu: {metrics: {system.cpu.time: {attributes: [state]}}}");
    assert_eq!(told.points.len(), 8);
}

#[test]
fn memory_states_overlap_as_dashboards_expect() {
    let told = Tree::new().scrape("{memory: }");
    let all: f64 = told.of("system.memory.usage").map(|point| point.value).sum();
    assert!(MEMINFO.contains("1000000 kB"));
    assert!(all > 1_000_000.0 * 1024.0, "{all}");
}

#[test]
fn paging_counters_are_times_4096_unless_the_gate_mends_them() {
    let tree = Tree::new();
    let of = |has_upstream_values| {
        let options = Options { has_upstream_values, ..Options::default() };
        let told = Told::by(&mut tree.host_with("{paging: }", options), NOW);
        [told.values("system.paging.operations"), told.values("system.paging.faults")].concat()
    };
    assert_eq!(
        of(true),
        [
            "{direction=page_in,type=major} 12288",
            "{direction=page_out,type=major} 16384",
            "{direction=page_in,type=minor} 4096000",
            "{direction=page_out,type=minor} 8192000",
            "{type=major} 81920",
            "{type=minor} 1966080"
        ]
    );
    assert_eq!(
        of(false),
        [
            "{direction=page_in,type=major} 3",
            "{direction=page_out,type=major} 4",
            "{direction=page_in,type=minor} 1000",
            "{direction=page_out,type=minor} 2000",
            "{type=major} 20",
            "{type=minor} 480"
        ]
    );
}

#[test]
fn every_swap_device_has_series_of_its_own() {
    let tree = Tree::new();
    tree.write(
        "proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sdb1  partition\t1000\t250\t-2\n/my\\040swap file 2000 0 -3\n",
    );
    let told = tree.scrape("paging: {metrics: {system.paging.utilization: {enabled: true}}}");
    assert_eq!(
        told.values("system.paging.usage"),
        [
            "{device=/dev/sdb1,state=used} 256000",
            "{device=/dev/sdb1,state=free} 768000",
            "{device=/my swap,state=used} 0",
            "{device=/my swap,state=free} 2048000"
        ]
    );
    assert_eq!(told.value("system.paging.utilization", &["/dev/sdb1", "used"]), 0.25);
    assert_eq!(Tree::new().scrape("{paging: }").of("system.paging.usage").count(), 0, "no swap, no points");
}

#[test]
fn running_and_blocked_are_the_threads_that_the_kernel_counts() {
    let tree = Tree::new();
    tree.write(
        "proc/stat",
        "cpu0 1 1 1 1\nbtime 1767225600\nprocesses 9\nprocs_running 0\nprocs_blocked 2\n",
    );
    let told = tree.scrape("{processes: }");
    assert_eq!(told.value("system.processes.count", &["running"]), 0.0);
    assert_eq!(told.value("system.processes.count", &["blocked"]), 2.0);
    // A process that runs is overwritten by the kernel's count of threads, and misses in the sum.
    tree.process(&crate::tree::Fake { pid: 9, state: 'R', ..crate::tree::Fake::default() });
    tree.process(&crate::tree::Fake { pid: 10, state: 'R', ..crate::tree::Fake::default() });
    tree.process(&crate::tree::Fake { pid: 11, state: 'X', ..crate::tree::Fake::default() });
    assert_eq!(tree.scrape("{processes: }").value("system.processes.count", &["unknown"]), 1.0);
}

#[test]
fn the_network_is_that_of_the_host() {
    let tree = Tree::new();
    tree.write("proc/1/net/dev", "\n\n host0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n");
    tree.write(
        "proc/1/net/tcp",
        "  sl  local_address rem_address   st\n   0: 0100007F:0035 00000000:0000 0A 0\n",
    );
    let told = tree.scrape("{network: }");
    assert_eq!(told.value("system.network.io", &["host0", "receive"]), 1.0);
    assert_eq!(told.of("system.network.io").count(), 2, "interfaces of our own namespace are not told");
    assert_eq!(told.value("system.network.connections", &["LISTEN"]), 1.0);
}

#[test]
fn connections_are_counted_from_the_tables_of_the_kernel() {
    let tree = Tree::new();
    let heading =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let sockets = |states: &[&str]| {
        let line = |state: &&str| {
            format!("   0: 0100007F:0035 00000000:0000 {state} 00000000:00000000 00:00000000\n")
        };
        [heading.to_owned(), states.iter().map(line).collect()].concat()
    };
    tree.write("proc/net/tcp", sockets(&["01", "01", "0A", "06", "03", "0C"]));
    tree.write("proc/net/tcp6", sockets(&["01", "0B", "FF"]));
    let told = tree.scrape("{network: }");
    let of = |state: &str| told.value("system.network.connections", &[state]);
    assert_eq!(
        [of("ESTABLISHED"), of("LISTEN"), of("TIME_WAIT"), of("SYN_RECV"), of("CLOSING")],
        [3.0, 1.0, 1.0, 2.0, 1.0]
    );
    assert_eq!(of("CLOSE"), 0.0);
}

#[test]
fn every_reader_honours_the_root_path() {
    let tree = crate::tables::full();
    for cpu in 0..4 {
        // Two threads a core.
        let list = format!("{}-{}\n", cpu / 2 * 2, cpu / 2 * 2 + 1);
        tree.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"), list);
    }
    let told = tree.scrape(&crate::tables::everything());
    assert_eq!(told.value("system.cpu.frequency", &["cpu0"]), 2_000_500_000.0);
    assert_eq!(told.value("system.cpu.physical.count", &[]), 2.0);
    assert_eq!(told.value("system.uptime", &[]), 86_400.0);
    assert_eq!(told.value("system.paging.usage", &["used"]), 256_000.0);
    assert_eq!(told.value("nfs.client.rpc.count", &[]), 5.0);
    assert_eq!(told.value("nfs.server.thread.count", &[]), 8.0);
    assert_eq!(told.value("system.network.conntrack.count", &[]), 12.0);
    let owners: Vec<&str> =
        told.of("process.threads").map(|point| &*point.resource["process.owner"]).collect();
    assert_eq!(owners, ["web"; 4]);
    // Where the kernel tells no topology, cores are counted by package.
    tree.remove("sys/devices");
    let told = tree.scrape("cpu: {metrics: {system.cpu.physical.count: {enabled: true}}}");
    assert_eq!(told.value("system.cpu.physical.count", &[]), 2.0);
}
