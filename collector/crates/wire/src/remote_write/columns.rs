//! A request of remote write 1.0 or 2.0 taken apart into what changes with every scrape and what does not.
//!
//! Values and times go into columns; the rest, which is labels, symbols and whatever else there is, is then the same for every
//! scrape of a target whose series stand still, and columns of neighbouring scrapes differ in few bits. Lengths are left out
//! and computed anew, since they change with a value that becomes zero. What is put together again is what the writers of
//! this crate write; whoever has a request of others compares before the original is thrown away.

use crate::proto::{put_varint, varint_len};

/// `TimeSeries` in a request of 1.0 and of 2.0, as tags.
const SERIES: [u8; 2] = [0x0a, 0x2a];
/// `TimeSeries.samples` in both.
const SAMPLE: u8 = 0x12;
/// No field has these tags: a sample in the columns, one with a start time, the end of a series.
const IN_COLUMNS: u8 = 0;
const WITH_START: u8 = 1;
const END: u8 = 2;

/// A request in columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Everything but values and times, with marks where samples stood.
    pub rest: Vec<u8>,
    /// Bits of the values, in order.
    pub values: Vec<u64>,
    /// Times in milliseconds, in order.
    pub times: Vec<i64>,
}

/// Takes an uncompressed request apart. `None` when it has no such form.
#[must_use]
pub fn split(body: &[u8]) -> Option<Columns> {
    let mut columns = Columns { rest: Vec::with_capacity(body.len()), ..Columns::default() };
    let mut fields = Fields { rest: body };
    while !fields.rest.is_empty() {
        let field = fields.next()?;
        columns.rest.push(field.tag);
        if !SERIES.contains(&field.tag) {
            columns.rest.extend_from_slice(field.tail);
            continue;
        }
        let mut inner = Fields { rest: field.content };
        while !inner.rest.is_empty() {
            let field = inner.next()?;
            let sample = (field.tag == SAMPLE).then(|| sample(field.content)).flatten();
            match sample {
                Some((value, time, start)) => {
                    columns.values.push(value);
                    columns.times.push(time);
                    columns.rest.push(if start == 0 { IN_COLUMNS } else { WITH_START });
                    if start != 0 {
                        put_varint(&mut columns.rest, start);
                    }
                }
                None => {
                    columns.rest.push(field.tag);
                    columns.rest.extend_from_slice(field.tail);
                }
            }
        }
        columns.rest.push(END);
    }
    Some(columns)
}

/// Puts a request together again. `None` when the columns are not those of a request.
#[must_use]
pub fn join(columns: &Columns) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(columns.rest.len() + columns.values.len() * 20);
    let mut samples = columns.values.iter().zip(&columns.times);
    let mut fields = Fields { rest: &columns.rest };
    let mut series = Vec::new();
    while let Some(tag) = fields.rest.first().copied() {
        if !SERIES.contains(&tag) {
            let field = fields.next()?;
            body.push(field.tag);
            body.extend_from_slice(field.tail);
            continue;
        }
        fields.rest = &fields.rest[1..];
        series.clear();
        loop {
            match fields.rest.first().copied()? {
                END => break fields.rest = &fields.rest[1..],
                mark @ (IN_COLUMNS | WITH_START) => {
                    fields.rest = &fields.rest[1..];
                    let start = if mark == WITH_START { fields.varint()? } else { 0 };
                    let (value, time) = samples.next()?;
                    put_sample(&mut series, *value, *time, start);
                }
                _ => {
                    let field = fields.next()?;
                    series.push(field.tag);
                    series.extend_from_slice(field.tail);
                }
            }
        }
        body.push(tag);
        put_varint(&mut body, series.len() as u64);
        body.extend_from_slice(&series);
    }
    samples.next().is_none().then_some(body)
}

/// Value, time and start time of a sample that has nothing else, in order.
fn sample(content: &[u8]) -> Option<(u64, i64, u64)> {
    let mut fields = Fields { rest: content };
    let mut value = 0;
    if let [0x09, rest @ ..] = content {
        let (bits, rest) = rest.split_first_chunk::<8>()?;
        value = u64::from_le_bytes(*bits);
        fields.rest = rest;
    }
    let mut number = |tag: u8| match fields.rest {
        [first, rest @ ..] if *first == tag => {
            fields.rest = rest;
            fields.varint()
        }
        _ => Some(0),
    };
    let (time, start) = (number(0x10)?, number(0x18)?);
    fields.rest.is_empty().then_some((value, time.cast_signed(), start))
}

fn put_sample(out: &mut Vec<u8>, value: u64, time: i64, start: u64) {
    let number = |number: u64| if number == 0 { 0 } else { 1 + varint_len(number) };
    let len = if value == 0 { 0 } else { 9 } + number(time.cast_unsigned()) + number(start);
    out.push(SAMPLE);
    put_varint(out, len as u64);
    if value != 0 {
        out.push(0x09);
        out.extend_from_slice(&value.to_le_bytes());
    }
    for (tag, number) in [(0x10, time.cast_unsigned()), (0x18, start)] {
        if number != 0 {
            out.push(tag);
            put_varint(out, number);
        }
    }
}

/// Fields with tags of one byte.
struct Fields<'a> {
    rest: &'a [u8],
}

struct Field<'a> {
    tag: u8,
    /// Everything behind the tag.
    tail: &'a [u8],
    /// What a length stands in front of; empty for others.
    content: &'a [u8],
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<Field<'a>> {
        let (tag, tail) = self.rest.split_first()?;
        if *tag < 8 || *tag >= 0x80 {
            return None;
        }
        self.rest = tail;
        let mut content = &[][..];
        match tag & 7 {
            0 => drop(self.varint()?),
            1 => self.rest = self.rest.get(8..)?,
            5 => self.rest = self.rest.get(4..)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                (content, self.rest) = self.rest.split_at_checked(len)?;
            }
            _ => return None,
        }
        Some(Field { tag: *tag, tail: &tail[..tail.len() - self.rest.len()], content })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::remote_write::v1;

    fn body(values: &[(u64, i64)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (index, sample) in values.iter().enumerate() {
            let name = format!("series_{index}");
            let labels = [("__name__", &*name), ("job", "a")];
            v1::append_series(&mut body, labels.into_iter(), &[*sample, *sample], std::iter::empty());
        }
        body
    }

    proptest! {
        #[test]
        fn what_our_writer_wrote_comes_back(values in proptest::collection::vec((any::<u64>(), any::<i64>()), 0..9)) {
            let body = body(&values);
            let columns = split(&body).unwrap();
            prop_assert_eq!(columns.values.len(), 2 * values.len());
            prop_assert_eq!(join(&columns), Some(body));
        }

        #[test]
        fn anything_comes_back_or_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(columns) = split(&bytes) {
                // Lengths may have been written in another way; then only the comparison tells.
                let _joined = join(&columns);
            }
            let _joined = join(&Columns { rest: bytes, values: vec![1, 2], times: vec![3, 4] });
        }
    }

    #[test]
    fn scrapes_of_the_same_series_differ_in_their_columns_alone() {
        let one = split(&body(&[(0, 1000), (1f64.to_bits(), 1000)])).unwrap();
        let two = split(&body(&[(2f64.to_bits(), 16000), (0, 16000)])).unwrap();
        assert_eq!(one.rest, two.rest);
        assert_ne!(one.values, two.values);
    }
}
