//! Reference 5.3: rules of PodMonitors.

use expect_test::expect;

use super::*;

fn pod_monitor(endpoint: &str) -> String {
    format!(
        "
kind: PodMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, podMetricsEndpoints: [{endpoint}]}}
"
    )
}

#[test]
fn pods_that_have_ended_are_dropped_before_the_selector() {
    let settings = format!("{ALL}pod_target_labels: [team]\n");
    let job = job_with(
        &settings,
        &Store::default(),
        "
kind: PodMonitor
metadata: {namespace: shop, name: cart}
spec:
  jobLabel: app
  podTargetLabels: [version]
  selector:
    matchLabels: {app: cart}
    matchExpressions: [{key: canary, operator: DoesNotExist}]
  podMetricsEndpoints:
  - port: metrics
    relabelings: [{targetLabel: own, replacement: x}]
",
    );
    assert_eq!(job.name(), "podMonitor/shop/cart/0");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        drop [__meta_kubernetes_pod_phase] =~ (Failed|Succeeded)
        keep [__meta_kubernetes_pod_label_app;__meta_kubernetes_pod_labelpresent_app] =~ (cart);true
        drop [__meta_kubernetes_pod_labelpresent_canary] =~ true
        keep [__meta_kubernetes_pod_container_port_name] =~ metrics
        replace [__meta_kubernetes_namespace] -> namespace
        replace [__meta_kubernetes_pod_container_name] -> container
        replace [__meta_kubernetes_pod_name] -> pod
        replace [__meta_kubernetes_pod_label_version] =~ (.+) -> version = ${1}
        replace [__meta_kubernetes_pod_label_team] =~ (.+) -> team = ${1}
        replace [] -> job = shop/cart
        replace [__meta_kubernetes_pod_label_app] =~ (.+) -> job = ${1}
        replace [] -> endpoint = metrics
        replace [] -> own = x
    "#]]
    .assert_eq(&rules(&job));
    assert_eq!(job.full()["kubernetes_sd_configs"][0]["role"], "pod");
}

#[test]
fn a_port_number_keeps_targets_but_is_no_endpoint() {
    let of_ports = |endpoint: &str| {
        let rules = rules(&job(&pod_monitor(endpoint)));
        let lines =
            rules.lines().filter(|line| line.contains("container_port") || line.contains("-> endpoint"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        of_ports("{portNumber: 9102, targetPort: '9999'}"),
        ["keep [__meta_kubernetes_pod_container_port_number] =~ 9102", "replace [] -> endpoint = 9999"]
    );
    assert_eq!(
        of_ports("{portNumber: 9102}"),
        ["keep [__meta_kubernetes_pod_container_port_number] =~ 9102"]
    );
    assert_eq!(
        of_ports("{targetPort: web}"),
        ["keep [__meta_kubernetes_pod_container_port_name] =~ web", "replace [] -> endpoint = web"]
    );
    assert_eq!(
        of_ports("{targetPort: 9102}"),
        ["keep [__meta_kubernetes_pod_container_port_number] =~ 9102", "replace [] -> endpoint = 9102"]
    );
    assert_eq!(
        of_ports("{port: metrics, portNumber: 9102, targetPort: web}"),
        ["keep [__meta_kubernetes_pod_container_port_name] =~ metrics", "replace [] -> endpoint = metrics"],
        "the name wins over the number, and that over the old field"
    );
    let told = warned(&generate(&[&pod_monitor("{targetPort: web}")]));
    assert!(told.contains("spec.podMetricsEndpoints[0].targetPort: targetPort is deprecated"), "{told}");
}

#[test]
fn the_api_server_selects_pods_where_the_monitor_says_so() {
    let job = job("
kind: PodMonitor
metadata: {namespace: shop, name: cart}
spec:
  selectorMechanism: RoleSelector
  selector: {matchLabels: {app: cart}}
  namespaceSelector: {any: true}
  attachMetadata: {node: false}
  podMetricsEndpoints: [{port: metrics, filterRunning: false}]
");
    assert!(!rules(&job).contains("labelpresent") && !rules(&job).contains("phase"), "{}", rules(&job));
    let search = &job.full()["kubernetes_sd_configs"][0];
    assert_eq!(search["selectors"], serde_json::json!([{"role": "pod", "label": "app=cart"}]));
}

#[test]
fn files_are_no_field_of_a_pod_monitor() {
    let generated =
        generate(&[&pod_monitor("{port: a, tlsConfig: {caFile: /etc/passwd}, bearerTokenFile: /token}")]);
    let job = generated.jobs.values().next().unwrap().full().to_string();
    assert!(!job.contains("/etc/passwd") && !job.contains("/token"), "{job}");
    let told = warned(&generated);
    assert!(
        told.contains("unknown key `caFile`") && told.contains("unknown key `bearerTokenFile`"),
        "{told}"
    );
}
