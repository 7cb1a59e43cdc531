//! File, environment and flags in one: every problem at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::Access;
use config::{HostPort, Node, Problem, World};

use super::file::{File, Https, MemberConfig, StrategyName, Telemetry};
use super::{HttpsSettings, Loaded, Settings};
use crate::assign::{Fallback, Strategy};
use crate::flags::Flags;
use crate::jobs::{self, JobSpec};
use crate::kubernetes::{KubernetesSettings, SharedAt};
use crate::members::{PodSource, Source};
use crate::monitors::Policy;
use crate::roster::{MAX_MEMBERS, Member, Roster, check_name};

/// Jobs that a warning names; there may be a thousand.
const MAX_NAMED: usize = 5;

/// What settings are read from.
pub struct Input<'a> {
    /// The text of the configuration file.
    pub text: &'a str,
    /// The file as it was named.
    pub source: &'a str,
    /// The folder at which relative file names start.
    pub base_dir: &'a Path,
    /// The command line.
    pub flags: &'a Flags,
    /// The environment.
    pub world: &'a dyn World,
}

/// Reads settings.
///
/// # Errors
/// Everything that is wrong.
pub fn load(input: &Input<'_>) -> Result<Loaded, Vec<Problem>> {
    let parsed = config::parse(input.text, input.source).map_err(|problem| vec![problem])?;
    let mut merge = Merge { input, root: parsed.root, problems: parsed.warnings };
    let settings = merge.settings();
    let (errors, warnings): (Vec<_>, Vec<_>) = merge.problems.into_iter().partition(Problem::is_error);
    match settings {
        Some(settings) if errors.is_empty() => Ok(Loaded { settings, warnings }),
        _ => Err(errors),
    }
}

struct Merge<'a> {
    input: &'a Input<'a>,
    root: Node,
    problems: Vec<Problem>,
}

impl Merge<'_> {
    fn settings(&mut self) -> Option<Settings> {
        if !self.root.is_map() && !self.root.is_null() {
            let message = format!("expected a map of settings, found {}", self.root.kind());
            self.problems.push(Problem::error("", message).with_place(self.root.place()));
            return None;
        }
        let file = self.file();
        let jobs = jobs::read(self.root.get("config"), self.input.base_dir, &mut self.problems);
        let file = file?;
        if jobs.is_empty() && !self.watches_monitors(&file) && !self.problems.iter().any(Problem::is_error) {
            self.refuse("config::scrape_configs", "at least one job must be defined", "add one");
        }
        if !matches!(file.filter_strategy.as_str(), "relabel-config" | "") {
            let message = format!(
                "`{}` is not a filter: targets that relabelling drops are shared out as well",
                file.filter_strategy
            );
            let problem =
                Problem::warning("filter_strategy", message).with_hint("`relabel-config` leaves them out");
            self.problems.push(problem.within("", &self.root));
        }
        let members = self.members(&file);
        self.telemetry(file.telemetry.as_ref());
        let strategy = self.strategy(&file);
        let kubernetes = self.kubernetes(&file, members.as_ref(), &jobs, strategy);
        let flags = self.input.flags;
        let https = self.https(file.https.clone().unwrap_or_default());
        let shows_secrets = self.shows_secrets(&file);
        if https.is_none() && !shows_secrets {
            self.credentials(&jobs);
        }
        Some(Settings {
            listen_addr: self.address("--listen-addr", flags.listen_addr.as_deref(), &file.listen_addr),
            https,
            strategy,
            filters: file.filter_strategy == "relabel-config",
            shows_secrets,
            sudden_fall_hold: file.sudden_fall_hold.as_duration().unwrap_or_default(),
            state_file: file.state_file.as_ref().map(|path| self.input.base_dir.join(path)),
            members: members?,
            kubernetes,
            jobs,
            base_dir: self.input.base_dir.to_owned(),
        })
    }

    /// The file without `config`; `${env:X}` is not expanded in `prometheus_cr`, where `$` belongs to relabelling.
    fn file(&mut self) -> Option<File> {
        let mut root = self.root.clone();
        drop(root.remove("config"));
        let monitors = root.remove("prometheus_cr");
        self.problems.extend(config::expand(&mut root, self.input.world));
        if let Some(monitors) = monitors {
            root.insert("prometheus_cr", monitors);
        }
        match config::read_lenient::<File>(&root, "") {
            Ok((file, warnings)) => {
                self.problems.extend(warnings);
                Some(file)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn watches_monitors(&self, file: &File) -> bool {
        let in_file = file.prometheus_cr.as_ref().is_some_and(|monitors| monitors.enabled);
        self.input.flags.enable_prometheus_cr_watcher.unwrap_or(in_file)
    }

    fn shows_secrets(&self, file: &File) -> bool {
        let environment = self.input.world.env("ALLOW_INSECURE_AUTH_SECRETS");
        let environment =
            environment.map(|text| matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"));
        let flag = self.input.flags.allow_insecure_auth_secrets;
        flag.or(environment).unwrap_or(file.allow_insecure_auth_secrets)
    }

    /// The namespace of the collectors. The environment wins, as upstream.
    fn namespace(&self, file: &File) -> Option<String> {
        let environment = self.input.world.env("OTELCOL_NAMESPACE");
        environment.or_else(|| file.collector_namespace.clone()).filter(|name| !name.is_empty())
    }

    /// What a cluster is asked for.
    fn kubernetes(
        &mut self,
        file: &File,
        members: Option<&Source>,
        jobs: &[Arc<JobSpec>],
        strategy: Strategy,
    ) -> Option<KubernetesSettings> {
        let monitors = self.monitors(file);
        let shared_at = self.shared_at(file, members, strategy);
        let is_needed = monitors.is_some()
            || shared_at.is_some()
            || matches!(members, Some(Source::Pods(_)))
            || jobs.iter().any(|job| job.uses_kubernetes());
        let path = self.input.flags.kubeconfig_path.as_ref().or(file.kube_config_file_path.as_ref());
        let home = || Some(Path::new(&self.input.world.env("HOME")?).join(".kube/config"));
        let path = path.filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home).unwrap_or_default();
        is_needed.then(|| KubernetesSettings { access: Access::of_file_or_pod(&path), monitors, shared_at })
    }

    fn shared_at(&mut self, file: &File, members: Option<&Source>, strategy: Strategy) -> Option<SharedAt> {
        let name = file.state_config_map.clone()?;
        let Some(namespace) = self.namespace(file) else {
            self.refuse(
                "collector_namespace",
                "is needed for the ConfigMap of `state_config_map`, which lies in it",
                "set it, or the environment variable OTELCOL_NAMESPACE",
            );
            return None;
        };
        if file.state_file.is_some() {
            self.refuse(
                "state_config_map",
                "the assignment is kept in one place",
                "leave out `state_file`, or this",
            );
        }
        if members.is_some_and(Source::is_polling) {
            self.refuse(
                "state_config_map",
                "with `collectors: {polling: {}}` each replica knows only the collectors that ask it",
                "name the collectors, or leave it out and run one replica",
            );
        }
        if !strategy.is_local() {
            let message =
                "who has what is not shared: with a strategy that counts targets, replicas may differ";
            let problem = Problem::warning("state_config_map", message)
                .with_hint("use `consistent-hashing`, or one replica with `state_file`");
            self.problems.push(problem.within("", &self.root));
        }
        if let Err(why) = check_object_name(&name) {
            self.refuse("state_config_map", &why, "name a ConfigMap, such as `muster-allocator-state`");
        }
        Some(SharedAt { namespace, name })
    }

    fn monitors(&mut self, file: &File) -> Option<Policy> {
        let section = file.prometheus_cr.clone().unwrap_or_default();
        if !self.watches_monitors(file) {
            return None;
        }
        let Some(namespace) = self.namespace(file) else {
            self.refuse(
                "collector_namespace",
                "is needed to watch monitors: what scrape classes refer to lies in it",
                "set it, or the environment variable OTELCOL_NAMESPACE",
            );
            return None;
        };
        match Policy::build(&section, &namespace, self.input.base_dir) {
            Ok(policy) => Some(policy),
            Err(problems) => {
                let placed = |problem: Problem| problem.under("prometheus_cr").within("", &self.root);
                self.problems.extend(problems.into_iter().map(placed));
                None
            }
        }
    }

    /// Members are pods, where nothing else is said.
    fn pods(&mut self, file: &File) -> Option<Source> {
        let Some(selector) = &file.collector_selector else {
            let message =
                "is not set and matches no pod: there are no collectors, and no list of targets is answered";
            let hint = "say which pods they are (`collector_selector: {matchLabels: {app: scraper}}`), or name them (`collectors: {static: [scraper-0, scraper-1]}`, `collectors: {file: PATH}` or `collectors: {polling: {}}`)";
            let problem = Problem::warning("collector_selector", message).with_hint(hint);
            self.problems.push(problem.within("", &self.root));
            return Some(Source::Nobody);
        };
        let selector = selector.selector();
        let problems = selector.check();
        let is_good = problems.is_empty();
        let placed = |problem: Problem| problem.under("collector_selector").within("", &self.root);
        self.problems.extend(problems.into_iter().map(placed));
        let Some(namespace) = self.namespace(file) else {
            self.refuse(
                "collector_namespace",
                "is needed to find the pods of the collectors",
                "set it, or the environment variable OTELCOL_NAMESPACE",
            );
            return None;
        };
        let grace = file.collector_not_ready_grace_period.as_duration().unwrap_or_default();
        is_good.then(|| Source::Pods(PodSource { namespace, selector: selector.to_string(), grace }))
    }

    fn credentials(&mut self, jobs: &[Arc<JobSpec>]) {
        let names: Vec<String> =
            jobs.iter().filter(|job| job.has_secrets()).map(|job| format!("`{}`", job.name())).collect();
        if names.is_empty() {
            return;
        }
        let shown = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("collectors see `<secret>` in place of the credentials of {shown}{more}");
        let hint = "enable `https`, or set `allow_insecure_auth_secrets` where the network can be trusted";
        self.problems
            .push(Problem::warning("config::scrape_configs", message).with_hint(hint).within("", &self.root));
    }

    fn telemetry(&mut self, telemetry: Option<&Telemetry>) {
        let metrics = telemetry.and_then(|telemetry| telemetry.metrics.as_ref());
        if metrics.is_some_and(|metrics| !metrics.readers.is_empty()) {
            let problem = Problem::warning("telemetry::metrics::readers", "our own metrics are not pushed")
                .with_hint("scrape `/metrics` instead");
            self.problems.push(problem.within("", &self.root));
        }
    }

    fn members(&mut self, file: &File) -> Option<Source> {
        let Some(collectors) = &file.collectors else { return self.pods(file) };
        if file.collector_selector.is_some() {
            let message = "without effect, because `collectors` says who the collectors are";
            self.problems.push(Problem::warning("collector_selector", message).within("", &self.root));
        }
        match (&collectors.fixed, &collectors.file, &collectors.polling) {
            (Some(names), None, None) => self.fixed(names),
            (None, Some(file), None) if !file.is_empty() => {
                Some(Source::File(self.input.base_dir.join(file)))
            }
            (None, None, Some(polling)) => {
                let (grace, settle) =
                    (polling.grace.as_duration(), polling.settle.as_duration().unwrap_or_default());
                Some(Source::Polling { grace, settle })
            }
            _ => {
                self.refuse(
                    "collectors",
                    "exactly one way to know the collectors is needed",
                    "give `static`, `file` or `polling`",
                );
                None
            }
        }
    }

    fn fixed(&mut self, names: &[MemberConfig]) -> Option<Source> {
        let mut members = Vec::new();
        for (index, member) in names.iter().enumerate() {
            let (name, node) = match member {
                MemberConfig::Name(name) => (name, None),
                MemberConfig::Placed { name, node } => (name, node.as_deref().map(Into::into)),
            };
            if let Err(why) = check_name(name) {
                self.refuse(
                    &format!("collectors::static::{index}"),
                    &why,
                    "give it what the collector sends as `collector_id`",
                );
            }
            if members.iter().any(|known: &Member| *known.name == **name) {
                self.refuse(
                    &format!("collectors::static::{index}"),
                    &format!("`{name}` is there twice"),
                    "name every collector once",
                );
            }
            members.push(Member::on(name.as_str().into(), node));
        }
        if members.is_empty() || members.len() > MAX_MEMBERS {
            let message = format!("between 1 and MAX_MEMBERS ({MAX_MEMBERS}) collectors are needed");
            self.refuse("collectors::static", &message, "or use `file` or `polling`");
            return None;
        }
        Some(Source::Static(Roster::new(members)))
    }

    fn strategy(&mut self, file: &File) -> Strategy {
        let config = file.allocation_strategy_config.as_ref();
        let nested = config.and_then(|config| config.per_node.as_ref()?.fallback_strategy.as_ref());
        let (path, name) = match (nested, &file.allocation_fallback_strategy) {
            (Some(nested), _) => {
                ("allocation_strategy_config::per_node::fallback_strategy::name", nested.name.as_str())
            }
            (None, name) => ("allocation_fallback_strategy", name.as_deref().unwrap_or("")),
        };
        let fallback = match name {
            "" => None,
            "consistent-hashing" => Some(Fallback::ConsistentHashing),
            "least-weighted" => Some(Fallback::LeastWeighted),
            _ => {
                let message = format!("`{name}` cannot stand in for `per-node`");
                self.refuse(path, &message, "use `consistent-hashing` or `least-weighted`");
                None
            }
        };
        match file.allocation_strategy {
            StrategyName::ConsistentHashing => Strategy::ConsistentHashing,
            StrategyName::LeastWeighted => Strategy::LeastWeighted,
            StrategyName::PerNode => Strategy::PerNode { fallback },
        }
    }

    fn https(&mut self, file: Https) -> Option<HttpsSettings> {
        let flags = self.input.flags;
        if !flags.enable_https_server.unwrap_or(file.enabled) {
            return None;
        }
        let listen_addr =
            self.address("--listen-addr-https", flags.listen_addr_https.as_deref(), &file.listen_addr);
        let mut path = |key: &str, flag: Option<&String>, in_file: String| -> PathBuf {
            let path = flag.cloned().unwrap_or(in_file);
            if path.is_empty() {
                self.refuse(&format!("https::{key}"), "a file is needed when `https` is enabled", "name it");
            }
            self.input.base_dir.join(path)
        };
        Some(HttpsSettings {
            ca_file: path("ca_file_path", flags.https_ca_file.as_ref(), file.ca_file_path),
            cert_file: path(
                "tls_cert_file_path",
                flags.https_tls_cert_file.as_ref(),
                file.tls_cert_file_path,
            ),
            key_file: path("tls_key_file_path", flags.https_tls_key_file.as_ref(), file.tls_key_file_path),
            listen_addr,
        })
    }

    fn address(&mut self, flag: &str, given: Option<&str>, in_file: &HostPort) -> String {
        let Some(given) = given else { return in_file.to_string() };
        match given.parse::<HostPort>() {
            Ok(address) => address.to_string(),
            Err(error) => {
                self.problems.push(Problem::error(flag, error.to_string()));
                String::new()
            }
        }
    }

    fn refuse(&mut self, path: &str, message: &str, hint: &str) {
        self.problems.push(Problem::error(path, message).with_hint(hint).within("", &self.root));
    }
}

/// Whether the API server takes this as the name of a ConfigMap, a DNS subdomain.
fn check_object_name(name: &str) -> Result<(), String> {
    const MAX_BYTES: usize = 253;
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_good = !name.is_empty()
        && name.len() <= MAX_BYTES
        && name.chars().all(is_inner)
        && name.starts_with(is_edge)
        && name.ends_with(is_edge);
    if is_good { Ok(()) } else { Err(format!("`{name}` cannot be the name of a ConfigMap")) }
}
