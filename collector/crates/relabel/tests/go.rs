//! Answers of Go's engine to expressions made of random pieces, kept so that another version of ours still gives them.
//!
//! Each line of `go_answers.jsonl` holds an expression alone, which Go refuses, or an expression with texts and what
//! Prometheus' relabelling writes for each by the replacement `<$0><$1><$2><$3>`; null where it does not match.

use std::collections::BTreeMap;

use model::Labels;
use relabel::{RuleConfig, Rules};

/// An expression, and its answers where it is one.
fn line(text: &str) -> (String, Option<BTreeMap<String, Option<String>>>) {
    let mut items: Vec<serde_json::Value> = serde_json::from_str(text).expect("a line is a JSON list");
    let answers = (items.len() == 2).then(|| items.pop().expect("there are two"));
    let regex = items[0].as_str().expect("an expression").to_owned();
    (regex, answers.map(|answers| serde_json::from_value(answers).expect("texts and answers")))
}

#[test]
fn answers_are_those_of_go() {
    let (mut n_refused, mut n_matching, mut n_others) = (0, 0, 0);
    for (regex, answers) in include_str!("go_answers.jsonl").lines().map(line) {
        let rule = RuleConfig {
            source_labels: vec!["v".to_owned()],
            regex: regex.clone(),
            target_label: "t".to_owned(),
            replacement: "<$0><$1><$2><$3>".to_owned(),
            ..RuleConfig::default()
        };
        let Some(answers) = answers else {
            assert!(Rules::build(&[rule]).is_err(), "{regex:?} is refused");
            n_refused += 1;
            continue;
        };
        let rules = Rules::build(&[rule]).unwrap();
        for (text, expected) in answers {
            let mut labels: Labels = [("v", &text)].into_iter().collect();
            assert!(rules.apply(&mut labels));
            assert_eq!(labels.get("t"), expected.as_deref(), "{regex:?} on {text:?}");
            *if expected.is_some() { &mut n_matching } else { &mut n_others } += 1;
        }
    }
    assert!(n_refused > 40 && n_matching > 300 && n_others > 300, "{n_refused} {n_matching} {n_others}");
}
