//! Kubernetes objects for tests, as JSON: what a user, a controller or a kubelet would have written.
//!
//! Where an object has a `status`, [`super::Client::create`] sets it as the kubelet would. Everything not asked for is left out.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Endpoints in one EndpointSlice, as the controller of Kubernetes fills them by default.
pub const ENDPOINTS_PER_SLICE: usize = 100;

/// The documents of a YAML text, empty ones left out.
pub fn from_yaml(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("reading YAML")?;
    let objects: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    ensure!(objects.iter().all(Value::is_object), "every document is an object");
    Ok(objects)
}

/// Labels or annotations.
pub fn strings(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

fn object(version: &str, kind: &str, namespace: &str, name: &str, rest: &Value) -> Value {
    let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    merge(&mut object, rest);
    object
}

/// Puts what `more` says over `value`, key by key.
pub fn merge(value: &mut Value, more: &Value) {
    match (value, more) {
        (Value::Object(map), Value::Object(more)) => {
            more.iter().for_each(|(key, more)| merge(map.entry(key.as_str()).or_insert(Value::Null), more));
        }
        (value, more) => *value = more.clone(),
    }
}

/// A namespace with labels.
pub fn namespace(name: &str, labels: &[(&str, &str)]) -> Value {
    object("v1", "Namespace", "", name, &json!({ "metadata": { "labels": strings(labels) } }))
}

/// A service account.
pub fn service_account(namespace: &str, name: &str) -> Value {
    object("v1", "ServiceAccount", namespace, name, &json!({}))
}

/// A ready Linux node with an internal address and its host name.
pub fn node(name: &str, ip: &str, labels: &[(&str, &str)]) -> Value {
    let mut labels = strings(labels);
    merge(&mut labels, &json!({ "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" }));
    let status = json!({
        "addresses": [{ "type": "InternalIP", "address": ip }, { "type": "Hostname", "address": name }],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": { "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "v1.35.4", "machineID": "", "operatingSystem": "linux",
            "osImage": "", "systemUUID": "" },
    });
    let spec = json!({ "providerID": format!("muster:///{name}") });
    object(
        "v1",
        "Node",
        "",
        name,
        &json!({ "metadata": { "labels": labels }, "spec": spec, "status": status }),
    )
}

/// A pod with one container, as the kubelet of its node reports it.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name; a pod of a StatefulSet is named after it with an ordinal.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its address.
    pub ip: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Names and numbers of the container's TCP ports.
    pub ports: Vec<(String, u16)>,
    /// Whether it is ready; if not, it runs all the same.
    pub is_ready: bool,
    /// Kind and name of the controller that made it.
    pub controller: Option<(String, String)>,
}

impl Pod {
    /// A ready pod on `node-a` with the label `app` and a port `metrics`, 8080.
    pub fn new(namespace: &str, name: &str, ip: &str, app: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: "node-a".to_owned(),
            ip: ip.to_owned(),
            labels: vec![("app".to_owned(), app.to_owned())],
            ports: vec![("metrics".to_owned(), 8080)],
            is_ready: true,
            controller: None,
        }
    }

    /// The pod `SET-ORDINAL` of the StatefulSet that runs the collectors of a target allocator, with the labels that the
    /// OpenTelemetry operator gives them.
    pub fn collector(namespace: &str, set: &str, ordinal: u16, ip: &str) -> Self {
        let name = format!("{set}-{ordinal}");
        let mut pod = Self::new(namespace, &name, ip, set);
        let instance = format!("{namespace}.{}", set.strip_suffix("-collector").unwrap_or(set));
        pod.labels = [
            ("app.kubernetes.io/component", "opentelemetry-collector"),
            ("app.kubernetes.io/instance", &instance),
            ("app.kubernetes.io/managed-by", "opentelemetry-operator"),
            ("app.kubernetes.io/part-of", "opentelemetry"),
            ("apps.kubernetes.io/pod-index", &ordinal.to_string()),
            ("statefulset.kubernetes.io/pod-name", &name),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        pod.controller = Some(("StatefulSet".to_owned(), set.to_owned()));
        pod
    }

    /// The object.
    pub fn object(&self) -> Value {
        let labels: Map<String, Value> =
            self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let ports: Vec<Value> = (self.ports.iter())
            .map(|(name, port)| json!({ "name": name, "containerPort": port, "protocol": "TCP" }))
            .collect();
        let mut metadata = json!({ "labels": labels });
        if let Some((kind, name)) = &self.controller {
            metadata["ownerReferences"] = owner(kind, name);
        }
        let rest = json!({
            "metadata": metadata,
            "spec": {
                "nodeName": self.node,
                "terminationGracePeriodSeconds": 30,
                "containers": [{ "name": "main", "image": "example.test/app:1", "ports": ports }],
            },
            "status": self.status(),
        });
        object("v1", "Pod", &self.namespace, &self.name, &rest)
    }

    fn status(&self) -> Value {
        let is_ready = if self.is_ready { "True" } else { "False" };
        let conditions: Vec<Value> = ["Ready", "ContainersReady", "Initialized", "PodScheduled"]
            .map(|kind| {
                let status = if kind.ends_with("Ready") { is_ready } else { "True" };
                json!({ "type": kind, "status": status, "lastTransitionTime": "2024-01-01T00:00:00Z" })
            })
            .to_vec();
        json!({
            "phase": "Running",
            "hostIP": "10.1.0.1",
            "hostIPs": [{ "ip": "10.1.0.1" }],
            "podIP": self.ip,
            "podIPs": [{ "ip": self.ip }],
            "startTime": "2024-01-01T00:00:00Z",
            "conditions": conditions,
            "containerStatuses": [{
                "name": "main", "image": "example.test/app:1", "imageID": "example.test/app@sha256:0",
                "containerID": format!("containerd://{}", self.name), "ready": self.is_ready, "started": true,
                "restartCount": 0, "state": { "running": { "startedAt": "2024-01-01T00:00:00Z" } },
            }],
        })
    }
}

/// A ReplicaSet, StatefulSet or Job whose pods have the label `app`, made by this controller, which is not there.
pub fn workload(kind: &str, namespace: &str, name: &str, app: &str, made_by: Option<(&str, &str)>) -> Value {
    let (version, spec) = match kind {
        "Job" => ("batch/v1", json!({ "template": { "spec": { "restartPolicy": "Never" } } })),
        "StatefulSet" => ("apps/v1", json!({ "replicas": 3, "serviceName": app })),
        _ => ("apps/v1", json!({ "replicas": 3 })),
    };
    let mut rest = json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "template": { "metadata": { "labels": { "app": app } },
            "spec": { "containers": [{ "name": "main", "image": "example.test/app:1" }] } } },
    });
    merge(&mut rest["spec"], &spec);
    // A Job chooses its selector itself.
    if kind != "Job" {
        rest["spec"]["selector"] = json!({ "matchLabels": { "app": app } });
    }
    if let Some((kind, name)) = made_by {
        rest["metadata"]["ownerReferences"] = owner(kind, name);
    }
    object(version, kind, namespace, name, &rest)
}

/// The controller that made an object. There is no such object, hence no id of one; nobody collects garbage here.
fn owner(kind: &str, name: &str) -> Value {
    let version = if ["Job", "CronJob"].contains(&kind) { "batch/v1" } else { "apps/v1" };
    json!([{ "apiVersion": version, "kind": kind, "name": name, "uid": "00000000-0000-0000-0000-000000000001",
        "controller": true, "blockOwnerDeletion": true }])
}

/// A service with the label `app` that selects pods by it, with a port `metrics`, 8080.
pub fn service(namespace: &str, app: &str) -> Value {
    let spec = json!({
        "selector": { "app": app },
        "ports": [{ "name": "metrics", "port": 8080, "protocol": "TCP", "targetPort": "metrics" }],
    });
    object(
        "v1",
        "Service",
        namespace,
        app,
        &json!({ "metadata": { "labels": { "app": app } }, "spec": spec }),
    )
}

/// The EndpointSlices of such a service over its pods, as their controller makes them.
pub fn endpoint_slices(namespace: &str, app: &str, pods: &[Pod]) -> Vec<Value> {
    let slice = |(number, pods): (usize, &[Pod])| {
        let endpoints: Vec<Value> = (pods.iter())
            .map(|pod| {
                json!({
                    "addresses": [pod.ip],
                    "conditions": { "ready": pod.is_ready, "serving": pod.is_ready, "terminating": false },
                    "nodeName": pod.node,
                    "targetRef": { "kind": "Pod", "namespace": pod.namespace, "name": pod.name },
                })
            })
            .collect();
        let metadata = json!({ "labels": {
            "app": app,
            "kubernetes.io/service-name": app,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        } });
        let ports = json!([{ "name": "metrics", "port": 8080, "protocol": "TCP" }]);
        let rest =
            json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports });
        object("discovery.k8s.io/v1", "EndpointSlice", namespace, &format!("{app}-{number:05}"), &rest)
    };
    pods.chunks(ENDPOINTS_PER_SLICE).enumerate().map(slice).collect()
}

/// The Endpoints of such a service over its pods; the controller puts at most 1,000 addresses into one.
pub fn endpoints(namespace: &str, app: &str, pods: &[Pod]) -> Value {
    let addresses = |is_ready: bool| -> Vec<Value> {
        (pods.iter().filter(|pod| pod.is_ready == is_ready))
            .map(|pod| {
                json!({ "ip": pod.ip, "nodeName": pod.node,
                    "targetRef": { "kind": "Pod", "namespace": pod.namespace, "name": pod.name } })
            })
            .collect()
    };
    let subsets = json!([{
        "addresses": addresses(true),
        "notReadyAddresses": addresses(false),
        "ports": [{ "name": "metrics", "port": 8080, "protocol": "TCP" }],
    }]);
    object(
        "v1",
        "Endpoints",
        namespace,
        app,
        &json!({ "metadata": { "labels": { "app": app } }, "subsets": subsets }),
    )
}

/// A service, `n` pods behind it with addresses from 10.`net`.0.0 on, and its EndpointSlices.
pub fn service_with_pods(namespace: &str, app: &str, net: u8, n: u16) -> Vec<Value> {
    let pods: Vec<Pod> = (0..n)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            let mut pod =
                Pod::new(namespace, &format!("{app}-{number}"), &format!("10.{net}.{high}.{low}"), app);
            pod.controller = Some(("ReplicaSet".to_owned(), app.to_owned()));
            pod
        })
        .collect();
    let mut objects = vec![service(namespace, app)];
    objects.extend(pods.iter().map(Pod::object));
    objects.extend(endpoint_slices(namespace, app, &pods));
    objects
}

/// An ingress for `host` with a path, over TLS if asked for.
pub fn ingress(namespace: &str, name: &str, host: &str, path: &str, is_tls: bool) -> Value {
    let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
    let mut spec = json!({ "ingressClassName": "test", "rules": [{ "host": host,
        "http": { "paths": [{ "path": path, "pathType": "Prefix", "backend": backend }] } }] });
    if is_tls {
        spec["tls"] = json!([{ "hosts": [host], "secretName": name }]);
    }
    let labels = json!({ "labels": { "app": name } });
    object("networking.k8s.io/v1", "Ingress", namespace, name, &json!({ "metadata": labels, "spec": spec }))
}

/// A secret of these texts.
pub fn secret(namespace: &str, name: &str, texts: &[(&str, &str)]) -> Value {
    object("v1", "Secret", namespace, name, &json!({ "type": "Opaque", "stringData": strings(texts) }))
}

/// A ConfigMap of these texts.
pub fn config_map(namespace: &str, name: &str, texts: &[(&str, &str)]) -> Value {
    object("v1", "ConfigMap", namespace, name, &json!({ "data": strings(texts) }))
}

/// A ServiceMonitor, PodMonitor or Probe, or a ScrapeConfig, with this spec.
pub fn monitor(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    let version = if kind == "ScrapeConfig" { "v1alpha1" } else { "v1" };
    let version = format!("monitoring.coreos.com/{version}");
    object(
        &version,
        kind,
        namespace,
        name,
        &json!({ "metadata": { "labels": { "app": name } }, "spec": spec }),
    )
}

/// A ServiceMonitor of what [`service`] makes: the port `metrics` of services with this `app`.
pub fn service_monitor(namespace: &str, app: &str) -> Value {
    let spec = json!({ "selector": { "matchLabels": { "app": app } }, "endpoints": [{ "port": "metrics" }] });
    monitor("ServiceMonitor", namespace, app, &spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_yaml_are_objects_and_empty_ones_are_nothing() {
        let text = "# nothing\n---\nkind: A\nmetadata: {name: a}\n---\n---\nkind: B\n";
        let kinds: Vec<Value> =
            from_yaml(text).unwrap().iter().map(|object| object["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert!(from_yaml("- a\n").is_err());
    }

    #[test]
    fn slices_hold_a_hundred_endpoints_each() {
        let objects = service_with_pods("ns", "web", 7, 250);
        let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
        assert_eq!((of("Service").len(), of("Pod").len(), of("EndpointSlice").len()), (1, 250, 3));
        assert_eq!(of("EndpointSlice")[2]["endpoints"].as_array().map(Vec::len), Some(50));
        assert_eq!(of("Pod")[249]["status"]["podIP"], "10.7.0.249");
    }
}
