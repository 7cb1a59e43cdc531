//! Golden answers are those of the collector's `confmap` 1.61 with its env, file and yaml providers, unless a comment says
//! otherwise.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::expand;
use crate::load::tests::Fake;
use crate::{Node, parse, print_json, read};

const WORLD: [(&str, &str); 17] = [
    ("N", "0123"),
    ("S", "text"),
    ("EMPTY", ""),
    ("MAP", "{a: 1, b: '${S}'}"),
    ("LIST", "- 1\n- ${N}\n- x"),
    ("NAME", "S"),
    ("QUOTED", "'quoted'"),
    ("HASH", "#c"),
    ("NULL", "null"),
    ("BROKEN", "a: b: c"),
    ("DOLLARS", "a$$b"),
    ("SELF", "${SELF}"),
    ("GROWING", "x${GROWING}${GROWING}"),
    ("NESTED", "- ${NESTED}"),
    ("WIDE", "- ${WIDE}\n- ${WIDE}"),
    ("twice.yaml", "a: 1\na: 2\n"),
    ("b.yaml", "a: ${N}\nb: [x]\n"),
];

/// A configuration of one key.
#[derive(Deserialize, JsonSchema)]
struct Text {
    #[serde(default)]
    v: String,
}

fn expanded(value: &str) -> (Node, Vec<crate::Problem>) {
    let mut root = Node::map();
    root.insert("v", Node::from(value));
    let problems = expand(&mut root, &Fake::with(&WORLD));
    (root, problems)
}

/// The typed value, the value in a field of type string, and the problems.
fn check(value: &str, expected: &str) {
    let (root, problems) = expanded(value);
    let typed = root.get("v").map(print_json).unwrap_or_default();
    let text = read::<Text>(&root, "").map_or_else(|_| "-".to_owned(), |text| format!("{:?}", text.v));
    let problems: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    assert_eq!(format!("{typed} {text} {}", problems.join(" / ")).trim_end(), expected, "{value}");
}

#[test]
fn a_reference_has_the_type_of_its_text_and_the_text_itself_where_a_string_is_wanted() {
    check("${env:N}", r#"83 "0123""#);
    check("${N}", r#"83 "0123""#);
    check("${S}", r#""text" "text""#);
    check("${MAP}", r#"{"a":1,"b":"text"} "{a: 1, b: 'text'}""#);
    check("${QUOTED}", r#""'quoted'" "'quoted'""#);
    check("${LIST}", r#"[1,83,"x"] "- 1\n- 0123\n- x""#);
    check("${BROKEN}", r#""a: b: c" "a: b: c""#);
    check("${HASH}", "null \"#c\"");
    check("${NULL}", r#"null "null""#);
    check("${file:b.yaml}", r#"{"a":83,"b":["x"]} "a: 0123\nb: [x]\n""#);
    check("${yaml:[1, true]}", r#"[1,true] "[1, true]""#);
}

#[test]
fn inside_a_text_a_reference_is_its_text() {
    check("x${N}y", r#""x0123y" "x0123y""#);
    check("${N}${N}", r#""01230123" "01230123""#);
    check("a-${MAP}", r#""a-{a: 1, b: 'text'}" "a-{a: 1, b: 'text'}""#);
    check("${EMPTY}${S}", r#""text" "text""#);
}

#[test]
fn inner_references_go_first() {
    check("${env:${NAME}}", r#""text" "text""#);
    check("${env:UNSET:-${env:N}}", r#"83 "0123""#);
}

#[test]
fn defaults_are_typed_and_may_be_empty() {
    check("${env:UNSET:-5}", r#"5 "5""#);
    check("${env:UNSET:-}", r#"null """#);
    check("${env:N:-x}", r#"83 "0123""#);
    check("${EMPTY:-x}", r#"null """#);
    // Upstream takes `UNSET` for a scheme here.
    check("${UNSET:-5}", r#"5 "5""#);
}

#[test]
fn dollars_stand_for_themselves_unless_a_brace_follows() {
    check("$N", r#""$N" "$N""#);
    check("$$N", r#""$N" "$N""#);
    check("a$b$$c", r#""a$b$c" "a$b$c""#);
    check("$${N}", r#""${N}" "${N}""#);
    check("$$${N}", r#""$0123" "$0123""#);
    check("${DOLLARS}", r#""a$b" "a$b""#);
    check("${N", r#""${N" "${N""#);
    check("N}", r#""N}" "N}""#);
    // Upstream leaves everything behind an escaped reference alone.
    check("$${N} ${N}", r#""${N} 0123" "${N} 0123""#);
    // Upstream replaces the escaped one as well.
    check("${N} $${N}", r#""0123 ${N}" "0123 ${N}""#);
}

#[test]
fn a_variable_that_is_not_set_is_null_with_a_warning() {
    check("${UNSET}", r#"null "" environment variable `UNSET` is not set, its value is taken as empty"#);
    check("${EMPTY}", r#"null """#);
    let (_, problems) = expanded("${UNSET}");
    expect!["warning: v: environment variable `UNSET` is not set, its value is taken as empty; `${env:UNSET:-x}` gives it a default"]
        .assert_eq(&problems[0].to_string());
}

#[test]
fn references_that_cannot_work_are_errors() {
    check(
        "${UN-SET}",
        r#"null "" `UN-SET` is not the name of an environment variable (letters, digits and `_`)"#,
    );
    check("${1}", r#"null "" `1` is not the name of an environment variable (letters, digits and `_`)"#);
    check("${}", r#"null "" `` is not the name of an environment variable (letters, digits and `_`)"#);
    check("${file:nope}", r#"null "" unable to read the file `nope`: no such file"#);
    check("${s3:x}", r#"null "" scheme `s3:` is not supported"#);
    check("${https://x}", r#"null "" configuration is not fetched over `https:`; fetch it to a file first"#);
}

#[test]
fn references_to_themselves_end_at_a_limit() {
    check("${SELF}", r#"null "" too many recursive expansions, the limit is 1000 (MAX_ROUNDS)"#);
    check("${GROWING}", r#"null "" too many recursive expansions, the limit is 1000 (MAX_ROUNDS)"#);
    let (_, problems) = expanded("${NESTED}");
    expect!["error: env:NESTED:1:3: v: expansion nests lists and maps deeper than the limit of 100 levels (MAX_DEPTH); does a reference contain itself?"].assert_eq(&problems[0].to_string());
    let (_, problems) = expanded("${WIDE}");
    assert!(problems.iter().any(|problem| problem.message.contains("MAX_REFERENCES")), "{problems:?}");
}

#[test]
fn keys_are_never_expanded_and_problems_have_places() {
    let mut root = parse("p${N}: a\nlist:\n  - ${N}\n  - k: ${UN-SET}\n", "f.yaml").unwrap().root;
    let problems = expand(&mut root, &Fake::with(&WORLD));
    assert_eq!(print_json(&root), r#"{"list":[83,{"k":null}],"p${N}":"a"}"#);
    let expected: Expect = expect![
        "error: f.yaml:4:8: list::1::k: `UN-SET` is not the name of an environment variable (letters, digits and `_`); for the text `${UN-SET}` write `$${UN-SET}`"
    ];
    expected.assert_eq(&problems[0].to_string());
}

#[test]
fn a_duplicated_key_in_what_is_inserted_is_a_warning() {
    let (root, problems) = expanded("${file:twice.yaml}");
    assert_eq!(print_json(&root), r#"{"v":{"a":2}}"#);
    expect![
        "warning: twice.yaml:2:1: v: key `a` is given twice; this value replaces the one at twice.yaml:1:1"
    ]
    .assert_eq(&problems[0].to_string());
}

proptest! {
    #[test]
    fn expansion_ends_whatever_refers_to_whatever(
        texts in prop::collection::vec("(\n- |\\$|\\{|\\}|\\$\\{[A-D]\\}|\\$\\{env:[A-E]:-|\\[|, |\\]|x|: ){0,8}", 4),
    ) {
        let world: Vec<(&str, &str)> = ["A", "B", "C", "D"].into_iter().zip(texts.iter().map(String::as_str)).collect();
        let mut root = Node::from("${A}");
        let _problems = expand(&mut root, &Fake::with(&world));
        // Whatever came out has no more levels than a text may have.
        let _printed = print_json(&root);
    }
}
