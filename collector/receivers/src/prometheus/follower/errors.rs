//! Telling the allocator which of its targets cannot be scraped and why, so that it can explain it.

use std::sync::Weak;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use net::Request;
use scrape::Scraper;
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::debug;

use super::{ANSWER_TIMEOUT, Follower, query_escaped};

/// How often errors are told while there are some.
const EVERY: Duration = Duration::from_secs(10);

/// Most errors that are told.
const MAX_TOLD: usize = 1_000;

/// Longest error that is told, in characters.
const MAX_ERROR: usize = 300;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

impl Follower {
    /// Tells errors until it is dropped, to an allocator that has told us changes: others do not know the request.
    pub(super) async fn tell_errors(&self, scraper: Weak<Scraper>) {
        let url = format!("{}/errors?collector_id={}", self.endpoint, query_escaped(&self.collector_id));
        let mut had_some = false;
        loop {
            sleep(EVERY).await;
            if self.news.borrow().is_none() {
                continue;
            }
            let Some(scraper) = scraper.upgrade() else { return };
            let errors = errors(&scraper);
            drop(scraper);
            let has_some = !errors.is_empty();
            if !has_some && !had_some {
                continue;
            }
            let body = Value::from(errors).to_string();
            let request = Request::post(url.clone(), body, ANSWER_TIMEOUT, MAX_ANSWER);
            let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            match self.send(request).await {
                Ok(response) if response.status < 300 => had_some = has_some,
                Ok(response) => {
                    debug!(status = response.status, "the allocator does not take errors of targets")
                }
                Err(error) => debug!(error, "the allocator cannot be told errors of targets"),
            }
        }
    }
}

/// The targets whose last scrape failed: `[{"target": "<hash>", "error": "...", "at": <milliseconds since 1970>}]`.
fn errors(scraper: &Scraper) -> Vec<Value> {
    let targets = scraper.status().into_iter().flat_map(|job| job.active);
    let failed = targets.filter_map(|status| {
        let error: String = status.last.error.as_ref()?.chars().take(MAX_ERROR).collect();
        let at = status.last.at.map(|at| at.millis());
        Some(json!({ "target": status.target.hash.to_string(), "error": error, "at": at }))
    });
    failed.take(MAX_TOLD).collect()
}
