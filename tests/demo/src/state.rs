//! The whole scene as one JSON object: what the page asks for every second.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use world::fleet::Behaviour;
use world::ledger::Ledger;
use world::verdict::{Window, verdict};

use crate::stage::Actors;

const MOVES: usize = 40;

/// The scene, and the moment from which on it is judged.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    judged_from: OnceLock<i64>,
}

impl Scene {
    /// The scene as it is now.
    pub(crate) fn describe(&self, actors: &Actors) -> Value {
        let now = world::now_ms();
        let ledger = actors.sink.ledger();
        let view = actors.view.borrow().clone();
        if view.is_steady(view.scrapers.len()) && everyone_is_scraped(actors, &ledger) {
            self.judged_from.get_or_init(|| now);
        }
        json!({
            "at": now,
            "interval_seconds": actors.plan.interval.as_secs_f64(),
            "grace_seconds": crate::stage::GRACE.as_secs(),
            "allocator": view.allocator,
            "scrapers": view.scrapers,
            "prometheus": view.prometheus,
            "jobs": actors.fleet.jobs(),
            "targets": targets(actors, &ledger, now),
            "moves": moves(&ledger),
            "ledger": self.account(actors, &ledger, now),
        })
    }

    fn account(&self, actors: &Actors, ledger: &Ledger, now: i64) -> Value {
        let totals = ledger.totals();
        let mut account = json!({
            "targets": actors.fleet.targets().len(),
            "series": actors.fleet.series(),
            "delivered": totals.delivered,
            "duplicated": totals.duplicated,
            "out_of_order": totals.out_of_order,
            "stale_markers": totals.stale_markers,
            "violations": totals.violations,
            "missing": null,
        });
        // The newest samples may still be under way: they are judged a little later.
        let on_the_way = actors.plan.interval + Duration::from_secs(2);
        let to = now - on_the_way.as_millis() as i64;
        if let Some(&from) = self.judged_from.get().filter(|from| **from < to) {
            let verdict = verdict(&actors.fleet, ledger, Window { from, to, interval: actors.plan.interval });
            account["missing"] = verdict.missing.into();
            account["lost"] = verdict.lost.into();
            account["unscraped"] = verdict.unscraped.into();
            account["judged_seconds"] = ((to - from) / 1000).into();
            account["max_unowned_seconds"] = verdict.max_unowned_seconds.into();
            account["max_double_owned_seconds"] = verdict.max_double_owned_seconds.into();
        }
        account
    }
}

/// Whether every target has been scraped twice by the one who has it.
pub(crate) fn everyone_is_scraped(actors: &Actors, ledger: &Ledger) -> bool {
    actors.fleet.targets().iter().all(|target| {
        let known = ledger.target(&target.plan.job, &target.plan.instance);
        known.is_some_and(|known| {
            let mut newest = known.ups.iter().rev().take(2);
            newest.len() == 2 && newest.all(|up| Some(up.collector) == known.owner())
        })
    })
}

fn targets(actors: &Actors, ledger: &Ledger, now: i64) -> Value {
    let jobs = actors.fleet.jobs();
    let overdue = actors.plan.interval.as_millis() as i64 * 2 + 500;
    let describe = |target: &world::fleet::Target| {
        let plan = &target.plan;
        let known = ledger.target(&plan.job, &plan.instance);
        let last = known.and_then(|known| known.ups.back());
        json!({
            "name": plan.instance,
            "job": jobs.iter().position(|job| *job == plan.job),
            "series": plan.series,
            "kind": match plan.behaviour {
                Behaviour::Steady => "steady",
                Behaviour::Slow(_) => "slow",
                Behaviour::Flapping => "flapping",
            },
            "owner": last.map(|up| &ledger.collectors()[usize::from(up.collector)]),
            "up": last.is_some_and(|up| up.good),
            "orphan": last.is_none_or(|up| now - up.at > overdue),
        })
    };
    actors.fleet.targets().iter().map(describe).collect()
}

fn moves(ledger: &Ledger) -> Value {
    let name = |index: u16| &ledger.collectors()[usize::from(index)];
    let newest = ledger.moves().rev().take(MOVES);
    newest
        .map(|moved| {
            let target = &ledger.targets()[moved.target].instance;
            let (from, to) = (name(moved.from), name(moved.to));
            json!({"number": moved.number, "at": moved.at, "target": target, "from": from, "to": to})
        })
        .collect()
}
