//! The demo without a reader: scale as told, then judge.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use world::ledger::Ledger;
use world::verdict::{Verdict, Window, verdict};

use crate::say;
use crate::stage::{Actors, Order};
use crate::state::everyone_is_scraped;

const LOOK: Duration = Duration::from_millis(200);
const WARM_UP: Duration = Duration::from_secs(45);
/// How long after its step a number of scrapers may still be on its way: whoever leaves is drained first, and whoever
/// joins meanwhile waits for that.
const LATE: Duration = Duration::from_secs(60);
/// How long samples may be under way after the end.
const SETTLE: Duration = Duration::from_secs(15);

/// What happens, in which steps.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// How long each number of scrapers lasts.
    pub(crate) step: Duration,
    /// The numbers.
    pub(crate) scale: Vec<usize>,
    /// How long after each of them was ordered the allocator is killed, if it is.
    pub(crate) kills: Vec<Option<Duration>>,
    /// Whether the result is printed as JSON.
    pub(crate) json: bool,
}

/// Warms up, runs the steps, waits for what is under way, prints the result; an error says what was wrong.
pub(crate) async fn perform(script: &Script, actors: &Actors) -> Result<()> {
    warm_up(script.scale[0], actors).await?;
    let interval = actors.plan.interval;
    say(&format!("warm; judging for {:?}", script.step * script.scale.len() as u32));
    let from = world::now_ms();
    let mut moved = 0;
    let mut owners = HashMap::new();
    for (&scrapers, kill) in script.scale.iter().zip(&script.kills) {
        say(&format!("{scrapers} scrapers"));
        let start = tokio::time::Instant::now();
        actors.order(Order::Scale(scrapers)).await.map_err(anyhow::Error::msg).context("scaling")?;
        if let Some(after) = kill {
            tokio::time::sleep_until(start + *after).await;
            actors.order(Order::KillAllocator).await.map_err(anyhow::Error::msg)?;
        }
        tokio::time::sleep_until(start + script.step).await;
        steady(scrapers, actors).await?;
        let now = owners_of(actors, &actors.sink.ledger());
        moved += n_moved(&owners, &now);
        owners = now;
    }
    let window = Window { from, to: world::now_ms(), interval };
    // Scrapes that began inside the window end at most a timeout later, which is the interval.
    tokio::time::sleep(interval).await;
    let verdict = settled(actors, window).await;
    let report = report(script, &verdict, moved, window);
    let text = if script.json { report.to_string() } else { table(&report) };
    writeln!(std::io::stdout(), "{text}").context("printing the result")?;
    let faults = faults(&verdict);
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("the fleet was not watched as promised:\n  {}", faults.join("\n  "))
    }
}

async fn warm_up(scrapers: usize, actors: &Actors) -> Result<()> {
    let deadline = Instant::now() + WARM_UP + actors.plan.interval * 4;
    loop {
        let steady = actors.view.borrow().is_steady(scrapers);
        if steady && everyone_is_scraped(actors, &actors.sink.ledger()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let ledger = actors.sink.ledger();
            let seen = owners_of(actors, &ledger).len();
            let targets = actors.fleet.targets().len();
            bail!(
                "not warm after {WARM_UP:?} and four intervals: {seen} of {targets} targets have arrived; {}",
                phases(actors)
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until exactly so many scrapers are there.
async fn steady(scrapers: usize, actors: &Actors) -> Result<()> {
    let deadline = Instant::now() + LATE;
    while !actors.view.borrow().is_steady(scrapers) {
        if Instant::now() > deadline {
            bail!(
                "{scrapers} scrapers were ordered, {LATE:?} after their step there are: {}",
                phases(actors)
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Which process is in which phase, in words.
fn phases(actors: &Actors) -> String {
    let view = actors.view.borrow();
    let processes = [&view.allocator].into_iter().chain(&view.scrapers);
    processes.map(|process| format!("{} {}", process.id, process.phase)).collect::<Vec<_>>().join(", ")
}

/// The verdict once nothing is under way any more, or once waiting has taken too long.
async fn settled(actors: &Actors, window: Window) -> Verdict {
    let deadline = Instant::now() + SETTLE;
    loop {
        let verdict = verdict(&actors.fleet, &actors.sink.ledger(), window);
        if verdict.lost == 0 || Instant::now() > deadline {
            return verdict;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Owner of each target, by index in the fleet.
fn owners_of(actors: &Actors, ledger: &Ledger) -> HashMap<usize, String> {
    let targets = actors.fleet.targets().iter().enumerate();
    targets
        .filter_map(|(index, target)| {
            let owner = ledger.target(&target.plan.job, &target.plan.instance)?.owner()?;
            Some((index, ledger.collectors()[usize::from(owner)].clone()))
        })
        .collect()
}

/// How many targets have another owner than before.
fn n_moved(before: &HashMap<usize, String>, now: &HashMap<usize, String>) -> usize {
    now.iter().filter(|(index, owner)| before.get(index).is_some_and(|before| before != *owner)).count()
}

/// The fewest targets that must move: those that newcomers have to get, and those that leavers leave behind.
fn ideal_moves(targets: usize, scale: &[usize]) -> usize {
    let share = |pair: &[usize]| {
        let (most, least) = (pair[0].max(pair[1]), pair[0].min(pair[1]));
        targets as f64 * (most - least) as f64 / most as f64
    };
    scale.windows(2).map(share).sum::<f64>().round() as usize
}

fn report(script: &Script, verdict: &Verdict, moved: usize, window: Window) -> Value {
    let mut report = serde_json::to_value(verdict).expect("a verdict is plain data");
    report["seconds"] = json!((window.to - window.from) as f64 / 1000.0);
    report["interval_seconds"] = json!(window.interval.as_secs_f64());
    report["scrapers"] = json!(script.scale.last());
    report["scale"] = json!(script.scale);
    report["moved"] = json!(moved);
    report["ideal_moved"] = json!(ideal_moves(verdict.targets, &script.scale));
    report["kills"] = json!(script.kills.iter().flatten().map(Duration::as_secs_f64).collect::<Vec<_>>());
    report
}

fn table(report: &Value) -> String {
    let lines = report.as_object().into_iter().flatten();
    let lines = lines.map(|(key, value)| format!("{key:<32}{value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What breaks the promise: one owner at any time, nothing is missing, nothing comes twice.
fn faults(verdict: &Verdict) -> Vec<String> {
    let mut faults = [&verdict.unowned[..], &verdict.double_owned[..]].concat();
    for (samples, what) in [
        (verdict.lost, "samples were served and did not arrive"),
        (verdict.unscraped, "samples are of scrapes that were due and not made"),
        (verdict.duplicated, "samples arrived twice"),
        (verdict.wrong_values, "samples have the value of another series"),
    ] {
        if samples > 0 {
            faults.push(format!("{samples} {what}"));
        }
    }
    faults.extend(verdict.blemishes.iter().cloned());
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ideal_moves_only_what_must_move() {
        assert_eq!(ideal_moves(120, &[3, 5, 3]), 96);
        assert_eq!(ideal_moves(120, &[3]), 0);
        assert_eq!(ideal_moves(100, &[3, 3, 4]), 25);
    }

    #[test]
    fn nothing_may_be_missing_and_nothing_may_come_twice() {
        let mut verdict = Verdict::default();
        assert_eq!(faults(&verdict), [""; 0]);
        (verdict.lost, verdict.unscraped, verdict.duplicated) = (3, 2, 1);
        let expected = [
            "3 samples were served and did not arrive",
            "2 samples are of scrapes that were due and not made",
            "1 samples arrived twice",
        ];
        assert_eq!(faults(&verdict), expected);
    }
}
