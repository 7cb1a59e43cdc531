//! Which plain scalars are numbers, booleans or null.
//!
//! The rules of Go's `yaml.v3` (`resolve.go`), which are YAML 1.2's with leftovers of 1.1: `0123` is octal, `1_000` is a
//! thousand, `08` is a float; `yes`, `no`, `on`, `off` are strings. Two differences: timestamps stay strings (upstream makes
//! a time of them, which no configuration wants), and a number too big for its type stays a string as upstream's does.

use crate::Value;

/// The value of a plain scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' if underscores_separate_digits(text) => float(&text.replace('_', "")),
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).map(Value::Int).or_else(|| float(&digits))
        }
        _ => None,
    }
    .unwrap_or_else(|| Value::Str(text.to_owned()))
}

/// The value of a scalar with one of YAML's own tags, or why the tag does not fit.
pub(crate) fn tagged(tag: &str, text: &str) -> Result<Value, String> {
    let value = match tag {
        "str" => return Ok(Value::Str(text.to_owned())),
        _ => resolve(text),
    };
    match (tag, value) {
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null) => Ok(value),
        _ => Err(format!("the value does not fit its tag `!!{tag}`")),
    }
}

/// As Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`, then the spellings `yaml.v3` adds.
fn integer(text: &str) -> Option<i128> {
    let magnitude = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits_of = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| magnitude.strip_prefix(prefix));
    let (digits, radix) = if let Some(digits) = digits_of(["0x", "0X"]) {
        (digits, 16)
    } else if let Some(digits) = digits_of(["0b", "0B"]) {
        (digits, 2)
    } else if let Some(digits) = digits_of(["0o", "0O"]) {
        (digits, 8)
    } else if magnitude.len() > 1 && magnitude.starts_with('0') {
        (&magnitude[1..], 8)
    } else {
        (magnitude, 10)
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let (value, most) = match text.as_bytes()[0] {
        b'-' => (-value, i64::MAX as i128),
        // What has a sign is never unsigned.
        b'+' => (value, i64::MAX as i128),
        _ => (value, u64::MAX as i128),
    };
    (i128::from(i64::MIN)..=most).contains(&value).then_some(value)
}

/// Numbers that begin with a point go through Go's `ParseFloat`, which knows underscores between digits only.
fn underscores_separate_digits(text: &str) -> bool {
    let is_digit = |letter: Option<&u8>| letter.is_some_and(u8::is_ascii_digit);
    let letters = text.as_bytes();
    letters.iter().enumerate().all(|(at, letter)| {
        *letter != b'_' || (at > 0 && is_digit(letters.get(at - 1)) && is_digit(letters.get(at + 1)))
    })
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, finite.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_good = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !exponent_is_good || !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float)
}

#[cfg(test)]
mod tests;
