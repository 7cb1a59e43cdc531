//! Reference 5.5: ScrapeConfigs and their ways to find targets.

use expect_test::expect;

use super::*;

#[test]
fn rules_of_the_class_stand_before_the_job_name() {
    let settings = format!(
        "{ALL}
enforced_namespace_label: tenant
scrape_classes:
- name: usual
  relabelings: [{{targetLabel: class, replacement: usual}}]
  metricRelabelings: [{{action: drop, sourceLabels: [__name__], regex: class_.*}}]
"
    );
    let job = job_with(
        &settings,
        &Store::default(),
        "
kind: ScrapeConfig
metadata: {namespace: shop, name: cart}
spec:
  scrapeClass: usual
  jobName: named
  relabelings: [{targetLabel: own, replacement: x}]
  metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: own_.*}]
  staticConfigs: [{targets: ['h:1']}]
",
    );
    assert_eq!(job.name(), "scrapeConfig/shop/cart");
    expect![[r#"
        replace [job] -> __tmp_prometheus_job_name
        replace [] -> class = usual
        replace [] -> job = named
        replace [] -> own = x
        replace [] -> tenant = shop
    "#]]
    .assert_eq(&rules(&job));
    expect![[r#"
        drop [__name__] =~ class_.*
        drop [__name__] =~ own_.*
        replace [] -> tenant = shop
    "#]]
    .assert_eq(&lines(&job.config().metric_relabel_configs));
}

#[test]
fn every_field_of_its_own_becomes_a_key() {
    let job = job("
kind: ScrapeConfig
metadata: {namespace: shop, name: cart}
spec:
  metricsPath: /m
  scrapeInterval: 2m
  scrapeTimeout: 90s
  scheme: HTTPS
  params: {a: [b, c]}
  honorLabels: true
  honorTimestamps: false
  trackTimestampsStaleness: true
  enableCompression: false
  enableHTTP2: false
  nameValidationScheme: Legacy
  nameEscapingScheme: Dots
  bodySizeLimit: 10MB
  proxyFromEnvironment: true
  tlsConfig: {serverName: s, insecureSkipVerify: true, minVersion: TLS12, maxVersion: TLS13}
  staticConfigs: [{targets: ['h:1'], labels: {a: b}}]
");
    expect![[r#"
        {
          "body_size_limit": "10MiB",
          "enable_compression": false,
          "enable_http2": false,
          "honor_labels": true,
          "honor_timestamps": false,
          "job_name": "scrapeConfig/shop/cart",
          "metric_name_escaping_scheme": "dots",
          "metric_name_validation_scheme": "legacy",
          "metrics_path": "/m",
          "params": {
            "a": [
              "b",
              "c"
            ]
          },
          "proxy_from_environment": true,
          "scheme": "https",
          "scrape_interval": "2m",
          "scrape_timeout": "1m30s",
          "static_configs": [
            {
              "labels": {
                "a": "b"
              },
              "targets": [
                "h:1"
              ]
            }
          ],
          "tls_config": {
            "insecure_skip_verify": true,
            "max_version": "TLS13",
            "min_version": "TLS12",
            "server_name": "s"
          },
          "track_timestamps_staleness": true
        }"#]]
    .assert_eq(&own_keys(&job));
}

/// Sections that a manifest names, as Prometheus spells them, credentials included.
fn blocks(spec: &str) -> String {
    let manifest = format!("kind: ScrapeConfig\nmetadata: {{namespace: shop, name: cart}}\nspec:\n{spec}");
    let material = Store::of([("Secret shop/s/k", "hush"), ("Secret shop/s/other", "hush-too")]);
    let job = job_with(ALL, &material, &manifest);
    let full = job.full();
    let sections = full.as_object().unwrap().iter().filter(|(key, _)| key.ends_with("_configs"));
    let sections = sections.filter(|(key, _)| *key != "relabel_configs");
    sections.map(|(key, value)| format!("{key}: {value}\n")).collect()
}

#[test]
fn what_is_built_in_is_read_as_in_a_static_job() {
    expect![[r#"
        dns_sd_configs: [{"names":["cart"],"port":9102,"refresh_interval":"1m","type":"A"}]
        file_sd_configs: [{"files":["a.json"],"refresh_interval":"1m"}]
        http_sd_configs: [{"basic_auth":{"password":"hush","username":"hush-too"},"enable_http2":false,"follow_redirects":true,"refresh_interval":"2m","url":"http://inventory/x"}]
        static_configs: [{"targets":["h:1"]}]
    "#]]
    .assert_eq(&blocks(
        "
  staticConfigs: [{targets: ['h:1']}]
  fileSDConfigs: [{files: [a.json], refreshInterval: 1m}]
  httpSDConfigs:
  - url: http://inventory/x
    refreshInterval: 2m
    basicAuth: {username: {name: s, key: other}, password: {name: s, key: k}}
    enableHTTP2: false
  dnsSDConfigs: [{names: [cart], refreshInterval: 1m, type: A, port: 9102}]
",
    ));
}

#[test]
fn kubernetes_is_searched_with_words_in_lower_case() {
    let found = blocks(
        "
  kubernetesSDConfigs:
  - role: EndpointSlice
    namespaces: {names: [a], ownNamespace: true}
    attachMetadata: {node: true}
    selectors: [{role: Pod, label: app=x, field: spec.nodeName=n}]
",
    );
    let found: serde_json::Value =
        serde_json::from_str(found.trim().strip_prefix("kubernetes_sd_configs: ").unwrap()).unwrap();
    let search = &found[0];
    assert_eq!(search["role"], "endpointslice");
    assert_eq!(search["namespaces"], serde_json::json!({"names": ["a"], "own_namespace": true}));
    assert_eq!(search["attach_metadata"]["node"], true);
    let selector = serde_json::json!({"role": "pod", "label": "app=x", "field": "spec.nodeName=n"});
    assert_eq!(search["selectors"], serde_json::json!([selector]));
}

#[test]
fn every_other_mechanism_is_shown_as_prometheus_spells_it() {
    expect![[r#"
        azure_sd_configs: [{"authentication_method":"OAuth","client_id":"c","client_secret":"hush","enable_http2":true,"environment":"E","follow_redirects":true,"port":80,"refresh_interval":"1m","resource_group":"g","subscription_id":"sub","tenant_id":"t"}]
        consul_sd_configs: [{"allow_stale":true,"datacenter":"d","enable_http2":true,"filter":"f","follow_redirects":false,"health_filter":"h","namespace":"n","node_meta":{"a":"b"},"partition":"q","path_prefix":"/p","refresh_interval":"30s","scheme":"https","server":"c:8500","services":["a"],"tag_separator":";","tags":["t"],"token":"hush"}]
        digitalocean_sd_configs: [{"authorization":{"credentials":"hush","type":"Bearer"},"enable_http2":true,"follow_redirects":true,"port":80,"refresh_interval":"1m"}]
        docker_sd_configs: [{"enable_http2":true,"filters":[{"name":"a","values":["y"]}],"follow_redirects":true,"host":"unix:///d","host_networking_host":"h","match_first_network":false,"port":80,"refresh_interval":"1m"}]
        dockerswarm_sd_configs: [{"enable_http2":true,"filters":[{"name":"a","values":["y"]}],"follow_redirects":true,"host":"unix:///d","port":80,"refresh_interval":"1m","role":"tasks"}]
        ec2_sd_configs: [{"access_key":"hush","enable_http2":true,"filters":[{"name":"a","values":["y"]},{"name":"b","values":["x"]}],"follow_redirects":true,"port":80,"refresh_interval":"1m","region":"r","role_arn":"arn","secret_key":"hush-too"}]
        eureka_sd_configs: [{"enable_http2":true,"follow_redirects":true,"refresh_interval":"1m","server":"http://e"}]
        gce_sd_configs: [{"filter":"f","port":80,"project":"p","refresh_interval":"1m","tag_separator":",","zone":"z"}]
        hetzner_sd_configs: [{"enable_http2":true,"follow_redirects":true,"label_selector":"a=b","port":80,"refresh_interval":"1m","role":"hcloud"}]
        ionos_sd_configs: [{"authorization":{"credentials":"hush","type":"Bearer"},"datacenter_id":"d","enable_http2":true,"follow_redirects":true,"port":80,"refresh_interval":"1m"}]
        kuma_sd_configs: [{"client_id":"c","enable_http2":true,"fetch_timeout":"5s","follow_redirects":true,"refresh_interval":"1m","server":"http://k"}]
        lightsail_sd_configs: [{"access_key":"hush","enable_http2":true,"endpoint":"e","follow_redirects":true,"port":80,"refresh_interval":"1m","region":"r","role_arn":"arn","secret_key":"hush-too"}]
        linode_sd_configs: [{"enable_http2":true,"follow_redirects":true,"port":80,"refresh_interval":"1m","region":"r","tag_separator":","}]
        nomad_sd_configs: [{"allow_stale":false,"enable_http2":true,"follow_redirects":true,"namespace":"n","refresh_interval":"1m","region":"r","server":"http://n","tag_separator":","}]
        openstack_sd_configs: [{"all_tenants":true,"application_credential_id":"ai","application_credential_name":"a","application_credential_secret":"hush-too","availability":"public","domain_id":"di","domain_name":"d","identity_endpoint":"http://i","password":"hush","port":80,"project_id":"pi","project_name":"p","refresh_interval":"1m","region":"r","role":"instance","tls_config":{"insecure_skip_verify":false,"server_name":"s"},"userid":"i","username":"u"}]
        ovhcloud_sd_configs: [{"application_key":"a","application_secret":"hush","consumer_key":"hush-too","endpoint":"e","refresh_interval":"1m","service":"dedicated_server"}]
        puppetdb_sd_configs: [{"enable_http2":true,"follow_redirects":true,"include_parameters":true,"port":80,"query":"q","refresh_interval":"1m","url":"http://p"}]
        scaleway_sd_configs: [{"access_key":"a","api_url":"http://a","enable_http2":true,"follow_redirects":true,"name_filter":"f","port":80,"project_id":"p","refresh_interval":"1m","role":"instance","secret_key":"hush","tags_filter":["t"],"zone":"z"}]
    "#]].assert_eq(&blocks(
        "
  consulSDConfigs:
  - {server: 'c:8500', pathPrefix: /p, tokenRef: {name: s, key: k}, datacenter: d, namespace: n, partition: q, scheme: HTTPS, services: [a], tags: [t], tagSeparator: ';', nodeMeta: {a: b}, filter: f, healthFilter: h, allowStale: true, refreshInterval: 30s, followRedirects: false}
  ec2SDConfigs:
  - {region: r, accessKey: {name: s, key: k}, secretKey: {name: s, key: other}, roleARN: arn, port: 80, refreshInterval: 1m, filters: [{name: b, values: [x]}, {name: a, values: [y]}]}
  azureSDConfigs:
  - {environment: E, authenticationMethod: OAuth, subscriptionID: sub, tenantID: t, clientID: c, clientSecret: {name: s, key: k}, resourceGroup: g, refreshInterval: 1m, port: 80}
  gceSDConfigs: [{project: p, zone: z, filter: f, refreshInterval: 1m, port: 80, tagSeparator: ','}]
  openstackSDConfigs:
  - {role: Instance, region: r, identityEndpoint: 'http://i', username: u, userid: i, password: {name: s, key: k}, domainName: d, domainID: di, projectName: p, projectID: pi, applicationCredentialName: a, applicationCredentialId: ai, applicationCredentialSecret: {name: s, key: other}, allTenants: true, refreshInterval: 1m, port: 80, availability: Public, tlsConfig: {serverName: s}}
  digitalOceanSDConfigs: [{port: 80, refreshInterval: 1m, authorization: {credentials: {name: s, key: k}}}]
  kumaSDConfigs: [{server: 'http://k', clientID: c, refreshInterval: 1m, fetchTimeout: 5s}]
  eurekaSDConfigs: [{server: 'http://e', refreshInterval: 1m}]
  dockerSDConfigs: [{host: 'unix:///d', port: 80, hostNetworkingHost: h, matchFirstNetwork: false, filters: [{name: a, values: [y]}], refreshInterval: 1m}]
  dockerSwarmSDConfigs: [{host: 'unix:///d', role: Tasks, port: 80, filters: [{name: a, values: [y]}], refreshInterval: 1m}]
  linodeSDConfigs: [{region: r, port: 80, tagSeparator: ',', refreshInterval: 1m}]
  hetznerSDConfigs: [{role: Hcloud, port: 80, refreshInterval: 1m, labelSelector: a=b}]
  nomadSDConfigs: [{allowStale: false, namespace: n, refreshInterval: 1m, region: r, server: 'http://n', tagSeparator: ','}]
  puppetDBSDConfigs: [{url: 'http://p', query: q, includeParameters: true, refreshInterval: 1m, port: 80}]
  lightSailSDConfigs: [{region: r, accessKey: {name: s, key: k}, secretKey: {name: s, key: other}, roleARN: arn, endpoint: e, refreshInterval: 1m, port: 80}]
  ovhcloudSDConfigs: [{applicationKey: a, applicationSecret: {name: s, key: k}, consumerKey: {name: s, key: other}, service: DedicatedServer, endpoint: e, refreshInterval: 1m}]
  scalewaySDConfigs: [{accessKey: a, secretKey: {name: s, key: k}, projectID: p, role: Instance, port: 80, apiURL: 'http://a', zone: z, nameFilter: f, tagsFilter: [t], refreshInterval: 1m}]
  ionosSDConfigs: [{datacenterID: d, port: 80, refreshInterval: 1m, authorization: {credentials: {name: s, key: k}}}]
",
    ));
}

#[test]
fn a_mechanism_that_is_not_built_in_is_named_and_its_credentials_are_not_shown() {
    let material = Store::of([("Secret shop/s/k", "hush")]);
    let generated = generate_with(
        ALL,
        &material,
        &["
kind: ScrapeConfig
metadata: {namespace: shop, name: cart}
spec:
  consulSDConfigs: [{server: 'c:8500', tokenRef: {name: s, key: k}, proxyUrl: 'http://p', proxyConnectHeader: {X-A: [{name: s, key: k}]}}]
"],
    );
    let job = &generated.jobs["scrapeConfig/shop/cart"];
    assert!(job.unanswerable().unwrap().contains("consul_sd_configs"));
    assert!(job.full().to_string().contains("hush"));
    assert!(!job.redacted().to_string().contains("hush"), "{}", job.redacted());
    let told = &generated.warnings[0];
    assert_eq!(told.field, "spec.consulSDConfigs");
    assert!(told.message.starts_with("this way of discovery is not built in yet"), "{told:?}");
}

#[test]
fn unknown_fields_of_a_section_are_warnings_with_the_nearest_name() {
    let generated = generate(&["
kind: ScrapeConfig
metadata: {namespace: shop, name: cart}
spec:
  httpSDConfigs: [{url: 'http://x/y', refreshIntervall: 1m, folowRedirects: true}]
"]);
    expect![[r#"
        ScrapeConfig shop/cart: spec.httpSDConfigs[0]: unknown key `folowRedirects`; did you mean `followRedirects`?
        ScrapeConfig shop/cart: spec.httpSDConfigs[0]: unknown key `refreshIntervall`; did you mean `refreshInterval`?
    "#]]
    .assert_eq(&warned(&generated));
}

#[test]
fn mistakes_in_sections_are_told_by_their_field() {
    let wrong = |spec: &str| {
        let manifest =
            format!("kind: ScrapeConfig\nmetadata: {{namespace: shop, name: cart}}\nspec: {{{spec}}}");
        let generated = generate(&[&manifest]);
        assert_eq!(generated.jobs.len(), 0, "{spec}");
        generated.quarantine[0].field.clone()
    };
    for (spec, field) in [
        ("httpSDConfigs: [{url: 'http:///x'}]", "spec.httpSDConfigs[0].url"),
        (
            "httpSDConfigs: [{url: 'http://x', refreshInterval: soon}]",
            "spec.httpSDConfigs[0].refreshInterval",
        ),
        ("dnsSDConfigs: [{names: [a], type: A}]", "spec.dnsSDConfigs[0].port"),
        ("fileSDConfigs: [{files: [x.txt]}]", "spec.fileSDConfigs[0].files[0]"),
        ("staticConfigs: {}", "spec.staticConfigs"),
        ("kubernetesSDConfigs: [x]", "spec.kubernetesSDConfigs[0]"),
        ("consulSDConfigs: [{server: c, tokenRef: {name: no, key: k}}]", "spec.consulSDConfigs[0].tokenRef"),
    ] {
        assert_eq!(wrong(spec), field, "{spec}");
    }
}

#[test]
fn metadata_of_nodes_is_left_out_where_a_role_has_none() {
    let manifest = |role: &str| {
        format!(
            "kind: ScrapeConfig\nmetadata: {{namespace: shop, name: cart}}\nspec: {{kubernetesSDConfigs: [{{role: {role}, attachMetadata: {{node: true}}}}]}}"
        )
    };
    let of = |role: &str| generate(&[&manifest(role)]);
    let has_metadata = |generated: &Generated| {
        generated.jobs["scrapeConfig/shop/cart"].full().to_string().contains(r#""node":true"#)
    };
    for role in ["Pod", "Endpoints", "EndpointSlice"] {
        assert!(has_metadata(&of(role)) && warned(&of(role)).is_empty(), "{role}");
    }
    for role in ["Service", "Node", "Ingress"] {
        assert!(!has_metadata(&of(role)), "{role}");
        assert!(
            warned(&of(role)).contains("spec.kubernetesSDConfigs[0].attachMetadata: without effect"),
            "{role}"
        );
    }
}
