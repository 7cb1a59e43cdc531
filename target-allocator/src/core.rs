//! The loop that shares out targets: discovery and members in, views out.
//!
//! It sleeps until something changed: targets of a job, members, a fetched list, the configuration. Cost follows change:
//! only jobs whose targets changed are relabelled, only lists that changed are encoded.
//!
//! Nothing is answered before discovery of every job has settled. A job whose discovery stays silent longer than
//! [`PATIENCE`] is left behind: the others are answered, and its own lists stay 503 until it settles.

mod fall;
mod keeping;
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{Problem, Secret};
use scrape::Clock;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::answers::Answer;
use crate::api::Fetched;
use crate::handover::{Terms, unix_millis};
use crate::items::Items;
use crate::jobs::JobSpec;
use crate::kept::Kept;
use crate::marks::Marks;
use crate::members::{Membership, Polls};
use crate::metrics::Metrics;
use crate::moves::MoveLog;
use crate::placement::Placement;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::view::{Configs, JobConfig, Parts, View};
use keeping::Keeping;
use running::Running;

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
}

/// What the loop shares with the server.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) polls: Arc<Polls>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) metrics: Arc<Metrics>,
    /// Tells when targets change hands.
    pub(crate) clock: Arc<dyn Clock>,
}

/// The state of the loop.
pub(crate) struct Core {
    settings: Settings,
    shared: Shared,
    jobs: BTreeMap<Arc<str>, Running>,
    membership: Membership,
    configs: Arc<Configs>,
    placement: Placement,
    moves: MoveLog,
    started: Instant,
    /// Discovery has settled, or patience has ended.
    is_open: bool,
    keeping: Option<Keeping>,
    /// The assignment of an earlier run, until targets are shared out for the first time.
    resumed: Option<Kept>,
    views: watch::Sender<Arc<View>>,
}

impl Core {
    /// Starts discovery and the watch over members.
    pub(crate) fn start(settings: Settings, shared: Shared) -> Result<Self, Vec<Problem>> {
        let mut jobs = BTreeMap::new();
        let mut problems = Vec::new();
        for spec in &settings.jobs {
            match Running::start(spec, &settings, &shared) {
                Ok(running) => drop(jobs.insert(Arc::from(spec.name()), running)),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut membership =
            Membership::start(settings.members.clone(), &shared.polls, &shared.changed, None);
        let keeping = settings.state_file.clone().map(Keeping::new);
        let resumed = keeping.as_ref().and_then(Keeping::read);
        if let Some(kept) = &resumed {
            membership.resume(kept.roster());
        }
        let configs = Arc::new(render(&settings.jobs));
        let first = View::new(Parts::nothing_yet(&settings, Arc::clone(&configs)), None);
        let (views, _) = watch::channel(Arc::new(first));
        Ok(Self {
            settings,
            shared,
            jobs,
            membership,
            configs,
            placement: Placement::default(),
            moves: MoveLog::default(),
            started: Instant::now(),
            is_open: false,
            keeping,
            resumed,
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
                    self.release(&fetched);
                    while let Ok(fetched) = inbox.fetched.try_recv() {
                        self.release(&fetched);
                    }
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
        for running in self.jobs.values_mut() {
            running.refresh(&self.settings, &self.shared.metrics, now);
        }
        let silent = self.silent();
        let patience_ends = self.started + PATIENCE;
        if !self.is_open && !silent.is_empty() && now >= patience_ends {
            tracing::warn!(jobs = ?silent, "discovery stays silent; the other jobs are answered without these");
        }
        self.is_open |= silent.is_empty() || now >= patience_ends;
        let waits_for = if self.is_open { Vec::new() } else { name_some(&silent) };
        if let (true, Ok(roster)) = (self.is_open, &look.known) {
            self.share_out(roster, now);
        }
        let turns_at = self.hand_over(now);
        let members_wait_for = look.known.err();
        if let Some(keeping) = self.keeping.as_mut().filter(|_| self.placement.epoch > 0) {
            keeping.keep(&self.placement, now).await;
        }
        self.publish(waits_for, members_wait_for);
        let falls_at = self.jobs.values().filter_map(Running::again_at).min();
        let opens_at = (!self.is_open).then_some(patience_ends);
        let saves_at = self.keeping.as_ref().and_then(Keeping::due);
        [look.again_at, opens_at, turns_at, falls_at, saves_at].into_iter().flatten().min()
    }

    /// Jobs that have not answered yet, though they can.
    fn silent(&self) -> Vec<Arc<str>> {
        let jobs = self.jobs.iter().filter(|(_, running)| running.is_silent());
        jobs.map(|(name, _)| Arc::clone(name)).collect()
    }

    fn share_out(&mut self, roster: &Roster, now: Instant) {
        let jobs: BTreeMap<Arc<str>, Items> = (self.jobs.iter())
            .filter_map(|(name, running)| Some((Arc::clone(name), Arc::clone(running.items()?))))
            .collect();
        let strategy = self.settings.strategy;
        let members_changed = self.placement.roster != *roster;
        if !members_changed
            && self.placement.strategy == strategy
            && self.placement.epoch > 0
            && self.has_all(&jobs)
        {
            return;
        }
        if let Some(kept) = self.resumed.take() {
            self.placement = kept.placement(&jobs);
            tracing::info!(
                collectors = self.placement.roster.len(),
                "going on with the assignment of the last run"
            );
        }
        let began = std::time::Instant::now();
        let n_moved_before = self.moves.total();
        let at = self.shared.clock.now();
        let terms = Terms::of(&self.shared.polls.last(now), now, at);
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
    }

    /// Ends handovers and puts turns off, where it is time. Gives back when to look again.
    fn hand_over(&mut self, now: Instant) -> Option<Instant> {
        let at = self.shared.clock.now();
        let at_millis = unix_millis(at);
        if self.turns_at()? <= at_millis {
            let next = Terms::of(&self.shared.polls.last(now), now, at).turn;
            for placed in self.placement.jobs.values_mut() {
                if let Some(turned) = placed.turned(at_millis, next) {
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
            marks: Marks::default(),
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

    fn release(&mut self, fetched: &Fetched) {
        let Some(at) = self.placement.roster.position(&fetched.member) else { return };
        let Some(placed) = self.placement.jobs.get_mut(&fetched.job) else { return };
        if let Some(released) = placed.released(at, fetched.epoch) {
            *placed = Arc::new(released);
        }
    }

    /// Takes over a new configuration, or leaves everything as it is.
    fn reload(&mut self, settings: Settings) -> Result<(), Vec<Problem>> {
        let mut fresh = BTreeMap::new();
        let mut problems = Vec::new();
        for spec in &settings.jobs {
            let known =
                self.jobs.get(spec.name()).is_some_and(|running| running.finds_alike(spec, &settings));
            if !known {
                match Running::start(spec, &settings, &self.shared) {
                    Ok(running) => drop(fresh.insert(spec.name().to_owned(), running)),
                    Err(wrong) => problems.extend(wrong),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut before = std::mem::take(&mut self.jobs);
        for spec in &settings.jobs {
            let old = before.remove(spec.name());
            let running = match (fresh.remove(spec.name()), old) {
                (Some(new), Some(old)) => new.after(old),
                (Some(new), None) => new,
                (None, Some(old)) => old.with(spec),
                (None, None) => continue,
            };
            self.jobs.insert(Arc::from(spec.name()), running);
        }
        if settings.filters != self.settings.filters {
            self.jobs.values_mut().for_each(Running::look_again);
        }
        if settings.members != self.settings.members {
            self.membership.switch(settings.members.clone(), &self.shared.changed, None);
        }
        if settings.state_file != self.settings.state_file {
            self.keeping = settings.state_file.clone().map(Keeping::new);
        }
        self.configs = Arc::new(render(&settings.jobs));
        self.settings = settings;
        Ok(())
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
            marks: Marks::default(),
        }
    }
}

/// The bodies of `/scrape_configs`: like upstream's, they end without a newline.
fn render(jobs: &[Arc<JobSpec>]) -> Configs {
    let body = |value: fn(&JobSpec) -> &serde_json::Value| {
        let map: BTreeMap<&str, &serde_json::Value> =
            jobs.iter().map(|job| (job.name(), value(job))).collect();
        Answer::new(serde_json::to_vec(&map).expect("values with text keys can be written"))
    };
    let pretty = |job: &Arc<JobSpec>| (Arc::from(job.name()), format!("{:#}", job.redacted()));
    let config = |job: &Arc<JobSpec>| {
        let (redacted, full) = (job.redacted().to_string(), Secret::new(job.full().to_string()));
        (Arc::from(job.name()), JobConfig { redacted, full })
    };
    Configs {
        redacted: body(JobSpec::redacted),
        full: body(JobSpec::full),
        pretty: jobs.iter().map(pretty).collect(),
        jobs: jobs.iter().map(config).collect(),
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
