//! One list of targets, fetched again and again: at its interval, and at once when it is told to have changed.
//!
//! As Prometheus' HTTP SD, of which the allocator is a server: an answer counts only with status 200 and JSON, anything else
//! keeps the last list, and the server is told the interval. In addition a list that we have is not sent again (validators), and
//! the answer of a replica that knows less than what was seen before is not asked for twice as fast as any other failure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use config::Problem;
use discovery::{Group, MAX_GROUPS_BYTES, Snapshot, parse_json};
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use net::{Request, Response};
use tokio::sync::watch;

use super::news::Bulletin;
use super::{FIRST_RETRY, Follower};

/// Tells the server how often it is asked.
const INTERVAL_HEADER: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// A list and what is known of it.
pub(super) struct List {
    settings: Arc<Follower>,
    job: String,
    url: String,
    etag: Option<HeaderValue>,
    said: watch::Sender<Snapshot>,
    bulletin: Bulletin,
    /// The validator that was told last and acted upon.
    heard: Option<String>,
}

impl List {
    /// Of our targets of a job; what it says appears in the receiver.
    pub(super) fn new(settings: &Arc<Follower>, job: &str) -> (Self, watch::Receiver<Snapshot>) {
        let (said, says) = watch::channel(Snapshot::default());
        let list = Self {
            settings: Arc::clone(settings),
            job: job.to_owned(),
            url: settings.list(job),
            etag: None,
            said,
            bulletin: settings.news.subscribe(),
            heard: None,
        };
        (list, says)
    }

    /// Fetches until it is dropped.
    pub(super) async fn run(mut self) {
        let settings = Arc::clone(&self.settings);
        let refresh = settings.refresh.as_duration();
        let (mut retry, mut is_spread) = (FIRST_RETRY, false);
        loop {
            self.heard = self.told();
            let asked = self.fetch().await;
            let pause = match &asked {
                Ok(_) if is_spread => refresh,
                Ok(_) => refresh.mul_f64(self.phase()),
                Err(_) => retry.min(refresh),
            };
            retry = if asked.is_ok() { FIRST_RETRY } else { (retry * 2).min(refresh) };
            is_spread |= asked.is_ok();
            self.publish(asked);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed() => {}
                () = settings.hurry.notified() => retry = FIRST_RETRY,
            }
        }
    }

    /// Lists of many jobs that were asked for together are not asked for together for ever.
    fn phase(&self) -> f64 {
        let mut hasher = DefaultHasher::new();
        self.url.hash(&mut hasher);
        0.5 + f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX) / 2.0
    }

    /// The validator that the list has, as it was told; nothing where we have no targets of the job, or nothing was told.
    fn told(&self) -> Option<String> {
        self.bulletin.borrow().as_ref()?.jobs.get(&self.job).cloned()
    }

    /// Waits until the list is told to have changed.
    async fn changed(&mut self) {
        loop {
            let told = self.told();
            let has = self.etag.as_ref().and_then(|etag| etag.to_str().ok());
            if self.bulletin.borrow_and_update().is_some() && told != self.heard && told.as_deref() != has {
                return;
            }
            if self.bulletin.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// `None` when the list is the one that we have.
    async fn fetch(&mut self) -> Result<Option<Vec<Group>>, Problem> {
        let refresh = self.settings.refresh.as_duration();
        let seconds = HeaderValue::from_str(&refresh.as_secs_f64().to_string()).expect("a number");
        // As Prometheus: an answer is good for as long as the interval.
        let mut request =
            Request::get(self.url.clone(), refresh.max(Duration::from_secs(1)), MAX_GROUPS_BYTES);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(INTERVAL_HEADER, seconds);
        if let Some(etag) = &self.etag {
            request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
        }
        let fail = |why: String| Problem::error("", format!("the list at {} has no answer: {why}", self.url));
        let response = self.settings.send_for_list(request).await.map_err(fail)?;
        if response.status == 304 && self.etag.is_some() {
            return Ok(None);
        }
        let text = checked(&response).map_err(fail)?;
        let groups = parse_json(text, &self.url, ("__meta_url", &self.url))?;
        self.etag = response.headers.get(ETAG).cloned();
        Ok(Some(groups))
    }

    fn publish(&self, asked: Result<Option<Vec<Group>>, Problem>) {
        self.said.send_if_modified(|snapshot| {
            let had_problems = !snapshot.problems.is_empty();
            match asked {
                Ok(None) => {
                    snapshot.problems = Arc::default();
                    had_problems
                }
                Ok(Some(groups)) => {
                    let known = std::mem::take(&mut snapshot.groups);
                    let shared = |(index, group): (usize, Group)| match known.get(index) {
                        Some(old) if **old == group => Arc::clone(old),
                        _ => Arc::new(group),
                    };
                    let groups = groups.into_iter().enumerate().map(shared).collect();
                    *snapshot = Snapshot { groups, settled: true, ..Snapshot::default() };
                    true
                }
                Err(problem) => {
                    snapshot.problems = [problem].into();
                    true
                }
            }
        });
    }
}

/// The text of an answer that counts.
fn checked(response: &Response) -> Result<&str, String> {
    if response.status != 200 {
        let said: String = String::from_utf8_lossy(&response.body).trim().chars().take(200).collect();
        return Err(format!("status {}: {said}", response.status));
    }
    let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(format!("its content type is `{kind}`, not `application/json`"));
    }
    std::str::from_utf8(&response.body).map_err(|_| "it is not UTF-8".to_owned())
}
