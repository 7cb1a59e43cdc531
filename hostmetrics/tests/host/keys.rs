//! Keys of the configuration: filters, attributes, strategies, and what is refused.

use hostmetrics::{Options, Root};

use crate::tree::{Told, Tree, build};

#[test]
fn a_scraper_without_keys_and_metrics_without_keys_have_their_defaults() {
    let told = Tree::new().scrape("{load: , memory: {metrics: {system.memory.usage: }}}");
    assert_eq!(told.points.len(), 3 + 6);
}

#[test]
fn a_metric_can_be_switched_off() {
    let told = Tree::new().scrape("load: {metrics: {system.cpu.load_average.5m: {enabled: false}}}");
    assert_eq!(told.of("system.cpu.load_average.5m").count(), 0);
    assert_eq!(told.points.len(), 2);
}

#[test]
fn every_strategy_puts_points_together_in_its_way() {
    let of = |strategy: &str| {
        let key = "system.network.packets";
        let scrapers = format!(
            "network: {{metrics: {{{key}: {{attributes: [device], aggregation_strategy: {strategy}}}}}}}"
        );
        Tree::new().scrape(&scrapers).values(key)
    };
    assert_eq!(of("sum"), ["{device=eth0} 120"]);
    assert_eq!(of("avg"), ["{device=eth0} 60"]);
    assert_eq!(of("min"), ["{device=eth0} 50"]);
    assert_eq!(of("max"), ["{device=eth0} 70"]);
}

#[test]
fn points_without_any_attribute_are_one() {
    let told = Tree::new().scrape("network: {metrics: {system.network.io: {attributes: []}}}");
    assert_eq!(told.values("system.network.io"), ["12000"]);
}

#[test]
fn an_attribute_goes_by_its_key_and_by_the_name_upstream_gives_it() {
    for name in ["type", "paging_fault_type"] {
        let scrapers = format!(
            "process: {{metrics: {{process.paging.faults: {{enabled: true, attributes: [{name}]}}}}}}"
        );
        let told = Tree::new().scrape(&scrapers);
        assert_eq!(told.of("process.paging.faults").count(), 8, "{name}");
    }
}

#[test]
fn devices_and_interfaces_are_filtered() {
    let tree = Tree::new();
    tree.write("proc/diskstats", "8 0 sda 1 0 0 0 0 0 0 0 0 0 0\n8 1 sda1 1 0 0 0 0 0 0 0 0 0 0\n8 2 cciss/c0d0 1 0 0 0 0 0 0 0 0 0 0\n");
    let devices = |scrapers: &str| {
        let told = tree.scrape(scrapers);
        told.of("system.disk.io_time").map(|point| point.attributes[0].1.clone()).collect::<Vec<_>>()
    };
    assert_eq!(devices("{disk: }"), ["sda", "sda1", "cciss/c0d0"]);
    assert_eq!(devices("disk: {include: {devices: [sda], match_type: strict}}"), ["sda"]);
    assert_eq!(devices("disk: {include: {devices: [sda], match_type: regexp}}"), ["sda", "sda1"]);
    assert_eq!(devices("disk: {exclude: {devices: ['^sda'], match_type: regexp}}"), ["cciss/c0d0"]);
    let told = tree.scrape("network: {exclude: {interfaces: [eth0], match_type: strict}}");
    assert_eq!(told.of("system.network.io").count(), 0);
    let told = tree.scrape("network: {include: {interfaces: ['^eth'], match_type: regexp}}");
    assert_eq!(told.of("system.network.io").count(), 2);
}

/// Mounts of a node, all on folders that are there.
fn mounts(tree: &Tree) -> impl Fn(&str) -> Vec<String> {
    for folder in ["dev/shm", "var/lib/kubelet/pods", "data"] {
        std::fs::create_dir_all(tree.path().join(folder)).unwrap();
    }
    tree.write(
        "proc/1/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /dev/shm rw - tmpfs tmpfs rw\n\
         3 1 8:2 / /data ro - xfs /dev/sdb1 ro\n4 1 8:2 /sub /var/lib/kubelet/pods rw - xfs /dev/sdb1 rw\n",
    );
    |keys: &str| {
        let told = tree.scrape(&format!("filesystem: {{{keys}}}"));
        assert_eq!(told.errors(), [""; 0]);
        let used = told.of("system.filesystem.usage").filter(|point| point.attributes[4].1 == "used");
        used.map(|point| point.attributes[2].1.clone()).collect()
    }
}

#[test]
fn mounts_are_filtered_by_device_type_and_place() {
    let tree = Tree::new();
    let mounts = mounts(&tree);
    assert_eq!(mounts(""), ["/", "/data"]);
    assert_eq!(
        mounts("include_virtual_filesystems: true"),
        ["/", "/dev/shm", "/data", "/var/lib/kubelet/pods"]
    );
    assert_eq!(mounts("include_devices: {devices: [/dev/sda1], match_type: strict}"), ["/"]);
    assert_eq!(mounts("exclude_devices: {devices: ['sda'], match_type: regexp}"), ["/data"]);
    assert_eq!(mounts("include_fs_types: {fs_types: [xfs], match_type: strict}"), ["/data"]);
    assert_eq!(mounts("exclude_fs_types: {fs_types: [xfs], match_type: strict}"), ["/"]);
    assert_eq!(mounts("include_mount_points: {mount_points: [/data], match_type: strict}"), ["/data"]);
    assert_eq!(mounts("exclude_mount_points: {mount_points: ['^/$'], match_type: regexp}"), ["/data"]);
}

#[test]
fn globs_that_were_written_as_expressions_match_as_in_go() {
    let tree = Tree::new();
    let mounts = mounts(&tree);
    let keys = "include_virtual_filesystems: true, exclude_mount_points: {match_type: regexp, mount_points: \
                [/dev/*, /proc/*, /sys/*, /var/lib/kubelet/*]}";
    assert_eq!(mounts(keys), ["/", "/data"]);
}

#[test]
fn the_load_is_divided_by_the_cpus_that_may_be_used() {
    let n_cpus = f64::from(rustix::thread::sched_getaffinity(None).unwrap().count());
    let told = Tree::new().scrape("load: {cpu_average: true}");
    assert_eq!(told.value("system.cpu.load_average.1m", &[]), 0.52 / n_cpus);
}

#[test]
fn what_is_wrong_is_told_with_place_key_and_remedy() {
    let error = |scrapers: &str| build(scrapers, Root::new("", |_| None), Options::default()).unwrap_err();
    assert_eq!(
        error("cpu: {metrics: {system.cpu.tine: {enabled: true}}}"),
        "error: host.yaml:1:17: scrapers::cpu::metrics: unknown key `system.cpu.tine`; did you mean `system.cpu.time`?"
    );
    assert!(error("{cpuu: }").contains("did you mean `cpu`?"));
    assert!(error("cpu: {metrics: {system.cpu.time: {attributes: [core]}}}").contains("core"));
    assert!(error("cpu: {metrics: {system.cpu.time: {aggregation_strategy: median}}}").contains("median"));
    assert_eq!(
        error("disk: {exclude: {devices: [sda]}}"),
        "error: disk::exclude::match_type: match_type is missing; write `strict` or `regexp`"
    );
    assert!(
        error("process: {resource_attributes: {process.pid: {metrics_include: [{}]}}}")
            .contains("exactly one")
    );
    assert!(
        error("process: {resource_attributes: {process.pid: {metrics_include: [{regexp: '('}]}}}")
            .contains("no regular expression")
    );
}

#[test]
fn processes_are_filtered_by_the_name_of_their_executable_and_by_their_attributes() {
    use crate::tree::Fake;
    let tree = Tree::new();
    tree.process(&Fake { pid: 7, comm: "nginx", cmdline: "nginx: worker\0", ..Fake::default() });
    let pids = |keys: &str| {
        let told = tree.scrape(&format!("process: {{{keys}}}"));
        told.of("process.memory.usage").map(|point| point.resource["process.pid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(pids("include: {names: [nginx], match_type: strict}"), ["int 7"]);
    assert_eq!(pids("exclude: {names: ['^app$'], match_type: regexp}"), ["int 7"]);
    let filter = |key: &str, rest: &str| pids(&format!("resource_attributes: {{{key}: {{{rest}}}}}"));
    assert_eq!(filter("process.command", "metrics_include: [{strict: 'nginx: worker'}]"), ["int 7"]);
    assert_eq!(filter("process.pid", "metrics_exclude: [{regexp: '^[1-4]$'}]"), ["int 7"]);
    assert_eq!(filter("process.owner", "metrics_exclude: [{strict: web}]"), [""; 0]);
}

#[test]
fn filters_see_an_attribute_that_has_no_text_as_empty() {
    use crate::tree::Fake;
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let tree = Tree::new();
    tree.process(&Fake { pid: 7, comm: "nginx", cmdline: "nginx\0", ..Fake::default() });
    tree.process(&Fake {
        pid: 8,
        comm: "kswapd0",
        flags: KERNEL_THREAD,
        cmdline: "",
        exe: "",
        ..Fake::default()
    });
    let pids = |rest: &str| {
        let keys = format!("process: {{resource_attributes: {{process.command: {{{rest}}}}}}}");
        let told = tree.scrape(&keys);
        told.of("process.memory.usage").map(|point| point.resource["process.pid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(pids("metrics_include: [{strict: nginx}]"), ["int 7"]);
    assert!(pids("metrics_include: [{strict: ''}]").contains(&"int 8".to_owned()));
    assert!(!pids("metrics_exclude: [{regexp: '^$'}]").contains(&"int 8".to_owned()));
}

#[test]
fn resource_attributes_can_be_switched() {
    let told = Tree::new().scrape(
        "process: {resource_attributes: {process.cgroup: {enabled: true}, process.pid: {enabled: false}, \
         process.command_line: {enabled: false}}}",
    );
    let resource = &told.points[0].resource;
    assert_eq!(resource["process.cgroup"], "0::/kubepods/x");
    assert!(!resource.contains_key("process.pid") && !resource.contains_key("process.command_line"));
}

#[test]
fn young_processes_wait_for_their_delay() {
    use crate::tree::{BOOT, NOW};
    let tree = Tree::new();
    let mut host = tree.host("process: {scrape_process_delay: 5m}");
    // Process 4 was started 1000 s after the host.
    let at = |seconds: u64| model::Timestamp(((BOOT + 1000 + seconds) * 1000) as i64);
    let has_four = |told: &Told| told.points.iter().any(|point| point.resource["process.pid"] == "int 4");
    assert!(!has_four(&Told::by(&mut host, at(299))));
    assert!(has_four(&Told::by(&mut host, at(300))));
    assert!(has_four(&Told::by(&mut host, NOW)));
}
