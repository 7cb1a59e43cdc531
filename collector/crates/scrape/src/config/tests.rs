//! The keys of a job as they are read, inherited and rendered.

mod keys;

use expect_test::expect;

use super::*;
use crate::tests::config;

fn global(text: &str) -> GlobalConfig {
    ::config::read(&::config::parse(text, "p.yaml").unwrap().root, "global").unwrap()
}

/// The job as an allocator serves it: keys sorted, as upstream's detour over JSON sorts them.
fn rendered(text: &str, global: &GlobalConfig) -> String {
    let value = serde_json::to_value(config(text).inherit(global)).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_job_is_rendered_as_upstream_renders_it() {
    expect![[r#"
        {
          "always_scrape_classic_histograms": false,
          "convert_classic_histograms_to_nhcb": false,
          "enable_compression": true,
          "enable_http2": true,
          "extra_scrape_metrics": false,
          "follow_redirects": true,
          "honor_timestamps": true,
          "job_name": "node/plain",
          "metric_name_escaping_scheme": "allow-utf-8",
          "metric_name_validation_scheme": "utf8",
          "metrics_path": "/metrics",
          "relabel_configs": [
            {
              "action": "replace",
              "replacement": "$1",
              "separator": ";",
              "source_labels": [
                "job"
              ],
              "target_label": "__tmp_prometheus_job_name"
            }
          ],
          "scheme": "http",
          "scrape_interval": "1m",
          "scrape_native_histograms": false,
          "scrape_protocols": [
            "OpenMetricsText1.0.0",
            "OpenMetricsText0.0.1",
            "PrometheusText1.0.0",
            "PrometheusText0.0.4"
          ],
          "scrape_timeout": "10s",
          "static_configs": [
            {
              "targets": [
                "h1:9100"
              ]
            }
          ],
          "track_timestamps_staleness": false
        }"#]]
    .assert_eq(&rendered(
        "job_name: node/plain\nstatic_configs: [{targets: ['h1:9100']}]\n\
         relabel_configs: [{source_labels: [job], target_label: __tmp_prometheus_job_name}]",
        &GlobalConfig::default(),
    ));
}

#[test]
fn whatever_is_set_is_rendered() {
    expect![[r#"
        {
          "always_scrape_classic_histograms": true,
          "basic_auth": {
            "password": "<secret>",
            "username": "u"
          },
          "body_size_limit": "10MiB",
          "convert_classic_histograms_to_nhcb": true,
          "enable_compression": false,
          "enable_http2": false,
          "extra_scrape_metrics": true,
          "fallback_scrape_protocol": "PrometheusText0.0.4",
          "follow_redirects": false,
          "honor_labels": true,
          "honor_timestamps": false,
          "job_name": "j",
          "keep_dropped_targets": 6,
          "label_limit": 3,
          "label_name_length_limit": 4,
          "label_value_length_limit": 5,
          "metric_name_escaping_scheme": "underscores",
          "metric_name_validation_scheme": "legacy",
          "metric_relabel_configs": [
            {
              "action": "drop",
              "regex": "go_.*",
              "replacement": "$1",
              "separator": ";",
              "source_labels": [
                "__name__"
              ]
            }
          ],
          "metrics_path": "/m",
          "native_histogram_bucket_limit": 7,
          "native_histogram_min_bucket_factor": 1.1,
          "params": {
            "module": [
              "a",
              "b"
            ]
          },
          "sample_limit": 1,
          "scheme": "https",
          "scrape_failure_log_file": "f.log",
          "scrape_interval": "1m30s",
          "scrape_native_histograms": true,
          "scrape_protocols": [
            "PrometheusText0.0.4"
          ],
          "scrape_timeout": "1s500ms",
          "target_limit": 2,
          "tls_config": {
            "insecure_skip_verify": true
          },
          "track_timestamps_staleness": true
        }"#]]
    .assert_eq(&rendered(
        "honor_labels: true\nhonor_timestamps: false\ntrack_timestamps_staleness: true\nparams: {module: [a, b]}\n\
         scrape_interval: 90s\nscrape_timeout: 1500ms\nscrape_protocols: [PrometheusText0.0.4]\n\
         fallback_scrape_protocol: PrometheusText0.0.4\nmetrics_path: /m\nscheme: https\nenable_compression: false\n\
         body_size_limit: 10MB\nsample_limit: 1\ntarget_limit: 2\nlabel_limit: 3\nlabel_name_length_limit: 4\n\
         label_value_length_limit: 5\nkeep_dropped_targets: 6\nscrape_failure_log_file: f.log\n\
         native_histogram_bucket_limit: 7\nnative_histogram_min_bucket_factor: 1.1\n\
         metric_name_validation_scheme: legacy\nscrape_native_histograms: true\n\
         always_scrape_classic_histograms: true\nconvert_classic_histograms_to_nhcb: true\nextra_scrape_metrics: true\n\
         metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]\n\
         basic_auth: {username: u, password: p}\ntls_config: {insecure_skip_verify: true}\nfollow_redirects: false\n\
         enable_http2: false",
        &GlobalConfig::default(),
    ));
}

#[test]
fn a_rendered_job_is_read_back_as_it_was() {
    let text = "scrape_interval: 90s\nbody_size_limit: 10MB\nparams: {a: [b]}\nhttp_sd_configs: [{url: 'http://x/y'}]\n\
                file_sd_configs: [{files: [a.json]}]\nrelabel_configs: [{action: labeldrop, regex: a}]";
    let job = config(text).inherit(&GlobalConfig::default());
    let again = config(&serde_json::to_string(&job).unwrap());
    assert_eq!(again.inherit(&GlobalConfig::default()), job);
}

#[test]
fn what_a_job_does_not_say_comes_from_global() {
    let global = global(
        "scrape_interval: 20s\nsample_limit: 5\nlabel_limit: 7\nbody_size_limit: 1MB\nscrape_protocols: [PrometheusText0.0.4]\n\
         extra_scrape_metrics: true\nmetric_name_validation_scheme: legacy\nscrape_failure_log_file: g.log",
    );
    let job = config("sample_limit: 9").inherit(&global);
    assert_eq!(job.scrape_interval, Some(Period::from_secs(20)));
    assert_eq!(job.scrape_timeout, Some(Period::from_secs(10)));
    assert_eq!((job.limits.sample_limit, job.limits.label_limit), (9, 7));
    assert_eq!(job.limits.body_size_limit.map(|size| size.as_u64()), Some(1 << 20));
    assert_eq!(job.scrape_protocols, Some(vec![ScrapeProtocol::PrometheusText0]));
    assert_eq!(job.switches.extra_scrape_metrics, Some(true));
    assert_eq!(job.metric_name_escaping_scheme, Some(EscapingScheme::Underscores));
    assert_eq!(job.limits.scrape_failure_log_file, "g.log");
    let own = config("extra_scrape_metrics: false\nmetric_name_validation_scheme: utf8").inherit(&global);
    assert_eq!(own.switches.extra_scrape_metrics, Some(false));
    assert_eq!(own.metric_name_escaping_scheme, Some(EscapingScheme::AllowUtf8));
}

#[test]
fn a_short_interval_shortens_the_timeout() {
    for (global_text, job_text, expected) in [
        ("", "scrape_interval: 5s", "5s"),
        ("scrape_interval: 5s", "", "5s"),
        ("scrape_interval: 5s", "scrape_interval: 1m", "5s"),
        ("scrape_timeout: 30s", "", "30s"),
        ("scrape_timeout: 30s", "scrape_interval: 15s", "15s"),
        ("", "scrape_timeout: 3s", "3s"),
    ] {
        let job = config(job_text).inherit(&global(global_text));
        assert_eq!(job.scrape_timeout.unwrap().to_string(), expected, "{global_text} / {job_text}");
    }
}

#[test]
fn native_histograms_put_protobuf_in_front() {
    let job = config("scrape_native_histograms: true").inherit(&GlobalConfig::default());
    assert_eq!(job.scrape_protocols.unwrap()[0], ScrapeProtocol::PrometheusProto);
}

#[test]
fn external_labels_take_the_environment() {
    let global = global("external_labels: {a: '${X}-$X-$Y', b: $$X, c: 7, d: 'x$'}");
    let labels = global.external_labels(|name| (name == "X").then(|| "value".to_owned()));
    assert_eq!(labels.to_string(), r#"{a="value-value-", b="$X", c="7", d="x"}"#);
}
