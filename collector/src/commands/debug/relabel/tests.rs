//! Command lines and files in, pages out.

use clap::Parser;
use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// What is printed for a file and a command line; the folder of the file is left out.
fn shown(file: &str, line: &[&str], stdin: &str) -> Result<String, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, file).unwrap();
    let path = path.display().to_string();
    let words = ["relabel", "--rules", &path].into_iter().chain(line.iter().copied());
    let args = Line::try_parse_from(words).map_err(|error| error.to_string())?.args;
    let outcome = text(&args, &mut stdin.as_bytes()).map_err(|Failure(text)| text);
    let without_folder = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    outcome.map(without_folder).map_err(without_folder)
}

fn check(file: &str, line: &[&str], expected: Expect) {
    expected.assert_eq(&shown(file, line, "").unwrap());
}

fn refused(file: &str, line: &[&str], stdin: &str) -> String {
    shown(file, line, stdin).unwrap_err()
}

const LIST: &str = r#"
- {source_labels: [job, code], separator: "@", regex: "(a.*)@(\\d)(?P<rest>\\d*)(x)?", target_label: class, replacement: "${2}xx"}
- {action: labelmap, regex: "m_(.+)"}
- {action: labeldrop, regex: "m_.+"}
- {action: uppercase, source_labels: [job], target_label: job}
- {action: hashmod, source_labels: [nothing], modulus: 1, target_label: shard}
- {source_labels: [code], regex: 3.., target_label: x}
- {action: dropequal, source_labels: [job], target_label: code}
- {action: drop, source_labels: [class], regex: 2xx}
- {target_label: never}
"#;

#[test]
fn every_rule_is_shown_until_one_drops_the_set() {
    check(
        LIST,
        &[r#"up{job="api",m_app="cart"}"#, "--label", "code=200"],
        expect![[r#"
        9 rules of rules.yaml
        start:
            __name__="up"
            code="200"
            job="api"
            m_app="cart"
        rule 0: {action: replace, source_labels: [job, code], separator: "@", regex: "(a.*)@(\\d)(?P<rest>\\d*)(x)?", target_label: "class", replacement: "${2}xx"}
            "api@200" matches: ${1}="api", ${2}="2", ${rest}="00", ${4} took no part
            + class="2xx"
        rule 1: {action: labelmap, regex: "m_(.+)"}
            matching names: m_app
            + app="cart"
        rule 2: {action: labeldrop, regex: "m_.+"}
            matching names: m_app
            - m_app="cart"
        rule 3: {action: uppercase, source_labels: [job], target_label: "job"}
            uppercase of "api"
            ~ job="api" -> "API"
        rule 4: {action: hashmod, source_labels: [nothing], target_label: "shard", modulus: 1}
            hashmod of ""
            + shard="0"
        rule 5: {action: replace, source_labels: [code], regex: "3..", target_label: "x"}
            "200" does not match
            nothing changes
        rule 6: {action: dropequal, source_labels: [job], target_label: "code"}
            "API" is not the target label's "200"
            nothing changes
        rule 7: {action: drop, source_labels: [class], regex: "2xx"}
            "2xx" matches
        dropped by rule 7
    "#]],
    );
}

#[test]
fn labels_come_as_json_on_standard_input() {
    let page = shown("[]", &["-", "--label", "b=3"], r#"{"b": "2", "a": "x\ny"}"#).unwrap();
    expect![[r#"
        0 rules of rules.yaml
        start:
            a="x\ny"
            b="3"
        kept:
            a="x\ny"
            b="3"
    "#]]
    .assert_eq(&page);
}

const PROMETHEUS: &str = r"
global: {scrape_interval: 30s}
remote_write: [{url: 'http://tsdb/write'}]
scrape_configs:
- job_name: pods
  params: {module: [http]}
  relabel_configs:
  - {source_labels: [__address__, __meta_port], regex: '(.+):\d+;(\d+)', target_label: __address__, replacement: '$1:$2'}
  metric_relabel_configs:
  - {action: keep, source_labels: [__name__], regex: up}
- job_name: legacy
  metric_name_validation_scheme: legacy
  relabel_configs: [{source_labels: [a], target_label: $1}]
";

#[test]
fn a_target_gets_its_defaults_before_and_its_url_afterwards() {
    let line =
        ["--job", "pods", "--target", "--label", "__address__=10.0.0.1:80", "--label", "__meta_port=9102"];
    check(
        PROMETHEUS,
        &line,
        expect![[r#"
        1 rule of rules.yaml, job `pods`, relabel_configs
        start:
            __address__="10.0.0.1:80"
            __always_scrape_classic_histograms__="false"
            __convert_classic_histograms_to_nhcb__="false"
            __meta_port="9102"
            __metrics_path__="/metrics"
            __param_module="http"
            __scheme__="http"
            __scrape_interval__="30s"
            __scrape_native_histograms__="false"
            __scrape_timeout__="10s"
            job="pods"
        rule 0: {action: replace, source_labels: [__address__, __meta_port], regex: "(.+):\\d+;(\\d+)", target_label: "__address__", replacement: "$1:$2"}
            "10.0.0.1:80;9102" matches: ${1}="10.0.0.1", ${2}="9102"
            ~ __address__="10.0.0.1:80" -> "10.0.0.1:9102"
        kept:
            __address__="10.0.0.1:9102"
            __always_scrape_classic_histograms__="false"
            __convert_classic_histograms_to_nhcb__="false"
            __meta_port="9102"
            __metrics_path__="/metrics"
            __param_module="http"
            __scheme__="http"
            __scrape_interval__="30s"
            __scrape_native_histograms__="false"
            __scrape_timeout__="10s"
            job="pods"
        target:
            instance="10.0.0.1:9102"
            job="pods"
            url: http://10.0.0.1:9102/metrics?module=http
            interval: 30s, timeout: 10s
    "#]],
    );
}

#[test]
fn a_target_that_cannot_be_scraped_is_told_so() {
    let page = shown(PROMETHEUS, &["--job", "pods", "--target", "--label", "a=b"], "").unwrap();
    assert!(page.ends_with("not scraped: the target has no address\n"), "{page}");
    let alone =
        shown("[{target_label: __address__, replacement: 'x:1'}]", &["--target", "--label", "a=b"], "");
    let alone = alone.unwrap();
    assert!(alone.contains("url: http://x:1/metrics") && alone.contains("job=\"debug\""), "{alone}");
}

#[test]
fn metric_rules_are_those_over_series() {
    let page = shown(PROMETHEUS, &["--job", "pods", "--metric", "down"], "").unwrap();
    assert!(page.starts_with("1 rule of rules.yaml, job `pods`, metric_relabel_configs\n"), "{page}");
    assert!(page.ends_with("dropped by rule 0\n"), "{page}");
}

#[test]
fn names_are_checked_as_the_job_wants_them() {
    let page = shown(PROMETHEUS, &["--job", "legacy", "--label", "a=b c"], "").unwrap();
    assert!(page.contains("\"b c\" matches: ${1}=\"b c\"\n    nothing changes"), "{page}");
}

#[test]
fn a_collectors_configuration_is_resolved_as_the_collector_does() {
    let file = "
receivers:
  otlp: {}
  prometheus/a:
    config:
      scrape_configs:
      - job_name: ${env:MUSTER_TEST_UNSET:-one}
        relabel_configs: [{source_labels: [a], target_label: b, replacement: x-$$1}]
";
    let page = shown(file, &["--job", "one", "--label", "a=1"], "").unwrap();
    assert!(page.contains("+ b=\"x-1\""), "{page}");
}

#[test]
fn a_scrape_config_and_a_list_of_them_need_nothing_around() {
    let one = "job_name: one\nrelabel_configs: [{target_label: b, replacement: x}]\n";
    let list = format!("- job_name: two\n- {}", one.replace('\n', "\n  ").trim_end());
    for (file, line) in [(one, &["--label", "a=1"][..]), (&list, &["--job", "one", "--label", "a=1"])] {
        let page = shown(file, line, "").unwrap();
        assert!(page.contains("job `one`") && page.contains("+ b=\"x\""), "{page}");
    }
}

#[test]
fn machines_get_json() {
    let file = "[{source_labels: [a], regex: '(?P<n>.)(.)?', target_label: b, replacement: $n}, {action: keep, source_labels: [b], regex: x}]";
    let page = shown(file, &["--json", "--label", "a=1"], "").unwrap();
    let json: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "rules": "rules.yaml",
            "start": {"a": "1"},
            "steps": [
                {
                    "rule": 0,
                    "config": {"source_labels": ["a"], "separator": ";", "regex": "(?P<n>.)(.)?", "target_label": "b", "replacement": "$n", "action": "replace"},
                    "text": "1", "matches": true, "groups": {"0": "1", "n": "1", "2": null},
                    "changes": [{"name": "b", "before": null, "after": "1"}],
                    "kept": true,
                },
                {
                    "rule": 1,
                    "config": {"source_labels": ["b"], "separator": ";", "regex": "x", "replacement": "$1", "action": "keep"},
                    "text": "1", "matches": false, "groups": {}, "changes": [], "kept": false,
                },
            ],
            "kept": false, "dropped_by": 1, "end": {"a": "1", "b": "1"},
        })
    );
    let target = shown("[]", &["--json", "--target", "--label", "__address__=x:1"], "").unwrap();
    let json: serde_json::Value = serde_json::from_str(&target).unwrap();
    assert_eq!(json["target"]["url"], "http://x:1/metrics");
    assert_eq!(json["target"]["timeout_seconds"], 10.0);
}

#[test]
fn mistakes_have_a_place_and_a_remedy() {
    for (file, line, expected) in [
        ("[", &["up"][..], "rules.yaml:"),
        (
            "a: 1",
            &["up"],
            "error: rules.yaml:1:1: expected relabelling rules or scrape configs, found a map; write",
        ),
        (
            "- {action: hashmod, target_label: a}",
            &["up"],
            "error: rules.yaml:1:3: 0: action hashmod needs `modulus` above zero",
        ),
        ("- {regex: 'a(?=b)', action: keep}", &["up"], "RE2 cannot look around (at character 2)"),
        ("- {sauce_labels: [a]}", &["up"], "did you mean `source_labels`?"),
        ("[]", &["up", "--metric"], "leave out --metric"),
        ("[]", &["up", "--job", "x"], "leave out --job"),
        (PROMETHEUS, &["up"], "say which job is meant by --job NAME; the file has pods, legacy"),
        (PROMETHEUS, &["up", "--job", "pod"], "rules.yaml has no job `pod`; did you mean `pods`?"),
        (PROMETHEUS, &["up", "--job", "something"], "no job `something`; the file has pods, legacy"),
        ("receivers: {otlp: {}}", &["up"], "no prometheus receiver has scrape_configs"),
        ("scrape_configs: []", &["up"], "rules.yaml has no job; list one under scrape_configs"),
        ("job_name: a\nrelabel_configs: [{action: x}]", &["up"], "rules.yaml:2:"),
        ("[]", &["up{"], "cannot be read at character 4"),
        ("[]", &["--label", "x"], "--label \"x\" is not NAME=VALUE"),
        ("[]", &[], "there are no labels; write --label NAME=VALUE"),
        ("[]", &["up", "--target", "--metric"], "cannot be used with"),
    ] {
        let message = refused(file, line, "");
        assert!(message.contains(expected), "{file} {line:?}: {message}");
    }
    assert!(refused("[]", &["-"], "[1]").contains("JSON object"));
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    assert!(refused("[]", &["-"], &long).contains("max_stdin_bytes (1048576)"));
    let args = Line::try_parse_from(["relabel", "--rules", "/nowhere/rules.yaml", "up"]).unwrap().args;
    let Failure(message) = text(&args, &mut std::io::empty()).unwrap_err();
    assert!(message.contains("cannot read --rules /nowhere/rules.yaml"), "{message}");
}
