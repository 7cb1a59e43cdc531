//! Writers of OTLP messages: each appends to a buffer, nothing is built first.
//!
//! Envelopes nest by closures ([`crate::proto::put_message`] finds the length afterwards):
//!
//! ```
//! use wire::otlp::write;
//!
//! let mut resource = Vec::new();
//! write::resource(&mut resource, "", |out| write::attribute(out, write::RESOURCE_ATTRIBUTES, "host.name", "a"));
//! write::scope_metrics(&mut resource, "", |out| {
//!     write::scope(out, "demo", "1", |_| {});
//!     write::metric(out, &write::MetricHead { name: "up", description: "", unit: "" }, |out| {
//!         write::gauge(out, |out| write::number_point(out, 0, 1, 0, Some(wire::otlp::Number::Int(1)), |_| {}));
//!     });
//! });
//! assert_eq!(wire::otlp::count_items(model::Signal::Metrics, &resource), Ok(1));
//! ```

mod exponential;

pub use exponential::{
    EXPONENTIAL_ATTRIBUTES, EXPONENTIAL_EXEMPLARS, ExponentialBuckets, ExponentialHead,
    cumulative_exponential, exponential_point,
};

use super::points::{Number, Quantile};
use crate::proto::{
    WireType, put_bool, put_bytes, put_double, put_fixed64, put_len, put_message, put_tag, put_text,
    put_uint, varint_len,
};

/// Field of the attributes of a resource.
pub const RESOURCE_ATTRIBUTES: u32 = 1;
/// Field of the attributes of a scope.
pub const SCOPE_ATTRIBUTES: u32 = 3;
/// Field of the metadata of a metric.
pub const METRIC_METADATA: u32 = 12;
/// Field of the attributes of a point of a gauge or sum.
pub const NUMBER_ATTRIBUTES: u32 = 7;
/// Field of the exemplars of a point of a gauge or sum.
pub const NUMBER_EXEMPLARS: u32 = 5;
/// Field of the attributes of a point of a histogram.
pub const HISTOGRAM_ATTRIBUTES: u32 = 9;
/// Field of the exemplars of a point of a histogram.
pub const HISTOGRAM_EXEMPLARS: u32 = 8;
/// Field of the attributes of a point of a summary.
pub const SUMMARY_ATTRIBUTES: u32 = 7;
/// Field of the attributes of an exemplar.
pub const EXEMPLAR_ATTRIBUTES: u32 = 7;

/// Flag bit of a point that says that its series has ended.
pub const NO_RECORDED_VALUE: u32 = 1;

/// Appends an attribute with a text value.
pub fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    let value_len = 1 + varint_len(value.len() as u64) + value.len();
    let len = 1 + varint_len(key.len() as u64) + key.len() + 1 + varint_len(value_len as u64) + value_len;
    put_len(out, field, len);
    put_bytes(out, 1, key.as_bytes());
    put_len(out, 2, value_len);
    put_bytes(out, 1, value.as_bytes());
}

/// Appends an attribute with an integer value.
pub fn int_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: i64) {
    put_message(out, field, |out| {
        put_bytes(out, 1, key.as_bytes());
        put_message(out, 2, |out| put_uint(out, 3, value as u64));
    });
}

/// Appends the resource of a resource message, and the schema of its attributes.
pub fn resource(out: &mut Vec<u8>, schema_url: &str, attributes: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 1, attributes);
    put_text(out, 3, schema_url);
}

/// Appends a `ScopeMetrics` to a `ResourceMetrics`; `inside` appends its scope and metrics.
pub fn scope_metrics(out: &mut Vec<u8>, schema_url: &str, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 2, |out| {
        inside(out);
        put_text(out, 3, schema_url);
    });
}

/// Appends the scope of a `ScopeMetrics`.
pub fn scope(out: &mut Vec<u8>, name: &str, version: &str, attributes: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 1, |out| {
        put_text(out, 1, name);
        put_text(out, 2, version);
        attributes(out);
    });
}

/// What a metric says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricHead<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says.
    pub description: &'a str,
    /// Its unit, in UCUM notation.
    pub unit: &'a str,
}

/// Appends a metric to a `ScopeMetrics`; `inside` appends its data and metadata.
pub fn metric(out: &mut Vec<u8>, head: &MetricHead<'_>, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 2, |out| {
        put_text(out, 1, head.name);
        put_text(out, 2, head.description);
        put_text(out, 3, head.unit);
        inside(out);
    });
}

const CUMULATIVE: u64 = 2;

/// Appends the data of a gauge to a metric; `points` appends its points.
pub fn gauge(out: &mut Vec<u8>, points: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 5, points);
}

/// Appends the data of a cumulative sum to a metric; `points` appends its points.
pub fn cumulative_sum(out: &mut Vec<u8>, is_monotonic: bool, points: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 7, |out| {
        points(out);
        put_uint(out, 2, CUMULATIVE);
        if is_monotonic {
            put_bool(out, 3, true);
        }
    });
}

/// Appends the data of a cumulative histogram to a metric; `points` appends its points.
pub fn cumulative_histogram(out: &mut Vec<u8>, points: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 9, |out| {
        points(out);
        put_uint(out, 2, CUMULATIVE);
    });
}

/// Appends the data of a summary to a metric; `points` appends its points.
pub fn summary(out: &mut Vec<u8>, points: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 11, points);
}

/// Appends a point to a gauge or sum; `inside` appends attributes ([`NUMBER_ATTRIBUTES`]) and exemplars.
#[inline]
pub fn number_point(
    out: &mut Vec<u8>,
    start: u64,
    time: u64,
    flags: u32,
    value: Option<Number>,
    inside: impl FnOnce(&mut Vec<u8>),
) {
    put_message(out, 1, |out| {
        put_times(out, start, time);
        match value {
            Some(Number::Double(value)) => put_double(out, 4, value),
            Some(Number::Int(value)) => put_fixed64(out, 6, value as u64),
            None => {}
        }
        if flags != 0 {
            put_uint(out, 8, u64::from(flags));
        }
        inside(out);
    });
}

/// A histogram point without attributes and exemplars.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistogramHead<'a> {
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: Option<f64>,
    /// Observations per bucket: one more than bounds, or none.
    pub bucket_counts: &'a [u64],
    /// Upper bounds of all buckets but the last.
    pub bounds: &'a [f64],
    /// Flag bits.
    pub flags: u32,
}

/// Appends a point to a histogram; `inside` appends attributes ([`HISTOGRAM_ATTRIBUTES`]) and exemplars.
pub fn histogram_point(out: &mut Vec<u8>, head: &HistogramHead<'_>, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 1, |out| {
        put_times(out, head.start, head.time);
        put_unless_zero(out, 4, head.count);
        if let Some(sum) = head.sum {
            put_double(out, 5, sum);
        }
        put_packed(out, 6, head.bucket_counts.iter().copied());
        put_packed(out, 7, head.bounds.iter().map(|bound| bound.to_bits()));
        if head.flags != 0 {
            put_uint(out, 10, u64::from(head.flags));
        }
        inside(out);
    });
}

/// A summary point without attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryHead<'a> {
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles.
    pub quantiles: &'a [Quantile],
    /// Flag bits.
    pub flags: u32,
}

/// Appends a point to a summary; `inside` appends attributes ([`SUMMARY_ATTRIBUTES`]).
pub fn summary_point(out: &mut Vec<u8>, head: &SummaryHead<'_>, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 1, |out| {
        put_times(out, head.start, head.time);
        put_unless_zero(out, 4, head.count);
        put_unless_zero(out, 5, head.sum.to_bits());
        for quantile in head.quantiles {
            put_message(out, 6, |out| {
                put_unless_zero(out, 1, quantile.quantile.to_bits());
                put_unless_zero(out, 2, quantile.value.to_bits());
            });
        }
        if head.flags != 0 {
            put_uint(out, 8, u64::from(head.flags));
        }
        inside(out);
    });
}

/// An exemplar without attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExemplarHead {
    /// Time of the observation, in nanoseconds since the epoch.
    pub time: u64,
    /// Its value.
    pub value: f64,
    /// The trace, where known.
    pub trace_id: Option<[u8; 16]>,
    /// The span, where known.
    pub span_id: Option<[u8; 8]>,
}

/// Appends an exemplar to a point; `inside` appends attributes ([`EXEMPLAR_ATTRIBUTES`]).
pub fn exemplar(out: &mut Vec<u8>, field: u32, head: &ExemplarHead, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, field, |out| {
        put_unless_zero(out, 2, head.time);
        put_double(out, 3, head.value);
        if let Some(id) = head.span_id {
            put_bytes(out, 4, &id);
        }
        if let Some(id) = head.trace_id {
            put_bytes(out, 5, &id);
        }
        inside(out);
    });
}

fn put_times(out: &mut Vec<u8>, start: u64, time: u64) {
    put_unless_zero(out, 2, start);
    put_unless_zero(out, 3, time);
}

fn put_unless_zero(out: &mut Vec<u8>, field: u32, bits: u64) {
    if bits != 0 {
        put_fixed64(out, field, bits);
    }
}

fn put_packed(out: &mut Vec<u8>, field: u32, numbers: impl ExactSizeIterator<Item = u64>) {
    if numbers.len() > 0 {
        put_tag(out, field, WireType::Len);
        crate::proto::put_varint(out, 8 * numbers.len() as u64);
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}
