//! What rules cost: one label set through one rule of each kind, and through the usual block of a Kubernetes job.
//!
//! `cargo bench -p relabel --bench rules`. Batches are small, so that caches stay warm; the copy of the label set that
//! each round edits is not in the times.

use divan::{Bencher, black_box};
use model::Labels;
use relabel::{RuleConfig, Rules};

/// As the examples of most charts have it.
const KUBERNETES: &str = r"
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], action: keep, regex: true}
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme], action: replace, target_label: __scheme__, regex: (https?)}
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], action: replace, target_label: __metrics_path__, regex: (.+)}
- {source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port], action: replace, regex: '([^:]+)(?::\d+)?;(\d+)', replacement: '$1:$2', target_label: __address__}
- {action: labelmap, regex: __meta_kubernetes_pod_label_(.+)}
- {source_labels: [__meta_kubernetes_namespace], action: replace, target_label: namespace}
- {source_labels: [__meta_kubernetes_pod_name], action: replace, target_label: pod}
- {source_labels: [__meta_kubernetes_pod_phase], regex: Pending|Succeeded|Failed|Completed, action: drop}
- {source_labels: [__meta_kubernetes_pod_node_name], action: replace, target_label: node}
- {regex: pod_template_hash|controller_revision_hash, action: labeldrop}
";

/// One rule a kind: name, rule.
const RULES: &[(&str, &str)] = &[
    ("keep equal text", "{source_labels: [__meta_kubernetes_namespace], regex: shop, action: keep}"),
    (
        "drop list of texts",
        "{source_labels: [__meta_kubernetes_pod_phase], regex: Pending|Succeeded|Failed, action: drop}",
    ),
    ("keep prefix", "{source_labels: [__meta_kubernetes_pod_name], regex: cart-.*, action: keep}"),
    (
        "keep by engine",
        "{source_labels: [__meta_kubernetes_pod_name], regex: '[a-z]+-[0-9a-f]+-[a-z0-9]{5}', action: keep}",
    ),
    ("replace whole", "{source_labels: [__meta_kubernetes_namespace], target_label: namespace}"),
    (
        "replace without match",
        "{source_labels: [__address__], regex: 'x([^:]+):(.+)', target_label: a, replacement: $2}",
    ),
    ("replace by engine", "{source_labels: [__address__], regex: '([^:]+)(?::\\d+)?', target_label: host}"),
    ("labelmap prefix", "{action: labelmap, regex: __meta_kubernetes_pod_label_(.+)}"),
    ("labeldrop list", "{action: labeldrop, regex: pod_template_hash|controller_revision_hash}"),
    ("hashmod", "{source_labels: [__address__], modulus: 8, target_label: shard, action: hashmod}"),
    ("lowercase", "{source_labels: [__meta_kubernetes_pod_name], target_label: pod, action: lowercase}"),
];

fn rules(yaml: &str) -> Rules {
    let root = config::parse(yaml, "rules.yaml").expect("the rules are YAML").root;
    let configs = root.items().map(|rule| config::read(rule, "").expect("a rule"));
    Rules::build(&configs.collect::<Vec<RuleConfig>>()).expect("the rules are right")
}

fn pod() -> Labels {
    let pairs = [
        ("__address__", "10.42.7.19:8080"),
        ("__meta_kubernetes_namespace", "shop"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_path", "/metrics"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_port", "9102"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
        ("__meta_kubernetes_pod_container_name", "cart"),
        ("__meta_kubernetes_pod_host_ip", "10.0.0.7"),
        ("__meta_kubernetes_pod_ip", "10.42.7.19"),
        ("__meta_kubernetes_pod_label_app", "cart"),
        ("__meta_kubernetes_pod_label_pod_template_hash", "6d4b75cb6d"),
        ("__meta_kubernetes_pod_label_tier", "backend"),
        ("__meta_kubernetes_pod_name", "cart-6d4b75cb6d-x7k2p"),
        ("__meta_kubernetes_pod_node_name", "node-7"),
        ("__meta_kubernetes_pod_phase", "Running"),
        ("__meta_kubernetes_pod_ready", "true"),
        ("__metrics_path__", "/metrics"),
        ("__scheme__", "http"),
        ("job", "kubernetes-pods"),
    ];
    pairs.into_iter().collect()
}

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, rules: &Rules) {
    let pod = pod();
    bencher
        .with_inputs(|| black_box(&pod).clone())
        .bench_local_values(|mut labels| (rules.apply(&mut labels), labels));
}

#[divan::bench(args = RULES.iter().map(|(name, _)| *name), sample_size = 32, sample_count = 1000)]
fn one_rule(bencher: Bencher<'_, '_>, name: &str) {
    let (_, rule) = RULES.iter().find(|(of, _)| *of == name).expect("the name is one of these rules");
    measure(bencher, &rules(&format!("[{rule}]")));
}

#[divan::bench(sample_size = 32, sample_count = 1000)]
fn kubernetes_block_of_10(bencher: Bencher<'_, '_>) {
    measure(bencher, &rules(KUBERNETES));
}
