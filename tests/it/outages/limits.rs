//! A process that may open few files.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::now_ms;

use super::scene::{INTERVAL, Scene, Setup, faultless, lasts};
use crate::programs::{Manner, eventually};

/// Fewer files than it has targets.
const LIMIT: &str = "64";
const N_TARGETS: usize = 100;
const TIME: Duration = Duration::from_secs(6);

/// As many lines of log a second as a reader can follow.
const MAX_LINES: usize = 20 * TIME.as_secs() as usize;

/// Not all targets can have a connection; what was scraped arrives nevertheless, the limit is named, and the process neither spins
/// nor floods its log.
pub(super) async fn few_files() -> Result<()> {
    let under = ["prlimit".to_owned(), format!("--nofile={LIMIT}:{LIMIT}")].to_vec();
    let manner = Manner { under, ..Manner::default() };
    let setup = Setup { n_targets: N_TARGETS, n_series: 5, manner, ..Setup::default() };
    let mut scene = Scene::start_unwatched("few_files", setup).await?;
    let before = scene.collector.child.usage().context("it runs")?.cpu;
    lasts(TIME).await;
    let cpu = scene.collector.child.usage().context("it runs")?.cpu.saturating_sub(before);
    let to = now_ms();
    eventually("what was scraped arrives", Duration::from_secs(10), || async {
        let verdict = scene.verdict(to);
        Ok(if verdict.lost == 0 { Ok(()) } else { Err(super::scene::told(&verdict)) })
    })
    .await?;
    scene.end().await?;
    let verdict = scene.verdict(to);
    faultless(&verdict, &scene.sink)?;
    let n_unscraped = verdict.unscraped;
    ensure!(n_unscraped > 0, "{LIMIT} files were enough for {N_TARGETS} targets: nothing was tested");
    let log = scene.collector.child.stderr();
    ensure!(log.contains("Too many open files"), "the log names no limit: {log}");
    ensure!(log.lines().count() <= MAX_LINES, "{} lines in {TIME:?}", log.lines().count());
    let share = cpu.as_secs_f64() / TIME.as_secs_f64();
    ensure!(share < 0.5, "{share:.2} of a core for {N_TARGETS} small targets each {INTERVAL:?}");
    Ok(())
}
