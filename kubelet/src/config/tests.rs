use expect_test::{Expect, expect};

use super::*;

/// Problems of the keys themselves, or of the rules between them.
fn problems(yaml: &str) -> Vec<String> {
    let parsed = config::parse(yaml, "c.yaml").unwrap();
    let found = match config::read::<Config>(&parsed.root, "") {
        Ok(config) => config.check(),
        Err(problems) => problems,
    };
    found.iter().map(ToString::to_string).collect()
}

fn check(yaml: &str, expected: &Expect) {
    expected.assert_eq(&problems(yaml).join("\n"));
}

#[test]
fn defaults_are_upstreams() {
    let config: Config = config::fill(&config::parse("{}", "c.yaml").unwrap().root, "").unwrap();
    assert_eq!((config.auth_type, &*config.endpoint), (AuthType::Tls, ""));
    assert_eq!(config.metric_groups, [MetricGroup::Container, MetricGroup::Pod, MetricGroup::Node]);
    assert_eq!((config.extra_metadata_labels.len(), config.k8s_api_config), (0, None));
    assert_eq!(config.collect_all_network_interfaces, AllInterfaces { pod: false, node: false });
}

#[test]
fn configurations_of_the_field_are_fine() {
    for yaml in [
        "{auth_type: serviceAccount, endpoint: 'node-a:10250', insecure_skip_verify: true}",
        "{auth_type: tls, ca_file: /ca.crt, key_file: /a.key, cert_file: /a.crt, endpoint: 'https://192.168.64.1:10250'}",
        "{auth_type: none, endpoint: 'http://node-a:10255'}",
        "{auth_type: readOnly}",
        "{auth_type: kubeConfig, context: my-context, insecure_skip_verify: true, endpoint: node-a}",
        "{auth_type: serviceAccount, metric_groups: [node, pod], collect_all_network_interfaces: {pod: true, node: true}}",
        "{auth_type: serviceAccount, node: n1, k8s_api_config: {auth_type: serviceAccount}, metrics: {k8s.pod.cpu.node.utilization: {enabled: true}}}",
        "{auth_type: serviceAccount, metrics: , resource_attributes: , k8s_api_config: }",
    ] {
        assert_eq!(problems(yaml), [""; 0], "{yaml}");
    }
}

#[test]
fn a_certificate_is_needed_where_nothing_else_is_said() {
    check(
        "{}",
        &expect![
            "error: auth_type: `tls`, the default, needs a client certificate; give cert_file and key_file, or write auth_type: serviceAccount"
        ],
    );
    check(
        "{cert_file: /a.crt}",
        &expect!["error: key_file: a certificate needs its key: give `key_file` or `key_pem` too"],
    );
}

#[test]
fn secrets_do_not_travel_without_tls() {
    check(
        "{auth_type: serviceAccount, endpoint: 'http://node-a:10255'}",
        &expect![
            "error: endpoint: the token of the service account is not sent without TLS; write https://, or auth_type: none"
        ],
    );
    check(
        "{endpoint: 'http://node-a:10255', cert_file: /a.crt, key_file: /a.key}",
        &expect![
            "error: endpoint: auth_type `tls` needs an https endpoint; write https://, or auth_type: none"
        ],
    );
}

#[test]
fn an_endpoint_fits_the_way_it_is_reached() {
    check(
        "{auth_type: kubeConfig, endpoint: 'https://node-a:10250'}",
        &expect![
            "error: endpoint: must be the name of the node for auth_type `kubeConfig`: the API server passes requests on; write for example ${env:K8S_NODE_NAME}"
        ],
    );
    check(
        "{auth_type: kubeConfig}",
        &expect![
            "error: endpoint: must be the name of the node for auth_type `kubeConfig`: the API server passes requests on; write for example ${env:K8S_NODE_NAME}"
        ],
    );
    check(
        "{auth_type: none, endpoint: 'ftp://node-a'}",
        &expect![
            "error: endpoint: the scheme is neither http nor https; write for example https://${env:K8S_NODE_NAME}:10250"
        ],
    );
    check(
        "{auth_type: none, endpoint: 'node a:10255'}",
        &expect![
            "error: endpoint: the URL holds white space or control characters; write for example https://${env:K8S_NODE_NAME}:10250"
        ],
    );
}

#[test]
fn words_that_nobody_knows_are_told_with_the_nearest_one() {
    check(
        "{auth_type: serviceaccount}",
        &expect![[
            r#"error: c.yaml:1:13: auth_type: the string "serviceaccount" is not one of `tls`, `serviceAccount`, `kubeConfig`, `none`, `readOnly`; did you mean `serviceAccount`?"#
        ]],
    );
    check(
        "{auth_type: none, metric_groups: [pods]}",
        &expect![[
            r#"error: c.yaml:1:35: metric_groups::0: the string "pods" is not one of `container`, `pod`, `node`, `volume`; did you mean `pod`?"#
        ]],
    );
    check(
        "{auth_type: none, extra_metadata_labels: [container.ids]}",
        &expect![[
            r#"error: c.yaml:1:43: extra_metadata_labels::0: the string "container.ids" is not one of `container.id`, `k8s.volume.type`; did you mean `container.id`?"#
        ]],
    );
    check(
        "{auth_type: none, metrics: {k8s.pod.cpu.utilization: {enabled: true}}}",
        &expect![
            "error: c.yaml:1:29: metrics: unknown key `k8s.pod.cpu.utilization`; did you mean `k8s.pod.cpu.node.utilization`?"
        ],
    );
    check(
        "{auth_type: none, metrics: {k8s.pod.network.io: {attributes: [iface]}}}",
        &expect![[
            r#"error: c.yaml:1:63: metrics::k8s.pod.network.io::attributes::0: the string "iface" is not one of `interface`, `direction`"#
        ]],
    );
    check(
        "{auth_type: none, metrics: {k8s.pod.cpu.time: {attributes: [interface]}}}",
        &expect![
            "error: c.yaml:1:48: metrics::k8s.pod.cpu.time: unknown key `attributes`; known keys: enabled"
        ],
    );
    check(
        "{auth_type: none, resource_attributes: {k8s.pod.names: {enabled: true}}}",
        &expect![
            "error: c.yaml:1:41: resource_attributes: unknown key `k8s.pod.names`; did you mean `k8s.pod.name`?"
        ],
    );
}

#[test]
fn a_label_is_not_asked_for_twice() {
    check(
        "{auth_type: none, extra_metadata_labels: [container.id, container.id]}",
        &expect!["error: extra_metadata_labels::1: is given twice; leave it out"],
    );
}

#[test]
fn comparing_with_the_node_needs_its_name_and_somebody_who_knows_it() {
    check(
        "{auth_type: none, metrics: {k8s.pod.cpu.node.utilization: {enabled: true}}}",
        &expect![[r#"
        error: node: must be the name of the node, because `k8s.pod.cpu.node.utilization` is on; write for example ${env:K8S_NODE_NAME}
        error: k8s_api_config: is missing: `k8s.pod.cpu.node.utilization` needs the node's capacity, which the API server knows; write k8s_api_config: {auth_type: serviceAccount}"#]],
    );
    check(
        "{auth_type: none, node: a/b, k8s_api_config: {auth_type: tls}, metrics: {k8s.pod.cpu.node.utilization: {enabled: true}}}",
        &expect![[r#"
            error: k8s_api_config::auth_type: `tls` is no way to reach the API server; write serviceAccount, kubeConfig or none
            error: node: is not the name of a node: letters, digits, `-` and `.`; write for example ${env:K8S_NODE_NAME}"#]],
    );
    // Where the group is not collected nothing is needed.
    let yaml =
        "{auth_type: none, metric_groups: [node], metrics: {k8s.pod.cpu.node.utilization: {enabled: true}}}";
    assert_eq!(problems(yaml), [""; 0]);
}

#[test]
fn filters_are_checked() {
    let with = |filter: &str| {
        format!("{{auth_type: none, resource_attributes: {{k8s.pod.name: {{metrics_include: [{filter}]}}}}}}")
    };
    check(
        &with("{}"),
        &expect![
            "error: resource_attributes::k8s.pod.name::metrics_include::0: needs `strict` or `regexp`, one of them"
        ],
    );
    check(
        &with("{strict: a, regexp: b}"),
        &expect![
            "error: resource_attributes::k8s.pod.name::metrics_include::0: needs `strict` or `regexp`, one of them"
        ],
    );
    check(
        &with("{regexp: 'a('}"),
        &expect![
            "error: resource_attributes::k8s.pod.name::metrics_include::0: not a regular expression: missing closing )"
        ],
    );
    check(
        &with("{regexp: 'a)(b'}"),
        &expect![
            "error: resource_attributes::k8s.pod.name::metrics_include::0: not a regular expression: unexpected ) (at character 2)"
        ],
    );
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let yaml = "{auth_type: none, insecure: true, extra_metadata_labels: [k8s.volume.type], metrics: {k8s.volume.inodes: {enabled: true}}}";
    let config: Config = config::read(&config::parse(yaml, "c.yaml").unwrap().root, "").unwrap();
    let told: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    expect![[r#"
        warning: insecure: has no effect: the scheme of the endpoint decides; write http:// for no TLS
        warning: extra_metadata_labels: `k8s.volume.type` has no effect without `volume` in metric_groups
        warning: metrics::k8s.volume.inodes: has no effect: its group is not in metric_groups"#]]
    .assert_eq(&told.join("\n"));
}
