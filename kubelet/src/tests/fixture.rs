use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use model::{Frames, Timestamp};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, metric, number_data_point,
};
use prost::Message;
use tempfile::TempDir;
use world::kubelet::{Answer, FakeKubelet, TOKEN, file};

use crate::{Config, Scraped, Scraper, Surroundings};

/// Time of every scrape: the second day of 2026.
pub(super) const NOW: Timestamp = Timestamp(1_767_312_000_000);

/// When every scraper was made.
pub(super) const STARTED: Timestamp = Timestamp(1_767_311_000_000);

/// Long enough for a busy machine; no test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn config(yaml: &str) -> Config {
    let parsed = config::parse(yaml, "test.yaml").unwrap();
    config::read::<Config>(&parsed.root, "kubeletstats").unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(super) fn testdata(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// A pod's surroundings: its service account, and the API server of its cluster.
pub(super) struct Pod {
    pub(super) folder: TempDir,
    pub(super) surroundings: Surroundings,
}

impl Pod {
    pub(super) fn with_api_at(api: &FakeKubelet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(file("ca.pem"), folder.path().join("ca.crt")).unwrap();
        let port = api.address().port().to_string();
        let variables = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", &port)];
        let surroundings =
            Surroundings::of_process().with_service_account(folder.path()).with_variables(&variables);
        let pod = Self { surroundings, folder };
        pod.write_token(TOKEN);
        pod
    }

    pub(super) fn write_token(&self, token: &str) {
        write(&self.folder.path().join("token"), token);
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, format!("{text}\n")).unwrap();
}

/// A kubelet that answers the golden summary and pods, and is the API server too.
pub(super) async fn golden_kubelet() -> FakeKubelet {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", Answer::json(testdata("summary.json")));
    kubelet.answer("/pods", Answer::json(testdata("pods.json")));
    kubelet.answer("/api/v1/nodes/n1", Answer::json(testdata("node.json")));
    kubelet.answer(CLAIM, Answer::json(r#"{"kind":"PersistentVolumeClaim","spec":{"volumeName":"pv-7"}}"#));
    kubelet.answer(
        "/api/v1/persistentvolumes/pv-7",
        Answer::json(r#"{"spec":{"csi":{"driver":"disk.example"}}}"#),
    );
    kubelet
}

/// Where the API server has the claim of the golden pod.
pub(super) const CLAIM: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data-web-0";

/// A scraper of this kubelet by its service account; `yaml` holds further keys.
pub(super) fn scraper(kubelet: &FakeKubelet, pod: &Pod, yaml: &str) -> Scraper {
    let yaml = format!("auth_type: serviceAccount\nendpoint: {}\n{yaml}", kubelet.address());
    built(&config(&yaml), &pod.surroundings)
}

pub(super) fn built(config: &Config, surroundings: &Surroundings) -> Scraper {
    assert_eq!(config.check(), []);
    Scraper::build(config, surroundings, "1.2.3", STARTED).unwrap()
}

/// One scrape by service account, with further keys.
pub(super) async fn scraped(kubelet: &FakeKubelet, yaml: &str) -> Scraped {
    let pod = Pod::with_api_at(kubelet);
    scraper(kubelet, &pod, yaml).scrape(NOW, PATIENCE).await
}

pub(super) fn decoded(frames: &Frames) -> Vec<ResourceMetrics> {
    frames.resources.iter().map(|bytes| ResourceMetrics::decode(bytes.clone()).unwrap()).collect()
}

pub(super) fn errors(scraped: &Scraped) -> Vec<String> {
    scraped.failures.iter().map(|failure| telemetry::error_chain(failure)).collect()
}

/// Resources as text, each with its start in seconds, its metrics below it.
pub(super) fn printed(frames: &Frames) -> String {
    let mut text = String::new();
    for resource in decoded(frames) {
        let attributes = attributes(&resource.resource.as_ref().unwrap().attributes);
        let [scope] = &resource.scope_metrics[..] else { panic!("one scope a resource") };
        let points = || scope.metrics.iter().flat_map(points);
        let start = points().next().unwrap().start_time_unix_nano;
        assert!(
            points()
                .all(|point| point.start_time_unix_nano == start && point.time_unix_nano == NOW.unix_nanos())
        );
        writeln!(text, "{attributes} since {}", start / 1_000_000_000).unwrap();
        for metric in &scope.metrics {
            write!(text, "  {} {} {}:", metric.name, metric.unit, kind(metric)).unwrap();
            for point in points_of(metric) {
                write!(text, " {}", value(point)).unwrap();
                let attributes = self::attributes(&point.attributes);
                if !attributes.is_empty() {
                    write!(text, " ({attributes})").unwrap();
                }
            }
            text.push('\n');
        }
    }
    text
}

fn points(metric: &Metric) -> impl Iterator<Item = &NumberDataPoint> {
    points_of(metric).iter()
}

pub(super) fn points_of(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        metric::Data::Gauge(gauge) => &gauge.data_points,
        metric::Data::Sum(sum) => &sum.data_points,
        other => panic!("{other:?}"),
    }
}

pub(super) fn kind(metric: &Metric) -> &'static str {
    match metric.data.as_ref().unwrap() {
        metric::Data::Gauge(_) => "gauge",
        metric::Data::Sum(sum) => {
            assert_eq!(sum.aggregation_temporality, 2, "cumulative");
            if sum.is_monotonic { "counter" } else { "sum" }
        }
        other => panic!("{other:?}"),
    }
}

fn value(point: &NumberDataPoint) -> String {
    match point.value.unwrap() {
        number_data_point::Value::AsInt(value) => value.to_string(),
        // With its point, so that a double cannot be taken for an integer.
        number_data_point::Value::AsDouble(value) => format!("{value:?}"),
    }
}

pub(super) fn attributes(attributes: &[KeyValue]) -> String {
    let shown = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => format!("{}={text}", attribute.key),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(shown).collect::<Vec<_>>().join(", ")
}
