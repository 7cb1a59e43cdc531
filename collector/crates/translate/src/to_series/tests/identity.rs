//! Scraped series keep names and labels, whichever way they go, and both ways give the same.

use std::collections::{BTreeMap, HashSet};

use expect_test::expect;
use model::{Labels, Scrape};
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

use super::super::*;
use crate::fixture::{directly, scrape, sorted, through_otlp};

/// Expositions that upstream translators are known to change, and ordinary ones.
const CORPUS: [&str; 8] = [
    r#"
    # TYPE node_cpu_seconds_total counter
    # HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
    node_cpu_seconds_total{cpu="0",mode="idle"} 12345.67
    node_cpu_seconds_total{cpu="0",mode="user"} 0
    # TYPE node_filesystem_avail_bytes gauge
    node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 1e+11
    # TYPE node_load1 gauge
    node_load1 0.21
    # TYPE go_gc_duration_seconds summary
    go_gc_duration_seconds{quantile="0.0"} 1e-05
    go_gc_duration_seconds{quantile="1.0"} 0.001
    go_gc_duration_seconds_sum 0.5
    go_gc_duration_seconds_count 100
    # TYPE prometheus_http_request_duration_seconds histogram
    prometheus_http_request_duration_seconds_bucket{handler="/",le="0.1"} 1
    prometheus_http_request_duration_seconds_bucket{handler="/",le="1e+06"} 3
    prometheus_http_request_duration_seconds_bucket{handler="/",le="+Inf"} 3
    prometheus_http_request_duration_seconds_sum{handler="/"} 4.5
    prometheus_http_request_duration_seconds_count{handler="/"} 3
    up 1
    scrape_samples_scraped 9
    "#,
    // Names that a builder of names would change.
    r#"
    # TYPE job:requests:rate5m gauge
    job:requests:rate5m 1
    # TYPE double__under_score_ gauge
    double__under_score_{a__b="1",_c="2",d_="3"} 1
    # TYPE memory gauge
    # UNIT memory bytes
    memory 1
    # TYPE cache_hit_ratio gauge
    # UNIT cache_hit_ratio ratio
    cache_hit_ratio 0.5
    # TYPE hits gauge
    # UNIT hits ratio
    hits 0.5
    # TYPE requests counter
    requests 1
    # TYPE total_requests counter
    total_requests 1
    # TYPE latency_milliseconds summary
    # UNIT latency_milliseconds seconds
    latency_milliseconds_sum 1
    latency_milliseconds_count 1
    # TYPE errors_total gauge
    errors_total 1
    # TYPE x_count gauge
    x_count 1
    # TYPE y_bucket counter
    y_bucket{le="1"} 1
    "#,
    // OpenMetrics: families without suffixes, creation times, other types.
    r#"
    # TYPE foo counter
    # UNIT foo seconds
    foo_total{a="b"} 1 # {trace_id="0af7651916cd43dd8448eb211c80319c",user="u"} 0.5 1700000000001
    foo_created{a="b"} 1.6e9
    # TYPE bar histogram
    bar_bucket{le="1.0"} 1 # {x="y"} 0.5 1700000000001
    bar_bucket{le="+Inf"} 2
    bar_sum 3
    bar_count 2
    bar_created 1.6e9
    # TYPE build info
    build_info{version="1"} 1
    # TYPE state stateset
    state{state="on"} 1
    state{state="off"} 0
    # TYPE sizes gaugehistogram
    sizes_bucket{le="1.0"} 5
    sizes_bucket{le="+Inf"} 3
    sizes_gcount 3
    sizes_gsum -1
    "#,
    // What is not quite a histogram or summary.
    r#"
    # TYPE a histogram
    a_bucket{le="1.0"} 5
    a_bucket{le="2.0"} 3
    a_bucket{le="+Inf"} 6
    a_count 6
    a{le="1.0"} 1
    # TYPE b histogram
    b_bucket{le="1"} 1
    b_sum NaN
    # TYPE c histogram
    c_count 1.5
    c_sum 2
    # TYPE d histogram
    d_count 4
    d_sum -0.0
    # TYPE e summary
    e{quantile="0.5"} NaN
    e_sum 1
    # TYPE f summary
    f{quantile="half"} 1
    f_count 1
    # TYPE g histogram
    g_bucket{le="1.0"} 1
    g_count 3
    # TYPE h histogram
    h_count 1 1700000000500
    h_sum 1
    # TYPE i summary
    i_count -0.0
    i_sum 0
    "#,
    // Values and ends.
    r#"
    nan NaN
    inf +Inf
    minus -Inf
    zero -0.0
    gone STALE
    # TYPE c counter
    c_total STALE
    # TYPE h histogram
    h_bucket{le="1.0"} STALE
    h_bucket{le="2.0"} 1
    h_bucket{le="+Inf"} 1
    h_count 1
    h_sum{x="y"} STALE
    h_count{x="y"} STALE
    h_bucket{x="y",le="+Inf"} STALE
    # TYPE s summary
    s{quantile="0.5"} STALE
    s_count STALE
    s_sum STALE
    later 1 1700000009999
    "#,
    // Federation: other jobs, none at all, and labels that mean something in OTLP.
    r#"
    a{job="db",instance="db:1"} 1
    a{job="",instance=""} 2
    a{instance=""} 3
    a{job=""} 4
    a{job="db",instance="db:2",service_name="x",host="h"} 5
    target_info{job="db",instance="db:1",env="prod",region="eu"} 1
    target_info{job="gone",instance="gone:1",env="prod"} 1
    target_info STALE
    "#,
    // Scopes.
    r#"
    a{otel_scope_name="lib",otel_scope_version="1",otel_scope_schema_url="https://s",otel_scope_k="v"} 1
    # TYPE h histogram
    h_bucket{otel_scope_name="lib",le="+Inf"} 1
    h_count{otel_scope_name="lib"} 1
    h_count{otel_scope_name="other"} 1
    h_bucket{otel_scope_name="other",le="+Inf"} 1
    b{otel_scope_x__y="1",otel_scope_="2",otel_scope_1="3"} 1
    target_info{service_version="1"} 1
    "#,
    // Names that only Prometheus 3 takes.
    r#"
    # TYPE "my.counter_total" counter
    {"my.counter_total","http.method"="GET"} 1
    # TYPE "my.hist" histogram
    {"my.hist_bucket",le="+Inf","a b"="c"} 1
    {"my.hist_count","a b"="c"} 1
    {"a.b","x.y"="1",x_y="2","x:y"="3"} 1
    {"ok","1st"="x"} 1
    "#,
];

fn options() -> Vec<ToSeries> {
    let default = ToSeries::default;
    let external: Labels =
        [("cluster", "c1"), ("code", "c"), ("host", "h"), ("job", "j"), ("mode", "m")].into_iter().collect();
    let mut all = vec![
        default(),
        ToSeries { target_info: false, ..default() },
        ToSeries { scope_info: false, ..default() },
        ToSeries { external_labels: external.clone(), ..default() },
        ToSeries { namespace: "my ns".into(), ..default() },
        ToSeries { resource_to_telemetry: true, ..default() },
        ToSeries { resource_to_telemetry: true, exclude_service_attributes: true, ..default() },
    ];
    for strategy in ["UnderscoreEscapingWithoutSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation"] {
        let strategy = Strategy::parse(strategy).unwrap();
        all.push(ToSeries { strategy, ..default() });
        let (external_labels, namespace) = (external.clone(), "1.ns".to_owned());
        let resource_to_telemetry = true;
        all.push(ToSeries { strategy, external_labels, namespace, resource_to_telemetry, ..default() });
    }
    all
}

/// The series of the table as they are, but `target_info`, which is made anew.
fn as_exposed(scrape: &Scrape) -> Vec<String> {
    let options = ToSeries { target_info: false, strategy: Strategy::NoTranslation, ..ToSeries::default() };
    let lines = directly(&options, scrape, &mut Scratch::default()).0;
    let mut exposed = scrape
        .points
        .iter()
        .filter(|point| !scrape.table.labels(point.series).any(|label| label == ("__name__", "target_info")));
    for line in &lines {
        let series = exposed.next().unwrap().series;
        let labels: Labels = scrape.table.labels(series).filter(|label| label.0 != "__name__").collect();
        assert!(line.contains(&labels.to_string()), "{line}");
    }
    assert!(exposed.next().is_none());
    lines
}

#[test]
fn scraped_series_keep_their_names_and_labels_through_otlp() {
    let options = ToSeries { target_info: false, ..ToSeries::default() };
    for text in &CORPUS[..7] {
        let scrape = scrape(text);
        let want = as_exposed(&scrape);
        for translate in [directly, through_otlp] {
            let (lines, report) = translate(&options, &scrape, &mut Scratch::default());
            assert_eq!(sorted(lines), sorted(want.clone()));
            assert_eq!(report.dropped, []);
        }
    }
}

#[test]
fn both_ways_give_the_same_with_all_options() {
    let mut scratch = Scratch::default();
    for options in options() {
        for text in CORPUS {
            let scrape = scrape(text);
            let (direct, direct_report) = directly(&options, &scrape, &mut scratch);
            let (through, through_report) = through_otlp(&options, &scrape, &mut scratch);
            assert_eq!(sorted(direct), sorted(through), "{options:?}");
            assert_eq!(direct_report, through_report);
        }
    }
}

#[test]
fn every_target_gets_a_target_info() {
    let scrape = scrape("up 1\ntarget_info{env=\"prod\"} 1\nup{job=\"db\",instance=\"db\"} 0 1700000000005");
    let (lines, _) = directly(&ToSeries::default(), &scrape, &mut Scratch::default());
    expect![[r#"
        up{instance="10.0.0.1:80", job="app"} 1
        up{instance="db", job="db"} 0 1700000000005
        target_info{env="prod", instance="10.0.0.1:80", job="app", server_address="10.0.0.1", server_port="80", url_scheme="http"} 1
        target_info{instance="db", job="db", server_address="db", url_scheme="http"} 1 1700000000005"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn names_that_prometheus_2_does_not_take_are_escaped_unless_they_are_wanted() {
    let scrape = scrape(CORPUS[7]);
    let of = |strategy| {
        let options = ToSeries { strategy, target_info: false, ..ToSeries::default() };
        directly(&options, &scrape, &mut Scratch::default()).0.join("\n")
    };
    expect![[r#"
        my_counter_total{http_method="GET", instance="10.0.0.1:80", job="app"} 1
        my_hist_bucket{a_b="c", instance="10.0.0.1:80", job="app", le="+Inf"} 1
        my_hist_count{a_b="c", instance="10.0.0.1:80", job="app"} 1
        a_b{instance="10.0.0.1:80", job="app", x_y="1;3;2"} 1
        ok{_st="x", instance="10.0.0.1:80", job="app"} 1"#]]
    .assert_eq(&of(Strategy::UnderscoreEscapingWithSuffixes));
    expect![[r#"
        my.counter_total{http.method="GET", instance="10.0.0.1:80", job="app"} 1
        my.hist_bucket{a b="c", instance="10.0.0.1:80", job="app", le="+Inf"} 1
        my.hist_count{a b="c", instance="10.0.0.1:80", job="app"} 1
        a.b{instance="10.0.0.1:80", job="app", x.y="1", x:y="3", x_y="2"} 1
        ok{1st="x", instance="10.0.0.1:80", job="app"} 1"#]]
    .assert_eq(&of(Strategy::NoTranslation));
}

#[test]
fn where_the_last_bucket_and_the_count_disagree_otlp_has_the_count() {
    let scrape = scrape("# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 4");
    let options = ToSeries { target_info: false, ..ToSeries::default() };
    let (direct, _) = directly(&options, &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&options, &scrape, &mut Scratch::default());
    assert!(direct[0].ends_with("le=\"+Inf\"} 3"), "{direct:?}");
    assert!(through[1].ends_with("le=\"+Inf\"} 4"), "{through:?}");
}

#[test]
fn families_of_a_scrape_are_described() {
    let scrape = scrape("# TYPE a counter\n# HELP a Says it.\n# UNIT a seconds\na_total 1\nup 1\nother 1");
    let mut families = Vec::new();
    ToSeries { target_info: false, ..ToSeries::default() }.scrape(
        &scrape,
        &mut Scratch::default(),
        &mut |series| families.push(format!("{:?}", series.family)),
    );
    expect![[r#"
        FamilyRef { name: "a", kind: Counter, help: "Says it.", unit: "seconds" }
        FamilyRef { name: "up", kind: Gauge, help: "The scraping was successful", unit: "" }
        FamilyRef { name: "other", kind: Unknown, help: "", unit: "" }"#]]
    .assert_eq(&families.join("\n"));
}

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
    let kinds =
        vec!["unknown", "counter", "gauge", "info", "stateset", "gaugehistogram", "histogram", "summary"];
    let names = vec![
        "a",
        "a_total",
        "a_seconds",
        "x__y",
        "a:b",
        "a_bucket",
        "a_sum",
        "a_created",
        "a.b",
        "target_info",
        "up",
    ];
    let units = vec!["", "seconds", "bytes", "ratio"];
    let times = prop_oneof![5 => Just(""), 1 => Just(" 1700000000500")];
    (
        prop::sample::select(kinds),
        prop::sample::select(names),
        prop::sample::select(units),
        prop::collection::vec((labels(), identity(), value(), times), 1..4),
    )
        .prop_map(|(kind, name, unit, series)| {
            let mut text = format!("# TYPE {name} {kind}\n# HELP {name} Help.\n# UNIT {name} {unit}\n");
            for (labels, identity, value, time) in series {
                let labels: Vec<_> = labels.into_iter().collect();
                let exemplar = if kind == "counter" && value != "STALE" {
                    " # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",a=\"b\"} 1 1700000000000"
                } else {
                    ""
                };
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
    let mut kept = Scrape { points: vec![], timestamps: vec![], exemplars: vec![], ..scrape.clone() };
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
        kept.points.push(point);
    }
    kept
}

fn any_scrape() -> impl Generate<Value = String> {
    prop::collection::vec(prop_oneof![simple(), distribution()], 0..6).prop_map(|families| {
        // Two histograms of one name would be torn ones, of which OTLP has the count only.
        let numbered = families.iter().enumerate().map(|(n, text)| text.replace("NUMBER", &n.to_string()));
        numbered.collect::<String>()
    })
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
        let (direct, direct_report) = directly(&options, &scrape, &mut scratch);
        let (through, through_report) = through_otlp(&options, &scrape, &mut scratch);
        prop_assert_eq!(sorted(direct), sorted(through));
        prop_assert_eq!(direct_report.n_dropped(), through_report.n_dropped());
    }

    #[test]
    fn no_sample_is_lost_on_the_way(text in any_scrape()) {
        let options = ToSeries { target_info: false, strategy: Strategy::NoTranslation, ..ToSeries::default() };
        let scrape = without_duplicates(scrape(&text));
        let exposed = as_exposed(&scrape);
        let (through, _) = through_otlp(&options, &scrape, &mut Scratch::default());
        prop_assert_eq!(sorted(through), sorted(exposed));
    }
}
