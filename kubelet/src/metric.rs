//! The table: every metric that the kubelet's answers give, with name, unit, kind, attributes and default.
//!
//! Names, units, kinds and defaults are those of the OpenTelemetry Collector's kubeletstats receiver. The configuration, the points,
//! the JSON Schema and the reference documentation are all made from this table.

/// A metric, by its place in [`METRICS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the rows of the table say what each one is")]
pub enum Metric {
    ContainerCpuTime,
    ContainerCpuUsage,
    ContainerFilesystemAvailable,
    ContainerFilesystemCapacity,
    ContainerFilesystemUsage,
    ContainerMemoryAvailable,
    ContainerMemoryMajorPageFaults,
    ContainerMemoryPageFaults,
    ContainerMemoryRss,
    ContainerMemoryUsage,
    ContainerMemoryWorkingSet,
    ContainerUptime,
    ContainerCpuNodeUtilization,
    ContainerCpuLimitUtilization,
    ContainerCpuRequestUtilization,
    ContainerEphemeralStorageUsage,
    ContainerMemoryNodeUtilization,
    ContainerMemoryLimitUtilization,
    ContainerMemoryRequestUtilization,
    PodCpuNodeUtilization,
    PodCpuTime,
    PodCpuUsage,
    PodCpuLimitUtilization,
    PodCpuRequestUtilization,
    PodFilesystemAvailable,
    PodFilesystemCapacity,
    PodFilesystemUsage,
    PodMemoryAvailable,
    PodMemoryMajorPageFaults,
    PodMemoryNodeUtilization,
    PodMemoryPageFaults,
    PodMemoryRss,
    PodMemoryUsage,
    PodMemoryWorkingSet,
    PodMemoryLimitUtilization,
    PodMemoryRequestUtilization,
    PodNetworkErrors,
    PodNetworkIo,
    PodUptime,
    NodeCpuTime,
    NodeCpuUsage,
    NodeFilesystemAvailable,
    NodeFilesystemCapacity,
    NodeFilesystemUsage,
    NodeMemoryAvailable,
    NodeMemoryMajorPageFaults,
    NodeMemoryPageFaults,
    NodeMemoryRss,
    NodeMemoryUsage,
    NodeMemoryWorkingSet,
    NodeNetworkErrors,
    NodeNetworkIo,
    SystemContainerCpuTime,
    SystemContainerCpuUsage,
    SystemContainerMemoryUsage,
    SystemContainerMemoryWorkingSet,
    NodeUptime,
    PodVolumeUsage,
    VolumeAvailable,
    VolumeCapacity,
    VolumeInodes,
    VolumeInodesFree,
    VolumeInodesUsed,
}

/// How many metrics there are.
pub const N_METRICS: usize = METRICS.len();

impl Metric {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &METRICS[self as usize]
    }

    /// The metric of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        METRICS.iter().find(|row| row.name == name).map(|row| row.metric)
    }
}

/// What `metric_groups` switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Containers of pods.
    Container,
    /// Pods.
    Pod,
    /// The node and its system containers.
    Node,
    /// Volumes of pods.
    Volume,
}

/// The kind of a metric's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A cumulative sum that only grows.
    MonotonicSum,
    /// A cumulative sum that grows and shrinks.
    Sum,
}

/// The type of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 64-bit integers.
    Int,
    /// Doubles.
    Double,
}

/// What must be asked for beside the summary so that a metric has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Summary,
    /// The kubelet's list of pods, for limits and requests.
    Pods,
    /// The API server's node object, for its capacity.
    Node,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which one.
    pub metric: Metric,
    /// Its group.
    pub group: Group,
    /// Its name.
    pub name: &'static str,
    /// Its unit, in UCUM notation.
    pub unit: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The type of its values.
    pub value: ValueType,
    /// Names of the attributes of its points.
    pub attributes: &'static [&'static str],
    /// Whether it is on where the configuration does not say.
    pub is_on: bool,
    /// What it needs beside the summary.
    pub needs: Needs,
    /// Where in the answers its value stands.
    pub source: &'static str,
    /// What it says.
    pub description: &'static str,
}

impl Row {
    /// An integer gauge that is on.
    const fn gauge(
        group: Group,
        metric: Metric,
        name: &'static str,
        unit: &'static str,
        source: &'static str,
        description: &'static str,
    ) -> Self {
        let (kind, value, attributes, needs) = (Kind::Gauge, ValueType::Int, &[] as &[&str], Needs::Summary);
        Self { metric, group, name, unit, kind, value, attributes, is_on: true, needs, source, description }
    }

    /// A ratio, which is a double and off, of a use and what the value of `needs` allows.
    const fn ratio(
        group: Group,
        metric: Metric,
        name: &'static str,
        needs: Needs,
        source: &'static str,
        description: &'static str,
    ) -> Self {
        Self { needs, ..Self::gauge(group, metric, name, "1", source, description).double().off() }
    }

    const fn double(self) -> Self {
        Self { value: ValueType::Double, ..self }
    }

    const fn off(self) -> Self {
        Self { is_on: false, ..self }
    }

    const fn counter(self) -> Self {
        Self { kind: Kind::MonotonicSum, ..self }
    }

    const fn sum(self) -> Self {
        Self { kind: Kind::Sum, ..self }
    }

    const fn by(self, attributes: &'static [&'static str]) -> Self {
        Self { attributes, ..self }
    }
}

/// Attributes of network metrics.
const NETWORK: &[&str] = &["interface", "direction"];

use Group::{Container, Node, Pod, Volume};
use Metric as M;

/// All metrics, in the order of [`Metric`]: one row, one line.
#[rustfmt::skip]
pub const METRICS: &[Row] = &[
    Row::gauge(Container, M::ContainerCpuTime, "container.cpu.time", "s", "containers[].cpu.usageCoreNanoSeconds / 1e9", "CPU time that the container has used, over all cores.").double().counter(),
    Row::gauge(Container, M::ContainerCpuUsage, "container.cpu.usage", "{cpu}", "containers[].cpu.usageNanoCores / 1e9", "Cores that the container uses, as the kubelet sampled them last.").double(),
    Row::gauge(Container, M::ContainerFilesystemAvailable, "container.filesystem.available", "By", "containers[].rootfs.availableBytes", "Free space for the container's writable layer."),
    Row::gauge(Container, M::ContainerFilesystemCapacity, "container.filesystem.capacity", "By", "containers[].rootfs.capacityBytes", "Size of the file system below the container's writable layer."),
    Row::gauge(Container, M::ContainerFilesystemUsage, "container.filesystem.usage", "By", "containers[].rootfs.usedBytes", "Size of the container's writable layer."),
    Row::gauge(Container, M::ContainerMemoryAvailable, "container.memory.available", "By", "containers[].memory.availableBytes", "Memory limit of the container without its working set; absent where there is no limit."),
    Row::gauge(Container, M::ContainerMemoryMajorPageFaults, "container.memory.major_page_faults", "1", "containers[].memory.majorPageFaults", "Page faults of the container that were served from disk, since it started."),
    Row::gauge(Container, M::ContainerMemoryPageFaults, "container.memory.page_faults", "1", "containers[].memory.pageFaults", "Page faults of the container since it started."),
    Row::gauge(Container, M::ContainerMemoryRss, "container.memory.rss", "By", "containers[].memory.rssBytes", "Anonymous memory and swap cache of the container."),
    Row::gauge(Container, M::ContainerMemoryUsage, "container.memory.usage", "By", "containers[].memory.usageBytes", "Memory that the container holds, caches included."),
    Row::gauge(Container, M::ContainerMemoryWorkingSet, "container.memory.working_set", "By", "containers[].memory.workingSetBytes", "Memory of the container that cannot be reclaimed at once."),
    Row::gauge(Container, M::ContainerUptime, "container.uptime", "s", "now - containers[].startTime", "Whole seconds since the container started.").counter().off(),
    Row::ratio(Container, M::ContainerCpuNodeUtilization, "k8s.container.cpu.node.utilization", Needs::Node, "containers[].cpu.usageNanoCores / 1e9 / Node.status.capacity.cpu", "Cores that the container uses, as a share of the node's."),
    Row::ratio(Container, M::ContainerCpuLimitUtilization, "k8s.container.cpu_limit_utilization", Needs::Pods, "containers[].cpu.usageNanoCores / 1e9 / resources.limits.cpu", "Cores that the container uses, as a share of its limit."),
    Row::ratio(Container, M::ContainerCpuRequestUtilization, "k8s.container.cpu_request_utilization", Needs::Pods, "containers[].cpu.usageNanoCores / 1e9 / resources.requests.cpu", "Cores that the container uses, as a share of its request."),
    Row::gauge(Container, M::ContainerEphemeralStorageUsage, "k8s.container.ephemeral_storage.usage", "By", "containers[].rootfs.usedBytes, containers[].logs.usedBytes", "Local storage that the container uses, by what it is used for.").sum().off().by(&["fs.type"]),
    Row::ratio(Container, M::ContainerMemoryNodeUtilization, "k8s.container.memory.node.utilization", Needs::Node, "containers[].memory.usageBytes / Node.status.capacity.memory", "Memory that the container holds, as a share of the node's."),
    Row::ratio(Container, M::ContainerMemoryLimitUtilization, "k8s.container.memory_limit_utilization", Needs::Pods, "containers[].memory.usageBytes / resources.limits.memory", "Memory that the container holds, as a share of its limit."),
    Row::ratio(Container, M::ContainerMemoryRequestUtilization, "k8s.container.memory_request_utilization", Needs::Pods, "containers[].memory.usageBytes / resources.requests.memory", "Memory that the container holds, as a share of its request."),
    Row::ratio(Pod, M::PodCpuNodeUtilization, "k8s.pod.cpu.node.utilization", Needs::Node, "pods[].cpu.usageNanoCores / 1e9 / Node.status.capacity.cpu", "Cores that the pod uses, as a share of the node's."),
    Row::gauge(Pod, M::PodCpuTime, "k8s.pod.cpu.time", "s", "pods[].cpu.usageCoreNanoSeconds / 1e9", "CPU time that the pod has used, over all cores.").double().counter(),
    Row::gauge(Pod, M::PodCpuUsage, "k8s.pod.cpu.usage", "{cpu}", "pods[].cpu.usageNanoCores / 1e9", "Cores that the pod uses, as the kubelet sampled them last.").double(),
    Row::ratio(Pod, M::PodCpuLimitUtilization, "k8s.pod.cpu_limit_utilization", Needs::Pods, "pods[].cpu.usageNanoCores / 1e9 / sum of resources.limits.cpu", "Cores that the pod uses, as a share of its containers' limits; absent unless every container has one."),
    Row::ratio(Pod, M::PodCpuRequestUtilization, "k8s.pod.cpu_request_utilization", Needs::Pods, "pods[].cpu.usageNanoCores / 1e9 / sum of resources.requests.cpu", "Cores that the pod uses, as a share of its containers' requests; absent unless every container has one."),
    Row::gauge(Pod, M::PodFilesystemAvailable, "k8s.pod.filesystem.available", "By", "pods[].ephemeral-storage.availableBytes", "Free space for the pod's local storage."),
    Row::gauge(Pod, M::PodFilesystemCapacity, "k8s.pod.filesystem.capacity", "By", "pods[].ephemeral-storage.capacityBytes", "Size of the file system below the pod's local storage."),
    Row::gauge(Pod, M::PodFilesystemUsage, "k8s.pod.filesystem.usage", "By", "pods[].ephemeral-storage.usedBytes", "Local storage that the pod uses."),
    Row::gauge(Pod, M::PodMemoryAvailable, "k8s.pod.memory.available", "By", "pods[].memory.availableBytes", "Memory limit of the pod without its working set; absent where there is no limit."),
    Row::gauge(Pod, M::PodMemoryMajorPageFaults, "k8s.pod.memory.major_page_faults", "1", "pods[].memory.majorPageFaults", "Page faults of the pod that were served from disk, since it started."),
    Row::ratio(Pod, M::PodMemoryNodeUtilization, "k8s.pod.memory.node.utilization", Needs::Node, "pods[].memory.usageBytes / Node.status.capacity.memory", "Memory that the pod holds, as a share of the node's."),
    Row::gauge(Pod, M::PodMemoryPageFaults, "k8s.pod.memory.page_faults", "1", "pods[].memory.pageFaults", "Page faults of the pod since it started."),
    Row::gauge(Pod, M::PodMemoryRss, "k8s.pod.memory.rss", "By", "pods[].memory.rssBytes", "Anonymous memory and swap cache of the pod."),
    Row::gauge(Pod, M::PodMemoryUsage, "k8s.pod.memory.usage", "By", "pods[].memory.usageBytes", "Memory that the pod holds, caches included."),
    Row::gauge(Pod, M::PodMemoryWorkingSet, "k8s.pod.memory.working_set", "By", "pods[].memory.workingSetBytes", "Memory of the pod that cannot be reclaimed at once."),
    Row::ratio(Pod, M::PodMemoryLimitUtilization, "k8s.pod.memory_limit_utilization", Needs::Pods, "pods[].memory.usageBytes / sum of resources.limits.memory", "Memory that the pod holds, as a share of its containers' limits; absent unless every container has one."),
    Row::ratio(Pod, M::PodMemoryRequestUtilization, "k8s.pod.memory_request_utilization", Needs::Pods, "pods[].memory.usageBytes / sum of resources.requests.memory", "Memory that the pod holds, as a share of its containers' requests; absent unless every container has one."),
    Row::gauge(Pod, M::PodNetworkErrors, "k8s.pod.network.errors", "1", "pods[].network.rxErrors, pods[].network.txErrors", "Network errors of the pod.").counter().by(NETWORK),
    Row::gauge(Pod, M::PodNetworkIo, "k8s.pod.network.io", "By", "pods[].network.rxBytes, pods[].network.txBytes", "Bytes that the pod received and sent.").counter().by(NETWORK),
    Row::gauge(Pod, M::PodUptime, "k8s.pod.uptime", "s", "now - pods[].startTime", "Whole seconds since the pod started.").counter().off(),
    Row::gauge(Node, M::NodeCpuTime, "k8s.node.cpu.time", "s", "node.cpu.usageCoreNanoSeconds / 1e9", "CPU time that the node has used, over all cores.").double().counter(),
    Row::gauge(Node, M::NodeCpuUsage, "k8s.node.cpu.usage", "{cpu}", "node.cpu.usageNanoCores / 1e9", "Cores that are in use on the node, as the kubelet sampled them last.").double(),
    Row::gauge(Node, M::NodeFilesystemAvailable, "k8s.node.filesystem.available", "By", "node.fs.availableBytes", "Free space of the node's file system."),
    Row::gauge(Node, M::NodeFilesystemCapacity, "k8s.node.filesystem.capacity", "By", "node.fs.capacityBytes", "Size of the node's file system."),
    Row::gauge(Node, M::NodeFilesystemUsage, "k8s.node.filesystem.usage", "By", "node.fs.usedBytes", "Used space of the node's file system."),
    Row::gauge(Node, M::NodeMemoryAvailable, "k8s.node.memory.available", "By", "node.memory.availableBytes", "Memory of the node without its working set."),
    Row::gauge(Node, M::NodeMemoryMajorPageFaults, "k8s.node.memory.major_page_faults", "1", "node.memory.majorPageFaults", "Page faults on the node that were served from disk, since it started."),
    Row::gauge(Node, M::NodeMemoryPageFaults, "k8s.node.memory.page_faults", "1", "node.memory.pageFaults", "Page faults on the node since it started."),
    Row::gauge(Node, M::NodeMemoryRss, "k8s.node.memory.rss", "By", "node.memory.rssBytes", "Anonymous memory and swap cache on the node."),
    Row::gauge(Node, M::NodeMemoryUsage, "k8s.node.memory.usage", "By", "node.memory.usageBytes", "Memory in use on the node, caches included."),
    Row::gauge(Node, M::NodeMemoryWorkingSet, "k8s.node.memory.working_set", "By", "node.memory.workingSetBytes", "Memory in use on the node that cannot be reclaimed at once."),
    Row::gauge(Node, M::NodeNetworkErrors, "k8s.node.network.errors", "1", "node.network.rxErrors, node.network.txErrors", "Network errors of the node.").counter().by(NETWORK),
    Row::gauge(Node, M::NodeNetworkIo, "k8s.node.network.io", "By", "node.network.rxBytes, node.network.txBytes", "Bytes that the node received and sent.").counter().by(NETWORK),
    Row::gauge(Node, M::SystemContainerCpuTime, "k8s.node.system_container.cpu.time", "s", "node.systemContainers[].cpu.usageCoreNanoSeconds / 1e9", "CPU time that the system container has used, over all cores.").double().counter().off(),
    Row::gauge(Node, M::SystemContainerCpuUsage, "k8s.node.system_container.cpu.usage", "{cpu}", "node.systemContainers[].cpu.usageNanoCores / 1e9", "Cores that the system container uses, as the kubelet sampled them last.").double().off(),
    Row::gauge(Node, M::SystemContainerMemoryUsage, "k8s.node.system_container.memory.usage", "By", "node.systemContainers[].memory.usageBytes", "Memory that the system container holds, caches included.").off(),
    Row::gauge(Node, M::SystemContainerMemoryWorkingSet, "k8s.node.system_container.memory.working_set", "By", "node.systemContainers[].memory.workingSetBytes", "Memory of the system container that cannot be reclaimed at once.").off(),
    Row::gauge(Node, M::NodeUptime, "k8s.node.uptime", "s", "now - node.startTime", "Whole seconds since the node started.").counter().off(),
    Row::gauge(Volume, M::PodVolumeUsage, "k8s.pod.volume.usage", "By", "pods[].volume[].usedBytes", "Used space of the volume.").sum().off(),
    Row::gauge(Volume, M::VolumeAvailable, "k8s.volume.available", "By", "pods[].volume[].availableBytes", "Free space of the volume."),
    Row::gauge(Volume, M::VolumeCapacity, "k8s.volume.capacity", "By", "pods[].volume[].capacityBytes", "Size of the volume."),
    Row::gauge(Volume, M::VolumeInodes, "k8s.volume.inodes", "1", "pods[].volume[].inodes", "Inodes of the volume's file system."),
    Row::gauge(Volume, M::VolumeInodesFree, "k8s.volume.inodes.free", "1", "pods[].volume[].inodesFree", "Free inodes of the volume's file system."),
    Row::gauge(Volume, M::VolumeInodesUsed, "k8s.volume.inodes.used", "1", "pods[].volume[].inodesUsed", "Inodes that the volume's files use, which may be fewer than its file system has in use."),
];

#[cfg(test)]
mod tests;
