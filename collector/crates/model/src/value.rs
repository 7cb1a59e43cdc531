//! Sample values as bits, and timestamps.

use std::fmt;

/// The stale marker: a NaN that says "this series ended here" (Prometheus `model/value`).
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The one bit pattern that every other NaN is turned into, so that equal values have equal bits.
pub const NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// Bits of a value as they are stored: any NaN but the stale marker becomes [`NAN_BITS`].
///
/// Values are compared by bits, never by `is_nan`, because the stale marker is a NaN too.
#[inline]
#[must_use]
pub fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() && value.to_bits() != STALE_BITS { NAN_BITS } else { value.to_bits() }
}

/// Whether these bits are the stale marker.
#[inline]
#[must_use]
pub fn is_stale(bits: u64) -> bool {
    bits == STALE_BITS
}

/// Milliseconds since the Unix epoch, as Prometheus counts time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Nanoseconds since the Unix epoch as OTLP counts them; zero for times before the epoch.
    #[must_use]
    pub fn unix_nanos(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0).saturating_mul(1_000_000)
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms)),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nan_but_the_stale_marker_becomes_one_nan() {
        assert_eq!(canonical_bits(f64::NAN), NAN_BITS);
        assert_eq!(canonical_bits(f64::from_bits(0xfff8_0000_0000_0123)), NAN_BITS);
        assert_eq!(canonical_bits(f64::from_bits(STALE_BITS)), STALE_BITS);
        assert_eq!(canonical_bits(-0.0), (-0.0f64).to_bits());
    }

    #[test]
    fn times_before_the_epoch_are_negative() {
        let before = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1500);
        assert_eq!(Timestamp::from(before), Timestamp(-1500));
        assert_eq!(Timestamp(-1500).unix_nanos(), 0);
    }
}
