//! The store as a page, written piece by piece.
//!
//! Between two pieces the store goes on changing. A group is written whole, so that a histogram never contradicts itself; what comes
//! and goes behind the place that was reached is seen, what comes before it is seen by the next reader.

use std::ops::Bound;

use exposition::print::{Group, Head, Line, Part, Printer};
use model::SeriesId;

use super::order::{GroupKey, Order};
use super::{NO_START, Store, Tick};

/// How far a page is written.
#[derive(Debug, Default)]
pub(in crate::prometheus) enum Place {
    /// Nothing of it.
    #[default]
    Start,
    /// Up to this group of this family.
    Inside(Box<str>, GroupKey),
    /// Up to the end of this family.
    Behind(Box<str>),
    /// All of it.
    End,
}

/// How pages are written.
#[derive(Clone, Copy, Debug)]
pub(in crate::prometheus) struct Printing {
    /// Bytes from which a piece is full.
    pub(in crate::prometheus) piece_bytes: usize,
    /// Whether values are written with their times.
    pub(in crate::prometheus) with_times: bool,
}

impl Store {
    /// Writes on from `place` until a piece is full or the page ends. Gives the new place.
    pub(in crate::prometheus) fn print(
        &mut self,
        printer: &mut Printer,
        place: Place,
        how: Printing,
        now: Tick,
    ) -> Place {
        let mut next = match &place {
            Place::Start => self.families.next(Bound::Unbounded),
            Place::Inside(name, _) => self.families.next(Bound::Included(name)),
            Place::Behind(name) => self.families.next(Bound::Excluded(name)),
            Place::End => return place,
        };
        // The family may be gone, and all behind it is still to be written then.
        let mut behind = match place {
            Place::Inside(name, key) if self.name_of(next) == Some(&*name) => Some(key),
            _ => None,
        };
        while let Some(index) = next {
            self.sort(index);
            let reached = self.print_family(printer, index, behind.take().as_ref(), how, now);
            let name = || self.name_of(next).unwrap_or_default().into();
            if let Some(key) = reached {
                return Place::Inside(name(), key);
            }
            if printer.n_bytes() >= how.piece_bytes {
                return Place::Behind(name());
            }
            next = self.name_of(next).and_then(|name| self.families.next(Bound::Excluded(name)));
        }
        printer.end();
        Place::End
    }

    fn name_of(&self, family: Option<u32>) -> Option<&str> {
        Some(&*self.families.get(family?)?.name)
    }

    /// Puts the series of a family in order. Nearly always they are.
    fn sort(&mut self, index: u32) {
        let Some(family) = self.families.get_mut(index).filter(|family| !family.is_sorted()) else { return };
        let name = family.name.clone();
        family.sort(&Order::new(&self.table, &name, family.kind));
    }

    /// Writes the groups of a family that stand behind `behind`. Gives the last one that was written, where there are more.
    fn print_family(
        &self,
        printer: &mut Printer,
        index: u32,
        behind: Option<&GroupKey>,
        how: Printing,
        now: Tick,
    ) -> Option<GroupKey> {
        let family = self.families.get(index)?;
        let (head, series) = (family.head(), &family.series[..]);
        let order = Order::new(&self.table, head.name, head.kind);
        let mut start = behind.map_or(0, |key| order.behind(series, key));
        let mut has_head = false;
        while let Some(first) = series.get(start) {
            let group = if order.has_groups() { order.group_of(series, *first) } else { start..start + 1 };
            start = group.end.max(start + 1);
            let is_shown = series[group.clone()].iter().any(|id| self.is_shown(*id, now));
            if !is_shown {
                continue;
            }
            if !std::mem::replace(&mut has_head, true) {
                printer.begin_family(head, behind.is_some());
            }
            self.print_group(printer, head, (&order, &series[group]), how, now);
            if printer.n_bytes() >= how.piece_bytes && start < series.len() {
                printer.end_family();
                return Some(order.key(series[start - 1]));
            }
        }
        if has_head {
            printer.end_family();
        }
        None
    }

    fn print_group(
        &self,
        printer: &mut Printer,
        head: Head<'_>,
        (order, series): (&Order<'_>, &[u32]),
        how: Printing,
        now: Tick,
    ) {
        // A bucket that is older than the count of its histogram belongs to bounds that are no longer in use.
        let counted = series.iter().find(|id| order.is_count(**id)).map(|id| self.last[*id as usize].at);
        let is_outdated = |id: u32| {
            let is_inner = matches!(order.part(id).0, Part::Bucket | Part::Quantile);
            is_inner && counted.is_some_and(|counted| self.last[id as usize].at < counted)
        };
        let shown = || series.iter().copied().filter(|id| self.is_shown(*id, now) && !is_outdated(*id));
        let Some(first) = shown().next() else { return };
        let last = self.last[first as usize];
        let group = |lines| Group {
            lines,
            histogram: shown().find_map(|id| self.histograms.get(&id)).map(|histogram| &**histogram),
            start: shown().map(|id| self.last[id as usize].start).find(|start| *start != NO_START),
            at: how.with_times.then_some(last.at),
        };
        // Most groups are one series; those need no list.
        if series.len() == 1 {
            printer.group(head, &group(std::slice::from_ref(&self.line(order, first))));
        } else {
            let lines: Vec<_> = shown().map(|id| self.line(order, id)).collect();
            printer.group(head, &group(&lines));
        }
    }

    fn line<'a>(
        &'a self,
        order: &Order<'a>,
        id: u32,
    ) -> Line<'a, impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a>> {
        let (part, suffix) = order.part(id);
        Line {
            part,
            suffix,
            labels: self.table.labels(SeriesId(id)),
            value: f64::from_bits(self.last[id as usize].bits),
            exemplar: self.exemplars.get(&id).map(|exemplar| &**exemplar),
        }
    }
}
