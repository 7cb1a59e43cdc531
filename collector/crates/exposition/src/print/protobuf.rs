//! The protobuf format: a stream of `io.prometheus.client.MetricFamily`, each with its length in front.
//!
//! Fields as in Prometheus' `prompb/io/prometheus/client/metrics.proto`. A native histogram of integers has deltas, one of
//! other numbers has counts; one without observations carries an empty span, by which readers know that it is native.

use model::{BucketCounts, Exemplar, Histogram, Kind, Span, Timestamp};
use wire::proto::{WireType, put_bytes, put_double, put_message, put_tag, put_text, put_uint, put_varint};

use super::native::{classic_buckets, count};
use super::page::{Group, Head, Line, Names, Part, group_labels, unit_of};
use crate::float;

/// Appends a message with its length.
pub(super) fn delimited(out: &mut Vec<u8>, message: &[u8]) {
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

/// Name, HELP, TYPE and UNIT of a family.
pub(super) fn head(out: &mut Vec<u8>, head: Head<'_>) {
    put_text(out, 1, head.name);
    put_text(out, 2, head.help);
    put_uint(
        out,
        3,
        match head.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info | Kind::StateSet => 1,
            Kind::Summary => 2,
            Kind::Unknown => 3,
            Kind::Histogram => 4,
            Kind::GaugeHistogram => 5,
        },
    );
    // The unit of a counter stands before its suffix.
    let suffix = if head.kind == Kind::Counter { "_total" } else { "" };
    let name = head.name.strip_suffix(suffix).unwrap_or(head.name);
    put_text(out, 5, unit_of(name, head.unit).unwrap_or(""));
}

/// One `Metric` of a family.
pub(super) fn group<'l, L>(out: &mut Vec<u8>, head: Head<'_>, names: Names<'_>, group: &Group<'_, L>)
where
    L: Iterator<Item = (&'l str, &'l str)> + Clone,
{
    put_message(out, 4, |out| {
        for (name, value) in group_labels(group.lines).filter(|label| !label.1.is_empty()) {
            label(out, &names.escaping.escape(name), value);
        }
        let value = group.lines.first().map_or(0.0, |line| line.value);
        match head.kind {
            Kind::Counter => put_message(out, 3, |out| {
                put_double(out, 1, value);
                if let Some(found) = group.lines.iter().find_map(|line| line.exemplar) {
                    exemplar(out, 2, names, found);
                }
                timestamp(out, 3, group.start);
            }),
            Kind::Gauge | Kind::Info | Kind::StateSet => put_message(out, 2, |out| put_double(out, 1, value)),
            Kind::Unknown => put_message(out, 5, |out| put_double(out, 1, value)),
            Kind::Summary => put_message(out, 4, |out| summary(out, group)),
            Kind::Histogram | Kind::GaugeHistogram => {
                put_message(out, 7, |out| histogram(out, names, group));
            }
        }
        if let Some(at) = group.at {
            put_uint(out, 6, at.0 as u64);
        }
    });
}

fn summary<'l, L>(out: &mut Vec<u8>, group: &Group<'_, L>)
where
    L: Iterator<Item = (&'l str, &'l str)> + Clone,
{
    if let Some(count) = part(group, Part::Count) {
        put_uint(out, 1, count as u64);
    }
    if let Some(sum) = part(group, Part::Sum) {
        put_double(out, 2, sum);
    }
    for (quantile, line) in bounds(group, Part::Quantile) {
        put_message(out, 3, |out| {
            put_double(out, 1, quantile);
            put_double(out, 2, line.value);
        });
    }
    timestamp(out, 4, group.start);
}

fn histogram<'l, L>(out: &mut Vec<u8>, names: Names<'_>, group: &Group<'_, L>)
where
    L: Iterator<Item = (&'l str, &'l str)> + Clone,
{
    let native = group.histogram;
    let buckets: Vec<(f64, f64, Option<&Exemplar>)> = match native {
        Some(histogram) if histogram.has_custom_buckets() => {
            classic_buckets(histogram).into_iter().map(|(bound, count)| (bound, count, None)).collect()
        }
        _ => bounds(group, Part::Bucket).map(|(bound, line)| (bound, line.value, line.exemplar)).collect(),
    };
    let last = buckets.iter().find(|bucket| bucket.0 == f64::INFINITY).map_or(0.0, |bucket| bucket.1);
    let n_all = native.map(count).or_else(|| part(group, Part::Count)).unwrap_or(last);
    let is_float = match native {
        Some(histogram) => matches!(histogram.counts, BucketCounts::Float { .. }),
        None => !is_natural(n_all) || buckets.iter().any(|bucket| !is_natural(bucket.1)),
    };
    if is_float {
        put_double(out, 4, n_all);
    } else {
        put_uint(out, 1, n_all as u64);
    }
    if let Some(sum) = native.map(|histogram| histogram.sum).or_else(|| part(group, Part::Sum)) {
        put_double(out, 2, sum);
    }
    for (bound, count, found) in buckets {
        put_message(out, 3, |out| {
            if is_float {
                put_double(out, 4, count);
            } else {
                put_uint(out, 1, count as u64);
            }
            put_double(out, 2, bound);
            if let Some(found) = found {
                exemplar(out, 3, names, found);
            }
        });
    }
    timestamp(out, 15, group.start);
    if let Some(histogram) = native.filter(|histogram| !histogram.has_custom_buckets()) {
        native_fields(out, histogram);
        let of_native = group.lines.iter().filter(|line| line.part == Part::Value);
        for found in of_native.filter_map(|line| line.exemplar) {
            exemplar(out, 16, names, found);
        }
    }
}

fn native_fields(out: &mut Vec<u8>, histogram: &Histogram) {
    sint(out, 5, i64::from(histogram.schema));
    put_double(out, 6, histogram.zero_threshold);
    let is_empty = histogram.positive_spans.is_empty() && histogram.negative_spans.is_empty();
    let marker = [Span::default()];
    let positive = if is_empty { &marker[..] } else { &histogram.positive_spans };
    match &histogram.counts {
        BucketCounts::Integer { zero, positive_deltas, negative_deltas, .. } => {
            put_uint(out, 7, *zero);
            spans(out, 9, &histogram.negative_spans);
            packed(out, 10, negative_deltas, |out, delta| put_varint(out, zigzag(*delta)));
            spans(out, 12, positive);
            packed(out, 13, positive_deltas, |out, delta| put_varint(out, zigzag(*delta)));
        }
        BucketCounts::Float { zero, positive: above, negative: below, .. } => {
            put_double(out, 8, *zero);
            spans(out, 9, &histogram.negative_spans);
            packed(out, 11, below, |out, count| out.extend_from_slice(&count.to_le_bytes()));
            spans(out, 12, positive);
            packed(out, 14, above, |out, count| out.extend_from_slice(&count.to_le_bytes()));
        }
    }
}

fn spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        put_message(out, field, |out| {
            sint(out, 1, i64::from(span.offset));
            put_uint(out, 2, u64::from(span.length));
        });
    }
}

fn packed<T>(out: &mut Vec<u8>, field: u32, values: &[T], put: fn(&mut Vec<u8>, &T)) {
    if !values.is_empty() {
        put_message(out, field, |out| values.iter().for_each(|value| put(out, value)));
    }
}

fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    put_message(out, 1, |out| {
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    });
}

fn exemplar(out: &mut Vec<u8>, field: u32, names: Names<'_>, exemplar: &Exemplar) {
    put_message(out, field, |out| {
        for (name, value) in exemplar.labels.iter() {
            label(out, &names.escaping.escape(name), value);
        }
        put_double(out, 2, exemplar.value);
        timestamp(out, 3, exemplar.at);
    });
}

/// A `google.protobuf.Timestamp`.
fn timestamp(out: &mut Vec<u8>, field: u32, at: Option<Timestamp>) {
    if let Some(Timestamp(millis)) = at {
        put_message(out, field, |out| {
            put_uint(out, 1, millis.div_euclid(1000) as u64);
            put_uint(out, 2, millis.rem_euclid(1000) as u64 * 1_000_000);
        });
    }
}

/// A `sint32` or `sint64`.
fn sint(out: &mut Vec<u8>, field: u32, value: i64) {
    put_tag(out, field, WireType::Varint);
    put_varint(out, zigzag(value));
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn is_natural(value: f64) -> bool {
    value >= 0.0 && value.fract() == 0.0
}

fn part<L>(group: &Group<'_, L>, part: Part) -> Option<f64> {
    group.lines.iter().find(|line| line.part == part).map(|line| line.value)
}

/// Lines of a part with what their own label says; one whose label is no number has no place in the format.
fn bounds<'a, 'l, L>(
    group: &'a Group<'a, L>,
    part: Part,
) -> impl Iterator<Item = (f64, &'a Line<'a, L>)> + use<'a, 'l, L>
where
    L: Iterator<Item = (&'l str, &'l str)> + Clone,
{
    let lines = group.lines.iter().filter(move |line| line.part == part);
    lines.filter_map(move |line| {
        let (_, bound) = line.labels.clone().find(|label| label.0 == part.label())?;
        Some((float::parse(bound.as_bytes())?, line))
    })
}
