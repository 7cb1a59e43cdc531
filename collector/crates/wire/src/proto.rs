//! The protobuf wire format: a reader that lends fields in place, and writers that append to a buffer.
//!
//! Follows the encoding rules of protocol buffers as `prost` and Go's `proto` accept them: unknown fields are passed
//! over, groups among them; a known field with another wire type, a varint of more than ten bytes, a length beyond the
//! end and field number zero are errors. Strings stay bytes. Differs on purpose where a message field occurs twice: the
//! last one wins, where `prost` and Go merge the two; no known sender writes such messages.

mod write;

pub use write::{
    put_bool, put_bytes, put_double, put_fixed32, put_fixed64, put_len, put_message, put_sint, put_tag,
    put_text, put_uint, put_varint, varint_len, zigzag,
};

/// Messages may be nested this deep, as in `prost`; what is nested deeper is malformed, so whoever walks a message
/// recursively has a bounded stack.
pub const MAX_DEPTH: u8 = 100;

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {offset}: {what}")]
pub struct Malformed {
    /// What is wrong there.
    pub what: &'static str,
    /// Where, counted from the start of the buffer that was given to [`Message::new`].
    pub offset: usize,
}

/// How a field's value is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// Variable-length integer.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length, then that many bytes.
    Len = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// An encoded message, still encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u8,
}

impl<'a> Message<'a> {
    /// The outermost message of a buffer.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// The encoded bytes, without tag and length.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Where [`Self::bytes`] begin in the outermost buffer.
    #[must_use]
    pub fn offset(self) -> usize {
        self.at
    }

    /// The fields, in order of appearance.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self.bytes, at: self.at, depth: self.depth }
    }

    /// An error at the start of this message.
    #[must_use]
    pub fn malformed(self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.at }
    }
}

/// A field's value, as it is framed.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Variable-length integer.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Bytes: text, a message, or packed numbers.
    Len(Message<'a>),
    /// Four bytes.
    Fixed32(u32),
    /// A group, which no message here has; already passed over.
    Group,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its number in the message.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Where its tag begins in the outermost buffer.
    pub offset: usize,
}

const WRONG_TYPE: &str = "a known field has another wire type";

impl<'a> Field<'a> {
    fn wrong(&self) -> Malformed {
        Malformed { what: WRONG_TYPE, offset: self.offset }
    }

    /// The value as a variable-length integer.
    #[inline]
    pub fn varint(&self) -> Result<u64, Malformed> {
        if let Value::Varint(value) = self.value { Ok(value) } else { Err(self.wrong()) }
    }

    /// The value as `int32` or an enumeration: the low 32 bits.
    #[inline]
    pub fn int32(&self) -> Result<i32, Malformed> {
        self.varint().map(|value| value as u32 as i32)
    }

    /// The value as `uint32`: the low 32 bits.
    #[inline]
    pub fn uint32(&self) -> Result<u32, Malformed> {
        self.varint().map(|value| value as u32)
    }

    /// The value as `sint32`, which is zigzag encoded.
    #[inline]
    pub fn sint32(&self) -> Result<i32, Malformed> {
        self.uint32().map(|value| ((value >> 1) as i32) ^ -((value & 1) as i32))
    }

    /// The value as `bool`.
    #[inline]
    pub fn bool(&self) -> Result<bool, Malformed> {
        self.varint().map(|value| value != 0)
    }

    /// The value as `fixed64`.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, Malformed> {
        if let Value::Fixed64(value) = self.value { Ok(value) } else { Err(self.wrong()) }
    }

    /// The value as `double`.
    #[inline]
    pub fn double(&self) -> Result<f64, Malformed> {
        self.fixed64().map(f64::from_bits)
    }

    /// The value as `fixed32`.
    #[inline]
    pub fn fixed32(&self) -> Result<u32, Malformed> {
        if let Value::Fixed32(value) = self.value { Ok(value) } else { Err(self.wrong()) }
    }

    /// The value as bytes or text.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], Malformed> {
        if let Value::Len(message) = self.value { Ok(message.bytes) } else { Err(self.wrong()) }
    }

    /// The value as a nested message.
    #[inline]
    pub fn message(&self) -> Result<Message<'a>, Malformed> {
        match self.value {
            Value::Len(message) if message.depth <= MAX_DEPTH => Ok(message),
            Value::Len(_) => {
                Err(Malformed { what: "nested deeper than max_depth (100 messages)", offset: self.offset })
            }
            _ => Err(self.wrong()),
        }
    }
}

/// The fields of a message, one after the other. Ends after the first error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    rest: &'a [u8],
    at: usize,
    depth: u8,
}

impl<'a> Fields<'a> {
    /// Where the next field begins in the outermost buffer.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next of numbers that are packed without tags. Ends after the first error.
    pub fn next_varint(&mut self) -> Option<Result<u64, Malformed>> {
        if self.rest.is_empty() {
            return None;
        }
        let number = self.take_varint();
        if number.is_err() {
            self.rest = &[];
        }
        Some(number)
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(n) {
            Some((taken, rest)) => {
                self.rest = rest;
                self.at += n;
                Ok(taken)
            }
            None => Err(self.malformed("a field runs past the end of its message")),
        }
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.at }
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives exactly as many bytes as asked for"))
    }

    #[inline]
    fn take_varint(&mut self) -> Result<u64, Malformed> {
        if let [first @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            self.at += 1;
            return Ok(u64::from(*first));
        }
        self.take_long_varint()
    }

    fn take_long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && *byte > 1 {
                return Err(self.malformed("a varint is larger than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(self.malformed("a varint has no end"))
    }

    /// Field number and wire type.
    #[inline]
    fn take_tag(&mut self) -> Result<(u32, u8), Malformed> {
        let offset = self.at;
        let tag = self.take_varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(u32::MAX);
        if number == 0 || number >= 1 << 29 {
            return Err(Malformed { what: "a field number is out of range", offset });
        }
        Ok((number, (tag & 7) as u8))
    }

    #[inline]
    fn take_field(&mut self) -> Result<Field<'a>, Malformed> {
        let offset = self.at;
        let (number, wire_type) = self.take_tag()?;
        let value = match wire_type {
            0 => Value::Varint(self.take_varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take_array()?)),
            2 => self.take_len()?,
            5 => Value::Fixed32(u32::from_le_bytes(self.take_array()?)),
            3 => self.pass_group(number)?,
            _ => return Err(Malformed { what: "a field has an unknown wire type", offset }),
        };
        Ok(Field { number, value, offset })
    }

    #[inline]
    fn take_len(&mut self) -> Result<Value<'a>, Malformed> {
        let n = usize::try_from(self.take_varint()?).unwrap_or(usize::MAX);
        let at = self.at;
        let bytes = self.take(n)?;
        Ok(Value::Len(Message { bytes, at, depth: self.depth + 1 }))
    }

    /// Passes over a group up to its end; groups inside are counted, not recursed into.
    fn pass_group(&mut self, number: u32) -> Result<Value<'a>, Malformed> {
        let mut open = [0; MAX_DEPTH as usize];
        let mut n_open = 1;
        open[0] = number;
        while n_open > 0 {
            let (number, wire_type) = self.take_tag()?;
            match wire_type {
                0 => _ = self.take_varint()?,
                1 => _ = self.take(8)?,
                2 => _ = self.take_len()?,
                5 => _ = self.take(4)?,
                3 if n_open == open.len() => {
                    return Err(self.malformed("nested deeper than max_depth (100 messages)"));
                }
                3 => {
                    open[n_open] = number;
                    n_open += 1;
                }
                4 if open[n_open - 1] == number => n_open -= 1,
                _ => return Err(self.malformed("a group has no end")),
            }
        }
        Ok(Value::Group)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take_field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests;
