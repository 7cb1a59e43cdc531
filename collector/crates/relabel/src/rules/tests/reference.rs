//! Every action against the same rule written as plainly as it can be: a map of texts, an engine, no shortcuts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;

use super::*;

type Map = BTreeMap<String, String>;

/// What is left, or nothing where the set is dropped.
fn plainly(rule: &RuleConfig, labels: &Map) -> Option<Map> {
    let regex = Regex::new(&format!("^(?s:{})$", rule.regex)).unwrap();
    let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
    let joined = rule.source_labels.iter().map(value).collect::<Vec<_>>().join(&rule.separator);
    let expanded = |template: &str, text: &str| {
        let mut out = String::new();
        regex.captures(text).unwrap().expand(template, &mut out);
        out
    };
    let with = |name: &str, value: String| {
        let mut changed = labels.clone();
        changed.insert(name.to_owned(), value);
        changed.retain(|_, value| !value.is_empty());
        changed
    };
    let only = |keeps: &dyn Fn(&str) -> bool| -> Map {
        let kept = labels.iter().filter(|(name, _)| keeps(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let unless = |is_dropped: bool| (!is_dropped).then(|| labels.clone());
    match rule.action {
        Action::Keep => unless(!regex.is_match(&joined)),
        Action::Drop => unless(regex.is_match(&joined)),
        Action::KeepEqual => unless(joined != value(&rule.target_label)),
        Action::DropEqual => unless(joined == value(&rule.target_label)),
        Action::Replace if !regex.is_match(&joined) => Some(labels.clone()),
        Action::Replace => match expanded(&rule.target_label, &joined) {
            target if target.is_empty() => Some(labels.clone()),
            target => Some(with(&target, expanded(&rule.replacement, &joined))),
        },
        Action::HashMod => {
            let digest: [u8; 16] = Md5::digest(joined.as_bytes()).into();
            let number = digest[8..].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            Some(with(&rule.target_label, (number % rule.modulus).to_string()))
        }
        Action::LabelMap => {
            let mut mapped = labels.clone();
            for (name, value) in labels.iter().filter(|(name, _)| regex.is_match(name)) {
                mapped.insert(expanded(&rule.replacement, name), value.clone());
            }
            mapped.remove("");
            Some(mapped)
        }
        Action::LabelDrop => Some(only(&|name| !regex.is_match(name))),
        Action::LabelKeep => Some(only(&|name| regex.is_match(name))),
        Action::Lowercase => Some(with(&rule.target_label, joined.to_lowercase())),
        Action::Uppercase => Some(with(&rule.target_label, joined.to_uppercase())),
    }
}

/// A rule that is right, with nothing that its action does not take. Expressions and texts are plain ones, for which
/// the syntax of the engine is RE2's.
fn rule(action: Action) -> impl Strategy<Value = RuleConfig> {
    let names = proptest::collection::vec("[ab]|ab|__meta_[ab]|x_b|nope", 0..3);
    let separator = prop::sample::select(vec![";", "", "-", "ab"]);
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "a|b",
        "(a|b)",
        "(.*)",
        ".*",
        ".+",
        "(.+)",
        "a.*",
        "[ab]",
        "(?P<n>[a-z]+)",
        "__meta_",
        "_",
        ";",
        "1",
        "(x)?",
        "|",
        "-",
        "\\.",
    ]);
    let regex = proptest::collection::vec(piece, 0..4)
        .prop_map(|pieces| pieces.concat())
        // The engine alone has no two groups of one name.
        .prop_filter("one name", |regex| regex.matches("?P<n>").count() < 2);
    let target = prop::sample::select(vec!["a", "b", "new", "x_$1", "${1}", "$n", "${n}_a"]);
    let replacement = prop::sample::select(vec!["$1", "", "x", "${1}-$2", "$$", "y_$1", "$n", "$0", "$1x"]);
    (names, separator, regex, 1u64..20, target, replacement).prop_map(
        move |(source_labels, separator, regex, modulus, target, replacement)| {
            let plain_target = if target.contains('$') { "t" } else { target };
            let mut rule = RuleConfig { action, ..RuleConfig::default() };
            if !matches!(action, Action::LabelDrop | Action::LabelKeep) {
                rule.source_labels = source_labels;
                rule.target_label = if action == Action::Replace { target } else { plain_target }.to_owned();
            }
            if !matches!(action, Action::KeepEqual | Action::DropEqual) {
                rule.regex = regex;
            }
            match action {
                Action::Replace | Action::Keep | Action::Drop => separator.clone_into(&mut rule.separator),
                Action::HashMod => rule.modulus = modulus,
                _ => {}
            }
            if matches!(action, Action::Replace | Action::LabelMap) {
                replacement.clone_into(&mut rule.replacement);
            }
            if action == Action::LabelMap && rule.replacement.is_empty() {
                "x".clone_into(&mut rule.replacement);
            }
            rule
        },
    )
}

fn map() -> impl Strategy<Value = Map> {
    proptest::collection::btree_map("[ab]|ab|__meta_[ab]|x_b", "[abA1;.\n-]{1,4}|ab|a;b", 0..6)
}

fn check(rule: &RuleConfig, map: &Map) -> Result<(), TestCaseError> {
    let rules = Rules::build(std::slice::from_ref(rule)).unwrap();
    let mut labels: Labels = map.iter().collect();
    let left = rules
        .apply(&mut labels)
        .then(|| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Map>());
    let expected = plainly(rule, map);
    prop_assert_eq!(&left, &expected, "{:?} on {:?}", rule, map);
    // A set that was kept once is kept again, and removing names twice removes no more.
    let is_idempotent = matches!(
        rule.action,
        Action::Keep
            | Action::Drop
            | Action::KeepEqual
            | Action::DropEqual
            | Action::LabelDrop
            | Action::LabelKeep
    );
    if let Some(left) = left.filter(|_| is_idempotent) {
        let before = labels.clone();
        prop_assert!(rules.apply(&mut labels));
        prop_assert_eq!(&labels, &before);
        prop_assert_eq!(left.len(), labels.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn every_action_does_what_its_plain_form_does(
        (rule, map) in prop::sample::select(&Action::ALL[..]).prop_flat_map(|action| (rule(action), map())),
    ) {
        check(&rule, &map)?;
    }
}
