//! The series of one target: final label sets, each stored once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

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
    /// First of its labels in `refs`.
    start: u32,
    /// Bytes of its labels as remote write 1 wants them.
    n_bytes: u32,
    /// Index into `families` plus one; zero means none.
    family: u32,
    /// [`FREE`] where there is no series.
    n_labels: u16,
    is_plain: bool,
}

/// Number of labels of a place without a series.
const FREE: u16 = u16::MAX;

/// Final label sets of the series of one target, with every label stored once.
///
/// The table is filled by whoever scrapes the target: labels as they leave the process, after `honor_labels`,
/// relabelling and limits, sorted by name. Exporters read it directly, so an unchanged series costs them no parsing
/// and no allocation. Freed places are used again. Shared by `Arc`; the writer copies on write, and as batches
/// are encoded before `send` returns there is normally nothing to copy.
///
/// Labels lie there as remote write 1 sends them, so that writing a series is copying a few pieces.
#[derive(Clone, Debug, Default)]
pub struct SeriesTable {
    pairs: Pairs,
    /// Labels of the series, one after the other.
    refs: Vec<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    families: Vec<Family>,
    family_by_name: HashMap<Box<str>, u32>,
    n_dead_refs: usize,
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

    /// Adds a series. `labels` are sorted by name, have no empty value and are fewer than 65,535.
    pub fn insert<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        family: Option<u32>,
    ) -> SeriesId {
        let start = self.refs.len();
        let mut n_bytes = 0;
        for (name, value) in labels {
            let pair = self.pairs.intern(name, value);
            n_bytes += self.pairs.get(pair).len();
            self.refs.push(pair);
        }
        let n_labels = u16::try_from(self.refs.len() - start).ok().filter(|n| *n != FREE);
        let slot = Slot {
            start: u32::try_from(start).expect("fewer than 2^32 label references in one target"),
            n_bytes: u32::try_from(n_bytes).expect("less than 4 GiB of labels on one series"),
            family: family.map_or(0, |index| index + 1),
            n_labels: n_labels.expect("fewer than 65535 labels on one series"),
            is_plain: false,
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
        let slot = &mut self.slots[id.0 as usize];
        if slot.n_labels != FREE {
            self.n_dead_refs += usize::from(slot.n_labels);
            slot.n_labels = FREE;
            self.free.push(id.0);
        }
    }

    /// Labels of a series, sorted by name. Empty for a place that is free.
    pub fn labels(&self, id: SeriesId) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.refs_of(id).iter().map(|pair| split(self.pairs.get(*pair)))
    }

    /// Labels of a series in the same order, each as the field `labels` (number 1, message `Label`) of remote write 1's
    /// `TimeSeries`, tag and length included.
    #[inline]
    pub fn encoded_labels(&self, id: SeriesId) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.refs_of(id).iter().map(|pair| self.pairs.get(*pair))
    }

    /// Bytes of all of [`Self::encoded_labels`].
    #[inline]
    #[must_use]
    pub fn n_encoded_bytes(&self, id: SeriesId) -> usize {
        self.slot(id).map_or(0, |slot| slot.n_bytes as usize)
    }

    /// Notes that nothing about the series' labels needs a second look on the way to Prometheus; what that means is
    /// `translate`'s. False for a series that was just added.
    pub fn set_plain(&mut self, id: SeriesId, is_plain: bool) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.is_plain = is_plain;
        }
    }

    /// What was noted by [`Self::set_plain`].
    #[inline]
    #[must_use]
    pub fn is_plain(&self, id: SeriesId) -> bool {
        self.slot(id).is_some_and(|slot| slot.is_plain)
    }

    /// The family of a series, where the exposition named one.
    #[must_use]
    pub fn family(&self, id: SeriesId) -> Option<&Family> {
        let index = self.slot(id)?.family.checked_sub(1)?;
        self.families.get(index as usize)
    }

    /// Adds a family or updates the one of this name; gives its index for [`SeriesTable::insert`].
    pub fn family_index(&mut self, family: Family) -> u32 {
        if let Some(&index) = self.family_by_name.get(&family.name) {
            self.families[index as usize] = family;
            return index;
        }
        let index = u32::try_from(self.families.len()).expect("fewer than 2^32 families in one target");
        self.family_by_name.insert(family.name.clone(), index);
        self.families.push(family);
        index
    }

    /// Puts an existing series under another family (a TYPE line that came later or changed).
    pub fn set_family(&mut self, id: SeriesId, family: Option<u32>) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.family = family.map_or(0, |index| index + 1);
        }
    }

    /// Whether more than half of the label references belong to series that are gone, so that [`Self::compact`] pays.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.n_dead_refs > 4096 && self.n_dead_refs * 2 > self.refs.len()
    }

    /// Drops the labels of removed series from memory. Ids stay as they are.
    pub fn compact(&mut self) {
        let mut pairs = Pairs::default();
        let mut refs = Vec::with_capacity(self.refs.len().saturating_sub(self.n_dead_refs));
        for slot in self.slots.iter_mut().filter(|slot| slot.n_labels != FREE) {
            let start = slot.start as usize;
            slot.start = u32::try_from(refs.len()).expect("compaction never grows");
            for old in &self.refs[start..start + usize::from(slot.n_labels)] {
                let (name, value) = split(self.pairs.get(*old));
                refs.push(pairs.intern(name, value));
            }
        }
        (self.pairs, self.refs, self.n_dead_refs) = (pairs, refs, 0);
    }

    /// Gives back memory that was reserved for growth.
    pub fn shrink(&mut self) {
        self.pairs.shrink();
        self.refs.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.free.shrink_to_fit();
        self.families.shrink_to_fit();
    }

    /// Heap bytes held by the table.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let of_family = |family: &Family| {
            size_of::<Family>() + 2 * family.name.len() + family.help.len() + family.unit.len()
        };
        self.pairs.heap_bytes()
            + self.refs.capacity() * size_of::<u32>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.families.iter().map(of_family).sum::<usize>()
    }

    #[inline]
    fn slot(&self, id: SeriesId) -> Option<&Slot> {
        self.slots.get(id.0 as usize).filter(|slot| slot.n_labels != FREE)
    }

    #[inline]
    fn refs_of(&self, id: SeriesId) -> &[u32] {
        self.slot(id).map_or(&[], |slot| {
            let start = slot.start as usize;
            &self.refs[start..start + usize::from(slot.n_labels)]
        })
    }
}

/// Every distinct label of a table, once, encoded.
#[derive(Clone, Debug, Default)]
struct Pairs {
    bytes: Vec<u8>,
    /// End of each pair in `bytes`; it starts where the one before ends.
    ends: Vec<u32>,
    /// Ids by the hash of their bytes.
    index: HashTable<u32>,
    // Seeded: a target cannot choose labels that collide.
    hasher: RandomState,
}

impl Pairs {
    #[inline]
    fn get(&self, id: u32) -> &[u8] {
        pair_of(&self.bytes, &self.ends, id)
    }

    fn intern(&mut self, name: &str, value: &str) -> u32 {
        let start = self.bytes.len();
        encode(&mut self.bytes, name, value);
        let (known, fresh) = self.bytes.split_at(start);
        let hash = self.hasher.hash_one(fresh);
        if let Some(&id) = self.index.find(hash, |id| pair_of(known, &self.ends, *id) == fresh) {
            self.bytes.truncate(start);
            return id;
        }
        let id = u32::try_from(self.ends.len()).expect("fewer than 2^32 labels in one target");
        self.ends.push(u32::try_from(self.bytes.len()).expect("less than 4 GiB of label text in one target"));
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(pair_of(bytes, ends, *id)));
        id
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.shrink_to_fit(|id| hasher.hash_one(pair_of(bytes, ends, *id)));
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>() + self.index.allocation_size()
    }
}

#[inline]
fn pair_of<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &bytes[start..ends[id] as usize]
}

/// Tag of a field 1 and of a field 2 that hold bytes, in protobuf.
const FIELD_1: u8 = 1 << 3 | 2;
const FIELD_2: u8 = 2 << 3 | 2;

/// Field 1: a message of name (field 1) and value (field 2).
fn encode(out: &mut Vec<u8>, name: &str, value: &str) {
    let framed = |len: usize| 1 + varint_len(len) + len;
    out.push(FIELD_1);
    put_varint(out, framed(name.len()) + framed(value.len()));
    for (tag, text) in [(FIELD_1, name), (FIELD_2, value)] {
        out.push(tag);
        put_varint(out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Name and value of what [`encode`] wrote.
fn split(pair: &[u8]) -> (&str, &str) {
    let (_, message) = take_varint(&pair[1..]);
    let (n_name, rest) = take_varint(&message[1..]);
    let (name, rest) = rest.split_at(n_name);
    let (_, value) = take_varint(&rest[1..]);
    let text = |bytes| std::str::from_utf8(bytes).expect("pairs are made of text");
    (text(name), text(value))
}

fn varint_len(number: usize) -> usize {
    let bits = (usize::BITS - (number | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &[u8]) -> (usize, &[u8]) {
    let n_bytes = 1 + bytes.iter().take_while(|byte| **byte >= 0x80).count();
    let (varint, rest) = bytes.split_at(n_bytes);
    let number = varint.iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
    (number, rest)
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
    fn labels_lie_there_as_remote_write_wants_them() {
        let mut table = SeriesTable::new();
        let long = "x".repeat(300);
        let id = table.insert([("a", "1"), ("b", &*long)], None);
        let pieces: Vec<&[u8]> = table.encoded_labels(id).collect();
        assert_eq!(pieces[0], b"\x0a\x06\x0a\x01a\x12\x011");
        assert_eq!(&pieces[1][..9], b"\x0a\xb2\x02\x0a\x01b\x12\xac\x02");
        assert_eq!(table.n_encoded_bytes(id), pieces.concat().len());
        assert_eq!(pairs(&table, id)[1], ("b".to_owned(), long));
    }

    #[test]
    fn shrinking_changes_nothing_but_memory() {
        let mut table = SeriesTable::new();
        let ids: Vec<SeriesId> = (0..1000).map(|n| table.insert([("n", &*n.to_string())], None)).collect();
        let before: Vec<_> = ids.iter().map(|id| pairs(&table, *id)).collect();
        let n_bytes = table.heap_bytes();
        table.shrink();
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
