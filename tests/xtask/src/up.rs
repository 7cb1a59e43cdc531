//! `cargo xtask up` and `down`: the control plane of the tests, for a developer.
//!
//! `muster-world` runs it, in the background unless `--foreground` is given; what it tells is in `target/up`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{cargo, say, tools};

const PROGRAM: &str = "muster-world";
const READY: Duration = Duration::from_secs(90);
const ENDS: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn up(flags: &[String]) -> Result<()> {
    let is_foreground = match flags {
        [] => false,
        [flag] if flag == "--foreground" => true,
        [flag, ..] => bail!("`cargo xtask up` knows --foreground, not `{flag}`"),
    };
    let folder = folder()?;
    if let Some(pid) = running(&folder) {
        bail!("it is up already (process {pid}, {}); `cargo xtask down` ends it", folder.display());
    }
    tools::install()?;
    cargo::build(&["world"], false)?;
    fs::create_dir_all(&folder)?;
    let kubeconfig = folder.join("kubeconfig");
    fs::remove_file(&kubeconfig).ok();
    let mut command = Command::new(cargo::target()?.join("debug").join(PROGRAM));
    command.arg("up").arg(&folder);
    if is_foreground {
        return Err(command.exec()).context("starting muster-world");
    }
    let log = folder.join("log");
    let file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
    // A group of its own: Ctrl-C at this terminal is not for it.
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
    let mut child = command.spawn().context("starting muster-world")?;
    let until = Instant::now() + READY;
    while !kubeconfig.is_file() {
        if let Some(status) = child.try_wait()? {
            bail!("it did not start ({status}):\n{}", fs::read_to_string(&log)?);
        }
        if Instant::now() > until {
            child.kill()?;
            bail!("it is not up after {READY:?}; see {}", log.display());
        }
        std::thread::sleep(POLL);
    }
    // What it tells is written after its kubeconfig.
    while !fs::read_to_string(&log)?.ends_with('\n') {
        std::thread::sleep(POLL);
    }
    say(&format!("{}cargo xtask down", fs::read_to_string(&log)?));
    Ok(())
}

pub(crate) fn down() -> Result<()> {
    let folder = folder()?;
    let Some(pid) = running(&folder) else {
        say("nothing is up");
        return Ok(());
    };
    let status = Command::new("kill").arg(pid.to_string()).status().context("starting kill")?;
    cargo::check(status, "kill")?;
    let until = Instant::now() + ENDS;
    while running(&folder).is_some() {
        if Instant::now() > until {
            bail!("process {pid} still runs after {ENDS:?}");
        }
        std::thread::sleep(POLL);
    }
    say("it is down");
    Ok(())
}

fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("up"))
}

/// The process that the folder names, if it is still ours: numbers are given to others later.
fn running(folder: &Path) -> Option<u32> {
    let pid = fs::read_to_string(folder.join("pid")).ok()?.trim().parse::<u32>().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == PROGRAM).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_name_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(running(folder.path()), None);
        fs::write(folder.path().join("pid"), std::process::id().to_string()).unwrap();
        assert_eq!(running(folder.path()), None);
    }
}
