//! One answer: the store, piece by piece, as the reader takes it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use exposition::print::{Negotiated, Printer};
use tokio::time::Instant;
use wire::compress::GzipStream;

use super::store::{Place, Printing, Store, Tick};

/// Bytes of a piece before compression. The store is locked for as long as it takes to write them.
const PIECE_BYTES: usize = 128 << 10;

/// A page that is being written.
pub(super) struct Page {
    store: Arc<Mutex<Store>>,
    origin: Instant,
    how: Printing,
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
            printer: Printer::new(format.protocol, format.escaping),
            place: Place::Start,
            gzip: is_compressed.then(GzipStream::new),
        }
    }

    /// The next piece before compression; none where everything is written.
    fn plain(&mut self) -> Option<Vec<u8>> {
        if matches!(self.place, Place::End) {
            return None;
        }
        let place = std::mem::take(&mut self.place);
        let now = Tick::since(self.origin);
        self.place = self.store.lock().unwrap_or_else(PoisonError::into_inner).print(
            &mut self.printer,
            place,
            self.how,
            now,
        );
        Some(self.printer.take())
    }
}

impl Iterator for Page {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let plain = self.plain();
            let piece = match (&mut self.gzip, plain) {
                (None, plain) => plain?,
                (Some(gzip), Some(plain)) => gzip.push(&plain),
                (Some(_), None) => return self.gzip.take().map(|gzip| gzip.finish().into()),
            };
            // A compressor may want more before it gives something.
            if !piece.is_empty() {
                return Some(piece.into());
            }
        }
    }
}
