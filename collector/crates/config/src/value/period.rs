//! Spans of time.
//!
//! Both spellings that configurations use are read everywhere: Go's (`1.5s`, `200ms`, `1us`, a bare integer counts nanoseconds) and
//! Prometheus' (`1d`, `2w`, `1y`, where a day has 24 hours, a week 7 and a year 365 days). Printed the Prometheus way.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{quantity, shown};

/// A span of time that is never zero: intervals, waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

/// A bound on a span of time; zero means that there is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(Duration);

impl Period {
    /// What schemas call this form of text.
    pub(crate) const FORMAT: &'static str = "period";

    /// A period of so many seconds; of one nanosecond for zero.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::at_least_one(Duration::from_secs(seconds))
    }

    /// A period of so many milliseconds; of one nanosecond for zero.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::at_least_one(Duration::from_millis(millis))
    }

    /// The period of this length; `None` for zero.
    #[must_use]
    pub const fn new(duration: Duration) -> Option<Self> {
        if duration.is_zero() { None } else { Some(Self(duration)) }
    }

    /// The length, never zero.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The length in whole milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The length in seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// A bare integer, as Go reads durations.
    pub(crate) fn from_nanos(nanos: i128) -> Result<Self, String> {
        not_zero(duration_of_nanos(nanos)?)
    }

    const fn at_least_one(duration: Duration) -> Self {
        if duration.is_zero() { Self(Duration::from_nanos(1)) } else { Self(duration) }
    }
}

impl Timeout {
    /// What schemas call this form of text.
    pub(crate) const FORMAT: &'static str = "timeout";

    /// No bound.
    pub const NONE: Self = Self(Duration::ZERO);

    /// A timeout of so many seconds; none for zero.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A timeout of this length; none for zero.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The bound, where there is one.
    #[must_use]
    pub fn as_duration(self) -> Option<Duration> {
        Some(self.0).filter(|duration| !duration.is_zero())
    }

    /// A bare integer, as Go reads durations.
    pub(crate) fn from_nanos(nanos: i128) -> Result<Self, String> {
        duration_of_nanos(nanos).map(Self)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        not_zero(parse(text)?)
    }
}

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        not_zero(deserializer.deserialize_any(DurationVisitor)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor).map(Self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": Self::FORMAT,
            "description": "A span of time, not zero: 30s, 1m30s, 200ms, 1d. A bare integer counts nanoseconds.",
        })
    }
}

impl JsonSchema for Timeout {
    fn schema_name() -> Cow<'static, str> {
        "Timeout".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": Self::FORMAT,
            "description": "A span of time, 0s for none: 30s, 1m30s, 200ms, 1d. A bare integer counts nanoseconds.",
        })
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 30s")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, nanos: u64) -> Result<Duration, E> {
        duration_of_nanos(nanos.into()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, nanos: i64) -> Result<Duration, E> {
        duration_of_nanos(nanos.into()).map_err(E::custom)
    }
}

/// Longest duration: what Go's 64 bits of nanoseconds hold, 292 years.
const MAX_NANOS: u64 = i64::MAX as u64;

fn parse(text: &str) -> Result<Duration, String> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if let Some(nanos) = quantity::sum(unsigned, nanos_of_unit) {
        return duration_of_nanos(nanos.into());
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{} is not a duration, it needs a unit; write for example {unsigned}s",
            shown(text)
        ));
    }
    match text.strip_prefix('-').and_then(|text| quantity::sum(text, nanos_of_unit)) {
        Some(_) => Err(format!("{} is negative, a duration must not be", shown(text))),
        None => Err(format!("{} is not a duration; write for example 30s, 1m30s or 200ms", shown(text))),
    }
}

fn nanos_of_unit(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 24 * 3600 * SECOND;
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => DAY,
        "w" => 7 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    })
}

fn duration_of_nanos(nanos: i128) -> Result<Duration, String> {
    match u64::try_from(nanos) {
        Ok(nanos) if nanos <= MAX_NANOS => Ok(Duration::from_nanos(nanos)),
        Ok(_) => Err("the duration is longer than 292 years".to_owned()),
        Err(_) if nanos < 0 => Err("a duration must not be negative".to_owned()),
        Err(_) => Err("the duration is longer than 292 years".to_owned()),
    }
}

fn not_zero(duration: Duration) -> Result<Period, String> {
    Period::new(duration).ok_or_else(|| "the duration must not be zero".to_owned())
}

/// As `model.Duration.String`: whole years and weeks only when nothing remains. What is finer than a millisecond, which
/// Prometheus has no unit for, is added the Go way.
fn print(duration: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const UNITS: [(&str, u128, bool); 9] = [
        ("y", 365 * 86_400_000_000_000, true),
        ("w", 7 * 86_400_000_000_000, true),
        ("d", 86_400_000_000_000, false),
        ("h", 3_600_000_000_000, false),
        ("m", 60_000_000_000, false),
        ("s", 1_000_000_000, false),
        ("ms", 1_000_000, false),
        ("us", 1_000, false),
        ("ns", 1, false),
    ];
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return f.write_str("0s");
    }
    for (unit, length, only_whole) in UNITS {
        if nanos >= length && (!only_whole || nanos.is_multiple_of(length)) {
            write!(f, "{}{unit}", nanos / length)?;
            nanos %= length;
        }
    }
    Ok(())
}
