//! Exchanging jobs: what is new starts, what finds targets the same way goes on, and what did not change is not touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Problem;

use super::Shared;
use super::running::Running;
use crate::jobs::JobSpec;
use crate::settings::Settings;
use crate::view::Configs;

/// Running jobs by name.
pub(super) type Jobs = BTreeMap<Arc<str>, Running>;

/// Jobs that were started for an exchange, and what is wrong with those that could not be.
pub(super) struct Prepared {
    fresh: Jobs,
    pub(super) wrong: BTreeMap<Arc<str>, Vec<Problem>>,
}

/// Starts what the jobs need beside what runs already.
pub(super) fn prepare(
    running: &Jobs,
    specs: &[Arc<JobSpec>],
    settings: &Settings,
    shared: &Shared,
) -> Prepared {
    let mut prepared = Prepared { fresh: Jobs::new(), wrong: BTreeMap::new() };
    for spec in specs {
        if running.get(spec.name()).is_some_and(|running| running.finds_alike(spec, settings)) {
            continue;
        }
        let name = Arc::from(spec.name());
        match Running::start(spec, settings, shared) {
            Ok(running) => drop(prepared.fresh.insert(name, running)),
            Err(wrong) => drop(prepared.wrong.insert(name, wrong)),
        }
    }
    prepared
}

impl Prepared {
    /// Runs these jobs and no others from now on. One that could not be started goes on as it was, or is left out.
    pub(super) fn exchange(mut self, jobs: &mut Jobs, specs: &[Arc<JobSpec>]) {
        let mut before = std::mem::take(jobs);
        for spec in specs {
            let old = before.remove(spec.name());
            let running = match (self.fresh.remove(spec.name()), old) {
                (Some(new), Some(old)) => new.after(old),
                (Some(new), None) => new,
                (None, Some(old)) if self.wrong.contains_key(spec.name()) => old,
                (None, Some(old)) => old.with(spec),
                (None, None) => continue,
            };
            jobs.insert(Arc::from(spec.name()), running);
        }
    }
}

/// The bodies of `/scrape_configs`.
pub(super) fn configs(jobs: &Jobs) -> Configs {
    let rendered = |running: &Running| Arc::clone(running.spec().rendered());
    Configs::of(jobs.iter().map(|(name, running)| (Arc::clone(name), rendered(running))).collect())
}
