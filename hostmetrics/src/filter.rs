//! `include` and `exclude`: which devices, interfaces, processes or mounts are looked at.
//!
//! As upstream's `filterset`: `strict` compares whole texts, `regexp` looks for a match anywhere; an empty list is no
//! filter; what is excluded stays out although it is included.

use std::collections::HashSet;

use config::Problem;
use relabel::Search;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the texts of a list are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// Equal texts.
    Strict,
    /// Regular expressions in RE2 syntax that match anywhere.
    Regexp,
}

/// A list with a rule how to compare, whatever its key is called.
pub(crate) trait Listed {
    const KEY: &'static str;
    fn parts(&self) -> (&[String], Option<MatchType>);
}

/// Devices by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Devices {
    /// Names or expressions.
    #[serde(default)]
    pub devices: Vec<String>,
    /// How they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_type: Option<MatchType>,
}

impl Listed for Devices {
    const KEY: &'static str = "devices";
    fn parts(&self) -> (&[String], Option<MatchType>) {
        (&self.devices, self.match_type)
    }
}

/// Network interfaces by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Interfaces {
    /// Names or expressions.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// How they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_type: Option<MatchType>,
}

impl Listed for Interfaces {
    const KEY: &'static str = "interfaces";
    fn parts(&self) -> (&[String], Option<MatchType>) {
        (&self.interfaces, self.match_type)
    }
}

/// Processes by the name of their executable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Names {
    /// Names or expressions.
    #[serde(default)]
    pub names: Vec<String>,
    /// How they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_type: Option<MatchType>,
}

impl Listed for Names {
    const KEY: &'static str = "names";
    fn parts(&self) -> (&[String], Option<MatchType>) {
        (&self.names, self.match_type)
    }
}

/// Filesystems by type.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct FsTypes {
    /// Types or expressions.
    #[serde(default)]
    pub fs_types: Vec<String>,
    /// How they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_type: Option<MatchType>,
}

impl Listed for FsTypes {
    const KEY: &'static str = "fs_types";
    fn parts(&self) -> (&[String], Option<MatchType>) {
        (&self.fs_types, self.match_type)
    }
}

/// Filesystems by where they are mounted, as the host sees it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct MountPoints {
    /// Paths or expressions.
    #[serde(default)]
    pub mount_points: Vec<String>,
    /// How they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_type: Option<MatchType>,
}

impl Listed for MountPoints {
    const KEY: &'static str = "mount_points";
    fn parts(&self) -> (&[String], Option<MatchType>) {
        (&self.mount_points, self.match_type)
    }
}

/// An include list and an exclude list, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    include: Option<Set>,
    exclude: Option<Set>,
}

#[derive(Debug)]
enum Set {
    Strict(HashSet<String>),
    Regexp(Vec<Search>),
}

impl Set {
    fn has(&self, text: &str) -> bool {
        match self {
            Self::Strict(texts) => texts.contains(text),
            Self::Regexp(searches) => searches.iter().any(|search| search.is_match(text)),
        }
    }
}

impl Filter {
    /// Compiles both lists; problems are told below the keys they came from.
    pub(crate) fn build<L: Listed>(
        (include_key, include): (&str, Option<&L>),
        (exclude_key, exclude): (&str, Option<&L>),
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut set = |key: &str, list: Option<&L>| match list.map_or(Ok(None), set_of) {
            Ok(set) => set,
            Err(problem) => {
                problems.push(problem.under(key));
                None
            }
        };
        Self { include: set(include_key, include), exclude: set(exclude_key, exclude) }
    }

    /// Whether what is called so is looked at.
    pub(crate) fn takes(&self, text: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.has(text))
            && !self.exclude.as_ref().is_some_and(|set| set.has(text))
    }
}

fn set_of<L: Listed>(list: &L) -> Result<Option<Set>, Problem> {
    let (texts, match_type) = list.parts();
    let Some(match_type) = match_type else {
        return Err(
            Problem::at("match_type", "match_type is missing").with_hint("write `strict` or `regexp`")
        );
    };
    if texts.is_empty() {
        return Ok(None);
    }
    match match_type {
        MatchType::Strict => Ok(Some(Set::Strict(texts.iter().cloned().collect()))),
        MatchType::Regexp => {
            let search = |(index, text): (usize, &String)| {
                Search::build(text).map_err(|bad| {
                    Problem::at(
                        format!("{}::{index}", L::KEY),
                        format!("{text:?} is no regular expression: {bad}"),
                    )
                })
            };
            texts.iter().enumerate().map(search).collect::<Result<_, _>>().map(|all| Some(Set::Regexp(all)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(devices: &[&str], match_type: Option<MatchType>) -> Devices {
        Devices { devices: devices.iter().map(ToString::to_string).collect(), match_type }
    }

    fn filter(include: Option<Devices>, exclude: Option<Devices>) -> Result<Filter, String> {
        let mut problems = Vec::new();
        let sides = (("include", include.as_ref()), ("exclude", exclude.as_ref()));
        let filter = Filter::build(sides.0, sides.1, &mut problems);
        problems.first().map_or(Ok(filter), |problem| Err(problem.to_string()))
    }

    #[test]
    fn strict_is_equality_and_regexp_is_not_anchored() {
        let strict = filter(Some(devices(&["sda"], Some(MatchType::Strict))), None).unwrap();
        assert!(strict.takes("sda") && !strict.takes("sda1"));
        let regexp = filter(Some(devices(&["sd"], Some(MatchType::Regexp))), None).unwrap();
        assert!(regexp.takes("xsda1") && !regexp.takes("nvme0n1"));
    }

    #[test]
    fn exclude_wins_over_include() {
        let both = filter(
            Some(devices(&["sd.*"], Some(MatchType::Regexp))),
            Some(devices(&["sdb"], Some(MatchType::Strict))),
        )
        .unwrap();
        assert!(both.takes("sda") && !both.takes("sdb") && !both.takes("loop0"));
    }

    #[test]
    fn a_list_without_entries_is_no_filter() {
        let none = filter(Some(devices(&[], Some(MatchType::Strict))), None).unwrap();
        assert!(none.takes("anything"));
    }

    #[test]
    fn a_missing_match_type_and_a_bad_expression_are_told_with_key_and_remedy() {
        let error = filter(None, Some(devices(&["a"], None))).unwrap_err();
        assert_eq!(error, "error: exclude::match_type: match_type is missing; write `strict` or `regexp`");
        let error = filter(None, Some(devices(&["a", "(b"], Some(MatchType::Regexp)))).unwrap_err();
        assert!(error.starts_with("error: exclude::devices::1: \"(b\" is no regular expression"), "{error}");
    }
}
