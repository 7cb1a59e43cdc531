//! `cargo xtask test`: everything that must hold, with the skipped tests named at the end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{cargo, say, tools};

/// How the tests are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    no_tools: bool,
    no_skips: bool,
}

impl Options {
    pub(crate) fn parse(flags: &[String]) -> Result<Options> {
        let mut options = Options::default();
        for flag in flags {
            match flag.as_str() {
                "--no-tools" => options.no_tools = true,
                "--no-skips" => options.no_skips = true,
                _ => bail!("`cargo xtask test` knows --no-tools and --no-skips, not `{flag}`"),
            }
        }
        Ok(options)
    }
}

/// What the test programs reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: Vec<String>,
}

pub(crate) fn run(options: &Options, passed_on: &[String]) -> Result<()> {
    if !options.no_tools {
        tools::install()?;
    }
    // Whole-binary tests start these.
    cargo::build(&["muster", "muster-allocator", "demo", "bench"], false)?;
    let mut words = vec!["test", "--workspace", "--no-fail-fast", "--"];
    words.extend(passed_on.iter().map(String::as_str));
    let mut child = cargo::command(&words).stdout(Stdio::piped()).spawn().context("starting cargo test")?;
    let lines = BufReader::new(child.stdout.take().context("cargo's output is piped")?).split(b'\n');
    let mut tally = Tally::default();
    let mut out = std::io::stdout();
    for line in lines {
        let line = line.context("reading what cargo test prints")?;
        tally.read(&String::from_utf8_lossy(&line));
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).context("printing")?;
    }
    let status = child.wait().context("waiting for cargo test")?;
    say(&tally.summary());
    cargo::check(status, "cargo test")?;
    if options.no_skips && !tally.skipped.is_empty() {
        bail!("{} tests were skipped, and --no-skips was given", tally.skipped.len());
    }
    Ok(())
}

impl Tally {
    /// Takes in a line of a test program: `test NAME ... ignored` or its sum.
    fn read(&mut self, line: &str) {
        if let Some(sum) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                let before = sum.split(word).next().filter(|before| before.len() < sum.len())?;
                before.trim_end().rsplit(' ').next()?.parse::<u64>().ok()
            };
            self.passed += count(" passed").unwrap_or(0);
            self.failed += count(" failed").unwrap_or(0);
            return;
        }
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        if let Some(reason) = outcome.strip_prefix("ignored") {
            self.skipped.push(format!("{}{reason}", name.trim_end()));
        }
    }

    fn summary(&self) -> String {
        let Tally { passed, failed, skipped } = self;
        let mut text = format!("\ntests: {passed} passed, {failed} failed, {} skipped", skipped.len());
        for name in skipped {
            text += &format!("\n  skipped: {name}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn skipped_tests_are_named_with_their_reason() {
        let tally = tally(
            "running 3 tests\n\
             test a::b ... ok\n\
             test [needs chromium] the_page_shows_scrapers ... ignored\n\
             test c - d (line 3) ... ignored, needs vmagent\n\
             test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             \n\
             test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        );
        assert_eq!(
            tally.summary(),
            "\ntests: 11 passed, 2 failed, 2 skipped\
             \n  skipped: [needs chromium] the_page_shows_scrapers\
             \n  skipped: c - d (line 3), needs vmagent"
        );
    }

    #[test]
    fn flags_are_known_or_refused() {
        let options = Options::parse(&["--no-tools".to_owned()]).unwrap();
        assert_eq!(options, Options { no_tools: true, no_skips: false });
        assert!(Options::parse(&["--fast".to_owned()]).is_err());
    }
}
