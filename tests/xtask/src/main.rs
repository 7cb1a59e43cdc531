//! Developer commands: `cargo xtask NAME`. What is only a check is a test, not a command.
//!
//! Everything here calls cargo, or a program that cargo has just built, and passes its exit code on.

mod cargo;
mod release;
mod test;
mod tools;
mod up;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND

  test [--no-tools] [--no-skips] [-- ARGS]
                      everything that must hold: installs what tests use, builds the
                      programs, runs all tests, names those that were skipped
                      (--no-tools installs nothing, --no-skips makes skipping a failure,
                      ARGS go to the test programs)
  demo [-- ARGS]      the whole thing on loopback with a page that shows it;
                      try: cargo xtask demo -- --scale 3,5,3 --json
  release             builds the programs as they should be run, into target/profiled: muster
                      is optimised by counts of itself at work; takes about 20 minutes
  bench NAME [--profiled] [-- ARGS]
                      on this machine, beside others: scrape (CPU and memory; --matrix
                      for all settings), jitter (10,000 targets), kubelet (a scrape of
                      250 pods), node (the host agent beside node_exporter), allocator
                      (ServiceMonitors on a real API server), remote-write
                      (bytes and CPU a sample by protocol, an outage), or micro (ns a
                      sample of exposition, relabel, wire, translate and scrape; ARGS: a
                      filter); --profiled measures what `release` has built
  soak outage [-- ARGS]
                      ten minutes without a real Prometheus at 20,000 samples/s:
                      afterwards nothing may be missing or there twice; takes about
                      13 minutes, shorter with --outage SECONDS
  up [--foreground]   a real Kubernetes API server with the monitoring kinds and a sample
                      namespace, on loopback; prints its kubeconfig and how to start an
                      allocator against it
  down                ends it
  record              writes down again what a real API server says, for the fake one of
                      the tests (tests/world/testdata/api)
  bless               rewrites expectations in tests and the schemas in deploy/schema
  tools               installs the programs that tests, demo and bench run beside ours, and
                      builds those that no package has
  help                this text
";

/// Benches beside the code that they measure: package, bench.
const BENCHES: [(&str, &str); 5] = [
    ("exposition", "exposition"),
    ("relabel", "rules"),
    ("wire", "remote_write"),
    ("translate", "paths"),
    ("scrape", "scrape"),
];

const COMMANDS: [&str; 11] =
    ["test", "demo", "release", "bench", "soak", "up", "down", "record", "bless", "tools", "help"];

fn main() -> ExitCode {
    let words = std::env::args().skip(1).collect::<Vec<_>>();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let Some((command, rest)) = words.split_first() else { return print(USAGE) };
    let (flags, passed_on) = split(rest);
    match command.as_str() {
        "test" => {
            let options = test::Options::parse(flags)?;
            test::run(&options, passed_on)
        }
        "demo" => {
            cargo::build(&["muster", "muster-allocator", "demo"], true)?;
            // Without `--` as well: the demo says what it does not know.
            cargo::become_built("muster-demo", &[flags, passed_on].concat())
        }
        "release" => none(flags).and_then(|()| release::build()),
        "bench" => bench(flags, passed_on),
        "soak" => match flags.first() {
            Some(name) if name == "outage" => measured("soak", &[flags, passed_on].concat()),
            _ => bail!("which one? `cargo xtask soak outage`"),
        },
        "up" => up::up(flags),
        "down" => none(flags).and_then(|()| up::down()),
        "record" => none(flags).and_then(|()| record()),
        "bless" => none(flags).and_then(|()| bless()),
        "tools" => none(flags).and_then(|()| tools::install().map(drop)),
        "help" | "--help" | "-h" => print(USAGE),
        unknown => match nearest(unknown) {
            Some(name) => {
                bail!("there is no command `{unknown}`; did you mean `{name}`? `cargo xtask help` lists all")
            }
            None => bail!("there is no command `{unknown}`\n\n{USAGE}"),
        },
    }
}

fn bench(flags: &[String], passed_on: &[String]) -> Result<()> {
    let Some((name, more)) = flags.split_first() else {
        bail!(
            "which one? `cargo xtask bench scrape`, `jitter`, `kubelet`, `node`, `allocator`, `remote-write` or `micro`"
        )
    };
    if name == "micro" {
        return micro(&[more, passed_on].concat());
    }
    if let Some((_, more)) = more.split_first().filter(|(flag, _)| *flag == "--profiled") {
        tools::install()?;
        return release::become_built(
            "muster-bench",
            &[std::slice::from_ref(name), more, passed_on].concat(),
        );
    }
    measured(name, &[more, passed_on].concat())
}

/// Becomes the program that measures, with our programs and others beside it.
fn measured(name: &str, words: &[String]) -> Result<()> {
    tools::install()?;
    build_measured()?;
    cargo::become_built("muster-bench", &[&[name.to_owned()], words].concat())
}

/// Builds what is measured apart from what measures, whose features are not those of the programs that users run.
fn build_measured() -> Result<()> {
    cargo::build(&["bench"], true)?;
    cargo::build(&["muster", "muster-allocator"], true)
}

/// The benches beside the crates, one process a crate.
fn micro(passed_on: &[String]) -> Result<()> {
    let mut words = vec!["bench"];
    for (package, bench) in BENCHES {
        words.extend(["-p", package, "--bench", bench]);
    }
    words.push("--");
    words.extend(passed_on.iter().map(String::as_str));
    cargo::cargo(&words, &[])
}

fn record() -> Result<()> {
    tools::install()?;
    cargo::build(&["world"], false)?;
    print(&String::from_utf8_lossy(&cargo::output_of("muster-world", &["record"])?))
}

fn bless() -> Result<()> {
    cargo::build(&["muster"], false)?;
    let schema = cargo::output_of("muster", &["schema"])?;
    let folder = cargo::root().join("deploy/schema");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("collector.schema.json");
    std::fs::write(&path, schema)?;
    say(&format!("wrote {}", path.display()));
    cargo::build(&["muster-allocator", "demo"], false)?;
    cargo::cargo(&["test", "--workspace", "--no-fail-fast"], &[("UPDATE_EXPECT", "1")])
}

/// What stands before `--`, and what stands after it.
fn split(words: &[String]) -> (&[String], &[String]) {
    let at = words.iter().position(|word| word == "--").unwrap_or(words.len());
    (&words[..at], words.get(at + 1..).unwrap_or_default())
}

fn none(flags: &[String]) -> Result<()> {
    match flags.first() {
        Some(flag) => bail!("`{flag}` is not known here; `cargo xtask help` tells what is"),
        None => Ok(()),
    }
}

/// The command that differs from `word` in at most two letters, the nearest one.
fn nearest(word: &str) -> Option<&'static str> {
    let near = COMMANDS.into_iter().map(|name| (distance(word, name), name)).min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Tells the reader of the terminal something. Nothing can be done about a terminal that is gone.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        assert_eq!(nearest("tset"), Some("test"));
        assert_eq!(nearest("tool"), Some("tools"));
        assert_eq!(nearest("dmeo"), Some("demo"));
        assert_eq!(nearest("deploy"), None);
    }

    #[test]
    fn every_command_is_in_the_usage() {
        for name in COMMANDS {
            assert!(USAGE.contains(&format!("\n  {name}")), "{name}");
        }
    }

    #[test]
    fn bench_micro_names_every_bench_there_is() {
        let folder = cargo::root().join("collector/crates");
        let mut found = Vec::new();
        for package in std::fs::read_dir(folder).unwrap() {
            let package = package.unwrap().path();
            let Ok(benches) = std::fs::read_dir(package.join("benches")) else { continue };
            let package = package.file_name().unwrap().to_string_lossy().into_owned();
            for bench in benches {
                let bench = bench.unwrap().path();
                found.push((package.clone(), bench.file_stem().unwrap().to_string_lossy().into_owned()));
            }
        }
        found.sort();
        let mut named = BENCHES.map(|(package, bench)| (package.to_owned(), bench.to_owned())).to_vec();
        named.sort();
        assert_eq!(found, named);
    }

    #[test]
    fn what_follows_two_dashes_is_passed_on() {
        let words = ["--no-tools", "--", "--for", "60s"].map(str::to_owned);
        let (flags, passed_on) = split(&words);
        assert_eq!((flags, passed_on), (&words[..1], &words[2..]));
    }

    #[test]
    fn unknown_words_are_errors_that_help() {
        let error = run(&["demmo".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no command `demmo`; did you mean `demo`? `cargo xtask help` lists all");
        assert!(run(&["bless".to_owned(), "--now".to_owned()]).is_err());
    }
}
