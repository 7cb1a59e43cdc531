//! Requests as lists of frames: taken apart, counted, cut and put together without decoding.
//!
//! An OTLP request is a list of resource messages in field 1, so batching is concatenation and only a cut through a
//! resource has to write new lengths. Cutting follows the Go collector's `batch` processor: both halves carry the
//! resource, the scope and, for metrics, the metric's own fields; points of one metric may be separated.

use bytes::Bytes;
use model::{Frames, Signal};

use super::{Malformed, Message};
use crate::proto::{Field, put_bytes, put_message, varint_len};

/// Field numbers that lead from a resource message to its items, level by level.
type Path = &'static [&'static [u32]];

const SCOPES: &[u32] = &[2];
const ITEMS: &[u32] = &[2];
const DATA: &[u32] = &[5, 7, 9, 10, 11];
const POINTS: &[u32] = &[1];

fn path_of(signal: Signal) -> Path {
    match signal {
        Signal::Metrics => &[SCOPES, ITEMS, DATA, POINTS],
        Signal::Logs | Signal::Traces => &[SCOPES, ITEMS],
    }
}

/// Points, records or spans in one encoded resource message.
pub fn count_items(signal: Signal, resource: &[u8]) -> Result<usize, Malformed> {
    count(Message::new(resource), path_of(signal))
}

/// Metrics in one encoded resource message.
pub fn count_metrics(resource: &[u8]) -> Result<usize, Malformed> {
    count(Message::new(resource), &[SCOPES, ITEMS])
}

fn count(message: Message<'_>, path: Path) -> Result<usize, Malformed> {
    let (numbers, rest) = path.split_first().expect("a path has at least one level");
    let mut n_items = 0;
    for field in message.fields() {
        let field = field?;
        if numbers.contains(&field.number) {
            let inner = field.message()?;
            n_items += if rest.is_empty() { 1 } else { count(inner, rest)? };
        }
    }
    Ok(n_items)
}

/// Takes an `Export*ServiceRequest` apart. The frames share the request's buffer.
///
/// Looks only as deep as counting needs; [`super::check`] looks at everything.
pub fn resources_of_request(signal: Signal, request: &Bytes) -> Result<Frames, Malformed> {
    let mut frames = Frames::default();
    for field in Message::new(request).fields() {
        let field = field?;
        if field.number == 1 {
            let resource = field.message()?;
            let start = resource.offset();
            frames.n_items += count(resource, path_of(signal))?;
            frames.resources.push(request.slice(start..start + resource.bytes().len()));
        }
    }
    Ok(frames)
}

/// Puts an `Export*ServiceRequest` together.
#[must_use]
pub fn request_of(frames: &Frames) -> Vec<u8> {
    let n_bytes =
        frames.resources.iter().map(|resource| 1 + varint_len(resource.len() as u64) + resource.len()).sum();
    let mut request = Vec::with_capacity(n_bytes);
    for resource in &frames.resources {
        put_bytes(&mut request, 1, resource);
    }
    request
}

/// Takes the first `n` items out of `frames`; all of them where there are not more.
///
/// Whole frames are moved. Only a frame that holds more than what is still wanted is cut, which copies it.
/// On an error `frames` is as it was before.
pub fn take(signal: Signal, frames: &mut Frames, n: usize) -> Result<Frames, Malformed> {
    if n >= frames.n_items {
        return Ok(std::mem::take(frames));
    }
    let (mut n_whole, mut left) = (0, n);
    let mut halves = None;
    for resource in &frames.resources {
        let n_items = count_items(signal, resource)?;
        if n_items > left {
            halves = (left > 0).then(|| cut_resource(signal, resource, left)).transpose()?;
            break;
        }
        left -= n_items;
        n_whole += 1;
    }
    let mut taken: Vec<Bytes> = frames.resources.drain(..n_whole).collect();
    if let Some((head, tail)) = halves {
        taken.push(head);
        frames.resources[0] = tail;
    }
    frames.n_items -= n;
    Ok(Frames { resources: taken, n_items: n })
}

fn cut_resource(signal: Signal, resource: &Bytes, n: usize) -> Result<(Bytes, Bytes), Malformed> {
    let mut left = n;
    let (mut head, mut tail) = (Vec::with_capacity(resource.len()), Vec::with_capacity(resource.len()));
    cut(Message::new(resource), path_of(signal), &mut left, &mut head, &mut tail)?;
    head.shrink_to_fit();
    tail.shrink_to_fit();
    Ok((head.into(), tail.into()))
}

/// Copies `message` into two: what is not on the path goes to both, items go to `head` until `left` is used up.
fn cut(
    message: Message<'_>,
    path: Path,
    left: &mut usize,
    head: &mut Vec<u8>,
    tail: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let (numbers, rest) = path.split_first().expect("a path has at least one level");
    let mut fields = message.fields();
    loop {
        let start = fields.offset();
        let Some(field) = fields.next() else { return Ok(()) };
        let field: Field<'_> = field?;
        let raw = &message.bytes()[start - message.offset()..fields.offset() - message.offset()];
        if !numbers.contains(&field.number) {
            head.extend_from_slice(raw);
            tail.extend_from_slice(raw);
            continue;
        }
        let inner = field.message()?;
        let n_items = if rest.is_empty() { 1 } else { count(inner, rest)? };
        if n_items <= *left {
            *left -= n_items;
            head.extend_from_slice(raw);
        } else if *left == 0 {
            tail.extend_from_slice(raw);
        } else {
            put_message(head, field.number, |head| {
                put_message(tail, field.number, |tail| cut(inner, rest, left, head, tail))
            })?;
        }
    }
}
