//! Anchored regular expressions with Prometheus' answers.
//!
//! As Prometheus `model/relabel` (`NewRegexp`): RE2 syntax, read as `^(?s:...)$`. Most expressions in real rules are
//! texts, lists of texts, prefixes and suffixes; those are compared without an engine and cost no compiled program.

use std::collections::HashSet;

use regex::{Captures, Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::re2;
use crate::template::Template;

/// Largest compiled program of one expression, in bytes.
pub const REGEX_SIZE_LIMIT: usize = 10 << 20;

/// Longest expression, in bytes.
pub const REGEX_LENGTH_LIMIT: usize = 256 << 10;

/// Deepest nesting of one expression.
pub const REGEX_NEST_LIMIT: u32 = 250;

/// More texts than this are not a list but a program.
const MOST_TEXTS: usize = 1024;

/// More texts with dots around them than this are not compared one by one.
const MOST_PREFIXES: usize = 64;

/// More texts that may stand anywhere are found faster by the engine.
const MOST_INSIDE: usize = 4;

/// From here on a list of texts is a hash table.
const MANY_TEXTS: usize = 8;

/// An expression that is not RE2, or too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(pub(crate) String);

/// A regular expression that must match the whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    matcher: Matcher,
    groups: Groups,
    names: Box<[Option<Box<str>>]>,
}

#[derive(Clone, Debug)]
enum Matcher {
    Branches(Box<[Branch]>),
    Texts(HashSet<Box<str>>),
    Program(Regex),
}

/// A text, what may stand before it and what may follow it.
#[derive(Clone, Debug)]
struct Branch {
    before: Dots,
    text: Box<str>,
    after: Dots,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dots {
    None,
    /// `.*`
    Anything,
    /// `.+`
    Something,
}

impl Branch {
    fn is_match(&self, text: &str) -> bool {
        match (self.before, self.after) {
            (Dots::None, Dots::None) => *text == *self.text,
            (Dots::None, Dots::Anything) => text.starts_with(&*self.text),
            (Dots::None, Dots::Something) => text.len() > self.text.len() && text.starts_with(&*self.text),
            (Dots::Anything, Dots::None) => text.ends_with(&*self.text),
            (Dots::Something, Dots::None) => text.len() > self.text.len() && text.ends_with(&*self.text),
            _ => self.is_inside(text),
        }
    }

    fn is_text(&self) -> bool {
        (self.before, self.after) == (Dots::None, Dots::None)
    }

    fn is_inner(&self) -> bool {
        self.before != Dots::None && self.after != Dots::None
    }

    fn is_inside(&self, text: &str) -> bool {
        let mut characters = text.chars();
        let has_first = self.before == Dots::Anything || characters.next().is_some();
        let has_last = self.after == Dots::Anything || characters.next_back().is_some();
        has_first && has_last && characters.as_str().contains(&*self.text)
    }
}

/// How the groups of a match are found.
#[derive(Clone, Debug)]
enum Groups {
    /// Nobody asks for more than the whole match.
    None,
    /// Group 1 is the text from this byte on.
    From(usize),
    Program(Regex),
}

/// A match.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    Whole(&'t str),
    From(&'t str, usize),
    Groups(Captures<'t>),
}

impl<'t> Found<'t> {
    /// The text of a group, if it took part in the match.
    pub(crate) fn group(&self, number: usize) -> Option<&'t str> {
        match (self, number) {
            (Self::Whole(text) | Self::From(text, _), 0) => Some(text),
            (Self::From(text, start), 1) => Some(&text[*start..]),
            (Self::Groups(captures), number) => captures.get(number).map(|group| group.as_str()),
            _ => None,
        }
    }
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// When it is not RE2, longer than [`REGEX_LENGTH_LIMIT`], nests deeper than [`REGEX_NEST_LIMIT`] or compiles
    /// to more than [`REGEX_SIZE_LIMIT`].
    pub fn build(text: &str) -> Result<Self, BadPattern> {
        Self::compile(text, false)
    }

    /// As [`Pattern::build`], able to tell the groups of a match.
    pub(crate) fn build_with_groups(text: &str) -> Result<Self, BadPattern> {
        Self::compile(text, true)
    }

    fn compile(text: &str, wants_groups: bool) -> Result<Self, BadPattern> {
        check_length(text)?;
        let re2::Translated { pattern, names } = re2::translate_whole(text)?;
        let hir = ParserBuilder::new()
            .nest_limit(REGEX_NEST_LIMIT)
            .build()
            .parse(&pattern)
            .map_err(syntax_error)?;
        let (matcher, groups) = match shortcut(&hir) {
            Some((matcher, groups)) if wants_groups && names.len() > 1 => match groups {
                Some(start) => (matcher, Groups::From(start)),
                None => (matcher, Groups::Program(program(&pattern)?)),
            },
            Some((matcher, _)) => (matcher, Groups::None),
            None => {
                let program = program(&pattern)?;
                (
                    Matcher::Program(program.clone()),
                    if wants_groups { Groups::Program(program) } else { Groups::None },
                )
            }
        };
        Ok(Self { text: text.into(), matcher, groups, names: names.into() })
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Branches(branches) => branches.iter().any(|branch| branch.is_match(text)),
            Matcher::Texts(texts) => texts.contains(text),
            Matcher::Program(regex) => regex.is_match(text),
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// All texts that match, in no order, where they are few.
    pub(crate) fn texts(&self) -> Option<Vec<&str>> {
        match &self.matcher {
            Matcher::Branches(branches) => {
                branches.iter().map(|branch| branch.is_text().then_some(&*branch.text)).collect()
            }
            Matcher::Texts(texts) => Some(texts.iter().map(|text| &**text).collect()),
            Matcher::Program(_) => None,
        }
    }

    /// Names of the groups, by number.
    pub(crate) fn names(&self) -> &[Option<Box<str>>] {
        &self.names
    }

    /// The match and its groups; only the whole of it where the pattern was built without groups.
    pub(crate) fn find<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        match &self.groups {
            // Asking first costs little where there is a match, and saves room for groups where there is none.
            Groups::Program(regex) => {
                self.is_match(text).then(|| regex.captures(text)).flatten().map(Found::Groups)
            }
            Groups::From(start) => self.is_match(text).then_some(Found::From(text, *start)),
            Groups::None => self.is_match(text).then_some(Found::Whole(text)),
        }
    }

    /// The text with every match replaced; nothing where there is none.
    pub(crate) fn replace(&self, text: &str, with: &Template) -> Option<String> {
        let Groups::Program(regex) = &self.groups else {
            return self.find(text).map(|found| with.expand(|number| found.group(number)).into_owned());
        };
        if !self.is_match(text) {
            return None;
        }
        // There may be several only where the expression escapes from its anchors.
        let mut replaced = None;
        let mut end = 0;
        for captures in regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            let out = replaced.get_or_insert_with(String::new);
            out.push_str(&text[end..whole.start()]);
            end = whole.end();
            let found = Found::Groups(captures);
            out.push_str(&with.expand(|number| found.group(number)));
        }
        replaced.map(|out| out + &text[end..])
    }
}

pub(crate) fn check_length(text: &str) -> Result<(), BadPattern> {
    if text.len() > REGEX_LENGTH_LIMIT {
        return Err(BadPattern(format!(
            "the expression is longer than regex_length_limit ({REGEX_LENGTH_LIMIT} bytes)"
        )));
    }
    Ok(())
}

pub(crate) fn program(pattern: &str) -> Result<Regex, BadPattern> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE_LIMIT).nest_limit(REGEX_NEST_LIMIT).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(limit) => {
                BadPattern(format!("the expression compiles to more than regex_size_limit ({limit} bytes)"))
            }
            error => BadPattern(error.to_string()),
        },
    )
}

/// The reason alone, in one line: the places in it are those of the translation.
fn syntax_error(error: regex_syntax::Error) -> BadPattern {
    use regex_syntax::ast::ErrorKind;
    BadPattern(match error {
        regex_syntax::Error::Parse(error) => match error.kind() {
            ErrorKind::NestLimitExceeded(limit) => {
                format!("the expression nests deeper than regex_nest_limit ({limit})")
            }
            kind => kind.to_string(),
        },
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        error => error.to_string(),
    })
}

/// A matcher without a program, and where its only group begins if that is known.
fn shortcut(hir: &Hir) -> Option<(Matcher, Option<usize>)> {
    let items = items_of(hir);
    let [first, inner @ .., last] = items else { return None };
    if *first.kind() != HirKind::Look(Look::Start) || *last.kind() != HirKind::Look(Look::End) {
        return None;
    }
    let mut branches = Vec::new();
    collect(inner, &mut branches)?;
    let start = group_start(inner, &branches);
    let is_list = branches.iter().all(|branch| branch.is_text());
    if is_list && branches.len() > MANY_TEXTS {
        return Some((Matcher::Texts(branches.into_iter().map(|branch| branch.text).collect()), start));
    }
    let n_inside = branches.iter().filter(|branch| branch.is_inner()).count();
    let are_few = branches.len() <= MOST_PREFIXES && n_inside <= MOST_INSIDE;
    are_few.then(|| (Matcher::Branches(branches.into()), start))
}

/// Where group 1 begins, if it is the only one and reaches to the end of the text: `(...)` or `text(.*)`.
fn group_start(inner: &[Hir], branches: &[Branch]) -> Option<usize> {
    let n_groups: usize = inner.iter().map(|hir| hir.properties().explicit_captures_len()).sum();
    // Groups that can never match, as in `(a){0}`, are gone already, but they count.
    let is_first = matches!(inner.last()?.kind(), HirKind::Capture(capture) if capture.index == 1);
    if n_groups != 1 || !is_first {
        return None;
    }
    match (inner, branches) {
        ([_], _) => Some(0),
        (_, [branch]) if branch.before == Dots::None && branch.after != Dots::None => Some(branch.text.len()),
        _ => None,
    }
}

fn items_of(hir: &Hir) -> &[Hir] {
    match hir.kind() {
        HirKind::Concat(items) => items,
        HirKind::Empty => &[],
        _ => std::slice::from_ref(hir),
    }
}

/// The branches of a sequence, as long as there are only texts and, at both ends, dots.
fn collect(items: &[Hir], branches: &mut Vec<Branch>) -> Option<()> {
    if let [single] = items {
        match single.kind() {
            HirKind::Alternation(all) => {
                return all.iter().try_for_each(|one| collect(items_of(one), branches));
            }
            HirKind::Capture(capture) => return collect(items_of(&capture.sub), branches),
            _ => {}
        }
    }
    let (items, after) = match items.split_last() {
        Some((last, rest)) => dots(last).map_or((items, Dots::None), |after| (rest, after)),
        None => (items, Dots::None),
    };
    let (items, before) = match items.split_first() {
        Some((first, rest)) => dots(first).map_or((items, Dots::None), |before| (rest, before)),
        None => (items, Dots::None),
    };
    for text in texts_of(items)? {
        branches.push(Branch { before, text: text.into(), after });
    }
    (branches.len() <= MOST_TEXTS).then_some(())
}

/// `.*` or `.+`, in a group or not.
fn dots(hir: &Hir) -> Option<Dots> {
    match hir.kind() {
        HirKind::Capture(capture) => dots(&capture.sub),
        HirKind::Repetition(repetition) if repetition.max.is_none() && *repetition.sub == any_character() => {
            match repetition.min {
                0 => Some(Dots::Anything),
                1 => Some(Dots::Something),
                _ => None,
            }
        }
        _ => None,
    }
}

fn any_character() -> Hir {
    Hir::dot(regex_syntax::hir::Dot::AnyChar)
}

/// All texts that a sequence matches, the preferred ones first, if they are few.
fn texts_of(items: &[Hir]) -> Option<Vec<String>> {
    /// Combining small alternatives must not explode.
    const MOST_COMBINED: usize = 64;
    /// Texts times pieces: what is more work than this is left to the engine.
    const MOST_WORK: usize = 1 << 16;
    let mut texts = vec![String::new()];
    for item in items {
        let ends = texts_of_item(item)?;
        let n_combined = texts.len() * ends.len();
        if (texts.len() > 1 && ends.len() > 1 && n_combined > MOST_COMBINED)
            || n_combined * items.len() > MOST_WORK
        {
            return None;
        }
        texts = texts.iter().flat_map(|text| ends.iter().map(move |end| format!("{text}{end}"))).collect();
    }
    Some(texts)
}

fn texts_of_item(hir: &Hir) -> Option<Vec<String>> {
    /// Larger classes are no list of letters.
    const MOST_LETTERS: usize = 16;
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Class(Class::Unicode(class)) => {
            let letters = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            let texts: Vec<String> = letters.take(MOST_LETTERS + 1).map(String::from).collect();
            (texts.len() <= MOST_LETTERS).then_some(texts)
        }
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
            let mut texts = texts_of_item(&repetition.sub)?;
            texts.insert(if repetition.greedy { texts.len() } else { 0 }, String::new());
            Some(texts)
        }
        HirKind::Capture(capture) => texts_of_item(&capture.sub),
        HirKind::Concat(items) => texts_of(items),
        HirKind::Alternation(alternatives) => {
            let mut texts = Vec::new();
            for alternative in alternatives {
                texts.extend(texts_of_item(alternative)?);
                if texts.len() > MOST_TEXTS {
                    return None;
                }
            }
            Some(texts)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
