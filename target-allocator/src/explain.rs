//! Why something is scraped, or is not: which monitors and which jobs of the configuration reach a pod or a service, what relabelling makes of its targets, who has
//! them and since when, and what the scraper says of the last scrape.
//!
//! The answer is JSON at `/debug/explain`, which a page shows and `muster-allocator explain` prints ([`text`]). It is put
//! together from what discovery holds at that moment; nothing is remembered for it.

mod object;
mod passed_over;
mod searches;
mod steps;
pub mod text;

use std::sync::Arc;
use std::time::SystemTime;

use discovery::{Group, GroupLabels};
use model::Labels;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::errors::TargetErrors;
use crate::handover::unix_millis;
use crate::jobs::JobSpec;
use crate::monitors::{Kind, MonitorKey};
use crate::placement::Began;
use crate::view::View;

pub(crate) use object::{Reached, look_up};
pub(crate) use passed_over::look as look_at_passed_over;

/// Most targets that one answer describes; there may be as many as a monitor has.
pub const MAX_TARGETS: usize = 50;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Monitors of this name, of every kind.
    Monitor {
        /// Their namespace.
        namespace: String,
        /// Their name.
        name: String,
    },
    /// Targets with this address before relabelling, or this identity.
    Target(String),
}

impl Question {
    /// From a key (`pod`, `service`, `monitor`, `target`) and its value.
    ///
    /// # Errors
    /// Says how it is asked.
    pub fn of(key: &str, value: &str) -> Result<Self, String> {
        if key == "target" && !value.is_empty() {
            return Ok(Self::Target(value.to_owned()));
        }
        let named =
            value.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        let (namespace, name) = named.ok_or_else(|| format!("`{value}` is not NAMESPACE/NAME"))?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match key {
            "pod" => Ok(Self::Pod { namespace, name }),
            "service" => Ok(Self::Service { namespace, name }),
            "monitor" => Ok(Self::Monitor { namespace, name }),
            _ => Err("one of pod, service, monitor and target is needed".to_owned()),
        }
    }

    /// As it is said.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Pod { namespace, name } => format!("pod {namespace}/{name}"),
            Self::Service { namespace, name } => format!("service {namespace}/{name}"),
            Self::Monitor { namespace, name } => format!("monitor {namespace}/{name}"),
            Self::Target(target) => format!("target {target}"),
        }
    }

    /// Whether it is about every target of a job.
    fn means_job(&self, job: &str) -> bool {
        let Self::Monitor { namespace, name } = self else { return false };
        Kind::ALL.iter().any(|kind| {
            let of = format!("{}/{namespace}/{name}", kind.job_prefix());
            job.strip_prefix(of.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether it could be about a target of a group.
    fn may_mean(&self, labels: GroupLabels<'_>) -> bool {
        let may_be = |name: &str, value: &str| {
            labels.known(&format!("__meta_kubernetes_{name}")).is_none_or(|known| known == value)
        };
        match self {
            Self::Pod { namespace, name } => may_be("namespace", namespace) && may_be("pod_name", name),
            Self::Service { namespace, name } => {
                may_be("namespace", namespace) && may_be("service_name", name)
            }
            Self::Monitor { .. } | Self::Target(_) => true,
        }
    }

    /// Whether it is about a target, by its labels before relabelling.
    fn means(&self, labels: &Labels) -> bool {
        let meta = |name: &str| labels.value(&format!("__meta_kubernetes_{name}")).to_owned();
        match self {
            Self::Pod { namespace, name } => meta("namespace") == *namespace && meta("pod_name") == *name,
            Self::Service { namespace, name } => {
                meta("namespace") == *namespace && meta("service_name") == *name
            }
            Self::Target(target) => labels.value("__address__") == target,
            Self::Monitor { .. } => false,
        }
    }
}

/// What the loop knows about a question.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The targets that it is about.
    pub(crate) targets: Vec<Target>,
    /// The jobs of the configuration.
    pub(crate) jobs: Vec<Arc<JobSpec>>,
}

/// A target that a question is about.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    job: String,
    address: String,
    /// Identity, where it survives relabelling.
    hash: Option<u64>,
    /// What the rules did, in their order.
    steps: Vec<Value>,
    /// Why it cannot be scraped although the rules kept it.
    refused: Option<String>,
}

/// The targets of a job's groups that a question is about; appends to those of other jobs.
pub(crate) fn collect(
    question: &Question,
    spec: &JobSpec,
    groups: &mut dyn Iterator<Item = &Group>,
    found: &mut Vec<Target>,
) {
    let is_job = question.means_job(spec.name());
    let by_hash = match question {
        Question::Target(text) => text.parse::<u64>().ok(),
        _ => None,
    };
    for group in groups {
        for target in &group.targets {
            let labels = spec.discovered(&group.labels, target);
            let outcome = spec.outcome(group, target);
            let hash = outcome.as_ref().ok().copied().flatten();
            let is_meant = is_job || question.means(&labels) || (by_hash.is_some() && by_hash == hash);
            if !is_meant {
                continue;
            }
            if found.len() >= MAX_TARGETS {
                return;
            }
            found.push(Target {
                job: spec.name().to_owned(),
                address: labels.value("__address__").to_owned(),
                hash,
                steps: steps::of(spec, labels),
                refused: outcome.err(),
            });
        }
    }
}

/// Puts the answer together. `problems` are those of the watches behind it.
pub(crate) fn answer(
    question: &Question,
    targets: &[Target],
    reached: &Reached,
    problems: &[String],
    view: &View,
    errors: &TargetErrors,
) -> Value {
    let targets: Vec<Value> = targets.iter().map(|target| describe(target, view, errors)).collect();
    let is_found = match question {
        Question::Target(_) => !targets.is_empty(),
        _ => reached.missing.is_none() || !targets.is_empty(),
    };
    json!({
        "subject": question.subject(),
        "found": is_found,
        "answer": sentence(question, &targets, reached),
        "object": reached.object,
        "targets": targets,
        "monitors": reached.monitors,
        "jobs": reached.jobs,
        "problems": problems,
        "ready": view.why_no_lists(),
    })
}

fn describe(target: &Target, view: &View, errors: &TargetErrors) -> Value {
    let placed = view.jobs.get(target.job.as_str()).map(|job| &job.placed);
    let index = placed.and_then(|placed| placed.items.iter().position(|item| Some(item.hash) == target.hash));
    let owner = placed.zip(index).and_then(|(placed, index)| placed.owners[index]);
    let hold = placed.zip(index).and_then(|(placed, index)| placed.holds.get(&index));
    let name = |at: usize| view.placement.roster.name(at).to_string();
    let tenure = placed.zip(index).and_then(|(placed, index)| placed.tenures.get(index));
    let moved = target.hash.and_then(|hash| view.moves.recent().find(|moved| moved.hash == hash));
    let error = owner
        .zip(target.hash)
        .and_then(|(at, hash)| errors.of(view.placement.roster.name(at), hash, Instant::now()));
    let dropped_by = target.steps.iter().position(|step| step["kept"] == false);
    json!({
        "job": target.job,
        "address": target.address,
        "hash": target.hash.map(|hash| hash.to_string()),
        "outcome": match (dropped_by, &target.refused, owner) {
            (Some(_), _, _) => "dropped",
            (None, Some(_), _) => "refused",
            (None, None, Some(_)) => "assigned",
            (None, None, None) => "unassigned",
        },
        "dropped_by": dropped_by,
        "refused": target.refused,
        "owner": owner.map(name),
        "since": tenure.map(|tenure| json!({
            "at": unix_millis(tenure.since),
            "why": match tenure.began {
                Began::Found => "found",
                Began::Resumed => "resumed",
                Began::Moved(reason) => reason.word(),
            },
        })),
        "held_by": hold.map(|hold| name(hold.at)),
        "moved": moved.map(|moved| json!({
            "at": unix_millis(moved.at),
            "from": &*moved.from,
            "to": moved.to.as_deref(),
            "why": moved.reason.word(),
        })),
        "last_error": error.map(|error| json!({ "error": error.error, "at": error.at })),
        "steps": target.steps,
    })
}

/// The answer in one sentence.
fn sentence(question: &Question, targets: &[Value], reached: &Reached) -> String {
    let subject = question.subject();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    if let Some(target) = targets.iter().find(|target| target["outcome"] == "assigned") {
        let error = target["last_error"]["error"].as_str();
        let error = error.map(|error| format!("; its last scrape failed: {error}")).unwrap_or_default();
        return format!(
            "{subject} is scraped by {} in job {}{error}",
            text(target, "owner"),
            text(target, "job")
        );
    }
    if let Some(target) = targets.iter().find(|target| target["outcome"] == "unassigned") {
        return format!("{subject} is found by job {}, and no collector has it", text(target, "job"));
    }
    if let Some(target) = targets.iter().find(|target| target["outcome"] == "refused") {
        return format!(
            "{subject} is found by job {}, and cannot be scraped: {}",
            text(target, "job"),
            text(target, "refused")
        );
    }
    if let Some(target) = targets.first() {
        let at = target["dropped_by"].as_u64().unwrap_or(0);
        let step = &target["steps"][usize::try_from(at).unwrap_or(0)];
        return format!(
            "{subject} is found by job {}, and rule {at} drops it: {}",
            text(target, "job"),
            text(step, "rule")
        );
    }
    match (question, &reached.missing, &reached.nearest) {
        (_, Some(why), _) => why.clone(),
        (Question::Monitor { .. }, None, _) if !reached.monitors.is_empty() => {
            let first = &reached.monitors[0];
            format!("{subject} has no targets: {}: {}", text(first, "monitor"), text(first, "why"))
        }
        (_, None, Some((_, nearest))) => format!("{subject} is not found by any job; {nearest}"),
        (Question::Target(_), None, None) => {
            format!("{subject} is not found by any job; /debug/targets lists addresses and identities")
        }
        (_, None, None) => format!("{subject} is not found by any job"),
    }
}

/// Since when something is the case, for people.
pub(crate) fn since(at: SystemTime) -> u64 {
    unix_millis(at)
}

/// The monitors of a name.
pub(crate) fn is_named(key: &MonitorKey, namespace: &str, name: &str) -> bool {
    key.namespace == namespace && key.name == name
}
