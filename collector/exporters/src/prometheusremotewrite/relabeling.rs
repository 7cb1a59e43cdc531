//! `write_relabel_configs`: the rules' verdict on each series, found once and remembered.
//!
//! A verdict belongs to labels, whoever has them, so nothing has to be told when a target's table changes. It is known by
//! a seeded hash of 128 bits. What was not asked for since the last sweep is forgotten, so memory follows the series there are.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use model::Labels;
use relabel::Rules;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The verdicts lie in so many parts, each behind a lock of its own.
const N_PARTS: usize = 16;

/// A sweep comes after so many questions a remembered verdict.
const QUESTIONS_PER_VERDICT: usize = 8;

/// No sweep comes before so many questions.
const MIN_QUESTIONS: usize = 4096;

/// What becomes of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent as it is.
    Unchanged,
    /// It is not sent.
    Dropped,
    /// It is sent with these labels.
    Relabeled(Arc<Labels>),
}

/// Rules and what they have said.
#[derive(Debug)]
pub(super) struct Relabeling {
    rules: Rules,
    /// Nobody outside knows it, so a target cannot choose labels that collide.
    seed: u64,
    parts: [Mutex<Part>; N_PARTS],
}

#[derive(Debug, Default)]
struct Part {
    verdicts: HashMap<u128, Remembered>,
    n_questions: usize,
}

#[derive(Debug)]
struct Remembered {
    verdict: Verdict,
    was_asked_for: bool,
}

impl Relabeling {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, seed: RandomState::new().hash_one(0), parts: std::array::from_fn(|_| Mutex::default()) }
    }

    /// What becomes of the series with these labels, which are sorted by name. `text` is room for them.
    pub(super) fn verdict<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        text: &mut Vec<u8>,
    ) -> Verdict {
        text.clear();
        for part in labels.clone().flat_map(|(name, value)| [name, value]) {
            text.extend_from_slice(part.as_bytes());
            text.push(0xff);
        }
        let key = xxh3_128_with_seed(text, self.seed);
        let mut part =
            self.parts[key as usize % N_PARTS].lock().expect("no code panics while it holds this lock");
        part.sweep_in_time();
        let remembered = part
            .verdicts
            .entry(key)
            .or_insert_with(|| Remembered { verdict: self.judge(labels), was_asked_for: true });
        remembered.was_asked_for = true;
        remembered.verdict.clone()
    }

    fn judge<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Verdict {
        let before: Labels = labels.collect();
        let mut after = before.clone();
        if !self.rules.apply(&mut after) || after.is_empty() {
            Verdict::Dropped
        } else if after == before {
            Verdict::Unchanged
        } else {
            Verdict::Relabeled(Arc::new(after))
        }
    }
}

impl Part {
    /// Forgets what was not asked for since the last time, now and then.
    fn sweep_in_time(&mut self) {
        self.n_questions += 1;
        if self.n_questions < MIN_QUESTIONS.max(self.verdicts.len() * QUESTIONS_PER_VERDICT) {
            return;
        }
        self.n_questions = 0;
        self.verdicts.retain(|_, remembered| std::mem::take(&mut remembered.was_asked_for));
        self.verdicts.shrink_to(2 * self.verdicts.len());
    }
}

#[cfg(test)]
mod tests {
    use relabel::RuleConfig;

    use super::*;

    fn relabeling(yaml: &str) -> Relabeling {
        let node = config::parse(yaml, "x").unwrap().root;
        let rules: Vec<RuleConfig> = config::read::<Rule>(&node, "x").unwrap().rules;
        Relabeling::new(Rules::build(&rules).unwrap())
    }

    #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
    struct Rule {
        rules: Vec<RuleConfig>,
    }

    fn verdict(relabeling: &Relabeling, name: &str, value: &str) -> Verdict {
        relabeling.verdict([("__name__", name), ("x", value)].into_iter(), &mut Vec::new())
    }

    #[test]
    fn a_series_is_kept_dropped_or_changed_and_the_same_again() {
        let relabeling = relabeling(
            "rules: [{action: drop, source_labels: [x], regex: bad}, {source_labels: [x], regex: old, target_label: x, \
             replacement: new}]",
        );
        for _ in 0..2 {
            assert_eq!(verdict(&relabeling, "a", "good"), Verdict::Unchanged);
            assert_eq!(verdict(&relabeling, "a", "bad"), Verdict::Dropped);
            let Verdict::Relabeled(labels) = verdict(&relabeling, "a", "old") else { panic!("unchanged") };
            assert_eq!(labels.to_string(), r#"{__name__="a", x="new"}"#);
        }
        let n_remembered: usize =
            relabeling.parts.iter().map(|part| part.lock().unwrap().verdicts.len()).sum();
        assert_eq!(n_remembered, 3);
    }

    #[test]
    fn a_series_without_labels_is_dropped() {
        let relabeling = relabeling("rules: [{action: labeldrop, regex: '.*'}]");
        assert_eq!(verdict(&relabeling, "a", "b"), Verdict::Dropped);
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_forgotten() {
        let relabeling = relabeling("rules: [{action: drop, source_labels: [x], regex: bad}]");
        for number in 0..1000 {
            let _verdict = verdict(&relabeling, "gone", &number.to_string());
        }
        // So many that every part, whatever the seed, has enough of them to sweep twice.
        let n_here = 64 * N_PARTS;
        for _ in 0..2 * MIN_QUESTIONS / 16 {
            for number in 0..n_here {
                let _verdict = verdict(&relabeling, "here", &number.to_string());
            }
        }
        let n_remembered: usize =
            relabeling.parts.iter().map(|part| part.lock().unwrap().verdicts.len()).sum();
        assert_eq!(n_remembered, n_here);
    }

    proptest::proptest! {
        #[test]
        fn the_verdict_is_what_the_rules_say(series in proptest::collection::vec(("[ab]{1,2}", "[ab]{0,2}"), 1..40)) {
            let relabeling = relabeling(
                "rules: [{action: drop, source_labels: [x], regex: a+}, {source_labels: [__name__], target_label: y}]",
            );
            for (name, value) in series {
                let mut labels: Labels = [("__name__", &*name), ("x", &*value)].into_iter().collect();
                let got = relabeling.verdict(labels.clone().iter(), &mut Vec::new());
                let is_kept = relabeling.rules.apply(&mut labels);
                let want = if is_kept { Verdict::Relabeled(Arc::new(labels)) } else { Verdict::Dropped };
                proptest::prop_assert_eq!(got, want);
            }
        }
    }
}
