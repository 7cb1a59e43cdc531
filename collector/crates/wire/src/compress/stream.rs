//! gzip piece by piece, for answers that are larger than what one wants to hold at once.
//!
//! By flate2, because libdeflate knows whole bodies only. All pieces together are one gzip member: several in a row would be
//! legal too, but many readers stop after the first.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

const INFALLIBLE: &str = "writing to a Vec cannot fail";

/// Compresses what is pushed into it.
#[derive(Debug)]
pub struct GzipStream(GzEncoder<Vec<u8>>);

impl GzipStream {
    /// At the lowest level, which is what bodies on their way through need.
    #[must_use]
    pub fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    /// Adds a piece. Gives what is ready to be sent, which may be nothing.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.0.write_all(piece).expect(INFALLIBLE);
        std::mem::take(self.0.get_mut())
    }

    /// Ends the member. Gives the rest of it.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().expect(INFALLIBLE)
    }
}

impl Default for GzipStream {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Encoding, Limit, decompress};

    proptest::proptest! {
        #[test]
        fn pieces_are_read_back_as_one_body(
            pieces in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..2000), 0..20),
        ) {
            let mut stream = GzipStream::new();
            let mut body: Vec<u8> = pieces.iter().flat_map(|piece| stream.push(piece)).collect();
            body.extend(stream.finish());
            let mut read = Vec::new();
            decompress(Encoding::Gzip, &body, Limit::bytes(1 << 20), &mut read).unwrap();
            proptest::prop_assert_eq!(read, pieces.concat());
        }
    }
}
