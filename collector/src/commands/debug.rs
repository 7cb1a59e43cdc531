//! `debug`: looks into single parts of the collector, one command a part. Nothing of a configuration is read.

mod parse;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    Parse(parse::ParseArgs),
}

/// Runs the part.
pub(crate) fn run(command: &DebugCommand) -> Result<(), Failure> {
    match command {
        DebugCommand::Parse(args) => parse::run(args),
    }
}
