//! Why the API server did not give what was asked for.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

/// A kind of failure; its name is the `reason` of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection, or it broke, or the server was silent too long.
    Unreachable,
    /// 401: the server does not know who asks.
    Unauthorized,
    /// 403: a right is missing.
    Forbidden,
    /// 404: no such resource, or no such object.
    NotFound,
    /// 409: the object exists already, or is not what it was.
    Conflict,
    /// 410: the version is too old to go on from.
    Expired,
    /// 429: too many requests.
    Throttled,
    /// 5xx.
    ServerError,
    /// Any other status: the request cannot be carried out as it is.
    Rejected,
    /// The answer is not what the API promises.
    BadAnswer,
    /// The answer is larger than a limit of ours.
    TooLarge,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Expired,
        Self::Throttled,
        Self::ServerError,
        Self::Rejected,
        Self::BadAnswer,
        Self::TooLarge,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Expired => "expired",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Rejected => "rejected",
            Self::BadAnswer => "bad_answer",
            Self::TooLarge => "too_large",
        }
    }

    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            410 => Self::Expired,
            429 => Self::Throttled,
            500..=599 => Self::ServerError,
            _ => Self::Rejected,
        }
    }
}

/// What failed, why, and when the server wants to be asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub reason: Reason,
    /// What was attempted, why it failed, and a remedy where there is one.
    pub message: String,
    /// What the server asks for with `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// The server answered with a status that is no success.
    pub(crate) fn of(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let said: StatusBody = serde_json::from_slice(body).unwrap_or_default();
        let asked = said.details.retry_after_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let reason = Reason::of(status);
        let message =
            if said.message.is_empty() { format!("status {}", status.as_u16()) } else { said.message };
        Self { reason, message, retry_after: retry_after.or(asked) }
    }

    /// The server said so in the middle of a watch.
    pub(crate) fn told(said: StatusBody) -> Self {
        let status = StatusCode::from_u16(said.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_expired = matches!(said.reason.as_str(), "Expired" | "Gone");
        let reason = if is_expired { Reason::Expired } else { Reason::of(status) };
        let asked = said.details.retry_after_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self { reason, message: said.message, retry_after: asked }
    }

    /// With what was being attempted in front.
    pub(crate) fn while_doing(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// With a remedy at the end.
    pub(crate) fn with_remedy(self, remedy: impl fmt::Display) -> Self {
        Self { message: format!("{}; {remedy}", self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The API's `Status` object, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusBody {
    code: u16,
    reason: String,
    message: String,
    details: StatusDetails,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: Option<u64>,
}
