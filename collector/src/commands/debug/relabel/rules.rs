//! Where the rules are: in a file of their own or in a job of a configuration.

use std::path::Path;

use config::{Node, Problem, Sources, World};
use relabel::{NameScheme, RuleConfig};
use scrape::{GlobalConfig, Job, ScrapeConfig};

use super::{Args, RuleSet, check};
use crate::commands::{Failure, loading};

/// Reads the file and finds the rules that the arguments mean.
pub(super) fn load(args: &Args, world: &dyn World) -> Result<RuleSet, Failure> {
    let file = args.rules.display().to_string();
    let text =
        world.read(&file).map_err(|error| Failure(format!("Error: cannot read --rules {file}: {error}")))?;
    let root = config::parse(&text, &file).map_err(|problem| loading::failure(&[problem]))?.root;
    let found = if root.get("receivers").is_some() {
        // Only a collector's configuration has references that are resolved.
        let sources = Sources { configs: vec![format!("file:{file}")], sets: Vec::new() };
        let root = config::load(&sources, world).map_err(|problems| loading::failure(&problems))?.root;
        of_collector(&root)
    } else {
        of_prometheus(&root)
    };
    let found = found.map_err(|problem| loading::failure(&[problem]))?;
    match found {
        Found::Rules(node) => of_list(args, &file, &node),
        Found::Jobs(jobs) => of_job(args, &file, pick(args, &file, &jobs)?),
    }
}

enum Found {
    Rules(Node),
    Jobs(Vec<FoundJob>),
}

/// A scrape config, not read yet.
struct FoundJob {
    name: String,
    node: Node,
    /// What it inherits.
    global: Node,
    /// Keys above it.
    path: String,
}

fn of_prometheus(root: &Node) -> Result<Found, Problem> {
    if root.get("scrape_configs").is_some() {
        return Ok(Found::Jobs(jobs_of(root, "")));
    }
    if root.get("job_name").is_some() {
        return Ok(Found::Jobs(vec![job(root, &Node::map(), String::new())]));
    }
    if root.items().next().is_some_and(|first| first.get("job_name").is_some()) {
        let jobs = root.items().enumerate();
        return Ok(Found::Jobs(
            jobs.map(|(index, node)| job(node, &Node::map(), index.to_string())).collect(),
        ));
    }
    if root.is_seq() {
        return Ok(Found::Rules(root.clone()));
    }
    let message = format!("expected relabelling rules or scrape configs, found {}", root.kind());
    let hint = "write a list of rules, a scrape config with `job_name`, or a configuration with `scrape_configs` or `receivers`";
    Err(Problem::error("", message).with_hint(hint).with_place(root.place()))
}

/// The jobs of all receivers that scrape.
fn of_collector(root: &Node) -> Result<Found, Problem> {
    let receivers = root.get("receivers").map(Node::map_entries).unwrap_or_default();
    let scraping = receivers.iter().filter(|entry| entry.key.split('/').next() == Some("prometheus"));
    let jobs: Vec<FoundJob> = scraping
        .filter_map(|entry| Some((entry, entry.node.get("config")?)))
        .flat_map(|(entry, section)| jobs_of(section, &format!("receivers::{}::config", entry.key)))
        .collect();
    if jobs.is_empty() {
        let message = "no prometheus receiver has scrape_configs, so there are no rules";
        return Err(Problem::error("receivers", message).with_place(root.place_of("receivers")));
    }
    Ok(Found::Jobs(jobs))
}

fn jobs_of(section: &Node, path: &str) -> Vec<FoundJob> {
    let global = section.get("global").cloned().unwrap_or_else(Node::map);
    let separator = if path.is_empty() { "" } else { "::" };
    let configs = section.get("scrape_configs").into_iter().flat_map(Node::items).enumerate();
    configs
        .map(|(index, node)| job(node, &global, format!("{path}{separator}scrape_configs::{index}")))
        .collect()
}

fn job(node: &Node, global: &Node, path: String) -> FoundJob {
    let name = node.get("job_name").and_then(Node::text).unwrap_or_default().to_owned();
    FoundJob { name, node: node.clone(), global: global.clone(), path }
}

fn pick<'j>(args: &Args, file: &str, jobs: &'j [FoundJob]) -> Result<&'j FoundJob, Failure> {
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let known = format!("the file has {}", names.join(", "));
    match (&args.job, jobs) {
        (Some(wanted), _) => jobs.iter().find(|job| job.name == *wanted).ok_or_else(|| {
            let nearest = config::nearest(wanted, names.iter().copied());
            let hint = nearest.map_or_else(|| known.clone(), |name| format!("did you mean `{name}`?"));
            Failure(format!("Error: {file} has no job `{wanted}`; {hint}"))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure(format!("Error: {file} has no job; list one under scrape_configs"))),
        (None, _) => Err(Failure(format!("Error: say which job is meant by --job NAME; {known}"))),
    }
}

fn of_list(args: &Args, file: &str, node: &Node) -> Result<RuleSet, Failure> {
    if args.target {
        // The rules become those of a job that says nothing else.
        let name = args.job.as_deref().unwrap_or("debug");
        let mut job = Node::map();
        job.insert("job_name", Node::from(config::Value::Str(name.to_owned())));
        job.insert("relabel_configs", node.clone());
        let found = FoundJob { name: name.to_owned(), node: job, global: Node::map(), path: String::new() };
        return of_job(args, file, &found);
    }
    if args.metric || args.job.is_some() {
        let flag = if args.metric { "--metric" } else { "--job" };
        return Err(Failure(format!("Error: {file} is a list of rules without jobs; leave out {flag}")));
    }
    let configs: Vec<RuleConfig> = config::read(node, "").map_err(|problems| loading::failure(&problems))?;
    let problem =
        |(index, message): (usize, String)| Problem::at(index.to_string(), message).within("", node);
    let problems: Vec<Problem> = check(&configs, NameScheme::Utf8).into_iter().map(problem).collect();
    if !problems.is_empty() {
        return Err(loading::failure(&problems));
    }
    Ok(RuleSet { origin: file.to_owned(), configs, names: NameScheme::Utf8, job: None })
}

fn of_job(args: &Args, file: &str, found: &FoundJob) -> Result<RuleSet, Failure> {
    let failed = |problems: Vec<Problem>| loading::failure(&problems);
    let scrape: ScrapeConfig = config::read(&found.node, &found.path).map_err(failed)?;
    let global: GlobalConfig = config::read(&found.global, "global").map_err(failed)?;
    let job = Job::build(&scrape, &global, Path::new("")).map_err(|problems| {
        failed(problems.into_iter().map(|problem| problem.within(&found.path, &found.node)).collect())
    })?;
    let (key, configs) = if args.metric {
        ("metric_relabel_configs", scrape.metric_relabel_configs)
    } else {
        ("relabel_configs", scrape.relabel_configs)
    };
    let names = match job.config().metric_name_validation_scheme {
        Some(scrape::NameScheme::Legacy) => NameScheme::Legacy,
        _ => NameScheme::Utf8,
    };
    let origin = format!("{file}, job `{}`, {key}", found.name);
    Ok(RuleSet { origin, configs, names, job: args.target.then_some(job) })
}
