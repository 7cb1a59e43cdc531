//! HTTP/1.1 over one connection, driven by the task that asks (RFC 9112).
//!
//! What lanes need and no more: a request whose body is there as a whole, and an answer that is read to its end. The head of the
//! request and its body leave with one vectored write; the answer comes into a buffer that is held only while bytes are in
//! it, and a body whose length is known is read to where it stays. Framing that can be understood in two ways is refused, or
//! ends the connection (section 6.3), so that no answer passes for another.

mod answer;
mod buffers;
mod chunked;
mod head;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use http::Method;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::connect::Conn;
use crate::error::MAX_HEAD_BYTES;

pub(super) use head::{AnswerHead, RequestHead};

use buffers::Received;
use chunked::BadChunk;

/// Why there is no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("head is larger than the limits")]
    HeadTooLarge,
    #[error("not an answer of HTTP/1.1")]
    BadHead(#[source] httparse::Error),
    #[error("status code is not between 100 and 999")]
    BadStatus,
    #[error("header `{0}` is not one")]
    BadHeader(String),
    #[error("content-length is not a number, or not the same each time")]
    BadContentLength,
    #[error("transfer-encoding is not `chunked`, or was sent with HTTP/1.0")]
    BadTransferEncoding,
    #[error("body is not chunked as it says")]
    BadChunk(#[from] BadChunk),
    #[error("connection was closed before the answer was complete")]
    Closed,
    #[error("connection failed")]
    Io(#[from] io::Error),
}

/// Why no answer began.
pub(super) struct Failed {
    pub(super) error: AnswerError,
    /// Nothing of the request left.
    pub(super) was_unsent: bool,
    /// Nothing of an answer came.
    pub(super) was_unanswered: bool,
}

/// An open connection, on which one request follows the other.
pub(super) struct Lane {
    io: TokioIo<Conn>,
    /// What of the request is still to be written.
    sending: Option<Sending>,
    send_error: Option<io::Error>,
    received: Received,
    /// Another request may follow.
    may_follow: bool,
}

struct Sending {
    head: Vec<u8>,
    body: Bytes,
    n_sent: usize,
}

impl Lane {
    pub(super) fn new(conn: Conn) -> Self {
        let io = TokioIo::new(conn);
        Self { io, sending: None, send_error: None, received: Received::default(), may_follow: false }
    }

    /// Sends a request and reads the head of its answer. The answer may begin before the request has left; the rest is sent
    /// while it is read then.
    pub(super) async fn send(&mut self, head: &RequestHead<'_>, body: &Bytes) -> Result<AnswerHead, Failed> {
        let mut buffer = buffers::take();
        head.write(body.len(), &mut buffer);
        self.sending = Some(Sending { head: buffer, body: body.clone(), n_sent: 0 });
        let mut n_received = 0;
        match self.read_head(head.method, &mut n_received).await {
            Ok(answer) => {
                let was_sent = self.sending.is_none() && self.send_error.is_none();
                self.may_follow = was_sent && answer.keeps_open && !head.closes();
                Ok(answer)
            }
            Err(error) => {
                let was_unanswered = n_received == 0;
                let was_unsent = self.sending.as_ref().is_some_and(|sending| sending.n_sent == 0);
                // Why the request could not leave says more than that nobody answered it.
                let error = match self.send_error.take() {
                    Some(cause) if was_unanswered => cause.into(),
                    _ => error,
                };
                Err(Failed { error, was_unsent, was_unanswered })
            }
        }
    }

    async fn read_head(
        &mut self,
        method: &Method,
        n_received: &mut usize,
    ) -> Result<AnswerHead, AnswerError> {
        // Bytes in which no line ends that was not looked at.
        let mut n_seen = 0;
        loop {
            let unread = self.received.unread();
            let is_worth_a_look = match n_seen {
                0 => !unread.is_empty(),
                n_seen => unread[n_seen..].contains(&b'\n'),
            };
            if is_worth_a_look && let Some(head) = head::parse(unread, method)? {
                self.received.take(head.n_bytes);
                if !head.is_interim() {
                    return Ok(head);
                }
                n_seen = 0;
                continue;
            }
            n_seen = unread.len();
            if n_seen == MAX_HEAD_BYTES {
                return Err(head::parse(unread, method).err().unwrap_or(AnswerError::HeadTooLarge));
            }
            match self.fill().await? {
                0 => {
                    let unread = self.received.unread();
                    return Err(head::parse(unread, method).err().unwrap_or(AnswerError::Closed));
                }
                n => *n_received += n,
            }
        }
    }

    /// Reads more of the answer. Zero bytes are its end.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            self.poll_send(cx);
            let polled = pin!(self.io.read_buf(&mut self.received.room())).poll(cx);
            if polled.is_pending() {
                self.received.release();
            }
            polled
        })
        .await
    }

    /// As [`Self::fill`], at most `most` bytes and to where they stay.
    async fn fill_into(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        poll_fn(|cx| {
            self.poll_send(cx);
            pin!(self.io.read_buf(&mut (&mut *bytes).limit(most))).poll(cx)
        })
        .await
    }

    /// Writes what there is room for. That it cannot be written is no error yet: a server that refuses a request may
    /// answer without reading it.
    fn poll_send(&mut self, cx: &mut Context<'_>) {
        while let Some(sending) = &mut self.sending {
            let head = sending.head.get(sending.n_sent..).unwrap_or_default();
            let body = &sending.body[sending.n_sent.saturating_sub(sending.head.len())..];
            if head.is_empty() && body.is_empty() {
                buffers::give(std::mem::take(&mut sending.head));
                self.sending = None;
                return;
            }
            if self.send_error.is_some() {
                return;
            }
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            match Pin::new(&mut self.io).poll_write_vectored(cx, &parts) {
                Poll::Ready(Ok(0)) => self.send_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => sending.n_sent += n,
                Poll::Ready(Err(error)) => self.send_error = Some(error),
                Poll::Pending => return,
            }
        }
    }

    /// Whether the connection is still open and the server said nothing without being asked. Looks without waiting.
    pub(super) async fn is_ready(&mut self) -> bool {
        let look = poll_fn(|cx| {
            let mut byte = [0];
            let io = Pin::new(&mut self.io);
            Poll::Ready(io.poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())
        });
        // A task that has had its turn would be told that there is nothing to read.
        tokio::task::unconstrained(look).await
    }

    /// Whether the last answer left the connection fit for another request.
    pub(super) fn may_be_parked(&self) -> bool {
        self.may_follow && self.received.unread().is_empty()
    }
}

#[cfg(test)]
mod tests;
