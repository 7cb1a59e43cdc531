//! The four monitoring kinds of the Prometheus operator, as far as an API server has to know them: names and versions.
//!
//! The definitions are our own and accept any field; what fields mean is checked by who reads them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::client::Client;

/// Kind, plural and version of each, in the group `monitoring.coreos.com`.
pub const MONITORS: [(&str, &str, &str); 4] = [
    ("ServiceMonitor", "servicemonitors", "v1"),
    ("PodMonitor", "podmonitors", "v1"),
    ("Probe", "probes", "v1"),
    ("ScrapeConfig", "scrapeconfigs", "v1alpha1"),
];

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// The definition of one of [`MONITORS`].
pub fn definition(kind: &str, plural: &str, version: &str) -> Value {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
            },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": open, "status": open } } },
            }],
        },
    })
}

/// Applies the four definitions and waits until objects of them can be listed.
pub(super) async fn install(admin: &Client) -> Result<()> {
    for (kind, plural, version) in MONITORS {
        admin.apply(&definition(kind, plural, version)).await?;
    }
    let all_served = async {
        for (_, plural, version) in MONITORS {
            let path = format!("/apis/monitoring.coreos.com/{version}/{plural}?limit=1");
            while admin.get(&path).await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        }
    };
    tokio::time::timeout(DEADLINE, all_served)
        .await
        .with_context(|| format!("the monitoring kinds are not served after {DEADLINE:?}"))
}
