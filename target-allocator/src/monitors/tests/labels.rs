//! Labels of targets in the end, which must not change when upstream is replaced.

use scrape::assemble;

use super::*;

/// The labels of a target with these labels of discovery; nothing where rules drop it.
fn labels(job: &JobSpec, discovered: &[(&str, &str)]) -> Option<String> {
    let target = discovered.iter().copied().collect();
    let checked = scrape::Job::build(job.config(), &scrape::GlobalConfig::default(), Path::new("/")).unwrap();
    let target = assemble(&Arc::new(checked), &model::Labels::default(), &target).unwrap()?;
    Some(target.labels().to_string())
}

const ENDPOINT: [(&str, &str); 13] = [
    ("__address__", "10.0.0.1:9102"),
    ("__meta_kubernetes_namespace", "shop"),
    ("__meta_kubernetes_service_name", "cart"),
    ("__meta_kubernetes_service_label_app", "cart"),
    ("__meta_kubernetes_service_labelpresent_app", "true"),
    ("__meta_kubernetes_endpointslice_port_name", "metrics"),
    ("__meta_kubernetes_endpointslice_address_target_kind", "Pod"),
    ("__meta_kubernetes_endpointslice_address_target_name", "cart-0"),
    ("__meta_kubernetes_pod_name", "cart-0"),
    ("__meta_kubernetes_pod_container_name", "app"),
    ("__meta_kubernetes_pod_container_port_number", "9102"),
    ("__meta_kubernetes_pod_phase", "Running"),
    ("__meta_kubernetes_pod_label_version", "7"),
];

fn with(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let kept = ENDPOINT.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    kept.chain(changes).copied().collect()
}

#[test]
fn a_target_of_a_service_gets_the_labels_of_the_operator() {
    let job = job("
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  podTargetLabels: [version]
  selector: {matchLabels: {app: cart}}
  endpoints: [{port: metrics}]
");
    assert_eq!(
        labels(&job, &ENDPOINT).unwrap(),
        r#"{container="app", endpoint="metrics", instance="10.0.0.1:9102", job="cart", namespace="shop", pod="cart-0", service="cart", version="7"}"#
    );
    for change in [
        ("__meta_kubernetes_service_label_app", "other"),
        ("__meta_kubernetes_endpointslice_port_name", "web"),
        ("__meta_kubernetes_pod_phase", "Succeeded"),
    ] {
        assert_eq!(labels(&job, &with(&[change])), None, "{change:?}");
    }
    let of_node = with(&[
        ("__meta_kubernetes_endpointslice_address_target_kind", "Node"),
        ("__meta_kubernetes_pod_name", ""),
    ]);
    assert!(labels(&job, &of_node).unwrap().contains(r#"node="cart-0""#));
}

#[test]
fn a_dot_in_a_selector_matches_any_character() {
    let job = job("
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {matchLabels: {app: c.rt}}, endpoints: [{}]}
");
    assert!(labels(&job, &ENDPOINT).is_some(), "values of selectors are expressions, as upstream");
}

#[test]
fn a_target_of_a_pod_gets_the_labels_of_the_operator() {
    let job = job("
kind: PodMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {}, podMetricsEndpoints: [{portNumber: 9102, targetPort: '9999'}]}
");
    assert_eq!(
        labels(&job, &ENDPOINT).unwrap(),
        r#"{container="app", endpoint="9999", instance="10.0.0.1:9102", job="shop/cart", namespace="shop", pod="cart-0"}"#
    );
    assert_eq!(labels(&job, &with(&[("__meta_kubernetes_pod_container_port_number", "1")])), None);
}

#[test]
fn a_target_of_a_probe_is_its_instance() {
    let job = job("
kind: Probe
metadata: {namespace: shop, name: web}
spec: {module: m, prober: {url: 'prober:9115'}, targets: {staticConfig: {static: ['https://a/x']}}}
");
    let found = labels(&job, &[("__address__", "https://a/x"), ("namespace", "shop")]).unwrap();
    assert_eq!(found, r#"{instance="https://a/x", job="probe/shop/web", namespace="shop"}"#);
}

/// By these labels discovery finds the jobs that may want a group, without asking each of them.
#[test]
fn selectors_tell_what_targets_need() {
    let needs = |manifest: &str| {
        let rules = relabel::Rules::build(&job(manifest).config().relabel_configs).unwrap();
        let need = |need: relabel::Need| {
            format!("{}={}", need.label.replace("__meta_kubernetes_", ""), need.values.join("|"))
        };
        rules.needs().into_iter().map(need).collect::<Vec<_>>()
    };
    let selector = "{matchLabels: {app: cart}, matchExpressions: [{key: ring, operator: In, values: [b, a]}, {key: old, operator: NotIn, values: [x]}, {key: team, operator: Exists}]}";
    for (kind, endpoints, object, port) in [
        ("ServiceMonitor", "endpoints", "service", "endpointslice_port_name"),
        ("PodMonitor", "podMetricsEndpoints", "pod", "pod_container_port_name"),
    ] {
        let manifest = format!(
            "kind: {kind}\nmetadata: {{namespace: shop, name: cart}}\nspec: {{selector: {selector}, {endpoints}: [{{port: metrics}}]}}"
        );
        let label = |rest: &str| format!("{object}_{rest}");
        let expected = [
            label("label_app=cart"),
            label("label_ring=a|b"),
            label("labelpresent_team=true"),
            format!("{port}=metrics"),
        ];
        assert_eq!(needs(&manifest), expected);
    }
}

/// Anchors of upstream's conformance suite.
#[test]
fn hashmod_of_a_monitor_keeps_the_bucket_that_prometheus_computes() {
    let keeps = |value: &str, bucket: &str| {
        let manifest = format!(
            "
kind: ServiceMonitor
metadata: {{namespace: shop, name: cart}}
spec:
  selector: {{}}
  endpoints:
  - relabelings:
    - {{sourceLabels: [c], targetLabel: d, action: hashmod, modulus: 1000}}
    - {{sourceLabels: [d], regex: '{bucket}', action: keep}}
"
        );
        let mut target = ENDPOINT.to_vec();
        target.push(("c", value));
        labels(&job(&manifest), &target).is_some()
    };
    assert!(keeps("baz", "976") && !keeps("baz", "975"));
    assert!(keeps("foo\nbar", "734") && !keeps("foo\nbar", "735"));
}

#[test]
fn the_name_of_the_job_is_there_for_rules_of_users() {
    let job = job(
        "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {}, endpoints: [{relabelings: [{sourceLabels: [__tmp_prometheus_job_name], targetLabel: from}]}]}
",
    );
    assert!(labels(&job, &ENDPOINT).unwrap().contains(r#"from="serviceMonitor/shop/cart/0""#));
}

#[test]
fn an_enforced_label_cannot_be_evaded() {
    let settings = format!("{ALL}enforced_namespace_label: namespace\n");
    let job = job_with(
        &settings,
        &Store::default(),
        "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  namespaceSelector: {any: true}
  selector: {}
  endpoints: [{relabelings: [{targetLabel: namespace, replacement: bank}, {action: labeldrop, regex: namespace}]}]
",
    );
    assert!(labels(&job, &ENDPOINT).unwrap().contains(r#"namespace="shop""#));
}
