//! From the bytes of an answer to samples: the part of a scrape that costs CPU.
//!
//! As Prometheus `scrape` (`readResponse`, `append`): only `gzip` is decompressed, anything else is parsed as
//! it came; a body that reaches `body_size_limit` is too large; an empty one is a good scrape without
//! samples; one whose content is wrong has its size reported all the same.
//!
//! Different on purpose: where nothing is configured there are limits all the same, and what a small body inflates to is
//! measured before it is kept, unless the target had a body as large as that before (see [`crate::large`]).

use std::sync::{Mutex, PoisonError};

use exposition::Format;
use model::Timestamp;
use wire::compress::{DecompressError, Decompressor, Encoding, Limit};

use crate::bounds::Bounds;
use crate::cache::Cache;
use crate::counting::Counter;
use crate::large::allowance;
use crate::output::Counts;
use crate::{Fetched, Job, ScrapeError};

/// Buffers of up to this size are kept although a smaller one would do.
const SMALL_BUFFER: usize = 8 << 20;

/// How a scrape went.
#[derive(Debug)]
pub(crate) struct Digested {
    pub(crate) counts: Counts,
    pub(crate) error: Option<ScrapeError>,
    /// For `scrape_body_size_bytes`.
    pub(crate) body_bytes: i64,
}

/// Lets the cache take what was fetched; a failure is taken as nothing. `proven` is how large a body of the target was
/// before, see [`crate::large::Proven::inflated`].
pub(crate) fn digest(
    fetched: Result<Fetched, ScrapeError>,
    job: &Job,
    at: Timestamp,
    cache: &mut Cache,
    buffers: &Buffers,
    proven: usize,
) -> Digested {
    let outcome = match fetched {
        Ok(fetched) => buffers.with(|buffer| take(&fetched, job, at, cache, buffer, proven)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(n_bytes) => Digested { counts: cache.counts(), error: None, body_bytes: size(n_bytes) },
        Err(Failed { error, n_bytes, was_seen }) => {
            if !was_seen {
                cache.ingest_nothing(at);
            }
            let body_bytes = match n_bytes {
                Some(n_bytes) => size(n_bytes),
                None if error.kind() == crate::Failure::BodySizeLimit => -1,
                None => 0,
            };
            Digested { counts: cache.counts(), error: Some(error), body_bytes }
        }
    }
}

fn size(n_bytes: usize) -> i64 {
    i64::try_from(n_bytes).unwrap_or(i64::MAX)
}

/// A scrape that failed, and how far it came.
struct Failed {
    error: ScrapeError,
    /// Size of the body, where there was one that could be read: what is wrong with its content does not change it.
    n_bytes: Option<usize>,
    /// Whether the cache has seen the scrape already.
    was_seen: bool,
}

impl From<ScrapeError> for Failed {
    fn from(error: ScrapeError) -> Self {
        Self { error, n_bytes: None, was_seen: false }
    }
}

/// Gives the size of the body.
fn take(
    fetched: &Fetched,
    job: &Job,
    at: Timestamp,
    cache: &mut Cache,
    buffer: &mut Buffer,
    proven: usize,
) -> Result<usize, Failed> {
    let content_type = fetched.content_type.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let format = exposition::format_of(content_type.as_deref(), job.fallback());
    let is_protobuf = format.as_ref().is_ok_and(|(format, _)| *format == Format::Protobuf);
    let bounds = Bounds::of(job, if is_protobuf { Counter::messages() } else { Counter::lines() });
    let body = buffer.inflate(fetched, bounds, proven)?;
    let n_bytes = Some(body.len());
    if body.is_empty() {
        cache.ingest_nothing(at);
        return Ok(0);
    }
    let unread = |error| Failed { error, n_bytes, was_seen: false };
    let (format, warning) = format.map_err(|error| unread(ScrapeError::ContentType(error.to_string())))?;
    bounds.check_samples(body).map_err(unread)?;
    if let Some(warning) = warning {
        tracing::debug!(job = job.name(), %warning, "content type says nothing useful");
    }
    cache.ingest(body, format, at).map_err(|error| Failed { error, n_bytes, was_seen: true })?;
    Ok(body.len())
}

/// Buffers for decompressed bodies, used again and again: as many as scrapes are digested at the same time.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Mutex<Vec<Buffer>>,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    decompressor: Decompressor,
}

impl Buffers {
    fn with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> T {
        // No code of others runs under the lock.
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = free().pop().unwrap_or_default();
        let outcome = work(&mut buffer);
        if buffer.bytes.capacity() > SMALL_BUFFER && buffer.bytes.len() < buffer.bytes.capacity() / 4 {
            buffer.bytes = Vec::new();
        }
        free().push(buffer);
        outcome
    }
}

impl Buffer {
    /// The body, decompressed if need be.
    fn inflate<'a>(
        &'a mut self,
        fetched: &'a Fetched,
        bounds: Bounds,
        proven: usize,
    ) -> Result<&'a [u8], ScrapeError> {
        let max_bytes = bounds.max_bytes();
        if fetched.content_encoding.as_ref().is_none_or(|encoding| encoding != "gzip") {
            let is_small = fetched.body.len() <= max_bytes;
            return if is_small { Ok(&fetched.body) } else { Err(bounds.too_large()) };
        }
        // So much is tried at once; more is measured first.
        let at_once = max_bytes.min(allowance(proven));
        let mut inflated = self.gunzip(fetched, at_once);
        if at_once < max_bytes && matches!(inflated, Err(DecompressError::MaxBytes { .. })) {
            let size = bounds.measure(&fetched.body)?;
            inflated = self.gunzip(fetched, size);
        }
        inflated.map_err(|error| bounds.failed(&error))?;
        Ok(&self.bytes)
    }

    fn gunzip(&mut self, fetched: &Fetched, max_bytes: usize) -> Result<(), DecompressError> {
        let allowed = Limit::bytes(max_bytes);
        self.decompressor.decompress(Encoding::Gzip, &fetched.body, allowed, &mut self.bytes)
    }
}
