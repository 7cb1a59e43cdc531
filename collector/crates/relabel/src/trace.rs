//! What a rule did to a label set and why, for people who look for the rule that is wrong.
//!
//! Slower than [`Rules::apply`] and with the same result; upstream shows only the outcome, on its page of dropped
//! targets.

use model::Labels;

use crate::pattern::Found;
use crate::{Action, NameScheme, Pattern, RuleConfig, Rules};

/// One rule's part in what became of a label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the rule looked at.
    pub seen: Seen,
    /// What it changed, by name of label.
    pub changes: Vec<Change>,
    /// Whether the set is still there.
    pub is_kept: bool,
}

/// What a rule looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The joined values of the source labels, by an expression.
    Text {
        /// The joined values.
        joined: String,
        /// Groups of the match, the whole of it first; nothing where there is none.
        groups: Option<Vec<Group>>,
    },
    /// The joined values of the source labels, compared with the target label.
    Compared {
        /// The joined values.
        joined: String,
        /// The value of the target label.
        with: String,
    },
    /// The joined values of the source labels, as they are.
    Read {
        /// The joined values.
        joined: String,
    },
    /// Names of labels that matched the expression.
    Names(Vec<String>),
}

/// A group of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, or else its number.
    pub name: String,
    /// What it matched, if it took part.
    pub text: Option<String>,
}

/// What became of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its value before; nothing where it was absent.
    pub before: Option<String>,
    /// Its value afterwards; nothing where it is gone.
    pub after: Option<String>,
}

/// Applies one rule and tells what happened.
///
/// # Errors
///
/// What is wrong with the rule, as [`Rules::build_for`] says it.
pub fn trace(config: &RuleConfig, names: NameScheme, labels: &mut Labels) -> Result<Step, Vec<String>> {
    let rules = Rules::build_for(std::slice::from_ref(config), names)
        .map_err(|wrong| wrong.into_iter().map(|(_, message)| message).collect::<Vec<_>>())?;
    let before = labels.clone();
    let seen = look(config, &before).map_err(|message| vec![message])?;
    let is_kept = rules.apply(labels);
    Ok(Step { seen, changes: changes(&before, labels), is_kept })
}

fn look(config: &RuleConfig, labels: &Labels) -> Result<Seen, String> {
    let values: Vec<&str> = config.source_labels.iter().map(|name| labels.value(name)).collect();
    let joined = values.join(&config.separator);
    let pattern = || Pattern::build_with_groups(&config.regex).map_err(|error| error.to_string());
    Ok(match config.action {
        Action::Replace | Action::Keep | Action::Drop => {
            let pattern = pattern()?;
            let groups = pattern.find(&joined).map(|found| groups(&found, pattern.names()));
            Seen::Text { joined, groups }
        }
        Action::KeepEqual | Action::DropEqual => {
            Seen::Compared { joined, with: labels.value(&config.target_label).to_owned() }
        }
        Action::HashMod | Action::Lowercase | Action::Uppercase => Seen::Read { joined },
        Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {
            let pattern = pattern()?;
            let matching = labels.iter().filter(|(name, _)| pattern.is_match(name));
            Seen::Names(matching.map(|(name, _)| name.to_owned()).collect())
        }
    })
}

fn groups(found: &Found<'_>, names: &[Option<Box<str>>]) -> Vec<Group> {
    let group = |(number, name): (usize, &Option<Box<str>>)| Group {
        name: name.as_deref().map_or_else(|| number.to_string(), str::to_owned),
        text: found.group(number).map(str::to_owned),
    };
    names.iter().enumerate().map(group).collect()
}

fn changes(before: &Labels, after: &Labels) -> Vec<Change> {
    let change = |name: &str| Change {
        name: name.to_owned(),
        before: before.get(name).map(str::to_owned),
        after: after.get(name).map(str::to_owned),
    };
    let gone_or_other = before.iter().filter(|(name, value)| after.get(name) != Some(value));
    let new = after.iter().filter(|(name, _)| !before.contains(name));
    let mut changes: Vec<Change> = gone_or_other.chain(new).map(|(name, _)| change(name)).collect();
    changes.sort_by(|one, other| one.name.cmp(&other.name));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(yaml: &str, pairs: &[(&str, &str)]) -> Step {
        let root = ::config::parse(yaml, "rules.yaml").unwrap().root;
        let config = ::config::read(&root, "").unwrap();
        trace(&config, NameScheme::Utf8, &mut pairs.iter().copied().collect()).unwrap()
    }

    fn shown(step: &Step) -> Vec<String> {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let show =
            |change: &Change| format!("{}: {} {}", change.name, value(&change.before), value(&change.after));
        step.changes.iter().map(show).collect()
    }

    #[test]
    fn groups_of_a_match_are_told_by_name_or_number() {
        let rule =
            "{source_labels: [a, b], regex: '(.)(x)?;(?P<rest>.*)', target_label: a, replacement: $rest}";
        let step = traced(rule, &[("a", "1"), ("b", "23")]);
        let Seen::Text { joined, groups: Some(groups) } = &step.seen else { panic!("{step:?}") };
        assert_eq!(joined, "1;23");
        let groups: Vec<_> = groups.iter().map(|group| (&*group.name, group.text.as_deref())).collect();
        assert_eq!(groups, [("0", Some("1;23")), ("1", Some("1")), ("2", None), ("rest", Some("23"))]);
        assert_eq!(shown(&step), ["a: 1 23"]);
    }

    #[test]
    fn an_expression_that_does_not_match_has_no_groups() {
        let step = traced("{source_labels: [a], regex: x, action: keep}", &[("a", "1")]);
        assert_eq!(step.seen, Seen::Text { joined: "1".into(), groups: None });
        assert!(!step.is_kept && step.changes.is_empty());
    }

    #[test]
    fn rules_over_names_tell_which_matched() {
        let step = traced("{regex: 'm_(.)', action: labelmap}", &[("a", "1"), ("m_a", "2"), ("m_b", "3")]);
        assert_eq!(step.seen, Seen::Names(vec!["m_a".into(), "m_b".into()]));
        assert_eq!(shown(&step), ["a: 1 2", "b: - 3"]);
        let step = traced("{regex: 'm_.', action: labelkeep}", &[("a", "1"), ("m_a", "2")]);
        assert_eq!(shown(&step), ["a: 1 -"]);
    }

    #[test]
    fn comparing_rules_tell_both_sides() {
        let step =
            traced("{source_labels: [a], target_label: b, action: dropequal}", &[("a", "1"), ("b", "2")]);
        assert_eq!(step.seen, Seen::Compared { joined: "1".into(), with: "2".into() });
        assert!(step.is_kept);
        let step = traced("{source_labels: [a], target_label: b, action: lowercase}", &[("a", "X")]);
        assert_eq!(
            (step.seen.clone(), shown(&step)),
            (Seen::Read { joined: "X".into() }, vec!["b: - x".to_owned()])
        );
    }

    #[test]
    fn a_wrong_rule_is_told_as_elsewhere() {
        let config = RuleConfig { action: Action::HashMod, ..RuleConfig::default() };
        let wrong = trace(&config, NameScheme::Utf8, &mut Labels::new()).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
