//! A request as it lies in a segment: a header of fixed size, then the packed payload.
//!
//! The header has a checksum of its own, so a damaged payload still says which request it was. Checksums begin with the
//! salt of the segment, which stands in the file's name: what looks like a frame inside of a payload is none.

use model::{Signal, Timestamp};

use crate::Head;

/// Bytes of a header. Numbers are little-endian.
pub(crate) const HEADER_BYTES: usize = 88;

/// The first bytes of every frame; the digit is the version of the form.
pub(crate) const MAGIC: [u8; 4] = *b"MQf1";

/// What is known of a frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the frame in its queue; frames are numbered without gaps when they are written.
    pub(crate) seq: u64,
    /// Number of the run of the queue that wrote it.
    pub(crate) run: u32,
    /// Place of the request in the order in which that run was given its requests.
    pub(crate) order: u64,
    /// Shard of the request in that run.
    pub(crate) shard: u32,
    /// Items of all frames before this one, so that the items of missing frames can be counted.
    pub(crate) items_before: u64,
    /// When the request was pushed, by the wall clock.
    pub(crate) pushed: Timestamp,
    /// What the request says of itself.
    pub(crate) head: Head,
    /// How the payload is packed.
    pub(crate) packing: u8,
    /// Bytes of the packed payload.
    pub(crate) n_packed: u32,
    /// CRC32C of the packed payload.
    pub(crate) packed_crc: u32,
    /// Bytes of the payload.
    pub(crate) n_bytes: u32,
}

impl Header {
    /// Bytes of the whole frame.
    pub(crate) fn n_frame(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.n_packed)
    }

    pub(crate) fn write(&self, salt: u32, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.n_packed.to_le_bytes());
        out.extend_from_slice(&self.packed_crc.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.items_before.to_le_bytes());
        out.extend_from_slice(&self.head.n_items.to_le_bytes());
        for time in [self.head.oldest, self.head.newest, self.pushed] {
            out.extend_from_slice(&time.millis().to_le_bytes());
        }
        out.extend_from_slice(&self.n_bytes.to_le_bytes());
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&[self.head.signal as u8, self.head.format, self.packing, 0]);
        out.extend_from_slice(&self.run.to_le_bytes());
        out.extend_from_slice(&self.order.to_le_bytes());
        let crc = crc32c::crc32c_append(salt, &out[begin + 8..]);
        out[begin + 4..begin + 8].copy_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(out.len() - begin, HEADER_BYTES);
    }

    /// The header that stands at the beginning of `bytes`; `None` if none does, or a damaged one.
    pub(crate) fn read(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        if !bytes.starts_with(&MAGIC) || u32_at(bytes, 4) != crc32c::crc32c_append(salt, &bytes[8..]) {
            return None;
        }
        let [signal, format, packing, _] = u32_at(bytes, 72).to_le_bytes();
        Some(Self {
            n_packed: u32_at(bytes, 8),
            packed_crc: u32_at(bytes, 12),
            seq: u64_at(bytes, 16),
            items_before: u64_at(bytes, 24),
            head: Head {
                n_items: u64_at(bytes, 32),
                oldest: time_at(bytes, 40),
                newest: time_at(bytes, 48),
                signal: *Signal::ALL.get(usize::from(signal))?,
                format,
            },
            pushed: time_at(bytes, 56),
            n_bytes: u32_at(bytes, 64),
            shard: u32_at(bytes, 68),
            packing,
            run: u32_at(bytes, 76),
            order: u64_at(bytes, 80),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn time_at(bytes: &[u8], at: usize) -> Timestamp {
    Timestamp(u64_at(bytes, at).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_kept_and_no_changed_bit_is_overlooked() {
        let header = Header {
            seq: 1 << 40,
            run: 7,
            order: 1 << 33,
            shard: 3,
            items_before: 1 << 50,
            pushed: Timestamp(1_700_000_000_123),
            head: Head {
                signal: Signal::Traces,
                n_items: 2000,
                oldest: Timestamp(-5),
                newest: Timestamp(i64::MAX),
                format: 2,
            },
            packing: 1,
            n_packed: 4000,
            packed_crc: 0xdead_beef,
            n_bytes: 30_000,
        };
        let mut bytes = Vec::new();
        header.write(99, &mut bytes);
        assert_eq!(Header::read(&bytes, 99), Some(header));
        assert_eq!(Header::read(&bytes, 98), None, "a frame of another segment");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&bytes, 99), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Header::read(&bytes[..87], 99), None);
    }
}
