//! What a request holds, for scrapes and for OTLP.

use std::sync::Arc;

use config::Node;
use expect_test::{Expect, expect};
use model::{Family, Kind, Point, SeriesTable, TargetInfo as Target, Timestamp};
use wire::compress::{Encoding, Limit, decompress};

use wire::remote_write::v1;

use super::*;

mod entry;
mod histograms;
mod protocol;
mod same_bytes;
mod splitting;
mod version_2;
mod vm_protocol;

/// An exporter that speaks 1.0.
fn exporter(yaml: &str) -> PrometheusRemoteWrite {
    built(&format!("endpoint: http://127.0.0.1:1/w\nprotobuf_message: prometheus.WriteRequest\n{yaml}"))
}

fn built(yaml: &str) -> PrometheusRemoteWrite {
    let node: Node = config::parse(yaml, "test.yaml").unwrap().root;
    let config = config::read::<Config>(&node, "exporters::prometheusremotewrite").unwrap();
    PrometheusRemoteWrite::build(config, &Site::for_test("prometheusremotewrite", None)).unwrap()
}

fn scrape(n_series: usize) -> Scrape {
    let mut table = SeriesTable::new();
    let family =
        Family { name: "requests".into(), kind: Kind::Counter, help: "All of them.".into(), unit: "".into() };
    let family = table.family_index(family);
    let points = (0..n_series)
        .map(|index| {
            let number = index.to_string();
            let labels = [("__name__", "requests_total"), ("instance", "h:1"), ("job", "j"), ("n", &number)];
            Point { series: table.insert(labels, Some(family)), bits: (index as f64).to_bits() }
        })
        .collect();
    let labels = [("job", "j"), ("instance", "h:1")].into_iter().collect();
    let target = Target { labels, ..Target::default() };
    Scrape {
        target: Arc::new(target),
        table: Arc::new(table),
        at: Timestamp(1000),
        points,
        ..Scrape::default()
    }
}

fn requests(exporter: &PrometheusRemoteWrite, batch: &Batch) -> Vec<v1::WriteRequest> {
    let mut bodies = Bodies::new(3);
    exporter.encode(batch, &mut bodies).unwrap();
    let decode = |body: &[u8]| {
        let sealed = exporter.seal(&mut body.to_vec()).payload;
        let mut plain = Vec::new();
        decompress(Encoding::Snappy, &sealed, Limit::bytes(1 << 24), &mut plain).unwrap();
        v1::decode(&plain).unwrap()
    };
    bodies.iter().map(|(_, body)| decode(&body.bytes)).collect()
}

fn check(exporter: &PrometheusRemoteWrite, batch: &Batch, expected: &Expect) {
    let mut lines = Vec::new();
    for request in requests(exporter, batch) {
        for series in &request.timeseries {
            let labels: model::Labels =
                series.labels.iter().map(|label| (&label.name, &label.value)).collect();
            let samples: Vec<String> = series
                .samples
                .iter()
                .map(|sample| format!("{}@{}", sample.value, sample.timestamp))
                .collect();
            lines.push(format!("{labels} {}", samples.join(" ")));
        }
        lines.extend(
            request
                .metadata
                .iter()
                .map(|metadata| format!("# {} {}", metadata.metric_family_name, metadata.help)),
        );
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_scrape_is_written_with_external_labels_where_they_are_absent() {
    let exporter = exporter(
        "external_labels: {cluster: home, job: other}\nsend_metadata: true\ntarget_info: {enabled: false}",
    );
    check(
        &exporter,
        &Batch::from_scrape(scrape(2)),
        &expect![[r#"
        {__name__="requests_total", cluster="home", instance="h:1", job="j", n="0"} 0@1000
        {__name__="requests_total", cluster="home", instance="h:1", job="j", n="1"} 1@1000
        # requests All of them."#]],
    );
}

#[test]
fn a_large_scrape_is_cut_at_max_batch_size_bytes_and_stays_in_one_shard() {
    let exporter = exporter("max_batch_size_bytes: 2000\ntarget_info: {enabled: false}");
    let mut bodies = Bodies::new(3);
    exporter.encode(&Batch::from_scrape(scrape(100)), &mut bodies).unwrap();
    let parts: Vec<(usize, usize, usize)> =
        bodies.iter().map(|(shard, body)| (shard, body.bytes.len(), body.n_items)).collect();
    assert!(parts.len() > 2 && parts.iter().all(|part| part.1 < 2100 && part.0 == parts[0].0), "{parts:?}");
    assert_eq!(parts.iter().map(|part| part.2).sum::<usize>(), 100);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let node = config::parse("{endpoint: 'http://h/w', include_metadata_keys: [x], wal: {}}", "x");
    let config = config::read::<Config>(&node.unwrap().root, "x").unwrap();
    let problems = PrometheusRemoteWrite::build(config, &Site::for_test("x", None)).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["include_metadata_keys", "wal"]);
}

#[test]
fn strategies_that_need_remote_write_2_are_refused_with_1_by_name() {
    for name in ["NoUTF8EscapingWithSuffixes", "NoTranslation"] {
        let yaml = format!(
            "{{endpoint: 'http://h/w', protobuf_message: prometheus.WriteRequest, translation_strategy: {name}}}"
        );
        let node = config::parse(&yaml, "x");
        let config = config::read::<Config>(&node.unwrap().root, "x").unwrap();
        let problems = PrometheusRemoteWrite::build(config, &Site::for_test("x", None)).unwrap_err();
        assert_eq!(problems[0].path, "translation_strategy");
        assert!(problems[0].to_string().contains(name), "{}", problems[0]);
    }
}

#[test]
fn resource_attributes_are_chosen_under_one_key_only() {
    let yaml = "{endpoint: 'http://h/w', resource_to_telemetry_conversion: {enabled: true}, \
                resource_constant_labels: {included: [k8s.*]}}";
    let config = config::read::<Config>(&config::parse(yaml, "x").unwrap().root, "x").unwrap();
    let problems = PrometheusRemoteWrite::build(config, &Site::for_test("x", None)).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["resource_to_telemetry_conversion"]);
}

#[test]
fn keeping_classic_histograms_means_nothing_without_converting_them() {
    let warnings = |yaml: &str| {
        let node = config::parse(&format!("{{endpoint: 'http://h/w', {yaml}}}"), "x").unwrap().root;
        PrometheusRemoteWrite::warnings(&config::read::<Config>(&node, "x").unwrap()).len()
    };
    assert_eq!(warnings("keep_classic_histograms: true"), 1);
    assert_eq!(warnings("keep_classic_histograms: true, convert_explicit_histograms_to_nhcb: true"), 0);
}

#[test]
fn both_spellings_of_the_queue_are_understood() {
    let sending = |yaml: &str| {
        let node = config::parse(&format!("endpoint: http://h/w\n{yaml}"), "x").unwrap().root;
        let config = config::read::<Config>(&node, "x").map_err(|problems| problems[0].to_string());
        // The spine's keys are not the component's own.
        let config = config
            .or_else(|_| config::fill::<Config>(&node, "x").map_err(|problem| problem.to_string()))
            .unwrap();
        let common = config::fill::<SendingConfig>(&node, "x").unwrap();
        PrometheusRemoteWrite::sending(&config, &common)
    };
    let shape =
        |sending: &Sending| sending.queue.map(|queue| (queue.n_shards, queue.n_consumers, queue.capacity));
    assert_eq!(shape(&sending("")), Some((5, 1, 10_000)));
    assert_eq!(shape(&sending("remote_write_queue: {num_consumers: 2, queue_size: 7}")), Some((2, 1, 7)));
    assert_eq!(shape(&sending("sending_queue: {num_consumers: 3, queue_size: 8}")), Some((3, 1, 8)));
    assert_eq!(shape(&sending("remote_write_queue: {enabled: false}")), None);
}
