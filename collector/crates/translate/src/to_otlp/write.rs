//! Groups as OTLP messages.

use model::{Exemplar, Scrape, SeriesId, Timestamp};
use wire::otlp::{Number, write};

use super::ToOtlp;
use super::assemble::{Distribution, earliest_start, ends, is_attribute};
use super::group::{MetricGroup, ResourceGroup, ScopeGroup, Shape};
use super::native::{Native, NativePoint, Run};
use super::trim::trimmed;
use crate::exemplar;
use crate::resource::Attributes;
use crate::scraped::{ABSENT, Absent, FAMILY, SCOPE_PREFIX, TYPE};
use crate::units;

/// One encoded `ResourceMetrics`.
pub(super) fn resource(scrape: &Scrape, group: &ResourceGroup<'_>, options: &ToOtlp<'_>) -> Vec<u8> {
    let info = group.info.iter().flat_map(|series| scrape.table.labels(*series));
    let attributes = Attributes::of(&scrape.target, group.job, group.instance, info);
    let mut out = Vec::with_capacity(100 * scrape.points.len());
    write::resource(&mut out, "", |out| {
        for (key, value) in attributes.iter() {
            write::attribute(out, write::RESOURCE_ATTRIBUTES, key, value);
        }
    });
    for scope in group.scopes.iter().filter(|scope| !scope.metrics.is_empty()) {
        write_scope(&mut out, scrape, scope, options);
    }
    out
}

fn write_scope(out: &mut Vec<u8>, scrape: &Scrape, scope: &ScopeGroup<'_>, options: &ToOtlp<'_>) {
    let known = |key: &str| {
        let of_key = |label: &&(&str, &str)| label.0.strip_prefix(SCOPE_PREFIX) == Some(key);
        scope.labels.iter().find(of_key).map_or("", |label| label.1)
    };
    let (own, is_own) = (options.scope, scope.labels.is_empty());
    let (name, version) = if is_own { (own.name, own.version) } else { (known("name"), known("version")) };
    write::scope_metrics(out, known("schema_url"), |out| {
        write::scope(out, name, version, |out| {
            for (label, value) in &scope.labels {
                let key = &label[SCOPE_PREFIX.len()..];
                if !["name", "version", "schema_url"].contains(&key) {
                    write::attribute(out, write::SCOPE_ATTRIBUTES, key, value);
                }
            }
        });
        for metric in &scope.metrics {
            write_metric(out, scrape, metric, options);
        }
    });
}

fn write_metric(out: &mut Vec<u8>, scrape: &Scrape, metric: &MetricGroup<'_>, options: &ToOtlp<'_>) {
    let mut unit = String::new();
    units::push_ucum(&mut unit, metric.described.unit);
    let (name, trimmed) = if options.trim_metric_suffixes {
        trimmed(metric.key.name, metric.key.shape, metric.described.unit)
    } else {
        (metric.key.name, Absent::default())
    };
    let head = write::MetricHead { name, description: metric.described.help, unit: &unit };
    write::metric(out, &head, |out| {
        match metric.key.shape {
            Shape::Gauge => write::gauge(out, |out| write_numbers(out, scrape, metric)),
            Shape::Sum { is_monotonic } => {
                write::cumulative_sum(out, is_monotonic, |out| write_numbers(out, scrape, metric));
            }
            Shape::Histogram => write::cumulative_histogram(out, |out| {
                metric.distributions.iter().for_each(|point| write_histogram(out, scrape, point));
            }),
            Shape::Summary => write::summary(out, |out| {
                metric.distributions.iter().for_each(|point| write_summary(out, scrape, point));
            }),
            Shape::Exponential => {
                write::cumulative_exponential(out, |out| write_natives(out, scrape, metric))
            }
            Shape::Custom => write::cumulative_histogram(out, |out| write_natives(out, scrape, metric)),
        }
        write::attribute(out, write::METRIC_METADATA, TYPE, metric.key.kind.as_str());
        let absent = metric.key.absent.with(trimmed);
        if !absent.is_empty() {
            write::attribute(out, write::METRIC_METADATA, ABSENT, &absent.print());
        }
        if let Some(family) = metric.family.filter(|family| *family.name != *metric.key.name) {
            write::attribute(out, write::METRIC_METADATA, FAMILY, &family.name);
        }
    });
}

fn write_numbers(out: &mut Vec<u8>, scrape: &Scrape, metric: &MetricGroup<'_>) {
    for (index, at) in &metric.numbers {
        let point = scrape.points[*index as usize];
        let (value, flags) = if ends(scrape, *index) {
            (None, write::NO_RECORDED_VALUE)
        } else {
            (Some(Number::Double(f64::from_bits(point.bits))), 0)
        };
        let is_sum = matches!(metric.key.shape, Shape::Sum { .. });
        let start = if is_sum { earliest_start(scrape, [*index].into_iter()) } else { 0 };
        write::number_point(out, start, at.unix_nanos(), flags, value, |out| {
            write_attributes(out, write::NUMBER_ATTRIBUTES, scrape, point.series, metric.key.shape);
            write_exemplars(out, write::NUMBER_EXEMPLARS, scrape, *index, *at);
        });
    }
}

fn flags_of(point: &Distribution) -> u32 {
    if point.is_stale { write::NO_RECORDED_VALUE } else { 0 }
}

fn write_histogram(out: &mut Vec<u8>, scrape: &Scrape, point: &Distribution) {
    let head = write::HistogramHead {
        start: point.start,
        time: point.at.unix_nanos(),
        count: point.count,
        sum: point.sum,
        bucket_counts: &point.bucket_counts,
        bounds: &point.bounds,
        flags: flags_of(point),
    };
    write::histogram_point(out, &head, |out| {
        write_attributes(out, write::HISTOGRAM_ATTRIBUTES, scrape, point.series, Shape::Histogram);
        for index in &point.buckets {
            write_exemplars(out, write::HISTOGRAM_EXEMPLARS, scrape, *index, point.at);
        }
    });
}

fn write_summary(out: &mut Vec<u8>, scrape: &Scrape, point: &Distribution) {
    let head = write::SummaryHead {
        start: point.start,
        time: point.at.unix_nanos(),
        count: point.count,
        sum: point.sum.unwrap_or(0.0),
        quantiles: &point.quantiles,
        flags: flags_of(point),
    };
    write::summary_point(out, &head, |out| {
        write_attributes(out, write::SUMMARY_ATTRIBUTES, scrape, point.series, Shape::Summary);
    });
}

fn write_natives(out: &mut Vec<u8>, scrape: &Scrape, metric: &MetricGroup<'_>) {
    for point in &metric.natives {
        let series = scrape.points[point.index as usize].series;
        let inside = |out: &mut Vec<u8>, attributes, exemplars| {
            write_attributes(out, attributes, scrape, series, metric.key.shape);
            write_exemplars(out, exemplars, scrape, point.index, point.at);
        };
        let start = earliest_start(scrape, [point.index].into_iter());
        if let Native::Custom(custom) = &point.form {
            let head = write::HistogramHead {
                start,
                time: point.at.unix_nanos(),
                count: custom.count,
                sum: Some(custom.sum),
                bucket_counts: &custom.bucket_counts,
                bounds: &custom.bounds,
                flags: 0,
            };
            write::histogram_point(out, &head, |out| {
                inside(out, write::HISTOGRAM_ATTRIBUTES, write::HISTOGRAM_EXEMPLARS);
            });
        } else {
            write::exponential_point(out, &exponential_head(point, start), |out| {
                inside(out, write::EXPONENTIAL_ATTRIBUTES, write::EXPONENTIAL_EXEMPLARS);
            });
        }
    }
}

fn exponential_head(point: &NativePoint, start: u64) -> write::ExponentialHead<'_> {
    let time = point.at.unix_nanos();
    match &point.form {
        Native::Exponential(histogram) => write::ExponentialHead {
            start,
            time,
            count: histogram.count,
            sum: Some(histogram.sum),
            scale: histogram.scale,
            zero_count: histogram.zero_count,
            zero_threshold: histogram.zero_threshold,
            positive: histogram.positive.buckets(),
            negative: histogram.negative.buckets(),
            flags: 0,
        },
        Native::Custom(_) | Native::Ended => {
            write::ExponentialHead { start, time, flags: write::NO_RECORDED_VALUE, ..Default::default() }
        }
    }
}

impl Run {
    fn buckets(&self) -> write::ExponentialBuckets<'_> {
        write::ExponentialBuckets { offset: self.offset, counts: &self.counts }
    }
}

fn write_attributes(out: &mut Vec<u8>, field: u32, scrape: &Scrape, series: SeriesId, shape: Shape) {
    for (name, value) in scrape.table.labels(series).filter(|label| is_attribute(label.0, shape)) {
        write::attribute(out, field, name, value);
    }
}

fn write_exemplars(out: &mut Vec<u8>, field: u32, scrape: &Scrape, index: u32, at: Timestamp) {
    let from = scrape.exemplars.partition_point(|exemplar| exemplar.0 < index);
    for (_, exemplar) in scrape.exemplars[from..].iter().take_while(|exemplar| exemplar.0 == index) {
        write_exemplar(out, field, exemplar, at);
    }
}

fn write_exemplar(out: &mut Vec<u8>, field: u32, exemplar: &Exemplar, at: Timestamp) {
    let (trace_id, span_id) = exemplar::ids(&exemplar.labels);
    let head = write::ExemplarHead {
        time: exemplar.at.unwrap_or(at).unix_nanos(),
        value: exemplar.value,
        trace_id: trace_id.map(|id| id.1),
        span_id: span_id.map(|id| id.1),
    };
    let is_id =
        |name: &str| trace_id.is_some_and(|id| id.0 == name) || span_id.is_some_and(|id| id.0 == name);
    write::exemplar(out, field, &head, |out| {
        for (name, value) in exemplar.labels.iter().filter(|label| !is_id(label.0)) {
            write::attribute(out, write::EXEMPLAR_ATTRIBUTES, name, value);
        }
    });
}
