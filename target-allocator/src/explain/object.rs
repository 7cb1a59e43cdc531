//! Which monitors reach a pod or a service, and the first step at which the others do not.

use cluster::{Cluster, Kind as ClusterKind, TextMap};
use serde_json::{Value, json};

use super::{Question, is_named, since};
use crate::kubernetes::Monitored;
use crate::monitors::{Monitor, Subject, SubjectKind, SubjectPort, Why};
use crate::selector::ObjectLabels;

/// Monitors that are told; those that come nearest first.
const MAX_MONITORS: usize = 20;

/// What is known of an object without looking at targets.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The object, in a few words.
    pub(crate) object: Option<Value>,
    /// Why there is nothing to look at.
    pub(crate) missing: Option<String>,
    /// Monitors, nearest first: what each of them makes of the object.
    pub(crate) monitors: Vec<Value>,
}

/// Looks at the object of a question, and at every monitor.
pub(crate) async fn look_up(
    question: &Question,
    cluster: Option<&Cluster>,
    monitored: &Monitored,
) -> Reached {
    let (kind, namespace, name) = match question {
        Question::Pod { namespace, name } => (ClusterKind::POD, namespace, name),
        Question::Service { namespace, name } => (ClusterKind::SERVICE, namespace, name),
        Question::Monitor { namespace, name } => return of_monitors(namespace, name, monitored),
        Question::Target(_) => return Reached::default(),
    };
    let missing = |why: String| Reached { missing: Some(why), ..Reached::default() };
    let Some(cluster) = cluster else {
        return missing("no cluster is asked: only targets of the configuration are known".to_owned());
    };
    let object = match cluster.get(kind, Some(namespace), name).await {
        Ok(Some(object)) => object,
        Ok(None) => return missing(format!("there is no {}", question.subject())),
        Err(failure) => return missing(failure.message),
    };
    let subject = match kind {
        ClusterKind::POD => serde_json::from_value(object).map(|pod| of_pod(&pod)),
        _ => serde_json::from_value(object).map(|service| of_service(&service)),
    };
    let Ok((subject, object)) = subject else {
        return missing(format!("{} is not as the API promises", question.subject()));
    };
    let mut monitors: Vec<(u8, Value)> =
        monitored.monitors.iter().map(|monitor| of_monitor(monitor, &subject, monitored)).collect();
    monitors.sort_by_key(|(distance, _)| *distance);
    let monitors = monitors.into_iter().take(MAX_MONITORS).map(|(_, told)| told).collect();
    Reached { object: Some(object), missing: None, monitors }
}

/// How far from scraping the object the monitor is, and why.
fn of_monitor(monitor: &Monitor, subject: &Subject, monitored: &Monitored) -> (u8, Value) {
    let why = why_no_jobs(monitor, monitored)
        .or_else(|| monitored.policy.as_ref()?.why_not_reached(monitor, subject));
    let distance = match &why {
        None => 0,
        Some(Why::NoPort { .. } | Why::Ended { .. }) => 1,
        Some(Why::SubjectLabels { .. }) => 2,
        Some(Why::SubjectNamespace { .. }) => 3,
        Some(Why::Quarantined { .. } | Why::Waiting { .. } | Why::NoJob { .. }) => 4,
        Some(Why::SubjectKind { .. }) => 6,
        Some(_) => 5,
    };
    (distance, told(monitor, why.map(|why| why.to_string())))
}

fn told(monitor: &Monitor, why: Option<String>) -> Value {
    let why_text = why.clone().unwrap_or_else(|| "reaches it; its rules decide".to_owned());
    json!({ "monitor": monitor.key.to_string(), "reaches": why.is_none(), "why": why_text })
}

/// The first step at which a monitor makes no job at all.
fn why_no_jobs(monitor: &Monitor, monitored: &Monitored) -> Option<Why> {
    let policy = monitored.policy.as_ref()?;
    let quarantined = || monitored.quarantine.iter().find(|held| held.what.key == monitor.key);
    let in_quarantine = || {
        let what = &quarantined()?.what;
        Some(Why::Quarantined { field: what.field.clone(), reason: what.reason.clone() })
    };
    policy.why_not_selected(monitor, &monitored.namespaces).or_else(in_quarantine)
}

fn of_monitors(namespace: &str, name: &str, monitored: &Monitored) -> Reached {
    let named = || monitored.monitors.iter().filter(|monitor| is_named(&monitor.key, namespace, name));
    if named().next().is_none() {
        let why = format!("there is no monitor {namespace}/{name}, or its kind is not watched");
        return Reached { missing: Some(why), ..Reached::default() };
    }
    let monitors = named().map(|monitor| match why_no_jobs(monitor, monitored) {
        Some(why) => told(monitor, Some(why.to_string())),
        None => json!({ "monitor": monitor.key.to_string(), "reaches": true, "why": "makes jobs" }),
    });
    let held = monitored.quarantine.iter().find(|held| is_named(&held.what.key, namespace, name));
    let object = held.map(|held| json!({ "quarantined_since": since(held.since) }));
    Reached { object, missing: None, monitors: monitors.collect() }
}

fn of_pod(pod: &cluster::Pod) -> (Subject, Value) {
    let ports = pod.containers.iter().flat_map(|container| container.ports.iter());
    let ports = ports
        .map(|port| SubjectPort { name: port.name.to_string(), number: number(port.container_port) })
        .collect();
    let subject = Subject {
        kind: SubjectKind::Pod { phase: pod.phase.to_string() },
        namespace: pod.metadata.namespace.to_string(),
        labels: labels(&pod.metadata.labels),
        ports,
    };
    let object =
        json!({ "phase": &*pod.phase, "node": &*pod.node_name, "ip": &*pod.ip, "labels": subject.labels });
    (subject, object)
}

fn of_service(service: &cluster::Service) -> (Subject, Value) {
    let ports = service.ports.iter();
    let subject = Subject {
        kind: SubjectKind::Service,
        namespace: service.metadata.namespace.to_string(),
        labels: labels(&service.metadata.labels),
        ports: ports
            .map(|port| SubjectPort { name: port.name.to_string(), number: number(port.port) })
            .collect(),
    };
    let object = json!({ "labels": subject.labels });
    (subject, object)
}

/// 0 for what is no port.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}

fn labels(map: &TextMap) -> ObjectLabels {
    map.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
