//! Label selectors of Kubernetes: which objects are meant.
//!
//! As apimachinery (`LabelSelectorAsSelector`): every condition must hold, a selector without conditions matches
//! everything, and `NotIn` and `DoesNotExist` hold where the label is absent. What the API server does not check inside
//! custom resources (names of labels, values, operators) is checked here.

use std::collections::BTreeMap;
use std::fmt;

use config::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// Labels of an object of Kubernetes.
pub type ObjectLabels = BTreeMap<String, String>;

/// A selector over labels of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels with exactly these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels.
    #[serde(default)]
    pub match_expressions: Vec<Requirement>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Requirement {
    /// The name of the label.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What is asked of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Operator {
    /// It has one of the values.
    In,
    /// It has none of the values, or is absent.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The first condition that the labels do not meet, as text; labels first, in order of name.
    #[must_use]
    pub fn first_mismatch(&self, labels: &ObjectLabels) -> Option<String> {
        let by_label = self.match_labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
        if let Some((key, value)) = by_label {
            return Some(format!("{key}={value}"));
        }
        let missed = self.match_expressions.iter().find(|requirement| !requirement.holds(labels))?;
        Some(missed.to_string())
    }

    /// Whether every condition is met.
    #[must_use]
    pub fn matches(&self, labels: &ObjectLabels) -> bool {
        self.first_mismatch(labels).is_none()
    }

    /// What the API server would refuse in a selector of its own; paths are relative to the selector.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, value) in &self.match_labels {
            let path = format!("matchLabels::{key}");
            problems.extend(name_problem(&path, key));
            problems.extend(value_problem(&path, value));
        }
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let path = format!("matchExpressions::{index}");
            problems.extend(requirement.check().into_iter().map(|problem| problem.under(&path)));
        }
        problems
    }
}

impl fmt::Display for Selector {
    /// As `kubectl --selector` takes it: conditions in order of label, values in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.match_labels.iter().map(|(key, value)| (key, format!("{key}={value}")));
        let expressions = self.match_expressions.iter().map(|one| (&one.key, one.to_string()));
        let mut all: Vec<(&String, String)> = labels.chain(expressions).collect();
        all.sort_by_key(|(key, _)| *key);
        let texts: Vec<String> = all.into_iter().map(|(_, text)| text).collect();
        f.write_str(&texts.join(","))
    }
}

impl Requirement {
    fn holds(&self, labels: &ObjectLabels) -> bool {
        let value = labels.get(&self.key);
        let is_listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => is_listed,
            Operator::NotIn => !is_listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(name_problem("key", &self.key));
        let takes_values = matches!(self.operator, Operator::In | Operator::NotIn);
        if takes_values && self.values.is_empty() {
            problems.push(
                Problem::at("values", format!("{:?} needs values", self.operator))
                    .with_hint("list them, or use Exists or DoesNotExist"),
            );
        }
        if !takes_values && !self.values.is_empty() {
            problems.push(
                Problem::at("values", format!("{:?} takes no values", self.operator))
                    .with_hint("remove them, or use In or NotIn"),
            );
        }
        for (index, value) in self.values.iter().enumerate() {
            problems.extend(value_problem(&format!("values::{index}"), value));
        }
        problems
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        values.dedup();
        let values = values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// The longest value of a label, and the longest name without its prefix, in characters.
const MAX_LABEL: usize = 63;
/// The longest prefix of the name of a label, in characters.
const MAX_PREFIX: usize = 253;

fn name_problem(path: &str, key: &str) -> Option<Problem> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_good = is_word(name) && prefix.is_none_or(is_subdomain);
    let hint = format!(
        "write a name of at most {MAX_LABEL} letters, digits, `-`, `_` and `.`, perhaps with a DNS name and `/` before it"
    );
    (!is_good).then(|| Problem::at(path, format!("`{key}` cannot be the name of a label")).with_hint(hint))
}

fn value_problem(path: &str, value: &str) -> Option<Problem> {
    let is_good = value.is_empty() || is_word(value);
    let hint = format!(
        "write at most {MAX_LABEL} letters, digits, `-`, `_` and `.` that begin and end with a letter or digit"
    );
    (!is_good).then(|| Problem::at(path, format!("`{value}` cannot be the value of a label")).with_hint(hint))
}

fn is_word(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_LABEL
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.iter().copied().all(is_inner)
}

fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        is_word(part) && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= MAX_PREFIX && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> ObjectLabels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn selector(text: &str) -> Selector {
        let node = config::parse(text, "s.yaml").unwrap().root;
        config::read(&node, "").unwrap()
    }

    #[test]
    fn a_selector_without_conditions_matches_everything() {
        assert!(selector("{}").matches(&labels(&[])));
        assert!(selector("{matchLabels: {}, matchExpressions: []}").matches(&labels(&[("a", "b")])));
    }

    #[test]
    fn the_first_condition_that_does_not_hold_is_named() {
        let selector = selector(
            "matchLabels: {app: edge}
matchExpressions:
- {key: ring, operator: NotIn, values: [r2, r1]}
- {key: old, operator: DoesNotExist}
- {key: team, operator: Exists}
- {key: zone, operator: In, values: [b, a]}",
        );
        for (pairs, mismatch) in [
            (vec![], Some("app=edge")),
            (vec![("app", "edge"), ("ring", "r1")], Some("ring notin (r1,r2)")),
            (vec![("app", "edge"), ("old", "")], Some("!old")),
            (vec![("app", "edge")], Some("team")),
            (vec![("app", "edge"), ("team", "x"), ("zone", "c")], Some("zone in (a,b)")),
            (vec![("app", "edge"), ("team", "x"), ("zone", "b")], None),
        ] {
            assert_eq!(selector.first_mismatch(&labels(&pairs)).as_deref(), mismatch, "{pairs:?}");
        }
        assert_eq!(selector.to_string(), "app=edge,!old,ring notin (r1,r2),team,zone in (a,b)");
    }

    #[test]
    fn what_the_api_server_would_refuse_is_told_with_its_path() {
        let selector = selector(
            "matchLabels: {a(b: c, ok.io/name: '-x'}
matchExpressions:
- {key: a, operator: In}
- {key: a, operator: Exists, values: [x]}
- {key: UPPER/a, operator: In, values: ['a b']}",
        );
        let paths: Vec<String> = selector.check().into_iter().map(|problem| problem.path).collect();
        assert_eq!(
            paths,
            [
                "matchLabels::a(b",
                "matchLabels::ok.io/name",
                "matchExpressions::0::values",
                "matchExpressions::1::values",
                "matchExpressions::2::key",
                "matchExpressions::2::values::0",
            ]
        );
    }
}
