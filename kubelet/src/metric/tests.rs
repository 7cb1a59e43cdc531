use std::collections::BTreeSet;

use super::*;

/// The contract, written down by hand: name, unit, kind, value, attributes, default.
const CONTRACT: &str = "
container.cpu.time | s | counter | double | | on
container.cpu.usage | {cpu} | gauge | double | | on
container.filesystem.available | By | gauge | int | | on
container.filesystem.capacity | By | gauge | int | | on
container.filesystem.usage | By | gauge | int | | on
container.memory.available | By | gauge | int | | on
container.memory.major_page_faults | 1 | gauge | int | | on
container.memory.page_faults | 1 | gauge | int | | on
container.memory.rss | By | gauge | int | | on
container.memory.usage | By | gauge | int | | on
container.memory.working_set | By | gauge | int | | on
container.uptime | s | counter | int | | off
k8s.container.cpu.node.utilization | 1 | gauge | double | | off
k8s.container.cpu_limit_utilization | 1 | gauge | double | | off
k8s.container.cpu_request_utilization | 1 | gauge | double | | off
k8s.container.ephemeral_storage.usage | By | sum | int | fs.type | off
k8s.container.memory.node.utilization | 1 | gauge | double | | off
k8s.container.memory_limit_utilization | 1 | gauge | double | | off
k8s.container.memory_request_utilization | 1 | gauge | double | | off
k8s.pod.cpu.node.utilization | 1 | gauge | double | | off
k8s.pod.cpu.time | s | counter | double | | on
k8s.pod.cpu.usage | {cpu} | gauge | double | | on
k8s.pod.cpu_limit_utilization | 1 | gauge | double | | off
k8s.pod.cpu_request_utilization | 1 | gauge | double | | off
k8s.pod.filesystem.available | By | gauge | int | | on
k8s.pod.filesystem.capacity | By | gauge | int | | on
k8s.pod.filesystem.usage | By | gauge | int | | on
k8s.pod.memory.available | By | gauge | int | | on
k8s.pod.memory.major_page_faults | 1 | gauge | int | | on
k8s.pod.memory.node.utilization | 1 | gauge | double | | off
k8s.pod.memory.page_faults | 1 | gauge | int | | on
k8s.pod.memory.rss | By | gauge | int | | on
k8s.pod.memory.usage | By | gauge | int | | on
k8s.pod.memory.working_set | By | gauge | int | | on
k8s.pod.memory_limit_utilization | 1 | gauge | double | | off
k8s.pod.memory_request_utilization | 1 | gauge | double | | off
k8s.pod.network.errors | 1 | counter | int | interface, direction | on
k8s.pod.network.io | By | counter | int | interface, direction | on
k8s.pod.uptime | s | counter | int | | off
k8s.node.cpu.time | s | counter | double | | on
k8s.node.cpu.usage | {cpu} | gauge | double | | on
k8s.node.filesystem.available | By | gauge | int | | on
k8s.node.filesystem.capacity | By | gauge | int | | on
k8s.node.filesystem.usage | By | gauge | int | | on
k8s.node.memory.available | By | gauge | int | | on
k8s.node.memory.major_page_faults | 1 | gauge | int | | on
k8s.node.memory.page_faults | 1 | gauge | int | | on
k8s.node.memory.rss | By | gauge | int | | on
k8s.node.memory.usage | By | gauge | int | | on
k8s.node.memory.working_set | By | gauge | int | | on
k8s.node.network.errors | 1 | counter | int | interface, direction | on
k8s.node.network.io | By | counter | int | interface, direction | on
k8s.node.system_container.cpu.time | s | counter | double | | off
k8s.node.system_container.cpu.usage | {cpu} | gauge | double | | off
k8s.node.system_container.memory.usage | By | gauge | int | | off
k8s.node.system_container.memory.working_set | By | gauge | int | | off
k8s.node.uptime | s | counter | int | | off
k8s.pod.volume.usage | By | sum | int | | off
k8s.volume.available | By | gauge | int | | on
k8s.volume.capacity | By | gauge | int | | on
k8s.volume.inodes | 1 | gauge | int | | on
k8s.volume.inodes.free | 1 | gauge | int | | on
k8s.volume.inodes.used | 1 | gauge | int | | on
";

#[test]
fn every_row_is_the_contract() {
    let line = |row: &Row| {
        let kind = match row.kind {
            Kind::Gauge => "gauge",
            Kind::MonotonicSum => "counter",
            Kind::Sum => "sum",
        };
        let value = if row.value == ValueType::Int { "int" } else { "double" };
        let (attributes, default) = (row.attributes.join(", "), if row.is_on { "on" } else { "off" });
        let line = format!("{} | {} | {kind} | {value} | {attributes} | {default}", row.name, row.unit);
        line.replace("  ", " ")
    };
    let lines: Vec<String> = METRICS.iter().map(line).collect();
    assert_eq!(lines, CONTRACT.trim().lines().collect::<Vec<_>>());
}

#[test]
fn rows_stand_in_the_order_of_their_metrics() {
    for (index, row) in METRICS.iter().enumerate() {
        assert_eq!(row.metric as usize, index, "{}", row.name);
        assert_eq!(Metric::named(row.name), Some(row.metric));
    }
    let names: BTreeSet<&str> = METRICS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), N_METRICS);
}

#[test]
fn attributes_stand_in_the_order_of_their_rows() {
    use crate::resource::RESOURCE_ATTRIBUTES;
    for (index, row) in RESOURCE_ATTRIBUTES.iter().enumerate() {
        assert_eq!(row.attribute as usize, index, "{}", row.name);
        assert_eq!(row.attribute.row().name, row.name);
    }
}

#[test]
fn six_resource_attributes_of_old_clouds_are_off() {
    let off = crate::resource::RESOURCE_ATTRIBUTES.iter().filter(|row| !row.is_on).map(|row| row.name);
    let expected = [
        "aws.volume.id",
        "fs.type",
        "partition",
        "gce.pd.name",
        "glusterfs.endpoints.name",
        "glusterfs.path",
    ];
    assert_eq!(off.collect::<Vec<_>>(), expected);
}
