//! Regular expressions that may match anywhere in a text: filters of receivers and processors.
//!
//! As Go's `regexp.MatchString`: RE2 syntax, not anchored, so `/dev/*` matches every text that holds `/dev`.

use regex::Regex;

use crate::BadPattern;
use crate::pattern::{check_length, program};
use crate::re2;

/// A regular expression that is looked for in a text.
#[derive(Clone, Debug)]
pub struct Search {
    regex: Regex,
}

impl Search {
    /// Compiles an expression.
    ///
    /// # Errors
    /// As [`crate::Pattern::build`].
    pub fn build(text: &str) -> Result<Self, BadPattern> {
        check_length(text)?;
        let translated = re2::translate_part(text)?;
        Ok(Self { regex: program(&translated.pattern)? })
    }

    /// Whether it matches somewhere in the text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(expression: &str, text: &str) -> bool {
        Search::build(expression).unwrap().is_match(text)
    }

    #[test]
    fn a_match_anywhere_is_enough() {
        assert!(is_match("/dev/*", "/dev"));
        assert!(is_match("/dev/*", "/mnt/dev/disk"));
        assert!(!is_match("/dev/*", "/de"));
        assert!(is_match("", "anything"));
        assert!(is_match("^/(dev|proc)($|/)", "/proc/1"));
        assert!(!is_match("^/(dev|proc)($|/)", "/process"));
    }

    #[test]
    fn syntax_is_that_of_go() {
        assert!(is_match(r"^\d+$", "12") && !is_match(r"^\d+$", "\u{664}"));
        assert!(!is_match("a.b", "a\nb"));
        let error = Search::build("a(?=b)").unwrap_err().to_string();
        assert!(error.contains("at character 2"), "{error}");
        assert!(Search::build(&"a".repeat(crate::REGEX_LENGTH_LIMIT + 1)).is_err());
    }
}
