//! What the kubelet's JSON has that serde's own types are too strict for: numbers, times and quantities that may be absent or odd.
//!
//! One odd value must not cost a whole scrape, so it reads as nothing, and the metric it belongs to is counted as skipped. What is
//! no JSON, or has a list where an object belongs, is an error of the whole answer.

mod reader;

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::time::unix_nanos;

pub(crate) use reader::read;

/// A number of bytes, nanoseconds or events; none where the answer has null, or no whole number that fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A point in time, in nanoseconds since 1970; zero where the answer has none, or Go's zero time, or one before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) u64);

/// A quantity of Kubernetes (`500m`, `256Mi`, `2e3`) as a number; none where it is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quantity(pub(crate) Option<f64>);

impl<'de> serde::Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let is_whole = |value: f64| (0.0..9e15).contains(&value) && value.fract() == 0.0;
        from.deserialize_any(Lenient {
            whole: |value| Self(Some(value)),
            double: move |value| Self(is_whole(value).then_some(value as u64)),
            text: |_: &str| Self(None),
        })
    }
}

impl<'de> serde::Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = |text: &str| Self(unix_nanos(text).unwrap_or(0));
        from.deserialize_any(Lenient { whole: |_| Self(0), double: |_| Self(0), text })
    }
}

impl<'de> serde::Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Lenient {
            whole: |value| Self(Some(value as f64)),
            double: |value| Self(Some(value)),
            text: |text: &str| Self(config::quantity(text)),
        })
    }
}

/// Takes any value; what has no function here is the default.
struct Lenient<W, F, S> {
    whole: W,
    double: F,
    text: S,
}

impl<'de, T, W, F, S> Visitor<'de> for Lenient<W, F, S>
where
    T: Default,
    W: FnOnce(u64) -> T,
    F: FnOnce(f64) -> T,
    S: FnOnce(&str) -> T,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok((self.whole)(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok((self.double)(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok((self.double)(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok((self.text)(value))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<T, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_reads_as_nothing() {
        let read = |json: &str| serde_json::from_str::<Count>(json).unwrap().0;
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        assert_eq!(read("1e3"), Some(1000));
        for json in [
            "null",
            "-1",
            "1.5",
            "1e300",
            "\"7\"",
            "true",
            "[1, [2]]",
            "{\"a\": {\"b\": 1}}",
            "99999999999999999999",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
        assert!(serde_json::from_str::<Count>("{\"a\"").is_err());
    }

    #[test]
    fn times_that_say_nothing_are_zero() {
        let read = |json: &str| serde_json::from_str::<Time>(json).unwrap().0;
        assert_eq!(read("\"2026-01-01T00:00:10Z\""), 1_767_225_610_000_000_000);
        for json in ["null", "\"0001-01-01T00:00:00Z\"", "\"soon\"", "12", "{}", "\"1969-12-31T23:59:59Z\""] {
            assert_eq!(read(json), 0, "{json}");
        }
    }
}
