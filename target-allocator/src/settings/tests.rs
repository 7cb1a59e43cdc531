mod upstream;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::assign::Fallback;
use crate::flags::Flags;
use crate::members::PodSource;

#[derive(Default)]
struct Environment(BTreeMap<&'static str, &'static str>);

impl config::World for Environment {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }

    fn read(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

const JOB: &str = "config: {scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]}\n";
const NAMES: &str = "collectors: {static: [s-0, s-1]}\n";

fn load_with(
    text: &str,
    flags: &[&str],
    environment: &[(&'static str, &'static str)],
) -> Result<Loaded, Vec<String>> {
    let args = std::iter::once("muster-allocator").chain(flags.iter().copied());
    let flags = Flags::parse_args(args.map(OsString::from)).unwrap();
    let world = Environment(environment.iter().copied().collect());
    let input = Input { text, source: "ta.yaml", base_dir: Path::new("/conf"), flags: &flags, world: &world };
    load(&input).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn good(text: &str) -> Settings {
    load_with(text, &[], &[]).unwrap().settings
}

fn errors(text: &str) -> Vec<String> {
    load_with(text, &[], &[]).map(|_| ()).unwrap_err()
}

fn warnings(text: &str) -> Vec<String> {
    load_with(text, &[], &[]).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_upstream() {
    let settings = good(&format!("{NAMES}{JOB}"));
    assert_eq!(settings.listen_addr, ":8080");
    assert_eq!(settings.strategy, Strategy::ConsistentHashing);
    assert!(settings.filters && !settings.shows_secrets && settings.https.is_none());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = format!("listen_addr: :1\nallow_insecure_auth_secrets: false\n{NAMES}{JOB}");
    assert_eq!(good(&text).listen_addr, ":1");
    let environment = [("ALLOW_INSECURE_AUTH_SECRETS", "true")];
    assert!(load_with(&text, &[], &environment).unwrap().settings.shows_secrets);
    let flags = ["--allow-insecure-auth-secrets=false", "--listen-addr=localhost:2"];
    let settings = load_with(&text, &flags, &environment).unwrap().settings;
    assert_eq!((settings.shows_secrets, settings.listen_addr.as_str()), (false, "localhost:2"));
}

#[test]
fn references_to_the_environment_are_not_expanded_where_dollars_belong_to_rules() {
    let text = "listen_addr: '${env:ADDRESS}'\ncollectors: {static: ['${env:NAME}-0']}\n\
        config: {scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}], \
        relabel_configs: [{source_labels: [job], target_label: x, replacement: '${1}-$1-$$'}]}]}\n";
    let settings = load_with(text, &[], &[("ADDRESS", ":7"), ("NAME", "s")]).unwrap().settings;
    assert_eq!(settings.listen_addr, ":7");
    assert_eq!(settings.members, Source::Static(crate::roster::Roster::of(["s-0"])));
    let rule = &settings.jobs[0].redacted()["relabel_configs"][0];
    assert_eq!(rule["replacement"], "${1}-$1-$$");
}

#[test]
fn every_key_of_upstream_is_known() {
    let text = format!(
        "listen_addr: :8080
kube_config_file_path: /kube
collector_namespace: monitoring
collector_selector: {{matchlabels: {{app: x}}, matchexpressions: []}}
collector_not_ready_grace_period: 0s
allocation_strategy: per-node
allocation_fallback_strategy: consistent-hashing
filter_strategy: relabel-config
allow_insecure_auth_secrets: true
https: {{enabled: false, listen_addr: ':8443', ca_file_path: a, tls_cert_file_path: b, tls_key_file_path: c}}
telemetry: {{metrics: {{readers: [{{periodic: {{interval: 60000, timeout: 30000, exporter: {{otlp_grpc: {{endpoint: x}}}}}}}}]}}}}
prometheus_cr:
  enabled: false
  allow_namespaces: [a]
  secret_namespaces: [b]
  service_monitor_selector: {{}}
  service_monitor_namespace_selector: {{matchLabels: {{a: b}}}}
  pod_monitor_selector: null
  probe_selector: {{}}
  scrape_config_selector: {{}}
  scrape_interval: 1d
  evaluation_interval: 30s
  scrape_protocols: [PrometheusText0.0.4]
  scrape_classes: [{{name: x, relabelings: [{{replacement: '${{1}}'}}]}}]
  deny_fs_access_through_sms: true
{NAMES}{JOB}"
    );
    let told = warnings(&text);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("collector_selector: without effect"), "{told:?}");
    assert!(told[1].contains("/metrics") && told[1].contains("telemetry::metrics::readers"), "{told:?}");
    assert_eq!(good(&text).strategy, Strategy::PerNode { fallback: Some(Fallback::ConsistentHashing) });
}

#[test]
fn an_unknown_key_is_a_warning_with_its_place_and_the_nearest_name() {
    let told = warnings(&format!("alocation_strategy: per-node\n{NAMES}{JOB}"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("warning: ta.yaml:1:1:"), "{told:?}");
    assert!(told[0].contains("did you mean `allocation_strategy`?"), "{told:?}");
}

#[test]
fn mistakes_in_jobs_are_errors_and_all_are_told() {
    let text = format!(
        "{NAMES}allocation_strategy: roulette
config:
  scrape_configs:
    - job_name: a
      scrape_intervall: 5s
    - job_name: b
      scrape_timeout: 5m
    - job_name: b
      relabel_configs: [{{action: keep}}]
"
    );
    let told = errors(&text);
    assert!(told.iter().any(|line| line.contains("ta.yaml:2:") && line.contains("roulette")), "{told:#?}");
    assert!(
        told.iter().any(|line| line.contains("ta.yaml:6:7") && line.contains("scrape_interval`?")),
        "{told:#?}"
    );

    let told = errors(&text.replace("scrape_intervall", "scrape_interval").replace("roulette", "per-node"));
    assert!(
        told.iter().any(|line| line.contains("ta.yaml:8:7") && line.contains("scrape_timeout")),
        "{told:#?}"
    );
    assert!(
        told.iter().any(|line| line.contains("ta.yaml:9:") && line.contains("`b` is taken")),
        "{told:#?}"
    );
    assert!(told.iter().all(|line| line.contains("config::scrape_configs::")), "{told:#?}");
}

#[test]
fn what_a_cluster_is_asked_for_needs_a_namespace_and_a_selector() {
    const SELECTOR: &str = "collector_selector: {matchlabels: {app: s}}\n";
    for (text, flags, key) in [
        (format!("{JOB}{SELECTOR}"), vec![], "collector_namespace: is needed to find the pods"),
        (
            format!("{JOB}collector_namespace: ns\ncollector_selector: {{matchLabels: {{a: '-'}}}}\n"),
            vec![],
            "ta.yaml:3:36: collector_selector::matchLabels::a",
        ),
        (
            format!("{NAMES}{JOB}prometheus_cr: {{enabled: true}}\n"),
            vec![],
            "collector_namespace: is needed to watch monitors",
        ),
        (
            format!("{NAMES}{JOB}"),
            vec!["--enable-prometheus-cr-watcher"],
            "collector_namespace: is needed to watch monitors",
        ),
    ] {
        let told = load_with(&text, &flags, &[]).map(|_| ()).unwrap_err();
        assert!(told.len() == 1 && told[0].contains(key) && told[0].contains("; "), "{text}: {told:#?}");
    }
}

#[test]
fn a_selector_of_collectors_that_is_not_set_matches_no_pod_and_says_so() {
    for selector in ["", "collector_selector: null\n", "collector_selector:\n"] {
        let text = format!("{JOB}{selector}");
        let told = warnings(&text);
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(told.contains("collector_selector: is not set and matches no pod"), "{told}");
        assert!(told.contains("; say which pods they are"), "{told}");
        let settings = good(&text);
        assert_eq!((settings.members, settings.kubernetes), (Source::Nobody, None), "no pod is asked for");
    }
    let text = format!("{JOB}{NAMES}collector_selector: null\n");
    assert_eq!(warnings(&text), [""; 0], "it is said otherwise");
}

#[test]
fn a_cluster_is_asked_only_where_something_needs_it() {
    let load = |text: &str, flags: &[&str], env: &[(&'static str, &'static str)]| {
        load_with(text, flags, env).unwrap().settings
    };
    assert_eq!(load(&format!("{NAMES}{JOB}"), &[], &[]).kubernetes, None);
    let text = format!(
        "{JOB}collector_namespace: file\ncollector_not_ready_grace_period: 7s\n\
         collector_selector: {{matchlabels: {{b: x, a: y}}, matchexpressions: [{{key: c, operator: Exists}}]}}\n"
    );
    let settings = load(&text, &["--kubeconfig-path=/nowhere/config"], &[("OTELCOL_NAMESPACE", "env")]);
    let (namespace, selector) = ("env".to_owned(), "a=y,b=x,c".to_owned());
    let grace = Duration::from_secs(7);
    assert_eq!(settings.members, Source::Pods(PodSource { namespace, selector, grace }));
    let wanted = settings.kubernetes.unwrap();
    assert_eq!((wanted.access, wanted.monitors), (cluster::Access::Pod, None), "there is no such file");
    let here = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "{NAMES}kube_config_file_path: {here}\ncollector_namespace: ns\nprometheus_cr: {{enabled: true}}\n"
    );
    let settings = load(&text, &[], &[]);
    assert!(settings.policy().is_some() && settings.jobs.is_empty(), "monitors are enough");
    let cluster::Access::Kubeconfig { path, .. } = settings.kubernetes.unwrap().access else {
        panic!("a file")
    };
    assert_eq!(path, Path::new(&here));
}

#[test]
fn a_mechanism_that_is_not_built_in_is_a_warning_and_the_job_unanswerable() {
    let text = format!(
        "{NAMES}config: {{scrape_configs: [{{job_name: a, consul_sd_configs: [{{server: 'c:8500'}}]}}]}}\n"
    );
    assert!(warnings(&text)[0].contains("consul_sd_configs: this way of discovery is not built in yet"));
    assert!(good(&text).jobs[0].unanswerable().unwrap().contains("consul_sd_configs"));
}

#[test]
fn nothing_to_scrape_is_an_error() {
    for text in [
        NAMES.to_owned(),
        format!("{NAMES}config: {{}}\n"),
        format!("{NAMES}config: {{scrape_configs: []}}\n"),
    ] {
        assert!(errors(&text)[0].contains("at least one job must be defined"), "{text}");
    }
    assert!(!errors("").is_empty());
    assert!(errors("- a\n")[0].contains("expected a map of settings, found a list"));
}

#[test]
fn exactly_one_way_to_know_the_collectors() {
    let members = |text: &str| {
        load_with(&format!("collectors: {text}\n{JOB}"), &[], &[]).map(|loaded| loaded.settings.members)
    };
    assert_eq!(members("{file: members.yaml}"), Ok(Source::File("/conf/members.yaml".into())));
    let (grace, settle) = (Duration::from_secs(60), Duration::from_secs(30));
    assert_eq!(members("{polling: {}}"), Ok(Source::Polling { grace, settle }));
    let (grace, settle) = (Duration::from_secs(5), Duration::ZERO);
    assert_eq!(members("{polling: {grace: 5s, settle: 0s}}"), Ok(Source::Polling { grace, settle }));
    let Ok(Source::Static(roster)) = members("{static: [{name: s-0, node: n}, s-1]}") else {
        panic!("not a list")
    };
    assert_eq!(roster.get(0).unwrap().serves_node(), "n");
    for (text, why) in [
        ("{}", "exactly one way"),
        ("{static: [a], polling: {}}", "exactly one way"),
        ("{static: []}", "between 1 and MAX_MEMBERS"),
        ("{static: [a, a]}", "`a` is there twice"),
        ("{static: ['a b']}", "character ' '"),
    ] {
        let told = members(text).unwrap_err();
        assert!(told[0].contains(why) && told[0].contains("ta.yaml:1:"), "{text}: {told:#?}");
    }
}

#[test]
fn https_needs_its_files() {
    let told = errors(&format!("https: {{enabled: true, ca_file_path: ca.pem}}\n{NAMES}{JOB}"));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("https::tls_cert_file_path"), "{told:#?}");
    let flags = [
        "--enable-https-server",
        "--https-ca-file=/ca",
        "--https-tls-cert-file=cert",
        "--https-tls-key-file=/key",
    ];
    let https = load_with(&format!("{NAMES}{JOB}"), &flags, &[]).unwrap().settings.https.unwrap();
    assert_eq!((https.listen_addr.as_str(), https.cert_file.as_path()), (":8443", Path::new("/conf/cert")));
}

#[test]
fn credentials_that_plain_clients_do_not_see_are_pointed_out() {
    let job = "config: {scrape_configs: [{job_name: a, bearer_token: hush}]}\n";
    let told = warnings(&format!("{NAMES}{job}"));
    assert!(
        told[0].contains("`a`") && told[0].contains("`<secret>`") && !told[0].contains("hush"),
        "{told:?}"
    );
    assert!(warnings(&format!("{NAMES}{job}allow_insecure_auth_secrets: true\n")).is_empty());
}

#[test]
fn a_fallback_must_be_a_strategy() {
    let told = errors(&format!(
        "{NAMES}{JOB}allocation_strategy: per-node\nallocation_fallback_strategy: per-node\n"
    ));
    assert!(told[0].contains("cannot stand in for `per-node`"), "{told:?}");
    let nested = "allocation_strategy: per-node\n\
        allocation_strategy_config: {per_node: {fallback_strategy: {name: least-weighted}}}\n";
    let strategy = good(&format!("{NAMES}{JOB}{nested}")).strategy;
    assert_eq!(strategy, Strategy::PerNode { fallback: Some(Fallback::LeastWeighted) });
}
