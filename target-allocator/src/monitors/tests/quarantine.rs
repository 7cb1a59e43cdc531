//! One bad monitor is in quarantine alone, with the field and the reason.

use super::*;

const STORE: [(&str, &str); 3] = [
    ("Secret shop/login/user", "me"),
    ("Secret shop/login/token", "hush"),
    ("ConfigMap shop/ids/id", "client"),
];

/// Where and why the monitor is in quarantine. Its good neighbour is not.
fn verdict(manifest: &str) -> String {
    let settings = format!(
        "{ALL}scrape_classes: [{{name: login, authorization: {{credentials: {{name: gone, key: k}}}}}}]"
    );
    let generated = generate_with(&settings, &Store::of(STORE), &[manifest, GOOD]);
    assert_eq!(names(&generated), ["serviceMonitor/shop/good/0"], "{manifest}");
    let only = &generated.quarantine[0];
    assert_eq!(generated.quarantine.len(), 1, "{manifest}");
    format!("{}: {}", only.field, only.reason)
}

fn endpoint(fields: &str) -> String {
    format!(
        "
kind: ServiceMonitor
metadata: {{namespace: shop, name: bad}}
spec: {{selector: {{}}, endpoints: [{{port: fine}}, {{{fields}}}]}}
"
    )
}

/// The first trigger of reference 3.4: upstream takes over nothing any more until the object is deleted.
#[test]
fn a_url_that_the_loader_refuses_costs_its_monitor_alone() {
    let manifest = "
kind: ScrapeConfig
metadata: {namespace: shop, name: bad}
spec: {httpSDConfigs: [{url: 'http:///x'}]}
";
    let verdict = verdict(manifest);
    assert!(verdict.starts_with("spec.httpSDConfigs[0].url: "), "{verdict}");
    assert!(verdict.contains("no host"), "{verdict}");
}

#[test]
fn mistakes_are_told_by_field_and_remedy() {
    let token = "{name: login, key: token}";
    let at = "spec.endpoints[1]";
    for (fields, expected) in [
        ("interval: 10s, scrapeTimeout: 20s".to_owned(), format!("{at}.scrapeTimeout: must not be longer")),
        ("scrapeTimeout: 40s".to_owned(), format!("{at}.scrapeTimeout: must not be longer")),
        ("interval: soon".to_owned(), format!("{at}.interval: ")),
        ("scheme: ftp".to_owned(), format!("{at}.scheme: `ftp` is no scheme; use http or https")),
        ("port: '('".to_owned(), format!("{at}.port: ")),
        ("relabelings: [{}, {targetLabel: a}]".to_owned(), format!("{at}.relabelings[0]: ")),
        (
            "relabelings: [{targetLabel: a}, {action: nope}]".to_owned(),
            format!("{at}.relabelings[1].action: `nope`"),
        ),
        (
            "relabelings: [{targetLabel: a}, {action: hashmod, targetLabel: a}]".to_owned(),
            format!("{at}.relabelings[1]: "),
        ),
        (
            "metricRelabelings: [{action: keep, regex: '('}]".to_owned(),
            format!("{at}.metricRelabelings[0]: "),
        ),
        ("proxyUrl: 'nope'".to_owned(), format!("{at}.proxyUrl: ")),
        (
            "proxyUrl: 'http://p', proxyFromEnvironment: true".to_owned(),
            format!("{at}.proxyFromEnvironment: "),
        ),
        (
            format!("bearerTokenSecret: {token}, authorization: {{credentials: {token}}}"),
            format!("{at}.bearerTokenSecret: only one way to log in"),
        ),
        (
            format!("authorization: {{type: basic, credentials: {token}}}"),
            format!("{at}.authorization.type: "),
        ),
        (
            "authorization: {type: Custom}".to_owned(),
            format!("{at}.authorization.credentials: credentials are needed"),
        ),
        (
            "authorization: {credentials: {name: gone, key: k}}".to_owned(),
            format!("{at}.authorization.credentials: Secret shop/gone does not exist; create it"),
        ),
        (
            "authorization: {credentials: {name: login, key: k}}".to_owned(),
            format!("{at}.authorization.credentials: Secret shop/login has no key `k`"),
        ),
        (
            format!("basicAuth: {{username: {token}}}"),
            format!("{at}.basicAuth.password: the name of what is referred to is missing"),
        ),
        (
            format!("oauth2: {{clientSecret: {token}, tokenUrl: 'http://t/'}}"),
            format!("{at}.oauth2.clientId: nothing is referred to"),
        ),
        (
            format!("oauth2: {{clientId: {{secret: {token}}}, clientSecret: {token}, tokenUrl: 'x'}}"),
            format!("{at}.oauth2.tokenUrl: the URL has no scheme"),
        ),
        (
            format!("tlsConfig: {{ca: {{secret: {token}, configMap: {token}}}}}"),
            format!("{at}.tlsConfig.ca: `secret` and `configMap` exclude each other"),
        ),
        (
            format!("tlsConfig: {{ca: {{secret: {token}}}}}"),
            format!("{at}.tlsConfig.ca: `tls_config.ca` holds no certificate"),
        ),
        (format!("tlsConfig: {{keySecret: {token}}}"), format!("{at}.tlsConfig.cert: a client key needs")),
        (
            "tlsConfig: {minVersion: TLS13, maxVersion: TLS12}".to_owned(),
            format!("{at}.tlsConfig.maxVersion: "),
        ),
        ("port: 1".to_owned(), format!("{at}.port: ")),
        ("relabelings: [{modulus: -1}]".to_owned(), format!("{at}.relabelings[0].modulus: ")),
    ] {
        let verdict = verdict(&endpoint(&fields));
        assert!(verdict.starts_with(&expected), "{fields}\n  expected {expected}\n  found    {verdict}");
        assert!(!verdict.contains("hush"), "{verdict}");
    }
}

#[test]
fn rules_that_prometheus_refuses_are_refused_where_they_stand() {
    for bad in [
        "{regex: '(', targetLabel: a}",
        "{}",
        "{action: hashmod, targetLabel: a}",
        "{action: hashmod, modulus: 2}",
        "{action: lowercase}",
        "{action: uppercase}",
        "{action: keepequal}",
        "{action: dropequal}",
        "{action: lowercase, targetLabel: a, replacement: x}",
        "{action: uppercase, targetLabel: a, replacement: x}",
        "{action: keepequal, targetLabel: a, regex: x}",
        "{action: keepequal, targetLabel: a, modulus: 1}",
        "{action: dropequal, targetLabel: a, separator: x}",
        "{action: dropequal, targetLabel: a, replacement: x}",
        "{action: labelmap, replacement: ''}",
        "{action: labeldrop, regex: a, sourceLabels: [b]}",
        "{action: labeldrop, regex: a, targetLabel: b}",
        "{action: labelkeep, regex: a, modulus: 1}",
        "{action: labelkeep, regex: a, separator: b}",
        "{action: labelkeep, regex: a, replacement: b}",
    ] {
        for field in ["relabelings", "metricRelabelings"] {
            let verdict = verdict(&endpoint(&format!("{field}: [{{targetLabel: fine}}, {bad}]")));
            assert!(verdict.starts_with(&format!("spec.endpoints[1].{field}[1]: ")), "{bad}: {verdict}");
        }
    }
    for good in [
        "{action: KeepEqual, targetLabel: a, regex: '(.*)', separator: ;, replacement: $1}",
        "{action: LabelDrop, regex: a, separator: ;, replacement: $1}",
        "{action: LabelMap, regex: a_(.+)}",
        "{action: UpperCase, sourceLabels: [b], targetLabel: a}",
        "{targetLabel: 'any name', sourceLabels: [b]}",
    ] {
        let manifest = endpoint(&format!("relabelings: [{good}]"));
        assert_eq!(quarantined(&generate_with(ALL, &Store::of(STORE), &[&manifest])), "", "{good}");
    }
}

#[test]
fn mistakes_outside_endpoints_are_told_too() {
    for (spec, expected) in [
        ("selector: {matchLabels: {a: 'x y'}}, endpoints: [{}]", "spec.selector.matchLabels.a: "),
        (
            "selector: {matchExpressions: [{key: a, operator: Near}]}, endpoints: [{}]",
            "spec.selector.matchExpressions[0].operator: ",
        ),
        ("selector: {}, endpoints: [{}], bodySizeLimit: much", "spec.bodySizeLimit: "),
        ("selector: {}, endpoints: [{}], sampleLimit: -1", "spec.sampleLimit: "),
        (
            "selector: {}, endpoints: [{}], nativeHistogramMinBucketFactor: x",
            "spec.nativeHistogramMinBucketFactor: ",
        ),
        ("selector: {}, endpoints: [{}], scrapeProtocols: [Nope]", "spec.scrapeProtocols[0]: "),
        (
            "selector: {}, endpoints: [{}], scrapeProtocols: [PrometheusProto, PrometheusProto]",
            "spec.scrapeProtocols[1]: `PrometheusProto` is listed twice",
        ),
        ("selector: {}, endpoints: {}", "spec.endpoints: "),
        (
            "selector: {}, endpoints: [{}], scrapeClass: login",
            "scrapeClass `login`.authorization.credentials: Secret observe/gone does not exist",
        ),
    ] {
        let manifest =
            format!("kind: ServiceMonitor\nmetadata: {{namespace: shop, name: bad}}\nspec: {{{spec}}}");
        let verdict = verdict(&manifest);
        assert!(verdict.starts_with(expected), "{spec}: {verdict}");
    }
}

#[test]
fn a_proxy_of_a_probe_is_told_where_it_stands() {
    let manifest = "
kind: Probe
metadata: {namespace: shop, name: bad}
spec: {prober: {url: p, noProxy: a}, targets: {staticConfig: {static: [a]}}}
";
    assert!(verdict(manifest).starts_with("spec.prober.noProxy: needs `proxy_url`"), "{}", verdict(manifest));
}

#[test]
fn what_cannot_be_read_is_told_with_the_remedy() {
    let manifest = endpoint("authorization: {credentials: {name: login, key: token}}");
    let reason = |answer: Answer| {
        let generated = generate_with(ALL, &move |_: &EntryRef| answer.clone(), &[&manifest]);
        generated.quarantine[0].reason.clone()
    };
    let forbidden = reason(Answer::Unreadable("secrets \"login\" is forbidden".to_owned()));
    assert_eq!(
        forbidden,
        "Secret shop/login cannot be read: secrets \"login\" is forbidden; let the service account of the allocator get it"
    );
    assert_eq!(
        reason(Answer::NotText),
        "key `token` of Secret shop/login is not UTF-8 text; store text in it"
    );
}

#[test]
fn certificates_are_written_into_the_job_after_they_were_checked() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector/crates/net/testdata");
    let pem = |name: &str| std::fs::read_to_string(testdata.join(name)).unwrap();
    let (ca, cert, key, other) = (pem("ca.pem"), pem("client.pem"), pem("client.key"), pem("server.key"));
    let store = Store::of([
        ("ConfigMap shop/tls/ca", ca.as_str()),
        ("Secret shop/tls/cert", &cert),
        ("Secret shop/tls/key", &key),
        ("Secret shop/tls/other", &other),
    ]);
    let with_key = |name: &str| {
        endpoint(&format!(
            "tlsConfig: {{ca: {{configMap: {{name: tls, key: ca}}}}, cert: {{secret: {{name: tls, key: cert}}}}, keySecret: {{name: tls, key: {name}}}}}"
        ))
    };
    let generated = generate_with(ALL, &store, &[&with_key("key")]);
    let tls = &generated.jobs["serviceMonitor/shop/bad/1"].full()["tls_config"];
    assert_eq!(
        (tls["ca"].as_str(), tls["cert"].as_str(), tls["key"].as_str()),
        (Some(&*ca), Some(&*cert), Some(&*key))
    );
    assert!(tls.get("ca_file").is_none());
    assert!(!generated.jobs["serviceMonitor/shop/bad/1"].redacted().to_string().contains("PRIVATE KEY"));
    let refused = generate_with(ALL, &store, &[&with_key("other"), GOOD]);
    assert_eq!(names(&refused), ["serviceMonitor/shop/good/0"]);
    let told = quarantined(&refused);
    assert!(told.contains("spec.endpoints[1].tlsConfig.keySecret: "), "{told}");
    assert!(!told.contains("PRIVATE"), "{told}");
}

#[test]
fn a_monitor_comes_back_when_it_is_mended_or_its_secret_appears() {
    let mut generator = Generator::new(policy(ALL));
    let mut run = |manifest: &str, store: &Store| {
        let monitors = [monitor(manifest)];
        let inputs = Inputs { monitors: &monitors, namespaces: &Namespaces::new(), material: store };
        let generated = generator.generate(inputs);
        (generated.jobs.len(), generated.quarantine.len())
    };
    let (empty, full) = (Store::default(), Store::of(STORE));
    let bad = endpoint("authorization: {credentials: {name: login, key: token}}");
    assert_eq!(run(&bad, &empty), (0, 1));
    assert_eq!(run(&bad, &full), (2, 0), "the secret is there");
    assert_eq!(run(&bad, &empty), (0, 1), "the secret is gone");
    assert_eq!(run(&endpoint("port: web"), &empty), (2, 0), "the reference is gone");
}

#[test]
fn a_monitor_may_not_grow_without_bounds() {
    let many = vec!["{}"; MAX_ENDPOINTS + 1].join(", ");
    let manifest = format!(
        "kind: PodMonitor\nmetadata: {{namespace: shop, name: bad}}\nspec: {{podMetricsEndpoints: [{many}]}}"
    );
    assert!(verdict(&manifest).contains("MAX_ENDPOINTS, 1000; split the monitor"));
    let labels: Vec<String> =
        (0..2_000).map(|n| format!("label_of_a_service_with_a_long_name_{n}")).collect();
    let endpoints = vec!["{}"; 100].join(", ");
    let manifest = format!(
        "kind: ServiceMonitor\nmetadata: {{namespace: shop, name: bad}}\nspec: {{targetLabels: [{}], endpoints: [{endpoints}]}}",
        labels.join(", ")
    );
    let verdict = verdict(&manifest);
    assert!(verdict.contains("MAX_JOB_BYTES, 4194304"), "{verdict}");
}
