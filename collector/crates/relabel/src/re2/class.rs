//! Character classes and the escapes that stand for characters.

use std::fmt::Write as _;

use super::{Mistake, bad};

/// `[...]` at the beginning of `rest`, the end of `text`: what stands for it, and what follows it.
pub(super) fn bracketed<'p>(text: &str, rest: &'p str) -> Result<(String, &'p str), Mistake> {
    // Looked for once, so that many an `[:` without an end does not cost a search each.
    let last_posix_end = text.rfind(":]").unwrap_or(0);
    let mut rest = &rest[1..];
    let mut items = String::from("[");
    if let Some(after) = rest.strip_prefix('^') {
        rest = after;
        items.push('^');
    }
    let mut is_first = true;
    while is_first || !rest.starts_with(']') {
        if rest.is_empty() {
            return bad("missing closing ]");
        }
        is_first = false;
        let may_be_posix = text.len() - rest.len() < last_posix_end;
        let class = match if may_be_posix { posix_class(rest)? } else { None } {
            None => named_class(rest)?,
            posix => posix,
        };
        if let Some(class) = class {
            items.push_str(&class.items);
            rest = &rest[class.length..];
        } else {
            rest = range(rest, &mut items)?;
        }
    }
    items.push(']');
    Ok((items, &rest[1..]))
}

/// A class by name: what stands for it between brackets, and the length of its name in the expression.
pub(super) struct NamedClass {
    pub(super) items: String,
    pub(super) length: usize,
}

/// `\d`, `\pL`, `\p{Greek}` and their likes at the beginning of `text`.
pub(super) fn named_class(text: &str) -> Result<Option<NamedClass>, Mistake> {
    let Some(escaped) = text.strip_prefix('\\') else { return Ok(None) };
    let perl = match escaped.chars().next() {
        Some('d') => "0-9",
        Some('D') => "[^0-9]",
        Some('s') => r"\t\n\f\r\x20",
        Some('S') => r"[^\t\n\f\r\x20]",
        Some('w') => "0-9A-Za-z_",
        Some('W') => "[^0-9A-Za-z_]",
        Some('p' | 'P') => return property(escaped).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(NamedClass { items: perl.to_owned(), length: 2 }))
}

/// `escaped` begins with `p` or `P`.
fn property(escaped: &str) -> Result<NamedClass, Mistake> {
    let mut is_negated = escaped.starts_with('P');
    let behind = &escaped[1..];
    let (name, length) = match behind.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some((name, _)) => (name, 2 + name.len() + 2),
            None => return bad("the name of a character class does not end"),
        },
        None => {
            let length = behind.chars().next().map_or(0, char::len_utf8);
            (&behind[..length], 2 + length)
        }
    };
    let plain = match name.strip_prefix('^') {
        Some(plain) => {
            is_negated = !is_negated;
            plain
        }
        None => name,
    };
    if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- ".contains(&byte)) {
        return bad(format!("unknown character class \\p{{{name}}}"));
    }
    let letter = if is_negated { 'P' } else { 'p' };
    Ok(NamedClass { items: format!("\\{letter}{{{plain}}}"), length })
}

/// `[:alpha:]` and its likes at the beginning of `text`.
fn posix_class(text: &str) -> Result<Option<NamedClass>, Mistake> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    let Some((name, _)) = text.strip_prefix("[:").and_then(|named| named.split_once(":]")) else {
        return Ok(None);
    };
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return bad(format!("unknown character class [:{name}:]"));
    }
    Ok(Some(NamedClass { items: format!("[:{name}:]"), length: name.len() + 4 }))
}

/// One character or a range at the beginning of `text`; gives what follows.
fn range<'p>(text: &'p str, items: &mut String) -> Result<&'p str, Mistake> {
    let (low, mut rest) = class_character(text)?;
    let mut high = low;
    // A minus before the bracket is a minus.
    if let Some(after) = rest.strip_prefix('-')
        && !after.is_empty()
        && !after.starts_with(']')
    {
        (high, rest) = class_character(after)?;
        if high < low {
            return bad(format!("invalid range {}", &text[..text.len() - rest.len()]));
        }
    }
    write!(items, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high))
        .expect("a String takes every write");
    Ok(rest)
}

fn class_character(text: &str) -> Result<(char, &str), Mistake> {
    if let Some(escaped) = text.strip_prefix('\\') {
        let (character, length) = escaped_character(escaped)?;
        return Ok((character, &escaped[length..]));
    }
    match text.chars().next() {
        Some(character) => Ok((character, &text[character.len_utf8()..])),
        None => bad("missing closing ]"),
    }
}

/// The character that an escape means, and the escape's length behind the backslash.
pub(super) fn escaped_character(escaped: &str) -> Result<(char, usize), Mistake> {
    let Some(character) = escaped.chars().next() else { return bad("trailing backslash") };
    let octal_digits = escaped.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let plain = match character {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return hexadecimal(escaped),
        // A single digit other than zero would be a back-reference, which RE2 does not have.
        '0'..='7' if character == '0' || octal_digits > 1 => {
            return code_point(&escaped[..octal_digits], 8, octal_digits);
        }
        character if character.is_ascii() && !character.is_ascii_alphanumeric() => character,
        '1'..='9' | 'k' | 'g' => {
            return bad(format!("invalid escape \\{character}: RE2 has no back-references"));
        }
        'C' => return bad("invalid escape \\C: labels are matched by characters, not by bytes"),
        character => return bad(format!("invalid escape \\{character}")),
    };
    Ok((plain, 1))
}

/// `x7F` or `x{10FFFF}`.
fn hexadecimal(escaped: &str) -> Result<(char, usize), Mistake> {
    let digits = &escaped[1..];
    match digits.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some((digits, _)) => code_point(digits, 16, digits.len() + 3),
            None => bad("a hexadecimal escape does not end"),
        },
        None => match digits.get(..2) {
            Some(digits) => code_point(digits, 16, 3),
            None => bad("a hexadecimal escape does not end"),
        },
    }
}

fn code_point(digits: &str, radix: u32, length: usize) -> Result<(char, usize), Mistake> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = u32::from_str_radix(digits, radix).ok().filter(|_| is_number).and_then(char::from_u32);
    match value {
        Some(character) => Ok((character, length)),
        None => bad(format!("invalid character number {digits:?}")),
    }
}
