//! How large a gzip body is, without room for it.
//!
//! What a body says of its own size is worth nothing when somebody means harm. Inflating it piece by piece and forgetting
//! each piece takes the time that it takes, but only [`PIECE_BYTES`] of memory.

use std::io::{ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::{DecompressError, Encoding, Limit};

/// Memory that the pieces take.
const PIECE_BYTES: usize = 32 << 10;

/// Inflates a gzip body, shows its pieces and keeps none. Gives the size of the whole.
///
/// The ratio of [`Limit`] counts for every beginning of the body of more than [`Limit::RATIO_FREE_BYTES`], not only for the
/// whole, so that a bomb is known for one long before it has gone off.
///
/// # Errors
/// When a limit is exceeded, or when the body is corrupt.
pub fn measure_gzip(
    input: &[u8],
    limit: Limit,
    mut look: impl FnMut(&[u8]),
) -> Result<usize, DecompressError> {
    let encoding = Encoding::Gzip;
    let mut decoder = MultiGzDecoder::new(input);
    let mut piece = vec![0; PIECE_BYTES];
    let mut size = 0usize;
    loop {
        let n = match decoder.read(&mut piece) {
            Ok(0) => return Ok(size),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(DecompressError::Corrupt { encoding, what: "it is cut short" });
            }
            Err(_) => {
                return Err(DecompressError::Corrupt { encoding, what: "its deflate stream is broken" });
            }
        };
        size += n;
        let n_consumed = input.len() - decoder.get_ref().len();
        if size > limit.most(n_consumed) {
            return Err(limit.exceeded(encoding, n_consumed));
        }
        look(&piece[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::compress;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(Encoding::Gzip, text, &mut out);
        out
    }

    #[test]
    fn all_members_are_measured_and_shown() {
        let body = [gzip(b"one\n"), gzip(&b"two\n".repeat(50_000))].concat();
        let mut shown = Vec::new();
        let size =
            measure_gzip(&body, Limit::bytes(1 << 20), |piece| shown.extend_from_slice(piece)).unwrap();
        assert_eq!((size, shown.len()), (200_004, 200_004));
        assert!(shown.starts_with(b"one\ntwo\n"));
    }

    #[test]
    fn a_bomb_is_known_by_its_beginning() {
        let body = gzip(&vec![0; 64 << 20]);
        let mut n_shown = 0;
        let limit = Limit { max_bytes: usize::MAX, max_ratio: 200 };
        let error = measure_gzip(&body, limit, |piece| n_shown += piece.len()).unwrap_err();
        assert_eq!(error, DecompressError::MaxRatio { encoding: Encoding::Gzip, max_ratio: 200 });
        assert!(n_shown < 10 << 20, "{n_shown} bytes were inflated");
    }

    #[test]
    fn the_limit_in_bytes_is_exact() {
        let body = gzip(&(0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        assert_eq!(measure_gzip(&body, Limit::bytes(400_000), |_| ()), Ok(400_000));
        let error = DecompressError::MaxBytes { encoding: Encoding::Gzip, max_bytes: 399_999 };
        assert_eq!(measure_gzip(&body, Limit::bytes(399_999), |_| ()), Err(error));
    }

    #[test]
    fn what_is_cut_or_no_gzip_has_no_size() {
        let body = gzip(b"a 1\n");
        for bytes in [&body[..5], &body[..body.len() - 1], b"a 1\n", &[&body[..], b"rest"].concat()] {
            let measured = measure_gzip(bytes, Limit::bytes(1000), |_| ());
            assert!(matches!(measured, Err(DecompressError::Corrupt { .. })), "{bytes:?}: {measured:?}");
        }
    }
}
