//! Defaults that can be named in an attribute: `#[serde(default = "config::secs::<30>")]`.

use crate::{ByteSize, Period, Timeout};

/// A period of so many seconds, at least one.
#[must_use]
pub fn secs<const N: u64>() -> Period {
    const { assert!(N > 0, "a period is never zero") };
    Period::from_secs(N)
}

/// A period of so many milliseconds, at least one.
#[must_use]
pub fn millis<const N: u64>() -> Period {
    const { assert!(N > 0, "a period is never zero") };
    Period::from_millis(N)
}

/// A timeout of so many seconds; zero means none.
#[must_use]
pub fn timeout_secs<const N: u64>() -> Timeout {
    Timeout::from_secs(N)
}

/// A count.
#[must_use]
pub fn count<const N: usize>() -> usize {
    N
}

/// A number.
#[must_use]
pub fn number<const N: u64>() -> u64 {
    N
}

/// So many bytes.
#[must_use]
pub fn bytes<const N: u64>() -> ByteSize {
    ByteSize::from_bytes(N)
}

/// `true`.
#[must_use]
pub fn on() -> bool {
    true
}

/// `false`.
#[must_use]
pub fn off() -> bool {
    false
}
