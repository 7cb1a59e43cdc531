//! What can go wrong, named by what the caller can do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Largest head of an answer: status line and headers together. Every open connection may hold such a buffer, and a
/// scraper has thousands of them. Go takes 10 MiB.
pub(crate) const MAX_HEAD_BYTES: usize = 16 << 10;

/// Most header lines of an answer over HTTP/1, which is what hyper keeps room for on its stack. Go counts bytes only.
pub(crate) const MAX_HEADERS: usize = 100;

/// Any error of another crate.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A client or server that cannot be built from its configuration.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// The key at fault, relative to the section of the client or server, for example `tls_config.ca`.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// Why, if somebody else said so.
    #[source]
    pub source: Option<BoxError>,
}

impl BuildError {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), source: None }
    }

    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Resolving the name, connecting, the TLS handshake.
    Connecting,
    /// Sending the request and waiting for the head of the answer.
    Waiting,
    /// Reading the body.
    Reading,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Waiting => "while waiting for the answer",
            Self::Reading => "while reading the answer",
        })
    }
}

/// A request that brought no answer. `peer` is always `host:port`.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Nothing was sent: the URL, a header, a secret or a file of ours is unusable. Trying again helps only
    /// once that is mended.
    #[error("cannot prepare the request to {peer}: {reason}")]
    Unsendable {
        /// Whom it was meant for, or the whole URL when that is the fault.
        peer: String,
        /// What is unusable; never shows a secret.
        reason: String,
        /// Why, if somebody else said so.
        #[source]
        source: Option<BoxError>,
    },
    /// No connection came about: name, network, proxy or TLS. Nothing was sent.
    #[error("cannot connect to {peer}")]
    Connect {
        /// Whom.
        peer: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Time ran out.
    #[error("{peer} took longer than {limit:?} {during}")]
    Timeout {
        /// Who.
        peer: String,
        /// How much time there was for everything together.
        limit: Duration,
        /// How far it had come.
        during: Phase,
    },
    /// The connection failed in the middle. The peer may have acted on the request.
    #[error("connection to {peer} broke {during}")]
    Broken {
        /// Whom.
        peer: String,
        /// How far it had come.
        during: Phase,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The answer is larger than the caller takes.
    #[error("answer of {peer} is larger than the limit of {limit} bytes")]
    BodyTooLarge {
        /// Whose.
        peer: String,
        /// The limit of the caller.
        limit: usize,
    },
    /// The answer is larger than what the caller wanted to be kept. It was read to its end and counted.
    #[error("answer of {peer} has {size} bytes, more than the {kept} that were to be kept")]
    BodyNotKept {
        /// Whose.
        peer: String,
        /// Its size.
        size: usize,
        /// What the caller wanted to be kept at most.
        kept: usize,
    },
    /// The head of the answer is larger than what is kept of one.
    #[error(
        "head of the answer of {peer} is larger than the limits MAX_HEAD_BYTES ({MAX_HEAD_BYTES} bytes) and MAX_HEADERS \
         ({MAX_HEADERS} lines) allow"
    )]
    HeadTooLarge {
        /// Whose.
        peer: String,
    },
    /// A redirect that is not followed.
    #[error("cannot follow the redirect of {peer}: {reason}")]
    Redirect {
        /// Whose.
        peer: String,
        /// Why it is not followed.
        reason: String,
    },
}

impl NetError {
    /// Whether time ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether no connection came about, so that nothing was sent. A timeout while connecting counts.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Timeout { during: Phase::Connecting, .. })
    }

    /// Whether the answer was larger than allowed.
    #[must_use]
    pub fn is_body_too_large(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. })
    }

    /// Whether our own configuration or files are at fault.
    #[must_use]
    pub fn is_unsendable(&self) -> bool {
        matches!(self, Self::Unsendable { .. })
    }

    /// The other side, as `host:port`.
    #[must_use]
    pub fn peer(&self) -> &str {
        match self {
            Self::Unsendable { peer, .. }
            | Self::Connect { peer, .. }
            | Self::Timeout { peer, .. }
            | Self::Broken { peer, .. }
            | Self::BodyTooLarge { peer, .. }
            | Self::BodyNotKept { peer, .. }
            | Self::HeadTooLarge { peer }
            | Self::Redirect { peer, .. } => peer,
        }
    }
}

/// Another error seen from its first cause on, for libraries whose outermost error says nothing.
#[derive(Debug)]
pub(crate) struct FromCause(pub(crate) BoxError);

impl fmt::Display for FromCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl Error for FromCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}
