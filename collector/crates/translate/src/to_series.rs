//! OTLP and scrapes as series: what `prometheusremotewrite` and `prometheus` send and show.
//!
//! [`ToSeries::otlp`] follows the Go collector's remote write translator (`pkg/translator/prometheusremotewrite`).
//! [`ToSeries::scrape`] emits the same series for a scrape as going through OTLP would, without doing so: labels come
//! straight from the target's table, unless the options add something to them.
//!
//! Where the two paths meet, scraped series keep their names and labels: a metric with `prometheus.type` in its metadata
//! is not renamed, its `le` and `quantile` labels are spelled as Prometheus does, and the receiver's own scope gives no
//! labels. The Go collector renames and relabels such series in several cases. Where `trim_metric_suffixes` took suffixes
//! off, strategies with suffixes put the same ones back.
//!
//! Further differences on purpose: invalid UTF-8 is replaced and counted; a stale histogram ends its `_sum` too, if it
//! had one; a native histogram ends as a plain sample, which is what a Prometheus appends; `target_info` ends when everything else of its resource does; points without a value are dropped.

mod direct;
mod options;
mod otlp;

pub use direct::is_plain;
pub use options::{HistogramOptions, ResourceLabels};

use model::{Frames, Histogram, Kind, Labels, STALE_BITS, Scrape, Timestamp};

use crate::labels::{LabelSet, Rank, Span};
use crate::names::{self, Strategy};
use crate::scraped::{Absent, SCOPE_PREFIX, ScopeInfo, TARGET_INFO};
use crate::series::{Exemplars, FamilyRef, Report, SeriesRef, TableRun};
use crate::to_otlp::ToOtlp;

/// Takes the series, one sample at a time, for the length of the call.
pub type Emit<'e> = dyn FnMut(SeriesRef<'_>) + 'e;

/// Takes series one by one, or many of a table at once.
pub trait TakeSeries {
    /// A sample of one series.
    fn series(&mut self, series: SeriesRef<'_>);

    /// Samples of series that go out as they stand in the table, all of one time and without anything beside their values: what
    /// most of a scrape is.
    fn run(&mut self, run: TableRun<'_>) {
        run.series().for_each(|series| self.series(series));
    }
}

impl TakeSeries for &mut Emit<'_> {
    fn series(&mut self, series: SeriesRef<'_>) {
        self(series);
    }
}

/// How to translate: the options of `prometheusremotewrite` and `prometheus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSeries {
    /// Stands in front of every name, with an underscore between; empty for none.
    pub namespace: String,
    /// How names are made (`translation_strategy`, or `add_metric_suffixes`).
    pub strategy: Strategy,
    /// Whether every series gets the resource's attributes as labels (`resource_to_telemetry_conversion.enabled`).
    pub resource_to_telemetry: bool,
    /// Leaves `service.name`, `service.namespace` and `service.instance.id` out of that.
    pub exclude_service_attributes: bool,
    /// Whether there is a `target_info` series per resource.
    pub target_info: bool,
    /// Whether series get `otel_scope_` labels.
    pub scope_info: bool,
    /// Labels for every series that does not have them already; their names are final.
    pub external_labels: Labels,
    /// Attributes of the resource that every series gets as labels (`resource_constant_labels`), in addition to those of
    /// [`Self::resource_to_telemetry`].
    pub resource_labels: ResourceLabels,
    /// What becomes of histograms.
    pub histograms: HistogramOptions,
}

impl Default for ToSeries {
    /// The defaults of the exporters.
    fn default() -> Self {
        Self {
            namespace: String::new(),
            strategy: Strategy::default(),
            resource_to_telemetry: false,
            exclude_service_attributes: false,
            target_info: true,
            scope_info: true,
            external_labels: Labels::new(),
            resource_labels: ResourceLabels::default(),
            histograms: HistogramOptions::default(),
        }
    }
}

/// Buffers of a translation, kept by the caller from one to the next so that nothing is allocated per sample.
#[derive(Debug, Default)]
pub struct Scratch {
    labels: LabelSet,
}

impl ToSeries {
    /// Translates OTLP metrics.
    pub fn otlp(&self, frames: &Frames, scratch: &mut Scratch, emit: &mut Emit<'_>) -> Report {
        let mut emit = emit;
        let mut run = Run::new(self, &mut scratch.labels, &mut emit);
        for resource in &frames.resources {
            run.resource(resource);
        }
        run.report
    }

    /// Translates the OTLP metrics of one resource: one of [`Frames::resources`]. A point that is a number is one sample; they come in the
    /// order of the points.
    pub fn resource(&self, resource: &[u8], scratch: &mut Scratch, emit: &mut Emit<'_>) -> Report {
        let mut emit = emit;
        let mut run = Run::new(self, &mut scratch.labels, &mut emit);
        run.resource(resource);
        run.report
    }

    /// Translates a scrape.
    pub fn scrape(&self, scrape: &Scrape, scratch: &mut Scratch, emit: &mut Emit<'_>) -> Report {
        let mut emit = emit;
        self.scrape_runs(scrape, scratch, &mut emit)
    }

    /// Translates a scrape for who takes many series at once.
    pub fn scrape_runs(&self, scrape: &Scrape, scratch: &mut Scratch, taker: &mut dyn TakeSeries) -> Report {
        if !self.histograms.explicit_to_custom {
            return direct::translate(self, scrape, scratch, taker);
        }
        // Classic histograms have to be put together first, which is what the way to OTLP does.
        let (frames, losses) = ToOtlp::new(ScopeInfo::prometheus_receiver("")).scrape(scrape);
        let mut report = self.otlp(&frames, scratch, &mut |series| taker.series(series));
        report.add_losses(&losses);
        report
    }
}

/// One translation.
struct Run<'r, 'e> {
    options: &'r ToSeries,
    labels: &'r mut LabelSet,
    taker: &'r mut (dyn TakeSeries + 'e),
    /// Since when the point counts that is being emitted.
    start: Option<Timestamp>,
    report: Report,
}

impl<'r, 'e> Run<'r, 'e> {
    fn new(options: &'r ToSeries, labels: &'r mut LabelSet, taker: &'r mut (dyn TakeSeries + 'e)) -> Self {
        labels.clear();
        for (name, value) in options.external_labels.iter() {
            let (name, value) = (labels.push(name), labels.push(value));
            labels.surround(Rank::External, name, value);
        }
        Self { options, labels, taker, start: None, report: Report::default() }
    }

    /// Emits the series that was put together, under this name.
    fn emit_series(&mut self, name: Span, extra: Option<(Span, Span)>, sample: &Sample<'_>) {
        self.labels.name_series(name, extra);
        let text = self.labels.text();
        let family = FamilyRef {
            name: sample.family.name.of(text),
            kind: sample.family.kind,
            help: sample.family.help.of(text),
            unit: sample.family.unit.of(text),
        };
        let labels = self.labels.series();
        let Sample { bits, histogram, at, exemplars, .. } = *sample;
        self.taker.series(SeriesRef { labels, bits, histogram, at, start: self.start, family, exemplars });
        self.report.n_samples += 1;
    }

    /// Emits what a resource is beside `job` and `instance`, which are among the surrounding labels already.
    /// `push_attributes` adds the other attributes and says how many there are.
    fn target_info(&mut self, seen: Seen, push_attributes: impl FnOnce(&mut Self) -> usize) {
        let Some(at) = seen.newest.filter(|_| self.options.target_info) else { return };
        let mark = self.labels.mark();
        if push_attributes(self) > 0 && self.labels.assemble(self.options.strategy, Absent::default()) {
            let (name, ()) = self.labels.span(|out| {
                names::push_namespace(out, self.options.strategy, &self.options.namespace);
                out.push_str(TARGET_INFO);
            });
            let help = self.labels.push("Target metadata");
            let family = FamilySpans { name, kind: Kind::Gauge, help, unit: Span::default() };
            let bits = if seen.is_recorded { 1.0f64.to_bits() } else { STALE_BITS };
            self.start = None;
            self.emit_series(name, None, &Sample::plain(&family, bits, at));
        }
        self.labels.rewind(mark);
    }

    /// Adds a label that describes the scope; `key` is what follows the prefix.
    fn scope_label(&mut self, key: &str, value: Span) {
        let escapes = self.options.strategy.escapes();
        let (name, ()) = self.labels.span(|out| {
            out.push_str(SCOPE_PREFIX);
            if escapes {
                // Behind the prefix a digit is as good as a letter.
                key.chars().for_each(|character| {
                    out.push(if character.is_ascii_alphanumeric() { character } else { '_' });
                });
            } else {
                out.push_str(key);
            }
        });
        self.labels.surround(Rank::Scope, name, value);
    }
}

/// A sample whose labels are in the label set.
#[derive(Clone, Copy)]
struct Sample<'a> {
    family: &'a FamilySpans,
    bits: u64,
    histogram: Option<&'a Histogram>,
    at: Timestamp,
    exemplars: Exemplars<'a>,
}

impl<'a> Sample<'a> {
    /// A number without exemplars.
    fn plain(family: &'a FamilySpans, bits: u64, at: Timestamp) -> Self {
        Self { family, bits, histogram: None, at, exemplars: Exemplars::default() }
    }
}

/// A family in the text of the label set.
#[derive(Clone, Copy, Debug, Default)]
struct FamilySpans {
    name: Span,
    kind: Kind,
    help: Span,
    unit: Span,
}

/// What has been seen of a resource's points.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    newest: Option<Timestamp>,
    /// Whether a point had a value.
    is_recorded: bool,
}

impl Seen {
    fn add(&mut self, at: Timestamp, is_stale: bool) {
        self.newest = self.newest.max(Some(at));
        self.is_recorded |= !is_stale;
    }
}

#[cfg(test)]
mod tests;
