//! How far a request has come, and reading what it brought.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Error as PoolError;
use hyper_util::client::legacy::connect::CaptureConnection;

use super::destination::Place;
use super::http1::AnswerError;
use crate::connect::Uses;
use crate::error::{BoxError, FromCause, NetError, Phase};

/// What a peer only announces is not allocated beyond this.
pub(super) const MAX_RESERVED: usize = 8 << 20;

/// How far a request has come, for the error that ends it.
pub(super) struct Progress {
    place: Mutex<Arc<Place>>,
    connection: Mutex<Option<CaptureConnection>>,
    is_connected: AtomicBool,
    is_reading: AtomicBool,
}

impl Progress {
    pub(super) fn new(place: &Arc<Place>) -> Self {
        Self {
            place: Mutex::new(Arc::clone(place)),
            connection: Mutex::new(None),
            is_connected: AtomicBool::new(false),
            is_reading: AtomicBool::new(false),
        }
    }

    pub(super) fn enter(&self, place: &Arc<Place>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(place);
        self.is_connected.store(false, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.is_connected.store(true, Ordering::Relaxed);
    }

    /// The head of the answer is there.
    pub(super) fn reading(&self) {
        self.is_reading.store(true, Ordering::Relaxed);
    }

    pub(super) fn watch(&self, connection: CaptureConnection) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    pub(super) fn peer(&self) -> String {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).peer().to_owned()
    }

    pub(super) fn phase(&self) -> Phase {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let is_connected = self.is_connected.load(Ordering::Relaxed)
            || connection.as_ref().is_some_and(|capture| capture.connection_metadata().is_some());
        match (self.is_reading.load(Ordering::Relaxed), is_connected) {
            (true, _) => Phase::Reading,
            (false, true) => Phase::Waiting,
            (false, false) => Phase::Connecting,
        }
    }

    pub(super) fn failed(&self, error: PoolError) -> NetError {
        if error.is_connect() {
            return NetError::Connect { peer: self.peer(), source: FromCause(error.into()).into() };
        }
        let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
        if cause.is_some_and(is_head_too_large) {
            return NetError::HeadTooLarge { peer: self.peer() };
        }
        self.broken(FromCause(error.into()))
    }

    /// As [`Self::failed`], without a pool.
    pub(super) fn lane_failed(&self, error: AnswerError) -> NetError {
        match error {
            AnswerError::HeadTooLarge => NetError::HeadTooLarge { peer: self.peer() },
            error => self.broken(error),
        }
    }

    pub(super) fn broken(&self, source: impl Into<BoxError>) -> NetError {
        NetError::Broken { peer: self.peer(), during: self.phase(), source: source.into() }
    }
}

/// How much of a body is read, and how much of that is held at once.
#[derive(Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) most: usize,
    pub(super) kept: usize,
    /// A longer body is cut, not refused.
    pub(super) is_cut: bool,
}

/// Reads a body to its end, and what is said behind it. `buffer` is taken for a body of several pieces.
pub(super) async fn read_body(
    body: &mut Incoming,
    limits: BodyLimits,
    progress: &Progress,
    buffer: &mut BytesMut,
) -> Result<(Bytes, HeaderMap), NetError> {
    progress.reading();
    let limit = limits.most;
    let too_large = || NetError::BodyTooLarge { peer: progress.peer(), limit };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && !limits.is_cut {
        return Err(too_large());
    }
    let mut whole = Bytes::new();
    let mut pieces = std::mem::take(buffer);
    pieces.clear();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| progress.broken(error))?.into_data() {
            Ok(piece) => {
                let n_before = whole.len() + pieces.len();
                let n_read = n_before + piece.len();
                if n_read > limit && limits.is_cut {
                    pieces.extend_from_slice(&std::mem::take(&mut whole));
                    pieces.extend_from_slice(&piece[..limit - n_before]);
                    break;
                }
                if n_read > limit {
                    return Err(too_large());
                }
                if n_read > limits.kept {
                    drop((whole, pieces));
                    return Err(count(body, n_read, limits, progress).await);
                }
                if whole.is_empty() && pieces.is_empty() {
                    // Most answers are one piece, which is not copied.
                    whole = piece;
                    continue;
                }
                if pieces.is_empty() {
                    let n_seen = whole.len() + piece.len();
                    pieces.reserve(announced.min(MAX_RESERVED).min(limits.kept).max(n_seen));
                    pieces.extend_from_slice(&std::mem::take(&mut whole));
                }
                pieces.extend_from_slice(&piece);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let body = if pieces.is_empty() { whole } else { pieces.freeze() };
    Ok((body, trailers))
}

/// Reads on without keeping anything. Gives the size as the error that it is, or the error that came before.
async fn count(body: &mut Incoming, mut n_read: usize, limits: BodyLimits, progress: &Progress) -> NetError {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => n_read += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return progress.broken(error),
        }
        if n_read > limits.most {
            return NetError::BodyTooLarge { peer: progress.peer(), limit: limits.most };
        }
    }
    NetError::BodyNotKept { peer: progress.peer(), size: n_read, kept: limits.kept }
}

/// Over HTTP/1 hyper says so; of HTTP/2 only the reason for ending the connection tells, and a head that is only somewhat
/// too large looks like any other error of the protocol.
fn is_head_too_large(error: &hyper::Error) -> bool {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    error.is_parse_too_large() || reason.contains("header_list_way_too_large")
}

/// The connection had been used before and broke before an answer began.
pub(super) fn was_stale(error: &PoolError) -> bool {
    let mut extensions = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let was_used = extensions.get::<Uses>().is_some_and(Uses::is_marked);
    was_used && !error.is_connect()
}
