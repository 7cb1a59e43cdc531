//! gzip and zlib over libdeflate.
//!
//! libdeflate inflates one stream and does not say where it ended. The end is found from what must follow it: the
//! checksum and length of exactly what came out, then the end of the body or the next member.

use libdeflater::Decompressor;
use memchr::memmem;

use super::{DecompressError, DecompressionError, Encoding, Limit, Room};

fn corrupt(encoding: Encoding, what: &'static str) -> DecompressError {
    DecompressError::Corrupt { encoding, what }
}

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 8];
const GZIP_TRAILER: usize = 8;

pub(super) fn gunzip(
    inflate: &mut Decompressor,
    input: &[u8],
    limit: Limit,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let encoding = Encoding::Gzip;
    // The last four bytes are the length modulo 2^32, in a body of one member that of everything; in a damaged body they
    // are anything, so what they say is no reason to refuse it.
    let four_times = input.len().saturating_mul(4);
    let guess = input.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let guess = if guess > limit.most(input.len()) { four_times } else { guess };
    let room = Room::new(encoding, input.len(), limit, guess);
    let mut members = Members { inflate, input, room };
    let (mut start, mut n_out) = (0, 0);
    while start < input.len() {
        (start, n_out) = members.read(start, out, n_out)?;
    }
    if start == 0 {
        return Err(corrupt(encoding, "it is empty"));
    }
    out.truncate(n_out);
    Ok(())
}

struct Members<'a> {
    inflate: &'a mut Decompressor,
    input: &'a [u8],
    room: Room,
}

impl Members<'_> {
    /// Inflates the member at `start` behind the first `n_before` bytes of `out`. Gives where the next one begins and
    /// how many bytes `out` holds then.
    fn read(
        &mut self,
        start: usize,
        out: &mut Vec<u8>,
        n_before: usize,
    ) -> Result<(usize, usize), DecompressError> {
        let encoding = Encoding::Gzip;
        let member = &self.input[start..];
        let header = gzip_header_len(member).ok_or(corrupt(encoding, "a member has no gzip header"))?;
        let body = member
            .len()
            .checked_sub(GZIP_TRAILER)
            .and_then(|end| member.get(header..end))
            .ok_or(corrupt(encoding, "it is cut short"))?;
        let n = inflate_growing(self.inflate, body, &mut self.room, out, n_before)?;
        let written = &out[n_before..n_before + n];
        let mut trailer = [0; GZIP_TRAILER];
        trailer[..4].copy_from_slice(&libdeflater::crc32(written).to_le_bytes());
        trailer[4..].copy_from_slice(&(n as u32).to_le_bytes());
        // Another member may follow wherever the magic number stands behind the right trailer. That a compressed stream
        // holds both by chance has a probability of 2^-88; that this is really the end is checked all the same.
        for magic in memmem::find_iter(&member[header..], GZIP_MAGIC) {
            let end = header + magic;
            if member[..end].ends_with(&trailer) && self.ends_at(&member[header..end], n) {
                return Ok((start + end, n_before + n));
            }
        }
        if member.ends_with(&trailer) {
            return Ok((self.input.len(), n_before + n));
        }
        Err(corrupt(encoding, "its checksum is wrong, or something follows it"))
    }

    /// Whether the stream is complete without what follows `body`, which includes the trailer.
    fn ends_at(&mut self, body: &[u8], n: usize) -> bool {
        body.len()
            .checked_sub(GZIP_TRAILER)
            .is_some_and(|end| self.inflate.deflate_decompress(&body[..end], &mut vec![0; n]) == Ok(n))
    }
}

/// Length of a gzip header (RFC 1952 section 2.3), if there is one.
fn gzip_header_len(member: &[u8]) -> Option<usize> {
    let flags = *member.get(3)?;
    if !member.starts_with(GZIP_MAGIC) || flags & 0xe0 != 0 {
        return None;
    }
    let mut len = 10;
    if flags & 4 != 0 {
        let extra = member.get(len..len + 2)?;
        len += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    // File name, then comment: text that ends with a zero byte.
    for flag in [8, 16] {
        if flags & flag != 0 {
            len += memchr::memchr(0, member.get(len..)?)? + 1;
        }
    }
    if flags & 2 != 0 {
        len += 2;
    }
    (len <= member.len()).then_some(len)
}

pub(super) fn unzlib(
    inflate: &mut Decompressor,
    input: &[u8],
    limit: Limit,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let encoding = Encoding::Zlib;
    let [method, flags, body @ .., a, b, c, d] = input else {
        return Err(corrupt(encoding, "it is cut short"));
    };
    let is_header = method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0;
    if !is_header || flags & 0x20 != 0 {
        return Err(corrupt(encoding, "it has no zlib header"));
    }
    let mut room = Room::new(encoding, input.len(), limit, input.len().saturating_mul(4).max(out.len()));
    let n = inflate_growing(inflate, body, &mut room, out, 0)?;
    out.truncate(n);
    if libdeflater::adler32(out) != u32::from_be_bytes([*a, *b, *c, *d]) {
        return Err(corrupt(encoding, "its checksum is wrong, or something follows it"));
    }
    Ok(())
}

/// Inflates behind the first `n_before` bytes of `out`, which grows as long as the limits allow.
fn inflate_growing(
    inflate: &mut Decompressor,
    body: &[u8],
    room: &mut Room,
    out: &mut Vec<u8>,
    n_before: usize,
) -> Result<usize, DecompressError> {
    loop {
        room.size = room.size.max(n_before);
        super::grow(out, room.size);
        match inflate.deflate_decompress(body, &mut out[n_before..room.size]) {
            Ok(n) => return Ok(n),
            Err(DecompressionError::InsufficientSpace) => room.grow()?,
            Err(DecompressionError::BadData) => {
                return Err(corrupt(room.encoding, "its deflate stream is broken"));
            }
        }
    }
}
