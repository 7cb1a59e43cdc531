//! Target groups, and the two ways in which files and servers write them.
//!
//! As Prometheus `discovery/targetgroup`: a list of `{targets, labels}`. In JSON labels and targets are
//! strings and nothing else may stand there; YAML takes any scalar as it was written.

use std::sync::Arc;

use config::{Node, Place, Problem, Value};
use model::Labels;
use serde::Deserialize;

use crate::config::address;

/// Largest file or answer that is read, in bytes. 100,000 targets with 30 labels each come to about 180 MB.
pub const MAX_GROUPS_BYTES: usize = 512 << 20;

/// Targets that share labels and came from one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Which place that was: unique within a job.
    pub source: Arc<str>,
    /// Labels of all its targets; a target's own labels win over them.
    pub labels: Labels,
    /// The targets; each has at least `__address__`.
    pub targets: Vec<Labels>,
}

/// Target groups from JSON. Their sources are `<source>:<index>`; `meta` is added to the labels of each.
///
/// # Errors
/// When anything is not as Prometheus wants it, with the place.
pub fn parse_json(text: &str, source: &str, meta: (&str, &str)) -> Result<Vec<Group>, Problem> {
    let items: Option<Vec<Option<JsonGroup>>> = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The place is said in front, where every message has it.
        let message = message.split(" at line ").next().unwrap_or(&message);
        let (line, column) = (error.line(), error.column());
        let to_u32 = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Place { source: source.into(), line: to_u32(line).max(1), column: to_u32(column).max(1) };
        Problem::error("", format!("the list of target groups is not as it should be: {message}"))
            .with_place(&place)
    })?;
    let mut groups = Vec::new();
    for (index, item) in items.unwrap_or_default().into_iter().enumerate() {
        let Some(item) = item else {
            return Err(nothing_there(index, &Place { source: source.into(), line: 1, column: 1 }));
        };
        let mut labels = Labels::new();
        for (name, value) in &item.labels.unwrap_or_default() {
            if name.is_empty() {
                let place = Place { source: source.into(), line: 1, column: 1 };
                return Err(
                    Problem::error(format!("{index}::labels"), "a label needs a name").with_place(&place)
                );
            }
            labels.set(name, value);
        }
        labels.set(meta.0, meta.1);
        let targets = item.targets.unwrap_or_default().iter().map(|target| address(target)).collect();
        groups.push(Group { source: source_of(source, index), labels, targets });
    }
    Ok(groups)
}

/// Target groups from YAML. Their sources are `<source>:<index>`; `meta` is added to the labels of each.
///
/// # Errors
/// When anything is not as Prometheus wants it, with the place.
pub fn parse_yaml(text: &str, source: &str, meta: (&str, &str)) -> Result<Vec<Group>, Problem> {
    let parsed = config::parse(text, source)?;
    if parsed.root.is_null() {
        return Ok(Vec::new());
    }
    if !parsed.root.is_seq() {
        return Err(expected("a list of target groups", &parsed.root, ""));
    }
    let group = |(index, node): (usize, &Node)| {
        let mut group = yaml_group(node, &index.to_string())?;
        group.labels.set(meta.0, meta.1);
        group.source = source_of(source, index);
        Ok(group)
    };
    parsed.root.items().enumerate().map(group).collect()
}

/// What one item of a JSON answer may hold. The aliases are there because Go reads names of fields in any
/// case, and generators in Go write them capitalised.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    #[serde(default, alias = "Targets")]
    targets: Option<Vec<String>>,
    #[serde(default, alias = "Labels")]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

fn yaml_group(node: &Node, path: &str) -> Result<Group, Problem> {
    if node.is_null() {
        return Err(nothing_there(path, node.place()));
    }
    if !node.is_map() {
        return Err(expected("a map with `targets` and `labels`", node, path));
    }
    let mut group = Group::default();
    for entry in node.map_entries() {
        match entry.key.as_str() {
            "targets" => group.targets = yaml_targets(&entry.node, path)?,
            "labels" => group.labels = yaml_labels(&entry.node, path)?,
            other => {
                let problem = Problem::error(path, format!("unknown key `{other}`")).with_place(&entry.place);
                let hint = config::nearest(other, ["targets", "labels"].into_iter());
                return Err(match hint {
                    Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
                    None => problem.with_hint("known: `targets`, `labels`"),
                });
            }
        }
    }
    Ok(group)
}

fn yaml_targets(node: &Node, path: &str) -> Result<Vec<Labels>, Problem> {
    let path = format!("{path}::targets");
    if !node.is_null() && !node.is_seq() {
        return Err(expected("a list of addresses", node, &path));
    }
    node.items().map(|item| scalar(item, &path).map(address)).collect()
}

fn yaml_labels(node: &Node, path: &str) -> Result<Labels, Problem> {
    let path = format!("{path}::labels");
    if !node.is_null() && !node.is_map() {
        return Err(expected("a map of labels", node, &path));
    }
    let mut labels = Labels::new();
    for entry in node.map_entries() {
        if entry.key.is_empty() {
            return Err(Problem::error(path, "a label needs a name").with_place(&entry.place));
        }
        labels.set(&entry.key, scalar(&entry.node, &path)?);
    }
    Ok(labels)
}

/// A scalar as it was written; null is empty, as Go has it.
fn scalar<'a>(node: &'a Node, path: &str) -> Result<&'a str, Problem> {
    match node.value() {
        Value::Null => Ok(""),
        Value::Map(_) | Value::Seq(_) => Err(expected("a string", node, path)),
        _ => Ok(node.text().unwrap_or_default()),
    }
}

fn expected(what: &str, found: &Node, path: &str) -> Problem {
    Problem::error(path, format!("expected {what}, found {}", found.kind())).with_place(found.place())
}

fn nothing_there(index: impl ToString, place: &Place) -> Problem {
    Problem::error(index.to_string(), "a target group is missing here").with_place(place)
}

fn source_of(source: &str, index: usize) -> Arc<str> {
    format!("{source}:{index}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(groups: Result<Vec<Group>, Problem>) -> String {
        let group = |group: &Group| {
            let targets: Vec<&str> = group.targets.iter().map(|target| target.value("__address__")).collect();
            format!("{} {} {}", group.source, targets.join(","), group.labels)
        };
        match groups {
            Ok(groups) => groups.iter().map(group).collect::<Vec<_>>().join("\n"),
            Err(problem) => problem.to_string(),
        }
    }

    fn json(text: &str) -> String {
        show(parse_json(text, "http://sd/x", ("__meta_url", "http://sd/x")))
    }

    fn yaml(text: &str) -> String {
        show(parse_yaml(text, "t.yaml", ("__meta_filepath", "t.yaml")))
    }

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(
            json(r#"[{"targets":["a:1","b:2"],"labels":{"env":"x"}},{"targets":[]},{}]"#),
            "http://sd/x:0 a:1,b:2 {__meta_url=\"http://sd/x\", env=\"x\"}\n\
             http://sd/x:1  {__meta_url=\"http://sd/x\"}\nhttp://sd/x:2  {__meta_url=\"http://sd/x\"}"
        );
        assert_eq!(
            yaml("- targets: [a:1, b:2]\n  labels: {env: x, rack: 7}\n"),
            "t.yaml:0 a:1,b:2 {__meta_filepath=\"t.yaml\", env=\"x\", rack=\"7\"}"
        );
        assert_eq!(
            (json("[]"), json("null"), yaml("# none\n")),
            (String::new(), String::new(), String::new())
        );
    }

    #[test]
    fn json_takes_strings_and_known_fields_only() {
        for (text, expected) in [
            (r#"[{"targets":[1]}]"#, "invalid type: integer `1`, expected a string"),
            (r#"[{"targets":["a"],"labels":{"x":1}}]"#, "invalid type: integer `1`, expected a string"),
            (r#"[{"targets":["a"],"port":1}]"#, "unknown field `port`"),
            (r#"["not ready"]"#, "invalid type: string \"not ready\""),
            (r#"{"error":"x"}"#, "invalid type: map"),
            ("[null]", "a target group is missing here"),
            ("<html>", "expected value"),
            ("", "EOF while parsing a value"),
            ("[] []", "trailing characters"),
        ] {
            let problem = json(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        assert!(
            json("[\n{\"targets\":[\"a\"],\n\"port\":1}]").starts_with("error: http://sd/x:3:"),
            "line is named"
        );
    }

    #[test]
    fn yaml_mistakes_have_a_place() {
        assert_eq!(
            yaml("- targets: [a]\n- tragets: [b]\n"),
            "error: t.yaml:2:3: 1: unknown key `tragets`; did you mean `targets`?"
        );
        assert_eq!(yaml("targets: [a]"), "error: t.yaml:1:1: expected a list of target groups, found a map");
        assert_eq!(
            yaml("- targets: a:1\n"),
            "error: t.yaml:1:12: 0::targets: expected a list of addresses, found a string"
        );
    }
}
