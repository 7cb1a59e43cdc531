//! Every distinct label of a table, once, in the form of both remote-write protocols.
//!
//! A label lies there as remote write 1 sends it; the texts in it are symbols of remote write 2, with numbers. So
//! either protocol copies pieces, and no text is kept a second time for the other one.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::{put_varint, take_varint, varint_len};

/// Bytes of varints that lie in a pair itself; 21 bits of a name and 28 of a value fit.
const SHORT_BYTES: usize = 7;

/// Bytes of the references of a series that is nothing special.
const FEW_BYTES: usize = 96;

/// In the length's place: the numbers lie elsewhere.
const WIDE: u8 = u8::MAX;

/// Tag of a field 1 and of a field 2 that hold bytes, in protobuf.
const FIELD_1: u8 = 1 << 3 | 2;
const FIELD_2: u8 = 2 << 3 | 2;

/// Labels and symbols by number.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// Labels as remote write 1 sends them, and texts that occur in no label.
    bytes: Vec<u8>,
    pairs: Vec<Pair>,
    /// Symbols of pairs whose numbers are too large to lie there.
    wide: Vec<(u32, u32)>,
    /// Where the text of each symbol begins in `bytes`, and its length. Number 0 is the empty text.
    symbols: Vec<(u32, u32)>,
    /// Only there while texts come.
    index: Option<Index>,
    // Seeded: a target cannot choose texts that collide.
    hasher: RandomState,
}

/// What finds texts again: numbers by hash.
#[derive(Clone, Debug)]
struct Index {
    pairs: HashTable<u32>,
    symbols: HashTable<u32>,
}

/// A label.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: u32,
    /// The numbers of two symbols as varints, ready to be copied, and in the last byte how many bytes they take.
    varints: [u8; SHORT_BYTES + 1],
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            pairs: Vec::new(),
            wide: Vec::new(),
            symbols: vec![(0, 0)],
            index: None,
            hasher: RandomState::new(),
        }
    }
}

impl Texts {
    /// The label as remote write 1 sends it: a field 1 with name (field 1) and value (field 2).
    #[inline]
    pub(super) fn encoded(&self, pair: u32) -> &[u8] {
        let piece = &self.bytes[self.pairs[pair as usize].start as usize..];
        let mut rest = &piece[1..];
        let n_bytes = take_varint(&mut rest) as usize;
        let n_head = piece.len() - rest.len();
        &piece[..n_head + n_bytes]
    }

    /// Name and value of a label.
    #[inline]
    pub(super) fn label(&self, pair: u32) -> (&str, &str) {
        let (name, value) = self.symbols_of(pair);
        (self.text(name), self.text(value))
    }

    /// Appends the symbols of name and value of each label as varints.
    #[inline]
    pub(super) fn append_refs(&self, labels: impl Iterator<Item = u32> + Clone, out: &mut Vec<u8>) {
        let mut few = [0; FEW_BYTES];
        match self.put_refs(labels.clone(), &mut few) {
            Some(n_bytes) => out.extend_from_slice(&few[..n_bytes]),
            None => self.append_many_refs(labels, out),
        }
    }

    /// Writes the same to `place` and says how many bytes they are, if they and eight more find place there.
    #[inline]
    pub(super) fn put_refs<const N: usize>(
        &self,
        labels: impl Iterator<Item = u32>,
        place: &mut [u8; N],
    ) -> Option<usize> {
        // All eight bytes of a label are written, and the next label over those that are not its own: cheaper than
        // copying a number of bytes that varies.
        let mut n_bytes = 0;
        for label in labels {
            let Pair { varints, .. } = self.pairs[label as usize];
            place.get_mut(n_bytes..n_bytes + varints.len())?.copy_from_slice(&varints);
            let n_own = varints[SHORT_BYTES];
            if n_own == WIDE {
                return None;
            }
            n_bytes += usize::from(n_own);
        }
        Some(n_bytes)
    }

    #[cold]
    fn append_many_refs(&self, labels: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        for label in labels {
            let (name, value) = self.symbols_of(label);
            put_varint(out, name);
            put_varint(out, value);
        }
    }

    /// All symbols in order of number.
    pub(super) fn symbols(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.symbols.iter().map(|place| of_place(&self.bytes, *place))
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The number of a label.
    pub(super) fn pair(&mut self, name: &str, value: &str) -> u32 {
        let mut index = self.take_index();
        let known = (self.find(&index, name.as_bytes()), self.find(&index, value.as_bytes()));
        let found = match known {
            (Some(name), Some(value)) => self.find_pair(&index, (name, value)),
            _ => None,
        };
        let number = found.unwrap_or_else(|| self.push_pair(&mut index, (name, value), known));
        self.index = Some(index);
        number
    }

    /// The number of a text that need not be part of a label.
    pub(super) fn symbol(&mut self, text: &str) -> u32 {
        let mut index = self.take_index();
        let number = self.find(&index, text.as_bytes()).unwrap_or_else(|| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(text.as_bytes());
            self.push_symbol(&mut index, start, text.len())
        });
        self.index = Some(index);
        number
    }

    /// For tables of texts that do not lie here.
    pub(super) fn hash_of(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    /// Gives back what finds texts again.
    pub(super) fn rest(&mut self) {
        self.index = None;
    }

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.pairs.shrink_to_fit();
        self.wide.shrink_to_fit();
        self.symbols.shrink_to_fit();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.index.as_ref();
        self.bytes.capacity()
            + self.pairs.capacity() * size_of::<Pair>()
            + (self.wide.capacity() + self.symbols.capacity()) * size_of::<(u32, u32)>()
            + index.map_or(0, |index| index.pairs.allocation_size() + index.symbols.allocation_size())
    }

    #[inline]
    fn text(&self, symbol: u32) -> &str {
        let text = of_place(&self.bytes, self.symbols[symbol as usize]);
        std::str::from_utf8(text).expect("symbols are made of text")
    }

    #[inline]
    fn symbols_of(&self, pair: u32) -> (u32, u32) {
        symbols_of(&self.pairs, &self.wide, pair)
    }

    fn find(&self, index: &Index, text: &[u8]) -> Option<u32> {
        if text.is_empty() {
            return Some(0);
        }
        let is_it = |symbol: &u32| of_place(&self.bytes, self.symbols[*symbol as usize]) == text;
        index.symbols.find(self.hasher.hash_one(text), is_it).copied()
    }

    fn find_pair(&self, index: &Index, symbols: (u32, u32)) -> Option<u32> {
        let is_it = |pair: &u32| self.symbols_of(*pair) == symbols;
        index.pairs.find(self.hasher.hash_one(symbols), is_it).copied()
    }

    fn push_pair(
        &mut self,
        index: &mut Index,
        (name, value): (&str, &str),
        known: (Option<u32>, Option<u32>),
    ) -> u32 {
        let start = self.bytes.len();
        let framed = |len: usize| 1 + varint_len(offset(len)) + len;
        self.bytes.push(FIELD_1);
        put_varint(&mut self.bytes, offset(framed(name.len()) + framed(value.len())));
        let [name_at, value_at] = [(FIELD_1, name), (FIELD_2, value)].map(|(tag, text)| {
            self.bytes.push(tag);
            put_varint(&mut self.bytes, offset(text.len()));
            let at = self.bytes.len();
            self.bytes.extend_from_slice(text.as_bytes());
            at
        });
        let first = known.0.unwrap_or_else(|| self.push_symbol(index, name_at, name.len()));
        // A name and a value may be the same text.
        let second = known.1.or_else(|| self.find(index, value.as_bytes()));
        let second = second.unwrap_or_else(|| self.push_symbol(index, value_at, value.len()));
        let pair = Pair::of(offset(start), first, second).unwrap_or_else(|| {
            self.wide.push((first, second));
            Pair::at(offset(start), self.wide.len() - 1)
        });
        let number = u32::try_from(self.pairs.len()).expect("fewer than 2^32 labels in one target");
        self.pairs.push(pair);
        let (hasher, pairs, wide) = (&self.hasher, &self.pairs, &self.wide);
        let hash = |pair: &u32| hasher.hash_one(symbols_of(pairs, wide, *pair));
        index.pairs.insert_unique(hash(&number), number, hash);
        number
    }

    fn push_symbol(&mut self, index: &mut Index, start: usize, len: usize) -> u32 {
        let number = u32::try_from(self.symbols.len()).expect("fewer than 2^32 label texts in one target");
        self.symbols.push((offset(start), offset(len)));
        let (hasher, bytes, symbols) = (&self.hasher, &self.bytes, &self.symbols);
        let hash = |symbol: &u32| hasher.hash_one(of_place(bytes, symbols[*symbol as usize]));
        index.symbols.insert_unique(hash(&number), number, hash);
        number
    }

    fn take_index(&mut self) -> Index {
        self.index.take().unwrap_or_else(|| {
            let mut index = Index {
                pairs: HashTable::with_capacity(self.pairs.len()),
                symbols: HashTable::with_capacity(self.symbols.len()),
            };
            let of_pair = |pair: &u32| self.hasher.hash_one(self.symbols_of(*pair));
            for (pair, _) in (0u32..).zip(&self.pairs) {
                index.pairs.insert_unique(of_pair(&pair), pair, of_pair);
            }
            let of_symbol =
                |symbol: &u32| self.hasher.hash_one(of_place(&self.bytes, self.symbols[*symbol as usize]));
            for (symbol, _) in (0u32..).zip(&self.symbols).skip(1) {
                index.symbols.insert_unique(of_symbol(&symbol), symbol, of_symbol);
            }
            index
        })
    }
}

impl Pair {
    /// `None` where the varints are too long.
    fn of(start: u32, name: u32, value: u32) -> Option<Self> {
        let mut bytes = Vec::with_capacity(2 * SHORT_BYTES);
        put_varint(&mut bytes, name);
        put_varint(&mut bytes, value);
        let mut varints = [0; SHORT_BYTES + 1];
        varints[..SHORT_BYTES].get_mut(..bytes.len())?.copy_from_slice(&bytes);
        varints[SHORT_BYTES] = u8::try_from(bytes.len()).ok()?;
        Some(Self { start, varints })
    }

    fn at(start: u32, place: usize) -> Self {
        let mut varints = [0; SHORT_BYTES + 1];
        varints[..4].copy_from_slice(&offset(place).to_le_bytes());
        varints[SHORT_BYTES] = WIDE;
        Self { start, varints }
    }

    fn place(&self) -> usize {
        let [a, b, c, d, ..] = self.varints;
        u32::from_le_bytes([a, b, c, d]) as usize
    }
}

#[inline]
fn symbols_of(pairs: &[Pair], wide: &[(u32, u32)], pair: u32) -> (u32, u32) {
    let pair = &pairs[pair as usize];
    if pair.varints[SHORT_BYTES] == WIDE {
        return wide[pair.place()];
    }
    let mut varints = &pair.varints[..];
    (take_varint(&mut varints), take_varint(&mut varints))
}

#[inline]
fn of_place(bytes: &[u8], (start, len): (u32, u32)) -> &[u8] {
    &bytes[start as usize..start as usize + len as usize]
}

fn offset(n_bytes: usize) -> u32 {
    u32::try_from(n_bytes).expect("less than 4 GiB of label text in one target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back_and_are_written_as_varints() {
        let edges =
            [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0xfff_ffff, 0x1000_0000, u32::MAX];
        let all: Vec<(u32, u32)> = edges.iter().flat_map(|a| edges.map(|b| (*a, b))).collect();
        let mut texts = Texts::default();
        for (name, value) in &all {
            let pair = Pair::of(0, *name, *value).unwrap_or_else(|| {
                texts.wide.push((*name, *value));
                Pair::at(0, texts.wide.len() - 1)
            });
            texts.pairs.push(pair);
        }
        for (pair, (name, value)) in (0..).zip(&all) {
            assert_eq!(texts.symbols_of(pair), (*name, *value));
            let (mut written, mut expected) = (vec![9], vec![9]);
            texts.append_refs([pair].into_iter(), &mut written);
            put_varint(&mut expected, *name);
            put_varint(&mut expected, *value);
            assert_eq!(written, expected);
        }
        assert!(!texts.wide.is_empty() && texts.wide.len() < all.len() / 2);
        let (mut written, mut expected) = (Vec::new(), Vec::new());
        let many = || (0..all.len() as u32).cycle().take(300);
        texts.append_refs(many(), &mut written);
        texts.append_many_refs(many(), &mut expected);
        assert_eq!(written, expected);
    }

    #[test]
    fn a_label_lies_there_once_in_both_forms() {
        let mut texts = Texts::default();
        let long = "x".repeat(300);
        let pairs = [("a", "1"), ("b", &*long), ("a", "a"), ("a", "")].map(|(n, v)| texts.pair(n, v));
        assert_eq!(texts.encoded(pairs[0]), b"\x0a\x06\x0a\x01a\x12\x011");
        assert_eq!(&texts.encoded(pairs[1])[..9], b"\x0a\xb2\x02\x0a\x01b\x12\xac\x02");
        assert_eq!(texts.encoded(pairs[1]).len(), 3 + 3 + 3 + 300);
        assert_eq!(texts.label(pairs[1]), ("b", &*long));
        assert_eq!((texts.label(pairs[2]), texts.label(pairs[3])), (("a", "a"), ("a", "")));
        let symbols: Vec<&[u8]> = texts.symbols().collect();
        assert_eq!(symbols, [b"", &b"a"[..], b"1", b"b", long.as_bytes()]);
        let n_bytes = texts.bytes.len();
        texts.rest();
        assert_eq!((texts.pair("a", "1"), texts.symbol("b"), texts.bytes.len()), (pairs[0], 3, n_bytes));
    }
}
