//! Taking up what is to be done: another configuration, other monitors.

use std::sync::Arc;

use config::Problem;

use super::keeping::Keeping;
use super::lineup::{configs, prepare};
use super::running::Running;
use super::sharing::Sharing;
use super::{Core, Shared};
use crate::jobs::JobSpec;
use crate::kubernetes::Following;
use crate::members::{PodFeed, Source};
use crate::settings::Settings;

impl Core {
    /// Takes over a new configuration, or leaves everything as it is.
    pub(super) fn reload(&mut self, settings: Settings) -> Result<(), Vec<Problem>> {
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
    pub(super) fn take_up_monitors(&mut self) {
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

/// Jobs of the configuration and of monitors; of equal names, that of the configuration.
fn with_monitors(jobs: &[Arc<JobSpec>], monitored: &[Arc<JobSpec>]) -> Vec<Arc<JobSpec>> {
    let is_taken = |spec: &&Arc<JobSpec>| jobs.iter().any(|job| job.name() == spec.name());
    jobs.iter().chain(monitored.iter().filter(|spec| !is_taken(spec))).cloned().collect()
}

/// Opens what replicas share, where they do.
pub(super) fn share(settings: &Settings, shared: &Shared) -> Option<Sharing> {
    let at = settings.kubernetes.as_ref()?.shared_at.clone()?;
    Some(Sharing::start(shared.kubernetes.as_ref()?, at, &shared.changed))
}

/// Starts to follow the pods that are members, where pods are.
pub(super) fn pods(settings: &Settings, shared: &Shared) -> Option<PodFeed> {
    let Source::Pods(source) = &settings.members else { return None };
    Some(shared.kubernetes.as_ref()?.pods(source, &shared.changed))
}

/// Starts to follow monitors, where they are watched.
pub(super) fn follow(settings: &Settings, shared: &Shared) -> Option<Following> {
    let (kubernetes, policy) = (shared.kubernetes.as_ref()?, settings.policy()?.clone());
    Some(Following::start(&kubernetes.cluster, policy, Arc::clone(&shared.clock), &shared.changed))
}
