//! Values of metrics that are off by default, as they stand in the files of the fake host.

use std::time::{Duration, Instant};

use crate::tables::full;
use crate::tree::{NOW, Told, Tree};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Switches these metrics of a scraper on.
fn with(scraper: &str, metrics: &[&str]) -> String {
    let on: Vec<String> = metrics.iter().map(|name| format!("{name}: {{enabled: true}}")).collect();
    format!("{scraper}: {{metrics: {{{}}}}}", on.join(", "))
}

#[test]
fn memory_that_is_available_dirty_or_shared_is_told_in_bytes() {
    let page_size = rustix::param::page_size() as f64;
    let expected = [
        ("system.linux.memory.available", 614_400_000.0),
        ("system.linux.memory.dirty", 12_288.0),
        ("system.memory.limit", 1_024_000_000.0),
        ("system.memory.linux.shared", 5_120_000.0),
        ("system.memory.page_size", page_size),
    ];
    let told = Tree::new().scrape(&with("memory", &expected.map(|(name, _)| name)));
    for (name, value) in expected {
        assert_eq!(told.value(name, &[]), value, "{name}");
    }
}

#[test]
fn huge_pages_are_counted_and_their_shares_are_of_all_huge_pages() {
    let names = ["limit", "page_size", "reserved", "surplus", "usage", "utilization"]
        .map(|name| format!("system.memory.linux.hugepages.{name}"));
    let scraper = with("memory", &names.each_ref().map(String::as_str));
    let told = full().scrape(&scraper);
    let state = |state: &str, value: &str| format!("{{system.memory.linux.hugepages.state={state}}} {value}");
    let expected = [
        vec!["10".to_owned()],
        vec!["2097152".to_owned()],
        vec!["1".to_owned()],
        vec!["2".to_owned()],
        vec![state("free", "4"), state("used", "6")],
        vec![state("free", "0.4"), state("used", "0.6")],
    ];
    for (name, expected) in names.iter().zip(expected) {
        assert_eq!(told.values(name), expected, "{name}");
    }
    // A host without huge pages has no shares of them.
    let told = Tree::new().scrape(&scraper);
    assert_eq!(told.values(&names[4]), [state("free", "0"), state("used", "0")]);
    assert_eq!(told.values(&names[5]), [""; 0]);
}

#[test]
fn connections_that_are_tracked_are_told_with_their_limit() {
    let names = ["system.network.conntrack.count", "system.network.conntrack.max"];
    let told = full().scrape(&with("network", &names));
    assert_eq!(names.map(|name| told.value(name, &[])), [12.0, 262_144.0]);
}

#[test]
fn shares_of_swap_are_of_its_device() {
    let told = full().scrape(&with("paging", &["system.paging.utilization"]));
    assert_eq!(
        told.values("system.paging.utilization"),
        ["{device=/dev/sdb1,state=used} 0.25", "{device=/dev/sdb1,state=free} 0.75"]
    );
}

#[test]
fn operations_of_a_process_are_its_calls_to_read_and_write() {
    let told = Tree::new().scrape(&with("process", &["process.disk.operations"]));
    let of_four: Vec<(String, f64)> = told
        .of("process.disk.operations")
        .filter(|point| point.resource["process.pid"] == "int 4")
        .map(|point| (point.attributes_text(), point.value))
        .collect();
    assert_eq!(of_four, [("{direction=read}".to_owned(), 7.0), ("{direction=write}".to_owned(), 8.0)]);
}

#[test]
fn space_and_inodes_of_a_real_mount_are_those_of_the_kernel() {
    let tree = full();
    let mut host = tree.host("{filesystem: }");
    let mut told_and_expected = || {
        let space = rustix::fs::statvfs(tree.path()).unwrap();
        let told = Told::by(&mut host, NOW);
        let bytes = ["used", "free", "reserved"].map(|state| told.value("system.filesystem.usage", &[state]));
        let inodes = ["used", "free"].map(|state| told.value("system.filesystem.inodes.usage", &[state]));
        let blocks = [space.f_blocks - space.f_bfree, space.f_bavail, space.f_bfree - space.f_bavail];
        let expected = blocks.map(|n_blocks| (n_blocks * space.f_frsize) as f64);
        let expected_inodes = [space.f_files - space.f_ffree, space.f_ffree].map(|n| n as f64);
        ((bytes, inodes), (expected, expected_inodes))
    };
    // Others write to the same filesystem meanwhile; both agree as soon as nobody does for a moment.
    let began = Instant::now();
    loop {
        let (told, expected) = told_and_expected();
        if told == expected {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{told:?} and not {expected:?}");
    }
}
