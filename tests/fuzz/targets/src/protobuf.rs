//! Delimited protobuf.

use exposition::{Format, Options};

use crate::body;

/// Any bytes as delimited `MetricFamily` messages, with and without native histograms.
pub fn check(data: &[u8]) {
    body::check(Format::Protobuf, data, Options::default());
    let native = Options { native_histograms: true, ..Options::default() };
    body::check(Format::Protobuf, data, native);
    body::check(Format::Protobuf, data, Options { always_classic: true, ..native });
    body::check(Format::Protobuf, data, Options { convert_to_nhcb: true, ..native });
}
