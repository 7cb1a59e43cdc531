//! Rules over label sets.
//!
//! The input is lines. Each line with tabs is a rule: action, source labels (with commas), separator, regex, target label,
//! replacement, modulus; fields at the end may be missing, and an empty one has its default. Each other line is a label,
//! `name=value`.

use model::Labels;
use relabel::{Action, NameScheme, RuleConfig, Rules};

/// Most rules that are taken from an input; each may double the set.
const MAX_RULES: usize = 12;

/// Any rules over any labels: refused or applied; sorted, unique and non-empty labels are left; the same again, also
/// with the rules as they are printed.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut configs, mut labels) = (Vec::new(), Labels::new());
    for line in text.split('\n') {
        match line.split_once('=') {
            _ if line.contains('\t') => configs.extend(rule(line)),
            Some((name, value)) if !name.is_empty() => labels.set(name, value),
            _ => {}
        }
    }
    configs.truncate(MAX_RULES);
    for names in [NameScheme::Utf8, NameScheme::Legacy] {
        apply(&configs, names, &labels);
    }
}

fn apply(configs: &[RuleConfig], names: NameScheme, labels: &Labels) {
    let rules = match Rules::build_for(configs, names) {
        Ok(rules) => rules,
        Err(wrong) => {
            assert!(wrong.iter().all(|(index, message)| *index < configs.len() && !message.is_empty()));
            return;
        }
    };
    let mut left = labels.clone();
    let is_kept = rules.apply(&mut left);
    assert_is_a_set(&left);
    let mut again = labels.clone();
    assert_eq!((rules.apply(&mut again), &again), (is_kept, &left), "rules have no memory");

    let printed = serde_json::to_string(configs).expect("rules can be printed");
    let read: Vec<RuleConfig> = serde_json::from_str(&printed).expect("what is printed can be read");
    let read = Rules::build_for(&read, names).expect("rules that were good are good when printed");
    let mut again = labels.clone();
    assert_eq!((read.apply(&mut again), &again), (is_kept, &left), "{printed}");
}

fn assert_is_a_set(labels: &Labels) {
    let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "sorted and unique: {labels}");
    assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "not empty: {labels}");
}

fn rule(line: &str) -> Option<RuleConfig> {
    let mut fields = line.split('\t');
    let mut config = RuleConfig { action: Action::parse(fields.next()?)?, ..RuleConfig::default() };
    let mut field = || fields.next().filter(|field| !field.is_empty()).map(str::to_owned);
    if let Some(names) = field() {
        config.source_labels = names.split(',').map(str::to_owned).collect();
    }
    for text in [&mut config.separator, &mut config.regex, &mut config.target_label, &mut config.replacement]
    {
        if let Some(given) = field() {
            *text = given;
        }
    }
    config.modulus = field().and_then(|text| text.parse().ok()).unwrap_or_default();
    Some(config)
}
