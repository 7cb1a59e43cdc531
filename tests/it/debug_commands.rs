//! The `debug` commands as a user runs them: what goes in, what comes out, with which exit code.

use anyhow::{Result, ensure};

use crate::Case;
use crate::programs;

pub(crate) const CASES: &[Case] =
    &[Case::new("debug_parse_prints_events_and_ends_with_one_at_an_error", parse_bodies)];

fn parse_bodies() -> Result<()> {
    let args = ["debug", "parse", "--content-type", "text/plain; version=0.0.4"];
    let fine = programs::run_with(&programs::muster(), &args, b"# TYPE up gauge\nup{b=\"1\",a=\"2\"} 1 5\n")?;
    ensure!((fine.code, &*fine.stderr) == (Some(0), ""), "{:?}: {}", fine.code, fine.stderr);
    let expected = "{\"family\":\"up\",\"type\":\"gauge\"}\n\
                    {\"exemplars\":[],\"series\":[[\"__name__\",\"up\"],[\"a\",\"2\"],[\"b\",\"1\"]],\
                    \"st_ms\":null,\"ts_ms\":5,\"value_bits\":\"3ff0000000000000\"}\n";
    ensure!(fine.stdout == expected, "{}", fine.stdout);
    let broken = programs::run_with(&programs::muster(), &args, b"up 1\nup x\n")?;
    ensure!(broken.code == Some(1), "exit code {:?}", broken.code);
    ensure!(broken.stdout.lines().count() == 1, "events in front of the error:\n{}", broken.stdout);
    ensure!(broken.stderr.contains("line 2: expected a number, found `x`"), "{}", broken.stderr);
    let unsaid = programs::run(&programs::muster(), &["debug", "parse"])?;
    ensure!(unsaid.code == Some(1) && unsaid.stderr.contains("--format"), "{}", unsaid.stderr);
    Ok(())
}
