//! Whether a monitor reaches an object: the steps before relabelling.

use relabel::Pattern;

use super::crd::{NamespaceSelector, Port};
use super::draft::node_of;
use super::field::{reason, shown};
use super::{Kind, Monitor, Policy, Why, pod_monitor, service_monitor};
use crate::selector::{ObjectLabels, Selector};

/// A pod or a service that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which of the two.
    pub kind: SubjectKind,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: ObjectLabels,
    /// Its ports: of a service, or of all containers of a pod.
    pub ports: Vec<SubjectPort>,
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A service.
    Service,
    /// A pod.
    Pod {
        /// `Running`, `Failed`, ...
        phase: String,
    },
}

/// A port of a service or of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPort {
    /// Its name; may be empty.
    pub name: String,
    /// Its number.
    pub number: u16,
}

/// A monitor that has been read, to be asked about any number of objects.
pub struct Reach<'a> {
    policy: &'a Policy,
    monitor: &'a Monitor,
    spec: Spec,
}

enum Spec {
    Services(Box<service_monitor::Spec>),
    Pods(Box<pod_monitor::Spec>),
    /// It selects no objects; what it finds its targets from.
    Others(&'static str),
    Unreadable(Why),
}

impl Policy {
    /// Reads a monitor. A specification that cannot be read reaches nothing.
    #[must_use]
    pub fn reach<'a>(&'a self, monitor: &'a Monitor) -> Reach<'a> {
        let node = || node_of(&monitor.spec);
        let unreadable = |problems: Vec<config::Problem>| Spec::Unreadable(unreadable(&problems));
        let spec = match monitor.key.kind {
            Kind::ServiceMonitor => config::read_lenient_with(&node(), "spec", &service_monitor::SCHEMA)
                .map_or_else(unreadable, |(spec, _)| Spec::Services(Box::new(spec))),
            Kind::PodMonitor => config::read_lenient_with(&node(), "spec", &pod_monitor::SCHEMA)
                .map_or_else(unreadable, |(spec, _)| Spec::Pods(Box::new(spec))),
            Kind::Probe => Spec::Others("listed targets or ingresses"),
            Kind::ScrapeConfig => Spec::Others("the ways of discovery that it lists, by rules alone"),
        };
        Reach { policy: self, monitor, spec }
    }

    /// [`Reach::why_not`], of one object.
    #[must_use]
    pub fn why_not_reached(&self, monitor: &Monitor, subject: &Subject) -> Option<Why> {
        self.reach(monitor).why_not(subject)
    }
}

impl Reach<'_> {
    /// The first step before relabelling at which the monitor loses the object; nothing where it reaches relabelling.
    /// Which services lead to a pod is not known here.
    #[must_use]
    pub fn why_not(&self, subject: &Subject) -> Option<Why> {
        let kind = self.monitor.key.kind;
        match (&self.spec, &subject.kind) {
            (Spec::Services(spec), _) => self.policy.of_service_monitor(self.monitor, spec, subject),
            (Spec::Pods(spec), SubjectKind::Pod { phase }) => {
                self.policy.of_pod_monitor(self.monitor, spec, subject, phase)
            }
            (Spec::Pods(_), SubjectKind::Service) => Some(Why::SubjectKind { kind, finds: "pods" }),
            (Spec::Others(finds), _) => Some(Why::SubjectKind { kind, finds }),
            (Spec::Unreadable(why), _) => Some(why.clone()),
        }
    }
}

impl Policy {
    fn of_service_monitor(
        &self,
        monitor: &Monitor,
        spec: &service_monitor::Spec,
        subject: &Subject,
    ) -> Option<Why> {
        let endpoints = &spec.endpoints;
        self.why_not_searched(monitor, &spec.namespace_selector, subject).or_else(|| match &subject.kind {
            SubjectKind::Service => why_not_labelled(&spec.selector, subject).or_else(|| {
                // A port of containers cannot be told from the service.
                let wanted = endpoints.iter().map(|endpoint| match endpoint.port.as_str() {
                    "" => Wanted::Any,
                    port => Wanted::Name(port.to_owned()),
                });
                why_no_port(wanted.collect(), subject)
            }),
            SubjectKind::Pod { phase } => {
                let filters =
                    endpoints.iter().all(|endpoint| endpoint.scraping.filter_running.unwrap_or(true));
                why_ended(phase, filters).or_else(|| {
                    let wanted =
                        endpoints.iter().map(|endpoint| match (&endpoint.port, &endpoint.target_port) {
                            (port, Some(target)) if port.is_empty() => Wanted::of(target),
                            _ => Wanted::Any,
                        });
                    why_no_port(wanted.collect(), subject)
                })
            }
        })
    }

    fn of_pod_monitor(
        &self,
        monitor: &Monitor,
        spec: &pod_monitor::Spec,
        subject: &Subject,
        phase: &str,
    ) -> Option<Why> {
        let endpoints = &spec.pod_metrics_endpoints;
        let filters = endpoints.iter().all(|endpoint| endpoint.scraping.filter_running.unwrap_or(true));
        self.why_not_searched(monitor, &spec.namespace_selector, subject)
            .or_else(|| why_ended(phase, filters))
            .or_else(|| why_not_labelled(&spec.selector, subject))
            .or_else(|| {
                let wanted =
                    endpoints.iter().map(|endpoint| match (endpoint.port.as_str(), endpoint.port_number) {
                        ("", 0) => endpoint.target_port.as_ref().map_or(Wanted::Any, Wanted::of),
                        ("", number) => Wanted::Number(number),
                        (name, _) => Wanted::Name(name.to_owned()),
                    });
                why_no_port(wanted.collect(), subject)
            })
    }

    fn why_not_searched(
        &self,
        monitor: &Monitor,
        selector: &NamespaceSelector,
        subject: &Subject,
    ) -> Option<Why> {
        let searched = selector.searched(&monitor.key.namespace, self.config().ignore_namespace_selectors);
        let is_searched = searched.is_empty() || searched.contains(&subject.namespace);
        (!is_searched).then(|| Why::SubjectNamespace { namespace: subject.namespace.clone(), searched })
    }
}

/// A port that an endpoint asks for.
enum Wanted {
    Any,
    /// An expression, as in the rule that is made of it.
    Name(String),
    Number(i64),
}

impl Wanted {
    fn of(port: &Port) -> Self {
        match port {
            Port::Name(name) if name.is_empty() => Self::Any,
            Port::Number(0) => Self::Any,
            Port::Name(name) => Self::Name(name.clone()),
            Port::Number(number) => Self::Number(*number),
        }
    }

    fn is(&self, port: &SubjectPort) -> bool {
        match self {
            Self::Any => true,
            Self::Name(name) => Pattern::build(name).is_ok_and(|pattern| pattern.is_match(&port.name)),
            Self::Number(number) => *number == i64::from(port.number),
        }
    }
}

fn why_not_labelled(selector: &Selector, subject: &Subject) -> Option<Why> {
    let condition = selector.first_mismatch(&subject.labels)?;
    Some(Why::SubjectLabels { condition })
}

fn why_ended(phase: &str, filters: bool) -> Option<Why> {
    let has_ended = filters && matches!(phase, "Failed" | "Succeeded");
    has_ended.then(|| Why::Ended { phase: phase.to_owned() })
}

/// Nothing where any endpoint takes any port.
fn why_no_port(wanted: Vec<Wanted>, subject: &Subject) -> Option<Why> {
    let is_any =
        |wanted: &Wanted| matches!(wanted, Wanted::Any) || subject.ports.iter().any(|port| wanted.is(port));
    if wanted.iter().any(is_any) {
        return None;
    }
    let name = |wanted: &Wanted| match wanted {
        Wanted::Any => None,
        Wanted::Name(name) => Some(name.clone()),
        Wanted::Number(number) => Some(number.to_string()),
    };
    let present =
        |port: &SubjectPort| if port.name.is_empty() { port.number.to_string() } else { port.name.clone() };
    Some(Why::NoPort {
        wanted: wanted.iter().filter_map(name).collect(),
        present: subject.ports.iter().map(present).collect(),
    })
}

fn unreadable(problems: &[config::Problem]) -> Why {
    let first = problems.first();
    Why::Quarantined {
        field: first.map(|problem| shown(&problem.path)).unwrap_or_default(),
        reason: first.map(reason).unwrap_or_default(),
    }
}
