//! Objects as users write them in, jobs as collectors see them out.

mod any_spec;
mod classes;
mod effects;
mod fields;
mod incremental;
mod labels;
mod pod_monitor;
mod probe;
mod quarantine;
mod reference;
mod scrape_config;
mod secrets;
mod selection;
mod service_monitor;
mod subject;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use config::{Node, Secret};

use super::*;
use crate::jobs::JobSpec;
use crate::settings::PrometheusCr;

/// Every monitor, of every namespace.
const ALL: &str = "
service_monitor_selector: {}
pod_monitor_selector: {}
probe_selector: {}
scrape_config_selector: {}
";

/// A ServiceMonitor that is good by itself.
const GOOD: &str = "
kind: ServiceMonitor
metadata: {namespace: shop, name: good}
spec: {selector: {}, endpoints: [{port: metrics}]}
";

fn node(yaml: &str) -> Node {
    config::parse(yaml, "object.yaml").unwrap().root
}

/// A monitor from its manifest.
fn monitor(yaml: &str) -> Arc<Monitor> {
    let object = node(yaml);
    let text = |path: &[&str]| object.at(path).and_then(Node::as_str).unwrap_or_default().to_owned();
    let labels = object.at(&["metadata", "labels"]).map(|labels| {
        labels
            .entries()
            .map(|(key, value)| (key.to_owned(), value.text().unwrap_or_default().to_owned()))
            .collect()
    });
    let kind = text(&["kind"]);
    Arc::new(Monitor {
        key: MonitorKey {
            kind: Kind::ALL.into_iter().find(|known| known.as_str() == kind).expect("a known kind"),
            namespace: text(&["metadata", "namespace"]),
            name: text(&["metadata", "name"]),
        },
        uid: "uid".to_owned(),
        generation: 1,
        labels: labels.unwrap_or_default(),
        annotations: ObjectLabels::new(),
        spec: serde_json::to_value(object.get("spec")).unwrap(),
    })
}

/// Settings from the section `prometheus_cr`; collectors run in namespace `observe`.
fn policy(yaml: &str) -> Policy {
    let config: PrometheusCr = config::read(&node(yaml), "prometheus_cr").unwrap();
    Policy::build(&config, "observe", Path::new("/conf")).unwrap()
}

/// Secrets and ConfigMaps by `Secret namespace/name/key`.
#[derive(Clone, Default)]
struct Store(BTreeMap<String, String>);

impl Store {
    fn of<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

impl Material for Store {
    fn answer(&self, entry: &EntryRef) -> Answer {
        let object = format!("{}/", entry.object);
        match self.0.get(&format!("{object}{}", entry.key)) {
            Some(value) => Answer::Value(Secret::new(value.as_str())),
            None if self.0.keys().any(|key| key.starts_with(&object)) => Answer::NoKey,
            None => Answer::NoObject,
        }
    }
}

fn generate_with(settings: &str, material: &dyn Material, manifests: &[&str]) -> Generated {
    let monitors: Vec<Arc<Monitor>> = manifests.iter().map(|yaml| monitor(yaml)).collect();
    let inputs = Inputs { monitors: &monitors, namespaces: &Namespaces::new(), material };
    Generator::new(policy(settings)).generate(inputs)
}

fn generate(manifests: &[&str]) -> Generated {
    generate_with(ALL, &Store::default(), manifests)
}

/// The only job.
fn job_with(settings: &str, material: &dyn Material, manifest: &str) -> Arc<JobSpec> {
    let generated = generate_with(settings, material, &[manifest]);
    assert_eq!(generated.quarantine, [], "{manifest}");
    assert_eq!(generated.jobs.len(), 1, "{manifest}");
    Arc::clone(generated.jobs.values().next().unwrap())
}

fn job(manifest: &str) -> Arc<JobSpec> {
    job_with(ALL, &Store::default(), manifest)
}

/// Rules, one a line: what happens, labels that are read, the expression, the label that is written and its value.
fn lines(rules: &[relabel::RuleConfig]) -> String {
    let plain = relabel::RuleConfig::default();
    let line = |rule: &relabel::RuleConfig| {
        let mut line = format!("{} [{}]", rule.action, rule.source_labels.join(&rule.separator));
        if rule.regex != plain.regex {
            line.push_str(&format!(" =~ {}", rule.regex));
        }
        if rule.modulus != 0 {
            line.push_str(&format!(" % {}", rule.modulus));
        }
        if !rule.target_label.is_empty() {
            line.push_str(&format!(" -> {}", rule.target_label));
        }
        if rule.replacement != plain.replacement {
            line.push_str(&format!(" = {}", rule.replacement));
        }
        line + "\n"
    };
    rules.iter().map(line).collect()
}

fn rules(job: &JobSpec) -> String {
    lines(&job.config().relabel_configs)
}

/// The job without what every job has, and without its rules and searches in Kubernetes.
fn own_keys(job: &JobSpec) -> String {
    let mut value = job.full().clone();
    let always =
        serde_json::to_value(scrape::ScrapeConfig::new("").inherit(&scrape::GlobalConfig::default()));
    let always = always.unwrap();
    if let (Some(map), Some(always)) = (value.as_object_mut(), always.as_object()) {
        let is_elsewhere = |key: &str| matches!(key, "relabel_configs" | "kubernetes_sd_configs");
        map.retain(|key, value| always.get(key) != Some(value) && !is_elsewhere(key));
    }
    format!("{value:#}")
}

fn quarantined(generated: &Generated) -> String {
    let line = |one: &Quarantined| format!("{}: {}: {} (+{})\n", one.key, one.field, one.reason, one.n_more);
    generated.quarantine.iter().map(line).collect()
}

fn warned(generated: &Generated) -> String {
    let line = |one: &Warned| format!("{}: {}: {}\n", one.key, one.field, one.message);
    let of_fields = generated.warnings.iter().filter(|one| !one.message.contains("not built in"));
    of_fields.map(line).collect()
}

fn names(generated: &Generated) -> Vec<&str> {
    generated.jobs.keys().map(|name| &**name).collect()
}
