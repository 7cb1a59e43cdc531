//! Our share of one job: what HTTP SD says, doubted where that is wise.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use config::Node;
use discovery::{Discovery, Group, Snapshot};
use model::Labels;
use net::Request;
use scrape::{Feed, HttpFetch, Job, Scraper, assemble};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::list::List;
use super::{ANSWER_TIMEOUT, EMPTY_HOLD, EPOCH_HEADER, Follower, MAX_ANSWER_BYTES, Record, lock, write};
use crate::prometheus::kept::KeptGroup;

/// The running share; ends when it is dropped.
pub(super) struct Share {
    job: Arc<Mutex<Arc<Job>>>,
    fetch: Arc<HttpFetch>,
    believed: watch::Receiver<Snapshot>,
    task: AbortHandle,
}

impl Share {
    /// Starts with the groups of the last run, if there were any.
    pub(super) fn start(
        settings: &Arc<Follower>,
        scraper: &Arc<Scraper>,
        job: Arc<Job>,
        fetch: Arc<HttpFetch>,
        kept: &[KeptGroup],
        record: &Record,
    ) -> Self {
        let (list, said) = List::new(settings, job.name());
        let groups: Vec<Arc<Group>> =
            kept.iter().enumerate().map(|(index, group)| group.to_group(index)).collect();
        let begun = Snapshot { groups: groups.into(), ..Snapshot::default() };
        let (sender, believed) = watch::channel(begun);
        let job = Arc::new(Mutex::new(job));
        let listening = Listening {
            settings: Arc::clone(settings),
            scraper: Arc::clone(scraper),
            job: Arc::clone(&job),
            said,
            believed: sender,
            record: Arc::clone(record),
        };
        let run = async {
            tokio::join!(list.run(), listening.run());
        };
        let task = tokio::spawn(run).abort_handle();
        Self { job, fetch, believed, task }
    }

    /// The same targets, scraped another way.
    pub(super) fn exchange(&mut self, job: Arc<Job>, fetch: Arc<HttpFetch>) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
        self.fetch = fetch;
    }

    pub(super) fn as_feed(&self) -> Feed {
        Feed {
            job: Arc::clone(&self.job.lock().unwrap_or_else(PoisonError::into_inner)),
            fetch: Arc::clone(&self.fetch) as _,
            discovery: Discovery::of(self.believed.clone()),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listening {
    settings: Arc<Follower>,
    scraper: Arc<Scraper>,
    job: Arc<Mutex<Arc<Job>>>,
    said: watch::Receiver<Snapshot>,
    believed: watch::Sender<Snapshot>,
    record: Record,
}

/// Where targets that left our list are now.
enum Whereabouts {
    /// The allocator does not say.
    Unknown,
    /// Assigned to somebody: hashes of all targets in the job's whole list. `is_signed` as the allocator signs it.
    Known { elsewhere: HashSet<u64>, is_signed: bool },
}

impl Listening {
    async fn run(self) {
        let mut said = self.said.clone();
        loop {
            let snapshot = said.borrow_and_update().clone();
            let is_news = snapshot.settled && !same(&snapshot, &self.believed.borrow());
            if is_news && !self.believe(snapshot).await {
                // Doubted: look again when the doubt is over, or when something else is said.
                tokio::select! {
                    changed = said.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(EMPTY_HOLD) => {
                        let still = said.borrow_and_update().clone();
                        self.publish(still);
                    }
                }
                continue;
            }
            if said.changed().await.is_err() {
                return;
            }
        }
    }

    /// Passes a list on, unless it is suddenly empty and nobody vouches for that.
    async fn believe(&self, snapshot: Snapshot) -> bool {
        let job = Arc::clone(&self.job.lock().unwrap_or_else(PoisonError::into_inner));
        let (before, now) = (hashes(&job, &self.believed.borrow()), hashes(&job, &snapshot));
        let left: Vec<u64> = before.difference(&now).copied().collect();
        if left.is_empty() {
            self.publish(snapshot);
            return true;
        }
        let whereabouts = self.whereabouts(&job).await;
        let moved: Vec<u64> = match &whereabouts {
            // Rather a series that ends without a marker than a marker into a series that goes on elsewhere.
            Whereabouts::Unknown => left.clone(),
            Whereabouts::Known { elsewhere, .. } => {
                left.iter().copied().filter(|hash| elsewhere.contains(hash)).collect()
            }
        };
        let is_vouched_for = match whereabouts {
            Whereabouts::Unknown => false,
            Whereabouts::Known { is_signed, .. } => is_signed || moved.len() == left.len(),
        };
        if now.is_empty() && !is_vouched_for {
            warn!(
                job = job.name(), targets = left.len(), limit = ?EMPTY_HOLD,
                "the allocator suddenly has no targets for us; they stay until that has lasted for EMPTY_HOLD"
            );
            return false;
        }
        if !moved.is_empty() {
            info!(job = job.name(), targets = moved.len(), "targets moved to another scraper");
            self.scraper.release(job.name(), moved).await;
        }
        self.publish(snapshot);
        true
    }

    fn publish(&self, snapshot: Snapshot) {
        let name = self.job.lock().unwrap_or_else(PoisonError::into_inner).name().to_owned();
        let groups = snapshot.groups.iter().map(|group| KeptGroup::from(&**group)).collect();
        lock(&self.record).targets.insert(name, groups);
        write(self.settings.kept.as_ref(), &self.record);
        self.believed.send_replace(snapshot);
    }

    /// Asks for the whole list of the job: who has which targets.
    async fn whereabouts(&self, job: &Job) -> Whereabouts {
        let request = Request::get(self.settings.whole_list(job.name()), ANSWER_TIMEOUT, MAX_ANSWER_BYTES);
        let Ok(response) = self.settings.send(request).await else { return Whereabouts::Unknown };
        if response.status != 200 {
            return Whereabouts::Unknown;
        }
        let text = String::from_utf8_lossy(&response.body);
        let Ok(parsed) = config::parse(&text, "/jobs") else { return Whereabouts::Unknown };
        if !parsed.root.is_map() {
            return Whereabouts::Unknown;
        }
        let others = parsed.root.entries().filter(|(collector, _)| *collector != self.settings.collector_id);
        let elsewhere = others
            .filter_map(|(_, share)| share.get("targets"))
            .flat_map(Node::items)
            .flat_map(|group| assembled(job, group))
            .collect();
        Whereabouts::Known { elsewhere, is_signed: response.headers.contains_key(EPOCH_HEADER) }
    }
}

/// Hashes of the targets of a group in HTTP SD's shape.
fn assembled(job: &Job, group: &Node) -> Vec<u64> {
    let pairs = |node: &Node| -> Labels {
        node.entries().filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned()))).collect()
    };
    let labels = group.get("labels").map(pairs).unwrap_or_default();
    let addresses = group.get("targets").into_iter().flat_map(Node::items).filter_map(Node::text);
    addresses
        .filter_map(|address| {
            let target = [("__address__", address)].into_iter().collect();
            assemble(job, &labels, &target).ok().flatten().map(|target| target.hash)
        })
        .collect()
}

fn hashes(job: &Job, snapshot: &Snapshot) -> HashSet<u64> {
    let of_group = |group: &Arc<Group>| -> Vec<u64> {
        let targets = group.targets.iter();
        targets
            .filter_map(|target| assemble(job, &group.labels, target).ok().flatten().map(|t| t.hash))
            .collect()
    };
    snapshot.groups.iter().flat_map(of_group).collect()
}

/// Whether two snapshots say the same, whatever their groups are called.
fn same(one: &Snapshot, two: &Snapshot) -> bool {
    one.settled == two.settled
        && one.groups.len() == two.groups.len()
        && one
            .groups
            .iter()
            .zip(two.groups.iter())
            .all(|(a, b)| a.labels == b.labels && a.targets == b.targets)
}
