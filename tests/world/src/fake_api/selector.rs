//! Label and field selectors as an API server reads them.

use serde_json::Value;

/// Conditions that all have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Condition>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Equals(Vec<String>, String),
    Differs(Vec<String>, String),
    In(Vec<String>, Vec<String>),
    NotIn(Vec<String>, Vec<String>),
    Exists(Vec<String>),
    Missing(Vec<String>),
}

impl Selector {
    /// From the words `labelSelector` and `fieldSelector` of a query.
    pub(super) fn parse(labels: &str, fields: &str) -> Self {
        let label = |name: &str| ["metadata", "labels", name].map(str::to_owned).to_vec();
        let field = |name: &str| name.split('.').map(str::to_owned).collect();
        let labels = terms(labels).into_iter().map(|term| Condition::parse(term, label));
        let fields = terms(fields).into_iter().map(|term| Condition::parse(term, field));
        Self(labels.chain(fields).collect())
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|condition| condition.holds(object))
    }
}

/// Pieces between commas that stand outside of parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let pieces = text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    pieces.map(str::trim).filter(|term| !term.is_empty()).collect()
}

impl Condition {
    fn parse(term: &str, path: impl Fn(&str) -> Vec<String>) -> Self {
        let list = |text: &str| {
            text.trim_matches(['(', ')']).split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()
        };
        if let Some((name, words)) = term.split_once(" notin ") {
            Self::NotIn(path(name.trim()), list(words.trim()))
        } else if let Some((name, words)) = term.split_once(" in ") {
            Self::In(path(name.trim()), list(words.trim()))
        } else if let Some((name, value)) = term.split_once("!=") {
            Self::Differs(path(name.trim()), value.trim().to_owned())
        } else if let Some((name, value)) = term.split_once('=') {
            Self::Equals(path(name.trim()), value.trim_start_matches('=').trim().to_owned())
        } else if let Some(name) = term.strip_prefix('!') {
            Self::Missing(path(name.trim()))
        } else {
            Self::Exists(path(term))
        }
    }

    fn holds(&self, object: &Value) -> bool {
        let (Self::Equals(path, _)
        | Self::Differs(path, _)
        | Self::In(path, _)
        | Self::NotIn(path, _)
        | Self::Exists(path)
        | Self::Missing(path)) = self;
        let found = path.iter().try_fold(object, |value, key| value.get(key)).and_then(Value::as_str);
        match self {
            Self::Equals(_, value) => {
                found.unwrap_or_default() == value && (found.is_some() || value.is_empty())
            }
            Self::Differs(_, value) => found != Some(value),
            Self::In(_, values) => found.is_some_and(|found| values.iter().any(|value| value == found)),
            Self::NotIn(_, values) => !found.is_some_and(|found| values.iter().any(|value| value == found)),
            Self::Exists(_) => found.is_some(),
            Self::Missing(_) => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select_as_kubernetes_does() {
        let pod = json!({ "metadata": { "name": "p", "labels": { "app": "web", "a.b/c": "d" } },
            "spec": { "nodeName": "n" } });
        for (labels, fields, expected) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,a.b/c=d", "", true),
            ("app!=web", "", false),
            ("other!=web", "", true),
            ("app in (web, db),a.b/c", "", true),
            ("app notin (db)", "", true),
            ("app notin (web)", "", false),
            ("!other", "", true),
            ("!app", "", false),
            ("other", "", false),
            ("", "metadata.name=p,spec.nodeName=n", true),
            ("", "spec.nodeName!=n", false),
            ("", "spec.nodeName=", false),
        ] {
            assert_eq!(Selector::parse(labels, fields).matches(&pod), expected, "{labels} {fields}");
        }
    }
}
