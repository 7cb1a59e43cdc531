//! What the receiver's answer means for the request.
//!
//! As the remote write specifications have it: 2xx is success, 5xx and 429 are tried again (429 may be, and is), every other
//! status is final for this request. `Retry-After` is obeyed in both of its forms. What final means differs:
//!
//! | status | meaning |
//! |---|---|
//! | 400, protocol 1 | something in it is bad: [`ExportError::BadItems`], parts of it may be taken |
//! | 400, protocol 2 | what the Written headers count was stored, the rest is rejected: [`ExportError::Partial`], not sent again |
//! | 401, 403, 404 | [`ExportError::Denied`] |
//! | 413 | [`ExportError::TooLarge`] |
//! | 3xx | a redirect that the client did not follow with the body: [`ExportError::Never`] |
//! | others | [`ExportError::Never`] |

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{LOCATION, RETRY_AFTER};
use net::Response;
use pipeline::ExportError;

/// As much of the receiver's text as is logged, in characters.
const MAX_SHOWN: usize = 1000;

/// Answers of protocol 2 that say how much was stored. Exemplars are not counted as items.
const WRITTEN_HEADERS: [&str; 2] =
    ["x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written"];

/// What was sent, as far as the answer refers to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// Samples and histograms in the request.
    pub(super) n_items: u64,
    /// Whether it was protocol 2, whose receivers say how much they stored.
    pub(super) is_v2: bool,
}

/// Success, or what is to be done.
pub(super) fn judge(answer: &Response, sent: Sent, now: SystemTime) -> Result<(), ExportError> {
    let source = || told(answer).into();
    let n_rejected = || sent.n_items.saturating_sub(written(&answer.headers).unwrap_or(0));
    match answer.status {
        200..300 if sent.is_v2 && written(&answer.headers).is_some() && n_rejected() > 0 => {
            Err(ExportError::Partial { n_rejected: n_rejected(), source: source() })
        }
        200..300 => Ok(()),
        400 if sent.is_v2 => Err(ExportError::Partial { n_rejected: n_rejected(), source: source() }),
        400 => Err(ExportError::BadItems { source: source() }),
        401 => Err(ExportError::Denied { reason: "unauthorized", source: source() }),
        403 => Err(ExportError::Denied { reason: "forbidden", source: source() }),
        404 => Err(ExportError::Denied { reason: "not_found", source: source() }),
        413 => Err(ExportError::TooLarge { source: source() }),
        429 | 500.. => Err(ExportError::Later { after: retry_after(&answer.headers, now), source: source() }),
        300..400 => Err(ExportError::never("redirected", redirected(answer))),
        _ => Err(ExportError::never("rejected", told(answer))),
    }
}

/// Samples and histograms that the receiver says it stored; `None` when it says nothing, as receivers of protocol 1.
pub(super) fn written(headers: &HeaderMap) -> Option<u64> {
    let counts: Vec<u64> = WRITTEN_HEADERS
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
        .collect();
    if counts.is_empty() {
        None
    } else {
        Some(counts.iter().fold(0, |sum, count| sum.saturating_add(*count)))
    }
}

/// The status and the receiver's text.
fn told(answer: &Response) -> String {
    format!("remote write was answered with status {}: {}", answer.status, shown(answer))
}

fn redirected(answer: &Response) -> String {
    let place = answer.headers.get(LOCATION).map_or(Default::default(), |place| {
        String::from_utf8_lossy(place.as_bytes()).chars().take(MAX_SHOWN).collect::<String>()
    });
    format!(
        "{}; it redirects to `{place}`, where samples are not sent: only 307 and 308 to the same host are followed; \
         correct endpoint",
        told(answer)
    )
}

/// The receiver's text as it is, up to [`MAX_SHOWN`] characters.
pub(super) fn shown(answer: &Response) -> String {
    String::from_utf8_lossy(&answer.body).trim().chars().take(MAX_SHOWN).collect()
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

    const V1: Sent = Sent { n_items: 10, is_v2: false };
    const V2: Sent = Sent { n_items: 10, is_v2: true };

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        Response { status, headers, body: "out of order sample".into(), trailers: HeaderMap::new() }
    }

    fn judged(status: u16, sent: Sent, headers: &[(&'static str, &'static str)]) -> String {
        match judge(&answer(status, headers), sent, SystemTime::UNIX_EPOCH) {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                let text = telemetry::error_chain(&error);
                assert!(
                    text.contains("out of order sample") && text.contains(&status.to_string()),
                    "the receiver's text is passed on: {text}"
                );
                match error {
                    ExportError::Later { .. } => "later".to_owned(),
                    ExportError::Denied { reason, .. } => format!("denied {reason}"),
                    ExportError::TooLarge { .. } => "too large".to_owned(),
                    ExportError::BadItems { .. } => "bad items".to_owned(),
                    ExportError::Partial { n_rejected, .. } => format!("{n_rejected} rejected"),
                    ExportError::Never { reason, .. } => format!("never {reason}"),
                }
            }
        }
    }

    #[test]
    fn each_status_means_what_the_specification_says() {
        for sent in [V1, V2] {
            for status in [200, 204] {
                assert_eq!(judged(status, sent, &[]), "ok", "{status}");
            }
            for status in [429, 500, 502, 503, 504, 599, 999] {
                assert_eq!(judged(status, sent, &[]), "later", "{status}");
            }
            for status in [402, 405, 409, 410, 415, 422, 451] {
                assert_eq!(judged(status, sent, &[]), "never rejected", "{status}");
            }
            assert_eq!(judged(401, sent, &[]), "denied unauthorized");
            assert_eq!(judged(403, sent, &[]), "denied forbidden");
            assert_eq!(judged(404, sent, &[]), "denied not_found");
            assert_eq!(judged(413, sent, &[]), "too large");
        }
    }

    #[test]
    fn a_bad_request_is_about_its_items_with_protocol_1_and_about_the_rest_with_protocol_2() {
        let written = [(WRITTEN_HEADERS[0], "6"), (WRITTEN_HEADERS[1], "3")];
        assert_eq!(judged(400, V1, &[]), "bad items");
        assert_eq!(judged(400, V2, &written), "1 rejected");
        assert_eq!(judged(400, V2, &[]), "10 rejected");
    }

    #[test]
    fn fewer_written_than_sent_are_rejected_also_with_success() {
        assert_eq!(judged(204, V2, &[(WRITTEN_HEADERS[0], "4")]), "6 rejected");
        assert_eq!(judged(204, V2, &[(WRITTEN_HEADERS[0], "10")]), "ok");
        assert_eq!(judged(204, V2, &[(WRITTEN_HEADERS[0], "11")]), "ok");
        assert_eq!(judged(204, V1, &[(WRITTEN_HEADERS[0], "4")]), "ok");
    }

    #[test]
    fn a_redirect_that_was_not_followed_names_its_place() {
        let location = [("location", "http://elsewhere/api/v1/write")];
        assert_eq!(judged(302, V1, &location), "never redirected");
        let error = judge(&answer(307, &location), V1, SystemTime::UNIX_EPOCH).unwrap_err();
        let text = telemetry::error_chain(&error);
        assert!(text.contains("redirects to `http://elsewhere/api/v1/write`"), "{text}");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for status in [429, 503] {
            let wait = |text| match judge(&answer(status, &[("retry-after", text)]), V1, now) {
                Err(ExportError::Later { after, .. }) => after.map(|after| after.as_secs()),
                _ => None,
            };
            assert_eq!(wait("120"), Some(120));
            assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
            assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), None);
            assert_eq!(wait("soon"), None);
        }
    }
}
