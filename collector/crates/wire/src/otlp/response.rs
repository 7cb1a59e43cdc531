//! Answers to OTLP requests: partial success, and `google.rpc.Status` where a request failed.

use std::time::Duration;

use super::common::View;
use super::{Malformed, Message};
use crate::proto::{put_message, put_text, put_uint};

/// What a receiver took only in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Points, records or spans that were refused for good.
    pub n_rejected: i64,
    /// Why; with none refused, a warning.
    pub message: String,
}

/// An `Export*ServiceResponse`. Without a loss the partial success is there and empty, as the Go collector writes it.
#[must_use]
pub fn export_response(partial: &PartialSuccess) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        if partial.n_rejected != 0 {
            put_uint(out, 1, partial.n_rejected as u64);
        }
        put_text(out, 2, &partial.message);
    });
    out
}

/// Reads an `Export*ServiceResponse`; without a partial success everything was taken.
pub fn partial_success(response: &[u8]) -> Result<PartialSuccess, Malformed> {
    let mut partial = PartialSuccess::default();
    for field in Message::new(response).fields() {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        for inner in field.message()?.fields() {
            let inner = inner?;
            match inner.number {
                1 => partial.n_rejected = inner.varint()? as i64,
                2 => partial.message = String::from_utf8_lossy(inner.bytes()?).into_owned(),
                _ => {}
            }
        }
    }
    Ok(partial)
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// A `google.rpc.Status`: the body of a failed OTLP/HTTP request, and `grpc-status-details-bin` of a failed call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The gRPC code.
    pub code: i32,
    /// What went wrong.
    pub message: String,
    /// When to come again, where the receiver says so (`RetryInfo`).
    pub retry_after: Option<Duration>,
}

impl Status {
    /// Writes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.code != 0 {
            put_uint(&mut out, 1, self.code as u64);
        }
        put_text(&mut out, 2, &self.message);
        if let Some(delay) = self.retry_after {
            put_message(&mut out, 3, |out| {
                put_text(out, 1, RETRY_INFO);
                put_message(out, 2, |out| {
                    put_message(out, 1, |out| {
                        put_uint(out, 1, delay.as_secs());
                        put_uint(out, 2, u64::from(delay.subsec_nanos()));
                    });
                });
            });
        }
        out
    }

    /// Reads the message; details of other kinds are passed over.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut status = Self::default();
        for field in Message::new(bytes).fields() {
            let field = field?;
            match field.number {
                1 => status.code = field.int32()?,
                2 => status.message = String::from_utf8_lossy(field.bytes()?).into_owned(),
                3 => {
                    let Detail(delay) = Detail::decode(field.message()?)?;
                    status.retry_after = delay.or(status.retry_after);
                }
                _ => {}
            }
        }
        Ok(status)
    }
}

/// An `Any` that may be a `RetryInfo`.
struct Detail(Option<Duration>);

impl<'a> View<'a> for Detail {
    fn decode(message: Message<'a>) -> Result<Self, Malformed> {
        let (mut is_retry_info, mut delay) = (false, None);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => is_retry_info = field.bytes()? == RETRY_INFO.as_bytes(),
                2 => delay = Some(field.message()?),
                _ => {}
            }
        }
        match delay {
            Some(info) if is_retry_info => retry_delay(info).map(|delay| Self(Some(delay))),
            _ => Ok(Self(None)),
        }
    }
}

fn retry_delay(info: Message<'_>) -> Result<Duration, Malformed> {
    let mut delay = Duration::ZERO;
    for field in info.fields() {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        let (mut secs, mut nanos) = (0, 0);
        for part in field.message()?.fields() {
            let part = part?;
            match part.number {
                1 => secs = part.varint()? as i64,
                2 => nanos = part.int32()?,
                _ => {}
            }
        }
        let secs = u64::try_from(secs).unwrap_or(0);
        let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
        delay = Duration::new(secs, nanos);
    }
    Ok(delay)
}
