//! Bounded queues between those who produce requests and those who send them.
//!
//! A [`Queue`] holds sealed requests in shards. One shard is one line: what was pushed first is popped first,
//! and what could not be sent goes back to its old place, so that one series, which always takes the same
//! shard, never overtakes itself. Limits count over all shards together, in requests, items and bytes, and a
//! request counts until it is acknowledged, also while it is being sent (as the queue of the collector's
//! `exporterhelper`; unlike there, order survives a retry).
//!
//! The crate knows no pipeline and no protocol: whatever can say its weight ([`Load`]) can wait here.
//! [`Request`] is the form that needs nothing but bytes and a small header, so that it can wait outside
//! memory too.

mod limits;
mod queue;
mod request;

pub use limits::{Full, Limits, Sizer, TooLarge};
pub use queue::{InFlight, Queue, Reason, Rejected, Sizes};
pub use request::{Head, Load, Request};
