//! OTLP read in place: views over encoded messages, and what can be done to them without looking inside.
//!
//! Field numbers are those of `opentelemetry-proto` 1.x, stable messages only (a profile's string table is not read).
//! A view is decoded from a [`Message`] in one pass that takes the plain fields and leaves nested ones encoded;
//! repeated fields are iterators that pass over the message again. Views borrow and never allocate. Text is bytes:
//! the Go collector accepts invalid UTF-8 and passes it through, so do we; whoever needs text replaces what is broken.
//!
//! [`count_items`], [`resources_of_request`], [`take`] and [`request_of`] serve receiving, batching and sending, where
//! nobody needs to look inside; [`check`] looks at everything once, for a receiver that must not pass poison on.

mod check;
mod common;
mod frames;
mod logs;
mod metrics;
mod packed;
mod points;
mod response;
mod spots;
mod text;
mod traces;
pub mod write;

pub use check::check;
pub use common::{AnyValue, Attributes, KeyValue, Repeated, Resource, ResourceView, Scope, ScopeView, View};
pub use frames::{count_items, count_metrics, request_of, resources_of_request, take};
pub use logs::{LogRecord, severity_name};
pub use metrics::{Data, Metric, Temporality};
pub use packed::{Doubles, Fixed64s, Varints};
pub use points::{
    Buckets, Exemplar, ExpHistogramPoint, HistogramPoint, Number, NumberPoint, Quantile, SummaryPoint,
};
pub use response::{PartialSuccess, Status, export_response, partial_success};
pub use spots::{NumberSpot, number_spots};
pub use text::push_lossy;
pub use traces::{Event, Link, Span, SpanStatus, span_kind_name, status_code_name};

use crate::proto::{Malformed, Message};

#[cfg(test)]
mod tests;
