//! A body in chunks (RFC 9112 section 7.1), whatever pieces it arrives in.
//!
//! Strict: sizes are hexadecimal digits, lines end with CR LF. Extensions are skipped; they and the trailers have a limit each.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::error::{MAX_HEAD_BYTES, MAX_HEADERS};

/// Where a chunked body is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(in crate::client) enum BadChunk {
    #[error("size of a chunk is not a hexadecimal number of at most 64 bits")]
    Size,
    #[error("a line does not end with CR LF")]
    LineEnd,
    #[error(
        "what stands beside the sizes of chunks is larger than the limit MAX_HEAD_BYTES ({MAX_HEAD_BYTES} bytes)"
    )]
    Extensions,
    #[error(
        "trailers are no headers, or larger than the limits MAX_HEAD_BYTES ({MAX_HEAD_BYTES} bytes) and MAX_HEADERS \
         ({MAX_HEADERS} lines) allow"
    )]
    Trailers,
}

/// How far a chunked body has come.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Of the size while it is read, then of the chunk what is still to come.
    n_left: u64,
    /// All extensions of the body.
    n_extension_bytes: usize,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    Size,
    /// Blanks after a size.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// The next piece of the body, with `input` moved behind it. `None` when all input is used up or the body is complete.
    ///
    /// # Errors
    /// When the input is not a chunked body.
    pub(super) fn piece<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadChunk> {
        while self.state != State::Done {
            if self.state == State::Data {
                let n = usize::try_from(self.n_left).unwrap_or(usize::MAX).min(input.len());
                let (piece, rest) = input.split_at(n);
                *input = rest;
                self.n_left -= n as u64;
                if self.n_left == 0 {
                    self.state = State::DataCr;
                }
                if n > 0 {
                    return Ok(Some(piece));
                }
            }
            let Some((byte, rest)) = input.split_first() else { break };
            *input = rest;
            self.state = self.after(*byte)?;
        }
        Ok(None)
    }

    /// Whether the body and its trailers are complete.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn after(&mut self, byte: u8) -> Result<State, BadChunk> {
        Ok(match (self.state, byte) {
            // Zeros before a size could go on for ever.
            (State::Size, b'0') if self.n_left == 0 => self.extension(State::Size)?,
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk::Size)?;
                let shifted = self.n_left.checked_mul(16).ok_or(BadChunk::Size)?;
                self.n_left = shifted | u64::from(digit);
                State::Size
            }
            (State::Size | State::Blank, b' ' | b'\t') => self.extension(State::Blank)?,
            (State::Size | State::Blank, b';') => self.extension(State::Extension)?,
            (State::Size | State::Blank | State::Extension, b'\r') => State::SizeLf,
            (State::Start | State::Size | State::Blank, _) => return Err(BadChunk::Size),
            (State::Extension | State::Trailer, b'\n') => return Err(BadChunk::LineEnd),
            (State::Extension, _) => self.extension(State::Extension)?,
            (State::SizeLf, b'\n') if self.n_left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) => self.trailer(&[byte], State::Trailer)?,
            (State::TrailerLf, b'\n') => self.trailer(b"\r\n", State::TrailerStart)?,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(BadChunk::LineEnd),
        })
    }

    fn extension(&mut self, next: State) -> Result<State, BadChunk> {
        self.n_extension_bytes += 1;
        if self.n_extension_bytes > MAX_HEAD_BYTES { Err(BadChunk::Extensions) } else { Ok(next) }
    }

    fn trailer(&mut self, bytes: &[u8], next: State) -> Result<State, BadChunk> {
        self.trailers.extend_from_slice(bytes);
        if self.trailers.len() > MAX_HEAD_BYTES { Err(BadChunk::Trailers) } else { Ok(next) }
    }

    /// Headers after the body, once it is complete.
    ///
    /// # Errors
    /// When they are no headers.
    pub(super) fn trailers(mut self) -> Result<HeaderMap, BadChunk> {
        let mut trailers = HeaderMap::new();
        if self.trailers.is_empty() {
            return Ok(trailers);
        }
        self.trailers.extend_from_slice(b"\r\n");
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let parsed = httparse::parse_headers(&self.trailers, &mut lines).map_err(|_| BadChunk::Trailers)?;
        let httparse::Status::Complete((_, lines)) = parsed else { return Err(BadChunk::Trailers) };
        for line in lines {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BadChunk::Trailers)?;
            let value = HeaderValue::from_bytes(line.value).map_err(|_| BadChunk::Trailers)?;
            trailers.append(name, value);
        }
        Ok(trailers)
    }
}
