//! The allocator as `deploy/kubernetes/allocator` runs it, with the rights that it gives: what is created is served, and nothing
//! changes when the API server or the allocator goes away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{
    self, Pod, config_map, endpoint_slices, endpoints, ingress, monitor, namespace, node, secret, service,
    service_monitor,
};
use world::control_plane::{Client, ControlPlane};

use super::NEEDS_KUSTOMIZE;
use super::manifests::{find, rendered};
use crate::Case;
use crate::programs::{Allocator, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing("what_is_created_is_served_and_what_is_deleted_is_gone", NEEDS_KUSTOMIZE, || {
        block_on(served())
    }),
    Case::needing("outages_of_the_api_server_and_of_the_allocator_change_nothing", NEEDS_KUSTOMIZE, || {
        block_on(outages())
    }),
    Case::needing("the_allocator_uses_every_right_of_the_manifests_and_no_other", NEEDS_KUSTOMIZE, || {
        block_on(rights())
    }),
];

const MONITORING: &str = "monitoring";
const SHOP: &str = "shop";
const SOON: Duration = Duration::from_secs(20);
const MEMBERS: [&str; 3] = ["muster-scraper-0", "muster-scraper-1", "muster-scraper-2"];

/// A cluster in which the allocator is deployed, with three scrapers that are ready and a service that is monitored.
struct Shop {
    plane: ControlPlane,
    admin: Client,
    allocator: Allocator,
}

fn pod(number: u8) -> Pod {
    Pod::new(SHOP, &format!("web-{number}"), &format!("10.7.0.{number}"), "web")
}

impl Shop {
    /// `more` is added to the allocator's configuration, whose last section is `prometheus_cr`.
    async fn open(n_pods: u8, more: &str) -> Result<Self> {
        let plane = ControlPlane::start().await?;
        let admin = plane.admin()?;
        for name in [MONITORING, SHOP] {
            admin.create(&namespace(name, &[])).await?;
        }
        let applied = admin.apply_yaml(&rendered("cluster")?).await?;
        let set = find(&applied, "StatefulSet", "muster-scraper")?;
        for (ordinal, name) in (0_u8..).zip(MEMBERS) {
            let mut scraper = Pod::new(MONITORING, name, &format!("10.8.0.{ordinal}"), "scraper").object();
            scraper["metadata"]["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
            scraper["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet",
                "name": "muster-scraper", "uid": set["metadata"]["uid"], "controller": true }]);
            admin.create(&scraper).await?;
        }
        admin.create(&service(SHOP, "web")).await?;
        let pods: Vec<Pod> = (0..n_pods).map(pod).collect();
        admin.create_all(&pods.iter().map(Pod::object).collect::<Vec<_>>()).await?;
        admin.create_all(&endpoint_slices(SHOP, "web", &pods)).await?;
        admin.create(&service_monitor(SHOP, "web")).await?;

        let token = plane.service_account(MONITORING, "muster-allocator").await?;
        let kubeconfig = plane.kubeconfig("muster-allocator", &token, MONITORING)?;
        let config = &find(&applied, "ConfigMap", "muster-allocator-")?["data"]["targetallocator.yaml"];
        // The folders of the container are not there, and neither is its token.
        let yaml = config.as_str().context("a text")?.replace("/var/lib/muster", "FOLDER");
        let yaml = format!("kube_config_file_path: {}\n{yaml}{more}", kubeconfig.display());
        let mut allocator = Allocator::start_with(&yaml, &[("OTELCOL_NAMESPACE", MONITORING)])?;
        allocator.ready().await?;
        Ok(Self { plane, admin, allocator })
    }

    /// Creates a pod behind the service, as its controllers would.
    async fn add_pod(&self, number: u8) -> Result<()> {
        self.admin.create(&pod(number).object()).await?;
        let pods: Vec<Pod> = (0..=number).map(pod).collect();
        for slice in endpoint_slices(SHOP, "web", &pods) {
            self.admin.apply(&slice).await?;
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        world::http::get(&format!("{}{path}", self.allocator.url)).await?.json()
    }

    async fn jobs(&self) -> Result<BTreeSet<String>> {
        Ok(self.get("/jobs").await?.as_object().context("jobs")?.keys().cloned().collect())
    }

    /// Who owns which address of a job.
    async fn owners(&self, job: &str) -> Result<BTreeMap<String, &'static str>> {
        self.answered(job).await?.map_err(anyhow::Error::msg)
    }

    /// The same; or what is answered for a job that has come just now, before its targets are known.
    async fn answered(
        &self,
        job: &str,
    ) -> Result<std::result::Result<BTreeMap<String, &'static str>, String>> {
        let mut owners = BTreeMap::new();
        for member in MEMBERS {
            let path = format!("/jobs/{}/targets?collector_id={member}", job.replace('/', "%2F"));
            let answer = world::http::get(&format!("{}{path}", self.allocator.url)).await?;
            if answer.status == 503 {
                return Ok(Err(answer.text()));
            }
            let groups: Value = answer.json()?;
            for group in groups.as_array().context("groups")? {
                let address = group["targets"][0].as_str().context("an address")?.to_owned();
                ensure!(owners.insert(address, member).is_none(), "a target has two owners: {group}");
            }
        }
        Ok(Ok(owners))
    }

    async fn eventually_owned(&self, job: &str, n: usize) -> Result<BTreeMap<String, &'static str>> {
        eventually(&format!("{n} targets of {job}"), SOON, || async {
            let answered = self.answered(job).await?;
            Ok(answered
                .and_then(|owners| if owners.len() == n { Ok(owners) } else { Err(format!("{owners:?}")) }))
        })
        .await
    }
}

const WEB: &str = "serviceMonitor/shop/web/0";

async fn served() -> Result<()> {
    let shop = Shop::open(30, "").await?;
    let owners = shop.eventually_owned(WEB, 30).await?;
    ensure!(owners.values().collect::<BTreeSet<_>>().len() == 3, "not every scraper has targets: {owners:?}");

    shop.add_pod(30).await?;
    let more = shop.eventually_owned(WEB, 31).await?;
    ensure!(owners.iter().all(|(address, owner)| more[address] == *owner), "a target moved");
    ensure!(more.contains_key("10.7.0.30:8080"), "{more:?}");

    let spec = json!({ "selector": { "matchLabels": { "app": "web" } },
        "podMetricsEndpoints": [{ "port": "metrics" }] });
    let by_pod = monitor("PodMonitor", SHOP, "by-pod", &spec);
    shop.admin.create(&by_pod).await?;
    shop.eventually_owned("podMonitor/shop/by-pod/0", 31).await?;
    shop.admin.delete(&by_pod).await?;
    let is_gone = |jobs: &BTreeSet<String>| !jobs.contains("podMonitor/shop/by-pod/0");
    eventually("the monitor's job is gone", SOON, || async {
        let jobs = shop.jobs().await?;
        Ok(if is_gone(&jobs) { Ok(()) } else { Err(format!("{jobs:?}")) })
    })
    .await?;
    ensure!(shop.owners(WEB).await? == more, "the other job is as it was");
    // Allocator and scrapers have monitors themselves; `/jobs` lists only jobs that have targets.
    let configs = shop.get("/scrape_configs").await?;
    for job in ["serviceMonitor/monitoring/muster-allocator/0", "serviceMonitor/monitoring/muster-scraper/0"]
    {
        ensure!(configs.get(job).is_some(), "{job} is not in {configs}");
    }
    Ok(())
}

async fn outages() -> Result<()> {
    let mut shop = Shop::open(60, "").await?;
    let before = shop.eventually_owned(WEB, 60).await?;

    shop.plane.stop_api().await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(shop.owners(WEB).await? == before, "the API server is away, and something changed");
    }
    shop.plane.start_api().await?;
    shop.add_pod(60).await?;
    let with_one_more = shop.eventually_owned(WEB, 61).await?;
    ensure!(before.iter().all(|(address, owner)| with_one_more[address] == *owner), "a target moved");

    shop.allocator.child.kill()?;
    shop.allocator.restart()?;
    shop.allocator.ready().await?;
    ensure!(shop.owners(WEB).await? == with_one_more, "kill -9 of the allocator changed something");
    Ok(())
}

/// Further lines of `prometheus_cr`: labels of namespaces count.
const BY_NAMESPACE: &str =
    "  service_monitor_namespace_selector: {matchExpressions: [{key: ignored, operator: DoesNotExist}]}\n";

/// Monitors of every kind, so that everything is asked for that ever is.
fn everything() -> Vec<Value> {
    let pods = [pod(0)];
    let entry = |name: &str, key: &str| json!({ "name": name, "key": key });
    let by_endpoints = json!({
        "selector": { "matchLabels": { "app": "web" } },
        "serviceDiscoveryRole": "Endpoints",
        "attachMetadata": { "node": true },
        "endpoints": [{ "port": "metrics" }],
    });
    let probe = json!({
        "prober": { "url": "prober.example.test:9115" },
        "targets": { "ingress": { "selector": { "matchLabels": { "app": "web" } } } },
    });
    let with_credentials = json!({
        "staticConfigs": [{ "targets": ["static.example.test:9100"] }],
        "basicAuth": { "username": entry("credentials", "username"), "password": entry("credentials", "password") },
    });
    let from_config_map = json!({
        "staticConfigs": [{ "targets": ["static.example.test:9101"] }],
        "oauth2": { "clientId": { "configMap": entry("settings", "id") },
            "clientSecret": entry("credentials", "password"), "tokenUrl": "http://token.example.test/" },
    });
    // No job can be made of this one, which is told as an Event.
    let bad = json!({ "selector": {}, "endpoints": [{ "port": "metrics", "interval": "soon" }] });
    vec![
        node("node-a", "10.1.0.1", &[]),
        endpoints(SHOP, "web", &pods),
        ingress(SHOP, "web", "web.example.test", "/", false),
        secret(SHOP, "credentials", &[("username", "u"), ("password", "p")]),
        config_map(SHOP, "settings", &[("id", "i")]),
        monitor("ServiceMonitor", SHOP, "by-endpoints", &by_endpoints),
        monitor("ServiceMonitor", SHOP, "bad", &bad),
        monitor("Probe", SHOP, "web", &probe),
        monitor("ScrapeConfig", SHOP, "with-credentials", &with_credentials),
        monitor("ScrapeConfig", SHOP, "from-config-map", &from_config_map),
    ]
}

/// Verbs on resources that the rules of the allocator's roles give.
fn granted() -> Result<BTreeSet<String>> {
    let objects = objects::from_yaml(&rendered("cluster")?)?;
    let mut rules = Vec::new();
    for kind in ["ClusterRole", "Role"] {
        let role = find(&objects, kind, "muster-allocator")?;
        rules.extend(role["rules"].as_array().context("rules")?);
    }
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                granted.extend(words(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")));
            }
        }
    }
    Ok(granted)
}

async fn rights() -> Result<()> {
    let shop = Shop::open(1, BY_NAMESPACE).await?;
    shop.admin.create_all(&everything()).await?;
    let granted = granted()?;
    eventually("every right is used and no other is wanted", SOON, || async {
        // Who fetches a list is written down for the other replicas.
        shop.owners(WEB).await?;
        let asked = shop.plane.asked_by(MONITORING, "muster-allocator")?;
        let refused: Vec<_> = asked.iter().filter(|asked| asked.status == 403).collect();
        let used: BTreeSet<String> =
            asked.iter().map(|asked| format!("{} {}/{}", asked.verb, asked.group, asked.resource)).collect();
        let unused: Vec<_> = granted.difference(&used).collect();
        let is_done = unused.is_empty() && refused.is_empty();
        Ok(if is_done { Ok(()) } else { Err(format!("unused: {unused:?}; refused: {refused:?}")) })
    })
    .await?;
    let log = shop.allocator.child.stderr();
    ensure!(!log.contains("forbidden"), "{log}");
    Ok(())
}
