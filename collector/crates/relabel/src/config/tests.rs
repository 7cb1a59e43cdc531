//! Rules as people write them, and as they are printed.

use super::*;

fn read(yaml: &str) -> Result<RuleConfig, String> {
    let root = ::config::parse(yaml, "rules.yaml").map_err(|problem| problem.to_string())?.root;
    ::config::read(&root, "relabel_configs::0")
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn printed(yaml: &str) -> String {
    serde_json::to_string(&read(yaml).unwrap()).unwrap()
}

#[test]
fn an_empty_rule_has_the_defaults_of_prometheus() {
    let rule = read("{}").unwrap();
    assert_eq!(rule, RuleConfig::default());
    assert_eq!(
        (rule.separator.as_str(), rule.regex.as_str(), rule.replacement.as_str(), rule.action),
        (";", "(.*)", "$1", Action::Replace)
    );
}

#[test]
fn every_key_is_read() {
    let rule = read(
        "source_labels: [a, b]\nseparator: '-'\nregex: x.*\nmodulus: 8\ntarget_label: c\nreplacement: d\naction: hashmod\n",
    );
    let expected = RuleConfig {
        source_labels: vec!["a".into(), "b".into()],
        separator: "-".into(),
        regex: "x.*".into(),
        modulus: 8,
        target_label: "c".into(),
        replacement: "d".into(),
        action: Action::HashMod,
    };
    assert_eq!(rule, Ok(expected));
}

#[test]
fn texts_may_be_any_scalar_and_null_is_the_empty_one() {
    let rule = read("regex: true\nreplacement: 9100\nseparator: 1.50\ntarget_label: ~\n").unwrap();
    assert_eq!((rule.regex.as_str(), rule.replacement.as_str()), ("true", "9100"));
    assert_eq!((rule.separator.as_str(), rule.target_label.as_str()), ("1.50", ""));
    let json: RuleConfig =
        serde_json::from_str(r#"{"regex": false, "replacement": -1, "separator": null}"#).unwrap();
    assert_eq!(
        (json.regex.as_str(), json.replacement.as_str(), json.separator.as_str()),
        ("false", "-1", "")
    );
}

#[test]
fn an_explicitly_empty_expression_stays_empty() {
    assert_eq!(read("regex: ''").unwrap().regex, "");
    assert_eq!(read("regex:").unwrap().regex, "");
}

#[test]
fn actions_count_in_any_case() {
    for word in Action::WORDS {
        let mixed = format!("{}{}", word[..1].to_uppercase(), &word[1..]);
        let action = read(&format!("action: {mixed}")).unwrap().action;
        assert_eq!(action.to_string(), word);
        assert_eq!(Action::parse(&word.to_uppercase()), Some(action));
    }
}

#[test]
fn an_unknown_action_is_named_with_its_place() {
    let message = read("source_labels: [a]\naction: kep\n").unwrap_err();
    assert!(message.contains("rules.yaml:2:9"), "{message}");
    assert!(message.contains("kep") && message.contains("`keep`"), "{message}");
}

#[test]
fn an_unknown_key_is_named() {
    let message = read("source_label: [a]\n").unwrap_err();
    assert!(message.contains("source_label") && message.contains("`source_labels`"), "{message}");
}

#[test]
fn a_rule_is_printed_as_prometheus_prints_it() {
    assert_eq!(
        printed("source_labels: [job]\ntarget_label: __tmp_job\n"),
        r#"{"source_labels":["job"],"separator":";","target_label":"__tmp_job","replacement":"$1","action":"replace"}"#
    );
    assert_eq!(
        printed("action: DROP\nregex: ''\nsource_labels: [a]\n"),
        r#"{"source_labels":["a"],"separator":";","regex":"","replacement":"$1","action":"drop"}"#
    );
    assert_eq!(
        printed("action: hashmod\nregex: (.*)\nmodulus: 4\ntarget_label: t\n"),
        r#"{"separator":";","modulus":4,"target_label":"t","replacement":"$1","action":"hashmod"}"#
    );
}

#[test]
fn comparing_rules_are_printed_without_an_expression() {
    for action in ["keepequal", "dropequal"] {
        assert_eq!(
            printed(&format!("action: {action}\nregex: x\nsource_labels: [a]\ntarget_label: b\n")),
            format!(
                r#"{{"source_labels":["a"],"separator":";","target_label":"b","replacement":"$1","action":"{action}"}}"#
            )
        );
    }
}

#[test]
fn what_is_printed_is_read_back() {
    let rule =
        read("source_labels: [a]\nregex: x(.)\nreplacement: ''\ntarget_label: t\nseparator: ''\n").unwrap();
    let text = serde_json::to_string(&rule).unwrap();
    assert_eq!(serde_json::from_str::<RuleConfig>(&text).unwrap(), rule);
}
