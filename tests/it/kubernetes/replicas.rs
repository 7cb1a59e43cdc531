//! Two replicas of the allocator against a real API server: they share a ConfigMap, and a target that moves has the same turn at both.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::{Client, ControlPlane, objects};

use super::NEEDS;
use super::members::{collector, scrape_config, stateful_set};
use crate::Case;
use crate::programs::{Allocator, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing("replicas_give_the_same_bytes_while_members_change_or_say_503", NEEDS, || block_on(same())),
    Case::needing("a_handover_goes_on_where_it_was_when_every_replica_is_killed", NEEDS, || {
        block_on(killed())
    }),
];

const SOON: Duration = Duration::from_secs(30);
const N_TARGETS: usize = 60;

/// What a replica answers.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    epoch: String,
    seen: String,
    body: String,
}

impl Answer {
    /// The moments at which targets change hands, as a label tells them.
    fn turns(&self, label: &str) -> Result<BTreeSet<u64>> {
        let groups: Vec<Value> = serde_json::from_str(&self.body).with_context(|| self.body.clone())?;
        let turns = groups.iter().filter_map(|group| group["labels"][label].as_str()?.parse().ok());
        Ok(turns.collect())
    }
}

struct World {
    admin: Client,
    namespace: &'static str,
    replicas: Vec<Allocator>,
    client: reqwest::Client,
}

impl World {
    /// Three collectors, sixty targets, and two replicas that know both.
    async fn start(namespace: &'static str) -> Result<Self> {
        let plane = ControlPlane::shared().await?;
        let admin = plane.admin()?;
        admin.create(&objects::namespace(namespace, &[])).await?;
        admin.create(&stateful_set(namespace, 3)).await?;
        for ordinal in 0..3 {
            admin.create(&collector(namespace, ordinal).object()).await?;
        }
        admin.create(&scrape_config(namespace, "fleet", N_TARGETS, &json!({}))).await?;
        let kubeconfig = plane.kubeconfig(namespace, plane.admin_token(), namespace)?;
        let yaml = format!(
            "
kube_config_file_path: {}
collector_namespace: {namespace}
collector_selector: {{matchlabels: {{app.kubernetes.io/component: opentelemetry-collector}}}}
state_config_map: state
prometheus_cr:
  enabled: true
  allow_namespaces: [{namespace}]
  scrape_config_selector: {{}}
",
            kubeconfig.display()
        );
        let mut replicas = vec![Allocator::start(&yaml)?, Allocator::start(&yaml)?];
        for replica in &mut replicas {
            replica.ready().await?;
        }
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build()?;
        Ok(Self { admin, namespace, replicas, client })
    }

    /// One of our scrapers fetches its list from a replica, and says what it has seen before.
    async fn list(&self, replica: usize, member: &str, seen: &str) -> Result<Answer> {
        let path = format!("/jobs/scrapeConfig%2F{}%2Ffleet/targets?collector_id={member}", self.namespace);
        let request = self.client.get(format!("{}{path}", self.replicas[replica].url));
        let request = request.header("user-agent", "muster/0.1.0").header("x-muster-seen", seen);
        let response = request.header("x-prometheus-refresh-interval-seconds", "1").send().await?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (epoch, seen) = (header("x-muster-epoch"), header("x-muster-seen"));
        let status = response.status().as_u16();
        Ok(Answer { status, epoch, seen, body: response.text().await? })
    }

    /// Every scraper has fetched its list, and both replicas know that.
    async fn fetched(&self, members: &[&str]) -> Result<()> {
        for (index, member) in members.iter().enumerate() {
            ensure!(self.list(index % self.replicas.len(), member, "").await?.status == 200, "{member}");
        }
        eventually("the replicas share who fetches lists", SOON, || async {
            let kept = self.kept().await?;
            let n_ours = kept.matches("\"client\":\"muster\"").count();
            Ok(if n_ours == members.len() { Ok(()) } else { Err(kept) })
        })
        .await
    }

    /// What the replicas share.
    async fn kept(&self) -> Result<String> {
        let path = format!("/api/v1/namespaces/{}/configmaps/state", self.namespace);
        let object = self.admin.get(&path).await?;
        Ok(object["data"]["assignment.json"].as_str().context("an assignment")?.to_owned())
    }

    /// A fourth collector joins.
    async fn scale_out(&self) -> Result<()> {
        self.admin
            .patch(&json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": 4 },
                "metadata": { "namespace": self.namespace, "name": "s" } }))
            .await?;
        self.admin.create(&collector(self.namespace, 3).object()).await?;
        Ok(())
    }
}

const MEMBERS: [&str; 4] = ["s-0", "s-1", "s-2", "s-3"];

async fn same() -> Result<()> {
    let world = World::start("replicas").await?;
    world.fetched(&MEMBERS[..3]).await?;
    world.scale_out().await?;
    let began = Instant::now();
    let (mut turns, mut n_same) = (BTreeSet::new(), 0);
    let mut is_over = false;
    // Each scraper asks one replica after the other, and tells what the one before has shown to it.
    while !is_over {
        ensure!(began.elapsed() < 2 * SOON, "the handover does not end; turns so far: {turns:?}");
        let mut n_listed = 0;
        let mut is_handing_over = false;
        for (index, member) in MEMBERS.iter().enumerate() {
            let first = world.list(index % 2, member, "").await?;
            let second = world.list((index + 1) % 2, member, &first.seen).await?;
            ensure!(matches!(second.status, 200 | 503), "{second:?}");
            if (first.status, second.status) != (200, 200) {
                continue;
            }
            if first.epoch == second.epoch {
                ensure!(first.body == second.body, "{member}: {first:?} and {second:?}");
                n_same += 1;
            }
            for label in ["__meta_muster_from", "__meta_muster_until"] {
                turns.extend(second.turns(label)?);
                is_handing_over |= !second.turns(label)?.is_empty();
            }
            n_listed += second.body.matches("__address__").count();
        }
        is_over = !turns.is_empty() && !is_handing_over && n_listed == N_TARGETS;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(n_same > 100, "only {n_same} answers could be compared");
    ensure!(turns.len() == 1, "one change of members has one turn, wherever it is asked for: {turns:?}");
    Ok(())
}

async fn killed() -> Result<()> {
    let mut world = World::start("replicas-killed").await?;
    world.fetched(&MEMBERS[..3]).await?;
    world.scale_out().await?;
    let told = eventually("both replicas tell the turn", SOON, || async {
        let (from, until) = (world.list(0, "s-3", "").await?, world.list(1, "s-0", "").await?);
        let turns = (from.turns("__meta_muster_from"), until.turns("__meta_muster_until"));
        Ok(match turns {
            (Ok(from), Ok(until)) if !from.is_empty() && from == until => Ok(from),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    for member in &MEMBERS[1..3] {
        world.list(1, member, "").await?;
    }
    eventually("everybody has heard of it", SOON, || async {
        let kept = world.kept().await?;
        let is_settled = !kept.contains("\"is_told\":false") && !kept.contains("\"is_fetched\":false");
        Ok(if is_settled { Ok(()) } else { Err(kept) })
    })
    .await?;
    for replica in &mut world.replicas {
        replica.child.kill()?;
        replica.restart()?;
    }
    for replica in &mut world.replicas {
        replica.ready().await?;
    }
    for replica in 0..2 {
        let from = world.list(replica, "s-3", "").await?.turns("__meta_muster_from")?;
        let until = world.list(replica, "s-0", "").await?.turns("__meta_muster_until")?;
        ensure!(from == told && until == told, "replica {replica}: {from:?}, {until:?}, and before {told:?}");
    }
    Ok(())
}
