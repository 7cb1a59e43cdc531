//! What flows through a pipeline: labels, series, scrapes, OTLP frames, batches.
//!
//! This crate is the vocabulary of the workspace. It does no I/O, reads no clock and spawns nothing, so nothing
//! in it can fail because of the world. Each signal keeps the form in which it arrived: OTLP stays encoded
//! ([`Frames`]), a scrape stays a column of values beside its [`SeriesTable`]. Conversions between the two live in
//! `translate` and nowhere else.

mod batch;
mod histogram;
mod labels;
mod scrape;
mod series;
mod value;

pub use batch::{Batch, Frames, Metrics, Signal, Signals};
pub use histogram::{BucketCounts, CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};
pub use labels::Labels;
pub use scrape::{Exemplar, Point, Scrape, TargetInfo};
pub use series::{Family, FamilySymbols, Kind, SeriesId, SeriesTable};
pub use value::{NAN_BITS, STALE_BITS, Timestamp, canonical_bits, is_stale};
