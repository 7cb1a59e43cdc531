//! Queues that are kept on disk: over a stop, a restart, a reload.

use std::path::Path;
use std::time::Duration;

use model::Signal;
use telemetry::Registry;

use super::parts::{Board, REGISTRY, board, text};
use crate::{Graph, Plan};

const LOGS: Signal = Signal::Logs;

/// A plan whose exporter `out` keeps its queue in the data directory, with more settings of it.
fn plan(name: &str, directory: &Path, exporters: &str) -> Plan {
    let exporters = exporters.replace("BOARD", &format!("board: {name}"));
    let yaml = format!(
        "
receivers: {{in: {{board: {name}}}}}
exporters: {{{exporters}}}
extensions: {{store: {{board: {name}, directory: '{}'}}}}
service:
  extensions: [store]
  pipelines: {{logs: {{receivers: [in], exporters: [out]}}}}
",
        directory.display()
    );
    let root = config::parse(&yaml, "test.yaml").expect("the test's YAML parses").root;
    Plan::build(&root, &REGISTRY, "/".into(), None, std::collections::HashMap::new())
        .expect("the plan is good")
}

const KEPT: &str = "out: {BOARD, sending_queue: {storage: store}}";

async fn started(plan: &Plan) -> (Graph, Registry) {
    let registry = Registry::new();
    let mut graph = Graph::new(registry.clone());
    graph.apply(plan).await.expect("the graph starts");
    settle().await;
    (graph, registry)
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn send(board: &Board, words: &[&'static str]) {
    for word in words {
        board.send("in", text(LOGS, word)).await.unwrap();
    }
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_the_endpoint_down_loses_nothing_and_is_quick() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan("kept_stop", directory.path(), KEPT);
    let (graph, _registry) = started(&plan).await;
    let board = board("kept_stop");
    *board.answers.lock().unwrap() = vec!["hang"; 10];
    send(&board, &["a", "b", "c", "d", "e"]).await;
    board.take_events();
    let began = tokio::time::Instant::now();
    graph.shut_down().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    board.answers.lock().unwrap().clear();
    board.take_events();

    let (graph, registry) = started(&plan).await;
    send(&board, &["f"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let got: Vec<String> =
        board.take_events().into_iter().filter(|event| event.starts_with("out got")).collect();
    assert_eq!(got, ["a", "b", "c", "d", "e", "f"].map(|word| format!("out got {word}")));
    let labels = [("exporter", "out"), ("data_type", "logs")];
    assert_eq!(registry.value("muster_exporter_queue_recovered_items_total", &labels), Some(5.0));
    assert_eq!(registry.value("muster_exporter_queue_disk_usable", &labels), Some(1.0));
    assert_eq!(registry.value("muster_exporter_queue_oldest_age_seconds", &labels), Some(0.0));
    graph.shut_down().await;
    let (graph, _registry) = started(&plan).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!board.take_events().iter().any(|event| event.starts_with("out got")), "nothing is sent twice");
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_the_exporter_hands_its_directory_over() {
    let directory = tempfile::tempdir().unwrap();
    let (mut graph, _registry) = started(&plan("kept_reload", directory.path(), KEPT)).await;
    let board = board("kept_reload");
    *board.answers.lock().unwrap() = vec!["later"; 3];
    send(&board, &["a", "b", "c"]).await;
    let changed = "out: {BOARD, sending_queue: {storage: store, num_consumers: 1}, timeout: 7s}";
    let changed = plan("kept_reload", directory.path(), changed);
    graph.apply(&changed).await.expect("the directory changes hands");
    send(&board, &["d"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let got: Vec<String> =
        board.take_events().into_iter().filter(|event| event.starts_with("out got")).collect();
    assert_eq!(got, ["a", "b", "c", "d"].map(|word| format!("out got {word}")));
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_kept_is_given_up_for_its_retry_time() {
    let directory = tempfile::tempdir().unwrap();
    let (graph, registry) = started(&plan("kept_retry", directory.path(), KEPT)).await;
    let board = board("kept_retry");
    *board.answers.lock().unwrap() = vec!["later"; 50];
    send(&board, &["a"]).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(board.take_events().contains(&"out got a".to_owned()));
    let labels = [("exporter", "out"), ("data_type", "logs"), ("reason", "retry_limit")];
    assert_eq!(registry.value("muster_exporter_dropped_items_total", &labels), None);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_becomes_older_than_max_age_is_dropped_also_while_it_is_retried() {
    let directory = tempfile::tempdir().unwrap();
    let aged = "out: {BOARD, sending_queue: {storage: store, max_age: 30s}}";
    let (graph, registry) = started(&plan("kept_age", directory.path(), aged)).await;
    let board = board("kept_age");
    *board.answers.lock().unwrap() = vec!["later"; 1000];
    send(&board, &["a", "b"]).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let labels = [("exporter", "out"), ("data_type", "logs"), ("reason", "max_age")];
    assert_eq!(registry.value("muster_exporter_dropped_items_total", &labels), Some(2.0));
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_another_exporter_holds_is_refused_with_both_names() {
    let directory = tempfile::tempdir().unwrap();
    let (graph, _registry) = started(&plan("kept_first", directory.path(), KEPT)).await;
    let second = plan("kept_second", directory.path(), KEPT);
    let refused = Graph::new(Registry::new()).apply(&second).await.expect_err("it is locked");
    let text = telemetry::error_chain(&refused);
    assert!(text.contains("opening the sending queue of exporter `out`"), "{text}");
    assert!(text.contains("is in use by exporter `out` (process "), "{text}");
    graph.shut_down().await;
}
