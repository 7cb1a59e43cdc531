//! Letter case as Go's `strings.ToLower` and `ToUpper` have it: one character for one character.
//!
//! Rust's own functions follow the full mappings of Unicode (sharp s becomes `SS`, a final sigma is another one),
//! which would give another label value than Prometheus gives.

/// Lower case, character by character.
pub(crate) fn lower(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

/// Upper case, character by character.
pub(crate) fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

fn lower_char(character: char) -> char {
    let mut mapped = character.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        // Capital I with a dot is the only character whose full mapping is longer; its simple one is `i`.
        _ => 'i',
    }
}

fn upper_char(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        // Greek letters with a small iota below have one that stands beside; other long mappings have no short one.
        _ => match character {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                shifted(character, 8)
            }
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(character, 9),
            character => character,
        },
    }
}

fn shifted(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_letters_change_case() {
        assert_eq!(lower("Foo-\u{c4}\u{3a3}9"), "foo-\u{e4}\u{3c3}9");
        assert_eq!(upper("Foo-\u{e4}\u{3c3}9"), "FOO-\u{c4}\u{3a3}9");
    }

    #[test]
    fn no_character_becomes_two() {
        assert_eq!(upper("stra\u{df}e \u{fb01}"), "STRA\u{df}E \u{fb01}");
        assert_eq!(upper("\u{1f80}\u{1fb3}\u{1f88}"), "\u{1f88}\u{1fbc}\u{1f88}");
        assert_eq!(lower("\u{130}I"), "ii");
    }

    #[test]
    fn a_final_sigma_is_none_of_its_own() {
        assert_eq!(lower("\u{39f}\u{3a3}"), "\u{3bf}\u{3c3}");
    }
}
