//! The allocator against a real API server: pods that are members, monitors that are jobs, and an API server that is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{self, Pod};
use world::control_plane::{Client, ControlPlane};

use super::NEEDS;
use crate::Case;
use crate::programs::{Allocator, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing("a_rolling_restart_moves_nothing_and_scale_in_drains", NEEDS, || block_on(rolling())),
    Case::needing("a_bad_monitor_is_in_quarantine_alone_and_comes_back", NEEDS, || block_on(quarantine())),
    Case::needing("an_api_server_that_is_away_changes_nothing", NEEDS, || block_on(away())),
];

const SOON: Duration = Duration::from_secs(20);

/// A namespace with collectors, and an allocator for it.
struct World {
    plane: Arc<ControlPlane>,
    admin: Client,
    namespace: String,
    allocator: Allocator,
    client: reqwest::Client,
}

pub(super) fn stateful_set(namespace: &str, replicas: u16) -> Value {
    let labels = json!({ "app": "s" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "c" }] } });
    json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "namespace": namespace, "name": "s" },
        "spec": { "replicas": replicas, "serviceName": "s", "selector": { "matchLabels": labels }, "template": template } })
}

pub(super) fn collector(namespace: &str, ordinal: u16) -> Pod {
    Pod::collector(namespace, "s", ordinal, &format!("10.9.0.{ordinal}"))
}

/// A ScrapeConfig with this many targets.
pub(super) fn scrape_config(namespace: &str, name: &str, n: usize, more: &Value) -> Value {
    let targets: Vec<String> = (0..n).map(|index| format!("{name}-{index}:9100")).collect();
    let mut spec = json!({ "staticConfigs": [{ "targets": targets }] });
    objects::merge(&mut spec, more);
    objects::monitor("ScrapeConfig", namespace, name, &spec)
}

impl World {
    /// Three collectors and a ScrapeConfig with sixty targets.
    async fn start(plane: Arc<ControlPlane>, namespace: &str, more: &str) -> Result<Self> {
        let admin = plane.admin()?;
        admin.create(&objects::namespace(namespace, &[])).await?;
        admin.create(&stateful_set(namespace, 3)).await?;
        for ordinal in 0..3 {
            admin.create(&collector(namespace, ordinal).object()).await?;
        }
        admin.create(&scrape_config(namespace, "fleet", 60, &json!({}))).await?;
        let kubeconfig = plane.kubeconfig(namespace, plane.admin_token(), namespace)?;
        let yaml = format!(
            "
kube_config_file_path: {}
collector_namespace: {namespace}
collector_selector: {{matchlabels: {{app.kubernetes.io/component: opentelemetry-collector}}}}
prometheus_cr:
  enabled: true
  allow_namespaces: [{namespace}]
  scrape_config_selector: {{}}
  service_monitor_selector: {{}}
{more}",
            kubeconfig.display()
        );
        let mut allocator = Allocator::start(&yaml)?;
        allocator.ready().await?;
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build()?;
        Ok(Self { plane, admin, namespace: namespace.to_owned(), allocator, client })
    }

    async fn ask(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.allocator.url);
        let response = self.client.get(&url).send().await.with_context(|| format!("asking {url}"))?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let (status, body) = self.ask(path).await?;
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn job(&self, name: &str) -> String {
        format!("scrapeConfig%2F{}%2F{name}", self.namespace)
    }

    /// How many targets each member has in its list.
    async fn lists(&self) -> Result<Vec<usize>> {
        self.lists_of(&self.job("fleet")).await
    }

    /// The same, of a job as it stands in a path.
    async fn lists_of(&self, job: &str) -> Result<Vec<usize>> {
        let mut lists = Vec::new();
        for member in ["s-0", "s-1", "s-2"] {
            let path = format!("/jobs/{job}/targets?collector_id={member}");
            lists.push(self.json(&path).await?.as_array().map_or(0, Vec::len));
        }
        Ok(lists)
    }

    async fn n_moved(&self) -> Result<u64> {
        self.json("/debug/assignment.json").await?["moves"]["total"].as_u64().context("a number")
    }

    /// Waits until a member is told to be so.
    async fn member(&self, name: &str, holds: impl Fn(Option<&Value>) -> bool) -> Result<()> {
        eventually(&format!("member {name}"), SOON, || async {
            let all = self.json("/debug/assignment.json").await?;
            let members = all["members"].as_array().cloned().unwrap_or_default();
            let member = members.iter().find(|member| member["name"] == name);
            Ok(if holds(member) { Ok(()) } else { Err(all["members"].to_string()) })
        })
        .await
    }
}

async fn rolling() -> Result<()> {
    let world = World::start(ControlPlane::shared().await?, "rolling", "").await?;
    let before = world.lists().await?;
    ensure!(before.iter().sum::<usize>() == 60 && before.iter().all(|n| *n > 8), "{before:?}");
    for ordinal in [2, 1, 0] {
        let mut pod = collector(&world.namespace, ordinal);
        world.admin.delete_within(&pod.object(), 30).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(world.lists().await? == before, "terminating, and expected back");
        world.admin.delete_within(&pod.object(), 0).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(world.lists().await? == before, "gone, and expected back");
        pod.is_ready = false;
        world.admin.create(&pod.object()).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        pod.is_ready = true;
        world.admin.patch_status(&pod.object()).await?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(world.lists().await? == before && world.n_moved().await? == 0, "a rolling restart moves nothing");

    world
        .admin
        .patch(&json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": 2 },
        "metadata": { "namespace": world.namespace, "name": "s" } }))
        .await?;
    let leaving = collector(&world.namespace, 2).object();
    world.admin.delete_within(&leaving, 30).await?;
    world.member("s-2", |member| member.is_some_and(|member| member["draining"] == true)).await?;
    let held = world.json(&format!("/jobs/{}/targets?collector_id=s-2", world.job("fleet"))).await?;
    ensure!(
        held.as_array().map(Vec::len) == Some(before[2]),
        "it holds its targets until others have fetched them"
    );
    let after = world.lists().await?;
    ensure!(after[0] + after[1] == 60, "others have them: {after:?}");
    eventually("the drained one holds nothing", SOON, || async {
        let lists = world.lists().await?;
        Ok(if lists[2] == 0 { Ok(()) } else { Err(format!("{lists:?}")) })
    })
    .await?;
    world.admin.delete_within(&leaving, 0).await?;
    world.member("s-2", |member| member.is_none()).await?;
    ensure!(world.n_moved().await? == before[2] as u64, "nothing else has moved");
    Ok(())
}

async fn quarantine() -> Result<()> {
    let world = World::start(ControlPlane::shared().await?, "quarantine", "").await?;
    let began = Instant::now();
    world.admin.create(&scrape_config("quarantine", "late", 2, &json!({}))).await?;
    eventually("the new job", SOON, || async {
        let (_, body) = world.ask(&format!("/jobs/{}/targets", world.job("late"))).await?;
        Ok(if body.matches("__address__").count() == 2 { Ok(()) } else { Err(body) })
    })
    .await?;
    // Upstream's tick for monitors alone.
    ensure!(began.elapsed() < Duration::from_secs(5), "served after {:?}", began.elapsed());

    let bad = |interval: &str| {
        scrape_config("quarantine", "bad", 1, &json!({ "scrapeInterval": interval, "scrapeTimeout": "20s" }))
    };
    world.admin.create(&bad("10s")).await?;
    let told = eventually("quarantine", SOON, || async {
        let told = world.json("/debug/quarantine").await?;
        Ok(if told["quarantine"][0]["name"] == "bad" { Ok(told) } else { Err(told.to_string()) })
    })
    .await?;
    let entry = &told["quarantine"][0];
    ensure!(
        entry["kind"] == "ScrapeConfig"
            && entry["field"].as_str().is_some_and(|field| field.contains("scrapeTimeout")),
        "{told}"
    );
    ensure!(world.lists().await?.iter().sum::<usize>() == 60, "the others are not affected");
    ensure!(world.ask("/readyz").await?.0 == 200, "and it is ready");
    let verbose = world.ask("/readyz?verbose").await?.1;
    ensure!(
        verbose.contains("[-] ScrapeConfig quarantine/bad is in quarantine") && verbose.contains("[+] pods"),
        "{verbose}"
    );
    let metrics = world.ask("/metrics").await?.1;
    ensure!(
        metrics.contains("muster_allocator_monitors{kind=\"ScrapeConfig\",state=\"quarantined\"} 1"),
        "{metrics}"
    );
    ensure!(metrics.contains("muster_allocator_watch_live{"), "{metrics}");
    eventually("the event", SOON, || async {
        let events = world.admin.get("/api/v1/namespaces/quarantine/events").await?;
        let is_told = events["items"].as_array().is_some_and(|items| {
            items
                .iter()
                .any(|event| event["reason"] == "Quarantined" && event["involvedObject"]["name"] == "bad")
        });
        Ok(if is_told { Ok(()) } else { Err(events.to_string()) })
    })
    .await?;
    let explained = world.json("/debug/explain?monitor=quarantine/bad").await?;
    ensure!(explained["answer"].as_str().is_some_and(|answer| answer.contains("quarantine")), "{explained}");

    world.admin.patch(&bad("30s")).await?;
    eventually("it comes back", SOON, || async {
        let told = world.json("/debug/quarantine").await?;
        let (_, configs) = world.ask("/scrape_configs").await?;
        let is_back = told["quarantine"] == json!([]) && configs.contains("scrapeConfig/quarantine/bad");
        Ok(if is_back { Ok(()) } else { Err(told.to_string()) })
    })
    .await
}

async fn away() -> Result<()> {
    // An outage that is many times as long as every limit on what is not heard of.
    let limits = "collector_not_ready_grace_period: 1s\nsudden_fall_hold: 1s\n";
    let world = World::start(Arc::new(ControlPlane::start().await?), "away", limits).await?;
    world.admin.create_all(&objects::service_with_pods("away", "web", 9, 30)).await?;
    world.admin.create(&objects::service_monitor("away", "web")).await?;
    const WEB: &str = "serviceMonitor%2Faway%2Fweb%2F0";
    eventually("the pods are shared out", SOON, || async {
        let lists = world.lists_of(WEB).await.unwrap_or_default();
        Ok(if lists.iter().sum::<usize>() == 30 { Ok(()) } else { Err(format!("{lists:?}")) })
    })
    .await?;
    let all = async || {
        anyhow::Ok((world.lists().await?, world.lists_of(WEB).await?, world.ask("/scrape_configs").await?))
    };
    let before = all().await?;
    world.plane.stop_api().await;
    eventually("the outage is told", SOON, || async {
        let verbose = world.ask("/readyz?verbose").await?.1;
        Ok(if verbose.contains("what is known stays") { Ok(()) } else { Err(verbose) })
    })
    .await?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(all().await? == before, "nothing changes");
        ensure!(world.ask("/readyz").await?.0 == 200 && world.n_moved().await? == 0, "it stays ready");
    }
    world.plane.start_api().await?;
    world.admin.create(&scrape_config("away", "new", 1, &json!({}))).await?;
    eventually("a new monitor after the outage", Duration::from_secs(60), || async {
        let (_, configs) = world.ask("/scrape_configs").await?;
        Ok(if configs.contains("scrapeConfig/away/new") {
            Ok(())
        } else {
            Err(world.ask("/readyz?verbose").await?.1)
        })
    })
    .await?;
    let (fleet, web, _) = all().await?;
    ensure!(fleet == before.0 && web == before.1 && world.n_moved().await? == 0, "nothing has moved");
    Ok(())
}
