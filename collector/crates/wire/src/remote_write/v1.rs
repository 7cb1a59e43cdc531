//! Remote write 1.0: `prometheus.WriteRequest`, snappy block compressed.
//!
//! Requests are written by appending series to a buffer; a `WriteRequest` is nothing but its series, so requests can
//! also be joined by concatenation. The structs are for whoever receives: sinks, tests, servers.

mod native;

pub use native::append_histogram_series;
pub(super) use native::put_histogram;
#[cfg(test)]
pub(super) use native::tests::any_histogram;

use model::{Exemplar as ModelExemplar, Kind};
use prost::Message as _;

use super::place::{Place, framed, sample_len};
use crate::proto::{put_len, put_message, put_text, put_uint};

/// `Content-Type` of a request.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// Value of [`VERSION_HEADER`](super::VERSION_HEADER).
pub const VERSION: &str = "0.1.0";

/// Appends one `TimeSeries` to a `WriteRequest`.
///
/// `labels` are sorted by name and none is empty, `samples` are value bits and milliseconds since the epoch, in order
/// of time. An exemplar without a time gets that of the last sample. Lengths are computed first, so everything is
/// written once and in place.
pub fn append_series<'a, 'e>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    samples: &[(u64, i64)],
    exemplars: impl Iterator<Item = &'e ModelExemplar> + Clone,
) {
    let last = samples.last().map_or(0, |sample| sample.1);
    put_message(out, 1, |out| {
        for label in labels {
            put_label(out, label);
        }
        for (bits, at) in samples {
            let len = sample_len((*bits, *at));
            let mut place = Place::new(out, framed(len));
            place.put_len(2, len);
            place.put_value_and_time((1, *bits), (2, *at));
        }
        exemplars.for_each(|exemplar| put_exemplar(out, exemplar, last));
    });
}

/// Appends an exemplar to a `TimeSeries`; without a time of its own it gets this one.
fn put_exemplar(out: &mut Vec<u8>, exemplar: &ModelExemplar, at: i64) {
    put_message(out, 3, |out| {
        for label in exemplar.labels.iter() {
            put_label(out, label);
        }
        let (bits, at) = (exemplar.value.to_bits(), exemplar.at.map_or(at, |at| at.millis()));
        Place::new(out, sample_len((bits, at))).put_value_and_time((2, bits), (3, at));
    });
}

/// As [`append_series`] for one sample without exemplars, from labels that are encoded already: each piece is a field
/// `labels` with tag and length.
#[inline]
pub fn append_encoded_series<'a>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = &'a [u8]> + Clone,
    sample: (u64, i64),
) {
    let sample_len = sample_len(sample);
    let len = labels.clone().map(<[u8]>::len).sum::<usize>() + framed(sample_len);
    let mut place = Place::new(out, framed(len));
    place.put_len(1, len);
    for label in labels {
        place.put(label);
    }
    place.put_len(2, sample_len);
    place.put_value_and_time((1, sample.0), (2, sample.1));
}

#[inline]
fn label_len((name, value): (&str, &str)) -> usize {
    framed(name.len()) + framed(value.len())
}

#[inline]
fn put_label(out: &mut Vec<u8>, (name, value): (&str, &str)) {
    let len = label_len((name, value));
    let mut place = Place::new(out, framed(len));
    if len < 0x80 {
        place.put_array([0x0a, len as u8, 0x0a, name.len() as u8]);
        place.put(name.as_bytes());
        place.put_array([0x12, value.len() as u8]);
    } else {
        place.put_len(1, len);
        place.put_len(1, name.len());
        place.put(name.as_bytes());
        place.put_len(2, value.len());
    }
    place.put(value.as_bytes());
}

/// Appends the metadata of a family to a `WriteRequest`.
pub fn append_metadata(out: &mut Vec<u8>, kind: Kind, family: &str, help: &str, unit: &str) {
    let text_len = |text: &str| if text.is_empty() { 0 } else { framed(text.len()) };
    let number = metadata_type(kind) as u64;
    let type_len = if number == 0 { 0 } else { 2 };
    put_len(out, 3, type_len + text_len(family) + text_len(help) + text_len(unit));
    if number != 0 {
        put_uint(out, 1, number);
    }
    put_text(out, 2, family);
    put_text(out, 4, help);
    put_text(out, 5, unit);
}

/// The number of a kind in `MetricMetadata.type`; remote write 2 uses the same ones.
#[must_use]
pub fn metadata_type(kind: Kind) -> i32 {
    match kind {
        Kind::Unknown => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::GaugeHistogram => 4,
        Kind::Summary => 5,
        Kind::Info => 6,
        Kind::StateSet => 7,
    }
}

/// Reads a request that has been decompressed.
pub fn decode(request: &[u8]) -> Result<WriteRequest, DecodeError> {
    WriteRequest::decode(request).map_err(DecodeError)
}

/// Bytes that are not a request.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode a remote write request")]
pub struct DecodeError(#[source] pub(super) prost::DecodeError);

/// A request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// Samples by series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What is known of families.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// One series with some of its samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Name and labels, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Samples in order of time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars in order of time.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Native histograms in order of time.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

impl TimeSeries {
    /// The value of a label, or the empty string where it is absent.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|label| label.name == name).map_or("", |label| &label.value)
    }
}

/// Name and value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Message)]
pub struct Label {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// An observation kept as an example.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Its labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Its value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// What is known of a family.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct MetricMetadata {
    /// See [`metadata_type`].
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// The family's name.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// The HELP text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// The UNIT word.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// A native histogram.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// Number of observations.
    #[prost(oneof = "histogram::Count", tags = "1, 2")]
    pub count: Option<histogram::Count>,
    /// Their sum.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Resolution: bounds are powers of 2^(2^-schema); -53 means custom bounds.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Width of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    #[prost(oneof = "histogram::ZeroCount", tags = "6, 7")]
    pub zero_count: Option<histogram::ZeroCount>,
    /// Runs of buckets below zero.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Counts below zero, each relative to the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Counts below zero of a float histogram.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Runs of buckets above zero.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Counts above zero, each relative to the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Counts above zero of a float histogram.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// Whether counting started anew: 0 unknown, 1 yes, 2 no, 3 it is a gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Bounds of schema -53.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
}

/// A run of buckets of a native histogram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct BucketSpan {
    /// Gap to the run before, or index of the first bucket.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Number of buckets.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// Choices inside [`Histogram`].
pub mod histogram {
    /// Number of observations.
    #[derive(Clone, Copy, PartialEq, prost::Oneof)]
    pub enum Count {
        /// Of an integer histogram.
        #[prost(uint64, tag = "1")]
        Int(u64),
        /// Of a float histogram.
        #[prost(double, tag = "2")]
        Float(f64),
    }

    /// Observations in the zero bucket.
    #[derive(Clone, Copy, PartialEq, prost::Oneof)]
    pub enum ZeroCount {
        /// Of an integer histogram.
        #[prost(uint64, tag = "6")]
        Int(u64),
        /// Of a float histogram.
        #[prost(double, tag = "7")]
        Float(f64),
    }
}

#[cfg(test)]
mod tests;
