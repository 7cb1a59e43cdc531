//! The command line: one file a command.

mod components;
mod debug;
mod loading;
mod print_config;
mod run;
mod schema;

use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::gates;

/// Exit code of every failure, as upstream has it.
const FAILURE: u8 = 1;

/// Collects metrics, logs and traces. Without a command it runs the configuration.
#[derive(Debug, Parser)]
#[command(name = "muster", version, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    sources: SourceArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// A configuration: a file name, or file:, env:, yaml: and a value. Repeat to merge several, later ones win.
    #[arg(long = "config", value_name = "URI", global = true)]
    configs: Vec<String>,
    /// One value over the configuration, as in `receivers.otlp.protocols.http.endpoint=0.0.0.0:4318`.
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    sets: Vec<String>,
    /// Where what must survive a restart is kept without being configured: the sending queues of remote write. The
    /// environment variable MUSTER_DATA_DIR says the same. Without either they are in memory, unless
    /// `sending_queue.storage` names a storage extension.
    #[arg(long = "data-dir", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Threads that drive everything that waits. By default one where all receivers scrape, and as many as there are cores
    /// where others send.
    #[arg(long = "worker-threads", value_name = "N", global = true)]
    worker_threads: Option<NonZero<usize>>,
    /// Feature gates to switch on (`+gate` or `gate`) or off (`-gate`), separated by commas.
    #[arg(long = "feature-gates", value_name = "GATES", global = true, allow_hyphen_values = true)]
    gates: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration without running it: silent and exit code 0 when it is good.
    Validate,
    /// Print the configuration with all defaults filled in.
    #[command(alias = "print-initial-config")]
    PrintConfig(print_config::PrintArgs),
    /// List what this binary contains.
    Components,
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Show one thing that the collector does, by itself.
    #[command(subcommand)]
    Debug(debug::Debug),
    /// List feature gates, or describe one.
    Featuregate {
        /// The gate to describe.
        id: Option<String>,
    },
    /// Print a completion script.
    Completion {
        /// The shell it is for.
        shell: clap_complete::Shell,
    },
}

/// Runs the command line and says how it went.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_failure = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _written = error.print();
            return if is_failure { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match cli.command {
        None => run::run(&cli.sources),
        Some(Command::Validate) => loading::load(&cli.sources).map(|loaded| loaded.report_warnings()),
        Some(Command::PrintConfig(args)) => print_config::print(&cli.sources, &args),
        Some(Command::Components) => write_out(&components::text()),
        Some(Command::Schema) => write_out(&schema::text()),
        Some(Command::Debug(command)) => debug::run(&command),
        Some(Command::Featuregate { id }) => featuregate(id.as_deref()),
        Some(Command::Completion { shell }) => completion(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            // Nothing can be done about a closed stderr.
            let _written = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(FAILURE)
        }
    }
}

/// Why a command failed, as the user reads it.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// Writes a result to stdout. A reader that went away is no failure.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure(format!("Error: writing to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "muster", &mut text);
    write_out(&String::from_utf8_lossy(&text))
}

fn featuregate(id: Option<&str>) -> Result<(), Failure> {
    let shown: Vec<_> = gates::GATES.iter().filter(|(gate, ..)| id.is_none_or(|id| id == *gate)).collect();
    match id {
        Some(id) if shown.is_empty() => Err(Failure(format!("Error: no such feature gate `{id}`"))),
        _ => {
            let lines: Vec<String> = shown
                .iter()
                .map(|(gate, is_on, text)| format!("{gate}\tenabled={is_on}\t{text}\n"))
                .collect();
            write_out(&lines.concat())
        }
    }
}
