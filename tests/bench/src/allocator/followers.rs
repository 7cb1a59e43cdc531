//! Collectors that hold a request for changes and fetch the lists that changed, as our own scrapers do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{LOOK, N_COLLECTORS, PATIENCE};

/// What our own scrapers call themselves.
const AGENT: HeaderValue = HeaderValue::from_static("muster/bench");

/// When each address was in a fetched list for the first time.
type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// The followers; they end when this is dropped.
pub(super) struct Followers {
    seen: Seen,
    _tasks: JoinSet<()>,
}

impl Followers {
    /// One for each collector.
    pub(super) fn start(url: &str) -> Result<Self> {
        let (seen, mut tasks) = (Seen::default(), JoinSet::new());
        for ordinal in 0..N_COLLECTORS {
            let follower = Follower {
                client: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?,
                url: url.to_owned(),
                name: format!("scraper-{ordinal}"),
                seen: Arc::clone(&seen),
            };
            drop(tasks.spawn(follower.run()));
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// When an address was seen first.
    pub(super) fn first_seen(&self, address: &str) -> Option<Instant> {
        lock(&self.seen).get(address).copied()
    }

    /// Waits until so many addresses were seen.
    pub(super) async fn have_seen(&self, n: usize, patience: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let n_seen = lock(&self.seen).len();
            if n_seen >= n {
                return Ok(());
            }
            ensure!(began.elapsed() < patience, "{n_seen} of {n} targets were served within {patience:?}");
            sleep(LOOK).await;
        }
    }
}

struct Follower {
    client: reqwest::Client,
    url: String,
    name: String,
    seen: Seen,
}

impl Follower {
    async fn run(self) {
        let (mut known, mut version) = (Map::new(), None);
        loop {
            if self.round(&mut known, &mut version).await.is_err() {
                sleep(LOOK).await;
            }
        }
    }

    /// Waits for a change and fetches what changed.
    async fn round(&self, known: &mut Map<String, Value>, version: &mut Option<HeaderValue>) -> Result<()> {
        let changes = format!("{}/changes?collector_id={}", self.url, self.name);
        let mut request = self.client.get(changes).header(USER_AGENT, AGENT);
        if let Some(version) = version {
            request = request.header(IF_NONE_MATCH, &*version);
        }
        let response = request.send().await?.error_for_status()?;
        if response.status() == reqwest::StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        let newest = response.headers().get(ETAG).cloned();
        let mut told: Value = serde_json::from_str(&response.text().await?)?;
        let Value::Object(jobs) = told["jobs"].take() else { return Ok(()) };
        for job in jobs.iter().filter(|(job, list)| known.get(*job) != Some(*list)).map(|(job, _)| job) {
            self.fetch(job).await?;
        }
        (*known, *version) = (jobs, newest);
        Ok(())
    }

    async fn fetch(&self, job: &str) -> Result<()> {
        let job = job.replace('/', "%2F");
        let path = format!("{}/jobs/{job}/targets?collector_id={}", self.url, self.name);
        let response = self.client.get(path).header(USER_AGENT, AGENT).send().await?.error_for_status()?;
        let list: Value = serde_json::from_str(&response.text().await?)?;
        let now = Instant::now();
        let mut seen = lock(&self.seen);
        for group in list.as_array().context("a list")? {
            let address = group["targets"][0].as_str().context("an address")?;
            if !seen.contains_key(address) {
                seen.insert(address.to_owned(), now);
            }
        }
        Ok(())
    }
}

/// No code of others runs under the lock, so the map is whole even if a holder panicked.
fn lock(seen: &Seen) -> MutexGuard<'_, HashMap<String, Instant>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
