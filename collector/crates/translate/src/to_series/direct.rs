//! A scrape as series, without OTLP in between.
//!
//! Series go out as they stand in the table wherever the way through OTLP would change nothing. That is nearly always;
//! what remains is put together by the same code that serves OTLP.

mod columns;

use std::borrow::Cow;
use std::collections::HashMap;

use model::{Exemplar, Histogram, Labels, Point, Scrape, SeriesId, SeriesTable, Timestamp, is_stale};

use super::otlp::push_scraped_name;
use super::{FamilySpans, Run, Sample, Scratch, Seen, TakeSeries, ToSeries};
use crate::exemplar::settled;
use crate::labels::{INSTANCE, JOB, Mark, Rank};
use crate::names;
use crate::resource::{Attributes, IDENTIFYING};
use crate::scraped::{Absent, Described, Known, SCOPE_PREFIX, TARGET_INFO};
use crate::series::{Exemplars, FamilyRef, Reason, Report, SeriesLabels, SeriesRef, Source, TableRun};

/// Whether a series goes out as it stands in the table, whatever the options are that leave series as they are: its
/// names are legal everywhere, it describes neither a scope nor the target, and it has the target's own `job` and
/// `instance`. Whoever fills a table notes the answer there ([`SeriesTable::set_plain`]), so that nobody has to look at
/// the labels of every sample.
#[must_use]
pub fn is_plain(series: &Labels, target: &Labels) -> bool {
    let name = series.value("__name__");
    name != TARGET_INFO
        && names::is_legal_metric(name)
        && series.iter().all(|(name, _)| names::is_legal_label(name) && !name.starts_with(SCOPE_PREFIX))
        && ["job", "instance"].iter().all(|label| series.value(label) == target.value(label))
}

pub(super) fn translate(
    options: &ToSeries,
    scrape: &Scrape,
    scratch: &mut Scratch,
    taker: &mut dyn TakeSeries,
) -> Report {
    let run = Run::new(options, &mut scratch.labels, taker);
    let start = run.labels.mark();
    let target = &scrape.target.labels;
    let target = Known { job: target.value("job"), instance: target.value("instance"), ..Known::default() };
    let mut direct = Direct {
        run,
        start,
        scrape,
        target,
        keeps_series: options.namespace.is_empty() && !options.shares_any(),
        histogram: None,
        resources: Vec::new(),
        by_identity: HashMap::new(),
        last: 0,
        own: None,
        attributes: Vec::new(),
    };
    direct.run();
    direct.run.report
}

struct Direct<'a, 'r, 'e> {
    run: Run<'r, 'e>,
    start: Mark,
    scrape: &'a Scrape,
    /// `job` and `instance` of the target, for series that have none.
    target: Known<'a>,
    /// Whether the options leave series as they are, but for external labels.
    keeps_series: bool,
    /// The native histogram that the point is which is being emitted.
    histogram: Option<Cow<'a, Histogram>>,
    resources: Vec<Resource<'a>>,
    /// Where each of them is, once there are two.
    by_identity: HashMap<(&'a str, &'a str), usize>,
    /// The resource of the series before.
    last: usize,
    /// The resource of series that have the target's own `job` and `instance`.
    own: Option<usize>,
    /// The attributes of each resource, where series get them.
    attributes: Vec<Attributes<'a>>,
}

/// Series of one `job` and `instance`.
struct Resource<'a> {
    job: &'a str,
    instance: &'a str,
    /// Its `target_info` series.
    info: Vec<SeriesId>,
    seen: Seen,
}

/// The exemplars of a point; those of points before it are passed over.
fn take_own<'e>(exemplars: &mut &'e [(u32, Exemplar)], index: usize) -> Exemplars<'e> {
    let n_before = exemplars.iter().take_while(|exemplar| (exemplar.0 as usize) < index).count();
    let rest = &exemplars[n_before..];
    let n_own = rest.iter().take_while(|exemplar| exemplar.0 as usize == index).count();
    let (own, rest) = rest.split_at(n_own);
    *exemplars = rest;
    Exemplars(own)
}

impl<'a> Direct<'a, '_, '_> {
    fn table(&self) -> &'a SeriesTable {
        &self.scrape.table
    }

    fn run(&mut self) {
        if self.run.options.shares_any() {
            // A `target_info` that comes late belongs to the series before it too.
            for point in &self.scrape.points {
                let known = Known::of(self.table(), point.series);
                let resource = self.resource(&known);
                if known.name == TARGET_INFO && !is_stale(point.bits) {
                    self.resources[resource].info.push(point.series);
                }
            }
            self.attributes = self.resources.iter().map(|resource| self.attributes_of(resource)).collect();
        }
        self.points();
        for index in 0..self.resources.len() {
            self.target_info(index);
        }
    }

    fn points(&mut self) {
        if !self.scrape.histograms.is_empty() || !self.scrape.starts.is_empty() {
            self.points_with_columns();
            return;
        }
        let settled = settled(&self.scrape.exemplars, self.run.options.strategy);
        if !self.scrape.timestamps.is_empty() {
            let mut exemplars = &settled[..];
            for (index, (point, at)) in self.scrape.timed().enumerate() {
                let own = take_own(&mut exemplars, index);
                self.point(point.series, point.bits, at, own);
            }
            return;
        }
        let (points, at) = (&self.scrape.points[..], self.scrape.at);
        let has_runs = self.keeps_series && self.run.options.external_labels.is_empty();
        let (mut index, mut exemplars) = (0, &settled[..]);
        while index < points.len() {
            let own = take_own(&mut exemplars, index);
            if own.is_empty() && has_runs {
                let end = exemplars.first().map_or(points.len(), |next| points.len().min(next.0 as usize));
                let n_taken = self.points_of_run(&points[index..end], at);
                if n_taken > 0 {
                    index += n_taken;
                    continue;
                }
            }
            self.point(points[index].series, points[index].bits, at, own);
            index += 1;
        }
    }

    /// Emits those of the points, from the first one on, that go out as they stand in the table.
    fn points_of_run(&mut self, points: &'a [Point], at: Timestamp) -> usize {
        let table = self.table();
        let is_ready = |point: &&Point| table.is_plain(point.series) && table.has_family(point.series);
        let n_points = points.iter().take_while(is_ready).count();
        if n_points == 0 {
            return 0;
        }
        let points = &points[..n_points];
        let own = self.own.unwrap_or_else(|| self.resource(&Known { ..self.target }));
        self.own = Some(own);
        self.resources[own].seen.add(at, points.iter().all(|point| is_stale(point.bits)));
        self.run.taker.run(TableRun { table, points, at });
        self.run.report.n_samples += n_points;
        n_points
    }

    /// The resource of a series.
    fn resource(&mut self, known: &Known<'a>) -> usize {
        let job = if known.job.is_empty() { self.target.job } else { known.job };
        let instance = if known.instance.is_empty() { self.target.instance } else { known.instance };
        if self.resources.get(self.last).is_some_and(|last| last.job == job && last.instance == instance) {
            return self.last;
        }
        let next = self.resources.len();
        if next > 0 && self.by_identity.is_empty() {
            let first = &self.resources[0];
            self.by_identity.insert((first.job, first.instance), 0);
        }
        // Most scrapes have one resource, which needs no index.
        self.last = if next == 0 { 0 } else { *self.by_identity.entry((job, instance)).or_insert(next) };
        if self.last == next {
            self.resources.push(Resource { job, instance, info: Vec::new(), seen: Seen::default() });
        }
        self.last
    }

    fn attributes_of(&self, resource: &Resource<'a>) -> Attributes<'a> {
        let table = self.table();
        let info = resource.info.iter().flat_map(|series| table.labels(*series));
        Attributes::of(&self.scrape.target, resource.job, resource.instance, info)
    }

    fn point(&mut self, series: SeriesId, bits: u64, at: Timestamp, exemplars: Exemplars<'_>) {
        let table = self.table();
        if self.keeps_series && table.is_plain(series) {
            let own = self.own.unwrap_or_else(|| self.resource(&Known { ..self.target }));
            self.own = Some(own);
            self.resources[own].seen.add(at, is_stale(bits));
            self.emit_as_it_is(series, bits, at, exemplars);
            return;
        }
        let known = Known::of(table, series);
        let resource = self.resource(&known);
        if known.name == TARGET_INFO {
            if !self.run.options.shares_any() && !is_stale(bits) {
                self.resources[resource].info.push(series);
            }
            return;
        }
        self.resources[resource].seen.add(at, is_stale(bits));
        if !self.is_final(&known, series) {
            self.rebuilt(&known, (series, resource), (bits, at), exemplars);
            return;
        }
        self.emit_as_it_is(series, bits, at, exemplars);
    }

    #[inline]
    fn emit_as_it_is(&mut self, series: SeriesId, bits: u64, at: Timestamp, exemplars: Exemplars<'_>) {
        let table = self.table();
        let family = table.family(series).map_or_else(
            || {
                let name = Known::of(table, series).name;
                let described = Described::of(None, name);
                FamilyRef { name, kind: described.kind, help: described.help, unit: described.unit }
            },
            FamilyRef::of,
        );
        let labels = SeriesLabels(Source::Table(table, series, &self.run.options.external_labels));
        let histogram = self.histogram.as_deref();
        self.run.taker.series(SeriesRef {
            labels,
            bits,
            histogram,
            at,
            start: self.run.start,
            family,
            exemplars,
        });
        self.run.report.n_samples += 1;
    }

    /// Whether the series goes out as it stands in the table, with external labels.
    fn is_final(&self, known: &Known<'_>, series: SeriesId) -> bool {
        let options = self.run.options;
        let has_final_names = !options.strategy.escapes()
            || (names::is_legal_metric(known.name)
                && self.table().labels(series).all(|label| names::is_legal_label(label.0)));
        self.keeps_series && (options.scope_info || !known.is_scoped) && has_final_names
    }

    /// Emits a series to which the options add something, or whose names need escaping.
    fn rebuilt(
        &mut self,
        known: &Known<'a>,
        (series, resource): (SeriesId, usize),
        (bits, at): (u64, Timestamp),
        exemplars: Exemplars<'_>,
    ) {
        let (table, options) = (self.table(), self.run.options);
        self.push_identity(known.job, known.instance);
        if let Some(attributes) = self.attributes.get(resource) {
            for (key, value) in attributes.iter().filter(|attribute| options.shares(attribute.0)) {
                let (key, value) = (self.run.labels.push(key), self.run.labels.push(value));
                self.run.labels.share(key, value);
            }
        }
        for (name, value) in table.labels(series) {
            match name {
                "__name__" | "job" | "instance" => {}
                _ if name.starts_with(SCOPE_PREFIX) => {
                    if options.scope_info {
                        let value = self.run.labels.push(value);
                        self.run.scope_label(&name[SCOPE_PREFIX.len()..], value);
                    }
                }
                _ => {
                    let (key, value) = (self.run.labels.push(name), self.run.labels.push(value));
                    self.run.labels.attribute(key, value, true);
                }
            }
        }
        if self.run.labels.assemble(options.strategy, Absent::default()) {
            let labels = &mut self.run.labels;
            let mut prefixed = |name: &str| {
                let push = |out: &mut String| {
                    names::push_namespace(out, options.strategy, &options.namespace);
                    push_scraped_name(out, options.strategy, name);
                };
                labels.span(push).0
            };
            let name = prefixed(known.name);
            let described = Described::of(table.family(series), known.name);
            let family = FamilySpans {
                name: table.family(series).map_or(name, |family| prefixed(&family.name)),
                kind: described.kind,
                help: labels.push(described.help),
                unit: labels.push(described.unit),
            };
            let histogram = self.histogram.as_deref();
            self.run.emit_series(name, None, &Sample { family: &family, bits, histogram, at, exemplars });
        } else {
            self.run.report.drop_points(Reason::NamelessLabel, known.name.as_bytes(), 1);
        }
        self.run.labels.rewind(self.start);
    }

    fn push_identity(&mut self, job: &str, instance: &str) {
        let labels = &mut self.run.labels;
        for (rank, name, value) in [(Rank::Job, JOB, job), (Rank::Instance, INSTANCE, instance)] {
            let value = labels.push(value);
            labels.surround(rank, name, value);
        }
    }

    fn target_info(&mut self, index: usize) {
        let resource = &self.resources[index];
        let (seen, job, instance) = (resource.seen, resource.job, resource.instance);
        if !self.run.options.target_info || (job.is_empty() && instance.is_empty()) {
            return;
        }
        let attributes = self.attributes_of(resource);
        self.push_identity(job, instance);
        self.run.target_info(seen, |run| {
            let others = attributes.iter().filter(|(key, _)| !IDENTIFYING.contains(key));
            let mut n_others = 0;
            for (key, value) in others {
                n_others += 1;
                let (key, value) = (run.labels.push(key), run.labels.push(value));
                run.labels.share(key, value);
            }
            n_others
        });
        self.run.labels.rewind(self.start);
    }
}
