//! A scrape allocates what it hands out, and nothing for each process, device or CPU that was there before.

use allocation_counter::measure;
use hostmetrics::Host;
use model::Timestamp;

use crate::tree::{Fake, NOW, Tree};

/// Allocations of a scrape after a few others.
fn of_scrape(host: &mut Host) -> u64 {
    for round in 0..5 {
        host.scrape(Timestamp(NOW.0 + round * 10_000));
    }
    let mut scraped = None;
    let info = measure(|| scraped = Some(host.scrape(Timestamp(NOW.0 + 60_000))));
    assert!(scraped.unwrap().frames.n_items > 0);
    info.count_total
}

fn with_processes(n_processes: u32) -> u64 {
    let tree = Tree::new();
    for pid in 10..10 + n_processes {
        tree.process(&Fake { pid, ..Fake::default() });
    }
    of_scrape(&mut tree.host("{process: , processes: }"))
}

#[test]
fn a_process_that_goes_on_as_it_was_costs_no_allocation() {
    let (few, many) = (with_processes(10), with_processes(400));
    assert!(many <= few + 2, "10 processes: {few} allocations, 400: {many}");
    assert!(few < 30, "{few}");
}

#[test]
fn cpus_disks_interfaces_and_mounts_cost_no_allocation_each() {
    let with = |n: usize| {
        let tree = Tree::new();
        let lines = |line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
        let cpus = lines(&|cpu| format!("cpu{cpu} 1 2 3 4 5 6 7 8 0 0\n"));
        tree.write("proc/stat", format!("{cpus}btime 1767225600\nprocesses 1\n"));
        tree.write("proc/diskstats", lines(&|disk| format!("8 0 sd{disk} 1 2 3 4 5 6 7 8 9 10 11\n")));
        let interfaces = lines(&|number| format!("eth{number}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"));
        tree.write("proc/net/dev", format!("\n\n{interfaces}"));
        let mounts = lines(&|number| format!("36 35 0:5 / /run/{number} rw - tmpfs tmpfs rw\n"));
        tree.write("proc/1/mountinfo", mounts);
        of_scrape(&mut tree.host("{cpu: , disk: , filesystem: , network: , load: , memory: }"))
    };
    let (few, many) = (with(2), with(200));
    assert!(many <= few + 2, "2 of each: {few} allocations, 200: {many}");
}
