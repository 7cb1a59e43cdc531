//! One test for each action and each thing that may be wrong with a rule. Rules are written as users write them.

use model::Labels;
use proptest::prelude::*;

use super::*;

mod reference;

fn configs(yaml: &str) -> Vec<RuleConfig> {
    let root = ::config::parse(yaml, "rules.yaml").unwrap().root;
    root.items().map(|rule| ::config::read(rule, "").unwrap()).collect()
}

fn rules(yaml: &str) -> Rules {
    Rules::build(&configs(yaml)).unwrap()
}

/// What is left of the labels.
fn applied(yaml: &str, labels: &[(&str, &str)]) -> String {
    let mut labels: Labels = labels.iter().copied().collect();
    if rules(yaml).apply(&mut labels) { labels.to_string() } else { "dropped".to_owned() }
}

fn refused(yaml: &str) -> Vec<String> {
    let wrong = Rules::build(&configs(yaml)).unwrap_err();
    wrong.into_iter().map(|(index, message)| format!("{index}: {message}")).collect()
}

#[test]
fn no_rules_change_nothing() {
    assert!(rules("[]").is_empty() && Rules::default().is_empty());
    assert_eq!(applied("[]", &[("a", "1")]), r#"{a="1"}"#);
}

#[test]
fn replace_writes_what_the_groups_say() {
    assert_eq!(
        applied(
            r"[{source_labels: [__address__, port], regex: '([^:]+)(?::\d+)?;(\d+)', target_label: __address__, replacement: '$1:${2}'}]",
            &[("__address__", "10.0.0.1:80"), ("port", "9100")]
        ),
        r#"{__address__="10.0.0.1:9100", port="9100"}"#
    );
}

#[test]
fn replace_without_a_match_does_nothing() {
    let rule = "[{source_labels: [a], regex: x.+, target_label: b, replacement: y}]";
    assert_eq!(applied(rule, &[("a", "x"), ("b", "old")]), r#"{a="x", b="old"}"#);
}

#[test]
fn replace_with_an_empty_result_deletes() {
    assert_eq!(applied("[{target_label: b, replacement: ''}]", &[("b", "old")]), "{}");
    assert_eq!(applied("[{source_labels: [a], target_label: b}]", &[("b", "old")]), "{}");
}

#[test]
fn replace_copies_by_default() {
    assert_eq!(applied("[{source_labels: [a, b], target_label: c}]", &[("a", "1")]), r#"{a="1", c="1;"}"#);
    assert_eq!(
        applied("[{source_labels: [a, c, b], separator: '', target_label: c}]", &[("a", "1"), ("b", "2")]),
        r#"{a="1", b="2", c="12"}"#
    );
}

#[test]
fn replace_reads_newlines_and_named_groups() {
    assert_eq!(
        applied(
            "[{source_labels: [a], regex: '(?P<first>.)(?<rest>.*)', target_label: b, replacement: '${rest}$first$$'}]",
            &[("a", "x\ny")]
        ),
        r#"{a="x\ny", b="\nyx$"}"#
    );
}

#[test]
fn replace_may_make_the_name_from_the_match() {
    let rule = "[{source_labels: [a], regex: '(.*)=(.*)', target_label: 'x_${1}', replacement: $2}]";
    assert_eq!(applied(rule, &[("a", "k=v")]), r#"{a="k=v", x_k="v"}"#);
}

#[test]
fn replace_skips_names_that_the_scheme_does_not_allow() {
    let rule = "[{source_labels: [a], target_label: $1, replacement: v}]";
    assert_eq!(applied(rule, &[("a", "")]), "{}");
    assert_eq!(applied(rule, &[("a", "b c")]), r#"{a="b c", b c="v"}"#);
    let legacy = Rules::build_for(&configs(rule), NameScheme::Legacy).unwrap();
    for (name, is_set) in [("b c", false), ("1b", false), ("b1", true)] {
        let mut labels: Labels = [("a", name)].into_iter().collect();
        assert!(legacy.apply(&mut labels));
        assert_eq!(labels.contains(name), is_set, "{name}");
    }
}

#[test]
fn an_empty_expression_matches_only_nothing() {
    let rule = "[{source_labels: [a], regex: '', action: drop}]";
    assert_eq!(applied(rule, &[("b", "1")]), "dropped");
    assert_eq!(applied(rule, &[("a", "1")]), r#"{a="1"}"#);
}

#[test]
fn a_missing_source_label_is_the_empty_text() {
    let rule = "[{source_labels: [x, a, y], regex: ';1;', action: keep}]";
    assert_eq!(applied(rule, &[("a", "1")]), r#"{a="1"}"#);
    assert_eq!(applied("[{source_labels: [x], regex: .+, action: keep}]", &[("a", "1")]), "dropped");
}

#[test]
fn keep_and_drop_look_at_the_joined_text() {
    for (action, good, bad) in
        [("keep", r#"{a="1", b="2"}"#, "dropped"), ("drop", "dropped", r#"{a="1", b="3"}"#)]
    {
        let rule = format!("[{{source_labels: [a, b], separator: '@', regex: '1@2|x', action: {action}}}]");
        assert_eq!(applied(&rule, &[("a", "1"), ("b", "2")]), good);
        assert_eq!(applied(&rule, &[("a", "1"), ("b", "3")]), bad);
    }
}

#[test]
fn an_unquoted_true_is_the_text_true() {
    let rule = "[{source_labels: [scrape], regex: true, action: keep}]";
    assert_eq!(applied(rule, &[("scrape", "true")]), r#"{scrape="true"}"#);
    assert_eq!(applied(rule, &[("scrape", "yes")]), "dropped");
}

#[test]
fn keepequal_and_dropequal_compare_with_the_target_label() {
    for (action, same, other) in
        [("keepequal", r#"{a="1", b="1"}"#, "dropped"), ("dropequal", "dropped", r#"{a="1", b="2"}"#)]
    {
        let rule = format!("[{{source_labels: [a], target_label: b, action: {action}}}]");
        assert_eq!(applied(&rule, &[("a", "1"), ("b", "1")]), same);
        assert_eq!(applied(&rule, &[("a", "1"), ("b", "2")]), other);
    }
    // Both missing is equal, too.
    assert_eq!(applied("[{source_labels: [a], target_label: b, action: keepequal}]", &[]), "{}");
}

#[test]
fn hashmod_takes_the_last_eight_bytes_of_md5() {
    // `md5sum` prints d41d8cd98f00b204e9800998ecf8427e for nothing and 0cc175b9c0f1b6a831c399e269772661 for `a`.
    let all = "[{source_labels: [a], modulus: 18446744073709551615, target_label: h, action: hashmod}]";
    assert_eq!(applied(all, &[]), format!(r#"{{h="{}"}}"#, 0xe980_0998_ecf8_427e_u64));
    assert_eq!(applied(all, &[("a", "a")]), format!(r#"{{a="a", h="{}"}}"#, 0x31c3_99e2_6977_2661_u64));
    let thousand = "[{source_labels: [a], modulus: 1000, target_label: h, action: hashmod}]";
    assert_eq!(applied(thousand, &[]), format!(r#"{{h="{}"}}"#, 0xe980_0998_ecf8_427e_u64 % 1000));
    let one = "[{source_labels: [a, b], modulus: 1, target_label: h, action: hashmod}]";
    assert_eq!(applied(one, &[("a", "x")]), r#"{a="x", h="0"}"#);
}

#[test]
fn labelmap_copies_and_keeps_the_source() {
    assert_eq!(
        applied(
            "[{regex: '__meta_(.+)', action: labelmap}]",
            &[("__meta_a", "1"), ("__meta_b", "2"), ("b", "old"), ("c", "3")]
        ),
        r#"{__meta_a="1", __meta_b="2", a="1", b="2", c="3"}"#
    );
    assert_eq!(
        applied(
            "[{regex: '(.)_(.)', replacement: '${2}_$1', action: labelmap}]",
            &[("a_b", "1"), ("b_a", "2")]
        ),
        r#"{a_b="2", b_a="1"}"#
    );
}

#[test]
fn labelmap_never_makes_a_label_without_a_name() {
    assert_eq!(applied("[{regex: '(x)?.*', action: labelmap}]", &[("a", "1")]), r#"{a="1"}"#);
}

#[test]
fn labeldrop_and_labelkeep_look_at_names() {
    let labels = [("__name__", "up"), ("a", "1"), ("ab", "2")];
    assert_eq!(applied("[{regex: a, action: labeldrop}]", &labels), r#"{__name__="up", ab="2"}"#);
    assert_eq!(applied("[{regex: a.*, action: labelkeep}]", &labels), r#"{a="1", ab="2"}"#);
}

#[test]
fn lowercase_and_uppercase_write_the_joined_text() {
    assert_eq!(
        applied(
            "[{source_labels: [a, b], target_label: c, action: lowercase}]",
            &[("a", "Ab"), ("b", "\u{c9}")]
        ),
        "{a=\"Ab\", b=\"\u{c9}\", c=\"ab;\u{e9}\"}"
    );
    assert_eq!(
        applied("[{source_labels: [a], target_label: a, action: uppercase}]", &[("a", "x1")]),
        r#"{a="X1"}"#
    );
}

#[test]
fn rules_see_what_those_before_them_did_and_a_drop_is_final() {
    assert_eq!(
        applied(
            "[{target_label: a, replacement: x}, {source_labels: [a], target_label: b}, {regex: a, action: labeldrop}]",
            &[]
        ),
        r#"{b="x"}"#
    );
    let mut labels: Labels = [("a", "1")].into_iter().collect();
    let dropping = rules("[{source_labels: [a], action: drop}, {target_label: a, replacement: x}]");
    assert!(!dropping.apply(&mut labels));
    assert_eq!(labels.to_string(), r#"{a="1"}"#);
}

#[test]
fn everything_wrong_is_told_with_the_index_of_its_rule() {
    assert_eq!(
        refused("[{action: keep}, {action: replace}, {action: hashmod, regex: '(', target_label: ''}]"),
        [
            "1: action replace needs `target_label`",
            "2: action hashmod needs `target_label`",
            "2: `regex` \"(\" cannot be read: missing closing )",
        ]
    );
}

#[test]
fn each_action_names_the_keys_it_needs() {
    for action in ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"] {
        let messages = refused(&format!("[{{action: {action}, source_labels: [a]}}]"));
        assert_eq!(messages[0], format!("0: action {action} needs `target_label`"));
    }
    assert_eq!(
        refused("[{action: hashmod, target_label: a}]"),
        ["0: action hashmod needs `modulus` above zero"]
    );
}

#[test]
fn each_action_names_the_keys_it_does_not_take() {
    for action in ["keepequal", "dropequal"] {
        for key in ["regex: x", "modulus: 1", "separator: x", "replacement: x"] {
            let name = key.split(':').next().unwrap();
            assert_eq!(
                refused(&format!("[{{action: {action}, target_label: a, {key}}}]")),
                [format!(
                    "0: action {action} does not take `{name}`; it takes only `source_labels` and `target_label`"
                )]
            );
        }
        rules(&format!("[{{action: {action}, target_label: a, regex: (.*)}}]"));
    }
    for action in ["labeldrop", "labelkeep"] {
        for key in ["source_labels: [x]", "target_label: x", "modulus: 1", "separator: x", "replacement: x"] {
            let name = key.split(':').next().unwrap();
            assert_eq!(
                refused(&format!("[{{action: {action}, {key}}}]")),
                [format!("0: action {action} does not take `{name}`; it takes only `regex`")]
            );
        }
    }
    for action in ["lowercase", "uppercase"] {
        assert_eq!(
            refused(&format!("[{{action: {action}, target_label: a, replacement: x}}]")),
            [format!("0: action {action} does not take `replacement`")]
        );
    }
}

#[test]
fn names_must_be_valid_under_the_scheme() {
    assert_eq!(
        refused("[{action: labelmap, replacement: ''}]"),
        ["0: `replacement` \"\" is not a valid label name"]
    );
    assert_eq!(refused("[{action: keep, source_labels: ['']}]"), ["0: `source_labels` holds an empty name"]);
    let legacy = |yaml: &str| Rules::build_for(&configs(yaml), NameScheme::Legacy);
    for target in ["a b", "1a", "a.b", "a$", "${a", "$-", "1$1"] {
        let yaml = format!("[{{target_label: '{target}'}}]");
        let wrong = legacy(&yaml).unwrap_err();
        assert_eq!(wrong, [(0, format!("`target_label` {target:?} is not a valid label name"))]);
        rules(&yaml);
    }
    for target in ["a", "_1", "$1", "${1}", "a_$1_${b}9", "$1a"] {
        assert!(legacy(&format!("[{{target_label: '{target}'}}]")).is_ok(), "{target}");
    }
    for action in ["hashmod", "lowercase", "keepequal"] {
        let wrong = legacy(&format!("[{{action: {action}, target_label: $1, modulus: 0}}]")).unwrap_err();
        assert!(wrong[0].1.contains("`target_label` \"$1\""), "{wrong:?}");
    }
    assert!(legacy("[{action: labelmap, replacement: 'a.$1'}]").is_err());
}

#[test]
fn an_expression_is_checked_even_where_it_is_not_used() {
    for action in ["hashmod", "lowercase", "uppercase"] {
        let messages = refused(&format!("[{{action: {action}, regex: '(a', target_label: b, modulus: 1}}]"));
        assert_eq!(messages, ["0: `regex` \"(a\" cannot be read: missing closing )"]);
    }
}

#[test]
fn rules_are_shared_by_clones() {
    let one = rules("[{target_label: a, replacement: x}]");
    let two = one.clone();
    assert!(Arc::ptr_eq(&one.0, &two.0));
}

#[test]
fn all_are_dropped_by_what_is_known_of_all_and_by_nothing_else() {
    let drop_all = |yaml: &str, group: &[(&str, &str)]| {
        let group: Labels = group.iter().copied().collect();
        rules(yaml).drop_all(|name| (!name.starts_with("own")).then(|| group.value(name)))
    };
    let keep = "{source_labels: [app, present], regex: '(shop);true', action: keep}";
    let shop = [("app", "shop"), ("present", "true")];
    let other = [("app", "bank"), ("present", "true")];
    assert!(!drop_all(&format!("[{keep}]"), &shop) && drop_all(&format!("[{keep}]"), &other));
    assert!(drop_all(&format!("[{keep}]"), &[]), "what is absent is known to be empty");
    let named = "{source_labels: [own_job], target_label: tmp}";
    assert!(drop_all(&format!("[{named}, {keep}]"), &other), "other labels may be written before");
    assert!(!drop_all(&format!("[{{target_label: app, replacement: shop}}, {keep}]"), &other));
    assert!(!drop_all(&format!("[{{regex: x, action: labelmap}}, {keep}]"), &other));
    assert!(
        !drop_all("[{source_labels: [own], regex: x, action: keep}]", &shop),
        "that differs between targets"
    );
    assert!(drop_all(&format!("[{{source_labels: [own], regex: x, action: keep}}, {keep}]"), &other));
    assert!(drop_all("[{source_labels: [app], regex: shop, action: drop}]", &shop));
    assert!(drop_all("[{source_labels: [app], target_label: present, action: dropequal}]", &[]));
    assert!(drop_all("[{source_labels: [app], target_label: present, action: keepequal}]", &shop));
}

#[test]
fn what_is_needed_is_told_by_rules_that_keep_a_few_texts() {
    let needs = |yaml: &str| {
        let need = |need: Need| format!("{}={}", need.label, need.values.join("|"));
        rules(yaml).needs().into_iter().map(need).collect::<Vec<_>>().join(" ")
    };
    for (yaml, expected) in [
        ("{source_labels: [app, present], regex: '(shop);true', action: keep}", "app=shop"),
        ("{source_labels: [app, present], regex: '(b|a);true', action: keep}", "app=a|b"),
        ("{source_labels: [present], regex: 'true', action: keep}", "present=true"),
        ("{source_labels: [app, b], regex: 'x;y;z', action: keep}", "app=x|x;y"),
        ("{source_labels: [app], regex: 'a.b', action: keep}", ""),
        ("{source_labels: [app], regex: 'a|', action: keep}", ""),
        ("{source_labels: [app, b], regex: ';true', action: keep}", ""),
        ("{source_labels: [app, b], separator: '', regex: 'ab', action: keep}", ""),
        ("{source_labels: [app], regex: 'a', action: drop}", ""),
        ("{regex: 'a', action: keep}", ""),
    ] {
        assert_eq!(needs(&format!("[{yaml}]")), expected, "{yaml}");
    }
    let keep = "{source_labels: [app], regex: x, action: keep}";
    assert_eq!(needs(&format!("[{{target_label: tmp, replacement: y}}, {keep}]")), "app=x");
    assert_eq!(needs(&format!("[{{target_label: app, replacement: x}}, {keep}]")), "");
    assert_eq!(needs(&format!("[{{regex: a, action: labelmap}}, {keep}]")), "");
}

fn config() -> impl Strategy<Value = RuleConfig> {
    let name = || {
        prop::sample::select(vec!["a", "b", "__name__", "x_$1", "$1", "\u{e9}", ""]).prop_map(str::to_owned)
    };
    let regex = prop::sample::select(vec![
        "(.*)",
        "",
        "a",
        "a.*",
        "(a|b)(.*)",
        "([a-z]+)-?(\\d*)",
        "__(.+)",
        "(a",
        "(?i)A?",
        "a)|(b",
    ]);
    let replacement = prop::sample::select(vec!["$1", "${2}", "", "x", "$$", "$1-$2", "y_$1"]);
    let separator = prop::sample::select(vec![";", "", "-"]);
    (proptest::collection::vec(name(), 0..3), separator, regex, 0u64..3, name(), replacement, 0usize..11)
        .prop_map(|(source_labels, separator, regex, modulus, target_label, replacement, action)| {
            RuleConfig {
                source_labels,
                separator: separator.to_owned(),
                regex: regex.to_owned(),
                modulus,
                target_label,
                replacement: replacement.to_owned(),
                action: Action::ALL[action],
            }
        })
}

fn labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map("[ab]|__name__|a_b|\u{e9}", "[ab\u{e9}1-]{0,5}", 0..5)
        .prop_map(|pairs| pairs.iter().collect())
}

proptest! {
    #[test]
    fn labels_stay_sorted_unique_and_named(configs in proptest::collection::vec(config(), 0..5), labels in labels()) {
        // Rules that are refused are left out, so that most of the others are tried.
        let good: Vec<RuleConfig> = configs.into_iter().filter(|rule| Rules::build(std::slice::from_ref(rule)).is_ok()).collect();
        let rules = Rules::build(&good).unwrap();
        let mut left = labels.clone();
        let is_kept = rules.apply(&mut left);
        let names: Vec<&str> = left.iter().map(|(name, _)| name).collect();
        prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(left.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
        // The same labels always get the same answer.
        let mut again = labels;
        prop_assert_eq!(rules.apply(&mut again), is_kept);
        prop_assert_eq!(again, left);
    }

    #[test]
    fn what_drops_all_drops_each(
        configs in proptest::collection::vec(config(), 0..5),
        group in labels(),
        targets in proptest::collection::vec(labels(), 1..5),
    ) {
        let good: Vec<RuleConfig> = configs.into_iter().filter(|rule| Rules::build(std::slice::from_ref(rule)).is_ok()).collect();
        let rules = Rules::build(&good).unwrap();
        let known = |name: &str| (!targets.iter().any(|target| target.contains(name))).then(|| group.value(name));
        if rules.drop_all(known) {
            for target in &targets {
                prop_assert!(!rules.apply(&mut group.overlaid(target).collect()), "{target} is kept");
            }
        }
    }

    #[test]
    fn what_lacks_a_need_is_dropped(configs in proptest::collection::vec(config(), 0..5), labels in labels()) {
        let good: Vec<RuleConfig> = configs.into_iter().filter(|rule| Rules::build(std::slice::from_ref(rule)).is_ok()).collect();
        let rules = Rules::build(&good).unwrap();
        for need in rules.needs() {
            if !need.values.iter().any(|value| **value == *labels.value(&need.label)) {
                prop_assert!(!rules.apply(&mut labels.clone()), "{labels} lacks {need:?}");
            }
        }
    }

    #[test]
    fn no_rule_panics(regex in "\\PC{0,12}", template in "\\PC{0,8}", value in "\\PC{0,8}") {
        for action in [Action::Replace, Action::LabelMap, Action::Keep] {
            let rule = RuleConfig {
                source_labels: vec!["a".to_owned()],
                regex: regex.clone(),
                target_label: "t".to_owned(),
                replacement: template.clone(),
                action,
                ..RuleConfig::default()
            };
            if let Ok(rules) = Rules::build(&[rule]) {
                let mut labels: Labels = [("a", &*value)].into_iter().collect();
                let is_kept = rules.apply(&mut labels);
                prop_assert!(is_kept || action == Action::Keep);
            }
        }
    }
}
