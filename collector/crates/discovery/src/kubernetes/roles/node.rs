//! Role `node`: the kubelet of each node.

use cluster::Node;

use super::source;
use crate::Group;
use crate::kubernetes::labels::{Builder, What, host_port};
use crate::kubernetes::world::Asking;

/// Types of addresses, best first.
const TYPES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The group of a node; without an address it has no target.
pub(in crate::kubernetes) fn node(node: &Node, asking: &mut Asking<'_>) -> Group {
    let names = &mut *asking.names;
    let mut labels = Builder::default();
    labels.set(names, "node_provider_id", &node.provider_id).object(names, &What::NODE, &node.metadata);
    for (kind, status) in &node.conditions {
        let kind = kind.to_lowercase().into();
        labels.of_key(names, "node_condition", &kind, &cluster::intern(status.name()));
    }
    let of_type =
        |wanted: &str| node.addresses.iter().find(|(kind, _)| **kind == *wanted).map(|(_, address)| address);
    let address = TYPES.iter().find_map(|kind| of_type(kind));
    let target = address.map(|address| {
        let mut target = Builder::default();
        target.address(names, host_port(address, node.kubelet_port)).plain("instance", &node.metadata.name);
        // Of several addresses of a type the first one counts, and the last label does.
        for (kind, address) in node.addresses.iter().rev() {
            target.of_key(names, "node_address", kind, address);
        }
        target.finish()
    });
    Group {
        source: source("node", &node.metadata.name),
        labels: labels.finish(),
        targets: target.into_iter().collect(),
    }
}
