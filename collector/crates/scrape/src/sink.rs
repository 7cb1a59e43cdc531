//! Where scrapes go.

use futures_util::future::BoxFuture;
use model::Scrape;

/// A scrape was not accepted and is lost; ends of series that it told are told again in the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why.
    pub reason: String,
}

/// Takes scrapes. While a call has not returned, its target is not scraped again: that is the back-pressure.
pub trait Sink: Send + Sync + 'static {
    /// Takes a scrape. The table in it is shared with the loop: who keeps it makes the loop copy it before
    /// its next change.
    ///
    /// # Errors
    /// When the scrape is not accepted.
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>>;
}
