//! How targets are doing, for pages and questions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::groups::ByGroup;
use crate::target::discovered_labels;
use crate::{Job, Target};

/// How many dropped targets are shown where `keep_dropped_targets` is not set. They are not remembered, but
/// described anew from what discovery holds anyway, so the key bounds nothing but the answer.
const DROPPED_SHOWN: usize = 1000;

/// How many unusable targets are shown.
const UNUSABLE_SHOWN: usize = 100;

/// Whether a target answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not scraped yet.
    #[default]
    Unknown,
    /// The last scrape was good.
    Up,
    /// The last scrape failed.
    Down,
}

/// The last scrape of a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastScrape {
    /// How it went.
    pub health: Health,
    /// When it began; `None` before the first.
    pub at: Option<Timestamp>,
    /// How long it took.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Samples that it gave after relabelling.
    pub n_samples: u64,
    /// Series that are remembered of the target.
    pub n_series: usize,
    /// Why the scrape was lost behind us, if it was.
    pub refused: Option<String>,
}

/// A target and how it is doing.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The target.
    pub target: Arc<Target>,
    /// Its last scrape.
    pub last: LastScrape,
}

/// The targets of a job.
#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    /// The job.
    pub job: String,
    /// Whether every mechanism of discovery has answered at least once.
    pub settled: bool,
    /// Targets that are scraped.
    pub active: Vec<TargetStatus>,
    /// Targets that the rules dropped, as discovery described them; only some where there are many.
    pub dropped: Vec<Labels>,
    /// How many the rules dropped.
    pub n_dropped: usize,
    /// Targets that cannot be scraped, and why.
    pub unusable: Vec<String>,
}

/// The place where a loop leaves word of its last scrape.
#[derive(Debug, Default)]
pub(crate) struct Slate(Mutex<LastScrape>);

impl Slate {
    pub(crate) fn write(&self, last: LastScrape) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused = Some(reason.to_owned());
    }

    pub(crate) fn read(&self) -> LastScrape {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a pool says of its targets.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) settled: bool,
    /// The job is gone and all its targets have ended.
    pub(crate) is_over: bool,
    pub(crate) active: Vec<(Arc<Target>, Arc<Slate>)>,
    /// What discovery found and what the job made of it.
    pub(crate) found: Option<(Arc<Job>, ByGroup)>,
}

impl View {
    pub(crate) fn status(&self, job: &str) -> JobStatus {
        let active = self
            .active
            .iter()
            .map(|(target, slate)| TargetStatus { target: Arc::clone(target), last: slate.read() });
        let mut status = JobStatus {
            job: job.to_owned(),
            settled: self.settled,
            active: active.collect(),
            ..JobStatus::default()
        };
        let Some((job, groups)) = &self.found else { return status };
        let keep = match job.config().limits.keep_dropped_targets {
            0 => DROPPED_SHOWN,
            keep => usize::try_from(keep).unwrap_or(usize::MAX),
        };
        let dropped = groups.values().flat_map(|(group, assembled)| {
            assembled
                .dropped
                .iter()
                .map(|index| discovered_labels(job, &group.labels, &group.targets[*index]))
        });
        status.dropped = dropped.take(keep).collect();
        status.n_dropped = groups.values().map(|(_, assembled)| assembled.dropped.len()).sum();
        let unusable = groups.values().flat_map(|(_, assembled)| assembled.unusable.iter().cloned());
        status.unusable = unusable.take(UNUSABLE_SHOWN).collect();
        status
    }
}
