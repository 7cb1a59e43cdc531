//! Target groups from an HTTP endpoint.
//!
//! As Prometheus `discovery/http`: an answer counts only with status 200 and content type `application/json`,
//! anything else keeps the last list; groups are known by `<url>:<index>` and carry `__meta_url`; the server
//! is told the `refresh_interval`.
//!
//! Different on purpose: until the first answer, and after a failure or a list that is not believed yet, the
//! server is asked again sooner than after a whole interval; requests of many jobs are spread over the
//! interval. The answer is bounded by [`MAX_GROUPS_BYTES`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ::config::Problem;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::board::Post;
use crate::{Group, HttpSdConfig, MAX_GROUPS_BYTES, parse_json};

/// What a list without any target means after one with targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyList {
    /// What it says, as Prometheus takes it.
    #[default]
    Prometheus,
    /// Perhaps an accident of the server (a restart, a proxy): it is believed when it was said for so long.
    Cautious {
        /// How long every answer must have been empty.
        hold: Duration,
    },
}

/// Asks once. The trait is there so that schedules can be tested without a server.
pub(crate) trait Ask: Send + Sync + 'static {
    fn ask(&self) -> BoxFuture<'_, Result<Vec<Group>, Problem>>;
}

/// The endpoint of one `http_sd_configs` entry.
pub(crate) struct Endpoint {
    url: String,
    client: net::Client,
    timeout: Duration,
    headers: Arc<HeaderMap>,
}

/// Asks until the task is dropped.
pub(crate) async fn run(asking: impl Ask, pace: Pace, empty_list: EmptyList, post: Post) {
    let mut belief = Belief::new(empty_list);
    let mut n_tries = 0;
    let mut is_spread = false;
    loop {
        let outcome = belief.update(asking.ask().await, Instant::now());
        n_tries = if outcome.is_final { 0 } else { n_tries + 1 };
        if outcome.is_failure {
            post.failed();
        }
        if belief.has_answered {
            post.answer(belief.groups.clone(), belief.problem.iter().cloned().collect());
        } else {
            post.problems(belief.problem.iter().cloned().collect());
        }
        let delay = match n_tries {
            0 if is_spread => pace.refresh,
            0 => pace.first(),
            n => pace.retry(n),
        };
        is_spread |= n_tries == 0;
        tokio::time::sleep(delay).await;
    }
}

/// When to ask again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    refresh: Duration,
    /// Where in the interval this endpoint's requests lie, as a fraction of 2^32.
    phase: u32,
}

impl Pace {
    pub(crate) fn of(config: &HttpSdConfig) -> Self {
        let mut hasher = DefaultHasher::new();
        config.url.to_string().hash(&mut hasher);
        Self { refresh: config.refresh_interval.as_duration(), phase: (hasher.finish() >> 32) as u32 }
    }

    /// After the first answer: between half an interval and a whole one, so that endpoints that were asked
    /// together at the start are not asked together for ever.
    fn first(self) -> Duration {
        let fraction = 0.5 + f64::from(self.phase) / f64::from(u32::MAX) / 2.0;
        self.refresh.mul_f64(fraction)
    }

    /// After the n-th failure in a row: one second, doubling, at most an interval.
    fn retry(self, n: u32) -> Duration {
        Duration::from_secs(1 << (n - 1).min(16)).min(self.refresh)
    }
}

/// What is believed of the endpoint's targets.
struct Belief {
    empty_list: EmptyList,
    groups: Vec<Arc<Group>>,
    problem: Option<Problem>,
    has_answered: bool,
    empty_since: Option<Instant>,
}

struct Outcome {
    /// Nothing has to be asked again before its time.
    is_final: bool,
    is_failure: bool,
}

impl Belief {
    fn new(empty_list: EmptyList) -> Self {
        Self { empty_list, groups: Vec::new(), problem: None, has_answered: false, empty_since: None }
    }

    fn update(&mut self, answer: Result<Vec<Group>, Problem>, now: Instant) -> Outcome {
        let groups = match answer {
            Ok(groups) => groups,
            Err(problem) => {
                self.problem = Some(problem);
                return Outcome { is_final: false, is_failure: true };
            }
        };
        if let Some(doubt) = self.doubt(&groups, now) {
            self.problem = Some(Problem::warning("", doubt));
            return Outcome { is_final: false, is_failure: false };
        }
        (self.problem, self.has_answered) = (None, true);
        // Groups that stay the same keep their identity, so that nobody behind looks at them again.
        let former = std::mem::take(&mut self.groups);
        let mut former = former.into_iter();
        let keep = |group: Group| match former.next() {
            Some(known) if *known == group => known,
            _ => Arc::new(group),
        };
        self.groups = groups.into_iter().map(keep).collect();
        Outcome { is_final: true, is_failure: false }
    }

    /// Why the list is not believed, if it is not.
    fn doubt(&mut self, groups: &[Group], now: Instant) -> Option<String> {
        let EmptyList::Cautious { hold } = self.empty_list else { return None };
        let had_targets = self.groups.iter().any(|group| !group.targets.is_empty());
        if !had_targets || groups.iter().any(|group| !group.targets.is_empty()) {
            self.empty_since = None;
            return None;
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.duration_since(since) >= hold {
            self.empty_since = None;
            return None;
        }
        let hold = hold.as_secs_f64();
        Some(format!(
            "the list is suddenly empty; the targets are kept until it was empty for {hold} seconds"
        ))
    }
}

impl Endpoint {
    pub(crate) fn new(config: &HttpSdConfig, client: net::Client) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let refresh = config.refresh_interval.as_duration();
        let seconds = HeaderValue::try_from(refresh.as_secs_f64().to_string());
        headers.insert(
            HeaderName::from_static("x-prometheus-refresh-interval-seconds"),
            seconds.expect("digits are a header value"),
        );
        Self { url: config.url.to_string(), client, timeout: refresh, headers: Arc::new(headers) }
    }

    async fn fetch(&self) -> Result<Vec<Group>, Problem> {
        let request = net::Request {
            headers: Arc::clone(&self.headers),
            ..net::Request::get(&self.url, self.timeout, MAX_GROUPS_BYTES)
        };
        let response =
            self.client.send(request).await.map_err(|error| self.failed(&telemetry::error_chain(&error)))?;
        if response.status != 200 {
            return Err(self.failed(&format!("the server answered with status {}", response.status)));
        }
        let content_type =
            response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !is_json(content_type) {
            return Err(self
                .failed(&format!("the answer has the content type {content_type:?}, not application/json")));
        }
        let Ok(text) = std::str::from_utf8(&response.body) else {
            return Err(self.failed("the answer is not UTF-8"));
        };
        parse_json(text, &self.url, ("__meta_url", &self.url))
    }

    fn failed(&self, why: &str) -> Problem {
        Problem::error("", format!("cannot get targets from {}: {why}", self.url))
    }
}

impl Ask for Endpoint {
    fn ask(&self) -> BoxFuture<'_, Result<Vec<Group>, Problem>> {
        Box::pin(self.fetch())
    }
}

/// `^(?i:application\/json(;\s*charset=("utf-8"|utf-8))?)$` around trimmed text, as upstream.
fn is_json(content_type: &str) -> bool {
    let lower = content_type.trim().to_ascii_lowercase();
    let Some(parameter) = lower.strip_prefix("application/json") else { return false };
    let charset = parameter.strip_prefix(';').map(str::trim_start);
    parameter.is_empty() || matches!(charset, Some("charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
mod tests;
