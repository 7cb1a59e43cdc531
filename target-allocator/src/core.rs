//! The loop that shares out targets: discovery and members in, views out.
//!
//! It sleeps until something changed: targets of a job, members, a fetched list, the configuration. Cost follows change:
//! only targets that changed are relabelled, and a list that did not change keeps its validator and its compressed form.
//!
//! Nothing is answered before discovery of every job has settled. A job whose discovery stays silent longer than
//! [`PATIENCE`] is left behind: the others are answered, and its own lists stay 503 until it settles.

mod fall;
mod keeping;
mod lineup;
mod running;
mod sharing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Problem;
use scrape::Clock;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Asked, Fetched};
use crate::explain::{self, Question};
use crate::handover::{Terms, unix_millis};
use crate::items::Items;
use crate::jobs::JobSpec;
use crate::kept::Kept;
use crate::kubernetes::{Following, Kubernetes, Monitored};
use crate::marks::Marks;
use crate::members::{LastPolls, Membership, PodFeed, Polls, Source};
use crate::metrics::Metrics;
use crate::moves::MoveLog;
use crate::placement::Placement;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::view::{Configs, Parts, View};
use keeping::Keeping;
use lineup::{Jobs, configs, prepare};
use running::Running;
use sharing::Sharing;

/// How long answers wait for jobs whose discovery stays silent.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long changes are gathered before they are applied together.
const COALESCE: Duration = Duration::from_millis(20);

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
        loop {
            let again_at = self.update(Instant::now()).await;
            let alarm = async {
                match again_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed.notified() => sleep(COALESCE).await,
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

    /// Decides who has what from now on, and keeps that before it is answered. Gives back when to look again.
    async fn decide(&mut self, look: Option<&Roster>, now: Instant) -> Option<Instant> {
        if let Some(newer) = self.sharing.as_mut().and_then(Sharing::newer) {
            self.take_over(newer, now);
        }
        // Alone nobody can be faster, so there is nothing to go back to.
        let before = self
            .sharing
            .is_some()
            .then(|| (self.placement.clone(), self.moves.clone(), self.resumed.clone()));
        let is_free = self.sharing.as_ref().is_none_or(|sharing| sharing.is_free(now));
        let mut again_at = vec![self.sharing.as_ref().and_then(|sharing| sharing.free_at(now))];
        if let Some(look) = look.filter(|_| self.is_open) {
            let (roster, again) = self.members(look, is_free, now);
            again_at.push(again);
            again_at.push(roster.and_then(|roster| self.share_out(&roster, now)));
        }
        if is_free {
            self.take_in();
            again_at.push(self.hand_over(now));
            match (self.keep(now).await, before) {
                (Err(sharing::Undecided), Some(before)) => {
                    (self.placement, self.moves, self.resumed) = before;
                    again_at = vec![Some(now)];
                }
                _ => self.heard.clear(),
            }
        }
        again_at.into_iter().flatten().min()
    }

    /// The members among whom targets are shared out: those that are seen, or those that replicas have agreed upon; nothing while
    /// they have not agreed upon any. And when to look again because that is open.
    fn members(&mut self, look: &Roster, is_free: bool, now: Instant) -> (Option<Roster>, Option<Instant>) {
        let Some(sharing) = &mut self.sharing else { return (Some(look.clone()), None) };
        let kept = self.resumed.as_ref().map(|kept| kept.roster());
        let agreed = kept.unwrap_or_else(|| self.placement.roster.clone());
        let (decides, again_at) = sharing.decides(look, &agreed, now);
        let roster = if decides && is_free { look.clone() } else { agreed };
        (Some(roster).filter(|roster| !roster.is_empty()), again_at)
    }

    /// Goes on from what another replica has decided.
    fn take_over(&mut self, newer: Arc<Kept>, now: Instant) {
        if self.placement.epoch == 0 {
            self.membership.resume(&newer, now);
            self.resumed = Some(newer);
            return;
        }
        self.membership.recognize(&newer, now);
        let (jobs, at) = (self.items(), self.shared.clock.now());
        let (strategy, roster) = (self.settings.strategy, newer.roster());
        let terms = Terms::default();
        let mut next = self.placement.next(strategy, &roster, &jobs, &terms, at, &mut self.moves);
        newer.impose(&mut next, &self.placement);
        self.placement = next;
    }

    /// Keeps what was decided. `Err` when it does not count.
    async fn keep(&mut self, now: Instant) -> Result<(), sharing::Undecided> {
        if self.placement.epoch == 0 {
            return Ok(());
        }
        let polls = self.polls(now);
        if let Some(sharing) = &mut self.sharing {
            let kept = Kept::of(&self.placement, &polls);
            let at = unix_millis(self.shared.clock.now());
            if let Some(cut) = sharing.agree(kept, &self.placement, at).await? {
                let before = self.placement.clone();
                self.placement.epoch += 1;
                cut.impose(&mut self.placement, &before);
            }
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.keep(&self.placement, &polls, now).await;
        }
        Ok(())
    }

    /// Who has asked, and when. Where replicas share the assignment, who is silent here may be asking another one.
    fn polls(&self, now: Instant) -> LastPolls {
        let mut polls = self.shared.polls.last(now);
        if self.sharing.is_some() {
            polls.values_mut().for_each(|poll| poll.at = now);
        }
        polls
    }

    /// The targets of every job whose targets are known.
    fn items(&self) -> BTreeMap<Arc<str>, Items> {
        let jobs = self.jobs.iter();
        jobs.filter_map(|(name, running)| Some((Arc::clone(name), Arc::clone(running.items()?)))).collect()
    }

    /// Jobs that have not answered yet, though they can.
    fn silent(&self) -> Vec<Arc<str>> {
        let jobs = self.jobs.iter().filter(|(_, running)| running.is_silent());
        jobs.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Gives back when to look again because members had to wait.
    fn share_out(&mut self, roster: &Roster, now: Instant) -> Option<Instant> {
        let jobs = self.items();
        let strategy = self.settings.strategy;
        if let Some(kept) = self.resumed.take() {
            self.placement = kept.placement(&jobs);
            self.membership.recognize(&kept, now);
            tracing::info!(
                collectors = self.placement.roster.len(),
                "going on with the assignment of the last run"
            );
        }
        let at = self.shared.clock.now();
        let waits_until = self.waits_until(roster, at);
        let roster = if waits_until.is_some() { &self.placement.roster.clone() } else { roster };
        let joins_at =
            waits_until.map(|until| now + Duration::from_millis(until.saturating_sub(unix_millis(at))));
        let members_changed = self.placement.roster != *roster;
        if !members_changed
            && self.placement.strategy == strategy
            && self.placement.epoch > 0
            && self.has_all(&jobs)
        {
            return joins_at;
        }
        let began = std::time::Instant::now();
        let n_moved_before = self.moves.total();
        let terms = Terms::of(&self.polls(now), now, at);
        self.placement = self.placement.next(strategy, roster, &jobs, &terms, at, &mut self.moves);
        self.shared.metrics.allocated(members_changed, strategy.name(), began.elapsed());
        let (epoch, collectors) = (self.placement.epoch, roster.len());
        let (targets, moved) =
            (jobs.values().map(|items| items.len()).sum::<usize>(), self.moves.total() - n_moved_before);
        if members_changed || moved > 0 {
            tracing::info!(epoch, collectors, targets, moved, "shared out targets");
        } else {
            tracing::debug!(epoch, collectors, targets, "shared out targets");
        }
        joins_at
    }

    /// Until when members that join or begin to leave must wait, in milliseconds since 1970: for turns that stand, to which both
    /// sides keep whatever is decided before they come. Who is gone already is not waited for.
    fn waits_until(&self, roster: &Roster, at: SystemTime) -> Option<u64> {
        let members = &self.placement.roster;
        let somebody_is_gone = members.iter().any(|member| roster.position(&member.name).is_none());
        if members == roster || somebody_is_gone {
            return None;
        }
        let now = unix_millis(at);
        self.placement.jobs.values().filter_map(|placed| placed.last_standing_turn(now)).max()
    }

    /// Ends handovers and puts turns off, where it is time. Gives back when to look again.
    fn hand_over(&mut self, now: Instant) -> Option<Instant> {
        let at = self.shared.clock.now();
        let at_millis = unix_millis(at);
        if self.turns_at()? <= at_millis {
            let terms = Terms::of(&self.polls(now), now, at);
            let Placement { epoch, roster, jobs, .. } = &mut self.placement;
            *epoch += 1;
            for placed in jobs.values_mut() {
                let is_silent = |at: usize| terms.is_silent(roster.name(at));
                if let Some(turned) = placed.turned(at_millis, terms.turn, *epoch, is_silent) {
                    *placed = Arc::new(turned);
                }
            }
        }
        Some(now + Duration::from_millis(self.turns_at()?.saturating_sub(at_millis)))
    }

    /// When the next handover must be looked at, in milliseconds since 1970.
    fn turns_at(&self) -> Option<u64> {
        self.placement.jobs.values().filter_map(|placed| placed.due()).min()
    }

    /// Whether the placement is about exactly these targets.
    fn has_all(&self, jobs: &BTreeMap<Arc<str>, Items>) -> bool {
        let placed = &self.placement.jobs;
        placed.len() == jobs.len()
            && jobs
                .iter()
                .all(|(name, items)| placed.get(name).is_some_and(|placed| Arc::ptr_eq(&placed.items, items)))
    }

    fn publish(&mut self, waits_for: Vec<String>, members_wait_for: Option<String>) {
        let jobs = self.jobs.iter().map(|(name, running)| (Arc::clone(name), running.state())).collect();
        let parts = Parts {
            placement: self.placement.clone(),
            jobs,
            waits_for,
            members_wait_for,
            is_polling: self.settings.members.is_polling(),
            shows_secrets: self.settings.shows_secrets,
            configs: Arc::clone(&self.configs),
            moves: self.moves.clone(),
            monitored: Arc::clone(&self.monitored),
            marks: self.marks(),
        };
        let before = self.views.borrow().clone();
        let view = Arc::new(View::new(parts, Some(&before)));
        let (was_ready, is_ready) = (before.why_no_lists().is_empty(), view.why_no_lists().is_empty());
        if was_ready != is_ready {
            tracing::info!(ready = is_ready, reasons = ?view.why_no_lists(), "readiness changed");
        }
        self.shared.metrics.publish(&view);
        self.views.send_replace(view);
    }

    /// The targets that a question is about, and the jobs that may pass something over.
    fn explain(&self, question: &Question) -> explain::Known {
        let mut targets = Vec::new();
        for running in self.jobs.values() {
            explain::collect(question, running.spec(), &mut running.groups(), &mut targets);
        }
        explain::Known { targets, jobs: self.settings.jobs.clone() }
    }

    /// How new what is known is.
    fn marks(&self) -> Marks {
        let marks = self.shared.kubernetes.as_ref().map(Kubernetes::marks).unwrap_or_default();
        self.sharing.as_ref().map_or(marks.clone(), |sharing| sharing.marked(marks))
    }

    fn hear(&mut self, fetched: Fetched) {
        let Fetched { job, member, epoch } = fetched;
        let is_known = self.placement.roster.position(&member).is_some() && self.jobs.contains_key(&job);
        if is_known {
            self.heard.insert((job, member), epoch);
        }
    }

    /// Lets those go whose successors have heard that they are it.
    fn take_in(&mut self) {
        let now = unix_millis(self.shared.clock.now());
        for ((job, member), epoch) in &self.heard {
            let Some(at) = self.placement.roster.position(member) else { continue };
            let Some(placed) = self.placement.jobs.get_mut(job) else { continue };
            if let Some(heard) = placed.heard(at, *epoch, now) {
                *placed = Arc::new(heard);
            }
        }
    }

    /// Takes over a new configuration, or leaves everything as it is.
    fn reload(&mut self, settings: Settings) -> Result<(), Vec<Problem>> {
        let specs = with_monitors(&settings.jobs, &self.monitored.jobs);
        let prepared = prepare(&self.jobs, &specs, &settings, &self.shared);
        let wrong = settings.jobs.iter().filter_map(|spec| prepared.wrong.get(spec.name()));
        let problems: Vec<Problem> = wrong.flatten().cloned().collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        prepared.exchange(&mut self.jobs, &specs);
        if settings.filters != self.settings.filters {
            self.jobs.values_mut().for_each(Running::look_again);
        }
        if settings.members != self.settings.members {
            let feed = pods(&settings, &self.shared);
            self.membership.switch(settings.members.clone(), &self.shared.changed, feed);
        }
        if settings.state_file != self.settings.state_file {
            self.keeping = settings.state_file.clone().map(Keeping::new);
        }
        match (&self.following, settings.policy()) {
            (Some(following), Some(policy)) => following.set_policy(policy.clone()),
            _ => self.following = follow(&settings, &self.shared),
        }
        self.configs = Arc::new(configs(&self.jobs));
        self.settings = settings;
        Ok(())
    }

    /// Takes over what monitors became. A job that cannot be started is left out alone.
    fn take_up_monitors(&mut self) {
        let newest = self.following.as_ref().map(|following| following.feed().borrow().clone());
        let newest = newest.unwrap_or_default();
        if Arc::ptr_eq(&newest, &self.monitored) {
            return;
        }
        let has_same_jobs = newest.jobs.len() == self.monitored.jobs.len()
            && newest.jobs.iter().zip(&self.monitored.jobs).all(|(one, other)| Arc::ptr_eq(one, other));
        self.monitored = newest;
        if has_same_jobs {
            return;
        }
        let specs = with_monitors(&self.settings.jobs, &self.monitored.jobs);
        let prepared = prepare(&self.jobs, &specs, &self.settings, &self.shared);
        for (job, problems) in &prepared.wrong {
            tracing::warn!(job = &**job, problem = %problems[0], "the job of a monitor cannot be discovered and is left out");
        }
        prepared.exchange(&mut self.jobs, &specs);
        self.configs = Arc::new(configs(&self.jobs));
        self.shared.metrics.monitors_changed();
    }
}

impl Parts {
    /// Before anything is known.
    fn nothing_yet(settings: &Settings, configs: Arc<Configs>) -> Self {
        Self {
            placement: Placement::default(),
            jobs: BTreeMap::new(),
            waits_for: vec!["starting".to_owned()],
            members_wait_for: Some("starting".to_owned()),
            is_polling: settings.members.is_polling(),
            shows_secrets: settings.shows_secrets,
            configs,
            moves: MoveLog::default(),
            monitored: Arc::default(),
            marks: Marks::default(),
        }
    }
}

/// Jobs of the configuration and of monitors; of equal names, that of the configuration.
fn with_monitors(jobs: &[Arc<JobSpec>], monitored: &[Arc<JobSpec>]) -> Vec<Arc<JobSpec>> {
    let is_taken = |spec: &&Arc<JobSpec>| jobs.iter().any(|job| job.name() == spec.name());
    jobs.iter().chain(monitored.iter().filter(|spec| !is_taken(spec))).cloned().collect()
}

/// Opens what replicas share, where they do.
fn share(settings: &Settings, shared: &Shared) -> Option<Sharing> {
    let at = settings.kubernetes.as_ref()?.shared_at.clone()?;
    Some(Sharing::start(shared.kubernetes.as_ref()?, at, &shared.changed))
}

/// Starts to follow the pods that are members, where pods are.
fn pods(settings: &Settings, shared: &Shared) -> Option<PodFeed> {
    let Source::Pods(source) = &settings.members else { return None };
    Some(shared.kubernetes.as_ref()?.pods(source, &shared.changed))
}

/// Starts to follow monitors, where they are watched.
fn follow(settings: &Settings, shared: &Shared) -> Option<Following> {
    let (kubernetes, policy) = (shared.kubernetes.as_ref()?, settings.policy()?.clone());
    Some(Following::start(&kubernetes.cluster, policy, Arc::clone(&shared.clock), &shared.changed))
}

fn name_some(silent: &[Arc<str>]) -> Vec<String> {
    let named =
        silent.iter().take(MAX_NAMED).map(|job| format!("discovery of job `{job}` has not answered yet"));
    let more = silent.len().saturating_sub(MAX_NAMED);
    named.chain((more > 0).then(|| format!("nor has that of {more} more jobs"))).collect()
}

#[cfg(test)]
mod tests;
