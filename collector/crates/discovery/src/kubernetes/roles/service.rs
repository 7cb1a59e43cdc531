//! Role `service`: each port of a service, under its name in the cluster's DNS.

use std::sync::Arc;

use cluster::{Service, intern};
use model::Labels;

use super::{attach_namespace, source};
use crate::Group;
use crate::kubernetes::labels::{Builder, What, host_port};
use crate::kubernetes::world::Asking;

/// The group of a service.
pub(in crate::kubernetes) fn service(service: &Service, asking: &mut Asking<'_>) -> Group {
    let metadata = &service.metadata;
    let mut labels = Builder::default();
    service_labels(&mut labels, asking, service);
    attach_namespace(&mut labels, asking, &metadata.namespace);
    let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
    let names = &mut *asking.names;
    let is_external = &*service.kind == "ExternalName";
    let is_balanced = &*service.kind == "LoadBalancer";
    let target = |port: &cluster::ServicePort| -> Labels {
        let mut target = Builder::default();
        target
            .address(names, host_port(&host, port.port))
            .set(names, "service_port_name", &port.name)
            .say(names, "service_port_number", port.port)
            .set(names, "service_port_protocol", &port.protocol)
            .set(names, "service_type", &service.kind);
        if is_external {
            target.set(names, "service_external_name", &service.external_name);
        } else {
            target.set(names, "service_cluster_ip", &service.cluster_ip);
        }
        if is_balanced {
            target.set(names, "service_loadbalancer_ip", &balancer(service));
        }
        target.finish()
    };
    Group {
        source: source("svc", &metadata.key()),
        targets: service.ports.iter().map(target).collect(),
        labels: labels.finish(),
    }
}

/// What every target behind a service is told of it.
pub(super) fn service_labels(labels: &mut Builder, asking: &mut Asking<'_>, service: &Service) {
    labels.set(asking.names, "namespace", &service.metadata.namespace).object(
        asking.names,
        &What::SERVICE,
        &service.metadata,
    );
}

/// The addresses that the balancer has, or the one that was asked for.
fn balancer(service: &Service) -> Arc<str> {
    if service.load_balancer_ips.is_empty() {
        Arc::clone(&service.load_balancer_ip)
    } else {
        intern(&service.load_balancer_ips.join(","))
    }
}
