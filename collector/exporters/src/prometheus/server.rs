//! Answers requests for `/metrics`.

use std::sync::{Arc, Mutex};

use exposition::print::Negotiated;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use net::{Again, Listener, Received, Reply, ServeOptions, answer, reply};
use pipeline::Stop;
use tokio::time::Instant;

use super::page::Page;
use super::store::Store;

/// What is served, and how.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) store: Arc<Mutex<Store>>,
    /// When the store's time began.
    pub(super) origin: Instant,
    pub(super) open_metrics: bool,
    pub(super) with_times: bool,
}

impl Service {
    /// Answers until `stop`.
    pub(super) async fn serve(self, listener: Listener, options: ServeOptions, stop: Stop) {
        let page = answer(move |request| std::future::ready(self.answer(&request)));
        listener.serve(options, page, async move { stop.raised().await }).await;
    }

    pub(super) fn answer(&self, request: &Received) -> Reply {
        if request.uri().path() != "/metrics" {
            return reply(StatusCode::NOT_FOUND, "404 page not found; metrics are at /metrics\n");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        let format = Negotiated::of(&all_of(request.headers(), &ACCEPT), self.open_metrics);
        let is_compressed = takes_gzip(&all_of(request.headers(), &ACCEPT_ENCODING));
        let mut page = Reply::default();
        if request.method() == Method::GET {
            let Self { store, origin, with_times, .. } = self.clone();
            // Whoever scrapes sends the same request each time.
            let again = Again::new(move || {
                Page::new(Arc::clone(&store), origin, format, with_times, is_compressed).into_body()
            });
            *page.body_mut() = again.body();
            page.extensions_mut().insert(again);
        }
        let headers = page.headers_mut();
        let content_type = HeaderValue::try_from(format.content_type());
        headers.insert(CONTENT_TYPE, content_type.expect("content types are plain text"));
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        page
    }
}

/// All values of a header as one list.
fn all_of(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Whether gzip is at least as welcome as an answer that is not compressed.
fn takes_gzip(accept_encoding: &str) -> bool {
    let mut gzip = None;
    let (mut any, mut identity) = (0.0, 0.0);
    for entry in accept_encoding.split(',') {
        let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let weight = parameters.split(';').find_map(|part| part.trim().strip_prefix("q="));
        let weight: f64 = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" => gzip = Some(weight),
            "*" => any = weight,
            "identity" => identity = weight,
            _ => {}
        }
    }
    let gzip = gzip.unwrap_or(any);
    gzip > 0.0 && gzip >= identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_welcome() {
        for (accept_encoding, is_welcome) in [
            ("", false),
            ("gzip", true),
            ("GZIP;q=0.5", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("*;q=0.3, gzip;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("br, zstd", false),
            ("gzip;q=x", false),
        ] {
            assert_eq!(takes_gzip(accept_encoding), is_welcome, "{accept_encoding}");
        }
    }
}
