//! Who asked the API server for what: requests of service accounts, from its audit log.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What is written down: requests of service accounts, when they are answered. A watch is answered when it begins.
pub(super) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
";

/// A request of a service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `patch` ...
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// `pods`, or `pods/status`; a path for what is no resource.
    pub resource: String,
    /// Its namespace; empty for the whole cluster.
    pub namespace: String,
    /// The HTTP status it was answered with.
    pub status: u64,
}

/// Requests of a user, in order.
pub(super) fn asked(log: &Path, user: &str) -> Result<Vec<Asked>> {
    let text = match std::fs::read_to_string(log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("reading {}", log.display()))?,
    };
    let mut asked = Vec::new();
    // The last line may be in the making.
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    for line in complete.lines() {
        let event: Value = serde_json::from_str(line).context("reading the audit log")?;
        if event["user"]["username"] == user {
            asked.push(read(&event));
        }
    }
    Ok(asked)
}

fn read(event: &Value) -> Asked {
    let object = &event["objectRef"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
        (Some(resource), Some(part)) => format!("{resource}/{part}"),
        (Some(resource), None) => resource.to_owned(),
        (None, _) => word(&event["requestURI"]),
    };
    Asked {
        verb: word(&event["verb"]),
        group: word(&object["apiGroup"]),
        resource,
        namespace: word(&object["namespace"]),
        status: event["responseStatus"]["code"].as_u64().unwrap_or(0),
    }
}
