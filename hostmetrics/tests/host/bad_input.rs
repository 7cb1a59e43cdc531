//! Files that are missing, cut, odd, huge or change under our eyes: named errors, the rest is told, nothing panics.

use std::fmt::Write as _;

use model::Timestamp;

use crate::tables::{everything, full};
use crate::tree::{Fake, NOW, Told, Tree};

#[test]
fn a_missing_file_is_named_and_the_other_scrapers_are_told() {
    let all = full().scrape(&everything());
    for file in ["stat", "cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "vmstat", "swaps", "uptime"]
    {
        let tree = full();
        tree.remove(&format!("proc/{file}"));
        let told = tree.scrape(&everything());
        assert!(
            told.errors().iter().any(|error| error.contains(&format!("/proc/{file}: No such file"))),
            "{file}"
        );
        assert!(told.points.len() > all.points.len() / 2, "{file}: {} points", told.points.len());
    }
}

#[test]
fn nfs_files_that_are_missing_are_no_error() {
    let told = Tree::new().scrape("{nfs: }");
    assert_eq!((told.points.len(), told.errors()), (0, Vec::new()));
}

#[test]
fn a_kernel_without_ipv6_or_without_tcp_is_told_apart() {
    let told = Tree::new().scrape("{network: }");
    assert_eq!(told.errors(), [""; 0]);
    let tree = Tree::new();
    tree.remove("proc/net/tcp");
    let told = tree.scrape("{network: }");
    assert_eq!(told.of("system.network.connections").count(), 0);
    assert!(told.errors()[0].contains("network: connections"), "{:?}", told.errors());
}

#[test]
fn a_broken_line_is_named_and_its_neighbours_are_told() {
    let tree = Tree::new();
    tree.write("proc/stat", "cpu0 1 2 3 4 x 6\ncpu1 1 2 3 4 5 6 7 8\nbtime 1767225600\n");
    tree.write("proc/diskstats", "8 0 sda 1 2\n8 1 sdb 1 2 3 4 5 6 7 8 9 10 11\n");
    tree.write(
        "proc/net/dev",
        "\n\n no colon here\n eth0: 1 2 3\n eth1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    );
    tree.write("proc/swaps", "Filename\n/dev/x\n/dev/y partition 4 2 0\n");
    tree.write("proc/1/mountinfo", "broken\n36 35 98:0 / / rw - ext3 /dev/sda1 rw\n");
    tree.write("proc/net/rpc/nfs", "net 1\nrpc 1 2 3\nproc3 5 1 2\n");
    let told = tree.scrape("{cpu: , disk: , network: , paging: , filesystem: , nfs: }");
    assert_eq!(told.of("system.cpu.time").count(), 8);
    assert_eq!(told.of("system.disk.io").count(), 2);
    assert_eq!(told.value("system.network.io", &["eth1", "transmit"]), 9.0);
    assert_eq!(told.value("system.paging.usage", &["/dev/y", "used"]), 2048.0);
    assert_eq!(told.of("system.filesystem.usage").count(), 3);
    assert_eq!(told.value("nfs.client.rpc.count", &[]), 1.0);
    assert_eq!(told.failures.len(), 6, "{:?}", told.errors());
}

#[test]
fn files_that_are_empty_or_full_of_rubbish_end_nothing() {
    let rubbish: Vec<u8> = (0..4096_u32).map(|number| (number * 31 % 251) as u8).collect();
    let long = vec![b'9'; 100_000];
    for text in
        [&b""[..], b"\n\n\n", b":::", &rubbish, &long, b"cpu cpu0 18446744073709551615 18446744073709551616"]
    {
        let tree = full();
        for file in [
            "proc/stat",
            "proc/cpuinfo",
            "proc/diskstats",
            "proc/loadavg",
            "proc/meminfo",
            "proc/net/dev",
            "proc/net/tcp",
            "proc/vmstat",
            "proc/swaps",
            "proc/uptime",
            "proc/1/mountinfo",
            "proc/net/rpc/nfs",
            "proc/net/rpc/nfsd",
            "etc/passwd",
            "proc/4/stat",
            "proc/4/statm",
            "proc/4/io",
            "proc/4/status",
            "proc/4/cmdline",
            "proc/sys/net/netfilter/nf_conntrack_count",
        ] {
            tree.write(file, text);
        }
        let mut host = tree.host(&everything());
        Told::by(&mut host, NOW);
        let told = Told::by(&mut host, Timestamp(NOW.0 + 1000));
        assert!(!told.failures.is_empty());
    }
}

#[test]
fn counters_that_go_back_or_wrap_are_no_negative_shares() {
    let tree = Tree::new();
    let stat = |ticks: &str| {
        format!("cpu0 {ticks}\nbtime 1767225600\nprocs_running 1\nprocs_blocked 0\nprocesses 1\n")
    };
    let mut host = tree.host("cpu: {metrics: {system.cpu.utilization: {enabled: true}}}");
    tree.write("proc/stat", stat("100 0 0 1000 50 0 0 0"));
    Told::by(&mut host, NOW);
    // The kernel takes back wait time.
    tree.write("proc/stat", stat("150 0 0 1050 20 0 0 0"));
    let told = Told::by(&mut host, Timestamp(NOW.0 + 1000));
    assert_eq!(told.value("system.cpu.utilization", &["wait"]), 0.0);
    assert_eq!(told.value("system.cpu.utilization", &["user"]), 0.5);
    // Nothing moved, or everything began anew.
    for ticks in ["150 0 0 1050 20 0 0 0", "1 0 0 1 1 0 0 0"] {
        tree.write("proc/stat", stat(ticks));
        let told = Told::by(&mut host, Timestamp(NOW.0 + 2000));
        assert!(told.of("system.cpu.utilization").all(|point| point.value == 0.0));
    }
    tree.write("proc/stat", stat("18446744073709551615 18446744073709551615 0 0 0 0 0 0"));
    let told = Told::by(&mut host, Timestamp(NOW.0 + 3000));
    let shares: f64 = told.of("system.cpu.utilization").map(|point| point.value).sum();
    assert!(shares <= 2.0, "{shares}");
}

#[test]
fn values_beyond_what_otlp_can_say_are_the_greatest_it_can() {
    let tree = Tree::new();
    tree.write("proc/diskstats", "8 0 sda 18446744073709551615 0 18446744073709551615 0 0 0 0 0 0 0 0\n");
    let told = tree.scrape("{disk: }");
    assert_eq!(told.value("system.disk.io", &["read"]), i64::MAX as f64);
    assert_eq!(told.value("system.disk.operations", &["read"]), i64::MAX as f64);
}

#[test]
fn a_host_with_1024_cpus_is_told_whole() {
    let tree = Tree::new();
    let mut stat = String::from("cpu 1 2 3 4 5 6 7 8\n");
    for cpu in 0..1024 {
        writeln!(stat, "cpu{cpu} {cpu} 0 0 100000000000 0 0 0 0 0 0").unwrap();
    }
    stat.push_str("btime 1767225600\n");
    tree.write("proc/stat", stat);
    let told = tree.scrape("{cpu: }");
    assert_eq!(told.points.len(), 8 * 1024);
    assert_eq!(told.value("system.cpu.time", &["cpu1023", "user"]), 10.23);
    let told = tree.scrape("cpu: {metrics: {system.cpu.time: {attributes: [state]}}}");
    let all = told.value("system.cpu.time", &["user"]);
    assert!((all - 5237.76).abs() < 1e-6, "{all}");
}

#[test]
fn a_cpu_that_goes_offline_and_comes_back_is_compared_with_itself() {
    let tree = Tree::new();
    let stat = |cpus: &[(u32, u32)]| {
        let lines: Vec<String> =
            cpus.iter().map(|(cpu, user)| format!("cpu{cpu} {user} 0 0 0 0 0 0 0\n")).collect();
        format!("{}btime 1767225600\n", lines.concat())
    };
    let mut host = tree.host("cpu: {metrics: {system.cpu.utilization: {enabled: true}}}");
    let mut cpus = |state: &[(u32, u32)]| {
        tree.write("proc/stat", stat(state));
        let told = Told::by(&mut host, NOW);
        let times = told.of("system.cpu.time").filter(|point| point.attributes[1].1 == "user");
        let times: Vec<String> = times.map(|point| point.attributes[0].1.clone()).collect();
        (times, told.of("system.cpu.utilization").count() / 8)
    };
    assert_eq!(cpus(&[(0, 1), (1, 1), (2, 1)]), (vec!["cpu0".into(), "cpu1".into(), "cpu2".into()], 0));
    assert_eq!(cpus(&[(0, 2), (2, 2)]), (vec!["cpu0".into(), "cpu2".into()], 1));
    assert_eq!(cpus(&[(0, 3), (1, 2), (2, 3)]), (vec!["cpu0".into(), "cpu1".into(), "cpu2".into()], 1));
}

#[test]
fn devices_with_odd_names_are_told_under_them() {
    let tree = Tree::new();
    let name = "x\u{e9}\\n!\"{}=,".to_owned();
    tree.write(
        "proc/diskstats",
        format!("8 0 {name} 1 0 0 0 0 0 0 0 0 0 0\n8 0 \u{fffd} 1 0 0 0 0 0 0 0 0 0 0\n"),
    );
    tree.write(
        "proc/net/dev",
        b"\n\n eth0:1: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\xff\xfe: 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
    );
    let told = tree.scrape("{disk: , network: }");
    assert_eq!(told.value("system.disk.operations", &[&name, "read"]), 1.0);
    assert_eq!(told.value("system.network.io", &["eth0:1", "receive"]), 7.0);
    assert_eq!(told.value("system.network.io", &["\u{fffd}\u{fffd}", "receive"]), 8.0);
}

#[test]
fn a_process_that_is_gone_before_its_files_are_read_is_no_error() {
    let tree = Tree::new();
    let folders = ["stat", "statm", "io", "cmdline", "status"];
    for (index, missing) in folders.iter().enumerate() {
        let pid = 100 + index as u32;
        tree.process(&Fake { pid, ..Fake::default() });
        tree.remove(&format!("proc/{pid}/{missing}"));
    }
    let told = tree.scrape("{process: , processes: }");
    assert_eq!(told.errors(), [""; 0]);
    // What was read of one that then went away is true, and it counts as gone.
    let has = |pid: u32| {
        told.points.iter().any(|point| point.resource.get("process.pid") == Some(&format!("int {pid}")))
    };
    assert!(!has(100) && has(101) && has(102) && !has(103));
}

#[test]
fn processes_that_come_and_go_are_forgotten() {
    let tree = Tree::new();
    let mut host = tree.host("process: {include: {names: [app], match_type: strict}}");
    for round in 0..20 {
        let pid = 1000 + round;
        tree.process(&Fake { pid, ..Fake::default() });
        let told = Told::by(&mut host, Timestamp(NOW.0 + i64::from(round) * 1000));
        assert_eq!(told.n_resources, 5);
        tree.remove(&format!("proc/{pid}"));
    }
    assert_eq!(Told::by(&mut host, NOW).n_resources, 4);
}

#[test]
fn a_command_line_is_cut_at_its_limit() {
    let tree = Tree::new();
    let long = "x".repeat(hostmetrics::process::MAX_COMMAND_LINE_BYTES + 1);
    tree.process(&Fake { pid: 9, cmdline: &long, ..Fake::default() });
    let told = tree.scrape("{process: }");
    let of_nine = told.points.iter().find(|point| point.resource["process.pid"] == "int 9").unwrap();
    assert_eq!(of_nine.resource["process.command_line"].len(), hostmetrics::process::MAX_COMMAND_LINE_BYTES);
}

#[test]
fn a_mount_that_vanished_is_named_where_the_host_is_seen_through_a_mount() {
    let tree = Tree::new();
    tree.write(
        "proc/1/mountinfo",
        "36 35 98:0 / / rw - ext3 /dev/sda1 rw\n37 35 98:0 / /gone rw - ext3 /dev/sdb1 rw\n",
    );
    let told = tree.scrape("{filesystem: }");
    assert_eq!(told.of("system.filesystem.usage").count(), 3);
    assert!(
        told.errors()[0].starts_with("filesystem: space of a mount: /gone: No such file"),
        "{:?}",
        told.errors()
    );
}

#[test]
fn without_a_start_time_points_have_none_and_that_is_said() {
    let tree = Tree::new();
    tree.write("proc/stat", "cpu0 1 2 3 4\n");
    let told = tree.scrape("{cpu: , load: }");
    assert!(told.points.iter().all(|point| point.start == 0));
    assert!(told.errors()[0].contains("btime"), "{:?}", told.errors());
}
