//! What all mechanisms of a job found, put together and published.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::Problem;

use telemetry::{Counter, Gauge, Registry, Scope};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::http::{Endpoint, Pace};
use crate::{EmptyList, Group, GroupFilter, Kubernetes, NameServers, SdConfigs, dns, file, http, kubernetes};

/// What discovery knows of its surroundings.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where relative names of files start: the folder of the configuration.
    pub base_dir: PathBuf,
    /// How often files are looked at between refreshes.
    pub look_every: Duration,
    /// What an empty list over HTTP means.
    pub empty_list: EmptyList,
    /// Who is asked for names.
    pub name_servers: NameServers,
    /// Which clusters are looked at; jobs whose contexts share this share watches, too.
    pub kubernetes: Kubernetes,
    /// Where metrics go.
    pub metrics: Registry,
}

impl Context {
    /// As Prometheus has it: files below this folder, looked at every second.
    #[must_use]
    pub fn new(base_dir: impl Into<PathBuf>) -> Self {
        Self {
            base_dir: base_dir.into(),
            look_every: Duration::from_secs(1),
            empty_list: EmptyList::Prometheus,
            name_servers: NameServers::default(),
            kubernetes: Kubernetes::default(),
            metrics: Registry::new(),
        }
    }
}

/// All groups of a job at one moment. A group that did not change is the same `Arc` as before.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The groups, in the order of the configuration.
    pub groups: Arc<[Arc<Group>]>,
    /// Targets in groups that were left out because the filter given to [`spawn_filtered`] does not want them.
    pub n_passed_over: usize,
    /// Whether every mechanism has answered at least once: before that, an absent target is merely not known
    /// yet.
    pub settled: bool,
    /// What goes wrong now; paths are relative to the job.
    pub problems: Arc<[Problem]>,
}

/// The running mechanisms of one job; they end when it is dropped.
pub struct Discovery {
    snapshots: watch::Receiver<Snapshot>,
    // Dropping the set aborts its tasks.
    _tasks: JoinSet<()>,
    // Where nothing ever changes there are no tasks, and waiting for a change must not fail.
    _board: Option<(Arc<Board>, Scope)>,
}

impl Discovery {
    /// What is known, and changes of that.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// A discovery that is driven by somebody else: by an allocator's client, by a test.
    #[must_use]
    pub fn of(snapshots: watch::Receiver<Snapshot>) -> Self {
        Self { snapshots, _tasks: JoinSet::new(), _board: None }
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

/// Starts the mechanisms of a job on the current runtime.
///
/// # Errors
/// Every mechanism that cannot be started, those that are not built in among them.
pub fn spawn(job: &str, configs: &SdConfigs, context: &Context) -> Result<Discovery, Vec<Problem>> {
    spawn_filtered(job, configs, context, None)
}

/// As [`spawn`], without groups that the job has no use for. Mechanisms that find few groups pay no heed to the filter.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_filtered(
    job: &str,
    configs: &SdConfigs,
    context: &Context,
    filter: Option<&GroupFilter>,
) -> Result<Discovery, Vec<Problem>> {
    let mut problems = configs.check();
    problems.extend(configs.unsupported());
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut endpoints = Vec::new();
    for (index, config) in configs.http_sd_configs.iter().enumerate() {
        match net::Client::build(&config.client, &context.base_dir) {
            Ok(client) => endpoints.push((config, Endpoint::new(config, client))),
            Err(error) => {
                let path = format!("http_sd_configs::{index}::{}", error.key);
                problems.push(Problem::at(path, telemetry::error_chain(&error)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let scope = context.metrics.scope();
    let n_kubernetes = configs.kubernetes_sd_configs.len();
    let n_others = 1 + configs.file_sd_configs.len() + endpoints.len() + configs.dns_sd_configs.len();
    let n_parts = n_others + n_kubernetes;
    let board = Arc::new(Board::new(job, n_parts, &scope));
    let mut tasks = JoinSet::new();
    for (index, config) in configs.file_sd_configs.iter().enumerate() {
        let post = board.post(1 + index, format!("file_sd_configs::{index}"), Board::file_failures(&scope));
        drop(tasks.spawn(file::run(config.clone(), context.base_dir.clone(), context.look_every, post)));
    }
    let n_before = 1 + configs.file_sd_configs.len();
    for (index, (config, endpoint)) in endpoints.into_iter().enumerate() {
        let post =
            board.post(n_before + index, format!("http_sd_configs::{index}"), Board::http_failures(&scope));
        drop(tasks.spawn(http::run(endpoint, Pace::of(config), context.empty_list, post)));
    }
    let n_before = n_others - configs.dns_sd_configs.len();
    for (index, config) in configs.dns_sd_configs.iter().enumerate() {
        let post = board.post(n_before + index, format!("dns_sd_configs::{index}"), None);
        let looking = dns::System::new(context.name_servers.clone(), config.record_type);
        drop(tasks.spawn(dns::run(index, config.clone(), looking, dns::Counters::new(&scope), post)));
    }
    for (index, config) in configs.kubernetes_sd_configs.iter().enumerate() {
        let post = board.post(n_others + index, format!("kubernetes_sd_configs::{index}"), None);
        let wants = kubernetes::Wants {
            config: config.clone(),
            base_dir: context.base_dir.clone(),
            kubernetes: context.kubernetes.clone(),
            registry: context.metrics.clone(),
            filter: filter.cloned(),
        };
        drop(tasks.spawn(kubernetes::run(wants, post)));
    }
    let groups =
        configs.static_configs.iter().enumerate().map(|(index, config)| Arc::new(config.group(index)));
    board.post(0, "static_configs".to_owned(), None).answer(groups.collect(), Vec::new());
    Ok(Discovery { snapshots: board.sender.subscribe(), _tasks: tasks, _board: Some((board, scope)) })
}

/// Where the mechanisms of a job put what they found.
pub(crate) struct Board {
    job: String,
    parts: Mutex<Vec<Part>>,
    sender: watch::Sender<Snapshot>,
    n_targets: Gauge,
}

#[derive(Clone, Default)]
struct Part {
    groups: Vec<Arc<Group>>,
    n_passed_over: usize,
    has_answered: bool,
    problems: Vec<Problem>,
}

impl Board {
    pub(crate) fn new(job: &str, n_parts: usize, scope: &Scope) -> Self {
        let n_targets = scope.gauge(
            "prometheus_sd_discovered_targets",
            "Current number of discovered targets.",
            &[("name", "scrape"), ("config", job)],
        );
        Self {
            job: job.to_owned(),
            parts: Mutex::new(vec![Part::default(); n_parts]),
            sender: watch::Sender::new(Snapshot::default()),
            n_targets,
        }
    }

    pub(crate) fn post(self: &Arc<Self>, index: usize, path: String, failures: Option<Counter>) -> Post {
        Post { board: Arc::clone(self), index, path, failures }
    }

    #[cfg(test)]
    pub(crate) fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.sender.subscribe()
    }

    fn file_failures(scope: &Scope) -> Option<Counter> {
        let help = "The number of File-SD read errors.";
        Some(scope.counter("prometheus_sd_file_read_errors_total", help, &[]))
    }

    pub(crate) fn http_failures(scope: &Scope) -> Option<Counter> {
        let help = "Number of HTTP service discovery refresh failures.";
        Some(scope.counter("prometheus_sd_http_failures_total", help, &[]))
    }

    fn update(
        &self,
        index: usize,
        groups: Option<(Vec<Arc<Group>>, usize)>,
        is_whole: bool,
        problems: Vec<Problem>,
    ) {
        // No code of others runs under the lock, so the parts are whole even if a holder panicked.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let part = &mut parts[index];
        for problem in problems.iter().filter(|problem| !part.problems.contains(problem)) {
            tracing::warn!(job = self.job, %problem, "discovery of targets has a problem");
        }
        part.problems = problems;
        part.has_answered |= is_whole;
        if let Some(groups) = groups {
            (part.groups, part.n_passed_over) = groups;
        }
        let n_passed_over = parts.iter().map(|part| part.n_passed_over).sum();
        let groups: Arc<[Arc<Group>]> = parts.iter().flat_map(|part| part.groups.iter().cloned()).collect();
        let settled = parts.iter().all(|part| part.has_answered);
        let problems: Arc<[Problem]> = parts.iter().flat_map(|part| part.problems.iter().cloned()).collect();
        let n_targets: usize = groups.iter().map(|group| group.targets.len()).sum();
        self.n_targets.set((n_targets + n_passed_over) as f64);
        self.sender.send_if_modified(|snapshot| {
            let is_same = snapshot.settled == settled
                && snapshot.problems == problems
                && snapshot.n_passed_over == n_passed_over
                && snapshot.groups.len() == groups.len()
                && snapshot.groups.iter().zip(groups.iter()).all(|(old, new)| Arc::ptr_eq(old, new));
            if !is_same {
                *snapshot = Snapshot { groups, n_passed_over, settled, problems };
            }
            !is_same
        });
    }
}

/// One mechanism's place on the board.
pub(crate) struct Post {
    board: Arc<Board>,
    index: usize,
    /// Its section, relative to the job.
    path: String,
    failures: Option<Counter>,
}

impl Post {
    /// Puts up all groups of the mechanism.
    pub(crate) fn answer(&self, groups: Vec<Arc<Group>>, problems: Vec<Problem>) {
        self.answer_of(groups, 0, problems);
    }

    /// Puts up all groups of the mechanism that the job has a use for, and how many targets the others have.
    pub(crate) fn answer_of(&self, groups: Vec<Arc<Group>>, n_passed_over: usize, problems: Vec<Problem>) {
        self.board.update(self.index, Some((groups, n_passed_over)), true, self.placed(problems));
    }

    /// Puts up the groups that are known so far: what is missing is not known to be gone.
    pub(crate) fn partial(&self, groups: Vec<Arc<Group>>, problems: Vec<Problem>) {
        self.board.update(self.index, Some((groups, 0)), false, self.placed(problems));
    }

    /// Tells what is wrong and leaves the groups as they are.
    pub(crate) fn problems(&self, problems: Vec<Problem>) {
        self.board.update(self.index, None, false, self.placed(problems));
    }

    /// Counts a failure.
    pub(crate) fn failed(&self) {
        if let Some(failures) = &self.failures {
            failures.inc();
        }
    }

    fn placed(&self, problems: Vec<Problem>) -> Vec<Problem> {
        problems.into_iter().map(|problem| problem.under(&self.path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_of_a_file_is_seen_within_seconds() {
        let dir = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join("next"), text).unwrap();
            std::fs::rename(dir.path().join("next"), dir.path().join(name)).unwrap();
        };
        write("t.yaml", "- targets: [a:1]\n");
        let configs: SdConfigs = serde_json::from_value(serde_json::json!({
            "static_configs": [{"targets": ["s:1"]}],
            "file_sd_configs": [{"files": ["*.yaml"]}],
        }))
        .unwrap();
        let discovery = spawn("job", &configs, &Context::new(dir.path())).unwrap();
        let mut snapshots = discovery.snapshots();
        let targets = |snapshot: &Snapshot| -> Vec<String> {
            let targets = snapshot.groups.iter().flat_map(|group| group.targets.iter());
            targets.map(|target| target.value("__address__").to_owned()).collect()
        };
        let first = snapshots.wait_for(|snapshot| snapshot.settled).await.unwrap().clone();
        assert_eq!(targets(&first), ["s:1", "a:1"]);
        write("t.yaml", "- targets: [a:1, b:1]\n");
        snapshots.changed().await.unwrap();
        let second = snapshots.borrow_and_update().clone();
        assert_eq!(targets(&second), ["s:1", "a:1", "b:1"]);
        assert!(Arc::ptr_eq(&first.groups[0], &second.groups[0]), "what did not change is the same");
        write("t.yaml", "- target: [a:1]\n");
        snapshots.changed().await.unwrap();
        let third = snapshots.borrow_and_update().clone();
        assert_eq!(targets(&third), ["s:1", "a:1", "b:1"]);
        let problem = third.problems[0].to_string();
        assert!(problem.contains("t.yaml:1:3: file_sd_configs::0::0: unknown key `target`"), "{problem}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_static_list_is_settled_and_waits_for_ever() {
        let configs: SdConfigs =
            serde_json::from_value(serde_json::json!({"static_configs": [{"targets": ["s:1"]}]})).unwrap();
        let discovery = spawn("job", &configs, &Context::new(".")).unwrap();
        let mut snapshots = discovery.snapshots();
        assert!(snapshots.borrow_and_update().settled);
        let waiting = tokio::time::timeout(Duration::from_secs(3600), snapshots.changed());
        assert!(waiting.await.is_err());
    }
}
