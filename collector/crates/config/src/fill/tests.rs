//! Reading typed values straight from a tree.

use std::collections::HashMap;

use expect_test::{Expect, expect};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{as_it_is, fill};
use crate::{Node, Period, parse};

fn root(text: &str) -> Node {
    parse(text, "f.yaml").unwrap().root
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Config {
    name: String,
    #[serde(default)]
    sizes: Vec<u8>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    wait: Option<Period>,
    #[serde(default)]
    inner: HashMap<String, Inner>,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Fast,
    Tuned {
        level: i8,
    },
    Pair(u8, u8),
    Wrapped(Wrapper),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Wrapper(f32);

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Inner {
    flag: bool,
}

fn complaint<T: DeserializeOwned + std::fmt::Debug>(text: &str, expected: Expect) {
    expected.assert_eq(&as_it_is::<T>(&root(text), "receivers::x").unwrap_err().to_string());
}

#[test]
fn a_tree_fills_a_type() {
    let config: Config = fill(
        &root("{name: a, sizes: [1, 2e2], mode: {tuned: {level: -3}}, wait: 2m, inner: {x: {flag: true}}, unknown: 1}"),
        "",
    )
    .unwrap();
    assert_eq!(config.name, "a");
    assert_eq!(config.sizes, [1, 200]);
    assert_eq!(config.mode, Mode::Tuned { level: -3 });
    assert_eq!(config.wait, Some(Period::from_secs(120)));
    assert_eq!(config.inner["x"], Inner { flag: true });
}

#[test]
fn every_form_of_an_enum_is_read() {
    for (text, mode) in [
        ("fast", Mode::Fast),
        ("{fast: }", Mode::Fast),
        ("{pair: [1, 2]}", Mode::Pair(1, 2)),
        ("{wrapped: 1}", Mode::Wrapped(Wrapper(1.0))),
    ] {
        assert_eq!(as_it_is::<Mode>(&root(text), "").unwrap(), mode, "{text}");
    }
}

#[test]
fn errors_name_path_and_place_but_not_the_value() {
    complaint::<Config>(
        "name: 12345",
        expect!["error: f.yaml:1:7: receivers::x::name: expected a string, found an integer"],
    );
    complaint::<Config>(
        "{name: a, sizes: [1, 256]}",
        expect![
            "error: f.yaml:1:22: receivers::x::sizes::1: expected an integer that fits u8, found an integer out of its range"
        ],
    );
    complaint::<Config>(
        "{name: a, sizes: [1, x]}",
        expect![
            "error: f.yaml:1:22: receivers::x::sizes::1: expected an integer that fits u8, found a string"
        ],
    );
    complaint::<Config>(
        "{name: a, wait: 5x}",
        expect![[
            r#"error: f.yaml:1:17: receivers::x::wait: "5x" is not a duration; write for example 30s, 1m30s or 200ms"#
        ]],
    );
    complaint::<Config>(
        "{name: a, wait: 0s}",
        expect!["error: f.yaml:1:17: receivers::x::wait: the duration must not be zero"],
    );
    complaint::<Config>(
        "{name: a, mode: fats}",
        expect!["error: f.yaml:1:17: receivers::x::mode: unknown word `fats`; did you mean `fast`?"],
    );
    complaint::<Config>(
        "{name: a, mode: {tuned: {level: 200}}}",
        expect![
            "error: f.yaml:1:33: receivers::x::mode::tuned::level: expected an integer that fits i8, found an integer out of its range"
        ],
    );
    complaint::<Config>(
        "{name: a, mode: tuned}",
        expect!["error: f.yaml:1:17: receivers::x::mode: `tuned` needs a section of its own"],
    );
    complaint::<Config>(
        "{name: a, mode: {fast: 1}}",
        expect!["error: f.yaml:1:24: receivers::x::mode: `fast` takes no section"],
    );
    complaint::<Config>(
        "{name: a, mode: {a: 1, b: 2}}",
        expect!["error: f.yaml:1:17: receivers::x::mode: expected a map with one key"],
    );
    complaint::<Config>(
        "{name: a, mode: [fast]}",
        expect!["error: f.yaml:1:17: receivers::x::mode: expected a word, found a list"],
    );
    complaint::<Config>("sizes: [1]", expect!["error: f.yaml:1:1: receivers::x: missing key `name`"]);
    complaint::<Config>(
        "{name: a, inner: {x: {flag: 'true'}}}",
        expect!["error: f.yaml:1:29: receivers::x::inner::x::flag: expected a boolean, found a string"],
    );
    complaint::<Config>("[a]", expect!["error: f.yaml:1:1: receivers::x: expected a map, found a list"]);
}

#[test]
fn null_fills_sections_lists_and_options() {
    assert!(as_it_is::<Vec<u8>>(&Node::null(), "").unwrap().is_empty());
    assert_eq!(as_it_is::<HashMap<String, u8>>(&Node::null(), "").unwrap(), HashMap::new());
    assert_eq!(as_it_is::<Option<u8>>(&Node::null(), "").unwrap(), None);
    complaint::<u8>(
        "",
        expect!["error: f.yaml:1:1: receivers::x: expected an integer that fits u8, found null"],
    );
}
