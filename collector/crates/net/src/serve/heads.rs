//! Requests of HTTP/1.1 that are a head and nothing else, answered in the task of their connection (RFC 9112).
//!
//! Who scrapes a page sends one such request after the other, each in one packet, and there is little to do for it. Everything
//! else is hyper's, from the first byte of the request on and for the rest of the connection: other methods than GET, other versions,
//! bodies, heads that come in pieces or are broken, and headers that ask for more than an answer.
//!
//! Who scrapes a page sends the same bytes each time: where the answer says so ([`Again`]), a request that repeats the one before it is
//! neither read nor understood anew.

use std::io::Write as _;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Again, Received, Reply, Shared};
use crate::body::Body;
use crate::error::BoxError;

/// Room for what is read at once; a scraper's request has a few hundred bytes.
const READ_BYTES: usize = 2 << 10;

/// Most headers of a request.
const MAX_HEADERS: usize = 32;

/// Headers that frame a body, or ask for more than an answer.
const BEYOND: [HeaderName; 7] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE, TE, TRAILER];

impl Shared {
    /// Answers one request after the other. Gives what was read of the first one that is not for here; nothing when the connection
    /// is done.
    pub(super) async fn answer_heads<I>(
        &self,
        io: &mut I,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Option<Bytes>, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let is_stopped = stopped.clone();
        let mut stopping = pin!(stopped.wait_for(|is_stopped| *is_stopped));
        let limit = self.options.read_header_timeout;
        let mut since = Instant::now();
        // Set anew when it rings, not for each request.
        let mut silence = pin!(tokio::time::sleep(limit.unwrap_or_default()));
        let mut received = BytesMut::new();
        let (mut room, mut lines) = (Vec::new(), Vec::new());
        let mut known: Option<Known> = None;
        loop {
            while !received.is_empty() {
                let is_last = *is_stopped.borrow();
                if let Some(known) =
                    known.as_ref().filter(|known| !is_last && received.starts_with(&known.request))
                {
                    received.advance(known.request.len());
                    match panic::catch_unwind(AssertUnwindSafe(|| known.again.body())) {
                        Ok(body) => self.write(io, &known.head, body, &mut room).await?,
                        Err(panic) => {
                            let (head, body) = Head::of(self.panicked(&*panic), Vec::new());
                            self.write(io, &head, body, &mut room).await?;
                        }
                    }
                } else {
                    let Some((request, bytes)) = parse(&received) else {
                        return Ok(Some(received.freeze()));
                    };
                    received.advance(bytes.len());
                    let mut reply = self.respond(request, peer).await;
                    let is_last = *is_stopped.borrow();
                    if is_last {
                        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    let again = reply.extensions_mut().remove::<Again>();
                    let (head, body) = Head::of(reply, std::mem::take(&mut lines));
                    self.write(io, &head, body, &mut room).await?;
                    if is_last {
                        return Ok(None);
                    }
                    match again {
                        Some(again) => known = Some(Known { request: bytes, head, again }),
                        None => (known, lines) = (None, head.lines),
                    }
                }
                since = Instant::now();
            }
            received.reserve(READ_BYTES);
            tokio::select! {
                biased;
                // The sender is gone only when the server is, and then this task too.
                _ = &mut stopping => return Ok(None),
                n_read = io.read_buf(&mut received) => if n_read? == 0 {
                    return Ok(None);
                },
                () = &mut silence, if limit.is_some() => {
                    let deadline = since + limit.unwrap_or_default();
                    if deadline <= Instant::now() {
                        return Err("no request arrived within read_header_timeout".into());
                    }
                    silence.as_mut().reset(deadline);
                }
            }
        }
    }

    /// Writes an answer, its head together with the first piece. `room` is used again.
    async fn write<I>(
        &self,
        io: &mut I,
        head: &Head,
        mut body: Body,
        room: &mut Vec<u8>,
    ) -> Result<(), BoxError>
    where
        I: AsyncWrite + Unpin,
    {
        let framing = Framing::of(head.status, &body);
        room.clear();
        room.extend_from_slice(&head.lines);
        framing.write_line(room);
        if !head.is_dated {
            self.date.line(room);
        }
        room.extend_from_slice(b"\r\n");
        let mut n_left = framing.length();
        while let Some(frame) = body.frame().await {
            // Trailers are for those who ask for them, which is hyper's.
            let Ok(piece) = frame?.into_data() else { continue };
            if piece.is_empty() || framing == Framing::Nothing {
                continue;
            }
            n_left = n_left.checked_sub(piece.len() as u64).ok_or("a body is longer than it says")?;
            let end: &[u8] = if framing == Framing::Chunked { b"\r\n" } else { b"" };
            if framing == Framing::Chunked {
                // Writing to memory cannot fail.
                write!(room, "{:x}\r\n", piece.len()).ok();
            }
            io.write_all_buf(&mut Buf::chain(Buf::chain(room.as_slice(), piece), end)).await?;
            room.clear();
        }
        match framing {
            Framing::Chunked => room.extend_from_slice(b"0\r\n\r\n"),
            Framing::Length(_) if n_left > 0 => return Err("a body is shorter than it says".into()),
            Framing::Length(_) | Framing::Nothing => {}
        }
        io.write_all(room).await?;
        Ok(io.flush().await?)
    }
}

/// The request at the beginning of what was read, and its bytes. Nothing where it is not for here.
fn parse(bytes: &[u8]) -> Option<(Received, Bytes)> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(n_bytes)) = head.parse(bytes) else { return None };
    let path = head.path.filter(|path| path.starts_with('/'))?;
    if (head.method, head.version) != (Some("GET"), Some(1)) {
        return None;
    }
    // All parts share one copy.
    let copy = Bytes::copy_from_slice(&bytes[..n_bytes]);
    let part = |part: &[u8]| {
        let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
        copy.slice(start..start + part.len())
    };
    let mut request = Received::new(Body::empty());
    *request.uri_mut() = Uri::from_maybe_shared(part(path.as_bytes())).ok()?;
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if BEYOND.contains(&name) {
            return None;
        }
        let value = match line.value {
            [] => HeaderValue::from_static(""),
            value => HeaderValue::from_maybe_shared(part(value)).ok()?,
        };
        request.headers_mut().append(name, value);
    }
    Some((request, copy))
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// The status says that there is none.
    Nothing,
    Length(u64),
    Chunked,
}

impl Framing {
    fn of(status: StatusCode, body: &Body) -> Self {
        let has_none =
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match body.size_hint().exact() {
            _ if has_none => Self::Nothing,
            Some(n_bytes) => Self::Length(n_bytes),
            None => Self::Chunked,
        }
    }

    /// Most bytes that may come.
    fn length(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Length(n_bytes) => n_bytes,
            Self::Chunked => u64::MAX,
        }
    }

    /// The header that says it.
    fn write_line(self, head: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        match self {
            Self::Nothing => {}
            Self::Length(n_bytes) => drop(write!(head, "content-length: {n_bytes}\r\n")),
            Self::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
    }
}

/// What stands above the body of an answer, but for how it is framed.
struct Head {
    status: StatusCode,
    /// The status line and the headers.
    lines: Vec<u8>,
    /// Whether the headers tell the date.
    is_dated: bool,
}

impl Head {
    /// The head of an answer, and its body; `lines` is room that may be used again. Headers of the answer do not say how it is framed;
    /// the body does.
    fn of(reply: Reply, mut lines: Vec<u8>) -> (Self, Body) {
        let (parts, body) = reply.into_parts();
        lines.clear();
        let reason = parts.status.canonical_reason().unwrap_or("<none>");
        for text in ["HTTP/1.1 ", parts.status.as_str(), " ", reason, "\r\n"] {
            lines.extend_from_slice(text.as_bytes());
        }
        let is_framing = |name: &HeaderName| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
        for (name, value) in parts.headers.iter().filter(|(name, _)| !is_framing(name)) {
            for text in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                lines.extend_from_slice(text);
            }
        }
        (Self { status: parts.status, lines, is_dated: parts.headers.contains_key(DATE) }, body)
    }
}

/// A request that was answered by [`Again`].
struct Known {
    /// Its bytes. Nothing follows on them that belongs to it.
    request: Bytes,
    head: Head,
    again: Again,
}

/// The header `Date`, made once a second.
#[derive(Debug, Default)]
pub(super) struct Date {
    /// Seconds since the epoch, and the line.
    last: Mutex<(u64, String)>,
}

impl Date {
    fn line(&self, head: &mut Vec<u8>) {
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != seconds || last.1.is_empty() {
            *last = (seconds, format!("date: {}\r\n", httpdate::HttpDate::from(now)));
        }
        head.extend_from_slice(last.1.as_bytes());
    }
}
