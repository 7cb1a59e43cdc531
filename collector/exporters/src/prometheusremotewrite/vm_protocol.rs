//! VictoriaMetrics' variant of remote write 1.0: the same message, compressed by zstd.
//!
//! As vmagent: the first request shows whether the receiver knows it. One that answers 415, or 400 before it has taken
//! anything, is sent snappy from then on, the same request first.

use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};

/// Not spoken.
const OFF: u8 = 0;
/// Spoken, though the receiver has not taken anything yet.
const UNTRIED: u8 = 1;
/// Spoken, and understood.
const ON: u8 = 2;

/// Whether requests are compressed by zstd. What was found out holds for the life of the exporter.
#[derive(Debug)]
pub(super) struct VmProtocol(AtomicU8);

impl VmProtocol {
    pub(super) fn new(is_asked_for: bool) -> Self {
        Self(AtomicU8::new(if is_asked_for { UNTRIED } else { OFF }))
    }

    pub(super) fn is_spoken(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OFF
    }

    /// Takes the answer to such a request in; says whether the receiver does not know it.
    pub(super) fn is_unknown(&self, status: u16) -> bool {
        let is_unknown = match status {
            415 => true,
            400 => self.0.load(Ordering::Relaxed) == UNTRIED,
            _ => false,
        };
        if is_unknown {
            self.0.store(OFF, Ordering::Relaxed);
        } else if (200..300).contains(&status) {
            // What was settled meanwhile stays settled.
            let _settled = self.0.compare_exchange(UNTRIED, ON, Ordering::Relaxed, Ordering::Relaxed);
        }
        is_unknown
    }

    /// Headers of such a request, over those of 1.0.
    pub(super) fn set_headers(headers: &mut HeaderMap) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        let version = HeaderName::from_static("x-victoriametrics-remote-write-version");
        headers.insert(version, HeaderValue::from_static("1"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_is_about_the_compression_until_something_was_taken() {
        let protocol = VmProtocol::new(true);
        assert!(!protocol.is_unknown(503) && !protocol.is_unknown(204));
        assert!(!protocol.is_unknown(400) && protocol.is_spoken());
        assert!(protocol.is_unknown(415) && !protocol.is_spoken());
        let protocol = VmProtocol::new(true);
        assert!(protocol.is_unknown(400) && !protocol.is_spoken());
    }
}
