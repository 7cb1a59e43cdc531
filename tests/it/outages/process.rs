//! A process that ends while its receiver is away, or in the middle of its work, and starts again on what it left on the disk.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;
use world::gate::Passage;
use world::now_ms;
use world::sink::Fault;

use super::scene::{INTERVAL, Scene, Setup, told};

/// How long the receiver is away before and after the process ends.
const AWAY: Duration = Duration::from_secs(3);

/// Frames of the queue that kill -9 may cost: those of one round of saving.
const UNSAVED: Duration = Duration::from_millis(200);

/// How long samples wait for company here, see [`on_disk`].
const JOINING: Duration = Duration::from_millis(50);

/// How long a process may have to wait for a core: tests share theirs with others.
const WAITING: Duration = Duration::from_millis(500);

/// Only scrapes of this long before kill -9 may be lost: what joins, what is not saved, and the scrape that is under way.
const MAY_BE_LOST: Duration =
    UNSAVED.saturating_add(JOINING).saturating_add(INTERVAL).saturating_add(WAITING);

/// A collector whose queue is on the disk.
pub(super) fn on_disk() -> Setup {
    Setup {
        exporter: "    sending_queue: {storage: file_storage, batch: {flush_timeout: 50ms}}",
        extensions: "  file_storage: {directory: data, create_directory: true}".to_owned(),
        ..Setup::default()
    }
}

/// Nothing in flight can have been taken, so nothing may come twice.
pub(super) async fn killed_in_an_outage() -> Result<()> {
    let mut scene = Scene::start("killed", on_disk()).await?;
    scene.gate.set(Passage::Refused).await;
    sleep(AWAY).await;
    let killed = now_ms();
    scene.collector.child.kill()?;
    scene.collector.restart().await?;
    let back = now_ms();
    sleep(AWAY).await;
    scene.gate.set(Passage::Open).await;
    sleep(Duration::from_secs(1)).await;
    let n_twice = survives(scene, killed, back).await?;
    ensure!(n_twice == 0, "{n_twice} samples came twice");
    Ok(())
}

/// What was in flight comes twice: the receiver had it, and nobody was left to hear so.
pub(super) async fn killed_at_work() -> Result<()> {
    let mut scene = Scene::start("killed_at_work", on_disk()).await?;
    scene.sink.always(Some(Fault::Slow(Duration::from_millis(100))));
    sleep(Duration::from_secs(2)).await;
    let killed = now_ms();
    scene.collector.child.kill()?;
    scene.sink.always(None);
    scene.collector.restart().await?;
    let back = now_ms();
    sleep(Duration::from_secs(1)).await;
    let once_all: u64 = scene.fleet.series() + REPORTS * scene.fleet.targets().len() as u64;
    let n_twice = survives(scene, killed, back).await?;
    ensure!(
        n_twice <= once_all,
        "{n_twice} samples came twice, which is more than {once_all}, one scrape of all"
    );
    Ok(())
}

/// Series that a scrape writes about itself.
const REPORTS: u64 = 5;

/// Judges the time before the end and the time after the new start; gives how many samples came twice.
async fn survives(mut scene: Scene, killed: i64, back: i64) -> Result<u64> {
    let to = now_ms();
    let safe = killed - i64::try_from(MAY_BE_LOST.as_millis())?;
    scene.arrived(scene.from, safe).await?;
    scene.arrived(back, to).await?;
    scene.end().await?;
    let verdict = scene.verdict(to);
    let faults = [verdict.out_of_order, verdict.wrong_values];
    ensure!(verdict.duplicated > 0 || faults == [0; 2], "{}", told(&verdict));
    ensure!(verdict.wrong_values == 0, "{}", told(&verdict));
    Ok(verdict.duplicated)
}

/// SIGTERM with the receiver away: the end comes in time, and the next start sends everything, once.
pub(super) async fn ended_in_an_outage() -> Result<()> {
    let mut scene = Scene::start("ended", on_disk()).await?;
    scene.gate.set(Passage::Refused).await;
    sleep(AWAY).await;
    scene.end().await?;
    let ended = now_ms();
    scene.gate.set(Passage::Open).await;
    scene.collector.restart().await?;
    let back = now_ms();
    sleep(Duration::from_secs(1)).await;
    let to = now_ms();
    // The last scrapes may have been cut off by the end: they were served, and never read.
    let cut = ended - i64::try_from(scene.last_end.as_millis())? - i64::try_from(INTERVAL.as_millis())?;
    scene.arrived(scene.from, cut).await?;
    scene.arrived(back, to).await?;
    scene.end().await?;
    let verdict = scene.verdict(to);
    let faults = [verdict.duplicated, verdict.out_of_order, verdict.wrong_values];
    ensure!(faults == [0; 3], "{}", told(&verdict));
    Ok(())
}
