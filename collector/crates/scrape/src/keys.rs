//! Series as they are exposed: text to verdict.
//!
//! The text of a series, from its name to its `}`, is the key under which everything computed for it is
//! remembered; equal text means equal labels while the TYPE lines around it say the same. All texts lie
//! behind one another in one buffer in the order in which they were learnt, so that walking over them in that
//! order reads memory forwards.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::{Kind, SeriesId};

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
pub(crate) struct KeyId(u32);

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

#[derive(Clone, Copy, Debug)]
struct Key {
    start: u32,
    n_bytes: u32,
    /// Of the series; `u32::MAX` where it is dropped.
    series: u32,
    /// The last scrape that had it.
    round: u32,
    /// Its place among the lines of the last good scrape; `u32::MAX` where it was not there.
    position: u32,
    spelling: Spelling,
    is_free: bool,
}

const DROPPED: u32 = u32::MAX;
const NOWHERE: u32 = u32::MAX;

/// All texts that are known of one target.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    text: Vec<u8>,
    keys: Vec<Key>,
    free: Vec<KeyId>,
    index: HashTable<u32>,
    // Seeded: a target cannot choose texts that collide.
    hasher: RandomState,
    n_dead_bytes: usize,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    #[inline]
    pub(crate) fn text(&self, id: KeyId) -> &[u8] {
        text_of(&self.text, &self.keys[id.0 as usize])
    }

    /// Whether this is the key of a text in its surroundings.
    #[inline]
    pub(crate) fn is(&self, id: KeyId, text: &[u8], spelling: Spelling) -> bool {
        self.has_spelling(id, spelling) && self.text(id) == text
    }

    #[inline]
    pub(crate) fn has_spelling(&self, id: KeyId, spelling: Spelling) -> bool {
        self.keys[id.0 as usize].spelling == spelling
    }

    #[inline]
    pub(crate) fn verdict(&self, id: KeyId) -> Verdict {
        match self.keys[id.0 as usize].series {
            DROPPED => Verdict::Dropped,
            series => Verdict::Series(SeriesId(series)),
        }
    }

    /// Notes that a scrape had the text, and says whether the same scrape had it before.
    #[inline]
    pub(crate) fn mark(&mut self, id: KeyId, round: u32) -> bool {
        std::mem::replace(&mut self.keys[id.0 as usize].round, round) == round
    }

    /// Its place among the lines of the last good scrape.
    pub(crate) fn position(&self, id: KeyId) -> Option<usize> {
        Some(self.keys[id.0 as usize].position).filter(|at| *at != NOWHERE).map(|at| at as usize)
    }

    /// Notes the places of the lines of a good scrape.
    pub(crate) fn set_positions(&mut self, order: &[KeyId]) {
        for (position, id) in order.iter().enumerate() {
            self.keys[id.0 as usize].position = u32::try_from(position).unwrap_or(NOWHERE);
        }
    }

    pub(crate) fn find(&self, text: &[u8], spelling: Spelling) -> Option<KeyId> {
        let hash = self.hasher.hash_one(text);
        self.index.find(hash, |id| self.is(KeyId(*id), text, spelling)).map(|id| KeyId(*id))
    }

    /// Adds a text that is not there yet.
    pub(crate) fn insert(
        &mut self,
        text: &[u8],
        spelling: Spelling,
        verdict: Verdict,
    ) -> Result<KeyId, NoRoom> {
        let start = u32::try_from(self.text.len()).map_err(|_| NoRoom)?;
        let n_bytes = u32::try_from(text.len()).map_err(|_| NoRoom)?;
        let series = match verdict {
            Verdict::Dropped => DROPPED,
            Verdict::Series(id) => id.0,
        };
        let key = Key { start, n_bytes, series, round: 0, position: NOWHERE, spelling, is_free: false };
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
        self.text.extend_from_slice(text);
        let (keys, all, hasher) = (&self.keys, &self.text, &self.hasher);
        let rehash = |id: &u32| hasher.hash_one(text_of(all, &keys[*id as usize]));
        self.index.insert_unique(hasher.hash_one(text), id.0, rehash);
        Ok(id)
    }

    /// Forgets every text that the scrape did not have.
    pub(crate) fn keep_round(&mut self, round: u32) {
        for id in 0..self.keys.len() {
            if !self.keys[id].is_free && self.keys[id].round != round {
                self.remove(id);
            }
        }
        if self.n_dead_bytes > 4096 && self.n_dead_bytes * 2 > self.text.len() {
            self.compact();
        }
    }

    /// Whether growth has reserved much more memory than is used.
    pub(crate) fn is_roomy(&self) -> bool {
        self.text.capacity() > self.text.len() + self.text.len() / 4
            || self.keys.capacity() > self.keys.len() + self.keys.len() / 4
    }

    /// Gives back memory that was reserved for growth.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.free.shrink_to_fit();
        let (keys, all, hasher) = (&self.keys, &self.text, &self.hasher);
        self.index.shrink_to_fit(|id| hasher.hash_one(text_of(all, &keys[*id as usize])));
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { hasher: self.hasher.clone(), ..Self::default() };
    }

    /// All texts with their surroundings and verdicts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Spelling, Verdict)> {
        let taken = (0..self.keys.len()).filter(|id| !self.keys[*id].is_free);
        taken.map(|id| {
            let id = KeyId(u32::try_from(id).expect("ids are u32"));
            (self.text(id), self.keys[id.0 as usize].spelling, self.verdict(id))
        })
    }

    fn remove(&mut self, id: usize) {
        let key = &mut self.keys[id];
        key.is_free = true;
        self.n_dead_bytes += key.n_bytes as usize;
        let number = u32::try_from(id).expect("ids are u32");
        let hash = self.hasher.hash_one(text_of(&self.text, &self.keys[id]));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.free.push(KeyId(number));
    }

    fn compact(&mut self) {
        let mut taken: Vec<&mut Key> = self.keys.iter_mut().filter(|key| !key.is_free).collect();
        taken.sort_by_key(|key| key.start);
        let mut text = Vec::with_capacity(self.text.len() - self.n_dead_bytes);
        for key in taken {
            let start = text.len();
            text.extend_from_slice(text_of(&self.text, key));
            key.start = u32::try_from(start).expect("compaction never grows");
        }
        (self.text, self.n_dead_bytes) = (text, 0);
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.keys.capacity() * size_of::<Key>() + self.index.allocation_size()
    }
}

#[inline]
fn text_of<'a>(text: &'a [u8], key: &Key) -> &'a [u8] {
    let start = key.start as usize;
    &text[start..start + key.n_bytes as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_again_until_a_scrape_lacks_them() {
        let mut keys = Keys::default();
        let one = keys.insert(b"a", Spelling::AsIs, Verdict::Series(SeriesId(7))).unwrap();
        let two = keys.insert(b"b{c=\"d\"}", Spelling::AsIs, Verdict::Dropped).unwrap();
        assert_eq!(
            (keys.find(b"a", Spelling::AsIs), keys.verdict(one)),
            (Some(one), Verdict::Series(SeriesId(7)))
        );
        assert_eq!(keys.find(b"a", Spelling::Histogram), None, "the TYPE line above it is another one");
        assert!(!keys.mark(two, 3) && keys.mark(two, 3));
        keys.keep_round(3);
        assert_eq!((keys.find(b"a", Spelling::AsIs), keys.len()), (None, 1));
        assert_eq!(
            keys.insert(b"e", Spelling::AsIs, Verdict::Dropped).unwrap(),
            one,
            "the place is used again"
        );
        assert_eq!(keys.find(b"b{c=\"d\"}", Spelling::AsIs), Some(two));
    }

    #[test]
    fn memory_of_forgotten_texts_is_freed() {
        let mut keys = Keys::default();
        for round in 1..=50 {
            for n in 0..1000 {
                let text = format!("series_with_a_long_name{{round=\"{round}\",n=\"{n}\"}}");
                let id = keys.insert(text.as_bytes(), Spelling::AsIs, Verdict::Dropped).unwrap();
                keys.mark(id, round);
            }
            keys.keep_round(round);
        }
        assert_eq!(keys.len(), 1000);
        assert!(keys.heap_bytes() < 400_000, "{} bytes for 1000 texts", keys.heap_bytes());
    }
}
