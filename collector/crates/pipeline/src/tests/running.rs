//! A running graph: flow, refusal, retry, reload, stop.

use std::time::Duration;

use model::Signal;
use telemetry::Registry;

use super::parts::{Board, board, text};
use super::plans::plan;
use crate::{Graph, Refused};

const LOGS: Signal = Signal::Logs;

/// Starts a graph from YAML in which `BOARD` stands for the test's own board.
async fn started(name: &str, yaml: &str) -> (Graph, std::sync::Arc<Board>, Registry) {
    let registry = Registry::new();
    let mut graph = Graph::new(registry.clone());
    apply(&mut graph, name, yaml).await.expect("the graph starts");
    settle().await;
    (graph, board(name), registry)
}

async fn apply(graph: &mut Graph, name: &str, yaml: &str) -> Result<(), String> {
    let plan = plan(&yaml.replace("BOARD", name))?;
    graph.apply(&plan).await.map_err(|fatal| telemetry::error_chain(&fatal))
}

/// Lets every task run until it waits. Time is paused, so this takes none.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

const SIMPLE: &str = "
receivers: {in: {board: BOARD}}
processors: {shout: {board: BOARD}}
exporters: {out: {board: BOARD}}
service: {pipelines: {logs: {receivers: [in], processors: [shout], exporters: [out]}}}
";

#[tokio::test(start_paused = true)]
async fn a_batch_passes_processors_in_order_and_reaches_every_exporter() {
    let yaml = "
receivers: {in: {board: BOARD}}
processors: {shout/1: {board: BOARD}, shout/2: {board: BOARD}}
exporters: {out/a: {board: BOARD}, out/b: {board: BOARD}}
service:
  pipelines:
    logs: {receivers: [in], processors: [shout/1, shout/2], exporters: [out/a, out/b]}
    logs/second: {receivers: [in], exporters: [out/b]}
";
    let (graph, board, registry) = started("passes", yaml).await;
    board.take_events();
    board.send("in", text(LOGS, "hello")).await.unwrap();
    graph.shut_down().await;
    let mut events = board.take_events();
    events.sort();
    assert_eq!(events, ["in stopped", "out/a got hello!!", "out/b got hello", "out/b got hello!!"]);
    let accepted =
        registry.value("otelcol_receiver_accepted_log_records", &[("receiver", "in"), ("transport", "test")]);
    assert_eq!(accepted, None, "metrics of a component go with it");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_travels_back_to_the_sender_and_is_counted() {
    let (graph, board, registry) = started("refusal", SIMPLE).await;
    let refused = board.send("in", text(LOGS, "poison")).await.unwrap_err();
    assert_eq!(refused, Refused::Never { reason: "poison".to_owned() });
    board.send("in", text(LOGS, "fine")).await.unwrap();
    let labels = [("receiver", "in"), ("transport", "test")];
    assert_eq!(registry.value("otelcol_receiver_refused_log_records", &labels), Some(1.0));
    assert_eq!(registry.value("otelcol_receiver_accepted_log_records", &labels), Some(1.0));
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_tried_again_with_growing_waits_and_order_is_kept() {
    let (graph, board, registry) = started("retry", SIMPLE).await;
    board.take_events();
    *board.answers.lock().unwrap() = vec!["later", "later"];
    board.send("in", text(LOGS, "one")).await.unwrap();
    board.send("in", text(LOGS, "two")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(board.take_events(), ["out refused one!", "out refused one!"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(board.take_events(), ["out got one!", "out got two!"]);
    assert_eq!(registry.value("otelcol_exporter_sent_log_records", &[("exporter", "out")]), Some(2.0));
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_with_the_name_of_its_limit() {
    let (graph, board, registry) = started("full", SIMPLE).await;
    *board.answers.lock().unwrap() = vec!["hang"];
    board.send("in", text(LOGS, "one")).await.unwrap();
    settle().await;
    board.send("in", text(LOGS, "two")).await.unwrap();
    let refused = board.send("in", text(LOGS, "three")).await.unwrap_err();
    assert_eq!(refused.to_string(), "sending queue is full (queue_size: 2 of 2 requests)");
    assert_eq!(
        registry.value("otelcol_exporter_enqueue_failed_log_records", &[("exporter", "out")]),
        Some(1.0)
    );
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_ended_by_the_timeout_and_tried_again() {
    let (graph, board, _registry) = started("hangs", SIMPLE).await;
    board.take_events();
    *board.answers.lock().unwrap() = vec!["hang"];
    board.send("in", text(LOGS, "one")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(board.take_events(), ["out got one!"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn items_wait_for_company_until_the_deadline() {
    let yaml = SIMPLE.replace("{out:", "{join:").replace("[out]", "[join]");
    let (graph, board, _registry) = started("joins", &yaml).await;
    board.take_events();
    for word in ["a", "b", "c", "d"] {
        board.send("in", text(LOGS, word)).await.unwrap();
    }
    settle().await;
    assert_eq!(board.take_events(), ["join got a!b!c!"]);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(board.take_events(), ["join got d!"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_sender_hears_how_the_export_ended() {
    let yaml = SIMPLE.replace(
        "{out: {board: BOARD}",
        "{out: {board: BOARD, sending_queue: null, retry_on_failure: {enabled: false}}",
    );
    let (graph, board, _registry) = started("direct", &yaml).await;
    *board.answers.lock().unwrap() = vec!["never", "later"];
    let later = board.send("in", text(LOGS, "one")).await.unwrap_err();
    assert!(matches!(&later, Refused::NotDelivered { .. }) && later.is_temporary(), "{later}");
    let never = board.send("in", text(LOGS, "two")).await.unwrap_err();
    assert!(matches!(&never, Refused::Never { .. }), "{never}");
    board.send("in", text(LOGS, "three")).await.unwrap();
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_stages_and_queues_hand_over_what_they_hold() {
    let yaml = "
receivers: {in: {board: BOARD}}
processors: {hold: {board: BOARD}}
exporters: {out: {board: BOARD}}
extensions: {beside: {board: BOARD}}
service:
  extensions: [beside]
  pipelines: {logs: {receivers: [in], processors: [hold], exporters: [out]}}
";
    let (graph, board, _registry) = started("stop", yaml).await;
    assert_eq!(board.take_events(), ["beside started", "out started", "hold started", "in started"]);
    board.send("in", text(LOGS, "one")).await.unwrap();
    board.send("in", text(LOGS, "two")).await.unwrap();
    graph.shut_down().await;
    assert_eq!(
        board.take_events(),
        ["in stopped", "hold lets 2 go", "out got one", "out got two", "beside stopped"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_connector_carries_one_signal_into_a_pipeline_of_another() {
    let yaml = "
receivers: {in: {board: BOARD}}
exporters: {out: {board: BOARD}}
connectors: {turn: {board: BOARD}}
service:
  pipelines:
    traces: {receivers: [in], exporters: [turn]}
    logs: {receivers: [turn], exporters: [out]}
";
    let (graph, board, _registry) = started("connector", yaml).await;
    board.take_events();
    board.send("in", text(Signal::Traces, "span")).await.unwrap();
    settle().await;
    assert_eq!(board.take_events(), ["out got span"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_touches_only_what_changed() {
    let (mut graph, board, _registry) = started("reload", SIMPLE).await;
    board.take_events();
    apply(&mut graph, "reload", &SIMPLE.replace("{out: {board: BOARD}", "{out: {board: BOARD, version: 2}"))
        .await
        .unwrap();
    settle().await;
    assert_eq!(board.take_events(), ["out started"]);
    board.send("in", text(LOGS, "one")).await.unwrap();
    let more = "
receivers: {in: {board: BOARD}, in/2: {board: BOARD}}
exporters: {out: {board: BOARD, version: 2}}
service: {pipelines: {logs: {receivers: [in, in/2], exporters: [out]}}}
";
    apply(&mut graph, "reload", more).await.unwrap();
    settle().await;
    board.send("in/2", text(LOGS, "two")).await.unwrap();
    settle().await;
    assert_eq!(board.take_events(), ["out got one!", "in/2 started", "out got two"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_built_changes_nothing() {
    let (mut graph, board, _registry) = started("unbuildable", SIMPLE).await;
    board.take_events();
    let broken = SIMPLE.replace("{out: {board: BOARD}", "{out: {board: BOARD, version: 13}");
    assert!(apply(&mut graph, "unbuildable", &broken).await.is_err());
    board.send("in", text(LOGS, "still here")).await.unwrap();
    settle().await;
    assert_eq!(board.take_events(), ["out got still here!"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_cannot_start_can_be_taken_back_by_the_plan_from_before() {
    let (mut graph, board, _registry) = started("unstartable", SIMPLE).await;
    board.take_events();
    let failing = SIMPLE.replace("in: {board: BOARD}", "in: {board: BOARD, fails: true}");
    let error = apply(&mut graph, "unstartable", &failing).await.unwrap_err();
    assert_eq!(error, "starting in: scripted");
    apply(&mut graph, "unstartable", SIMPLE).await.unwrap();
    settle().await;
    board.send("in", text(LOGS, "again")).await.unwrap();
    settle().await;
    assert_eq!(board.take_events(), ["in stopped", "in started", "out got again!"]);
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_reload_still_sends_what_an_exchanged_exporter_held() {
    let yaml = SIMPLE.replace("{out:", "{join:").replace("[out]", "[join]");
    let (mut graph, board, _registry) = started("half", &yaml).await;
    board.take_events();
    board.send("in", text(LOGS, "held")).await.unwrap();
    let failing = yaml
        .replace("in: {board: BOARD}", "in: {board: BOARD, fails: true}")
        .replace("join: {board: BOARD}", "join: {board: BOARD, version: 2}");
    apply(&mut graph, "half", &failing).await.unwrap_err();
    assert!(board.take_events().contains(&"join got held!".to_owned()));
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn an_exporter_makes_room_before_its_successor_starts_and_can_be_taken_back() {
    let yaml = SIMPLE.replace("{out:", "{only:").replace("[out]", "[only]");
    let (mut graph, board, _registry) = started("room", &yaml).await;
    board.take_events();
    let changed = yaml.replace("only: {board: BOARD}", "only: {board: BOARD, version: 2}");
    apply(&mut graph, "room", &changed).await.unwrap();
    assert_eq!(board.take_events(), ["only made room", "only started"]);
    let failing = yaml.replace("only: {board: BOARD}", "only: {board: BOARD, fails: true}");
    apply(&mut graph, "room", &failing).await.unwrap_err();
    apply(&mut graph, "room", &changed).await.unwrap();
    board.send("in", text(LOGS, "again")).await.unwrap();
    settle().await;
    let events = board.take_events();
    assert_eq!(events[events.len() - 2..], ["only started", "only got again!"], "{events:?}");
    graph.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_scraper_is_asked_on_its_interval_and_a_hanging_answer_costs_one_turn() {
    let yaml = "
receivers: {asked: {board: BOARD, timeout: 2s}}
exporters: {out: {board: BOARD}}
service: {pipelines: {metrics: {receivers: [asked], exporters: [out]}}}
";
    let (graph, board, registry) = started("scraper", yaml).await;
    board.take_events();
    *board.answers.lock().unwrap() = vec![];
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(board.take_events(), ["out got answer"]);
    *board.answers.lock().unwrap() = vec!["hang"];
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(board.take_events(), ["out got answer"]);
    let labels = [("receiver", "asked"), ("scraper", "asked")];
    assert_eq!(registry.value("otelcol_scraper_errored_metric_points", &labels), Some(1.0));
    graph.shut_down().await;
}
