//! An explanation for a terminal.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// Prints what `/debug/explain` answered.
#[must_use]
pub fn print(answer: &Value) -> String {
    let mut out = String::new();
    put(&mut out, 0, text(&answer["answer"]));
    for reason in list(&answer["ready"]) {
        put(&mut out, 0, &format!("the allocator is not ready: {}", text(reason)));
    }
    for target in list(&answer["targets"]) {
        put_target(&mut out, target);
    }
    let monitors = list(&answer["monitors"]);
    if !monitors.is_empty() {
        put(&mut out, 0, "monitors, nearest first:");
    }
    for monitor in monitors {
        put(&mut out, 1, &format!("{}: {}", text(&monitor["monitor"]), text(&monitor["why"])));
        for object in list(&monitor["objects"]) {
            put(&mut out, 2, &format!("reaches {}", text(object)));
        }
        for missed in list(&monitor["missed"]) {
            put(&mut out, 2, &format!("not {}: {}", text(&missed["object"]), text(&missed["why"])));
        }
    }
    let jobs = list(&answer["jobs"]);
    if !jobs.is_empty() {
        put(&mut out, 0, "jobs of the configuration, nearest first:");
    }
    for job in jobs {
        put(&mut out, 1, &format!("job {}: {}", text(&job["job"]), text(&job["why"])));
    }
    for problem in list(&answer["problems"]) {
        put(&mut out, 0, &format!("problem: {}", text(problem)));
    }
    out
}

fn put_target(out: &mut String, target: &Value) {
    let outcome = match text(&target["outcome"]) {
        "assigned" => format!("scraped by {}", text(&target["owner"])),
        "unassigned" => "nobody has it".to_owned(),
        "refused" => format!("cannot be scraped: {}", text(&target["refused"])),
        _ => "dropped by its rules".to_owned(),
    };
    put(out, 0, &format!("target {} of job {}: {outcome}", text(&target["address"]), text(&target["job"])));
    if let Some(at) = target["since"]["at"].as_u64() {
        let why = match text(&target["since"]["why"]) {
            "found" => "it was found then",
            "resumed" => "or longer: the allocator started then",
            "member_left" => "its owner left",
            "member_joined" => "its owner joined",
            "strategy_changed" => "another strategy was configured",
            "node_changed" => "its node changed",
            _ => "other collectors came or went",
        };
        put(out, 1, &format!("since {}: {why}", time(at)));
    }
    if let Some(holder) = target["held_by"].as_str() {
        put(out, 1, &format!("it is being handed over by {holder}"));
    }
    let moved = &target["moved"];
    if moved.is_object() {
        let to = moved["to"].as_str().unwrap_or("nobody");
        put(out, 1, &format!("moved from {} to {to}: {}", text(&moved["from"]), text(&moved["why"])));
    }
    if let Some(error) = target["last_error"]["error"].as_str() {
        let at =
            target["last_error"]["at"].as_u64().map(|at| format!(" at {}", time(at))).unwrap_or_default();
        put(out, 1, &format!("its last scrape{at} failed: {error}"));
    }
    for (index, step) in list(&target["steps"]).iter().enumerate() {
        let verdict = if step["kept"] == false { "drops it" } else { "keeps it" };
        put(out, 1, &format!("rule {index} {verdict}: {}", text(&step["rule"])));
        if let Some(seen) = step["seen"]["text"].as_str().filter(|_| step["kept"] == false) {
            put(out, 2, &format!("it looked at \"{seen}\""));
        }
        for change in list(&step["changes"]) {
            let value =
                |key: &str| change[key].as_str().map_or_else(|| "-".to_owned(), |text| format!("{text:?}"));
            put(out, 2, &format!("{}: {} -> {}", text(&change["label"]), value("before"), value("after")));
        }
    }
}

fn put(out: &mut String, depth: usize, line: &str) {
    writeln!(out, "{}{line}", "  ".repeat(depth)).expect("writing to a string cannot fail");
}

/// A moment from milliseconds since 1970.
fn time(millis: u64) -> String {
    telemetry::iso8601(UNIX_EPOCH + Duration::from_millis(millis))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
