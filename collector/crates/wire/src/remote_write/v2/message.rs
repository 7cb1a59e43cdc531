//! The message as structs, for whoever receives.

use model::{Histogram as ModelHistogram, Timestamp};
use prost::Message as _;

pub use crate::remote_write::v1::BucketSpan;
use crate::remote_write::v1::{self, DecodeError, Label, histogram};

/// Reads a request that has been decompressed.
///
/// # Errors
/// When the bytes are no request.
pub fn decode(request: &[u8]) -> Result<Request, DecodeError> {
    Request::decode(request).map_err(DecodeError)
}

/// A reference that is not that of a symbol, or a name without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label reference {reference} of {n_symbols} symbols has no text or no partner")]
pub struct BadReference {
    /// The reference.
    pub reference: u32,
    /// How many symbols there are.
    pub n_symbols: usize,
}

/// A request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Every text once; the first is empty.
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    /// Samples by series.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

impl Request {
    /// The text of a reference.
    ///
    /// # Errors
    /// When there is no such symbol.
    pub fn text(&self, reference: u32) -> Result<&str, BadReference> {
        let bad = BadReference { reference, n_symbols: self.symbols.len() };
        self.symbols.get(reference as usize).map(String::as_str).ok_or(bad)
    }

    /// The labels of these references, which name and value are in turn.
    ///
    /// # Errors
    /// When a reference has no symbol, or a name has no value.
    pub fn labels(&self, references: &[u32]) -> Result<Vec<Label>, BadReference> {
        let label = |pair: &[u32]| match pair {
            [name, value] => {
                Ok(Label { name: self.text(*name)?.to_owned(), value: self.text(*value)?.to_owned() })
            }
            alone => Err(BadReference { reference: alone[0], n_symbols: self.symbols.len() }),
        };
        references.chunks(2).map(label).collect()
    }
}

/// One series with some of its samples or histograms.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Name and value of each label in turn, sorted by name.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Samples in order of time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Native histograms in order of time.
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
    /// Exemplars in order of time.
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<Exemplar>,
    /// What is known of the family.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
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
    /// Since when it counts, in milliseconds since the epoch; 0 where that is not known.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

/// An observation kept as an example.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Name and value of each label in turn.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Its value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// What is known of a family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Metadata {
    /// See [`v1::metadata_type`].
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// The HELP text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// The UNIT word.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

/// A native histogram: as in 1.0, and since when it counts.
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
    /// Since when it counts, in milliseconds since the epoch; 0 where that is not known.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

impl Histogram {
    /// Its time.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    /// The same in 1.0, which does not know since when it counts.
    #[must_use]
    pub fn to_v1(&self) -> v1::Histogram {
        v1::Histogram {
            count: self.count,
            sum: self.sum,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            negative_spans: self.negative_spans.clone(),
            negative_deltas: self.negative_deltas.clone(),
            negative_counts: self.negative_counts.clone(),
            positive_spans: self.positive_spans.clone(),
            positive_deltas: self.positive_deltas.clone(),
            positive_counts: self.positive_counts.clone(),
            reset_hint: self.reset_hint,
            timestamp: self.timestamp,
            custom_values: self.custom_values.clone(),
        }
    }

    /// The histogram as the model has it; see [`v1::Histogram::to_model`].
    #[must_use]
    pub fn to_model(&self) -> ModelHistogram {
        self.to_v1().to_model()
    }
}
