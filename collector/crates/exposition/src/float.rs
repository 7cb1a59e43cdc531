//! Numbers as Go reads and writes them (`strconv.ParseFloat` and `FormatFloat(v, 'g', -1, 64)`).
//!
//! Rust's own rules differ in what fails a scrape (`1e999` and `+NaN` are errors in Go) and in what identifies a
//! series (`le="1e+06"` against `le="1000000"`).

use std::fmt::Write as _;

use crate::digits;

/// Reads a number as Prometheus does: decimal digits with `.` and exponent, `inf` and `infinity` in any case with a
/// sign or without, `nan` in any case without a sign. Too large is an error, too small is zero; hexadecimal numbers
/// and `_` are refused.
#[must_use]
pub fn parse(token: &[u8]) -> Option<f64> {
    let (sign, digits) = match token {
        [sign @ (b'+' | b'-'), digits @ ..] => (Some(*sign), digits),
        digits => (None, digits),
    };
    match digits.first()? {
        b'0'..=b'9' | b'.' => {
            let value: f64 = fast_float2::parse(digits).ok()?;
            let signed = if sign == Some(b'-') { -value } else { value };
            signed.is_finite().then_some(signed)
        }
        b'i' | b'I' if is_one_of(digits, &["inf", "infinity"]) => {
            Some(if sign == Some(b'-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        b'n' | b'N' if sign.is_none() && is_one_of(digits, &["nan"]) => Some(f64::from_bits(model::NAN_BITS)),
        _ => None,
    }
}

/// Powers of ten that are whole numbers of 53 bits.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads the number that `text` begins with where it has at most 15 digits and no exponent, and its length: what nearly all
/// values are. Whatever stands behind it is for the caller to look at; a digit, a point or an `e` there means that the
/// number is a longer one.
///
/// Digits without the point and the power of ten are whole numbers that 53 bits hold, so that their quotient is rounded once
/// and therefore right (Clinger, "How to read floating point numbers accurately", 1990).
#[inline]
pub(crate) fn parse_short(text: &[u8]) -> Option<(f64, usize)> {
    let n_sign = usize::from(text.first() == Some(&b'-'));
    let text = &text[n_sign..];
    let (whole, n_whole) = digits::leading(text);
    if n_whole == 0 {
        return None;
    }
    let (mut value, mut length) = (whole, n_whole);
    let mut n_behind = 0;
    if text.get(n_whole) == Some(&b'.') {
        let behind = digits::leading(&text[n_whole + 1..]);
        n_behind = behind.1;
        if n_behind == 0 || n_whole + n_behind > 15 {
            return None;
        }
        value = whole * digits::POWERS[n_behind] + behind.0;
        length += 1 + n_behind;
    }
    #[expect(clippy::cast_precision_loss, reason = "15 decimal digits fit into 53 bits")]
    let value = if n_behind == 0 { value as f64 } else { value as f64 / POWERS[n_behind] };
    Some((if n_sign == 0 { value } else { -value }, n_sign + length))
}

/// Reads the finite decimal number that `text` begins with, and its length: the quick half of [`parse`].
#[inline]
pub(crate) fn parse_leading(text: &[u8]) -> Option<(f64, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(is_negative)..];
    if !matches!(digits.first(), Some(b'0'..=b'9' | b'.')) {
        return None;
    }
    let (value, length): (f64, usize) = fast_float2::parse_partial(digits).ok()?;
    let value = if is_negative { -value } else { value };
    value.is_finite().then_some((value, length + usize::from(is_negative)))
}

fn is_one_of(token: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| token.eq_ignore_ascii_case(word.as_bytes()))
}

/// Appends a number as Go writes it: the fewest digits that are read back as the same number, with an exponent of at
/// least two digits below 0.0001 and from 1000000 on. `NaN`, `+Inf` and `-Inf` by these names.
pub fn print(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let size = value.abs();
    let written = if size == 0.0 || (1e-4..1e6).contains(&size) {
        // Rust's shortest form without an exponent has the same digits as Go's.
        write!(out, "{value}")
    } else {
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        write!(out, "{digits}e{sign}{exponent:0>2}")
    };
    written.expect("a String takes every write");
}

/// The form of `le` and `quantile` values: as [`print()`], with `.0` where there is neither `.` nor exponent.
#[must_use]
pub fn float_label(value: f64) -> String {
    let mut text = String::new();
    // Negative zero is written without its sign, as upstream.
    print(&mut text, if value == 0.0 { 0.0 } else { value });
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: f64) -> String {
        let mut text = String::new();
        print(&mut text, value);
        text
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+7", 7.0),
            ("007", 7.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("5.e1", 50.0),
            ("-1.5E+3", -1500.0),
            ("1e-999", 0.0),
            ("0e999", 0.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("1.7976931348623157e308", f64::MAX),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        for text in ["NaN", "nan", "nAN"] {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(model::NAN_BITS), "{text}");
        }
    }

    #[test]
    fn numbers_of_few_digits_are_short() {
        for (text, value) in [
            ("0\n", 0.0),
            ("-0\n", -0.0),
            ("17 ", 17.0),
            ("-0.25\n", -0.25),
            ("1234567.12345678\n", 1_234_567.123_456_78),
        ] {
            let found = parse_short(text.as_bytes()).map(|(value, length)| (value.to_bits(), length));
            assert_eq!(found, Some((f64::to_bits(value), text.len() - 1)), "{text}");
        }
        for text in ["", "-", ".5", "5.", "NaN", "+1", "1234567.123456789"] {
            assert_eq!(parse_short(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "", "+", "-", ".", "e5", "1e", "1e+", "--1", "+-1", "1.2.3", "1 ", " 1", "1\r", "1e999",
            "-1e999", "1.8e308", "+NaN", "-nan", "nano", "in", "infin", "infinite", "0x10", "0x1p4", "1p4",
            "1_000", "1f", "1d", "\u{661}", "1,5", "true",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (-2.5e-300, "-2.5e-300"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(printed(value), text);
        }
    }

    #[test]
    fn label_numbers_have_a_point_or_an_exponent() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "0.0"),
            (0.5, "0.5"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_label(value), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_written_number_is_read_back(value in proptest::num::f64::ANY) {
            let read = parse(printed(value).as_bytes()).map(f64::to_bits);
            proptest::prop_assert_eq!(read, Some(model::canonical_bits(value)));
        }

        #[test]
        fn a_short_number_is_what_it_is_otherwise(text in "-?[0-9]{0,17}(\\.[0-9]{0,17})?[ \n]") {
            if let Some((value, length)) = parse_short(text.as_bytes())
                && length + 1 == text.len()
            {
                let number = &text.as_bytes()[..length];
                proptest::prop_assert_eq!(Some(value.to_bits()), parse(number).map(f64::to_bits));
            }
        }

        #[test]
        fn what_is_read_is_ascii(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..24)) {
            proptest::prop_assert!(parse(&bytes).is_none() || bytes.is_ascii());
        }
    }
}
