//! The body of an answer, within its limits.

use bytes::Bytes;
use http::HeaderMap;

use super::chunked::Chunked;
use super::head::Framing;
use super::{AnswerError, AnswerHead, Lane};
use crate::client::progress::{BodyLimits, MAX_RESERVED, Progress};
use crate::error::NetError;

/// Why a body was not read, or not kept.
enum BodyError {
    TooLarge,
    NotKept { size: usize },
    Answer(AnswerError),
}

impl<T: Into<AnswerError>> From<T> for BodyError {
    fn from(error: T) -> Self {
        Self::Answer(error.into())
    }
}

impl Lane {
    /// Reads the answer to its end: its body, and what was said behind it.
    ///
    /// # Errors
    /// When it breaks off, or is larger than the limits.
    pub(in crate::client) async fn read(
        &mut self,
        head: &AnswerHead,
        limits: BodyLimits,
        progress: &Progress,
    ) -> Result<(Bytes, HeaderMap), NetError> {
        progress.reading();
        match self.read_body(head.framing, limits).await {
            Ok(answer) => Ok(answer),
            Err(BodyError::Answer(error)) => Err(progress.broken(error)),
            Err(BodyError::TooLarge) => {
                Err(NetError::BodyTooLarge { peer: progress.peer(), limit: limits.most })
            }
            Err(BodyError::NotKept { size }) => {
                Err(NetError::BodyNotKept { peer: progress.peer(), size, kept: limits.kept })
            }
        }
    }

    async fn read_body(
        &mut self,
        framing: Framing,
        limits: BodyLimits,
    ) -> Result<(Bytes, HeaderMap), BodyError> {
        match framing {
            Framing::Length(length) => {
                let mut length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > limits.most {
                    if !limits.is_cut {
                        return Err(BodyError::TooLarge);
                    }
                    self.may_follow = false;
                    length = limits.most;
                }
                if length > limits.kept {
                    self.skip(length).await?;
                    return Err(BodyError::NotKept { size: length });
                }
                Ok((self.read_length(length).await?, HeaderMap::new()))
            }
            Framing::Chunked => self.read_chunked(limits).await,
            Framing::UntilClosed => Ok((self.read_until_closed(limits).await?, HeaderMap::new())),
        }
    }

    /// A body of this length. What is there already is copied, the rest read to where it stays.
    async fn read_length(&mut self, length: usize) -> Result<Bytes, AnswerError> {
        let n_here = length.min(self.received.unread().len());
        let mut body = Vec::with_capacity(length.min(MAX_RESERVED));
        body.extend_from_slice(&self.received.unread()[..n_here]);
        self.received.take(n_here);
        self.received.release();
        while body.len() < length {
            let n_missing = length - body.len();
            if body.len() == body.capacity() {
                body.reserve_exact(n_missing.min(body.len()));
            }
            let n_free = body.capacity() - body.len();
            if self.fill_into(&mut body, n_missing.min(n_free)).await? == 0 {
                return Err(AnswerError::Closed);
            }
        }
        Ok(body.into())
    }

    async fn skip(&mut self, length: usize) -> Result<(), AnswerError> {
        let mut n_missing = length;
        loop {
            let n_here = n_missing.min(self.received.unread().len());
            self.received.take(n_here);
            n_missing -= n_here;
            if n_missing == 0 {
                return Ok(());
            }
            if self.fill().await? == 0 {
                return Err(AnswerError::Closed);
            }
        }
    }

    async fn read_chunked(&mut self, limits: BodyLimits) -> Result<(Bytes, HeaderMap), BodyError> {
        let mut body = Kept::new(limits);
        let mut chunked = Chunked::default();
        loop {
            let unread = self.received.unread();
            let mut rest = unread;
            while let Some(piece) = chunked.piece(&mut rest)? {
                body.add(piece)?;
                if body.is_cut_off {
                    self.may_follow = false;
                    return Ok((body.finish()?, HeaderMap::new()));
                }
            }
            let n_taken = unread.len() - rest.len();
            self.received.take(n_taken);
            if chunked.is_done() {
                let trailers = chunked.trailers()?;
                return Ok((body.finish()?, trailers));
            }
            if self.fill().await? == 0 {
                return Err(AnswerError::Closed.into());
            }
        }
    }

    async fn read_until_closed(&mut self, limits: BodyLimits) -> Result<Bytes, BodyError> {
        let mut body = Kept::new(limits);
        loop {
            let unread = self.received.unread();
            body.add(unread)?;
            let n_taken = unread.len();
            self.received.take(n_taken);
            if body.is_cut_off || self.fill().await? == 0 {
                return body.finish();
            }
        }
    }
}

/// A body whose length nobody said.
struct Kept {
    bytes: Vec<u8>,
    n_read: usize,
    limits: BodyLimits,
    /// There is more than the limit, and who asked is content with what is here.
    is_cut_off: bool,
}

impl Kept {
    fn new(limits: BodyLimits) -> Self {
        Self { bytes: Vec::new(), n_read: 0, limits, is_cut_off: false }
    }

    fn add(&mut self, mut piece: &[u8]) -> Result<(), BodyError> {
        let n_allowed = self.limits.most - self.n_read;
        if piece.len() > n_allowed {
            if !self.limits.is_cut {
                return Err(BodyError::TooLarge);
            }
            self.is_cut_off = true;
            piece = &piece[..n_allowed];
        }
        self.n_read += piece.len();
        if self.n_read > self.limits.kept {
            // From here on it is only counted.
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    fn finish(self) -> Result<Bytes, BodyError> {
        if self.n_read > self.limits.kept {
            return Err(BodyError::NotKept { size: self.n_read });
        }
        Ok(self.bytes.into())
    }
}
