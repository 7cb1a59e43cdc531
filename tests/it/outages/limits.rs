//! A process that may open few files.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::scene::{Scene, Setup};
use crate::programs::Manner;

/// Fewer files than it has targets.
const LIMIT: &str = "64";
const N_TARGETS: usize = 100;
const INTERVAL: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(6);

/// As many lines of log as a reader can follow, start and end included.
const MAX_LINES: usize = 40;

/// Not every target can have a connection of its own: they take turns, the limit is named once, everything that was scraped
/// arrives, and the process neither spins nor floods its log.
pub(super) async fn few_files() -> Result<()> {
    let under = ["prlimit".to_owned(), format!("--nofile={LIMIT}:{LIMIT}")].to_vec();
    let manner = Manner { under, ..Manner::default() };
    let setup = Setup { n_targets: N_TARGETS, n_series: 5, interval: INTERVAL, manner, ..Setup::default() };
    let scene = Scene::start("few_files", setup).await?;
    let before = scene.collector.child.usage().context("it runs")?.cpu;
    sleep(TIME).await;
    let cpu = scene.collector.child.usage().context("it runs")?.cpu.saturating_sub(before);
    let share = cpu.as_secs_f64() / TIME.as_secs_f64();
    ensure!(share < 0.3, "{share:.2} of a core for {N_TARGETS} small targets each {INTERVAL:?}");
    let log = scene.collector.child.stderr();
    let n_named = log.matches("RLIMIT_NOFILE").count();
    ensure!(n_named == 1, "the limit is named {n_named} times: {log}");
    ensure!(log.lines().count() <= MAX_LINES, "{} lines: {log}", log.lines().count());
    scene.ends_well().await
}
