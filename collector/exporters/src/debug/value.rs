//! Attribute values and times as the Go collector prints them.

use std::fmt::Write;

use wire::otlp::{AnyValue, Attributes};

/// Text that may be broken.
pub(super) fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A value with its kind: `Str(a)`, `Int(1)`, `Slice(["a"])`, `Map({"k":"v"})`.
pub(super) fn typed(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => "Empty()".to_owned(),
        AnyValue::Str(text) => format!("Str({})", lossy(text)),
        AnyValue::Bool(is) => format!("Bool({is})"),
        AnyValue::Int(number) => format!("Int({number})"),
        AnyValue::Double(number) => format!("Double({number})"),
        AnyValue::Bytes(bytes) => format!("Bytes({})", hex(bytes)),
        AnyValue::Array(_) => format!("Slice({})", plain(value)),
        AnyValue::Map(_) => format!("Map({})", plain(value)),
    }
}

/// A value as JSON would show it.
pub(super) fn plain(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => String::new(),
        AnyValue::Str(text) => lossy(text).into_owned(),
        AnyValue::Bool(is) => is.to_string(),
        AnyValue::Int(number) => number.to_string(),
        AnyValue::Double(number) => number.to_string(),
        AnyValue::Bytes(bytes) => hex(bytes),
        AnyValue::Array(items) => {
            let items: Vec<String> = items.map_while(Result::ok).map(|item| quoted(&item)).collect();
            format!("[{}]", items.join(","))
        }
        AnyValue::Map(entries) => {
            let entries: Vec<String> = entries
                .map_while(Result::ok)
                .map(|entry| format!("{:?}:{}", lossy(entry.key), quoted(&entry.value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn quoted(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Str(text) => format!("{:?}", lossy(text)),
        AnyValue::Empty => "null".to_owned(),
        other => plain(other),
    }
}

/// `key=value` pairs, each after a space.
pub(super) fn pairs(attributes: Attributes<'_>, out: &mut String) {
    for attribute in attributes.map_while(Result::ok) {
        // Writing to a string cannot fail.
        let _infallible = write!(out, " {}={}", lossy(attribute.key), plain(&attribute.value));
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as Go prints it: `2026-11-21 10:00:00.5 +0000 UTC`.
pub(super) fn time(unix_nanos: u64) -> String {
    let (seconds, nanos) = (unix_nanos / 1_000_000_000, unix_nanos % 1_000_000_000);
    let (year, month, day) = telemetry::civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction =
        if nanos == 0 { String::new() } else { format!(".{nanos:09}").trim_end_matches('0').to_owned() };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        assert_eq!(time(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(time(1_709_164_800_500_000_000), "2024-02-29 00:00:00.5 +0000 UTC");
    }
}
