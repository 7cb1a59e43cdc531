//! The answer of `/pods`: limits and requests, container ids, kinds of volumes.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::json::{self, Quantity};

/// Pods by UID.
#[derive(Debug, Default)]
pub(crate) struct Pods<'a> {
    by_uid: HashMap<Cow<'a, str>, Pod<'a>>,
}

/// A pod.
#[derive(Debug, Default)]
pub(crate) struct Pod<'a> {
    /// Sums over its containers; absent unless every container has one.
    pub(crate) resources: Allowed,
    containers: Vec<ContainerSpec<'a>>,
    statuses: Vec<ContainerStatus<'a>>,
    volumes: Vec<Volume<'a>>,
}

/// What a container or pod may use: cores and bytes, none of them zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) cpu_limit: Option<f64>,
    pub(crate) cpu_request: Option<f64>,
    pub(crate) memory_limit: Option<f64>,
    pub(crate) memory_request: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Option<Vec<Item<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<ContainerSpec<'a>>>,
    #[serde(borrow)]
    volumes: Option<Vec<Volume<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerSpec<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    resources: Resources,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    limits: Option<CpuAndMemory>,
    requests: Option<CpuAndMemory>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CpuAndMemory {
    cpu: Quantity,
    memory: Quantity,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'a> {
    #[serde(borrow)]
    container_statuses: Option<Vec<ContainerStatus<'a>>>,
    #[serde(borrow)]
    init_container_statuses: Option<Vec<ContainerStatus<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// With the runtime before it: `containerd://...`.
    #[serde(borrow, rename = "containerID")]
    container_id: Cow<'a, str>,
}

/// A volume of a pod. Kinds that are not named have no word upstream either.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    config_map: Option<IgnoredAny>,
    #[serde(rename = "downwardAPI")]
    downward_api: Option<IgnoredAny>,
    empty_dir: Option<IgnoredAny>,
    secret: Option<IgnoredAny>,
    #[serde(borrow)]
    persistent_volume_claim: Option<Claim<'a>>,
    host_path: Option<IgnoredAny>,
    aws_elastic_block_store: Option<Disk>,
    gce_persistent_disk: Option<Disk>,
    glusterfs: Option<Glusterfs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Claim<'a> {
    #[serde(borrow)]
    claim_name: Cow<'a, str>,
}

/// A disk of a cloud, as volumes of pods and persistent volumes name it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Disk {
    /// `volumeID` of EBS, `pdName` of GCE.
    #[serde(rename = "volumeID", alias = "pdName")]
    pub(crate) name: String,
    #[serde(rename = "fsType")]
    pub(crate) fs_type: String,
    pub(crate) partition: i32,
}

/// A volume of GlusterFS, as volumes of pods and persistent volumes name it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Glusterfs {
    pub(crate) endpoints: String,
    pub(crate) path: String,
}

/// What a volume is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VolumeKind {
    ConfigMap,
    DownwardApi,
    EmptyDir,
    Secret,
    Claim,
    HostPath,
    Local,
    AwsElasticBlockStore(Disk),
    GcePersistentDisk(Disk),
    Glusterfs(Glusterfs),
}

impl VolumeKind {
    /// The value of `k8s.volume.type`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::ConfigMap => "configMap",
            Self::DownwardApi => "downwardAPI",
            Self::EmptyDir => "emptyDir",
            Self::Secret => "secret",
            Self::Claim => "persistentVolumeClaim",
            Self::HostPath => "hostPath",
            Self::Local => "local",
            Self::AwsElasticBlockStore(_) => "awsElasticBlockStore",
            Self::GcePersistentDisk(_) => "gcePersistentDisk",
            Self::Glusterfs(_) => "glusterfs",
        }
    }
}

impl<'a> Pods<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let list: List<'a> = json::read(body)?;
        let items = list.items.unwrap_or_default().into_iter();
        Ok(Self { by_uid: items.map(|item| (item.metadata.uid, Pod::new(item.spec, item.status))).collect() })
    }

    pub(crate) fn get(&self, uid: &str) -> Option<&Pod<'a>> {
        self.by_uid.get(uid)
    }
}

impl<'a> Pod<'a> {
    fn new(spec: Spec<'a>, status: Status<'a>) -> Self {
        let containers = spec.containers.unwrap_or_default();
        let mut statuses = status.container_statuses.unwrap_or_default();
        statuses.extend(status.init_container_statuses.unwrap_or_default());
        let resources = Allowed::sum(containers.iter().map(|container| container.resources.allowed()));
        Self { resources, containers, statuses, volumes: spec.volumes.unwrap_or_default() }
    }

    /// What a container may use; nothing is known of init containers.
    pub(crate) fn container(&self, name: &str) -> Allowed {
        let found = self.containers.iter().find(|container| container.name == name);
        found.map(|container| container.resources.allowed()).unwrap_or_default()
    }

    /// The id of a container without the runtime before it, where it has one yet.
    pub(crate) fn container_id(&self, name: &str) -> Option<&str> {
        let status = self.statuses.iter().find(|status| status.name == name)?;
        let id = status.container_id.split_once("://").map_or(&*status.container_id, |(_, id)| id);
        Some(id).filter(|id| !id.is_empty())
    }

    /// The kind of a volume, and the name of its claim.
    pub(crate) fn volume(&self, name: &str) -> Option<(VolumeKind, Option<&str>)> {
        let volume = self.volumes.iter().find(|volume| volume.name == name)?;
        let claim = volume.persistent_volume_claim.as_ref().map(|claim| &*claim.claim_name);
        Some((volume.kind()?, claim))
    }
}

impl Volume<'_> {
    /// In upstream's order, should there be more than one.
    fn kind(&self) -> Option<VolumeKind> {
        let simple = [
            (self.config_map.is_some(), VolumeKind::ConfigMap),
            (self.downward_api.is_some(), VolumeKind::DownwardApi),
            (self.empty_dir.is_some(), VolumeKind::EmptyDir),
            (self.secret.is_some(), VolumeKind::Secret),
            (self.persistent_volume_claim.is_some(), VolumeKind::Claim),
            (self.host_path.is_some(), VolumeKind::HostPath),
        ];
        let simple = simple.into_iter().find(|(is_it, _)| *is_it).map(|(_, kind)| kind);
        simple
            .or_else(|| self.aws_elastic_block_store.clone().map(VolumeKind::AwsElasticBlockStore))
            .or_else(|| self.gce_persistent_disk.clone().map(VolumeKind::GcePersistentDisk))
            .or_else(|| self.glusterfs.clone().map(VolumeKind::Glusterfs))
    }
}

impl Resources {
    fn allowed(&self) -> Allowed {
        let (limits, requests) = (self.limits.unwrap_or_default(), self.requests.unwrap_or_default());
        let positive = |quantity: Quantity| quantity.0.filter(|value| *value > 0.0);
        Allowed {
            cpu_limit: positive(limits.cpu),
            cpu_request: positive(requests.cpu),
            memory_limit: positive(limits.memory),
            memory_request: positive(requests.memory),
        }
    }
}

impl Allowed {
    fn sum(containers: impl Iterator<Item = Self> + Clone) -> Self {
        let sum = |of: fn(&Self) -> Option<f64>| {
            containers.clone().map(|one| of(&one)).sum::<Option<f64>>().filter(|sum| *sum > 0.0)
        };
        Self {
            cpu_limit: sum(|one| one.cpu_limit),
            cpu_request: sum(|one| one.cpu_request),
            memory_limit: sum(|one| one.memory_limit),
            memory_request: sum(|one| one.memory_request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str = r#"{"kind":"PodList","items":[{"metadata":{"name":"web-0","uid":"u1"},
        "spec":{"containers":[
            {"name":"app","resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"250m","memory":"128Mi"}}},
            {"name":"side","resources":{"limits":{"cpu":"100m","memory":"0"}}}],
          "volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-web-0"}},{"name":"tmp","emptyDir":{}},
            {"name":"disk","gcePersistentDisk":{"pdName":"d1","fsType":"ext4","partition":2}},{"name":"other","projected":{}}]},
        "status":{"containerStatuses":[{"name":"app","containerID":"containerd://aaa"},{"name":"side","containerID":""}],
          "initContainerStatuses":[{"name":"setup","containerID":"cri-o://ccc"}]}}]}"#;

    #[test]
    fn a_pod_has_a_sum_only_where_every_container_has_one() {
        let pods = Pods::parse(PODS.as_bytes()).unwrap();
        let pod = pods.get("u1").unwrap();
        assert_eq!(pod.resources, Allowed { cpu_limit: Some(0.6), ..Allowed::default() });
        assert_eq!(pod.container("app").memory_limit, Some(268_435_456.0));
        assert_eq!(pod.container("side"), Allowed { cpu_limit: Some(0.1), ..Allowed::default() });
        assert_eq!(pod.container("setup"), Allowed::default());
        assert!(pods.get("u2").is_none());
    }

    #[test]
    fn a_container_that_has_not_started_has_no_id() {
        let pods = Pods::parse(PODS.as_bytes()).unwrap();
        let pod = pods.get("u1").unwrap();
        let ids = ["app", "side", "setup", "gone"].map(|name| pod.container_id(name));
        assert_eq!(ids, [Some("aaa"), None, Some("ccc"), None]);
    }

    #[test]
    fn a_volume_has_its_kind_where_there_is_a_word_for_it() {
        let pods = Pods::parse(PODS.as_bytes()).unwrap();
        let pod = pods.get("u1").unwrap();
        assert_eq!(pod.volume("data"), Some((VolumeKind::Claim, Some("data-web-0"))));
        assert_eq!(pod.volume("tmp"), Some((VolumeKind::EmptyDir, None)));
        let disk = Disk { name: "d1".to_owned(), fs_type: "ext4".to_owned(), partition: 2 };
        assert_eq!(pod.volume("disk"), Some((VolumeKind::GcePersistentDisk(disk), None)));
        assert_eq!(pod.volume("other"), None);
    }

    #[test]
    fn a_list_without_items_is_no_error() {
        assert!(Pods::parse(b"{\"items\":null}").is_ok());
        assert!(Pods::parse(b"{\"items\":[{}").is_err());
        assert!(Pods::parse(b"[]").is_err());
    }
}
