//! Debian's Prometheus and vmagent share targets through the allocator's HTTP SD endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::ControlPlane;
use world::control_plane::objects::{Pod, monitor, namespace};
use world::fleet::{Fleet, even};
use world::http;
use world::peers::{self, Mode, Peer, percent, promql};

use crate::Case;
use crate::programs::{Allocator, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing("prometheus_and_vmagent_share_the_targets_of_a_job", &["prometheus", "vmagent"], || {
        block_on(shared())
    }),
    Case::needing(
        "prometheus_and_vmagent_share_the_pods_of_a_monitor",
        &["prometheus", "vmagent", "etcd", "kube-apiserver"],
        || block_on(pods_of_a_monitor()),
    ),
];

/// Names under which the two ask for their share.
const MEMBERS: [&str; 2] = ["prometheus-0", "vmagent-0"];

const DEADLINE: Duration = Duration::from_secs(40);

/// A Prometheus and a vmagent that follow one job of an allocator; vmagent writes what it scrapes to the Prometheus.
struct Clients {
    prometheus: Peer,
    vmagent: Peer,
}

impl Clients {
    /// Takes interval and rules of the job from `/scrape_configs`, and its targets from `/jobs/JOB/targets`.
    async fn start(allocator: &str, job: &str) -> Result<Self> {
        let configs = http::get(&format!("{allocator}/scrape_configs")).await?.json()?;
        let config = configs.get(job).with_context(|| format!("no job {job} in {configs}"))?;
        let of = |member: &str, sd: Value| {
            let url = format!("{allocator}/jobs/{}/targets?collector_id={member}", percent(job));
            let mut entry = json!({ "job_name": job, "http_sd_configs": [sd] });
            entry["http_sd_configs"][0]["url"] = json!(url);
            for key in ["scrape_interval", "scrape_timeout", "metrics_path", "relabel_configs"] {
                entry[key] = config[key].clone();
            }
            // An absent list of rules is none.
            if entry["relabel_configs"].is_null() {
                entry["relabel_configs"] = json!([]);
            }
            json!({ "scrape_configs": [entry] }).to_string()
        };
        let prometheus =
            peers::prometheus(Mode::Server, &of(MEMBERS[0], json!({ "refresh_interval": "1s" }))).await?;
        let write = format!("{}/api/v1/write", prometheus.url);
        // vmagent refuses `refresh_interval` and takes the flag instead.
        let flags = ["-promscrape.httpSDCheckInterval=1s", "-remoteWrite.flushInterval=500ms"];
        let vmagent = peers::vmagent(&of(MEMBERS[1], json!({})), &write, &flags).await?;
        Ok(Self { prometheus, vmagent })
    }

    /// Waits until the Prometheus knows so many targets that are up, whoever scrapes them, and gives their labels.
    async fn up(&self, n: usize) -> Result<Vec<BTreeMap<String, String>>> {
        eventually("every target is up", DEADLINE, || async {
            let up = promql(&self.prometheus.url, "up == 1").await?;
            let labels: Vec<_> = up.into_iter().map(|element| element.labels).collect();
            let told = || format!("{labels:?}; vmagent: {}", self.vmagent.child.last_words());
            Ok(if labels.len() == n { Ok(labels) } else { Err(told()) })
        })
        .await
    }
}

/// Waits until every target was scraped three times since `since` (milliseconds), and tells for each by whom.
async fn owners(fleet: &Fleet, since: i64) -> Result<Vec<BTreeSet<String>>> {
    eventually("every target is scraped", DEADLINE, || async {
        let agents = fleet.agents();
        let of = |attempts: Vec<world::fleet::Attempt>| {
            let recent: Vec<_> = attempts.iter().filter(|attempt| attempt.at >= since).collect();
            let names = recent.iter().map(|attempt| agents[usize::from(attempt.agent)].clone()).collect();
            (recent.len(), names)
        };
        let all: Vec<(usize, BTreeSet<String>)> =
            fleet.targets().iter().map(|target| of(target.attempts())).collect();
        let is_done = all.iter().all(|(n, _)| *n >= 3);
        Ok(if is_done {
            Ok(all.into_iter().map(|(_, names)| names).collect())
        } else {
            Err(format!("{all:?}"))
        })
    })
    .await
}

/// Each target has one owner, and each client has targets.
fn one_owner_each(owners: &[BTreeSet<String>]) -> Result<()> {
    ensure!(owners.iter().all(|owners| owners.len() == 1), "a target has several owners: {owners:?}");
    let all: BTreeSet<&String> = owners.iter().flatten().collect();
    ensure!(all.len() == MEMBERS.len(), "only {all:?} scrape");
    Ok(())
}

async fn shared() -> Result<()> {
    let fleet = Fleet::start(even(12, 5)).await?;
    let addresses: Vec<Value> = (0..12).map(|index| json!(fleet.address(index))).collect();
    let yaml = json!({
        "collectors": { "static": MEMBERS },
        "config": { "scrape_configs": [{
            "job_name": "shared/by http",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "static_configs": [{ "targets": addresses, "labels": { "__meta_team": "blue" } }],
            "relabel_configs": [{ "source_labels": ["__meta_team"], "target_label": "team" }],
        }] },
    });
    let mut allocator = Allocator::start(&yaml.to_string())?;
    allocator.ready().await?;
    let clients = Clients::start(&allocator.url, "shared/by http").await?;
    let labels = clients.up(12).await?;
    ensure!(
        labels.iter().all(|labels| labels["team"] == "blue" && labels["job"] == "shared/by http"),
        "{labels:?}"
    );
    let instances: BTreeSet<&String> = labels.iter().map(|labels| &labels["instance"]).collect();
    ensure!(instances.len() == 12, "a target is scraped by both: {labels:?}");
    one_owner_each(&owners(&fleet, world::now_ms()).await?)?;

    // Without an allocator both keep what they have.
    allocator.child.kill()?;
    one_owner_each(&owners(&fleet, world::now_ms()).await?)
}

/// Pods on loopback, which nothing but the status of a pod can name.
async fn pods_of_a_monitor() -> Result<()> {
    const NAMESPACE: &str = "http-sd";
    let fleet = Fleet::start(even(12, 5)).await?;
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    admin.create(&namespace(NAMESPACE, &[])).await?;
    for member in MEMBERS {
        let set = member.trim_end_matches("-0");
        admin.create(&Pod::collector(NAMESPACE, set, 0, "10.6.0.1").object()).await?;
    }
    for index in 0..12 {
        let address = fleet.address(index);
        let (ip, port) = address.split_once(':').context("host and port")?;
        let mut pod = Pod::new(NAMESPACE, &format!("web-{index}"), ip, "web");
        pod.ports = vec![("metrics".to_owned(), port.parse()?)];
        admin.create(&pod.object()).await?;
    }
    let spec = json!({ "selector": { "matchLabels": { "app": "web" } }, "podTargetLabels": ["app"],
        "podMetricsEndpoints": [{ "port": "metrics", "interval": "1s", "scrapeTimeout": "1s" }] });
    admin.create(&monitor("PodMonitor", NAMESPACE, "web", &spec)).await?;
    let kubeconfig = plane.kubeconfig(NAMESPACE, plane.admin_token(), NAMESPACE)?;
    let yaml = json!({
        "kube_config_file_path": kubeconfig,
        "collector_namespace": NAMESPACE,
        "collector_selector": { "matchLabels": { "app.kubernetes.io/component": "opentelemetry-collector" } },
        "prometheus_cr": { "enabled": true, "allow_namespaces": [NAMESPACE], "pod_monitor_selector": {} },
    });
    let mut allocator = Allocator::start(&yaml.to_string())?;
    allocator.ready().await?;
    let clients = Clients::start(&allocator.url, "podMonitor/http-sd/web/0").await?;
    let labels = clients.up(12).await?;
    let pods: BTreeSet<&String> = labels.iter().map(|labels| &labels["pod"]).collect();
    ensure!(
        pods.len() == 12
            && labels.iter().all(|labels| labels["namespace"] == NAMESPACE && labels["app"] == "web"),
        "{labels:?}"
    );
    one_owner_each(&owners(&fleet, world::now_ms()).await?)
}
