//! Prometheus remote write, both versions.
//!
//! Series are written into open bodies ([`body`]), which may be joined by concatenation; [`body::Assembler`] makes one
//! request of a body. What was assembled as 2.0 and has to go to a receiver that knows only 1.0 is rewritten by
//! [`v2::to_v1`].

pub mod body;
pub mod columns;
mod place;
mod split;
pub mod v1;
pub mod v2;

pub use split::{Part, split};

/// Which message a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Remote write 1.0: `prometheus.WriteRequest`.
    V1,
    /// Remote write 2.0: `io.prometheus.write.v2.Request`.
    V2,
}

impl Protocol {
    /// The version as people write it: `1.0` or `2.0`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }

    /// `Content-Type` of a request.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V1 => v1::CONTENT_TYPE,
            Self::V2 => v2::CONTENT_TYPE,
        }
    }

    /// Value of [`VERSION_HEADER`].
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V1 => v1::VERSION,
            Self::V2 => v2::VERSION,
        }
    }
}

/// `Content-Encoding` of a request: the block format of snappy.
pub const CONTENT_ENCODING: &str = "snappy";
/// Name of the header that says which version is spoken.
pub const VERSION_HEADER: &str = "X-Prometheus-Remote-Write-Version";

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
