//! What is printed: a page for people, JSON for machines.

use std::fmt::Write;

use model::Labels;
use relabel::{Action, Change, Group, RuleConfig, Seen, Step};
use serde_json::{Map, Value, json};

use super::{RuleSet, Walk};

/// The page.
pub(super) fn text(set: &RuleSet, walk: &Walk) -> String {
    let mut page = Page(String::new());
    let n_rules = set.configs.len();
    page.line(0, &format!("{n_rules} rule{} of {}", if n_rules == 1 { "" } else { "s" }, set.origin));
    page.labels("start", &walk.start);
    for (index, (config, step)) in set.configs.iter().zip(&walk.steps).enumerate() {
        page.line(0, &format!("rule {index}: {}", one_line(config)));
        page.seen(config.action, &step.seen);
        for change in &step.changes {
            page.line(1, &changed(change));
        }
        if step.is_kept && step.changes.is_empty() {
            page.line(1, "nothing changes");
        }
    }
    match walk.dropped_by() {
        Some(index) => page.line(0, &format!("dropped by rule {index}")),
        None => page.labels("kept", &walk.end),
    }
    page.target(walk);
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, text: &str) {
        writeln!(self.0, "{}{text}", "    ".repeat(depth)).expect("a String takes every write");
    }

    fn labels(&mut self, title: &str, labels: &Labels) {
        self.line(
            0,
            if labels.is_empty() { format!("{title}: no labels") } else { format!("{title}:") }.as_str(),
        );
        for (name, value) in labels.iter() {
            self.line(1, &format!("{name}={value:?}"));
        }
    }

    fn seen(&mut self, action: Action, seen: &Seen) {
        let line = match seen {
            Seen::Text { joined, groups: None } => format!("{joined:?} does not match"),
            Seen::Text { joined, groups: Some(groups) } => format!("{joined:?} matches{}", groups_of(groups)),
            Seen::Compared { joined, with } if joined == with => {
                format!("{joined:?} equals the target label")
            }
            Seen::Compared { joined, with } => format!("{joined:?} is not the target label's {with:?}"),
            Seen::Read { joined } => format!("{action} of {joined:?}"),
            Seen::Names(names) if names.is_empty() => "no name matches".to_owned(),
            Seen::Names(names) => format!("matching names: {}", names.join(", ")),
        };
        self.line(1, &line);
    }

    fn target(&mut self, walk: &Walk) {
        match &walk.target {
            None | Some(Ok(None)) => {}
            Some(Err(why)) => self.line(0, &format!("not scraped: {why}")),
            Some(Ok(Some(target))) => {
                self.labels("target", target.labels());
                self.line(1, &format!("url: {}", target.url));
                self.line(1, &format!("interval: {:?}, timeout: {:?}", target.interval, target.timeout));
            }
        }
    }
}

/// Groups but the whole match, which is the text itself.
fn groups_of(groups: &[Group]) -> String {
    let show = |group: &Group| match &group.text {
        Some(text) => format!("${{{}}}={text:?}", group.name),
        None => format!("${{{}}} took no part", group.name),
    };
    let shown: Vec<String> = groups.iter().skip(1).map(show).collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) }
}

fn changed(change: &Change) -> String {
    let name = &change.name;
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("~ {name}={before:?} -> {after:?}"),
        (Some(before), None) => format!("- {name}={before:?}"),
        (None, after) => format!("+ {name}={:?}", after.as_deref().unwrap_or_default()),
    }
}

/// The rule as a YAML map in one line, without what it would say anyway.
fn one_line(config: &RuleConfig) -> String {
    let default = RuleConfig::default();
    let quoted = |text: &String| Value::from(text.as_str()).to_string();
    let mut parts = vec![format!("action: {}", config.action)];
    if !config.source_labels.is_empty() {
        parts.push(format!("source_labels: [{}]", config.source_labels.join(", ")));
    }
    let texts = [
        ("separator", &config.separator, &default.separator),
        ("regex", &config.regex, &default.regex),
        ("target_label", &config.target_label, &default.target_label),
        ("replacement", &config.replacement, &default.replacement),
    ];
    let said = texts.into_iter().filter(|(_, text, usual)| text != usual);
    parts.extend(said.map(|(key, text, _)| format!("{key}: {}", quoted(text))));
    if config.modulus != 0 {
        parts.push(format!("modulus: {}", config.modulus));
    }
    format!("{{{}}}", parts.join(", "))
}

/// The same as JSON, with a final newline.
pub(super) fn json(set: &RuleSet, walk: &Walk) -> String {
    let steps = set.configs.iter().zip(&walk.steps).enumerate();
    let mut answer = json!({
        "rules": set.origin,
        "start": object(&walk.start),
        "steps": steps.map(|(index, (config, step))| step_json(index, config, step)).collect::<Vec<_>>(),
        "kept": walk.dropped_by().is_none(),
        "dropped_by": walk.dropped_by(),
        "end": object(&walk.end),
    });
    match &walk.target {
        None | Some(Ok(None)) => {}
        Some(Err(why)) => answer["not_scraped"] = json!(why),
        Some(Ok(Some(target))) => {
            answer["target"] = json!({
                "labels": object(target.labels()),
                "url": target.url,
                "interval_seconds": target.interval.as_secs_f64(),
                "timeout_seconds": target.timeout.as_secs_f64(),
            });
        }
    }
    format!("{answer:#}\n")
}

fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}

fn step_json(index: usize, config: &RuleConfig, step: &Step) -> Value {
    let mut json = Map::new();
    json.insert("rule".to_owned(), json!(index));
    json.insert("config".to_owned(), json!(config));
    match &step.seen {
        Seen::Text { joined, groups } => {
            json.insert("text".to_owned(), json!(joined));
            json.insert("matches".to_owned(), json!(groups.is_some()));
            let groups = groups.iter().flatten().map(|group| (group.name.clone(), json!(group.text)));
            json.insert("groups".to_owned(), Value::Object(groups.collect()));
        }
        Seen::Compared { joined, with } => {
            json.insert("text".to_owned(), json!(joined));
            json.insert("compared_with".to_owned(), json!(with));
        }
        Seen::Read { joined } => drop(json.insert("text".to_owned(), json!(joined))),
        Seen::Names(names) => drop(json.insert("matching_names".to_owned(), json!(names))),
    }
    let change =
        |change: &Change| json!({"name": change.name, "before": change.before, "after": change.after});
    json.insert("changes".to_owned(), step.changes.iter().map(change).collect());
    json.insert("kept".to_owned(), json!(step.is_kept));
    Value::Object(json)
}
