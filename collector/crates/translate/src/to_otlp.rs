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
//! - `_created` series stay series. No start time is guessed; those that the scrape knows go along, the smallest one of
//!   a histogram's series for the whole.
//! - A sum that ends while its histogram goes on ends alone; the Go receiver ends the histogram with it.
//! - What a series does not have, but OTLP implies, is noted in the metric's metadata ([`crate::scraped`]).
//!
//! What cannot be told in OTLP is reported by reason and name: gauge histograms, classic and native, which the
//! specification wants dropped, and native histograms with counts that are no whole numbers.

mod assemble;
mod group;
mod native;
mod trim;
mod write;

use model::{Frames, Scrape};

use crate::scraped::ScopeInfo;
use crate::series::Report;
use group::Groups;

/// How to translate a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToOtlp<'a> {
    /// The scope of series that name none.
    pub scope: ScopeInfo<'a>,
    /// Takes the UNIT word and `_total` off the names of metrics; exporters that add suffixes put them back.
    pub trim_metric_suffixes: bool,
}

impl<'a> ToOtlp<'a> {
    /// Names stay as they are.
    #[must_use]
    pub fn new(scope: ScopeInfo<'a>) -> Self {
        Self { scope, trim_metric_suffixes: false }
    }

    /// Translates a scrape. There is one frame per `job` and `instance`, hence normally one.
    #[must_use]
    pub fn scrape(&self, scrape: &Scrape) -> (Frames, Report) {
        let mut groups = Groups::new(scrape);
        for (index, (point, at)) in scrape.timed().enumerate() {
            groups.add(u32::try_from(index).expect("fewer than 2^32 points in one scrape"), point, at);
        }
        groups.finish();
        let mut frames = Frames::default();
        for resource in groups.resources.iter().filter(|resource| resource.n_points() > 0) {
            frames.n_items += resource.n_points();
            frames.resources.push(write::resource(scrape, resource, self).into());
        }
        let report = Report { n_samples: frames.n_items, ..groups.report };
        (frames, report)
    }
}

/// Translates a scrape under its own names, for those who need no account of what OTLP has no form for
/// ([`ToOtlp::scrape`] gives it).
#[must_use]
pub fn scrape_to_otlp(scrape: &Scrape, scope: &ScopeInfo<'_>) -> Frames {
    ToOtlp::new(*scope).scrape(scrape).0
}

#[cfg(test)]
mod tests;
