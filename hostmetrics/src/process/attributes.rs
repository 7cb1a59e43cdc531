//! `resource_attributes` of the scraper `process`: what is said of a process, and which processes are left out by it.

use config::Problem;
use relabel::Search;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Cgroup,
    Command,
    CommandLine,
    ExecutableName,
    ExecutablePath,
    Owner,
    ParentPid,
    Pid,
}

/// Every resource attribute: what it says, its key, whether it is sent by default, and its description.
pub(crate) const FACTS: [(Fact, &str, bool, &str); 8] = [
    (Fact::Cgroup, "process.cgroup", false, "The text of its cgroup file."),
    (Fact::Command, "process.command", true, "The first word of its command line."),
    (Fact::CommandLine, "process.command_line", true, "Its command line, words joined by blanks."),
    (
        Fact::ExecutableName,
        "process.executable.name",
        true,
        "Its name as the kernel keeps it, completed from the command line.",
    ),
    (Fact::ExecutablePath, "process.executable.path", true, "The file of its program."),
    (Fact::Owner, "process.owner", true, "The name of its user."),
    (Fact::ParentPid, "process.parent_pid", true, "The number of its parent; an integer."),
    (Fact::Pid, "process.pid", true, "Its number; an integer."),
];

/// A text, or a regular expression that matches anywhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ValueFilter {
    /// The value is this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<String>,
    /// This expression, in RE2 syntax, matches somewhere in the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

/// What the configuration says of a resource attribute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct AttributeConfig {
    /// Whether it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Only processes with such a value are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics_include: Vec<ValueFilter>,
    /// Processes with such a value are not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics_exclude: Vec<ValueFilter>,
}

/// The key `resource_attributes`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct AttributesConfig {
    /// The text of its cgroup file. Off by default.
    #[serde(default, rename = "process.cgroup")]
    pub cgroup: AttributeConfig,
    /// The first word of its command line.
    #[serde(default, rename = "process.command")]
    pub command: AttributeConfig,
    /// Its command line, words joined by blanks.
    #[serde(default, rename = "process.command_line")]
    pub command_line: AttributeConfig,
    /// Its name as the kernel keeps it, completed from the command line.
    #[serde(default, rename = "process.executable.name")]
    pub executable_name: AttributeConfig,
    /// The file of its program.
    #[serde(default, rename = "process.executable.path")]
    pub executable_path: AttributeConfig,
    /// The name of its user.
    #[serde(default, rename = "process.owner")]
    pub owner: AttributeConfig,
    /// The number of its parent.
    #[serde(default, rename = "process.parent_pid")]
    pub parent_pid: AttributeConfig,
    /// Its number.
    #[serde(default, rename = "process.pid")]
    pub pid: AttributeConfig,
}

impl AttributesConfig {
    fn of(&self, fact: Fact) -> &AttributeConfig {
        match fact {
            Fact::Cgroup => &self.cgroup,
            Fact::Command => &self.command,
            Fact::CommandLine => &self.command_line,
            Fact::ExecutableName => &self.executable_name,
            Fact::ExecutablePath => &self.executable_path,
            Fact::Owner => &self.owner,
            Fact::ParentPid => &self.parent_pid,
            Fact::Pid => &self.pid,
        }
    }
}

/// The attributes that are sent, ready to be used.
#[derive(Debug)]
pub(super) struct Wanted {
    facts: Vec<WantedFact>,
}

#[derive(Debug)]
struct WantedFact {
    fact: Fact,
    key: &'static str,
    include: Vec<Value>,
    exclude: Vec<Value>,
}

#[derive(Debug)]
enum Value {
    Strict(String),
    Regexp(Search),
}

impl Value {
    fn is(&self, text: &str) -> bool {
        match self {
            Self::Strict(value) => value == text,
            Self::Regexp(search) => search.is_match(text),
        }
    }
}

impl Wanted {
    pub(super) fn build(config: &AttributesConfig, problems: &mut Vec<Problem>) -> Self {
        let mut facts = Vec::new();
        for (fact, key, is_on, _) in FACTS {
            let said = config.of(fact);
            let mut values = |list: &str, filters: &[ValueFilter]| {
                let at = |index: usize| format!("resource_attributes::{key}::{list}::{index}");
                let built = filters.iter().enumerate().map(|(index, filter)| value_of(filter, &at(index)));
                let (good, bad): (Vec<_>, Vec<_>) = built.partition(Result::is_ok);
                problems.extend(bad.into_iter().filter_map(Result::err));
                good.into_iter().filter_map(Result::ok).collect()
            };
            let (include, exclude) = (
                values("metrics_include", &said.metrics_include),
                values("metrics_exclude", &said.metrics_exclude),
            );
            if said.enabled.unwrap_or(is_on) {
                facts.push(WantedFact { fact, key, include, exclude });
            }
        }
        Self { facts }
    }

    /// Whether an attribute is sent.
    pub(super) fn has(&self, fact: Fact) -> bool {
        self.facts.iter().any(|wanted| wanted.fact == fact)
    }

    /// The key of an attribute that is sent.
    pub(super) fn key(&self, fact: Fact) -> Option<&'static str> {
        self.facts.iter().find(|wanted| wanted.fact == fact).map(|wanted| wanted.key)
    }

    /// Whether a process with this value is told.
    pub(super) fn takes(&self, fact: Fact, value: &str) -> bool {
        self.facts.iter().filter(|wanted| wanted.fact == fact).all(|wanted| {
            (wanted.include.is_empty() || wanted.include.iter().any(|filter| filter.is(value)))
                && !wanted.exclude.iter().any(|filter| filter.is(value))
        })
    }
}

fn value_of(filter: &ValueFilter, path: &str) -> Result<Value, Problem> {
    match (&filter.strict, &filter.regexp) {
        (Some(text), None) => Ok(Value::Strict(text.clone())),
        (None, Some(text)) => Search::build(text)
            .map(Value::Regexp)
            .map_err(|bad| Problem::at(path, format!("{text:?} is no regular expression: {bad}"))),
        _ => Err(Problem::at(path, "a filter is one of `strict` and `regexp`")
            .with_hint("write exactly one of them")),
    }
}
