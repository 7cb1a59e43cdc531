//! What all signals share: attributes, resources, scopes, and the two envelopes around the items.

use std::marker::PhantomData;

use super::{LogRecord, Malformed, Message, Metric, Span};
use crate::proto::Fields;

/// Something that can be read from an encoded message.
pub trait View<'a>: Sized {
    /// Reads the plain fields; fails where the message is not of this shape.
    fn decode(message: Message<'a>) -> Result<Self, Malformed>;
}

/// A repeated message field, decoded one by one. Ends after the first error.
#[derive(Debug)]
pub struct Repeated<'a, T> {
    fields: Fields<'a>,
    number: u32,
    shape: PhantomData<fn() -> T>,
}

impl<T> Clone for Repeated<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Repeated<'_, T> {}

impl<T> Default for Repeated<'_, T> {
    fn default() -> Self {
        Self { fields: Fields::default(), number: 0, shape: PhantomData }
    }
}

impl<'a, T> Repeated<'a, T> {
    pub(super) fn new(message: Message<'a>, number: u32) -> Self {
        Self { fields: message.fields(), number, shape: PhantomData }
    }
}

impl<'a, T: View<'a>> Iterator for Repeated<'a, T> {
    type Item = Result<T, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let field = match self.fields.next()? {
                Ok(field) => field,
                Err(error) => return Some(Err(error)),
            };
            if field.number != self.number {
                continue;
            }
            let item = field.message().and_then(T::decode);
            if item.is_err() {
                self.fields = Fields::default();
            }
            return Some(item);
        }
    }
}

/// Attributes: keys and values in order of appearance.
pub type Attributes<'a> = Repeated<'a, KeyValue<'a>>;

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this key, as far as the attributes are readable.
    #[must_use]
    pub fn get(self, key: &str) -> Option<AnyValue<'a>> {
        self.map_while(Result::ok)
            .find(|attribute| attribute.key == key.as_bytes())
            .map(|attribute| attribute.value)
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    /// The key; text, unless the sender is broken.
    pub key: &'a [u8],
    /// The value.
    pub value: AnyValue<'a>,
}

impl<'a> View<'a> for KeyValue<'a> {
    #[inline]
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let (mut key, mut value) = (&[][..], AnyValue::Empty);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => key = field.bytes()?,
                2 => value = AnyValue::decode(field.message()?)?,
                _ => {}
            }
        }
        Ok(Self { key, value })
    }
}

/// A value of any kind. Nesting is bounded by [`crate::proto::MAX_DEPTH`], so walking it recursively is safe.
#[derive(Clone, Copy, Debug, Default)]
pub enum AnyValue<'a> {
    /// No value.
    #[default]
    Empty,
    /// Text, unless the sender is broken.
    Str(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A list of values.
    Array(Repeated<'a, AnyValue<'a>>),
    /// Keys and values.
    Map(Attributes<'a>),
    /// Bytes that are not text.
    Bytes(&'a [u8]),
}

impl<'a> View<'a> for AnyValue<'a> {
    #[inline]
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut value = Self::Empty;
        for field in message.fields() {
            let field = field?;
            value = match field.number {
                1 => Self::Str(field.bytes()?),
                2 => Self::Bool(field.bool()?),
                3 => Self::Int(field.varint()? as i64),
                4 => Self::Double(field.double()?),
                5 => Self::Array(Repeated::new(field.message()?, 1)),
                6 => Self::Map(Repeated::new(field.message()?, 1)),
                7 => Self::Bytes(field.bytes()?),
                _ => continue,
            };
        }
        Ok(value)
    }
}

/// What the telemetry is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    message: Message<'a>,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

impl<'a> Resource<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 1)
    }
}

impl<'a> View<'a> for Resource<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut dropped_attributes = 0;
        for field in message.fields() {
            let field = field?;
            if field.number == 2 {
                dropped_attributes = field.uint32()?;
            }
        }
        Ok(Self { message, dropped_attributes })
    }
}

/// The library or receiver that produced the telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    message: Message<'a>,
    /// Its name; text, unless the sender is broken.
    pub name: &'a [u8],
    /// Its version; text, unless the sender is broken.
    pub version: &'a [u8],
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

impl<'a> Scope<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 3)
    }
}

impl<'a> View<'a> for Scope<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut scope = Self { message, ..Self::default() };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => scope.name = field.bytes()?,
                2 => scope.version = field.bytes()?,
                4 => scope.dropped_attributes = field.uint32()?,
                _ => {}
            }
        }
        Ok(scope)
    }
}

/// A `ResourceMetrics`, `ResourceLogs` or `ResourceSpans`: the three have the same shape.
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'a> {
    message: Message<'a>,
    /// The resource; without attributes where the sender gave none.
    pub resource: Resource<'a>,
    /// Schema of the resource's attributes.
    pub schema_url: &'a [u8],
}

impl<'a> ResourceView<'a> {
    /// Reads one of [`model::Frames::resources`].
    pub fn new(resource: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode(Message::new(resource))
    }

    /// The scopes with their items.
    #[must_use]
    pub fn scopes(&self) -> Repeated<'a, ScopeView<'a>> {
        Repeated::new(self.message, 2)
    }
}

impl<'a> View<'a> for ResourceView<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut view = Self { message, resource: Resource::default(), schema_url: &[] };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => view.resource = Resource::decode(field.message()?)?,
                3 => view.schema_url = field.bytes()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// A `ScopeMetrics`, `ScopeLogs` or `ScopeSpans`: the three have the same shape. Which of [`Self::metrics`],
/// [`Self::logs`] and [`Self::spans`] is right depends on the signal.
#[derive(Clone, Copy, Debug)]
pub struct ScopeView<'a> {
    message: Message<'a>,
    /// The scope; empty where the sender gave none.
    pub scope: Scope<'a>,
    /// Schema of the items.
    pub schema_url: &'a [u8],
}

impl<'a> ScopeView<'a> {
    /// The metrics of a `ScopeMetrics`.
    #[must_use]
    pub fn metrics(&self) -> Repeated<'a, Metric<'a>> {
        Repeated::new(self.message, 2)
    }

    /// The records of a `ScopeLogs`.
    #[must_use]
    pub fn logs(&self) -> Repeated<'a, LogRecord<'a>> {
        Repeated::new(self.message, 2)
    }

    /// The spans of a `ScopeSpans`.
    #[must_use]
    pub fn spans(&self) -> Repeated<'a, Span<'a>> {
        Repeated::new(self.message, 2)
    }
}

impl<'a> View<'a> for ScopeView<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut view = Self { message, scope: Scope::default(), schema_url: &[] };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => view.scope = Scope::decode(field.message()?)?,
                3 => view.schema_url = field.bytes()?,
                _ => {}
            }
        }
        Ok(view)
    }
}
