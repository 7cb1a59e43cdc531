//! The allocator with Roles in two namespaces and no other right, as `deploy/kubernetes/allocator/namespaced` gives them in one: what
//! it may see is served, and what it may not see is told with the right that is missing. And with the rights that upstream's users
//! have given theirs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{
    Pod, endpoint_slices, from_yaml, ingress, monitor, namespace, secret, service, service_monitor,
};
use world::control_plane::{Client, ControlPlane};
use world::http;

use super::members::collector;
use crate::programs::{Allocator, eventually};
use crate::tidy::root;

const HOME: &str = "roles-home";
const SHOP: &str = "roles-shop";
const ACCOUNT: &str = "muster-allocator";
const SOON: Duration = Duration::from_secs(20);

/// Longest pause of a watch that was refused, and some more.
const GRANTED: Duration = Duration::from_secs(45);

/// The rules of the Role that is deployed.
fn deployed_rules() -> Result<Value> {
    let path = root().join("deploy/kubernetes/allocator/namespaced/rbac.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let objects = from_yaml(&text)?;
    let role = objects.iter().find(|object| object["kind"] == "Role").context("there is a Role")?;
    Ok(role["rules"].clone())
}

fn role(namespace: &str, rules: &Value) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "namespace": namespace, "name": ACCOUNT }, "rules": rules })
}

fn binding(namespace: &str) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "namespace": namespace, "name": ACCOUNT },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME }] })
}

/// Rules without a resource.
fn without(rules: &Value, resource: &str) -> Value {
    let rules = rules.as_array().into_iter().flatten();
    rules
        .filter(|rule| !rule["resources"].as_array().is_some_and(|all| all.contains(&json!(resource))))
        .cloned()
        .collect()
}

/// In each namespace a service with two pods, and a monitor of each kind.
async fn fill(admin: &Client) -> Result<()> {
    for (net, name) in [(11, HOME), (12, SHOP)] {
        let pods: Vec<Pod> = (0..2)
            .map(|number| Pod::new(name, &format!("web-{number}"), &format!("10.{net}.0.{number}"), "web"))
            .collect();
        admin.create_all(&pods.iter().map(Pod::object).collect::<Vec<_>>()).await?;
        admin.create_all(&endpoint_slices(name, "web", &pods)).await?;
        let by_pod = json!({ "selector": { "matchLabels": { "app": "web" } }, "podMetricsEndpoints": [{ "port": "metrics" }] });
        let probe = json!({ "prober": { "url": "prober:9115" },
            "targets": { "ingress": { "selector": { "matchLabels": { "app": "web" } } } } });
        let with_secret = json!({ "staticConfigs": [{ "targets": ["static:1"] }],
            "basicAuth": { "username": { "name": "login", "key": "user" }, "password": { "name": "login", "key": "user" } } });
        admin
            .create_all(&[
                service(name, "web"),
                ingress(name, "web", "web.example.test", "/", false),
                secret(name, "login", &[("user", "user-1")]),
                service_monitor(name, "web"),
                monitor("PodMonitor", name, "web", &by_pod),
                monitor("Probe", name, "web", &probe),
                monitor("ScrapeConfig", name, "web", &with_secret),
            ])
            .await?;
    }
    Ok(())
}

/// How many targets each job of a namespace has; `None` where its lists are refused.
async fn n_targets(allocator: &Allocator, namespace: &str) -> Result<Vec<Option<usize>>> {
    let mut found = Vec::new();
    for job in ["serviceMonitor", "podMonitor", "probe", "scrapeConfig"] {
        let index = if job.ends_with("Monitor") { "%2F0" } else { "" };
        let url = format!("{}/jobs/{job}%2F{namespace}%2Fweb{index}/targets?collector_id=s-0", allocator.url);
        let answer = http::get(&url).await?;
        let list = if answer.status == 200 { answer.json()?.as_array().map(Vec::len) } else { None };
        found.push(list);
    }
    Ok(found)
}

async fn until(
    allocator: &Allocator,
    namespace: &str,
    expected: [Option<usize>; 4],
    within: Duration,
) -> Result<()> {
    eventually(&format!("targets in {namespace}"), within, || async {
        let found = n_targets(allocator, namespace).await?;
        Ok(if found == expected { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await
}

/// The user name that a job shows.
async fn user(allocator: &Allocator, namespace: &str) -> Result<String> {
    let configs = http::get(&format!("{}/scrape_configs", allocator.url)).await?.json()?;
    Ok(configs[format!("scrapeConfig/{namespace}/web")]["basic_auth"]["username"].to_string())
}

/// How long new content of a Secret takes to be seen.
async fn rotation(admin: &Client, allocator: &Allocator, namespace: &str, to: &str) -> Result<Duration> {
    admin.patch(&secret(namespace, "login", &[("user", to)])).await?;
    let began = Instant::now();
    eventually("the new user", SOON, || async {
        let seen = user(allocator, namespace).await?;
        Ok(if seen.contains(to) { Ok(()) } else { Err(seen) })
    })
    .await?;
    Ok(began.elapsed())
}

pub(super) async fn roles_alone() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    let rules = deployed_rules()?;
    for name in [HOME, SHOP] {
        admin.create(&namespace(name, &[])).await?;
        admin.create(&role(name, &rules)).await?;
        admin.create(&binding(name)).await?;
    }
    let mut more = rules.clone();
    let secrets = json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"] });
    more.as_array_mut().context("rules")?.push(secrets);
    admin.apply(&role(HOME, &more)).await?;
    admin.apply(&role(SHOP, &without(&rules, "endpointslices"))).await?;
    fill(&admin).await?;
    let token = plane.service_account(HOME, ACCOUNT).await?;
    let kubeconfig = plane.kubeconfig(ACCOUNT, &token, HOME)?;
    let allocator = Allocator::start(&format!(
        "
kube_config_file_path: {}
collector_namespace: {HOME}
collectors: {{static: [s-0]}}
prometheus_cr:
  enabled: true
  allow_namespaces: [{HOME}, {SHOP}]
  secret_namespaces: [{HOME}, {SHOP}]
  service_monitor_selector: {{}}
  pod_monitor_selector: {{}}
  probe_selector: {{}}
  scrape_config_selector: {{}}
",
        kubeconfig.display()
    ))?;
    // What is missing is told before anything is served, and is waited for.
    let right = format!("endpointslices.discovery.k8s.io in namespace {SHOP}");
    let told = eventually("the missing right", SOON, || async {
        let log = allocator.child.stderr();
        let is_told = log.contains(&format!("cannot list {right}: "))
            && log.contains(&format!("grant the verbs list and watch on {right} to the account in use"));
        Ok(if is_told { Ok(log) } else { Err(log) })
    })
    .await?;
    ensure!(told.contains("is forbidden"), "the server's own words are told, too: {told}");

    admin.apply(&role(SHOP, &rules)).await?;
    until(&allocator, HOME, [Some(2), Some(2), Some(1), Some(1)], GRANTED).await?;
    until(&allocator, SHOP, [Some(2), Some(2), Some(1), Some(1)], GRANTED).await?;

    let watched = rotation(&admin, &allocator, HOME, "user-2").await?;
    ensure!(
        watched < Duration::from_secs(5),
        "a Secret that is watched counts at once, not after {watched:?}"
    );
    let reread = rotation(&admin, &allocator, SHOP, "user-3").await?;
    ensure!(reread < Duration::from_secs(15), "one that is not watched counts after {reread:?}");
    let problems =
        http::get(&format!("{}/debug/quarantine", allocator.url)).await?.json()?["problems"].to_string();
    ensure!(
        problems.contains(&format!("grant the verbs list and watch on secrets in namespace {SHOP}"))
            && !problems.contains(&format!("secrets in namespace {HOME}")),
        "{problems}"
    );

    let asked = plane.asked_by(HOME, ACCOUNT)?;
    let cluster_wide =
        |asked: &&world::control_plane::Asked| asked.namespace.is_empty() && asked.status == 200;
    let seen: Vec<_> = asked.iter().filter(cluster_wide).collect();
    ensure!(seen.is_empty(), "nothing of the whole cluster was given: {seen:?}");
    Ok(())
}

/// What upstream's documentation has its users grant to an allocator of the whole cluster.
const OF_UPSTREAM: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: upstream}
rules:
- {apiGroups: [''], resources: [pods, services, endpoints, nodes, nodes/metrics, namespaces], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [configmaps, secrets], verbs: [get]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list, watch]}
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, podmonitors, probes, scrapeconfigs]
  verbs: [get, list, watch]
- {nonResourceURLs: [/metrics, /api, /api/*, /apis, /apis/*], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: upstream}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: upstream}
subjects: [{kind: ServiceAccount, name: muster-allocator, namespace: roles-home}]
";

/// What more is asked for is done without when it is refused.
pub(super) async fn of_upstream() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    for name in [HOME, SHOP] {
        admin.create(&namespace(name, &[("scrape", "yes")])).await?;
    }
    admin.apply_yaml(OF_UPSTREAM).await?;
    fill(&admin).await?;
    admin.create(&collector(HOME, 0).object()).await?;
    admin.create(&monitor("Probe", SHOP, "bad", &json!({ "prober": { "url": "prober:9115" } }))).await?;
    let token = plane.service_account(HOME, ACCOUNT).await?;
    let kubeconfig = plane.kubeconfig(ACCOUNT, &token, HOME)?;
    let mut allocator = Allocator::start(&format!(
        "
kube_config_file_path: {}
collector_namespace: {HOME}
collector_selector: {{matchlabels: {{app.kubernetes.io/component: opentelemetry-collector}}}}
prometheus_cr:
  enabled: true
  service_monitor_selector: {{}}
  service_monitor_namespace_selector: {{matchlabels: {{scrape: 'yes'}}}}
  pod_monitor_selector: {{}}
  probe_selector: {{}}
  scrape_config_selector: {{}}
",
        kubeconfig.display()
    ))?;
    allocator.ready().await?;
    for name in [HOME, SHOP] {
        until(&allocator, name, [Some(2), Some(2), Some(1), Some(1)], SOON).await?;
    }
    let beyond = BTreeSet::from(["list statefulsets".to_owned(), "create events".to_owned()]);
    eventually("both were refused", SOON, || async {
        let asked = plane.asked_by(HOME, ACCOUNT)?;
        let refused = asked.iter().filter(|asked| asked.status == 403);
        let refused: BTreeSet<String> =
            refused.map(|asked| format!("{} {}", asked.verb, asked.resource)).collect();
        Ok(if refused == beyond { Ok(()) } else { Err(format!("{refused:?}")) })
    })
    .await?;
    let log = allocator.child.stderr();
    for told in ["StatefulSets cannot be read", "events about monitors cannot be written"] {
        ensure!(log.contains(told), "`{told}` is not in {log}");
    }
    Ok(())
}
