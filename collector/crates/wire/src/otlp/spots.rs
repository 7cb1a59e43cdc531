//! Where numbers stand in an encoded message, so that the next one like it need not be decoded.

use super::Malformed;
use crate::proto::{Field, Message};

/// Where time and value of a [`super::NumberPoint`] stand: offsets from the start of the resource message, of eight bytes each, little
/// endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberSpot {
    /// Its time, in nanoseconds since the epoch.
    pub time: usize,
    /// Its value.
    pub value: usize,
    /// Whether the value is an integer; else it is a float.
    pub is_int: bool,
}

/// The spots of all points of a resource message, in order. What stands between them says all the rest, so that another message that is the
/// same there has the same metrics, attributes and starts.
///
/// Nothing where something else than plain numbers is in the message: histograms and summaries, exemplars, points without time or value,
/// and those that end their series.
#[must_use]
pub fn number_spots(resource: &[u8]) -> Option<Vec<NumberSpot>> {
    let mut spots = Vec::new();
    let is_plain = walk(resource, &mut spots).unwrap_or(false);
    is_plain.then_some(spots)
}

fn walk(resource: &[u8], spots: &mut Vec<NumberSpot>) -> Result<bool, Malformed> {
    for scope in Message::new(resource).fields() {
        let scope = scope?;
        if scope.number != 2 {
            continue;
        }
        for metric in scope.message()?.fields() {
            let metric = metric?;
            if metric.number == 2 && !metric_spots(resource, metric.message()?, spots)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn metric_spots(
    resource: &[u8],
    metric: Message<'_>,
    spots: &mut Vec<NumberSpot>,
) -> Result<bool, Malformed> {
    let mut has_data = false;
    for data in metric.fields() {
        let data = data?;
        match data.number {
            // Of two the last one is read.
            5 | 7 if std::mem::replace(&mut has_data, true) => return Ok(false),
            5 | 7 => {}
            9..=11 => return Ok(false),
            _ => continue,
        }
        for point in data.message()?.fields() {
            let point = point?;
            if point.number != 1 {
                continue;
            }
            match number_spot(resource, point.message()?)? {
                Some(spot) => spots.push(spot),
                None => return Ok(false),
            }
        }
    }
    Ok(true)
}

fn number_spot(resource: &[u8], point: Message<'_>) -> Result<Option<NumberSpot>, Malformed> {
    let (mut time, mut value) = (None, None);
    for field in point.fields() {
        let field = field?;
        let is_first = match field.number {
            3 => time.replace(start_of(resource, &field)).is_none(),
            4 | 6 => value.replace((start_of(resource, &field), field.number == 6)).is_none(),
            5 => false,
            8 => field.uint32()? == 0,
            _ => true,
        };
        if !is_first {
            return Ok(None);
        }
    }
    let (Some(Some(time)), Some((Some(value), is_int))) = (time, value) else { return Ok(None) };
    Ok(Some(NumberSpot { time, value, is_int }))
}

/// Where the eight bytes of a field begin: behind its tag, which of these fields is one byte as everybody writes it.
fn start_of(resource: &[u8], field: &Field<'_>) -> Option<usize> {
    const FIXED64: u8 = 1;
    let tag = (u8::try_from(field.number).ok()? << 3) | FIXED64;
    (resource.get(field.offset) == Some(&tag)).then_some(field.offset + 1)
}
