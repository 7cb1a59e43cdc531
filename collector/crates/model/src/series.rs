//! The series of one target: final label sets, each stored once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use xxhash_rust::xxh3::Xxh3Builder;

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
    start: u32,
    n_labels: u16,
    /// Index into `families` plus one; zero means none.
    family: u32,
    hash: u64,
}

/// Final label sets of the series of one target, with every name and value stored once.
///
/// The table is filled by whoever scrapes the target: labels as they leave the process, after `honor_labels`,
/// relabelling and limits, sorted by name. Exporters read it directly, so an unchanged series costs them no parsing
/// and no allocation. Freed places are used again. Shared by `Arc`; the writer copies on write, and as batches
/// are encoded before `send` returns there is normally nothing to copy.
#[derive(Clone, Debug, Default)]
pub struct SeriesTable {
    symbols: Symbols,
    /// Symbol ids, alternating name and value.
    refs: Vec<u32>,
    entries: Vec<Option<Slot>>,
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
        self.entries.len() - self.free.len()
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
        let start = self.refs.len();
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for (name, value) in labels {
            self.refs.push(self.symbols.intern(name));
            self.refs.push(self.symbols.intern(value));
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        let entry = Slot {
            start: u32::try_from(start).expect("fewer than 2^32 label references in one target"),
            n_labels: u16::try_from((self.refs.len() - start) / 2)
                .expect("fewer than 65536 labels on one series"),
            family: family.map_or(0, |index| index + 1),
            hash: hasher.digest(),
        };
        if let Some(place) = self.free.pop() {
            self.entries[place as usize] = Some(entry);
            return SeriesId(place);
        }
        self.entries.push(Some(entry));
        SeriesId(u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 series in one target"))
    }

    /// Forgets a series; its place may be given to another one.
    pub fn remove(&mut self, id: SeriesId) {
        if let Some(entry) = self.entries[id.0 as usize].take() {
            self.n_dead_refs += usize::from(entry.n_labels) * 2;
            self.free.push(id.0);
        }
    }

    /// Labels of a series, sorted by name. Empty for a place that is free.
    #[inline]
    pub fn labels(&self, id: SeriesId) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        let refs = self.entry(id).map_or(&[][..], |entry| {
            let start = entry.start as usize;
            &self.refs[start..start + usize::from(entry.n_labels) * 2]
        });
        refs.chunks_exact(2).map(|pair| (self.symbols.get(pair[0]), self.symbols.get(pair[1])))
    }

    /// Hash over the labels of a series (xxh3, names and values separated): equal labels, equal hash, in every table.
    #[inline]
    #[must_use]
    pub fn hash(&self, id: SeriesId) -> u64 {
        self.entry(id).map_or(0, |entry| entry.hash)
    }

    /// The family of a series, where the exposition named one.
    #[must_use]
    pub fn family(&self, id: SeriesId) -> Option<&Family> {
        let index = self.entry(id)?.family.checked_sub(1)?;
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
        if let Some(Some(entry)) = self.entries.get_mut(id.0 as usize) {
            entry.family = family.map_or(0, |index| index + 1);
        }
    }

    /// Whether more than half of the label references belong to series that are gone, so that [`Self::compact`] pays.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.n_dead_refs > 4096 && self.n_dead_refs * 2 > self.refs.len()
    }

    /// Drops the labels of removed series from memory. Ids stay as they are.
    pub fn compact(&mut self) {
        let mut symbols = Symbols::default();
        let mut refs = Vec::with_capacity(self.refs.len().saturating_sub(self.n_dead_refs));
        for entry in self.entries.iter_mut().flatten() {
            let start = entry.start as usize;
            entry.start = u32::try_from(refs.len()).expect("compaction never grows");
            for old in &self.refs[start..start + usize::from(entry.n_labels) * 2] {
                refs.push(symbols.intern(self.symbols.get(*old)));
            }
        }
        (self.symbols, self.refs, self.n_dead_refs) = (symbols, refs, 0);
    }

    /// Heap bytes held by the table.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.symbols.heap_bytes()
            + self.refs.capacity() * size_of::<u32>()
            + self.entries.capacity() * size_of::<Option<Slot>>()
            + self.free.capacity() * size_of::<u32>()
            + self
                .families
                .iter()
                .map(|f| size_of::<Family>() + 2 * f.name.len() + f.help.len() + f.unit.len())
                .sum::<usize>()
    }

    #[inline]
    fn entry(&self, id: SeriesId) -> Option<&Slot> {
        self.entries.get(id.0 as usize)?.as_ref()
    }
}

/// Every distinct string of a table, once.
#[derive(Clone, Debug, Default)]
struct Symbols {
    text: String,
    /// End of each symbol in `text`; it starts where the one before ends.
    ends: Vec<u32>,
    /// Hash of a symbol to the ids that have it. Keys are hashes already, collisions are compared by text.
    index: HashMap<u64, u32, Xxh3Builder>,
    /// Ids whose hash another symbol took first; practically always empty.
    collided: Vec<u32>,
}

impl Symbols {
    fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        &self.text[start..self.ends[id] as usize]
    }

    fn intern(&mut self, text: &str) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        match self.index.get(&hash) {
            Some(&id) if self.get(id) == text => return id,
            Some(_) => {
                if let Some(&id) = self.collided.iter().find(|id| self.get(**id) == text) {
                    return id;
                }
            }
            None => {}
        }
        let id = u32::try_from(self.ends.len()).expect("fewer than 2^32 symbols in one target");
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).expect("less than 4 GiB of label text in one target"));
        match self.index.entry(hash) {
            Entry::Vacant(place) => drop(place.insert(id)),
            Entry::Occupied(_) => self.collided.push(id),
        }
        id
    }

    fn heap_bytes(&self) -> usize {
        // A hash table entry costs key, value and one control byte, at a load of 7/8 at best.
        self.text.capacity() + self.ends.capacity() * 4 + self.index.capacity() * 17 * 8 / 7
    }
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
    fn equal_labels_have_equal_hashes_in_different_tables() {
        let (mut one, mut two) = (SeriesTable::new(), SeriesTable::new());
        two.insert([("other", "first")], None);
        let (a, b) = (one.insert([("a", "1")], None), two.insert([("a", "1")], None));
        assert_eq!(one.hash(a), two.hash(b));
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
