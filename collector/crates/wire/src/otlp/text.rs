//! Attribute values as text.
//!
//! As pdata's `Value.AsString` in the Go collector, which decides what label values look like: lists and maps become
//! JSON with sorted keys, bytes become base64, floats are written as JavaScript does. Differs for floats that JSON does
//! not know (Go prints an error message there; we print `NaN`, `+Inf`, `-Inf`) and for invalid UTF-8, which is replaced.

use std::fmt::Write;

use super::common::{AnyValue, Attributes, KeyValue};
use super::{Malformed, Repeated};

/// Appends bytes that should be text, with U+FFFD for what is not UTF-8. Gives 1 if something was replaced, else 0.
pub fn push_lossy(out: &mut String, bytes: &[u8]) -> usize {
    if let Ok(text) = str::from_utf8(bytes) {
        out.push_str(text);
        return 0;
    }
    out.push_str(&String::from_utf8_lossy(bytes));
    1
}

impl AnyValue<'_> {
    /// Appends the value as text. Gives the number of strings in which invalid UTF-8 was replaced.
    pub fn write_text(&self, out: &mut String) -> Result<usize, Malformed> {
        match *self {
            Self::Empty => {}
            Self::Str(text) => return Ok(push_lossy(out, text)),
            Self::Bytes(bytes) => push_base64(out, bytes),
            Self::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Self::Int(value) => push_display(out, value),
            Self::Double(value) => push_float(out, value),
            Self::Array(values) => return push_array(out, values),
            Self::Map(entries) => return push_map(out, entries),
        }
        Ok(0)
    }

    /// Appends the value as JSON.
    fn write_json(&self, out: &mut String) -> Result<usize, Malformed> {
        match *self {
            Self::Empty => out.push_str("null"),
            Self::Str(text) => return Ok(push_quoted(out, text)),
            Self::Double(value) if !value.is_finite() => {
                out.push('"');
                push_float(out, value);
                out.push('"');
            }
            Self::Bytes(bytes) => {
                out.push('"');
                push_base64(out, bytes);
                out.push('"');
            }
            _ => return self.write_text(out),
        }
        Ok(0)
    }
}

fn push_display(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a string cannot fail");
}

/// As JavaScript: without an exponent from 1e-6 to 1e21.
fn push_float(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if size.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let start = out.len();
        write!(out, "{value:e}").expect("writing to a string cannot fail");
        if size >= 1.0 {
            let exponent = start + out[start..].find('e').expect("this format writes an exponent") + 1;
            out.insert(exponent, '+');
        }
    } else {
        push_display(out, value);
    }
}

fn push_array(out: &mut String, values: Repeated<'_, AnyValue<'_>>) -> Result<usize, Malformed> {
    let mut n_replaced = 0;
    out.push('[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        n_replaced += value?.write_json(out)?;
    }
    out.push(']');
    Ok(n_replaced)
}

/// Keys are sorted; of equal ones the last counts, as where Go goes through a map.
fn push_map(out: &mut String, entries: Attributes<'_>) -> Result<usize, Malformed> {
    let mut entries: Vec<KeyValue<'_>> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| entry.key);
    let mut n_replaced = 0;
    out.push('{');
    let mut comma = "";
    for (index, entry) in entries.iter().enumerate() {
        if entries.get(index + 1).is_some_and(|next| next.key == entry.key) {
            continue;
        }
        out.push_str(comma);
        comma = ",";
        n_replaced += push_quoted(out, entry.key);
        out.push(':');
        n_replaced += entry.value.write_json(out)?;
    }
    out.push('}');
    Ok(n_replaced)
}

/// As Go's `encoding/json`, which also escapes what HTML would read.
fn push_quoted(out: &mut String, bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
                write!(out, "\\u{:04x}", u32::from(character)).expect("writing to a string cannot fail");
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    usize::from(matches!(text, std::borrow::Cow::Owned(_)))
}

fn push_base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index)) as usize & 63];
            out.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}
