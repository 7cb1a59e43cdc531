//! Sources, merging, settings.

use std::collections::HashMap;

use expect_test::{Expect, expect};

use super::{Sources, World, load};
use crate::print_yaml;

/// An environment and files that exist only here. File names end in a suffix; everything else is a variable.
pub(crate) struct Fake(HashMap<String, String>);

impl Fake {
    pub(crate) fn with(contents: &[(&str, &str)]) -> Self {
        Self(contents.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }
}

impl World for Fake {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn read(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

fn check(configs: &[&str], sets: &[&str], contents: &[(&str, &str)], expected: Expect) {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let sources = Sources { configs: own(configs), sets: own(sets) };
    let lines = |problems: &[crate::Problem]| {
        problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
    };
    expected.assert_eq(&match load(&sources, &Fake::with(contents)) {
        Ok(loaded) => print_yaml(&loaded.root) + &lines(&loaded.warnings),
        Err(problems) => lines(&problems),
    });
}

#[test]
fn later_sources_go_over_earlier_ones() {
    check(
        &["a.yaml", "file:b.yaml", "env:C", "yaml:service::telemetry::logs::level: debug"],
        &["processors.batch.timeout=2s", "service.pipelines.traces.receivers = [otlp, jaeger]", "empty="],
        &[
            ("a.yaml", "receivers: {otlp: {a: 1, b: [1, 2]}}\nexporters: {debug: {}}\n"),
            ("b.yaml", "receivers: {otlp: {b: [3]}, jaeger: }\nexporters:\n"),
            ("C", "extensions: {zpages: }"),
        ],
        expect![[r#"
            receivers:
              otlp:
                a: 1
                b:
                  - 3
              jaeger: null
            exporters: null
            extensions:
              zpages: null
            service:
              telemetry:
                logs:
                  level: debug
              pipelines:
                traces:
                  receivers:
                    - otlp
                    - jaeger
            processors:
              batch:
                timeout: 2s
            empty: null
        "#]],
    );
}

#[test]
fn values_know_which_source_they_came_from() {
    let contents =
        Fake::with(&[("a.yaml", "a: {x: 1}"), ("b.yaml", "a:\n  y: 2"), ("M", "{p: 1}"), ("c.yaml", "q: 1")]);
    let sources = Sources {
        configs: vec![
            "a.yaml".into(),
            "b.yaml".into(),
            "yaml:env: ${M}".into(),
            "yaml:file: ${file:c.yaml}".into(),
        ],
        sets: vec!["a.z=3".into()],
    };
    let root = load(&sources, &contents).unwrap().root;
    let places = ["a::x", "a::y", "a::z", "env::p", "file::q"].map(|path| root.place_of(path).to_string());
    expect![[r#"
        a.yaml:1:5
        b.yaml:2:3
        --set a.z:1:1
        env:M:1:2
        c.yaml:1:1"#]]
    .assert_eq(&places.join("\n"));
}

#[test]
fn sources_that_cannot_be_used_are_all_told() {
    check(
        &["nope.yaml", "http://x/c.yaml", "s3:bucket", "list.yaml", "bad.yaml", "env:UNSET", "C:\\x.yaml"],
        &["foo"],
        &[("list.yaml", "- a\n"), ("bad.yaml", "a: [\n")],
        expect![[r#"
            error: unable to read the file `nope.yaml`: no such file
            error: configuration is not fetched over `http:`; fetch it to a file first; known are `env:`, `file:` and `yaml:`
            error: scheme `s3:` is not supported; known are `env:`, `file:` and `yaml:`
            error: list.yaml:1:1: a configuration is a map of sections, this is a list
            error: bad.yaml:1:4: a::0: not valid YAML: unclosed bracket '['
            error: environment variable `UNSET` is not set
            error: unable to read the file `C:\x.yaml`: no such file
            error: missing equal sign in `--set foo`
        "#]],
    );
    check(
        &[],
        &["a=1"],
        &[],
        expect![[r#"
        error: at least one --config must be given
    "#]],
    );
    check(
        &["yaml:a: 1"; 101],
        &[],
        &[],
        expect![[r#"
        error: 101 sources are more than the limit of 100 (MAX_SOURCES)
    "#]],
    );
}

#[test]
fn an_empty_source_is_a_warning() {
    check(
        &["a.yaml"],
        &[],
        &[("a.yaml", "# nothing\n")],
        expect![[r#"
        {}
        warning: a.yaml:1:1: the configuration is empty
    "#]],
    );
}
