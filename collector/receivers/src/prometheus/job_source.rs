//! Where the receiver's own jobs stand: in its section and in the files of `scrape_config_files`.
//!
//! As Prometheus `config/config.go` (`GetScrapeConfigs`): a file holds `scrape_configs` and nothing else, names of jobs are
//! unique over all of them, and relative names in a file start at its folder. References to the environment are not
//! expanded in these files, as upstream. Different on purpose: a file is read again when it changes, see
//! [`super::own_jobs`].

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Node, Problem};
use schemars::JsonSchema;
use scrape::{GlobalConfig, HttpFetch, Job, ScrapeConfig, ScrapeProtocol};
use serde::Deserialize;

use super::settings::PrometheusConfig;

/// What the jobs are made from.
#[derive(Clone, Debug)]
pub(super) struct JobSource {
    global: GlobalConfig,
    configs: Vec<ScrapeConfig>,
    patterns: Vec<String>,
    base_dir: PathBuf,
}

/// The content of a file with jobs.
#[derive(Deserialize, JsonSchema)]
struct JobFile {
    /// The jobs.
    #[serde(default)]
    scrape_configs: Option<Vec<ScrapeConfig>>,
}

impl JobSource {
    pub(super) fn new(section: &PrometheusConfig, base_dir: &Path) -> Self {
        Self {
            global: section.global.clone(),
            configs: section.scrape_configs.clone().unwrap_or_default(),
            patterns: section.scrape_config_files.clone().unwrap_or_default(),
            base_dir: base_dir.to_owned(),
        }
    }

    /// Whether it can never hold a job.
    pub(super) fn is_empty(&self) -> bool {
        self.configs.is_empty() && self.patterns.is_empty()
    }

    /// Whether there are files that may change.
    pub(super) fn has_files(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Whether the job stands in a file.
    pub(super) fn is_in_file(&self, job: &Job) -> bool {
        !self.configs.iter().any(|config| config.job_name == job.name())
    }

    /// All jobs as they stand now.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, relative to `config`; what stands in a file has its place there.
    pub(super) fn read(&self) -> Result<Vec<Arc<Job>>, Vec<Problem>> {
        let configs: Vec<ScrapeConfig> = self.configs.iter().map(as_text_unless_said).collect();
        let mut problems = Vec::new();
        let mut jobs = Job::build_all(&configs, &self.global, &self.base_dir).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        for (index, job) in jobs.iter().enumerate() {
            let path = format!("scrape_configs::{index}");
            problems.extend(cannot_run(job).into_iter().map(|problem| problem.under(&path)));
        }
        let named = |config: &ScrapeConfig| (config.job_name.clone(), "scrape_configs".to_owned());
        let mut taken: BTreeMap<String, String> = self.configs.iter().map(named).collect();
        for path in self.files(&mut problems) {
            match self.read_file(&path, &mut taken) {
                Ok(found) => jobs.extend(found),
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| problem.under("scrape_config_files")));
                }
            }
        }
        if problems.is_empty() { Ok(jobs) } else { Err(problems) }
    }

    fn files(&self, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (index, pattern) in self.patterns.iter().enumerate() {
            let place = format!("scrape_config_files::{index}");
            if let Err(remedy) = discovery::check_file_pattern(pattern) {
                let message = format!("`{pattern}` cannot name files with jobs");
                problems.push(Problem::at(place, message).with_hint(remedy));
                continue;
            }
            match discovery::files_named(&self.base_dir.join(pattern)) {
                Ok(found) => files.extend(found),
                Err(problem) => problems.push(problem.under(&place)),
            }
        }
        files
    }

    /// Patterns that name no file at the moment.
    pub(super) fn without_file(&self) -> Vec<&str> {
        let names_none = |pattern: &&String| {
            discovery::files_named(&self.base_dir.join(pattern)).is_ok_and(|files| files.is_empty())
        };
        self.patterns.iter().filter(names_none).map(String::as_str).collect()
    }

    /// What jobs of files inherit: a name of a file in it starts at the folder of the configuration all the same.
    fn global_for_files(&self) -> GlobalConfig {
        let mut global = self.global.clone();
        let file = &mut global.limits.scrape_failure_log_file;
        if !file.is_empty() {
            let path = self.base_dir.join(&*file);
            *file = std::path::absolute(&path).unwrap_or(path).display().to_string();
        }
        global
    }

    fn read_file(
        &self,
        path: &Path,
        taken: &mut BTreeMap<String, String>,
    ) -> Result<Vec<Arc<Job>>, Vec<Problem>> {
        let name = path.display().to_string();
        let root = parse(path, &name).map_err(|problem| vec![problem])?;
        let file: JobFile = config::read(&root, "")?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let global = self.global_for_files();
        let (mut jobs, mut problems) = (Vec::new(), Vec::new());
        for (index, config) in file.scrape_configs.iter().flatten().map(as_text_unless_said).enumerate() {
            let mut found = Vec::new();
            if let Some(first) = taken.insert(config.job_name.clone(), name.clone()) {
                let message = format!("the name `{}` is taken by a job of {first}", config.job_name);
                found.push(Problem::at("job_name", message).with_hint("give the job another name"));
            }
            match Job::build(&config, &global, folder) {
                Ok(job) => {
                    found.extend(cannot_run(&job));
                    jobs.push(Arc::new(job));
                }
                Err(wrong) => found.extend(wrong),
            }
            let path = format!("scrape_configs::{index}");
            problems.extend(found.into_iter().map(|problem| problem.under(&path).within("", &root)));
        }
        if problems.is_empty() { Ok(jobs) } else { Err(problems) }
    }
}

fn parse(path: &Path, name: &str) -> Result<Node, Problem> {
    let unreadable = |error: std::io::Error| Problem::error("", format!("cannot read `{name}`: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    // One byte more than the parser takes, so that it is the one who refuses, by the name of its limit.
    file.take(config::MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(config::parse(&text, name)?.root)
}

/// As upstream's receiver: a target that names no content type is read as text.
fn as_text_unless_said(config: &ScrapeConfig) -> ScrapeConfig {
    let mut config = config.clone();
    config.fallback_scrape_protocol.get_or_insert(ScrapeProtocol::PrometheusText0);
    config
}

/// What keeps the job from being scraped here, relative to it.
fn cannot_run(job: &Job) -> Vec<Problem> {
    let unsupported = job.unsupported();
    if !unsupported.is_empty() {
        return unsupported;
    }
    HttpFetch::build(job).err().into_iter().collect()
}
