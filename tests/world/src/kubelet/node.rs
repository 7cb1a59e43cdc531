//! What the kubelet of a node with so many pods answers, in the shape and size of a real one.
//!
//! The summary is indented by one space a level, as the kubelet's web framework prints it; the list of pods is not.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

/// The time that every statistic carries; no client should look at it.
const SAMPLED: &str = "2026-01-02T00:00:07Z";

/// How many containers pod `index` has: every fifth has two.
pub fn n_containers(index: usize) -> usize {
    if index.is_multiple_of(5) { 2 } else { 1 }
}

/// Whether pod `index` has a volume of a persistent volume claim, beside that of its service account: every tenth.
pub fn has_claim(index: usize) -> bool {
    index.is_multiple_of(10)
}

/// The UID of pod `index`.
pub fn uid(index: usize) -> String {
    format!("6f0c1e2a-3b4d-4c5e-8f60-{index:012}")
}

/// `/stats/summary`.
pub fn summary(n_pods: usize) -> String {
    let pods: Vec<Value> = (0..n_pods).map(pod_stats).collect();
    let mut out = Vec::new();
    let summary = json!({ "node": node_stats(), "pods": pods });
    let mut serializer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b" "));
    summary.serialize(&mut serializer).expect("a JSON value can always be printed");
    String::from_utf8(out).expect("JSON is text")
}

/// `/pods`.
pub fn pods(n_pods: usize) -> String {
    let items: Vec<Value> = (0..n_pods).map(pod).collect();
    json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }).to_string()
}

fn cpu(seed: u64) -> Value {
    json!({ "time": SAMPLED, "usageNanoCores": 1_250_000 + seed * 1021, "usageCoreNanoSeconds": 450_000_000_000 + seed * 7919, "psi": pressure(seed) })
}

fn memory(seed: u64) -> Value {
    json!({
        "time": SAMPLED, "availableBytes": 201_326_592 - seed, "usageBytes": 67_108_864 + seed * 4096, "workingSetBytes": 60_000_000 + seed * 4096,
        "rssBytes": 50_000_000 + seed * 4096, "pageFaults": 30_000 + seed, "majorPageFaults": seed % 7, "psi": pressure(seed),
    })
}

fn pressure(seed: u64) -> Value {
    json!({
        "full": { "total": seed * 31, "avg10": 0.25, "avg60": 0.1, "avg300": 0 },
        "some": { "total": seed * 37, "avg10": 0.5, "avg60": 0.2, "avg300": 0 },
    })
}

fn fs(seed: u64) -> Value {
    json!({
        "time": SAMPLED, "availableBytes": 60_000_000_000u64, "capacityBytes": 100_000_000_000u64, "usedBytes": 8192 + seed * 4096,
        "inodesFree": 6_200_000, "inodes": 6_553_600, "inodesUsed": 10 + seed,
    })
}

fn network(seed: u64) -> Value {
    let interface = json!({ "name": "eth0", "rxBytes": 123_456_789 + seed, "rxErrors": 0, "txBytes": 98_765_432 + seed, "txErrors": 0 });
    let mut all = interface.clone();
    all["time"] = json!(SAMPLED);
    all["interfaces"] =
        json!([interface, { "name": "tunl0", "rxBytes": 0, "rxErrors": 0, "txBytes": 0, "txErrors": 0 }]);
    all
}

fn swap() -> Value {
    json!({ "time": SAMPLED, "swapUsageBytes": 0 })
}

fn container_stats(name: &str, seed: u64) -> Value {
    json!({
        "name": name, "startTime": "2026-01-01T01:00:05Z", "cpu": cpu(seed), "memory": memory(seed), "io": { "time": SAMPLED, "psi": pressure(seed) },
        "rootfs": fs(seed), "logs": fs(seed), "swap": swap(),
    })
}

fn node_stats() -> Value {
    let system: Vec<Value> = ["kubelet", "runtime", "pods"]
        .iter()
        .zip(0..)
        .map(|(name, seed)| container_stats(name, seed))
        .collect();
    json!({
        "nodeName": "node-a", "systemContainers": system, "startTime": "2026-01-01T00:00:00Z", "cpu": cpu(3), "memory": memory(3),
        "network": network(3), "fs": fs(3), "runtime": { "imageFs": fs(3), "containerFs": fs(3) },
        "rlimit": { "time": SAMPLED, "maxpid": 4_194_304, "curproc": 812 }, "swap": swap(),
    })
}

fn container_name(number: usize) -> &'static str {
    ["app", "sidecar"][number]
}

fn pod_stats(index: usize) -> Value {
    let seed = index as u64;
    let containers: Vec<Value> =
        (0..n_containers(index)).map(|number| container_stats(container_name(number), seed)).collect();
    let mut volumes = Vec::new();
    if has_claim(index) {
        let mut volume = fs(seed);
        volume["name"] = json!("data");
        volume["pvcRef"] = json!({ "name": format!("data-web-{index}"), "namespace": "shop" });
        volumes.push(volume);
    }
    let mut volume = fs(seed);
    volume["name"] = json!("kube-api-access-x7k2p");
    volumes.push(volume);
    json!({
        "podRef": { "name": format!("web-{index}"), "namespace": "shop", "uid": uid(index) }, "startTime": "2026-01-01T01:00:00Z",
        "containers": containers, "cpu": cpu(seed), "memory": memory(seed), "network": network(seed), "volume": volumes,
        "ephemeral-storage": fs(seed), "process_stats": { "process_count": 3 }, "swap": swap(),
    })
}

fn container(number: usize) -> Value {
    let mut requests = json!({ "cpu": "250m", "memory": "128Mi" });
    if number == 1 {
        requests = json!({ "cpu": "50m" });
    }
    json!({
        "name": container_name(number), "image": "registry.example/shop/web:1.4.2", "imagePullPolicy": "IfNotPresent",
        "args": ["--listen=:8080", "--log=json", "--shutdown-timeout=20s"],
        "env": (0..12).map(|n| json!({ "name": format!("SETTING_{n}"), "value": "some value of usual length" })).collect::<Vec<_>>(),
        "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
        "resources": { "limits": { "cpu": "500m", "memory": "256Mi" }, "requests": requests },
        "livenessProbe": { "httpGet": { "path": "/live", "port": "http", "scheme": "HTTP" }, "timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3 },
        "readinessProbe": { "httpGet": { "path": "/ready", "port": "http", "scheme": "HTTP" }, "timeoutSeconds": 1, "periodSeconds": 5, "failureThreshold": 3 },
        "volumeMounts": [{ "name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }],
        "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    })
}

fn pod(index: usize) -> Value {
    let numbers = 0..n_containers(index);
    let statuses: Vec<Value> = numbers.clone().map(|number| json!({
        "name": container_name(number), "state": { "running": { "startedAt": "2026-01-01T01:00:05Z" } }, "lastState": {}, "ready": true, "restartCount": 0,
        "image": "registry.example/shop/web:1.4.2", "imageID": format!("registry.example/shop/web@sha256:{index:064}"),
        "containerID": format!("containerd://{number}{index:063}"), "started": true,
    })).collect();
    let mut volumes = vec![json!({ "name": "kube-api-access-x7k2p", "projected": { "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
    ], "defaultMode": 420 } })];
    if has_claim(index) {
        volumes.push(
            json!({ "name": "data", "persistentVolumeClaim": { "claimName": format!("data-web-{index}") } }),
        );
    }
    let condition = |name: &str| json!({ "type": name, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T01:00:08Z" });
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(condition);
    json!({
        "metadata": {
            "name": format!("web-{index}"), "generateName": "web-", "namespace": "shop", "uid": uid(index), "resourceVersion": "123456",
            "creationTimestamp": "2026-01-01T00:59:58Z",
            "labels": { "app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "shop", "pod-template-hash": "5d8f7c6b9", "team": "storefront" },
            "annotations": { "kubernetes.io/config.seen": "2026-01-01T00:59:58.123456789Z", "kubernetes.io/config.source": "api", "prometheus.io/scrape": "true" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f7c6b9", "uid": uid(index), "controller": true, "blockOwnerDeletion": true }],
        },
        "spec": {
            "volumes": volumes, "containers": numbers.map(container).collect::<Vec<_>>(), "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst", "serviceAccountName": "web", "nodeName": "node-a", "schedulerName": "default-scheduler", "priority": 0,
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
        },
        "status": {
            "phase": "Running", "conditions": conditions,
            "hostIP": "10.0.0.7", "podIP": "10.244.1.9", "podIPs": [{ "ip": "10.244.1.9" }], "startTime": "2026-01-01T01:00:00Z",
            "containerStatuses": statuses, "qosClass": "Burstable",
        },
    })
}
