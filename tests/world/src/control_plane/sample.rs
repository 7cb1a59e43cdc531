//! A small namespace to try things on: a service with pods, one monitor of each kind, collectors of a target allocator.

use anyhow::Result;
use serde_json::{Value, json};

use super::client::Client;
use super::objects::{
    Pod, config_map, endpoint_slices, endpoints, ingress, monitor, namespace, node, secret, service,
    service_monitor, workload,
};

/// The namespace of the sample.
pub const NAMESPACE: &str = "sample";

/// Puts the sample into a cluster where it is not yet.
pub async fn create(admin: &Client) -> Result<()> {
    let objects = objects();
    admin.create(&objects[0]).await?;
    admin.create_all(&objects[1..]).await
}

/// Every object of the sample; the namespace comes first, the others in no order that matters.
pub fn objects() -> Vec<Value> {
    let mut objects = vec![
        namespace(NAMESPACE, &[("team", "sample")]),
        node("node-a", "10.1.0.1", &[("topology.kubernetes.io/zone", "a")]),
        node("node-b", "10.1.0.2", &[("topology.kubernetes.io/zone", "b")]),
    ];
    let mut pods: Vec<Pod> = (0..3)
        .map(|number| Pod::new(NAMESPACE, &format!("web-{number}"), &format!("10.2.0.{number}"), "web"))
        .collect();
    pods[1].node = "node-b".to_owned();
    pods[2].is_ready = false;
    for pod in &mut pods {
        pod.controller = Some(("ReplicaSet".to_owned(), "web-5d".to_owned()));
    }
    objects.push(workload("ReplicaSet", NAMESPACE, "web-5d", "web", Some(("Deployment", "web"))));
    objects.push(workload("Job", NAMESPACE, "nightly-1", "nightly", Some(("CronJob", "nightly"))));
    objects.push(workload("StatefulSet", NAMESPACE, "sample-collector", "sample-collector", None));
    objects.extend(pods.iter().map(Pod::object));
    objects.push(service(NAMESPACE, "web"));
    objects.extend(endpoint_slices(NAMESPACE, "web", &pods));
    objects.push(endpoints(NAMESPACE, "web", &pods));
    objects.push(ingress(NAMESPACE, "web", "web.example.test", "/", true));
    objects.push(secret(
        NAMESPACE,
        "credentials",
        &[("username", "sample"), ("password", "sample-password")],
    ));
    objects.push(config_map(NAMESPACE, "settings", &[("mode", "sample")]));
    objects.extend(monitors());
    objects.extend((0..2).map(|ordinal| {
        Pod::collector(NAMESPACE, "sample-collector", ordinal, &format!("10.3.0.{ordinal}")).object()
    }));
    objects
}

fn monitors() -> [Value; 4] {
    let credentials = |key: &str| json!({ "name": "credentials", "key": key });
    let pod_monitor = json!({
        "selector": { "matchLabels": { "app": "web" } },
        "podMetricsEndpoints": [{ "port": "metrics", "interval": "15s" }],
    });
    let probe = json!({
        "prober": { "url": "prober.example.test:9115" },
        "module": "http_2xx",
        "targets": { "ingress": { "selector": { "matchLabels": { "app": "web" } } } },
    });
    let scrape_config = json!({
        "staticConfigs": [{ "targets": ["static.example.test:9100"], "labels": { "kind": "static" } }],
        "basicAuth": { "username": credentials("username"), "password": credentials("password") },
    });
    [
        service_monitor(NAMESPACE, "web"),
        monitor("PodMonitor", NAMESPACE, "web", &pod_monitor),
        monitor("Probe", NAMESPACE, "web", &probe),
        monitor("ScrapeConfig", NAMESPACE, "static", &scrape_config),
    ]
}
