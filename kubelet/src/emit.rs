//! From the answers to points: the node, its system containers, then each pod with its containers and volumes.
//!
//! The order, and what is a resource of its own, are upstream's. Left on purpose: a container without an id and a volume whose kind
//! nobody knows keep their metrics and go without the attribute, where upstream drops them; a start time that the kubelet does not
//! know is sent as zero, which in OTLP means unknown, where upstream sends the nanoseconds of the year one.

use std::iter;

use crate::claims::Claims;
use crate::metric::Metric::{self, *};
use crate::node::Capacity;
use crate::pods::{Allowed, Disk, Pod, Pods, VolumeKind};
use crate::points::{Points, Resources};
use crate::resource::ResourceAttribute::{self as A};
use crate::summary::{
    ContainerStats, Cpu, Fs, Interface, Memory, Network, NodeStats, PodStats, Summary, VolumeStats,
};

/// What is known beside the summary, each where it was needed and could be had.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside<'a> {
    pub(crate) pods: Option<&'a Pods<'a>>,
    pub(crate) capacity: Option<Capacity>,
    pub(crate) claims: Option<&'a Claims>,
    /// When volumes began to be looked at, in nanoseconds.
    pub(crate) started: u64,
}

/// Resources that lack metadata they should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Containers without `container.id`.
    pub container_ids: u32,
    /// Volumes without `k8s.volume.type`.
    pub volume_types: u32,
}

/// Writes everything that the summary says.
pub(crate) fn emit(summary: &Summary<'_>, beside: Beside<'_>, out: &mut Resources<'_>) -> Missing {
    let mut missing = Missing::default();
    if let Some(node) = &summary.node {
        self::node(node, out);
    }
    for pod in summary.pods.iter().flatten() {
        self::pod(pod, beside, out, &mut missing);
    }
    missing
}

const NODE: Level = Level {
    cpu: [NodeCpuTime, NodeCpuUsage],
    memory: [
        NodeMemoryAvailable,
        NodeMemoryUsage,
        NodeMemoryWorkingSet,
        NodeMemoryRss,
        NodeMemoryPageFaults,
        NodeMemoryMajorPageFaults,
    ],
    fs: [NodeFilesystemAvailable, NodeFilesystemCapacity, NodeFilesystemUsage],
    uptime: NodeUptime,
};

const POD: Level = Level {
    cpu: [PodCpuTime, PodCpuUsage],
    memory: [
        PodMemoryAvailable,
        PodMemoryUsage,
        PodMemoryWorkingSet,
        PodMemoryRss,
        PodMemoryPageFaults,
        PodMemoryMajorPageFaults,
    ],
    fs: [PodFilesystemAvailable, PodFilesystemCapacity, PodFilesystemUsage],
    uptime: PodUptime,
};

const CONTAINER: Level = Level {
    cpu: [ContainerCpuTime, ContainerCpuUsage],
    memory: [
        ContainerMemoryAvailable,
        ContainerMemoryUsage,
        ContainerMemoryWorkingSet,
        ContainerMemoryRss,
        ContainerMemoryPageFaults,
        ContainerMemoryMajorPageFaults,
    ],
    fs: [ContainerFilesystemAvailable, ContainerFilesystemCapacity, ContainerFilesystemUsage],
    uptime: ContainerUptime,
};

/// The metrics that node, pod and container have alike.
struct Level {
    /// Time, usage.
    cpu: [Metric; 2],
    /// Available, usage, working set, rss, page faults, major ones.
    memory: [Metric; 6],
    /// Available, capacity, usage.
    fs: [Metric; 3],
    uptime: Metric,
}

impl Level {
    fn write(&self, cpu: Cpu, memory: Memory, fs: Fs, points: &mut Points<'_, '_>) {
        let [time, usage] = self.cpu;
        points.double(time, cpu.usage_core_nano_seconds.0.map(|nanos| nanos as f64 / 1e9));
        points.double(usage, cores(cpu));
        let [available, usage, working_set, rss, faults, major_faults] = self.memory;
        points.int(available, memory.available_bytes.0);
        points.int(usage, memory.usage_bytes.0);
        points.int(working_set, memory.working_set_bytes.0);
        points.int(rss, memory.rss_bytes.0);
        points.int(faults, memory.page_faults.0);
        points.int(major_faults, memory.major_page_faults.0);
        let [available, capacity, usage] = self.fs;
        points.int(available, fs.available_bytes.0);
        points.int(capacity, fs.capacity_bytes.0);
        points.int(usage, fs.used_bytes.0);
        points.int(self.uptime, uptime(points.start(), points.time()));
    }
}

fn cores(cpu: Cpu) -> Option<f64> {
    cpu.usage_nano_cores.0.map(|nanos| nanos as f64 / 1e9)
}

/// Whole seconds; none where the start is unknown or ahead of our clock.
fn uptime(start: u64, now: u64) -> Option<u64> {
    (start > 0).then(|| now.checked_sub(start)).flatten().map(|nanos| nanos / 1_000_000_000)
}

/// The metrics that compare a use with what is allowed.
struct Utilization {
    cpu_node: Metric,
    cpu_limit: Metric,
    cpu_request: Metric,
    memory_node: Metric,
    memory_limit: Metric,
    memory_request: Metric,
}

const POD_UTILIZATION: Utilization = Utilization {
    cpu_node: PodCpuNodeUtilization,
    cpu_limit: PodCpuLimitUtilization,
    cpu_request: PodCpuRequestUtilization,
    memory_node: PodMemoryNodeUtilization,
    memory_limit: PodMemoryLimitUtilization,
    memory_request: PodMemoryRequestUtilization,
};

const CONTAINER_UTILIZATION: Utilization = Utilization {
    cpu_node: ContainerCpuNodeUtilization,
    cpu_limit: ContainerCpuLimitUtilization,
    cpu_request: ContainerCpuRequestUtilization,
    memory_node: ContainerMemoryNodeUtilization,
    memory_limit: ContainerMemoryLimitUtilization,
    memory_request: ContainerMemoryRequestUtilization,
};

impl Utilization {
    fn write(
        &self,
        cpu: Cpu,
        memory: Memory,
        allowed: Allowed,
        node: Option<Capacity>,
        points: &mut Points<'_, '_>,
    ) {
        let cores = cores(cpu);
        let bytes = memory.usage_bytes.0.map(|bytes| bytes as f64);
        let share = |used: Option<f64>, of: Option<f64>| Some(used? / of?);
        points.double(self.cpu_node, share(cores, node.map(|node| node.cores)));
        points.double(self.cpu_limit, share(cores, allowed.cpu_limit));
        points.double(self.cpu_request, share(cores, allowed.cpu_request));
        points.double(self.memory_node, share(bytes, node.map(|node| node.bytes)));
        points.double(self.memory_limit, share(bytes, allowed.memory_limit));
        points.double(self.memory_request, share(bytes, allowed.memory_request));
    }
}

fn node(node: &NodeStats<'_>, out: &mut Resources<'_>) {
    let all_interfaces = out.settings().all_interfaces_of_node;
    out.add(&[(A::NodeName, &node.node_name)], node.start_time.0, |points| {
        let (cpu, memory) = (node.cpu.unwrap_or_default(), node.memory.unwrap_or_default());
        NODE.write(cpu, memory, node.fs.unwrap_or_default(), points);
        network([NodeNetworkIo, NodeNetworkErrors], node.network.as_ref(), all_interfaces, points);
    });
    for container in node.system_containers.iter().flatten() {
        let attributes = [(A::NodeName, &*node.node_name), (A::SystemContainerName, &*container.name)];
        out.add(&attributes, container.start_time.0, |points| {
            let (cpu, memory) = (container.cpu.unwrap_or_default(), container.memory.unwrap_or_default());
            points.double(
                SystemContainerCpuTime,
                cpu.usage_core_nano_seconds.0.map(|nanos| nanos as f64 / 1e9),
            );
            points.double(SystemContainerCpuUsage, cores(cpu));
            points.int(SystemContainerMemoryUsage, memory.usage_bytes.0);
            points.int(SystemContainerMemoryWorkingSet, memory.working_set_bytes.0);
        });
    }
}

fn pod(pod: &PodStats<'_>, beside: Beside<'_>, out: &mut Resources<'_>, missing: &mut Missing) {
    let known = beside.pods.and_then(|pods| pods.get(&pod.pod_ref.uid));
    let all_interfaces = out.settings().all_interfaces_of_pods;
    let attributes = [
        (A::PodUid, &*pod.pod_ref.uid),
        (A::PodName, &*pod.pod_ref.name),
        (A::NamespaceName, &*pod.pod_ref.namespace),
    ];
    out.add(&attributes, pod.start_time.0, |points| {
        let (cpu, memory) = (pod.cpu.unwrap_or_default(), pod.memory.unwrap_or_default());
        POD.write(cpu, memory, pod.ephemeral_storage.unwrap_or_default(), points);
        network([PodNetworkIo, PodNetworkErrors], pod.network.as_ref(), all_interfaces, points);
        let allowed = known.map(|pod| pod.resources).unwrap_or_default();
        POD_UTILIZATION.write(cpu, memory, allowed, beside.capacity, points);
    });
    for container in pod.containers.iter().flatten() {
        self::container(container, &attributes, known, beside.capacity, out, missing);
    }
    let has_volumes = out.settings().has_volumes;
    for volume in pod.volumes.iter().filter(|_| has_volumes).flatten() {
        self::volume(volume, &attributes, known, beside, out, missing);
    }
}

fn container(
    container: &ContainerStats<'_>,
    pod: &[(A, &str); 3],
    known: Option<&Pod<'_>>,
    capacity: Option<Capacity>,
    out: &mut Resources<'_>,
    missing: &mut Missing,
) {
    let [uid, name, namespace] = *pod;
    let mut attributes = [uid, name, namespace, (A::ContainerName, &container.name), (A::ContainerId, "")];
    let mut n_attributes = 4;
    if out.settings().wants_container_id {
        match known.and_then(|pod| pod.container_id(&container.name)) {
            Some(id) => {
                attributes[4].1 = id;
                n_attributes = 5;
            }
            None => missing.container_ids += 1,
        }
    }
    out.add(&attributes[..n_attributes], container.start_time.0, |points| {
        let (cpu, memory) = (container.cpu.unwrap_or_default(), container.memory.unwrap_or_default());
        let rootfs = container.rootfs.unwrap_or_default();
        CONTAINER.write(cpu, memory, rootfs, points);
        let logs = container.logs.unwrap_or_default();
        let by_use = [(["rootfs"], rootfs.used_bytes.0), (["logs"], logs.used_bytes.0)];
        points.ints_by(ContainerEphemeralStorageUsage, by_use.into_iter());
        let allowed = known.map(|pod| pod.container(&container.name)).unwrap_or_default();
        CONTAINER_UTILIZATION.write(cpu, memory, allowed, capacity, points);
    });
}

fn volume(
    volume: &VolumeStats<'_>,
    pod: &[(A, &str); 3],
    known: Option<&Pod<'_>>,
    beside: Beside<'_>,
    out: &mut Resources<'_>,
    missing: &mut Missing,
) {
    let found = known.filter(|_| out.settings().wants_volume_type).and_then(|pod| pod.volume(&volume.name));
    let behind = || beside.claims?.get(pod[0].1, &volume.name);
    let kind = found.as_ref().map(|(kind, _)| match kind {
        VolumeKind::Claim => behind().unwrap_or(kind),
        kind => kind,
    });
    if kind.is_none() && out.settings().wants_volume_type {
        missing.volume_types += 1;
    }
    let details = kind.map(details).unwrap_or_default();
    let mut attributes: Vec<(A, &str)> = pod.to_vec();
    attributes.push((A::VolumeName, &volume.name));
    attributes.extend(kind.map(|kind| (A::VolumeType, kind.as_str())));
    attributes.extend(found.as_ref().and_then(|(_, claim)| *claim).map(|claim| (A::ClaimName, claim)));
    attributes.extend(details.iter().map(|(attribute, value)| (*attribute, &**value)));
    out.add(&attributes, beside.started, |points| {
        points.int(PodVolumeUsage, volume.used_bytes.0);
        points.int(VolumeAvailable, volume.available_bytes.0);
        points.int(VolumeCapacity, volume.capacity_bytes.0);
        points.int(VolumeInodes, volume.inodes.0);
        points.int(VolumeInodesFree, volume.inodes_free.0);
        points.int(VolumeInodesUsed, volume.inodes_used.0);
    });
}

/// What is said of the disk of a volume.
fn details(kind: &VolumeKind) -> Vec<(A, String)> {
    let disk = |name, disk: &Disk| {
        vec![
            (name, disk.name.clone()),
            (A::FsType, disk.fs_type.clone()),
            (A::Partition, disk.partition.to_string()),
        ]
    };
    match kind {
        VolumeKind::AwsElasticBlockStore(found) => disk(A::AwsVolumeId, found),
        VolumeKind::GcePersistentDisk(found) => disk(A::GcePdName, found),
        VolumeKind::Glusterfs(at) => {
            vec![(A::GlusterfsEndpointsName, at.endpoints.clone()), (A::GlusterfsPath, at.path.clone())]
        }
        _ => Vec::new(),
    }
}

/// The default interface, or all of them and not the default one again.
fn network(
    [io, errors]: [Metric; 2],
    network: Option<&Network<'_>>,
    all_interfaces: bool,
    points: &mut Points<'_, '_>,
) {
    let Some(network) = network else { return };
    if all_interfaces {
        interfaces([io, errors], network.interfaces.iter().flatten(), points);
    } else if !network.name.is_empty() {
        interfaces([io, errors], iter::once(&network.default_interface()), points);
    }
}

fn interfaces<'i>(
    [io, errors]: [Metric; 2],
    interfaces: impl Iterator<Item = &'i Interface<'i>> + Clone,
    points: &mut Points<'_, '_>,
) {
    points.ints_by(
        io,
        interfaces.clone().flat_map(|interface| {
            [
                ([&*interface.name, "receive"], interface.rx_bytes.0),
                ([&*interface.name, "transmit"], interface.tx_bytes.0),
            ]
        }),
    );
    points.ints_by(
        errors,
        interfaces.flat_map(|interface| {
            [
                ([&*interface.name, "receive"], interface.rx_errors.0),
                ([&*interface.name, "transmit"], interface.tx_errors.0),
            ]
        }),
    );
}
