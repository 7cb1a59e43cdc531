//! Selectors as `kubectl -l` and `--field-selector` take them.
//!
//! As apimachinery `labels.Parse` and `fields.ParseSelector`: requirements separated by commas, all of which must hold.

use std::fmt;

use cluster::TextMap;

/// A label selector that has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    Exists,
    IsAbsent,
    In(Vec<String>),
    /// Also where the label is absent.
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl Selector {
    /// Reads a selector; the empty one takes everything.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (requirement, behind) = requirement(rest)?;
            requirements.push(requirement);
            rest = behind.trim_start();
            if let Some(behind) = rest.strip_prefix(',') {
                rest = behind.trim_start();
                if rest.is_empty() {
                    return Err("a requirement is missing behind the last comma".to_owned());
                }
            } else if !rest.is_empty() {
                return Err(format!("a comma is missing before `{rest}`"));
            }
        }
        Ok(Self(requirements))
    }

    /// Whether it takes an object with these labels.
    pub(crate) fn takes(&self, labels: &TextMap) -> bool {
        self.first_mismatch(labels).is_none()
    }

    /// The first requirement that labels do not meet, as text.
    pub(super) fn first_mismatch(&self, labels: &TextMap) -> Option<String> {
        self.0.iter().find(|requirement| !requirement.holds(labels)).map(ToString::to_string)
    }
}

impl Requirement {
    fn holds(&self, labels: &TextMap) -> bool {
        let value = labels.get(&self.key).map(|value| &**value);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::IsAbsent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|known| known == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|known| known != value)),
            Test::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Test::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::Exists => write!(f, "{key}"),
            Test::IsAbsent => write!(f, "!{key}"),
            Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Test::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Test::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

/// The first requirement, and what follows it.
fn requirement(text: &str) -> Result<(Requirement, &str), String> {
    if let Some(behind) = text.strip_prefix('!') {
        let (key, rest) = key(behind.trim_start())?;
        return Ok((Requirement { key, test: Test::IsAbsent }, rest));
    }
    let (key, rest) = key(text)?;
    let rest = rest.trim_start();
    let with = |test: Test, rest| Ok((Requirement { key: key.clone(), test }, rest));
    for (operator, is_equal) in [("==", true), ("!=", false), ("=", true)] {
        if let Some(behind) = rest.strip_prefix(operator) {
            let (value, rest) = value(behind.trim_start())?;
            return with(if is_equal { Test::In(vec![value]) } else { Test::NotIn(vec![value]) }, rest);
        }
    }
    for (operator, is_greater) in [('>', true), ('<', false)] {
        if let Some(behind) = rest.strip_prefix(operator) {
            let (value, rest) = value(behind.trim_start())?;
            let bound =
                value.parse().map_err(|_| format!("`{value}` behind `{operator}` is no whole number"))?;
            return with(if is_greater { Test::GreaterThan(bound) } else { Test::LessThan(bound) }, rest);
        }
    }
    for (operator, is_in) in [("notin", false), ("in", true)] {
        let behind = rest.strip_prefix(operator).map(str::trim_start);
        if let Some(behind) = behind.and_then(|behind| behind.strip_prefix('(')) {
            let (list, rest) = behind.split_once(')').ok_or("`)` is missing behind a list of values")?;
            let values: Result<Vec<String>, String> = list
                .split(',')
                .map(|item| match value(item.trim())? {
                    (value, "") => Ok(value),
                    _ => Err(format!("`{}` is no value of a label", item.trim())),
                })
                .collect();
            return with(if is_in { Test::In(values?) } else { Test::NotIn(values?) }, rest);
        }
    }
    if rest.is_empty() || rest.starts_with(',') {
        return with(Test::Exists, rest);
    }
    Err(format!("`{rest}` does not begin with an operator: =, ==, !=, in, notin, <, >"))
}

/// Names may have a prefix of a domain.
const KEY_SIGNS: &[u8] = b"-_./";
const VALUE_SIGNS: &[u8] = b"-_.";

/// Longest part of a key behind its prefix, and longest value, in bytes.
const MAX_BYTES: usize = 63;

fn key(text: &str) -> Result<(String, &str), String> {
    let (key, rest) = word(text, KEY_SIGNS);
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if is_name(name) && !name.is_empty() {
        Ok((key.to_owned(), rest))
    } else {
        Err(format!("`{text}` does not begin with the key of a label"))
    }
}

fn value(text: &str) -> Result<(String, &str), String> {
    let (value, rest) = word(text, VALUE_SIGNS);
    if is_name(value) {
        Ok((value.to_owned(), rest))
    } else {
        Err(format!("`{value}` is no value of a label"))
    }
}

fn word<'a>(text: &'a str, signs: &[u8]) -> (&'a str, &'a str) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || signs.contains(&byte);
    text.split_at(text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len()))
}

/// Empty, or with a letter or digit at both ends.
fn is_name(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= MAX_BYTES && ends.into_iter().flatten().all(|byte| byte.is_ascii_alphanumeric())
}

/// The first requirement of a field selector that an object does not meet, as text. Of a field that `value` does not tell, any value
/// will do: the server may know it.
pub(super) fn first_field_mismatch<'a>(
    selector: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let holds = |part: &str| {
        let (field, wanted, is_equal) = match part.split_once("!=") {
            Some((field, wanted)) => (field, wanted, false),
            None => {
                part.split_once('=').map(|(field, wanted)| (field, wanted.trim_start_matches('='), true))?
            }
        };
        Some((value(field.trim())? == wanted.trim()) == is_equal)
    };
    let parts = selector.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.into_iter().find(|part| holds(part) == Some(false)).map(str::to_owned)
}

/// What is wrong with a field selector: `field=value`, `field==value` or `field!=value`, separated by commas. Which fields there
/// are is known to the server alone.
pub(crate) fn check_fields(text: &str) -> Result<(), String> {
    let wrong = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()).find(|part| {
        let field = part.split_once("!=").or_else(|| part.split_once('=')).map(|(field, _)| field.trim());
        field.is_none_or(str::is_empty)
    });
    wrong.map_or(Ok(()), |part| Err(format!("`{part}` is none of `field=value` and `field!=value`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(selector: &str, labels: &[(&str, &str)]) -> bool {
        Selector::parse(selector).unwrap().takes(&labels.iter().copied().collect())
    }

    #[test]
    fn all_requirements_must_hold() {
        let labels = [("app", "edge"), ("ring", "r1"), ("example.com/tier", ""), ("n", "7")];
        for selector in [
            "",
            "app=edge",
            "app==edge,ring=r1",
            "app in (core,edge)",
            "app notin (core), ring notin (r2,r3)",
            "example.com/tier",
            "example.com/tier=",
            "!missing",
            "! missing , app",
            "missing!=x",
            "missing notin (x)",
            "n>6,n<8",
        ] {
            assert!(takes(selector, &labels), "{selector}");
        }
        for selector in [
            "app=core",
            "app=edge,ring=r2",
            "app in (core)",
            "ring notin (r1)",
            "!app",
            "missing",
            "missing=",
            "n>7",
            "app<9",
        ] {
            assert!(!takes(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn the_first_requirement_that_does_not_hold_is_named() {
        let labels = [("app", "edge"), ("n", "7")].into_iter().collect();
        for (selector, named) in [
            ("app=edge,n", None),
            ("n,app==core", Some("app=core")),
            ("app in (core, shop)", Some("app in (core,shop)")),
            ("app!=edge", Some("app!=edge")),
            ("app notin (edge,core)", Some("app notin (edge,core)")),
            ("!app", Some("!app")),
            ("missing", Some("missing")),
            ("n>7", Some("n>7")),
            ("n < 7", Some("n<7")),
        ] {
            let found = Selector::parse(selector).unwrap().first_mismatch(&labels);
            assert_eq!(found.as_deref(), named, "{selector}");
        }
        let fields = |field: &str| (field == "spec.nodeName").then_some("n-1");
        for (selector, named) in [
            ("", None),
            ("spec.nodeName=n-1,status.unknown=x", None),
            ("spec.nodeName == n-2", Some("spec.nodeName == n-2")),
            ("spec.nodeName!=n-1", Some("spec.nodeName!=n-1")),
        ] {
            assert_eq!(first_field_mismatch(selector, fields).as_deref(), named, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place() {
        for (text, part) in [
            ("app=edge ring=r1", "`ring=r1`"),
            ("app in edge", "operator"),
            ("app in (edge", "`)`"),
            ("=x", "key"),
            ("app=a,", "last comma"),
            ("app=-x", "no value"),
            ("n>x", "whole number"),
            ("app in (a b)", "no value"),
        ] {
            let message = Selector::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(Selector::parse(&format!("a={}", "x".repeat(64))).is_err());
        assert_eq!(check_fields(""), Ok(()));
        assert_eq!(check_fields("spec.nodeName=a, status.phase!=Failed,x=="), Ok(()));
        assert!(check_fields("spec.nodeName").unwrap_err().contains("`spec.nodeName`"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            drop(Selector::parse(&text));
            drop(check_fields(&text));
        }
    }
}
