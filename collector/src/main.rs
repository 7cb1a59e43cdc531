//! `muster`: scraper, agent and gateway; the configuration decides which.

mod commands;
mod components;
mod gates;
mod own_metrics;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
