//! Writing what is small and of known length without growing on the way: samples, labels, series.

use crate::proto::varint_len;

/// Length of a nested message with its tag (numbers below 16) and length.
#[inline]
pub(super) fn framed(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Zero is the default of both fields and takes no place; minus zero does.
#[inline]
pub(super) fn sample_len((bits, at): (u64, i64)) -> usize {
    let value = if bits == 0 { 0 } else { 9 };
    let time = if at == 0 { 0 } else { 1 + varint_len(at as u64) };
    value + time
}

/// Room for exactly what is written, so that nothing has to grow on the way.
pub(super) struct Place<'a> {
    rest: &'a mut [u8],
}

impl<'a> Place<'a> {
    #[inline]
    pub(super) fn new(out: &'a mut Vec<u8>, len: usize) -> Self {
        let start = out.len();
        out.resize(start + len, 0);
        Self { rest: &mut out[start..] }
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let (place, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        copy_short(place, bytes);
        self.rest = rest;
    }

    #[inline]
    pub(super) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        let (place, rest) = std::mem::take(&mut self.rest).split_at_mut(N);
        place.copy_from_slice(&bytes);
        self.rest = rest;
    }

    #[inline]
    pub(super) fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_array([value as u8 | 0x80]);
            value >>= 7;
        }
        self.put_array([value as u8]);
    }

    /// Tag (numbers below 16) and length of a field.
    #[inline]
    pub(super) fn put_len(&mut self, field: u8, len: usize) {
        self.put_array([field << 3 | 2]);
        self.put_varint(len as u64);
    }

    #[inline]
    pub(super) fn put_value_and_time(&mut self, (value_field, bits): (u8, u64), (time_field, at): (u8, i64)) {
        if bits != 0 {
            self.put_array([value_field << 3 | 1]);
            self.put_array(bits.to_le_bytes());
        }
        if at != 0 {
            self.put_array([time_field << 3]);
            self.put_varint(at as u64);
        }
    }
}

/// Copies text of the length that labels have without a call: two halves that may overlap.
#[inline]
fn copy_short(place: &mut [u8], bytes: &[u8]) {
    #[inline]
    fn halves<const N: usize>(place: &mut [u8], bytes: &[u8]) {
        let last = bytes.len() - N;
        place[..N].copy_from_slice(&bytes[..N]);
        place[last..].copy_from_slice(&bytes[last..]);
    }
    match bytes.len() {
        0 => {}
        1..=3 => place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte),
        4..=7 => halves::<4>(place, bytes),
        8..=15 => halves::<8>(place, bytes),
        16..=32 => halves::<16>(place, bytes),
        _ => place.copy_from_slice(bytes),
    }
}
