use expect_test::expect;

use super::*;
use crate::tests::{job, labels};

/// Names and values of labels.
type Pairs = &'static [(&'static str, &'static str)];

fn assembled(config: &str, group: &[(&str, &str)], target: &[(&str, &str)]) -> String {
    match assemble(&job(config), &labels(group), &labels(target)) {
        Ok(Some(target)) => format!("{target}"),
        Ok(None) => "dropped".to_owned(),
        Err(why) => format!("error: {why}"),
    }
}

#[test]
fn targets_are_assembled_step_by_step() {
    let cases: [(&str, Pairs, Pairs); 17] = [
        // The target's labels win over its group's.
        ("", &[("env", "group"), ("rack", "1")], &[("__address__", "a:1"), ("env", "own")]),
        // Defaults only where labels are absent.
        (
            "",
            &[("job", "mine"), ("__scheme__", "https"), ("__metrics_path__", "/m")],
            &[("__address__", "a:1")],
        ),
        ("", &[("instance", "i")], &[("__address__", "a:1")]),
        // No default port.
        ("scheme: https", &[], &[("__address__", "a")]),
        ("", &[], &[("__address__", "[::1]:9100")]),
        // Rules see everything, and may drop.
        (
            "relabel_configs: [{source_labels: [__meta_x], regex: y, action: drop}]",
            &[("__meta_x", "y")],
            &[("__address__", "a:1")],
        ),
        (
            "relabel_configs: [{source_labels: [__meta_x], target_label: x}]",
            &[("__meta_x", "y")],
            &[("__address__", "a:1")],
        ),
        (
            "relabel_configs: [{source_labels: [__meta_x], target_label: __address__}]",
            &[("__meta_x", "b:2")],
            &[("__address__", "a:1")],
        ),
        // What cannot be scraped.
        ("", &[], &[("other", "x")]),
        (
            "relabel_configs: [{target_label: __address__, replacement: 'http://a/b'}]",
            &[],
            &[("__address__", "a:1")],
        ),
        ("", &[("__scrape_interval__", "5s")], &[("__address__", "a:1")]),
        ("", &[("__scrape_timeout__", "0s")], &[("__address__", "a:1")]),
        ("", &[("__scrape_interval__", "soon")], &[("__address__", "a:1")]),
        ("", &[("__scrape_interval__", "10")], &[("__address__", "a:1")]),
        ("", &[("__scrape_native_histograms__", "maybe")], &[("__address__", "a:1")]),
        ("", &[("__unix_socket__", "/run/x")], &[("__address__", "a:1")]),
        // Other private labels are not public.
        ("", &[("__private", "x"), ("__tmp_y", "y")], &[("__address__", "a:1")]),
    ];
    let lines: Vec<String> =
        cases.iter().map(|(config, group, target)| assembled(config, group, target)).collect();
    expect![[r#"
        http://a:1/metrics {env="own", instance="a:1", job="j", rack="1"}
        https://a:1/m {instance="a:1", job="mine"}
        http://a:1/metrics {instance="i", job="j"}
        https://a/metrics {instance="a", job="j"}
        http://[::1]:9100/metrics {instance="[::1]:9100", job="j"}
        dropped
        http://a:1/metrics {instance="a:1", job="j", x="y"}
        http://b:2/metrics {instance="b:2", job="j"}
        error: the target has no address
        error: the address `http://a/b` is not a host with a port
        error: the scrape timeout 10s is longer than the interval 5s
        error: the label __scrape_timeout__: the duration must not be zero
        error: the label __scrape_interval__: "soon" is not a duration; write for example 30s, 1m30s or 200ms
        error: the label __scrape_interval__: "10" is not a duration, it needs a unit; write for example 10s
        error: the label __scrape_native_histograms__ is `maybe`, not a boolean
        http://a:1/metrics {instance="a:1", job="j"}
        http://a:1/metrics {instance="a:1", job="j"}"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn interval_and_timeout_come_from_labels() {
    let job = job("scrape_interval: 30s");
    let own =
        labels(&[("__address__", "a:1"), ("__scrape_interval__", "1m30s"), ("__scrape_timeout__", "500ms")]);
    let target = assemble(&job, &Labels::new(), &own).unwrap().unwrap();
    assert_eq!((target.interval, target.timeout), (Duration::from_secs(90), Duration::from_millis(500)));
}

#[test]
fn a_target_behind_a_unix_socket_keeps_its_address_and_is_another_one() {
    let job = job("");
    let at = |socket: &str| {
        let own = labels(&[("__address__", "a:1"), ("__unix_socket__", socket)]);
        assemble(&job, &Labels::new(), &own).unwrap().unwrap()
    };
    let (one, two, none) = (at("/run/one"), at("/run/two"), at(""));
    assert_eq!(one.unix_socket.as_deref(), Some(Path::new("/run/one")));
    assert_eq!((&*one.url, one.labels().value("instance")), ("http://a:1/metrics", "a:1"));
    assert_ne!(one.hash, two.hash);
    assert_eq!(none.unix_socket, None);
}

#[test]
fn urls_are_written_as_go_writes_them() {
    let config =
        "metrics_path: 'probe now?/a%b'\nparams: {module: [one, 'two &'], target: [default], 'a b': [x]}";
    let group = [("__param_target", "http://x/~y?z=\u{e9}"), ("__param_extra", "1+1")];
    assert_eq!(
        assembled(config, &group, &[("__address__", "a:1")]),
        "http://a:1/probe%20now%3F/a%25b?a+b=x&extra=1%2B1&module=one&module=two+%26&\
         target=http%3A%2F%2Fx%2F~y%3Fz%3D%C3%A9 {instance=\"a:1\", job=\"j\"}"
    );
    assert_eq!(
        assembled("metrics_path: ''", &[], &[("__address__", "a:1")]),
        "http://a:1 {instance=\"a:1\", job=\"j\"}"
    );
}

#[test]
fn what_discovery_said_is_kept_with_the_defaults() {
    let job = job("params: {module: [m]}");
    let target =
        assemble(&job, &labels(&[("__meta_x", "y")]), &labels(&[("__address__", "a:1")])).unwrap().unwrap();
    expect![[r#"{__address__="a:1", __always_scrape_classic_histograms__="false", __convert_classic_histograms_to_nhcb__="false", __meta_x="y", __metrics_path__="/metrics", __param_module="m", __scheme__="http", __scrape_interval__="1m", __scrape_native_histograms__="false", __scrape_timeout__="10s", job="j"}"#]]
        .assert_eq(&target.discovered().to_string());
}

fn hash(config: &str, target: &[(&str, &str)]) -> u64 {
    assemble(&job(config), &Labels::new(), &labels(target)).unwrap().unwrap().hash
}

#[test]
fn the_identity_is_that_of_the_target_allocator() {
    let one = hash("", &[("__address__", "a:1")]);
    // xxHash64 over name, 0xff, value, 0xff of the sorted labels after relabelling, then the job.
    let mut bytes = Vec::new();
    for (name, value) in [
        ("__address__", "a:1"),
        ("__metrics_path__", "/metrics"),
        ("__scheme__", "http"),
        ("__scrape_interval__", "1m"),
        ("__scrape_timeout__", "10s"),
        ("job", "j"),
    ] {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    bytes.extend_from_slice(b"j");
    assert_eq!(one, xxhash_rust::xxh64::xxh64(&bytes, 0));
    assert_eq!(one, hash("", &[("__address__", "a:1"), ("__meta_x", "y")]), "meta labels do not count");
    let switched = "scrape_native_histograms: true";
    assert_eq!(one, hash(switched, &[("__address__", "a:1")]), "nor do switches that only repeat the job's");
    assert_ne!(one, hash("", &[("__address__", "a:1"), ("x", "y")]));
    assert_ne!(one, hash("metrics_path: /other", &[("__address__", "a:1")]));
    assert_ne!(one, hash("params: {a: [b]}", &[("__address__", "a:1")]));
    assert_ne!(one, hash("job_name: other", &[("__address__", "a:1")]));
    assert_ne!(one, hash("", &[("__address__", "a:1"), ("__scrape_native_histograms__", "true")]));
}
