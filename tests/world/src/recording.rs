//! What a real API server says of the sample, written down for [`crate::fake_api`].
//!
//! `cargo xtask record` makes it again. Every resource is listed as a client lists it; `pods.watch.jsonl` holds a watch of pods that
//! sees one created, changed and deleted, and a bookmark.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::control_plane::objects::Pod;
use crate::control_plane::{Client, ControlPlane, sample};
use crate::fake_api::{RESOURCES, recordings};

/// Starts a control plane, puts the sample there, and writes what it answers. Says which files were written.
pub async fn record() -> Result<Vec<PathBuf>> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    sample::create(&admin).await?;
    let folder = recordings();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut written = Vec::new();
    let mut write = |name: String, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        written.push(path);
        Ok::<_, anyhow::Error>(())
    };
    for resource in &RESOURCES {
        let root = if resource.version.contains('/') { "apis" } else { "api" };
        let list = admin.get(&format!("/{root}/{}/{}", resource.version, resource.plural)).await?;
        write(format!("{}.json", resource.plural), format!("{list:#}\n"))?;
    }
    let events = watch_of_pods(&admin).await?;
    write("pods.watch.jsonl".to_owned(), events.iter().map(|event| format!("{event}\n")).collect())?;
    Ok(written)
}

async fn watch_of_pods(admin: &Client) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{}/pods", sample::NAMESPACE);
    let list = admin.get(&path).await?;
    let version = list["metadata"]["resourceVersion"].as_str().context("a list has a version")?;
    // A bookmark comes two seconds before the end.
    let query = format!("watch=1&allowWatchBookmarks=true&timeoutSeconds=5&resourceVersion={version}");
    let events = admin.watch(&format!("{path}?{query}")).await?;
    let pod = Pod::new(sample::NAMESPACE, "short-lived", "10.2.1.1", "web").object();
    admin.create(&pod).await?;
    admin.patch(&with_label(&pod)).await?;
    admin.delete(&pod).await?;
    events.rest().await
}

fn with_label(pod: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "labels": { "changed": "yes" },
    } })
}
