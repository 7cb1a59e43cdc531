//! Reference 5.4: Probes.

use expect_test::expect;

use super::*;

#[test]
fn listed_targets_become_parameters_of_the_prober() {
    let job = job("
kind: Probe
metadata: {namespace: shop, name: outside}
spec:
  jobName: web
  module: http_2xx
  params: [{name: module, values: [ignored]}, {name: hostname, values: [a, b]}]
  interval: 60s
  prober: {url: 'prober.observe:9115', scheme: HTTPS, proxyUrl: 'http://proxy:3128', noProxy: 10.0.0.0/8}
  targets:
    staticConfig:
      static: ['https://a.example', 'https://b.example']
      labels: {env: x}
      relabelingConfigs: [{targetLabel: own, replacement: x}]
    ingress: {}
");
    assert_eq!(job.name(), "probe/shop/outside");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        replace [] -> job = web
        replace [__address__] -> __param_target
        replace [__param_target] -> instance
        replace [] -> __address__ = prober.observe:9115
        replace [] -> own = x
    "#]]
    .assert_eq(&rules(&job));
    expect![[r#"
        {
          "job_name": "probe/shop/outside",
          "metrics_path": "/probe",
          "no_proxy": "10.0.0.0/8",
          "params": {
            "hostname": [
              "a",
              "b"
            ],
            "module": [
              "http_2xx"
            ]
          },
          "proxy_url": "http://proxy:3128",
          "scheme": "https",
          "static_configs": [
            {
              "labels": {
                "env": "x",
                "namespace": "shop"
              },
              "targets": [
                "https://a.example",
                "https://b.example"
              ]
            }
          ]
        }"#]]
    .assert_eq(&own_keys(&job));
}

#[test]
fn a_namespace_label_of_the_probe_stays() {
    let job = job("
kind: Probe
metadata: {namespace: shop, name: outside}
spec: {prober: {url: p}, targets: {staticConfig: {static: [a], labels: {namespace: other}}}}
");
    assert_eq!(job.full()["static_configs"][0]["labels"]["namespace"], "other");
}

#[test]
fn ingresses_become_urls() {
    let job = job("
kind: Probe
metadata: {namespace: shop, name: outside}
spec:
  jobName: web
  prober: {url: 'prober:9115', path: /other}
  targets:
    ingress:
      selector: {matchLabels: {public: 'true'}, matchExpressions: [{key: a, operator: Exists}]}
      namespaceSelector: {any: true}
      relabelingConfigs: [{targetLabel: own, replacement: x}]
");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        replace [] -> job = web
        keep [__meta_kubernetes_ingress_label_public;__meta_kubernetes_ingress_labelpresent_public] =~ (true);true
        keep [__meta_kubernetes_ingress_labelpresent_a] =~ true
        replace [__meta_kubernetes_ingress_scheme;__address__;__meta_kubernetes_ingress_path] =~ (.+);(.+);(.+) -> __param_target = ${1}://${2}${3}
        replace [__meta_kubernetes_namespace] -> namespace
        replace [__meta_kubernetes_ingress_name] -> ingress
        replace [__address__] -> __tmp_ingress_address
        replace [__param_target] -> instance
        replace [] -> __address__ = prober:9115
        replace [] -> own = x
    "#]]
    .assert_eq(&rules(&job));
    assert_eq!(job.full()["kubernetes_sd_configs"][0]["role"], "ingress");
    assert_eq!(job.full()["metrics_path"], "/other");
}

#[test]
fn ingresses_are_searched_in_the_own_namespace_unless_told_otherwise() {
    for (selector, expected) in
        [("{}", serde_json::json!(["shop"])), ("{matchNames: [b, a]}", serde_json::json!(["b", "a"]))]
    {
        let manifest = format!(
            "
kind: Probe
metadata: {{namespace: shop, name: outside}}
spec: {{prober: {{url: p}}, targets: {{ingress: {{namespaceSelector: {selector}}}}}}}
"
        );
        let search = &job(&manifest).full()["kubernetes_sd_configs"][0];
        assert_eq!(search["namespaces"]["names"], expected, "{selector}");
        assert!(search.get("selectors").is_none(), "{search}");
    }
}

#[test]
fn a_module_among_the_parameters_counts_where_the_probe_names_none() {
    let job = job("
kind: Probe
metadata: {namespace: shop, name: outside}
spec: {params: [{name: module, values: [tcp]}], prober: {url: p}, targets: {staticConfig: {static: [a]}}}
");
    assert_eq!(job.full()["params"], serde_json::json!({"module": ["tcp"]}));
}

#[test]
fn a_probe_without_targets_is_in_quarantine() {
    let generated =
        generate(&["{kind: Probe, metadata: {namespace: shop, name: nothing}, spec: {prober: {url: p}}}"]);
    expect![[r#"
        Probe shop/nothing: spec.targets: there is nothing to probe; give `staticConfig` or `ingress` (+0)
    "#]]
    .assert_eq(&quarantined(&generated));
}

#[test]
fn a_probe_without_targets_or_prober_is_in_quarantine() {
    let generated = generate(&["
kind: Probe
metadata: {namespace: shop, name: nothing}
spec: {prober: {url: 'http://prober:9115/probe'}}
"]);
    expect![[r#"
        Probe shop/nothing: spec.prober.url: `http://prober:9115/probe` is not `host` or `host:port`; write a host name or an IP address, and perhaps a port: `prober:9115` (+1)
    "#]]
    .assert_eq(&quarantined(&generated));
}

#[test]
fn mistakes_in_targets_are_told_where_they_stand() {
    let generated = generate(&["
kind: Probe
metadata: {namespace: shop, name: bad}
spec: {prober: {url: p}, targets: {staticConfig: {static: [a], labels: {'': x}}}}
"]);
    assert_eq!(generated.quarantine[0].field, "spec.targets.staticConfig.labels");
}
