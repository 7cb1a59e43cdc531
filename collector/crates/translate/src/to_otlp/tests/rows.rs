//! The tables of the conversion, row by row: what type becomes what, and where each field comes from.

use super::*;
use crate::fixture::{check_frames, translated};
use crate::{ScopeInfo, ToOtlp};

/// Metrics and points alone, without resource and scope.
fn metrics(text: &str) -> String {
    let printed = print_otlp(&frames_of(&scrape(text)));
    let lines = printed.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn rows(text: &str, want: &Expect) {
    want.assert_eq(&metrics(text));
}

#[test]
fn a_counter_is_a_monotonic_cumulative_sum_under_its_full_sample_name() {
    rows(
        "# TYPE x_total counter\nx_total 5",
        &expect![[r#"
            counter x_total {prometheus.type=counter} [] 
              {} 5
        "#]],
    );
}

#[test]
fn gauges_and_what_has_no_known_type_are_gauges() {
    rows(
        "# TYPE a gauge\na 1\n# TYPE b unknown\nb 2\nc 3",
        &expect![[r#"
            gauge a {prometheus.type=gauge} [] 
              {} 1
            gauge b {prometheus.type=unknown} [] 
              {} 2
            gauge c {prometheus.type=unknown} [] 
              {} 3
        "#]],
    );
}

#[test]
fn a_classic_histogram_is_a_cumulative_one_with_explicit_bounds() {
    rows(
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3",
        &expect![[r#"
            histogram h {prometheus.type=histogram} [] 
              {} count 3 sum Some(4.0) bounds [1.0] counts [1, 2]
        "#]],
    );
}

#[test]
fn a_native_histogram_with_bounds_of_its_own_has_explicit_bounds() {
    rows(
        "# TYPE h histogram\nh native(schema=-53,sum=4,pos=0:1;1:2,bounds=1:2:3)",
        &expect![[r#"
            histogram h {prometheus.type=histogram, muster.absent=classic} [] 
              {} count 3 sum Some(4.0) bounds [1.0, 2.0, 3.0] counts [1, 0, 2, 0]
        "#]],
    );
}

#[test]
fn a_native_histogram_is_a_cumulative_exponential_one() {
    rows(
        "# TYPE h histogram\nh{a=\"b\"} native(schema=3,sum=4,threshold=0.5,zero=2,pos=-1:1;2:3,neg=4:5)",
        &expect![[r#"
            exponential_histogram h {prometheus.type=histogram} [] 
              {a=b} count 11 sum Some(4.0) scale 3 zero 2 within 0.5 positive -2 [1, 0, 0, 3] negative 3 [5]
        "#]],
    );
}

#[test]
fn a_gauge_histogram_is_dropped_counted_and_named() {
    for series in ["s_bucket{le=\"+Inf\"} 3\ns_gcount 3", "s native(schema=0,sum=1,gauge)\ns STALE"] {
        let (frames, report) = translated(&scrape(&format!("# TYPE s gaugehistogram\n{series}")));
        assert_eq!((frames.resources.len(), report.n_samples, report.n_dropped()), (0, 0, 2), "{series}");
        let printed = report.dropped[0].to_string();
        assert!(
            printed.contains("2 points dropped, of `s") && printed.contains("gauge_histogram"),
            "{printed}"
        );
    }
}

#[test]
fn a_summary_is_a_summary() {
    rows(
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 4\ns_count 3",
        &expect![[r#"
            summary s {prometheus.type=summary} [] 
              {} count 3 sum 4 quantiles [(0.5, 1.0)]
        "#]],
    );
}

#[test]
fn info_and_stateset_are_sums_that_may_go_down() {
    rows(
        "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"a\"} 0",
        &expect![[r#"
            sum i_info {prometheus.type=info, muster.family=i} [] 
              {v=1} 1
            sum s {prometheus.type=stateset} [] 
              {s=a} 0
        "#]],
    );
}

#[test]
fn target_info_is_merged_into_the_resource_and_is_no_metric() {
    for kind in ["target info", "target_info gauge"] {
        let text = format!(
            "# TYPE {kind}\ntarget_info{{env=\"prod\",job=\"app\",instance=\"10.0.0.1:80\"}} 1\nup 1"
        );
        let printed = print_otlp(&frames_of(&scrape(&text)));
        assert!(printed.lines().next().unwrap().ends_with(", env=prod}"), "{printed}");
        assert!(!printed.contains("target_info"), "{printed}");
    }
}

#[test]
fn otel_scope_info_is_a_metric_like_others() {
    check(
        "# TYPE otel_scope info\notel_scope_info{otel_scope_name=\"lib\"} 1",
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope lib@ {} 
                sum otel_scope_info {prometheus.type=info, muster.family=otel_scope} [] 
                  {} 1
        "#]],
    );
}

#[test]
fn series_about_the_scrape_are_gauges_described_by_a_table() {
    let printed = metrics(
        "up 1\nscrape_duration_seconds 1\nscrape_samples_scraped 1\nscrape_series_added 1\n\
         scrape_samples_post_metric_relabeling 1",
    );
    let heads: Vec<&str> = printed.lines().filter(|line| line.starts_with("gauge ")).collect();
    assert_eq!(heads.len(), 5);
    assert!(heads.iter().all(|head| !head.ends_with("] ")), "{heads:?}");
    assert!(printed.contains("scrape_duration_seconds {prometheus.type=gauge} [s]"), "{printed}");
}

#[test]
fn the_name_stays_unless_suffixes_are_trimmed() {
    let text = "# TYPE cpu_seconds_total counter\n# UNIT cpu_seconds_total seconds\ncpu_seconds_total 1";
    let into_otlp = |trim_metric_suffixes| {
        let scope = ScopeInfo::prometheus_receiver("1.0");
        let (frames, _) = ToOtlp { scope, trim_metric_suffixes }.scrape(&scrape(text));
        check_frames(&frames);
        print_otlp(&frames)
    };
    assert!(into_otlp(false).contains("counter cpu_seconds_total {prometheus.type=counter} [s]"));
    let trimmed = "counter cpu {prometheus.type=counter, muster.absent=suffix=unit,suffix=total} [s]";
    assert!(into_otlp(true).contains(trimmed), "{}", into_otlp(true));
}

#[test]
fn help_is_the_description_and_the_unit_word_becomes_ucum() {
    rows(
        "# TYPE rate gauge\n# HELP rate Says it.\n# UNIT rate bytes_per_second\nrate 1",
        &expect![[r#"
            gauge rate {prometheus.type=gauge} [By/s] Says it.
              {} 1
        "#]],
    );
}

#[test]
fn the_exposed_type_travels_in_the_metadata() {
    for kind in ["counter", "gauge", "info", "stateset", "unknown"] {
        let printed = metrics(&format!("# TYPE x {kind}\nx 1"));
        assert!(printed.contains(&format!("{{prometheus.type={kind}}}")), "{printed}");
    }
}

#[test]
fn a_series_whose_family_has_another_shape_is_not_joined() {
    rows(
        "# TYPE a histogram\n# TYPE a_count gauge\na_count 2\na_sum 1",
        &expect![[r#"
            gauge a_count {prometheus.type=gauge} [] 
              {} 2
            gauge a_sum {prometheus.type=histogram, muster.family=a} [] 
              {} 1
        "#]],
    );
}

#[test]
fn the_scope_comes_from_labels_or_is_the_receivers_own() {
    let text = "a{otel_scope_name=\"n\",otel_scope_version=\"v\",otel_scope_schema_url=\"u\",otel_scope_k=\"x\"} 1\nb 1";
    let printed = print_otlp(&frames_of(&scrape(text)));
    let scopes: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("  scope ")).collect();
    assert_eq!(scopes, ["n@v {k=x} u", "prometheusreceiver@1.0 {} "]);
}

#[test]
fn attributes_are_the_labels_that_say_nothing_else() {
    rows(
        "# TYPE h histogram\n\
         h_bucket{le=\"+Inf\",quantile=\"q\",x=\"1\"} 1\nh_count{quantile=\"q\",x=\"1\"} 1\n\
         a{job=\"app\",instance=\"10.0.0.1:80\",__scheme__=\"s\",__metrics_path__=\"/m\",le=\"l\",empty=\"\",x=\"2\"} 1",
        &expect![[r#"
            histogram h {prometheus.type=histogram} [] 
              {quantile=q, x=1} count 1 sum None bounds [] counts [1]
            gauge a {prometheus.type=unknown} [] 
              {le=l, x=2} 1
        "#]],
    );
}

#[test]
fn the_time_is_that_of_the_scrape_or_the_exposed_one() {
    rows(
        "a{b=\"1\"} 1\na{b=\"2\"} 1 1700000000007",
        &expect![[r#"
            gauge a {prometheus.type=unknown} [] 
              {b=1} 1
              {b=2} 1 at +7ms
        "#]],
    );
}

#[test]
fn start_times_are_passed_on_for_what_counts_and_never_guessed() {
    rows(
        "# TYPE c counter\nc_total{a=\"1\"} 1 st@1699999999000\nc_total{a=\"2\"} 1\n\
         # TYPE s summary\ns_count 1 st@1699999998000\ns_sum 1\n\
         # TYPE n histogram\nn native(schema=0,sum=1,pos=0:1) st@1699999997000\n\
         # TYPE u histogram\nu native(schema=-53,sum=1,pos=0:1) st@1699999996000",
        &expect![[r#"
            counter c_total {prometheus.type=counter, muster.family=c} [] 
              {a=1} 1 since -1000ms
              {a=2} 1
            summary s {prometheus.type=summary} [] 
              {} count 1 sum 1 quantiles [] since -2000ms
            exponential_histogram n {prometheus.type=histogram} [] 
              {} count 1 sum Some(1.0) scale 0 zero 0 within 0.0 positive -1 [1] negative 0 [] since -3000ms
            histogram u {prometheus.type=histogram, muster.absent=classic} [] 
              {} count 1 sum Some(1.0) bounds [] counts [1] since -4000ms
        "#]],
    );
}

#[test]
fn the_smallest_start_of_a_group_is_that_of_its_point() {
    rows(
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 st@1699999999000\nh_sum 1 st@1699999997000\nh_count 1 st@1699999998000",
        &expect![[r#"
            histogram h {prometheus.type=histogram} [] 
              {} count 1 sum Some(1.0) bounds [] counts [1] since -3000ms
        "#]],
    );
}

#[test]
fn the_end_of_a_series_is_a_point_without_a_value() {
    rows(
        "# TYPE g gauge\ng STALE\n# TYPE n histogram\nn{a=\"1\"} STALE\nn{a=\"2\"} native(schema=3,sum=STALE)",
        &expect![[r#"
            gauge g {prometheus.type=gauge} [] 
              {} none stale
            exponential_histogram n {prometheus.type=histogram} [] 
              {a=1} count 0 sum None scale 0 zero 0 within 0.0 positive 0 [] negative 0 [] stale
              {a=2} count 0 sum None scale 0 zero 0 within 0.0 positive 0 [] negative 0 [] stale
        "#]],
    );
}

#[test]
fn a_classic_histogram_ends_with_its_count_but_not_with_its_sum() {
    rows(
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum STALE\nh_count 2\n# TYPE i histogram\ni_sum STALE\ni_count STALE",
        &expect![[r#"
            histogram h {prometheus.type=histogram} [] 
              {} count 2 sum None bounds [] counts [2]
            gauge h_sum {prometheus.type=histogram, muster.family=h} [] 
              {} none stale
            histogram i {prometheus.type=histogram, muster.absent=le=+Inf} [] 
              {} count 0 sum Some(0.0) bounds [] counts [0] stale
        "#]],
    );
}

#[test]
fn exemplars_of_counters_and_of_all_histograms_keep_their_ids() {
    let exemplar = r#" # {trace_id="0af7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331",u="v"} 1"#;
    let text = format!(
        "# TYPE c counter\nc 1{exemplar}\n# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 1{exemplar}\nh_count 1\n\
         # TYPE n histogram\nn native(schema=0,sum=1,pos=0:1){exemplar}\n\
         # TYPE u histogram\nu native(schema=-53,sum=1,pos=0:1){exemplar}"
    );
    let printed = metrics(&text);
    let exemplars: Vec<&str> = printed.lines().filter(|line| line.contains("exemplar ")).collect();
    let want = "exemplar 1 trace 0af7651916cd43dd8448eb211c80319c span b7ad6b7169203331 {u=v}";
    assert_eq!(exemplars.len(), 4);
    assert!(exemplars.iter().all(|line| line.trim() == want), "{exemplars:?}");
}

#[test]
fn points_of_one_group_with_different_times_are_different_points() {
    rows(
        "# TYPE s summary\ns_count 1\ns_count 2 1700000000007",
        &expect![[r#"
            summary s {prometheus.type=summary, muster.absent=sum} [] 
              {} count 1 sum 0 quantiles []
              {} count 2 sum 0 quantiles [] at +7ms
        "#]],
    );
}

#[test]
fn there_is_one_frame_for_each_job_and_instance() {
    let frames = frames_of(&scrape("a 1\nb{job=\"x\"} 1\nc 1\nd{job=\"x\"} 1"));
    assert_eq!((frames.resources.len(), frames.n_items), (2, 4));
}

#[test]
fn a_missing_sum_is_unset_in_histograms_and_zero_in_summaries() {
    rows(
        "# TYPE h histogram\nh_count 1\n# TYPE s summary\ns_count 1",
        &expect![[r#"
            histogram h {prometheus.type=histogram, muster.absent=le=+Inf} [] 
              {} count 1 sum None bounds [] counts [1]
            summary s {prometheus.type=summary, muster.absent=sum} [] 
              {} count 1 sum 0 quantiles []
        "#]],
    );
}

#[test]
fn float_histograms_of_whole_numbers_become_integers_and_others_are_dropped() {
    rows(
        "# TYPE h histogram\nh native(schema=0,sum=1.5,zero=1,pos=3:2,float)",
        &expect![[r#"
            exponential_histogram h {prometheus.type=histogram, muster.absent=integers} [] 
              {} count 3 sum Some(1.5) scale 0 zero 1 within 0.0 positive 2 [2] negative 0 []
        "#]],
    );
    let (frames, report) = translated(&scrape("# TYPE h histogram\nh native(schema=0,pos=3:2.5,float)"));
    assert_eq!(frames.n_items, 0);
    assert_eq!(report.dropped[0].metric, "h");
    assert!(report.dropped[0].to_string().contains("fractional_histogram"), "{}", report.dropped[0]);
}

#[test]
fn a_histogram_that_is_too_wide_is_refused_by_the_name_of_the_limit() {
    let (_, report) = translated(&scrape("# TYPE h histogram\nh native(schema=8,pos=-40000:1;80000:1)"));
    let printed = report.dropped[0].to_string();
    assert!(printed.contains("max_exponential_buckets (65536)"), "{printed}");
}
