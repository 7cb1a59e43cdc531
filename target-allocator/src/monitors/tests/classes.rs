//! Scrape classes: which one, what it fills, and where upstream freezes.

use super::*;

const STORE: [(&str, &str); 4] = [
    ("Secret shop/login/user", "me"),
    ("Secret shop/login/token", "hush"),
    ("Secret observe/login/token", "of-the-class"),
    ("Secret observe/login/user", "not-asked-for"),
];

const CLASSES: &str = "
scrape_classes:
- name: usual
  default: true
  fallbackScrapeProtocol: PrometheusText0.0.4
  attachMetadata: {node: true}
  tlsConfig: {caFile: /ca, certFile: /cert, keyFile: /key, serverName: mesh, insecureSkipVerify: true}
  authorization: {credentials: {name: login, key: token}}
  relabelings: [{targetLabel: class, replacement: usual}]
  metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: noise}]
- name: file
  authorization: {type: Token, credentialsFile: /token}
- name: bare
";

fn of(spec: &str, endpoint: &str) -> Arc<JobSpec> {
    let manifest = format!(
        "
kind: ServiceMonitor
metadata: {{namespace: shop, name: cart}}
spec: {{selector: {{}}, endpoints: [{{{endpoint}}}], {spec}}}
"
    );
    job_with(&format!("{ALL}{CLASSES}"), &Store::of(STORE), &manifest)
}

fn authorization(spec: &str, endpoint: &str) -> String {
    of(spec, endpoint).full()["authorization"].to_string()
}

fn tls(spec: &str, endpoint: &str) -> String {
    of(spec, endpoint).full()["tls_config"].to_string()
}

#[test]
fn the_default_class_is_used_where_a_monitor_names_none() {
    let job = of("", "");
    let full = job.full();
    assert_eq!(full["fallback_scrape_protocol"], "PrometheusText0.0.4");
    assert_eq!(full["kubernetes_sd_configs"][0]["attach_metadata"]["node"], true);
    assert_eq!(
        full["authorization"]["credentials"], "of-the-class",
        "references of a class lie in its namespace"
    );
    assert!(rules(&job).ends_with("replace [] -> class = usual\n"), "{}", rules(&job));
    assert_eq!(job.config().metric_relabel_configs.len(), 1);
    assert_eq!(rules(&of("scrapeClass: ''", "")), rules(&job));
    assert!(!rules(&of("scrapeClass: bare", "")).contains("class"));
}

#[test]
fn what_a_monitor_says_itself_wins_over_its_class() {
    let job = of("fallbackScrapeProtocol: PrometheusText1.0.0, attachMetadata: {node: false}", "");
    assert_eq!(job.full()["fallback_scrape_protocol"], "PrometheusText1.0.0");
    assert_ne!(job.full()["kubernetes_sd_configs"][0]["attach_metadata"]["node"], true);
}

/// The fields of each kind in which rules stand, and a specification with one in each.
const KINDS: [(&str, &str); 5] = [
    ("ServiceMonitor", "{selector: {}, endpoints: [{relabelings: [OWN], metricRelabelings: [SERIES]}]}"),
    (
        "PodMonitor",
        "{selector: {}, podMetricsEndpoints: [{relabelings: [OWN], metricRelabelings: [SERIES]}]}",
    ),
    (
        "Probe",
        "{prober: {url: p}, targets: {staticConfig: {static: [a], relabelingConfigs: [OWN]}}, metricRelabelings: [SERIES]}",
    ),
    (
        "Probe",
        "{prober: {url: p}, targets: {ingress: {relabelingConfigs: [OWN]}}, metricRelabelings: [SERIES]}",
    ),
    (
        "ScrapeConfig",
        "{staticConfigs: [{targets: ['h:1']}], relabelings: [OWN], metricRelabelings: [SERIES]}",
    ),
];

#[test]
fn rules_of_the_class_stand_before_those_of_every_kind() {
    for (kind, spec) in KINDS {
        let spec = spec
            .replace("OWN", "{targetLabel: own, replacement: x}")
            .replace("SERIES", "{action: drop, sourceLabels: [__name__], regex: own}");
        let manifest = format!("kind: {kind}\nmetadata: {{namespace: shop, name: cart}}\nspec: {spec}");
        let job = job_with(&format!("{ALL}{CLASSES}"), &Store::of(STORE), &manifest);
        let own = "replace [] -> class = usual\nreplace [] -> own = x\n";
        assert!(rules(&job).ends_with(own), "{kind}: {}", rules(&job));
        let of_series = lines(&job.config().metric_relabel_configs);
        assert_eq!(of_series, "drop [__name__] =~ noise\ndrop [__name__] =~ own\n", "{kind}");
    }
}

#[test]
fn tls_of_a_class_is_used_whole_or_fills_missing_files() {
    let whole = r#"{"ca_file":"/ca","cert_file":"/cert","insecure_skip_verify":true,"key_file":"/key","server_name":"mesh"}"#;
    assert_eq!(tls("", ""), whole);
    assert_eq!(
        tls("", "tlsConfig: {}"),
        r#"{"ca_file":"/ca","cert_file":"/cert","insecure_skip_verify":false,"key_file":"/key"}"#
    );
    assert_eq!(
        tls("", "tlsConfig: {caFile: /own, serverName: own}"),
        r#"{"ca_file":"/own","cert_file":"/cert","insecure_skip_verify":false,"key_file":"/key","server_name":"own"}"#
    );
    assert_eq!(
        tls("scrapeClass: bare", "tlsConfig: {serverName: own}"),
        r#"{"insecure_skip_verify":false,"server_name":"own"}"#
    );
}

#[test]
fn an_empty_tls_section_counts_in_service_monitors_alone() {
    let manifest = "
kind: PodMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {}, podMetricsEndpoints: [{tlsConfig: {}}]}
";
    let job = job_with(&format!("{ALL}{CLASSES}"), &Store::of(STORE), manifest);
    assert_eq!(job.full()["tls_config"]["server_name"], "mesh");
}

#[test]
fn authorization_of_a_class_fills_missing_credentials() {
    assert_eq!(authorization("", "authorization: {}"), r#"{"credentials":"of-the-class","type":"Bearer"}"#);
    assert_eq!(
        authorization("", "authorization: {type: Own}"),
        r#"{"credentials":"of-the-class","type":"Own"}"#
    );
    assert_eq!(
        authorization("", "authorization: {credentials: {name: login, key: token}}"),
        r#"{"credentials":"hush","type":"Bearer"}"#
    );
    assert_eq!(authorization("scrapeClass: file", ""), r#"{"credentials_file":"/token","type":"Token"}"#);
    assert_eq!(
        authorization("scrapeClass: file", "authorization: {type: Own}"),
        r#"{"credentials_file":"/token","type":"Own"}"#
    );
}

/// The second trigger of reference 3.4: upstream emits both, the result is refused, and nothing is taken over any more.
#[test]
fn a_way_to_log_in_of_the_monitor_wins_over_that_of_its_class() {
    let (user, token) = ("{name: login, key: user}", "{name: login, key: token}");
    for (endpoint, key) in [
        (format!("basicAuth: {{username: {user}, password: {token}}}"), "basic_auth"),
        (
            format!("oauth2: {{clientId: {{secret: {user}}}, clientSecret: {token}, tokenUrl: 'http://t/'}}"),
            "oauth2",
        ),
    ] {
        let job = of("", &endpoint);
        assert!(job.full().get(key).is_some(), "{endpoint}");
        assert!(job.full().get("authorization").is_none(), "{endpoint}");
    }
    assert_eq!(
        authorization("", &format!("bearerTokenSecret: {token}")),
        r#"{"credentials":"hush","type":"Bearer"}"#
    );
    assert_eq!(authorization("", "bearerTokenFile: /own"), r#"{"credentials_file":"/own","type":"Bearer"}"#);
}

#[test]
fn a_class_that_does_not_exist_is_told_with_the_nearest_name() {
    let manifest = "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {}, endpoints: [{}], scrapeClass: ususal}
";
    let generated = generate_with(&format!("{ALL}{CLASSES}"), &Store::of(STORE), &[manifest, GOOD]);
    let told = quarantined(&generated);
    assert!(
        told.contains("spec.scrapeClass: there is no scrape class `ususal`; did you mean `usual`?"),
        "{told}"
    );
    assert_eq!(names(&generated), ["serviceMonitor/shop/good/0"]);
}

#[test]
fn what_is_wrong_with_classes_is_told_when_settings_are_read() {
    let problems = |classes: &str| {
        let config: PrometheusCr = config::read(&node(&format!("scrape_classes: {classes}")), "").unwrap();
        let problems = Policy::build(&config, "", Path::new("")).unwrap_err();
        problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (classes, expected) in [
        (
            "[{name: a, default: true}, {name: b, default: true}]",
            "scrape_classes::1::default: class `a` is the default already",
        ),
        ("[{name: a}, {name: a}]", "scrape_classes::1::name: there are two scrape classes named `a`"),
        ("[{name: ''}]", "scrape_classes::0::name: a scrape class needs a name"),
        (
            "[{name: a, authorization: {type: Basic}}]",
            "scrape_classes::0::authorization::type: a scrape class cannot use `basic`",
        ),
        (
            "[{name: a, tlsConfig: {ca: {secret: {name: s, key: k}}, caFile: /x}}]",
            "scrape_classes::0::tlsConfig::caFile: `caFile` and `ca` exclude each other",
        ),
        (
            "[{name: a, authorization: {credentials: {name: s, key: k}, credentialsFile: /x}}]",
            "scrape_classes::0::authorization::credentialsFile: `credentials` and `credentialsFile` exclude each other",
        ),
        (
            "[{name: a, tlsConfig: {certFile: /x}}]",
            "scrape_classes::0::tlsConfig::keySecret: the key is missing",
        ),
        (
            "[{name: a, relabelings: [{}, {action: nope}]}]",
            "scrape_classes::0::relabelings::1::action: `nope` is no action of relabelling",
        ),
    ] {
        assert!(problems(classes).contains(expected), "{classes}: {}", problems(classes));
    }
    assert!(
        problems("[{name: a, metricRelabelings: [{action: keep, regex: '('}]}]")
            .contains("scrape_classes::0::metricRelabelings::0")
    );
}
