//! All monitors to all jobs, and again after every change at the price of what changed.
//!
//! A monitor is looked at again only when its specification, an entry it refers to or the settings changed. Selection
//! (labels of monitors and namespaces) is looked at every time: it is a few comparisons.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use config::Problem;

use super::draft::{Draft, Made};
use super::field::{reason, shown};
use super::material::{Answer, Material, ObjectRef};
use super::{Kind, Monitor, MonitorKey, Namespaces, Policy, Why};
use super::{pod_monitor, probe, scrape_config, service_monitor};
use crate::jobs::JobSpec;

/// Most endpoints of a monitor, each of which is a job.
pub const MAX_ENDPOINTS: usize = 1_000;

/// Largest jobs of a monitor together, in bytes of JSON.
pub const MAX_JOB_BYTES: usize = 4 << 20;

/// Warnings that are kept of a monitor.
const MAX_WARNINGS: usize = 20;

/// What jobs are made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Every monitor, each once, in any order.
    pub monitors: &'a [Arc<Monitor>],
    /// Labels of namespaces; needed where [`Policy::asks_for_namespaces`].
    pub namespaces: &'a Namespaces,
    /// What is in Secrets and ConfigMaps.
    pub material: &'a dyn Material,
}

/// What monitors became.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// The jobs by name. A job that did not change is the same allocation as the last time.
    pub jobs: BTreeMap<Arc<str>, Arc<JobSpec>>,
    /// Selected monitors that make no jobs because something is wrong, in order of kind, namespace and name.
    pub quarantine: Vec<Quarantined>,
    /// What works, perhaps not as it was meant, in the same order.
    pub warnings: Vec<Warned>,
    /// How many of each kind there are, in the order of [`Kind::ALL`].
    pub selected: [Selected; 4],
    /// Secrets and ConfigMaps that selected monitors refer to: what has to be watched.
    pub objects: BTreeSet<ObjectRef>,
    /// Those that have not been read yet. Until they are, their monitors keep the jobs they had.
    pub waits_for: BTreeSet<ObjectRef>,
}

/// A monitor in quarantine. Since when is known to who generates again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Which monitor.
    pub key: MonitorKey,
    /// The identity of the object.
    pub uid: String,
    /// Which version of its specification.
    pub generation: i64,
    /// The first field at fault, as `kubectl explain` names it: `spec.endpoints[0].port`.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub reason: String,
    /// How many more things are wrong.
    pub n_more: usize,
}

/// A warning about a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warned {
    /// Which monitor.
    pub key: MonitorKey,
    /// The field.
    pub field: String,
    /// What should be known about it.
    pub message: String,
}

/// How many monitors of a kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// All.
    pub n_seen: usize,
    /// Those that are selected.
    pub n_selected: usize,
    /// Those in quarantine.
    pub n_quarantined: usize,
    /// Those that wait for Secrets or ConfigMaps.
    pub n_waiting: usize,
    /// Why none is selected: that there is no selector, or why the first that was seen is not selected.
    pub nothing: Option<Why>,
}

/// A monitor and what it became.
struct Held {
    monitor: Arc<Monitor>,
    made: Made,
}

/// Makes jobs of monitors, and remembers what it made.
pub struct Generator {
    policy: Policy,
    held: HashMap<MonitorKey, Held>,
    n_made: u64,
}

impl Generator {
    /// Begins without any monitor.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, held: HashMap::new(), n_made: 0 }
    }

    /// What the administrator said.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes over other settings. Where they differ, everything is made anew the next time; jobs that come out the same stay
    /// the same allocation.
    pub fn set_policy(&mut self, policy: Policy) {
        if self.policy != policy {
            self.policy = policy;
            for held in self.held.values_mut() {
                held.made.is_stale = true;
            }
        }
    }

    /// How often a monitor has been looked at since the start.
    #[must_use]
    pub fn n_made(&self) -> u64 {
        self.n_made
    }

    /// Makes the jobs of all monitors.
    pub fn generate(&mut self, inputs: Inputs<'_>) -> Generated {
        let mut generated = Generated::default();
        let mut before = std::mem::take(&mut self.held);
        for monitor in inputs.monitors {
            let counts = &mut generated.selected[monitor.key.kind as usize];
            counts.n_seen += 1;
            if let Some(why) = self.policy.why_not_selected(monitor, inputs.namespaces) {
                counts.nothing.get_or_insert(why);
                continue;
            }
            counts.n_selected += 1;
            let old = before.remove(&monitor.key);
            let held = match old {
                Some(old) if old.is_good_for(monitor, inputs.material) => {
                    Held { monitor: Arc::clone(monitor), ..old }
                }
                old => {
                    self.n_made += 1;
                    let made = make(&self.policy, monitor, inputs.material);
                    let made = match old {
                        Some(old) => made.after(old.made),
                        None => made,
                    };
                    Held { monitor: Arc::clone(monitor), made }
                }
            };
            generated.take(&held);
            self.held.insert(monitor.key.clone(), held);
        }
        for (counts, kind) in generated.selected.iter_mut().zip(Kind::ALL) {
            if counts.n_selected > 0 {
                counts.nothing = None;
            } else if self.policy.selects_nothing(kind) {
                counts.nothing = Some(Why::NoSelector { kind });
            }
        }
        generated.quarantine.sort_by(|one, other| one.key.cmp(&other.key));
        generated.warnings.sort_by(|one, other| one.key.cmp(&other.key));
        generated
    }

    /// Why the monitor makes no job; nothing where it makes some. Of the monitors of the last [`Self::generate`].
    #[must_use]
    pub fn why_no_jobs(&self, monitor: &Monitor, namespaces: &Namespaces) -> Option<Why> {
        if let Some(why) = self.policy.why_not_selected(monitor, namespaces) {
            return Some(why);
        }
        let made = &self.held.get(&monitor.key)?.made;
        if let Some((entry, _)) = made.answers.iter().find(|(_, answer)| *answer == Answer::NotReadYet) {
            return Some(Why::waiting(entry));
        }
        if let Some(problem) = made.problems.first() {
            return Some(Why::Quarantined { field: shown(&problem.path), reason: reason(problem) });
        }
        let lists = match monitor.key.kind {
            Kind::ServiceMonitor => "spec.endpoints",
            Kind::PodMonitor => "spec.podMetricsEndpoints",
            Kind::Probe => "spec.targets",
            Kind::ScrapeConfig => "spec",
        };
        made.jobs.is_empty().then(|| Why::NoJob { field: lists.to_owned() })
    }

    /// The jobs of a monitor, as of the last [`Self::generate`].
    #[must_use]
    pub fn jobs_of(&self, monitor: &MonitorKey) -> &[Arc<JobSpec>] {
        self.held.get(monitor).map_or(&[], |held| &held.made.jobs)
    }
}

impl Held {
    /// Whether the same would come out again.
    fn is_good_for(&self, monitor: &Arc<Monitor>, material: &dyn Material) -> bool {
        !self.made.is_stale
            && (Arc::ptr_eq(&self.monitor, monitor) || self.monitor.spec == monitor.spec)
            && self.made.answers.iter().all(|(entry, answer)| material.answer(entry) == *answer)
    }
}

impl Made {
    /// Keeps jobs that did not change, and all of them while something has not been read yet.
    fn after(mut self, old: Self) -> Self {
        if self.is_waiting() {
            self.jobs = old.jobs;
            return self;
        }
        for job in &mut self.jobs {
            let same = old.jobs.iter().find(|old| old.name() == job.name() && old.is_same_as(job));
            if let Some(same) = same {
                *job = Arc::clone(same);
            }
        }
        self
    }

    fn is_waiting(&self) -> bool {
        self.answers.iter().any(|(_, answer)| *answer == Answer::NotReadYet)
    }
}

impl Generated {
    /// Adds a monitor.
    fn take(&mut self, held: &Held) {
        let Held { monitor, made } = held;
        let counts = &mut self.selected[monitor.key.kind as usize];
        self.jobs.extend(made.jobs.iter().map(|job| (Arc::from(job.name()), Arc::clone(job))));
        self.objects.extend(made.answers.iter().map(|(entry, _)| entry.object.clone()));
        if made.is_waiting() {
            counts.n_waiting += 1;
            let unread = made.answers.iter().filter(|(_, answer)| *answer == Answer::NotReadYet);
            self.waits_for.extend(unread.map(|(entry, _)| entry.object.clone()));
        } else if let Some(first) = made.problems.first() {
            counts.n_quarantined += 1;
            self.quarantine.push(Quarantined {
                key: monitor.key.clone(),
                uid: monitor.uid.clone(),
                generation: monitor.generation,
                field: shown(&first.path),
                reason: reason(first),
                n_more: made.problems.len() - 1,
            });
        }
        let warned = |problem: &Problem| Warned {
            key: monitor.key.clone(),
            field: shown(&problem.path),
            message: reason(problem),
        };
        self.warnings.extend(made.warnings.iter().take(MAX_WARNINGS).map(warned));
        if made.warnings.len() > MAX_WARNINGS {
            let n_more = made.warnings.len() - MAX_WARNINGS;
            let (key, message) = (monitor.key.clone(), format!("and {n_more} more warnings"));
            self.warnings.push(Warned { key, field: "spec".to_owned(), message });
        }
    }
}

/// Makes the jobs of one monitor.
fn make(policy: &Policy, monitor: &Monitor, material: &dyn Material) -> Made {
    let mut draft = Draft::new(policy, monitor, material);
    match monitor.key.kind {
        Kind::ServiceMonitor => service_monitor::make(&mut draft, &monitor.spec),
        Kind::PodMonitor => pod_monitor::make(&mut draft, &monitor.spec),
        Kind::Probe => probe::make(&mut draft, &monitor.spec),
        Kind::ScrapeConfig => scrape_config::make(&mut draft, &monitor.spec),
    }
    draft.finish()
}
