//! From what a target exposes to the labels that leave the process.
//!
//! As Prometheus `scrape` (`mutateSampleLabels`, `verifyLabelLimits`): `honor_labels` or `exported_`,
//! `metric_relabel_configs`, names, limits. It runs once for each new series.

use std::borrow::Cow;
use std::sync::Arc;

use exposition::{is_legacy_label_name, is_legacy_metric_name};
use model::{Labels, TargetInfo};

use crate::{Job, ScrapeError, Target};

/// `label_limit` where it is not set. People have some dozen labels.
const DEFAULT_LABEL_LIMIT: u64 = 1000;

/// `label_name_length_limit` where it is not set.
const DEFAULT_LABEL_NAME_LENGTH_LIMIT: u64 = 4 << 10;

/// `label_value_length_limit` where it is not set. Stores of metrics take 2 to 4 KiB.
const DEFAULT_LABEL_VALUE_LENGTH_LIMIT: u64 = 32 << 10;

/// Most labels that a series may have in the end, whatever the job allows.
const MAX_LABELS: usize = u16::MAX as usize;

/// Labels as a parser gives them; empty values are present.
pub(crate) type Exposed<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What all targets of a scraper have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Labels for series that do not have them.
    pub(crate) external_labels: Labels,
    /// Whether it is passed on when series began to count.
    pub(crate) start_timestamps: bool,
}

/// What makes labels of exposed series.
#[derive(Clone, Debug)]
pub(crate) struct SeriesRules {
    job: Arc<Job>,
    target: Arc<TargetInfo>,
    /// Its labels are given when everything else is done.
    common: Arc<Common>,
}

impl SeriesRules {
    pub(crate) fn new(job: &Arc<Job>, target: &Target, common: &Arc<Common>) -> Self {
        Self { job: Arc::clone(job), target: Arc::clone(&target.info), common: Arc::clone(common) }
    }

    /// Whether these labels need no second look on the way to Prometheus.
    pub(crate) fn is_plain(&self, labels: &Labels) -> bool {
        translate::is_plain(labels, &self.target.labels)
    }

    /// The labels that leave the process; `None` where the rules drop the series. `exposed` is sorted on the
    /// way.
    pub(crate) fn finish(&self, exposed: &mut Exposed<'_>) -> Result<Option<Labels>, ScrapeError> {
        exposed.sort_by(|a, b| a.0.cmp(&b.0));
        // Filled in order, so every label goes to the end.
        let mut labels: Labels = exposed.iter().map(|(name, value)| (name, value)).collect();
        if self.job.config().honor_labels {
            self.fill_gaps(exposed, &mut labels);
        } else {
            self.override_exposed(&mut labels);
        }
        if !self.job.metric_rules().apply(&mut labels) || labels.is_empty() {
            return Ok(None);
        }
        self.check_names(&labels)?;
        self.check_limits(&labels)?;
        self.add_external(&mut labels);
        Ok(Some(labels))
    }

    fn add_external(&self, labels: &mut Labels) {
        for (name, value) in self.common.external_labels.iter() {
            labels.set_if_absent(name, value);
        }
    }

    /// Labels of one of our own series about the target.
    pub(crate) fn report(&self, name: &str) -> Labels {
        let mut labels = self.target.labels.clone();
        labels.set("__name__", name);
        self.add_external(&mut labels);
        labels
    }

    /// `honor_labels: true`. A label that is exposed with an empty value keeps the target's away, too: that
    /// is how a Pushgateway says that there is no `instance`.
    fn fill_gaps(&self, exposed: &Exposed<'_>, labels: &mut Labels) {
        for (name, value) in self.target.labels.iter() {
            if exposed.binary_search_by(|(exposed, _)| exposed.as_ref().cmp(name)).is_err() {
                labels.set(name, value);
            }
        }
    }

    /// `honor_labels: false`: what is in the way of a target's label moves to the next free `exported_` name,
    /// short names first.
    fn override_exposed(&self, labels: &mut Labels) {
        let mut moved: Vec<(&str, Arc<str>)> = Vec::new();
        for (name, value) in self.target.labels.iter() {
            if let Some(exposed) = labels.remove(name) {
                moved.push((name, exposed));
            }
            labels.set(name, value);
        }
        moved.sort_by_key(|(name, _)| name.len());
        for (name, value) in moved {
            let mut free = format!("exported_{name}");
            while labels.contains(&free) {
                free.insert_str(0, "exported_");
            }
            labels.set(&free, &value);
        }
    }

    fn check_names(&self, labels: &Labels) -> Result<(), ScrapeError> {
        let Some(name) = labels.get("__name__") else {
            return Err(ScrapeError::BadSeries(format!("a series has no name after relabelling: {labels}")));
        };
        if !self.job.wants_legacy_names() {
            return Ok(());
        }
        let is_good =
            is_legacy_metric_name(name) && labels.iter().all(|(name, _)| is_legacy_label_name(name));
        if is_good {
            return Ok(());
        }
        Err(ScrapeError::BadSeries(format!(
            "a name in {labels} does not fit metric_name_validation_scheme `legacy`"
        )))
    }

    fn check_limits(&self, labels: &Labels) -> Result<(), ScrapeError> {
        let limits = &self.job.config().limits;
        let name = start_of(labels.value("__name__"));
        if labels.len() > MAX_LABELS {
            let message = format!("{name} has {} labels after relabelling, limit {MAX_LABELS}", labels.len());
            return Err(ScrapeError::LabelLimit { limit: "max_labels_per_series", message });
        }
        let label_limit = or_default(limits.label_limit, DEFAULT_LABEL_LIMIT);
        let name_limit = or_default(limits.label_name_length_limit, DEFAULT_LABEL_NAME_LENGTH_LIMIT);
        let value_limit = or_default(limits.label_value_length_limit, DEFAULT_LABEL_VALUE_LENGTH_LIMIT);
        let exceeded = |limit, subject: String, found: usize, allowed: u64| {
            Err(ScrapeError::LabelLimit {
                limit,
                message: format!("{subject} of {name}: {found}, limit {allowed}"),
            })
        };
        if labels.len() as u64 > label_limit {
            return exceeded("label_limit", "number of labels".to_owned(), labels.len(), label_limit);
        }
        for (label, value) in labels.iter() {
            if label.len() as u64 > name_limit {
                let subject = format!("bytes in the name of label {}", start_of(label));
                return exceeded("label_name_length_limit", subject, label.len(), name_limit);
            }
            if value.len() as u64 > value_limit {
                let subject = format!("bytes in the value of label {}", start_of(label));
                return exceeded("label_value_length_limit", subject, value.len(), value_limit);
            }
        }
        Ok(())
    }
}

/// Zero is as good as absent.
fn or_default(limit: u64, default: u64) -> u64 {
    if limit == 0 { default } else { limit }
}

/// As much of a text as a message needs.
fn start_of(text: &str) -> &str {
    let end = text.char_indices().nth(50).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
