//! What the scraper says of itself.
//!
//! Names that Prometheus has are used with its meaning; the others begin with `muster_`.

use telemetry::{Counter, Gauge, Histogram, Scope};

use crate::output::Counts;
use crate::{Failure, ScrapeError};

/// Bounds of the duration histogram, in seconds.
const DURATIONS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

/// Counters over all jobs of a scraper.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    scope: Scope,
    scrapes: Counter,
    failures: Vec<(Failure, Counter)>,
    samples: Counter,
    ended: Counter,
    pub(crate) skipped_ticks: Counter,
    pub(crate) refused: Counter,
    duplicates: Counter,
    out_of_order: Counter,
    out_of_bounds: Counter,
    unknown_schemas: Counter,
    bucket_limit: Counter,
    body_size_limit: Counter,
    sample_limit: Counter,
    label_limits: Counter,
    pub(crate) target_limit: Counter,
    pub(crate) sync_failed: Counter,
    duration: Histogram,
}

impl Metrics {
    pub(crate) fn new(scope: Scope) -> Self {
        let counter = |name, help| scope.counter(name, help, &[]);
        let outcome =
            |word| scope.counter("muster_scrapes_total", "Scrapes by how they ended.", &[("outcome", word)]);
        Self {
            scrapes: outcome("success"),
            failures: Failure::ALL.into_iter().map(|kind| (kind, outcome(kind.as_str()))).collect(),
            samples: counter(
                "muster_scrape_samples_total",
                "Samples that scrapes gave, reports not counted.",
            ),
            ended: counter("muster_scrape_series_ended_total", "Series that ended with a stale marker."),
            skipped_ticks: counter(
                "muster_scrape_skipped_ticks_total",
                "Scrapes that did not take place because the one before took too long.",
            ),
            refused: counter(
                "muster_scrape_refused_total",
                "Scrapes that were lost because nobody took them.",
            ),
            duplicates: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Total number of samples rejected due to duplicate timestamps but different values.",
            ),
            out_of_order: counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Total number of samples rejected due to not being out of the expected order.",
            ),
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Total number of samples rejected due to timestamp falling outside of the time bounds.",
            ),
            unknown_schemas: counter(
                "muster_scrape_unknown_schema_histograms_total",
                "Native histograms that were dropped because nobody knows their schema.",
            ),
            bucket_limit: counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Total number of scrapes that hit the native histogram bucket limit and were rejected.",
            ),
            body_size_limit: counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Total number of scrapes that hit the body size limit",
            ),
            sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Total number of scrapes that hit the sample limit and were rejected.",
            ),
            label_limits: counter(
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Total number of times scrape pools hit the label limits, during sync or config reload.",
            ),
            target_limit: counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Total number of times scrape pools hit the target limit, during sync or config reload.",
            ),
            sync_failed: counter(
                "prometheus_target_sync_failed_total",
                "Total number of target sync failures.",
            ),
            duration: scope.histogram(
                "prometheus_target_scrape_duration_seconds",
                "Total duration of the scrape from start to commit completion in seconds.",
                &DURATIONS,
                &[],
            ),
            scope,
        }
    }

    /// The number of targets of a job; shown until the scope is dropped.
    pub(crate) fn targets(&self, job: &str) -> (Scope, Gauge) {
        let help = "Current number of targets in this scrape pool.";
        let scope = self.scope.registry().scope();
        let gauge = scope.gauge("prometheus_target_scrape_pool_targets", help, &[("scrape_job", job)]);
        (scope, gauge)
    }

    pub(crate) fn scraped(&self, counts: &Counts, error: Option<&ScrapeError>, seconds: f64) {
        self.ended.inc_by(counts.ended);
        self.duration.observe(seconds);
        let Some(error) = error else {
            self.scrapes.inc();
            self.samples.inc_by(counts.kept);
            self.duplicates.inc_by(counts.duplicates);
            self.out_of_order.inc_by(counts.out_of_order);
            self.out_of_bounds.inc_by(counts.out_of_bounds);
            self.unknown_schemas.inc_by(counts.unknown_schemas);
            return;
        };
        let kind = error.kind();
        for (_, counter) in self.failures.iter().filter(|(of, _)| *of == kind) {
            counter.inc();
        }
        match kind {
            Failure::BodySizeLimit => self.body_size_limit.inc(),
            Failure::SampleLimit => self.sample_limit.inc(),
            Failure::BucketLimit => self.bucket_limit.inc(),
            Failure::LabelLimit => self.label_limits.inc(),
            _ => {}
        }
    }
}
