//! Rules, checked once and applied often.
//!
//! As Prometheus `model/relabel` (`Config.Validate`, `relabel`).

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

use md5::{Digest, Md5};
use model::Labels;
use regex::Regex;

use crate::letter_case::{lower, upper};
use crate::template::Template;
use crate::{Action, Pattern, RuleConfig};

/// Which names labels may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Anything that is not empty.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    Legacy,
}

impl NameScheme {
    fn allows(self, name: &str) -> bool {
        let is_legacy = |(index, byte): (usize, u8)| {
            byte.is_ascii_alphabetic() || byte == b'_' || (index > 0 && byte.is_ascii_digit())
        };
        !name.is_empty() && (self == Self::Utf8 || name.bytes().enumerate().all(is_legacy))
    }

    /// As [`Self::allows`], where groups may stand in the name.
    fn allows_template(self, template: &str) -> bool {
        static LEGACY: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\A(?-u:[a-zA-Z_]|\$\{\w+\}|\$\w+)(?-u:\w|\$\{\w+\}|\$\w+)*\z")
                .expect("the expression is constant")
        });
        match self {
            Self::Utf8 => !template.is_empty(),
            Self::Legacy => LEGACY.is_match(template),
        }
    }
}

/// Rules that have been checked. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<[Rule]>);

impl Rules {
    /// Checks and compiles rules; labels may be given any UTF-8 name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong: index of the rule, and a message that names the key.
    pub fn build(configs: &[RuleConfig]) -> Result<Self, Vec<(usize, String)>> {
        Self::build_for(configs, NameScheme::Utf8)
    }

    /// As [`Rules::build`], with the names that a job's `metric_name_validation_scheme` allows.
    ///
    /// # Errors
    ///
    /// As [`Rules::build`].
    pub fn build_for(configs: &[RuleConfig], names: NameScheme) -> Result<Self, Vec<(usize, String)>> {
        let mut rules = Vec::with_capacity(configs.len());
        let mut wrong = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            match Rule::build(config, names) {
                Ok(rule) => rules.push(rule),
                Err(messages) => wrong.extend(messages.into_iter().map(|message| (index, message))),
            }
        }
        if wrong.is_empty() { Ok(Self(rules.into())) } else { Err(wrong) }
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the rules in order. False means that the set is dropped; it is left as the rule that dropped it
    /// found it.
    #[must_use]
    pub fn apply(&self, labels: &mut Labels) -> bool {
        let mut text = JOINED.take();
        let is_kept = self.0.iter().all(|rule| {
            text.clear();
            rule.join(labels, &mut text);
            rule.effect.apply(&text, labels)
        });
        if text.capacity() <= KEPT_TEXT_BYTES {
            JOINED.set(text);
        }
        is_kept
    }
}

impl Rules {
    /// Whether the rules drop every label set that agrees with what is known of it; `known` gives the value of a label,
    /// empty where it is absent, or `None` where sets may differ. Exact in one direction: what is said to be dropped is, but
    /// a set may be dropped that this does not see.
    ///
    /// It saves looking at the targets of a group one by one: rules that select by labels of the group stand in front.
    #[must_use]
    pub fn drop_all<'a>(&self, known: impl Fn(&str) -> Option<&'a str>) -> bool {
        let mut written: Vec<&str> = Vec::new();
        let mut text = String::new();
        for rule in &*self.0 {
            let value = |name: &str| if written.contains(&name) { None } else { known(name) };
            let is_dropped = match &rule.effect {
                Effect::Keep(pattern) => rule.join_known(value, &mut text) && !pattern.is_match(&text),
                Effect::Drop(pattern) => rule.join_known(value, &mut text) && pattern.is_match(&text),
                Effect::KeepEqual(target) => {
                    value(target).is_some_and(|known| rule.join_known(value, &mut text) && text != known)
                }
                Effect::DropEqual(target) => {
                    value(target).is_some_and(|known| rule.join_known(value, &mut text) && text == known)
                }
                effect => match effect.written() {
                    Written::Nothing => false,
                    Written::Label(label) => {
                        written.push(label);
                        false
                    }
                    Written::Any => return false,
                },
            };
            if is_dropped {
                return true;
            }
        }
        false
    }
}

/// A label that must have one of some values, or else rules drop the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub label: Box<str>,
    /// The values, none of them empty: the label has to be there.
    pub values: Box<[Box<str>]>,
}

impl Rules {
    /// What a label set needs for the rules to keep it, as far as rules that keep a few texts say it of a label that no rule
    /// before them writes. Exact in one direction: a set that lacks any of it is dropped.
    ///
    /// Of many jobs over the same objects it tells by a look at the labels of an object which of them may want it.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let mut written: Vec<&str> = Vec::new();
        let mut needs = Vec::new();
        for rule in &*self.0 {
            match rule.effect.written() {
                Written::Nothing => {
                    needs.extend(rule.need().filter(|need| !written.contains(&&*need.label)));
                }
                Written::Label(label) => written.push(label),
                Written::Any => break,
            }
        }
        needs
    }
}

/// A longer joined text gives its memory back.
const KEPT_TEXT_BYTES: usize = 16 << 10;

thread_local! {
    /// Room for joined texts, so that rules that change nothing allocate nothing.
    static JOINED: Cell<String> = const { Cell::new(String::new()) };
}

#[derive(Clone, Debug)]
struct Rule {
    source: Box<[Box<str>]>,
    separator: Box<str>,
    effect: Effect,
}

#[derive(Clone, Debug)]
enum Effect {
    Replace { pattern: Pattern, target: Template, replacement: Template, names: NameScheme },
    Keep(Pattern),
    Drop(Pattern),
    KeepEqual(Box<str>),
    DropEqual(Box<str>),
    HashMod { modulus: NonZeroU64, target: Box<str> },
    LabelMap { pattern: Pattern, replacement: Template },
    LabelDrop(Pattern),
    LabelKeep(Pattern),
    Lowercase(Box<str>),
    Uppercase(Box<str>),
}

impl Rule {
    fn build(config: &RuleConfig, names: NameScheme) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        check_keys(config, &mut wrong);
        check_names(config, names, &mut wrong);
        match Effect::build(config, names) {
            Ok(effect) if wrong.is_empty() => Ok(Self {
                source: config.source_labels.iter().map(|name| name.as_str().into()).collect(),
                separator: config.separator.as_str().into(),
                effect,
            }),
            Ok(_) => Err(wrong),
            Err(message) => {
                wrong.push(message);
                Err(wrong)
            }
        }
    }

    fn join(&self, labels: &Labels, text: &mut String) {
        for (index, name) in self.source.iter().enumerate() {
            if index > 0 {
                text.push_str(&self.separator);
            }
            text.push_str(labels.value(name));
        }
    }
}

/// What a rule may write.
enum Written<'a> {
    Nothing,
    Label(&'a str),
    /// Any label may be another one behind it.
    Any,
}

impl Effect {
    fn written(&self) -> Written<'_> {
        match self {
            Self::Keep(_) | Self::Drop(_) | Self::KeepEqual(_) | Self::DropEqual(_) => Written::Nothing,
            Self::HashMod { target, .. } | Self::Lowercase(target) | Self::Uppercase(target) => {
                Written::Label(target)
            }
            Self::Replace { target, .. } => target.constant().map_or(Written::Any, Written::Label),
            Self::LabelMap { .. } | Self::LabelDrop(_) | Self::LabelKeep(_) => Written::Any,
        }
    }
}

impl Rule {
    /// What the rule needs of the first label that it reads.
    fn need(&self) -> Option<Need> {
        let Effect::Keep(pattern) = &self.effect else { return None };
        let [label, others @ ..] = &*self.source else { return None };
        let mut values: Vec<Box<str>> = Vec::new();
        for text in pattern.texts()? {
            if others.is_empty() {
                values.push(text.into());
            } else if self.separator.is_empty() {
                return None;
            } else {
                // The value may hold the separator itself.
                values.extend(text.match_indices(&*self.separator).map(|(end, _)| text[..end].into()));
            }
        }
        values.sort_unstable();
        values.dedup();
        let is_needed = values.iter().all(|value| !value.is_empty());
        is_needed.then(|| Need { label: label.clone(), values: values.into() })
    }

    /// As [`Self::join`], of values that are known; says whether all of them are.
    fn join_known<'a>(&self, value: impl Fn(&str) -> Option<&'a str>, text: &mut String) -> bool {
        text.clear();
        self.source.iter().enumerate().all(|(index, name)| {
            if index > 0 {
                text.push_str(&self.separator);
            }
            value(name).map(|value| text.push_str(value)).is_some()
        })
    }
}

/// Keys that the action needs, and those that it refuses.
fn check_keys(config: &RuleConfig, wrong: &mut Vec<String>) {
    use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, Lowercase, Replace, Uppercase};
    let action = config.action;
    let needs_target = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if needs_target && config.target_label.is_empty() {
        wrong.push(format!("action {action} needs `target_label`"));
    }
    let set = [
        ("source_labels", !config.source_labels.is_empty()),
        ("target_label", !config.target_label.is_empty()),
        ("modulus", config.modulus != 0),
        ("separator", config.separator != RuleConfig::SEPARATOR),
        ("regex", config.regex != RuleConfig::REGEX),
        ("replacement", config.replacement != RuleConfig::REPLACEMENT),
    ];
    let (allowed, only): (&[&str], &str) = match action {
        KeepEqual | DropEqual => {
            (&["source_labels", "target_label"], "; it takes only `source_labels` and `target_label`")
        }
        LabelDrop | LabelKeep => (&["regex"], "; it takes only `regex`"),
        Lowercase | Uppercase => (&["source_labels", "target_label", "modulus", "separator", "regex"], ""),
        _ => return,
    };
    for (key, is_set) in set {
        if is_set && !allowed.contains(&key) {
            wrong.push(format!("action {action} does not take `{key}`{only}"));
        }
    }
}

/// Names of labels, as far as they are known before there is a match.
fn check_names(config: &RuleConfig, names: NameScheme, wrong: &mut Vec<String>) {
    let action = config.action;
    let target = &config.target_label;
    if config.source_labels.iter().any(String::is_empty) {
        wrong.push("`source_labels` holds an empty name".to_owned());
    }
    let is_valid = match action {
        Action::Replace if Template::uses_groups(target) => names.allows_template(target),
        Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep => true,
        _ => names.allows(target),
    };
    if !target.is_empty() && !is_valid {
        wrong.push(format!("`target_label` {target:?} is not a valid label name"));
    }
    if action == Action::LabelMap && !names.allows_template(&config.replacement) {
        wrong.push(format!("`replacement` {:?} is not a valid label name", config.replacement));
    }
}

impl Effect {
    fn build(config: &RuleConfig, names: NameScheme) -> Result<Self, String> {
        let in_regex = |error| format!("`regex` {:?} cannot be read: {error}", config.regex);
        let pattern = || Pattern::build(&config.regex).map_err(in_regex);
        let with_groups = || Pattern::build_with_groups(&config.regex).map_err(in_regex);
        let target = || config.target_label.as_str().into();
        if matches!(config.action, Action::HashMod | Action::Lowercase | Action::Uppercase) {
            // They do not use the expression, but a wrong one is refused all the same, as upstream.
            pattern()?;
        }
        Ok(match config.action {
            Action::Replace => {
                let templates = [&config.target_label, &config.replacement];
                let uses_groups = templates.iter().any(|template| Template::uses_groups(template));
                let pattern = if uses_groups { with_groups()? } else { pattern()? };
                let [target, replacement] =
                    templates.map(|template| Template::parse(template, pattern.names()));
                Self::Replace { pattern, target, replacement, names }
            }
            Action::LabelMap => {
                let pattern = with_groups()?;
                let replacement = Template::parse(&config.replacement, pattern.names());
                Self::LabelMap { pattern, replacement }
            }
            Action::HashMod => match NonZeroU64::new(config.modulus) {
                Some(modulus) => Self::HashMod { modulus, target: target() },
                None => return Err("action hashmod needs `modulus` above zero".to_owned()),
            },
            Action::Keep => Self::Keep(pattern()?),
            Action::Drop => Self::Drop(pattern()?),
            Action::LabelDrop => Self::LabelDrop(pattern()?),
            Action::LabelKeep => Self::LabelKeep(pattern()?),
            Action::KeepEqual => Self::KeepEqual(target()),
            Action::DropEqual => Self::DropEqual(target()),
            Action::Lowercase => Self::Lowercase(target()),
            Action::Uppercase => Self::Uppercase(target()),
        })
    }

    /// `text` is what the source labels say. False drops the set.
    fn apply(&self, text: &str, labels: &mut Labels) -> bool {
        match self {
            Self::Keep(pattern) => return pattern.is_match(text),
            Self::Drop(pattern) => return !pattern.is_match(text),
            Self::KeepEqual(target) => return labels.value(target) == text,
            Self::DropEqual(target) => return labels.value(target) != text,
            Self::Replace { pattern, target, replacement, names } => {
                if let Some(found) = pattern.find(text) {
                    let target = target.expand(|number| found.group(number));
                    if names.allows(&target) {
                        set(labels, &target, &replacement.expand(|number| found.group(number)));
                    }
                }
            }
            Self::HashMod { modulus, target } => set(labels, target, &share(text, *modulus).to_string()),
            Self::LabelMap { pattern, replacement } => map_names(labels, pattern, replacement),
            Self::LabelDrop(pattern) => labels.retain(|name, _| !pattern.is_match(name)),
            Self::LabelKeep(pattern) => labels.retain(|name, _| pattern.is_match(name)),
            Self::Lowercase(target) => set(labels, target, &lower(text)),
            Self::Uppercase(target) => set(labels, target, &upper(text)),
        }
        true
    }
}

/// Sets a label, and leaves one alone that says the same already.
fn set(labels: &mut Labels, name: &str, value: &str) {
    if labels.value(name) != value {
        labels.set(name, value);
    }
}

/// The share of `modulus` that a text falls into: the last eight bytes of its MD5 as a big-endian number.
fn share(text: &str, modulus: NonZeroU64) -> u64 {
    let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let [.., a, b, c, d, e, f, g, h] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % modulus
}

/// Copies labels to new names. The originals stay; of two with the same new name the one with the greater old name
/// wins.
fn map_names(labels: &mut Labels, pattern: &Pattern, replacement: &Template) {
    let copies: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(name, value)| Some((pattern.replace(name, replacement)?, value.to_owned())))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    for (name, value) in copies {
        set(labels, &name, &value);
    }
}

#[cfg(test)]
mod tests;
