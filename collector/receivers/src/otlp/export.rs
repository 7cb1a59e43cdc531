//! One export request, whatever it came over.

use bytes::Bytes;
use model::{Batch, Signal};
use pipeline::{Outlets, Refused};
use wire::Malformed;

/// Why an export was not taken.
#[derive(Debug)]
pub(super) enum Failed {
    /// The request is not OTLP.
    Malformed(Malformed),
    /// A pipeline said no.
    Refused(Refused),
}

/// Gives the resources of an encoded request to the pipelines. A request without items is fine and disturbs nobody.
pub(super) async fn export(signal: Signal, request: &Bytes, out: &Outlets) -> Result<(), Failed> {
    let frames = wire::otlp::resources_of_request(signal, request).map_err(Failed::Malformed)?;
    for resource in &frames.resources {
        wire::otlp::check(signal, resource).map_err(Failed::Malformed)?;
    }
    if frames.n_items == 0 {
        return Ok(());
    }
    out.send(Batch::from_frames(signal, frames)).await.map_err(Failed::Refused)
}

/// google.rpc codes.
pub(super) mod code {
    /// The client sent nonsense.
    pub(crate) const INVALID_ARGUMENT: i32 = 3;
    /// A limit was exceeded.
    pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
    /// Nobody serves that.
    pub(crate) const UNIMPLEMENTED: i32 = 12;
    /// It will not work later either.
    pub(crate) const INTERNAL: i32 = 13;
    /// It may work later.
    pub(crate) const UNAVAILABLE: i32 = 14;
}

impl Failed {
    /// google.rpc code and message.
    pub(super) fn status(&self) -> (i32, String) {
        match self {
            Self::Malformed(error) => (code::INVALID_ARGUMENT, error.to_string()),
            Self::Refused(refused) if refused.is_temporary() => (code::UNAVAILABLE, refused.to_string()),
            Self::Refused(refused) => (code::INTERNAL, refused.to_string()),
        }
    }
}
