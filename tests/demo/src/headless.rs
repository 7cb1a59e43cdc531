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
/// How long samples may be under way after the end.
const SETTLE: Duration = Duration::from_secs(15);

/// What happens, in which steps.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// How long each number of scrapers lasts.
    pub(crate) step: Duration,
    /// The numbers.
    pub(crate) scale: Vec<usize>,
    /// Whether the result is printed as JSON.
    pub(crate) json: bool,
}

/// What came out, beside the verdict.
#[derive(Debug, Clone, Copy, Default)]
struct Moves {
    /// Targets that had another owner at the end of a step than at the end of the one before.
    moved: usize,
    /// Samples that one scrape of each of those has.
    samples: u64,
}

/// Warms up, runs the steps, waits for what is under way, prints the result; an error says what was wrong.
pub(crate) async fn perform(script: &Script, actors: &Actors) -> Result<()> {
    warm_up(script.scale[0], actors).await?;
    let interval = actors.plan.interval;
    say(&format!("warm; judging for {:?}", script.step * script.scale.len() as u32));
    let from = world::now_ms();
    let start = tokio::time::Instant::now();
    let mut moves = Moves::default();
    let mut owners = HashMap::new();
    for (step, &scrapers) in (1..).zip(&script.scale) {
        say(&format!("{scrapers} scrapers"));
        actors.order(Order::Scale(scrapers)).await.map_err(anyhow::Error::msg).context("scaling")?;
        tokio::time::sleep_until(start + script.step * step).await;
        let now = owners_of(actors, &actors.sink.ledger());
        moves.add(&owners, &now, actors);
        owners = now;
        if !actors.view.borrow().is_steady(scrapers) {
            bail!("{scrapers} scrapers were ordered, after {:?} there are: {}", script.step, phases(actors));
        }
    }
    let window = Window { from, to: world::now_ms(), interval };
    // Scrapes that began inside the window end at most a timeout later, which is the interval.
    tokio::time::sleep(interval).await;
    let verdict = settled(actors, window).await;
    let report = report(script, &verdict, &moves, window);
    let text = if script.json { report.to_string() } else { table(&report) };
    writeln!(std::io::stdout(), "{text}").context("printing the result")?;
    let faults = faults(&verdict, &moves);
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

impl Moves {
    fn add(&mut self, before: &HashMap<usize, String>, now: &HashMap<usize, String>, actors: &Actors) {
        let moved =
            now.iter().filter(|(index, owner)| before.get(index).is_some_and(|before| before != *owner));
        for (index, _) in moved {
            self.moved += 1;
            self.samples += u64::from(actors.fleet.targets()[*index].plan.series);
        }
    }
}

/// The fewest targets that must move: those that newcomers have to get, and those that leavers leave behind.
fn ideal_moves(targets: usize, scale: &[usize]) -> usize {
    let share = |pair: &[usize]| {
        let (most, least) = (pair[0].max(pair[1]), pair[0].min(pair[1]));
        targets as f64 * (most - least) as f64 / most as f64
    };
    scale.windows(2).map(share).sum::<f64>().round() as usize
}

fn report(script: &Script, verdict: &Verdict, moves: &Moves, window: Window) -> Value {
    let mut report = serde_json::to_value(verdict).expect("a verdict is plain data");
    report["seconds"] = json!((window.to - window.from) as f64 / 1000.0);
    report["interval_seconds"] = json!(window.interval.as_secs_f64());
    report["scrapers"] = json!(script.scale.last());
    report["scale"] = json!(script.scale);
    report["moved"] = json!(moves.moved);
    report["ideal_moved"] = json!(ideal_moves(verdict.targets, &script.scale));
    report["allowed_missing"] = json!(moves.samples);
    report
}

fn table(report: &Value) -> String {
    let lines = report.as_object().into_iter().flatten();
    let lines = lines.map(|(key, value)| format!("{key:<32}{value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What breaks the promise: one owner at any time, nothing twice, at most one scrape lost for each move.
fn faults(verdict: &Verdict, moves: &Moves) -> Vec<String> {
    let mut faults = [&verdict.unowned[..], &verdict.double_owned[..]].concat();
    if verdict.missing > moves.samples {
        let (missing, allowed) = (verdict.missing, moves.samples);
        faults.push(format!(
            "{missing} samples are missing; one scrape of each target that moved is {allowed}"
        ));
    }
    if verdict.duplicated > 0 {
        faults.push(format!("{} samples arrived twice", verdict.duplicated));
    }
    if verdict.wrong_values > 0 {
        faults.push(format!("{} samples have the value of another series", verdict.wrong_values));
    }
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
    fn one_scrape_per_move_may_be_missing_and_nothing_may_come_twice() {
        let moves = Moves { moved: 2, samples: 300 };
        let mut verdict = Verdict { missing: 300, ..Verdict::default() };
        assert_eq!(faults(&verdict, &moves), [""; 0]);
        verdict.missing = 301;
        verdict.duplicated = 1;
        let expected = [
            "301 samples are missing; one scrape of each target that moved is 300",
            "1 samples arrived twice",
        ];
        assert_eq!(faults(&verdict, &moves), expected);
    }
}
