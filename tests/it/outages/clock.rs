//! A time of day that jumps while the receiver is away.
//!
//! The collector runs with a small library in front of the C library (`shift_clock.c`, compiled here) that adds a number of
//! seconds to the time of day. So the program under test is the one that users run, with no clock of its own for tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::sleep;
use world::gate::Passage;
use world::ledger::Ledger;
use world::now_ms;

use super::scene::{INTERVAL, Scene, Setup, told};
use crate::programs::Manner;

const HOUR: i64 = 3600;

/// Timestamps of scrapes go on an hour later; nothing else happens.
pub(super) async fn forward() -> Result<()> {
    let (scene, _library) = jumps(HOUR).await?;
    ensure!(newest(&scene) > now_ms() + (HOUR - 60) * 1000, "the jump did not arrive in timestamps");
    scene.ends_well().await
}

/// Timestamps of scrapes go on an hour earlier, which receivers call out of order; nothing is lost or sent twice for it.
pub(super) async fn back() -> Result<()> {
    let (mut scene, _library) = jumps(-HOUR).await?;
    let to = now_ms();
    scene.caught_up().await?;
    scene.end().await?;
    let verdict = scene.verdict(to);
    ensure!([verdict.duplicated, verdict.wrong_values] == [0; 2], "{}", told(&verdict));
    ensure!(verdict.out_of_order > 0, "the jump did not arrive in timestamps: {}", told(&verdict));
    Ok(())
}

/// The receiver goes away, the clock jumps, the receiver comes back. Scraping keeps its pace, no duration is below zero.
async fn jumps(seconds: i64) -> Result<(Scene, Shifted)> {
    let library = Shifted::compile()?;
    let setup = Setup { manner: library.manner(), ledger: Ledger::remembering(1000), ..Setup::default() };
    let scene = Scene::start(&format!("clock{seconds}"), setup).await?;
    scene.gate.set(Passage::Refused).await;
    sleep(Duration::from_secs(1)).await;
    library.shift(seconds)?;
    sleep(Duration::from_secs(2)).await;
    scene.gate.set(Passage::Open).await;
    sleep(Duration::from_secs(2)).await;
    keeps_pace(&scene)?;
    scene.caught_up().await?;
    for series in scene.sink.ledger().remembered("scrape_duration_seconds") {
        let wrong = series.samples.iter().find(|(_, value)| !(0.0..1.0).contains(value) && !value.is_nan());
        ensure!(wrong.is_none(), "{:?} took {wrong:?}", series.labels);
    }
    Ok((scene, library))
}

/// No target is scraped more often than its interval allows.
fn keeps_pace(scene: &Scene) -> Result<()> {
    let time = u128::try_from(now_ms() - scene.from)?;
    let allowed = usize::try_from(time / INTERVAL.as_millis())? + 2;
    for target in scene.fleet.targets() {
        let n = target.attempts().iter().filter(|attempt| attempt.at >= scene.from).count();
        ensure!(n <= allowed, "{} was scraped {n} times in {time} ms", target.plan.instance);
    }
    Ok(())
}

/// The largest timestamp of a scrape.
fn newest(scene: &Scene) -> i64 {
    let ledger = scene.sink.ledger();
    let ups = ledger.targets().iter().flat_map(|target| &target.ups).map(|up| up.at);
    ups.max().unwrap_or(i64::MIN)
}

/// The library and the file that it looks into.
struct Shifted {
    folder: TempDir,
}

impl Shifted {
    fn compile() -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/outages/shift_clock.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("shift_clock.so"));
        let status = command.arg(source).arg("-ldl").status().context("starting cc")?;
        ensure!(status.success(), "cc: {status}");
        let shifted = Self { folder };
        std::fs::write(shifted.file(), 0_i64.to_ne_bytes()).context("writing the shift")?;
        Ok(shifted)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("seconds")
    }

    fn manner(&self) -> Manner {
        let text = |path: PathBuf| path.display().to_string();
        let library = text(self.folder.path().join("shift_clock.so"));
        let env = [("LD_PRELOAD", library), ("SHIFT_CLOCK", text(self.file()))];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Manner { env, ..Manner::default() }
    }

    /// In place: the process has the file in its memory.
    fn shift(&self, seconds: i64) -> Result<()> {
        let mut file = std::fs::File::options().write(true).open(self.file()).context("opening the shift")?;
        file.write_all(&seconds.to_ne_bytes()).context("writing the shift")
    }
}
