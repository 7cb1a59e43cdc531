//! `muster-world`: the control plane of the tests for a developer, and what a real API server says, written down.
//!
//! `cargo xtask up`, `down` and `record` call it.

mod up;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
muster-world COMMAND

  up FOLDER     a control plane with a sample in it, until SIGTERM or Ctrl-C; FOLDER then
                holds kubeconfig, allocator.yaml and pid
  record        writes what a real API server says into tests/world/testdata/api
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(words: &[&str]) -> Result<()> {
    match words {
        ["up", folder] => up::run(Path::new(folder)).await,
        ["record"] => {
            for path in world::recording::record().await? {
                say(&format!("wrote {}", path.display()));
            }
            Ok(())
        }
        _ => bail!("what to do?\n\n{USAGE}"),
    }
}

/// Tells whoever started it. Nothing can be done about a terminal that is gone.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}
