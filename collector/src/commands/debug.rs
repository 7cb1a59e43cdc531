//! `debug`: one thing that the collector does, shown step by step. One file a command.

mod relabel;

use clap::Subcommand;

use crate::commands::Failure;

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum Debug {
    /// Show what relabelling rules make of a label set, rule by rule.
    Relabel(relabel::Args),
}

/// Runs the command.
pub(crate) fn run(command: &Debug) -> Result<(), Failure> {
    match command {
        Debug::Relabel(args) => relabel::run(args),
    }
}
