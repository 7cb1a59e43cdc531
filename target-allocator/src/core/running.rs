//! One job with its running discovery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use config::Problem;
use discovery::{Context, Discovery, Group, Snapshot};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::fall::Doubt;
use crate::items::Items;
use crate::jobs::{Found, FoundInGroup, JobSpec};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::view::JobState;

/// Problems of one job that are shown.
const MAX_PROBLEMS: usize = 5;

/// A job, its discovery, and what was found last.
pub(super) struct Running {
    spec: Arc<JobSpec>,
    /// Whether discovery leaves out groups that the rules drop.
    is_filtered: bool,
    snapshots: watch::Receiver<Snapshot>,
    /// What was found in each group at the last look.
    groups: Vec<FoundInGroup>,
    /// Nothing until discovery has settled for the first time.
    found: Option<Found>,
    problems: Vec<String>,
    /// The snapshot must be looked at although it did not change.
    is_stale: bool,
    doubt: Doubt,
    /// A fall that is not believed yet: when to look again, and what to say.
    held: Option<(Instant, String)>,
    _discovery: Discovery,
    /// Wakes the loop on every change; ends with the job.
    _bell: JoinSet<()>,
}

impl Running {
    pub(super) fn start(
        spec: &Arc<JobSpec>,
        settings: &Settings,
        shared: &Shared,
    ) -> Result<Self, Vec<Problem>> {
        let kubernetes = shared.kubernetes.as_ref().map(|kubernetes| kubernetes.discovery.clone());
        let context = Context {
            metrics: shared.metrics.registry().clone(),
            kubernetes: kubernetes.unwrap_or_default(),
            ..Context::new(&settings.base_dir)
        };
        let sd = discovery::SdConfigs {
            foreign: discovery::ForeignConfigs::default(),
            ..spec.config().sd.clone()
        };
        let under_job =
            |problem: Problem| problem.under(&format!("config::scrape_configs: job `{}`", spec.name()));
        let filter = settings.filters.then(|| spec.group_filter());
        let discovery = discovery::spawn_filtered(spec.name(), &sd, &context, filter.as_ref())
            .map_err(|problems| problems.into_iter().map(under_job).collect::<Vec<_>>())?;
        let mut bell = JoinSet::new();
        let (mut snapshots, changed) = (discovery.snapshots(), Arc::clone(&shared.changed));
        drop(bell.spawn(async move {
            while snapshots.changed().await.is_ok() {
                changed.notify_one();
            }
        }));
        Ok(Self {
            spec: Arc::clone(spec),
            is_filtered: filter.is_some(),
            snapshots: discovery.snapshots(),
            groups: Vec::new(),
            found: None,
            problems: Vec::new(),
            is_stale: true,
            doubt: Doubt::default(),
            held: None,
            _discovery: discovery,
            _bell: bell,
        })
    }

    /// The job.
    pub(super) fn spec(&self) -> &Arc<JobSpec> {
        &self.spec
    }

    /// What discovery found, before relabelling.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|found| &**found.group())
    }

    /// Whether the running discovery serves another configuration of the job as well.
    pub(super) fn finds_alike(&self, spec: &JobSpec, settings: &Settings) -> bool {
        let (old, new) = (self.spec.config(), spec.config());
        let finds_all = !self.is_filtered || new.sd.kubernetes_sd_configs.is_empty();
        old.sd == new.sd
            && self.spec.base_dir() == settings.base_dir
            && self.is_filtered == settings.filters
            && (finds_all || old.relabel_configs == new.relabel_configs)
    }

    /// Goes on under a new configuration with the same discovery. What the new rules leave out is believed at once.
    pub(super) fn with(self, spec: &Arc<JobSpec>) -> Self {
        if Arc::ptr_eq(&self.spec, spec) {
            return self;
        }
        let spec = Arc::clone(spec);
        Self { spec, groups: Vec::new(), is_stale: true, doubt: Doubt::default(), held: None, ..self }
    }

    /// Answers with what the predecessor found, until the own discovery has settled.
    pub(super) fn after(self, old: Self) -> Self {
        Self { found: old.found, ..self }
    }

    /// Looks at every target again, because they are filtered differently now.
    pub(super) fn look_again(&mut self) {
        self.groups.clear();
        self.is_stale = true;
    }

    /// When to look again although discovery reports nothing.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.held.as_ref().map(|(until, _)| *until)
    }

    /// Takes over what discovery found since the last look.
    pub(super) fn refresh(&mut self, settings: &Settings, metrics: &Metrics, now: Instant) {
        let is_due = self.held.as_ref().is_some_and(|(until, _)| *until <= now);
        if !self.is_stale && !is_due && !self.snapshots.has_changed().unwrap_or(false) {
            return;
        }
        self.is_stale = false;
        let snapshot = self.snapshots.borrow_and_update().clone();
        let was_troubled = !self.problems.is_empty();
        self.problems = snapshot.problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect();
        if was_troubled || !self.problems.is_empty() {
            self.doubt.trouble(now);
        }
        if !snapshot.settled {
            return;
        }
        let began = std::time::Instant::now();
        let n_relabelled = self.look_at(&snapshot.groups, settings.filters);
        let mut found = Found::of(self.groups.iter());
        found.n_dropped += snapshot.n_passed_over;
        metrics.processed(self.spec.name(), n_relabelled, began.elapsed());
        if let Some(before) = &self.found {
            if before.items == found.items {
                found.items = Arc::clone(&before.items);
            }
            if self.is_held(before.items.len(), found.items.len(), settings.sudden_fall_hold, now) {
                return;
            }
        }
        self.found = Some(found);
    }

    /// Whether a fall is not believed yet.
    fn is_held(&mut self, before: usize, after: usize, hold: Duration, now: Instant) -> bool {
        let was_held = self.held.is_some();
        self.held = self.doubt.judge(before, after, hold, now).map(|until| {
            let why = format!(
                "right after it came back, discovery knows only {after} of {before} targets; the others stay until that has lasted for sudden_fall_hold ({} s)",
                hold.as_secs_f64()
            );
            (until, why)
        });
        match (&self.held, was_held) {
            (Some((_, why)), false) => {
                tracing::warn!(job = self.spec.name(), why, "a sudden fall is not believed yet")
            }
            (None, true) => tracing::info!(
                job = self.spec.name(),
                targets = after,
                "the number of targets is believed again"
            ),
            _ => {}
        }
        self.held.is_some()
    }

    /// Looks at the groups that changed. Gives back how many targets had to be relabelled.
    fn look_at(&mut self, groups: &[Arc<Group>], filters: bool) -> usize {
        let mut before: HashMap<Arc<str>, FoundInGroup> = std::mem::take(&mut self.groups)
            .into_iter()
            .map(|found| (Arc::clone(&found.group().source), found))
            .collect();
        let mut n_relabelled = 0;
        let look = |group: &Arc<Group>| match before.remove(&group.source) {
            Some(same) if Arc::ptr_eq(same.group(), group) => same,
            before => {
                let (found, n) = self.spec.targets(group, filters, before.as_ref());
                n_relabelled += n;
                found
            }
        };
        self.groups = groups.iter().map(look).collect();
        n_relabelled
    }

    /// Whether it has not answered yet, though it can.
    pub(super) fn is_silent(&self) -> bool {
        self.found.is_none() && self.spec.unanswerable().is_none()
    }

    /// The targets, once they are known.
    pub(super) fn items(&self) -> Option<&Items> {
        self.found.as_ref().map(|found| &found.items)
    }

    pub(super) fn state(&self) -> JobState {
        let silent = || format!("discovery of job `{}` has not answered yet", self.spec.name());
        let waits_for = self.spec.unanswerable().or_else(|| self.found.is_none().then(silent));
        let mut problems = self.problems.clone();
        problems.extend(self.held.as_ref().map(|(_, why)| why.clone()));
        if let Some((n, why)) = self.found.as_ref().and_then(|found| found.refused.as_ref()) {
            problems.push(format!("{n} targets cannot be scraped; the first one, because {why}"));
        }
        JobState { waits_for, n_dropped: self.found.as_ref().map_or(0, |found| found.n_dropped), problems }
    }
}
