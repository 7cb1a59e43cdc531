use super::*;

fn specs(text: &str) -> Vec<Arc<JobSpec>> {
    let node = config::parse(text, "prometheus.yaml").unwrap().root;
    let mut problems = Vec::new();
    let specs = read(Some(&node), Path::new("/conf"), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    specs
}

/// The targets of every static job, as `discovery` would hand them over.
fn found(text: &str) -> Vec<(String, Found)> {
    let find = |spec: &Arc<JobSpec>| {
        let groups = spec.config().sd.static_configs.iter().enumerate();
        let groups: Vec<FoundInGroup> =
            groups.map(|(index, group)| spec.targets(&Arc::new(group.group(index)), true, None).0).collect();
        (spec.name().to_owned(), Found::of(groups.iter()))
    };
    specs(text).iter().map(find).collect()
}

fn served(text: &str) -> String {
    let line = |(job, found): (String, Found)| {
        let labels: Vec<String> =
            found.items.iter().map(|item| item.labels().collect::<Labels>().to_string()).collect();
        format!("{job}: {}\n", labels.join(" "))
    };
    found(text).into_iter().map(line).collect()
}

#[test]
fn a_job_is_rendered_as_prometheus_prints_it() {
    let specs = specs(
        "global: {scrape_interval: 20s}
scrape_configs:
- job_name: node/plain
  static_configs: [{targets: ['h1:9100']}]
  relabel_configs: [{source_labels: [job], target_label: __tmp_prometheus_job_name}]
",
    );
    expect_test::expect![[r#"
        {
          "always_scrape_classic_histograms": false,
          "convert_classic_histograms_to_nhcb": false,
          "enable_compression": true,
          "enable_http2": true,
          "extra_scrape_metrics": false,
          "follow_redirects": true,
          "honor_timestamps": true,
          "job_name": "node/plain",
          "metric_name_escaping_scheme": "allow-utf-8",
          "metric_name_validation_scheme": "utf8",
          "metrics_path": "/metrics",
          "relabel_configs": [
            {
              "action": "replace",
              "replacement": "$1",
              "separator": ";",
              "source_labels": [
                "job"
              ],
              "target_label": "__tmp_prometheus_job_name"
            }
          ],
          "scheme": "http",
          "scrape_interval": "20s",
          "scrape_native_histograms": false,
          "scrape_protocols": [
            "OpenMetricsText1.0.0",
            "OpenMetricsText0.0.1",
            "PrometheusText1.0.0",
            "PrometheusText0.0.4"
          ],
          "scrape_timeout": "10s",
          "static_configs": [
            {
              "targets": [
                "h1:9100"
              ]
            }
          ],
          "track_timestamps_staleness": false
        }"#]]
    .assert_eq(&format!("{:#}", specs[0].redacted()));
    assert!(!specs[0].has_secrets());
}

#[test]
fn keepequal_has_no_regex_in_either_list() {
    let specs = specs(
        "scrape_configs:
- job_name: a
  relabel_configs: [{action: keepequal, source_labels: [x], target_label: y}]
  metric_relabel_configs: [{action: DropEqual, source_labels: [x], target_label: y}]
",
    );
    for key in ["relabel_configs", "metric_relabel_configs"] {
        assert!(specs[0].full()[key][0].get("regex").is_none(), "{}", specs[0].full());
    }
}

#[test]
fn credentials_are_in_the_full_form_alone() {
    let specs = specs(
        "scrape_configs:
- {job_name: a, basic_auth: {username: u, password: hush}}
- {job_name: b, authorization: {credentials: hush}}
- {job_name: c, oauth2: {client_id: i, client_secret: hush, token_url: 'http://t/'}}
- {job_name: d, bearer_token: hush}
",
    );
    for spec in specs {
        let (redacted, full) = (spec.redacted().to_string(), spec.full().to_string());
        assert!(redacted.contains("<secret>") && !redacted.contains("hush"), "{redacted}");
        assert!(full.contains("hush") && !full.contains("<secret>"), "{full}");
        assert!(spec.has_secrets());
        assert!(!format!("{:?}", spec.config()).contains("hush"));
    }
}

#[test]
fn labels_are_served_as_they_are_before_relabelling() {
    let text = "scrape_configs:
- job_name: a
  static_configs: [{targets: ['h1:1', 'h2:1'], labels: {env: x}}]
  relabel_configs:
  - {source_labels: [__address__], regex: 'h2.*', action: drop}
  - {target_label: env, replacement: changed}
  - {source_labels: [__address__], target_label: __address__, replacement: 'proxy:9'}
";
    assert_eq!(served(text), "a: {__address__=\"h1:1\", env=\"x\"}\n");
    assert_eq!(found(text)[0].1.n_dropped, 1);
}

#[test]
fn without_the_filter_dropped_targets_are_served_as_well() {
    let text = "scrape_configs:
- job_name: a
  static_configs: [{targets: ['h1:1', 'h2:1']}]
  relabel_configs: [{source_labels: [__address__], regex: 'h2.*', action: drop}]
";
    let spec = &specs(text)[0];
    let group = Arc::new(spec.config().sd.static_configs[0].group(0));
    let n_served = |filters| Found::of([spec.targets(&group, filters, None).0].iter()).items.len();
    assert_eq!((n_served(false), n_served(true)), (2, 1));
}

// The next tests hold what upstream's conformance suite holds; the fixtures are our own.

#[test]
fn hashmod_keeps_the_bucket_that_prometheus_computes() {
    let text = "scrape_configs:
- job_name: right
  static_configs: [{targets: ['h:1'], labels: {c: baz}}]
  relabel_configs:
  - {source_labels: [c], target_label: d, action: hashmod, modulus: 1000}
  - {source_labels: [d], regex: '976', action: keep}
- job_name: newline
  static_configs: [{targets: ['h:1'], labels: {a: \"foo\\nbar\"}}]
  relabel_configs:
  - {source_labels: [a], target_label: b, action: hashmod, modulus: 1000}
  - {source_labels: [b], regex: '734', action: keep}
- job_name: wrong
  static_configs: [{targets: ['h:1'], labels: {c: baz}}]
  relabel_configs:
  - {source_labels: [c], target_label: d, action: hashmod, modulus: 1000}
  - {source_labels: [d], regex: '975', action: keep}
";
    let n_found: Vec<(String, usize)> =
        found(text).into_iter().map(|(job, found)| (job, found.items.len())).collect();
    assert_eq!(n_found, [("newline".into(), 1), ("right".into(), 1), ("wrong".into(), 0)]);
}

#[test]
fn rules_see_the_labels_that_prometheus_seeds() {
    let text = "scrape_configs:
- job_name: a
  scrape_interval: 30s
  metrics_path: /m
  params: {module: [http_2xx, other]}
  static_configs: [{targets: ['h:1']}]
  relabel_configs:
  - {source_labels: [job], regex: a, action: keep}
  - {source_labels: [__scheme__, __metrics_path__], regex: 'http;/m', action: keep}
  - {source_labels: [__scrape_interval__, __scrape_timeout__], regex: '30s;10s', action: keep}
  - {source_labels: [__param_module], regex: http_2xx, action: keep}
- job_name: b
  static_configs: [{targets: ['h:1']}]
  relabel_configs: [{source_labels: [job], regex: b, action: drop}]
";
    assert_eq!(served(text), "a: {__address__=\"h:1\"}\nb: \n");
}

#[test]
fn equal_after_relabelling_is_one_target_and_different_paths_are_two() {
    let text = "scrape_configs:
- job_name: rewritten
  static_configs: [{targets: ['h2:1', 'h1:1']}]
  relabel_configs: [{target_label: __address__, replacement: 'same:1'}]
- job_name: paths
  static_configs:
  - {targets: ['h:1'], labels: {__metrics_path__: /a}}
  - {targets: ['h:1'], labels: {__metrics_path__: /b}}
";
    assert_eq!(
        served(text),
        "paths: {__address__=\"h:1\", __metrics_path__=\"/a\"} {__address__=\"h:1\", __metrics_path__=\"/b\"}\n\
         rewritten: {__address__=\"h1:1\"}\n"
    );
}

#[test]
fn the_same_address_in_two_jobs_is_two_targets() {
    let text = "scrape_configs:
- {job_name: a, static_configs: [{targets: ['h:1']}]}
- {job_name: b, static_configs: [{targets: ['h:1']}]}
";
    let found = found(text);
    assert_ne!(found[0].1.items[0].hash, found[1].1.items[0].hash);
}

#[test]
fn rules_that_shard_keep_every_target() {
    let text = "scrape_configs:
- job_name: a
  static_configs: [{targets: ['h:1']}]
  relabel_configs:
  - {source_labels: [__address__, __tmp_hash], regex: '(.+);', target_label: __tmp_hash}
  - {source_labels: [__tmp_hash], target_label: __tmp_hash, action: hashmod, modulus: 1}
  - {source_labels: [__tmp_hash, __tmp_disable_sharding], regex: '$(SHARD);|.+;.+', action: keep}
";
    assert_eq!(served(text), "a: {__address__=\"h:1\"}\n");
}

#[test]
fn targets_that_cannot_be_scraped_are_counted_with_the_reason() {
    let text = "scrape_configs:
- job_name: a
  static_configs: [{targets: ['h:1', 'h:2']}]
  relabel_configs: [{target_label: __address__, replacement: ''}]
";
    let found = &found(text)[0].1;
    assert_eq!(found.items.len(), 0);
    assert_eq!(found.refused, Some((2, "the target has no address".to_owned())));
}

#[test]
fn what_a_server_does_beside_scraping_is_ignored_and_unknown_keys_are_not() {
    let ignored = "rule_files: [x]\nalerting: {}\nremote_write: [{url: 'http://x'}]\nstorage: {}\nscrape_configs: [{job_name: a}]\n";
    assert_eq!(specs(ignored).len(), 1);
    let mut problems = Vec::new();
    let node = config::parse("scrape_konfigs: []\nscrape_config_files: [x]\n", "p.yaml").unwrap().root;
    assert!(read(Some(&node), Path::new("/"), &mut problems).is_empty());
    assert!(problems[0].to_string().contains("p.yaml:1:1"), "{problems:?}");
    let node = config::parse("scrape_config_files: [x]\n", "p.yaml").unwrap().root;
    let mut problems = Vec::new();
    read(Some(&node), Path::new("/"), &mut problems);
    assert!(problems[0].to_string().contains("config::scrape_config_files"), "{problems:?}");
}

/// Rules as monitors have them: the job is named first, then the service is selected, then labels are written.
const OF_MONITOR: &str = "scrape_configs:
- job_name: serviceMonitor/shop/cart/0
  static_configs: [{targets: []}]
  relabel_configs:
  - {source_labels: [job], target_label: __tmp_prometheus_job_name}
  - source_labels: [__meta_kubernetes_service_label_app, __meta_kubernetes_service_labelpresent_app]
    regex: (cart);true
    action: keep
  - {source_labels: [__meta_kubernetes_endpointslice_port_name], regex: web, action: keep}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [namespace], regex: hidden, action: drop}
";

/// A group whose targets have labels of their own, and the names of those.
fn group_of(labels: Labels, targets: Vec<Labels>) -> (discovery::Group, Vec<Arc<str>>) {
    let own: std::collections::BTreeSet<Arc<str>> =
        targets.iter().flat_map(|target| target.shared_names().cloned()).collect();
    (discovery::Group { labels, targets, ..discovery::Group::default() }, own.into_iter().collect())
}

fn is_wanted(spec: &JobSpec, group: &discovery::Group, own: &[Arc<str>]) -> bool {
    spec.group_filter().wants(GroupLabels::new(&group.labels, own))
}

#[test]
fn groups_of_other_services_are_left_out_before_their_targets_are_looked_at() {
    let spec = &specs(OF_MONITOR)[0];
    let labels = |app: &str| -> Labels {
        let pairs = [("service_label_app", app), ("service_labelpresent_app", "true"), ("namespace", "shop")];
        pairs.iter().map(|(name, value)| (format!("__meta_kubernetes_{name}"), value)).collect()
    };
    let target = || -> Vec<Labels> {
        let port = ("__meta_kubernetes_endpointslice_port_name", "web");
        vec![[("__address__", "10.0.0.1:80"), port].iter().copied().collect()]
    };
    let (cart, own) = group_of(labels("cart"), target());
    assert!(is_wanted(spec, &cart, &own));
    let (till, own) = group_of(labels("till"), target());
    assert!(!is_wanted(spec, &till, &own));
    let (unknown, own) = group_of(Labels::new(), target());
    assert!(!is_wanted(spec, &unknown, &own));
}

/// Some targets are kept, some dropped, and some cannot be scraped.
const OF_SORTS: &str = "scrape_configs:
- job_name: a
  static_configs: [{targets: []}]
  relabel_configs:
  - {source_labels: [__address__], regex: 'drop-.*', action: drop}
  - {source_labels: [__address__], regex: 'refuse-.*', target_label: __address__, replacement: ''}
";

proptest::proptest! {
    #[test]
    fn what_the_filter_leaves_out_the_rules_drop(
        group in proptest::collection::btree_map("service_label_app|service_labelpresent_app|namespace", "cart|true|hidden", 0..4),
        targets in proptest::collection::vec(
            proptest::collection::btree_map("service_label_app|endpointslice_port_name|namespace", "cart|web|hidden", 0..3), 1..4),
    ) {
        let spec = &specs(OF_MONITOR)[0];
        let meta = |pairs: &std::collections::BTreeMap<String, String>| -> Labels {
            pairs.iter().map(|(name, value)| (format!("__meta_kubernetes_{name}"), value)).collect()
        };
        let target = |pairs| {
            let mut labels = meta(pairs);
            labels.set("__address__", "10.0.0.1:80");
            labels
        };
        let (group, own) = group_of(meta(&group), targets.iter().map(target).collect());
        if !is_wanted(spec, &group, &own) {
            let group = Arc::new(group);
            let found = Found::of([spec.targets(&group, true, None).0].iter());
            proptest::prop_assert!(found.items.is_empty() && found.refused.is_none());
            proptest::prop_assert_eq!(found.n_dropped, group.targets.len());
        }
    }

    #[test]
    fn what_is_taken_over_from_an_earlier_form_of_a_group_is_what_relabelling_all_of_it_gives(
        labels in proptest::collection::vec("x|y", 2),
        targets in proptest::collection::vec(proptest::collection::vec("(keep|drop|refuse)-[a-d]", 0..6), 2),
        filters in proptest::bool::ANY,
    ) {
        let spec = &specs(OF_SORTS)[0];
        let form = |at: usize| {
            let target = |address: &String| [("__address__", address)].into_iter().collect();
            Arc::new(Group {
                labels: [("env", &labels[at])].into_iter().collect(),
                targets: targets[at].iter().map(target).collect(),
                ..Group::default()
            })
        };
        let before = spec.targets(&form(0), filters, None).0;
        let (after, n_relabelled) = spec.targets(&form(1), filters, Some(&before));
        let (anew, n_all) = spec.targets(&form(1), filters, None);
        let [after, anew] = [after, anew].map(|found| Found::of([found].iter()));
        proptest::prop_assert_eq!(&after.items, &anew.items);
        proptest::prop_assert_eq!((after.n_dropped, after.refused), (anew.n_dropped, anew.refused));
        let is_new = |target: &&String| labels[0] != labels[1] || !targets[0].contains(*target);
        proptest::prop_assert_eq!(n_relabelled, targets[1].iter().filter(is_new).count());
        proptest::prop_assert_eq!(n_all, targets[1].len());
    }
}
