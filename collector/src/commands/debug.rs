//! `debug`: one thing that the collector does, shown by itself. One file a command.

mod parse;
mod queue;
mod relabel;

use clap::Subcommand;

use super::Failure;

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum Debug {
    Parse(parse::ParseArgs),
    Queue(queue::Args),
    /// Show what relabelling rules make of a label set, rule by rule.
    Relabel(relabel::Args),
}

/// Runs the command.
pub(crate) fn run(command: &Debug) -> Result<(), Failure> {
    match command {
        Debug::Parse(args) => parse::run(args),
        Debug::Queue(args) => queue::run(args),
        Debug::Relabel(args) => relabel::run(args),
    }
}
