//! Jobs with `kubernetes_sd_configs` in the allocator, over a real API server that goes away and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use world::control_plane::objects::{self, Pod};
use world::control_plane::{Client, ControlPlane};

use crate::programs::{Allocator, eventually};

const NAMESPACE: &str = "found";

/// A service with as many pods as there are numbers, and another one.
async fn fill(admin: &Client, n_pods: u16) -> Result<()> {
    let pod = |app: &str, net: u8, number: u16| {
        Pod::new(NAMESPACE, &format!("{app}-{number}"), &format!("10.{net}.0.{number}"), app)
    };
    for (net, app, n_pods) in [(7, "cart", n_pods), (8, "till", 2)] {
        let pods: Vec<Pod> = (0..n_pods).map(|number| pod(app, net, number)).collect();
        for object in pods.iter().map(Pod::object) {
            if admin.read(&object).await.is_err() {
                admin.create(&object).await?;
            }
        }
        admin.apply(&objects::service(NAMESPACE, app)).await?;
        for slice in objects::endpoint_slices(NAMESPACE, app, &pods) {
            admin.apply(&slice).await?;
        }
    }
    Ok(())
}

async fn addresses(url: &str, job: &str) -> Result<BTreeSet<String>> {
    let url = format!("{url}/jobs/{job}/targets?collector_id=c-0");
    let answer = reqwest::get(&url).await?;
    ensure!(answer.status() == 200, "{url}: {}", answer.status());
    let groups: Vec<Value> = serde_json::from_str(&answer.text().await?)?;
    groups.iter().map(|group| Ok(group["targets"][0].as_str().context("an address")?.to_owned())).collect()
}

async fn until(url: &str, job: &str, n_targets: usize) -> Result<BTreeSet<String>> {
    eventually(&format!("{n_targets} targets of {job}"), Duration::from_secs(20), || async {
        let found = addresses(url, job).await.map_err(|error| error.to_string());
        Ok(found
            .and_then(|found| if found.len() == n_targets { Ok(found) } else { Err(format!("{found:?}")) }))
    })
    .await
}

/// Targets follow the objects; while the server is away nothing changes, and afterwards what was missed arrives.
pub(super) async fn follows() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    admin.create(&objects::namespace(NAMESPACE, &[])).await?;
    fill(&admin, 3).await?;
    let kubeconfig = plane.kubeconfig("admin", plane.admin_token(), "default")?;
    let mut allocator = Allocator::start(&format!(
        "
collectors: {{static: [c-0]}}
kube_config_file_path: {}
config:
  scrape_configs:
    - job_name: slices
      kubernetes_sd_configs: [{{role: endpointslice, namespaces: {{names: [{NAMESPACE}]}}}}]
      relabel_configs: [{{source_labels: [__meta_kubernetes_service_label_app], regex: cart, action: keep}}]
    - job_name: pods
      kubernetes_sd_configs: [{{role: pod, namespaces: {{names: [{NAMESPACE}]}}}}]
",
        kubeconfig.display()
    ))?;
    allocator.ready().await?;
    let url = allocator.url.clone();
    let first = until(&url, "slices", 3).await?;
    ensure!(first.contains("10.7.0.2:8080"), "{first:?}");
    until(&url, "pods", 5).await?;

    fill(&admin, 4).await?;
    let second = until(&url, "slices", 4).await?;
    until(&url, "pods", 6).await?;

    plane.stop_api().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(addresses(&url, "slices").await? == second, "what is known stays while the server is away");
    plane.start_api().await?;
    fill(&admin, 5).await?;
    until(&url, "slices", 5).await?;
    until(&url, "pods", 7).await?;
    Ok(())
}
