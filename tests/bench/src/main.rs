//! Comparative benchmarks: our programs beside their peers, in one run, on the same input.
//!
//! Times are reports, never tests: a table of CPU seconds and peak memory, with ratios, and what machine it was.

mod machine;
mod scrape;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures our programs beside their peers.
#[derive(Debug, Parser)]
#[command(name = "muster-bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Scrape and remote-write the same fleet with muster, vmagent and the Prometheus agent.
    Scrape {
        /// Number of targets.
        #[arg(long, default_value_t = 100)]
        targets: usize,
        /// Series a target.
        #[arg(long, default_value_t = 2000)]
        series: u32,
        /// Seconds between scrapes.
        #[arg(long, default_value_t = 10)]
        interval: u64,
        /// Seconds measured for each program, after one interval of warming up.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Programs to measure, in this order.
        #[arg(long, value_delimiter = ',', default_value = "muster,vmagent,prometheus")]
        programs: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| match cli.bench {
        Bench::Scrape { targets, series, interval, seconds, programs } => {
            runtime.block_on(scrape::run(&scrape::Setting {
                n_targets: targets,
                n_series: series,
                interval: Duration::from_secs(interval),
                measured: Duration::from_secs(seconds),
                programs,
            }))
        }
    });
    match outcome {
        Ok(table) => {
            print(&table);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is this program's result")]
fn print(table: &str) {
    println!("{table}");
}

#[expect(clippy::print_stderr, reason = "a command-line program says on stderr why it failed")]
fn report(error: &anyhow::Error) {
    eprintln!("Error: {error:#}");
}
