//! Scraped series keep names and labels, whichever way they go, and both ways give the same: labels, values, families,
//! and the bytes of remote write 1. Where OTLP has no form for something, [`exceptions`] names it.

mod exceptions;
mod generated;

use expect_test::expect;
use model::{Labels, Scrape};

use super::super::*;
use crate::fixture::{both_ways, directly, scrape, sorted, through_otlp};

/// Expositions that upstream translators are known to change, and ordinary ones.
const CORPUS: [&str; 9] = [
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
    "#,
    // Native histograms, with bounds of their own too, of floats, with times and exemplars; ends of them.
    r#"
    # TYPE native histogram
    # UNIT native seconds
    native{a="b"} native(schema=3,sum=2.5,threshold=0.001,zero=2,pos=-1:1:2;3:4,neg=0:1) # {trace_id="0af7651916cd43dd8448eb211c80319c",user="u"} 0.5 1700000000001
    native{a="c"} native(schema=0,sum=NaN,pos=0:1:0:0:0:2:0) 1700000000500 # {x="y"} 7 1700000000400
    native{a="d"} native(schema=-4,sum=0) st@1600000000000
    native{a="e",le="1.0"} native(schema=8,sum=-1.5,count=9,zero=3,neg=-5:1;20000:2)
    native{a="f"} native(schema=1,sum=1,pos=2:3;0:4:0,float)
    native{a="g"} STALE
    native{a="h"} native(schema=0,sum=STALE)
    # TYPE custom histogram
    custom{a="b"} native(schema=-53,sum=2.5,pos=0:1;1:4,bounds=0.5:1:2)
    custom{a="c"} native(schema=-53,sum=2.5,count=3,pos=0:0:3,float,bounds=0.5)
    custom{a="d"} native(schema=-53,sum=0)
    custom_bucket{a="b",le="0.5"} 1
    custom_bucket{a="b",le="+Inf"} 5
    custom_sum{a="b"} 2.5
    custom_count{a="b"} 5
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
    let native = HistogramOptions { native: true, ..HistogramOptions::default() };
    let default = || ToSeries { histograms: native, ..ToSeries::default() };
    let custom = HistogramOptions { explicit_to_custom: true, ..native };
    let labels = |included: &[&str], excluded: &[&str]| ResourceLabels {
        included: included.iter().map(|pattern| (*pattern).to_owned()).collect(),
        excluded: excluded.iter().map(|pattern| (*pattern).to_owned()).collect(),
    };
    let external: Labels =
        [("cluster", "c1"), ("code", "c"), ("host", "h"), ("job", "j"), ("mode", "m")].into_iter().collect();
    let mut all = vec![
        default(),
        ToSeries::default(),
        ToSeries { histograms: custom, ..default() },
        ToSeries { histograms: HistogramOptions { keep_classic: true, ..custom }, ..default() },
        ToSeries { resource_labels: labels(&["*.name", "env"], &["service.*"]), ..default() },
        ToSeries { resource_labels: labels(&[], &["url.*"]), ..default() },
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

/// Nothing is added and nothing renamed.
fn untouched() -> ToSeries {
    let histograms = HistogramOptions { native: true, ..HistogramOptions::default() };
    let strategy = Strategy::NoTranslation;
    ToSeries { target_info: false, strategy, histograms, ..ToSeries::default() }
}

/// The series of the table as they are, but `target_info`, which is made anew.
fn as_exposed(scrape: &Scrape) -> Vec<String> {
    let lines = directly(&untouched(), scrape, &mut Scratch::default()).0;
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
    let options = ToSeries { strategy: Strategy::default(), ..untouched() };
    for text in &CORPUS[..8] {
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
            let [(direct, direct_report), (through, through_report)] =
                both_ways(&options, &scrape, &mut scratch);
            assert_eq!(direct, through, "{options:?}");
            assert_eq!(direct_report.n_samples, through_report.n_samples);
            assert_eq!(direct_report.n_dropped(), through_report.n_dropped(), "{options:?}");
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
    let scrape = scrape(CORPUS[8]);
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

#[test]
fn exemplars_that_are_too_long_keep_only_their_ids_both_ways() {
    let long = "y".repeat(100);
    let scrape = scrape(&format!(
        "# TYPE c counter\nc_total 1 # {{trace_id=\"0af7651916cd43dd8448eb211c80319c\",x=\"{long}\"}} 1 1700000000000\n\
         # TYPE d counter\nd_total 1 # {{trace_id=\"none\",x=\"{long}{long}\"}} 1 1700000000000"
    ));
    for translate in [directly, through_otlp] {
        let (lines, _) = translate(&untouched(), &scrape, &mut Scratch::default());
        let id = " # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 1";
        assert!(lines[0].ends_with(id) && lines[1].ends_with(" # {} 1"), "{lines:?}");
    }
}
