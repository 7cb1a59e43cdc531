//! The series of one target: final label sets, each stored once.

mod texts;

use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use texts::Texts;

/// What a family of series is, by the words of the exposition formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// No TYPE line, `untyped` or `unknown`.
    #[default]
    Unknown,
    /// Only goes up, or starts again at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum` and `_count` with cumulative buckets.
    Histogram,
    /// A histogram whose buckets may go down.
    GaugeHistogram,
    /// `quantile`, `_sum` and `_count`.
    Summary,
    /// Labels as value; always 1.
    Info,
    /// One series per state; 0 or 1.
    StateSet,
}

impl Kind {
    /// The word of a TYPE line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What TYPE, HELP and UNIT say of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// The family's name, without the suffix of its series.
    pub name: Box<str>,
    /// Its type.
    pub kind: Kind,
    /// The HELP text, unescaped.
    pub help: Box<str>,
    /// The UNIT word.
    pub unit: Box<str>,
}

/// Position of a series in its [`SeriesTable`]; stable while the series lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where its labels begin in `refs`; [`FREE`] where there is no series.
    start: u32,
    /// Index into `families` plus one, zero for none; the highest bit is [`PLAIN`].
    family: u32,
}

/// Start of a place without a series.
const FREE: u32 = u32::MAX;

/// Bit of [`Slot::family`]: nothing about the labels needs a second look.
const PLAIN: u32 = 1 << 31;

/// Final label sets of the series of one target, with every text stored once.
///
/// The table is filled by whoever scrapes the target: labels as they leave the process, after `honor_labels`,
/// relabelling and limits, sorted by name. Exporters read it directly, so an unchanged series costs them no parsing
/// and no allocation. Freed places are used again. Shared by `Arc`; the writer copies on write, and as batches
/// are encoded before `send` returns there is normally nothing to copy.
///
/// The labels of a series lie there as numbers: eight take about ten bytes. Behind a number is the label as either
/// remote-write protocol sends it, so that writing a series is copying a few pieces.
#[derive(Clone, Debug, Default)]
pub struct SeriesTable {
    texts: Texts,
    /// Of each series the number of its labels and the numbers of the pairs, as varints.
    refs: Vec<u8>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    families: Vec<Listed>,
    /// By name; only there while families come.
    by_family: Option<HashTable<u32>>,
    n_dead_bytes: usize,
}

/// A family, and the symbols that describe it.
#[derive(Clone, Debug)]
struct Listed {
    family: Arc<Family>,
    /// As in `family`, where it is at hand.
    kind: Kind,
    symbols: FamilySymbols,
}

/// Symbols of what HELP and UNIT say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilySymbols {
    /// The HELP text.
    pub help: u32,
    /// The UNIT word.
    pub unit: u32,
}

impl SeriesTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of series that are present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a series. `labels` are sorted by name and have no empty value.
    pub fn insert<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        family: Option<u32>,
    ) -> SeriesId {
        let pairs: Vec<u32> = labels.into_iter().map(|(name, value)| self.texts.pair(name, value)).collect();
        let start = u32::try_from(self.refs.len()).ok().filter(|start| *start != FREE);
        put_varint(&mut self.refs, u32::try_from(pairs.len()).expect("fewer than 2^32 labels on one series"));
        pairs.iter().for_each(|pair| put_varint(&mut self.refs, *pair));
        let slot = Slot {
            start: start.expect("less than 4 GiB of label references in one target"),
            family: family_bits(family),
        };
        if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            return SeriesId(place);
        }
        self.slots.push(slot);
        SeriesId(u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 series in one target"))
    }

    /// Forgets a series; its place may be given to another one.
    pub fn remove(&mut self, id: SeriesId) {
        let n_bytes = self.refs_of(id).n_bytes();
        let slot = &mut self.slots[id.0 as usize];
        if slot.start != FREE {
            self.n_dead_bytes += n_bytes;
            slot.start = FREE;
            self.free.push(id.0);
        }
    }

    /// Labels of a series, sorted by name. Empty for a place that is free.
    #[inline]
    pub fn labels(&self, id: SeriesId) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.refs_of(id).map(|pair| self.texts.label(pair))
    }

    /// Labels of a series in the same order, each as the field `labels` (number 1, message `Label`) of remote write 1's
    /// `TimeSeries`, tag and length included.
    #[inline]
    pub fn encoded_labels(&self, id: SeriesId) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.refs_of(id).map(|pair| self.texts.encoded(pair))
    }

    /// Every text of the table in the order of its number, from number 0, which is the empty text: the `symbols` of
    /// remote write 2.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.texts.symbols()
    }

    /// Bytes of all [`Self::symbols`] at most.
    #[must_use]
    pub fn n_text_bytes(&self) -> usize {
        self.texts.n_bytes()
    }

    /// Appends the labels of a series as numbers of symbols, name and value in turn, in order of name: what stands in
    /// `labels_refs` of remote write 2, without tag and length.
    #[inline]
    pub fn append_label_refs(&self, id: SeriesId, out: &mut Vec<u8>) {
        self.texts.append_refs(self.refs_of(id), out);
    }

    /// Writes the same to the beginning of `place`, and says how many bytes they are; nothing where the place might not do,
    /// which needs eight bytes more than the references. What stands behind them is of no use.
    #[inline]
    pub fn put_label_refs<const N: usize>(&self, id: SeriesId, place: &mut [u8; N]) -> Option<usize> {
        self.texts.put_refs(self.refs_of(id), place)
    }

    /// Notes that nothing about the series' labels needs a second look on the way to Prometheus; what that means is
    /// `translate`'s. False for a series that was just added.
    pub fn set_plain(&mut self, id: SeriesId, is_plain: bool) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.family = slot.family & !PLAIN | if is_plain { PLAIN } else { 0 };
        }
    }

    /// What was noted by [`Self::set_plain`].
    #[inline]
    #[must_use]
    pub fn is_plain(&self, id: SeriesId) -> bool {
        self.slot(id).is_some_and(|slot| slot.family & PLAIN != 0)
    }

    /// The family of a series, where the exposition named one.
    #[inline]
    #[must_use]
    pub fn family(&self, id: SeriesId) -> Option<&Family> {
        self.listed(id).map(|listed| &*listed.family)
    }

    /// The kind of the family of a series; unknown where the exposition named none.
    #[inline]
    #[must_use]
    pub fn kind(&self, id: SeriesId) -> Kind {
        self.listed(id).map_or(Kind::Unknown, |listed| listed.kind)
    }

    /// Whether the exposition named a family of the series.
    #[inline]
    #[must_use]
    pub fn has_family(&self, id: SeriesId) -> bool {
        self.slot(id).is_some_and(|slot| slot.family & !PLAIN != 0)
    }

    /// The index of the family of a series ([`Self::family_index`]), where the exposition named one.
    #[inline]
    #[must_use]
    pub fn family_of(&self, id: SeriesId) -> Option<u32> {
        (self.slot(id)?.family & !PLAIN).checked_sub(1)
    }

    /// The symbols of the family of a series, where the exposition named one.
    #[inline]
    #[must_use]
    pub fn family_symbols(&self, id: SeriesId) -> Option<FamilySymbols> {
        self.listed(id).map(|listed| listed.symbols)
    }

    /// Adds a family or updates the one of this name; gives its index for [`SeriesTable::insert`].
    pub fn family_index(&mut self, family: impl Into<Arc<Family>>) -> u32 {
        let family = family.into();
        let symbols =
            FamilySymbols { help: self.texts.symbol(&family.help), unit: self.texts.symbol(&family.unit) };
        let mut by_family = self.by_family.take().unwrap_or_else(|| self.index_of_families());
        let hash = self.texts.hash_of(&family.name);
        let is_it = |index: &u32| self.families[*index as usize].family.name == family.name;
        let known = by_family.find(hash, is_it).copied();
        let listed = Listed { kind: family.kind, family, symbols };
        let index = match known {
            Some(index) => {
                self.families[index as usize] = listed;
                index
            }
            None => {
                let index = u32::try_from(self.families.len()).ok().filter(|index| *index < PLAIN - 1);
                let index = index.expect("fewer than 2^31 families in one target");
                self.families.push(listed);
                by_family.insert_unique(hash, index, |index| self.hash_of_family(*index));
                index
            }
        };
        self.by_family = Some(by_family);
        index
    }

    fn index_of_families(&self) -> HashTable<u32> {
        let mut by_family = HashTable::with_capacity(self.families.len());
        for (index, _) in (0u32..).zip(&self.families) {
            by_family.insert_unique(self.hash_of_family(index), index, |index| self.hash_of_family(*index));
        }
        by_family
    }

    fn hash_of_family(&self, index: u32) -> u64 {
        self.texts.hash_of(&self.families[index as usize].family.name)
    }

    /// Puts an existing series under another family (a TYPE line that came later or changed).
    pub fn set_family(&mut self, id: SeriesId, family: Option<u32>) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.family = slot.family & PLAIN | family_bits(family);
        }
    }

    /// Whether more than half of the label references belong to series that are gone, so that [`Self::compact`] pays.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.n_dead_bytes > 8192 && self.n_dead_bytes * 2 > self.refs.len()
    }

    /// Drops the labels of removed series from memory. Ids stay as they are, numbers of symbols do not.
    pub fn compact(&mut self) {
        let mut fresh = Self::new();
        for (place, slot) in (0u32..).zip(&self.slots) {
            let id = fresh.insert(self.labels(SeriesId(place)), None);
            fresh.slots[id.0 as usize].family = slot.family;
        }
        for place in &self.free {
            fresh.remove(SeriesId(*place));
        }
        fresh.n_dead_bytes = 0;
        for Listed { family, .. } in std::mem::take(&mut self.families) {
            fresh.family_index(family);
        }
        *self = fresh;
    }

    /// Gives back what serves to find texts again: nothing has come or gone for long. It is made anew when something
    /// comes.
    pub fn rest(&mut self) {
        self.texts.rest();
        self.by_family = None;
    }

    /// Gives back memory that was reserved for growth.
    pub fn shrink(&mut self) {
        self.texts.shrink();
        self.refs.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.free.shrink_to_fit();
        self.families.shrink_to_fit();
    }

    /// Heap bytes held by the table.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let of_family = |Listed { family, .. }: &Listed| {
            size_of::<Listed>() + family.name.len() + family.help.len() + family.unit.len()
        };
        self.texts.heap_bytes()
            + self.refs.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.families.iter().map(of_family).sum::<usize>()
            + self.by_family.as_ref().map_or(0, HashTable::allocation_size)
    }

    #[inline]
    fn slot(&self, id: SeriesId) -> Option<&Slot> {
        self.slots.get(id.0 as usize).filter(|slot| slot.start != FREE)
    }

    #[inline]
    fn listed(&self, id: SeriesId) -> Option<&Listed> {
        self.families.get(self.family_of(id)? as usize)
    }

    #[inline]
    fn refs_of(&self, id: SeriesId) -> Refs<'_> {
        self.slot(id).map_or(Refs { rest: &[], n_left: 0 }, |slot| {
            let mut rest = &self.refs[slot.start as usize..];
            let n_left = take_varint(&mut rest) as usize;
            Refs { rest, n_left }
        })
    }
}

#[inline]
fn family_bits(family: Option<u32>) -> u32 {
    family.map_or(0, |index| index + 1)
}

/// The numbers of the pairs of a series.
#[derive(Clone, Copy)]
struct Refs<'a> {
    rest: &'a [u8],
    n_left: usize,
}

impl Refs<'_> {
    /// Bytes that they take, with their number.
    fn n_bytes(self) -> usize {
        varint_len(u32::try_from(self.n_left).unwrap_or(u32::MAX)) + self.map(varint_len).sum::<usize>()
    }
}

impl Iterator for Refs<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.n_left = self.n_left.checked_sub(1)?;
        Some(take_varint(&mut self.rest))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_left, Some(self.n_left))
    }
}

impl ExactSizeIterator for Refs<'_> {}

fn varint_len(number: u32) -> usize {
    let bits = (u32::BITS - (number | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads what [`put_varint`] wrote.
#[inline]
fn take_varint(bytes: &mut &[u8]) -> u32 {
    // Nearly always it has one byte.
    if let Some((byte @ ..0x80, rest)) = bytes.split_first() {
        *bytes = rest;
        return u32::from(*byte);
    }
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(table: &SeriesTable, id: SeriesId) -> Vec<(String, String)> {
        table.labels(id).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn a_freed_place_is_used_again_and_other_ids_stay() {
        let mut table = SeriesTable::new();
        let one = table.insert([("__name__", "up"), ("job", "a")], None);
        let two = table.insert([("__name__", "up"), ("job", "b")], None);
        table.remove(one);
        assert_eq!((table.len(), pairs(&table, one)), (1, vec![]));
        let three = table.insert([("__name__", "down")], None);
        assert_eq!(three, one);
        assert_eq!(pairs(&table, two)[1].1, "b");
    }

    #[test]
    fn compaction_keeps_ids_and_labels() {
        let mut table = SeriesTable::new();
        let ids: Vec<SeriesId> =
            (0..5000).map(|n| table.insert([("__name__", "x"), ("n", &*n.to_string())], None)).collect();
        for id in &ids[1..] {
            table.remove(*id);
        }
        assert!(table.wants_compaction());
        let before = table.heap_bytes();
        table.compact();
        assert!(table.heap_bytes() < before && !table.wants_compaction());
        assert_eq!(pairs(&table, ids[0]), [("__name__".into(), "x".into()), ("n".into(), "0".into())]);
    }

    #[test]
    fn labels_lie_there_as_symbols_of_remote_write_2() {
        let mut table = SeriesTable::new();
        let help = Family { name: "x".into(), help: "Help.".into(), unit: "b".into(), ..Family::default() };
        let family = table.family_index(help);
        let id = table.insert([("a", "1"), ("b", "a")], Some(family));
        let symbols: Vec<&[u8]> = table.symbols().collect();
        assert_eq!(symbols, [&b""[..], b"Help.", b"b", b"a", b"1"]);
        let mut refs = Vec::new();
        table.append_label_refs(id, &mut refs);
        assert_eq!(refs, [3, 4, 2, 3]);
        assert_eq!(table.family_symbols(id), Some(FamilySymbols { help: 1, unit: 2 }));
        let many: Vec<SeriesId> = (0..300).map(|n| table.insert([("a", &*format!("v{n}"))], None)).collect();
        refs.clear();
        table.append_label_refs(many[299], &mut refs);
        let value = u16::try_from(table.symbols().position(|symbol| symbol == b"v299").unwrap()).unwrap();
        assert_eq!(refs, [3, value as u8 | 0x80, (value >> 7) as u8]);
    }

    #[test]
    fn shrinking_changes_nothing_but_memory() {
        let mut table = SeriesTable::new();
        let ids: Vec<SeriesId> = (0..1000).map(|n| table.insert([("n", &*n.to_string())], None)).collect();
        let before: Vec<_> = ids.iter().map(|id| pairs(&table, *id)).collect();
        let n_bytes = table.heap_bytes();
        table.shrink();
        table.rest();
        assert!(table.heap_bytes() <= n_bytes);
        assert_eq!(before, ids.iter().map(|id| pairs(&table, *id)).collect::<Vec<_>>());
        assert_eq!(table.insert([("n", "7")], None), SeriesId(1000));
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(labels in proptest::collection::btree_map("\\PC{1,9}", "\\PC{1,200}", 0..9)) {
            let mut table = SeriesTable::new();
            let id = table.insert(labels.iter().map(|(name, value)| (&**name, &**value)), None);
            proptest::prop_assert!(table.labels(id).eq(labels.iter().map(|(name, value)| (&**name, &**value))));
        }
    }

    #[test]
    fn a_family_is_known_by_name_and_can_be_corrected() {
        let mut table = SeriesTable::new();
        let gauge = table.family_index(Family { name: "x".into(), kind: Kind::Gauge, ..Family::default() });
        let id = table.insert([("__name__", "x")], Some(gauge));
        assert_eq!(
            table.family_index(Family { name: "x".into(), kind: Kind::Counter, ..Family::default() }),
            gauge
        );
        assert_eq!(table.family(id).map(|family| family.kind), Some(Kind::Counter));
    }
}
