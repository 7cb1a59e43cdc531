//! Which monitors reach a pod or a service, which objects a monitor reaches, and the first step at which it does not. For jobs of the
//! configuration see [`super::searches`].
//!
//! Objects are those of the watches that are open; the API server is asked only for what no watch covers.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::{Cluster, Pod, Reason, Resource, Service, TextMap};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::searches::Searched;
use super::{Question, is_named, since};
use crate::jobs::JobSpec;
use crate::kubernetes::Monitored;
use crate::monitors::{Kind, Monitor, MonitorKey, Policy, Reach, Subject, SubjectKind, SubjectPort, Why};
use crate::selector::ObjectLabels;

/// Monitors that are told; those that come nearest first.
const MAX_MONITORS: usize = 20;

/// Objects of a monitor that are told: those that it reaches, and as many that it nearly does.
const MAX_OBJECTS: usize = 10;

/// What is known of an object without looking at targets.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The object, in a few words.
    pub(crate) object: Option<Value>,
    /// Why there is nothing to look at, and what helps.
    pub(crate) missing: Option<String>,
    /// Monitors, nearest first: what each of them makes of the object.
    pub(crate) monitors: Vec<Value>,
    /// Those that reach it, or are asked about.
    pub(crate) reaching: Vec<MonitorKey>,
    /// Jobs of the configuration that look into the cluster, nearest first: what each of them makes of the object.
    pub(crate) jobs: Vec<Value>,
    /// Those that look at it.
    pub(crate) searching: Vec<String>,
    /// How near the nearest of all comes, and why no nearer.
    pub(crate) nearest: Option<(u8, String)>,
}

impl Reached {
    fn missing(why: String) -> Self {
        Self { missing: Some(why), ..Self::default() }
    }

    /// Something comes so near.
    pub(super) fn come_near(&mut self, distance: u8, why: impl FnOnce() -> String) {
        if self.nearest.as_ref().is_none_or(|(before, _)| distance < *before) {
            self.nearest = Some((distance, why()));
        }
    }

    /// Whether a job of the configuration could have what is asked about among its targets.
    pub(crate) fn is_searched_by(&self, question: &Question, job: &str) -> bool {
        matches!(question, Question::Target(_)) || self.searching.iter().any(|name| name == job)
    }

    /// Whether a job could have the object among its targets: it is made of a monitor that reaches it, or of one that selects by
    /// its rules alone.
    pub(crate) fn may_be_of(&self, job: &str) -> bool {
        let is_of = |key: &MonitorKey| {
            let name = format!("{}/{}/{}", key.kind.job_prefix(), key.namespace, key.name);
            job.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        job.starts_with(Kind::ScrapeConfig.job_prefix()) || self.reaching.iter().any(is_of)
    }
}

/// Looks at the object of a question, at every monitor, and at `jobs`, those of the configuration.
pub(crate) async fn look_up(
    question: &Question,
    cluster: Option<&Cluster>,
    monitored: &Monitored,
    jobs: &[Arc<JobSpec>],
) -> Reached {
    let cluster = match (question, cluster) {
        (Question::Target(_), _) => return Reached::default(),
        (_, None) => {
            return Reached::missing(
                "no cluster is asked: only targets of the configuration are known; ask for `target`"
                    .to_owned(),
            );
        }
        (_, Some(cluster)) => cluster,
    };
    match question {
        Question::Pod { namespace, name } => match find::<Pod>(cluster, namespace, name).await {
            Ok(pod) => {
                let mut reached = of_pod(&pod, cluster, monitored);
                Searched::pod(&pod, cluster).by(jobs, &mut reached);
                reached
            }
            Err(why) => Reached::missing(why),
        },
        Question::Service { namespace, name } => match find::<Service>(cluster, namespace, name).await {
            Ok(service) => {
                let mut reached = of_service(&service, monitored);
                Searched::service(&service, cluster).by(jobs, &mut reached);
                reached
            }
            Err(why) => Reached::missing(why),
        },
        Question::Monitor { namespace, name } => of_monitors(namespace, name, cluster, monitored),
        Question::Target(_) => Reached::default(),
    }
}

/// Objects of all open watches of a kind, by key.
pub(super) fn known<T: Resource>(cluster: &Cluster) -> BTreeMap<Arc<str>, Arc<T>> {
    let watches = cluster.known::<T>(T::KIND);
    let objects = watches.iter().flat_map(|(_, _, objects)| objects.iter());
    objects.map(|(key, object)| (Arc::clone(key), Arc::clone(object))).collect()
}

/// An object, or why there is none.
async fn find<T: Resource + DeserializeOwned>(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Arc<T>, String> {
    let kind = T::KIND;
    let known = known::<T>(cluster);
    if let Some(object) = known.get(format!("{namespace}/{name}").as_str()) {
        return Ok(Arc::clone(object));
    }
    let absent = || {
        let names = known.keys().filter_map(|key| key.strip_prefix(namespace)?.strip_prefix('/'));
        let near = config::nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_else(|| "; check namespace and name".to_owned());
        format!("there is no {namespace}/{name} among {kind}{near}")
    };
    let covers = |(scope, state, _): &(cluster::Scope, cluster::State, _)| {
        scope.has_all_of(namespace) && state.is_synced && state.is_live
    };
    if cluster.known::<T>(kind).iter().any(covers) {
        return Err(absent());
    }
    match cluster.get(kind, Some(namespace), name).await {
        Ok(Some(object)) => serde_json::from_value(object)
            .map(Arc::new)
            .map_err(|_| format!("{kind} {namespace}/{name} is not as the API promises")),
        Ok(None) => Err(absent()),
        Err(failure) if failure.reason == Reason::Forbidden => Err(format!(
            "{}; no job looks at {kind} there, so that they are not known: grant the verb get on {kind} in namespace {namespace} to the account in use",
            failure.message
        )),
        Err(failure) => Err(failure.message),
    }
}

fn of_pod(pod: &Pod, cluster: &Cluster, monitored: &Monitored) -> Reached {
    let subject = pod_subject(pod);
    let object =
        json!({ "phase": &*pod.phase, "node": &*pod.node_name, "ip": &*pod.ip, "labels": subject.labels });
    let leads_here = |service: &&Arc<Service>| {
        let selector = &service.selector;
        *service.metadata.namespace == *pod.metadata.namespace
            && !selector.is_empty()
            && selector
                .iter()
                .all(|(name, value)| pod.metadata.labels.get(name).is_some_and(|known| known == value))
    };
    let services: Vec<Arc<Service>> =
        known::<Service>(cluster).values().filter(leads_here).map(Arc::clone).collect();
    let why = |monitor: &Monitor, reach: &Reach<'_>| {
        let of_pod = reach.why_not(&subject).map(|why| (distance(&why), why.to_string()));
        match monitor.key.kind {
            Kind::ServiceMonitor => of_pod.or_else(|| through_services(reach, &services)),
            _ => of_pod,
        }
    };
    of_all(object, monitored, why)
}

/// Why a ServiceMonitor reaches a pod through none of its services.
fn through_services(reach: &Reach<'_>, services: &[Arc<Service>]) -> Option<(u8, String)> {
    let mut nearest: Option<(u8, String)> = None;
    for service in services {
        let why = reach.why_not(&service_subject(service))?;
        let told = (distance(&why), format!("through service {}: {why}", service.metadata.name));
        if nearest.as_ref().is_none_or(|nearest| told.0 < nearest.0) {
            nearest = Some(told);
        }
    }
    Some(nearest.unwrap_or_else(|| (2, "no service that is known selects the pod".to_owned())))
}

fn of_service(service: &Service, monitored: &Monitored) -> Reached {
    let subject = service_subject(service);
    let object = json!({ "labels": subject.labels });
    let why =
        |_: &Monitor, reach: &Reach<'_>| reach.why_not(&subject).map(|why| (distance(&why), why.to_string()));
    of_all(object, monitored, why)
}

/// What every monitor makes of an object, nearest first.
fn of_all(
    object: Value,
    monitored: &Monitored,
    why: impl Fn(&Monitor, &Reach<'_>) -> Option<(u8, String)>,
) -> Reached {
    let mut reached = Reached { object: Some(object), ..Reached::default() };
    let Some(policy) = &monitored.policy else { return reached };
    let mut reaching = Vec::new();
    let mut told = |monitor: &Arc<Monitor>| {
        let why = match why_no_jobs(policy, monitor, monitored) {
            Some(why) => Some((distance(&why), why.to_string())),
            None => why(monitor, &policy.reach(monitor)),
        };
        let (distance, text) = match &why {
            Some((distance, text)) => (*distance, text.as_str()),
            None => {
                reaching.push(monitor.key.clone());
                (0, "reaches it; its rules decide")
            }
        };
        let told = json!({ "monitor": monitor.key.to_string(), "reaches": why.is_none(), "why": text });
        (distance, told)
    };
    let mut monitors: Vec<(u8, Value)> = monitored.monitors.iter().map(&mut told).collect();
    monitors.sort_by_key(|(distance, _)| *distance);
    if let Some((distance, nearest)) = monitors.first() {
        let text = |key: &str| nearest[key].as_str().unwrap_or_default();
        reached.come_near(*distance, || format!("{}: {}", text("monitor"), text("why")));
    }
    reached.monitors = monitors.into_iter().take(MAX_MONITORS).map(|(_, told)| told).collect();
    reached.reaching = reaching;
    reached
}

/// How far from scraping a step is.
fn distance(why: &Why) -> u8 {
    match why {
        Why::NoPort { .. } | Why::Ended { .. } => 1,
        Why::SubjectLabels { .. } => 2,
        Why::SubjectNamespace { .. } => 3,
        Why::Quarantined { .. } | Why::Waiting { .. } | Why::NoJob { .. } => 4,
        Why::SubjectKind { .. } => 6,
        _ => 5,
    }
}

/// The first step at which a monitor makes no job at all.
fn why_no_jobs(policy: &Policy, monitor: &Monitor, monitored: &Monitored) -> Option<Why> {
    let quarantined = || monitored.quarantine.iter().find(|held| held.what.key == monitor.key);
    let in_quarantine = || {
        let what = &quarantined()?.what;
        Some(Why::Quarantined { field: what.field.clone(), reason: what.reason.clone() })
    };
    policy.why_not_selected(monitor, &monitored.namespaces).or_else(in_quarantine)
}

fn of_monitors(namespace: &str, name: &str, cluster: &Cluster, monitored: &Monitored) -> Reached {
    let named = || monitored.monitors.iter().filter(|monitor| is_named(&monitor.key, namespace, name));
    let Some(policy) = monitored.policy.as_ref().filter(|_| named().next().is_some()) else {
        let here = monitored.monitors.iter().filter(|monitor| monitor.key.namespace == namespace);
        let near = config::nearest(name, here.map(|monitor| monitor.key.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let why = format!("there is no monitor {namespace}/{name}, or its kind is not watched{near}");
        return Reached::missing(why);
    };
    let monitors = named().map(|monitor| match why_no_jobs(policy, monitor, monitored) {
        Some(why) => json!({ "monitor": monitor.key.to_string(), "reaches": false, "why": why.to_string() }),
        None => selection(policy, monitor, cluster),
    });
    let held = monitored.quarantine.iter().find(|held| is_named(&held.what.key, namespace, name));
    let object = held.map(|held| json!({ "quarantined_since": since(held.since) }));
    let reaching = named().map(|monitor| monitor.key.clone()).collect();
    Reached { object, monitors: monitors.collect(), reaching, ..Reached::default() }
}

/// Which services or pods a monitor reaches, and which it nearly does.
fn selection(policy: &Policy, monitor: &Monitor, cluster: &Cluster) -> Value {
    let reach = policy.reach(monitor);
    let (of, subjects): (&str, Vec<(Arc<str>, Subject)>) = match monitor.key.kind {
        Kind::ServiceMonitor => ("services", subjects::<Service>(cluster, service_subject)),
        Kind::PodMonitor => ("pods", subjects::<Pod>(cluster, pod_subject)),
        Kind::Probe | Kind::ScrapeConfig => {
            return json!({ "monitor": monitor.key.to_string(), "reaches": true, "why": "makes jobs" });
        }
    };
    let (mut reached, mut missed) = (Vec::new(), Vec::new());
    for (key, subject) in &subjects {
        match reach.why_not(subject) {
            None => reached.push(key),
            Some(why) => missed.push((distance(&why), key, why)),
        }
    }
    missed.sort_by_key(|(distance, ..)| *distance);
    let why = match (reached.len(), subjects.len()) {
        (0, n) => format!("makes jobs, and reaches none of the {n} {of} that are known"),
        (n_reached, n) => format!("makes jobs, and reaches {n_reached} of the {n} {of} that are known"),
    };
    let missed: Vec<Value> = (missed.iter().take(MAX_OBJECTS))
        .map(|(_, key, why)| json!({ "object": &***key, "why": why.to_string() }))
        .collect();
    json!({
        "monitor": monitor.key.to_string(),
        "reaches": !reached.is_empty(),
        "why": why,
        "objects": reached.iter().take(MAX_OBJECTS).map(|key| &***key).collect::<Vec<&str>>(),
        "missed": missed,
    })
}

fn subjects<T: Resource>(cluster: &Cluster, of: fn(&T) -> Subject) -> Vec<(Arc<str>, Subject)> {
    known::<T>(cluster).iter().map(|(key, object)| (Arc::clone(key), of(object))).collect()
}

fn pod_subject(pod: &Pod) -> Subject {
    let ports = pod.containers.iter().flat_map(|container| container.ports.iter());
    Subject {
        kind: SubjectKind::Pod { phase: pod.phase.to_string() },
        namespace: pod.metadata.namespace.to_string(),
        labels: labels(&pod.metadata.labels),
        ports: ports
            .map(|port| SubjectPort { name: port.name.to_string(), number: number(port.container_port) })
            .collect(),
    }
}

fn service_subject(service: &Service) -> Subject {
    let ports = service.ports.iter();
    Subject {
        kind: SubjectKind::Service,
        namespace: service.metadata.namespace.to_string(),
        labels: labels(&service.metadata.labels),
        ports: ports
            .map(|port| SubjectPort { name: port.name.to_string(), number: number(port.port) })
            .collect(),
    }
}

/// 0 for what is no port.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}

fn labels(map: &TextMap) -> ObjectLabels {
    map.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
