//! Remote write 2.0: `io.prometheus.write.v2.Request`, snappy block compressed.
//!
//! Text stands once in a request, as symbols; series refer to it by number. [`SeriesWriter`] writes series from text and
//! keeps the symbols; whoever has references and symbols ready appends series by [`append_series`] to an
//! [`OpenChunk`](super::body::OpenChunk). The structs are for whoever receives: sinks, tests, servers.
//!
//! Every series carries the metadata of its family, and values carry since when they count where that is known. As the
//! specification (2.0-rc.4) has it, a series holds samples or histograms, never both, and never none.

mod merge;
mod message;
mod renumber;
mod split;
mod symbols;
mod to_v1;
mod writer;

pub(super) use merge::Merger;
pub use message::{
    BadReference, BucketSpan, Exemplar, Histogram, Metadata, Request, Sample, TimeSeries, decode,
};
pub(super) use split::with_symbols_of;
pub use symbols::Symbols;
pub use to_v1::{ToV1, to_v1};
pub use writer::{FamilyText, MAX_SHORT_BYTES, SeriesWriter, Stamp, append_metadata, append_series};

use crate::proto::{Malformed, Message};

/// `Content-Type` of a request.
pub const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
/// Value of [`VERSION_HEADER`](super::VERSION_HEADER).
pub const VERSION: &str = "2.0.0";

/// Names of the headers by which a receiver says how many samples, histograms and exemplars it has written.
pub const WRITTEN_HEADERS: [&str; 3] = [
    "X-Prometheus-Remote-Write-Samples-Written",
    "X-Prometheus-Remote-Write-Histograms-Written",
    "X-Prometheus-Remote-Write-Exemplars-Written",
];

/// What a request holds, in the order of [`WRITTEN_HEADERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

/// Counts what a request holds.
///
/// # Errors
/// When the bytes are no request.
pub fn count(request: &[u8]) -> Result<Counts, Malformed> {
    let mut counts = Counts::default();
    for field in Message::new(request).fields() {
        let field = field?;
        if field.number != SERIES {
            continue;
        }
        for field in field.message()?.fields() {
            match field?.number {
                series::SAMPLES => counts.samples += 1,
                series::HISTOGRAMS => counts.histograms += 1,
                series::EXEMPLARS => counts.exemplars += 1,
                _ => {}
            }
        }
    }
    Ok(counts)
}

/// Number of the field `symbols` of `Request`.
pub(super) const SYMBOLS: u32 = 4;
/// Number of the field `timeseries` of `Request`.
pub(super) const SERIES: u32 = 5;

/// Field numbers of `TimeSeries`.
mod series {
    pub(super) const LABELS: u32 = 1;
    pub(super) const SAMPLES: u32 = 2;
    pub(super) const HISTOGRAMS: u32 = 3;
    pub(super) const EXEMPLARS: u32 = 4;
    pub(super) const METADATA: u32 = 5;
}

/// First bytes of fields that have a length.
mod tag {
    use super::series;

    pub(super) const SERIES: u8 = (super::SERIES as u8) << 3 | 2;
    pub(super) const LABELS: u8 = (series::LABELS as u8) << 3 | 2;
    pub(super) const SAMPLES: u8 = (series::SAMPLES as u8) << 3 | 2;
    pub(super) const METADATA: u8 = (series::METADATA as u8) << 3 | 2;
}

#[cfg(test)]
mod tests;
