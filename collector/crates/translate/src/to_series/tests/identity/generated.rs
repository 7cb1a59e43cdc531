//! Random expositions, ordinary and damaged ones.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

use super::*;
use crate::fixture::from_otlp;

/// Labels of a series, without its name.
fn labels() -> impl Generate<Value = BTreeMap<String, String>> {
    let name = prop_oneof![
        4 => "[a-c]",
        1 => prop::sample::select(vec![
            "le", "quantile", "code", "host", "a_b", "a__b", "_a", "a.b", "\u{e4}", "env", "server_port",
            "otel_scope_name", "otel_scope_a", "service_name",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::btree_map(name, "[x-z]{1,2}", 0..4)
}

/// `job` and `instance`, mostly those of the target.
fn identity() -> impl Generate<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just("job=\"\""), 1 => Just("instance=\"\""), 1 => Just("job=\"db\"")]
}

fn value() -> impl Generate<Value = String> {
    prop_oneof![
        4 => any::<i16>().prop_map(|value| value.to_string()),
        2 => any::<f64>().prop_map(|value| value.to_string()),
        1 => Just("STALE".to_owned()),
        1 => Just("NaN".to_owned()),
    ]
}

/// Exemplars with and without ids and times, with names that need escaping, short and too long.
fn exemplar() -> impl Generate<Value = String> {
    let label = prop_oneof![
        Just("trace_id=\"0af7651916cd43dd8448eb211c80319c\"".to_owned()),
        Just("span_id=\"b7ad6b7169203331\"".to_owned()),
        Just("trace_id=\"short\"".to_owned()),
        Just("\"a.b\"=\"1\"".to_owned()),
        Just("a_b=\"2\"".to_owned()),
        (1usize..130).prop_map(|length| format!("x=\"{}\"", "y".repeat(length))),
    ];
    (prop::collection::vec(label, 0..4), any::<i16>(), prop_oneof![Just(""), Just(" 1700000000300")])
        .prop_map(|(labels, value, time)| format!(" # {{{}}} {value}{time}", labels.join(",")))
}

fn series_text(name: &str, labels: &[(String, String)], identity: &str, rest: &str) -> String {
    let mut pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("\"{name}\"=\"{value}\"")).collect();
    pairs.push(format!("\"{name}\""));
    if !identity.is_empty() {
        pairs.push(identity.to_owned());
    }
    format!("{{{}}} {rest}\n", pairs.join(","))
}

/// A family whose series are points of their own.
fn simple() -> impl Generate<Value = String> {
    // OTLP has no gauge histograms.
    let kinds = vec!["unknown", "counter", "gauge", "info", "stateset", "histogram", "summary"];
    let names = vec![
        "a",
        "a_total",
        "a_seconds",
        "x__y",
        "a:b",
        "a_bucket",
        "a_sum",
        "a_created",
        "hit_ratio",
        "a__total",
        ":a:",
        "_a_",
        "a_bytes",
        "a_\u{e4}\u{e4}",
        "a.b",
        "target_info",
        "up",
    ];
    let units = vec!["", "seconds", "bytes", "ratio", "\u{e4}\u{e4}"];
    let times = prop_oneof![5 => Just(""), 1 => Just(" 1700000000500"), 1 => Just(" st@1600000000000")];
    (
        prop::sample::select(kinds),
        prop::sample::select(names),
        prop::sample::select(units),
        prop::collection::vec((labels(), identity(), value(), times, exemplar()), 1..4),
    )
        .prop_map(|(kind, name, unit, series)| {
            let mut text = format!("# TYPE {name} {kind}\n# HELP {name} Help.\n# UNIT {name} {unit}\n");
            for (labels, identity, value, time, exemplar) in series {
                let labels: Vec<_> = labels.into_iter().collect();
                let exemplar = if kind == "counter" && value != "STALE" { exemplar.as_str() } else { "" };
                text += &series_text(name, &labels, identity, &format!("{value}{time}{exemplar}"));
            }
            text
        })
}

/// What is wrong with a histogram or summary.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    None,
    NoCount,
    NoSum,
    NoInfinity,
    Fraction,
    Falling,
    Spelling,
    StaleBucket,
    Stale,
    OtherTime,
    NotANumber,
}

const DAMAGES: [Damage; 11] = [
    Damage::None,
    Damage::NoCount,
    Damage::NoSum,
    Damage::NoInfinity,
    Damage::Fraction,
    Damage::Falling,
    Damage::Spelling,
    Damage::StaleBucket,
    Damage::Stale,
    Damage::OtherTime,
    Damage::NotANumber,
];

/// A histogram or summary, sometimes a damaged one.
fn distribution() -> impl Generate<Value = String> {
    let damage = prop_oneof![3 => Just(Damage::None), 4 => prop::sample::select(DAMAGES.to_vec())];
    (
        any::<bool>(),
        "[d-f]NUMBER(_seconds)?",
        labels(),
        identity(),
        prop::collection::btree_map(-3i32..30, 0u32..9, 0..5),
        damage,
        any::<bool>(),
    )
        .prop_map(|(is_histogram, name, labels, identity, buckets, damage, is_reversed)| {
            let mut labels: Vec<(String, String)> = labels.into_iter().collect();
            labels.retain(|label| !["le", "quantile"].contains(&&*label.0));
            let lines = distribution_lines(is_histogram, &name, &labels, identity, &buckets, damage);
            let lines: Vec<String> = if is_reversed { lines.into_iter().rev().collect() } else { lines };
            let kind = if is_histogram { "histogram" } else { "summary" };
            format!("# TYPE {name} {kind}\n{}", lines.concat())
        })
}

fn distribution_lines(
    is_histogram: bool,
    name: &str,
    labels: &[(String, String)],
    identity: &str,
    buckets: &BTreeMap<i32, u32>,
    damage: Damage,
) -> Vec<String> {
    let stale = |value: String| if damage == Damage::Stale { "STALE".to_owned() } else { value };
    let with = |key: &str, value: &str| {
        let mut labels = labels.to_vec();
        labels.push((key.to_owned(), value.to_owned()));
        labels
    };
    let (bucket, key) =
        if is_histogram { (format!("{name}_bucket"), "le") } else { (name.to_owned(), "quantile") };
    let mut lines = Vec::new();
    let mut total = 0;
    for (index, (bound, count)) in buckets.iter().enumerate() {
        total += count;
        let mut bound_text = String::new();
        crate::float::push_open_metrics(&mut bound_text, f64::from(*bound) / 4.0);
        let mut value = total.to_string();
        match damage {
            Damage::Spelling if index == 0 => bound_text.push('0'),
            Damage::StaleBucket if index == 0 => value = "STALE".into(),
            Damage::Falling if index == 0 => value = "1000".into(),
            Damage::Fraction if index == 0 => value = "0.5".into(),
            Damage::NotANumber if index == 0 => value = "NaN".into(),
            _ => {}
        }
        lines.push(series_text(&bucket, &with(key, &bound_text), identity, &stale(value)));
    }
    if is_histogram && damage != Damage::NoInfinity {
        lines.push(series_text(&bucket, &with(key, "+Inf"), identity, &stale(total.to_string())));
    }
    if damage != Damage::NoSum {
        let time = if damage == Damage::OtherTime { " 1700000000500" } else { "" };
        let rest = format!("{}{time}", stale("2.5".into()));
        lines.push(series_text(&format!("{name}_sum"), labels, identity, &rest));
    }
    if damage != Damage::NoCount {
        lines.push(series_text(&format!("{name}_count"), labels, identity, &stale(total.to_string())));
    }
    lines
}

/// A series has one value per time, so later lines of the same series and time are left out.
fn without_duplicates(mut scrape: Scrape) -> Scrape {
    let mut seen = HashSet::new();
    let timed: Vec<_> = scrape.timed().collect();
    let mut kept = Scrape {
        points: vec![],
        timestamps: vec![],
        exemplars: vec![],
        histograms: vec![],
        starts: vec![],
        ..scrape.clone()
    };
    for (index, (point, at)) in timed.into_iter().enumerate() {
        let labels: Vec<(String, String)> = scrape
            .table
            .labels(point.series)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if !seen.insert((labels, at)) {
            continue;
        }
        let next = u32::try_from(kept.points.len()).unwrap();
        if at != scrape.at {
            kept.timestamps.push((next, at));
        }
        if let Some(found) = scrape.exemplars.iter_mut().find(|exemplar| exemplar.0 as usize == index) {
            kept.exemplars.push((next, found.1.clone()));
        }
        if let Some(found) = scrape.histograms.iter().find(|histogram| histogram.0 as usize == index) {
            kept.histograms.push((next, found.1.clone()));
        }
        if let Some(found) = scrape.starts.iter().find(|start| start.0 as usize == index) {
            kept.starts.push((next, found.1));
        }
        kept.points.push(point);
    }
    kept
}

fn side() -> impl Generate<Value = String> {
    // Offsets may be anything for the first span; an empty span and empty buckets are as good as none.
    let span = |offset| (offset, prop::collection::vec(0u32..3, 0..4));
    (span(-9i32..9), prop::collection::vec(span(0i32..9), 0..3)).prop_map(|(first, others)| {
        let texts = std::iter::once(first).chain(others).map(|(offset, counts)| {
            offset.to_string() + &counts.iter().map(|count| format!(":{count}")).collect::<String>()
        });
        texts.collect::<Vec<String>>().join(";")
    })
}

/// A native histogram that has a form in OTLP.
fn native() -> impl Generate<Value = String> {
    let value = prop_oneof![
        4 => (-4i32..=8, any::<i16>(), side(), side(), 0u32..3, prop_oneof![Just(""), Just(",threshold=0.5")]).prop_map(
            |(schema, sum, pos, neg, zero, threshold)| {
                format!("native(schema={schema},sum={sum},zero={zero}{threshold},pos={pos},neg={neg}FLOAT)")
            }
        ),
        2 => prop::collection::vec(0u32..3, 0..4).prop_map(|counts| {
            let bounds: Vec<String> = (0..counts.len()).map(|bound| bound.to_string()).collect();
            let counts: String = counts.iter().map(|count| format!(":{count}")).collect();
            let bounds = if bounds.is_empty() { String::new() } else { format!(",bounds={}", bounds.join(":")) };
            format!("native(schema=-53,sum=2.5,pos=0{counts}{bounds}FLOAT)")
        }),
        1 => Just("STALE".to_owned()),
        1 => Just("native(schema=2,sum=STALE)".to_owned()),
    ];
    let rests = prop_oneof![
        4 => Just(""),
        1 => Just(" 1700000000500"),
        1 => Just(" st@1600000000000 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",a=\"b\"} 1 1700000000000"),
    ];
    (
        "[g-i]NUMBER(_seconds)?",
        prop::collection::vec((labels(), identity(), value, any::<bool>(), rests), 1..4),
    )
        .prop_map(|(name, series)| {
            let mut text = format!("# TYPE {name} histogram\n");
            for (labels, identity, value, is_float, rest) in series {
                let labels: Vec<_> = labels.into_iter().collect();
                let value = value.replace("FLOAT", if is_float { ",float" } else { "" });
                let rest = if value == "STALE" { "" } else { rest };
                text += &series_text(&name, &labels, identity, &format!("{value}{rest}"));
            }
            text
        })
}

fn trimming() -> ToOtlp<'static> {
    ToOtlp { trim_metric_suffixes: true, ..ToOtlp::new(ScopeInfo::prometheus_receiver("1.0")) }
}

fn any_scrape() -> impl Generate<Value = String> {
    prop::collection::vec(prop_oneof![2 => simple(), 2 => distribution(), 1 => native()], 0..6).prop_map(
        |families| {
            // Two histograms of one name would be torn ones, of which OTLP has the count only.
            let numbered =
                families.iter().enumerate().map(|(n, text)| text.replace("NUMBER", &n.to_string()));
            numbered.collect::<String>()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_direct_way_gives_what_the_way_through_otlp_gives(
        text in any_scrape(),
        options in prop::sample::select(options()),
    ) {
        let mut scratch = Scratch::default();
        let scrape = without_duplicates(scrape(&text));
        let [(direct, direct_report), (through, through_report)] = both_ways(&options, &scrape, &mut scratch);
        prop_assert_eq!(direct, through);
        prop_assert_eq!(direct_report.n_samples, through_report.n_samples);
        prop_assert_eq!(direct_report.n_dropped(), through_report.n_dropped());
    }

    #[test]
    fn no_sample_is_lost_on_the_way(text in any_scrape()) {
        let scrape = without_duplicates(scrape(&text));
        let exposed = as_exposed(&scrape);
        let (through, _) = through_otlp(&untouched(), &scrape, &mut Scratch::default());
        prop_assert_eq!(sorted(through), sorted(exposed));
    }

    #[test]
    fn names_that_were_trimmed_come_back_where_suffixes_are_added(text in any_scrape()) {
        let scrape = without_duplicates(scrape(&text));
        let (frames, _) = trimming().scrape(&scrape);
        for strategy in [Strategy::UnderscoreEscapingWithSuffixes, Strategy::NoUtf8EscapingWithSuffixes] {
            let options = ToSeries { strategy, ..untouched() };
            let (direct, _) = directly(&options, &scrape, &mut Scratch::default());
            let (through, _) = from_otlp(&options, &frames, &mut Scratch::default());
            prop_assert_eq!(sorted(through), sorted(direct));
        }
    }
}
