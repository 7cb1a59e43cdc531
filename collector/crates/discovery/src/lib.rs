//! Where targets are: static lists, files, HTTP endpoints, DNS and Kubernetes.
//!
//! As Prometheus `discovery`: every mechanism yields *groups*, lists of addresses that share labels, and a
//! job may use several mechanisms at once. [`spawn`] starts those of one job and publishes what they found as
//! a [`Snapshot`] that can be watched; it ends when the [`Discovery`] is dropped. Mechanisms that are not
//! built in are known by name ([`ForeignConfigs`]), so that who meets them can say so.
//!
//! Different on purpose: changes are published at once instead of every five seconds; a snapshot says whether
//! every mechanism has answered at least once ([`Snapshot::settled`]), so that nobody takes "not known yet"
//! for "nothing there"; a file that is being written is read when it has come to rest; an empty list over
//! HTTP can be doubted ([`EmptyList::Cautious`]).

mod board;
mod config;
mod dns;
mod file;
mod folders;
mod foreign;
mod glob;
mod group;
mod http;
mod kubernetes;
mod pace;
mod stamp;

pub use self::config::{DnsRecordType, DnsSdConfig, FileSdConfig, HttpSdConfig, SdConfigs, StaticConfig};
pub use self::dns::NameServers;
pub use self::http::EmptyList;
pub use self::kubernetes::{
    AttachMetadata, GroupFilter, GroupLabels, Kubernetes, KubernetesSdConfig, Namespaces, Passed, Role,
    SelectorConfig, Sharing, Sight,
};
pub use board::{Context, Discovery, Snapshot, spawn, spawn_filtered};
pub use file::files_named;
pub use foreign::ForeignConfigs;
pub use glob::check_file_pattern;
pub use group::{Group, MAX_GROUPS_BYTES, parse_json, parse_yaml};
pub use pace::Pace;
