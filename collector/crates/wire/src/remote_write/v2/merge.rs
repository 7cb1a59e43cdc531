//! Several chunks as one request, with one symbol table.

use super::renumber::{QuickRenumber, Renumber};
use super::{SERIES, SYMBOLS, Symbols};
use crate::proto::{Malformed, Message, put_message};
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
        self.numbers.clear();
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
        self.number_symbols(chunk)?;
        if is_first {
            self.series.extend_from_slice(chunk.series());
            return Ok(());
        }
        let mut quick = QuickRenumber::new(&self.numbers);
        let mut rest = chunk.series();
        while !rest.is_empty() {
            if let Some(n_bytes) = quick.series(rest, &mut self.series) {
                rest = &rest[n_bytes..];
                continue;
            }
            let mut fields = Message::new(rest).fields();
            let Some(field) = fields.next() else { break };
            let message = field?.message()?;
            let renumber = Renumber { numbers: &self.numbers, source: rest };
            put_message(&mut self.series, SERIES, |out| renumber.series(out, message))?;
            rest = &rest[fields.offset()..];
        }
        Ok(())
    }

    /// Finds the numbers that the symbols of a chunk have in the request. Chunks of one job are alike: what stands in the
    /// place of a symbol of the chunk before is mostly the same text.
    fn number_symbols(&mut self, chunk: Chunk<'_>) -> Result<(), Malformed> {
        let mut n_symbols = 0;
        for field in Message::new(chunk.symbols()).fields() {
            let text = field?.bytes()?;
            match self.numbers.get_mut(n_symbols) {
                Some(number) => *number = self.symbols.intern_near(text, *number),
                None => self.numbers.push(self.symbols.intern(text)),
            }
            n_symbols += 1;
        }
        self.numbers.truncate(n_symbols);
        Ok(())
    }
}
