//! Rules that change nothing allocate nothing: they run for every new series of every scrape.

use model::Labels;
use relabel::{RuleConfig, Rules};

fn rules(yaml: &str) -> Rules {
    let root = config::parse(yaml, "rules.yaml").expect("the rules are YAML").root;
    let configs: Vec<RuleConfig> = root.items().map(|rule| config::read(rule, "").expect("a rule")).collect();
    Rules::build(&configs).expect("the rules are right")
}

fn labels() -> Labels {
    let pairs = [
        ("__name__", "http_requests_total"),
        ("code", "200"),
        ("instance", "10.0.0.1:9100"),
        ("job", "api"),
        ("path", "/v1/things"),
    ];
    pairs.into_iter().collect()
}

/// Number of allocations when the rules are applied once more, and whether the labels are kept and the same.
fn measured(yaml: &str) -> (u64, bool) {
    let rules = rules(yaml);
    // The engine builds its caches with the first texts.
    for _ in 0..100 {
        assert!(rules.apply(&mut labels()));
    }
    let mut labels = labels();
    let before = labels.clone();
    let mut is_kept = false;
    let info = allocation_counter::measure(|| is_kept = rules.apply(&mut labels));
    (info.count_total, is_kept && labels == before)
}

#[test]
fn rules_that_change_nothing_allocate_nothing() {
    for yaml in [
        "[]",
        "[{action: keep, source_labels: [job], regex: api|web}]",
        "[{action: keep, source_labels: [job, code], regex: 'api;[0-9]+'}]",
        "[{action: drop, source_labels: [__name__], regex: 'go_.*|process_.+'}]",
        "[{action: drop, source_labels: [__name__, path], regex: '.*_bucket;/v[0-9]+/internal.*'}]",
        "[{action: dropequal, source_labels: [job], target_label: instance}]",
        "[{action: labeldrop, regex: '__meta_.*|pod_[a-z]+_hash'}]",
        "[{action: labelkeep, regex: '[a-z_]+'}]",
        "[{action: labelmap, regex: '__meta_kubernetes_pod_label_(.+)'}]",
        "[{action: labelmap, regex: 'x-([a-z]+)-(.*)', replacement: '$2_$1'}]",
        "[{source_labels: [path], regex: '/v2/([^/]+)/.*', target_label: thing}]",
        "[{source_labels: [job], target_label: job}]",
        "[{target_label: code, replacement: '200'}]",
        "[{source_labels: [pod], target_label: pod}]",
    ] {
        assert_eq!(measured(yaml), (0, true), "{yaml}");
    }
}

#[test]
fn a_change_is_seen_by_the_counter() {
    let (n_allocations, is_same) = measured("[{source_labels: [job], target_label: copy}]");
    assert!(n_allocations > 0 && !is_same, "{n_allocations}");
}
