//! Options of a translation that have rules of their own.

use super::ToSeries;
use crate::resource::IDENTIFYING;

/// What becomes of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramOptions {
    /// Whether whoever takes the series takes native histograms; without it they are dropped and counted.
    pub native: bool,
    /// Makes explicit histograms native ones with bounds of their own (`convert_explicit_histograms_to_nhcb`). Scrapes
    /// then go through OTLP, because their histograms have to be put together.
    pub explicit_to_custom: bool,
    /// Keeps the classic series beside what `explicit_to_custom` made (`keep_classic_histograms`).
    pub keep_classic: bool,
}

/// A choice of resource attributes by patterns, in which `*` stands for any characters and `?` for one.
///
/// As `resource_constant_labels` of the Go collector's exporters: an attribute is chosen when a pattern includes it and none
/// excludes it. Patterns that only exclude choose everything else; without any pattern nothing is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceLabels {
    /// Patterns of keys that are chosen.
    pub included: Vec<String>,
    /// Patterns of keys that are not, whatever else matches.
    pub excluded: Vec<String>,
}

impl ResourceLabels {
    fn is_empty(&self) -> bool {
        self.included.is_empty() && self.excluded.is_empty()
    }

    fn chooses(&self, key: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, key));
        !self.is_empty() && (self.included.is_empty() || any(&self.included)) && !any(&self.excluded)
    }
}

/// Whether a pattern matches the whole key. Goes back to the last star at most, so a pattern costs no more than its length
/// times that of the key.
fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, key) = (pattern.as_bytes(), key.as_bytes());
    let (mut at, mut found) = (0, 0);
    let mut star = None;
    while found < key.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, found));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == key[found] => (at, found) = (at + 1, found + 1),
            _ => match star.as_mut() {
                Some((star_at, taken)) => {
                    *taken += 1;
                    (at, found) = (*star_at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl ToSeries {
    /// Whether any attribute of a resource may go on series.
    pub(super) fn shares_any(&self) -> bool {
        self.resource_to_telemetry || !self.resource_labels.is_empty()
    }

    /// Whether this attribute of a resource goes on every series. `le` and `quantile` never do: they would make one series
    /// of all buckets.
    pub(super) fn shares(&self, key: &str) -> bool {
        if ["le", "quantile"].contains(&key) {
            return false;
        }
        let is_left_out = self.exclude_service_attributes && IDENTIFYING.contains(&key);
        (self.resource_to_telemetry && !is_left_out) || self.resource_labels.chooses(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        let cases = [
            ("k8s.pod.name", "k8s.pod.name", true),
            ("k8s.pod.name", "k8s.pod.names", false),
            ("k8s.*", "k8s.pod.name", true),
            ("k8s.*", "k8s", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*.name", "k8s.name.name", true),
            ("a*b*c", "axxbxxbxc", true),
            ("a*b*c", "axxbxxb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, key, want) in cases {
            assert_eq!(matches(pattern, key), want, "{pattern} {key}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_chosen_and_nothing_is_chosen_unasked() {
        let labels = |included: &[&str], excluded: &[&str]| ResourceLabels {
            included: included.iter().map(|pattern| (*pattern).to_owned()).collect(),
            excluded: excluded.iter().map(|pattern| (*pattern).to_owned()).collect(),
        };
        assert!(!labels(&[], &[]).chooses("a"));
        assert!(labels(&["a*"], &[]).chooses("ab") && !labels(&["a*"], &[]).chooses("b"));
        assert!(!labels(&["a*"], &["ab"]).chooses("ab") && labels(&["a*"], &["ab"]).chooses("ac"));
        assert!(labels(&[], &["a"]).chooses("b") && !labels(&[], &["a"]).chooses("a"));
    }
}
