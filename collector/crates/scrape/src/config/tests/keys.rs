//! Every key of `global` and of a job: its default, what a job inherits, and what is said of a wrong value.

use expect_test::expect;

use super::global;
use crate::tests::config;
use crate::{GlobalConfig, ScrapeConfig};

/// A job as it takes effect, key by key.
fn in_effect(job: &str, of_global: &str) -> serde_json::Value {
    serde_json::to_value(config(job).inherit(&global(of_global))).unwrap()
}

#[test]
fn global_defaults_are_those_of_prometheus() {
    let global = GlobalConfig::default();
    assert_eq!(
        (global.scrape_interval.to_string(), global.timeout().to_string()),
        ("1m".into(), "10s".into())
    );
    assert_eq!(serde_json::to_string(&global).unwrap(), r#"{"scrape_interval":"1m"}"#, "nothing else is set");
}

#[test]
fn a_job_inherits_what_it_leaves_out_and_keeps_what_it_says() {
    for (key, of_global, of_job, default) in [
        ("scrape_interval", "20s", "30s", "1m"),
        ("scrape_timeout", "5s", "3s", "10s"),
        ("body_size_limit", "1MiB", "2KiB", ""),
        ("sample_limit", "1", "2", ""),
        ("target_limit", "3", "4", ""),
        ("label_limit", "5", "6", ""),
        ("label_name_length_limit", "7", "8", ""),
        ("label_value_length_limit", "9", "10", ""),
        ("keep_dropped_targets", "11", "12", ""),
        ("scrape_failure_log_file", "global.log", "job.log", ""),
        ("metric_name_validation_scheme", "legacy", "utf8", "utf8"),
        ("metric_name_escaping_scheme", "dots", "values", "allow-utf-8"),
        ("scrape_native_histograms", "true", "false", "false"),
        ("always_scrape_classic_histograms", "true", "false", "false"),
        ("convert_classic_histograms_to_nhcb", "true", "false", "false"),
        ("extra_scrape_metrics", "true", "false", "false"),
    ] {
        let shown = |job: &str, global: &str| match &in_effect(job, global)[key] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (said_by_global, said_by_job) = (format!("{key}: {of_global}"), format!("{key}: {of_job}"));
        assert_eq!(shown("", ""), default, "{key}");
        assert_eq!(shown("", &said_by_global), of_global, "{key}");
        assert_eq!(shown(&said_by_job, &said_by_global), of_job, "{key}");
    }
}

#[test]
fn zero_in_a_job_means_the_limit_of_global() {
    for key in [
        "sample_limit",
        "target_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "keep_dropped_targets",
        "body_size_limit",
    ] {
        let (of_job, of_global) = (format!("{key}: 0"), format!("{key}: 7"));
        let inherited = in_effect(&of_job, &of_global)[key].clone();
        assert!(inherited == 7 || inherited == "7B", "{key}: {inherited}");
        assert_eq!(in_effect(&of_job, ""), in_effect("", ""), "{key}: zero means none");
    }
}

#[test]
fn protocols_are_inherited_as_a_whole_and_histograms_only_move_the_default() {
    let first = |job: &str, global: &str| in_effect(job, global)["scrape_protocols"][0].clone();
    let listed = "scrape_protocols: [PrometheusText0.0.4]";
    assert_eq!(first("", ""), "OpenMetricsText1.0.0");
    assert_eq!(first("scrape_native_histograms: true", ""), "PrometheusProto");
    assert_eq!(first("", "scrape_native_histograms: true"), "PrometheusProto");
    assert_eq!(first("scrape_native_histograms: true", listed), "PrometheusText0.0.4");
    assert_eq!(first("scrape_protocols: [PrometheusText1.0.0]", listed), "PrometheusText1.0.0");
}

#[test]
fn defaults_of_a_job_are_those_of_prometheus() {
    let job: ScrapeConfig = config("");
    assert_eq!((job.metrics_path.as_str(), job.scheme.as_str()), ("/metrics", "http"));
    assert_eq!(
        (job.honor_labels, job.honor_timestamps, job.track_timestamps_staleness),
        (false, true, false)
    );
    assert_eq!((job.enable_compression, job.params.len()), (true, 0));
    assert_eq!((job.native_histogram_bucket_limit, job.native_histogram_min_bucket_factor), (0, 0.0));
    assert_eq!(job.fallback_scrape_protocol, None);
    assert_eq!((job.client.follow_redirects, job.client.enable_http2), (true, true));
}

#[test]
fn credentials_may_be_written_as_numbers() {
    let job = config("basic_auth: {username: 0017, password: 12}\nhttp_headers: {X-A: {values: [1]}}");
    let basic = job.client.basic_auth.unwrap();
    assert_eq!((basic.username.as_str(), basic.password.unwrap().expose()), ("0017", "12"));
    assert_eq!(job.client.http_headers["X-A"].values, ["1"]);
}

#[test]
fn durations_and_sizes_are_written_as_in_go() {
    for (written, meant) in [
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1y", 31_536_000_000),
        ("1h30m", 5_400_000),
        ("1m30s500ms", 90_500),
    ] {
        let job = config(&format!("scrape_interval: {written}"));
        assert_eq!(job.scrape_interval.unwrap().as_duration().as_millis(), meant, "{written}");
    }
    for (written, meant) in [
        ("1B", 1),
        ("1KB", 1 << 10),
        ("1KiB", 1 << 10),
        ("10MB", 10 << 20),
        ("2GiB", 2 << 30),
        ("1TB", 1 << 40),
    ] {
        let job = config(&format!("body_size_limit: {written}"));
        assert_eq!(job.limits.body_size_limit.unwrap().as_u64(), meant, "{written}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_place_and_its_key() {
    let mut lines = String::new();
    for text in [
        "{}",
        "scrape_interval: 0s",
        "scrape_interval: fast",
        "scrape_timeout: -1s",
        "scrape_protocols: [OpenMetrics]",
        "scrape_protocols: OpenMetricsText1.0.0",
        "fallback_scrape_protocol: text",
        "scrape_native_histograms: maybe",
        "native_histogram_bucket_limit: -1",
        "native_histogram_min_bucket_factor: wide",
        "metrics_path: [a]",
        "scheme: ftp",
        "params: {a: b}",
        "honor_labels: 1",
        "enable_compression: gzip",
        "body_size_limit: 10XB",
        "sample_limit: many",
        "target_limit: -5",
        "label_limit: 1.5",
        "metric_name_validation_scheme: UTF8",
        "metric_name_escaping_scheme: none",
        "relabel_configs: {}",
        "static_configs: [{target: [a]}]",
        "oauth2: {token_url: 'nowhere'}",
        "tls_config: {min_version: '1.2'}",
        "http_headers: {A: [b]}",
        "follow_redirects: 3",
    ] {
        let text = if text == "{}" { text.to_owned() } else { format!("job_name: j\n{text}") };
        let root = ::config::parse(&text, "p.yaml").unwrap().root;
        match ::config::read::<ScrapeConfig>(&root, "") {
            Ok(_) => lines.push_str(&format!("accepted: {text:?}\n")),
            Err(problems) => lines.extend(problems.iter().map(|problem| format!("{problem}\n"))),
        }
    }
    expect![[r#"
        error: p.yaml:1:1: missing key `job_name`
        error: p.yaml:2:18: scrape_interval: the duration must not be zero
        error: p.yaml:2:18: scrape_interval: "fast" is not a duration; write for example 30s, 1m30s or 200ms
        error: p.yaml:2:17: scrape_timeout: "-1s" is negative, a duration must not be
        error: p.yaml:2:20: scrape_protocols::0: the string "OpenMetrics" is not one of `PrometheusProto`, `OpenMetricsText1.0.0`, `OpenMetricsText0.0.1`, `PrometheusText1.0.0`, `PrometheusText0.0.4`
        accepted: "job_name: j\nscrape_protocols: OpenMetricsText1.0.0"
        error: p.yaml:2:27: fallback_scrape_protocol: the string "text" is not one of `PrometheusProto`, `OpenMetricsText1.0.0`, `OpenMetricsText0.0.1`, `PrometheusText1.0.0`, `PrometheusText0.0.4`
        error: p.yaml:2:27: scrape_native_histograms: expected a boolean, found the string "maybe"
        error: p.yaml:2:32: native_histogram_bucket_limit: -1 is too small, the least is 0
        error: p.yaml:2:37: native_histogram_min_bucket_factor: expected a number, found the string "wide"
        error: p.yaml:2:15: metrics_path: expected a string, found a list
        error: p.yaml:2:9: scheme: the string "ftp" is not one of `http`, `https`
        accepted: "job_name: j\nparams: {a: b}"
        error: p.yaml:2:15: honor_labels: expected a boolean, found the integer 1
        error: p.yaml:2:21: enable_compression: expected a boolean, found the string "gzip"
        error: p.yaml:2:18: body_size_limit: "10XB" is not a size; write for example 512KiB, 10MB or a number of bytes
        error: p.yaml:2:15: sample_limit: expected an integer, found the string "many"
        error: p.yaml:2:15: target_limit: -5 is too small, the least is 0
        error: p.yaml:2:14: label_limit: expected an integer, found the number 1.5
        error: p.yaml:2:32: metric_name_validation_scheme: the string "UTF8" is not one of `utf8`, `legacy`; did you mean `utf8`?
        error: p.yaml:2:30: metric_name_escaping_scheme: the string "none" is not one of `allow-utf-8`, `underscores`, `dots`, `values`
        error: p.yaml:2:18: relabel_configs: expected a list, found a map
        error: p.yaml:2:19: static_configs::0: unknown key `target`; did you mean `targets`?
        error: p.yaml:2:21: oauth2::token_url: the URL has no scheme; write for example http://host:8080/path
        error: p.yaml:2:27: tls_config::min_version: the string "1.2" is not one of `TLS10`, `TLS11`, `TLS12`, `TLS13`
        error: p.yaml:2:19: http_headers::A: expected a map, found a list
        error: p.yaml:2:19: follow_redirects: expected a boolean, found the integer 3
    "#]].assert_eq(&lines);
}
