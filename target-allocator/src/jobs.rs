//! What is scraped: the `config` section, a Prometheus configuration.
//!
//! As upstream, `global` and `scrape_configs` are read with Prometheus' own strictness, and what a Prometheus server does
//! beside scraping is accepted and ignored. A job is rendered the way Prometheus prints it, everything inherited filled in.
//! A job that uses a mechanism which is not built in is kept, shown under `/scrape_configs`, and its lists are answered with
//! 503: an empty list would end its scrapes.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use config::{Node, Problem, Secret};
use discovery::{Group, GroupFilter, GroupLabels, KubernetesSdConfig};
use model::Labels;
use schemars::JsonSchema;
use scrape::{GlobalConfig, Job, ScrapeConfig, assemble, discovered_labels};
use serde::Deserialize;
use serde_json::Value;

use crate::items::{Item, Items, arranged, identity};

/// Rules of the Prometheus operator keep a target when this label is there, whatever its shard.
const DISABLE_SHARDING: &str = "__tmp_disable_sharding";

/// A job, ready to be used.
pub struct JobSpec {
    job: Arc<Job>,
    /// Whether its rules look at [`DISABLE_SHARDING`].
    is_sharded: bool,
    rendered: Arc<JobConfig>,
}

/// The configuration of one job as `/scrape_configs` shows it: JSON, the keys of every map in order.
#[derive(Debug, PartialEq, Eq)]
pub struct JobConfig {
    /// With `<secret>` in place of credentials.
    pub redacted: String,
    /// With credentials.
    pub full: Secret,
}

impl fmt::Debug for JobSpec {
    /// Without its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSpec").field("job", &self.job).finish_non_exhaustive()
    }
}

/// The targets of a job.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What is left after filtering.
    pub items: Items,
    /// How many the rules dropped.
    pub n_dropped: usize,
    /// How many cannot be scraped, and why the first of them cannot.
    pub refused: Option<(usize, String)>,
}

/// The targets of one group of a job, in the order of the group. Groups that did not change are not looked at again, nor is in
/// one that did change a target that did not.
#[derive(Clone, Debug)]
pub struct FoundInGroup {
    group: Arc<Group>,
    targets: Vec<FoundTarget>,
}

/// What became of one target.
#[derive(Clone, Debug)]
struct FoundTarget {
    /// What is served of it, if anything.
    item: Option<Arc<Item>>,
    verdict: Verdict,
}

#[derive(Clone, Debug)]
enum Verdict {
    Kept,
    /// A rule drops it.
    Dropped,
    /// It cannot be scraped, and why.
    Refused(Arc<str>),
}

impl Found {
    /// All groups of a job together.
    #[must_use]
    pub fn of<'a>(groups: impl Iterator<Item = &'a FoundInGroup> + Clone) -> Self {
        let targets = groups.flat_map(|group| &group.targets);
        let items = targets.clone().filter_map(|target| target.item.clone());
        let mut found = Self { items: arranged(items), ..Self::default() };
        for target in targets {
            match &target.verdict {
                Verdict::Kept => {}
                Verdict::Dropped => found.n_dropped += 1,
                Verdict::Refused(why) => {
                    found.refused.get_or_insert_with(|| (0, why.to_string())).0 += 1;
                }
            }
        }
        found
    }
}

impl FoundInGroup {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

/// The targets of an earlier form of a group. Most are where they were; all others are found by their hash.
struct Known<'a> {
    before: Option<&'a FoundInGroup>,
    elsewhere: Option<HashMap<&'a Labels, &'a FoundTarget>>,
}

impl<'a> Known<'a> {
    fn new(before: Option<&'a FoundInGroup>) -> Self {
        Self { before, elsewhere: None }
    }

    /// What became of this target, which is now the one at `index`.
    fn find(&mut self, index: usize, target: &Labels) -> Option<&'a FoundTarget> {
        let before = self.before?;
        if before.group.targets.get(index) == Some(target) {
            return before.targets.get(index);
        }
        let all = || before.group.targets.iter().zip(&before.targets).collect();
        self.elsewhere.get_or_insert_with(all).get(target).copied()
    }
}

/// What a Prometheus server does beside scraping.
const IGNORED: [&str; 8] =
    ["alerting", "otlp", "remote_read", "remote_write", "rule_files", "runtime", "storage", "tracing"];

/// The section without [`IGNORED`].
#[derive(Deserialize, JsonSchema)]
struct Section {
    /// What jobs inherit.
    #[serde(default)]
    global: GlobalConfig,
    /// The jobs.
    #[serde(default)]
    scrape_configs: Vec<ScrapeConfig>,
    /// Files with more jobs; not read.
    #[serde(default)]
    scrape_config_files: Vec<String>,
}

/// Reads the jobs of a `config` section, sorted by name; problems go where the others are.
pub fn read(section: Option<&Node>, base_dir: &Path, problems: &mut Vec<Problem>) -> Vec<Arc<JobSpec>> {
    let Some(mut node) = section.cloned() else { return Vec::new() };
    for key in IGNORED {
        drop(node.remove(key));
    }
    let node = &node;
    let section = match config::read::<Section>(node, "config") {
        Ok(section) => section,
        Err(wrong) => {
            problems.extend(wrong);
            return Vec::new();
        }
    };
    if !section.scrape_config_files.is_empty() {
        let problem =
            Problem::error("scrape_config_files", "files with more jobs are not read by the allocator")
                .with_hint("write the jobs into `scrape_configs`");
        problems.push(problem.within("config", node));
    }
    for (index, config) in section.scrape_configs.iter().enumerate() {
        let path = format!("scrape_configs::{index}");
        problems.extend(
            mechanisms(config).into_iter().map(|problem| problem.under(&path).within("config", node)),
        );
    }
    match Job::build_all(&section.scrape_configs, &section.global, base_dir) {
        Ok(jobs) => {
            let mut specs: Vec<_> = jobs.into_iter().map(|job| Arc::new(JobSpec::new(job))).collect();
            specs.sort_by(|one, other| one.name().cmp(other.name()));
            specs
        }
        Err(wrong) => {
            problems.extend(wrong.into_iter().map(|problem| problem.within("config", node)));
            Vec::new()
        }
    }
}

fn mechanisms(config: &ScrapeConfig) -> Vec<Problem> {
    let warn = |key: &str| {
        Problem::warning(key, "this way of discovery is not built in yet")
            .with_hint("the job is shown, and its lists of targets are answered with 503")
    };
    config.sd.foreign.keys().map(warn).collect()
}

impl JobSpec {
    /// A job that has been checked.
    pub(crate) fn new(job: Arc<Job>) -> Self {
        let render = || sorted(serde_json::to_value(job.config()).unwrap_or_default()).to_string();
        let (redacted, full) = (render(), Secret::new(Secret::revealing(render)));
        let rules = &job.config().relabel_configs;
        let is_sharded = serde_json::to_string(rules).is_ok_and(|text| text.contains(DISABLE_SHARDING));
        Self { job, is_sharded, rendered: Arc::new(JobConfig { redacted, full }) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.job.name()
    }

    /// The job as it takes effect.
    #[must_use]
    pub fn config(&self) -> &ScrapeConfig {
        self.job.config()
    }

    /// Where relative names of files start.
    #[must_use]
    pub fn base_dir(&self) -> &Path {
        self.job.base_dir()
    }

    /// As `/scrape_configs` shows it.
    #[must_use]
    pub fn rendered(&self) -> &Arc<JobConfig> {
        &self.rendered
    }

    /// What is rendered without credentials.
    #[cfg(test)]
    pub(crate) fn redacted(&self) -> Value {
        serde_json::from_str(&self.rendered.redacted).unwrap()
    }

    /// What is rendered with credentials.
    #[cfg(test)]
    pub(crate) fn full(&self) -> Value {
        serde_json::from_str(self.rendered.full.expose()).unwrap()
    }

    /// Whether the other is the same job in every respect.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.config() == other.config() && self.base_dir() == other.base_dir()
    }

    /// Whether clients that see [`JobConfig::redacted`] miss credentials.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.rendered.redacted != self.rendered.full.expose()
    }

    /// Whether its targets are found in the cluster that the allocator itself looks at.
    #[must_use]
    pub fn uses_kubernetes(&self) -> bool {
        self.config().sd.kubernetes_sd_configs.iter().any(Self::is_search_here)
    }

    /// Whether a search looks into the cluster that the allocator itself looks at.
    pub(crate) fn is_search_here(search: &KubernetesSdConfig) -> bool {
        search.api_server.is_empty() && search.kubeconfig_file.is_empty()
    }

    /// Why lists of its targets cannot be given at all.
    #[must_use]
    pub fn unanswerable(&self) -> Option<String> {
        let keys: Vec<&str> = self.config().sd.foreign.keys().collect();
        let why = || format!("job `{}` uses {}, which is not built in yet", self.name(), keys.join(" and "));
        (!keys.is_empty()).then(why)
    }

    /// Says of a group that discovery found whether any of its targets can be left by the rules. Of many jobs over the same
    /// objects each looks only at the few groups that it selects.
    #[must_use]
    pub fn group_filter(&self) -> GroupFilter {
        // What the job itself tells of its targets is left open.
        let is_open = |name: &str| name == "job" || (name.starts_with("__") && !name.starts_with("__meta_"));
        let job = Arc::clone(&self.job);
        let needs = job.rules().needs().into_iter().filter(|need| !is_open(&need.label)).collect();
        let may_keep = move |labels: GroupLabels<'_>| {
            !job.rules().drop_all(|name| if is_open(name) { None } else { labels.known(name) })
        };
        GroupFilter::new(may_keep).with_needs(needs)
    }

    /// The targets of a group that discovery found, and how many of them had to be relabelled. Without `filters`, those that
    /// rules drop, and those that cannot be scraped, are served as well. `before` is what became of an earlier form of the group
    /// under the same rules and filters; targets that are in both are taken over from it.
    #[must_use]
    pub fn targets(
        &self,
        group: &Arc<Group>,
        filters: bool,
        before: Option<&FoundInGroup>,
    ) -> (FoundInGroup, usize) {
        let before = before.filter(|before| before.group.labels == group.labels);
        let mut known = Known::new(before);
        let mut n_relabelled = 0;
        let targets =
            group.targets.iter().enumerate().map(|(index, target)| match known.find(index, target) {
                Some(known) => FoundTarget {
                    item: known.item.as_ref().map(|item| Arc::new(item.in_group(group, index))),
                    verdict: known.verdict.clone(),
                },
                None => {
                    n_relabelled += 1;
                    self.target(group, index, filters)
                }
            });
        (FoundInGroup { targets: targets.collect(), group: Arc::clone(group) }, n_relabelled)
    }

    fn target(&self, group: &Arc<Group>, index: usize, filters: bool) -> FoundTarget {
        let target = &group.targets[index];
        let (hash, verdict) = match assemble(&self.job, &group.labels, &self.seeded(target)) {
            Ok(Some(target)) => (Some(target.hash), Verdict::Kept),
            Ok(None) => (None, Verdict::Dropped),
            Err(why) => (None, Verdict::Refused(why.into())),
        };
        let whole = || identity(&discovered_labels(&self.job, &group.labels, target), self.name());
        let hash = hash.or_else(|| (!filters).then(whole));
        FoundTarget { item: hash.map(|hash| Arc::new(Item::new(hash, group, index))), verdict }
    }

    /// Labels of a target as the rules get them.
    #[must_use]
    pub fn discovered(&self, group: &Labels, target: &Labels) -> Labels {
        discovered_labels(&self.job, group, &self.seeded(target))
    }

    /// What becomes of one target: its identity, or nothing where a rule drops it.
    ///
    /// # Errors
    /// Why it cannot be scraped.
    pub fn outcome(&self, group: &Group, target: &Labels) -> Result<Option<u64>, String> {
        let assembled = assemble(&self.job, &group.labels, &self.seeded(target))?;
        Ok(assembled.map(|target| target.hash))
    }

    /// Upstream sets the label for every target, so that rules which shard by `$(SHARD)` keep all of them.
    fn seeded(&self, target: &Labels) -> Labels {
        let mut target = target.clone();
        if self.is_sharded {
            target.set(DISABLE_SHARDING, "true");
        }
        target
    }
}

/// With the keys of every map in order, whichever map type the JSON crate was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
