//! A data directory of 2 MiB that fills up while the receiver is away.
//!
//! The directory is a tmpfs in a mount namespace of its own, which a process that sleeps keeps open: nothing is mounted for
//! anybody else, and it is gone with that process.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::sleep;
use world::child::Child;
use world::gate::Passage;
use world::now_ms;

use super::process::on_disk;
use super::scene::{Scene, Setup, told};
use crate::programs::{Manner, eventually};

/// A disk with less than this left is full: no block of requests fits any more.
const FULL: u64 = 128 << 10;

/// How long filling it may take.
const FILLING: Duration = Duration::from_secs(40);

/// A disk that fills up costs nothing while memory suffices; the process goes on and says what is wrong.
pub(super) async fn fills_up() -> Result<()> {
    let (scene, disk) = fill("full_disk").await?;
    // What is left takes some more requests.
    eventually("the log says that the disk is full", FILLING, || async {
        let log = scene.log();
        Ok(if log.contains("No space left on device") { Ok(()) } else { Err(log) })
    })
    .await?;
    sleep(Duration::from_secs(2)).await;
    ensure!(scene.collector.child.usage().is_some(), "it ended: {}", scene.collector.child.last_words());
    let log = scene.log();
    ensure!(log.lines().count() < 30, "{} lines of log: {log}", log.lines().count());
    scene.gate.set(Passage::Open).await;
    eventually("the disk is empty again", Duration::from_secs(20), || async {
        let left = disk.left()?;
        Ok(if left > FULL { Ok(()) } else { Err(format!("{left} bytes left")) })
    })
    .await?;
    scene.ends_well().await
}

/// A start on a full disk works: what the disk has is sent, and so is what is scraped from then on.
pub(super) async fn starts_full() -> Result<()> {
    let (mut scene, disk) = fill("start_on_full_disk").await?;
    let full = now_ms();
    scene.collector.child.kill()?;
    ensure!(disk.left()? <= FULL, "the disk is no longer full");
    scene.collector.restart().await.context("starting on a full disk")?;
    let back = now_ms();
    sleep(Duration::from_secs(2)).await;
    scene.gate.set(Passage::Open).await;
    sleep(Duration::from_secs(1)).await;
    let to = now_ms();
    scene.arrived(back, to).await?;
    scene.end().await?;
    // What came before the disk was full is there, except where it was not full yet and had no room for a whole block.
    let verdict = scene.verdict(to);
    let faults = [verdict.duplicated, verdict.wrong_values];
    ensure!(faults == [0; 2], "{}", told(&verdict));
    let before = scene.verdict_of(scene.from, full);
    ensure!(before.delivered * 2 > before.expected, "less than half was on the disk: {}", told(&before));
    Ok(())
}

/// A collector whose receiver is away, and whose disk is full.
async fn fill(name: &str) -> Result<(Scene, SmallDisk)> {
    let disk = SmallDisk::mount().await?;
    let extensions = format!("  file_storage: {{directory: '{}'}}", disk.folder.path().display());
    let setup = Setup { n_series: 100, extensions, manner: disk.manner(), ..on_disk() };
    let scene = Scene::start(name, setup).await?;
    scene.gate.set(Passage::Refused).await;
    let began = Instant::now();
    while disk.left()? > FULL {
        if began.elapsed() > FILLING {
            bail!("{} bytes are left after {FILLING:?}", disk.left()?);
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok((scene, disk))
}

/// A small tmpfs, half of which others have taken.
struct SmallDisk {
    folder: TempDir,
    keeper: Child,
    _logs: TempDir,
}

impl SmallDisk {
    async fn mount() -> Result<Self> {
        let (folder, logs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let script = "mount -t tmpfs -o size=2m,mode=755 none \"$0\" && \
                      head -c 1048576 /dev/zero > \"$0/of_others\" && echo mounted && exec sleep 600";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder.path());
        let mut keeper = Child::spawn("small_disk", &mut command, logs.path())?;
        while !keeper.stdout().contains("mounted") {
            ensure!(keeper.ended().is_none(), "mounting failed: {}", keeper.last_words());
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { folder, keeper, _logs: logs })
    }

    /// Programs see the disk when they are started like this.
    fn manner(&self) -> Manner {
        let target = format!("--target={}", self.keeper.id());
        let under = ["nsenter", &target, "--mount"].map(str::to_owned).to_vec();
        Manner { under, ..Manner::default() }
    }

    /// Bytes that are free.
    fn left(&self) -> Result<u64> {
        let folder = self.folder.path().strip_prefix("/").context("an absolute path")?;
        let seen_from_here = PathBuf::from(format!("/proc/{}/root", self.keeper.id())).join(folder);
        let format = "--format=%a %S";
        let output = Command::new("stat").args(["--file-system", format]).arg(seen_from_here).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [n_blocks, block_size] => Ok(n_blocks * block_size),
            _ => bail!("stat says {text:?}"),
        }
    }
}
