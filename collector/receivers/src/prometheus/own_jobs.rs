//! The jobs of the configuration, running.
//!
//! Their discoveries outlive any reload of the allocator's jobs. Files of `scrape_config_files` are looked at every
//! LOOK_EVERY: what is new or changed there is scraped from then on, without any effect on other jobs; as long as one of
//! them is broken, everything stays as it was.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::Problem;
use discovery::{Context, Discovery};
use pipeline::Life;
use scrape::{Feed, HttpFetch, Job};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::job_source::JobSource;

/// How often files with jobs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The jobs of the configuration.
pub(super) struct OwnJobs {
    running: Mutex<Vec<Running>>,
    source: JobSource,
    context: Context,
    changes: watch::Sender<()>,
}

struct Running {
    job: Arc<Job>,
    fetch: Arc<HttpFetch>,
    discovery: Discovery,
}

impl Running {
    fn is_of(&self, job: &Job) -> bool {
        self.job.config() == job.config() && self.job.base_dir() == job.base_dir()
    }
}

impl OwnJobs {
    pub(super) fn start(jobs: Vec<Arc<Job>>, source: JobSource, context: Context, life: &Life) -> Self {
        let own = Self { running: Mutex::default(), source, context, changes: watch::Sender::default() };
        own.exchange(jobs, life);
        own
    }

    /// Runs these jobs from now on. One that did not change goes on as it is.
    fn exchange(&self, jobs: Vec<Arc<Job>>, life: &Life) {
        let mut former = std::mem::take(&mut *self.lock());
        let mut running = Vec::new();
        for job in jobs {
            match former.iter().position(|known| known.is_of(&job)) {
                Some(index) => running.push(former.swap_remove(index)),
                None => {
                    if self.source.is_in_file(&job) {
                        warn_of(&job, life);
                    }
                    running.extend(begin(&job, &self.context, life));
                }
            }
        }
        *self.lock() = running;
        self.changes.send_replace(());
    }

    /// Marked whenever the jobs are others than before.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn feeds(&self) -> Vec<Feed> {
        let feed = |running: &Running| Feed {
            job: Arc::clone(&running.job),
            fetch: Arc::clone(&running.fetch) as _,
            discovery: Discovery::of(running.discovery.snapshots()),
        };
        self.lock().iter().map(feed).collect()
    }

    pub(super) fn has(&self, job: &str) -> bool {
        self.lock().iter().any(|running| running.job.name() == job)
    }

    /// Takes up what changes in files, as long as it is asked to.
    pub(super) async fn look_after(&self, life: &Life) -> Infallible {
        if !self.source.has_files() {
            return pending().await;
        }
        for pattern in self.source.without_file() {
            warn!(receiver = %life.id(), pattern, "scrape_config_files names no file; its jobs begin when there is one");
        }
        let mut complaints: Vec<Problem> = Vec::new();
        loop {
            sleep(LOOK_EVERY).await;
            let source = self.source.clone();
            // Only fails when the process is going down.
            let Ok(read) = tokio::task::spawn_blocking(move || source.read()).await else { continue };
            match read {
                Ok(jobs) if self.is_running(&jobs) => complaints.clear(),
                Ok(jobs) => {
                    complaints.clear();
                    info!(receiver = %life.id(), jobs = jobs.len(), "scrape_config_files changed; jobs were taken up");
                    self.exchange(jobs, life);
                }
                Err(problems) if problems == complaints => {}
                Err(problems) => {
                    for problem in &problems {
                        error!(receiver = %life.id(), "{problem}; jobs stay as they are");
                    }
                    complaints = problems;
                }
            }
        }
    }

    fn is_running(&self, jobs: &[Arc<Job>]) -> bool {
        let running = self.lock();
        running.len() == jobs.len() && running.iter().zip(jobs).all(|(known, job)| known.is_of(job))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        // Nothing under the lock can panic half-way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the checks of the configuration tell of jobs in its section.
fn warn_of(job: &Job, life: &Life) {
    for problem in job.warnings() {
        warn!(receiver = %life.id(), job = job.name(), "{problem}");
    }
}

fn begin(job: &Arc<Job>, context: &Context, life: &Life) -> Option<Running> {
    for (key, file) in job.config().client.files() {
        let path = job.base_dir().join(file);
        if !path.exists() {
            let file = path.display();
            warn!(receiver = %life.id(), job = job.name(), key, %file, "the file is not there; scrapes fail until it is");
        }
    }
    let left_out = |problem: &Problem| {
        error!(receiver = %life.id(), job = job.name(), error = %problem, "the job cannot run and is left out");
    };
    let fetch = HttpFetch::build(job).map_err(|problem| left_out(&problem)).ok()?;
    let discovery = discovery::spawn(job.name(), &job.config().sd, &context_of(job, context));
    let discovery = discovery.map_err(|problems| problems.iter().for_each(left_out)).ok()?;
    Some(Running { job: Arc::clone(job), fetch: Arc::new(fetch), discovery })
}

/// Names of files in a job of a file start at the folder of that file.
fn context_of(job: &Job, context: &Context) -> Context {
    Context { base_dir: job.base_dir().to_owned(), ..context.clone() }
}
