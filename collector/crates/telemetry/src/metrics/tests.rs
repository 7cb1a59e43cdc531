//! What a scrape of ourselves shows.

use expect_test::expect;

use super::*;

#[test]
fn metrics_are_printed_by_their_exact_names() {
    let registry = Registry::new();
    registry.counter("otelcol_exporter_sent_spans", "Spans sent", &[("exporter", "otlp/a")]).inc_by(3);
    registry.counter("otelcol_exporter_sent_spans", "Spans sent", &[("exporter", "otlp\"b")]).inc();
    registry.gauge("otelcol_exporter_queue_size", "Requests that wait", &[]).set(2.5);
    registry.histogram("batch", "Sizes", &[1.0, 10.0], &[("processor", "batch")]).observe(4.0);
    expect![[r#"
        # HELP batch Sizes
        # TYPE batch histogram
        batch_bucket{processor="batch",le="1"} 0
        batch_bucket{processor="batch",le="10"} 1
        batch_bucket{processor="batch",le="+Inf"} 1
        batch_sum{processor="batch"} 4
        batch_count{processor="batch"} 1
        # HELP otelcol_exporter_queue_size Requests that wait
        # TYPE otelcol_exporter_queue_size gauge
        otelcol_exporter_queue_size 2.5
        # HELP otelcol_exporter_sent_spans Spans sent
        # TYPE otelcol_exporter_sent_spans counter
        otelcol_exporter_sent_spans{exporter="otlp\"b"} 1
        otelcol_exporter_sent_spans{exporter="otlp/a"} 3
    "#]]
    .assert_eq(&registry.text());
}

#[test]
fn the_same_name_and_labels_are_the_same_metric() {
    let registry = Registry::new();
    let scope = registry.scope();
    scope.counter("n", "N", &[("b", "2"), ("a", "1")]).inc();
    scope.counter("n", "N", &[("a", "1"), ("b", "2")]).inc();
    assert_eq!(registry.value("n", &[("a", "1"), ("b", "2")]), Some(2.0));
}

#[test]
fn metrics_of_a_scope_leave_with_its_last_clone() {
    let registry = Registry::new();
    registry.counter("stays", "S", &[]).inc();
    let scope = registry.scope();
    let clone = scope.clone();
    scope.counter("leaves", "L", &[]).inc();
    clone.observe_gauge("leaves_too", "L", &[], || Some(1.0));
    drop(scope);
    assert!(registry.text().contains("leaves 1"));
    drop(clone);
    assert_eq!(registry.text(), "# HELP stays S\n# TYPE stays counter\nstays 1\n");
}

#[test]
fn a_successor_inherits_the_value() {
    let registry = Registry::new();
    let old = registry.scope();
    old.counter("n", "N", &[]).inc_by(5);
    let new = registry.scope();
    let counter = new.counter("n", "N", &[]);
    drop(old);
    counter.inc();
    assert_eq!(registry.value("n", &[]), Some(6.0));
}

#[test]
fn a_name_taken_by_another_kind_is_not_shown_and_harms_nobody() {
    let registry = Registry::new();
    registry.counter("n", "N", &[]).inc();
    let scope = registry.scope();
    scope.gauge("n", "N", &[]).set(7.0);
    drop(scope);
    assert_eq!(registry.text(), "# HELP n N\n# TYPE n counter\nn 1\n");
}

#[test]
fn an_observed_value_may_be_absent() {
    let registry = Registry::new();
    registry.observe_gauge("absent", "A", &[], || None);
    registry.observe_counter("present", "P", &[("a", "b")], || Some(1.5));
    assert_eq!(registry.text(), "# HELP present P\n# TYPE present counter\npresent{a=\"b\"} 1.5\n");
}

#[test]
fn target_info_says_who_this_is() {
    let registry = Registry::new();
    registry.describe(&Identity {
        name: "muster".into(),
        version: "1.2.3".into(),
        instance_id: "a-0".into(),
        others: BTreeMap::from([("k8s.pod.name".to_owned(), "muster-0".to_owned())]),
    });
    expect![[r#"
        # HELP target_info Target metadata
        # TYPE target_info gauge
        target_info{service_name="muster",service_version="1.2.3",service_instance_id="a-0",k8s_pod_name="muster-0"} 1
    "#]]
    .assert_eq(&registry.text());
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_measured() {
    let registry = Registry::new();
    registry.observe_process();
    for name in ["otelcol_process_cpu_seconds", "otelcol_process_memory_rss", "otelcol_process_uptime"] {
        assert!(registry.value(name, &[]).is_some(), "{name} is missing");
    }
}
