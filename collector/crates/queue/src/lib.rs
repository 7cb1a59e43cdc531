//! Bounded queues between those who produce requests and those who send them.
//!
//! A [`Queue`] holds sealed requests in shards. One shard is one line: what was pushed first is popped first,
//! and what could not be sent goes back to its old place, so that one series, which always takes the same
//! shard, never overtakes itself. Limits count over all shards together, in requests, items and bytes, and a
//! request counts until it is acknowledged, also while it is being sent (as the queue of the collector's
//! `exporterhelper`; unlike there, order survives a retry).
//!
//! A queue with a directory ([`Queue::open`]) keeps on disk what is not acknowledged within a moment, and finds it again when
//! it is opened the next time. The crate knows no pipeline and no protocol.

mod disk;
mod inspect;
mod limits;
mod log;
mod meters;
mod queue;
mod request;
mod storage;

pub use disk::{DiskOptions, Dropped, Tally};
pub use inspect::{CursorReport, Inspection, LossReport, SegmentReport};
pub use limits::{Full, Limits, Sizer, TooLarge};
pub use log::Loss;
pub use meters::Meters;
pub use queue::{InFlight, Queue, Reason, Rejected, Sizes, WeakQueue};
pub use request::{Head, Request};
pub use storage::{Files, Space, Storage, StoredFile};
