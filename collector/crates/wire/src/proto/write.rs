//! Writers: each appends one field to a buffer. Lengths are always as short as they can be.

use super::WireType;

/// Appends a variable-length integer.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`put_varint`] writes for this value: 1 to 10.
#[inline]
#[must_use]
pub fn varint_len(value: u64) -> usize {
    // Nine bits of every 64 are one byte of length: the exact quotient by seven over the range 1..=64.
    (((value | 1).ilog2() as usize + 1) * 9 + 64) / 64
}

/// Appends a field's number and wire type.
#[inline]
pub fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: WireType) {
    put_varint(out, u64::from(field) << 3 | wire_type as u64);
}

/// Appends the tag and length of a field whose `len` bytes the caller appends next.
#[inline]
pub fn put_len(out: &mut Vec<u8>, field: u32, len: usize) {
    put_tag(out, field, WireType::Len);
    put_varint(out, len as u64);
}

/// Appends a field of bytes, text or an encoded message, even when empty.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_len(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a text field; empty text is the default and takes no place.
#[inline]
pub fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// Appends an integer field as a varint, even when zero: `int32`, `int64`, `uint32`, `uint64` and enumerations.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, WireType::Varint);
    put_varint(out, value);
}

/// A signed number so that small ones of either sign are short: what `sint32` and `sint64` send.
#[inline]
#[must_use]
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Appends a `sint32` or `sint64` field, even when zero.
#[inline]
pub fn put_sint(out: &mut Vec<u8>, field: u32, value: i64) {
    put_uint(out, field, zigzag(value));
}

/// Appends a `bool` field, even when false.
#[inline]
pub fn put_bool(out: &mut Vec<u8>, field: u32, value: bool) {
    put_uint(out, field, u64::from(value));
}

/// Appends a `fixed64` or `sfixed64` field, even when zero.
#[inline]
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, WireType::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `double` field, even when zero. NaNs keep their bits.
#[inline]
pub fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_fixed64(out, field, value.to_bits());
}

/// Appends a `fixed32` field, even when zero.
#[inline]
pub fn put_fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    put_tag(out, field, WireType::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a nested message that `write` appends; the length in front of it is found afterwards.
///
/// One byte is kept for the length, and the message is moved when it needs more, so small messages cost nothing and a
/// large one is moved once per level of nesting.
#[inline]
pub fn put_message<R>(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    put_tag(out, field, WireType::Len);
    let place = out.len();
    out.push(0);
    let answer = write(out);
    let len = out.len() - place - 1;
    if len < 0x80 {
        out[place] = len as u8;
    } else {
        widen_length(out, place, len);
    }
    answer
}

fn widen_length(out: &mut Vec<u8>, place: usize, len: usize) {
    let width = varint_len(len as u64);
    out.resize(out.len() + width - 1, 0);
    out.copy_within(place + 1..place + 1 + len, place + width);
    let mut rest = len;
    for byte in &mut out[place..place + width - 1] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[place + width - 1] = rest as u8;
}
