//! `/debug/assignment.json`: who has how much, who is there, and what moved. Ours alone; upstream has no such page.
//!
//! Times are milliseconds since 1970 in UTC. Hashes are decimal text, because they do not fit a JavaScript number; they
//! are what `/debug/target?target_hash=` takes.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::handover::unix_millis;
use crate::members::{LastPolls, Presence};
use crate::moves::{Change, Move, Reason};
use crate::view::{JobView, View};

pub(super) fn describe(view: &View, polls: &LastPolls, now: Instant) -> Value {
    let placement = &view.placement;
    let by_reason: Map<String, Value> = Reason::ALL
        .iter()
        .map(|reason| (reason.word().to_owned(), view.moves.count(*reason).into()))
        .collect();
    let jobs: Vec<Value> = view.jobs.iter().map(|(name, job)| describe_job(view, name, job)).collect();
    let reasons = view.why_no_lists();
    json!({
        "epoch": placement.epoch,
        "inputs": view.inputs,
        "fingerprint": format!("{:016x}", placement.fingerprint()),
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "strategy": placement.strategy.name(),
        "members": describe_members(view, polls, now),
        "jobs": jobs,
        "moves": {
            "total": view.moves.total(),
            "by_reason": by_reason,
            "recent": view.moves.recent().map(|moved| describe_move(moved)).collect::<Vec<_>>(),
        },
        "changes": view.moves.changes().map(|change| describe_change(change)).collect::<Vec<_>>(),
    })
}

fn describe_members(view: &View, polls: &LastPolls, now: Instant) -> Vec<Value> {
    let roster = &view.placement.roster;
    let (mut owned, mut held) = (vec![0; roster.len()], vec![0; roster.len()]);
    for job in view.jobs.values() {
        for (sum, count) in owned.iter_mut().zip(job.placed.counts(roster.len()).0) {
            *sum += count;
        }
        for hold in job.placed.holds.values() {
            held[hold.at] += 1;
        }
    }
    let member = |(at, member): (usize, &crate::roster::Member)| {
        let poll = polls.get(&member.name);
        json!({
            "name": &*member.name,
            "node": member.node.as_deref(),
            "draining": member.is_draining,
            "state": Presence::of(poll, now).word(),
            "last_poll_ms_ago": poll.map(|poll| millis(now.saturating_duration_since(poll.at).as_millis())),
            "targets": owned[at],
            "held_for_others": held[at],
        })
    };
    roster.iter().enumerate().map(member).collect()
}

fn describe_job(view: &View, name: &str, job: &JobView) -> Value {
    let roster = &view.placement.roster;
    let (counts, n_unassigned) = job.placed.counts(roster.len());
    let owners: Map<String, Value> =
        roster.iter().zip(counts).map(|(member, count)| (member.name.to_string(), count.into())).collect();
    json!({
        "name": name,
        "targets": job.placed.items.len(),
        "dropped": job.state.n_dropped,
        "unassigned": n_unassigned,
        "owners": owners,
        "being_handed_over": job.placed.holds.len(),
        "waits_for": job.state.waits_for,
        "problems": job.state.problems,
    })
}

fn describe_move(moved: &Move) -> Value {
    json!({
        "at": unix_millis(moved.at),
        "epoch": moved.epoch,
        "job": &*moved.job,
        "target": &*moved.target,
        "target_hash": moved.hash.to_string(),
        "from": &*moved.from,
        "to": moved.to.as_deref(),
        "why": moved.reason.word(),
    })
}

fn describe_change(change: &Change) -> Value {
    let names = |names: &[std::sync::Arc<str>]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    json!({
        "at": unix_millis(change.at),
        "epoch": change.epoch,
        "joined": names(&change.joined),
        "left": names(&change.left),
        "moved": change.n_moved,
    })
}

fn millis(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
