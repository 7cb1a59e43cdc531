use std::time::{Duration, Instant};

use config::Problem;
use pipeline::{Life, Stop};
use world::kubelet::{Answer, FakeKubelet, file, node};

use super::*;

const NOW: Timestamp = Timestamp(1_767_312_000_000);

fn read(yaml: &str) -> Result<Config, Vec<Problem>> {
    config::read(&config::parse(yaml, "test.yaml").unwrap().root, "receivers::kubeletstats")
}

/// A started receiver of this kubelet, by client certificate, with further keys.
fn started(kubelet: &FakeKubelet, keys: &str) -> (KubeletStats, Life) {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| file(name).display().to_string());
    let yaml =
        format!("endpoint: {}\nca_file: {ca}\ncert_file: {cert}\nkey_file: {key}\n{keys}", kubelet.address());
    let site = Site::for_test("kubeletstats/node", None);
    let mut receiver = KubeletStats::build(read(&yaml).unwrap(), &site).unwrap();
    let life = Life::for_test("kubeletstats/node", &Stop::new());
    receiver.start_in(&Surroundings::of_process(), &life).unwrap();
    (receiver, life)
}

async fn full_node() -> FakeKubelet {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", Answer::json(node::summary(10)));
    kubelet.answer("/pods", Answer::json(node::pods(10)));
    kubelet
}

#[test]
fn the_example_of_the_header_loads() {
    let header: String = include_str!("../kubeletstats.rs")
        .lines()
        .skip_while(|line| *line != "//! ```yaml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default()))
        .collect();
    let parsed = config::parse(&header.replace("${env:K8S_NODE_NAME}", "node-a"), "header").unwrap();
    let section = parsed.root.get("kubeletstats").unwrap();
    let config: Config = config::read(section, "kubeletstats").unwrap();
    assert_eq!(config.kubelet.check(), []);
    assert_eq!(config.scraper.collection_interval, Some(Period::from_secs(20)));
}

#[test]
fn requests_end_before_the_scrape_does() {
    let limit = |keys: &str| {
        let config = read(&format!("auth_type: none\n{keys}")).unwrap();
        KubeletStats::build(config, &Site::for_test("kubeletstats", None)).unwrap().limit()
    };
    assert_eq!(limit(""), Duration::from_secs(9));
    assert_eq!(limit("collection_interval: 1m"), Duration::from_secs(59));
    assert_eq!(limit("timeout: 2s"), Duration::from_millis(1800));
}

#[tokio::test]
async fn points_of_a_node_leave_as_otlp() {
    let kubelet = full_node().await;
    let (mut receiver, life) = started(&kubelet, "extra_metadata_labels: [container.id]\n");
    let batch = receiver.scrape(NOW).await.unwrap();
    // A node, ten pods and twelve containers.
    assert_eq!(batch.n_items(), 15 * 11 + 11 * 12);
    let requests = |request: &str, outcome: &str| {
        let labels = [("receiver", "kubeletstats/node"), ("request", request), ("outcome", outcome)];
        life.telemetry().value("muster_kubelet_requests_total", &labels)
    };
    assert_eq!((requests("summary", "success"), requests("pods", "success")), (Some(1.0), Some(1.0)));
    assert_eq!(requests("node", "success"), None);
}

#[tokio::test]
async fn what_is_true_leaves_with_the_error_and_everything_is_counted() {
    let kubelet = full_node().await;
    kubelet.answer("/pods", Answer::Status(403, "Forbidden".to_owned()));
    let (mut receiver, life) = started(&kubelet, "extra_metadata_labels: [container.id]\n");
    let failed = receiver.scrape(NOW).await.unwrap_err();
    let expected = format!(
        "reading the kubelet: GET {}/pods: answered 403: Forbidden; allow get on nodes/pods (nodes/proxy before Kubernetes 1.33)",
        kubelet.url()
    );
    assert_eq!(telemetry::error_chain(&failed), expected);
    assert_eq!(failed.partial.unwrap().n_items(), 15 * 11 + 11 * 12);
    let receiver = ("receiver", "kubeletstats/node");
    let value = |name: &str, labels: &[(&str, &str)]| life.telemetry().value(name, labels);
    let forbidden = [receiver, ("request", "pods"), ("outcome", "forbidden")];
    assert_eq!(value("muster_kubelet_requests_total", &forbidden), Some(1.0));
    let ids = [receiver, ("attribute", "container.id")];
    assert_eq!(value("muster_kubelet_missing_metadata_total", &ids), Some(12.0));
}

#[tokio::test]
async fn values_that_are_not_there_are_counted_by_metric() {
    let kubelet = full_node().await;
    kubelet.answer("/stats/summary", Answer::json(r#"{"node":{"nodeName":"n","cpu":{"usageNanoCores":1}}}"#));
    let (mut receiver, life) = started(&kubelet, "");
    assert_eq!(receiver.scrape(NOW).await.unwrap().n_items(), 1);
    let skipped = |metric: &str| {
        let labels = [("receiver", "kubeletstats/node"), ("metric", metric)];
        life.telemetry().value("muster_kubelet_skipped_values_total", &labels)
    };
    assert_eq!((skipped("k8s.node.cpu.time"), skipped("k8s.node.cpu.usage")), (Some(1.0), None));
}

#[tokio::test]
async fn a_summary_that_never_comes_is_no_batch() {
    let kubelet = full_node().await;
    let slow = Answer::Slow(Duration::from_secs(60), Box::new(Answer::json("{}")));
    kubelet.answer("/stats/summary", slow);
    let (mut receiver, _life) = started(&kubelet, "timeout: 300ms\n");
    let began = Instant::now();
    let failed = receiver.scrape(NOW).await.unwrap_err();
    assert!(failed.partial.is_none() && began.elapsed() < Duration::from_secs(20));
    let told = telemetry::error_chain(&failed);
    assert!(
        told.starts_with(&format!("reading the kubelet: GET {}/stats/summary: ", kubelet.url())),
        "{told}"
    );
}

#[test]
fn a_start_that_cannot_succeed_says_why() {
    let config = read("auth_type: kubeConfig\nendpoint: node-a\n").unwrap();
    let mut receiver = KubeletStats::build(config, &Site::for_test("kubeletstats", None)).unwrap();
    let surroundings = Surroundings::of_process().with_variables(&[("KUBECONFIG", "/nonexistent/config")]);
    let failed = receiver.start_in(&surroundings, &Life::for_test("kubeletstats", &Stop::new())).unwrap_err();
    let told = telemetry::error_chain(&failed);
    let expected = "starting receiver `kubeletstats`: kubeconfig /nonexistent/config: there is no current-context; \
                    name one by the key `context`";
    assert_eq!(told, expected);
}
