//! Amounts of memory.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{quantity, shown};

/// A number of bytes: a bare number, or `10MB`, `64MiB`, `1.5GiB`.
///
/// `KB`, `MB` and so on are powers of 1024, as in Prometheus (`body_size_limit`). Printed as it was given: a number stays a
/// number, because where the collector wants one it takes nothing else; everything else becomes `64MiB`.
#[derive(Clone, Copy, Default)]
pub struct ByteSize {
    bytes: u64,
    is_text: bool,
}

impl ByteSize {
    /// What schemas call this form of text.
    pub(crate) const FORMAT: &'static str = "byte-size";

    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes, is_text: false }
    }

    /// So many mebibytes.
    #[must_use]
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self::from_bytes(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.bytes
    }

    /// The number of bytes; the greatest `usize` where it does not fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Whether this is zero, which as a limit mostly means "none".
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.bytes == 0
    }
}

impl PartialEq for ByteSize {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ByteSize {}

impl PartialOrd for ByteSize {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByteSize {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl std::hash::Hash for ByteSize {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.parse().ok().or_else(|| quantity::sum(text, bytes_of_unit));
        match bytes {
            Some(bytes) => Ok(Self { bytes, is_text: true }),
            None => Err(format!(
                "{} is not a size; write for example 512KiB, 10MB or a number of bytes",
                shown(text)
            )),
        }
    }
}

/// As `units.Base2Bytes` prints: `10MiB`, `1KiB512B`, `0B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return f.write_str("0B");
        }
        let units = ["EiB", "PiB", "TiB", "GiB", "MiB", "KiB", "B"];
        for (index, unit) in units.into_iter().enumerate() {
            let shift = 10 * (units.len() - 1 - index);
            // Above exbibytes there is no unit, so theirs are not cut at 1024.
            let amount = if index == 0 { self.bytes >> shift } else { (self.bytes >> shift) & 1023 };
            if amount > 0 {
                write!(f, "{amount}{unit}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_text { serializer.collect_str(self) } else { serializer.serialize_u64(self.bytes) }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "format": Self::FORMAT,
            "minimum": 0,
            "description": "A number of bytes, or a size such as 512KiB or 10MB (both of 1024).",
        })
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 10MB")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize::from_bytes(bytes))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize::from_bytes).map_err(|_| E::custom("a size must not be negative"))
    }

    fn visit_f64<E: Error>(self, bytes: f64) -> Result<ByteSize, E> {
        match bytes >= 0.0 && bytes.fract() == 0.0 && bytes < 9e15 {
            true => Ok(ByteSize::from_bytes(bytes as u64)),
            false => Err(E::custom("a size must be a whole number of bytes")),
        }
    }
}

fn bytes_of_unit(unit: &str) -> Option<u64> {
    let power = match unit.to_ascii_uppercase().as_str() {
        "B" => 0,
        "K" | "KB" | "KIB" => 1,
        "M" | "MB" | "MIB" => 2,
        "G" | "GB" | "GIB" => 3,
        "T" | "TB" | "TIB" => 4,
        "P" | "PB" | "PIB" => 5,
        "E" | "EB" | "EIB" => 6,
        _ => return None,
    };
    Some(1 << (10 * power))
}
