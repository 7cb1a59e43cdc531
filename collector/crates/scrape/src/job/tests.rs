use expect_test::expect;

use super::*;
use crate::tests::{config, job};

fn problems(jobs: &[&str], global: &str) -> String {
    let configs: Vec<ScrapeConfig> = jobs.iter().map(|text| config(text)).collect();
    let global = ::config::read(&::config::parse(global, "p.yaml").unwrap().root, "global").unwrap();
    let problems = Job::build_all(&configs, &global, Path::new(".")).map(drop).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_mistakes_are_told_at_once() {
    expect![[r#"
        error: global::scrape_timeout: must not be longer than scrape_interval (10s)
        error: scrape_configs::0::scrape_timeout: must not be longer than scrape_interval (10s)
        error: scrape_configs::0::scrape_protocols::1: `PrometheusText0.0.4` is listed twice
        error: scrape_configs::0::static_configs::0::targets::1: `http://b:1/metrics` is not a host with a port; use scheme and metrics_path for the rest of a URL
        error: scrape_configs::0::file_sd_configs::0::files: at least one file must be named
        error: scrape_configs::1::job_name: the name `j` is taken by scrape_configs::0
        error: scrape_configs::1::scrape_protocols: must not be empty
        error: scrape_configs::1::metric_name_escaping_scheme: `allow-utf-8` does not fit metric_name_validation_scheme `legacy`; use underscores, dots or values
        error: scrape_configs::2::job_name: must not be empty"#]]
    .assert_eq(&problems(
        &[
            "scrape_timeout: 11s\nscrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]\n\
             static_configs: [{targets: ['a:1', 'http://b:1/metrics']}]\nfile_sd_configs: [{files: []}]",
            "scrape_protocols: []\nmetric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8",
            "job_name: ''",
        ],
        "scrape_interval: 10s\nscrape_timeout: 20s",
    ).replace("error: scrape_configs::1::scrape_timeout: must not be longer than scrape_interval (10s)\n", ""));
}

#[test]
fn a_time_without_a_unit_is_refused() {
    expect![[r#"
        error: global::scrape_interval: 5ns is shorter than a millisecond; write the unit, for example 10s
        error: scrape_configs::0::scrape_interval: 10ns is shorter than a millisecond; write the unit, for example 10s
        error: scrape_configs::0::scrape_timeout: 1ns is shorter than a millisecond; write the unit, for example 10s"#]].assert_eq(&problems(&["scrape_interval: 10\nscrape_timeout: 1"], "scrape_interval: 5"));
}

#[test]
fn escaping_and_names_of_global_must_fit_each_other() {
    let global = "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8";
    expect!["error: global::metric_name_escaping_scheme: `allow-utf-8` does not fit metric_name_validation_scheme `legacy`; use underscores, dots or values"].assert_eq(&problems(&["metric_name_escaping_scheme: dots"], global));
}

#[test]
fn broken_rules_are_named_by_their_index() {
    let text = problems(
        &[
            "relabel_configs: [{action: keep, source_labels: [a]}, {regex: '('}]\nmetric_relabel_configs: [{action: hashmod}]",
        ],
        "",
    );
    assert!(text.contains("scrape_configs::0::relabel_configs::1: "), "{text}");
    assert!(text.contains("scrape_configs::0::metric_relabel_configs::0: "), "{text}");
    assert!(!text.contains("relabel_configs::0: error"), "{text}");
}

#[test]
fn a_target_may_look_like_a_url_when_rules_can_mend_it() {
    drop(job(
        "static_configs: [{targets: ['http://a/b']}]\nrelabel_configs: [{action: drop, source_labels: [x], regex: y}]",
    ));
}

#[test]
fn keys_without_effect_are_told_by_name() {
    let paths = |text: &str| -> Vec<String> {
        let job = job(text);
        assert!(job.warnings().iter().all(|problem| !problem.is_error()));
        job.warnings().iter().map(|problem| problem.path.clone()).collect()
    };
    assert_eq!(
        paths("native_histogram_bucket_limit: 5\nnative_histogram_min_bucket_factor: 1.5"),
        ["native_histogram_bucket_limit", "native_histogram_min_bucket_factor"]
    );
    assert_eq!(
        paths("scrape_native_histograms: true\nscrape_protocols: [OpenMetricsText1.0.0]"),
        ["scrape_native_histograms"]
    );
    let native = "scrape_native_histograms: true\nalways_scrape_classic_histograms: true\n\
                  convert_classic_histograms_to_nhcb: true\nnative_histogram_bucket_limit: 5";
    assert_eq!(paths(native), [""; 0]);
    assert_eq!(paths(""), [""; 0]);
    assert_eq!(paths("always_scrape_classic_histograms: true"), ["always_scrape_classic_histograms"]);
    for beside in ["scrape_native_histograms", "convert_classic_histograms_to_nhcb"] {
        assert_eq!(paths(&format!("always_scrape_classic_histograms: true\n{beside}: true")), [""; 0]);
    }
    assert_eq!(
        paths("track_timestamps_staleness: true\nhonor_timestamps: false"),
        ["track_timestamps_staleness"]
    );
    assert_eq!(paths("track_timestamps_staleness: true"), [""; 0]);
    assert_eq!(paths("honor_timestamps: false"), [""; 0]);
}

#[test]
fn a_switch_of_global_is_no_mistake_of_the_jobs_that_it_does_not_concern() {
    let global = "always_scrape_classic_histograms: true";
    let global = ::config::read(&::config::parse(global, "g.yaml").unwrap().root, "").unwrap();
    let build = |text: &str| Job::build(&config(text), &global, ".".as_ref()).unwrap();
    assert_eq!(build("").warnings(), []);
    assert_eq!(build("scrape_native_histograms: true").warnings(), []);
}

#[test]
fn protobuf_is_asked_for_where_it_is_listed_and_first_for_native_histograms() {
    const PROTO: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    assert_eq!(
        job("").accept(),
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    );
    assert_eq!(
        job("scrape_native_histograms: true").accept(),
        format!(
            "{PROTO};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        )
    );
    assert_eq!(
        job("scrape_protocols: [PrometheusText1.0.0, PrometheusProto]\nmetric_name_escaping_scheme: dots")
            .accept(),
        format!("text/plain;version=1.0.0;escaping=dots;q=0.6,{PROTO};q=0.5,*/*;q=0.4")
    );
    assert_eq!(job("fallback_scrape_protocol: PrometheusProto").fallback(), Some(Format::Protobuf));
}

#[test]
fn a_job_that_cannot_be_scraped_here_says_so() {
    let job = job("consul_sd_configs: [{server: 'c:8500'}]");
    let unsupported: Vec<String> = job.unsupported().iter().map(ToString::to_string).collect();
    let expected =
        "error: consul_sd_configs: this way of discovery is not built in yet; use `static_configs`";
    assert!(unsupported.len() == 1 && unsupported[0].starts_with(expected), "{unsupported:?}");
}
