//! Names of series and labels: the old character set, and how UTF-8 names are written for readers that know only it.
//!
//! As Prometheus `common/model` (`IsValidLegacyMetricName`, `EscapeName`).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether the name needs no quotes in any format: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().enumerate().all(|(index, byte)| is_legacy(byte, index))
}

/// Whether the label name needs no quotes in any format: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    is_legacy_metric_name(name) && !name.contains(':')
}

fn is_legacy(byte: u8, index: usize) -> bool {
    is_name_start(byte) || (index > 0 && byte.is_ascii_digit())
}

/// Whether a bare metric name may begin so.
pub(crate) const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':'
}

/// Whether a bare metric name may go on so.
#[inline]
pub(crate) fn is_name_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = is_name_start(byte as u8) || (byte as u8).is_ascii_digit();
            byte += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

/// How names outside the old character set are written; the `escaping` parameter of `Accept` and `Content-Type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// As they are, in quotes.
    #[default]
    AllowUtf8,
    /// Every character outside the set becomes `_`.
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, any other character outside the set becomes `__`.
    Dots,
    /// Names outside the set begin with `U__`, their foreign characters become `_<hex>_`, `_` becomes `__`.
    Values,
}

impl Escaping {
    /// The word of the `escaping` parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values]
            .into_iter()
            .find(|escaping| escaping.as_str() == word)
    }

    /// The name as this scheme writes it. `:` counts as belonging to the old set, in labels too, as upstream.
    #[must_use]
    pub fn escape(self, name: &str) -> Cow<'_, str> {
        let as_is = match self {
            Self::AllowUtf8 => true,
            Self::Underscores | Self::Values => is_legacy_metric_name(name) || name.is_empty(),
            Self::Dots => false,
        };
        if as_is {
            return Cow::Borrowed(name);
        }
        let mut escaped = String::with_capacity(name.len() + 8);
        if self == Self::Values {
            escaped.push_str("U__");
        }
        for (index, character) in name.char_indices() {
            let legacy = u8::try_from(character).is_ok_and(|byte| is_legacy(byte, index));
            match (self, character) {
                (Self::Dots | Self::Values, '_') => escaped.push_str("__"),
                (_, character) if legacy => escaped.push(character),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                (Self::Dots, _) => escaped.push_str("__"),
                (Self::Values, character) => {
                    write!(escaped, "_{:x}_", u32::from(character)).expect("a String takes every write");
                }
                _ => escaped.push('_'),
            }
        }
        Cow::Owned(escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_names_allow_colons_in_metrics_only() {
        for name in ["up", "_x9", "a:b", ":"] {
            assert!(is_legacy_metric_name(name), "{name}");
        }
        for name in ["", "9a", "a.b", "a b", "\u{e9}"] {
            assert!(!is_legacy_metric_name(name), "{name}");
        }
        assert!(is_legacy_label_name("le") && !is_legacy_label_name("a:b") && !is_legacy_label_name(""));
    }

    #[test]
    fn each_scheme_escapes_foreign_characters_its_own_way() {
        let escaped = |name| {
            [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values]
                .map(|scheme| scheme.escape(name).into_owned())
        };
        assert_eq!(
            escaped("http.server_time"),
            ["http.server_time", "http_server_time", "http_dot_server__time", "U__http_2e_server__time"]
        );
        assert_eq!(escaped("plain_name"), ["plain_name", "plain_name", "plain__name", "plain_name"]);
        assert_eq!(escaped("\u{20ac}"), ["\u{20ac}", "_", "__", "U___20ac_"]);
        assert_eq!(escaped("1st"), ["1st", "_st", "__st", "U___31_st"]);
        assert_eq!(escaped(""), ["", "", "", ""]);
    }

    #[test]
    fn words_of_schemes_are_read_back() {
        for word in ["allow-utf-8", "underscores", "dots", "values"] {
            assert_eq!(Escaping::parse(word).map(Escaping::as_str), Some(word));
        }
        assert_eq!(Escaping::parse("utf8"), None);
    }
}
