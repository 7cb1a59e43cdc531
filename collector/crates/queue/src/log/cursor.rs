//! Which frames are done, in memory and on disk.
//!
//! The file `cursor` has two slots. Between two syncs only one of them is written, as often as there is something new,
//! and the other one stays as it was synced: an acknowledgement survives the death of the process at once, a loss of power
//! costs what came after the last sync, and a full disk does not matter because nothing new is needed. (Writing a new
//! file and renaming it would need space for every acknowledgement.) Only when a sync fails, so that the file cannot be
//! trusted any more, a new one is made and renamed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use crate::storage::{Storage, StoredFile};

const NAME: &str = "cursor";
const NEW_NAME: &str = "cursor.new";
const MAGIC: [u8; 4] = *b"MQc1";
/// Magic, checksum, length.
const FRONT_BYTES: usize = 12;

/// Numbers of frames that are done: all below `low`, and ranges above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    low: u64,
    /// First to last, with gaps between.
    above: BTreeMap<u64, u64>,
}

impl Done {
    /// All below this number.
    pub(crate) fn below(low: u64) -> Self {
        Self { low, above: BTreeMap::new() }
    }

    pub(crate) fn has(&self, seq: u64) -> bool {
        seq < self.low || self.above.range(..=seq).next_back().is_some_and(|(_, last)| *last >= seq)
    }

    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    pub(crate) fn insert(&mut self, seq: u64) {
        self.insert_range(seq, seq + 1);
    }

    /// Adds numbers from `first` up to before `end`.
    pub(crate) fn insert_range(&mut self, first: u64, end: u64) {
        if first >= end || end <= self.low {
            return;
        }
        let (mut first, mut last) = (first, end - 1);
        if let Some((begin, end)) = self.above.range(..=first).next_back()
            && *end + 1 >= first
        {
            (first, last) = (*begin, last.max(*end));
        }
        while let Some((begin, end)) = self.above.range(first..).next()
            && *begin <= last + 1
        {
            let (begin, end) = (*begin, *end);
            last = last.max(end);
            self.above.remove(&begin);
        }
        if first <= self.low {
            self.low = last + 1;
        } else {
            self.above.insert(first, last);
        }
    }

    /// The ranges above `low`, first to last.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.above.iter().map(|(first, last)| (*first, *last))
    }
}

/// What a slot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) generation: u64,
    /// Number of the run that wrote it.
    pub(crate) run: u32,
    /// Number of the next frame when it was written.
    pub(crate) next_seq: u64,
    /// Items of all frames before that one.
    pub(crate) items: u64,
    pub(crate) done: Done,
}

impl Cursor {
    /// A slot of at most `n_slot` bytes. Ranges that find no room are left out: what they name is sent again after a crash.
    fn encode(&self, n_slot: usize) -> Vec<u8> {
        let mut out = vec![0; FRONT_BYTES];
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&u64::from(self.run).to_le_bytes());
        out.extend_from_slice(&self.next_seq.to_le_bytes());
        out.extend_from_slice(&self.items.to_le_bytes());
        out.extend_from_slice(&self.done.low.to_le_bytes());
        let mut before = self.done.low;
        for (first, last) in self.done.ranges() {
            let mut pair = Vec::new();
            put_varint(&mut pair, first - before);
            put_varint(&mut pair, last - first);
            if out.len() + pair.len() > n_slot {
                break;
            }
            out.extend_from_slice(&pair);
            before = last;
        }
        let n_body = u32::try_from(out.len() - FRONT_BYTES).expect("a slot is smaller than 4 GiB");
        out[8..FRONT_BYTES].copy_from_slice(&n_body.to_le_bytes());
        let crc = crc32c::crc32c(&out[8..]);
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let (front, body) = slot.split_at_checked(FRONT_BYTES)?;
        let word = |at: usize| u32::from_le_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]]);
        let n_body = word(8) as usize;
        if front[..4] != MAGIC
            || n_body > body.len()
            || word(4) != crc32c::crc32c(&slot[8..FRONT_BYTES + n_body])
        {
            return None;
        }
        let (mut numbers, mut ranges) = body[..n_body].split_at_checked(40)?;
        let mut number = || {
            let (first, rest) = numbers.split_first_chunk::<8>()?;
            numbers = rest;
            Some(u64::from_le_bytes(*first))
        };
        let mut cursor = Self {
            generation: number()?,
            run: u32::try_from(number()?).ok()?,
            next_seq: number()?,
            items: number()?,
            done: Done::below(number()?),
        };
        let mut before = cursor.done.low;
        while !ranges.is_empty() {
            let first = before.checked_add(take_varint(&mut ranges)?)?;
            let last = first.checked_add(take_varint(&mut ranges)?)?;
            cursor.done.above.insert(first, last);
            before = last;
        }
        Some(cursor)
    }
}

/// Reads the newest whole slot. `Ok(None)` when there is no file; `Err` when there is one and no slot can be read.
pub(crate) fn read(storage: &dyn Storage, n_slot: usize) -> io::Result<Option<Cursor>> {
    let file = match storage.open(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut newest: Option<Cursor> = None;
    let mut is_blank = true;
    for slot in 0..2 {
        let mut bytes = vec![0; n_slot];
        let n_read = file.read_at((slot * n_slot) as u64, &mut bytes)?;
        is_blank &= bytes.iter().all(|byte| *byte == 0);
        let cursor = Cursor::decode(&bytes[..n_read]);
        newest = cursor.into_iter().chain(newest).max_by_key(|cursor| cursor.generation);
    }
    if newest.is_none() && !is_blank {
        return Err(io::Error::new(ErrorKind::InvalidData, "the file `cursor` is damaged"));
    }
    Ok(newest)
}

/// The file that is written.
pub(crate) struct CursorFile {
    n_slot: usize,
    file: Option<Box<dyn StoredFile>>,
    generation: u64,
    /// The slot that may be written.
    slot: usize,
    is_synced: bool,
}

impl CursorFile {
    /// Continues behind what was read, in a file of its own when there was none that could be read.
    pub(crate) fn new(storage: &dyn Storage, n_slot: usize, last: Option<&Cursor>) -> Self {
        let generation = last.map_or(0, |cursor| cursor.generation);
        // What was read stays as it is until the other slot is synced.
        let slot = generation.is_multiple_of(2).into();
        let file = last.and_then(|_| storage.open(NAME).ok());
        Self { n_slot, file, generation, slot, is_synced: true }
    }

    /// Whether something was written that is not synced yet.
    pub(crate) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// Writes a slot, so that it survives the death of the process.
    pub(crate) fn write(&mut self, storage: &dyn Storage, cursor: &mut Cursor) -> io::Result<()> {
        // Generation g lies in slot g modulo 2, so a slot that is written twice in a row skips one.
        let next: usize = self.generation.is_multiple_of(2).into();
        self.generation += if next == self.slot { 1 } else { 2 };
        cursor.generation = self.generation;
        let bytes = cursor.encode(self.n_slot);
        let Some(file) = &self.file else { return self.replace(storage, &bytes) };
        self.is_synced = false;
        file.write_at((self.slot * self.n_slot) as u64, &bytes)
    }

    /// Makes what was written survive a loss of power. When that fails the file is not trusted again.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.is_synced {
            return Ok(());
        }
        match file.sync() {
            Ok(()) => {
                self.slot = 1 - self.slot;
                self.is_synced = true;
                Ok(())
            }
            Err(error) => {
                self.file = None;
                Err(error)
            }
        }
    }

    fn replace(&mut self, storage: &dyn Storage, bytes: &[u8]) -> io::Result<()> {
        match storage.remove(NEW_NAME) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.create(NEW_NAME, 2 * self.n_slot as u64)?;
        file.write_at((self.slot * self.n_slot) as u64, bytes)?;
        file.sync()?;
        storage.rename(NEW_NAME, NAME)?;
        self.file = Some(file);
        self.slot = 1 - self.slot;
        self.is_synced = true;
        Ok(())
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn done_numbers_are_a_set_and_survive_their_slot(numbers in proptest::collection::vec(0..60_u64, 0..60)) {
            let mut done = Done::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                done.insert(number);
                model.insert(number);
                prop_assert!((0..70).all(|seq| done.has(seq) == model.contains(&seq)));
            }
            let mut ranged = done.clone();
            ranged.insert_range(10, 20);
            prop_assert!((0..70).all(|seq| ranged.has(seq) == (done.has(seq) || (10..20).contains(&seq))));
            prop_assert_eq!(done.low(), (0..).find(|seq| !model.contains(seq)).unwrap());
            let cursor = Cursor { generation: 3, run: 2, next_seq: 70, items: 9, done };
            prop_assert_eq!(Cursor::decode(&cursor.encode(4096)), Some(cursor.clone()));
            let short = Cursor::decode(&cursor.encode(60)).unwrap();
            prop_assert!((0..70).all(|seq| cursor.done.has(seq) || !short.done.has(seq)), "no room invents nothing");
        }

        #[test]
        fn garbage_is_no_cursor(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Cursor::decode(&bytes), None);
        }
    }
}
