//! How many watches monitors in many namespaces cost the API server: as it counts them itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{Pod, monitor, namespace, service, service_monitor};
use world::control_plane::{Client, ControlPlane};

use crate::programs::{Allocator, eventually};

/// Each has a ServiceMonitor and a PodMonitor.
const N_NAMESPACES: usize = 60;
/// However many namespaces and monitors there are.
const MAX_WATCHES: f64 = 20.0;
const SOON: Duration = Duration::from_secs(30);

pub(super) async fn are_few() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    let names: Vec<String> = (0..N_NAMESPACES).map(|number| format!("team-{number:02}")).collect();
    for name in names.iter().map(String::as_str).chain(["home"]) {
        admin.create(&namespace(name, &[])).await?;
    }
    let pods = json!({ "selector": { "matchLabels": { "app": "web" } }, "podMetricsEndpoints": [{ "port": "metrics" }] });
    let of_team = |name: &String| {
        [service(name, "web"), service_monitor(name, "web"), monitor("PodMonitor", name, "web", &pods)]
    };
    admin.create_all(&names.iter().flat_map(of_team).collect::<Vec<_>>()).await?;
    admin.create(&Pod::collector("home", "scraper", 0, "10.8.0.1").object()).await?;
    let before = watches(&admin).await?;

    let kubeconfig = plane.kubeconfig("watches", plane.admin_token(), "home")?;
    let yaml = format!(
        "kube_config_file_path: {}\n\
         collector_namespace: home\n\
         collector_selector: {{matchlabels: {{app.kubernetes.io/component: opentelemetry-collector}}}}\n\
         prometheus_cr: {{enabled: true, service_monitor_selector: {{}}, pod_monitor_selector: {{}}}}\n",
        kubeconfig.display()
    );
    let mut allocator = Allocator::start(&yaml)?;
    allocator.ready().await?;
    eventually("a job of every monitor", SOON, || async {
        let answer = world::http::get(&format!("{}/scrape_configs", allocator.url)).await?;
        let n_jobs = answer.json()?.as_object().map_or(0, serde_json::Map::len);
        Ok(if n_jobs == 2 * N_NAMESPACES { Ok(()) } else { Err(format!("{n_jobs} jobs")) })
    })
    .await?;
    let opened = watches(&admin).await? - before;
    ensure!(opened >= 4.0, "services, slices, pods and monitors are watched, not only {opened} things");
    ensure!(opened <= MAX_WATCHES, "{opened} watches for {N_NAMESPACES} namespaces");
    Ok(())
}

/// The watches that are open at the API server, its own among them.
async fn watches(admin: &Client) -> Result<f64> {
    let page = admin.get("/metrics").await?;
    let Value::String(page) = page else { return Err(anyhow::anyhow!("metrics are text")) };
    let is_watch =
        |line: &&str| line.starts_with("apiserver_longrunning_requests{") && line.contains("verb=\"WATCH\"");
    let values = page.lines().filter(is_watch).map(|line| {
        let value = line.rsplit_once(' ').context("a sample has a value")?.1;
        value.parse::<f64>().with_context(|| line.to_owned())
    });
    values.sum()
}
