//! What is printed reads back as the same tree.

use expect_test::expect;
use proptest::prelude::*;

use super::{print_json, print_yaml};
use crate::{Node, Value, parse};

fn tree(text: &str) -> Node {
    parse(text, "f").unwrap().root
}

#[test]
fn yaml_is_printed_in_blocks_with_quotes_only_where_they_are_needed() {
    let node = tree(
        r#"{plain: a b, url: "http://x:1/#y", number: 5, text: "5", float: 1.0, yes: "yes", "no": 'null', empty: "",
            colon: "a: b", hash: "a #b", dash: "- a", minus: -x, quote: "it's", star: "*a", tab: "a\tb", bell: "\a",
            version: "1.10", time: "1:30", list: [1, [2, 3], {a: 1, b: [x]}, [], {}], none: , map: {a: {b: }},
            lines: "a\n  b\n\nc\n", "5": x, "a: b": y, percent: "%a", at: "@a", question: "?a"}"#,
    );
    expect![[r#"
        plain: a b
        url: http://x:1/#y
        number: 5
        text: '5'
        float: 1.0
        'yes': 'yes'
        'no': 'null'
        empty: ''
        colon: 'a: b'
        hash: 'a #b'
        dash: '- a'
        minus: -x
        quote: it's
        star: '*a'
        tab: "a\tb"
        bell: "\u0007"
        version: '1.10'
        time: '1:30'
        list:
          - 1
          - - 2
            - 3
          - a: 1
            b:
              - x
          - []
          - {}
        none: null
        map:
          a:
            b: null
        lines: |
          a
            b

          c
        '5': x
        'a: b': 'y'
        percent: '%a'
        at: '@a'
        question: ?a
    "#]]
    .assert_eq(&print_yaml(&node));
    assert_eq!(tree(&print_yaml(&node)), node);
}

#[test]
fn json_is_printed_on_one_line_with_sorted_keys() {
    let node =
        tree("b: [1, 1.0, -.inf, true, null, {}]\na: \"quote \\\" line\\n \\x01 <x>\"\n\"\": {z: 1, y: 2}\n");
    expect![[r#"{"":{"y":2,"z":1},"a":"quote \" line\n \u0001 <x>","b":[1,1.0,"-.inf",true,null,{}]}"#]]
        .assert_eq(&print_json(&node));
}

#[test]
fn sorting_reaches_every_map() {
    let mut node = tree("b: {d: 1, c: 2}\na: [{f: 1, e: 2}]\n");
    node.sort_keys();
    assert_eq!(print_yaml(&node), "a:\n  - e: 2\n    f: 1\nb:\n  c: 2\n  d: 1\n");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        "[ -~]{0,20}",
        "[a-z \n\t:#-]{0,20}",
        "\\PC{0,12}",
        any::<String>(),
        "[-+.0-9_xobeE:]{1,8}",
        prop::sample::select(vec![
            "true", "No", "~", "null", "<<", "---", "...", "- a", "? b", "a:", "1_0", "0x1F", ".5"
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::null()),
        any::<bool>().prop_map(Node::from),
        any::<i64>().prop_map(Node::from),
        any::<u64>().prop_map(Node::from),
        any::<f64>().prop_map(Node::from),
        any_text().prop_map(Node::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Node::from),
            prop::collection::vec((any_text(), inner), 0..6).prop_map(|entries| {
                let mut map = Node::map();
                entries.into_iter().for_each(|(key, node)| drop(map.insert(key, node)));
                map
            }),
        ]
    })
}

/// JSON has no integers beyond `f64` for some readers, but this one keeps them; infinities become text.
fn has_only_finite_numbers(node: &Node) -> bool {
    match node.value() {
        Value::Float(value) => value.is_finite(),
        _ => {
            node.items().all(has_only_finite_numbers)
                && node.entries().all(|(_, value)| has_only_finite_numbers(value))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn printed_yaml_reads_back_as_the_same_tree(node in any_node()) {
        let printed = print_yaml(&node);
        let parsed = parse(&printed, "printed").map(|parsed| parsed.root);
        prop_assert_eq!(parsed.as_ref(), Ok(&node), "{}", printed);
    }

    #[test]
    fn printed_json_reads_back_as_the_same_tree(mut node in any_node()) {
        prop_assume!(has_only_finite_numbers(&node));
        node.sort_keys();
        let printed = print_json(&node);
        let parsed = parse(&printed, "printed").map(|parsed| parsed.root);
        prop_assert_eq!(parsed.as_ref(), Ok(&node), "{}", &printed);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{}", printed);
    }
}
