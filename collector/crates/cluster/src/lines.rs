//! Lines of a stream, each no longer than a limit.

use bytes::{Buf, Bytes, BytesMut};

use crate::failure::{Failure, Reason};

/// Cuts a stream into lines. What stands after the last newline is kept for the next piece.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// What of the buffer is known to hold no newline.
    searched: usize,
    max_bytes: usize,
}

impl Lines {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, max_bytes }
    }

    /// Adds what has arrived.
    pub(crate) fn push(&mut self, piece: &Bytes) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line without its newline; empty lines are passed over.
    ///
    /// # Errors
    /// When a line is longer than the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return if self.searched > self.max_bytes { Err(self.too_long()) } else { Ok(None) };
            };
            let line = self.buffer.split_to(self.searched + at);
            self.buffer.advance(1);
            self.searched = 0;
            if line.len() > self.max_bytes {
                return Err(self.too_long());
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line.freeze()));
            }
        }
    }

    fn too_long(&self) -> Failure {
        let message = format!("an event is longer than {} bytes (MAX_OBJECT_BYTES)", self.max_bytes);
        Failure::new(Reason::TooLarge, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            text in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(1..7_usize, 0..40),
        ) {
            let mut lines = Lines::new(100);
            let mut found = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                rest = behind;
                lines.push(&Bytes::copy_from_slice(piece));
                while let Some(line) = lines.next().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            let whole = text.rfind('\n').map_or("", |at| &text[..at]);
            let expected: Vec<&str> = whole.split('\n').filter(|line| !line.is_empty()).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_before_it_ends() {
        let mut lines = Lines::new(8);
        lines.push(&Bytes::from_static(b"12345678\n123456789"));
        assert_eq!(lines.next().unwrap().unwrap(), &b"12345678"[..]);
        let failure = lines.next().unwrap_err();
        assert_eq!(failure.message, "an event is longer than 8 bytes (MAX_OBJECT_BYTES)");
    }
}
