//! RE2 syntax, as Go's `regexp/syntax` reads it, translated to the syntax of Rust's `regex`.
//!
//! The two engines give the same matches; their syntaxes differ in what is allowed and what it means. Translated
//! here: Perl classes and word boundaries are ASCII in Go; `\Q...\E`, octal escapes, `(?)` and a literal `{` exist
//! only there; set operations in classes, `\<`, `{,n}`, `\u`, the flags `x`, `u` and `R` and stacked repetitions
//! exist only here and are refused or taken literally, as Go does. Groups lose their names, because Go's may begin
//! with a digit. What RE2 does not have (back-references, look-around, possessive repetition, `\C` here) is refused
//! with its place, in characters of the expression as the user wrote it.
//!
//! Looser than Go: properties that are neither categories nor scripts (`\p{Alphabetic}`) are accepted. Stricter: a
//! number of half a surrogate pair (`\x{d800}`), which no text holds, is refused. Unicode versions are those of the
//! two libraries.

mod class;

use crate::pattern::BadPattern;
use class::{escaped_character, named_class};

/// Largest count of a repetition, and of nested ones multiplied; as in RE2.
const MOST_REPEATS: u32 = 1000;

/// An expression in Rust's syntax.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) pattern: String,
    /// Names of the groups, by number; group 0 is the whole match.
    pub(crate) names: Vec<Option<Box<str>>>,
}

/// What stands before every expression: the whole text must match, and a dot matches newlines.
const OPENING: &str = "^(?s:";

/// Translates an expression that must match the whole text. It is anchored as text, as upstream does it: `a)|(b` is
/// accepted there and means "begins with a or ends with b".
pub(crate) fn translate_whole(text: &str) -> Result<Translated, BadPattern> {
    let behind_opening = |at: usize| at.saturating_sub(OPENING.len());
    translate(&format!("{OPENING}{text})$")).map_err(|mistake| match mistake.at {
        // What stands behind the text is not the user's.
        Some(at) if behind_opening(at) < text.len() => {
            let n_before = text[..behind_opening(at)].chars().count();
            BadPattern(format!("{} (at character {})", mistake.reason, n_before + 1))
        }
        _ => BadPattern(mistake.reason),
    })
}

/// Translates an expression that may match anywhere in a text, as Go's `regexp.MatchString` reads it: a dot does not match
/// a newline.
pub(crate) fn translate_part(text: &str) -> Result<Translated, BadPattern> {
    translate(text).map_err(|mistake| match mistake.at {
        Some(at) => {
            let n_before = text[..at].chars().count();
            BadPattern(format!("{} (at character {})", mistake.reason, n_before + 1))
        }
        None => BadPattern(mistake.reason),
    })
}

/// Why an expression cannot be translated, and the byte at which that shows.
#[derive(Debug)]
struct Mistake {
    reason: String,
    at: Option<usize>,
}

impl From<String> for Mistake {
    fn from(reason: String) -> Self {
        Self { reason, at: None }
    }
}

/// Translates an expression.
fn translate(text: &str) -> Result<Translated, Mistake> {
    let mut translator = Translator {
        text,
        rest: text,
        out: String::with_capacity(text.len() + 8),
        names: vec![None],
        open: Vec::new(),
        here: Level { start: 0, flags: Flags::default(), n_repeats: 1 },
        atom: None,
    };
    while !translator.rest.is_empty() {
        let at = text.len() - translator.rest.len();
        translator.step().map_err(|mistake| Mistake { at: Some(at), ..mistake })?;
    }
    if !translator.open.is_empty() {
        return bad("missing closing )");
    }
    Ok(Translated { pattern: translator.out, names: translator.names })
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake::from(reason.into()))
}

struct Translator<'p> {
    text: &'p str,
    rest: &'p str,
    out: String,
    names: Vec<Option<Box<str>>>,
    /// The levels around `here`.
    open: Vec<Level>,
    here: Level,
    /// What a repetition would repeat.
    atom: Option<Atom>,
}

/// A group that is open.
#[derive(Clone, Copy)]
struct Level {
    /// Where it begins in the output.
    start: usize,
    flags: Flags,
    /// Most repetitions of anything inside, nested ones multiplied.
    n_repeats: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_all: bool,
    swap_greed: bool,
}

/// The last complete piece of the output.
#[derive(Clone, Copy)]
struct Atom {
    start: usize,
    end: usize,
    n_repeats: u32,
    /// Whether it ends with a repetition, and whether that is the very last thing read: only then is one more an
    /// error.
    is_repeated: bool,
    is_just_repeated: bool,
}

impl<'p> Translator<'p> {
    fn step(&mut self) -> Result<(), Mistake> {
        let Some(character) = self.rest.chars().next() else { return Ok(()) };
        match character {
            '(' => return self.open_group(),
            ')' => return self.close_group(),
            '[' => return self.class(),
            '\\' => return self.escape(),
            '*' | '+' | '?' => {
                self.skip(1);
                return self.repeat(&character.to_string(), 1);
            }
            '{' => {
                if let Some((repeat, n_repeats, length)) = counted(self.rest)? {
                    self.skip(length);
                    return self.repeat(&repeat, n_repeats);
                }
            }
            _ => {}
        }
        self.skip(character.len_utf8());
        match character {
            '|' => {
                self.settle();
                self.out.push('|');
            }
            '.' | '^' | '$' => self.push_atom(|out| out.push(character)),
            character => self.push_literal(character),
        }
        Ok(())
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    /// Nothing repeats the last atom any more, so what it counts is certain.
    fn settle(&mut self) {
        if let Some(atom) = self.atom.take() {
            self.here.n_repeats = self.here.n_repeats.max(atom.n_repeats);
        }
    }

    fn push_atom(&mut self, write: impl FnOnce(&mut String)) {
        self.settle();
        let start = self.out.len();
        write(&mut self.out);
        self.atom = Some(Atom {
            start,
            end: self.out.len(),
            n_repeats: 1,
            is_repeated: false,
            is_just_repeated: false,
        });
    }

    fn push_literal(&mut self, character: char) {
        self.push_atom(|out| {
            if regex_syntax::is_meta_character(character) {
                out.push('\\');
            }
            out.push(character);
        });
    }

    /// `repeat` is an operator without the `?` that makes it lazy, and already read.
    fn repeat(&mut self, repeat: &str, n_repeats: u32) -> Result<(), Mistake> {
        let Some(mut atom) = self.atom else {
            return bad(format!("missing argument to repetition operator {repeat}"));
        };
        if atom.is_just_repeated {
            // `a++` would be a possessive repetition elsewhere.
            return bad(format!("repetition operator {repeat} behind another one"));
        }
        // Flags may stand between the two, as in `a(?i)*`; what is repeated is before them.
        let flags = self.out.split_off(atom.end);
        if atom.is_repeated {
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(repeat);
        if self.rest.starts_with('?') {
            self.skip(1);
            self.out.push('?');
        }
        atom.end = self.out.len();
        self.out.push_str(&flags);
        atom.n_repeats = atom.n_repeats.saturating_mul(n_repeats);
        if atom.n_repeats > MOST_REPEATS {
            return bad(format!("nested repetitions add up to more than {MOST_REPEATS}"));
        }
        if n_repeats == 0 {
            atom.n_repeats = 1;
        }
        self.atom = Some(Atom { is_repeated: true, is_just_repeated: true, ..atom });
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), Mistake> {
        let Some(special) = self.rest.strip_prefix("(?") else {
            self.skip(1);
            self.names.push(None);
            self.push_level("(", self.here.flags);
            return Ok(());
        };
        match special.strip_prefix("P<").or_else(|| special.strip_prefix('<')) {
            Some(named) => self.open_named(named),
            None => self.flags(special),
        }
    }

    fn open_named(&mut self, named: &'p str) -> Result<(), Mistake> {
        if named.starts_with(['=', '!']) {
            return bad(unknown_group(&format!("<{}", &named[..1])));
        }
        let Some((name, rest)) = named.split_once('>') else {
            return bad("the name of a group does not end");
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return bad(format!("invalid group name {name:?}"));
        }
        self.rest = rest;
        self.names.push(Some(name.into()));
        self.push_level("(", self.here.flags);
        Ok(())
    }

    fn push_level(&mut self, bracket: &str, flags: Flags) {
        self.settle();
        self.open.push(self.here);
        self.here = Level { start: self.out.len(), flags, n_repeats: 1 };
        self.out.push_str(bracket);
    }

    fn close_group(&mut self) -> Result<(), Mistake> {
        let Some(outer) = self.open.pop() else { return bad("unexpected )") };
        self.skip(1);
        self.settle();
        self.out.push(')');
        let Level { start, n_repeats, .. } = self.here;
        self.here = outer;
        self.atom =
            Some(Atom { start, end: self.out.len(), n_repeats, is_repeated: false, is_just_repeated: false });
        Ok(())
    }

    /// `(?flags)` or `(?flags:`; `special` is behind the `?`.
    fn flags(&mut self, special: &'p str) -> Result<(), Mistake> {
        let mut flags = self.here.flags;
        let mut is_on = true;
        let mut needs_flag = false;
        for (at, character) in special.char_indices() {
            match character {
                'i' => flags.fold_case = is_on,
                'm' => flags.multi_line = is_on,
                's' => flags.dot_all = is_on,
                'U' => flags.swap_greed = is_on,
                '-' if is_on => {
                    is_on = false;
                    needs_flag = true;
                    continue;
                }
                ':' | ')' if !needs_flag => {
                    self.rest = &special[at + 1..];
                    self.set_flags(flags, character);
                    return Ok(());
                }
                _ => return bad(unknown_group(&special[..at + character.len_utf8()])),
            }
            needs_flag = false;
        }
        bad("missing closing )")
    }

    fn set_flags(&mut self, flags: Flags, end: char) {
        let letters =
            [(flags.fold_case, 'i'), (flags.multi_line, 'm'), (flags.dot_all, 's'), (flags.swap_greed, 'U')];
        let of = |wanted: bool| {
            letters.iter().filter(move |(is_on, _)| *is_on == wanted).map(|(_, letter)| *letter)
        };
        let mut group = String::from("(?");
        group.extend(of(true));
        if of(false).next().is_some() {
            group.push('-');
            group.extend(of(false));
        }
        group.push(end);
        if end == ':' {
            self.push_level(&group, flags);
        } else {
            self.here.flags = flags;
            self.out.push_str(&group);
            if let Some(atom) = &mut self.atom {
                atom.is_just_repeated = false;
            }
        }
    }

    /// A backslash outside a class.
    fn escape(&mut self) -> Result<(), Mistake> {
        let escaped = &self.rest[1..];
        let Some(character) = escaped.chars().next() else { return bad("trailing backslash") };
        let boundary = match character {
            'A' => r"\A",
            'z' => r"\z",
            'b' => r"(?-u:\b)",
            'B' => r"(?-u:\B)",
            'Q' => {
                self.quoted(&escaped[1..]);
                return Ok(());
            }
            _ => "",
        };
        if !boundary.is_empty() {
            self.skip(2);
            self.push_atom(|out| out.push_str(boundary));
            return Ok(());
        }
        if let Some(class) = named_class(self.rest)? {
            self.skip(class.length);
            self.push_atom(|out| out.push_str(&format!("[{}]", class.items)));
            return Ok(());
        }
        let (character, length) = escaped_character(escaped)?;
        self.skip(1 + length);
        self.push_literal(character);
        Ok(())
    }

    /// `\Q...\E`; `quoted` is behind the `\Q`.
    fn quoted(&mut self, quoted: &'p str) {
        let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        for character in text.chars() {
            self.push_literal(character);
        }
        self.rest = rest;
        if let Some(atom) = &mut self.atom {
            atom.is_just_repeated = false;
        }
    }

    fn class(&mut self) -> Result<(), Mistake> {
        let (items, rest) = class::bracketed(self.text, self.rest)?;
        self.rest = rest;
        self.push_atom(|out| out.push_str(&items));
        Ok(())
    }
}

/// Why a group is refused; `special` is what stands behind its `(?`, up to the character that nobody knows.
fn unknown_group(special: &str) -> String {
    let kind = match special {
        "=" | "!" | "<=" | "<!" => ": RE2 cannot look around",
        ">" => ": RE2 has no atomic groups",
        "#" => ": RE2 has no comments",
        _ => "",
    };
    format!("invalid group or flags (?{special}{kind}")
}

/// `{n}`, `{n,}` or `{n,m}` at the beginning of `text`: the operator, how often it repeats and its length. Anything
/// else is a brace that stands for itself.
fn counted(text: &str) -> Result<Option<(String, u32, usize)>, Mistake> {
    let length = text[1..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
    let inside = &text[1..=length];
    if !text[1 + length..].starts_with('}') {
        return Ok(None);
    }
    let (least, most) = match inside.split_once(',') {
        Some((least, most)) => (least, Some(most)),
        None => (inside, None),
    };
    let is_count = |digits: &str| {
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'))
    };
    if !is_count(least) || most.is_some_and(|most| !most.is_empty() && !is_count(most)) {
        return Ok(None);
    }
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|count| *count <= MOST_REPEATS);
    let too_many = || Mistake::from(format!("repetition {{{inside}}} counts to more than {MOST_REPEATS}"));
    let at_least = number(least).ok_or_else(too_many)?;
    let n_repeats = match most {
        None | Some("") => at_least,
        Some(most) => number(most).ok_or_else(too_many)?,
    };
    if n_repeats < at_least {
        return bad(format!("repetition {{{inside}}} counts backwards"));
    }
    Ok(Some((format!("{{{inside}}}"), n_repeats, inside.len() + 2)))
}

#[cfg(test)]
mod tests;
