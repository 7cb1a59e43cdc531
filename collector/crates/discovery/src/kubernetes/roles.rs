//! Groups of each role, from the object that they belong to.
//!
//! Facts of Prometheus 3.x that are easy to overlook: ports of init containers are targets, too; a pod without address has none; a
//! pod behind an endpoint has all its other ports as targets; not-ready endpoints are targets; while nodes are attached, a
//! pod (role `pod`) on an unknown node has no target.

mod endpoint_slice;
mod endpoints;
mod ingress;
mod node;
mod pod;
mod service;

use std::sync::Arc;

use cluster::{Container, Pod, intern};

use super::labels::{Builder, What};
use super::world::Asking;

pub(super) use endpoint_slice::endpoint_slice;
pub(super) use endpoints::endpoints;
pub(super) use ingress::ingress;
pub(super) use node::node;
pub(super) use pod::pod;
pub(super) use service::service;

type Pairs = Vec<(Arc<str>, Arc<str>)>;

/// Labels and annotations of a namespace, where they are attached.
fn attach_namespace(labels: &mut Builder, asking: &mut Asking<'_>, name: &str) {
    if let Some(namespace) = asking.namespace(name) {
        labels.marks(asking.names, &What::NAMESPACE, &namespace.metadata);
    }
}

/// Name, labels and annotations of a node, where they are attached.
fn attach_node(labels: &mut Builder, asking: &mut Asking<'_>, name: Option<&Arc<str>>) {
    if let Some(node) = name.filter(|_| asking.tells_nodes()).and_then(|name| asking.node(name)) {
        labels.object(asking.names, &What::NODE, &node.metadata);
    }
}

/// The labels of a pod, without its namespace.
fn pod_labels(labels: &mut Builder, asking: &mut Asking<'_>, pod: &Pod) {
    labels
        .set(asking.names, "pod_ip", &pod.ip)
        .say(asking.names, "pod_ready", pod.ready.name())
        .set(asking.names, "pod_phase", &pod.phase)
        .set(asking.names, "pod_node_name", &pod.node_name)
        .set(asking.names, "pod_host_ip", &pod.host_ip)
        .set(asking.names, "pod_uid", &pod.metadata.uid)
        .object(asking.names, &What::POD, &pod.metadata);
    let Some(controller) = &pod.metadata.controller else { return };
    labels.set(asking.names, "pod_controller_kind", &controller.kind).set(
        asking.names,
        "pod_controller_name",
        &controller.name,
    );
    let namespace = &pod.metadata.namespace;
    match &*controller.kind {
        "ReplicaSet" => {
            let set = asking.replica_set(namespace, &controller.name);
            let owner = set.and_then(|set| set.metadata.controller.as_ref());
            if let Some(owner) = owner.filter(|owner| &*owner.kind == "Deployment") {
                labels.set(asking.names, "pod_deployment_name", &owner.name);
            }
        }
        "Job" => {
            if asking.tells_jobs {
                labels.set(asking.names, "pod_job_name", &controller.name);
            }
            let job = asking.job(namespace, &controller.name);
            let owner = job.and_then(|job| job.metadata.controller.as_ref());
            if let Some(owner) = owner.filter(|owner| &*owner.kind == "CronJob") {
                labels.set(asking.names, "pod_cronjob_name", &owner.name);
            }
        }
        _ => {}
    }
}

/// The labels of a container that endpoints tell, too.
fn container_labels(labels: &mut Builder, asking: &mut Asking<'_>, container: &Container) {
    labels
        .set(asking.names, "pod_container_name", &container.name)
        .set(asking.names, "pod_container_image", &container.image)
        .say(asking.names, "pod_container_init", container.is_init);
}

/// A pod behind endpoints of a group, and which of its ports are among them.
struct SeenPod<'a> {
    pod: &'a Arc<Pod>,
    labels: Pairs,
    ports: Vec<i32>,
}

/// Pods behind the endpoints of a group, in the order in which they are seen first.
#[derive(Default)]
struct SeenPods<'a>(Vec<SeenPod<'a>>);

impl<'a> SeenPods<'a> {
    /// Remembers that a port of a pod is a target; gives back where the pod is.
    fn see(&mut self, asking: &mut Asking<'_>, pod: &'a Arc<Pod>, port: Option<i32>) -> usize {
        // Ports of an address follow each other, so it is mostly the last one.
        let at = self.0.iter().rposition(|seen| Arc::ptr_eq(seen.pod, pod)).unwrap_or_else(|| {
            let mut labels = Builder::default();
            pod_labels(&mut labels, asking, pod);
            self.0.push(SeenPod { pod, labels: labels.pairs(), ports: Vec::new() });
            self.0.len() - 1
        });
        self.0[at].ports.extend(port);
        at
    }
}

impl SeenPod<'_> {
    /// The labels of the pod, and of its container that names the port. `protocol` is what the endpoint says, where that
    /// counts.
    fn tell(
        &self,
        labels: &mut Builder,
        asking: &mut Asking<'_>,
        port: Option<i32>,
        protocol: Option<&Arc<str>>,
    ) {
        labels.extend(&self.labels);
        let Some(port) = port else { return };
        for container in &self.pod.containers {
            if let Some(named) = container.ports.iter().find(|named| named.container_port == port) {
                container_labels(labels, asking, container);
                labels
                    .set(asking.names, "pod_container_port_name", &named.name)
                    .say(asking.names, "pod_container_port_number", port)
                    .set(asking.names, "pod_container_port_protocol", protocol.unwrap_or(&named.protocol));
            }
        }
    }

    /// Targets for the ports of the pod that no endpoint has.
    fn other_ports(&self, asking: &mut Asking<'_>, targets: &mut Vec<model::Labels>) {
        if self.pod.ip.is_empty() {
            return;
        }
        for container in &self.pod.containers {
            for port in container.ports.iter().filter(|port| !self.ports.contains(&port.container_port)) {
                let mut labels = Builder::default();
                labels.address(asking.names, super::labels::host_port(&self.pod.ip, port.container_port));
                container_labels(&mut labels, asking, container);
                labels
                    .set(asking.names, "pod_container_port_name", &port.name)
                    .say(asking.names, "pod_container_port_number", port.container_port)
                    .set(asking.names, "pod_container_port_protocol", &port.protocol)
                    .extend(&self.labels);
                targets.push(labels.finish());
            }
        }
    }
}

/// `<role>/<key>`: what a group is known by.
fn source(role: &str, key: &str) -> Arc<str> {
    intern(&format!("{role}/{key}"))
}
