//! `print-config`: the configuration as it will run, with every default.

use clap::{Args, ValueEnum};
use config::{Node, Secret};
use pipeline::ComponentKind;

use crate::commands::{Failure, SourceArgs, loading, write_out};

/// How to print.
#[derive(Clone, Debug, Args)]
pub(crate) struct PrintArgs {
    /// Whether secrets are shown.
    #[arg(long, value_enum, default_value = "redacted")]
    mode: Mode,
    /// YAML or JSON.
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
    /// Whether the configuration has to be valid. It always is checked: defaults are only known for what loads.
    #[arg(long, default_value = "true", action = clap::ArgAction::Set)]
    validate: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Redacted,
    Unredacted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

/// Prints the resolved configuration to stdout.
pub(crate) fn print(sources: &SourceArgs, args: &PrintArgs) -> Result<(), Failure> {
    let loaded = loading::load(sources)?;
    loaded.report_warnings();
    let resolve = || resolved(&loaded);
    let root = match args.mode {
        Mode::Redacted => resolve(),
        Mode::Unredacted => Secret::revealing(resolve),
    };
    let root = root.map_err(|problem| Failure(problem.to_string()))?;
    let text = match args.format {
        Format::Yaml => config::print_yaml(&root),
        Format::Json => config::print_json(&root),
    };
    write_out(&text)
}

fn resolved(loaded: &loading::Loaded) -> Result<Node, config::Problem> {
    let mut root = Node::map();
    for kind in ComponentKind::ALL {
        let mut section = Node::map();
        for (id, node) in loaded.plan.resolved(kind)? {
            section.insert(&id, node);
        }
        root.insert(kind.section(), section);
    }
    root.insert("service", config::to_node(&loaded.plan.service));
    Ok(root)
}
