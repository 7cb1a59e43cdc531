//! `/changes?collector_id=<id>`: one request that is held until something changes for a member. Ours alone.
//!
//! The client sends the validator of the last answer in `If-None-Match`, and gets an answer as soon as its lists or the jobs are
//! others than then: `{"scrape_configs": "<validator>", "jobs": {"<job>": "<validator>"}}`, with the jobs in which it has
//! targets. What changed it fetches as before. After [`HOLD`] without a change the answer is 304. While such a request is held
//! the member counts as one that hears of changes at once, which makes handovers short.

use bytes::Bytes;
use http::header::IF_NONE_MATCH;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::reply::{self, plain, sealed, unchanged, unready};
use super::{Api, Query};
use crate::answers::{Answer, etag, names};
use crate::members::{Client, HOLD};
use crate::view::View;

impl Api {
    pub(super) async fn changes(&self, query: Query<'_>, parts: &Parts, is_secure: bool) -> Response<Bytes> {
        let Some(collector) = query.only("collector_id") else {
            return plain(StatusCode::BAD_REQUEST, "400 bad request: one collector_id is needed");
        };
        let client = Client::of(reply::text(&parts.headers, &http::header::USER_AGENT));
        if let Some(refusal) = self.hear(&collector, Some(client), parts) {
            return refusal;
        }
        let _watching = self.polls.watch(&collector);
        let (mut views, mut stopping) = (self.view.clone(), self.stopping.clone());
        let known = reply::text(&parts.headers, &IF_NONE_MATCH);
        let until = Instant::now() + HOLD;
        loop {
            let view = views.borrow_and_update().clone();
            let reasons = self.lagging(&view, view.why_no_lists(), &parts.headers);
            let hash = news(&view, &collector, is_secure);
            if reasons.is_empty() && !known.is_some_and(|known| names(known, &etag(hash))) {
                return sealed(&describe(&view, &collector, hash, is_secure), &view, &parts.headers);
            }
            let waited = tokio::select! {
                changed = timeout_at(until, views.changed()) => changed.is_ok_and(|changed| changed.is_ok()),
                _ = stopping.wait_for(|is_stopping| *is_stopping) => false,
            };
            if !waited {
                return timed_out(&reasons, hash, &view, &parts.headers);
            }
        }
    }
}

fn timed_out(reasons: &[String], hash: u64, view: &View, asked: &HeaderMap) -> Response<Bytes> {
    if reasons.is_empty() { unchanged(&etag(hash), view, asked) } else { unready(reasons) }
}

/// The hash behind the validator; of a stranger, that of the jobs alone.
fn news(view: &View, collector: &str, is_secure: bool) -> u64 {
    let at = view.placement.roster.position(collector).unwrap_or(usize::MAX);
    view.news(at, is_secure || view.shows_secrets)
}

fn describe(view: &View, collector: &str, hash: u64, is_secure: bool) -> Answer {
    let at = view.placement.roster.position(collector);
    let jobs = at.into_iter().flat_map(|at| view.jobs_of(at));
    let jobs: Map<String, Value> = jobs.map(|(name, hash)| (name.to_string(), etag(hash).into())).collect();
    let shows = is_secure || view.shows_secrets;
    let configs = if shows { &view.configs.full } else { &view.configs.redacted };
    let body = json!({ "scrape_configs": configs.etag(), "jobs": jobs });
    Answer::with_hash(format!("{body}\n").into_bytes(), hash)
}
