//! A request of 2.0 as one of 1.0, for receivers that know no other.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{SERIES, SYMBOLS, series};
use crate::proto::{Field, Malformed, Message, put_bytes, put_message, put_uint};

/// How a request is rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToV1 {
    /// Sends what is known of families, once a request. A family's name is that of its series without `_bucket`, `_sum` and
    /// `_count` of histograms and summaries; counters keep their `_total`.
    pub metadata: bool,
    /// Puts an underscore for each character that names may not have in 1.0.
    pub escape_names: bool,
}

/// Appends a request of 1.0 that says what a request of 2.0 says, as far as 1.0 can: since when values count is left out.
///
/// # Errors
/// When the bytes are no request of 2.0, or refer to symbols that are not there.
pub fn to_v1(request: &[u8], how: ToV1, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut symbols = Vec::new();
    for field in Message::new(request).fields() {
        let field = field?;
        if field.number == SYMBOLS {
            symbols.push(field.bytes()?);
        }
    }
    let rewrite = Rewrite { symbols: &symbols, source: request, how };
    let mut families = HashSet::new();
    for field in Message::new(request).fields() {
        let field = field?;
        if field.number == SERIES {
            let message = field.message()?;
            put_message(out, 1, |out| rewrite.series(out, message))?;
            if how.metadata {
                families.insert(rewrite.family(message)?);
            }
        }
    }
    let mut families: Vec<Family<'_>> = families.into_iter().filter(|family| family.is_known()).collect();
    families.sort_unstable();
    families.iter().for_each(|family| family.put(out));
    Ok(())
}

#[derive(Clone, Copy)]
struct Rewrite<'a> {
    symbols: &'a [&'a [u8]],
    /// The outermost buffer.
    source: &'a [u8],
    how: ToV1,
}

#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Family<'a> {
    name: Cow<'a, [u8]>,
    kind: u64,
    help: &'a [u8],
    unit: &'a [u8],
}

/// Name and value.
type Label<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Rewrite<'a> {
    /// `TimeSeries`: labels 1, samples 2, exemplars 3, histograms 4.
    fn series(self, out: &mut Vec<u8>, message: Message<'a>) -> Result<(), Malformed> {
        for field in message.fields() {
            let field = field?;
            match field.number {
                series::LABELS => self.put_labels(out, &field, true)?,
                series::SAMPLES => put_message(out, 2, |out| self.copy_but(out, field.message()?, 3))?,
                series::EXEMPLARS => put_message(out, 3, |out| self.exemplar(out, field.message()?))?,
                series::HISTOGRAMS => put_message(out, 4, |out| self.copy_but(out, field.message()?, 17))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Its labels are spelled out; everything else is alike.
    fn exemplar(self, out: &mut Vec<u8>, message: Message<'a>) -> Result<(), Malformed> {
        for field in message.fields() {
            let field = field?;
            if field.number == 1 {
                self.put_labels(out, &field, false)?;
            }
        }
        self.copy_but(out, message, 1)
    }

    /// Copies all fields but one.
    fn copy_but(self, out: &mut Vec<u8>, message: Message<'_>, left_out: u32) -> Result<(), Malformed> {
        let mut fields = message.fields();
        while let Some(field) = fields.next() {
            let field = field?;
            if field.number != left_out {
                out.extend_from_slice(&self.source[field.offset..fields.offset()]);
            }
        }
        Ok(())
    }

    /// Labels as fields 1, in order of name.
    fn put_labels(self, out: &mut Vec<u8>, field: &Field<'a>, is_series: bool) -> Result<(), Malformed> {
        let mut labels = self.labels(field)?;
        if is_series && self.how.escape_names {
            escape(&mut labels);
        }
        for (name, value) in &labels {
            put_message(out, 1, |out| {
                put_bytes(out, 1, name);
                put_bytes(out, 2, value);
            });
        }
        Ok(())
    }

    fn labels(self, field: &Field<'a>) -> Result<Vec<Label<'a>>, Malformed> {
        let mut numbers = field.message()?.fields();
        let mut labels = Vec::new();
        while let Some(name) = numbers.next_varint() {
            let value = numbers
                .next_varint()
                .ok_or(Malformed { what: "references to labels are not in pairs", offset: field.offset })?;
            let (name, value) = (self.symbol(name?, field)?, self.symbol(value?, field)?);
            labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        }
        Ok(labels)
    }

    fn symbol(self, number: u64, field: &Field<'_>) -> Result<&'a [u8], Malformed> {
        let symbol = usize::try_from(number).ok().and_then(|number| self.symbols.get(number).copied());
        symbol.ok_or(Malformed { what: "a reference is not that of a symbol", offset: field.offset })
    }

    fn family(self, message: Message<'a>) -> Result<Family<'a>, Malformed> {
        let mut family = Family::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                series::LABELS => {
                    let name = self.labels(&field)?.into_iter().find(|(name, _)| **name == *b"__name__");
                    family.name = name.map_or(Cow::default(), |(_, value)| value);
                }
                series::METADATA => {
                    for field in field.message()?.fields() {
                        let field = field?;
                        match field.number {
                            1 => family.kind = field.varint()?,
                            3 => family.help = self.symbol(field.varint()?, &field)?,
                            4 => family.unit = self.symbol(field.varint()?, &field)?,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        family.trim();
        if self.how.escape_names {
            family.name = escaped(family.name, true);
        }
        Ok(family)
    }
}

impl Family<'_> {
    fn is_known(&self) -> bool {
        !self.name.is_empty() && (self.kind != 0 || !self.help.is_empty() || !self.unit.is_empty())
    }

    /// Takes the suffix of the series off the name.
    fn trim(&mut self) {
        let suffixes: &[&[u8]] = match self.kind {
            3 => &[b"_bucket", b"_sum", b"_count"],
            4 => &[b"_bucket", b"_gsum", b"_gcount"],
            5 => &[b"_sum", b"_count"],
            _ => &[],
        };
        let suffix =
            suffixes.iter().find(|suffix| self.name.ends_with(suffix)).map_or(0, |suffix| suffix.len());
        let len = self.name.len() - suffix;
        match &mut self.name {
            Cow::Borrowed(name) => *name = &name[..len],
            Cow::Owned(name) => name.truncate(len),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_message(out, 3, |out| {
            if self.kind != 0 {
                put_uint(out, 1, self.kind);
            }
            for (field, text) in [(2, &*self.name), (4, self.help), (5, self.unit)] {
                if !text.is_empty() {
                    put_bytes(out, field, text);
                }
            }
        });
    }
}

/// Escapes names; of labels whose names become the same, the first stays.
fn escape(labels: &mut Vec<Label<'_>>) {
    for (name, value) in labels.iter_mut() {
        if **name == *b"__name__" {
            *value = escaped(std::mem::take(value), true);
        } else {
            *name = escaped(std::mem::take(name), false);
        }
    }
    labels.sort_by(|one, other| one.0.cmp(&other.0));
    labels.dedup_by(|later, first| later.0 == first.0);
}

/// A name with an underscore for each character that it may not have, and in front of a digit that comes first.
fn escaped(name: Cow<'_, [u8]>, may_have_colons: bool) -> Cow<'_, [u8]> {
    let is_legal =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && may_have_colons);
    let has_digit_first = name.first().is_some_and(u8::is_ascii_digit);
    if !has_digit_first && name.iter().all(|byte| is_legal(*byte)) {
        return name;
    }
    let mut legal = if has_digit_first { vec![b'_'] } else { Vec::new() };
    // The bytes of a character after its first one have no place of their own.
    let characters = name.iter().filter(|byte| **byte & 0xc0 != 0x80);
    legal.extend(characters.map(|byte| if is_legal(*byte) { *byte } else { b'_' }));
    Cow::Owned(legal)
}
