//! The page of `/debug/quarantine`.

use std::time::SystemTime;

use maud::{Markup, html};

use super::parts::{ago, count, frame};
use super::{MAX_ROWS, more};
use crate::kubernetes::Monitored;
use crate::monitors::{Kind, MonitorKey};
use crate::view::View;

pub(crate) fn quarantine(view: &View, now: SystemTime) -> String {
    let monitored = &view.monitored;
    let body = html! {
        @for reason in &monitored.waits_for { p.bad { (reason) } }
        @for problem in &monitored.problems { p.bad { (problem) } }
        (held(monitored, now))
        h2 { "Kinds" }
        (kinds(monitored))
        h2 { "Warnings" }
        (warnings(monitored))
        p.note { "All of this as JSON: ask for /debug/quarantine without accepting text/html." }
    };
    frame(view, "Monitors in quarantine", &body)
}

fn held(monitored: &Monitored, now: SystemTime) -> Markup {
    let held = &monitored.quarantine;
    html! {
        @if held.is_empty() { p { "There is none." } } @else {
            div.wide { table {
                tr { th { "Monitor" } th { "Field" } th { "Reason" } th { "Since" } th.n { "More mistakes" } }
                @for held in held.iter().take(MAX_ROWS) {
                    tr {
                        td { (name(&held.what.key)) } td { code { (held.what.field) } } td.bad { (held.what.reason) }
                        td { (ago(now.duration_since(held.since).unwrap_or_default())) } (count(held.what.n_more))
                    }
                }
            } }
            (more(held.len()))
        }
    }
}

fn kinds(monitored: &Monitored) -> Markup {
    html! {
        div.wide { table {
            tr {
                th { "Kind" } th.n { "Seen" } th.n { "Selected" } th.n { "In quarantine" } th.n { "Waiting" }
                th { "Why none is selected" }
            }
            @for (kind, selected) in Kind::ALL.iter().zip(&monitored.selected) {
                tr {
                    td { (kind) } (count(selected.n_seen)) (count(selected.n_selected))
                    (count(selected.n_quarantined)) (count(selected.n_waiting))
                    td { @if let Some(why) = &selected.nothing { (why) } }
                }
            }
        } }
    }
}

fn warnings(monitored: &Monitored) -> Markup {
    let warnings = &monitored.warnings;
    html! {
        @if warnings.is_empty() { p { "There is none." } } @else {
            div.wide { table {
                tr { th { "Monitor" } th { "Field" } th { "Warning" } }
                @for warned in warnings.iter().take(MAX_ROWS) {
                    tr { td { (name(&warned.key)) } td { code { (warned.field) } } td { (warned.message) } }
                }
            } }
            (more(warnings.len()))
        }
    }
}

fn name(key: &MonitorKey) -> String {
    key.to_string()
}
