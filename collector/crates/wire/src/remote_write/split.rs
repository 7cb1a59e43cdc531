//! A request in two halves, for receivers that find it too large or reject it because of something in it.
//!
//! A series is the smallest part. Our own requests have one sample or histogram a series, so that is as fine as can be.

use std::ops::Range;

use crate::proto::{Malformed, Message};

use super::{Protocol, v2};

/// A part of a request: a request of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Not compressed.
    pub request: Vec<u8>,
    /// Samples and histograms in it.
    pub n_items: u64,
    /// Time of the oldest of them, in milliseconds since the epoch.
    pub oldest: i64,
    /// Time of the newest of them, in milliseconds since the epoch.
    pub newest: i64,
}

/// Cuts a request into two of about as many samples and histograms, the first series in the first. What 1.0 says of families
/// stays with the first. `None` when there is but one series.
///
/// # Errors
/// When the bytes are no request of this protocol, or refer to symbols that are not there.
pub fn split(protocol: Protocol, request: &[u8]) -> Result<Option<[Part; 2]>, Malformed> {
    let (series, rest) = read(protocol, request)?;
    let Some(at) = middle(&series) else { return Ok(None) };
    let (first, second) = series.split_at(at);
    let part = |series: &[Series], rest: &[Range<usize>]| -> Result<Part, Malformed> {
        let places = series.iter().map(|series| &series.place).chain(rest);
        let request = match protocol {
            Protocol::V1 => places.flat_map(|place| &request[place.clone()]).copied().collect(),
            Protocol::V2 => v2::with_symbols_of(request, places)?,
        };
        Ok(Part {
            request,
            n_items: series.iter().map(|series| series.n_items).sum(),
            oldest: series.iter().map(|series| series.oldest).min().unwrap_or_default(),
            newest: series.iter().map(|series| series.newest).max().unwrap_or_default(),
        })
    };
    Ok(Some([part(first, &rest)?, part(second, &[])?]))
}

/// A series of a request.
struct Series {
    /// Where it lies, with tag and length.
    place: Range<usize>,
    n_items: u64,
    oldest: i64,
    newest: i64,
}

/// The series of a request, and where everything else lies but symbols.
fn read(protocol: Protocol, request: &[u8]) -> Result<(Vec<Series>, Vec<Range<usize>>), Malformed> {
    let (series_field, symbols_field) = match protocol {
        Protocol::V1 => (1, None),
        Protocol::V2 => (v2::SERIES, Some(v2::SYMBOLS)),
    };
    let (mut all, mut rest) = (Vec::new(), Vec::new());
    let mut fields = Message::new(request).fields();
    while let Some(field) = fields.next() {
        let field = field?;
        let place = field.offset..fields.offset();
        if field.number == series_field {
            all.push(Series::read(protocol, field.message()?, place)?);
        } else if Some(field.number) != symbols_field {
            rest.push(place);
        }
    }
    Ok((all, rest))
}

impl Series {
    fn read(protocol: Protocol, message: Message<'_>, place: Range<usize>) -> Result<Self, Malformed> {
        let histograms_field = if protocol == Protocol::V1 { 4 } else { 3 };
        let mut series = Self { place, n_items: 0, oldest: i64::MAX, newest: i64::MIN };
        for field in message.fields() {
            let field = field?;
            // The field of its time.
            let time_field = match field.number {
                2 => 2,
                number if number == histograms_field => 15,
                _ => continue,
            };
            let mut at = 0;
            for field in field.message()?.fields() {
                let field = field?;
                if field.number == time_field {
                    at = field.varint()? as i64;
                }
            }
            series.n_items += 1;
            series.oldest = series.oldest.min(at);
            series.newest = series.newest.max(at);
        }
        Ok(series)
    }
}

/// The first series of the second half.
fn middle(series: &[Series]) -> Option<usize> {
    let n_items: u64 = series.iter().map(|series| series.n_items).sum();
    let mut n_before = 0;
    let at = series.iter().position(|series| {
        n_before += series.n_items;
        n_before * 2 > n_items
    })?;
    // Neither half is empty.
    (series.len() > 1).then(|| at.clamp(1, series.len() - 1))
}

#[cfg(test)]
mod tests;
