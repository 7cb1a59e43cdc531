//! What pages are put together from.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::answers::query_escape;
use crate::view::View;

/// The page around a body.
pub(in crate::api) fn frame(view: &View, title: &str, body: &Markup) -> String {
    let reasons = view.why_no_lists();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/debug/style.css";
            }
            body {
                header {
                    strong { a href="/" { "Muster allocator" } }
                    a href="/debug/jobs" { "Jobs" }
                    a href="/debug/targets" { "Targets" }
                    a href="/debug/members" { "Collectors" }
                    a href="/debug/moves" { "Moves" }
                    a href="/debug/scrape_configs" { "Scrape configs" }
                    a href="/debug/quarantine" { "Quarantine" }
                    a href="/metrics" { "Metrics" }
                    span.note { "epoch " (view.placement.epoch) " (" (view.inputs) ")" }
                    @if reasons.is_empty() { span.good { "ready" } } @else { span.bad { "not ready" } }
                }
                @for reason in &reasons { p.bad { (reason) } }
                h1 { (title) }
                (body)
            }
        }
    };
    page.into_string()
}

/// A page that says what was wrong with the question.
pub(in crate::api) fn refusal(
    view: &View,
    status: StatusCode,
    why: &str,
    example: Option<&str>,
) -> (StatusCode, String) {
    let body = html! {
        p.bad { (why) }
        @if let Some(example) = example { p { "For example: " code { (example) } } }
    };
    (status, frame(view, status.canonical_reason().unwrap_or("Refused"), &body))
}

pub(in crate::api) fn job_link(job: &str) -> Markup {
    html! { a href={ "/debug/job?job_id=" (query_escape(job)) } { (job) } }
}

pub(in crate::api) fn collector_link(name: &str) -> Markup {
    html! { a href={ "/debug/collector?collector_id=" (query_escape(name)) } { (name) } }
}

pub(in crate::api) fn target_link(hash: u64, address: &str) -> Markup {
    html! { a href={ "/debug/target?target_hash=" (hash) } { (address) } }
}

/// A cell with a number; zero is faint.
pub(in crate::api) fn count(n: usize) -> Markup {
    html! { td.n.z[n == 0] { (n) } }
}

/// How long ago, roughly.
pub(in crate::api) fn ago(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms ago", duration.as_millis()),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3_600),
    }
}

/// A time of day in UTC, with the days since 1970 left to the reader: what is listed happened lately.
pub(in crate::api) fn when(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) % 86_400;
    let mut text = String::with_capacity(12);
    write!(text, "{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
        .expect("writing to a string cannot fail");
    text
}
