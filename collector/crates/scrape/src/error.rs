//! Why a scrape failed.

use std::fmt;

use exposition::Place;

use crate::FetchError;

/// A scrape that failed; the target is down for this moment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrapeError {
    /// There was no answer that could be read.
    #[error("cannot fetch the metrics")]
    Fetch(#[from] FetchError),
    /// The answer is larger than allowed.
    #[error("the answer is larger than allowed: {name} is {limit} bytes")]
    BodyTooLarge {
        /// Which limit: `body_size_limit`, or the constant that counts where that is not set.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The answer cannot be decompressed.
    #[error("cannot decompress the answer: {0}")]
    Decompress(String),
    /// The content type names no format that can be read.
    #[error("{0}")]
    ContentType(String),
    /// A line is not what the format allows.
    #[error("cannot parse the metrics: {0}")]
    Parse(exposition::ParseError),
    /// A series cannot be kept as it is.
    #[error("{0}")]
    BadSeries(String),
    /// More samples than allowed.
    #[error("sample_limit exceeded: {found} samples after relabelling, limit {limit}")]
    SampleLimit {
        /// Samples that would have been kept.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A native histogram has more buckets than allowed and cannot be made coarser.
    #[error("native_histogram_bucket_limit exceeded: {found} buckets, limit {limit}")]
    BucketLimit {
        /// Buckets of the histogram.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// More samples than are read, whether rules drop them or not.
    #[error(
        "the answer has more than {name} ({limit}) samples, those included that rules drop; set sample_limit higher if that is meant"
    )]
    TooManySamples {
        /// Which limit it is.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A series has too many or too long labels.
    #[error("{limit} exceeded: {message}")]
    LabelLimit {
        /// Which limit.
        limit: &'static str,
        /// What exceeds it.
        message: String,
    },
    /// The job has more targets than allowed.
    #[error("target_limit exceeded: the job has {found} targets, limit {limit}")]
    TargetLimit {
        /// Targets of the job.
        found: usize,
        /// The limit.
        limit: u64,
    },
}

/// The kinds of [`ScrapeError`], as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The target could not be reached, or the connection broke.
    Connect,
    /// Another status than 200.
    Status,
    /// Too slow.
    Timeout,
    /// Too large.
    BodySizeLimit,
    /// Not decompressible.
    Decompress,
    /// Not a known format.
    ContentType,
    /// Not what the format allows.
    Parse,
    /// A series without a name or with a wrong one.
    BadSeries,
    /// Too many samples.
    SampleLimit,
    /// Too many buckets in a native histogram.
    BucketLimit,
    /// Too many or too long labels.
    LabelLimit,
    /// Too many targets.
    TargetLimit,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Status,
        Self::Timeout,
        Self::BodySizeLimit,
        Self::Decompress,
        Self::ContentType,
        Self::Parse,
        Self::BadSeries,
        Self::SampleLimit,
        Self::BucketLimit,
        Self::LabelLimit,
        Self::TargetLimit,
    ];

    /// The word in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::BodySizeLimit => "body_size_limit",
            Self::Decompress => "decompress",
            Self::ContentType => "content_type",
            Self::Parse => "parse",
            Self::BadSeries => "bad_series",
            Self::SampleLimit => "sample_limit",
            Self::BucketLimit => "native_histogram_bucket_limit",
            Self::LabelLimit => "label_limit",
            Self::TargetLimit => "target_limit",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ScrapeError {
    /// The same error, placed where the parser is, unless it has a place already.
    pub(crate) fn at(self, place: impl FnOnce() -> Place) -> Self {
        match self {
            Self::Parse(error) if error.place == Place::Nowhere => Self::Parse(error.at(place())),
            other => other,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Failure {
        match self {
            Self::Fetch(FetchError::Status(_)) => Failure::Status,
            Self::Fetch(FetchError::Timeout { .. } | FetchError::NoRoom { .. }) => Failure::Timeout,
            Self::BodyTooLarge { .. } => Failure::BodySizeLimit,
            Self::Fetch(FetchError::BodyTooLarge(_) | FetchError::NotKept { .. }) => Failure::BodySizeLimit,
            Self::Fetch(FetchError::Broken(_)) => Failure::Connect,
            Self::Decompress(_) => Failure::Decompress,
            Self::ContentType(_) => Failure::ContentType,
            Self::Parse(_) => Failure::Parse,
            Self::BadSeries(_) => Failure::BadSeries,
            Self::SampleLimit { .. } | Self::TooManySamples { .. } => Failure::SampleLimit,
            Self::BucketLimit { .. } => Failure::BucketLimit,
            Self::LabelLimit { .. } => Failure::LabelLimit,
            Self::TargetLimit { .. } => Failure::TargetLimit,
        }
    }
}
