//! A scrape that uses what was remembered gives what a scrape from nothing gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use exposition::Format;
use model::{STALE_BITS, Scrape, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::proto::{put_bytes, put_double, put_message, put_sint, put_text, put_uint, put_varint};

use super::{job, show, target};
use crate::Job;
use crate::cache::Cache;
use crate::report::Report;

/// Series with labels and values, in the order of the scrape; ends of series are a set of their own.
type Content = (Vec<(String, u64, i64)>, BTreeSet<String>);

type Body = (Format, Vec<u8>);

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

fn scrape(cache: &mut Cache, (format, body): &Body, at: i64) -> (Scrape, bool) {
    let is_good = cache.ingest(body, *format, Timestamp(at)).is_ok();
    let scrape = cache.finish(&REPORT);
    cache.delivered();
    (scrape, is_good)
}

fn content(scrape: &Scrape, with_families: bool) -> Content {
    let (mut samples, mut ends) = (Vec::new(), BTreeSet::new());
    for (index, (point, at)) in scrape.timed().enumerate() {
        let native = scrape.histograms.iter().find(|(of, _)| *of as usize == index);
        let labels: BTreeMap<&str, &str> = scrape.table.labels(point.series).collect();
        let family = scrape.table.family(point.series).filter(|_| with_families);
        let family = family.map(|family| (family.kind, &family.name));
        match point.bits {
            // A series may end after its metadata was forgotten.
            STALE_BITS => drop(ends.insert(format!("{labels:?}"))),
            bits => samples.push((format!("{labels:?} {family:?} {native:?}"), bits, at.millis())),
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
fn compare(job: &Arc<Job>, bodies: &[Body], with_families: bool) -> Result<(), TestCaseError> {
    let target = target(job, &[]);
    let mut remembering = Cache::new(job, &target, &Arc::default());
    let mut live = BTreeSet::new();
    for (round, body) in bodies.iter().enumerate() {
        let at = 10_000 * (i64::try_from(round).unwrap() + 1);
        let (warm, warm_is_good) = scrape(&mut remembering, body, at);
        let (cold, cold_is_good) = scrape(&mut Cache::new(job, &target, &Arc::default()), body, at);
        prop_assert_eq!(warm_is_good, cold_is_good);
        let (samples, ends) = content(&warm, with_families);
        prop_assert_eq!(samples, content(&cold, with_families).0, "round {} of {}", round, shown(bodies));
        let now = labels_of(&cold);
        prop_assert_eq!(ends, &live - &now, "round {} of {}", round, shown(bodies));
        live = now;
    }
    Ok(())
}

/// The bodies as a failure shows them: protobuf has readable names and values all the same.
fn shown(bodies: &[Body]) -> String {
    let shown = bodies.iter().map(|(format, body)| format!("{format:?}\n{}\n", body.escape_ascii()));
    shown.collect::<String>().replace("\\n", "\n")
}

/// The lines in a format.
fn body(format: Format, lines: &str) -> Body {
    let bytes = match format {
        Format::Text => lines.to_owned().into_bytes(),
        Format::OpenMetrics => format!("{lines}# EOF\n").into_bytes(),
        Format::Protobuf => lines.lines().flat_map(protobuf).collect(),
    };
    (format, bytes)
}

/// A family with what the line says; one that is a histogram has samples as well.
fn protobuf(line: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if let Some(typed) = line.strip_prefix("# TYPE ") {
        let (name, kind) = typed.split_once(' ').unwrap();
        put_text(&mut message, 1, name);
        if kind == "histogram" {
            put_uint(&mut message, 3, 4);
            put_message(&mut message, 4, |metric| put_message(metric, 7, histogram));
        }
    } else {
        let (series, value) = line.rsplit_once(' ').unwrap();
        // The end of the body comes before that of the message.
        let Ok(value) = value.parse() else { return vec![100, 0] };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        put_text(&mut message, 1, name);
        put_uint(&mut message, 3, 1);
        put_message(&mut message, 4, |metric| {
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
            for (name, value) in labels {
                put_message(metric, 1, |label| {
                    put_text(label, 1, name);
                    put_text(label, 2, value.trim_matches('"'));
                });
            }
            put_message(metric, 2, |gauge| put_double(gauge, 1, value));
        });
    }
    let mut delimited = Vec::new();
    put_varint(&mut delimited, message.len() as u64);
    delimited.extend(message);
    delimited
}

/// Three observations, in a classic bucket and in a native one.
fn histogram(message: &mut Vec<u8>) {
    put_uint(message, 1, 3);
    put_double(message, 2, 2.5);
    put_message(message, 3, |bucket| {
        put_uint(bucket, 1, 2);
        put_double(bucket, 2, 1.0);
    });
    put_sint(message, 5, 1);
    put_double(message, 6, 0.001);
    put_message(message, 12, |span| {
        put_sint(span, 1, 1);
        put_uint(span, 2, 1);
    });
    // The zigzag form of three more than before.
    put_bytes(message, 13, &[6]);
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

/// Formats in turn.
fn formats() -> impl Strategy<Value = Vec<Format>> {
    vec(prop_oneof![Just(Format::Text), Just(Format::OpenMetrics), Just(Format::Protobuf)], 2..6)
}

fn all(format: Format, bodies: &[String]) -> Vec<Body> {
    bodies.iter().map(|lines| body(format, lines)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn remembering_changes_nothing(bodies in bodies()) {
        compare(&PLAIN, &all(Format::Text, &bodies), false)?;
    }

    #[test]
    fn remembering_changes_nothing_at_a_sample_limit(bodies in bodies()) {
        compare(&LIMITED, &all(Format::Text, &bodies), false)?;
    }

    #[test]
    fn remembering_changes_nothing_in_openmetrics(bodies in bodies()) {
        compare(&PLAIN, &all(Format::OpenMetrics, &bodies), false)?;
    }

    #[test]
    fn remembering_changes_nothing_in_protobuf(bodies in bodies()) {
        let bodies = all(Format::Protobuf, &bodies);
        compare(&PLAIN, &bodies, false)?;
        compare(&NATIVE, &bodies, false)?;
        compare(&CONVERTED, &bodies, false)?;
    }

    #[test]
    fn remembering_changes_nothing_when_a_target_changes_its_format(bodies in bodies(), formats in formats()) {
        let bodies: Vec<Body> =
            bodies.iter().zip(formats.iter().cycle()).map(|(lines, format)| body(*format, lines)).collect();
        compare(&PLAIN, &bodies, false)?;
        compare(&LIMITED, &bodies, false)?;
        compare(&NATIVE, &bodies, false)?;
    }

    /// Metadata is meant to outlive scrapes that lack it, so here every scrape has the same.
    #[test]
    fn remembering_changes_no_family(bodies in bodies()) {
        let head = "# TYPE h histogram\n# TYPE a counter\n# TYPE go_x gauge\n# TYPE other gauge\n";
        let bodies: Vec<String> = bodies.iter().map(|body| format!("{head}{body}")).collect();
        compare(&PLAIN, &all(Format::Text, &bodies), true)?;
        compare(&PLAIN, &all(Format::OpenMetrics, &bodies), true)?;
    }
}

#[test]
fn the_same_lines_are_the_same_samples_in_every_format() {
    let lines = "a{x=\"1\",y=\"2\"} 2.5\ngo_x NaN\ndrop_me 1\na 1\na 2\n";
    let samples = |job: &Arc<Job>, format, lines: &str| {
        let cache = &mut Cache::new(job, &target(job, &[]), &Arc::default());
        show(&scrape(cache, &body(format, lines), 10_000).0, false)
    };
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let shown = samples(&PLAIN, format, lines);
        assert_eq!(shown, "a{x=\"1\",y=\"2\"} 2.5\nrenamed_x NaN\na 1\nup 1", "{format:?}");
        let broken = format!("{lines}a{{x=\"1\"}} broken\n");
        let is_good =
            scrape(&mut Cache::new(&PLAIN, &target(&PLAIN, &[]), &Arc::default()), &body(format, &broken), 1)
                .1;
        assert!(!is_good, "{format:?}");
    }
    let native = samples(&NATIVE, Format::Protobuf, "# TYPE h histogram\n");
    assert_eq!(native, "h histogram(schema 1, count 3, sum 2.5)\nup 1");
    let converted = samples(&CONVERTED, Format::Protobuf, "# TYPE h histogram\n");
    assert_eq!(converted, "h histogram(schema -53, count 3, sum 2.5)\nup 1");
}

static PLAIN: LazyLock<Arc<Job>> = LazyLock::new(|| job(RULES));
static NATIVE: LazyLock<Arc<Job>> =
    LazyLock::new(|| job(&format!("scrape_native_histograms: true\n{RULES}")));
static CONVERTED: LazyLock<Arc<Job>> =
    LazyLock::new(|| job(&format!("convert_classic_histograms_to_nhcb: true\n{RULES}")));
static LIMITED: LazyLock<Arc<Job>> = LazyLock::new(|| job(&format!("sample_limit: 12\n{RULES}")));

const RULES: &str = "metric_relabel_configs: [{source_labels: [__name__], regex: drop_.*, action: drop}, \
                     {regex: path, action: labeldrop}, \
                     {source_labels: [__name__], regex: go_(.*), target_label: __name__, replacement: renamed_$1}]";
