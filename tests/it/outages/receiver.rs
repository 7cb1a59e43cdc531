//! Faults of the receiver and of the way to it.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;
use world::gate::Passage;
use world::sink::Fault;

use super::scene::{Scene, Setup, TIMEOUT};

/// How long the receiver is away: as long as half an hour and more at an interval of 15 s.
const OUTAGE: Duration = Duration::from_secs(5);

/// How long it is back before it is judged.
const AFTER: Duration = Duration::from_secs(1);

pub(super) async fn refused() -> Result<()> {
    away("refused", Passage::Refused).await.map(drop)
}

pub(super) async fn black_hole() -> Result<()> {
    away("black_hole", Passage::BlackHole).await.map(drop)
}

pub(super) async fn reset() -> Result<()> {
    let n_begun = away("reset", Passage::ResetMidBody).await?;
    ensure!(n_begun > 0, "no request came as far as its body");
    Ok(())
}

/// A request that was not answered is sent again, but each sender does so only when its timeout is over.
pub(super) async fn mute() -> Result<()> {
    let n_unanswered = away("mute", Passage::Mute).await?;
    let n_timeouts = OUTAGE.as_millis() / TIMEOUT.as_millis() + 1;
    let allowed = u64::try_from(n_timeouts)? * N_SHARDS;
    ensure!((1..=allowed).contains(&n_unanswered), "{n_unanswered} unanswered requests, {allowed} allowed");
    Ok(())
}

/// Requests that may be under way at once, by default.
const N_SHARDS: u64 = 5;

/// Gives how many requests were swallowed.
async fn away(name: &str, passage: Passage) -> Result<u64> {
    let scene = Scene::start(name, Setup::default()).await?;
    scene.gate.set(passage).await;
    let n_before = scene.sink.ledger().totals().requests;
    sleep(OUTAGE).await;
    let n_inside = scene.sink.ledger().totals().requests - n_before;
    ensure!(n_inside == 0, "{n_inside} requests came through a gate that was closed");
    let n_swallowed = scene.gate.n_swallowed();
    scene.gate.set(Passage::Open).await;
    sleep(AFTER).await;
    scene.ends_well().await?;
    Ok(n_swallowed)
}

pub(super) async fn flapping() -> Result<()> {
    const SECOND: Duration = Duration::from_secs(1);
    let scene = Scene::start("flapping", Setup::default()).await?;
    for n in 0..6 {
        scene.sink.always((n % 2 == 0).then_some(Fault::Status(503)));
        sleep(SECOND).await;
    }
    let n_refused = scene.sink.faulted();
    ensure!(n_refused > 0, "no request was refused");
    scene.ends_well().await
}
