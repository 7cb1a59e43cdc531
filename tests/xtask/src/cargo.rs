//! Calls of cargo and of the programs it builds.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("this package stands two folders below the root")
}

/// A call of the cargo that runs us, in the workspace.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(words);
    command
}

/// Runs cargo and passes its failure on.
pub(crate) fn cargo(words: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let status = command(words).envs(env.iter().copied()).status().context("starting cargo")?;
    check(status, &format!("cargo {}", words.join(" ")))
}

/// Builds packages; cargo shows how far it is.
pub(crate) fn build(packages: &[&str], release: bool) -> Result<()> {
    let mut words = vec!["build"];
    if release {
        words.push("--release");
    }
    for package in packages {
        words.extend(["-p", package]);
    }
    cargo(&words, &[])
}

/// Becomes a program that was built for release: signals reach it alone, and its exit code is ours.
pub(crate) fn become_built(name: &str, words: &[String]) -> Result<()> {
    become_program(&target()?.join("release").join(name), words)
}

/// Becomes another program; comes back only if that fails.
pub(crate) fn become_program(path: &Path, words: &[String]) -> Result<()> {
    let error = Command::new(path).args(words).exec();
    Err(error).with_context(|| format!("starting {}", path.display()))
}

/// What a program that was built for debugging prints.
pub(crate) fn output_of(name: &str, words: &[&str]) -> Result<Vec<u8>> {
    let path = target()?.join("debug").join(name);
    let output = Command::new(&path).args(words).stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("starting {}", path.display()))?;
    check(output.status, name)?;
    Ok(output.stdout)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> Result<&'static Path> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(target) = TARGET.get() {
        return Ok(target);
    }
    let output =
        command(&["metadata", "--no-deps", "--format-version", "1"]).output().context("starting cargo")?;
    check(output.status, "cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(TARGET.get_or_init(|| PathBuf::from(folder)))
}

pub(crate) fn check(status: ExitStatus, what: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("{what} failed ({status})")
}
