//! The symbol table of a request: every text once.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::SeriesTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::SYMBOLS;
use crate::proto::put_bytes;
use crate::remote_write::body::MAX_KEPT_BYTES;

/// Texts with their numbers, kept as the encoded `symbols` fields of a request. Number 0 is the empty text.
#[derive(Debug)]
pub struct Symbols {
    encoded: Vec<u8>,
    /// Where the text of each symbol lies in `encoded`.
    places: Vec<(u32, u32)>,
    /// Numbers by the hash of their text, but for those of a table.
    index: HashTable<u32>,
    /// Symbols that were taken from a table; they are the first.
    n_of_table: usize,
    /// Nobody outside knows it, so a target cannot choose texts that collide.
    seed: u64,
}

impl Symbols {
    /// Only the empty text.
    #[must_use]
    pub fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        let mut symbols = Self::without_memory(seed);
        symbols.clear();
        symbols
    }

    fn without_memory(seed: u64) -> Self {
        Self { encoded: Vec::new(), places: Vec::new(), index: HashTable::new(), n_of_table: 0, seed }
    }

    /// Takes over the symbols of a table with their numbers; what was there before is forgotten.
    pub(super) fn take_table(&mut self, table: &SeriesTable) {
        self.clear();
        // The empty text is there.
        for text in table.symbols().skip(1) {
            self.push(text);
        }
        self.n_of_table = self.places.len();
    }

    /// Forgets everything but the empty text.
    pub fn clear(&mut self) {
        if self.encoded.capacity() > MAX_KEPT_BYTES {
            *self = Self::without_memory(self.seed);
        }
        self.n_of_table = 0;
        self.encoded.clear();
        self.places.clear();
        self.index.clear();
        put_bytes(&mut self.encoded, SYMBOLS, b"");
        self.places.push((0, 0));
    }

    #[inline]
    pub(super) fn has_table(&self) -> bool {
        self.n_of_table > 0
    }

    /// The number of a text, which is added if it is new.
    ///
    /// # Panics
    /// When all texts together have 4 GiB or more.
    pub fn intern(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = xxh3_64_with_seed(text, self.seed);
        let (encoded, places) = (&self.encoded, &self.places);
        if let Some(number) = self.index.find(hash, |number| text_of(encoded, places, *number) == text) {
            return *number;
        }
        // Little is added to the symbols of a table, so those need no index.
        let of_table = &self.places[..self.n_of_table];
        // The length is looked at first: reading the place alone is cheaper than reading the text, too.
        let is_it = |(start, end): &(u32, u32)| {
            (end - start) as usize == text.len() && encoded[*start as usize..*end as usize] == *text
        };
        if let Some(number) = of_table.iter().position(is_it) {
            return number as u32;
        }
        let number = self.push(text);
        let (encoded, places, seed) = (&self.encoded, &self.places, self.seed);
        self.index
            .insert_unique(hash, number, |number| xxh3_64_with_seed(text_of(encoded, places, *number), seed));
        number
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> u32 {
        put_bytes(&mut self.encoded, SYMBOLS, text);
        let end = u32::try_from(self.encoded.len()).expect("less than 4 GiB of symbols in one request");
        self.places.push((end - text.len() as u32, end));
        self.places.len() as u32 - 1
    }

    /// As [`Self::intern`], for a text that is probably the one of this number.
    #[inline]
    pub(super) fn intern_near(&mut self, text: &[u8], number: u32) -> u32 {
        if text_of(&self.encoded, &self.places, number) == text { number } else { self.intern(text) }
    }

    /// The encoded `symbols` fields, in order of number.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn text_of<'a>(encoded: &'a [u8], places: &[(u32, u32)], number: u32) -> &'a [u8] {
    let (start, end) = places[number as usize];
    &encoded[start as usize..end as usize]
}
