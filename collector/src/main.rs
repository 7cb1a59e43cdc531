//! `muster`: scraper, agent and gateway; the configuration decides which.

mod commands;
mod components;
mod gates;
mod own_metrics;
mod world;

use std::process::ExitCode;

/// One allocator for all threads that gives memory back soon and stays quick when many tasks allocate. Unlike jemalloc it
/// builds with nothing but a C compiler.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::main()
}
