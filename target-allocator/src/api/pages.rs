//! Pages for people: who scrapes what, who is there, what moved and why.
//!
//! Upstream's pages by path and by what they tell; the index has collectors as columns. Everything is escaped by
//! construction, nothing is loaded but our style sheet, and there are no scripts.

pub(super) mod parts;
mod quarantine;

use std::fmt::Display;

use http::StatusCode;
use maud::{Markup, html};
use tokio::time::Instant;

use crate::items::Item;
use crate::members::{LastPolls, Presence};
use crate::view::{JobView, View};
pub(super) use quarantine::quarantine;

use parts::{ago, collector_link, count, frame, job_link, refusal, target_link, when};

/// The style sheet of every page.
pub(super) const STYLE: &str = include_str!("style.css");

/// Most rows of one table; a page with a million rows helps nobody.
const MAX_ROWS: usize = 10_000;

/// Most collectors that are columns of the table on the index.
const MAX_COLUMNS: usize = 40;

/// Moves that the index lists.
const MOVES_ON_INDEX: usize = 30;

pub(super) fn index(view: &View, polls: &LastPolls, now: Instant) -> String {
    let n_targets: usize = view.jobs.values().map(|job| job.placed.items.len()).sum();
    let body = html! {
        table {
            tr { th { "Scrape configs" } td.n { a href="/debug/scrape_configs" { (view.jobs.len()) } } }
            tr { th { "Jobs with targets" } td.n { a href="/debug/jobs" { (jobs_with_targets(view).count()) } } }
            tr { th { "Targets" } td.n { a href="/debug/targets" { (n_targets) } } }
            tr { th { "Collectors" } td.n { (view.placement.roster.len()) } }
            tr { th { "Strategy" } td { (view.placement.strategy) } }
            tr { th { "Moves" } td.n { (view.moves.total()) } }
            tr { th { "Monitors in quarantine" } td.n { a href="/debug/quarantine" { (view.monitored.quarantine.len()) } } }
        }
        h2 { "Collectors" }
        (members(view, polls, now))
        h2 { "Who scrapes what" }
        (matrix(view))
        h2 { "Comings and goings" }
        (changes(view, MOVES_ON_INDEX))
        h2 { "Last moves" }
        (last_moves(view, MOVES_ON_INDEX))
        p.note { a href="/debug/moves" { "All moves that are remembered" } }
        p.note { "All of this as JSON: " a href="/debug/assignment.json" { "/debug/assignment.json" } }
    };
    frame(view, "Target allocator", &body)
}

pub(super) fn all_members(view: &View, polls: &LastPolls, now: Instant) -> String {
    frame(view, "Collectors", &members(view, polls, now))
}

pub(super) fn moves(view: &View) -> String {
    let body = html! {
        h2 { "Comings and goings" }
        (changes(view, MAX_ROWS))
        h2 { "Moves" }
        (last_moves(view, MAX_ROWS))
    };
    frame(view, "Moves", &body)
}

pub(super) fn jobs(view: &View) -> String {
    let body = html! {
        div.wide { table {
            tr { th { "Job" } th.n { "Targets" } th.n { "Dropped" } th { "State" } }
            @for (name, job) in view.jobs.iter().take(MAX_ROWS) {
                tr { td { (job_link(name)) } (count(job.placed.items.len())) (count(job.state.n_dropped)) td { (state(job)) } }
            }
        } }
        (more(view.jobs.len()))
    };
    frame(view, "Jobs", &body)
}

pub(super) fn job(view: &View, name: Option<&str>) -> (StatusCode, String) {
    let Some(name) = name else {
        return refusal(
            view,
            StatusCode::BAD_REQUEST,
            "One job_id is needed",
            Some("/debug/job?job_id=my-job"),
        );
    };
    let unknown = JobView::default();
    let job = view.jobs.get(name).map_or(&unknown, AsRef::as_ref);
    let roster = &view.placement.roster;
    let (counts, n_unassigned) = job.placed.counts(roster.len());
    let body = html! {
        p { (state(job)) }
        table {
            tr { th { "Collector" } th.n { "Targets" } }
            @for (member, n) in roster.iter().zip(counts) {
                tr { td { (collector_link(&member.name)) } (count(n)) }
            }
            @if n_unassigned > 0 { tr { td.bad { "nobody" } (count(n_unassigned)) } }
        }
        h2 { "Targets" }
        (target_rows(view, |of, _| of == name))
    };
    (StatusCode::OK, frame(view, &format!("Job: {name}"), &body))
}

pub(super) fn collector(view: &View, name: Option<&str>) -> (StatusCode, String) {
    let Some(name) = name else {
        let example = "/debug/collector?collector_id=scraper-0";
        return refusal(view, StatusCode::BAD_REQUEST, "One collector_id is needed", Some(example));
    };
    let Some(at) = view.placement.roster.position(name) else {
        return refusal(view, StatusCode::NOT_FOUND, &format!("No collector is called {name}"), None);
    };
    let body = target_rows(view, |_, owner| owner == Some(at));
    (StatusCode::OK, frame(view, &format!("Collector: {name}"), &body))
}

pub(super) fn targets(view: &View) -> String {
    frame(view, "Targets", &target_rows(view, |_, _| true))
}

pub(super) fn target(view: &View, hash: Option<&str>) -> (StatusCode, String) {
    let Some(hash) = hash.and_then(|text| text.parse::<u64>().ok()) else {
        let example = "/debug/target?target_hash=42";
        return refusal(
            view,
            StatusCode::BAD_REQUEST,
            "A target_hash is needed, and it is a number",
            Some(example),
        );
    };
    let found = all_targets(view).find(|(_, item, _)| item.hash == hash);
    let Some((job, item, owner)) = found else {
        return refusal(view, StatusCode::NOT_FOUND, &format!("No target has the hash {hash}"), None);
    };
    let label = |name: &str| item.value(&format!("__meta_kubernetes_{name}")).to_owned();
    let facts = [
        ("Namespace", label("namespace")),
        ("Service Name", label("service_name")),
        ("Service Port", label("service_port_name")),
        ("Pod", label("pod_name")),
        ("Container", label("pod_container_name")),
        ("Container Port Name", label("pod_container_port_name")),
        ("Node", item.node().unwrap_or("").to_owned()),
        ("Endpoint Slice", label("endpointslice_name")),
    ];
    let body = html! {
        table {
            tr { th { "Collector" } td { (owner_link(view, owner)) } }
            tr { th { "Job" } td { (job_link(job)) } }
            @for (fact, value) in facts { tr { th { (fact) } td { (value) } } }
        }
        p { a href={ "/debug/explain?target=" (item.hash) } { "Explain" } }
        h2 { "Labels before relabelling" }
        table {
            tr { th { "Label" } th { "Value" } }
            @for (name, value) in item.labels() { tr { td { code { (name) } } td { code { (value) } } } }
        }
    };
    (StatusCode::OK, frame(view, &format!("Target: {}", item.address()), &body))
}

pub(super) fn scrape_configs(view: &View) -> String {
    let body = html! {
        p.note { "Credentials are never shown here." }
        div.wide { table {
            tr { th { "Job" } th { "Scrape config" } }
            @for (job, config) in view.configs.jobs.iter().take(MAX_ROWS) {
                tr { td { (job_link(job)) } td { pre { (indented(&config.redacted)) } } }
            }
        } }
        (more(view.configs.jobs.len()))
    };
    frame(view, "Scrape configs", &body)
}

fn indented(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .map_or_else(|_| json.to_owned(), |value| format!("{value:#}"))
}

fn members(view: &View, polls: &LastPolls, now: Instant) -> Markup {
    let roster = &view.placement.roster;
    let mut shares = vec![(0, 0); roster.len()];
    for job in view.jobs.values() {
        for ((n_jobs, n_targets), count) in shares.iter_mut().zip(job.placed.counts(roster.len()).0) {
            *n_jobs += usize::from(count > 0);
            *n_targets += count;
        }
    }
    html! {
        div.wide { table {
            tr { th { "Collector" } th { "State" } th { "Last poll" } th { "Node" } th.n { "Jobs" } th.n { "Targets" } }
            @for (member, (n_jobs, n_targets)) in roster.iter().zip(&shares).take(MAX_ROWS) {
                @let poll = polls.get(&member.name);
                @let presence = Presence::of(poll, now);
                tr {
                    td { (collector_link(&member.name)) }
                    td.bad[presence == Presence::Silent] {
                        (presence.word()) @if member.is_draining { ", draining" }
                    }
                    td { (poll.map_or_else(String::new, |poll| ago(now.saturating_duration_since(poll.at)))) }
                    td { (member.node.as_deref().unwrap_or("")) }
                    (count(*n_jobs))
                    (count(*n_targets))
                }
            }
        } }
        @if roster.is_empty() { p.note { "Nobody is there yet." } }
        (more(roster.len()))
    }
}

fn matrix(view: &View) -> Markup {
    let roster = &view.placement.roster;
    html! {
        div.wide { table {
            tr {
                th { "Job" } th.n { "Targets" }
                @for member in roster.iter().take(MAX_COLUMNS) { th.n { (collector_link(&member.name)) } }
                @if roster.len() > MAX_COLUMNS { th { "and " (roster.len() - MAX_COLUMNS) " more" } }
                th.n { "nobody" } th { "State" }
            }
            @for (name, job) in view.jobs.iter().take(MAX_ROWS) {
                @let (counts, n_unassigned) = job.placed.counts(roster.len());
                tr {
                    td { (job_link(name)) } (count(job.placed.items.len()))
                    @for n in counts.iter().take(MAX_COLUMNS) { (count(*n)) }
                    @if roster.len() > MAX_COLUMNS { td {} }
                    (count(n_unassigned)) td { (state(job)) }
                }
            }
        } }
        (more(view.jobs.len()))
    }
}

fn changes(view: &View, most: usize) -> Markup {
    let names = |names: &[std::sync::Arc<str>]| names.join(", ");
    html! {
        div.wide { table {
            tr { th { "When" } th.n { "Epoch" } th { "Came" } th { "Went" } th.n { "Targets moved" } }
            @for change in view.moves.changes().take(most) {
                tr {
                    td { (when(change.at)) } td.n { (change.epoch) }
                    td { (names(&change.joined)) } td { (names(&change.left)) } td.n { (change.n_moved) }
                }
            }
        } }
    }
}

fn last_moves(view: &View, most: usize) -> Markup {
    html! {
        div.wide { table {
            tr { th { "When" } th { "Job" } th { "Target" } th { "From" } th { "To" } th { "Why" } }
            @for moved in view.moves.recent().take(most) {
                tr {
                    td { (when(moved.at)) } td { (job_link(&moved.job)) } td { (target_link(moved.hash, &moved.target)) }
                    td { (moved.from) } td { (moved.to.as_deref().unwrap_or("nobody")) } td { (moved.reason.word()) }
                }
            }
        } }
    }
}

fn target_rows(view: &View, wanted: impl Fn(&str, Option<usize>) -> bool) -> Markup {
    let rows: Vec<_> = all_targets(view).filter(|(job, _, owner)| wanted(job, *owner)).collect();
    html! {
        div.wide { table {
            tr { th { "Job" } th { "Target" } th { "Collector" } th { "Endpoint Slice" } }
            @for (job, item, owner) in rows.iter().take(MAX_ROWS) {
                tr {
                    td { (job_link(job)) }
                    td { (target_link(item.hash, item.address())) }
                    td { (owner_link(view, *owner)) }
                    td { (item.value("__meta_kubernetes_endpointslice_name")) }
                }
            }
        } }
        (more(rows.len()))
    }
}

fn all_targets(view: &View) -> impl Iterator<Item = (&str, &Item, Option<usize>)> {
    view.jobs.iter().flat_map(|(job, state)| {
        state
            .placed
            .items
            .iter()
            .zip(&state.placed.owners)
            .map(move |(item, owner)| (&**job, &**item, *owner))
    })
}

fn jobs_with_targets(view: &View) -> impl Iterator<Item = &JobView> {
    view.jobs.values().map(AsRef::as_ref).filter(|job| !job.placed.items.is_empty())
}

fn owner_link(view: &View, owner: Option<usize>) -> Markup {
    match owner {
        Some(at) => collector_link(view.placement.roster.name(at)),
        None => html! { span.bad { "nobody" } },
    }
}

fn state(job: &JobView) -> Markup {
    let line = |class: &str, text: &dyn Display| html! { div class=(class) { (text) } };
    html! {
        @if let Some(reason) = &job.state.waits_for { (line("bad", reason)) }
        @for problem in &job.state.problems { (line("bad", problem)) }
        @if !job.placed.holds.is_empty() {
            (line("note", &format_args!("{} being handed over", job.placed.holds.len())))
        }
    }
}

fn more(n: usize) -> Markup {
    html! { @if n > MAX_ROWS { p.note { "The first " (MAX_ROWS) " of " (n) " are shown." } } }
}

#[cfg(test)]
mod tests;
