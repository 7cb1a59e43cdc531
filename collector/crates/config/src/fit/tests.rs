//! What is wrong with a section, as the user sees it.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check, fit, read, read_lenient};
use crate::{
    ByteSize, HostPort, HttpUrl, LabelName, Node, Period, Secret, Timeout, parse, print_yaml, schema_of,
    to_node,
};

/// A bit of everything that configurations are made of.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Config {
    /// Required.
    endpoint: HttpUrl,
    #[serde(default = "crate::secs::<30>")]
    interval: Period,
    #[serde(default = "crate::timeout_secs::<5>")]
    timeout: Timeout,
    #[serde(default = "crate::bytes::<1024>")]
    body_limit: ByteSize,
    #[serde(default = "crate::count::<4>")]
    workers: usize,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    labels: BTreeMap<LabelName, String>,
    #[serde(default)]
    level: Level,
    #[serde(default)]
    protocols: Protocols,
    #[serde(default)]
    tls: Option<Tls>,
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    queue: Option<Queue>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Basic,
    /// More.
    Normal,
    /// Everything.
    Detailed,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct Protocols {
    grpc: Option<Server>,
    http: Option<Server>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Server {
    #[serde(default = "local")]
    endpoint: HostPort,
}

fn local() -> HostPort {
    "localhost:4317".parse().unwrap()
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Tls {
    ca_file: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Queue {
    #[serde(default = "crate::number::<1000>")]
    size: u64,
}

fn root(text: &str) -> Node {
    parse(text, "f.yaml").unwrap().root
}

/// The value read, or every problem, one per line.
fn reading<T: serde::de::DeserializeOwned + JsonSchema + Serialize>(text: &str, expected: Expect) {
    expected.assert_eq(&match read::<T>(&root(text), "exporters::x") {
        Ok(value) => print_yaml(&to_node(&value)),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    });
}

#[test]
fn what_is_not_given_has_its_default() {
    reading::<Config>(
        "endpoint: http://x",
        expect![[r#"
            endpoint: http://x
            interval: 30s
            timeout: 5s
            body_limit: 1024
            workers: 4
            port: null
            ratio: 0.0
            names: []
            headers: {}
            labels: {}
            level: basic
            protocols:
              grpc: null
              http: null
            tls: null
            queue: null
            title: ''
            note: null
        "#]],
    );
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    reading::<Config>(
        "endpont: http://x
interval: 10x
timeout: 5
body_limit: many
workers: '5'
port: 70000
ratio: a
names: [a, 5, [b]]
headers: {a: 5}
labels: {'': x}
level: loud
protocols:
  grpc:
    endpoint: http://0.0.0.0:4317
  gprc:
tls: {}
title: 5
",
        expect![[r#"
            error: f.yaml:1:1: exporters::x: unknown key `endpont`; did you mean `endpoint`?
            error: f.yaml:2:11: exporters::x::interval: "10x" is not a duration; write for example 30s, 1m30s or 200ms
            error: f.yaml:4:13: exporters::x::body_limit: "many" is not a size; write for example 512KiB, 10MB or a number of bytes
            error: f.yaml:5:10: exporters::x::workers: expected an integer, found the string "5"; leave out the quotes
            error: f.yaml:6:7: exporters::x::port: 70000 is too big, the greatest is 65535
            error: f.yaml:7:8: exporters::x::ratio: expected a number, found the string "a"
            error: f.yaml:8:12: exporters::x::names::1: expected a string, found the integer 5; put it in quotes
            error: f.yaml:8:15: exporters::x::names::2: expected a string, found a list
            error: f.yaml:9:14: exporters::x::headers::a: expected a string, found an integer; put it in quotes
            error: f.yaml:11:8: exporters::x::level: the string "loud" is not one of `basic`, `normal`, `detailed`
            error: f.yaml:14:15: exporters::x::protocols::grpc::endpoint: "http://0.0.0.0:4317" is an address with a scheme; leave the scheme out
            error: f.yaml:15:3: exporters::x::protocols: unknown key `gprc`; did you mean `grpc`?
            error: f.yaml:16:6: exporters::x::tls: missing key `ca_file`
            error: f.yaml:17:8: exporters::x::title: expected a string, found the integer 5; put it in quotes
        "#]],
    );
}

#[test]
fn a_key_at_the_wrong_level_is_told_where_it_belongs() {
    reading::<Config>(
        "endpoint: http://x\nca_file: a\nqwerty: 1\n",
        expect![[r#"
        error: f.yaml:2:1: exporters::x: unknown key `ca_file`; it belongs under `tls`
        error: f.yaml:3:1: exporters::x: unknown key `qwerty`
    "#]],
    );
    reading::<Config>(
        "endpoint: http://x\nexporters:\n  a: 1\n",
        expect![[r#"
        error: f.yaml:2:1: exporters::x: unknown key `exporters`; `exporters` is a section of the top level: check the indentation
    "#]],
    );
}

#[test]
fn null_is_an_empty_section_and_elsewhere_absent() {
    reading::<Config>(
        "{endpoint: http://x, interval: , workers: , port: , names: , headers: {a: }, level: , protocols: {grpc: , http: },
          tls: , queue: , title: , note: }",
        expect![[r#"
            endpoint: http://x
            interval: 30s
            timeout: 5s
            body_limit: 1024
            workers: 4
            port: null
            ratio: 0.0
            names: []
            headers:
              a: <secret>
            labels: {}
            level: basic
            protocols:
              grpc:
                endpoint: localhost:4317
              http:
                endpoint: localhost:4317
            tls: null
            queue: null
            title: ''
            note: null
        "#]],
    );
    reading::<Config>(
        "{endpoint: , tls: {ca_file: }}",
        expect![[r#"
        error: f.yaml:1:2: exporters::x::endpoint: the key needs a value
        error: f.yaml:1:20: exporters::x::tls::ca_file: the key needs a value
    "#]],
    );
    reading::<Config>(
        "",
        expect![[r#"
        error: f.yaml:1:1: exporters::x: missing key `endpoint`
    "#]],
    );
}

#[test]
fn one_string_is_a_list_cut_at_commas() {
    reading::<Names>(
        "names: a,b c,",
        expect![[r#"
        names:
          - a
          - b c
          - ''
    "#]],
    );
    reading::<Names>(
        "names: ''",
        expect![[r#"
        names: []
    "#]],
    );
    reading::<Names>(
        "names: 5",
        expect![[r#"
        error: f.yaml:1:8: exporters::x::names: expected a list, found the integer 5
    "#]],
    );
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Names {
    names: Vec<String>,
}

/// What `${...}` leaves behind.
fn expanded(text: &str, variables: &[(&str, &str)]) -> Node {
    let mut node = root(text);
    let problems = crate::expand(&mut node, &crate::load::tests::Fake::with(variables));
    assert_eq!(problems, []);
    node
}

#[test]
fn text_from_the_environment_is_what_the_field_wants() {
    let variables = [
        ("N", "0123"),
        ("E", "1e5"),
        ("W", "7"),
        ("T", "true"),
        ("L", "[a, b]"),
        ("C", "a,5"),
        ("M", "{a: 1}"),
    ];
    let node = expanded(
        "{endpoint: http://x, title: '${N}', note: '${E}', workers: '${W}', names: '${L}', headers: {a: '${T}'},
          labels: {a: '${M}', b: '${N}'}, interval: '${env:I:-2m}', ratio: '${E}'}",
        &variables,
    );
    let config: Config = read(&node, "").unwrap();
    assert_eq!((config.title.as_str(), config.note.as_deref(), config.workers), ("0123", Some("1e5"), 7));
    assert_eq!((config.names, config.headers["a"].expose()), (vec!["a".to_owned(), "b".to_owned()], "true"));
    let labels: Vec<_> = config.labels.values().map(String::as_str).collect();
    assert_eq!(
        (labels, config.interval.to_string(), config.ratio),
        (vec!["{a: 1}", "0123"], "2m".to_owned(), 1e5)
    );
    let names: Names = read(&expanded("names: ${C}", &variables), "").unwrap();
    assert_eq!(names.names, ["a", "5"]);
}

#[test]
fn what_came_from_the_environment_is_not_shown() {
    let node = expanded("{endpoint: http://x, workers: '${W}', level: '${W}'}", &[("W", "hunter2")]);
    let problems = read::<Config>(&node, "").unwrap_err();
    let shown: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    expect![[r#"
        error: f.yaml:1:31: workers: expected an integer, found a string; the value comes from an expansion
        error: f.yaml:1:46: level: a string is not one of `basic`, `normal`, `detailed`
    "#]]
    .assert_eq(&shown);
}

#[test]
fn secrets_are_not_shown_in_messages() {
    reading::<Config>(
        "{endpoint: http://x, headers: {a: 12345, b: [67890]}}",
        expect![[r#"
        error: f.yaml:1:35: exporters::x::headers::a: expected a string, found an integer; put it in quotes
        error: f.yaml:1:45: exporters::x::headers::b: expected a string, found a list
    "#]],
    );
}

#[test]
fn unknown_keys_are_warnings_in_a_lenient_reading() {
    let (config, warnings) =
        read_lenient::<Config>(&root("{endpoint: http://x, new: 1, tls: {ca_file: a, b: c}}"), "jobs")
            .unwrap();
    assert_eq!(config.workers, 4);
    let shown: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "warning: f.yaml:1:22: jobs: unknown key `new`",
            "warning: f.yaml:1:48: jobs::tls: unknown key `b`; known keys: ca_file"
        ]
    );
    assert_eq!(read_lenient::<Config>(&root("new: 1"), "").err().unwrap().len(), 1);
}

#[test]
fn several_schemas_are_one_with_the_keys_of_all() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Spine {
        #[serde(default = "crate::on")]
        enabled: bool,
    }
    let (own, spine) = (schema_of::<Names>(), schema_of::<Spine>());
    assert_eq!(check(&root("{names: [a], enabled: false}"), "", &[&own, &spine]), []);
    let problems = check(&root("{names: [a], enabeld: false}"), "x", &[&own, &spine]);
    assert_eq!(
        problems[0].to_string(),
        "error: f.yaml:1:14: x: unknown key `enabeld`; did you mean `enabled`?"
    );
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Flat {
    own: String,
    #[serde(flatten)]
    client: Client,
    #[serde(flatten)]
    auth: Option<Auth>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Client {
    #[serde(default)]
    user: String,
    #[serde(default)]
    server: Option<Server>,
    #[serde(default = "crate::secs::<10>")]
    wait: Period,
    #[serde(default)]
    proxies: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Auth {
    Token(String),
    Basic { user_name: String },
}

#[test]
fn flattened_keys_are_as_strict_and_as_lenient_as_others() {
    reading::<Flat>(
        "{own: a, user: b, server: , proxies: 'x,y', wait: 3s}",
        expect![[r#"
        own: a
        user: b
        server:
          endpoint: localhost:4317
        wait: 3s
        proxies:
          - x
          - 'y'
    "#]],
    );
    reading::<Flat>(
        "{own: a, wait: 3x, server: {endpiont: x}, users: 1}",
        expect![[r#"
        error: f.yaml:1:16: exporters::x::wait: "3x" is not a duration; write for example 30s, 1m30s or 200ms
        error: f.yaml:1:29: exporters::x::server: unknown key `endpiont`; did you mean `endpoint`?
        error: f.yaml:1:43: exporters::x: unknown key `users`; did you mean `user`?
    "#]],
    );
    reading::<Flat>(
        "{own: a, basic: {user_name: x}}",
        expect![[r#"
        own: a
        user: ''
        server: null
        wait: 10s
        proxies: []
        basic:
          user_name: x
    "#]],
    );
    let node = expanded("{own: '${N}', user: '${N}'}", &[("N", "0123")]);
    let flat: Flat = read(&node, "").unwrap();
    assert_eq!((flat.own.as_str(), flat.client.user.as_str()), ("0123", "0123"));
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Choices {
    #[serde(default)]
    untagged: Option<OneOrMany>,
    #[serde(default)]
    tagged: Option<Tagged>,
    #[serde(default)]
    external: Vec<External>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    Number(u8),
    One(String),
    Many(Vec<String>),
    Detail(Names),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Tagged {
    Latency { threshold_ms: u64 },
    Status { codes: Vec<String> },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum External {
    Plain,
    Text(String),
    Section { key: bool },
}

#[test]
fn alternatives_are_chosen_by_what_is_there() {
    reading::<Choices>(
        "{untagged: a, tagged: {type: latency, threshold_ms: 5}, external: [plain, {text: a}, {section: {key: true}}]}",
        expect![[r#"
            untagged: a
            tagged:
              type: latency
              threshold_ms: 5
            external:
              - plain
              - text: a
              - section:
                  key: true
        "#]],
    );
    for value in ["5", "a", "[a, b]", "{names: [a]}"] {
        assert!(read::<Choices>(&root(&format!("untagged: {value}")), "").is_ok(), "{value}");
    }
}

#[test]
fn of_alternatives_the_nearest_is_complained_about() {
    reading::<Choices>(
        "untagged: {nams: [a]}",
        expect![[r#"
        error: f.yaml:1:12: exporters::x::untagged: unknown key `nams`; did you mean `names`?
    "#]],
    );
    reading::<Choices>(
        "untagged: true",
        expect![[r#"
        error: f.yaml:1:11: exporters::x::untagged: expected a map, a list, a string or an integer, found the boolean true; put it in quotes
    "#]],
    );
    reading::<Choices>(
        "tagged: {type: latency, threshold: 5}",
        expect![[r#"
        error: f.yaml:1:25: exporters::x::tagged: unknown key `threshold`; did you mean `threshold_ms`?
    "#]],
    );
    reading::<Choices>(
        "tagged: {type: latencies}",
        expect![[r#"
        error: f.yaml:1:16: exporters::x::tagged::type: the string "latencies" is not one of `latency`, `status`
    "#]],
    );
    reading::<Choices>(
        "tagged: {threshold_ms: 5}",
        expect![[r#"
        error: f.yaml:1:9: exporters::x::tagged: missing key `type`
    "#]],
    );
    reading::<Choices>(
        "external: [plan, {texts: a}, {section: {key: 1}}]",
        expect![[r#"
        error: f.yaml:1:12: exporters::x::external::0: the string "plan" is not one of `plain`; did you mean `plain`?
        error: f.yaml:1:19: exporters::x::external::1: unknown key `texts`; did you mean `text`?
        error: f.yaml:1:46: exporters::x::external::2::section::key: expected a boolean, found the integer 1
    "#]],
    );
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-scalars" = "text"))]
struct Rule {
    regex: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    modulus: u64,
}

#[test]
fn where_a_type_asks_for_it_scalars_are_taken_as_they_are_written() {
    reading::<Rule>(
        "{regex: true, labels: {version: 1.10, code: 0200, on: True}, modulus: 5}",
        expect![[r#"
        regex: 'true'
        labels:
          code: '0200'
          'on': 'True'
          version: '1.10'
        modulus: 5
    "#]],
    );
    reading::<Rule>(
        "{regex: [a], modulus: x}",
        expect![[r#"
        error: f.yaml:1:9: exporters::x::regex: expected a string, found a list
        error: f.yaml:1:23: exporters::x::modulus: expected an integer, found the string "x"
    "#]],
    );
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Bounded {
    #[schemars(range(min = 1, max = 10))]
    percent: u8,
    #[schemars(length(min = 1))]
    name: String,
    #[schemars(length(min = 1, max = 2))]
    list: Vec<u8>,
    signed: i8,
    raw: serde_json::Value,
    node: Node,
    #[serde(default)]
    pair: Option<(u8, String)>,
}

#[test]
fn bounds_of_the_schema_hold() {
    reading::<Bounded>(
        "{percent: 0, name: '', list: [], signed: -5, raw: {a: [1]}, node: }",
        expect![[r#"
        error: f.yaml:1:11: exporters::x::percent: 0 is too small, the least is 1
        error: f.yaml:1:20: exporters::x::name: must not be empty
        error: f.yaml:1:30: exporters::x::list: the list has too few items
    "#]],
    );
    reading::<Bounded>(
        "{percent: 11, name: a, list: [1, 2, 256], signed: -129, raw: 1, node: 1}",
        expect![[r#"
        error: f.yaml:1:11: exporters::x::percent: 11 is too big, the greatest is 10
        error: f.yaml:1:30: exporters::x::list: the list has too many items
        error: f.yaml:1:37: exporters::x::list::2: 256 is too big, the greatest is 255
        error: f.yaml:1:51: exporters::x::signed: -129 is too small, the least is -128
    "#]],
    );
    reading::<Bounded>(
        "{percent: 1e1, name: a, list: [1.5], signed: 1, raw: , node: , pair: [1]}",
        expect![[r#"
        error: f.yaml:1:32: exporters::x::list::0: expected an integer, found the number 1.5
        error: f.yaml:1:70: exporters::x::pair: the list has too few items
    "#]],
    );
    reading::<Bounded>(
        "{percent: 1e1, name: a, list: [1], signed: 1, raw: {a: [1]}, node: {b: c}, pair: [1, a]}",
        expect![[r#"
            percent: 10
            name: a
            list:
              - 1
            signed: 1
            raw:
              a:
                - 1
            node:
              b: c
            pair:
              - 1
              - a
        "#]],
    );
}

#[test]
fn a_field_can_take_its_part_of_the_tree_with_places() {
    let bounded: Bounded =
        read(&root("percent: 1\nname: a\nlist: [1]\nsigned: 1\nraw: 1\nnode:\n  deep: {x: 1}\n"), "")
            .unwrap();
    assert_eq!(bounded.node.place_of("deep::x").to_string(), "f.yaml:7:10");
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Tree {
    #[serde(default)]
    children: Vec<Tree>,
}

#[test]
fn types_that_contain_themselves_are_followed() {
    assert!(read::<Tree>(&root("children: [{children: [{}, {children: []}]}]"), "").is_ok());
    reading::<Tree>(
        "children: [{children: [{}, {childen: []}]}]",
        expect![[r#"
        error: f.yaml:1:29: exporters::x::children::0::children::1: unknown key `childen`; did you mean `children`?
    "#]],
    );
    let deep = (0..45).fold("{}".to_owned(), |inner, _| format!("{{children: [{inner}]}}"));
    assert!(read::<Tree>(&root(&deep), "").is_ok());
}

#[test]
fn fitting_keeps_what_it_does_not_know() {
    let fitted = fit(&root("{names: 'a,b', other: {x: 5}}"), &[&schema_of::<Names>()]);
    assert_eq!(print_yaml(&fitted), "names:\n  - a\n  - b\nother:\n  x: 5\n");
}
