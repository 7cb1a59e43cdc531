//! Buffers of requests and answers that are under way, shared by all connections.
//!
//! A connection that waits holds none, so that memory follows what arrives at the same time and not the number of targets.

use std::sync::{Mutex, PoisonError};

use crate::error::MAX_HEAD_BYTES;

/// Buffers that are kept when nobody needs them.
const MAX_FREE: usize = 64;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer with room for MAX_HEAD_BYTES.
pub(super) fn take() -> Vec<u8> {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    free.unwrap_or_else(|| Vec::with_capacity(MAX_HEAD_BYTES))
}

/// Gives one back. One of another size is not kept.
pub(super) fn give(mut buffer: Vec<u8>) {
    if buffer.capacity() != MAX_HEAD_BYTES {
        return;
    }
    buffer.clear();
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if free.len() < MAX_FREE {
        free.push(buffer);
    }
}

/// Bytes that came and were not taken yet.
#[derive(Default)]
pub(super) struct Received {
    /// Without capacity while there is nothing.
    bytes: Vec<u8>,
    n_taken: usize,
}

impl Received {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.n_taken..]
    }

    pub(super) fn take(&mut self, n: usize) {
        self.n_taken += n;
        debug_assert!(self.n_taken <= self.bytes.len());
        if self.n_taken == self.bytes.len() {
            self.bytes.clear();
            self.n_taken = 0;
        }
    }

    /// Where more bytes go, after those that are there. Never more than MAX_HEAD_BYTES together.
    pub(super) fn room(&mut self) -> bytes::buf::Limit<&mut Vec<u8>> {
        if self.bytes.capacity() == 0 {
            self.bytes = take();
        } else if self.n_taken > 0 {
            self.bytes.drain(..self.n_taken);
            self.n_taken = 0;
        }
        let room = MAX_HEAD_BYTES - self.bytes.len();
        bytes::BufMut::limit(&mut self.bytes, room)
    }

    /// Gives the buffer back if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn received_bytes_keep_their_order_and_their_bound() {
        let mut received = Received::default();
        received.room().put_slice(b"12345");
        received.take(2);
        received.room().put_slice(b"67");
        assert_eq!(received.unread(), b"34567");
        received.take(3);
        assert_eq!(received.room().remaining_mut(), MAX_HEAD_BYTES - 2);
        received.release();
        assert_eq!(received.unread(), b"67", "what is unread is not given away");
        received.take(2);
        received.release();
        assert_eq!((received.unread(), received.bytes.capacity()), (&b""[..], 0));
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        give(Vec::with_capacity(MAX_HEAD_BYTES + 1));
        assert!((0..=MAX_FREE).all(|_| take().capacity() == MAX_HEAD_BYTES));
    }
}
