//! Formats of strings and numbers that a schema names: those of the typed values of this crate.

use crate::value::{ByteSize, HostPort, HttpUrl, LabelName, Period, Timeout};
use crate::{Node, Value};

/// Why a value does not have the format, which the schema of a typed value names.
pub(super) fn complaint(format: &str, node: &Node) -> Option<String> {
    match (format, node.value()) {
        (Period::FORMAT, Value::Str(text)) => text.parse::<Period>().err(),
        (Period::FORMAT, Value::Int(nanos)) => Period::from_nanos(*nanos).err(),
        (Timeout::FORMAT, Value::Str(text)) => text.parse::<Timeout>().err(),
        (Timeout::FORMAT, Value::Int(nanos)) => Timeout::from_nanos(*nanos).err(),
        (ByteSize::FORMAT, Value::Str(text)) => text.parse::<ByteSize>().err(),
        (HttpUrl::FORMAT, Value::Str(text)) => text.parse::<HttpUrl>().err(),
        (HostPort::FORMAT, Value::Str(text)) => text.parse::<HostPort>().err(),
        (LabelName::FORMAT, Value::Str(text)) => text.parse::<LabelName>().err(),
        _ => None,
    }
}
