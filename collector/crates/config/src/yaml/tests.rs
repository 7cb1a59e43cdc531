//! Text to tree: places, anchors, duplicates, limits.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{MAX_ALIAS_NODES, MAX_DEPTH, parse};
use crate::{Node, Value, print_json};

fn check(text: &str, expected: Expect) {
    let shown = match parse(text, "f.yaml") {
        Ok(parsed) => {
            let mut shown = print_json(&parsed.root);
            for warning in parsed.warnings {
                shown.push_str(&format!("\n{warning}"));
            }
            shown
        }
        Err(problem) => problem.to_string(),
    };
    expected.assert_eq(&shown);
}

/// Every value with its place, one per line.
fn places(node: &Node, path: &str, out: &mut String) {
    out.push_str(&format!("{path} {}\n", node.place()));
    for entry in node.map_entries() {
        let path = format!("{path}.{}", entry.key);
        out.push_str(&format!("{path} key {}\n", entry.place));
        places(&entry.node, &path, out);
    }
    for (index, item) in node.items().enumerate() {
        places(item, &format!("{path}.{index}"), out);
    }
}

#[test]
fn every_key_and_value_knows_its_place() {
    let text = "a:\n  b: 1\n  list:\n    - x\n    - {k: v}\nempty:\nlast: \"\u{e4}\" # comment\n";
    let mut shown = String::new();
    places(&parse(text, "f").unwrap().root, "", &mut shown);
    expect![[r#"
         f:1:1
        .a key f:1:1
        .a f:2:3
        .a.b key f:2:3
        .a.b f:2:6
        .a.list key f:3:3
        .a.list f:4:5
        .a.list.0 f:4:7
        .a.list.1 f:5:7
        .a.list.1.k key f:5:8
        .a.list.1.k f:5:11
        .empty key f:6:1
        .empty f:6:6
        .last key f:7:1
        .last f:7:7
    "#]]
    .assert_eq(&shown);
}

#[test]
fn scalars_are_typed_and_quoted_ones_are_text() {
    check(
        "[1, '1', \"1\", 1.5, true, 'true', null, ~, yes, 0x10, !!str 5, !!int '5', !!float 5]",
        expect![[r#"[1,"1","1",1.5,true,"true",null,null,"yes",16,"5",5,5.0]"#]],
    );
}

#[test]
fn numbers_keep_the_text_they_were_written_as() {
    let parsed = parse("[0123, 1.10, 1e5, True, abc]", "f").unwrap();
    let texts: Vec<_> = parsed.root.items().map(|item| item.text().unwrap()).collect();
    assert_eq!(texts, ["0123", "1.10", "1e5", "True", "abc"]);
}

#[test]
fn block_scalars_fold_and_chomp() {
    check(
        "folded: >-\n  a\n  b\n\n  c\nliteral: |\n  x\n   y\nkept: |+\n  z\n\nlast: 1\n",
        expect![[r#"{"folded":"a b\nc","kept":"z\n\n","last":1,"literal":"x\n y\n"}"#]],
    );
}

#[test]
fn json_is_yaml() {
    check(
        "{\"a\": {\"b\": [1, -2.5e3, true, null]},\n\t\"c\":\"x\\/y\\u0041\\n\", \"d\":{}, \"e\":[]}",
        expect![[r#"{"a":{"b":[1,-2500.0,true,null]},"c":"x/yA\n","d":{},"e":[]}"#]],
    );
    assert_eq!(parse("\"\\ud83d\\ude00\"", "f").unwrap().root.as_str(), Some("\u{1f600}"));
    let long_key = "k".repeat(5000);
    assert!(parse(&format!("{{\"{long_key}\": 1}}"), "f").unwrap().root.get(&long_key).is_some());
}

#[test]
fn an_alias_repeats_its_anchor_and_what_stands_beside_a_merge_wins() {
    check(
        "base: &base {a: 1, b: 2}\nplain: *base\nmerged: {<<: *base, b: 3}\nlist:\n  c: 0\n  <<: [*base, {a: 9, d: 4}]\n",
        expect![[
            r#"{"base":{"a":1,"b":2},"list":{"a":1,"b":2,"c":0,"d":4},"merged":{"a":1,"b":3},"plain":{"a":1,"b":2}}"#
        ]],
    );
    check(
        "&k key: 1\n*k : 2",
        expect![[r#"
        {"key":2}
        warning: f.yaml:2:1: key `key` is given twice; this value replaces the one at f.yaml:1:4"#]],
    );
    check("'<<': 1", expect![[r#"{"<<":1}"#]]);
    check("a: {<<: 1}", expect!["error: f.yaml:1:9: a: `<<` needs a map or a list of maps"]);
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    check(
        "a: &x [1, *x]",
        expect!["error: f.yaml:1:11: a::1: the alias stands inside the value it refers to"],
    );
    check("a: *x", expect!["error: f.yaml:1:4: a: not valid YAML: while parsing node, found unknown anchor"]);
}

#[test]
fn of_a_duplicated_key_the_last_value_wins_and_both_places_are_told() {
    check(
        "exporters:\n  debug: 1\n  otlp: 2\n  debug: 3\n",
        expect![[r#"
            {"exporters":{"debug":3,"otlp":2}}
            warning: f.yaml:4:3: exporters: key `debug` is given twice; this value replaces the one at f.yaml:2:3"#]],
    );
}

#[test]
fn keys_are_text_as_it_is_written() {
    check(
        "0123: a\ntrue: b\n? c\n: d\n2.50: e\n",
        expect![[r#"{"0123":"a","2.50":"e","c":"d","true":"b"}"#]],
    );
    check("? [a]\n: b\n", expect!["error: f.yaml:1:3: a key must be text, not a list or a map"]);
}

#[test]
fn an_empty_text_is_null_and_two_documents_are_refused() {
    check("", expect!["null"]);
    check("# nothing\n", expect!["null"]);
    check("\u{feff}--- # start\na: 1\n...\n", expect![[r#"{"a":1}"#]]);
    check("a: 1\n---\nb: 2\n", expect!["error: f.yaml:2:1: the text holds more than one YAML document"]);
}

#[test]
fn tags_that_are_not_known_are_refused() {
    check("a: !env X", expect!["error: f.yaml:1:9: a: tag `!env` is not known"]);
    check("a: !!binary eA==", expect!["error: f.yaml:1:13: a: tag `!!binary` is not known"]);
    check("a: !!int x", expect!["error: f.yaml:1:10: a: the value does not fit its tag `!!int`"]);
    check("a: !!set {b}", expect!["error: f.yaml:1:10: a: tag `!!set` is not known"]);
}

#[test]
fn broken_text_is_told_with_its_place_and_what_helps() {
    check(
        "a:\n  b: 1\n c: 2\n",
        expect![
            "error: f.yaml:3:2: not valid YAML: while parsing a block mapping, did not find expected key"
        ],
    );
    check(
        "a: b: c\n",
        expect![
            "error: f.yaml:1:5: not valid YAML: mapping values are not allowed in this context; check the indentation; text that holds a colon and a space needs quotes"
        ],
    );
    check(
        "a:\n\tb: 1\n",
        expect![
            "error: f.yaml:2:2: a: not valid YAML: tabs disallowed within this context (block indentation); indent with spaces"
        ],
    );
    check(
        "a: \"x",
        expect!["error: f.yaml:1:4: a: not valid YAML: unclosed quote; a closing quote is missing"],
    );
}

#[test]
fn nesting_is_bounded_also_through_aliases() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let parsed = parse(&nested(MAX_DEPTH), "f").unwrap();
    assert_eq!(parse(&crate::print_yaml(&parsed.root), "f").unwrap().root, parsed.root);
    check(
        &nested(MAX_DEPTH + 1),
        expect![
            "error: f.yaml:1:101: lists and maps are nested deeper than the limit of 100 levels (MAX_DEPTH)"
        ],
    );
    let by_alias =
        format!("a: &a {}\nb: {}", nested(MAX_DEPTH - 10), "[".repeat(20) + "*a" + &"]".repeat(20));
    check(
        &by_alias,
        expect![
            "error: f.yaml:2:24: lists and maps are nested deeper than the limit of 100 levels (MAX_DEPTH)"
        ],
    );
    let blocks: String = (0..=MAX_DEPTH).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(parse(&blocks, "f").unwrap_err().message.contains("MAX_DEPTH"));
}

#[test]
fn alias_bombs_are_refused_by_the_name_of_their_limit() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let message = parse(&bomb, "f").unwrap_err().message;
    assert_eq!(
        message,
        format!(
            "anchors and aliases repeat more than the limit of {MAX_ALIAS_NODES} values (MAX_ALIAS_NODES)"
        )
    );

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 20].join(", "));
    assert!(parse(&long, "f").unwrap_err().message.contains("MAX_ALIAS_BYTES"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _outcome = parse(&String::from_utf8_lossy(&bytes), "f");
    }

    #[test]
    fn no_yaml_like_text_makes_the_parser_panic(text in "([a-c:{}\\[\\],#&*!|>'\"%@`?~<\\- \n\t\\\\0-9.]|<<: |\\*a|&a |- |: |\n  ){0,60}") {
        if let Ok(parsed) = parse(&text, "f") {
            let printed = crate::print_yaml(&parsed.root);
            prop_assert_eq!(&parse(&printed, "again").expect("printed YAML parses").root, &parsed.root, "{}", printed);
        }
    }
}

#[test]
fn a_large_list_is_read_in_linear_time() {
    let text: String = (0..50_000).map(|index| format!("k{index}: {index}\n")).collect();
    let parsed = parse(&text, "f").unwrap();
    assert!(matches!(parsed.root.value(), Value::Map(entries) if entries.len() == 50_000));
}
