//! Heads of requests and answers.

use std::io::Write;
use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use httparse::{ParserConfig, Status};

use super::AnswerError;
use crate::error::MAX_HEADERS;

/// What is said before the body of a request.
pub(in crate::client) struct RequestHead<'a> {
    pub(in crate::client) method: &'a Method,
    /// Path and query.
    pub(in crate::client) path: &'a str,
    /// Sent unless the headers have one.
    pub(in crate::client) host: &'a str,
    /// Sent unless the headers have one.
    pub(in crate::client) user_agent: &'a str,
    /// Those that frame the body are left out, since it has one length.
    pub(in crate::client) headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    pub(super) fn write(&self, n_body_bytes: usize, out: &mut Vec<u8>) {
        for text in [self.method.as_str(), " ", self.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(text.as_bytes());
        }
        let host = self.headers.get(header::HOST).map_or(self.host.as_bytes(), HeaderValue::as_bytes);
        line("host", host, out);
        let mut has_user_agent = false;
        for (name, value) in self.headers {
            if name == header::HOST || name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
                continue;
            }
            has_user_agent |= name == header::USER_AGENT;
            line(name.as_str(), value.as_bytes(), out);
        }
        if !has_user_agent {
            line("user-agent", self.user_agent.as_bytes(), out);
        }
        // RFC 9110 section 8.6: also an empty body has a length where the method gives it a meaning.
        if n_body_bytes > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(self.method) {
            write!(out, "content-length: {n_body_bytes}\r\n").expect("a vector takes everything");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the connection is not to be used after this request.
    pub(super) fn closes(&self) -> bool {
        self.headers.get_all(header::CONNECTION).iter().any(|value| has_word(value.as_bytes(), "close"))
    }
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What is said before the body of an answer.
#[derive(Debug)]
pub(in crate::client) struct AnswerHead {
    pub(in crate::client) status: StatusCode,
    pub(in crate::client) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Another request may follow on the same connection.
    pub(super) keeps_open: bool,
    pub(super) n_bytes: usize,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClosed,
}

impl AnswerHead {
    /// Whether another head follows. Protocols are not switched here, so 101 is final.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Reads a head at the beginning of these bytes. `None` when they are only the beginning of one.
///
/// # Errors
/// When they cannot become one.
pub(super) fn parse(bytes: &[u8], method: &Method) -> Result<Option<AnswerHead>, AnswerError> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut lines);
    let n_bytes = match parsed {
        Ok(Status::Complete(n_bytes)) => n_bytes,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::HeadTooLarge),
        Err(error) => return Err(AnswerError::BadHead(error)),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(AnswerError::BadStatus)?;
    let is_http_10 = answer.version == Some(0);
    // All values share one copy.
    let copy = Bytes::copy_from_slice(&bytes[..n_bytes]);
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    let mut said = Said::default();
    for line in &*answer.headers {
        let bad = || AnswerError::BadHeader(line.name.to_owned());
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| bad())?;
        let value = match line.value {
            [] => HeaderValue::from_static(""),
            value => {
                let start = value.as_ptr() as usize - bytes.as_ptr() as usize;
                let value = copy.slice(start..start + value.len());
                HeaderValue::from_maybe_shared(value).map_err(|_| bad())?
            }
        };
        said.hear(&name, line.value);
        headers.append(name, value);
    }
    let has_no_body = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::HEAD;
    let framing = if has_no_body { Framing::Length(0) } else { said.framing(is_http_10)? };
    let is_kept = if is_http_10 { said.keep_alive && !said.close } else { !said.close };
    let is_clear = framing != Framing::UntilClosed && !(said.transfer_encoding.is_some() && said.has_length);
    let keeps_open = is_kept && is_clear && status != StatusCode::SWITCHING_PROTOCOLS;
    Ok(Some(AnswerHead { status, headers, framing, keeps_open, n_bytes }))
}

/// What the headers say of the body and the connection.
#[derive(Default)]
struct Said {
    has_length: bool,
    length: Option<u64>,
    /// It is no number, or said in two ways.
    is_length_bad: bool,
    /// Whether all of it is the word `chunked`, once.
    transfer_encoding: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl Said {
    fn hear(&mut self, name: &HeaderName, value: &[u8]) {
        if name == header::CONTENT_LENGTH {
            self.has_length = true;
            for number in value.split(|byte| *byte == b',') {
                let number = digits(number.trim_ascii());
                let is_other = self.length.is_some() && self.length != number;
                self.is_length_bad |= number.is_none() || is_other;
                self.length = number;
            }
        } else if name == header::TRANSFER_ENCODING {
            let is_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            self.transfer_encoding = Some(is_chunked && self.transfer_encoding.is_none());
        } else if name == header::CONNECTION {
            self.close |= has_word(value, "close");
            self.keep_alive |= has_word(value, "keep-alive");
        }
    }

    /// RFC 9112 section 6.3. A length beside `chunked` does not count, and the connection ends with the answer. As HTTP/1.0 knows no
    /// transfer-encoding and no other one than `chunked` was asked for, anything else cannot be read.
    fn framing(&self, is_http_10: bool) -> Result<Framing, AnswerError> {
        match (self.transfer_encoding, self.length) {
            (Some(true), _) if !is_http_10 => Ok(Framing::Chunked),
            (Some(_), _) => Err(AnswerError::BadTransferEncoding),
            (None, _) if self.is_length_bad => Err(AnswerError::BadContentLength),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::UntilClosed),
        }
    }
}

/// Digits only; a sign is none.
fn digits(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|byte| *byte == b',').any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}
