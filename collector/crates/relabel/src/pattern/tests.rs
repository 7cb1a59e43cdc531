//! Patterns without an engine answer as those with one.

use proptest::prelude::*;

use super::*;

impl Pattern {
    fn is_compiled(&self) -> bool {
        matches!(self.matcher, Matcher::Program(_)) || matches!(self.groups, Groups::Program(_))
    }
}

/// The same expression, always by the engine.
fn slow(expression: &str) -> Regex {
    Regex::new(&re2::translate_whole(expression).unwrap().pattern).unwrap()
}

const SIMPLE: [&str; 31] = [
    "",
    "(.*)",
    ".*",
    ".+",
    "(.+)",
    "(.+?)",
    "foo",
    "(foo)",
    "foo|bar",
    "(foo|bar)",
    "(?:foo|)",
    "foo.*",
    "foo(.*)",
    "foo(.+)",
    "foo;true",
    "a|b",
    "[ab]c",
    "(?:a|b)(?:c|d)?",
    "https?",
    "go_.*|process_.+|up",
    "(?:go|process)_.*",
    "__meta_(.+)",
    "a|b|c|d|e|f|g|h|i|jj|kk",
    ".*foo",
    ".+foo",
    ".*foo.*",
    ".+foo.+",
    ".*(?:_bucket|_sum)",
    "(.*foo)",
    ".*a.*|b",
    "foo\\.bar\\.*",
];

#[test]
fn lists_prefixes_and_suffixes_need_no_program() {
    for expression in &SIMPLE[..SIMPLE.len() - 1] {
        assert!(!Pattern::build_with_groups(expression).unwrap().is_compiled(), "{expression}");
    }
    for expression in ["(foo);true", "(?:a|b)(.*)", "(a)(b)", "(a)|b", "(.*)foo", ".*foo(.*)", ".+(foo)"] {
        assert!(!Pattern::build(expression).unwrap().is_compiled(), "{expression}");
        assert!(Pattern::build_with_groups(expression).unwrap().is_compiled(), "{expression}");
    }
    for expression in ["a*", "[a-z]+", "(?i)a+b", ".*a.*b", ".{2}", "(?-s).*", "(?m)^a", "a)|(b", "\\w"] {
        assert!(Pattern::build(expression).unwrap().is_compiled(), "{expression}");
    }
}

#[test]
fn many_texts_are_looked_up() {
    let names: Vec<String> = (0..1000).map(|index| format!("metric_{index}_total")).collect();
    let pattern = Pattern::build(&names.join("|")).unwrap();
    assert!(!pattern.is_compiled());
    assert!(names.iter().all(|name| pattern.is_match(name)));
    assert!(!pattern.is_match("metric_1000_total") && !pattern.is_match("metric_1_total "));
}

#[test]
fn the_whole_text_must_match() {
    let pattern = Pattern::build("a|bc").unwrap();
    assert!(pattern.is_match("a") && pattern.is_match("bc"));
    assert!(!pattern.is_match("abc") && !pattern.is_match("xa") && !pattern.is_match("a\n"));
    assert_eq!(pattern.as_str(), "a|bc");
}

#[test]
fn a_dollar_is_the_end_of_the_text_and_not_of_a_line() {
    for expression in ["a", "a$", r"a\z", "(?-m)a$", "^a$"] {
        let pattern = Pattern::build(expression).unwrap();
        assert!(
            pattern.is_match("a") && !pattern.is_match("a\n") && !pattern.is_match("a\nb"),
            "{expression}"
        );
    }
    assert!(Pattern::build("(?m)a$.*").unwrap().is_match("a\nb"));
}

#[test]
fn groups_take_what_their_greed_says() {
    let group = |expression: &str| {
        let pattern = Pattern::build_with_groups(expression).unwrap();
        pattern.find("aaa").unwrap().group(1).map(str::to_owned)
    };
    for (expression, expected) in [
        ("(a+)(a*)", "aaa"),
        ("(a+?)(a*)", "a"),
        ("(?U)(a+)(a*)", "a"),
        ("(?U)(a+?)(a*)", "aaa"),
        ("(?U:(a+))(a*)", "a"),
    ] {
        assert_eq!(group(expression).as_deref(), Some(expected), "{expression}");
    }
}

#[test]
fn brackets_that_escape_from_the_anchors_are_read_as_upstream_does() {
    let pattern = Pattern::build("a)|(b").unwrap();
    assert!(pattern.is_match("ax") && pattern.is_match("xb") && !pattern.is_match("xax"));
}

#[test]
fn groups_that_cannot_match_are_empty() {
    let pattern = Pattern::build_with_groups("(a){0}(.*)").unwrap();
    let found = pattern.find("xyz").unwrap();
    assert_eq!([0, 1, 2, 3].map(|number| found.group(number)), [Some("xyz"), None, Some("xyz"), None]);
}

#[test]
fn every_match_is_replaced() {
    let names = |pattern: &Pattern| Template::parse("<$1>", pattern.names());
    for (expression, text, replaced) in [
        ("__meta_(.+)", "__meta_x", Some("<x>")),
        ("__meta_(.+)", "meta_x", None),
        ("(\\w+)_(\\d+)", "ab_12", Some("<ab>")),
        ("(a))|(?:b", "acb", Some("<a>c<>")),
        ("", "", Some("<>")),
    ] {
        let pattern = Pattern::build_with_groups(expression).unwrap();
        assert_eq!(pattern.replace(text, &names(&pattern)).as_deref(), replaced, "{expression}");
    }
}

#[test]
fn limits_are_named() {
    let message = |expression: &str| Pattern::build(expression).unwrap_err().to_string();
    assert!(message(r"\pL{1000}").contains("regex_size_limit (10485760 bytes)"));
    assert!(message(&"(".repeat(300)).contains("missing closing )"));
    assert!(message(&format!("{}{}", "(".repeat(300), ")".repeat(300))).contains("regex_nest_limit (250)"));
    assert!(message(&"a".repeat(REGEX_LENGTH_LIMIT + 1)).contains("regex_length_limit (262144 bytes)"));
}

#[test]
fn hostile_expressions_are_cheap() {
    for expression in [
        "(?:a|b)".repeat(5000),
        format!("(?:{})", vec!["ab"; 40_000].join("|")),
        format!("(?:{}){}", vec!["ab"; 1000].join("|"), "()".repeat(1000)),
        "{".repeat(100_000),
        format!("{}]", "[[:".repeat(50_000)),
        "a?".repeat(5000),
    ] {
        Pattern::build(&expression).ok();
    }
}

#[test]
fn reasons_are_one_line() {
    for expression in ["(a", r"\p{Foo}", "[z-a]", "a**"] {
        let message = Pattern::build(expression).unwrap_err().to_string();
        assert!(!message.contains('\n') && !message.is_empty(), "{message}");
    }
}

/// Expressions near the border between those with and those without a program.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "ab", "(a)", "(b|ab)", "(?:a|)", "[ab]", "a?", "b??", ".*", ".+", "(.*)", "(.+?)", "|",
        "()", "(?:|a)", "\\.",
    ]);
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn shortcuts_answer_as_the_engine_does(
        expression in prop_oneof![expression(), prop::sample::select(&SIMPLE[..]).prop_map(str::to_owned)],
        text in "[ab.\n\u{e9}]{0,6}|[a\u{e9}]?foo[a-z;.]{0,5}|go_|process_|up|__meta_x|https?|x?_(bucket|sum)",
    ) {
        let pattern = Pattern::build_with_groups(&expression).unwrap();
        let regex = slow(&expression);
        let captures = regex.captures(&text);
        prop_assert_eq!(pattern.is_match(&text), captures.is_some());
        prop_assert_eq!(Pattern::build(&expression).unwrap().is_match(&text), captures.is_some());
        let found = pattern.find(&text);
        prop_assert_eq!(found.is_some(), captures.is_some());
        if let (Some(found), Some(captures)) = (found, captures) {
            for number in 0..pattern.names().len() + 1 {
                let group = captures.get(number).map(|group| group.as_str());
                prop_assert_eq!(found.group(number), group, "group {} of {}", number, expression);
            }
        }
    }
}
