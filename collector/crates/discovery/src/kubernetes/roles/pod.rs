//! Role `pod`: each port of each container.

use cluster::Pod;

use super::{attach_namespace, attach_node, container_labels, pod_labels, source};
use crate::Group;
use crate::kubernetes::labels::{Builder, host_port};
use crate::kubernetes::world::Asking;

/// The group of a pod. A container without ports is one target, whose address has no port.
pub(in crate::kubernetes) fn pod(pod: &Pod, asking: &mut Asking<'_>) -> Group {
    let metadata = &pod.metadata;
    let source = source("pod", &metadata.key());
    // Node selectors select pods by their nodes.
    let is_elsewhere = asking.tells_nodes() && asking.node(&pod.node_name).is_none();
    if pod.ip.is_empty() || is_elsewhere {
        return Group { source, ..Group::default() };
    }
    let mut labels = Builder::default();
    pod_labels(&mut labels, asking, pod);
    labels.set(asking.names, "namespace", &metadata.namespace);
    attach_node(&mut labels, asking, Some(&pod.node_name));
    attach_namespace(&mut labels, asking, &metadata.namespace);
    let mut targets = Vec::new();
    for container in &pod.containers {
        let mut common = Builder::default();
        container_labels(&mut common, asking, container);
        common.set(asking.names, "pod_container_id", &container.id);
        let common = common.pairs();
        for port in &container.ports {
            let mut target = Builder::default();
            target
                .address(asking.names, host_port(&pod.ip, port.container_port))
                .set(asking.names, "pod_container_port_name", &port.name)
                .say(asking.names, "pod_container_port_number", port.container_port)
                .set(asking.names, "pod_container_port_protocol", &port.protocol)
                .extend(&common);
            targets.push(target.finish());
        }
        if container.ports.is_empty() {
            let mut target = Builder::default();
            target.address(asking.names, pod.ip.clone()).extend(&common);
            targets.push(target.finish());
        }
    }
    Group { source, labels: labels.finish(), targets }
}
