//! What is written for upstream starts us unchanged: the file as the operator renders it, every flag and variable, every default.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::monitors::Kind;

/// The keys that the operator writes, as Go prints them: spans of time in full, `null` for selectors that are not set, selectors in
/// lower case.
const RENDERED: &str = "
allocation_strategy: consistent-hashing
collector_not_ready_grace_period: 1m30s
collector_selector:
  matchlabels:
    app.kubernetes.io/component: opentelemetry-collector
    app.kubernetes.io/instance: default.simplest
  matchexpressions: []
config:
  global: {scrape_interval: 1m}
  scrape_configs:
  - job_name: own
    static_configs: [{targets: ['h:1']}]
filter_strategy: relabel-config
https:
  ca_file_path: /tls/ca.crt
  enabled: true
  listen_addr: :8443
  tls_cert_file_path: /tls/tls.crt
  tls_key_file_path: /tls/tls.key
prometheus_cr:
  allow_namespaces: [shop, bank]
  deny_fs_access_through_sms: true
  enabled: true
  evaluation_interval: 30s
  pod_monitor_namespace_selector: null
  pod_monitor_selector: null
  probe_namespace_selector:
    matchlabels: {}
    matchexpressions: []
  probe_selector:
    matchlabels: {}
    matchexpressions: []
  scrape_classes:
  - {name: usual, default: true, fallbackScrapeProtocol: PrometheusText0.0.4}
  scrape_config_namespace_selector: null
  scrape_config_selector:
    matchlabels: {}
    matchexpressions:
    - {key: team, operator: In, values: [a, b]}
  scrape_interval: 1h0m0s
  scrape_protocols: [PrometheusProto, PrometheusText1.0.0]
  secret_namespaces: [shop]
  service_monitor_namespace_selector:
    matchlabels: {scrape: 'yes'}
    matchexpressions: []
  service_monitor_selector:
    matchlabels: {}
    matchexpressions: []
";

#[test]
fn the_file_of_the_operator_is_read_without_a_warning() {
    let loaded = load_with(RENDERED, &[], &[("OTELCOL_NAMESPACE", "default")]).unwrap();
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told, [""; 0]);
    let settings = loaded.settings;
    let selector =
        "app.kubernetes.io/component=opentelemetry-collector,app.kubernetes.io/instance=default.simplest";
    let expected = PodSource {
        namespace: "default".to_owned(),
        selector: selector.to_owned(),
        grace: Duration::from_secs(90),
    };
    assert_eq!(settings.members, Source::Pods(expected));
    assert_eq!(settings.jobs[0].redacted()["scrape_interval"], "1m");
    let https = settings.https.as_ref().unwrap();
    assert_eq!((https.listen_addr.as_str(), &*https.key_file), (":8443", Path::new("/tls/tls.key")));
    let policy = settings.policy().unwrap();
    let nothing: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| policy.selects_nothing(*kind)).collect();
    assert_eq!(nothing, [Kind::PodMonitor], "`null` selects nothing, and empty everything");
    assert!(policy.asks_for_namespaces());
    let config = policy.config();
    assert_eq!(config.scrape_interval.as_duration(), Duration::from_secs(3_600));
    assert_eq!((config.allow_namespaces.len(), config.deny_fs_access_through_sms), (2, true));
    assert_eq!((&*config.secret_namespaces[0], config.scrape_protocols.len()), ("shop", 2));
    assert!(config.scrape_classes[0].default && config.scrape_classes[0].fallback_scrape_protocol.is_some());
}

/// What of these settings is as upstream, in one value.
fn essence(settings: &Settings) -> serde_json::Value {
    let grace = match &settings.members {
        Source::Pods(pods) => pods.grace.as_secs(),
        _ => 0,
    };
    let monitors = settings.policy().map(|policy| {
        let config = policy.config();
        json!({
            "interval": config.scrape_interval.to_string(),
            "denies_files": config.deny_fs_access_through_sms,
            "nothing": Kind::ALL.iter().all(|kind| policy.selects_nothing(*kind)),
            "asks_for_namespaces": policy.asks_for_namespaces(),
            "classes": config.scrape_classes.len(),
        })
    });
    json!({
        "listen_addr": settings.listen_addr,
        "https": settings.https.as_ref().map(|https| &https.listen_addr),
        "strategy": settings.strategy.name(),
        "filters": settings.filters,
        "shows_secrets": settings.shows_secrets,
        "grace": grace,
        "monitors": monitors,
    })
}

#[test]
fn defaults_are_those_of_the_contract() {
    let text = "collector_namespace: ns\ncollector_selector: {matchLabels: {a: b}}\nprometheus_cr: {enabled: true}\n";
    let expected = json!({
        "listen_addr": ":8080",
        "https": null,
        "strategy": "consistent-hashing",
        "filters": true,
        "shows_secrets": false,
        "grace": 30,
        "monitors": {
            "interval": "30s", "denies_files": false, "nothing": true, "asks_for_namespaces": false, "classes": 0,
        },
    });
    assert_eq!(essence(&good(text)), expected);
    assert!(good(&format!("{NAMES}{JOB}")).policy().is_none(), "monitors are not watched unless asked for");
}

#[test]
fn every_flag_wins_over_its_key() {
    let text = format!(
        "{JOB}{NAMES}listen_addr: :1
collector_namespace: ns
allow_insecure_auth_secrets: true
https: {{enabled: true, listen_addr: ':2', ca_file_path: a, tls_cert_file_path: b, tls_key_file_path: c}}
prometheus_cr: {{enabled: true}}
"
    );
    let with = |flag: &str| load_with(&text, &[flag], &[]).unwrap().settings;
    assert_eq!(with("--listen-addr=:9").listen_addr, ":9");
    assert!(with("--enable-prometheus-cr-watcher=false").policy().is_none());
    assert!(with("--enable-https-server=false").https.is_none());
    assert!(!with("--allow-insecure-auth-secrets=false").shows_secrets);
    let https = |flag: &str| with(flag).https.unwrap();
    assert_eq!(https("--listen-addr-https=:9").listen_addr, ":9");
    assert_eq!(https("--https-ca-file=x").ca_file, Path::new("/conf/x"));
    assert_eq!(https("--https-tls-cert-file=x").cert_file, Path::new("/conf/x"));
    assert_eq!(https("--https-tls-key-file=x").key_file, Path::new("/conf/x"));
}

#[test]
fn the_cluster_is_that_of_the_flag_the_key_or_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let [of_home, of_key, of_flag] = [".kube/config", "key", "flag"].map(|name| {
        let path = home.path().join(name);
        std::fs::write(&path, "").unwrap();
        path
    });
    let access = |key: &str, flags: &[&str], home: &'static str| {
        let text = format!("{NAMES}collector_namespace: ns\nprometheus_cr: {{enabled: true}}\n{key}");
        load_with(&text, flags, &[("HOME", home)]).unwrap().settings.kubernetes.unwrap().access
    };
    let file = |path: &Path| cluster::Access::Kubeconfig { path: path.to_owned(), context: None };
    let home: &'static str = home.path().display().to_string().leak();
    let key = format!("kube_config_file_path: {}\n", of_key.display());
    let flag = format!("--kubeconfig-path={}", of_flag.display());
    assert_eq!(access(&key, &[&flag], home), file(&of_flag));
    assert_eq!(access(&key, &[], home), file(&of_key));
    assert_eq!(access("", &[], home), file(&of_home));
    assert_eq!(access("", &[], "/nowhere"), cluster::Access::Pod, "where there is no file, that of the pod");
}

#[test]
fn what_upstream_refuses_at_start_is_refused_with_the_key() {
    let cr =
        |keys: &str| format!("{NAMES}collector_namespace: ns\nprometheus_cr: {{enabled: true, {keys}}}\n");
    for (text, key) in [
        (NAMES.to_owned(), "config::scrape_configs"),
        (format!("{NAMES}prometheus_cr: {{enabled: true}}\n"), "collector_namespace"),
        (cr("allow_namespaces: [a], deny_namespaces: [b]"), "prometheus_cr::deny_namespaces"),
        (
            cr("scrape_classes: [{name: a, default: true}, {name: b, default: true}]"),
            "prometheus_cr::scrape_classes::1::default",
        ),
        (cr("scrape_interval: soon"), "prometheus_cr::scrape_interval"),
        (cr("scrape_protocols: [Nope]"), "prometheus_cr::scrape_protocols::0"),
    ] {
        let told = errors(&text);
        assert!(told.len() == 1 && told[0].contains(key) && told[0].contains("ta.yaml"), "{text}: {told:#?}");
    }
}

#[test]
fn spans_of_time_are_read_the_way_of_go_and_of_prometheus() {
    let grace = |text: &str| {
        let text = format!(
            "{JOB}collector_namespace: ns\ncollector_selector: {{}}\ncollector_not_ready_grace_period: {text}\n"
        );
        match good(&text).members {
            Source::Pods(pods) => pods.grace,
            other => panic!("{other:?}"),
        }
    };
    for (text, millis) in [
        ("30s", 30_000),
        ("1m0s", 60_000),
        ("1h0m0s", 3_600_000),
        ("1.5s", 1_500),
        ("1d", 86_400_000),
        ("0s", 0),
    ] {
        assert_eq!(grace(text), Duration::from_millis(millis), "{text}");
    }
}
