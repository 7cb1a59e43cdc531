//! Replacement texts with references to groups, as Go's `Regexp.Expand` reads them.
//!
//! `$name` takes the longest run of letters, digits and `_`, so `$1x` is the group `1x`; `${name}` says where the
//! name ends. A name of digits without leading zero is a number. A group that is unknown or did not match is the
//! empty text; of several groups with the same name the first that matched counts. `$$` is a dollar sign, and so is
//! a `$` with no name behind it.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// A compiled replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// Numbers of groups, of which the first that matched counts.
    Groups(Box<[usize]>),
}

impl Template {
    /// `names` are the names of the expression's groups, by number; group 0 is the whole match.
    pub(crate) fn parse(text: &str, names: &[Option<Box<str>>]) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                rest = after;
                let groups = numbers_of(name, names);
                if !groups.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    parts.push(Part::Groups(groups));
                }
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain.into()));
        parts.retain(|part| *part != Part::Text(Box::default()));
        Self(parts.into())
    }

    /// Whether the expression's groups are needed, so that knowing that it matches is not enough.
    pub(crate) fn uses_groups(text: &str) -> bool {
        text.contains('$')
    }

    /// The text, where it is the same for every match.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for a match; `group` says what a group matched, if it did.
    pub(crate) fn expand<'t>(&'t self, group: impl Fn(usize) -> Option<&'t str>) -> Cow<'t, str> {
        let first = |numbers: &[usize]| numbers.iter().find_map(|number| group(*number)).unwrap_or("");
        match &*self.0 {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            [Part::Groups(numbers)] => Cow::Borrowed(first(numbers)),
            parts => {
                let texts = parts.iter().map(|part| match part {
                    Part::Text(text) => text,
                    Part::Groups(numbers) => first(numbers),
                });
                Cow::Owned(texts.collect())
            }
        }
    }
}

/// The name behind a `$`, and what follows it; nothing where there is no name.
fn reference(text: &str) -> Option<(&str, &str)> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\A[\p{L}\p{Nd}_]+").expect("the expression is constant"));
    let is_braced = text.starts_with('{');
    let text = if is_braced { &text[1..] } else { text };
    let (name, rest) = text.split_at(NAME.find(text)?.end());
    let rest = if is_braced { rest.strip_prefix('}')? } else { rest };
    Some((name, rest))
}

fn numbers_of(name: &str, names: &[Option<Box<str>>]) -> Box<[usize]> {
    /// Digits up to here are a number, more of them are a name.
    const MOST_DIGITS: usize = 9;
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit())
        && name.len() <= MOST_DIGITS
        && (name == "0" || !name.starts_with('0'));
    match name.parse::<usize>() {
        Ok(number) if is_number => (number < names.len()).then_some(number).into_iter().collect(),
        _ => (0..names.len()).filter(|number| names[*number].as_deref() == Some(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups: 0 whole, 1 unnamed, 2 named `port` but unmatched, 3 unmatched, 4 named `1x`, 5 named `port` too.
    fn expanded(template: &str) -> String {
        let names = [None, None, Some("port".into()), None, Some("1x".into()), Some("port".into())];
        let template = Template::parse(template, &names);
        let groups = [Some("whole"), Some("one"), None, None, Some("odd"), Some("8080")];
        template.expand(|number| groups[number]).into_owned()
    }

    #[test]
    fn groups_are_named_by_number_or_name() {
        for (template, text) in [
            ("$1", "one"),
            ("${1}", "one"),
            ("$0", "whole"),
            ("a-${1}-$port!", "a-one-8080!"),
            ("${port}x", "8080x"),
            ("$1$1", "oneone"),
            ("", ""),
            ("plain", "plain"),
        ] {
            assert_eq!(expanded(template), text, "{template}");
        }
    }

    #[test]
    fn the_longest_name_counts() {
        for (template, text) in
            [("$1x", "odd"), ("$1_x", ""), ("$1-x", "one-x"), ("$1\u{e9}", ""), ("$portx", "")]
        {
            assert_eq!(expanded(template), text, "{template}");
        }
    }

    #[test]
    fn unknown_groups_are_empty() {
        for template in ["$3", "$6", "$99", "$nobody", "$01", "${00}", "$9999999999"] {
            assert_eq!(expanded(template), "", "{template}");
        }
    }

    #[test]
    fn a_dollar_without_a_name_stands_for_itself() {
        for (template, text) in [
            ("$$", "$"),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$", "a$"),
            ("$-", "$-"),
            ("${", "${"),
            ("${}", "${}"),
            ("${1", "${1"),
            ("${1-}", "${1-}"),
            ("$ 1", "$ 1"),
            ("$$$1", "$one"),
        ] {
            assert_eq!(expanded(template), text, "{template}");
        }
    }
}
