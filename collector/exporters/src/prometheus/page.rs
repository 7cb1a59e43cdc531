//! One answer: the store, piece by piece, as the reader takes it.

use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use exposition::print::{Negotiated, Printer};
use net::Body;
use tokio::time::Instant;
use wire::compress::GzipStream;

use super::store::{Place, Printing, Store, Tick};

/// Bytes of a piece before compression. The store is locked for as long as it takes to write them.
const PIECE_BYTES: usize = 128 << 10;

/// Bytes that a series takes with its part of the family's lines, mostly.
const USUAL_BYTES: usize = 192;

/// Room that is made at once.
const MAX_RESERVED: usize = 64 << 10;

/// A page that is being written.
pub(super) struct Page {
    store: Arc<Mutex<Store>>,
    origin: Instant,
    how: Printing,
    format: Negotiated,
    printer: Printer,
    place: Place,
    gzip: Option<GzipStream>,
}

impl Page {
    pub(super) fn new(
        store: Arc<Mutex<Store>>,
        origin: Instant,
        format: Negotiated,
        with_times: bool,
        is_compressed: bool,
    ) -> Self {
        Self {
            store,
            origin,
            how: Printing { piece_bytes: PIECE_BYTES, with_times },
            format,
            printer: Printer::new(format.protocol, format.escaping),
            place: Place::Start,
            gzip: is_compressed.then(GzipStream::new),
        }
    }

    /// The page as a body. One that is a single piece is sent with its length, any other piece by piece as the reader takes it.
    pub(super) fn into_body(mut self) -> Body {
        let first = self.next().unwrap_or_default();
        if self.is_written() { Body::from(first) } else { Body::pieces(iter::once(first).chain(self)) }
    }

    fn is_written(&self) -> bool {
        matches!(self.place, Place::End) && self.gzip.is_none()
    }

    /// The next piece before compression; none where everything is written.
    fn plain(&mut self) -> Option<Bytes> {
        if matches!(self.place, Place::End) {
            return None;
        }
        let place = std::mem::take(&mut self.place);
        let now = Tick::since(self.origin);
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = matches!(place, Place::Start);
        if is_first && let Some(page) = store.page_again(self.format, now) {
            self.place = Place::End;
            return Some(page);
        }
        self.printer.reserve(store.len().saturating_mul(USUAL_BYTES).min(MAX_RESERVED));
        self.place = store.print(&mut self.printer, place, self.how, now);
        let page = Bytes::from(self.printer.take());
        if is_first && matches!(self.place, Place::End) && !self.how.with_times {
            store.learn_page(self.format, &page, now);
        }
        Some(page)
    }
}

impl Iterator for Page {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let plain = self.plain();
            let piece = match (&mut self.gzip, plain) {
                (None, plain) => plain?,
                (Some(gzip), Some(plain)) => {
                    let mut piece = gzip.push(&plain);
                    if matches!(self.place, Place::End) {
                        piece.extend(self.gzip.take().map(GzipStream::finish).unwrap_or_default());
                    }
                    piece.into()
                }
                (Some(_), None) => return None,
            };
            // A compressor may want more before it gives something.
            if !piece.is_empty() {
                return Some(piece);
            }
        }
    }
}
