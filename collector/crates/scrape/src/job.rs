//! A scrape job, ready to be used: inherited, checked, compiled.
//!
//! As the checks of Prometheus `config/config.go`, except that all mistakes are found at once. What is
//! set without effect becomes a warning that names the key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Period, Problem};
use exposition::{Escaping, Format, Protocol, accept_header};
use model::Labels;
use relabel::{RuleConfig, Rules};

use crate::config::{EscapingScheme, NameScheme, ScrapeProtocol};
use crate::{GlobalConfig, ScrapeConfig};

/// A job that can be used.
#[derive(Debug)]
pub struct Job {
    config: ScrapeConfig,
    base_dir: PathBuf,
    rules: Rules,
    metric_rules: Rules,
    accept: String,
    defaults: Labels,
    warnings: Vec<Problem>,
}

impl Job {
    /// Builds the job. Paths of problems are relative to it (`scrape_timeout`); `base_dir` is where relative
    /// names of files start. Nothing is read and nothing is opened.
    ///
    /// # Errors
    /// All mistakes.
    pub fn build(
        config: &ScrapeConfig,
        global: &GlobalConfig,
        base_dir: &Path,
    ) -> Result<Self, Vec<Problem>> {
        let keeps_classic = config.switches.always_scrape_classic_histograms == Some(true);
        let config = config.inherit(global);
        let mut problems = own_problems(&config);
        problems.extend(config.sd.check());
        problems.extend(of_client(config.client.check_rules()));
        let names = match config.metric_name_validation_scheme {
            Some(NameScheme::Legacy) => relabel::NameScheme::Legacy,
            _ => relabel::NameScheme::Utf8,
        };
        let (rules, wrong) = rules_of("relabel_configs", &config.relabel_configs, names);
        problems.extend(wrong);
        let (metric_rules, wrong) = rules_of("metric_relabel_configs", &config.metric_relabel_configs, names);
        problems.extend(wrong);
        if !problems.is_empty() {
            return Err(problems);
        }
        let escaping = config.metric_name_escaping_scheme.map_or(Escaping::AllowUtf8, Escaping::from);
        let listed = config.scrape_protocols.iter().flatten();
        let protocols: Vec<Protocol> = listed.map(|protocol| Protocol::from(*protocol)).collect();
        let accept = accept_header(&protocols, escaping);
        let warnings = without_effect(&config, keeps_classic);
        let defaults = defaults_of(&config);
        Ok(Self { config, base_dir: base_dir.to_owned(), rules, metric_rules, accept, defaults, warnings })
    }

    /// Builds all jobs of a `scrape_configs` list; paths of problems begin with `scrape_configs::<index>`.
    ///
    /// # Errors
    /// All mistakes in all jobs, and names that are used twice.
    pub fn build_all(
        configs: &[ScrapeConfig],
        global: &GlobalConfig,
        base_dir: &Path,
    ) -> Result<Vec<Arc<Self>>, Vec<Problem>> {
        let (mut jobs, mut problems) = (Vec::new(), global_problems(global));
        for (index, config) in configs.iter().enumerate() {
            let path = format!("scrape_configs::{index}");
            let first = configs[..index].iter().position(|other| other.job_name == config.job_name);
            if let Some(first) = first {
                let message = format!("the name `{}` is taken by scrape_configs::{first}", config.job_name);
                problems.push(Problem::at(format!("{path}::job_name"), message));
            }
            match Self::build(config, global, base_dir) {
                Ok(job) => jobs.push(Arc::new(job)),
                Err(wrong) => problems.extend(wrong.into_iter().map(|problem| problem.under(&path))),
            }
        }
        if problems.is_empty() { Ok(jobs) } else { Err(problems) }
    }

    /// The name, which becomes the label `job`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.job_name
    }

    /// The configuration as it takes effect.
    #[must_use]
    pub fn config(&self) -> &ScrapeConfig {
        &self.config
    }

    /// Where relative names of files start.
    #[must_use]
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Where failed scrapes are written down, if anywhere.
    #[must_use]
    pub fn failure_log(&self) -> Option<PathBuf> {
        let name = &self.config.limits.scrape_failure_log_file;
        (!name.is_empty()).then(|| self.base_dir.join(name))
    }

    /// Keys that are set and have no effect, relative to the job.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What keeps this process from scraping the job, relative to it: discovery and ways of authentication
    /// that are not built in. An allocator, which leaves both to others, does not ask.
    #[must_use]
    pub fn unsupported(&self) -> Vec<Problem> {
        let mut problems = self.config.sd.unsupported();
        problems.extend(of_client(self.config.client.check_support()));
        problems
    }

    /// The rules over labels of targets.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules over labels of series.
    #[must_use]
    pub fn metric_rules(&self) -> &Rules {
        &self.metric_rules
    }

    /// Labels that its targets have where discovery says nothing else.
    pub(crate) fn defaults(&self) -> &Labels {
        &self.defaults
    }

    /// The `Accept` header of its requests.
    #[must_use]
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// The format of answers whose content type says nothing useful.
    #[must_use]
    pub fn fallback(&self) -> Option<Format> {
        Some(Protocol::from(self.config.fallback_scrape_protocol?).format())
    }

    /// Whether names of series must be of the old character set.
    pub(crate) fn wants_legacy_names(&self) -> bool {
        self.config.metric_name_validation_scheme == Some(NameScheme::Legacy)
    }

    /// Whether series would get the same labels and verdicts under the other job.
    pub(crate) fn labels_alike(&self, other: &Self) -> bool {
        let (own, theirs) = (&self.config, &other.config);
        own.honor_labels == theirs.honor_labels
            && own.metric_relabel_configs == theirs.metric_relabel_configs
            && own.metric_name_validation_scheme == theirs.metric_name_validation_scheme
            && own.limits.label_limit == theirs.limits.label_limit
            && own.limits.label_name_length_limit == theirs.limits.label_name_length_limit
            && own.limits.label_value_length_limit == theirs.limits.label_value_length_limit
    }
}

/// Hidden labels that switch histograms for one target, and the value that the job gives them.
pub(crate) fn histogram_switches(config: &ScrapeConfig) -> [(&'static str, &'static str); 3] {
    let switches = &config.switches;
    let word = |switch: Option<bool>| if switch == Some(true) { "true" } else { "false" };
    [
        ("__always_scrape_classic_histograms__", word(switches.always_scrape_classic_histograms)),
        ("__convert_classic_histograms_to_nhcb__", word(switches.convert_classic_histograms_to_nhcb)),
        ("__scrape_native_histograms__", word(switches.scrape_native_histograms)),
    ]
}

fn defaults_of(config: &ScrapeConfig) -> Labels {
    let period = |period: Option<Period>| period.map(|period| period.to_string()).unwrap_or_default();
    let mut labels: Labels = histogram_switches(config).into_iter().collect();
    labels.set("job", &config.job_name);
    labels.set("__scrape_interval__", &period(config.scrape_interval));
    labels.set("__scrape_timeout__", &period(config.scrape_timeout));
    labels.set("__metrics_path__", &config.metrics_path);
    labels.set("__scheme__", config.scheme.as_str());
    for (name, values) in &config.params {
        if let Some(value) = values.first() {
            labels.set(&format!("__param_{name}"), value);
        }
    }
    labels
}

/// Problems of the client block, whose keys are joined by dots.
fn of_client(found: Vec<(String, String)>) -> impl Iterator<Item = Problem> {
    found.into_iter().map(|(key, message)| Problem::at(key.replace('.', "::"), message))
}

/// What is wrong with `global` itself.
fn global_problems(global: &GlobalConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(too_short("global::scrape_interval", Some(global.scrape_interval)));
    problems.extend(too_short("global::scrape_timeout", global.scrape_timeout));
    if global.scrape_timeout.is_some_and(|timeout| timeout > global.scrape_interval) {
        let message = format!("must not be longer than scrape_interval ({})", global.scrape_interval);
        problems.push(Problem::at("global::scrape_timeout", message));
    }
    problems.extend(protocol_problems("global::scrape_protocols", global.scrape_protocols.as_deref()));
    let (names, escaping) = (global.metric_name_validation_scheme, global.metric_name_escaping_scheme);
    problems.extend(escaping_problem("global::metric_name_escaping_scheme", names, escaping));
    if global.external_labels.contains_key("") {
        problems.push(Problem::at("global::external_labels", "a label needs a name"));
    }
    problems
}

fn own_problems(config: &ScrapeConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.job_name.is_empty() {
        problems.push(Problem::at("job_name", "must not be empty"));
    }
    problems.extend(too_short("scrape_interval", config.scrape_interval));
    problems.extend(too_short("scrape_timeout", config.scrape_timeout));
    if let (Some(interval), Some(timeout)) = (config.scrape_interval, config.scrape_timeout)
        && timeout > interval
    {
        problems.push(Problem::at(
            "scrape_timeout",
            format!("must not be longer than scrape_interval ({interval})"),
        ));
    }
    problems.extend(protocol_problems("scrape_protocols", config.scrape_protocols.as_deref()));
    let (names, escaping) = (config.metric_name_validation_scheme, config.metric_name_escaping_scheme);
    problems.extend(escaping_problem("metric_name_escaping_scheme", names, escaping));
    if config.relabel_configs.is_empty() {
        for (group, index, target) in static_targets(config).filter(|(_, _, target)| target.contains('/')) {
            let path = format!("static_configs::{group}::targets::{index}");
            let message = format!("`{target}` is not a host with a port");
            problems.push(
                Problem::at(path, message).with_hint("use scheme and metrics_path for the rest of a URL"),
            );
        }
    }
    problems
}

/// The shortest time that Prometheus can write. A number without a unit is nanoseconds, which nobody means.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

fn too_short(path: &str, period: Option<Period>) -> Option<Problem> {
    let period = period.filter(|period| period.as_duration() < SHORTEST)?;
    let message = format!("{period} is shorter than a millisecond");
    Some(Problem::at(path, message).with_hint("write the unit, for example 10s"))
}

fn escaping_problem(
    path: &str,
    names: Option<NameScheme>,
    escaping: Option<EscapingScheme>,
) -> Option<Problem> {
    let is_wrong = names == Some(NameScheme::Legacy) && escaping == Some(EscapingScheme::AllowUtf8);
    let message = "`allow-utf-8` does not fit metric_name_validation_scheme `legacy`";
    is_wrong.then(|| Problem::at(path, message).with_hint("use underscores, dots or values"))
}

fn static_targets(config: &ScrapeConfig) -> impl Iterator<Item = (usize, usize, &Arc<str>)> {
    config.sd.static_configs.iter().enumerate().flat_map(|(group, targets)| {
        targets.targets.iter().enumerate().map(move |(index, target)| (group, index, target))
    })
}

fn protocol_problems(path: &str, protocols: Option<&[ScrapeProtocol]>) -> Vec<Problem> {
    let Some(protocols) = protocols else { return Vec::new() };
    if protocols.is_empty() {
        return vec![Problem::at(path, "must not be empty")];
    }
    let twice = |(index, protocol): (usize, &ScrapeProtocol)| {
        protocols[..index].contains(protocol).then(|| {
            Problem::at(
                format!("{path}::{index}"),
                format!("`{}` is listed twice", Protocol::from(*protocol)),
            )
        })
    };
    protocols.iter().enumerate().filter_map(twice).collect()
}

fn rules_of(key: &str, configs: &[RuleConfig], names: relabel::NameScheme) -> (Rules, Vec<Problem>) {
    match Rules::build_for(configs, names) {
        Ok(rules) => (rules, Vec::new()),
        Err(wrong) => {
            let problem = |(index, message)| Problem::at(format!("{key}::{index}"), message);
            (Rules::default(), wrong.into_iter().map(problem).collect())
        }
    }
}

/// What is set and has no effect. Whether the job itself keeps classic histograms beside others is asked apart: in `global`
/// the switch is for those jobs that have others.
fn without_effect(config: &ScrapeConfig, keeps_classic: bool) -> Vec<Problem> {
    let is_on = |switch: Option<bool>| switch == Some(true);
    let lists_proto =
        config.scrape_protocols.as_ref().is_some_and(|list| list.contains(&ScrapeProtocol::PrometheusProto));
    let wants_native = is_on(config.switches.scrape_native_histograms);
    let has_native = wants_native || is_on(config.switches.convert_classic_histograms_to_nhcb);
    let only_native = "has an effect on native histograms only; switch on scrape_native_histograms or \
                       convert_classic_histograms_to_nhcb";
    let only_beside = "has no effect: classic histograms are kept anyway; it counts with scrape_native_histograms or \
                       convert_classic_histograms_to_nhcb, which replace them";
    let checks = [
        (
            "scrape_native_histograms",
            wants_native && !lists_proto,
            "has no effect: only PrometheusProto carries native histograms, and scrape_protocols does not list it",
        ),
        (
            "native_histogram_bucket_limit",
            config.native_histogram_bucket_limit > 0 && !has_native,
            only_native,
        ),
        (
            "native_histogram_min_bucket_factor",
            config.native_histogram_min_bucket_factor != 0.0 && !has_native,
            only_native,
        ),
        ("always_scrape_classic_histograms", keeps_classic && !has_native, only_beside),
        (
            "track_timestamps_staleness",
            config.track_timestamps_staleness && !config.honor_timestamps,
            "has no effect: with honor_timestamps switched off no series has timestamps of its own, and every series \
             gets stale markers",
        ),
    ];
    let set = checks.into_iter().filter(|(_, is_set, _)| *is_set);
    set.map(|(key, _, message)| Problem::warning(key, message)).collect()
}

#[cfg(test)]
mod tests;
