//! Views of `opentelemetry.proto.trace.v1`.

use super::common::{Attributes, Repeated, View};
use super::{Malformed, Message};
use crate::proto::Field;

/// One span.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    message: Message<'a>,
    /// The trace: 16 bytes.
    pub trace_id: &'a [u8],
    /// Its own id: 8 bytes.
    pub span_id: &'a [u8],
    /// The `tracestate` header.
    pub trace_state: &'a [u8],
    /// The span it is part of: 8 bytes, or none for a root.
    pub parent_span_id: &'a [u8],
    /// Trace flags in the low byte, then whether the parent is remote.
    pub flags: u32,
    /// Its name.
    pub name: &'a [u8],
    /// What it is to the outside; see [`span_kind_name`].
    pub kind: i32,
    /// Start, in nanoseconds since the epoch.
    pub start: u64,
    /// End, in nanoseconds since the epoch.
    pub end: u64,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Events that the sender left out.
    pub dropped_events: u32,
    /// Links that the sender left out.
    pub dropped_links: u32,
    /// How it ended.
    pub status: SpanStatus<'a>,
}

impl<'a> Span<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 9)
    }

    /// What happened during it.
    #[must_use]
    pub fn events(&self) -> Repeated<'a, Event<'a>> {
        Repeated::new(self.message, 11)
    }

    /// Spans it refers to.
    #[must_use]
    pub fn links(&self) -> Repeated<'a, Link<'a>> {
        Repeated::new(self.message, 13)
    }

    fn set(&mut self, field: &Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.trace_id = field.bytes()?,
            2 => self.span_id = field.bytes()?,
            3 => self.trace_state = field.bytes()?,
            4 => self.parent_span_id = field.bytes()?,
            5 => self.name = field.bytes()?,
            6 => self.kind = field.int32()?,
            7 => self.start = field.fixed64()?,
            8 => self.end = field.fixed64()?,
            10 => self.dropped_attributes = field.uint32()?,
            12 => self.dropped_events = field.uint32()?,
            14 => self.dropped_links = field.uint32()?,
            15 => self.status = SpanStatus::decode(field.message()?)?,
            16 => self.flags = field.fixed32()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> View<'a> for Span<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut span = Self {
            message,
            trace_id: &[],
            span_id: &[],
            trace_state: &[],
            parent_span_id: &[],
            flags: 0,
            name: &[],
            kind: 0,
            start: 0,
            end: 0,
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
            status: SpanStatus::default(),
        };
        for field in message.fields() {
            span.set(&field?)?;
        }
        Ok(span)
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanStatus<'a> {
    /// What is said of an error.
    pub message: &'a [u8],
    /// See [`status_code_name`].
    pub code: i32,
}

impl<'a> View<'a> for SpanStatus<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut status = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 => status.message = field.bytes()?,
                3 => status.code = field.int32()?,
                _ => {}
            }
        }
        Ok(status)
    }
}

/// Something that happened during a span.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    message: Message<'a>,
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// Its name.
    pub name: &'a [u8],
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

impl<'a> Event<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 3)
    }
}

impl<'a> View<'a> for Event<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut event = Self { message, time: 0, name: &[], dropped_attributes: 0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => event.time = field.fixed64()?,
                2 => event.name = field.bytes()?,
                4 => event.dropped_attributes = field.uint32()?,
                _ => {}
            }
        }
        Ok(event)
    }
}

/// A span that another one refers to.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    message: Message<'a>,
    /// Its trace: 16 bytes.
    pub trace_id: &'a [u8],
    /// Its id: 8 bytes.
    pub span_id: &'a [u8],
    /// Its `tracestate` header.
    pub trace_state: &'a [u8],
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Trace flags.
    pub flags: u32,
}

impl<'a> Link<'a> {
    /// Attributes of the reference.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 4)
    }
}

impl<'a> View<'a> for Link<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut link =
            Self { message, trace_id: &[], span_id: &[], trace_state: &[], dropped_attributes: 0, flags: 0 };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => link.trace_id = field.bytes()?,
                2 => link.span_id = field.bytes()?,
                3 => link.trace_state = field.bytes()?,
                5 => link.dropped_attributes = field.uint32()?,
                6 => link.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(link)
    }
}

/// The name of a span kind as the Go collector prints it; empty for numbers out of range.
#[must_use]
pub fn span_kind_name(kind: i32) -> &'static str {
    match kind {
        0 => "Unspecified",
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "",
    }
}

/// The name of a status code as the Go collector prints it; empty for numbers out of range.
#[must_use]
pub fn status_code_name(code: i32) -> &'static str {
    match code {
        0 => "Unset",
        1 => "Ok",
        2 => "Error",
        _ => "",
    }
}
