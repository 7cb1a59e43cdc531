//! Reference 5.1 and 5.2: names, search and rules of ServiceMonitors.

use expect_test::expect;

use super::*;

#[test]
fn rules_stand_in_the_order_of_the_operator() {
    let settings = format!(
        "{ALL}
pod_target_labels: [team]
enforced_namespace_label: tenant
scrape_classes:
- {{name: usual, default: true, relabelings: [{{targetLabel: class, replacement: usual}}]}}
"
    );
    let job = job_with(
        &settings,
        &Store::default(),
        "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  jobLabel: app.kubernetes.io/name
  targetLabels: [tier, a.b/c]
  podTargetLabels: [version]
  selector:
    matchLabels: {b: a.b, a: x}
    matchExpressions:
    - {key: ring, operator: In, values: [r2, r1]}
    - {key: old, operator: NotIn, values: ['1', '2']}
    - {key: present, operator: Exists}
    - {key: absent, operator: DoesNotExist}
  endpoints:
  - port: metrics
    targetPort: 9102
    relabelings:
    - {sourceLabels: [x, y], separator: '', regex: 'a(.*)', targetLabel: z, action: Replace}
    - {action: LabelDrop, regex: tmp_.*}
",
    );
    assert_eq!(job.name(), "serviceMonitor/shop/cart/0");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        keep [__meta_kubernetes_service_label_a;__meta_kubernetes_service_labelpresent_a] =~ (x);true
        keep [__meta_kubernetes_service_label_b;__meta_kubernetes_service_labelpresent_b] =~ (a.b);true
        keep [__meta_kubernetes_service_label_ring;__meta_kubernetes_service_labelpresent_ring] =~ (r2|r1);true
        drop [__meta_kubernetes_service_label_old;__meta_kubernetes_service_labelpresent_old] =~ (1|2);true
        keep [__meta_kubernetes_service_labelpresent_present] =~ true
        drop [__meta_kubernetes_service_labelpresent_absent] =~ true
        keep [__meta_kubernetes_endpointslice_port_name] =~ metrics
        replace [__meta_kubernetes_endpointslice_address_target_kind;__meta_kubernetes_endpointslice_address_target_name] =~ Node;(.*) -> node = ${1}
        replace [__meta_kubernetes_endpointslice_address_target_kind;__meta_kubernetes_endpointslice_address_target_name] =~ Pod;(.*) -> pod = ${1}
        replace [__meta_kubernetes_namespace] -> namespace
        replace [__meta_kubernetes_service_name] -> service
        replace [__meta_kubernetes_pod_name] -> pod
        replace [__meta_kubernetes_pod_container_name] -> container
        drop [__meta_kubernetes_pod_phase] =~ (Failed|Succeeded)
        replace [__meta_kubernetes_service_label_tier] =~ (.+) -> tier = ${1}
        replace [__meta_kubernetes_service_label_a_b_c] =~ (.+) -> a_b_c = ${1}
        replace [__meta_kubernetes_pod_label_version] =~ (.+) -> version = ${1}
        replace [__meta_kubernetes_pod_label_team] =~ (.+) -> team = ${1}
        replace [__meta_kubernetes_service_name] -> job = ${1}
        replace [__meta_kubernetes_service_label_app_kubernetes_io_name] =~ (.+) -> job = ${1}
        replace [] -> endpoint = metrics
        replace [] -> class = usual
        replace [xy] =~ a(.*) -> z
        labeldrop [] =~ tmp_.*
        replace [] -> tenant = shop
    "#]]
    .assert_eq(&rules(&job));
}

#[test]
fn a_port_of_the_container_is_used_where_the_service_names_none() {
    let ports = |endpoint: &str| {
        let manifest = format!(
            "
kind: ServiceMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, endpoints: [{endpoint}]}}
"
        );
        let of_ports = |line: &&str| line.contains("port") || line.contains("endpoint =");
        rules(&job(&manifest)).lines().filter(of_ports).map(|line| format!("{line}\n")).collect::<String>()
    };
    for (endpoint, expected) in [
        ("{}", ""),
        ("{targetPort: ''}", ""),
        (
            "{targetPort: web}",
            "keep [__meta_kubernetes_pod_container_port_name] =~ web\nreplace [] -> endpoint = web\n",
        ),
        (
            "{targetPort: 9102}",
            "keep [__meta_kubernetes_pod_container_port_number] =~ 9102\nreplace [] -> endpoint = 9102\n",
        ),
        (
            "{targetPort: '9102'}",
            "keep [__meta_kubernetes_pod_container_port_name] =~ 9102\nreplace [] -> endpoint = 9102\n",
        ),
    ] {
        let found: Vec<String> = ports(endpoint)
            .lines()
            .filter(|line| !line.contains("address_target"))
            .map(str::to_owned)
            .collect();
        assert_eq!(found.join("\n"), expected.trim_end(), "{endpoint}");
    }
}

#[test]
fn endpoints_are_searched_where_the_monitor_says_so() {
    let job = job("
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  serviceDiscoveryRole: Endpoints
  selectorMechanism: RoleSelector
  selector:
    matchLabels: {app: edge}
    matchExpressions: [{key: ring, operator: NotIn, values: [r2, r1]}]
  namespaceSelector: {matchNames: [b, a]}
  attachMetadata: {node: true}
  endpoints: [{port: metrics, filterRunning: false}]
");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        keep [__meta_kubernetes_endpoint_port_name] =~ metrics
        replace [__meta_kubernetes_endpoint_address_target_kind;__meta_kubernetes_endpoint_address_target_name] =~ Node;(.*) -> node = ${1}
        replace [__meta_kubernetes_endpoint_address_target_kind;__meta_kubernetes_endpoint_address_target_name] =~ Pod;(.*) -> pod = ${1}
        replace [__meta_kubernetes_namespace] -> namespace
        replace [__meta_kubernetes_service_name] -> service
        replace [__meta_kubernetes_pod_name] -> pod
        replace [__meta_kubernetes_pod_container_name] -> container
        replace [__meta_kubernetes_service_name] -> job = ${1}
        replace [] -> endpoint = metrics
    "#]]
    .assert_eq(&rules(&job));
    let search = &job.full()["kubernetes_sd_configs"][0];
    assert_eq!(search["role"], "endpoints");
    assert_eq!(search["namespaces"]["names"], serde_json::json!(["b", "a"]));
    assert_eq!(search["attach_metadata"]["node"], true);
    let selector = |role: &str| serde_json::json!({"role": role, "label": "app=edge,ring notin (r1,r2)"});
    assert_eq!(search["selectors"], serde_json::json!([selector("endpoints"), selector("service")]));
}

#[test]
fn targets_are_searched_in_the_own_namespace_unless_told_otherwise() {
    let names = |settings: &str, selector: &str| {
        let manifest = format!(
            "
kind: ServiceMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, namespaceSelector: {selector}, endpoints: [{{}}]}}
"
        );
        let job = job_with(settings, &Store::default(), &manifest);
        job.full()["kubernetes_sd_configs"][0]["namespaces"]["names"].clone()
    };
    let ignoring = format!("{ALL}ignore_namespace_selectors: true\n");
    for (settings, selector, expected) in [
        (ALL, "{}", serde_json::json!(["shop"])),
        (ALL, "{matchNames: [x]}", serde_json::json!(["x"])),
        (ALL, "{any: true, matchNames: [x]}", serde_json::Value::Null),
        (&ignoring, "{any: true}", serde_json::json!(["shop"])),
        (&ignoring, "{matchNames: [x]}", serde_json::json!(["shop"])),
    ] {
        let found = names(settings, selector);
        let is_everywhere = expected.is_null() && found.as_array().is_none_or(Vec::is_empty);
        assert!(found == expected || is_everywhere, "{settings} {selector}: {found}");
    }
}

#[test]
fn endpoints_that_name_files_are_left_out_where_the_administrator_wants_it() {
    let manifest = "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  selector: {}
  endpoints:
  - {port: a, bearerTokenFile: /var/run/secrets/token}
  - {port: b}
  - {port: c, tlsConfig: {caFile: /ca}}
  - {port: d, tlsConfig: {certFile: /c, keyFile: /k}}
  - {port: e, tlsConfig: {insecureSkipVerify: true}}
";
    let class = "scrape_classes: [{name: mesh, default: true, tlsConfig: {caFile: /mesh/ca}}]";
    let open = generate_with(ALL, &Store::default(), &[manifest]);
    assert_eq!(open.jobs.len(), 5);
    let settings = format!("{ALL}deny_fs_access_through_sms: true\n{class}\n");
    let closed = generate_with(&settings, &Store::default(), &[manifest]);
    assert_eq!(names(&closed), ["serviceMonitor/shop/cart/1", "serviceMonitor/shop/cart/4"], "indexes stay");
    let ca = |name: &str| closed.jobs[name].full()["tls_config"]["ca_file"].clone();
    assert_eq!(ca("serviceMonitor/shop/cart/1"), "/mesh/ca", "the class of the administrator may name files");
    assert_eq!(ca("serviceMonitor/shop/cart/4"), "/mesh/ca");
    let told = warned(&closed);
    for field in [
        "spec.endpoints[0].bearerTokenFile",
        "spec.endpoints[2].tlsConfig.caFile",
        "spec.endpoints[3].tlsConfig.certFile",
    ] {
        assert!(told.contains(&format!("{field}: the endpoint is left out")), "{told}");
    }
    assert_eq!(closed.quarantine, []);
}
