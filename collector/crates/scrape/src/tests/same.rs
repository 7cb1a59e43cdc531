//! A scrape that uses what was remembered gives what a scrape from nothing gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use exposition::Format;
use model::{STALE_BITS, Scrape, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{job, target};
use crate::Job;
use crate::cache::Cache;
use crate::report::Report;

/// Series with labels and values, in the order of the scrape; ends of series are a set of their own.
type Content = (Vec<(String, u64, i64)>, BTreeSet<String>);

const REPORT: Report = Report {
    is_up: true,
    duration: Duration::ZERO,
    n_scraped: 0,
    n_kept: 0,
    n_added: 0,
    timeout: Duration::ZERO,
    sample_limit: 0,
    body_bytes: 0,
};

fn scrape(cache: &mut Cache, body: &str, at: i64) -> (Scrape, bool) {
    let is_good = cache.ingest(body.as_bytes(), Format::Text, Timestamp(at)).is_ok();
    let scrape = cache.finish(&REPORT);
    cache.delivered();
    (scrape, is_good)
}

fn content(scrape: &Scrape, with_families: bool) -> Content {
    let (mut samples, mut ends) = (Vec::new(), BTreeSet::new());
    for (point, at) in scrape.timed() {
        let labels: BTreeMap<&str, &str> = scrape.table.labels(point.series).collect();
        let family = scrape.table.family(point.series).filter(|_| with_families);
        let family = family.map(|family| (family.kind, &family.name));
        match point.bits {
            // A series may end after its metadata was forgotten.
            STALE_BITS => drop(ends.insert(format!("{labels:?}"))),
            bits => samples.push((format!("{labels:?} {family:?}"), bits, at.millis())),
        }
    }
    (samples, ends)
}

fn labels_of(scrape: &Scrape) -> BTreeSet<String> {
    let has_sample = scrape.points.iter().filter(|point| point.bits != STALE_BITS);
    let labels = has_sample.map(|point| scrape.table.labels(point.series).collect::<BTreeMap<&str, &str>>());
    labels.filter(|labels| !is_report(labels)).map(|labels| format!("{labels:?}")).collect()
}

fn is_report(labels: &BTreeMap<&str, &str>) -> bool {
    labels.get("__name__").is_some_and(|name| crate::report::is_report(name))
}

/// Runs the bodies through one cache, and each of them through a new one; the ends of series follow from sets
/// alone.
fn compare(job: &Arc<Job>, bodies: &[String], with_families: bool) -> Result<(), TestCaseError> {
    let target = target(job, &[]);
    let mut remembering = Cache::new(job, &target, &Arc::default());
    let mut live = BTreeSet::new();
    for (round, body) in bodies.iter().enumerate() {
        let at = 10_000 * (i64::try_from(round).unwrap() + 1);
        let (warm, warm_is_good) = scrape(&mut remembering, body, at);
        let (cold, cold_is_good) = scrape(&mut Cache::new(job, &target, &Arc::default()), body, at);
        prop_assert_eq!(warm_is_good, cold_is_good);
        let (samples, ends) = content(&warm, with_families);
        prop_assert_eq!(samples, content(&cold, with_families).0, "round {} of {:#?}", round, bodies);
        let now = labels_of(&cold);
        prop_assert_eq!(ends, &live - &now, "round {} of {:#?}", round, bodies);
        live = now;
    }
    Ok(())
}

/// A line of a body: a sample, perhaps of a series that others have too, or metadata that must stay the same
/// in all bodies.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![Just("1"), Just("2.5"), Just("NaN"), Just("1e3")];
    let name = prop_oneof![Just("a"), Just("b"), Just("h_bucket"), Just("drop_me"), Just("go_x")];
    let labels = prop_oneof![
        Just(""),
        Just("{x=\"1\"}"),
        Just("{x=\"1\",y=\"2\"}"),
        Just("{y=\"2\",x=\"1\"}"),
        Just("{le=\"1\"}"),
        Just("{job=\"other\"}"),
        Just("{path=\"p\",x=\"1\"}"),
    ];
    prop_oneof![
        20 => (name, labels, value).prop_map(|(name, labels, value)| format!("{name}{labels} {value}\n")),
        2 => Just("# TYPE h histogram\n".to_owned()),
        2 => Just("# TYPE other gauge\n".to_owned()),
        1 => Just("a{x=\"1\"} broken\n".to_owned()),
    ]
}

/// Bodies that are mostly like the one before: lines go, come, move.
fn bodies() -> impl Strategy<Value = Vec<String>> {
    let start = vec(line(), 0..25);
    let edit = (0..4_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), line());
    (start, vec(vec(edit, 0..4), 1..8)).prop_map(|(mut lines, rounds)| {
        let mut bodies = vec![lines.concat()];
        for edits in rounds {
            for (what, one, other, line) in edits {
                let (from, to) = (one.index(lines.len().max(1)), other.index(lines.len().max(1)));
                match what {
                    0 => lines.insert(from.min(lines.len()), line),
                    _ if lines.is_empty() => {}
                    1 => drop(lines.remove(from)),
                    2 => lines.swap(from, to),
                    _ => lines.rotate_left(from),
                }
            }
            bodies.push(lines.concat());
        }
        bodies
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn remembering_changes_nothing(bodies in bodies()) {
        compare(&PLAIN, &bodies, false)?;
    }

    #[test]
    fn remembering_changes_nothing_at_a_sample_limit(bodies in bodies()) {
        compare(&LIMITED, &bodies, false)?;
    }

    /// Metadata is meant to outlive scrapes that lack it, so here every scrape has the same.
    #[test]
    fn remembering_changes_no_family(bodies in bodies()) {
        let head = "# TYPE h histogram\n# TYPE a counter\n# TYPE go_x gauge\n# TYPE other gauge\n";
        let bodies: Vec<String> = bodies.iter().map(|body| format!("{head}{body}")).collect();
        compare(&PLAIN, &bodies, true)?;
    }
}

static PLAIN: LazyLock<Arc<Job>> = LazyLock::new(|| job(RULES));
static LIMITED: LazyLock<Arc<Job>> = LazyLock::new(|| job(&format!("sample_limit: 12\n{RULES}")));

const RULES: &str = "metric_relabel_configs: [{source_labels: [__name__], regex: drop_.*, action: drop}, \
                     {regex: path, action: labeldrop}, \
                     {source_labels: [__name__], regex: go_(.*), target_label: __name__, replacement: renamed_$1}]";
