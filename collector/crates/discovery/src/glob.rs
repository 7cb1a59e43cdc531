//! Names of files with wildcards.
//!
//! As Go `path/filepath` (`Match`): `*` stands for any text, `?` for any character, `[abc]` and `[a-z]` for one of these,
//! `[^a]` for any other, and what follows a `\` stands for itself. Different on purpose: only the last element of a path
//! may hold any of these. A star before the last element is refused upstream as well; the other signs would be obeyed
//! there.

use std::str::Chars;

/// A pattern for the last element of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glob(Vec<Piece>);

/// The pattern is malformed; Go's `ErrBadPattern`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BadPattern;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text,
    Character(Characters),
}

#[derive(Clone, Debug, PartialEq)]
enum Characters {
    Any,
    This(char),
    Between { ranges: Vec<(char, char)>, negated: bool },
}

/// Whether the pattern, a path, can name files.
///
/// # Errors
/// A remedy, when an element before the last holds a wildcard or the last one is malformed.
pub fn check_file_pattern(pattern: &str) -> Result<(), &'static str> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if has_wildcard(folder) {
        return Err("only the last element of a path may hold `*`, `?`, `[` or `\\`");
    }
    match Glob::parse(name) {
        Ok(_) => Ok(()),
        Err(BadPattern) => Err(
            "a list of characters ends with `]` and is not empty; `\\` makes the next character stand for itself",
        ),
    }
}

/// Whether the text is more than a plain name.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

impl Glob {
    /// # Errors
    /// When a list of characters has no end, no content or half a range, or nothing follows a `\`.
    pub(crate) fn parse(pattern: &str) -> Result<Self, BadPattern> {
        let mut rest = pattern.chars();
        let mut pieces = Vec::new();
        while let Some(character) = rest.next() {
            pieces.push(match character {
                '*' => Piece::Text,
                '?' => Piece::Character(Characters::Any),
                '[' => Piece::Character(list(&mut rest)?),
                '\\' => Piece::Character(Characters::This(rest.next().ok_or(BadPattern)?)),
                _ => Piece::Character(Characters::This(character)),
            });
        }
        Ok(Self(pieces))
    }

    /// Whether the whole name fits.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        let (mut pieces, mut rest) = (self.0.as_slice(), name.chars());
        // Behind the last star: the pieces, and the shortest rest that was not tried with them.
        let mut again = None;
        loop {
            let fitted = match pieces.split_first() {
                None if rest.as_str().is_empty() => return true,
                None => None,
                Some((Piece::Text, behind)) => {
                    again = Some((behind, rest.clone()));
                    Some(behind)
                }
                Some((Piece::Character(characters), behind)) => {
                    rest.next().filter(|character| characters.contain(*character)).map(|_| behind)
                }
            };
            if let Some(behind) = fitted {
                pieces = behind;
                continue;
            }
            // Only the last star needs another try: those before it took as little as they could.
            let Some((behind, from)) = &mut again else { return false };
            if from.next().is_none() {
                return false;
            }
            (pieces, rest) = (behind, from.clone());
        }
    }
}

impl Characters {
    fn contain(&self, character: char) -> bool {
        match self {
            Self::Any => true,
            Self::This(this) => character == *this,
            Self::Between { ranges, negated } => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&&character)) != *negated
            }
        }
    }
}

/// What follows a `[`.
fn list(rest: &mut Chars<'_>) -> Result<Characters, BadPattern> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    while ranges.is_empty() || !rest.as_str().starts_with(']') {
        let low = listed(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = listed(rest)?;
        }
        ranges.push((low, high));
    }
    rest.next();
    Ok(Characters::Between { ranges, negated })
}

fn listed(rest: &mut Chars<'_>) -> Result<char, BadPattern> {
    match rest.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => rest.next().ok_or(BadPattern),
        Some(character) => Ok(character),
    }
}

#[cfg(test)]
mod tests;
