//! Following an allocator: its jobs, our share of their targets, and when to believe it.
//!
//! The requests are those of the upstream receiver (`receiver/prometheusreceiver/internal/targetallocator`): GET
//! `/scrape_configs`, then HTTP SD at `/jobs/<job>/targets?collector_id=<id>`. What is different is what an answer is worth:
//!
//! * Only status 200 with a map of jobs is an answer. Anything else (a 500, an empty body, a page of HTML) changes nothing.
//! * A map or list that is suddenly empty is believed at once only from an allocator that signs its answers with an epoch,
//!   as ours does; it says 503 while it is not certain. From others it has to stay empty for a while.
//! * What changed is heard of at once from an allocator of ours ([`news`]); the intervals are for others, and for when that fails.
//! * Each answer of ours says how new it is. We send that along, so that a replica which lags behind what we have seen refuses.
//! * When a target leaves our list, the whole list of the job tells whether another scraper has it now. A target that moved
//!   ends without stale markers, because its series go on elsewhere.

mod errors;
mod jobs;
mod list;
mod news;
mod share;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{Period, Problem};
use discovery::Context;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use net::{Client, PrometheusClientConfig, Request, Response};
use pipeline::{Life, Site};
use scrape::Scraper;
use telemetry::error_chain;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::TargetAllocatorConfig;
use super::kept::{Assignment, Kept};
use super::own_jobs::OwnJobs;
use jobs::Jobs;
use news::News;
use share::Share;

/// Largest answer of the allocator that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Longest time that the allocator may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// First wait after a failed request at start; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How long a sudden emptiness has to last until it is believed, where the allocator does not sign its answers. An upstream
/// allocator that restarts serves empty answers for some ten seconds.
const EMPTY_HOLD: Duration = Duration::from_secs(30);

/// Sent by allocators that answer 503 while they are not certain.
const EPOCH_HEADER: &str = "x-muster-epoch";

/// How new an answer is; sent back with the next request.
const SEEN_HEADER: HeaderName = HeaderName::from_static("x-muster-seen");

/// How long, at the end, it is waited for the allocator to say whose the scrapes are that are held back. With what it takes to deliver
/// them, that is less than the process waits for a receiver.
const LAST_WORD: Duration = Duration::from_millis(1500);

/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Settings of the client, checked.
#[derive(Debug)]
pub(super) struct Follower {
    endpoint: String,
    collector_id: String,
    interval: Duration,
    /// Of each job's list: how often, and how.
    refresh: Period,
    list_client: Client,
    /// How targets are asked, instead of what the jobs say.
    target_client: Option<PrometheusClientConfig>,
    client: Client,
    kept: Option<Kept>,
    shard: String,
    /// What the allocator told last of changes.
    news: watch::Sender<Option<Arc<News>>>,
    /// How new the newest answer was.
    seen: Mutex<Option<HeaderValue>>,
    /// Has lists fetched at once.
    hurry: Notify,
}

/// What the allocator said.
enum Answer {
    /// These jobs, as text; signed or not.
    Jobs { text: String, is_signed: bool, etag: Option<HeaderValue> },
    /// The jobs are those that we know.
    Unchanged,
    /// Nothing that can be believed, and why.
    Nothing(String),
}

impl Follower {
    pub(super) fn build(config: TargetAllocatorConfig, site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.collector_id.is_empty() {
            problems.push(Problem::at(
                "collector_id",
                "must not be empty; it is the name by which targets are handed out",
            ));
        }
        if config.collector_id.contains("${") {
            problems
                .push(Problem::at("collector_id", "still contains ${: the reference in it was not expanded"));
        }
        let client = Client::build_http(&config.client).map_err(|error| {
            problems.push(Problem::at(error.key.replace('.', "::"), error_chain(&error)));
        });
        let kept = config.storage.as_ref().map(|storage| site.storage("storage", storage)).transpose();
        let kept = kept.map_err(|problem| problems.push(problem)).ok().flatten();
        let template = config.http_sd_config;
        let refresh = template.as_ref().map_or(Period::from_secs(30), |template| template.refresh_interval);
        let list_client = template.map_or_else(|| client_of(&config.client), |template| template.client);
        let list_client = Client::build(&list_client, &site.base_dir).map_err(|error| {
            let key = format!("http_sd_config::{}", error.key.replace('.', "::"));
            problems.push(Problem::at(key, error_chain(&error)));
        });
        match (client, list_client) {
            (Ok(client), Ok(list_client)) if problems.is_empty() => Ok(Self {
                endpoint: config.endpoint.as_str().trim_end_matches('/').to_owned(),
                collector_id: config.collector_id,
                interval: config.interval.as_duration(),
                refresh,
                list_client,
                target_client: config.http_scrape_config,
                client,
                kept: kept.map(|storage| Kept::new(&storage, &site.id.to_string())),
                shard: std::env::var("SHARD").unwrap_or_else(|_| "0".to_owned()),
                news: watch::Sender::new(None),
                seen: Mutex::default(),
                hurry: Notify::new(),
            }),
            _ => Err(problems),
        }
    }

    /// Follows until `life` ends. The scraper has its own jobs from the beginning. Gives back how long the allocator's last word was
    /// waited for.
    pub(super) async fn follow(
        self,
        scraper: Arc<Scraper>,
        own: Arc<OwnJobs>,
        context: Context,
        life: &Life,
    ) -> Duration {
        let settings = Arc::new(self);
        tokio::select! {
            waited = Self::keep_up(Arc::clone(&settings), Arc::clone(&scraper), own, context, life) => waited,
            () = settings.listen() => Duration::ZERO,
            () = settings.tell_errors(Arc::downgrade(&scraper)) => Duration::ZERO,
        }
    }

    async fn keep_up(
        settings: Arc<Self>,
        scraper: Arc<Scraper>,
        own: Arc<OwnJobs>,
        context: Context,
        life: &Life,
    ) -> Duration {
        let mut bulletin = settings.news.subscribe();
        let mut changes = own.changes();
        let mut following = Following {
            settings,
            scraper,
            own,
            context,
            jobs: Jobs::default(),
            shares: BTreeMap::new(),
            record: Arc::default(),
            empty_since: None,
            etag: None,
            heard: None,
        };
        following.take_up_kept(life).await;
        let mut retry = FIRST_RETRY;
        loop {
            following.heard = told(&bulletin.borrow_and_update());
            let answer = tokio::select! {
                answer = following.settings.ask(following.etag.clone()) => answer,
                () = life.stopped() => return following.last_word(life).await,
            };
            let settings = Arc::clone(&following.settings);
            let wait = match answer {
                Answer::Jobs { text, is_signed, etag } => {
                    following.etag = following.take_up(text, is_signed, life).await.then_some(etag).flatten();
                    retry = FIRST_RETRY;
                    settings.interval
                }
                Answer::Unchanged => {
                    retry = FIRST_RETRY;
                    settings.interval
                }
                Answer::Nothing(reason) => {
                    warn!(receiver = %life.id(), allocator = settings.endpoint, reason, "the allocator has no answer; jobs stay as they are");
                    let wait = if following.jobs.is_known() {
                        settings.interval
                    } else {
                        retry.min(settings.interval)
                    };
                    retry = (retry * 2).min(settings.interval);
                    wait
                }
            };
            let rest = life.sleep(wait);
            tokio::pin!(rest);
            loop {
                tokio::select! {
                    goes_on = &mut rest => if goes_on { break } else { return following.last_word(life).await },
                    // The sender lives in `own`.
                    _changed = changes.changed() => drop(following.reload().await),
                    Ok(()) = bulletin.changed() => {
                        if told(&bulletin.borrow_and_update()) != following.heard {
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn ask(&self, etag: Option<HeaderValue>) -> Answer {
        let id = query_escaped(&self.collector_id);
        let url = format!("{}/scrape_configs?collector_id={id}", self.endpoint);
        let mut request = Request::get(url, ANSWER_TIMEOUT, MAX_ANSWER_BYTES);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let is_known = etag.is_some();
        if let Some(etag) = etag {
            request.headers_mut().insert(IF_NONE_MATCH, etag);
        }
        let response = match self.send(request).await {
            Ok(response) => response,
            Err(error) => return Answer::Nothing(error),
        };
        if response.status == 304 && is_known {
            return Answer::Unchanged;
        }
        let encoding = response.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let body = match net::decode_body(encoding, response.body, MAX_ANSWER_BYTES) {
            Ok(body) => body,
            Err(error) => return Answer::Nothing(error_chain(&error)),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        if response.status != 200 {
            let said: String = text.trim().chars().take(200).collect();
            return Answer::Nothing(format!("it answered with status {}: {said}", response.status));
        }
        if text.trim().is_empty() {
            return Answer::Nothing("it answered with an empty body".to_owned());
        }
        let etag = response.headers.get(ETAG).cloned();
        Answer::Jobs { text, is_signed: response.headers.contains_key(EPOCH_HEADER), etag }
    }

    /// Asks the allocator, and says how new its newest answer was.
    async fn send(&self, request: Request) -> Result<Response, String> {
        self.send_by(&self.client, request).await
    }

    /// The same, for a list of targets.
    async fn send_for_list(&self, request: Request) -> Result<Response, String> {
        self.send_by(&self.list_client, request).await
    }

    async fn send_by(&self, client: &Client, mut request: Request) -> Result<Response, String> {
        if let Some(seen) = lock(&self.seen).clone() {
            request.headers_mut().insert(SEEN_HEADER, seen);
        }
        let response = client.send(request).await.map_err(|error| error_chain(&error))?;
        if let Some(seen) = response.headers.get(&SEEN_HEADER) {
            *lock(&self.seen) = Some(seen.clone());
        }
        Ok(response)
    }

    /// Where our share of a job is listed.
    fn list(&self, job: &str) -> String {
        format!("{}?collector_id={}", self.whole_list(job), query_escaped(&self.collector_id))
    }

    /// Whether the allocator is asked over TLS.
    fn is_secure(&self) -> bool {
        self.endpoint.starts_with("https:")
    }

    /// Who has which targets of a job.
    fn whole_list(&self, job: &str) -> String {
        format!("{}/jobs/{}/targets", self.endpoint, query_escaped(job))
    }
}

/// What of the news is about the jobs: their validator, and of which we have targets. With the second, an allocator that tells
/// credentials only to who needs them has others for us.
fn told(news: &Option<Arc<News>>) -> Option<(String, Vec<String>)> {
    let news = news.as_ref()?;
    Some((news.scrape_configs.clone(), news.jobs.keys().cloned().collect()))
}

/// Go's `url.QueryEscape`, which is what allocators undo.
fn query_escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The collector's TLS and proxy settings in Prometheus' words, for lists that have no settings of their own. Headers and
/// credentials are not taken over, as upstream.
fn client_of(config: &net::HttpClientConfig) -> PrometheusClientConfig {
    let mut client = PrometheusClientConfig { follow_redirects: false, ..PrometheusClientConfig::default() };
    client.proxy.proxy_url = config.proxy_url.clone();
    let tls = &mut client.tls_config;
    tls.ca_file.clone_from(&config.tls.ca_file);
    tls.cert_file.clone_from(&config.tls.cert_file);
    tls.key_file.clone_from(&config.tls.key_file);
    tls.ca = config.tls.ca_pem.as_ref().map(|pem| pem.expose().to_owned()).unwrap_or_default();
    tls.cert = config.tls.cert_pem.as_ref().map(|pem| pem.expose().to_owned()).unwrap_or_default();
    tls.key = config.tls.key_pem.clone();
    tls.server_name.clone_from(&config.tls.server_name_override);
    tls.insecure_skip_verify = config.tls.insecure_skip_verify;
    client
}

/// What is kept on disk, written together by the jobs and their shares.
pub(super) type Record = Arc<Mutex<Assignment>>;

/// The state of following.
struct Following {
    settings: Arc<Follower>,
    scraper: Arc<Scraper>,
    own: Arc<OwnJobs>,
    context: Context,
    jobs: Jobs,
    shares: BTreeMap<String, Share>,
    record: Record,
    empty_since: Option<Instant>,
    /// The validator of the jobs as they were taken up last.
    etag: Option<HeaderValue>,
    /// What was told of the jobs when they were asked for last.
    heard: Option<(String, Vec<String>)>,
}

impl Following {
    /// Begins with what was kept, if something was.
    async fn take_up_kept(&mut self, life: &Life) {
        if let Some(kept) = &self.settings.kept {
            match kept.read(&self.settings.collector_id) {
                Ok(Some(assignment)) => {
                    let n_targets: usize = assignment.targets.values().map(Vec::len).sum();
                    info!(receiver = %life.id(), jobs = assignment.targets.len(), groups = n_targets, "beginning with the assignment of the last run");
                    let text = assignment.scrape_configs.clone();
                    *lock(&self.record) = assignment;
                    self.apply(&text, life).await;
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    warn!(receiver = %life.id(), error = error_chain(&error), "the assignment of the last run cannot be read and is left out");
                }
            }
        }
        self.scraper.reload(self.own.feeds()).await;
    }

    /// Whether the answer was believed.
    async fn take_up(&mut self, text: String, is_signed: bool, life: &Life) -> bool {
        let is_empty = match jobs::is_empty(&text) {
            Ok(is_empty) => is_empty,
            Err(reason) => {
                warn!(receiver = %life.id(), reason, "the allocator did not answer with a map of jobs; jobs stay as they are");
                return false;
            }
        };
        if is_empty && !is_signed && !self.shares.is_empty() {
            let since = *self.empty_since.get_or_insert_with(Instant::now);
            if since.elapsed() < EMPTY_HOLD {
                warn!(receiver = %life.id(), limit = ?EMPTY_HOLD, "the allocator suddenly has no jobs; they stay until that has lasted for EMPTY_HOLD");
                return false;
            }
        }
        self.empty_since = None;
        if lock(&self.record).scrape_configs != text || !self.jobs.is_known() {
            self.apply(&text, life).await;
            {
                let mut record = lock(&self.record);
                record.scrape_configs = text;
                record.collector_id.clone_from(&self.settings.collector_id);
                record.targets.retain(|job, _| self.shares.contains_key(job));
            }
            write(self.settings.kept.as_ref(), &self.record);
        }
        true
    }

    /// Runs these jobs from now on; what did not change keeps its loops and caches.
    async fn apply(&mut self, text: &str, life: &Life) {
        let (changes, problems) = self.jobs.update(text, &self.settings, &self.context.base_dir);
        for problem in problems {
            error!(receiver = %life.id(), "{problem}");
        }
        self.shares.retain(|name, _| self.jobs.contains(name));
        for (name, job, fetch) in changes {
            if self.own.has(&name) {
                error!(receiver = %life.id(), job = name, "the allocator's job has the name of one in scrape_configs and is left out");
                continue;
            }
            if let Some(share) = self.shares.get_mut(&name) {
                share.exchange(job, fetch);
                continue;
            }
            let known = lock(&self.record).targets.get(&name).cloned().unwrap_or_default();
            let share = Share::start(&self.settings, &self.scraper, job, fetch, &known, &self.record);
            self.shares.insert(name, share);
        }
        let n_jobs = self.reload().await;
        info!(receiver = %life.id(), jobs = n_jobs, "jobs were taken up");
    }

    /// Asks once more whose the scrapes are that are held back, and gives back how long that took. Those of which nobody says it are sent
    /// when the scraper ends.
    async fn last_word(&self, life: &Life) -> Duration {
        if !self.scraper.is_in_doubt() {
            return Duration::ZERO;
        }
        let began = Instant::now();
        self.settings.hurry.notify_waiters();
        let said = async {
            while self.scraper.is_in_doubt() {
                sleep(LOOK).await;
            }
        };
        if timeout(LAST_WORD, said).await.is_err() {
            warn!(receiver = %life.id(), allocator = self.settings.endpoint, limit = ?LAST_WORD, "the allocator does not say whose targets are that it was moving: their last scrapes are sent, and another scraper may send them, too");
        }
        began.elapsed()
    }

    /// Scrapes our own jobs and our shares of the allocator's; gives their number. Where both have a job of the same name,
    /// our own counts.
    async fn reload(&self) -> usize {
        let mut feeds = self.own.feeds();
        let shares = self.shares.iter().filter(|(name, _)| !self.own.has(name));
        feeds.extend(shares.map(|(_, share)| share.as_feed()));
        let n_jobs = feeds.len();
        self.scraper.reload(feeds).await;
        n_jobs
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing under the locks can panic half-way.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what is known, on a thread that may wait for the disk.
fn write(kept: Option<&Kept>, record: &Record) {
    let Some(kept) = kept.cloned() else { return };
    let record = Arc::clone(record);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = kept.write(|| lock(&record).clone()) {
            warn!(
                error = error_chain(&error),
                "the assignment could not be kept; a start without the allocator would begin without targets"
            );
        }
    });
}
