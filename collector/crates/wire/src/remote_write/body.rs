//! Open bodies: requests in the making, which may be joined by concatenation.
//!
//! A body is a sequence of chunks. A chunk is what was written in one go, in one protocol, and stands alone: the
//! references of a 2.0 chunk count within its own symbols. A scrape is one chunk, and a body of one chunk is a request
//! as it lies there.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | mark: bit 0 is set for 2.0, bit 1 where there are exemplars |
//! | 4 | length of the symbols, little endian; 0 for 1.0 |
//! | 4 | length of the series, little endian |
//! | | encoded `symbols` fields, the empty one first |
//! | | encoded `timeseries` fields; for 1.0 also `metadata` |

use super::{Protocol, v2};

const HEADER_BYTES: usize = 9;
const IS_V2: u8 = 1;
const HAS_EXEMPLARS: u8 = 2;

/// A chunk at the end of a body, to which series are being appended.
#[derive(Debug)]
#[must_use = "a chunk has to be ended"]
pub struct OpenChunk {
    at: usize,
    n_symbol_bytes: usize,
    mark: u8,
}

impl OpenChunk {
    /// Begins a chunk of 1.0: append series and metadata by the functions of [`v1`](super::v1).
    pub fn v1(body: &mut Vec<u8>) -> Self {
        Self::new(body, 0, &[])
    }

    /// Begins a chunk of 2.0 with these encoded `symbols` fields, the empty symbol first: append series by
    /// [`v2::append_series`].
    pub fn v2(body: &mut Vec<u8>, symbols: &[u8]) -> Self {
        Self::new(body, IS_V2, symbols)
    }

    fn new(body: &mut Vec<u8>, mark: u8, symbols: &[u8]) -> Self {
        let at = body.len();
        body.extend_from_slice(&[0; HEADER_BYTES]);
        body.extend_from_slice(symbols);
        Self { at, n_symbol_bytes: symbols.len(), mark }
    }

    /// Notes that a series has exemplars.
    pub fn note_exemplars(&mut self) {
        self.mark |= HAS_EXEMPLARS;
    }

    /// Ends the chunk; one without series is taken away.
    ///
    /// # Panics
    /// When the chunk has 4 GiB or more, which limits on requests are far below of.
    pub fn end(self, body: &mut Vec<u8>) {
        let n_bytes = body.len() - self.at - HEADER_BYTES;
        if n_bytes == self.n_symbol_bytes {
            body.truncate(self.at);
            return;
        }
        let length = |n: usize| u32::try_from(n).expect("a chunk has less than 4 GiB").to_le_bytes();
        let header = &mut body[self.at..self.at + HEADER_BYTES];
        header[0] = self.mark;
        header[1..5].copy_from_slice(&length(self.n_symbol_bytes));
        header[5..].copy_from_slice(&length(n_bytes - self.n_symbol_bytes));
    }
}

/// A chunk that was ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    mark: u8,
    n_symbol_bytes: usize,
    /// Symbols, then series: for itself a request.
    pub(super) request: &'a [u8],
}

impl<'a> Chunk<'a> {
    pub(super) fn protocol(self) -> Protocol {
        if self.mark & IS_V2 == 0 { Protocol::V1 } else { Protocol::V2 }
    }

    pub(super) fn symbols(self) -> &'a [u8] {
        &self.request[..self.n_symbol_bytes]
    }

    pub(super) fn series(self) -> &'a [u8] {
        &self.request[self.n_symbol_bytes..]
    }
}

/// The chunks of a body, in order.
fn chunks(mut body: &[u8]) -> impl Iterator<Item = Chunk<'_>> + Clone {
    std::iter::from_fn(move || {
        let (header, rest) = body.split_first_chunk::<HEADER_BYTES>()?;
        let length = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let n_symbol_bytes = length(1);
        let (request, rest) = rest.split_at(n_symbol_bytes + length(5));
        body = rest;
        Some(Chunk { mark: header[0], n_symbol_bytes, request })
    })
}

/// A body as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assembled<'a> {
    /// Which message it is.
    pub protocol: Protocol,
    /// Whether a series has exemplars.
    pub has_exemplars: bool,
    /// The encoded message, not compressed.
    pub request: &'a [u8],
}

/// Makes requests of bodies; kept from one to the next for its memory.
#[derive(Debug, Default)]
pub struct Assembler {
    merger: v2::Merger,
    request: Vec<u8>,
}

/// Memory above which a buffer is not kept for the next request.
pub(super) const MAX_KEPT_BYTES: usize = 8 << 20;

impl Assembler {
    /// The request that a body is. One chunk is the request; several of 2.0 get one symbol table. Where both protocols
    /// occur, because it was settled in between which one the receiver speaks, the request is 1.0 (`to_v1`).
    ///
    /// # Panics
    /// When the body was not written by way of [`OpenChunk`].
    pub fn assemble<'a>(&'a mut self, body: &'a [u8], to_v1: v2::ToV1) -> Assembled<'a> {
        let mut all = chunks(body);
        let has_exemplars = all.clone().any(|chunk| chunk.mark & HAS_EXEMPLARS != 0);
        let n_v2 = all.clone().filter(|chunk| chunk.protocol() == Protocol::V2).count();
        let n_all = all.clone().count();
        let protocol = if n_v2 > 0 && n_v2 == n_all { Protocol::V2 } else { Protocol::V1 };
        if n_all == 1 {
            let request = all.next().map_or(&[][..], |chunk| chunk.request);
            return Assembled { protocol, has_exemplars, request };
        }
        self.request.clear();
        self.request.shrink_to(MAX_KEPT_BYTES);
        if protocol == Protocol::V2 {
            self.merger.merge(all, &mut self.request);
            return Assembled { protocol, has_exemplars, request: &self.request };
        }
        for chunk in all {
            match chunk.protocol() {
                Protocol::V1 => self.request.extend_from_slice(chunk.request),
                Protocol::V2 => v2::to_v1(chunk.request, to_v1, &mut self.request)
                    .expect("a chunk is what this crate has written"),
            }
        }
        Assembled { protocol, has_exemplars, request: &self.request }
    }
}
