//! `debug relabel`: a label set on its way through relabelling rules.
//!
//! Rules come from a file of their own, a scrape config, a Prometheus configuration or a collector's; with `--target`
//! the rest of what makes a target of a label set is shown, too: defaults before the rules, address, periods and
//! `instance` after them. A set that is dropped is an answer, not a failure: the exit code is 0.

mod labels;
mod rules;
mod show;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::PathBuf;

use model::Labels;
use relabel::{NameScheme, RuleConfig, Rules, Step, trace};
use scrape::{Job, Target};

use crate::commands::{Failure, write_out};
use crate::world::RealWorld;

/// Largest label set on standard input, in bytes.
const MAX_STDIN_BYTES: u64 = 1 << 20;

/// What is shown.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Labels are given one by one (--label job=api --label code=200), as a series ('http_requests_total{code=\"200\"}', '{a=\"b\"}'), \
or as a JSON object on standard input (-).

The file may hold a list of rules, a scrape config or a list of them, a Prometheus configuration, or a collector's \
configuration, in which $$ and ${env:NAME} are resolved as the collector does; elsewhere $1 is a group and nothing is resolved.

The exit code is 0 whether the set is kept or dropped, and 1 when the rules or the labels cannot be read.

Examples:
  muster debug relabel --rules rules.yaml 'up{job=\"api\"}'
  muster debug relabel --rules prometheus.yml --job pods --target --label __address__=10.0.0.1:8080
  muster debug relabel --rules collector.yaml --job node --metric 'go_goroutines{instance=\"node-1:9100\"}'")]
pub(crate) struct Args {
    /// File with the rules.
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Job whose rules are meant; may be left out where the file has only one.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Take the job's metric_relabel_configs, which see series, instead of its relabel_configs, which see targets.
    #[arg(long)]
    metric: bool,
    /// The labels are those of a discovered target: add a job's defaults before the rules and make a target of what is left.
    #[arg(long, conflicts_with = "metric")]
    target: bool,
    /// A label; repeat for more. Wins over one of the same name in SERIES.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A series as targets expose it, or `-` for a JSON object on standard input.
    #[arg(value_name = "SERIES")]
    series: Option<String>,
}

/// Reads rules and labels and prints what happens.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    write_out(&text(args, &mut std::io::stdin())?)
}

/// Everything that is printed.
fn text(args: &Args, stdin: &mut dyn Read) -> Result<String, Failure> {
    let labels = labels_of(args, stdin).map_err(|wrong| Failure(format!("Error: {wrong}")))?;
    let set = rules::load(args, &RealWorld)?;
    let walk = Walk::through(&set, labels).map_err(|wrong| Failure(format!("Error: {wrong}")))?;
    Ok(if args.json { show::json(&set, &walk) } else { show::text(&set, &walk) })
}

fn labels_of(args: &Args, stdin: &mut dyn Read) -> Result<Labels, String> {
    let mut set = match args.series.as_deref() {
        None if args.labels.is_empty() => {
            let remedy =
                "write --label NAME=VALUE, a series as in 'up{job=\"api\"}', or - for JSON on standard input";
            return Err(format!("there are no labels; {remedy}"));
        }
        None => Labels::new(),
        Some("-") => labels::from_json(&read_all(stdin)?)?,
        Some(series) => labels::from_series(series)?,
    };
    for label in &args.labels {
        let (name, value) = labels::from_argument(label)?;
        set.set(name, value);
    }
    Ok(set)
}

fn read_all(stdin: &mut dyn Read) -> Result<String, String> {
    let mut text = String::new();
    stdin
        .take(MAX_STDIN_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("reading labels from standard input: {error}"))?;
    if text.len() as u64 > MAX_STDIN_BYTES {
        return Err(format!(
            "the labels on standard input are more than max_stdin_bytes ({MAX_STDIN_BYTES})"
        ));
    }
    Ok(text)
}

/// Rules, and where they are from.
struct RuleSet {
    /// The file, the job and the key.
    origin: String,
    configs: Vec<RuleConfig>,
    names: NameScheme,
    /// The job that targets are made for, where one is wanted.
    job: Option<Job>,
}

/// A label set on its way.
struct Walk {
    start: Labels,
    /// Up to the rule that dropped the set.
    steps: Vec<Step>,
    end: Labels,
    /// What became of a target.
    target: Option<Result<Option<Target>, String>>,
}

impl Walk {
    fn through(set: &RuleSet, given: Labels) -> Result<Self, String> {
        let none = Labels::new();
        let start = match &set.job {
            Some(job) => scrape::discovered_labels(job, &none, &given),
            None => given.clone(),
        };
        let target = set.job.as_ref().map(|job| scrape::assemble(job, &none, &given));
        let mut walk = Self { end: start.clone(), start, steps: Vec::new(), target };
        for (index, config) in set.configs.iter().enumerate() {
            let step = trace(config, set.names, &mut walk.end)
                .map_err(|wrong| format!("rule {index} of {}: {}", set.origin, wrong.join("; ")))?;
            let is_kept = step.is_kept;
            walk.steps.push(step);
            if !is_kept {
                break;
            }
        }
        Ok(walk)
    }

    /// The rule that dropped the set.
    fn dropped_by(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.is_kept)
    }
}

/// All mistakes of a list of rules, with the index of the rule.
fn check(configs: &[RuleConfig], names: NameScheme) -> Vec<(usize, String)> {
    Rules::build_for(configs, names).err().unwrap_or_default()
}
