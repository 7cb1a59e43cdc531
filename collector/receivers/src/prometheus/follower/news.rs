//! What has changed, as the allocator tells it over one long-lived request.
//!
//! `/changes?collector_id=<id>` is held by our allocator until our lists or the jobs change; its answer names them with their
//! validators, and what is new is fetched at once instead of at the next interval. Other allocators answer with 404: they are
//! polled, as ever. Polling goes on beside it in any case, so that nothing depends on this request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use net::Request;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use super::{ANSWER_TIMEOUT, FIRST_RETRY, Follower, MAX_ANSWER_BYTES, query_escaped};

/// How long the allocator holds a request.
const HELD: Duration = Duration::from_secs(20);

/// Shortest time from one request to the next, so that many changes are fetched together.
const PAUSE: Duration = Duration::from_millis(50);

/// The same where nothing is held: somebody in between answers instead.
const UNHELD_PAUSE: Duration = Duration::from_secs(5);

/// How soon an allocator that does not know the request is asked again; it may have been exchanged.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

/// What was told last, as validators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct News {
    /// Of the jobs.
    pub(super) scrape_configs: String,
    /// Of our lists, by job; jobs of which we have nothing are absent.
    pub(super) jobs: BTreeMap<String, String>,
}

/// Tells what is new; nothing before the first answer.
pub(super) type Bulletin = watch::Receiver<Option<Arc<News>>>;

impl Follower {
    /// Listens until it is dropped.
    pub(super) async fn listen(&self) {
        let url = format!("{}/changes?collector_id={}", self.endpoint, query_escaped(&self.collector_id));
        let mut etag: Option<HeaderValue> = None;
        let mut retry = FIRST_RETRY;
        loop {
            let began = Instant::now();
            let mut request = Request::get(url.clone(), HELD + ANSWER_TIMEOUT, MAX_ANSWER_BYTES);
            if let Some(etag) = &etag {
                request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
            }
            let answer = self.send(request).await;
            let status = answer.as_ref().map_or(0, |response| response.status);
            let heard = answer.ok().filter(|response| response.status == 200).and_then(|response| {
                let news: News = serde_json::from_slice(&response.body).ok()?;
                etag = response.headers.get(ETAG).cloned();
                Some(news)
            });
            if let Some(news) = heard {
                self.news.send_replace(Some(Arc::new(news)));
                retry = FIRST_RETRY;
                sleep_until(began + PAUSE).await;
                continue;
            }
            match status {
                304 => sleep_until(began + UNHELD_PAUSE).await,
                404 => sleep(UNKNOWN_PAUSE).await,
                _ => {
                    debug!(allocator = self.endpoint, status, "changes are not told now");
                    etag = None;
                    sleep(retry).await;
                    retry = (retry * 2).min(self.interval.max(FIRST_RETRY));
                }
            }
        }
    }
}
