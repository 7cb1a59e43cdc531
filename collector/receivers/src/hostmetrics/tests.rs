use std::time::Duration;

use futures_util::FutureExt as _;
use model::Timestamp;
use pipeline::{Component, Life, ScrapeError, Scraper, Site, Stop};

use super::{Config, HostMetrics, Pace};

fn build(yaml: &str) -> Result<HostMetrics, String> {
    let parsed = config::parse(yaml, "host.yaml").unwrap();
    let (_, section) = parsed.root.entries().next().expect("the section has a name");
    let first = |problems: Vec<config::Problem>| problems[0].to_string();
    let config: Config = config::read_lenient(section, "hostmetrics").map_err(first)?.0;
    HostMetrics::build(config, &Site::for_test("hostmetrics", None)).map_err(first)
}

/// A host that has a load and nothing else.
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    std::fs::write(folder.path().join("proc/stat"), "btime 1767225600\n").unwrap();
    std::fs::write(folder.path().join("proc/loadavg"), "1 2 3 1/1 1\n").unwrap();
    folder
}

fn on(folder: &tempfile::TempDir, scrapers: &str) -> HostMetrics {
    build(&format!("hostmetrics: {{root_path: '{}', scrapers: {{{scrapers}}}}}", folder.path().display()))
        .unwrap()
}

#[test]
fn the_example_of_the_header_loads() {
    let source = include_str!("../hostmetrics.rs");
    let block = source.split("//! ```yaml\n").nth(1).unwrap().split("//! ```").next().unwrap();
    let yaml: String = block.lines().map(|line| format!("{}\n", line.trim_start_matches("//! "))).collect();
    build(&yaml).unwrap();
}

#[test]
fn a_receiver_without_scrapers_is_refused() {
    let expected = "error: scrapers: must specify at least one scraper when using hostmetrics receiver; \
                    write `cpu:` or another one below scrapers";
    assert_eq!(build("hostmetrics: {root_path: /}").unwrap_err(), expected);
    assert_eq!(build("hostmetrics: {scrapers: }").unwrap_err(), expected);
}

#[test]
fn problems_of_scrapers_are_told_with_their_keys() {
    let error = build("hostmetrics: {scrapers: {disk: {include: {devices: [a]}}}}").unwrap_err();
    assert!(
        error.starts_with("error: scrapers::disk::include::match_type: match_type is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_root_path_that_is_not_there_is_told_at_the_start_with_a_remedy() {
    let mut receiver = build("hostmetrics: {root_path: /no/such/host, scrapers: {load: }}").unwrap();
    let life = Life::for_test("hostmetrics", &Stop::new());
    let error = receiver.start(&life).await.unwrap_err();
    assert!(error.doing.contains("\"/no/such/host\"; mount the host's file system there"), "{}", error.doing);
}

#[tokio::test]
async fn what_can_be_read_is_sent_and_what_cannot_is_counted() {
    let folder = host();
    let batch = on(&folder, "load: ").scrape(Timestamp(1)).await.unwrap();
    assert_eq!(batch.n_items(), 3);
    let error = on(&folder, "load: , memory: , disk: ").scrape(Timestamp(1)).await.unwrap_err();
    assert_eq!((error.n_errors, error.partial.as_ref().unwrap().n_items()), (2, 3));
    assert!(
        error.doing.contains("proc/meminfo") && error.doing.contains("proc/diskstats"),
        "{}",
        error.doing
    );
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "that it is held is what is tested")]
async fn a_scrape_that_does_not_come_back_is_not_waited_for() {
    let folder = host();
    let mut receiver = on(&folder, "load: ");
    let held = std::sync::Arc::clone(&receiver.host);
    let busy = held.lock().unwrap();
    let ScrapeError { doing, partial, .. } = receiver.scrape(Timestamp(1)).await.unwrap_err();
    assert_eq!((doing.as_str(), partial.is_none()), ("the scrape before this one has not come back", true));
    drop(busy);
    receiver.scrape(Timestamp(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_quick_scrape_of_the_kernels_own_files_the_next_one_is_done_in_place() {
    let mut receiver = build("hostmetrics: {scrapers: {load: }}").unwrap();
    assert_eq!(receiver.pace, Pace::Slow, "nothing is known of the first one");
    receiver.scrape(Timestamp(1)).await.unwrap();
    assert_eq!(receiver.pace, Pace::Quick);
    let answer = receiver.scrape(Timestamp(2)).now_or_never().expect("nobody else is waited for");
    assert_eq!(answer.unwrap().n_items(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_to_wait_is_always_done_by_a_thread_of_its_own() {
    let folder = host();
    // Files of somebody else; the memory of processes.
    for mut receiver in [on(&folder, "load: "), build("hostmetrics: {scrapers: {process: }}").unwrap()] {
        receiver.scrape(Timestamp(1)).await.ok();
        assert_eq!(receiver.pace, Pace::Slow);
    }
}

#[test]
fn a_scrape_that_is_held_up_once_is_forgiven_and_one_that_waits_long_is_not() {
    let [quick, held_up, long] = [1, 10, 11].map(Duration::from_millis);
    for (from, took, to) in [
        (Pace::Slow, quick, Pace::Quick),
        (Pace::Slow, held_up, Pace::Slow),
        (Pace::Quick, quick, Pace::Quick),
        (Pace::Quick, held_up, Pace::HeldUp),
        (Pace::Quick, long, Pace::Slow),
        (Pace::HeldUp, quick, Pace::Quick),
        (Pace::HeldUp, held_up, Pace::Slow),
    ] {
        assert_eq!(from.after(took, true), to, "{from:?} {took:?}");
        assert_eq!(from.after(took, false), Pace::Slow);
    }
}
