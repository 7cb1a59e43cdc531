//! Some series of a request, with the symbols that they need.

use std::ops::Range;

use super::renumber::Renumber;
use super::{SERIES, SYMBOLS, series};
use crate::proto::{Field, Malformed, Message, put_bytes, put_message};

/// A request of the series that lie at these places of a request.
///
/// # Errors
/// When there are no series, or when they refer to symbols that are not there.
pub(in crate::remote_write) fn with_symbols_of<'a>(
    request: &[u8],
    places: impl Iterator<Item = &'a Range<usize>> + Clone,
) -> Result<Vec<u8>, Malformed> {
    let mut symbols = Vec::new();
    for field in Message::new(request).fields() {
        let field = field?;
        if field.number == SYMBOLS {
            symbols.push(field.bytes()?);
        }
    }
    let all = || places.clone().flat_map(|place| Message::new(&request[place.clone()]).fields());
    let mut used = vec![false; symbols.len()];
    // The empty one always stands first.
    if let Some(first) = used.first_mut() {
        *first = true;
    }
    for field in all() {
        let field = field?;
        if field.number == SERIES {
            mark(field.message()?, &mut used)?;
        }
    }
    let mut out = Vec::new();
    let mut numbers = vec![0; symbols.len()];
    let kept = symbols.iter().enumerate().filter(|(index, _)| used[*index]);
    for (number, (index, symbol)) in (0..).zip(kept) {
        put_bytes(&mut out, SYMBOLS, symbol);
        numbers[index] = number;
    }
    for place in places {
        let source = &request[place.clone()];
        let renumber = Renumber { numbers: &numbers, source };
        for field in Message::new(source).fields() {
            let field = field?;
            if field.number == SERIES {
                put_message(&mut out, SERIES, |out| renumber.series(out, field.message()?))?;
            }
        }
    }
    Ok(out)
}

/// Marks the symbols that a series refers to.
fn mark(message: Message<'_>, used: &mut [bool]) -> Result<(), Malformed> {
    for field in message.fields() {
        let field = field?;
        match field.number {
            series::LABELS => mark_packed(&field, used)?,
            series::EXEMPLARS => {
                for field in field.message()?.fields() {
                    let field = field?;
                    if field.number == 1 {
                        mark_packed(&field, used)?;
                    }
                }
            }
            series::METADATA => {
                for field in field.message()?.fields() {
                    let field = field?;
                    if matches!(field.number, 3 | 4) {
                        mark_one(field.varint()?, &field, used)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn mark_packed(field: &Field<'_>, used: &mut [bool]) -> Result<(), Malformed> {
    let mut numbers = field.message()?.fields();
    while let Some(number) = numbers.next_varint() {
        mark_one(number?, field, used)?;
    }
    Ok(())
}

fn mark_one(number: u64, field: &Field<'_>, used: &mut [bool]) -> Result<(), Malformed> {
    let symbol = usize::try_from(number).ok().and_then(|number| used.get_mut(number));
    *symbol.ok_or(Malformed { what: "a reference is not that of a symbol", offset: field.offset })? = true;
    Ok(())
}
