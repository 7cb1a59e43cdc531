//! Looking into trees and changing them.

use crate::{Node, Problem, parse, print_json};

fn tree(text: &str) -> Node {
    parse(text, "f").unwrap().root
}

#[test]
fn a_tree_is_looked_into_by_keys() {
    let root = tree("a: {b: [1, x]}\nc: 2.5\nd: true\n");
    assert_eq!(root.at(&["a", "b"]).unwrap().items().len(), 2);
    assert_eq!(root.at(&["a", "b", "c"]), None);
    assert_eq!(root.get("c").unwrap().as_f64(), Some(2.5));
    assert_eq!(root.get("d").unwrap().as_bool(), Some(true));
    assert_eq!(root.entries().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(root.key_place("d").unwrap().to_string(), "f:3:1");
}

#[test]
fn keys_are_set_replaced_and_taken_out() {
    let mut root = Node::null();
    assert_eq!(root.insert("a", Node::from("x")), None);
    assert_eq!(root.insert("b", Node::from(true)), None);
    assert_eq!(root.insert("a", Node::from("y")), Some(Node::from("x")));
    assert_eq!(root.remove("b"), Some(Node::from(true)));
    assert_eq!(root.remove("b"), None);
    *root.get_mut("a").unwrap() = Node::from(5_u64);
    assert_eq!(print_json(&root), r#"{"a":5}"#);
    assert_eq!(Node::from("text").insert("a", Node::null()), None);
}

#[test]
fn a_problem_of_a_section_is_completed_with_path_and_place() {
    let section = tree("list:\n  - key: 1\n");
    let place = |key: &str| Problem::at(key, "is wrong").within("receivers::x", &section).to_string();
    assert_eq!(place("list::0::key"), "error: f:2:5: receivers::x::list::0::key: is wrong");
    assert_eq!(place("list::3"), "error: f:1:1: receivers::x::list::3: is wrong");
    assert_eq!(place("absent"), "error: f:1:1: receivers::x::absent: is wrong");
    assert_eq!(place(""), "error: f:1:1: receivers::x: is wrong");
    let hinted = Problem::warning("", "is odd").with_hint("do this");
    assert_eq!(hinted.within("", &Node::null()).to_string(), "warning: is odd; do this");
}
