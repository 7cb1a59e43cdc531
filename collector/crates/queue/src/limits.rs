//! How much may wait, and what is said when it is too much.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Request;

/// What is counted, as `sending_queue.sizer` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Requests, whatever they hold.
    #[default]
    Requests,
    /// Points, records or spans.
    Items,
    /// Bytes of the requests.
    Bytes,
}

impl Sizer {
    const ALL: [Self; 3] = [Self::Requests, Self::Items, Self::Bytes];

    /// The word in configurations and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Items => "items",
            Self::Bytes => "bytes",
        }
    }
}

impl std::fmt::Display for Sizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much may wait. A limit that is absent does not bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most requests.
    pub requests: Option<u64>,
    /// Most points, records or spans.
    pub items: Option<u64>,
    /// Most bytes.
    pub bytes: Option<u64>,
}

impl Limits {
    /// One limit, as `queue_size` with `sizer` states it.
    #[must_use]
    pub fn of(sizer: Sizer, size: u64) -> Self {
        Self::default().and(sizer, size)
    }

    /// Another limit beside the present ones; replaces the one of the same sizer.
    #[must_use]
    pub fn and(mut self, sizer: Sizer, size: u64) -> Self {
        match sizer {
            Sizer::Requests => self.requests = Some(size),
            Sizer::Items => self.items = Some(size),
            Sizer::Bytes => self.bytes = Some(size),
        }
        self
    }

    /// The limit of one sizer.
    #[must_use]
    pub fn get(&self, sizer: Sizer) -> Option<u64> {
        match sizer {
            Sizer::Requests => self.requests,
            Sizer::Items => self.items,
            Sizer::Bytes => self.bytes,
        }
    }

    /// Whether a request could ever fit, alone in an empty queue.
    pub(crate) fn admits(&self, weight: &Weight) -> Result<(), TooLarge> {
        for sizer in Sizer::ALL {
            let size = weight.get(sizer);
            if let Some(limit) = self.get(sizer).filter(|limit| size > *limit) {
                return Err(TooLarge { sizer, size, limit });
            }
        }
        Ok(())
    }

    /// Whether a request fits beside what waits already.
    pub(crate) fn fits(&self, used: &Weight, more: &Weight) -> Result<(), Full> {
        for sizer in Sizer::ALL {
            let used = used.get(sizer);
            if let Some(limit) = self.get(sizer).filter(|limit| used.saturating_add(more.get(sizer)) > *limit)
            {
                return Err(Full { sizer, used, limit });
            }
        }
        Ok(())
    }
}

/// There is no room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sending queue is full: {used} of {limit} {sizer}")]
pub struct Full {
    /// Which limit was met.
    pub sizer: Sizer,
    /// How much waits already.
    pub used: u64,
    /// How much may wait.
    pub limit: u64,
}

/// There will never be room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request is larger than the whole sending queue: {size} of {limit} {sizer}")]
pub struct TooLarge {
    /// Which limit it exceeds.
    pub sizer: Sizer,
    /// How large it is.
    pub size: u64,
    /// How much may wait.
    pub limit: u64,
}

/// Requests, items and bytes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) requests: u64,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Weight {
    pub(crate) fn of(request: &Request) -> Self {
        Self { requests: 1, items: request.head.n_items, bytes: request.payload.len() as u64 }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.items += more.items;
        self.bytes += more.bytes;
    }

    pub(crate) fn remove(&mut self, less: &Self) {
        debug_assert!(self.requests >= less.requests, "only what was added is removed");
        self.requests -= less.requests;
        self.items -= less.items;
        self.bytes -= less.bytes;
    }

    fn get(&self, sizer: Sizer) -> u64 {
        match sizer {
            Sizer::Requests => self.requests,
            Sizer::Items => self.items,
            Sizer::Bytes => self.bytes,
        }
    }
}
