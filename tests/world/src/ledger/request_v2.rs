//! Remote write 2.0 as this crate reads it: its own structs, the rules a sender must keep, and the same said in 1.0.

use std::collections::HashSet;

use bytes::Bytes;

use super::request::{self, Label, WriteRequest};

/// `io.prometheus.write.v2.Request`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Every text once; the first is empty.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub symbols: Vec<Bytes>,
    /// The series, each with new samples or histograms.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

/// `TimeSeries` of 2.0.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Name and value in turn.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// In order of time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// In order of time.
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
    /// Exemplars beside them.
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<Exemplar>,
    /// What the family is.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
}

/// `Sample` of 2.0.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Since when the value counts; 0 where that is not said.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

/// `Histogram` of 2.0, as far as the rules are about it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Since when the value counts; 0 where that is not said.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

/// `Exemplar` of 2.0.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Name and value in turn.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// The exemplary value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// `Metadata` of 2.0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Metadata {
    /// The kind's number.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The help text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// The unit.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

/// What 2.0 says of a series and 1.0 cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The kind's number.
    pub kind: i32,
    /// The help text.
    pub help: String,
    /// The unit.
    pub unit: String,
    /// Since when each sample or histogram counts; 0 where that was not said.
    pub starts: Vec<i64>,
}

/// What a receiver says it has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples.
    pub samples: usize,
    /// Native histograms.
    pub histograms: usize,
    /// Exemplars.
    pub exemplars: usize,
}

impl Request {
    /// How much there is to write.
    pub fn counts(&self) -> Written {
        let sum = |count: fn(&TimeSeries) -> usize| self.timeseries.iter().map(count).sum();
        Written {
            samples: sum(|series| series.samples.len()),
            histograms: sum(|series| series.histograms.len()),
            exemplars: sum(|series| series.exemplars.len()),
        }
    }

    /// What the specification demands of a sender beyond what is checked of 1.0 too.
    pub fn check(&self) -> Result<(), String> {
        if self.symbols.first().is_none_or(|first| !first.is_empty()) {
            return Err("the first symbol is not empty".to_owned());
        }
        let distinct: HashSet<&Bytes> = self.symbols.iter().collect();
        if distinct.len() != self.symbols.len() {
            return Err("a symbol stands twice".to_owned());
        }
        if self.timeseries.is_empty() {
            return Err("a request without series".to_owned());
        }
        self.timeseries
            .iter()
            .try_for_each(|series| series.check().map_err(|what| format!("{what} in {series:?}")))
    }

    /// The same in 1.0, and what is not said there, series by series. Histograms are kept as empty messages: nobody
    /// looks into them.
    pub fn to_v1(&self) -> Result<(WriteRequest, Vec<Told>), String> {
        let mut timeseries = Vec::with_capacity(self.timeseries.len());
        let mut told = Vec::with_capacity(self.timeseries.len());
        for series in &self.timeseries {
            let exemplar = |exemplar: &Exemplar| {
                Ok(request::Exemplar {
                    labels: self.labels(&exemplar.labels_refs)?,
                    value: exemplar.value,
                    timestamp: exemplar.timestamp,
                })
            };
            timeseries.push(request::TimeSeries {
                labels: self.labels(&series.labels_refs)?,
                samples: series
                    .samples
                    .iter()
                    .map(|sample| request::Sample { value: sample.value, timestamp: sample.timestamp })
                    .collect(),
                exemplars: series.exemplars.iter().map(exemplar).collect::<Result<_, String>>()?,
                histograms: vec![Bytes::new(); series.histograms.len()],
            });
            let metadata = series.metadata.unwrap_or_default();
            let samples = series.samples.iter().map(|sample| sample.start_timestamp);
            told.push(Told {
                kind: metadata.kind,
                help: self.utf8(metadata.help_ref)?,
                unit: self.utf8(metadata.unit_ref)?,
                starts: samples
                    .chain(series.histograms.iter().map(|histogram| histogram.start_timestamp))
                    .collect(),
            });
        }
        Ok((WriteRequest { timeseries, metadata: Vec::new() }, told))
    }

    fn labels(&self, refs: &[u32]) -> Result<Vec<Label>, String> {
        if refs.len() % 2 == 1 {
            return Err(format!("{} references to labels, which are no pairs", refs.len()));
        }
        refs.chunks(2)
            .map(|pair| Ok(Label { name: self.text(pair[0])?, value: self.text(pair[1])? }))
            .collect()
    }

    fn text(&self, reference: u32) -> Result<Bytes, String> {
        let symbol = self.symbols.get(reference as usize).cloned();
        symbol.ok_or_else(|| format!("reference {reference} to one of {} symbols", self.symbols.len()))
    }

    fn utf8(&self, reference: u32) -> Result<String, String> {
        String::from_utf8(self.text(reference)?.to_vec()).map_err(|_| "metadata that is not UTF-8".to_owned())
    }
}

impl TimeSeries {
    fn check(&self) -> Result<(), &'static str> {
        let samples = self.samples.iter().map(|sample| (sample.timestamp, sample.start_timestamp));
        let histograms = self.histograms.iter().map(|value| (value.timestamp, value.start_timestamp));
        let times: Vec<(i64, i64)> = samples.chain(histograms).collect();
        if times.is_empty() {
            return Err("neither samples nor histograms");
        }
        if !self.samples.is_empty() && !self.histograms.is_empty() {
            return Err("samples beside histograms");
        }
        if !times.is_sorted_by(|one, other| one.0 < other.0) {
            return Err("values that are not in order of time");
        }
        if times.iter().any(|(at, start)| start >= at && *start != 0) {
            return Err("a start that is not before the value");
        }
        if times.iter().any(|(at, _)| *at <= 0)
            || self.exemplars.iter().any(|exemplar| exemplar.timestamp <= 0)
        {
            return Err("a timestamp that is not in milliseconds since 1970");
        }
        if self.metadata.is_some_and(|metadata| !(0..=7).contains(&metadata.kind)) {
            return Err("an unknown type");
        }
        Ok(())
    }
}
