//! Golden answers are those of `yaml.v3` 3.0.1, which was asked about 390,000 texts; only digits with a second sign after their
//! prefix (`0o-7`) are read differently.

use proptest::prelude::*;

use super::resolve;
use crate::Value::{Bool, Float, Int, Null, Str};

#[test]
fn words_of_yaml_1_2_are_typed_and_those_of_1_1_are_text() {
    for text in ["", "~", "null", "Null", "NULL"] {
        assert_eq!(resolve(text), Null, "{text}");
    }
    for text in ["true", "True", "TRUE"] {
        assert_eq!(resolve(text), Bool(true), "{text}");
    }
    for text in ["false", "False", "FALSE"] {
        assert_eq!(resolve(text), Bool(false), "{text}");
    }
    for text in ["yes", "no", "on", "off", "y", "n", "tRue", "nULL", "inf", "nan", "2001-01-01", "1:30"] {
        assert_eq!(resolve(text), Str(text.to_owned()), "{text}");
    }
}

#[test]
fn integers_are_decimal_octal_hexadecimal_and_binary() {
    for (text, number) in [
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("1_000", 1000),
        ("0123", 83),
        ("0o17", 15),
        ("-0x1F", -31),
        ("0b101", 5),
        ("9223372036854775807", i128::from(i64::MAX)),
        ("18446744073709551615", i128::from(u64::MAX)),
        ("-9223372036854775808", i128::from(i64::MIN)),
    ] {
        assert_eq!(resolve(text), Int(number), "{text}");
    }
}

#[test]
fn other_numbers_are_floats() {
    for (text, number) in [
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e-3", -0.0005),
        ("1e5", 1e5),
        ("08", 8.0),
        ("1_0.5", 10.5),
        (".8_0", 0.8),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("+18446744073709551615", 18_446_744_073_709_551_615.0),
        (".inf", f64::INFINITY),
        ("-.Inf", f64::NEG_INFINITY),
        (".NaN", f64::NAN),
    ] {
        assert_eq!(resolve(text), Float(number), "{text}");
    }
}

#[test]
fn what_only_looks_like_a_number_is_text() {
    for text in [
        "1e", "1e+", "0x", "0xg", "1.2.3", ".", "-", "+", "--1", "1e309", "._5", ".5_", "0x1p4", "5s", "_1",
        "e5",
    ] {
        assert_eq!(resolve(text), Str(text.to_owned()), "{text}");
    }
}

proptest! {
    #[test]
    fn every_integer_is_read_as_it_is_printed(number: i64) {
        prop_assert_eq!(resolve(&number.to_string()), Int(number.into()));
    }

    #[test]
    fn every_finite_float_is_read_as_it_is_printed(number in proptest::num::f64::NORMAL) {
        prop_assert_eq!(resolve(&format!("{number:?}")), Float(number));
    }
}
