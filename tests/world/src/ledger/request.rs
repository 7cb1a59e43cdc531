//! Remote write 1.0 as this crate reads it: its own structs, and the rules a sender must keep.

use std::fmt;

use bytes::Bytes;

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// The series, each with new samples.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What families are, if the sender tells.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Metadata>,
}

/// `prometheus.TimeSeries`; native histograms are not looked into.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Sorted by name, each name once, no value empty.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// In order of time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars beside the samples.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Native histograms, encoded.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub histograms: Vec<Bytes>,
}

/// `prometheus.Label`, with bytes for strings so that reading copies nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Label {
    /// The label's name.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    /// The label's value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `prometheus.Sample`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// The value; stale markers are a certain NaN.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// `prometheus.Exemplar`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// What the exemplar points at.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// The exemplary value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// `prometheus.MetricMetadata`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    /// The kind's number.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The family's name.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// Its help text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Its unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}

impl TimeSeries {
    /// A series from text labels: for tests.
    pub fn new(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut labels = labels
            .iter()
            .map(|(name, value)| Label { name: bytes(name), value: bytes(value) })
            .collect::<Vec<_>>();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        let samples = samples.iter().map(|&(timestamp, value)| Sample { value, timestamp }).collect();
        TimeSeries { labels, samples, exemplars: Vec::new(), histograms: Vec::new() }
    }

    /// The metric's name, empty if there is none.
    pub(super) fn name(&self) -> &[u8] {
        self.bytes_of(b"__name__").unwrap_or_default()
    }

    pub(super) fn label(&self, name: &str) -> Option<String> {
        self.bytes_of(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn bytes_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.labels.iter().find(|label| label.name == name).map(|label| &label.value[..])
    }

    /// What the specification demands of a sender.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.name().is_empty() {
            return Err("no metric name");
        }
        if self.labels.iter().any(|label| label.name.is_empty() || label.value.is_empty()) {
            return Err("an empty label name or value");
        }
        if !self.labels.is_sorted_by(|a, b| a.name < b.name) {
            return Err("labels that are not sorted, or a name twice");
        }
        let mut texts = self.labels.iter().flat_map(|label| [&label.name, &label.value]);
        if texts.any(|text| std::str::from_utf8(text).is_err()) {
            return Err("a label that is not UTF-8");
        }
        if self.samples.is_empty() && self.histograms.is_empty() && self.exemplars.is_empty() {
            return Err("neither samples, histograms nor exemplars");
        }
        Ok(())
    }
}

impl fmt::Display for TimeSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, label) in self.labels.iter().enumerate() {
            let (name, value) = (String::from_utf8_lossy(&label.name), String::from_utf8_lossy(&label.value));
            write!(f, "{}{name}={value:?}", if index == 0 { "" } else { "," })?;
        }
        f.write_str("}")
    }
}
