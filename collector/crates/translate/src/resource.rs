//! What a target is, as attributes of a resource.
//!
//! As `CreateResource` of the Go collector's Prometheus receiver, without attributes whose value would be empty, and
//! except that the labels of `target_info` cannot change `service.name`, `service.instance.id` and
//! `service.namespace`, from which `job` and `instance` are made again.

use std::net::IpAddr;

use model::{Labels, TargetInfo};

pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_NAMESPACE: &str = "service.namespace";
pub(crate) const SERVICE_INSTANCE: &str = "service.instance.id";

/// Attributes from which `job` and `instance` are made; the others go into `target_info`.
pub(crate) const IDENTIFYING: [&str; 3] = [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE];

const KUBERNETES: [(&str, &str); 7] = [
    ("__meta_kubernetes_pod_name", "k8s.pod.name"),
    ("__meta_kubernetes_pod_uid", "k8s.pod.uid"),
    ("__meta_kubernetes_pod_container_name", "k8s.container.name"),
    ("__meta_kubernetes_namespace", "k8s.namespace.name"),
    ("__meta_kubernetes_pod_node_name", "k8s.node.name"),
    ("__meta_kubernetes_node_name", "k8s.node.name"),
    ("__meta_kubernetes_endpoint_node_name", "k8s.node.name"),
];

/// Attributes of a resource: keys and values, each key once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// What is known of the target of series with this `job` and `instance`. `info` are the labels of the resource's
    /// `target_info` series.
    pub(crate) fn of(
        target: &'a TargetInfo,
        job: &'a str,
        instance: &'a str,
        info: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut attributes = Self::default();
        let (host, port) = split_host_port(instance).unwrap_or((instance, ""));
        attributes.set(SERVICE_NAME, job);
        if is_discernible(host) {
            attributes.set("server.address", host);
        }
        attributes.set(SERVICE_INSTANCE, instance);
        attributes.set("server.port", port);
        attributes.set("url.scheme", target.discovered.value("__scheme__"));
        for (label, key) in KUBERNETES {
            attributes.set(key, target.discovered.value(label));
        }
        attributes.set_controller(&target.discovered);
        for (name, value) in info {
            if !["__name__", "job", "instance"].contains(&name) && !IDENTIFYING.contains(&name) {
                attributes.set(name, value);
            }
        }
        attributes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0.iter().copied()
    }

    fn set(&mut self, key: &'a str, value: &'a str) {
        if value.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|attribute| attribute.0 == key) {
            Some(attribute) => attribute.1 = value,
            None => self.0.push((key, value)),
        }
    }

    fn set_controller(&mut self, discovered: &'a Labels) {
        let key = match discovered.value("__meta_kubernetes_pod_controller_kind") {
            "ReplicaSet" => "k8s.replicaset.name",
            "DaemonSet" => "k8s.daemonset.name",
            "StatefulSet" => "k8s.statefulset.name",
            "Job" => "k8s.job.name",
            "CronJob" => "k8s.cronjob.name",
            _ => return,
        };
        self.set(key, discovered.value("__meta_kubernetes_pod_controller_name"));
    }
}

/// Host and port as Go's `net.SplitHostPort` finds them.
fn split_host_port(address: &str) -> Option<(&str, &str)> {
    if let Some(bracketed) = address.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return Some((host, rest.strip_prefix(':')?));
    }
    address.rsplit_once(':').filter(|(host, _)| !host.contains(':'))
}

/// Whether a host says more than "this machine".
fn is_discernible(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => host != "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(discovered: &[(&str, &str)], instance: &str, info: &[(&'static str, &'static str)]) -> String {
        let target = TargetInfo { discovered: discovered.iter().copied().collect(), ..TargetInfo::default() };
        let attributes = Attributes::of(&target, "node", instance, info.iter().copied());
        let mut texts: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        texts.sort();
        texts.join(" ")
    }

    #[test]
    fn a_target_is_described_by_its_address_and_its_pod() {
        let discovered = [
            ("__scheme__", "https"),
            ("__meta_kubernetes_pod_name", "web-0"),
            ("__meta_kubernetes_namespace", "shop"),
            ("__meta_kubernetes_endpoint_node_name", "n1"),
            ("__meta_kubernetes_pod_controller_kind", "StatefulSet"),
            ("__meta_kubernetes_pod_controller_name", "web"),
        ];
        assert_eq!(
            printed(&discovered, "10.0.0.1:9100", &[]),
            "k8s.namespace.name=shop k8s.node.name=n1 k8s.pod.name=web-0 k8s.statefulset.name=web \
             server.address=10.0.0.1 server.port=9100 service.instance.id=10.0.0.1:9100 service.name=node \
             url.scheme=https"
        );
    }

    #[test]
    fn hosts_that_mean_this_machine_are_left_out() {
        for instance in
            ["localhost:9100", "127.0.0.1:9100", "127.8.8.8:9100", "[::1]:9100", "0.0.0.0:9100", "[::]:9100"]
        {
            let want = format!("server.port=9100 service.instance.id={instance} service.name=node");
            assert_eq!(printed(&[], instance, &[]), want);
        }
    }

    #[test]
    fn an_instance_need_not_be_an_address() {
        let cases = [
            ("db", "server.address=db"),
            ("[fe80::1]:80", "server.address=fe80::1 server.port=80"),
            ("fe80::1", "server.address=fe80::1"),
            ("db:", "server.address=db"),
        ];
        for (instance, want) in cases {
            let want = format!("{want} service.instance.id={instance} service.name=node");
            assert_eq!(printed(&[], instance, &[]), want);
        }
    }

    #[test]
    fn discovery_of_pods_gives_attributes_of_kubernetes() {
        for (label, key) in [
            ("__meta_kubernetes_pod_name", "k8s.pod.name"),
            ("__meta_kubernetes_pod_uid", "k8s.pod.uid"),
            ("__meta_kubernetes_pod_container_name", "k8s.container.name"),
            ("__meta_kubernetes_namespace", "k8s.namespace.name"),
            ("__meta_kubernetes_pod_node_name", "k8s.node.name"),
            ("__meta_kubernetes_node_name", "k8s.node.name"),
            ("__meta_kubernetes_endpoint_node_name", "k8s.node.name"),
        ] {
            let printed = printed(&[(label, "v")], "localhost", &[]);
            assert_eq!(printed, format!("{key}=v service.instance.id=localhost service.name=node"));
        }
        for (kind, word) in [
            ("ReplicaSet", "replicaset"),
            ("DaemonSet", "daemonset"),
            ("StatefulSet", "statefulset"),
            ("Job", "job"),
            ("CronJob", "cronjob"),
        ] {
            let controller = [
                ("__meta_kubernetes_pod_controller_kind", kind),
                ("__meta_kubernetes_pod_controller_name", "v"),
            ];
            assert!(printed(&controller, "x", &[]).contains(&format!("k8s.{word}.name=v ")), "{kind}");
        }
        let other = [
            ("__meta_kubernetes_pod_controller_kind", "Node"),
            ("__meta_kubernetes_pod_controller_name", "v"),
        ];
        assert!(!printed(&other, "x", &[]).contains("k8s."));
    }

    #[test]
    fn target_info_adds_and_replaces_but_does_not_change_the_identity() {
        let info = [
            ("__name__", "target_info"),
            ("env", "prod"),
            ("instance", "x"),
            ("job", "x"),
            ("server.port", "1"),
            ("service.name", "x"),
            ("service.namespace", "x"),
        ];
        assert_eq!(
            printed(&[], "db:80", &info),
            "env=prod server.address=db server.port=1 service.instance.id=db:80 service.name=node"
        );
    }
}
