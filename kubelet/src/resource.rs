//! The table of resource attributes: whom the points of a resource are about.

/// An attribute of a resource, by its place in [`RESOURCE_ATTRIBUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the rows of the table say what each one is")]
pub enum ResourceAttribute {
    NodeName,
    SystemContainerName,
    PodUid,
    PodName,
    NamespaceName,
    ContainerName,
    ContainerId,
    VolumeName,
    VolumeType,
    ClaimName,
    AwsVolumeId,
    FsType,
    Partition,
    GcePdName,
    GlusterfsEndpointsName,
    GlusterfsPath,
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct ResourceRow {
    /// Which one.
    pub attribute: ResourceAttribute,
    /// Its name.
    pub name: &'static str,
    /// Whether it is on where the configuration does not say.
    pub is_on: bool,
    /// What it says.
    pub description: &'static str,
}

/// How many attributes there are.
pub const N_RESOURCE_ATTRIBUTES: usize = RESOURCE_ATTRIBUTES.len();

impl ResourceAttribute {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static ResourceRow {
        &RESOURCE_ATTRIBUTES[self as usize]
    }
}

const fn on(attribute: ResourceAttribute, name: &'static str, description: &'static str) -> ResourceRow {
    ResourceRow { attribute, name, is_on: true, description }
}

/// Six that upstream once sent and now leaves out unless they are asked for.
const fn off(attribute: ResourceAttribute, name: &'static str, description: &'static str) -> ResourceRow {
    ResourceRow { is_on: false, ..on(attribute, name, description) }
}

use ResourceAttribute as A;

/// All attributes, in the order of [`ResourceAttribute`]: one row, one line.
#[rustfmt::skip]
pub const RESOURCE_ATTRIBUTES: &[ResourceRow] = &[
    on(A::NodeName, "k8s.node.name", "Name of the node."),
    on(A::SystemContainerName, "k8s.node.system_container.name", "Name of a system container: `kubelet`, `runtime`, `pods` or `misc`."),
    on(A::PodUid, "k8s.pod.uid", "UID of the pod."),
    on(A::PodName, "k8s.pod.name", "Name of the pod."),
    on(A::NamespaceName, "k8s.namespace.name", "Namespace of the pod."),
    on(A::ContainerName, "k8s.container.name", "Name of the container in the pod."),
    on(A::ContainerId, "container.id", "Id that the container runtime gave; with `container.id` in `extra_metadata_labels`."),
    on(A::VolumeName, "k8s.volume.name", "Name of the volume in the pod."),
    on(A::VolumeType, "k8s.volume.type", "Kind of the volume; with `k8s.volume.type` in `extra_metadata_labels`."),
    on(A::ClaimName, "k8s.persistentvolumeclaim.name", "Name of the volume's claim; with `k8s.volume.type` in `extra_metadata_labels`."),
    off(A::AwsVolumeId, "aws.volume.id", "Id of an EBS volume."),
    off(A::FsType, "fs.type", "File system of an EBS volume or a GCE disk."),
    off(A::Partition, "partition", "Partition of an EBS volume or a GCE disk."),
    off(A::GcePdName, "gce.pd.name", "Name of a GCE disk."),
    off(A::GlusterfsEndpointsName, "glusterfs.endpoints.name", "Endpoints object of a GlusterFS volume."),
    off(A::GlusterfsPath, "glusterfs.path", "Path of a GlusterFS volume."),
];
