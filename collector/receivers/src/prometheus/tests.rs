//! The receiver's keys, and jobs in files.

mod api;
mod files;
mod running;

use expect_test::{Expect, expect};
use pipeline::{Component, Site};

use super::Prometheus;
use super::settings::Config;

fn config(text: &str) -> Result<Config, String> {
    let parsed = ::config::parse(text, "collector.yaml").unwrap();
    ::config::read(&parsed.root, "prometheus").map_err(|problems| lines(&problems))
}

fn lines(problems: &[::config::Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn build_at(text: &str, base_dir: &std::path::Path) -> Result<Prometheus, String> {
    let site = Site { base_dir: base_dir.to_owned(), ..Site::for_test("prometheus", None) };
    Prometheus::build(config(text)?, &site).map_err(|problems| lines(&problems))
}

fn build(text: &str) -> Result<Prometheus, String> {
    build_at(text, std::path::Path::new("."))
}

fn refused(text: &str, expected: Expect) {
    expected.assert_eq(&build(text).unwrap_err());
}

const JOB: &str = "scrape_configs: [{job_name: j}]";

#[test]
fn sections_of_other_programs_are_refused_unless_they_are_empty() {
    refused(
        &format!(
            "config: {{{JOB}, remote_write: [{{url: 'http://x'}}], remote_read: [{{url: 'http://x'}}], rule_files: [a], \
             alerting: {{alertmanagers: [{{}}], alert_relabel_configs: [{{}}]}}}}"
        ),
        expect![[r#"
            error: config::remote_write: a receiver writes nothing; paste the entry below exporters.prometheusremotewrite.remote_write
            error: config::remote_read: belongs to another program; remove the section
            error: config::rule_files: belongs to another program; remove the section
            error: config::alerting::alertmanagers: belongs to another program; remove the section
            error: config::alerting::alert_relabel_configs: belongs to another program; remove the section
        "#]],
    );
    build(&format!(
        "config: {{{JOB}, remote_write: [], remote_read: [], rule_files: [], alerting: {{alertmanagers: []}}}}"
    ))
    .unwrap();
}

#[test]
fn settings_of_prometheus_itself_are_accepted_with_a_warning() {
    let text = format!(
        "config: {{{JOB}, runtime: {{gogc: 50}}, storage: {{exemplars: {{max_exemplars: 1}}}}, tracing: {{endpoint: x}}, \
         otlp: {{translation_strategy: NoTranslation}}}}"
    );
    build(&text).unwrap();
    expect![[r#"
        warning: config::runtime: has no effect here: it is about Prometheus itself; remove the section
        warning: config::storage: has no effect here: it is about Prometheus itself; remove the section
        warning: config::tracing: has no effect here: it is about Prometheus itself; remove the section
        warning: config::otlp: has no effect here: it is about Prometheus itself; remove the section
    "#]]
    .assert_eq(&lines(&Prometheus::warnings(&config(&text).unwrap())));
}

#[test]
fn keys_of_rules_and_queries_in_global_are_accepted_without_effect() {
    build(&format!(
        "config: {{global: {{evaluation_interval: 5s, rule_query_offset: 1m, query_log_file: q.log}}, {JOB}}}"
    ))
    .unwrap();
}

#[test]
fn keys_that_others_removed_are_warned_about() {
    let text = format!(
        "{{config: {{{JOB}}}, use_start_time_metric: true, start_time_metric_regex: x, report_extra_scrape_metrics: true}}"
    );
    build(&text).unwrap();
    expect![[r#"
        warning: use_start_time_metric: has no effect: start times are never guessed, and those that targets expose are passed on with --feature-gates=receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion only; remove the key
        warning: start_time_metric_regex: has no effect: start times are never guessed, and those that targets expose are passed on with --feature-gates=receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion only; remove the key
        warning: report_extra_scrape_metrics: has no effect; set extra_scrape_metrics in config::global or a job
    "#]].assert_eq(&lines(&Prometheus::warnings(&config(&text).unwrap())));
}

#[test]
fn something_to_scrape_is_needed() {
    refused(
        "config: {}",
        expect![[r#"
        error: config: needs scrape_configs or scrape_config_files below config, or a target_allocator
    "#]],
    );
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    for text in [
        "colour: red",
        "config: {colour: red}",
        "config: {global: {colour: red}}",
        "config: {scrape_configs: [{job_name: j, colour: red}]}",
        "config: {scrape_configs: [{job_name: j, tls_config: {colour: red}}]}",
        "config: {scrape_configs: [{job_name: j, oauth2: {client_id: a, token_url: 'http://x', colour: red}}]}",
        "config: {scrape_configs: [{job_name: j, http_headers: {A: {colour: [red]}}}]}",
    ] {
        let text = format!("# first line\n{text}");
        let problems = config(&text).unwrap_err();
        assert!(problems.starts_with("error: collector.yaml:2:"), "{problems}");
        assert!(problems.contains("unknown key `colour`"), "{problems}");
    }
}

#[test]
fn a_way_to_log_in_that_cannot_work_is_refused_before_the_start() {
    refused(
        "config: {scrape_configs: [{job_name: j, basic_auth: {username: u, password_ref: r}}, \
         {job_name: k, tls_config: {max_version: TLS10}}, {job_name: l, tls_config: {ca: nonsense}}]}",
        expect![[r#"
            error: config::scrape_configs::0::basic_auth::password_ref: secret stores are not supported; give the value or a file
            error: config::scrape_configs::1::tls_config::max_version: TLS10 is not spoken, and a server that knows nothing newer cannot be reached; remove the key or set TLS12
            error: config::scrape_configs::2::tls_config::ca: cannot set up TLS: `tls_config.ca` holds no certificate
        "#]],
    );
}

#[test]
fn the_first_and_the_last_scrape_are_as_configured() {
    let usual = build(&format!("config: {{{JOB}}}")).unwrap();
    assert_eq!((usual.initial_offset.as_secs(), usual.scrape_on_shutdown), (0, false));
    let text = format!("{{config: {{{JOB}}}, initial_scrape_offset: 1m30s, scrape_on_shutdown: true}}");
    let set = build(&text).unwrap();
    assert_eq!((set.initial_offset.as_secs(), set.scrape_on_shutdown), (90, true));
}

#[test]
fn answers_without_a_content_type_are_text_unless_the_job_says_otherwise() {
    let receiver = build(
        "config: {scrape_configs: [{job_name: a}, {job_name: b, fallback_scrape_protocol: OpenMetricsText1.0.0}]}",
    )
    .unwrap();
    let fallbacks: Vec<_> =
        receiver.jobs.iter().map(|job| job.config().fallback_scrape_protocol.unwrap()).collect();
    assert_eq!(
        fallbacks,
        [scrape::ScrapeProtocol::PrometheusText0, scrape::ScrapeProtocol::OpenMetricsText1]
    );
}
