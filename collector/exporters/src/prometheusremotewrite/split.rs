//! Cutting a sealed request in two.

use model::Timestamp;
use pipeline::Request;
use wire::compress::{DecompressError, Encoding, Limit, compress, decompress};
use wire::remote_write::{self, Part, Protocol};

/// Largest request that is unpacked to be cut.
const MAX_REQUEST_BYTES: usize = 1 << 30;

/// A sealed request that cannot be cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It cannot be unpacked.
    #[error("a queued request cannot be unpacked")]
    Packed(#[from] DecompressError),
    /// It is not what its mark says.
    #[error("a queued request cannot be read")]
    Message(#[from] wire::Malformed),
}

/// Two requests that say together what this one says, sealed alike. `None` where there is but one series.
pub(super) fn split(request: &Request, protocol: Protocol) -> Result<Option<[Request; 2]>, Unreadable> {
    let mut plain = Vec::new();
    decompress(Encoding::Snappy, &request.payload, Limit::bytes(MAX_REQUEST_BYTES), &mut plain)?;
    let Some(parts) = remote_write::split(protocol, &plain)? else { return Ok(None) };
    Ok(Some(parts.map(|part| sealed(request, &part))))
}

fn sealed(whole: &Request, part: &Part) -> Request {
    let mut payload = Vec::new();
    compress(Encoding::Snappy, &part.request, &mut payload);
    let mut request = Request { payload: payload.into(), head: whole.head };
    let head = &mut request.head;
    (head.n_items, head.oldest, head.newest) = (part.n_items, Timestamp(part.oldest), Timestamp(part.newest));
    request
}
