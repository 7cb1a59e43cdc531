//! The key of a series of a protobuf body: raw bytes that say everything about its labels.
//!
//! A head of fixed size (which part of the metric, its bound, the length of the family's name), the name, then the
//! `label` fields of the metric as they were received. The next part of a metric changes the head only, so a key costs
//! one copy a metric and no text is written.

use std::borrow::Cow;

use wire::proto::Message;

use super::label_pair;
use crate::event::Bad;
use crate::float_label;
use crate::series::{Pairs, check_name, check_number, valid_value};

/// Which of the series of a metric it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// The one that has the family's name and no label of its own.
    Whole,
    /// `_count`.
    Count,
    /// `_sum`.
    Sum,
    /// `_bucket`, up to this bound.
    Bucket(f64),
    /// The one of this quantile.
    Quantile(f64),
}

/// Part, bound, length of the name.
const HEAD: usize = 1 + 8 + 4;

/// Where the length of the name begins.
const LENGTH_AT: usize = 1 + 8;

/// The key that is being put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    bytes: Vec<u8>,
    labels_at: usize,
}

impl Key {
    /// Another family begins.
    pub(super) fn begin_family(&mut self, name: &str) {
        let n_bytes = u32::try_from(name.len()).expect("a family has fewer than 2^32 bytes");
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; LENGTH_AT]);
        self.bytes.extend_from_slice(&n_bytes.to_le_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.labels_at = self.bytes.len();
    }

    /// Another metric begins.
    pub(super) fn begin_metric(&mut self) {
        self.bytes.truncate(self.labels_at);
    }

    /// The metric has this label: the whole field, its tag too.
    #[inline]
    pub(super) fn label(&mut self, field: &[u8]) {
        self.bytes.extend_from_slice(field);
    }

    /// It is this part of the metric.
    #[inline]
    pub(super) fn select(&mut self, part: Part) {
        let (number, bound) = match part {
            Part::Whole => (0, 0.0),
            Part::Count => (1, 0.0),
            Part::Sum => (2, 0.0),
            Part::Bucket(bound) => (3, bound),
            Part::Quantile(quantile) => (4, quantile),
        };
        self.bytes[0] = number;
        self.bytes[1..LENGTH_AT].copy_from_slice(&identity(bound).to_le_bytes());
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether every label of the metric can be read.
    pub(super) fn check_labels(&self) -> Result<(), Bad> {
        labels(&self.bytes[self.labels_at..], |_, _| ())
    }
}

/// Bits that are equal for bounds that are written alike.
fn identity(bound: f64) -> u64 {
    model::canonical_bits(if bound == 0.0 { 0.0 } else { bound })
}

/// Reads a key: labels into `out`, the name first, a bound last.
pub(crate) fn key_labels<'a>(key: &'a [u8], out: &mut Pairs<'a>) -> Result<(), Bad> {
    let foreign = || Bad::new(0, "these bytes are not the series of a protobuf body");
    let (head, rest) = key.split_first_chunk::<HEAD>().ok_or_else(foreign)?;
    let [part, b0, b1, b2, b3, b4, b5, b6, b7, n_bytes @ ..] = *head;
    let bound = f64::from_bits(u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]));
    let n_bytes = usize::try_from(u32::from_le_bytes(n_bytes)).unwrap_or(usize::MAX);
    let (name, pairs) = rest.split_at_checked(n_bytes).ok_or_else(foreign)?;
    let name = check_name("metric", name)?;
    let (suffix, bound_label) = match part {
        0 => ("", ""),
        1 => ("_count", ""),
        2 => ("_sum", ""),
        3 => ("_bucket", "le"),
        4 => ("", "quantile"),
        _ => return Err(foreign()),
    };
    let name = if suffix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}{suffix}")) };
    out.push((Cow::Borrowed("__name__"), name));
    labels(pairs, |name, value| out.push((Cow::Borrowed(name), Cow::Borrowed(value))))?;
    if !bound_label.is_empty() {
        out.push((Cow::Borrowed(bound_label), Cow::Owned(float_label(bound))));
    }
    Ok(())
}

/// Shows every label of a run of `label` fields.
fn labels<'a>(pairs: &'a [u8], mut visit: impl FnMut(&'a str, &'a str)) -> Result<(), Bad> {
    for (index, field) in Message::new(pairs).fields().enumerate() {
        // The name of the series and a bound are labels as well.
        check_number(index + 3)?;
        let (name, value) = label_pair(field?.message()?)?;
        visit(check_name("label", name)?, valid_value(value)?);
    }
    Ok(())
}
