//! Families of series by the names under which they are shown.
//!
//! A name has one type: the one that came first, until the last series of the name is gone. A series that says another one is dropped,
//! as upstream. Types that are written the same way are no conflict: gauges, infos and state sets, and the unknown type
//! beside any type that has one value.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use exposition::print::{Head, Part};
use model::{Histogram, Kind, ResetHint};
use translate::FamilyRef;

use super::order::Order;

/// A series has another type than its family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::prometheus) struct Conflict {
    name: Box<str>,
    known: Kind,
    dropped: Kind,
    /// Whether nobody was told of this family yet.
    pub(in crate::prometheus) is_first: bool,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, known, dropped, .. } = self;
        write!(
            f,
            "`{name}` is known as a {known}, so that series of it as a {dropped} are dropped; rename one of the two at its source"
        )
    }
}

/// Series of one name and type.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    help: Box<str>,
    unit: Box<str>,
    /// Its series; the first `n_sorted` of them are in order.
    pub(super) series: Vec<u32>,
    n_sorted: usize,
    /// Those of them that have ended.
    n_gone: usize,
    is_conflict_known: bool,
}

impl Family {
    pub(super) fn head(&self) -> Head<'_> {
        Head { name: &self.name, kind: self.kind, help: &self.help, unit: &self.unit }
    }

    pub(super) fn is_sorted(&self) -> bool {
        self.n_sorted == self.series.len()
    }

    /// Puts its series in order.
    pub(super) fn sort(&mut self, order: &Order<'_>) {
        if !self.is_sorted() {
            // The sort makes use of the runs that are there.
            self.series.sort_by(|a, b| order.compare(*a, *b));
            self.n_sorted = self.series.len();
        }
    }

    fn is_empty(&self) -> bool {
        self.series.len() == self.n_gone
    }

    fn describe(&mut self, kind: Kind, family: &FamilyRef<'_>) {
        self.kind = kind;
        self.help = family.help.into();
        self.unit = family.unit.into();
        self.is_conflict_known = false;
        self.n_sorted = 0;
    }

    /// The type of the family once a series of this type is in it.
    fn accept(&mut self, kind: Kind) -> Result<(), Conflict> {
        match both(self.kind, kind) {
            Some(kind) => {
                self.kind = kind;
                Ok(())
            }
            None => {
                let is_first = !std::mem::replace(&mut self.is_conflict_known, true);
                Err(Conflict { name: self.name.clone(), known: self.kind, dropped: kind, is_first })
            }
        }
    }
}

/// The type that fits series of both types, if there is one.
fn both(known: Kind, new: Kind) -> Option<Kind> {
    let is_gauge = |kind| matches!(kind, Kind::Gauge | Kind::Info | Kind::StateSet);
    match (known, new) {
        _ if known == new => Some(known),
        (Kind::Unknown, other) | (other, Kind::Unknown) if is_gauge(other) || other == Kind::Counter => {
            Some(other)
        }
        _ if is_gauge(known) && is_gauge(new) => Some(Kind::Gauge),
        _ => None,
    }
}

/// Name and type of the family under which a series is shown: counters and infos under their own name, parts of histograms and
/// summaries under the common one. A `_created` series is a gauge of its own.
pub(super) fn exposed<'a>(
    name: &'a str,
    family: &FamilyRef<'a>,
    histogram: Option<&Histogram>,
) -> (&'a str, Kind) {
    if let Some(histogram) = histogram {
        let is_gauge = family.kind == Kind::GaugeHistogram || histogram.reset_hint == ResetHint::Gauge;
        return (name, if is_gauge { Kind::GaugeHistogram } else { Kind::Histogram });
    }
    let (part, suffix) = Part::of(family.kind, family.name, name);
    match family.kind {
        _ if suffix == "_created" => (name, Kind::Gauge),
        Kind::Histogram | Kind::GaugeHistogram if part != Part::Value => (family.name, family.kind),
        Kind::Summary if part != Part::Value && (part != Part::Quantile || name == family.name) => {
            (family.name, family.kind)
        }
        Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => (name, Kind::Unknown),
        kind => (name, kind),
    }
}

/// All families.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// By index; none where one is free.
    all: Vec<Option<Family>>,
    free: Vec<u32>,
    by_name: BTreeMap<Box<str>, u32>,
    /// Series that came or ended, and types that changed.
    n_changes: u64,
}

impl Families {
    /// The family of a new series.
    pub(super) fn join(
        &mut self,
        name: &str,
        family: &FamilyRef<'_>,
        histogram: Option<&Histogram>,
    ) -> Result<u32, Conflict> {
        self.n_changes += 1;
        let (name, kind) = exposed(name, family, histogram);
        if let Some(index) = self.by_name.get(name).copied()
            && let Some(known) = self.get_mut(index)
        {
            if known.is_empty() {
                known.describe(kind, family);
            } else {
                known.accept(kind)?;
                if known.help.is_empty() {
                    known.help = family.help.into();
                }
            }
            return Ok(index);
        }
        let new = Family {
            name: name.into(),
            kind,
            help: family.help.into(),
            unit: family.unit.into(),
            series: Vec::new(),
            n_sorted: 0,
            n_gone: 0,
            is_conflict_known: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).expect("no more families than series")
        });
        self.by_name.insert(name.into(), index);
        self.all[index as usize] = Some(new);
        Ok(index)
    }

    /// Whether a series may stay in its family with this type.
    pub(super) fn stay(&mut self, family: u32, kind: Kind) -> Result<(), Conflict> {
        let Some(family) = self.get_mut(family) else { return Ok(()) };
        let before = family.kind;
        let outcome = family.accept(kind);
        if family.kind != before {
            self.n_changes += 1;
        }
        outcome
    }

    /// How often it changed what is shown, but for values.
    pub(super) fn n_changes(&self) -> u64 {
        self.n_changes
    }

    /// All families by name.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Family> {
        self.by_name.values().filter_map(|index| self.get(*index))
    }

    pub(super) fn add(&mut self, family: u32, series: u32) {
        let Some(family) = self.get_mut(family) else { return };
        if family.series.len() == family.series.capacity() {
            // An eighth more instead of twice as much: there are many lists, and they stay.
            family.series.reserve_exact(family.series.len() / 8 + 1);
        }
        family.series.push(series);
    }

    pub(super) fn kind(&self, family: u32) -> Kind {
        self.get(family).map_or(Kind::Unknown, |family| family.kind)
    }

    pub(super) fn get(&self, family: u32) -> Option<&Family> {
        self.all.get(family as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, family: u32) -> Option<&mut Family> {
        self.all.get_mut(family as usize)?.as_mut()
    }

    /// The first family from this name on, or behind it.
    pub(super) fn next(&self, from: Bound<&str>) -> Option<u32> {
        self.by_name.range::<str, _>((from, Bound::Unbounded)).next().map(|(_, index)| *index)
    }

    pub(super) fn note_gone(&mut self, family: u32) {
        self.n_changes += 1;
        if let Some(family) = self.get_mut(family) {
            family.n_gone += 1;
        }
    }

    /// Takes series that have ended out of the lists, and families without series.
    pub(super) fn purge(&mut self, is_living: impl Fn(u32) -> bool) {
        for (index, place) in self.all.iter_mut().enumerate() {
            let Some(family) = place.as_mut().filter(|family| family.n_gone > 0) else { continue };
            let sorted = &family.series[..family.n_sorted];
            family.n_sorted = sorted.iter().filter(|id| is_living(**id)).count();
            family.series.retain(|id| is_living(*id));
            family.n_gone = 0;
            if family.series.is_empty() {
                self.by_name.remove(&family.name);
                self.free.push(u32::try_from(index).expect("no more families than series"));
                *place = None;
            }
        }
    }

    pub(super) fn shrink(&mut self) {
        self.all.iter_mut().flatten().for_each(|family| family.series.shrink_to_fit());
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let of_family = |family: &Family| {
            // The name is also a key, whose place in the tree is counted by its size and half as much again.
            let names = 2 * family.name.len() + size_of::<(Box<str>, u32)>() * 3 / 2;
            names + family.help.len() + family.unit.len() + family.series.capacity() * size_of::<u32>()
        };
        self.all.capacity() * size_of::<Option<Family>>()
            + self.free.capacity() * size_of::<u32>()
            + self.all.iter().flatten().map(of_family).sum::<usize>()
    }
}
