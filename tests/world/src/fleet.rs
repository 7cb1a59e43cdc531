//! Synthetic targets: each listens on a loopback port of its own and counts its scrapes. Where that would take too
//! many ports, targets share them and have paths of their own ([`Options::max_listeners`]).
//!
//! Every exposition carries the number of the scrape in each of its values (see [`place_of`]), and the fleet
//! writes down which number it served when, and to whom. What a sink received can so be held against what was
//! really exposed, sample by sample. Bodies are valid text 0.0.4 or OpenMetrics 1.0 as Prometheus accepts them,
//! and gzipped for clients that ask, unless the fleet is told otherwise.

mod body;
mod plan;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use libdeflater::{CompressionLvl, Compressor};
use tokio::sync::Semaphore;

use crate::http::{Hangup, Reply, Request, Server, reply};
use crate::now_ms;
use body::Template;

pub use body::{STEP, place_of};
pub use plan::{Behaviour, Format, Plan, demo, even};

/// Only series whose name starts like this carry sequence numbers.
pub const PREFIX: &str = "demo_";

/// How many requests each target remembers: five hours at one every five seconds.
pub const HISTORY: usize = 4096;

const MAX_AGENTS: usize = 64;
const SEQUENCES: u32 = STEP as u32;

/// How a fleet stands on its host, and what it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where it listens; Linux has all of 127.0.0.0/8 on the loopback device, and each address has ports of its own.
    pub host: Ipv4Addr,
    /// Whether clients that ask for gzip get it.
    pub gzip: bool,
    /// Whether a connection stays open after an answer.
    pub keep_alive: bool,
    /// No more ports than this, at least one: further targets share them in turn and are told apart by their paths.
    pub max_listeners: usize,
    /// No more connections than this are served at a time; others wait.
    pub max_connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST,
            gzip: true,
            keep_alive: true,
            max_listeners: usize::MAX,
            max_connections: usize::MAX,
        }
    }
}

/// One request for a target's metrics, answered or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it arrived, in milliseconds.
    pub at: i64,
    /// The number that was served; `None` when it was refused or given up before the answer.
    pub sequence: Option<u32>,
    /// Who asked: an index into [`Fleet::agents`].
    pub agent: u16,
}

/// A running fleet; dropping it closes every target.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    n_listeners: usize,
    targets: Vec<Target>,
    agents: Mutex<Vec<String>>,
}

/// One target: its plan, its bodies, its book.
#[derive(Debug)]
pub struct Target {
    /// What was asked for.
    pub plan: Plan,
    full: Template,
    /// What a flapping target answers when its gauges are gone.
    short: Option<Template>,
    /// The full body for clients that cannot read OpenMetrics.
    plain: Option<Template>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    requests: u64,
    sequence: u32,
    attempts: VecDeque<Attempt>,
}

impl Fleet {
    /// Starts every planned target.
    pub async fn start(plans: Vec<Plan>) -> io::Result<Fleet> {
        Fleet::with(plans, Options::default()).await
    }

    /// Starts every planned target in this manner.
    pub async fn with(plans: Vec<Plan>, options: Options) -> io::Result<Fleet> {
        let targets = plans.into_iter().map(Target::new).collect::<Vec<_>>();
        let n_listeners = targets.len().min(options.max_listeners.max(1));
        let shared = Arc::new(Shared { options, n_listeners, targets, agents: Mutex::default() });
        let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let mut servers = Vec::with_capacity(n_listeners);
        for listener in 0..n_listeners {
            let shared = shared.clone();
            let handler = move |request| answer(shared.clone(), listener, request);
            servers.push(Server::start_limited(options.host, permits.clone(), handler).await?);
        }
        Ok(Fleet { shared, servers })
    }

    /// All targets, in the order of their plans.
    pub fn targets(&self) -> &[Target] {
        &self.shared.targets
    }

    /// `host:port` of the target with this index.
    pub fn address(&self, index: usize) -> String {
        self.servers[index % self.servers.len()].address().to_string()
    }

    /// Where the target with this index has its metrics: `/metrics`, unless it shares its port.
    pub fn path(&self, index: usize) -> String {
        if self.shared.has_shared_ports() { format!("/t/{index}/metrics") } else { "/metrics".to_owned() }
    }

    /// On how many ports it listens.
    pub fn n_listeners(&self) -> usize {
        self.servers.len()
    }

    /// Names of all jobs, each once, in order of first appearance.
    pub fn jobs(&self) -> Vec<&str> {
        let mut jobs = Vec::new();
        for target in self.targets() {
            if !jobs.contains(&target.plan.job.as_str()) {
                jobs.push(target.plan.job.as_str());
            }
        }
        jobs
    }

    /// A job's targets as a `file_sd` or `http_sd` document, one group per target, with its `instance` label and
    /// with its path where that is not the usual one.
    pub fn groups(&self, job: &str) -> serde_json::Value {
        let of_job = self.targets().iter().enumerate().filter(|(_, target)| target.plan.job == job);
        of_job
            .map(|(index, target)| {
                let mut labels = serde_json::json!({"instance": target.plan.instance});
                if self.shared.has_shared_ports() {
                    labels["__metrics_path__"] = self.path(index).into();
                }
                serde_json::json!({"targets": [self.address(index)], "labels": labels})
            })
            .collect()
    }

    /// Who has ever asked, by User-Agent.
    pub fn agents(&self) -> Vec<String> {
        lock(&self.shared.agents).clone()
    }

    /// How many series all targets have when none is flapping.
    pub fn series(&self) -> u64 {
        self.targets().iter().map(|target| u64::from(target.plan.series)).sum()
    }
}

impl Target {
    fn new(plan: Plan) -> Target {
        let openmetrics = plan.format == Format::OpenMetrics;
        let flapping = plan.behaviour == Behaviour::Flapping;
        // A flapping target never negotiates: what it exposes is its own trouble.
        Target {
            full: Template::new(plan.format, plan.series, true),
            short: flapping.then(|| Template::new(plan.format, plan.series, false)),
            plain: (openmetrics && !flapping).then(|| Template::new(Format::Text, plan.series, true)),
            plan,
            book: Mutex::default(),
        }
    }

    /// The requests it remembers, oldest first.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.book).attempts.iter().copied().collect()
    }

    /// The last number it served, 0 before the first.
    pub fn last_sequence(&self) -> u32 {
        lock(&self.book).sequence
    }

    /// How many series the scrape with this number showed.
    pub fn series_at(&self, sequence: u32) -> u32 {
        self.template_at(sequence).series()
    }

    fn template_at(&self, sequence: u32) -> &Template {
        match &self.short {
            Some(short) if sequence.is_multiple_of(3) => short,
            _ => &self.full,
        }
    }
}

/// A request under way: it is written down when it ends, in whichever way.
struct Visit<'a> {
    target: &'a Target,
    attempt: Attempt,
}

impl Visit<'_> {
    /// The next sequence number, or `None` when this request is to be refused.
    fn serve(&mut self) -> Option<u32> {
        let mut book = lock(&self.target.book);
        book.requests += 1;
        if self.target.plan.behaviour == Behaviour::Flapping && book.requests.is_multiple_of(7) {
            return None;
        }
        book.sequence = if book.sequence + 1 == SEQUENCES { 1 } else { book.sequence + 1 };
        self.attempt.sequence = Some(book.sequence);
        self.attempt.sequence
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut book = lock(&self.target.book);
        if book.attempts.len() == HISTORY {
            book.attempts.pop_front();
        }
        book.attempts.push_back(self.attempt);
    }
}

async fn answer(shared: Arc<Shared>, listener: usize, request: Request) -> Result<Reply, Hangup> {
    let mut reply = metrics(&shared, listener, request).await?;
    if !shared.options.keep_alive {
        reply.headers_mut().insert("connection", ::http::HeaderValue::from_static("close"));
    }
    Ok(reply)
}

async fn metrics(shared: &Shared, listener: usize, request: Request) -> Result<Reply, Hangup> {
    let Some(index) = shared.target_at(listener, request.uri().path()) else {
        return Ok(reply(404, "text/plain", "no target has its metrics here\n"));
    };
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let agent = shared.agent(header("user-agent"));
    let target = &shared.targets[index];
    let mut visit = Visit { target, attempt: Attempt { at: now_ms(), sequence: None, agent } };
    if let Behaviour::Slow(delay) = target.plan.behaviour {
        tokio::time::sleep(delay).await;
    }
    let Some(sequence) = visit.serve() else {
        return Ok(reply(503, "text/plain", "flapping\n"));
    };
    let accepts_openmetrics = header("accept").contains("application/openmetrics-text");
    let (template, content_type) = match &target.plain {
        Some(plain) if !accepts_openmetrics => (plain, TEXT),
        _ if target.plan.format == Format::OpenMetrics => (target.template_at(sequence), OPENMETRICS),
        _ => (target.template_at(sequence), TEXT),
    };
    let body = template.at(sequence);
    if shared.options.gzip && header("accept-encoding").contains("gzip") {
        let mut zipped = reply(200, content_type, gzip(&body));
        zipped.headers_mut().insert("content-encoding", ::http::HeaderValue::from_static("gzip"));
        return Ok(zipped);
    }
    Ok(reply(200, content_type, body))
}

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Shared {
    fn has_shared_ports(&self) -> bool {
        self.n_listeners < self.targets.len()
    }

    /// The target that has its metrics at this path of this listener.
    fn target_at(&self, listener: usize, path: &str) -> Option<usize> {
        if !self.has_shared_ports() {
            return (path == "/metrics").then_some(listener);
        }
        let index = path.strip_prefix("/t/")?.strip_suffix("/metrics")?.parse::<usize>().ok()?;
        (index < self.targets.len() && index % self.n_listeners == listener).then_some(index)
    }

    /// The index of a User-Agent; when too many have been seen, that of the last one.
    fn agent(&self, name: &str) -> u16 {
        let mut agents = lock(&self.agents);
        let index = agents.iter().position(|known| known == name).unwrap_or_else(|| {
            if agents.len() < MAX_AGENTS {
                agents.push(name.to_owned());
            }
            agents.len() - 1
        });
        index as u16
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    thread_local! {
        static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new(CompressionLvl::default()));
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        let mut zipped = vec![0; compressor.gzip_compress_bound(body.len())];
        let length = compressor.gzip_compress(body, &mut zipped).expect("the bound is large enough");
        zipped.truncate(length);
        zipped
    })
}

/// A poisoned lock means that a test has failed already; its books may still be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
