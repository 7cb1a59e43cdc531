//! What can wait in a queue.

use bytes::Bytes;
use model::{Signal, Timestamp};

/// A request that is ready to be sent: encoded, and compressed if the receiver wants that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What will be sent.
    pub payload: Bytes,
    /// What must be known without looking into the payload.
    pub head: Head,
}

/// What is known of a sealed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the payload holds.
    pub signal: Signal,
    /// Points, records or spans.
    pub n_items: u64,
    /// Time of the oldest item.
    pub oldest: Timestamp,
    /// Time of the newest item.
    pub newest: Timestamp,
    /// The exporter's own mark of how the payload is encoded; 0 where it has but one way.
    pub format: u8,
}
