//! `api_server`: what is scraped and how it goes, in the words of Prometheus' HTTP API.
//!
//! As upstream, with the two routes that tell about targets; every other one answers 404 in the API's form:
//!
//! * `/api/v1/targets?state=active|dropped|any&scrapePool=<job>`
//! * `/api/v1/scrape_pools`

use std::sync::Weak;

use config::{HostPort, Period, Problem, Timeout};
use http::{HeaderValue, Method, StatusCode, header};
use model::Labels;
use net::{HttpServerConfig, Listener, Received, Reply, ServeOptions, answer, reply};
use pipeline::{Fatal, Life};
use schemars::JsonSchema;
use scrape::{Health, JobStatus, Scraper, TargetStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use telemetry::iso8601;

const DEFAULT_ENDPOINT: &str = "127.0.0.1:9090";

/// `api_server`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct ApiServerConfig {
    /// Whether it listens.
    #[serde(default)]
    pub enabled: bool,
    /// Most connections at the same time; more wait.
    #[serde(default = "config::count::<512>")]
    pub max_connections: usize,
    /// Time for a request; zero means no bound.
    #[serde(default = "config::timeout_secs::<600>")]
    pub read_timeout: Timeout,
    /// How to listen; `endpoint` is `127.0.0.1:9090` where it is absent.
    #[serde(default)]
    pub server_config: HttpServerConfig,
}

/// The server, not listening yet.
#[derive(Debug)]
pub(super) struct ApiServer {
    endpoint: String,
    config: ApiServerConfig,
}

/// The server, which listens.
#[derive(Debug)]
pub(super) struct Bound {
    listener: Listener,
    options: ServeOptions,
}

impl ApiServer {
    /// `None` where it is not enabled.
    pub(super) fn build(config: ApiServerConfig) -> Result<Option<Self>, Vec<Problem>> {
        if !config.enabled {
            return Ok(None);
        }
        let found = config.server_config.check();
        let problem = |(key, message): (String, String)| {
            Problem::at(format!("server_config::{}", key.replace('.', "::")), message)
        };
        let mut problems: Vec<Problem> = found.into_iter().map(problem).collect();
        if config.max_connections == 0 {
            let message = "must not be zero, which would let nobody in";
            problems.push(Problem::at("max_connections", message).with_hint("remove the key for 512"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let endpoint = config.server_config.endpoint.as_ref().map(HostPort::to_string);
        Ok(Some(Self { endpoint: endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()), config }))
    }

    /// Listens.
    pub(super) fn bind(&self, life: &Life) -> Result<Bound, Fatal> {
        let doing = || format!("starting api_server of receiver `{}`", life.id());
        let options = self.config.server_config.options().map_err(|error| Fatal::new(doing(), error))?;
        let listener = Listener::bind(&self.endpoint).map_err(|error| Fatal::new(doing(), error))?;
        let max_connections = self.config.max_connections;
        let read_timeout = options.read_timeout.or(self.config.read_timeout.as_duration());
        Ok(Bound { listener, options: ServeOptions { max_connections, read_timeout, ..options } })
    }
}

impl Bound {
    #[cfg(test)]
    pub(super) fn address(&self) -> std::net::SocketAddr {
        self.listener.local_addr()
    }

    /// Answers until `life` ends. The scraper is somebody else's, whose end does not wait for us.
    pub(super) async fn serve(self, scraper: Weak<Scraper>, hostname: String, life: Life) {
        let page = answer(move |request| {
            let jobs = scraper.upgrade().map(|scraper| scraper.status()).unwrap_or_default();
            std::future::ready(respond(&request, &jobs, &hostname))
        });
        self.listener.serve(self.options, page, async move { life.stopped().await }).await;
    }
}

fn respond(request: &Received, jobs: &[JobStatus], hostname: &str) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "bad_data", "only GET is answered");
    }
    match request.uri().path() {
        "/api/v1/targets" => success(targets(jobs, request.uri().query().unwrap_or_default(), hostname)),
        "/api/v1/scrape_pools" => {
            let names: Vec<&str> = jobs.iter().map(|job| job.job.as_str()).collect();
            success(json!({ "scrapePools": names }))
        }
        path => failure(StatusCode::NOT_FOUND, "not_found", &format!("{path} is not served here")),
    }
}

fn success(data: Value) -> Reply {
    page(StatusCode::OK, &json!({ "status": "success", "data": data }))
}

fn failure(status: StatusCode, kind: &str, message: &str) -> Reply {
    page(status, &json!({ "status": "error", "errorType": kind, "error": message }))
}

fn page(status: StatusCode, body: &Value) -> Reply {
    let mut page = reply(status, body.to_string());
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    page
}

fn targets(jobs: &[JobStatus], query: &str, hostname: &str) -> Value {
    let parameter = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (pool, state) = (parameter("scrapePool"), parameter("state").to_lowercase());
    let wants = |which: &str| ["", "any", which].contains(&state.as_str());
    let asked_for = || jobs.iter().filter(|job| pool.is_empty() || job.job == pool);
    let (mut active, mut dropped, mut counts) = (Vec::new(), Vec::new(), Map::new());
    if wants("active") {
        for job in asked_for() {
            active.extend(job.active.iter().map(|target| shown(target, &job.job, hostname)));
        }
    }
    if wants("dropped") {
        for job in asked_for() {
            let one = |labels| json!({ "discoveredLabels": map(labels), "scrapePool": job.job });
            dropped.extend(job.dropped.iter().map(one));
        }
        counts.extend(jobs.iter().map(|job| (job.job.clone(), job.n_dropped.into())));
    }
    json!({
        "activeTargets": active,
        "droppedTargets": dropped,
        "droppedTargetCounts": if wants("dropped") { Value::Object(counts) } else { Value::Null },
    })
}

fn shown(status: &TargetStatus, pool: &str, hostname: &str) -> Value {
    let (target, last) = (&status.target, &status.last);
    let health = match last.health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    };
    // Go's zero time stands for never.
    let never = "0001-01-01T00:00:00Z".to_owned();
    let at = last.at.and_then(|at| u64::try_from(at.millis()).ok());
    let at =
        at.map_or(never, |millis| iso8601(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis)));
    let period = |duration| Period::new(duration).map(|period| period.to_string()).unwrap_or_default();
    json!({
        "discoveredLabels": map(target.discovered()),
        "labels": map(target.labels()),
        "scrapePool": pool,
        "scrapeUrl": &*target.url,
        "globalUrl": seen_from_outside(&target.url, hostname),
        "lastError": last.error.as_deref().unwrap_or_default(),
        "lastScrape": at,
        "lastScrapeDuration": last.duration.as_secs_f64(),
        "health": health,
        "scrapeInterval": period(target.interval),
        "scrapeTimeout": period(target.timeout),
    })
}

/// The URL with this machine's name for its loopback addresses.
fn seen_from_outside(url: &str, hostname: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return url.to_owned() };
    let is_loopback = matches!(parsed.host_str(), Some("127.0.0.1" | "localhost"));
    if is_loopback && !hostname.is_empty() && parsed.set_host(Some(hostname)).is_ok() {
        parsed.into()
    } else {
        url.to_owned()
    }
}

fn map(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
