//! Headless Chromium: a page as a reader gets it, after its scripts have run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child::Child;
use crate::peers::find;

const DEADLINE: Duration = Duration::from_secs(60);

/// The document at `url` once `time` has passed on the page's own clock.
pub async fn dom(url: &str, time: Duration) -> Result<String> {
    run(&["--dump-dom", &budget(time), url]).await
}

/// A picture (PNG) of the page at `url` in a window of this size, into the file `into`.
pub async fn screenshot(url: &str, time: Duration, size: (u32, u32), into: &Path) -> Result<()> {
    let file = format!("--screenshot={}", into.display());
    let window = format!("--window-size={},{}", size.0, size.1);
    run(&[&file, &window, "--hide-scrollbars", &budget(time), url]).await?;
    if !into.is_file() {
        bail!("chromium made no picture of {url}");
    }
    Ok(())
}

fn budget(time: Duration) -> String {
    format!("--virtual-time-budget={}", time.as_millis())
}

async fn run(arguments: &[&str]) -> Result<String> {
    let program = find("chromium").context("chromium is not installed; Debian's package chromium has it")?;
    let folder = tempfile::tempdir().context("making a folder")?;
    let mut command = Command::new(program);
    // The sandbox needs more than root in a container has; everything else keeps it from calling home.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--disable-dev-shm-usage", "--no-proxy-server"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    command.args(arguments);
    let mut child = Child::spawn("chromium", &mut command, folder.path())?;
    let status = child.wait(DEADLINE).await?;
    if !status.success() {
        bail!("chromium ended with {status}:\n{}", child.last_words());
    }
    Ok(child.stdout())
}
