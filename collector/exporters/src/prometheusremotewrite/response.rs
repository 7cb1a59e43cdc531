//! What the receiver's answer means for the request.
//!
//! As the remote write 1.0 specification has it: 2xx is success, 5xx and 429 are tried again (429 may be, and is), every other
//! status is final. `Retry-After` is obeyed in both of its forms.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use net::Response;
use pipeline::ExportError;

/// As much of the receiver's text as is logged, in characters.
const MAX_SHOWN: usize = 1000;

/// Success, later, or never.
pub(super) fn judge(answer: &Response, now: SystemTime) -> Result<(), ExportError> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let shown: String = text.trim().chars().take(MAX_SHOWN).collect();
    let source = format!("remote write was answered with status {}: {shown}", answer.status).into();
    match answer.status {
        429 | 500.. => Err(ExportError::Later { after: retry_after(&answer.headers, now), source }),
        _ => Err(ExportError::Never { source }),
    }
}

/// `Retry-After` as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, retry_after: Option<&'static str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        }
        Response { status, headers, body: "out of order sample".into(), trailers: HeaderMap::new() }
    }

    #[test]
    fn each_status_means_what_the_specification_says() {
        let now = SystemTime::UNIX_EPOCH;
        for status in [200, 204] {
            assert!(judge(&answer(status, None), now).is_ok(), "{status}");
        }
        for status in [429, 500, 502, 503, 504, 599, 999] {
            assert!(matches!(judge(&answer(status, None), now), Err(ExportError::Later { .. })), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 409, 413] {
            let error = judge(&answer(status, None), now).unwrap_err();
            assert!(matches!(error, ExportError::Never { .. }), "{status}");
            let text = telemetry::error_chain(&error);
            assert!(text.contains("out of order sample") && text.contains(&status.to_string()), "{text}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let wait = |text| match judge(&answer(503, Some(text)), now) {
            Err(ExportError::Later { after, .. }) => after.map(|after| after.as_secs()),
            _ => None,
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), None);
        assert_eq!(wait("soon"), None);
    }
}
