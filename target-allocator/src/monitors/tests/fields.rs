//! Reference 5.6: every field of endpoints to its key, limits, and what the administrator enforces.

use expect_test::expect;

use super::*;

const STORE: [(&str, &str); 5] = [
    ("Secret shop/login/user", "me"),
    ("Secret shop/login/token", "hush"),
    ("ConfigMap shop/ids/id", "client"),
    ("Secret observe/login/token", "of-the-class"),
    ("Secret observe/login/user", "not-asked-for"),
];

/// A ServiceMonitor with one endpoint, in flow style.
fn endpoint(fields: &str) -> String {
    format!(
        "
kind: ServiceMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, endpoints: [{{{fields}}}]}}
"
    )
}

fn client(fields: &str) -> String {
    let job = job_with(ALL, &Store::of(STORE), &endpoint(fields));
    let mut value = job.full().clone();
    let keys = ["authorization", "basic_auth", "oauth2", "tls_config"];
    value.as_object_mut().unwrap().retain(|key, _| keys.contains(&key.as_str()) || key.contains("proxy"));
    value.to_string()
}

#[test]
fn every_field_of_an_endpoint_becomes_a_key() {
    let job = job("
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec:
  selector: {}
  sampleLimit: 1
  targetLimit: 2
  labelLimit: 3
  labelNameLengthLimit: 4
  labelValueLengthLimit: 5
  keepDroppedTargets: 6
  bodySizeLimit: 7MiB
  scrapeProtocols: [PrometheusProto, PrometheusText1.0.0]
  fallbackScrapeProtocol: PrometheusText0.0.4
  scrapeNativeHistograms: true
  scrapeClassicHistograms: true
  nativeHistogramBucketLimit: 8
  nativeHistogramMinBucketFactor: '1.1'
  convertClassicHistogramsToNHCB: true
  endpoints:
  - path: /m
    scheme: https
    params: {a: [b]}
    interval: 20s
    scrapeTimeout: 5s
    honorLabels: true
    honorTimestamps: false
    trackTimestampsStaleness: true
    followRedirects: false
    enableHttp2: false
    metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: go_.*}]
");
    expect![[r#"
        {
          "always_scrape_classic_histograms": true,
          "body_size_limit": "7MiB",
          "convert_classic_histograms_to_nhcb": true,
          "enable_http2": false,
          "fallback_scrape_protocol": "PrometheusText0.0.4",
          "follow_redirects": false,
          "honor_labels": true,
          "honor_timestamps": false,
          "job_name": "serviceMonitor/shop/cart/0",
          "keep_dropped_targets": 6,
          "label_limit": 3,
          "label_name_length_limit": 4,
          "label_value_length_limit": 5,
          "metric_relabel_configs": [
            {
              "action": "drop",
              "regex": "go_.*",
              "replacement": "$1",
              "separator": ";",
              "source_labels": [
                "__name__"
              ]
            }
          ],
          "metrics_path": "/m",
          "native_histogram_bucket_limit": 8,
          "native_histogram_min_bucket_factor": 1.1,
          "params": {
            "a": [
              "b"
            ]
          },
          "sample_limit": 1,
          "scheme": "https",
          "scrape_interval": "20s",
          "scrape_native_histograms": true,
          "scrape_protocols": [
            "PrometheusProto",
            "PrometheusText1.0.0"
          ],
          "scrape_timeout": "5s",
          "target_limit": 2,
          "track_timestamps_staleness": true
        }"#]]
    .assert_eq(&own_keys(&job));
}

#[test]
fn references_become_what_they_refer_to() {
    let key = |key: &str| format!("{{name: login, key: {key}}}");
    let (user, token) = (key("user"), key("token"));
    for (fields, expected) in [
        (
            format!("basicAuth: {{username: {user}, password: {token}}}"),
            r#"{"basic_auth":{"password":"hush","username":"me"}}"#,
        ),
        (
            format!("authorization: {{type: Custom, credentials: {token}}}"),
            r#"{"authorization":{"credentials":"hush","type":"Custom"}}"#,
        ),
        (
            format!("bearerTokenSecret: {token}"),
            r#"{"authorization":{"credentials":"hush","type":"Bearer"}}"#,
        ),
        ("bearerTokenSecret: {name: '', key: ''}".to_owned(), "{}"),
        (
            "bearerTokenFile: /token".to_owned(),
            r#"{"authorization":{"credentials_file":"/token","type":"Bearer"}}"#,
        ),
        (
            format!(
                "oauth2: {{clientId: {{configMap: {{name: ids, key: id}}}}, clientSecret: {token}, tokenUrl: 'http://t/x', \
                 scopes: [a], endpointParams: {{k: v}}, tlsConfig: {{serverName: s}}, proxyUrl: 'http://p:1'}}"
            ),
            r#"{"oauth2":{"client_id":"client","client_secret":"hush","endpoint_params":{"k":"v"},"proxy_url":"http://p:1","scopes":["a"],"tls_config":{"insecure_skip_verify":false,"server_name":"s"},"token_url":"http://t/x"}}"#,
        ),
        (
            format!("proxyUrl: 'http://p:1', noProxy: a, proxyConnectHeader: {{X-A: [{token}, {user}]}}"),
            r#"{"no_proxy":"a","proxy_connect_header":{"X-A":["hush","me"]},"proxy_url":"http://p:1"}"#,
        ),
        ("proxyFromEnvironment: true".to_owned(), r#"{"proxy_from_environment":true}"#),
        (
            "tlsConfig: {caFile: /ca, certFile: /c, keyFile: /k, serverName: s, insecureSkipVerify: true}"
                .to_owned(),
            r#"{"tls_config":{"ca_file":"/ca","cert_file":"/c","insecure_skip_verify":true,"key_file":"/k","server_name":"s"}}"#,
        ),
    ] {
        assert_eq!(client(&fields), expected, "{fields}");
    }
}

#[test]
fn intervals_come_from_the_settings_where_a_monitor_has_none() {
    let times = |settings: &str, fields: &str| {
        let job = job_with(settings, &Store::default(), &endpoint(fields));
        let time = |key: &str| job.full()[key].as_str().unwrap().to_owned();
        (time("scrape_interval"), time("scrape_timeout"))
    };
    let quick = format!("{ALL}scrape_interval: 5s\n");
    let slow = format!("{ALL}scrape_interval: 1m\nscrape_timeout: 30s\n");
    for (settings, fields, interval, timeout) in [
        (ALL, "", "30s", "10s"),
        (ALL, "interval: '', scrapeTimeout: ''", "30s", "10s"),
        (ALL, "interval: '0'", "30s", "10s"),
        (ALL, "interval: 5s", "5s", "5s"),
        (&quick, "", "5s", "5s"),
        (&slow, "", "1m", "30s"),
        (&slow, "interval: 20s", "20s", "20s"),
        (&slow, "interval: 1d, scrapeTimeout: 2m", "1d", "2m"),
    ] {
        assert_eq!(times(settings, fields), (interval.to_owned(), timeout.to_owned()), "{fields}");
    }
}

#[test]
fn the_lower_of_the_own_and_the_enforced_limit_counts() {
    let settings = format!(
        "{ALL}
enforced_sample_limit: 10
enforced_target_limit: 10
enforced_label_limit: 10
enforced_label_name_length_limit: 10
enforced_label_value_length_limit: 10
enforced_keep_dropped_targets: 10
enforced_body_size_limit: 1MB
"
    );
    let limits = |spec: &str| {
        let manifest = format!(
            "
kind: PodMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, podMetricsEndpoints: [{{}}], {spec}}}
"
        );
        let limits = job_with(&settings, &Store::default(), &manifest).config().limits.clone();
        let size = limits.body_size_limit.map(|size| size.as_u64());
        ([limits.sample_limit, limits.target_limit, limits.label_limit, limits.label_name_length_limit], size)
    };
    assert_eq!(limits(""), ([10; 4], Some(1 << 20)));
    let spec = "sampleLimit: 5, targetLimit: 0, labelLimit: 20, labelNameLengthLimit: 10, bodySizeLimit: 2MB";
    assert_eq!(limits(spec), ([5, 10, 10, 10], Some(1 << 20)));
    assert_eq!(limits("bodySizeLimit: 1KB").1, Some(1 << 10));
}

#[test]
fn labels_and_timestamps_of_targets_can_be_overridden() {
    let settings = format!("{ALL}override_honor_labels: true\noverride_honor_timestamps: true\n");
    for (fields, own) in [
        ("", (false, true)),
        ("honorLabels: true, honorTimestamps: true", (true, true)),
        ("honorLabels: true, honorTimestamps: false", (true, false)),
    ] {
        let plain = job_with(ALL, &Store::default(), &endpoint(fields));
        assert_eq!((plain.config().honor_labels, plain.config().honor_timestamps), own, "{fields}");
        let overridden = job_with(&settings, &Store::default(), &endpoint(fields));
        let (labels, timestamps) = (overridden.config().honor_labels, overridden.config().honor_timestamps);
        assert_eq!((labels, timestamps), (false, false), "{fields}");
    }
}

#[test]
fn the_enforced_label_stands_last_but_for_who_is_excluded() {
    let settings = format!(
        "{ALL}
enforced_namespace_label: tenant
excluded_from_enforcement:
- {{resource: servicemonitors, namespace: shop, name: free}}
- {{resource: podmonitors, namespace: all-free}}
- {{group: other.io, resource: servicemonitors, namespace: shop, name: cart}}
"
    );
    let has_label = |kind: &str, namespace: &str, name: &str| {
        let endpoints = "[{relabelings: [{targetLabel: tenant, replacement: mine}]}]";
        let manifest = format!(
            "
kind: {kind}
metadata: {{namespace: {namespace}, name: {name}}}
spec: {{selector: {{}}, {}: {endpoints}}}
",
            if kind == "PodMonitor" { "podMetricsEndpoints" } else { "endpoints" }
        );
        let job = job_with(&settings, &Store::default(), &manifest);
        let is_last = |rules: &[relabel::RuleConfig]| {
            rules.last().is_some_and(|rule| rule.target_label == "tenant" && rule.replacement == namespace)
        };
        (is_last(&job.config().relabel_configs), is_last(&job.config().metric_relabel_configs))
    };
    assert_eq!(has_label("ServiceMonitor", "shop", "cart"), (true, true));
    assert_eq!(has_label("ServiceMonitor", "shop", "free"), (false, false));
    assert_eq!(has_label("PodMonitor", "shop", "free"), (true, true));
    assert_eq!(has_label("PodMonitor", "all-free", "any"), (false, false));
}

#[test]
fn unknown_fields_are_warnings_with_the_nearest_name() {
    let generated = generate(&[&endpoint("prot: metrics, basicauth: {}, interval: 20s")]);
    assert_eq!(generated.jobs.len(), 1);
    expect![[r#"
        ServiceMonitor shop/cart: spec.endpoints[0]: unknown key `basicauth`; did you mean `basicAuth`?
        ServiceMonitor shop/cart: spec.endpoints[0]: unknown key `prot`; did you mean `port`?
    "#]]
    .assert_eq(&warned(&generated));
}

#[test]
fn null_is_the_same_as_nothing() {
    let of_null = endpoint("port: null, basicAuth: null, tlsConfig: null, relabelings: null, interval: null");
    assert_eq!(job(&of_null).full(), job(&endpoint("")).full());
}

#[test]
fn credentials_are_in_no_text_but_the_full_form() {
    let token = "{name: login, key: token}";
    let manifest = endpoint(&format!(
        "basicAuth: {{username: {{name: login, key: user}}, password: {token}}}, proxyUrl: 'http://p', proxyConnectHeader: {{A: [{token}]}}"
    ));
    let generated = generate_with(ALL, &Store::of(STORE), &[&manifest]);
    let job = generated.jobs.values().next().unwrap();
    assert_eq!(job.full().to_string().matches("hush").count(), 2);
    assert!(!job.redacted().to_string().contains("hush"));
    assert!(!format!("{generated:?}").contains("hush"), "{generated:?}");
}

#[test]
fn formats_of_text_are_asked_for_unless_somebody_lists_others() {
    let protocols = |settings: &str, spec: &str| {
        let manifest = format!(
            "kind: PodMonitor\nmetadata: {{namespace: shop, name: cart}}\nspec: {{podMetricsEndpoints: [{{}}], scrapeNativeHistograms: true, {spec}}}"
        );
        job_with(settings, &Store::default(), &manifest).full()["scrape_protocols"].as_array().unwrap().len()
    };
    let wider = format!("{ALL}scrape_protocols: [PrometheusProto]\n");
    assert_eq!(protocols(ALL, ""), 4);
    assert_eq!(protocols(ALL, "scrapeProtocols: [PrometheusProto, PrometheusText0.0.4]"), 2);
    assert_eq!(protocols(&wider, ""), 1);
}
