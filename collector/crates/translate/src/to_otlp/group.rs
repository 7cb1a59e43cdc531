//! Points by resource, scope and metric.

use std::collections::HashMap;

use model::{Family, Histogram, Kind, Point, Scrape, SeriesId, SeriesTable, Timestamp, is_stale};

use super::assemble::{Assembly, Distribution, PartKey, Role};
use super::native::{self, Native, NativePoint};
use crate::float;
use crate::scraped::{Absent, Described, Known, SCOPE_PREFIX, TARGET_INFO};
use crate::series::{Reason, Report};

/// A scrape, taken apart.
pub(super) struct Groups<'a> {
    scrape: &'a Scrape,
    pub(super) resources: Vec<ResourceGroup<'a>>,
    by_identity: HashMap<(&'a str, &'a str), usize>,
    last_resource: usize,
    assemblies: Vec<Assembly<'a>>,
    by_part: HashMap<PartKey<'a>, usize>,
    scratch: String,
    /// What has no form in OTLP.
    pub(super) report: Report,
}

/// The series of one `job` and `instance`.
pub(super) struct ResourceGroup<'a> {
    pub(super) job: &'a str,
    pub(super) instance: &'a str,
    /// Its `target_info` series.
    pub(super) info: Vec<SeriesId>,
    pub(super) scopes: Vec<ScopeGroup<'a>>,
}

impl ResourceGroup<'_> {
    pub(super) fn n_points(&self) -> usize {
        let metrics = self.scopes.iter().flat_map(|scope| &scope.metrics);
        metrics.map(|metric| metric.numbers.len() + metric.distributions.len() + metric.natives.len()).sum()
    }
}

/// The series of one scope.
pub(super) struct ScopeGroup<'a> {
    /// Its `otel_scope_` labels.
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) metrics: Vec<MetricGroup<'a>>,
    by_key: HashMap<MetricKey<'a>, usize>,
    last_metric: usize,
}

/// The points of one metric.
pub(super) struct MetricGroup<'a> {
    pub(super) key: MetricKey<'a>,
    pub(super) described: Described<'a>,
    pub(super) family: Option<&'a Family>,
    /// Index of its first point, which decides about the order of metrics.
    first: u32,
    pub(super) numbers: Vec<(u32, Timestamp)>,
    pub(super) distributions: Vec<Distribution>,
    pub(super) natives: Vec<NativePoint>,
}

/// What points have in common that are in one metric.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MetricKey<'a> {
    pub(super) name: &'a str,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
    pub(super) absent: Absent,
}

/// The form of a metric's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Gauge,
    Sum {
        is_monotonic: bool,
    },
    Histogram,
    Summary,
    /// A native histogram.
    Exponential,
    /// A native histogram with bounds of its own.
    Custom,
}

/// Resource and scope of a series.
pub(super) type Place = (usize, usize);

/// What a series is in OTLP.
enum Form<'a> {
    /// A point of its own.
    Whole(Shape, Kind),
    /// A part of a histogram or summary of this name.
    Part(Shape, &'a str, Role),
    /// A native histogram, and what it lacks.
    Native(Shape, Native, Absent),
    /// There is no form for it.
    Nothing(Reason),
}

impl<'a> Groups<'a> {
    pub(super) fn new(scrape: &'a Scrape) -> Self {
        Self {
            scrape,
            resources: Vec::new(),
            by_identity: HashMap::new(),
            last_resource: 0,
            assemblies: Vec::new(),
            by_part: HashMap::new(),
            scratch: String::new(),
            report: Report::default(),
        }
    }

    fn table(&self) -> &'a SeriesTable {
        &self.scrape.table
    }

    pub(super) fn add(&mut self, index: u32, point: Point, at: Timestamp) {
        let known = Known::of(self.table(), point.series);
        let target = &self.scrape.target.labels;
        let or_target = |own, label| if str::is_empty(own) { target.value(label) } else { own };
        let resource = self.resource(or_target(known.job, "job"), or_target(known.instance, "instance"));
        let is_stale = is_stale(point.bits);
        if known.name == TARGET_INFO {
            if !is_stale {
                self.resources[resource].info.push(point.series);
            }
            return;
        }
        let mut absent = Absent::default();
        for (value, flag) in [(known.job, Absent::JOB), (known.instance, Absent::INSTANCE)] {
            absent = if value.is_empty() { absent.with(flag) } else { absent };
        }
        let place = (resource, self.scope(resource, known.is_scoped, point.series));
        let family = self.table().family(point.series);
        let histogram = self.histogram(index);
        let form = match histogram.filter(|histogram| !is_stale_histogram(histogram)) {
            Some(histogram) => native::form_of(histogram)
                .map_or_else(Form::Nothing, |(shape, native, lacks)| Form::Native(shape, native, lacks)),
            None if histogram.is_some() => Form::Native(Shape::Exponential, Native::Ended, Absent::default()),
            None => form_of(family, &known, is_stale, &mut self.scratch),
        };
        match form {
            Form::Nothing(reason) => self.report.drop_points(reason, known.name.as_bytes(), 1),
            Form::Native(shape, form, lacks) => {
                let kind = family.map_or(Kind::Histogram, |family| family.kind);
                let key = MetricKey { name: known.name, shape, kind, absent: absent.with(lacks) };
                self.metric(place, key, family, index).natives.push(NativePoint { index, at, form });
            }
            Form::Whole(shape, kind) => {
                let key = MetricKey { name: known.name, shape, kind, absent };
                self.metric(place, key, family, index).numbers.push((index, at));
            }
            Form::Part(shape, base, role) => {
                let table = self.table();
                let key = PartKey { place, shape, base, absent, at, is_stale, table, series: point.series };
                self.part(key, family, role, index);
            }
        }
    }

    fn histogram(&self, index: u32) -> Option<&'a Histogram> {
        let histograms = &self.scrape.histograms;
        if histograms.is_empty() {
            return None;
        }
        histograms.binary_search_by_key(&index, |histogram| histogram.0).ok().map(|at| &histograms[at].1)
    }

    fn resource(&mut self, job: &'a str, instance: &'a str) -> usize {
        if self
            .resources
            .get(self.last_resource)
            .is_some_and(|last| last.job == job && last.instance == instance)
        {
            return self.last_resource;
        }
        let next = self.resources.len();
        self.last_resource = *self.by_identity.entry((job, instance)).or_insert(next);
        if self.last_resource == next {
            self.resources.push(ResourceGroup { job, instance, info: Vec::new(), scopes: Vec::new() });
        }
        self.last_resource
    }

    fn scope(&mut self, resource: usize, is_scoped: bool, series: SeriesId) -> usize {
        let table = self.table();
        let n_labels = if is_scoped { usize::MAX } else { 0 };
        let labels = table.labels(series).take(n_labels).filter(|label| label.0.starts_with(SCOPE_PREFIX));
        let scopes = &mut self.resources[resource].scopes;
        let known = scopes.iter().position(|scope| labels.clone().eq(scope.labels.iter().copied()));
        known.unwrap_or_else(|| {
            scopes.push(ScopeGroup {
                labels: labels.collect(),
                metrics: Vec::new(),
                by_key: HashMap::new(),
                last_metric: 0,
            });
            scopes.len() - 1
        })
    }

    fn metric(
        &mut self,
        place: Place,
        key: MetricKey<'a>,
        family: Option<&'a Family>,
        first: u32,
    ) -> &mut MetricGroup<'a> {
        let scope = &mut self.resources[place.0].scopes[place.1];
        if scope.metrics.get(scope.last_metric).is_none_or(|last| last.key != key) {
            let next = scope.metrics.len();
            scope.last_metric = *scope.by_key.entry(key).or_insert(next);
            if scope.last_metric == next {
                let described = Described::of(family, key.name);
                scope.metrics.push(MetricGroup {
                    key,
                    described,
                    family,
                    first,
                    numbers: Vec::new(),
                    distributions: Vec::new(),
                    natives: Vec::new(),
                });
            }
        }
        &mut scope.metrics[scope.last_metric]
    }

    fn part(&mut self, key: PartKey<'a>, family: Option<&'a Family>, role: Role, index: u32) {
        // Series of one histogram normally stand together.
        if let Some(last) = self.assemblies.last_mut().filter(|last| last.key == key) {
            last.parts.push((role, index));
            return;
        }
        let next = self.assemblies.len();
        let at = *self.by_part.entry(key).or_insert(next);
        if at == next {
            self.assemblies.push(Assembly { key, family, parts: Vec::new() });
        }
        self.assemblies[at].parts.push((role, index));
    }

    /// Makes histograms and summaries of their parts, and puts metrics in the order in which they were exposed.
    pub(super) fn finish(&mut self) {
        for mut assembly in std::mem::take(&mut self.assemblies) {
            let key = assembly.key;
            let kind = assembly.family.map_or(Kind::Unknown, |family| family.kind);
            let first = assembly.parts.iter().map(|part| part.1).min().unwrap_or(0);
            if let Some((distribution, absent)) = assembly.distribution(self.scrape) {
                let absent = key.absent.with(absent);
                let metric = MetricKey { name: key.base, shape: key.shape, kind, absent };
                self.metric(key.place, metric, assembly.family, first).distributions.push(distribution);
                continue;
            }
            for (_, index) in &assembly.parts {
                let series = self.scrape.points[*index as usize].series;
                let name = Known::of(self.table(), series).name;
                let metric = MetricKey { name, shape: Shape::Gauge, kind, absent: key.absent };
                self.metric(key.place, metric, assembly.family, *index).numbers.push((*index, key.at));
            }
        }
        for scope in self.resources.iter_mut().flat_map(|resource| &mut resource.scopes) {
            for metric in &mut scope.metrics {
                metric.numbers.sort_by_key(|number| number.0);
            }
            scope.metrics.sort_by_key(|metric| metric.first);
        }
    }
}

fn is_stale_histogram(histogram: &Histogram) -> bool {
    is_stale(histogram.sum.to_bits())
}

fn form_of<'a>(
    family: Option<&'a Family>,
    known: &Known<'a>,
    is_stale: bool,
    scratch: &mut String,
) -> Form<'a> {
    let name = known.name;
    let kind = Described::of(family, name).kind;
    // Only native histograms have series of the family's own name; which kind of them it was nobody knows any more.
    if is_stale && kind == Kind::Histogram && family.is_some_and(|family| *family.name == *name) {
        return Form::Native(Shape::Exponential, Native::Ended, Absent::default());
    }
    let base_of = |suffix: &str| name.strip_suffix(suffix).filter(|base| !base.is_empty());
    let part = match kind {
        Kind::Counter => {
            let is_created =
                family.is_some_and(|family| name.strip_suffix("_created") == Some(&*family.name));
            let shape = if is_created { Shape::Gauge } else { Shape::Sum { is_monotonic: true } };
            return Form::Whole(shape, kind);
        }
        Kind::GaugeHistogram => return Form::Nothing(Reason::GaugeHistogram),
        Kind::Info | Kind::StateSet => return Form::Whole(Shape::Sum { is_monotonic: false }, kind),
        Kind::Histogram if !known.le.is_empty() => base_of("_bucket")
            .and_then(|base| Some((base, Role::Bound(float::parse_open_metrics(known.le, scratch)?)))),
        Kind::Summary if !known.quantile.is_empty() => {
            float::parse_open_metrics(known.quantile, scratch).map(|quantile| (name, Role::Bound(quantile)))
        }
        Kind::Histogram | Kind::Summary => base_of("_sum")
            .map(|base| (base, Role::Sum))
            .or_else(|| base_of("_count").map(|base| (base, Role::Count))),
        Kind::Gauge | Kind::Unknown => None,
    };
    let shape = if kind == Kind::Histogram { Shape::Histogram } else { Shape::Summary };
    part.map_or(Form::Whole(Shape::Gauge, kind), |(base, role)| Form::Part(shape, base, role))
}
