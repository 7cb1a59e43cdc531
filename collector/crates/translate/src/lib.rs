//! Where labels and attributes meet: scrapes to OTLP, OTLP to series, and scrapes to series directly.
//!
//! No other crate of the workspace knows both words. [`ToOtlp`] does what the Go collector's Prometheus receiver
//! does, [`ToSeries::otlp`] what its remote write translator does, and [`ToSeries::scrape`] gives what the two would give
//! one after the other, at a fraction of the cost.

mod exemplar;
mod float;
mod labels;
mod names;
mod native;
mod resource;
mod scraped;
mod series;
mod to_otlp;
mod to_series;
mod units;

#[cfg(test)]
mod fixture;

pub use names::Strategy;
pub use scraped::ScopeInfo;
pub use series::{Dropped, Exemplars, FamilyRef, Reason, Report, SeriesLabels, SeriesRef, TableRun};
pub use to_otlp::{ToOtlp, scrape_to_otlp};
pub use to_series::{Emit, HistogramOptions, ResourceLabels, Scratch, TakeSeries, ToSeries, is_plain};
