//! Every distinct text of a table, once, with a number.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Texts by number. Number 0 is the empty text.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    text: String,
    /// End of each text in `text`; it starts where the one before ends.
    ends: Vec<u32>,
    /// Numbers by the hash of their text; only there while texts come.
    index: Option<HashTable<u32>>,
    // Seeded: a target cannot choose texts that collide.
    hasher: RandomState,
}

impl Default for Symbols {
    fn default() -> Self {
        Self { text: String::new(), ends: vec![0], index: None, hasher: RandomState::new() }
    }
}

impl Symbols {
    #[inline]
    pub(super) fn get(&self, number: u32) -> &str {
        text_of(&self.text, &self.ends, number)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.text[start..*end as usize];
            start = *end as usize;
            text
        })
    }

    pub(super) fn intern(&mut self, text: &str) -> u32 {
        let Self { text: texts, ends, index, hasher } = self;
        let hash = hasher.hash_one(text);
        let index = index.get_or_insert_with(|| index_of(texts, ends, hasher));
        if let Some(&number) = index.find(hash, |number| text_of(texts, ends, *number) == text) {
            return number;
        }
        let number = u32::try_from(ends.len()).expect("fewer than 2^32 label texts in one target");
        texts.push_str(text);
        ends.push(u32::try_from(texts.len()).expect("less than 4 GiB of label text in one target"));
        index.insert_unique(hash, number, |number| hasher.hash_one(text_of(texts, ends, *number)));
        number
    }

    pub(super) fn rest(&mut self) {
        self.index = None;
    }

    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, HashTable::allocation_size);
        self.text.capacity() + self.ends.capacity() * size_of::<u32>() + index
    }
}

fn index_of(text: &str, ends: &[u32], hasher: &RandomState) -> HashTable<u32> {
    let hash = |number: &u32| hasher.hash_one(text_of(text, ends, *number));
    let mut index = HashTable::with_capacity(ends.len());
    for (number, _) in (0u32..).zip(ends) {
        index.insert_unique(hash(&number), number, hash);
    }
    index
}

#[inline]
fn text_of<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] as usize };
    &text[start..ends[number] as usize]
}
