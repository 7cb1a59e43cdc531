//! Series as they are exposed: text to verdict.
//!
//! The text of a series, from its name to its `}`, is the key under which everything computed for it is
//! remembered; equal text means equal labels while the TYPE lines around it say the same. Texts are most of what a
//! target says and hardly ever change, so only a hash of 96 bits is kept of each. Two texts of one target have the same
//! one once in 10^17 targets of a million series, and no target can look for such texts, because the hash is keyed.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use exposition::Expected;
use hashbrown::HashTable;
use model::{Kind, SeriesId};
use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::mark::Mark;
use crate::walk::Order;

/// What TYPE lines change in the labels of a series: the spelling of numbers in `le` or in `quantile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    AsIs,
    Histogram,
    Summary,
    /// The sample is a native histogram: its family has the series' own name.
    Native,
}

impl Spelling {
    /// A kind of TYPE line that has this effect.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::AsIs | Self::Native => Kind::Unknown,
            Self::Histogram => Kind::Histogram,
            Self::Summary => Kind::Summary,
        }
    }
}

impl From<Kind> for Spelling {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Histogram => Self::Histogram,
            Kind::Summary => Self::Summary,
            _ => Self::AsIs,
        }
    }
}

/// Position of a text in [`Keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(crate) u32);

/// What becomes of the samples of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The rules drop it.
    Dropped,
    /// It is this series.
    Series(SeriesId),
}

/// There is no room for more text.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// Bytes of the key of the hash; the function asks for 136 at least.
const SECRET_BYTES: usize = 192;

/// The key of the hash: another one in every process.
static SECRET: LazyLock<[u8; SECRET_BYTES]> = LazyLock::new(|| {
    let seed = RandomState::new();
    let mut secret = [0; SECRET_BYTES];
    for (index, word) in secret.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&seed.hash_one(index).to_le_bytes());
    }
    secret
});

/// What is kept of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    hash: [u32; 3],
    /// Zero fits no text; texts that are too long to be expected have it.
    n_bytes: u32,
}

impl Print {
    /// Of nothing that can be exposed.
    pub(crate) const NOTHING: Self = Self { hash: [0; 3], n_bytes: 0 };

    #[inline]
    pub(crate) fn of(text: &[u8]) -> Self {
        let n_bytes = u32::try_from(text.len()).ok().filter(|n_bytes| *n_bytes <= MAX_EXPECTED_BYTES);
        Self { hash: hash_of(text), n_bytes: n_bytes.unwrap_or(0) }
    }

    /// For tables.
    fn short(self) -> u64 {
        u64::from(self.hash[0]) << 32 | u64::from(self.hash[1])
    }
}

#[inline]
fn hash_of(text: &[u8]) -> [u32; 3] {
    let hash = xxh3_128_with_secret(text, &*SECRET);
    [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32]
}

/// A hash for tables of texts that a target chooses.
pub(crate) fn table_hash(text: &[u8]) -> u64 {
    Print { hash: hash_of(text), n_bytes: 0 }.short()
}

impl Expected for Print {
    #[inline]
    fn length_in(self, rest: &[u8]) -> Option<usize> {
        let text = rest.get(..self.n_bytes as usize)?;
        (self.n_bytes > 0 && hash_of(text) == self.hash).then_some(text.len())
    }
}

#[derive(Clone, Copy, Debug)]
struct Key {
    hash: [u32; 3],
    /// Length, spelling and whether the place is free.
    bits: Bits,
    /// The last scrape that had it.
    mark: Mark,
    /// The exposed name of the series, among the names.
    name: u32,
    /// Of the series; `u32::MAX` where it is dropped.
    series: u32,
}

impl Key {
    #[inline]
    fn print(&self) -> Print {
        Print { hash: self.hash, n_bytes: self.bits.n_bytes() }
    }
}

/// Three bytes: the length of the text in [`LENGTH_BITS`], then the spelling, then whether there is none.
#[derive(Clone, Copy, Debug)]
struct Bits([u8; 3]);

/// Bits of the length of a text that can be expected.
const LENGTH_BITS: u32 = 21;

/// Longer texts are looked up anew in every scrape.
const MAX_EXPECTED_BYTES: u32 = (1 << LENGTH_BITS) - 1;

const FREE_BIT: u32 = 1 << 23;

impl Bits {
    fn of(n_bytes: u32, spelling: Spelling) -> Self {
        Self::from_number(n_bytes | (spelling as u32) << LENGTH_BITS)
    }

    fn from_number(number: u32) -> Self {
        let [a, b, c, _] = number.to_le_bytes();
        Self([a, b, c])
    }

    #[inline]
    fn number(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_le_bytes([a, b, c, 0])
    }

    #[inline]
    fn n_bytes(self) -> u32 {
        self.number() & MAX_EXPECTED_BYTES
    }

    #[inline]
    fn has_spelling(self, spelling: Spelling) -> bool {
        self.number() >> LENGTH_BITS == spelling as u32
    }

    fn spelling(self) -> Spelling {
        let all = [Spelling::AsIs, Spelling::Histogram, Spelling::Summary, Spelling::Native];
        all[(self.number() >> LENGTH_BITS & 3) as usize]
    }

    fn is_free(self) -> bool {
        self.number() & FREE_BIT != 0
    }
}

const DROPPED: u32 = u32::MAX;
const NOWHERE: u32 = u32::MAX;

/// All texts that are known of one target.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    free: Vec<KeyId>,
    /// Only there while texts come and go.
    index: Option<Index>,
    names: Names,
}

/// What serves to find texts that are not where they are expected.
#[derive(Debug, Default)]
struct Index {
    by_hash: HashTable<u32>,
    /// Places among the lines of the last good scrape; [`NOWHERE`], or nothing, for what was not there.
    positions: Vec<u32>,
}

impl Index {
    fn set_positions(&mut self, order: &Order) {
        self.positions.clear();
        for (position, id) in (0u32..).zip(order.iter()) {
            let place = id.0 as usize;
            if self.positions.len() <= place {
                self.positions.resize(place + 1, NOWHERE);
            }
            self.positions[place] = position;
        }
    }
}

/// Exposed names of series, each once.
#[derive(Debug, Default)]
struct Names {
    /// One behind the other.
    text: String,
    /// Where each ends in there.
    ends: Vec<u32>,
    /// Only there while names come.
    by_name: Option<HashTable<u32>>,
}

impl Names {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, id: u32) -> &str {
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.text[start as usize..self.ends[id as usize] as usize]
    }

    /// Nothing where there is no room for more.
    fn intern(&mut self, name: &str) -> Option<u32> {
        let mut by_name = self.by_name.take().unwrap_or_else(|| self.make_index());
        let hash = table_hash(name.as_bytes());
        let known = by_name.find(hash, |id| self.get(*id) == name).copied();
        let id = known.or_else(|| {
            let id = self.push(name)?;
            by_name.insert_unique(hash, id, |id| table_hash(self.get(*id).as_bytes()));
            Some(id)
        });
        self.by_name = Some(by_name);
        id
    }

    fn push(&mut self, name: &str) -> Option<u32> {
        let id = u32::try_from(self.ends.len()).ok()?;
        self.ends.push(u32::try_from(self.text.len() + name.len()).ok()?);
        self.text.push_str(name);
        Some(id)
    }

    fn make_index(&self) -> HashTable<u32> {
        let mut by_name = HashTable::with_capacity(self.len());
        let hash = |id: &u32| table_hash(self.get(*id).as_bytes());
        for (id, _) in (0u32..).zip(&self.ends) {
            by_name.insert_unique(hash(&id), id, hash);
        }
        by_name
    }

    fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    #[inline]
    pub(crate) fn print(&self, id: KeyId) -> Print {
        self.keys[id.0 as usize].print()
    }

    /// Whether this is the key of a text in its surroundings.
    #[inline]
    pub(crate) fn is(&self, id: KeyId, text: Print, spelling: Spelling) -> bool {
        self.has_spelling(id, spelling) && self.print(id) == text
    }

    #[inline]
    pub(crate) fn has_spelling(&self, id: KeyId, spelling: Spelling) -> bool {
        self.keys[id.0 as usize].bits.has_spelling(spelling)
    }

    /// What to expect where this key stands, if its surroundings are these.
    #[inline]
    pub(crate) fn expected(&self, id: KeyId, spelling: Spelling) -> Option<Print> {
        let key = &self.keys[id.0 as usize];
        key.bits.has_spelling(spelling).then(|| key.print())
    }

    /// Notes that a scrape had the text, and says whether the same scrape had it before, and what becomes of its samples.
    #[inline]
    pub(crate) fn meet(&mut self, id: KeyId, now: Mark) -> (bool, Verdict) {
        let key = &mut self.keys[id.0 as usize];
        let is_again = std::mem::replace(&mut key.mark, now) == now;
        (is_again, verdict_of(key))
    }

    /// Marks begin anew.
    pub(crate) fn age(&mut self) {
        self.keys.iter_mut().for_each(|key| key.mark = key.mark.aged());
    }

    /// Notes the places of the lines of a good scrape.
    pub(crate) fn set_positions(&mut self, order: &Order) {
        if let Some(index) = &mut self.index {
            index.set_positions(order);
        }
    }

    /// The key of a text in its surroundings, and its place among the lines of the last good scrape.
    pub(crate) fn find(
        &mut self,
        text: Print,
        spelling: Spelling,
        order: &Order,
    ) -> Option<(KeyId, Option<usize>)> {
        let index = self.index.take().unwrap_or_else(|| self.make_index(order));
        let found = index.by_hash.find(text.short(), |id| self.is(KeyId(*id), text, spelling)).map(|id| {
            let position = index.positions.get(*id as usize).filter(|position| **position != NOWHERE);
            (KeyId(*id), position.map(|position| *position as usize))
        });
        self.index = Some(index);
        found
    }

    /// Whether the text is there, whatever surrounds it.
    pub(crate) fn knows(&self, text: Print) -> bool {
        let is_it = |id: &u32| self.print(KeyId(*id)) == text;
        self.index.as_ref().is_some_and(|index| index.by_hash.find(text.short(), is_it).is_some())
    }

    fn make_index(&self, order: &Order) -> Index {
        let mut by_hash = HashTable::with_capacity(self.len());
        let hash = |id: &u32| self.keys[*id as usize].print().short();
        for id in (0u32..).zip(&self.keys).filter(|(_, key)| !key.bits.is_free()).map(|(id, _)| id) {
            by_hash.insert_unique(hash(&id), id, hash);
        }
        let mut index = Index { by_hash, positions: Vec::new() };
        index.set_positions(order);
        index
    }

    /// Nothing has come or gone for long: what only serves that is given back.
    pub(crate) fn rest(&mut self) {
        self.index = None;
        self.names.by_name = None;
    }

    /// Adds a text that is not there yet; `name` is what the series is called in it.
    pub(crate) fn insert(
        &mut self,
        text: &[u8],
        name: &str,
        spelling: Spelling,
        verdict: Verdict,
    ) -> Result<KeyId, NoRoom> {
        let print = Print::of(text);
        let name = self.names.intern(name).ok_or(NoRoom)?;
        let series = match verdict {
            Verdict::Dropped => DROPPED,
            Verdict::Series(id) => id.0,
        };
        let bits = Bits::of(print.n_bytes, spelling);
        let key = Key { hash: print.hash, bits, mark: Mark::NEVER, name, series };
        let id = match self.free.pop() {
            Some(id) => {
                self.keys[id.0 as usize] = key;
                id
            }
            None => {
                let id = KeyId(u32::try_from(self.keys.len()).map_err(|_| NoRoom)?);
                self.keys.push(key);
                id
            }
        };
        if let Some(index) = &mut self.index {
            let keys = &self.keys;
            index.by_hash.insert_unique(print.short(), id.0, |id| keys[*id as usize].print().short());
        }
        Ok(id)
    }

    /// Forgets every text that the scrape did not have.
    pub(crate) fn keep_round(&mut self, now: Mark) {
        for id in 0..self.keys.len() {
            if !self.keys[id].bits.is_free() && self.keys[id].mark != now {
                self.remove(id);
            }
        }
        if self.names.len() > 2 * self.len() + 100 {
            self.forget_names();
        }
    }

    /// Whether growth has reserved much more memory than is used.
    pub(crate) fn is_roomy(&self) -> bool {
        self.keys.capacity() > self.keys.len() + self.keys.len() / 4
    }

    /// Gives back memory that was reserved for growth.
    pub(crate) fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.free.shrink_to_fit();
        self.names.shrink();
        if let Some(index) = &mut self.index {
            let keys = &self.keys;
            index.by_hash.shrink_to_fit(|id| keys[*id as usize].print().short());
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Exposed names, surroundings and verdicts of all texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Spelling, Verdict)> {
        let taken = self.keys.iter().filter(|key| !key.bits.is_free());
        taken.map(|key| (self.names.get(key.name), key.bits.spelling(), verdict_of(key)))
    }

    fn remove(&mut self, id: usize) {
        let key = &mut self.keys[id];
        key.bits = Bits::from_number(key.bits.number() | FREE_BIT);
        let hash = key.print().short();
        let number = u32::try_from(id).expect("ids are u32");
        if let Some(index) = &mut self.index
            && let Ok(entry) = index.by_hash.find_entry(hash, |other| *other == number)
        {
            entry.remove();
        }
        self.free.push(KeyId(number));
    }

    /// Forgets names that no series has any more.
    fn forget_names(&mut self) {
        let before = std::mem::take(&mut self.names);
        for key in self.keys.iter_mut().filter(|key| !key.bits.is_free()) {
            key.name = self.names.intern(before.get(key.name)).expect("there are fewer names than before");
        }
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let Names { text, ends, by_name } = &self.names;
        let by_name = by_name.as_ref().map_or(0, HashTable::allocation_size);
        let names = text.capacity() + ends.capacity() * size_of::<u32>() + by_name;
        let index = self.index.as_ref().map_or(0, |index| {
            index.by_hash.allocation_size() + index.positions.capacity() * size_of::<u32>()
        });
        self.keys.capacity() * size_of::<Key>() + index + names
    }
}

#[inline]
fn verdict_of(key: &Key) -> Verdict {
    match key.series {
        DROPPED => Verdict::Dropped,
        series => Verdict::Series(SeriesId(series)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_again_until_a_scrape_lacks_them() {
        let (mut keys, order) = (Keys::default(), Order::default());
        let place = |found: Option<(KeyId, Option<usize>)>| found.map(|(key, _)| key);
        let one = keys.insert(b"a", "n", Spelling::AsIs, Verdict::Series(SeriesId(7))).unwrap();
        let two = keys.insert(b"b{c=\"d\"}", "n", Spelling::AsIs, Verdict::Dropped).unwrap();
        assert_eq!(
            (place(keys.find(Print::of(b"a"), Spelling::AsIs, &order)), keys.meet(one, Mark::NEVER).1),
            (Some(one), Verdict::Series(SeriesId(7)))
        );
        assert_eq!(
            place(keys.find(Print::of(b"a"), Spelling::Histogram, &order)),
            None,
            "the TYPE line above it is another one"
        );
        assert!(!keys.meet(two, Mark::nth(3)).0 && keys.meet(two, Mark::nth(3)).0);
        keys.keep_round(Mark::nth(3));
        assert_eq!((place(keys.find(Print::of(b"a"), Spelling::AsIs, &order)), keys.len()), (None, 1));
        assert_eq!(
            keys.insert(b"e", "n", Spelling::AsIs, Verdict::Dropped).unwrap(),
            one,
            "the place is used again"
        );
        assert_eq!(place(keys.find(Print::of(b"b{c=\"d\"}"), Spelling::AsIs, &order)), Some(two));
    }

    #[test]
    fn a_key_keeps_its_length_its_spelling_and_whether_it_is_there() {
        assert_eq!(size_of::<Key>(), 24);
        for spelling in [Spelling::AsIs, Spelling::Histogram, Spelling::Summary, Spelling::Native] {
            for n_bytes in [0, 1, 300, MAX_EXPECTED_BYTES] {
                let bits = Bits::of(n_bytes, spelling);
                assert_eq!((bits.n_bytes(), bits.spelling(), bits.is_free()), (n_bytes, spelling, false));
                assert!(bits.has_spelling(spelling) && Bits::from_number(bits.number() | FREE_BIT).is_free());
            }
        }
        let long = vec![b'a'; MAX_EXPECTED_BYTES as usize + 1];
        assert_eq!((Print::of(&long).n_bytes, Print::of(&long).length_in(&long)), (0, None));
    }

    #[test]
    fn memory_of_forgotten_texts_is_freed() {
        let mut keys = Keys::default();
        for round in 1..=50 {
            for n in 0..1000 {
                let text = format!("series_with_a_long_name{{round=\"{round}\",n=\"{n}\"}}");
                let id = keys.insert(text.as_bytes(), &text[..40], Spelling::AsIs, Verdict::Dropped).unwrap();
                keys.meet(id, Mark::nth(round));
            }
            keys.keep_round(Mark::nth(round));
        }
        assert_eq!(keys.len(), 1000);
        assert!(keys.heap_bytes() < 400_000, "{} bytes for 1000 texts", keys.heap_bytes());
    }
}
