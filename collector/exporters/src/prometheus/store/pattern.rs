//! A page of the same series as one before it: the text of then, with the values of now.
//!
//! Who scrapes asks for the same series again and again, and names, labels and help texts are most of a page; of the values many stand
//! still. Only pages in the text format that are a single piece, of series that are one value each, without times and exemplars;
//! any other is written anew.

use bytes::Bytes;
use exposition::Protocol;
use exposition::float;
use exposition::print::Negotiated;

use super::order::Order;
use super::{Last, Store, Tick};

/// The last page that was written.
#[derive(Debug)]
pub(super) struct Pattern {
    format: Negotiated,
    /// How often what is shown had changed by then, values apart.
    n_changes: u64,
    text: Bytes,
    values: Vec<Value>,
}

impl Pattern {
    /// Puts the values of now in the places of those that have changed.
    fn renew(&mut self, last: &[Last]) {
        let now = |value: &Value| last[value.series as usize].bits;
        if self.values.iter().all(|value| now(value) == value.bits) {
            return;
        }
        let mut page = Vec::with_capacity(self.text.len() + self.text.len() / 16);
        let (mut from, mut printed) = (0, String::new());
        for value in &mut self.values {
            page.extend_from_slice(&self.text[from..value.start]);
            from = value.end;
            let (bits, start) = (now(value), page.len());
            if bits == value.bits {
                page.extend_from_slice(&self.text[value.start..value.end]);
            } else {
                printed.clear();
                float::print(&mut printed, f64::from_bits(bits));
                page.extend_from_slice(printed.as_bytes());
            }
            *value = Value { bits, start, end: page.len(), ..*value };
        }
        page.extend_from_slice(&self.text[from..]);
        self.text = page.into();
    }
}

/// A value in the text.
#[derive(Clone, Copy, Debug)]
struct Value {
    series: u32,
    bits: u64,
    start: usize,
    end: usize,
}

impl Store {
    /// The page as it is now, if its series are those of the last one that was learned.
    pub(in crate::prometheus) fn page_again(&mut self, format: Negotiated, now: Tick) -> Option<Bytes> {
        let known = self.pattern.as_ref()?;
        let is_same =
            known.format == format && known.n_changes == self.families.n_changes() && self.is_plain();
        if !is_same || known.values.iter().any(|value| !self.is_shown(value.series, now)) {
            return None;
        }
        let known = self.pattern.as_mut()?;
        known.renew(&self.last);
        Some(known.text.clone())
    }

    /// Learns a whole page that was just written without times.
    pub(in crate::prometheus) fn learn_page(&mut self, format: Negotiated, text: &Bytes, now: Tick) {
        self.pattern = self.pattern(format, text, now);
    }

    fn pattern(&self, format: Negotiated, page: &Bytes, now: Tick) -> Option<Pattern> {
        let is_text = matches!(format.protocol, Protocol::PrometheusText0 | Protocol::PrometheusText1);
        if !is_text || !self.is_plain() {
            return None;
        }
        let text = std::str::from_utf8(page).ok()?;
        let mut shown = Vec::with_capacity(self.len());
        for family in self.families.in_order() {
            if Order::new(&self.table, &family.name, family.kind).has_groups() {
                return None;
            }
            shown.extend(family.series.iter().copied().filter(|id| self.is_shown(*id, now)));
        }
        // One that has expired and is not yet swept may come again, unnoticed.
        if shown.len() != self.len() {
            return None;
        }
        let mut values = Vec::with_capacity(shown.len());
        let (mut shown, mut line_start, mut printed) = (shown.into_iter(), 0, String::new());
        for line in text.split_inclusive('\n') {
            let end = line_start + line.trim_end_matches('\n').len();
            line_start += line.len();
            if line.starts_with('#') {
                continue;
            }
            let (series, start) = (shown.next()?, line_start - line.len() + line.rfind(' ')? + 1);
            let bits = self.last[series as usize].bits;
            printed.clear();
            float::print(&mut printed, f64::from_bits(bits));
            if text[start..end] != printed {
                return None;
            }
            values.push(Value { series, bits, start, end });
        }
        if shown.next().is_some() {
            return None;
        }
        Some(Pattern { format, n_changes: self.families.n_changes(), text: page.clone(), values })
    }

    /// Whether every series is a value and nothing else.
    fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.exemplars.is_empty()
    }

    /// Forgets a page that will not come again.
    pub(super) fn forget_old_page(&mut self) {
        if self.pattern.as_ref().is_some_and(|known| known.n_changes != self.families.n_changes()) {
            self.pattern = None;
        }
    }
}
