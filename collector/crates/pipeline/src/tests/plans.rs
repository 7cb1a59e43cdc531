//! What a plan accepts and refuses.

use std::collections::HashMap;
use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::parts::REGISTRY;
use crate::Plan;

pub(super) fn plan(yaml: &str) -> Result<Plan, String> {
    let root = config::parse(yaml, "test.yaml").expect("the test's YAML parses").root;
    Plan::build(&root, &REGISTRY, PathBuf::from("."), None, HashMap::new()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn refused(yaml: &str, expected: &Expect) {
    expected.assert_eq(&plan(yaml).expect_err("the plan is refused"));
}

#[test]
fn every_problem_is_reported_at_once_with_place_and_remedy() {
    refused(
        "receivers:
  in: {board: x, vresion: 2}
  inn: {board: x}
exporters:
  out: {board: 7}
procesors: {}
service:
  pipelines:
    logs: {receivers: [in], exporters: [outt]}
    lgos: {receivers: [in], exporters: [out]}
    traces: {receivers: [], exporters: [out]}
",
        &expect![[r#"
            error: test.yaml:6:1: procesors: unknown section `procesors`; did you mean `processors`?
            error: test.yaml:2:18: receivers::in: unknown key `vresion`; did you mean `version`?
            error: test.yaml:3:3: receivers::inn: unknown receiver type `inn` for id `inn`; did you mean `in`?
            error: test.yaml:5:16: exporters::out::board: expected a string, found the integer 7; put it in quotes
            error: test.yaml:10:5: service::pipelines::lgos: unknown pipeline signal: `lgos`; a pipeline is named metrics, logs or traces, and optionally /name
            error: test.yaml:9:41: service::pipelines::logs: references exporter "outt" which is not configured; did you mean `out`?
            error: test.yaml:11:25: service::pipelines::traces: must have at least one receiver"#]],
    );
}

#[test]
fn a_section_that_slipped_under_another_is_recognised() {
    refused(
        "receivers:
  in: {board: x}
  exporters:
    out: {board: x}
service:
  pipelines:
    logs: {receivers: [in], exporters: [out]}
",
        &expect![[r#"
            error: test.yaml:3:3: receivers::exporters: unknown receiver type `exporters` for id `exporters`; `exporters` is a top-level section: check its indentation
            error: exporters: no exporter configuration specified in config
            error: test.yaml:7:41: service::pipelines::logs: references exporter "out" which is not configured; add `out` to the `exporters` section"#]],
    );
}

#[test]
fn rules_between_keys_are_found_when_components_are_tried() {
    refused(
        "receivers:
  in: {board: x}
  in/unused: {board: x, version: 13}
exporters: {out: {board: x}}
service: {pipelines: {logs: {receivers: [in], exporters: [out]}}}
",
        &expect![[r#"
            warning: test.yaml:3:3: receivers::in/unused: receiver `in/unused` is not listed in any pipeline and does not run
            error: test.yaml:3:25: receivers::in/unused::version: 13 is refused"#]],
    );
}

#[test]
fn a_component_of_another_signal_is_refused() {
    refused(
        "receivers: {asked: {board: x}}
exporters: {out: {board: x}}
service: {pipelines: {logs: {receivers: [asked], exporters: [out]}}}
",
        &expect![
            "error: test.yaml:3:41: service::pipelines::logs: receiver `asked` does not support logs; it supports metrics"
        ],
    );
}

#[test]
fn a_connector_stands_in_two_pipelines_and_never_in_a_circle() {
    refused(
        "receivers: {in: {board: x}}
exporters: {out: {board: x}}
connectors: {turn: {board: x}, turn/back: {board: x}, turn/alone: {board: x}}
service:
  pipelines:
    traces: {receivers: [in, turn/back], exporters: [turn]}
    logs: {receivers: [turn], exporters: [turn/back, turn/alone]}
",
        &expect![[r#"
            error: test.yaml:3:55: connectors::turn/alone: used as exporter but not as receiver of any pipeline
            error: service::pipelines: pipelines feed each other in a circle: logs, traces
            warning: test.yaml:2:13: exporters::out: exporter `out` is not listed in any pipeline and does not run"#]],
    );
}

#[test]
fn unused_components_are_checked_and_reported_but_allowed() {
    let plan = plan(
        "receivers: {in: {board: x}, in/spare: {board: x}}
processors:
exporters: {out: {board: x}}
extensions: {beside: {board: x}}
service: {pipelines: {logs: {receivers: [in], processors: [], exporters: [out]}}}
",
    )
    .unwrap();
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    expect![[r#"
        warning: test.yaml:1:29: receivers::in/spare: receiver `in/spare` is not listed in any pipeline and does not run
        warning: test.yaml:4:14: extensions::beside: extension `beside` is not listed in service::extensions and does not run"#]].assert_eq(&warnings.join("\n"));
}

#[test]
fn a_storage_extension_that_does_not_run_is_named() {
    refused(
        "receivers: {in: {board: x}}
exporters: {out: {board: x, sending_queue: {storage: store/far}}}
extensions: {store: {board: x, directory: /tmp}}
service: {extensions: [store], pipelines: {logs: {receivers: [in], exporters: [out]}}}
",
        &expect![
            "error: test.yaml:2:45: exporters::out::sending_queue::storage: no storage extension `store/far` is running; configure it under extensions and list it in service::extensions"
        ],
    );
}

#[test]
fn telemetry_that_is_old_or_cannot_work_is_named() {
    refused(
        "receivers: {in: {board: x}}
exporters: {out: {board: x}}
service:
  telemetry:
    metrics: {readers: [{periodic: {exporter: {otlp: {}}}}]}
    logs: {output_paths: [/var/log/x]}
    traces: {level: none}
  pipelines: {logs: {receivers: [in], exporters: [out]}}
",
        &expect![[r#"
            error: test.yaml:6:12: service::telemetry::logs::output_paths: must be one of `stderr` and `stdout`
            error: test.yaml:5:25: service::telemetry::metrics::readers::0: only a `pull` reader with a `prometheus` exporter is built in
            warning: test.yaml:7:5: service::telemetry::traces: has no effect: there are no traces of our own yet"#]],
    );
}

#[test]
fn who_only_scrapes_sets_its_own_pace() {
    let paced = |receivers: &str| {
        let plan = plan(&format!(
            "receivers: {{asked: {{board: x}}, in: {{board: x}}}}
exporters: {{out: {{board: x}}}}
service: {{pipelines: {{metrics: {{receivers: [{receivers}], exporters: [out]}}}}}}"
        ));
        plan.unwrap().sets_pace()
    };
    assert!(paced("asked"), "a receiver that no pipeline lists sends nothing");
    assert!(!paced("asked, in"));
}
