//! The targets of one job: what discovery says becomes loops.
//!
//! As Prometheus `scrape` (`scrapePool.sync`), with these differences on purpose: a snapshot is applied at
//! once, not on a 5 s tick; a group that did not change is not looked at again; a target whose labels stay
//! while its address, path or interval change keeps its loop, so none of its series ends in between; targets
//! of a former discovery stay until the new one has settled.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use discovery::{Discovery, Snapshot};
use model::Labels;
use telemetry::{Gauge, Scope};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::doubt::Doubt;
use crate::groups::{ByGroup, assemble_groups};
use crate::large::Proven;
use crate::orders::{Orders, orders};
use crate::status::{Slate, View};
use crate::target_loop::{Assignment, Order, Shared, TargetLoop};
use crate::{Fetch, Job, Target, TargetKey};

/// More targets than this are assembled on a thread that may be kept busy.
const MANY_TARGETS: usize = 500;

/// A job, how its targets are fetched, and where they come from.
pub struct Feed {
    /// The job.
    pub job: Arc<Job>,
    /// Asks its targets.
    pub fetch: Arc<dyn Fetch>,
    /// Finds its targets.
    pub discovery: Discovery,
}

/// What a pool is told. When the sender is dropped, it stops without telling the end of anything.
pub(crate) enum Control {
    /// The job's new shape.
    Feed(Feed),
    /// These targets are scraped elsewhere from now on.
    Release(Vec<u64>),
    /// The job is gone, and all its targets with it.
    Close,
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
    feed: Feed,
    snapshots: watch::Receiver<Snapshot>,
    controls: mpsc::Receiver<Control>,
    ended: (mpsc::Sender<u64>, mpsc::Receiver<u64>),
    tasks: JoinSet<()>,
    loops: HashMap<TargetKey, Handle>,
    next_id: u64,
    assembled: ByGroup,
    /// Targets that discovery still lists and somebody else scrapes.
    released: HashSet<u64>,
    too_many: Option<usize>,
    is_closing: bool,
    view: Arc<RwLock<View>>,
    n_targets: (Scope, Gauge),
}

/// A loop, seen from outside.
struct Handle {
    id: u64,
    orders: Orders<Order>,
    target: Arc<Target>,
    slate: Arc<Slate>,
    is_ending: bool,
    /// Found by a discovery that was replaced, and not by the new one yet.
    is_inherited: bool,
}

impl Handle {
    /// Tells a loop that runs what comes last.
    fn tell(&self, last: fn(Assignment) -> Order) {
        self.orders.change(|order| {
            if let Order::Run(assignment) = order {
                *order = last(assignment.clone());
            }
            true
        });
    }
}

impl Pool {
    pub(crate) fn new(
        shared: Arc<Shared>,
        feed: Feed,
        controls: mpsc::Receiver<Control>,
        view: Arc<RwLock<View>>,
    ) -> Self {
        let n_targets = shared.metrics.targets(feed.job.name());
        Self {
            snapshots: feed.discovery.snapshots(),
            shared,
            feed,
            controls,
            ended: mpsc::channel(64),
            tasks: JoinSet::new(),
            loops: HashMap::new(),
            next_id: 0,
            assembled: HashMap::new(),
            released: HashSet::new(),
            too_many: None,
            is_closing: false,
            view,
            n_targets,
        }
    }

    /// Runs until the sender of the controls is gone. A pool whose job was closed stays, with nothing to do,
    /// because the job may come back.
    pub(crate) async fn run(mut self) {
        self.apply().await;
        let mut is_discovery_alive = true;
        loop {
            tokio::select! {
                control = self.controls.recv() => match control {
                    Some(control) => {
                        is_discovery_alive |= matches!(control, Control::Feed(_));
                        self.control(control).await;
                    }
                    None => return self.stop().await,
                },
                changed = self.snapshots.changed(), if is_discovery_alive && !self.is_closing => {
                    is_discovery_alive = changed.is_ok();
                    self.apply().await;
                }
                Some(id) = self.ended.1.recv() => {
                    self.loops.retain(|_, handle| handle.id != id || !handle.is_ending);
                    self.publish(None);
                }
                Some(done) = self.tasks.join_next() => if done.is_err() {
                    self.restart().await;
                },
            }
        }
    }

    async fn control(&mut self, control: Control) {
        match control {
            Control::Feed(feed) => self.replace(feed).await,
            Control::Release(hashes) => {
                let hashes: HashSet<u64> = hashes.into_iter().collect();
                let listed = self.loops.values().filter(|handle| !handle.is_ending);
                self.released
                    .extend(listed.map(|handle| handle.target.hash).filter(|hash| hashes.contains(hash)));
                self.loops.retain(|_, handle| !hashes.contains(&handle.target.hash));
                self.publish(None);
            }
            Control::Close => {
                self.is_closing = true;
                // Nothing is looked for any more.
                self.feed.discovery = Discovery::of(self.snapshots.clone());
                let leaving: Vec<TargetKey> = self.loops.keys().cloned().collect();
                leaving.iter().for_each(|key| self.end(key));
                self.publish(None);
            }
        }
    }

    /// Takes over a job that may have changed. A client that would be the same is kept, with its connections.
    async fn replace(&mut self, feed: Feed) {
        self.is_closing = false;
        let is_same_job =
            *self.feed.job.config() == *feed.job.config() && self.feed.job.base_dir() == feed.job.base_dir();
        let is_same_client = self.feed.job.config().client == feed.job.config().client
            && self.feed.job.config().enable_compression == feed.job.config().enable_compression
            && self.feed.job.accept() == feed.job.accept()
            && self.feed.job.config().limits.body_size_limit == feed.job.config().limits.body_size_limit;
        if !is_same_job {
            self.feed.job = feed.job;
            self.assembled.clear();
        }
        if !is_same_client {
            self.feed.fetch = feed.fetch;
        }
        self.feed.discovery = feed.discovery;
        let snapshots = self.feed.discovery.snapshots();
        if !snapshots.same_channel(&self.snapshots) {
            self.snapshots = snapshots;
            self.loops.values_mut().for_each(|handle| handle.is_inherited = true);
        }
        self.apply().await;
    }

    async fn stop(mut self) {
        if self.shared.scrape_on_shutdown {
            self.loops.retain(|_, handle| !handle.is_ending);
            self.loops.values().for_each(|handle| handle.tell(Order::Last));
        } else {
            self.loops.values().for_each(|handle| handle.tell(Order::Stop));
            // Their senders dropped, loops give up what they fetch.
            self.loops.clear();
        }
        drop(self.ended);
        while self.tasks.join_next().await.is_some() {}
    }

    /// Makes loops fit the newest snapshot.
    async fn apply(&mut self) {
        let snapshot = self.snapshots.borrow_and_update().clone();
        let wanted = self.assemble(&snapshot).await;
        let limit = self.feed.job.config().limits.target_limit;
        self.too_many = Some(wanted.len()).filter(|found| limit > 0 && *found as u64 > limit);
        if self.too_many.is_some() {
            self.shared.metrics.target_limit.inc();
        }
        let wanted_hashes: HashSet<u64> = wanted.keys().map(|key| key.hash).collect();
        self.released.retain(|hash| wanted_hashes.contains(hash));

        let is_leaving = |key: &TargetKey, handle: &Handle| {
            !wanted.contains_key(key) && !handle.is_ending && (snapshot.settled || !handle.is_inherited)
        };
        let mut leaving: HashSet<TargetKey> = self
            .loops
            .iter()
            .filter(|(key, handle)| is_leaving(key, handle))
            .map(|(key, _)| key.clone())
            .collect();
        let mut homeless = self.homeless(&wanted, &leaving);
        for (key, target) in wanted {
            if self.released.contains(&key.hash) {
                continue;
            }
            let known = if self.loops.contains_key(&key) {
                Some(key.clone())
            } else {
                homeless.remove(target.labels())
            };
            match known.and_then(|known| self.loops.remove_entry(&known)) {
                Some((known, handle)) => {
                    leaving.remove(&known);
                    let handle = self.retarget(handle, target);
                    self.loops.insert(key, handle);
                }
                None => {
                    let handle = self.start(target);
                    self.loops.insert(key, handle);
                }
            }
        }
        leaving.iter().for_each(|key| self.end(key));
        self.publish(Some(&snapshot));
    }

    /// Loops whose target is gone, by labels: a new target with the same labels carries on one of them.
    fn homeless(
        &self,
        wanted: &HashMap<TargetKey, Arc<Target>>,
        leaving: &HashSet<TargetKey>,
    ) -> HashMap<Labels, TargetKey> {
        let gone = self.loops.iter().filter(|(key, handle)| {
            !wanted.contains_key(*key) && (handle.is_ending || leaving.contains(*key))
        });
        gone.map(|(key, handle)| (handle.target.labels().clone(), key.clone())).collect()
    }

    /// All targets that the snapshot and the rules want, each once.
    async fn assemble(&mut self, snapshot: &Snapshot) -> HashMap<TargetKey, Arc<Target>> {
        let former = std::mem::take(&mut self.assembled);
        let (job, groups) = (Arc::clone(&self.feed.job), Arc::clone(&snapshot.groups));
        let n_targets: usize = groups.iter().map(|group| group.targets.len()).sum();
        let work = move || assemble_groups(&job, &groups, &former);
        let (assembled, unusable) = if n_targets <= MANY_TARGETS {
            work()
        } else {
            match tokio::task::spawn_blocking(work).await {
                Ok(assembled) => assembled,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is going down.
                Err(_) => Default::default(),
            }
        };
        self.assembled = assembled;
        self.shared.metrics.sync_failed.inc_by(unusable.len() as u64);
        if let Some(first) = unusable.first() {
            let (job, n_targets) = (self.feed.job.name(), unusable.len());
            tracing::warn!(job, n_targets, first, "targets cannot be scraped");
        }
        let groups = snapshot.groups.iter().filter_map(|group| self.assembled.get(&group.source));
        let targets = groups.flat_map(|(_, assembled)| assembled.targets.iter());
        targets.map(|target| (target.key(), Arc::clone(target))).collect()
    }

    fn assignment(&self, target: Arc<Target>) -> Assignment {
        Assignment {
            job: Arc::clone(&self.feed.job),
            fetch: Arc::clone(&self.feed.fetch),
            target,
            too_many: self.too_many,
        }
    }

    fn start(&mut self, target: Arc<Target>) -> Handle {
        let id = self.next_id;
        self.next_id += 1;
        let (orders, inbox) = orders(Order::Run(self.assignment(Arc::clone(&target))));
        let slate = Arc::new(Slate::default());
        let mut task = TargetLoop {
            id,
            shared: Arc::clone(&self.shared),
            slate: Arc::clone(&slate),
            orders: inbox,
            ended: self.ended.0.clone(),
            cache: None,
            proven: Proven::default(),
            doubt: Doubt::default(),
            last: None,
            due: None,
            first_after: Instant::now() + self.shared.initial_offset,
        };
        drop(self.tasks.spawn(async move { task.run().await }));
        Handle { id, orders, target, slate, is_ending: false, is_inherited: false }
    }

    /// Gives a loop its target anew, and tells it only if anything is different.
    fn retarget(&self, mut handle: Handle, target: Arc<Target>) -> Handle {
        let next = self.assignment(Arc::clone(&target));
        handle.orders.change(|order| {
            let is_same = match order {
                Order::End(_) | Order::Last(_) | Order::Stop(_) => false,
                Order::Run(now) => {
                    *now.target == *next.target
                        && Arc::ptr_eq(&now.job, &next.job)
                        && Arc::ptr_eq(&now.fetch, &next.fetch)
                        && now.too_many == next.too_many
                }
            };
            if !is_same {
                *order = Order::Run(next);
            }
            !is_same
        });
        (handle.target, handle.is_ending, handle.is_inherited) = (target, false, false);
        handle
    }

    fn end(&mut self, key: &TargetKey) {
        let Some(handle) = self.loops.get_mut(key).filter(|handle| !handle.is_ending) else { return };
        handle.is_ending = true;
        handle.tell(Order::End);
    }

    /// Starts loops anew that a bug of ours ended.
    async fn restart(&mut self) {
        tracing::error!(job = self.feed.job.name(), "a scrape loop ended unexpectedly and is started anew");
        self.loops.retain(|_, handle| !handle.orders.is_closed());
        if !self.is_closing {
            self.apply().await;
        }
    }

    /// Lets others see the targets; `snapshot` where there is news of discovery.
    fn publish(&self, snapshot: Option<&Snapshot>) {
        let mut active: Vec<_> = self
            .loops
            .values()
            .filter(|handle| !handle.is_ending)
            .map(|handle| (Arc::clone(&handle.target), Arc::clone(&handle.slate)))
            .collect();
        active.sort_by(|(a, _), (b, _)| (&a.url, a.hash).cmp(&(&b.url, b.hash)));
        self.n_targets.1.set(active.len() as f64);
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.active = active;
        view.is_over = self.is_closing && self.loops.is_empty();
        if let Some(snapshot) = snapshot {
            view.settled = snapshot.settled;
            view.found = Some((Arc::clone(&self.feed.job), self.assembled.clone()));
        }
    }
}
