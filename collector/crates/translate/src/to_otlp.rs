//! A scrape as OTLP.
//!
//! Follows the Go collector's Prometheus receiver (`transaction.go`, `metricfamily.go`): counters become monotonic sums,
//! histograms and summaries are put together from their series, `job` and `instance` go to the resource together with
//! what discovery knows, `otel_scope_` labels become the scope, stale markers become points without a value.
//!
//! Nothing is lost on the way, so that a pipeline that needs OTLP exports the series that one without it would. This
//! is where it differs on purpose:
//! - Series that are no valid histogram or summary (without a count, with falling or fractional buckets, with bounds that
//!   Prometheus would have spelled otherwise) stay gauges of their own; the Go receiver drops them. Only where the last
//!   bucket and the count disagree the count wins, as there.
//! - Points of one histogram with different times are different points; the Go receiver drops the odd ones.
//! - `_created` series stay series. No start time is guessed, and none is taken from them.
//! - What a series does not have, but OTLP implies, is noted in the metric's metadata ([`crate::scraped`]).

mod assemble;
mod group;
mod write;

use model::{Frames, Scrape};

use crate::scraped::ScopeInfo;
use group::Groups;

/// Translates a scrape. There is one frame per `job` and `instance`, hence normally one.
#[must_use]
pub fn scrape_to_otlp(scrape: &Scrape, scope: &ScopeInfo<'_>) -> Frames {
    let mut groups = Groups::new(scrape);
    for (index, (point, at)) in scrape.timed().enumerate() {
        groups.add(u32::try_from(index).expect("fewer than 2^32 points in one scrape"), point, at);
    }
    groups.finish();
    let mut frames = Frames::default();
    for resource in groups.resources.iter().filter(|resource| resource.n_points() > 0) {
        frames.n_items += resource.n_points();
        frames.resources.push(write::resource(scrape, resource, scope).into());
    }
    frames
}

#[cfg(test)]
mod tests;
