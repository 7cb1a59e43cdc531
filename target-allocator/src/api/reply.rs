//! Answers as HTTP responses: validators, compression, the headers that every kind of answer has.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, LOCATION, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::answers::{Answer, Form, names, not_ready};
use crate::marks::Seen;
use crate::view::View;

/// Hash of what an answer follows from; equal on replicas that know the same ([`View::inputs`]).
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("x-muster-epoch");

/// How new an answer is. A client that sends it back is refused by replicas that know less ([`crate::marks`]).
pub const SEEN_HEADER: HeaderName = HeaderName::from_static("x-muster-seen");

/// What pages may load: our style sheet, and nothing else from anywhere.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a client says it has seen before.
pub(super) fn seen(asked: &HeaderMap) -> Option<Seen> {
    Seen::parse(text(asked, &SEEN_HEADER)?)
}

/// A sealed answer of a view: 304 where the client has it, compressed where the client takes it.
pub(super) fn sealed(answer: &Answer, view: &View, asked: &HeaderMap) -> Response<Bytes> {
    with_validator(answer.etag(), |takes_gzip| answer.form(takes_gzip), view, asked)
}

/// As [`sealed`], of a body that is made where the client does not have it; `form` is told whether the client takes gzip.
pub(super) fn with_validator(
    etag: &str,
    form: impl FnOnce(bool) -> Form,
    view: &View,
    asked: &HeaderMap,
) -> Response<Bytes> {
    let is_known = text(asked, &IF_NONE_MATCH).is_some_and(|tags| names(tags, etag));
    let form = (!is_known).then(|| form(takes_gzip(asked)));
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let is_gzip = form.as_ref().is_some_and(|form| form.is_gzip);
    let mut response = with_type(status, JSON, form.map_or_else(Bytes::new, |form| form.body));
    let headers = response.headers_mut();
    if is_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(ETAG, HeaderValue::from_str(etag).expect("a validator is hexadecimal"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    stamp(headers, view, asked);
    response
}

/// 304 for who has waited for a change that did not come.
pub(super) fn unchanged(etag: &str, view: &View, asked: &HeaderMap) -> Response<Bytes> {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(etag).expect("a validator is hexadecimal"));
    stamp(headers, view, asked);
    response
}

fn stamp(headers: &mut HeaderMap, view: &View, asked: &HeaderMap) {
    let seen = Seen::after(&view.inputs, &view.marks, seen(asked).as_ref()).to_string();
    for (name, value) in [(EPOCH_HEADER, &view.inputs), (SEEN_HEADER, &seen)] {
        headers.insert(name, HeaderValue::from_str(value).expect("both are hexadecimal and numbers"));
    }
}

/// 503 with a body that no client takes for a list.
pub(super) fn unready(reasons: &[String]) -> Response<Bytes> {
    let mut response = with_type(StatusCode::SERVICE_UNAVAILABLE, JSON, not_ready(reasons));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// JSON that is made for one request.
pub(super) fn json(value: &serde_json::Value) -> Response<Bytes> {
    let mut response = with_type(StatusCode::OK, JSON, format!("{value}\n"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page.
pub(super) fn html(status: StatusCode, page: String) -> Response<Bytes> {
    let mut response = with_type(status, HeaderValue::from_static("text/html; charset=utf-8"), page);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Our style sheet.
pub(super) fn style(sheet: &'static str) -> Response<Bytes> {
    let mut response = with_type(
        StatusCode::OK,
        HeaderValue::from_static("text/css; charset=utf-8"),
        Bytes::from_static(sheet.as_bytes()),
    );
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The Prometheus text format.
pub(super) fn metrics(text: String, asked: &HeaderMap) -> Response<Bytes> {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let form = Answer::new(text.into_bytes()).form(takes_gzip(asked));
    let mut response = with_type(StatusCode::OK, kind, form.body);
    if form.is_gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Nothing to say but the status.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A sentence.
pub(super) fn plain(status: StatusCode, sentence: &str) -> Response<Bytes> {
    with_type(status, HeaderValue::from_static("text/plain"), sentence.to_owned())
}

/// 404 as gin writes it.
pub(super) fn not_found() -> Response<Bytes> {
    plain(StatusCode::NOT_FOUND, "404 page not found")
}

/// 301 to another path, with the query of the request.
pub(super) fn redirect(path: &str, query: Option<&str>) -> Response<Bytes> {
    let location = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "moved permanently\n");
    match HeaderValue::from_str(&location) {
        Ok(location) => drop(response.headers_mut().insert(LOCATION, location)),
        Err(_) => return not_found(),
    }
    response
}

/// Whether a client looks at pages.
pub(super) fn wants_html(asked: &HeaderMap) -> bool {
    text(asked, &http::header::ACCEPT).is_some_and(|kinds| kinds.contains("text/html"))
}

/// Whether a client takes gzip: it is named, and not with `q=0`.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let named = |entry: &str| {
        let mut parts = entry.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0))
        });
        is_gzip && !refused
    };
    text(asked, &ACCEPT_ENCODING).is_some_and(|entries| entries.split(',').any(named))
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn with_type(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> std::sync::Arc<View> {
        crate::api::tests::fixture(|_| {}).api.view()
    }

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn gzip_is_sent_only_to_who_names_it() {
        for (header, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("*", false),
        ] {
            assert_eq!(takes_gzip(&asked(ACCEPT_ENCODING, header)), takes, "{header}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_client_that_has_the_answer_gets_no_body() {
        let answer = Answer::new(b"[]\n".to_vec());
        let view = view();
        let response = sealed(&answer, &view, &asked(IF_NONE_MATCH, answer.etag()));
        assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(response.headers()[EPOCH_HEADER], view.inputs);
        let response = sealed(&answer, &view, &HeaderMap::new());
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"[]\n"[..]));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn a_long_answer_is_compressed_once() {
        let answer = Answer::new(vec![b'x'; 10_000]);
        let response = sealed(&answer, &view(), &asked(ACCEPT_ENCODING, "gzip"));
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        assert!(response.body().len() < 500);
        assert_eq!(response.body().as_ptr(), answer.form(true).body.as_ptr());
    }
}
