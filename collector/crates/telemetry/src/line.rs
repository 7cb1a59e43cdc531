//! From an event to a line.
//!
//! The console form is zap's as the OpenTelemetry Collector sets it up: time, level, origin, message and the
//! fields as one JSON object, separated by tabs. The JSON form has zap's keys. Unlike zap, control characters
//! in a message are escaped, so that a message cannot pretend to be two.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::logs::{Encoding, LogsConfig};
use crate::{Identity, error_chain, iso8601};

/// Where lines go.
pub(crate) enum Output {
    Stderr,
    Stdout,
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl Output {
    pub(crate) fn writer(writer: impl Write + Send + 'static) -> Self {
        Self::Writer(Mutex::new(Box::new(writer)))
    }

    /// One write for each line, so that lines of several threads never mix. A log that cannot be written has
    /// nobody to tell it to.
    fn write(&self, line: &[u8]) {
        let written = match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::Writer(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(line),
        };
        drop(written);
    }
}

/// The layer that writes lines.
pub(crate) struct Lines {
    encoding: Encoding,
    with_caller: bool,
    fields: Fields,
    output: Output,
}

impl Lines {
    pub(crate) fn new(config: &LogsConfig, identity: &Identity, output: Output) -> Self {
        let mut fields = Fields::default();
        if !config.disable_zap_resource {
            fields.set("resource", print_resource(identity));
        }
        for (key, value) in &config.initial_fields {
            fields.set(key, value.to_string());
        }
        Self { encoding: config.encoding, with_caller: !config.disable_caller, fields, output }
    }

    fn print(&self, line: &Line<'_>) -> String {
        match self.encoding {
            Encoding::Console => line.console(self.with_caller),
            Encoding::Json => line.json(self.with_caller),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = self.fields.clone();
        for span in
            ctx.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.merge(outer);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line {
            time: SystemTime::now(),
            level: level_word(*metadata.level()),
            caller: metadata.target(),
            fields: &fields,
        };
        let mut text = self.print(&line);
        text.push('\n');
        self.output.write(text.as_bytes());
    }
}

struct Line<'a> {
    time: SystemTime,
    level: &'static str,
    caller: &'a str,
    fields: &'a Fields,
}

impl Line<'_> {
    fn console(&self, with_caller: bool) -> String {
        let mut text = iso8601(self.time);
        text.push('\t');
        text.push_str(self.level);
        if with_caller {
            text.push('\t');
            text.push_str(self.caller);
        }
        text.push('\t');
        for letter in self.fields.message.chars() {
            if letter.is_control() { text.extend(letter.escape_default()) } else { text.push(letter) }
        }
        if !self.fields.pairs.is_empty() {
            text.push_str("\t{");
            self.fields.print_into(&mut text);
            text.push('}');
        }
        text
    }

    fn json(&self, with_caller: bool) -> String {
        let seconds = self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut text = format!("{{\"level\":\"{}\",\"ts\":{seconds:.6}", self.level);
        if with_caller {
            text.push_str(",\"caller\":");
            text.push_str(&print_text(self.caller));
        }
        text.push_str(",\"msg\":");
        text.push_str(&print_text(&self.fields.message));
        if !self.fields.pairs.is_empty() {
            text.push(',');
            self.fields.print_into(&mut text);
        }
        text.push('}');
        text
    }
}

/// The message and the fields of a line, values printed as JSON, in order of first appearance.
#[derive(Clone, Default)]
struct Fields {
    message: String,
    pairs: Vec<(String, String)>,
}

impl Fields {
    /// The last value of a key wins, in the place of the first.
    fn set(&mut self, key: &str, json: String) {
        match self.pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => *value = json,
            None => self.pairs.push((key.to_owned(), json)),
        }
    }

    fn merge(&mut self, others: &Self) {
        for (key, json) in &others.pairs {
            self.set(key, json.clone());
        }
    }

    /// The inside of a JSON object.
    fn print_into(&self, text: &mut String) {
        for (index, (key, json)) in self.pairs.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&print_text(key));
            text.push(':');
            text.push_str(json);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is not finite.
        let json = if value.is_finite() { value.to_string() } else { print_text(&value.to_string()) };
        self.set(field.name(), json);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.set(field.name(), print_text(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field.name(), print_text(&error_chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn print_resource(identity: &Identity) -> String {
    let mut resource = Fields::default();
    for (key, value) in identity.attributes() {
        resource.set(key, print_text(value));
    }
    let mut text = String::from("{");
    resource.print_into(&mut text);
    text.push('}');
    text
}

fn print_text(text: &str) -> String {
    Value::from(text).to_string()
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_printed_as_iso8601_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_709_210_096_001, "2024-02-29T12:34:56.001Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ];
        for (millis, expected) in cases {
            assert_eq!(iso8601(UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
    }
}
