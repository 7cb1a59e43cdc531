//! Bodies as sealed requests, and back: what the mark of a request says, and how 2.0 becomes 1.0 when it is sent.

use std::sync::Mutex;

use bytes::Bytes;
use pipeline::Sealed;
use wire::compress::{Compressor, DecompressError, Encoding, Limit, decompress};
use wire::remote_write::Protocol;
use wire::remote_write::body::Assembler;
use wire::remote_write::v2::{self, Counts, ToV1};

/// Largest request that is unpacked to be sent in another protocol.
const MAX_REQUEST_BYTES: usize = 1 << 30;

/// What [`pipeline::Head::format`] says of a request of this exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) protocol: Protocol,
    /// Told of 2.0 only.
    pub(super) has_exemplars: bool,
}

impl Format {
    const IS_V2: u8 = 1;
    const HAS_EXEMPLARS: u8 = 2;

    pub(super) fn of(mark: u8) -> Self {
        let protocol = if mark & Self::IS_V2 == 0 { Protocol::V1 } else { Protocol::V2 };
        Self { protocol, has_exemplars: mark & Self::HAS_EXEMPLARS != 0 }
    }

    fn mark(self) -> u8 {
        match self.protocol {
            Protocol::V1 => 0,
            Protocol::V2 if self.has_exemplars => Self::IS_V2 | Self::HAS_EXEMPLARS,
            Protocol::V2 => Self::IS_V2,
        }
    }
}

/// A sealed request that cannot be opened again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It cannot be unpacked.
    #[error("a queued request cannot be unpacked")]
    Packed(#[from] DecompressError),
    /// It is not a request of 2.0.
    #[error("a queued request cannot be rewritten")]
    Message(#[from] wire::Malformed),
}

/// Seals bodies; keeps the memory for it.
#[derive(Debug)]
pub(super) struct Sealer {
    pub(super) to_v1: ToV1,
    tools: Mutex<Vec<Tools>>,
}

#[derive(Debug)]
struct Tools {
    assembler: Assembler,
    compressor: Compressor,
    zstd: Compressor,
}

impl Sealer {
    pub(super) fn new(to_v1: ToV1) -> Self {
        Self { to_v1, tools: Mutex::default() }
    }

    pub(super) fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        let mut tools = self.take();
        let Tools { assembler, compressor, .. } = &mut tools;
        let assembled = assembler.assemble(body, self.to_v1);
        let format = Format { protocol: assembled.protocol, has_exemplars: assembled.has_exemplars };
        let mut payload = Vec::new();
        compressor.compress(assembled.request, &mut payload);
        body.clear();
        self.give_back(tools);
        Sealed { payload: payload.into(), format: format.mark() }
    }

    /// A sealed request of 2.0 as one of 1.0.
    pub(super) fn rewrite(&self, payload: &[u8]) -> Result<Bytes, Unreadable> {
        let mut request = Vec::new();
        v2::to_v1(&unpacked(payload)?, self.to_v1, &mut request)?;
        let mut tools = self.take();
        let mut payload = Vec::new();
        tools.compressor.compress(&request, &mut payload);
        self.give_back(tools);
        Ok(payload.into())
    }

    /// A sealed request, compressed by zstd instead.
    pub(super) fn repack(&self, payload: &[u8]) -> Result<Bytes, Unreadable> {
        let request = unpacked(payload)?;
        let mut tools = self.take();
        let mut payload = Vec::new();
        tools.zstd.compress(&request, &mut payload);
        self.give_back(tools);
        Ok(payload.into())
    }

    fn take(&self) -> Tools {
        let free = self.tools.lock().expect("no code panics while it holds this lock").pop();
        free.unwrap_or_else(|| Tools {
            assembler: Assembler::default(),
            compressor: Compressor::new(Encoding::Snappy, None),
            zstd: Compressor::new(Encoding::Zstd, None),
        })
    }

    fn give_back(&self, tools: Tools) {
        self.tools.lock().expect("no code panics while it holds this lock").push(tools);
    }
}

/// What a sealed request of 2.0 holds.
pub(super) fn count(payload: &[u8]) -> Result<Counts, Unreadable> {
    Ok(v2::count(&unpacked(payload)?)?)
}

fn unpacked(payload: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let mut request = Vec::new();
    decompress(Encoding::Snappy, payload, Limit::bytes(MAX_REQUEST_BYTES), &mut request)?;
    Ok(request)
}
