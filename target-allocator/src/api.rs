//! The HTTP API: upstream's paths, queries, statuses and shapes.
//!
//! Different on purpose: `HEAD` works; lists are sorted, have validators, and are compressed for who asks; 503 with a
//! reason is answered wherever upstream would answer with a list that is not known yet; links lead somewhere.
//! Requests are answered from a [`View`] without touching sockets, so that everything here is tested without them.

mod assignment;
mod changes;
mod debug;
mod pages;
mod quarantine;
mod reply;
mod route;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::answers::{Answer, EMPTY_LIST, all_lists, etag, query_unescape};
use crate::errors::TargetErrors;
use crate::kubernetes::Kubernetes;
use crate::marks::{Marks, Seen};
use crate::members::{Client, Heard, Polls};
use crate::metrics::Metrics;
use crate::roster::{MAX_MEMBERS, check_name};
use crate::view::{View, config_map};
use reply::{empty, html, not_found, plain, sealed, unready, wants_html, with_validator};
use route::{Miss, Route};

pub(crate) use debug::Asked;
pub use reply::{EPOCH_HEADER, SEEN_HEADER};

/// How long the first request of a new member waits for the assignment it takes part in.
const JOIN_PATIENCE: Duration = Duration::from_secs(2);

/// How often a client of http_sd says it asks.
const POLL_INTERVAL: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// A member has fetched a list that others hold targets for.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) job: Arc<str>,
    pub(crate) member: Arc<str>,
    pub(crate) epoch: u64,
}

/// Answers requests.
#[derive(Clone, Debug)]
pub struct Api {
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) polls: Arc<Polls>,
    /// Wakes whoever shares out targets, when a member joins.
    pub(crate) changed: Arc<Notify>,
    pub(crate) fetched: mpsc::Sender<Fetched>,
    pub(crate) metrics: Arc<Metrics>,
    /// What members tell of targets that they cannot scrape.
    pub(crate) errors: Arc<TargetErrors>,
    /// The cluster, where there is one.
    pub(crate) kubernetes: Option<Kubernetes>,
    /// Questions to whoever holds what discovery found.
    pub(crate) questions: mpsc::Sender<Asked>,
    /// Ends what is held for a change.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Api {
    /// Answers one request. `is_secure` says that it came over TLS from a client whose certificate was checked.
    pub async fn answer(&self, parts: &Parts, is_secure: bool) -> Response<Bytes> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return not_found();
        }
        let started = Instant::now();
        let route = match Route::of(parts.uri.path()) {
            Ok(route) => route,
            Err(Miss::Redirect(path)) => return reply::redirect(path, parts.uri.query()),
            Err(Miss::NotFound) => return not_found(),
        };
        let mut response = self.page(route, parts, is_secure).await;
        self.metrics.answered(route.pattern(), started.elapsed());
        if parts.method == Method::HEAD {
            let length = response.body().len();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = Bytes::new();
        }
        response
    }

    /// Whether this is a request with a body that [`Self::take_report`] reads.
    #[must_use]
    pub fn is_report(parts: &Parts) -> bool {
        parts.method == Method::POST && parts.uri.path() == "/errors"
    }

    /// Takes what a member tells of targets that it cannot scrape: `POST /errors?collector_id=<id>`.
    #[must_use]
    pub fn take_report(&self, parts: &Parts, report: &[u8]) -> Response<Bytes> {
        let name = Query(parts.uri.query().unwrap_or("")).only("collector_id").unwrap_or_default();
        let view = self.view();
        let roster = &view.placement.roster;
        let Some(at) = roster.position(&name) else {
            return plain(StatusCode::NOT_FOUND, "404 not found: no collector has this collector_id");
        };
        match self.errors.tell(roster.name(at), report, Instant::now()) {
            Ok(()) => empty(StatusCode::NO_CONTENT),
            Err(why) => plain(StatusCode::BAD_REQUEST, &format!("400 bad request: {why}")),
        }
    }

    /// What is answered now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Answers that change by themselves: every new view is seen through this.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    async fn page(&self, route: Route<'_>, parts: &Parts, is_secure: bool) -> Response<Bytes> {
        let asked = &parts.headers;
        let query = Query(parts.uri.query().unwrap_or(""));
        match route {
            Route::ScrapeConfigs if wants_html(asked) => self.debug(Route::AllScrapeConfigs, query),
            Route::ScrapeConfigs => self.scrape_configs(query, parts, is_secure),
            Route::Changes => self.changes(query, parts, is_secure).await,
            Route::Jobs if wants_html(asked) => self.debug(Route::AllJobs, query),
            Route::Jobs => self.jobs(asked),
            Route::Targets(job) => match query_unescape(job) {
                Some(job) => self.targets(&job, query.first("collector_id"), parts).await,
                None => {
                    plain(StatusCode::BAD_REQUEST, "400 bad request: the name of the job is not well escaped")
                }
            },
            Route::Live => empty(StatusCode::OK),
            Route::Ready => self.ready(query),
            Route::Explain => self.explain(query, asked).await,
            Route::Metrics => {
                if let Some(kubernetes) = &self.kubernetes {
                    self.metrics.watches(&kubernetes.cluster.states(), SystemTime::now());
                }
                reply::metrics(self.metrics.registry().text(), asked)
            }
            Route::Assignment => reply::json(&assignment::describe(
                &self.view(),
                &self.polls.last(Instant::now()),
                Instant::now(),
            )),
            Route::Quarantine if !wants_html(asked) => {
                reply::json(&quarantine::describe(&self.view().monitored))
            }
            Route::Style => reply::style(pages::STYLE),
            Route::Profiles => plain(
                StatusCode::NOT_FOUND,
                "404 page not found: profiles of the Go runtime do not exist here",
            ),
            other => self.debug(other, query),
        }
    }

    fn scrape_configs(&self, query: Query<'_>, parts: &Parts, is_secure: bool) -> Response<Bytes> {
        if let Some(name) = query.first("collector_id") {
            drop(self.hear(&name, None, parts));
        }
        let view = self.view();
        let reasons = self.lagging(&view, view.why_not_ready(), &parts.headers);
        if !reasons.is_empty() {
            return unready(&reasons);
        }
        if let Some(at) = self.knows_its_need(&view, query, parts, is_secure) {
            return sealed(&need_to_know(&view, at), &view, &parts.headers);
        }
        let shows = is_secure || view.shows_secrets;
        let configs = if shows { &view.configs.full } else { &view.configs.redacted };
        sealed(configs, &view, &parts.headers)
    }

    /// The position of one of our own scrapers that asks over TLS in its own name: it is told the credentials of the jobs
    /// whose targets it has. Other clients do not ask in their own name, and get them all.
    fn knows_its_need(&self, view: &View, query: Query<'_>, parts: &Parts, is_secure: bool) -> Option<usize> {
        let is_ours = Client::of(reply::text(&parts.headers, &USER_AGENT)) == Client::Muster;
        let name = query.first("collector_id").filter(|_| is_ours && is_secure && !view.shows_secrets)?;
        view.placement.roster.position(&name)
    }

    fn jobs(&self, asked: &HeaderMap) -> Response<Bytes> {
        let view = self.view();
        match self.lagging(&view, view.why_not_ready(), asked) {
            reasons if reasons.is_empty() => sealed(&view.job_list, &view, asked),
            reasons => unready(&reasons),
        }
    }

    async fn targets(&self, job: &str, collector: Option<String>, parts: &Parts) -> Response<Bytes> {
        let Some(collector) = collector else {
            return self.all_targets(&self.view(), job, &parts.headers);
        };
        let client = Client::of(reply::text(&parts.headers, &USER_AGENT));
        if let Some(refusal) = self.hear(&collector, Some(client), parts) {
            return refusal;
        }
        let is_member_asking = parts.method == Method::GET;
        let view = if is_member_asking { self.view_with(&collector).await } else { self.view() };
        let reasons = self.lagging(&view, view.why_no_lists(), &parts.headers);
        if !reasons.is_empty() {
            return unready(&reasons);
        }
        let roster = &view.placement.roster;
        let Some(at) = roster.position(&collector) else {
            if view.is_polling {
                return unready(&[format!("collector `{collector}` is joining")]);
            }
            return sealed(&EMPTY_LIST, &view, &parts.headers);
        };
        let Some(state) = view.jobs.get(job) else {
            return sealed(&EMPTY_LIST, &view, &parts.headers);
        };
        if let Some(reason) = &state.state.waits_for {
            return unready(std::slice::from_ref(reason));
        }
        let Some(hash) = state.list_hash(at) else {
            return sealed(&EMPTY_LIST, &view, &parts.headers);
        };
        let form = |takes_gzip| {
            let (form, n_encoded) =
                state.list(at, takes_gzip).unwrap_or_else(|| (EMPTY_LIST.form(takes_gzip), 0));
            self.metrics.encoded(n_encoded);
            form
        };
        let answer = with_validator(&etag(hash), form, &view, &parts.headers);
        // Not before the list is made: what follows from it must not be ahead of it.
        if is_member_asking && state.awaits(at) {
            self.tell_fetched(&view, job, at);
        }
        answer
    }

    /// Adds to the reasons that the client has seen more than is known here.
    fn lagging(&self, view: &View, mut reasons: Vec<String>, asked: &HeaderMap) -> Vec<String> {
        let is_behind = |seen: &Seen| !seen.is_of(&view.inputs) && self.marks(view).is_behind(seen);
        if reply::seen(asked).as_ref().is_some_and(is_behind) {
            reasons.push("this replica does not know yet what another one has answered".to_owned());
        }
        reasons
    }

    /// How new what is known is: watches go on where no answer changes.
    fn marks(&self, view: &View) -> Marks {
        let marks = self.kubernetes.as_ref().map(Kubernetes::marks);
        marks.map_or_else(|| view.marks.clone(), |marks| marks.with_assignment_of(&view.marks))
    }

    fn all_targets(&self, view: &View, job: &str, asked: &HeaderMap) -> Response<Bytes> {
        let reasons = self.lagging(view, view.why_no_lists(), asked);
        if !reasons.is_empty() {
            return unready(&reasons);
        }
        let roster = &view.placement.roster;
        let state = view.jobs.get(job);
        if let Some(reason) = state.and_then(|state| state.state.waits_for.as_ref()) {
            return unready(std::slice::from_ref(reason));
        }
        let placed = state.map(|state| Arc::clone(&state.placed)).unwrap_or_default();
        sealed(&Answer::new(all_lists(job, &placed, roster)), view, asked)
    }

    /// Remembers who asked, and by which client if for a list. Gives back the answer to a name that cannot become a member.
    fn hear(&self, name: &str, client: Option<Client>, parts: &Parts) -> Option<Response<Bytes>> {
        if parts.method != Method::GET {
            return None;
        }
        if self.view.borrow().is_polling
            && let Err(why) = check_name(name)
        {
            return Some(plain(StatusCode::BAD_REQUEST, &format!("400 bad request: collector_id: {why}")));
        }
        let announced = reply::text(&parts.headers, &POLL_INTERVAL).and_then(|text| text.parse().ok());
        let announced = announced.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match self.polls.hear(name, announced, client, Instant::now()) {
            Heard::Known | Heard::Stranger => None,
            Heard::Recognized => {
                self.changed.notify_one();
                None
            }
            Heard::Joined => {
                tracing::info!(collector = name, "a collector joins");
                self.changed.notify_one();
                None
            }
            Heard::TooMany => {
                Some(unready(&[format!("there are MAX_MEMBERS ({MAX_MEMBERS}) collectors already")]))
            }
        }
    }

    /// The view; where whoever asks becomes a member, the first one in which this member has a place.
    async fn view_with(&self, collector: &str) -> Arc<View> {
        let mut views = self.view.clone();
        let has_place = |view: &Arc<View>| {
            !view.is_polling
                || !view.why_no_lists().is_empty()
                || view.placement.roster.position(collector).is_some()
        };
        // A poller that was away longer than its grace is forgotten until it is looked at again.
        if !has_place(&views.borrow()) {
            self.changed.notify_one();
        }
        match timeout(JOIN_PATIENCE, views.wait_for(has_place)).await {
            Ok(Ok(view)) => view.clone(),
            Ok(Err(_)) | Err(_) => self.view(),
        }
    }

    fn tell_fetched(&self, view: &View, job: &str, at: usize) {
        let member = Arc::clone(view.placement.roster.name(at));
        let fetched = Fetched { job: job.into(), member, epoch: view.placement.epoch };
        // A full queue loses nothing: the member asks again, and old owners keep the targets until then.
        drop(self.fetched.try_send(fetched));
    }

    fn debug(&self, route: Route<'_>, query: Query<'_>) -> Response<Bytes> {
        let view = self.view();
        let now = Instant::now();
        let (status, page) = match route {
            Route::Collector => pages::collector(&view, query.only("collector_id").as_deref()),
            Route::Job => pages::job(&view, query.only("job_id").as_deref()),
            Route::Target => pages::target(&view, query.first("target_hash").as_deref()),
            Route::AllTargets => (StatusCode::OK, pages::targets(&view)),
            Route::AllJobs => (StatusCode::OK, pages::jobs(&view)),
            Route::Members => (StatusCode::OK, pages::all_members(&view, &self.polls.last(now), now)),
            Route::Moves => (StatusCode::OK, pages::moves(&view)),
            Route::AllScrapeConfigs => (StatusCode::OK, pages::scrape_configs(&view)),
            Route::Quarantine => (StatusCode::OK, pages::quarantine(&view, SystemTime::now())),
            _ => (StatusCode::OK, pages::index(&view, &self.polls.last(now), now)),
        };
        html(status, page)
    }
}

/// The scrape configs for one member: credentials only of the jobs whose targets it has.
fn need_to_know(view: &View, at: usize) -> Answer {
    let told = view.configs.jobs.iter().map(|(name, config)| {
        let has_targets = view.jobs.get(name).is_some_and(|job| !job.is_empty_for(at));
        (&**name, if has_targets { config.full.expose() } else { &*config.redacted })
    });
    Answer::new(config_map(told))
}

/// The query of a request.
#[derive(Clone, Copy)]
struct Query<'a>(&'a str);

impl Query<'_> {
    fn values(self, key: &str) -> Vec<String> {
        let pairs = url::form_urlencoded::parse(self.0.as_bytes());
        pairs.filter(|(name, _)| name == key).map(|(_, value)| value.into_owned()).collect()
    }

    /// The first value of a key; further ones are ignored.
    fn first(self, key: &str) -> Option<String> {
        self.values(key).into_iter().next()
    }

    /// The value of a key that is there once and not empty.
    fn only(self, key: &str) -> Option<String> {
        let mut values = self.values(key);
        values.pop().filter(|value| values.is_empty() && !value.is_empty())
    }
}

#[cfg(test)]
mod tests;
