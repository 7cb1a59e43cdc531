//! Names of series and labels.
//!
//! [`push_metric_name`] and [`push_clean_label`] are what `otlptranslator` 1.0 makes of OTLP names, in its four
//! strategies. Names that were scraped are not built again but kept ([`push_escaped`]); the Go collector runs them
//! through the builder too, which renames gauges with a UNIT, names with doubled underscores and more.

use std::borrow::Cow;

use crate::units;

/// How OTLP names become names of series and labels: `translation_strategy` of the exporters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// What Prometheus 2 does not take becomes an underscore; unit and `_total` are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// What Prometheus 2 does not take becomes an underscore; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Every character stays; unit and `_total` are appended.
    NoUtf8EscapingWithSuffixes,
    /// Everything stays.
    NoTranslation,
}

impl Strategy {
    const NAMES: [(&str, Self); 4] = [
        ("UnderscoreEscapingWithSuffixes", Self::UnderscoreEscapingWithSuffixes),
        ("UnderscoreEscapingWithoutSuffixes", Self::UnderscoreEscapingWithoutSuffixes),
        ("NoUTF8EscapingWithSuffixes", Self::NoUtf8EscapingWithSuffixes),
        ("NoTranslation", Self::NoTranslation),
    ];

    /// The strategy of this name, as configurations spell it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.1 == self).map_or("", |row| row.0)
    }

    /// What the older key `add_metric_suffixes` means.
    #[must_use]
    pub fn of_add_metric_suffixes(add_metric_suffixes: bool) -> Self {
        if add_metric_suffixes {
            Self::UnderscoreEscapingWithSuffixes
        } else {
            Self::UnderscoreEscapingWithoutSuffixes
        }
    }

    /// Whether names get underscores for what Prometheus 2 and remote write 1.0 do not take.
    #[must_use]
    pub fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    pub(crate) fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

/// What a name's suffix depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// A cumulative monotonic sum: `_total`.
    Counter,
    /// A gauge: `_ratio` where the unit is `1`.
    Gauge,
    /// Anything else.
    Other,
}

const LABEL: u8 = 1;
const METRIC: u8 = 2;

/// Which characters names of Prometheus 2 may have.
const LEGAL: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphanumeric() || character == b'_' {
            table[byte] = LABEL | METRIC;
        }
        byte += 1;
    }
    table[b':' as usize] = METRIC;
    table
};

#[inline]
fn is_legal(name: &str, class: u8) -> bool {
    let starts_well = name.as_bytes().first().is_some_and(|first| !first.is_ascii_digit());
    starts_well && name.bytes().all(|byte| LEGAL[byte as usize] & class != 0)
}

/// Whether Prometheus 2 takes the name of a label.
#[inline]
pub(crate) fn is_legal_label(name: &str) -> bool {
    is_legal(name, LABEL)
}

/// Whether Prometheus 2 takes the name of a series.
#[inline]
pub(crate) fn is_legal_metric(name: &str) -> bool {
    is_legal(name, METRIC)
}

/// Appends a scraped name, with an underscore for each character that Prometheus 2 does not take, as Prometheus does
/// when it is asked to escape. Legal names are their own.
pub(crate) fn push_escaped(out: &mut String, name: &str, is_label: bool) {
    let class = if is_label { LABEL } else { METRIC };
    for (index, character) in name.chars().enumerate() {
        let is_legal = u8::try_from(character).is_ok_and(|byte| LEGAL[byte as usize] & class != 0);
        let is_legal = is_legal && !(index == 0 && character.is_ascii_digit());
        out.push(if is_legal { character } else { '_' });
    }
}

/// Appends the label name that an attribute's key becomes. Says false, and appends nothing, where no name is left.
///
/// Illegal characters become underscores, repeated ones collapse, a leading digit gets `key_` in front and a leading
/// single underscore `key`; `__x__` keeps both pairs.
pub(crate) fn push_clean_label(out: &mut String, key: &str) -> bool {
    let start = out.len();
    let reserved = key.len() >= 5 && key.starts_with("__") && key.ends_with("__");
    let inside = if reserved { &key[2..key.len() - 2] } else { key };
    out.push_str(match inside.chars().next() {
        _ if reserved => "__",
        Some('0'..='9') => "key_",
        Some(first) if !first.is_ascii_alphabetic() => "key",
        _ => "",
    });
    let mut is_gap = false;
    let mut has_text = false;
    for character in inside.chars() {
        let is_text = character.is_ascii_alphanumeric();
        has_text |= is_text;
        if is_text {
            out.push(character);
        } else if !is_gap {
            out.push('_');
        }
        is_gap = !is_text;
    }
    if reserved {
        out.push_str("__");
    }
    if !has_text {
        out.truncate(start);
    }
    has_text
}

/// Appends the name of a metric that was not scraped. Says false, and appends nothing, where no name is left.
pub(crate) fn push_metric_name(
    out: &mut String,
    strategy: Strategy,
    namespace: &str,
    name: &str,
    unit: &str,
    kind: NameKind,
) -> bool {
    let start = out.len();
    match (strategy.escapes(), strategy.adds_suffixes()) {
        (true, true) => push_tokens(&mut Joined::new(out), namespace, name, unit, kind),
        (true, false) => {
            let mut joined = Joined::new(out);
            joined.push_runs(namespace, is_name_character);
            joined.push_runs(name, is_name_character);
        }
        (false, true) => push_with_suffixes(out, namespace, name, unit, kind),
        (false, false) => push_in_namespace(out, namespace, name),
    }
    if strategy.escapes() && out[start..].starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(start, '_');
    }
    let has_name = out[start..] == *name || out[start..].contains(|character| character != '_');
    let has_name = has_name && out.len() > start && !name.is_empty();
    if !has_name {
        out.truncate(start);
    }
    has_name
}

/// Appends the namespace and an underscore, for a name that is final.
pub(crate) fn push_namespace(out: &mut String, strategy: Strategy, namespace: &str) {
    let start = out.len();
    if strategy.escapes() {
        Joined::new(out).push_runs(namespace, is_name_character);
        if out[start..].starts_with(|first: char| first.is_ascii_digit()) {
            out.insert(start, '_');
        }
    } else {
        out.push_str(namespace);
    }
    if out.len() > start {
        out.push('_');
    }
}

fn push_in_namespace(out: &mut String, namespace: &str, name: &str) {
    out.push_str(namespace);
    if !namespace.is_empty() {
        out.push('_');
    }
    out.push_str(name);
}

/// A character of a token: not an underscore, which separates tokens.
fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == ':'
}

fn is_name_character(character: char) -> bool {
    is_token_character(character) || character == '_'
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| !is_token_character(character)).filter(|token| !token.is_empty())
}

/// A name that grows piece by piece, with single underscores between.
struct Joined<'a> {
    out: &'a mut String,
    start: usize,
}

impl<'a> Joined<'a> {
    fn new(out: &'a mut String) -> Self {
        let start = out.len();
        Self { out, start }
    }

    fn push(&mut self, piece: &str) {
        if self.out.len() > self.start && !piece.is_empty() {
            self.out.push('_');
        }
        self.out.push_str(piece);
    }

    fn push_runs(&mut self, text: &str, is_good: fn(char) -> bool) {
        text.split(|character| !is_good(character))
            .filter(|run| !run.is_empty())
            .for_each(|run| self.push(run));
    }
}

/// The name as tokens; unit, `total` and `ratio` are moved to the end, or appended where they are missing.
fn push_tokens(joined: &mut Joined<'_>, namespace: &str, name: &str, unit: &str, kind: NameKind) {
    let (main, per) = units::suffixes(unit);
    let (main, per) = (clean_suffix(&main), clean_suffix(&per));
    let per = if per == "per_" { "" } else { per.trim_end_matches('_') };
    let has = |word: &str| tokens(name).any(|token| token == word);
    let per = if has(per) { "" } else { per };
    let main = if has(&main) { "" } else { &main };
    let main = if per.is_empty() { main } else { main.strip_suffix('_').unwrap_or(main) };
    let last = match kind {
        NameKind::Counter => "total",
        NameKind::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    joined.push_runs(namespace, is_name_character);
    tokens(name).filter(|token| *token != last).for_each(|token| joined.push(token));
    for suffix in [main, per, last] {
        joined.push(suffix);
    }
}

/// A unit's suffix with underscores for what names may not have, none of them repeated or in front.
fn clean_suffix(suffix: &str) -> Cow<'_, str> {
    if suffix.chars().all(is_token_character) {
        return Cow::Borrowed(suffix);
    }
    let mut clean = String::new();
    for character in suffix.chars() {
        if is_token_character(character) {
            clean.push(character);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    Cow::Owned(clean.strip_prefix('_').map(str::to_owned).unwrap_or(clean))
}

/// The name as it is, with suffixes that it does not end with yet.
fn push_with_suffixes(out: &mut String, namespace: &str, name: &str, unit: &str, kind: NameKind) {
    let start = out.len();
    push_in_namespace(out, namespace, name);
    let (main, per) = units::suffixes(unit);
    let last = match kind {
        NameKind::Counter => "total",
        NameKind::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    for suffix in [last, &per] {
        // The suffix and the character before it, whatever that is, unless nothing would be left.
        if !suffix.is_empty() && out[start..].ends_with(suffix) && out.len() - start > suffix.len() + 1 {
            let before = out.len() - suffix.len();
            let end = out[..before].char_indices().next_back().map_or(start, |(index, _)| index);
            out.truncate(end.max(start));
        }
    }
    if out[start..].ends_with(&*main) {
        push_suffixes(out, &["", &per, last]);
    } else {
        push_suffixes(out, &[&main, &per, last]);
    }
}

fn push_suffixes(out: &mut String, suffixes: &[&str]) {
    for suffix in suffixes.iter().filter(|suffix| !suffix.is_empty()) {
        out.push('_');
        out.push_str(suffix);
    }
}

#[cfg(test)]
mod tests;
