//! Repeated numbers, packed or not: protobuf lets a sender choose, and readers must take both.

use super::{Malformed, Message};
use crate::proto::{Field, Fields, Value};

/// A repeated `fixed64`. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Fixed64s<'a> {
    fields: Fields<'a>,
    number: u32,
    packed: &'a [u8],
}

impl<'a> Fixed64s<'a> {
    pub(super) fn new(message: Message<'a>, number: u32) -> Self {
        Self { fields: message.fields(), number, packed: &[] }
    }

    /// The number of a field of its own; a packed field is kept for the calls that follow and gives none.
    fn begin(&mut self, field: Result<Field<'a>, Malformed>) -> Result<Option<u64>, Malformed> {
        let field = field?;
        match field.value {
            _ if field.number != self.number => Ok(None),
            Value::Len(packed) if packed.bytes().len() % 8 == 0 => {
                self.packed = packed.bytes();
                Ok(None)
            }
            Value::Len(packed) => Err(packed.malformed("packed numbers are cut short")),
            _ => field.fixed64().map(Some),
        }
    }
}

impl Iterator for Fixed64s<'_> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((number, rest)) = self.packed.split_first_chunk() {
                self.packed = rest;
                return Some(Ok(u64::from_le_bytes(*number)));
            }
            let field = self.fields.next()?;
            let number = self.begin(field);
            if number.is_err() {
                self.fields = Fields::default();
            }
            if let Some(number) = number.transpose() {
                return Some(number);
            }
        }
    }
}

/// A repeated `double`. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Doubles<'a>(Fixed64s<'a>);

impl<'a> Doubles<'a> {
    pub(super) fn new(message: Message<'a>, number: u32) -> Self {
        Self(Fixed64s::new(message, number))
    }
}

impl Iterator for Doubles<'_> {
    type Item = Result<f64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|bits| bits.map(f64::from_bits))
    }
}

/// A repeated `uint64`. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Varints<'a> {
    fields: Fields<'a>,
    number: u32,
    packed: Fields<'a>,
}

impl<'a> Varints<'a> {
    pub(super) fn new(message: Message<'a>, number: u32) -> Self {
        Self { fields: message.fields(), number, packed: Fields::default() }
    }

    fn begin(&mut self, field: Result<Field<'a>, Malformed>) -> Result<Option<u64>, Malformed> {
        let field = field?;
        match field.value {
            _ if field.number != self.number => Ok(None),
            Value::Len(packed) => {
                self.packed = packed.fields();
                Ok(None)
            }
            _ => field.varint().map(Some),
        }
    }
}

impl Iterator for Varints<'_> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(number) = self.packed.next_varint() {
                return Some(number);
            }
            let field = self.fields.next()?;
            let number = self.begin(field);
            if number.is_err() {
                self.fields = Fields::default();
            }
            if let Some(number) = number.transpose() {
                return Some(number);
            }
        }
    }
}
