//! The loop that shares out targets: discovery and members in, views out.
//!
//! It sleeps until something changed: targets of a job, members, a fetched list, the configuration. What changes after a rest is
//! answered at once; while more keeps coming, it is gathered ([`Pace`]). Cost follows change:
//! only targets that changed are relabelled, and a list that did not change keeps its validator and its compressed form.
//!
//! Nothing is answered before discovery of every job has settled. A job whose discovery stays silent longer than
//! [`PATIENCE`] is left behind: the others are answered, and its own lists stay 503 until it settles.

mod deciding;
mod fall;
mod keeping;
mod lineup;
mod publishing;
mod reloading;
mod running;
mod sharing;
mod turning;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::Problem;
use discovery::Pace;
use scrape::Clock;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::api::{Asked, Fetched};
use crate::kept::Kept;
use crate::kubernetes::{Following, Kubernetes, Monitored};
use crate::members::{Membership, Polls};
use crate::metrics::Metrics;
use crate::moves::MoveLog;
use crate::placement::Placement;
use crate::settings::Settings;
use crate::view::{Configs, Parts, View};
use keeping::Keeping;
use lineup::{Jobs, configs, prepare};
use reloading::{follow, pods, share};
use running::Running;
use sharing::Sharing;

/// How long answers wait for jobs whose discovery stays silent.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Jobs that a reason names; there may be a thousand.
const MAX_NAMED: usize = 5;

/// A new configuration, and where to say whether it could be applied.
pub(crate) struct Reload {
    pub(crate) settings: Settings,
    pub(crate) done: oneshot::Sender<Result<(), Vec<Problem>>>,
}

/// What the loop listens to.
pub(crate) struct Inbox {
    pub(crate) fetched: mpsc::Receiver<Fetched>,
    pub(crate) reloads: mpsc::Receiver<Reload>,
    pub(crate) questions: mpsc::Receiver<Asked>,
}

/// What the loop shares with the server.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) polls: Arc<Polls>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) metrics: Arc<Metrics>,
    /// Tells when targets change hands.
    pub(crate) clock: Arc<dyn Clock>,
    /// The cluster, where there is one.
    pub(crate) kubernetes: Option<Kubernetes>,
}

/// The state of the loop.
pub(crate) struct Core {
    settings: Settings,
    shared: Shared,
    jobs: Jobs,
    membership: Membership,
    /// Monitors, where they are watched, and what they became last.
    following: Option<Following>,
    monitored: Arc<Monitored>,
    configs: Arc<Configs>,
    placement: Placement,
    moves: MoveLog,
    /// When all jobs were known: patience with their discovery begins then.
    known_since: Option<Instant>,
    /// Discovery has settled, or patience has ended.
    is_open: bool,
    keeping: Option<Keeping>,
    sharing: Option<Sharing>,
    /// The assignment of an earlier run, until targets are shared out for the first time.
    resumed: Option<Arc<Kept>>,
    /// Lists that members have fetched, by job and member, and the epoch of each; until that is kept.
    heard: BTreeMap<(Arc<str>, Arc<str>), u64>,
    views: watch::Sender<Arc<View>>,
}

impl Core {
    /// Starts discovery and the watch over members.
    pub(crate) fn start(settings: Settings, shared: Shared) -> Result<Self, Vec<Problem>> {
        let mut jobs = Jobs::new();
        let prepared = prepare(&jobs, &settings.jobs, &settings, &shared);
        if !prepared.wrong.is_empty() {
            return Err(prepared.wrong.into_values().flatten().collect());
        }
        prepared.exchange(&mut jobs, &settings.jobs);
        let feed = pods(&settings, &shared);
        let mut membership =
            Membership::start(settings.members.clone(), &shared.polls, &shared.changed, feed);
        let following = follow(&settings, &shared);
        let monitored = following.as_ref().map(|following| following.feed().borrow().clone());
        let keeping = settings.state_file.clone().map(Keeping::new);
        let resumed = keeping.as_ref().and_then(Keeping::read).map(Arc::new);
        let sharing = share(&settings, &shared);
        if let Some(kept) = &resumed {
            membership.resume(kept, Instant::now());
        }
        let configs = Arc::new(configs(&jobs));
        let first = View::new(Parts::nothing_yet(&settings, Arc::clone(&configs)), None);
        let (views, _) = watch::channel(Arc::new(first));
        Ok(Self {
            settings,
            shared,
            jobs,
            membership,
            following,
            monitored: monitored.unwrap_or_default(),
            configs,
            placement: Placement::default(),
            moves: MoveLog::default(),
            known_since: None,
            is_open: false,
            keeping,
            sharing,
            resumed,
            heard: BTreeMap::new(),
            views,
        })
    }

    /// Where views appear.
    pub(crate) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }

    /// Runs until nobody can ask for a reload any more.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        let changed = Arc::clone(&self.shared.changed);
        let mut pace = Pace::default();
        loop {
            let began = Instant::now();
            let again_at = self.update(began).await;
            pace.ended(began);
            let alarm = async {
                match again_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let change = async {
                changed.notified().await;
                // Should something else come first, it is looked at everything all the same.
                pace.rest().await;
            };
            tokio::select! {
                () = change => {}
                () = alarm => {}
                Some(fetched) = inbox.fetched.recv() => {
                    self.hear(fetched);
                    while let Ok(fetched) = inbox.fetched.try_recv() {
                        self.hear(fetched);
                    }
                }
                Some(Asked { question, answer }) = inbox.questions.recv() => {
                    // Who asked may be gone.
                    drop(answer.send(self.explain(&question)));
                }
                reload = inbox.reloads.recv() => match reload {
                    Some(Reload { settings, done }) => drop(done.send(self.reload(settings))),
                    None => return,
                },
            }
        }
    }

    /// Looks at everything, shares out anew where something changed, and publishes. Gives back when to look again.
    async fn update(&mut self, now: Instant) -> Option<Instant> {
        let look = self.membership.look(now);
        self.take_up_monitors();
        for running in self.jobs.values_mut() {
            running.refresh(&self.settings, &self.shared.metrics, now);
        }
        let silent = self.silent();
        let waits_for_monitors = &self.monitored.waits_for;
        let patience_ends =
            waits_for_monitors.is_empty().then(|| *self.known_since.get_or_insert(now) + PATIENCE);
        let is_over = patience_ends.is_some_and(|at| now >= at);
        if !self.is_open && !silent.is_empty() && is_over {
            tracing::warn!(jobs = ?silent, "discovery stays silent; the other jobs are answered without these");
        }
        let unshared = self.sharing.as_mut().and_then(|sharing| sharing.waits_for(now));
        self.is_open |= patience_ends.is_some() && (silent.is_empty() || is_over) && unshared.is_none();
        let mut waits_for: Vec<String> = match self.is_open {
            true => Vec::new(),
            false => waits_for_monitors.iter().cloned().chain(name_some(&silent)).chain(unshared).collect(),
        };
        let decides_at = self.decide(look.known.as_ref().ok(), now).await;
        if self.is_open && look.known.is_ok() && self.placement.epoch == 0 {
            waits_for.push("the members are not agreed upon with the other replicas yet".to_owned());
        }
        let members_wait_for = look.known.err();
        self.publish(waits_for, members_wait_for);
        let falls_at = self.jobs.values().filter_map(Running::again_at).min();
        let opens_at = patience_ends.filter(|_| !self.is_open);
        let shares_at = self.sharing.as_ref().filter(|_| !self.is_open).map(Sharing::patience_ends);
        let shares_at = shares_at.filter(|at| now < *at);
        let saves_at = self.keeping.as_ref().and_then(Keeping::due);
        [look.again_at, opens_at, shares_at, decides_at, falls_at, saves_at].into_iter().flatten().min()
    }

    /// Jobs that have not answered yet, though they can.
    fn silent(&self) -> Vec<Arc<str>> {
        let jobs = self.jobs.iter().filter(|(_, running)| running.is_silent());
        jobs.map(|(name, _)| Arc::clone(name)).collect()
    }
}

fn name_some(silent: &[Arc<str>]) -> Vec<String> {
    let named =
        silent.iter().take(MAX_NAMED).map(|job| format!("discovery of job `{job}` has not answered yet"));
    let more = silent.len().saturating_sub(MAX_NAMED);
    named.chain((more > 0).then(|| format!("nor has that of {more} more jobs"))).collect()
}

#[cfg(test)]
mod tests;
