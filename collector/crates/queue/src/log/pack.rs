//! How payloads lie on disk: smaller than they go over the wire.
//!
//! Requests of remote write that are compressed with snappy are taken apart into columns ([`wire::remote_write::columns`]) and
//! compressed with zstd. Of a target whose series stand still all scrapes have the same labels: only the first frame
//! in a segment holds them, and those after it, [`MAX_LEANING`] at most, lean on it and hold nothing but how values and times
//! differ. Damage to such a base costs the frames that lean on it, in the same segment, and no others.
//!
//! A payload is packed only if unpacking gives back its very bytes; every other one lies there as it is.

use std::collections::HashMap;
use std::io::{self, ErrorKind};

use wire::compress::{Compressor, Decompressor, Encoding, Limit};
use wire::remote_write::columns::{self, Columns};
use xxhash_rust::xxh3::xxh3_128;

/// As it came.
pub(crate) const PLAIN: u8 = 0;
/// Columns with everything else.
pub(crate) const WHOLE: u8 = 1;
/// Columns that lean on a frame that is whole.
pub(crate) const LEANING: u8 = 2;

/// How many frames may lean on one.
const MAX_LEANING: u32 = 32;

/// Samples of all bases whose values are held, 16 bytes each.
const MAX_BASE_SAMPLES: usize = 1 << 20;

/// Larger requests are not unpacked.
const MAX_BODY_BYTES: usize = 256 << 20;

/// Level of zstd: the next ones take more time and give little.
const LEVEL: i32 = 3;

/// Packs the frames of one segment.
#[derive(Default)]
pub(crate) struct Packer {
    bases: HashMap<u128, Base>,
    n_samples: usize,
    decompressor: Decompressor,
    zstd: Option<Compressor>,
    snappy: Option<Compressor>,
}

struct Base {
    offset: u64,
    columns: Columns,
    n_leaning: u32,
}

/// A packed payload that has no place yet.
pub(crate) struct Packed {
    pub(crate) packing: u8,
    pub(crate) bytes: Vec<u8>,
    /// What others may lean on once it has a place.
    base: Option<(u128, Columns)>,
}

impl Packer {
    /// A new segment begins.
    pub(crate) fn clear(&mut self) {
        self.bases.clear();
        self.n_samples = 0;
    }

    pub(crate) fn pack(&mut self, payload: &[u8]) -> Packed {
        self.try_pack(payload).unwrap_or_else(|| Packed {
            packing: PLAIN,
            bytes: payload.to_vec(),
            base: None,
        })
    }

    /// The frame was written at this offset of the segment.
    pub(crate) fn placed(&mut self, packed: Packed, offset: u64) {
        let Some((key, columns)) = packed.base else { return };
        let n_samples = columns.values.len();
        if self.n_samples + n_samples <= MAX_BASE_SAMPLES {
            self.n_samples += n_samples;
            // What everything else is, the key says.
            let columns = Columns { rest: Vec::new(), ..columns };
            self.bases.insert(key, Base { offset, columns, n_leaning: 0 });
        }
    }

    fn try_pack(&mut self, payload: &[u8]) -> Option<Packed> {
        let mut body = Vec::new();
        self.decompressor.decompress(Encoding::Snappy, payload, limit(), &mut body).ok()?;
        let columns = columns::split(&body).filter(|columns| !columns.values.is_empty())?;
        if columns::join(&columns)? != body {
            return None;
        }
        let snappy = self.snappy.get_or_insert_with(|| Compressor::new(Encoding::Snappy, None));
        let mut again = Vec::new();
        snappy.compress(&body, &mut again);
        if again != payload {
            return None;
        }
        let zstd = self.zstd.get_or_insert_with(|| Compressor::new(Encoding::Zstd, Some(LEVEL)));
        let key = xxh3_128(&columns.rest);
        let mut bytes = Vec::new();
        if let Some(base) = self.bases.get_mut(&key)
            && base.n_leaning < MAX_LEANING
            && base.columns.values.len() == columns.values.len()
        {
            base.n_leaning += 1;
            zstd.compress(&encode(&columns, Some(&base.columns)), &mut bytes);
            bytes.extend_from_slice(&base.offset.to_le_bytes());
            return Some(Packed { packing: LEANING, bytes, base: None });
        }
        if let Some(worn) = self.bases.remove(&key) {
            self.n_samples -= worn.columns.values.len();
        }
        zstd.compress(&encode(&columns, None), &mut bytes);
        (bytes.len() < payload.len()).then_some(Packed { packing: WHOLE, bytes, base: Some((key, columns)) })
    }
}

/// What was packed. `read_base` gives the packed bytes of the whole frame at an offset of the same segment.
pub(crate) fn unpack(
    packing: u8,
    packed: Vec<u8>,
    read_base: impl FnOnce(u64) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let columns = match packing {
        PLAIN => return Ok(packed),
        WHOLE => decode(&packed, None).ok_or_else(broken)?,
        LEANING => {
            let (front, offset) = packed.split_last_chunk::<8>().ok_or_else(broken)?;
            let base = decode(&read_base(u64::from_le_bytes(*offset))?, None).ok_or_else(broken)?;
            decode(front, Some(base)).ok_or_else(broken)?
        }
        _ => return Err(broken()),
    };
    let body = columns::join(&columns).ok_or_else(broken)?;
    let mut payload = Vec::new();
    wire::compress::compress(Encoding::Snappy, &body, &mut payload);
    Ok(payload)
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it cannot be unpacked")
}

fn limit() -> Limit {
    Limit { max_bytes: MAX_BODY_BYTES, max_ratio: usize::MAX }
}

/// Number of samples, times, values byte by byte, everything else.
fn encode(columns: &Columns, base: Option<&Columns>) -> Vec<u8> {
    let n = columns.values.len();
    let mut out = Vec::with_capacity(n * 10 + columns.rest.len() + 4);
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    let mut before = 0;
    for (index, time) in columns.times.iter().enumerate() {
        // Beside the base all samples are late by the same time, so the difference to the one before is zero.
        let late = time.wrapping_sub(base.map_or(0, |base| base.times[index]));
        out.extend_from_slice(&late.wrapping_sub(before).to_le_bytes());
        before = late;
    }
    for byte in (0..8).rev() {
        for (index, value) in columns.values.iter().enumerate() {
            let value = value ^ base.map_or(0, |base| base.values[index]);
            out.push((value >> (8 * byte)) as u8);
        }
    }
    if base.is_none() {
        out.extend_from_slice(&columns.rest);
    }
    out
}

fn decode(packed: &[u8], base: Option<Columns>) -> Option<Columns> {
    let mut bytes = Vec::new();
    Decompressor::default().decompress(Encoding::Zstd, packed, limit(), &mut bytes).ok()?;
    let (n, bytes) = bytes.split_first_chunk::<4>()?;
    let n = u32::from_le_bytes(*n) as usize;
    if base.as_ref().is_some_and(|base| base.values.len() != n) {
        return None;
    }
    let (times, bytes) = bytes.split_at_checked(n.checked_mul(8)?)?;
    let (planes, rest) = bytes.split_at_checked(n * 8)?;
    let mut columns =
        base.unwrap_or_else(|| Columns { rest: rest.to_vec(), values: vec![0; n], times: vec![0; n] });
    let mut late = 0i64;
    for (time, difference) in columns.times.iter_mut().zip(times.as_chunks::<8>().0) {
        late = late.wrapping_add(i64::from_le_bytes(*difference));
        *time = time.wrapping_add(late);
    }
    for (index, value) in columns.values.iter_mut().enumerate() {
        let bits = (0..8).fold(0, |bits, plane| bits << 8 | u64::from(planes[plane * n + index]));
        *value ^= bits;
    }
    Some(columns)
}

#[cfg(test)]
pub(crate) mod tests {
    use wire::remote_write::v1;

    use super::*;

    /// A scrape of `n` series at a time, as it goes over the wire; of ten values nine move a little.
    pub(crate) fn scrape(n: u64, turn: u64) -> Vec<u8> {
        let mut body = Vec::new();
        for series in 0..n {
            let name = format!("http_requests_{}_total", series / 10);
            let path = format!("/path/{}", series % 10);
            let labels =
                [("__name__", &*name), ("instance", "10.0.0.1:8080"), ("job", "shop"), ("path", &*path)];
            let value = if series % 10 == 0 { series } else { series * 1000 + turn * (series % 7 + 1) };
            let sample = ((value as f64).to_bits(), 1_700_000_000_000 + 15_000 * turn.cast_signed());
            v1::append_series(&mut body, labels.into_iter(), &[sample], std::iter::empty());
        }
        let mut payload = Vec::new();
        wire::compress::compress(Encoding::Snappy, &body, &mut payload);
        payload
    }

    #[test]
    fn scrapes_of_the_same_series_lean_on_the_first_and_take_little() {
        let mut packer = Packer::default();
        let first = packer.pack(&scrape(2000, 0));
        assert_eq!(first.packing, WHOLE);
        let base = first.bytes.clone();
        packer.placed(first, 77);
        let (mut n_bytes, mut n_leaning) = (base.len(), 0);
        for turn in 1..=MAX_LEANING as u64 + 1 {
            let payload = scrape(2000, turn);
            let packed = packer.pack(&payload);
            n_bytes += packed.bytes.len();
            n_leaning += u64::from(packed.packing == LEANING);
            let read_base = |offset| {
                assert_eq!(offset, 77);
                Ok(base.clone())
            };
            assert_eq!(unpack(packed.packing, packed.bytes, read_base).unwrap(), payload);
        }
        assert_eq!(n_leaning, u64::from(MAX_LEANING), "after so many a new base begins");
        let a_sample = n_bytes as f64 / (2000 * (u64::from(MAX_LEANING) + 2)) as f64;
        assert!(
            a_sample < 2.5,
            "{a_sample} bytes a sample, {} as they came",
            scrape(2000, 0).len() as f64 / 2000.0
        );
    }

    #[test]
    fn what_is_not_remote_write_lies_there_as_it_is() {
        let mut packer = Packer::default();
        let mut text = Vec::new();
        wire::compress::compress(Encoding::Snappy, b"no message at all, but compressed", &mut text);
        for payload in [&b""[..], b"plain", &text] {
            let packed = packer.pack(payload);
            assert_eq!((packed.packing, &*packed.bytes), (PLAIN, payload));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let none = |_| Err(broken());
        for (packing, bytes) in
            [(WHOLE, vec![1, 2, 3]), (LEANING, vec![1, 2]), (LEANING, vec![0; 40]), (9, Vec::new())]
        {
            assert!(unpack(packing, bytes, none).is_err());
        }
    }
}
