//! Role `endpointslice`: as `endpoints`, from slices, which have no limit of addresses.

use std::sync::Arc;

use cluster::{Endpoint, EndpointSlice, Reference, SlicePort};
use model::Labels;

use super::service::service_labels;
use super::{SeenPods, attach_namespace, attach_node, source};
use crate::Group;
use crate::kubernetes::labels::{Builder, What, host_port};
use crate::kubernetes::world::Asking;

/// The group of a slice. Of a service with addresses of two families only the slices of the first have targets.
pub(in crate::kubernetes) fn endpoint_slice(slice: &EndpointSlice, asking: &mut Asking<'_>) -> Group {
    let metadata = &slice.metadata;
    let mut labels = Builder::default();
    labels
        .set(asking.names, "namespace", &metadata.namespace)
        .set(asking.names, "endpointslice_address_type", &slice.address_type)
        .object(asking.names, &What::ENDPOINT_SLICE, metadata);
    let service = slice.service_name().and_then(|name| asking.service(&metadata.namespace, name));
    if let Some(service) = service {
        service_labels(&mut labels, asking, service);
    }
    attach_namespace(&mut labels, asking, &metadata.namespace);
    let primary = service.and_then(|service| service.primary_family.as_ref());
    let mut targets = Vec::new();
    if primary.is_none_or(|family| *family == slice.address_type) {
        let mut seen = SeenPods::default();
        for endpoint in &slice.endpoints {
            for port in &slice.ports {
                for address in &endpoint.addresses {
                    targets.push(target(asking, &mut seen, endpoint, address, port));
                }
            }
        }
        seen.0.iter().for_each(|pod| pod.other_ports(asking, &mut targets));
    }
    Group { source: source("endpointslice", &metadata.key()), labels: labels.finish(), targets }
}

fn target<'a>(
    asking: &mut Asking<'a>,
    seen: &mut SeenPods<'a>,
    endpoint: &Endpoint,
    address: &Arc<str>,
    port: &SlicePort,
) -> Labels {
    let whole = port.port.map_or_else(|| Arc::clone(address), |port| host_port(address, port));
    let mut labels = Builder::default();
    labels
        .address(asking.names, whole)
        .set_option(asking.names, "endpointslice_port_name", port.name.as_ref())
        .set_option(asking.names, "endpointslice_port_protocol", port.protocol.as_ref())
        .set_option(asking.names, "endpointslice_port_app_protocol", port.app_protocol.as_ref())
        .set_option(asking.names, "endpointslice_endpoint_hostname", endpoint.hostname.as_ref())
        .set_option(asking.names, "endpointslice_endpoint_node_name", endpoint.node_name.as_ref())
        .set_option(asking.names, "endpointslice_endpoint_zone", endpoint.zone.as_ref())
        .map(asking.names, "endpointslice_endpoint_topology", "_present", &endpoint.deprecated_topology);
    let conditions = endpoint.conditions;
    for (name, condition) in [
        ("endpointslice_endpoint_conditions_ready", conditions.ready),
        ("endpointslice_endpoint_conditions_serving", conditions.serving),
        ("endpointslice_endpoint_conditions_terminating", conditions.terminating),
    ] {
        if let Some(condition) = condition {
            labels.say(asking.names, name, condition);
        }
    }
    if let Some(port) = port.port {
        labels.say(asking.names, "endpointslice_port", port);
    }
    let reference = endpoint.target_ref.as_deref();
    if let Some(Reference { kind, name, .. }) = reference {
        labels.set(asking.names, "endpointslice_address_target_kind", kind).set(
            asking.names,
            "endpointslice_address_target_name",
            name,
        );
    }
    let of_kind = |wanted: &str| reference.filter(|reference| *reference.kind == *wanted);
    let node = of_kind("Node").map(|reference| &reference.name).or(endpoint.node_name.as_ref());
    attach_node(&mut labels, asking, node);
    let pod = of_kind("Pod").and_then(|reference| asking.pod(&reference.namespace, &reference.name));
    if let Some(pod) = pod {
        let at = seen.see(asking, pod, port.port);
        seen.0[at].tell(&mut labels, asking, port.port, None);
    }
    labels.finish()
}
