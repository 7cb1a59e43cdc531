//! Getting the metrics of a target over HTTP.
//!
//! The request is that of Prometheus `scrape` (`targetScraper.scrape`): `Accept` by `scrape_protocols`,
//! `gzip` unless `enable_compression` is off, the timeout in a header. The loop knows only the trait
//! [`Fetch`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{Period, Problem};
use futures_util::future::BoxFuture;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};

use crate::{Job, Target};

/// Largest answer after decompression where `body_size_limit` is not set. Pages of 200 MiB are known of
/// kube-state-metrics in large clusters.
pub const MAX_BODY_BYTES: u64 = 256 << 20;

/// Largest answer as it comes where `body_size_limit` is not set. Exporters with large pages compress them, to a
/// tenth and less.
pub const MAX_WIRE_BYTES: u64 = 64 << 20;

/// An answer with status 200.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// How it is compressed.
    pub content_encoding: Option<HeaderValue>,
    /// The body as it came.
    pub body: Bytes,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The status is not 200.
    #[error("the target answered with status {0}")]
    Status(u16),
    /// It did not come in time.
    #[error("no answer within scrape_timeout ({limit:?})")]
    Timeout {
        /// The target's timeout.
        limit: Duration,
        /// How far it had come.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It is larger than `body_size_limit`.
    #[error("the answer is larger than body_size_limit, or than MAX_WIRE_BYTES where that is not set")]
    BodyTooLarge(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is complete and larger than what was to be kept of it, so nothing of it is left.
    #[error(
        "the answer has {size} bytes, and room was made for {kept} by what it had before; the next scrape makes more"
    )]
    NotKept {
        /// Its size in bytes.
        size: usize,
        /// What was to be kept at most.
        kept: usize,
    },
    /// Other large answers took all the room until time ran out.
    #[error(
        "no room for an answer of {wanted} bytes within scrape_timeout: large answers share LARGE_BODIES_BYTES ({limit})"
    )]
    NoRoom {
        /// What was to be kept at most.
        wanted: usize,
        /// The room of all.
        limit: usize,
    },
    /// The target could not be reached, or the connection broke.
    #[error("no answer")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks targets for their metrics.
pub trait Fetch: Send + Sync + 'static {
    /// Asks once, within the target's timeout. Of the body at most `kept` bytes are held in memory; a larger one is
    /// measured, see [`FetchError::NotKept`].
    ///
    /// # Errors
    /// When there is no answer, or one with another status than 200.
    fn fetch<'a>(&'a self, target: &'a Target, kept: usize) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// Asks over HTTP, as the job says.
#[derive(Debug)]
pub struct HttpFetch {
    client: net::Client,
    /// With the timeout of the job.
    headers: Arc<HeaderMap>,
    timeout: Duration,
    /// Largest body as it comes over the wire.
    body_limit: usize,
}

impl HttpFetch {
    /// A client for the targets of this job.
    ///
    /// # Errors
    /// When the client cannot be built; the path is relative to the job.
    pub fn build(job: &Job) -> Result<Self, Problem> {
        let config = job.config();
        let client = net::Client::build(&config.client, job.base_dir())
            .map_err(|error| Problem::at(error.key.replace('.', "::"), telemetry::error_chain(&error)))?;
        let mut headers = HeaderMap::new();
        let accept = HeaderValue::try_from(job.accept()).expect("media types are a header value");
        headers.insert(ACCEPT, accept);
        let encoding = if config.enable_compression { "gzip" } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        let timeout = config.scrape_timeout.map_or(Duration::ZERO, Period::as_duration);
        set_timeout(&mut headers, timeout);
        let limit = config.limits.body_size_limit.map_or(MAX_WIRE_BYTES, |limit| limit.as_u64());
        // A body that reaches the limit is too large already.
        let body_limit = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(Self { client, headers: Arc::new(headers), timeout, body_limit })
    }

    async fn get(&self, target: &Target, kept: usize) -> Result<Fetched, FetchError> {
        let mut headers = Arc::clone(&self.headers);
        if target.timeout != self.timeout {
            set_timeout(Arc::make_mut(&mut headers), target.timeout);
        }
        let request = net::Request {
            headers,
            kept_limit: kept,
            unix_socket: target.unix_socket.clone(),
            ..net::Request::get(target.destination.clone(), target.timeout, self.body_limit)
        };
        let response = self.client.send(request).await.map_err(|error| match error {
            error if error.is_timeout() => {
                FetchError::Timeout { limit: target.timeout, source: Some(error.into()) }
            }
            net::NetError::BodyNotKept { size, kept, .. } => FetchError::NotKept { size, kept },
            error if error.is_body_too_large() => FetchError::BodyTooLarge(error.into()),
            error => FetchError::Broken(error.into()),
        })?;
        if response.status != 200 {
            return Err(FetchError::Status(response.status));
        }
        Ok(Fetched {
            content_type: response.headers.get(CONTENT_TYPE).cloned(),
            content_encoding: response.headers.get(CONTENT_ENCODING).cloned(),
            body: response.body,
        })
    }
}

fn set_timeout(headers: &mut HeaderMap, timeout: Duration) {
    let seconds = timeout.as_secs_f64().to_string();
    let seconds = HeaderValue::try_from(seconds).expect("digits are a header value");
    headers.insert(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), seconds);
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, target: &'a Target, kept: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(self.get(target, kept))
    }
}
