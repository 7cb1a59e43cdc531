//! What the administrator said about monitors: the checked form of `prometheus_cr`.

use std::path::{Path, PathBuf};

use config::{ByteSize, Problem};
use scrape::{GlobalConfig, Limits};

use super::class::ScrapeClass;
use super::crd::Common;
use super::{GROUP, Kind, Monitor, MonitorKey, Namespaces, Why};
use crate::selector::Selector;
use crate::settings::PrometheusCr;

/// Which monitors are taken, and what holds for all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    config: PrometheusCr,
    /// Where references of scrape classes are looked up.
    namespace: String,
    base_dir: PathBuf,
    /// What jobs inherit.
    global: GlobalConfig,
    /// By kind; nothing where nothing is selected.
    selectors: [Option<Selector>; 4],
    namespace_selectors: [Selector; 4],
}

impl Policy {
    /// Checks the section. `namespace` is that of the collectors, in which references of scrape classes are looked up;
    /// `base_dir` is where relative names of files start.
    ///
    /// # Errors
    /// Everything that is wrong; paths are relative to the section.
    pub fn build(config: &PrometheusCr, namespace: &str, base_dir: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if !config.allow_namespaces.is_empty() && !config.deny_namespaces.is_empty() {
            problems.push(
                Problem::error(
                    "deny_namespaces",
                    "only one of `allow_namespaces` and `deny_namespaces` can be set",
                )
                .with_hint("remove one of them"),
            );
        }
        let selectors = [
            (
                Kind::ServiceMonitor,
                &config.service_monitor_selector,
                &config.service_monitor_namespace_selector,
            ),
            (Kind::PodMonitor, &config.pod_monitor_selector, &config.pod_monitor_namespace_selector),
            (Kind::Probe, &config.probe_selector, &config.probe_namespace_selector),
            (Kind::ScrapeConfig, &config.scrape_config_selector, &config.scrape_config_namespace_selector),
        ];
        for (kind, objects, namespaces) in selectors {
            let under = |key: &'static str| move |problem: Problem| problem.under(key);
            let of_objects = objects.as_ref().map(|selector| selector.selector().check()).unwrap_or_default();
            problems.extend(of_objects.into_iter().map(under(kind.selector_key())));
            let of_namespaces = namespaces.selector().check();
            problems.extend(of_namespaces.into_iter().map(under(kind.namespace_selector_key())));
        }
        if let Some(timeout) = config.scrape_timeout.filter(|timeout| *timeout > config.scrape_interval) {
            let message = format!("{timeout} is longer than scrape_interval, {}", config.scrape_interval);
            problems.push(Problem::error("scrape_timeout", message).with_hint("shorten it"));
        }
        for (index, excluded) in config.excluded_from_enforcement.iter().enumerate() {
            let path = format!("excluded_from_enforcement::{index}");
            if excluded.group == GROUP && Kind::ALL.iter().all(|kind| kind.resource() != excluded.resource) {
                let message = format!("`{}` is no kind of monitor", excluded.resource);
                problems.push(
                    Problem::error(format!("{path}::resource"), message)
                        .with_hint("use servicemonitors, podmonitors, probes or scrapeconfigs"),
                );
            }
        }
        let of_classes = ScrapeClass::check_all(&config.scrape_classes);
        problems.extend(of_classes.into_iter().map(|problem| problem.under("scrape_classes")));
        if !problems.is_empty() {
            return Err(problems);
        }
        let protocols = &config.scrape_protocols;
        Ok(Self {
            global: GlobalConfig {
                scrape_interval: config.scrape_interval,
                scrape_timeout: config.scrape_timeout,
                scrape_protocols: (!protocols.is_empty()).then(|| protocols.clone()),
                ..GlobalConfig::default()
            },
            selectors: selectors.map(|(_, objects, _)| objects.as_ref().map(|selector| selector.selector())),
            namespace_selectors: selectors.map(|(_, _, namespaces)| namespaces.selector()),
            config: config.clone(),
            namespace: namespace.to_owned(),
            base_dir: base_dir.to_owned(),
        })
    }

    /// The section it was made from.
    #[must_use]
    pub fn config(&self) -> &PrometheusCr {
        &self.config
    }

    /// Where references of scrape classes are looked up.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where relative names of files start.
    #[must_use]
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Whether no object of the kind can ever be selected, so that it need not be watched.
    #[must_use]
    pub fn selects_nothing(&self, kind: Kind) -> bool {
        self.selectors[kind as usize].is_none()
    }

    /// Whether labels of namespaces count, so that namespaces have to be watched.
    #[must_use]
    pub fn asks_for_namespaces(&self) -> bool {
        Kind::ALL
            .iter()
            .any(|&kind| !self.selects_nothing(kind) && !self.namespace_selectors[kind as usize].is_empty())
    }

    /// The first step of selection that the monitor does not pass; nothing where it is selected.
    #[must_use]
    pub fn why_not_selected(&self, monitor: &Monitor, namespaces: &Namespaces) -> Option<Why> {
        let MonitorKey { kind, namespace, .. } = &monitor.key;
        let (kind, namespace) = (*kind, namespace.clone());
        let Some(selector) = &self.selectors[kind as usize] else { return Some(Why::NoSelector { kind }) };
        let allowed = &self.config.allow_namespaces;
        if !allowed.is_empty() && !allowed.contains(&namespace) {
            return Some(Why::NotAllowed { namespace });
        }
        if self.config.deny_namespaces.contains(&namespace) {
            return Some(Why::Denied { namespace });
        }
        let in_namespaces = &self.namespace_selectors[kind as usize];
        if !in_namespaces.is_empty() {
            let Some(labels) = namespaces.get(&namespace) else {
                return Some(Why::UnknownNamespace { kind, namespace });
            };
            if let Some(condition) = in_namespaces.first_mismatch(labels) {
                return Some(Why::NamespaceLabels { kind, namespace, condition });
            }
        }
        let condition = selector.first_mismatch(&monitor.labels)?;
        Some(Why::Labels { kind, condition })
    }

    pub(super) fn global(&self) -> &GlobalConfig {
        &self.global
    }

    /// The class that a monitor names, or else the default one.
    ///
    /// # Errors
    /// When there is no class of this name.
    pub(super) fn class(&self, name: &str) -> Result<Option<&ScrapeClass>, Problem> {
        let classes = &self.config.scrape_classes;
        if name.is_empty() {
            return Ok(classes.iter().find(|class| class.default));
        }
        classes.iter().find(|class| class.name == name).map(Some).ok_or_else(|| {
            let hint = match config::nearest(name, classes.iter().map(|class| class.name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "define it under prometheus_cr::scrape_classes".to_owned(),
            };
            Problem::at("scrapeClass", format!("there is no scrape class `{name}`")).with_hint(hint)
        })
    }

    /// The label that holds the namespace of the monitor, if it has to have one.
    pub(super) fn enforced_label(&self, monitor: &MonitorKey) -> Option<&str> {
        let is_excluded = self.config.excluded_from_enforcement.iter().any(|excluded| {
            excluded.group == GROUP
                && excluded.resource == monitor.kind.resource()
                && excluded.namespace == monitor.namespace
                && (excluded.name.is_empty() || excluded.name == monitor.name)
        });
        let label = &self.config.enforced_namespace_label;
        (!label.is_empty() && !is_excluded).then_some(label.as_str())
    }

    /// The limits of a job: what the monitor asks for, and at most what is enforced.
    pub(super) fn limits(&self, own: &Common, body_size: Option<ByteSize>) -> Limits {
        let config = &self.config;
        let size = [body_size, Some(config.enforced_body_size_limit)];
        Limits {
            body_size_limit: size.into_iter().flatten().filter(|size| !size.is_zero()).min(),
            sample_limit: lower(own.sample_limit, config.enforced_sample_limit),
            target_limit: lower(own.target_limit, config.enforced_target_limit),
            label_limit: lower(own.label_limit, config.enforced_label_limit),
            label_name_length_limit: lower(
                own.label_name_length_limit,
                config.enforced_label_name_length_limit,
            ),
            label_value_length_limit: lower(
                own.label_value_length_limit,
                config.enforced_label_value_length_limit,
            ),
            keep_dropped_targets: lower(own.keep_dropped_targets, config.enforced_keep_dropped_targets),
            scrape_failure_log_file: String::new(),
        }
    }
}

/// The lower of two limits, of which zero is none.
fn lower(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    }
}
