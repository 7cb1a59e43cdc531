//! Views of `opentelemetry.proto.logs.v1`.

use super::common::{AnyValue, Attributes, Repeated, View};
use super::{Malformed, Message};
use crate::proto::Field;

/// One log record.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    message: Message<'a>,
    /// When it happened, in nanoseconds since the epoch; zero if unknown.
    pub time: u64,
    /// When it was observed, in nanoseconds since the epoch.
    pub observed_time: u64,
    /// Severity from 1 (trace) to 24 (fatal); zero if unknown.
    pub severity_number: i32,
    /// Severity in the words of the source.
    pub severity_text: &'a [u8],
    /// What is said.
    pub body: AnyValue<'a>,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Trace flags in the low byte.
    pub flags: u32,
    /// The trace: 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// The span: 8 bytes, or none.
    pub span_id: &'a [u8],
    /// Name of the event, where the record is one.
    pub event_name: &'a [u8],
}

impl<'a> LogRecord<'a> {
    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Repeated::new(self.message, 6)
    }

    fn set(&mut self, field: &Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.time = field.fixed64()?,
            2 => self.severity_number = field.int32()?,
            3 => self.severity_text = field.bytes()?,
            5 => self.body = AnyValue::decode(field.message()?)?,
            7 => self.dropped_attributes = field.uint32()?,
            8 => self.flags = field.fixed32()?,
            9 => self.trace_id = field.bytes()?,
            10 => self.span_id = field.bytes()?,
            11 => self.observed_time = field.fixed64()?,
            12 => self.event_name = field.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> View<'a> for LogRecord<'a> {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let mut record = Self {
            message,
            time: 0,
            observed_time: 0,
            severity_number: 0,
            severity_text: &[],
            body: AnyValue::Empty,
            dropped_attributes: 0,
            flags: 0,
            trace_id: &[],
            span_id: &[],
            event_name: &[],
        };
        for field in message.fields() {
            record.set(&field?)?;
        }
        Ok(record)
    }
}

/// The name of a severity number as the Go collector prints it: `Info`, `Warn2` ...; empty for numbers out of range.
#[must_use]
pub fn severity_name(number: i32) -> &'static str {
    const NAMES: [&str; 25] = [
        "Unspecified",
        "Trace",
        "Trace2",
        "Trace3",
        "Trace4",
        "Debug",
        "Debug2",
        "Debug3",
        "Debug4",
        "Info",
        "Info2",
        "Info3",
        "Info4",
        "Warn",
        "Warn2",
        "Warn3",
        "Warn4",
        "Error",
        "Error2",
        "Error3",
        "Error4",
        "Fatal",
        "Fatal2",
        "Fatal3",
        "Fatal4",
    ];
    usize::try_from(number).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or("")
}
