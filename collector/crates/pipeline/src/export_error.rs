//! How an attempt to send ended that did not simply succeed. One `match` in the spine serves every exporter.

use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What an endpoint made of a request that it did not take whole. What happens next is the spine's:
/// `pipeline::delivery` holds the rules.
///
/// A `reason` is the `reason` label of `muster_exporter_dropped_items_total`: a fixed word, never text of the endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not accepted now; the same request may be accepted later.
    #[error("not accepted now")]
    Later {
        /// How long the endpoint asks us to wait.
        after: Option<Duration>,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The endpoint refuses us or does not know the place (401, 403, 404), whatever the request holds. Somebody has to
    /// mend that; until then the request is dropped, or kept where the user wants that.
    #[error("access denied")]
    Denied {
        /// `unauthorized`, `forbidden` or `not_found`.
        reason: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The request is larger than the endpoint takes; its halves may be small enough.
    #[error("larger than the endpoint takes")]
    TooLarge {
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// Rejected for good because of something in it; parts without that would be accepted.
    #[error("rejected because of its content")]
    BadItems {
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The endpoint took some items and says that it rejected these for good.
    #[error("{n_rejected} items rejected for good")]
    Partial {
        /// How many were not taken.
        n_rejected: u64,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// Rejected for good.
    #[error("rejected for good")]
    Never {
        /// Why, in one word.
        reason: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

impl ExportError {
    /// Not accepted now, and the endpoint did not say when it will be.
    pub fn later(source: impl Into<BoxError>) -> Self {
        Self::Later { after: None, source: source.into() }
    }

    /// Rejected for good.
    pub fn never(reason: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Never { reason, source: source.into() }
    }
}
