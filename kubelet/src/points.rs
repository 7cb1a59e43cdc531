//! Points into OTLP: one buffer for all resources of a scrape, written from front to back.

use std::ops::Range;

use bytes::Bytes;
use model::Frames;
use wire::otlp::{Number, write};
use wire::proto::put_message;

use crate::metric::{Kind, Metric, N_METRICS, Row, ValueType};
use crate::metric_config::AggregationStrategy;
use crate::resource::ResourceAttribute;
use crate::settings::{Plan, Settings};

/// The scope of all points: upstream's, which dashboards know.
pub const SCOPE: &str =
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kubeletstatsreceiver";

/// The resources of one scrape.
#[derive(Debug)]
pub(crate) struct Resources<'s> {
    settings: &'s Settings,
    version: &'static str,
    /// Time of every point, in nanoseconds.
    pub(crate) time: u64,
    out: Vec<u8>,
    ends: Vec<Range<usize>>,
    n_points: usize,
    skipped: [u32; N_METRICS],
}

impl<'s> Resources<'s> {
    /// Writes into `out`, which is empty.
    pub(crate) fn new(settings: &'s Settings, version: &'static str, time: u64, out: Vec<u8>) -> Self {
        let (ends, n_points, skipped) = (Vec::new(), 0, [0; N_METRICS]);
        Self { settings, version, time, out, ends, n_points, skipped }
    }

    pub(crate) fn settings(&self) -> &'s Settings {
        self.settings
    }

    /// Adds a resource, unless a filter keeps it back or nothing is said about it. All its points carry `start`, in nanoseconds;
    /// zero where it is not known.
    pub(crate) fn add(
        &mut self,
        attributes: &[(ResourceAttribute, &str)],
        start: u64,
        inside: impl FnOnce(&mut Points<'_, 's>),
    ) {
        if !self.settings.admits(attributes) {
            return;
        }
        let begin = self.out.len();
        write::resource(&mut self.out, "", |out| {
            for (attribute, value) in
                attributes.iter().filter(|(attribute, _)| self.settings.is_on(*attribute))
            {
                write::attribute(out, write::RESOURCE_ATTRIBUTES, attribute.row().name, value);
            }
        });
        let (settings, time, skipped) = (self.settings, self.time, &mut self.skipped);
        let mut n_points = 0;
        write::scope_metrics(&mut self.out, "", |out| {
            write::scope(out, SCOPE, self.version, |_| {});
            let mut points = Points { out, settings, skipped, start, time, n_points: 0 };
            inside(&mut points);
            n_points = points.n_points;
        });
        if n_points == 0 {
            self.out.truncate(begin);
        } else {
            self.n_points += n_points;
            self.ends.push(begin..self.out.len());
        }
    }

    /// Ends writing.
    pub(crate) fn finish(mut self) -> Written {
        // The guess may have been far too high, and the batch may wait in a queue.
        if self.out.capacity() / 2 > self.out.len() {
            self.out.shrink_to_fit();
        }
        let points = Bytes::from(self.out);
        let resources = self.ends.into_iter().map(|range| points.slice(range)).collect();
        Written { points, frames: Frames { resources, n_items: self.n_points }, skipped: self.skipped }
    }
}

/// Everything that was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The buffer of all frames.
    pub(crate) points: Bytes,
    pub(crate) frames: Frames,
    /// How often each metric that is on had no usable value.
    pub(crate) skipped: [u32; N_METRICS],
}

/// The points of one resource.
#[derive(Debug)]
pub(crate) struct Points<'a, 's> {
    out: &'a mut Vec<u8>,
    settings: &'s Settings,
    skipped: &'a mut [u32; N_METRICS],
    start: u64,
    time: u64,
    n_points: usize,
}

impl<'s> Points<'_, 's> {
    /// Start of all points of this resource, in nanoseconds; zero if unknown.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Time of all points, in nanoseconds.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// An integer. Nothing, or more than OTLP can say, is counted as skipped.
    pub(crate) fn int(&mut self, metric: Metric, value: Option<u64>) {
        debug_assert_eq!(metric.row().value, ValueType::Int, "{metric:?}");
        self.one(metric, value.and_then(|value| i64::try_from(value).ok()).map(Number::Int));
    }

    /// A double.
    pub(crate) fn double(&mut self, metric: Metric, value: Option<f64>) {
        debug_assert_eq!(metric.row().value, ValueType::Double, "{metric:?}");
        self.one(metric, value.map(Number::Double));
    }

    fn one(&mut self, metric: Metric, value: Option<Number>) {
        let Some(plan) = self.settings.plan(metric) else { return };
        if value.is_none() {
            self.skipped[metric as usize] += 1;
            return;
        }
        let (start, time) = (self.start, self.time);
        self.metric(metric.row(), plan, |out| write::number_point(out, start, time, 0, value, |_| {}));
        self.n_points += 1;
    }

    /// Integers that differ in their attributes, whose values are in the order of the metric's row.
    pub(crate) fn ints_by<'t, const N: usize>(
        &mut self,
        metric: Metric,
        points: impl Iterator<Item = ([&'t str; N], Option<u64>)>,
    ) {
        let Some(plan) = self.settings.plan(metric) else { return };
        let row = metric.row();
        debug_assert_eq!((row.value, row.attributes.len()), (ValueType::Int, N), "{metric:?}");
        let mut usable = Vec::new();
        for (values, value) in points {
            match value.and_then(|value| i64::try_from(value).ok()) {
                Some(value) => usable.push((values, value)),
                None => self.skipped[metric as usize] += 1,
            }
        }
        if plan.aggregates(row) {
            usable = grouped(usable, plan);
        }
        if usable.is_empty() {
            return;
        }
        let (start, time) = (self.start, self.time);
        self.metric(row, plan, |out| {
            for (values, value) in &usable {
                write::number_point(out, start, time, 0, Some(Number::Int(*value)), |out| {
                    let attributes = row.attributes.iter().zip(values).zip(plan.kept);
                    for ((name, value), _) in attributes.filter(|(_, is_kept)| *is_kept) {
                        write::attribute(out, write::NUMBER_ATTRIBUTES, name, value);
                    }
                });
            }
        });
        self.n_points += usable.len();
    }

    fn metric(&mut self, row: &Row, plan: &Plan, points: impl FnOnce(&mut Vec<u8>)) {
        put_message(self.out, 2, |out| {
            out.extend_from_slice(&plan.head);
            match row.kind {
                Kind::Gauge => write::gauge(out, points),
                Kind::Sum => write::cumulative_sum(out, false, points),
                Kind::MonotonicSum => write::cumulative_sum(out, true, points),
            }
        });
    }
}

/// Points that agree in the attributes that are kept become one.
fn grouped<'t, const N: usize>(points: Vec<([&'t str; N], i64)>, plan: &Plan) -> Vec<([&'t str; N], i64)> {
    let mut groups: Vec<([&str; N], Vec<i64>)> = Vec::new();
    for (mut values, value) in points {
        for (text, is_kept) in values.iter_mut().zip(plan.kept) {
            if !is_kept {
                *text = "";
            }
        }
        match groups.iter_mut().find(|(known, _)| *known == values) {
            Some((_, of_group)) => of_group.push(value),
            None => groups.push((values, vec![value])),
        }
    }
    groups.into_iter().map(|(values, of_group)| (values, aggregate(&of_group, plan.strategy))).collect()
}

fn aggregate(values: &[i64], strategy: AggregationStrategy) -> i64 {
    let sum = || values.iter().copied().fold(0, i64::saturating_add);
    match strategy {
        AggregationStrategy::Sum => sum(),
        AggregationStrategy::Avg => sum() / i64::try_from(values.len()).unwrap_or(i64::MAX).max(1),
        AggregationStrategy::Min => values.iter().copied().min().unwrap_or(0),
        AggregationStrategy::Max => values.iter().copied().max().unwrap_or(0),
    }
}
