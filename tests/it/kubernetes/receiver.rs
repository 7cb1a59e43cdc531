//! The receiver `prometheus` with `kubernetes_sd_configs` and no allocator, over a real API server: all roles at once, each job with
//! what it finds, and one watch for what many jobs look at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::child::free_port;
use world::control_plane::objects::{Pod, endpoint_slices, endpoints, ingress, namespace, node, service};
use world::control_plane::{Client, ControlPlane};
use world::http::{self, Server};
use world::sink::Sink;

use crate::programs::{Collector, eventually};

const NAMESPACE: &str = "direct";
const ACCOUNT: &str = "scraper";
const SOON: Duration = Duration::from_secs(30);

/// What the account may look at, and nothing else.
const RIGHTS: [(&str, &str); 6] = [
    ("", "nodes"),
    ("", "pods"),
    ("", "services"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "ingresses"),
];

async fn fill(admin: &Client, port: u16) -> Result<()> {
    admin.create(&namespace(NAMESPACE, &[])).await?;
    // The pod is this process; of the others the names are enough.
    let mut pod = Pod::new(NAMESPACE, "web-0", "127.0.0.1", "web");
    pod.ports = vec![("metrics".to_owned(), port)];
    let behind = [Pod::new(NAMESPACE, "web-0", "10.14.0.1", "web")];
    admin.create_all(&[node("node-a", "10.1.0.1", &[]), pod.object(), service(NAMESPACE, "web")]).await?;
    admin.create_all(&endpoint_slices(NAMESPACE, "web", &behind)).await?;
    admin
        .create_all(&[
            endpoints(NAMESPACE, "web", &behind),
            ingress(NAMESPACE, "web", "web.example.test", "/", false),
        ])
        .await?;
    let rules: Vec<Value> = RIGHTS
        .iter()
        .map(|(group, resource)| json!({ "apiGroups": [group], "resources": [resource], "verbs": ["list", "watch"] }))
        .collect();
    let api = "rbac.authorization.k8s.io";
    admin
        .create_all(&[
            json!({ "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": { "name": "direct" }, "rules": rules }),
            json!({ "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": "direct" },
                "roleRef": { "apiGroup": api, "kind": "ClusterRole", "name": "direct" },
                "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": ACCOUNT }] }),
        ])
        .await
}

/// Two jobs for each role.
fn jobs(kubeconfig: &str) -> Vec<Value> {
    let mut jobs = Vec::new();
    for role in ["node", "pod", "service", "endpoints", "endpointslice", "ingress"] {
        for copy in ["one", "two"] {
            jobs.push(json!({
                "job_name": format!("{role}-{copy}"), "scrape_interval": "500ms", "scrape_timeout": "400ms",
                "kubernetes_sd_configs": [{ "role": role, "kubeconfig_file": kubeconfig, "namespaces": { "names": [NAMESPACE] } }],
            }));
        }
    }
    jobs
}

/// Addresses that a job has found.
async fn found(api: u16) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let told = http::get(&format!("http://127.0.0.1:{api}/api/v1/targets")).await?.json()?;
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for target in told["data"]["activeTargets"].as_array().context("targets")? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let address = text(&target["discoveredLabels"]["__address__"]);
        found.entry(text(&target["scrapePool"])).or_default().insert(address);
    }
    Ok(found)
}

pub(super) async fn all_roles() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    let well = Server::start(|_| async { Ok(http::reply(200, "text/plain", "a_metric 1\n")) }).await?;
    let port = well.address().port();
    fill(&admin, port).await?;
    let token = plane.service_account(NAMESPACE, ACCOUNT).await?;
    let kubeconfig = plane.kubeconfig(ACCOUNT, &token, NAMESPACE)?;
    let sink = Sink::start().await?;
    let [api, metrics] = [free_port()?, free_port()?];
    let yaml = json!({
        "receivers": { "prometheus": {
            "api_server": { "enabled": true, "server_config": { "endpoint": format!("127.0.0.1:{api}") } },
            "config": { "scrape_configs": jobs(&kubeconfig.display().to_string()) },
        } },
        "exporters": { "prometheusremotewrite": { "endpoint": sink.url() } },
        "extensions": { "health_check": { "endpoint": "HEALTH" } },
        "service": {
            "extensions": ["health_check"],
            "telemetry": { "metrics": { "level": "normal",
                "readers": [{ "pull": { "exporter": { "prometheus": { "host": "127.0.0.1", "port": metrics } } } }] } },
            "pipelines": { "metrics": { "receivers": ["prometheus"], "exporters": ["prometheusremotewrite"] } },
        },
    });
    let _collector = Collector::start("direct", &yaml.to_string()).await?;
    let of_pod = format!("127.0.0.1:{port}");
    let expected = [
        ("node", "10.1.0.1:10250"),
        ("pod", &*of_pod),
        ("service", "web.direct.svc:8080"),
        ("endpoints", "10.14.0.1:8080"),
        ("endpointslice", "10.14.0.1:8080"),
        ("ingress", "web.example.test"),
    ];
    eventually("targets of every role", SOON, || async {
        let found = found(api).await?;
        let has = |job: &String, address: &str| found.get(job).is_some_and(|all| all.contains(address));
        let jobs = expected
            .iter()
            .flat_map(|(role, address)| ["one", "two"].map(|copy| (format!("{role}-{copy}"), *address)));
        let missing: Vec<_> = jobs.filter(|(job, address)| !has(job, address)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}: {found:?}")) })
    })
    .await?;

    // A pod that comes is found by what is open already.
    let mut late = Pod::new(NAMESPACE, "web-1", "127.0.0.1", "web");
    late.ports = vec![("metrics".to_owned(), port.wrapping_add(1).max(1))];
    admin.create(&late.object()).await?;
    eventually("the pod that came later", SOON, || async {
        let found = found(api).await?;
        Ok(if found.get("pod-two").is_some_and(|all| all.len() == 2) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        })
    })
    .await?;

    let watches: Vec<_> = plane
        .requests_of(NAMESPACE, ACCOUNT)?
        .into_iter()
        .filter(|asked| asked.verb == "watch")
        .map(|asked| (asked.resource, asked.namespace, asked.status))
        .collect();
    let distinct: BTreeSet<_> = watches.iter().cloned().collect();
    ensure!(
        distinct.len() == RIGHTS.len() && watches.len() == distinct.len(),
        "twelve jobs over six kinds need one watch for each kind: {watches:?}"
    );
    let text = http::get(&format!("http://127.0.0.1:{metrics}/metrics")).await?.text();
    let counted = text.lines().filter(|line| line.starts_with("muster_cluster_watches{"));
    let counts: Vec<&str> = counted.filter_map(|line| line.rsplit(' ').next()).collect();
    ensure!(counts.len() == RIGHTS.len() && counts.iter().all(|count| *count == "1"), "{counts:?} in {text}");
    Ok(())
}
