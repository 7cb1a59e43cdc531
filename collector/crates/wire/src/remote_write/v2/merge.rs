//! Several chunks as one request, with one symbol table.

use super::{SERIES, SYMBOLS, Symbols, series};
use crate::proto::{Field, Malformed, Message, put_message, put_uint, put_varint};
use crate::remote_write::body::{Chunk, MAX_KEPT_BYTES};

/// Joins chunks; kept from one request to the next for its memory.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    symbols: Symbols,
    series: Vec<u8>,
    /// Numbers in the request by numbers in the chunk.
    numbers: Vec<u32>,
}

impl Merger {
    /// Appends the request that these chunks are together.
    ///
    /// # Panics
    /// When a chunk is not what this crate writes.
    pub(crate) fn merge<'a>(&mut self, chunks: impl Iterator<Item = Chunk<'a>>, out: &mut Vec<u8>) {
        self.symbols.clear();
        self.series.clear();
        self.series.shrink_to(MAX_KEPT_BYTES);
        for chunk in chunks {
            self.add(chunk).expect("a chunk is what this crate has written");
        }
        out.reserve(self.symbols.encoded().len() + self.series.len());
        out.extend_from_slice(self.symbols.encoded());
        out.extend_from_slice(&self.series);
    }

    fn add(&mut self, chunk: Chunk<'_>) -> Result<(), Malformed> {
        debug_assert!(
            chunk.symbols().starts_with(&[(SYMBOLS << 3 | 2) as u8, 0]),
            "the first symbol is empty"
        );
        let is_first = self.series.is_empty();
        self.numbers.clear();
        for field in Message::new(chunk.symbols()).fields() {
            let text = field?.bytes()?;
            self.numbers.push(self.symbols.intern(text));
        }
        if is_first {
            self.series.extend_from_slice(chunk.series());
            return Ok(());
        }
        let renumber = Renumber { numbers: &self.numbers, source: chunk.series() };
        for field in Message::new(chunk.series()).fields() {
            let message = field?.message()?;
            put_message(&mut self.series, SERIES, |out| renumber.series(out, message))?;
        }
        Ok(())
    }
}

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
