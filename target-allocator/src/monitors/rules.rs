//! Relabelling rules of a job on their way, each with the field it was made from.
//!
//! The order of rules decides the labels of targets, so it is that of prometheus-operator's generator. Different on purpose:
//! the three rules that share targets out over `$(SHARD)` are left out. With one shard they keep every target, and where
//! a collector happens to have `SHARD` in its environment they lose all of them.

use config::Problem;
use relabel::{Action, RuleConfig, Rules};

use super::crd::Relabeling;
use crate::selector::{Operator, Selector};

/// Rules, and for each of them the field of the monitor (or of its class) that asked for it.
#[derive(Debug, Default)]
pub(super) struct RuleList {
    rules: Vec<RuleConfig>,
    fields: Vec<String>,
}

impl RuleList {
    /// The rule that stands first in every job: the name of the job, for rules of users.
    pub(super) fn of_job() -> Self {
        let mut list = Self::default();
        list.push("metadata::name", copy(&["job"], "__tmp_prometheus_job_name"));
        list
    }

    pub(super) fn push(&mut self, field: impl Into<String>, rule: RuleConfig) {
        self.rules.push(rule);
        self.fields.push(field.into());
    }

    /// Rules that a user wrote, under `field`.
    pub(super) fn extend(&mut self, field: &str, relabelings: &[Relabeling]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, relabeling) in relabelings.iter().enumerate() {
            let path = format!("{field}::{index}");
            match relabeling.rule() {
                Ok(rule) => self.push(path, rule),
                Err(problem) => problems.push(problem.under(&path)),
            }
        }
        problems
    }

    /// Keeps targets whose object (`service`, `pod`, `ingress`) the selector matches. Values are parts of an expression
    /// and not escaped, as upstream: a dot matches any character.
    pub(super) fn select(&mut self, field: &str, object: &str, selector: &Selector) {
        for (key, value) in &selector.match_labels {
            let labels = label_and_presence(object, key);
            let rule = keep(&[&labels[0], &labels[1]], format!("({value});true"));
            self.push(format!("{field}::matchLabels::{key}"), rule);
        }
        for (index, requirement) in selector.match_expressions.iter().enumerate() {
            let labels = label_and_presence(object, &requirement.key);
            let both = [labels[0].as_str(), labels[1].as_str()];
            let one_of = || format!("({});true", requirement.values.join("|"));
            let rule = match requirement.operator {
                Operator::In => keep(&both, one_of()),
                Operator::NotIn => drop(&both, one_of()),
                Operator::Exists => keep(&both[1..], "true"),
                Operator::DoesNotExist => drop(&both[1..], "true"),
            };
            self.push(format!("{field}::matchExpressions::{index}"), rule);
        }
    }

    /// Copies labels of an object to targets, where they say something.
    pub(super) fn copy_labels(&mut self, field: &str, object: &str, labels: &[String]) {
        for (index, label) in labels.iter().enumerate() {
            let rule = rewrite(&[&meta_label(object, label)], "(.+)", &label_name(label), "${1}");
            self.push(format!("{field}::{index}"), rule);
        }
    }

    /// Rules and fields.
    pub(super) fn into_parts(self) -> (Vec<RuleConfig>, Vec<String>) {
        (self.rules, self.fields)
    }
}

impl Relabeling {
    fn rule(&self) -> Result<RuleConfig, Problem> {
        let action = match self.action.as_str() {
            "" => Action::Replace,
            word => Action::parse(word).ok_or_else(|| {
                Problem::at("action", format!("`{word}` is no action of relabelling"))
                    .with_hint("use replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase or uppercase")
            })?,
        };
        let plain = RuleConfig::default();
        let regex = if self.regex.is_empty() { plain.regex } else { self.regex.clone() };
        Ok(RuleConfig {
            source_labels: self.source_labels.clone(),
            separator: self.separator.clone().unwrap_or(plain.separator),
            regex,
            modulus: self.modulus,
            target_label: self.target_label.clone(),
            replacement: self.replacement.clone().unwrap_or(plain.replacement),
            action,
        })
    }
}

/// What is wrong with rules that a user wrote.
pub(super) fn check(field: &str, relabelings: &[Relabeling]) -> Vec<Problem> {
    let mut list = RuleList::default();
    let mut problems = list.extend(field, relabelings);
    if let Err(wrong) = Rules::build(&list.rules) {
        problems.extend(wrong.into_iter().map(|(index, message)| Problem::at(&list.fields[index], message)));
    }
    problems
}

/// What upstream makes of the name of a label: everything but letters, digits and `_` becomes `_`.
pub(super) fn label_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// The meta label that holds a label of an object.
pub(super) fn meta_label(object: &str, name: &str) -> String {
    format!("__meta_kubernetes_{object}_label_{}", label_name(name))
}

fn label_and_presence(object: &str, name: &str) -> [String; 2] {
    [meta_label(object, name), format!("__meta_kubernetes_{object}_labelpresent_{}", label_name(name))]
}

/// Copies the value of labels.
pub(super) fn copy(sources: &[&str], target: &str) -> RuleConfig {
    RuleConfig { target_label: target.to_owned(), ..reading(sources) }
}

/// Copies the value of labels where the expression matches, rewritten.
pub(super) fn rewrite(sources: &[&str], regex: &str, target: &str, replacement: &str) -> RuleConfig {
    RuleConfig { regex: regex.to_owned(), replacement: replacement.to_owned(), ..copy(sources, target) }
}

/// Sets a label.
pub(super) fn set(target: &str, value: &str) -> RuleConfig {
    RuleConfig { replacement: value.to_owned(), ..copy(&[], target) }
}

/// Keeps targets.
pub(super) fn keep(sources: &[&str], regex: impl Into<String>) -> RuleConfig {
    RuleConfig { regex: regex.into(), action: Action::Keep, ..reading(sources) }
}

/// Drops targets.
pub(super) fn drop(sources: &[&str], regex: impl Into<String>) -> RuleConfig {
    RuleConfig { regex: regex.into(), action: Action::Drop, ..reading(sources) }
}

/// Drops pods that have ended.
pub(super) fn running() -> RuleConfig {
    drop(&["__meta_kubernetes_pod_phase"], "(Failed|Succeeded)")
}

fn reading(sources: &[&str]) -> RuleConfig {
    RuleConfig {
        source_labels: sources.iter().map(|&label| label.to_owned()).collect(),
        ..RuleConfig::default()
    }
}
