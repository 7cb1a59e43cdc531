//! Events on monitors that are put in quarantine, so that `kubectl describe` tells it where the mistake was made.
//!
//! The name of an event is a hash of the object, its specification and the reason: it is written once, by whichever replica
//! is first, and again only after the API server has forgotten it. At most one a second is written.

use std::time::{Duration, SystemTime};

use cluster::{Cluster, Kind, Reason};
use serde_json::{Value, json};
use telemetry::iso8601;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use xxhash_rust::xxh3::xxh3_64;

use crate::monitors::{GROUP, Quarantined};

/// Events that may wait to be written; further ones are dropped, the page and the log tell them.
const MAX_WAITING: usize = 1_000;

/// Shortest time from one event to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Longest message that the API server takes, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Writes events for as long as the sender lives.
pub(super) fn writer(cluster: Cluster) -> mpsc::Sender<Quarantined> {
    let (sender, mut waiting) = mpsc::channel::<Quarantined>(MAX_WAITING);
    drop(tokio::spawn(async move {
        let mut is_refused = false;
        while let Some(quarantined) = waiting.recv().await {
            let began = Instant::now();
            let event = event(&quarantined, SystemTime::now());
            let written = cluster.create(Kind::EVENT, Some(&quarantined.key.namespace), &event).await;
            match written {
                Ok(_) => {}
                Err(failure) if failure.reason == Reason::Conflict => {}
                Err(failure) if is_refused => tracing::debug!(%failure, "an event cannot be written"),
                Err(failure) => {
                    is_refused = true;
                    tracing::warn!(%failure, "events about monitors cannot be written; the log and /debug/quarantine tell them");
                }
            }
            sleep_until(began + EVERY).await;
        }
    }));
    sender
}

fn event(quarantined: &Quarantined, now: SystemTime) -> Value {
    let Quarantined { key, uid, generation, field, reason, n_more } = quarantined;
    let hash = xxh3_64(format!("{uid}\n{generation}\n{field}\n{reason}").as_bytes());
    let more = if *n_more > 0 { format!(" (and {n_more} more)") } else { String::new() };
    let message: String = format!("not scraped: {field}: {reason}{more}").chars().take(MAX_MESSAGE).collect();
    let name: String = key.name.chars().take(200).collect();
    let (at, component) = (iso8601(now), "muster-allocator");
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": format!("{name}.{hash:016x}"), "namespace": key.namespace },
        "involvedObject": {
            "apiVersion": format!("{GROUP}/{}", key.kind.version()),
            "kind": key.kind.as_str(),
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
        "type": "Warning",
        "reason": "Quarantined",
        "message": message,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": { "component": component },
        "reportingComponent": component,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitors::{Kind as MonitorKind, MonitorKey};

    fn quarantined(reason: &str) -> Quarantined {
        let key = MonitorKey { kind: MonitorKind::Probe, namespace: "ns".into(), name: "p".into() };
        let (field, reason) = ("spec.prober.url".to_owned(), reason.to_owned());
        Quarantined { key, uid: "u".into(), generation: 3, field, reason, n_more: 2 }
    }

    #[test]
    fn an_event_names_the_object_the_field_and_the_reason() {
        let event = event(&quarantined("bad"), SystemTime::UNIX_EPOCH);
        assert_eq!(event["message"], "not scraped: spec.prober.url: bad (and 2 more)");
        assert_eq!(event["involvedObject"]["apiVersion"], "monitoring.coreos.com/v1");
        assert_eq!(event["involvedObject"]["uid"], "u");
        assert_eq!(event["metadata"]["namespace"], "ns");
        assert!(event["firstTimestamp"].as_str().unwrap().starts_with("1970-01-01T00:00:00"));
    }

    #[test]
    fn the_same_reason_is_the_same_event_and_another_one_another() {
        let name = |reason: &str, at| event(&quarantined(reason), at)["metadata"]["name"].clone();
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        assert_eq!(name("bad", SystemTime::UNIX_EPOCH), name("bad", later));
        assert_ne!(name("bad", later), name("worse", later));
    }
}
