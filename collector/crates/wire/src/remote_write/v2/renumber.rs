//! Series copied with other references.

use super::{series, tag};
use crate::proto::{Field, Malformed, Message, put_message, put_uint, put_varint};

/// Copies messages of a chunk with the numbers that its symbols have in the request.
#[derive(Clone, Copy)]
pub(super) struct Renumber<'a> {
    /// New numbers by old ones.
    pub(super) numbers: &'a [u32],
    /// The outermost buffer of what is copied.
    pub(super) source: &'a [u8],
}

impl Renumber<'_> {
    pub(super) fn series(self, out: &mut Vec<u8>, message: Message<'_>) -> Result<(), Malformed> {
        self.copy(out, message, |out, field| match field.number {
            series::LABELS => Some(self.packed(out, field)),
            series::EXEMPLARS => Some(nested(out, field, |out, message| self.exemplar(out, message))),
            series::METADATA => Some(nested(out, field, |out, message| self.metadata(out, message))),
            _ => None,
        })
    }

    fn exemplar(self, out: &mut Vec<u8>, message: Message<'_>) -> Result<(), Malformed> {
        self.copy(out, message, |out, field| (field.number == 1).then(|| self.packed(out, field)))
    }

    fn metadata(self, out: &mut Vec<u8>, message: Message<'_>) -> Result<(), Malformed> {
        self.copy(out, message, |out, field| {
            let renumbered = |old| self.number(old).map(|new| put_uint(out, field.number, new));
            matches!(field.number, 3 | 4).then(|| field.varint().and_then(renumbered))
        })
    }

    /// Copies the fields that `change` does not write itself.
    fn copy(
        self,
        out: &mut Vec<u8>,
        message: Message<'_>,
        mut change: impl FnMut(&mut Vec<u8>, &Field<'_>) -> Option<Result<(), Malformed>>,
    ) -> Result<(), Malformed> {
        let mut fields = message.fields();
        while let Some(field) = fields.next() {
            let field = field?;
            match change(out, &field) {
                Some(changed) => changed?,
                None => out.extend_from_slice(&self.source[field.offset..fields.offset()]),
            }
        }
        Ok(())
    }

    /// References, which are packed.
    fn packed(self, out: &mut Vec<u8>, field: &Field<'_>) -> Result<(), Malformed> {
        nested(out, field, |out, message| {
            let mut numbers = message.fields();
            while let Some(old) = numbers.next_varint() {
                put_varint(out, self.number(old?)?);
            }
            Ok(())
        })
    }

    fn number(self, old: u64) -> Result<u64, Malformed> {
        let number = usize::try_from(old).ok().and_then(|old| self.numbers.get(old));
        number
            .map(|number| u64::from(*number))
            .ok_or(Malformed { what: "a reference is not that of a symbol", offset: 0 })
    }
}

/// Copies a nested message by way of `copy`.
fn nested(
    out: &mut Vec<u8>,
    field: &Field<'_>,
    copy: impl FnOnce(&mut Vec<u8>, Message<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let message = field.message()?;
    put_message(out, field.number, |out| copy(out, message))
}

/// A [`Renumber`] for series of one sample, all of whose lengths have one byte: nearly all there are. It writes the same
/// bytes.
#[derive(Debug)]
pub(super) struct QuickRenumber<'a> {
    numbers: &'a [u32],
    /// The field `metadata` that was read last, and what became of it: the next series is mostly of the same family.
    last_metadata: &'a [u8],
    metadata: Vec<u8>,
}

/// What is shorter has a length of one byte.
const LONG: usize = 0x80;

impl<'a> QuickRenumber<'a> {
    pub(super) fn new(numbers: &'a [u32]) -> Self {
        Self { numbers, last_metadata: &[], metadata: Vec::new() }
    }

    /// Appends the series that `from` begins with, and says how long it was there. Nothing is appended where it is of another
    /// shape, or malformed.
    #[inline]
    pub(super) fn series(&mut self, from: &'a [u8], out: &mut Vec<u8>) -> Option<usize> {
        let (message, _) = framed(from, tag::SERIES)?;
        let (labels, rest) = framed(message, tag::LABELS)?;
        let (sample, metadata) = framed(rest, tag::SAMPLES)?;
        if metadata != self.last_metadata {
            self.set_metadata(metadata)?;
        }
        let at = out.len();
        out.extend_from_slice(&[tag::SERIES, 0, tag::LABELS, 0]);
        let written = self.labels(labels, out);
        let n_labels = out.len() - at - 4;
        out.extend_from_slice(&rest[..sample.len() + 2]);
        out.extend_from_slice(&self.metadata);
        let n_bytes = out.len() - at - 2;
        if written.is_none() || n_bytes >= LONG {
            out.truncate(at);
            return None;
        }
        out[at + 1] = n_bytes as u8;
        out[at + 3] = n_labels as u8;
        Some(message.len() + 2)
    }

    #[inline]
    fn labels(&self, mut packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
        while let [first, rest @ ..] = packed {
            let (number, rest) = match rest {
                _ if usize::from(*first) < LONG => (usize::from(*first), rest),
                [second, rest @ ..] if usize::from(*second) < LONG => {
                    (usize::from(*first & 0x7f) | usize::from(*second) << 7, rest)
                }
                _ => return None,
            };
            put_varint(out, u64::from(*self.numbers.get(number)?));
            packed = rest;
        }
        Some(())
    }

    fn set_metadata(&mut self, field: &'a [u8]) -> Option<()> {
        self.metadata.clear();
        self.last_metadata = &[];
        if !field.is_empty() {
            let (_, rest) = framed(field, tag::METADATA)?;
            if !rest.is_empty() {
                return None;
            }
            let renumber = Renumber { numbers: self.numbers, source: field };
            renumber.series(&mut self.metadata, Message::new(field)).ok()?;
        }
        self.last_metadata = field;
        Some(())
    }
}

/// What a field of this tag holds if `from` begins with one and its length has one byte, and what follows it.
#[inline]
fn framed(from: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [first, n_bytes, rest @ ..] = from else { return None };
    if *first != tag || usize::from(*n_bytes) >= LONG {
        return None;
    }
    rest.split_at_checked(usize::from(*n_bytes))
}

#[cfg(test)]
mod tests {
    use model::Kind;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::{SERIES, Stamp, append_metadata, append_series};
    use super::*;

    proptest! {
        #[test]
        fn short_series_are_renumbered_quickly_to_the_same_bytes(
            all in vec((vec(0u32..300, 0..70), any::<u64>(), 0u32..3, any::<bool>()), 1..6),
            numbers in vec(0u32..40_000, 300),
        ) {
            let mut from = Vec::new();
            for (references, bits, help, has_start) in &all {
                let mut labels = Vec::new();
                references.iter().for_each(|number| put_varint(&mut labels, u64::from(*number)));
                let mut metadata = Vec::new();
                append_metadata(&mut metadata, Kind::Counter, *help, 0);
                let stamp = Stamp { at: 1_700_000_000_000, start: i64::from(*has_start) };
                append_series(&mut from, &labels, *bits, stamp, &metadata);
            }
            let mut quick = QuickRenumber::new(&numbers);
            let mut rest = &from[..];
            while !rest.is_empty() {
                let mut fields = Message::new(rest).fields();
                let message = fields.next().unwrap().unwrap().message().unwrap();
                let renumber = Renumber { numbers: &numbers, source: rest };
                let mut want = Vec::new();
                put_message(&mut want, SERIES, |out| renumber.series(out, message)).unwrap();
                let mut out = b"before".to_vec();
                let n_bytes = quick.series(rest, &mut out);
                let is_short = fields.offset() < LONG + 2 && want.len() < LONG + 2;
                prop_assert_eq!(n_bytes, is_short.then_some(fields.offset()));
                prop_assert_eq!(&out[6..], if is_short { &want[..] } else { &[] });
                rest = &rest[fields.offset()..];
            }
        }
    }
}
