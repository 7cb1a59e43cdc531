//! Prometheus text (0.0.4, 1.0.0), OpenMetrics 1.0 and delimited protobuf: parse them all, print text.
//!
//! [`Parser`] walks over the body of a scrape and lends what it finds; plain samples cost no allocation. It accepts
//! and refuses what Prometheus' `model/textparse` does in its scrape mode, because one refused line fails a whole
//! scrape: every leniency there (missing commas, repeated TYPE lines, a counter without `_total` ...) is one here.
//! [`Strictness::Specification`] asks for all of OpenMetrics instead. A caller that remembers the series of the last
//! scrape hands the bytes of the one it expects to [`Parser::next`], and an unchanged line costs one comparison and one
//! number. [`series_labels`] reads the labels of a series that is new.
//!
//! [`Options`] ask for native histograms, for start times and for the conversion of classic histograms. [`format_of`]
//! and [`accept_header`] choose the format, [`print`] writes every format and chooses it for a reader,
//! [`Escaping`] fits UTF-8 names to readers that know only the old character set.
//!
//! Left on purpose: in the formats of lines, names that are not UTF-8 are refused when the labels of their series are
//! read; escapes in the names of TYPE, HELP and UNIT lines and in exemplars are resolved, where Prometheus keeps the
//! backslashes.

mod buckets;
mod convert;
mod created;
mod digits;
mod event;
mod expected;
pub mod float;
mod format;
mod lines;
mod names;
mod openmetrics;
mod parser;
pub mod print;
mod protobuf;
mod series;
mod specification;
mod text;

pub use event::{Event, HistogramSample, ParseError, Place, RawExemplar, Sample};
pub use expected::Expected;
pub use float::float_label;
pub use format::{Format, Protocol, UnknownContentType, UnknownProtocol, Warning, accept_header, format_of};
pub use names::{Escaping, is_legacy_label_name, is_legacy_metric_name};
pub use parser::{Options, Parser, Strictness};
pub use series::{MAX_LABELS_PER_SERIES, series_labels};
