//! Floats as the text of `le` and `quantile` labels.
//!
//! Two spellings exist: Prometheus normalises what it scrapes to the OpenMetrics one (`1.0`, `1e+06`), the Go
//! collector's translators write the plain one (`1`, `1000000`). Both are kept, so that series keep their identity.

use std::fmt::Write;

const INFALLIBLE: &str = "writing to a string cannot fail";

/// Appends the shortest decimal without an exponent, as Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
pub(crate) fn push_plain(out: &mut String, value: f64) {
    if !push_special(out, value) {
        write!(out, "{value}").expect(INFALLIBLE);
    }
}

/// Appends the OpenMetrics spelling, as Prometheus' `labels.FormatOpenMetricsFloat`: `%g`, with `.0` where the text
/// would be that of an integer.
pub(crate) fn push_open_metrics(out: &mut String, value: f64) {
    if push_special(out, value) {
        return;
    }
    if value == 0.0 {
        out.push_str("0.0");
        return;
    }
    let size = value.abs();
    let start = out.len();
    if (1e-4..1e6).contains(&size) {
        write!(out, "{value}").expect(INFALLIBLE);
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
        return;
    }
    write!(out, "{value:e}").expect(INFALLIBLE);
    // Go writes a sign and at least two digits of exponent.
    let digits = start + out[start..].find('e').expect("this format writes an exponent") + 1;
    let is_negative = out[digits..].starts_with('-');
    let digits = if is_negative { digits + 1 } else { digits };
    if out.len() - digits < 2 {
        out.insert(digits, '0');
    }
    if !is_negative {
        out.insert(digits, '+');
    }
}

fn push_special(out: &mut String, value: f64) -> bool {
    let text = if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "+Inf"
    } else if value == f64::NEG_INFINITY {
        "-Inf"
    } else {
        return false;
    };
    out.push_str(text);
    true
}

/// The value of a label that is spelled the OpenMetrics way; nothing for any other spelling, and for NaN.
pub(crate) fn parse_open_metrics(text: &str, scratch: &mut String) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    scratch.clear();
    push_open_metrics(scratch, value);
    (scratch == text && !value.is_nan()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_prometheus_and_the_collector_spell_them() {
        let cases = [
            (1.0, "1.0", "1"),
            (-1.0, "-1.0", "-1"),
            (0.0, "0.0", "0"),
            (0.5, "0.5", "0.5"),
            (0.005, "0.005", "0.005"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (0.000_012_5, "1.25e-05", "0.0000125"),
            (10.0, "10.0", "10"),
            (100_000.0, "100000.0", "100000"),
            (999_999.5, "999999.5", "999999.5"),
            (1_000_000.0, "1e+06", "1000000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (-2.5e100, "-2.5e+100", ""),
            (5e-324, "5e-324", ""),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ];
        for (value, open_metrics, plain) in cases {
            let (mut first, mut second) = (String::new(), String::new());
            push_open_metrics(&mut first, value);
            push_plain(&mut second, value);
            assert_eq!(first, open_metrics);
            if !plain.is_empty() {
                assert_eq!(second, plain);
            }
        }
    }

    #[test]
    fn only_the_open_metrics_spelling_is_recognised() {
        let mut scratch = String::new();
        for (text, value) in [("1.0", Some(1.0)), ("+Inf", Some(f64::INFINITY)), ("1e+06", Some(1e6))] {
            assert_eq!(parse_open_metrics(text, &mut scratch), value);
        }
        for text in ["1", "inf", "1000000", "1e6", "NaN", "x", "", "-0.0"] {
            assert_eq!(parse_open_metrics(text, &mut scratch), None, "{text}");
        }
    }
}
