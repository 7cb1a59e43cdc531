//! One GET, and every way in which it can fail to bring an answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use net::{BoxError, Client, NetError};
use tokio::time::Instant;

/// Largest answer that is read, in bytes. A node with 500 pods answers some 4 MiB of summary and 10 MiB of pods.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// How much of the text of a refusal is shown, in characters.
const MAX_SHOWN: usize = 512;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `/stats/summary` of the kubelet.
    Summary,
    /// `/pods` of the kubelet.
    Pods,
    /// The node object of the API server.
    Node,
    /// A persistent volume claim of the API server.
    Claim,
    /// A persistent volume of the API server.
    Volume,
}

impl Subject {
    /// Its word in our own metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Pods => "pods",
            Self::Node => "node",
            Self::Claim => "persistentvolumeclaim",
            Self::Volume => "persistentvolume",
        }
    }

    /// The resource that a role has to let us get.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Summary => "nodes/stats",
            Self::Pods => "nodes/pods",
            Self::Node => "nodes",
            Self::Claim => "persistentvolumeclaims",
            Self::Volume => "persistentvolumes",
        }
    }

    /// What to do about a refusal.
    fn remedy(self) -> String {
        let before = if self == Self::Pods { " (nodes/proxy before Kubernetes 1.33)" } else { "" };
        format!("allow get on {}{before}", self.resource())
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a usable answer.
    Success,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// Another status that is no success.
    Status,
    /// More than [`MAX_ANSWER_BYTES`].
    TooLarge,
    /// An answer that is not what it should be: half, or no JSON.
    Malformed,
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke.
    Unreachable,
    /// Nothing was sent: a token or certificate of ours is unusable.
    Unsendable,
}

impl Outcome {
    /// Its word in our own metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Unsendable => "unsendable",
        }
    }
}

/// A request that brought no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("GET {url}{reason}")]
pub struct RequestError {
    /// What was asked for.
    pub subject: Subject,
    /// How it ended.
    pub outcome: Outcome,
    /// The status, where there was an answer that is no success.
    pub status: Option<u16>,
    url: String,
    /// With its separator; empty where the source says it all.
    reason: String,
    #[source]
    source: Option<BoxError>,
}

/// When a request has to be over, and how much time that was for all requests of a scrape together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// So much time from now on.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }
}

/// Somebody who answers requests: a kubelet or an API server.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

impl Server {
    pub(crate) fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    /// The body of a success.
    pub(crate) async fn get(
        &self,
        subject: Subject,
        path: &str,
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        self.get_into(BytesMut::new(), subject, path, deadline).await
    }

    /// As [`Self::get`], with memory for a large body.
    pub(crate) async fn get_into(
        &self,
        buffer: BytesMut,
        subject: Subject,
        path: &str,
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        let url = format!("{}{path}", self.base);
        let failed = |outcome, reason: String, source: Option<BoxError>| RequestError {
            subject,
            outcome,
            status: None,
            url: url.clone(),
            reason,
            source,
        };
        let left = deadline.at.saturating_duration_since(Instant::now());
        let request = net::Request { buffer, ..net::Request::get(url.as_str(), left, MAX_ANSWER_BYTES) }
            .header(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        // On the heap: several of them run beside each other.
        let answer = Box::pin(self.client.send(request)).await.map_err(|error| match error {
            NetError::BodyTooLarge { .. } => failed(Outcome::TooLarge, too_large(), None),
            // The time that was left is another one at each scrape; a lasting error should read the same.
            NetError::Timeout { during, .. } => {
                failed(Outcome::Timeout, format!(": not done within {:?}, {during}", deadline.limit), None)
            }
            NetError::Unsendable { .. } => failed(Outcome::Unsendable, String::new(), Some(error.into())),
            error => failed(Outcome::Unreachable, String::new(), Some(error.into())),
        })?;
        match StatusCode::from_u16(answer.status) {
            Ok(status) if status.is_success() => {
                let encoding =
                    answer.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
                net::decode_body(encoding, answer.body, MAX_ANSWER_BYTES).map_err(|error| match error {
                    net::DecodeBody::TooLarge(_) => failed(Outcome::TooLarge, too_large(), None),
                    error => failed(Outcome::Malformed, String::new(), Some(error.into())),
                })
            }
            _ => {
                let (outcome, hint) = match answer.status {
                    401 => (
                        Outcome::Unauthorized,
                        "; the token or the client certificate was not accepted".to_owned(),
                    ),
                    403 => (Outcome::Forbidden, format!("; {}", subject.remedy())),
                    _ => (Outcome::Status, String::new()),
                };
                let reason = format!(": answered {}{}{hint}", answer.status, shown(&answer.body));
                Err(RequestError { status: Some(answer.status), ..failed(outcome, reason, None) })
            }
        }
    }

    /// An answer that arrived and cannot be used.
    pub(crate) fn malformed(
        &self,
        subject: Subject,
        path: &str,
        n_bytes: usize,
        source: impl Into<BoxError>,
    ) -> RequestError {
        RequestError {
            subject,
            outcome: Outcome::Malformed,
            status: None,
            url: format!("{}{path}", self.base),
            reason: format!(": the answer of {n_bytes} bytes cannot be read"),
            source: Some(source.into()),
        }
    }
}

fn too_large() -> String {
    format!(": the answer is larger than the limit MAX_ANSWER_BYTES ({MAX_ANSWER_BYTES} bytes)")
}

/// The text of a refusal, cut and without line breaks.
fn shown(body: &[u8]) -> String {
    // Four bytes a character at most, so that what is cut away is not looked at.
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_SHOWN)]);
    let text = text.trim();
    match text.char_indices().nth(MAX_SHOWN) {
        _ if text.is_empty() => String::new(),
        Some((end, _)) => format!(": {}...", text[..end].escape_debug()),
        None => format!(": {}", text.escape_debug()),
    }
}
