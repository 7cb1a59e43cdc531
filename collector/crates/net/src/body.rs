//! Bodies of requests and answers on the server's side, and how they are read.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep_until};
use wire::compress::{DecompressError, Encoding, Limit, decompress};

use crate::error::BoxError;

/// A body: nothing, bytes, bytes with trailers (gRPC), what a client sends, or a stream.
#[derive(Default)]
pub struct Body {
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes {
        data: Bytes,
        trailers: Option<HeaderMap>,
    },
    Incoming {
        body: Incoming,
        /// When the client must have sent everything.
        deadline: Option<Pin<Box<Sleep>>>,
    },
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Bytes, then headers. HTTP/1 clients see the trailers only when they ask for them; gRPC needs HTTP/2
    /// anyway.
    #[must_use]
    pub fn with_trailers(data: impl Into<Bytes>, trailers: HeaderMap) -> Self {
        Self { kind: Kind::Bytes { data: data.into(), trailers: Some(trailers) } }
    }

    /// Pieces that are made while they are sent.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { kind: Kind::Stream(body.map_err(Into::into).boxed_unsync()) }
    }

    /// Pieces that are made one after the other, each when there is room to send it.
    pub fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        let frames = pieces.map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
        Self::stream(StreamBody::new(futures_util::stream::iter(frames)))
    }

    pub(crate) fn incoming(body: Incoming, deadline: Option<tokio::time::Instant>) -> Self {
        Self { kind: Kind::Incoming { body, deadline: deadline.map(|at| Box::pin(sleep_until(at))) } }
    }
}

impl From<Bytes> for Body {
    fn from(data: Bytes) -> Self {
        Self { kind: Kind::Bytes { data, trailers: None } }
    }
}

impl From<Vec<u8>> for Body {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl From<String> for Body {
    fn from(data: String) -> Self {
        Bytes::from(data).into()
    }
}

impl From<&'static str> for Body {
    fn from(data: &'static str) -> Self {
        Bytes::from_static(data.as_bytes()).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Empty => "Body(empty)",
            Kind::Bytes { .. } => "Body(bytes)",
            Kind::Incoming { .. } => "Body(incoming)",
            Kind::Stream(_) => "Body(stream)",
        })
    }
}

/// The client did not send its body in time.
#[derive(Debug, thiserror::Error)]
#[error("body did not arrive within read_timeout")]
struct Late;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Kind::Bytes { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Kind::Incoming { body, deadline } => {
                let polled = Pin::new(body).poll_frame(cx).map_err(Into::into);
                let is_late = polled.is_pending()
                    && deadline.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
                if is_late { Poll::Ready(Some(Err(Late.into()))) } else { polled }
            }
            Kind::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Bytes { data, trailers } => data.is_empty() && trailers.is_none(),
            Kind::Incoming { body, .. } => body.is_end_stream(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes { data, trailers: None } => SizeHint::with_exact(data.len() as u64),
            // A known length would make hyper leave the trailers out over HTTP/1.
            Kind::Bytes { .. } => SizeHint::default(),
            Kind::Incoming { body, .. } => body.size_hint(),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

/// A body that was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed; answer 413.
    #[error("body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It took too long; answer 408.
    #[error("body took too long")]
    Late(#[source] BoxError),
    /// The client went away or broke the protocol.
    #[error("cannot read the body")]
    Broken(#[source] BoxError),
}

impl BodyError {
    /// The status that tells the client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body of at most `limit` bytes. A longer one is refused as soon as that is known.
///
/// # Errors
/// When it is too large, too slow or broken.
pub async fn read_body(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    /// What a client only announces is not allocated beyond this.
    const MAX_RESERVED: usize = 1 << 20;

    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(body_error)?.into_data() else { continue };
        if whole.len() + pieces.len() + piece.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if whole.is_empty() && pieces.is_empty() {
            // Most bodies are one piece, which is not copied.
            whole = piece;
            continue;
        }
        if pieces.is_empty() {
            let n_seen = whole.len() + piece.len();
            pieces.reserve(announced.min(MAX_RESERVED).max(n_seen));
            pieces.extend_from_slice(&std::mem::take(&mut whole));
        }
        pieces.extend_from_slice(&piece);
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}

fn body_error(error: BoxError) -> BodyError {
    if error.is::<Late>() { BodyError::Late(error) } else { BodyError::Broken(error) }
}

/// A body whose encoding is unknown or broken, or that is too large once decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecodeBody {
    /// Not an encoding that is understood; answer 415.
    #[error("content encoding {name:?} is not supported")]
    Unknown {
        /// The word of the header.
        name: String,
    },
    /// Larger than allowed; answer 413.
    #[error("body is too large")]
    TooLarge(#[source] DecompressError),
    /// Not what the header says; answer 400.
    #[error("cannot decompress the body")]
    Broken(#[source] DecompressError),
}

impl DecodeBody {
    /// The status that tells the client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unknown { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Undoes the `Content-Encoding` of a body; what comes out is bounded by `limit` bytes. A body that is not
/// encoded is returned as it is.
///
/// # Errors
/// When the encoding is unknown, the body does not follow it, or too much comes out.
pub fn decode_body(content_encoding: Option<&str>, body: Bytes, limit: usize) -> Result<Bytes, DecodeBody> {
    let name = content_encoding.unwrap_or_default().trim().to_ascii_lowercase();
    match Encoding::parse(&name) {
        None => Err(DecodeBody::Unknown { name }),
        Some(Encoding::Identity) => Ok(body),
        Some(encoding) => {
            let mut out = Vec::new();
            decompress(encoding, &body, Limit::bytes(limit), &mut out).map_err(|error| match error {
                DecompressError::MaxBytes { .. } | DecompressError::MaxRatio { .. } => {
                    DecodeBody::TooLarge(error)
                }
                DecompressError::Corrupt { .. } => DecodeBody::Broken(error),
            })?;
            Ok(out.into())
        }
    }
}

#[cfg(test)]
mod tests;
