//! Every distinct label of a table, once, as the symbols of its name and its value.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::{put_varint, take_varint};

/// Bytes of varints that lie in a pair itself; 21 bits of a name and 28 of a value fit.
const SHORT_BYTES: usize = 7;

/// In the length's place: the numbers lie elsewhere.
const WIDE: u8 = u8::MAX;

/// Labels by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    all: Vec<Pair>,
    /// Numbers that are too large to lie in their pair.
    wide: Vec<(u32, u32)>,
    /// Numbers of pairs by their hash; only there while labels come.
    index: Option<HashTable<u32>>,
    // Seeded: a target cannot choose labels that collide.
    hasher: RandomState,
}

/// Two numbers of symbols as varints, ready to be copied.
#[derive(Clone, Copy, Debug)]
struct Pair {
    varints: [u8; SHORT_BYTES],
    n_bytes: u8,
}

impl Pairs {
    /// The symbols of name and value.
    #[inline]
    pub(super) fn get(&self, number: u32) -> (u32, u32) {
        let pair = &self.all[number as usize];
        if pair.n_bytes == WIDE {
            return self.wide[pair.place()];
        }
        let mut varints = &pair.varints[..];
        (take_varint(&mut varints), take_varint(&mut varints))
    }

    /// Appends both symbols as varints.
    #[inline]
    pub(super) fn append_refs(&self, number: u32, out: &mut Vec<u8>) {
        let pair = &self.all[number as usize];
        if pair.n_bytes == WIDE {
            let (name, value) = self.wide[pair.place()];
            put_varint(out, name);
            put_varint(out, value);
            return;
        }
        // Copying all of it and taking the rest back is cheaper than copying a number of bytes that varies.
        let n_before = out.len();
        out.extend_from_slice(&pair.varints);
        out.truncate(n_before + usize::from(pair.n_bytes));
    }

    pub(super) fn intern(&mut self, name: u32, value: u32) -> u32 {
        let hash = self.hasher.hash_one((name, value));
        let mut index = self.index.take().unwrap_or_else(|| self.make_index());
        let found = index.find(hash, |number| self.get(*number) == (name, value)).copied();
        let number = found.unwrap_or_else(|| {
            let number = u32::try_from(self.all.len()).expect("fewer than 2^32 labels in one target");
            let pair = Pair::of(name, value).unwrap_or_else(|| {
                self.wide.push((name, value));
                Pair::at(self.wide.len() - 1)
            });
            self.all.push(pair);
            index.insert_unique(hash, number, |number| self.hasher.hash_one(self.get(*number)));
            number
        });
        self.index = Some(index);
        number
    }

    fn make_index(&self) -> HashTable<u32> {
        let hash = |number: &u32| self.hasher.hash_one(self.get(*number));
        let mut index = HashTable::with_capacity(self.all.len());
        for (number, _) in (0u32..).zip(&self.all) {
            index.insert_unique(hash(&number), number, hash);
        }
        index
    }

    pub(super) fn rest(&mut self) {
        self.index = None;
    }

    pub(super) fn shrink(&mut self) {
        self.all.shrink_to_fit();
        self.wide.shrink_to_fit();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, HashTable::allocation_size);
        self.all.capacity() * size_of::<Pair>() + self.wide.capacity() * size_of::<(u32, u32)>() + index
    }
}

impl Pair {
    /// `None` where the varints are too long.
    fn of(name: u32, value: u32) -> Option<Self> {
        let mut bytes = Vec::with_capacity(10);
        put_varint(&mut bytes, name);
        put_varint(&mut bytes, value);
        let mut varints = [0; SHORT_BYTES];
        varints.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        Some(Self { varints, n_bytes: u8::try_from(bytes.len()).ok()? })
    }

    fn at(place: usize) -> Self {
        let place = u32::try_from(place).expect("fewer than 2^32 labels in one target").to_le_bytes();
        let mut varints = [0; SHORT_BYTES];
        varints[..4].copy_from_slice(&place);
        Self { varints, n_bytes: WIDE }
    }

    fn place(&self) -> usize {
        let [a, b, c, d, ..] = self.varints;
        u32::from_le_bytes([a, b, c, d]) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back_and_are_written_as_varints() {
        let mut pairs = Pairs::default();
        let edges =
            [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0xfff_ffff, 0x1000_0000, u32::MAX];
        let all: Vec<(u32, u32)> = edges.iter().flat_map(|a| edges.map(|b| (*a, b))).collect();
        let numbers: Vec<u32> = all.iter().map(|(name, value)| pairs.intern(*name, *value)).collect();
        pairs.rest();
        for ((name, value), number) in all.iter().zip(numbers) {
            assert_eq!((pairs.get(number), pairs.intern(*name, *value)), ((*name, *value), number));
            let (mut written, mut expected) = (vec![9], vec![9]);
            pairs.append_refs(number, &mut written);
            put_varint(&mut expected, *name);
            put_varint(&mut expected, *value);
            assert_eq!(written, expected);
        }
        assert!(!pairs.wide.is_empty() && pairs.wide.len() < all.len() / 2);
    }
}
