//! The answer of `/stats/summary`: of it what metrics are made of, read in place.
//!
//! As `kubelet/pkg/apis/stats/v1alpha1` of Kubernetes. Texts are borrowed from the body; what is not named here is passed over.

use std::borrow::Cow;

use serde::Deserialize;

use crate::json::{Count, Time};

/// The whole answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Summary<'a> {
    #[serde(borrow)]
    pub(crate) node: Option<NodeStats<'a>>,
    #[serde(borrow)]
    pub(crate) pods: Option<Vec<PodStats<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeStats<'a> {
    #[serde(borrow)]
    pub(crate) node_name: Cow<'a, str>,
    pub(crate) start_time: Time,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    #[serde(borrow)]
    pub(crate) network: Option<Network<'a>>,
    pub(crate) fs: Option<Fs>,
    #[serde(borrow)]
    pub(crate) system_containers: Option<Vec<ContainerStats<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStats<'a> {
    #[serde(borrow)]
    pub(crate) pod_ref: PodRef<'a>,
    pub(crate) start_time: Time,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    #[serde(borrow)]
    pub(crate) network: Option<Network<'a>>,
    #[serde(rename = "ephemeral-storage")]
    pub(crate) ephemeral_storage: Option<Fs>,
    #[serde(borrow)]
    pub(crate) containers: Option<Vec<ContainerStats<'a>>>,
    #[serde(borrow, rename = "volume")]
    pub(crate) volumes: Option<Vec<VolumeStats<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodRef<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) uid: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStats<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    pub(crate) start_time: Time,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    pub(crate) rootfs: Option<Fs>,
    pub(crate) logs: Option<Fs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeStats<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    pub(crate) available_bytes: Count,
    pub(crate) capacity_bytes: Count,
    pub(crate) used_bytes: Count,
    pub(crate) inodes_free: Count,
    pub(crate) inodes: Count,
    pub(crate) inodes_used: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Cpu {
    pub(crate) usage_nano_cores: Count,
    pub(crate) usage_core_nano_seconds: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memory {
    pub(crate) available_bytes: Count,
    pub(crate) usage_bytes: Count,
    pub(crate) working_set_bytes: Count,
    pub(crate) rss_bytes: Count,
    pub(crate) page_faults: Count,
    pub(crate) major_page_faults: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Fs {
    pub(crate) available_bytes: Count,
    pub(crate) capacity_bytes: Count,
    pub(crate) used_bytes: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Network<'a> {
    /// The default interface stands beside the list of all.
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    pub(crate) rx_bytes: Count,
    pub(crate) rx_errors: Count,
    pub(crate) tx_bytes: Count,
    pub(crate) tx_errors: Count,
    #[serde(borrow)]
    pub(crate) interfaces: Option<Vec<Interface<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Interface<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    pub(crate) rx_bytes: Count,
    pub(crate) rx_errors: Count,
    pub(crate) tx_bytes: Count,
    pub(crate) tx_errors: Count,
}

impl Network<'_> {
    /// What stands beside the list of all.
    pub(crate) fn default_interface(&self) -> Interface<'_> {
        Interface {
            name: Cow::Borrowed(&self.name),
            rx_bytes: self.rx_bytes,
            rx_errors: self.rx_errors,
            tx_bytes: self.tx_bytes,
            tx_errors: self.tx_errors,
        }
    }
}
