//! Role `endpoints`: each address and port behind a service, and the other ports of the pods there.

use std::sync::Arc;

use cluster::{EndpointAddress, Endpoints, Reference, ServicePort};
use model::Labels;

use super::service::service_labels;
use super::{SeenPods, attach_namespace, attach_node, source};
use crate::Group;
use crate::kubernetes::labels::{Builder, What, host_port};
use crate::kubernetes::world::Asking;

/// The group of an Endpoints object.
pub(in crate::kubernetes) fn endpoints(endpoints: &Endpoints, asking: &mut Asking<'_>) -> Group {
    let metadata = &endpoints.metadata;
    let mut labels = Builder::default();
    labels.set(asking.names, "namespace", &metadata.namespace);
    if let Some(service) = asking.service(&metadata.namespace, &metadata.name) {
        service_labels(&mut labels, asking, service);
    }
    labels.object(asking.names, &What::ENDPOINTS, metadata);
    attach_namespace(&mut labels, asking, &metadata.namespace);
    let mut targets = Vec::new();
    let mut seen = SeenPods::default();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            for address in &subset.addresses {
                targets.push(target(asking, &mut seen, address, port, true));
            }
            for address in &subset.not_ready_addresses {
                targets.push(target(asking, &mut seen, address, port, false));
            }
        }
    }
    seen.0.iter().for_each(|pod| pod.other_ports(asking, &mut targets));
    Group { source: source("endpoints", &metadata.key()), labels: labels.finish(), targets }
}

fn target<'a>(
    asking: &mut Asking<'a>,
    seen: &mut SeenPods<'a>,
    address: &EndpointAddress,
    port: &ServicePort,
    is_ready: bool,
) -> Labels {
    let mut labels = Builder::default();
    labels
        .address(asking.names, host_port(&address.ip, port.port))
        .set(asking.names, "endpoint_port_name", &port.name)
        .set(asking.names, "endpoint_port_protocol", &port.protocol)
        .say(asking.names, "endpoint_ready", is_ready)
        .set_option(asking.names, "endpoint_node_name", address.node_name.as_ref())
        .set(asking.names, "endpoint_hostname", &address.hostname);
    let reference = address.target_ref.as_deref();
    if let Some(Reference { kind, name, .. }) = reference {
        labels.set(asking.names, "endpoint_address_target_kind", kind).set(
            asking.names,
            "endpoint_address_target_name",
            name,
        );
    }
    let of_kind = |wanted: &str| reference.filter(|reference| *reference.kind == *wanted);
    let node: Option<&Arc<str>> =
        address.node_name.as_ref().or_else(|| of_kind("Node").map(|reference| &reference.name));
    attach_node(&mut labels, asking, node);
    let pod = of_kind("Pod").and_then(|reference| asking.pod(&reference.namespace, &reference.name));
    if let Some(pod) = pod {
        let at = seen.see(asking, pod, Some(port.port));
        seen.0[at].tell(&mut labels, asking, Some(port.port), Some(&port.protocol));
    }
    labels.finish()
}
