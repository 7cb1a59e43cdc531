//! The scrape loop: schedule, cache, limits, staleness. It knows no pipeline.
//!
//! [`ScrapeConfig`] is a job as the user wrote it, [`Job`] the same checked and compiled, [`assemble`] makes
//! a [`Target`] of what discovery found (an allocator uses it, too). [`Scraper`] runs one loop for each
//! target and gives every scrape to a [`Sink`] as a [`model::Scrape`]: a column of values over the target's
//! series table, in which only new series cost parsing and relabelling.
//!
//! Behaviour is that of Prometheus 3.14 `scrape`; each module says where it differs on purpose. Time comes
//! from a [`Clock`] and tokio's timers, answers from a [`Fetch`], so that tests need neither seconds nor
//! sockets.

mod body;
mod bounds;
mod cache;
mod config;
mod counting;
mod doubt;
mod early;
mod error;
mod failure_log;
mod families;
mod fetch;
mod groups;
mod job;
mod keys;
mod large;
mod mark;
mod metrics;
mod native;
mod orders;
mod output;
mod pool;
mod report;
mod schedule;
mod scraper;
mod series;
mod sink;
mod status;
mod store;
mod target;
mod target_loop;
mod turn;
mod walk;

pub use self::config::{
    EscapingScheme, GlobalConfig, Limits, NameScheme, Scheme, ScrapeConfig, ScrapeProtocol, Switches,
};
pub use error::{Failure, ScrapeError};
pub use fetch::{Fetch, FetchError, Fetched, HttpFetch, MAX_BODY_BYTES, MAX_WIRE_BYTES};
pub use job::Job;
pub use pool::Feed;
pub use schedule::{Clock, SystemClock};
pub use scraper::{Options, Scraper, phase_seed};
pub use sink::{Refused, Sink};
pub use status::{Health, JobStatus, LastScrape, TargetStatus};
pub use target::{Target, TargetKey, assemble, discovered_labels};
pub use turn::{Claim, LONGEST_DOUBT, Turn};

#[cfg(test)]
mod tests;
