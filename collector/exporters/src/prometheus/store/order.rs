//! The order in which series of a family are shown: by labels, and those of one histogram or summary together, buckets
//! by bound, then sum and count.

use std::cmp::Ordering;
use std::ops::Range;

use exposition::print::Part;
use model::{Kind, SeriesId, SeriesTable};

/// Labels that all series of a group have: of a family whose series are alone, all of them.
pub(super) type GroupKey = Vec<(Box<str>, Box<str>)>;

/// Compares series of one family.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    table: &'a SeriesTable,
    family: &'a str,
    kind: Kind,
}

impl<'a> Order<'a> {
    pub(super) fn new(table: &'a SeriesTable, family: &'a str, kind: Kind) -> Self {
        Self { table, family, kind }
    }

    /// Whether series of the family come in groups.
    pub(super) fn has_groups(&self) -> bool {
        matches!(self.kind, Kind::Histogram | Kind::GaugeHistogram | Kind::Summary)
    }

    /// The part that a series is of its group, and the suffix that says so.
    pub(super) fn part(&self, id: u32) -> (Part, &'a str) {
        if !self.has_groups() {
            return (Part::Value, "");
        }
        Part::of(self.kind, self.family, self.value(id, "__name__"))
    }

    pub(super) fn is_count(&self, id: u32) -> bool {
        self.part(id).0 == Part::Count
    }

    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        if !self.has_groups() {
            return self.group_labels(a, Part::Value).cmp(self.group_labels(b, Part::Value));
        }
        let ((part_a, _), (part_b, _)) = (self.part(a), self.part(b));
        self.group_labels(a, part_a)
            .cmp(self.group_labels(b, part_b))
            .then_with(|| part_a.cmp(&part_b))
            .then_with(|| self.bound(a, part_a).total_cmp(&self.bound(b, part_b)))
    }

    /// The series that belong together with this one, in a list that is in order.
    pub(super) fn group_of(&self, series: &[u32], id: u32) -> Range<usize> {
        let part = self.part(id).0;
        let compare =
            |other: &u32| self.group_labels(*other, self.part(*other).0).cmp(self.group_labels(id, part));
        let start = series.partition_point(|other| compare(other) == Ordering::Less);
        let length = series[start..].iter().take_while(|other| compare(other) == Ordering::Equal).count();
        start..start + length
    }

    /// Where series behind this group begin, in a list that is in order.
    pub(super) fn behind(&self, series: &[u32], key: &GroupKey) -> usize {
        let key = || key.iter().map(|(name, value)| (&**name, &**value));
        series.partition_point(|id| self.group_labels(*id, self.part(*id).0).cmp(key()) != Ordering::Greater)
    }

    pub(super) fn key(&self, id: u32) -> GroupKey {
        let labels = self.group_labels(id, self.part(id).0);
        labels.map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn group_labels(&self, id: u32, part: Part) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = part.label();
        self.table.labels(SeriesId(id)).filter(move |(name, _)| *name != "__name__" && *name != own)
    }

    fn bound(&self, id: u32, part: Part) -> f64 {
        let text = if part.label().is_empty() { "" } else { self.value(id, part.label()) };
        exposition::float::parse(text.as_bytes()).unwrap_or(f64::NAN)
    }

    fn value(&self, id: u32, label: &str) -> &'a str {
        self.table.labels(SeriesId(id)).find(|(name, _)| *name == label).map_or("", |(_, value)| value)
    }
}
