//! From command-line arguments to a checked plan.

use std::io::Write;
use std::path::{Path, PathBuf};

use config::{Problem, Sources};
use pipeline::Plan;

use crate::commands::{Failure, SourceArgs};
use crate::components::REGISTRY;
use crate::gates;
use crate::world::RealWorld;

/// Environment variable that stands in for `--data-dir`.
const DATA_DIR: &str = "MUSTER_DATA_DIR";

/// A configuration that can run.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What runs.
    pub(crate) plan: Plan,
    warnings: Vec<Problem>,
}

impl Loaded {
    /// What a user should know though it works.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.warnings.iter().chain(&self.plan.warnings)
    }

    /// Prints the warnings to stderr.
    pub(crate) fn report_warnings(&self) {
        for warning in self.warnings() {
            // Nothing can be done about a closed stderr.
            let _written = writeln!(std::io::stderr(), "{warning}");
        }
    }
}

/// Reads, merges, expands and checks the configuration. Opens no socket.
pub(crate) fn load(args: &SourceArgs) -> Result<Loaded, Failure> {
    let gates = gates::parse(&args.gates).map_err(|wrong| Failure(format!("Error: {wrong}")))?;
    if args.configs.is_empty() {
        let remedy = "pass --config=FILE, or see `muster help`";
        return Err(Failure(format!("Error: at least one config flag must be provided; {remedy}")));
    }
    let sources = Sources { configs: args.configs.clone(), sets: args.sets.clone() };
    let loaded = config::load(&sources, &RealWorld).map_err(|problems| failure(&problems))?;
    let base_dir = base_dir(&args.configs);
    let data_dir = args.data_dir.clone().or_else(|| std::env::var_os(DATA_DIR).map(PathBuf::from));
    let data_dir = data_dir.filter(|directory| !directory.as_os_str().is_empty());
    match Plan::build(&loaded.root, &REGISTRY, base_dir, data_dir, gates) {
        Ok(plan) => Ok(Loaded { plan, warnings: loaded.warnings }),
        Err(mut problems) => {
            problems.extend(loaded.warnings);
            Err(failure(&problems))
        }
    }
}

/// All problems as a compiler prints them: errors by place, then warnings, then a count.
pub(crate) fn failure(problems: &[Problem]) -> Failure {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    let place = |problem: &Problem| {
        problem.place.as_ref().map(|place| (place.source.clone(), place.line, place.column))
    };
    sorted.sort_by_key(|problem| (!problem.is_error(), place(problem)));
    let mut lines: Vec<String> = sorted.iter().map(ToString::to_string).collect();
    lines.dedup();
    let n_errors = sorted.iter().filter(|problem| problem.is_error()).count();
    let plural = if n_errors == 1 { "" } else { "s" };
    lines.push(format!("Error: {n_errors} problem{plural} in the configuration"));
    Failure(lines.join("\n"))
}

/// Relative file names in a configuration start at the folder of its first file.
fn base_dir(configs: &[String]) -> PathBuf {
    let first = configs.iter().find_map(|config| match config.split_once(':') {
        Some(("file", path)) => Some(path),
        Some((scheme, _)) if scheme.len() > 1 => None,
        _ => Some(config.as_str()),
    });
    first.and_then(|path| Path::new(path).parent()).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
