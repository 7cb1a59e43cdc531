//! What a scraper is told beside its jobs: the first scrape, the last one, and where failures are written down.

use super::*;

/// Seconds after the start at which scrapes arrived.
fn arrivals(world: &World) -> Vec<f64> {
    world.scrapes.lock().unwrap().iter().map(|(at, _)| at.as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn initial_scrape_offset_delays_the_first_scrape_and_keeps_the_ticks() {
    let usual = World::with(TEN, &["a:1"]).await;
    usual.until(60.0).await;
    let offset = Duration::from_secs(25);
    let world = World::configured(Options { initial_offset: offset, ..Options::default() });
    world.discover(&["a:1"]);
    world.reload(&[TEN]).await;
    let start = world.origin.duration_since(usual.origin).as_secs_f64();
    world.until(60.0).await;
    let first = arrivals(&world)[0];
    assert!((25.0..35.0).contains(&first), "{first}");
    let phase = |at: f64, start: f64| ((at + start) % 10.0 * 1000.0).round();
    // The wall clock of each world begins at the same moment.
    assert_eq!(phase(first, 0.0), phase(arrivals(&usual)[0], 0.0), "{start}");
    // A target that is found later waits as long.
    world.discover(&["a:1", "b:1"]);
    world.until(84.9).await;
    assert_eq!(world.ups("b:1"), "");
    world.until(95.1).await;
    assert_ne!(world.ups("b:1"), "");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_handed_over_does_not_wait_for_the_initial_offset() {
    let offset = Duration::from_secs(3600);
    let world = World::configured(Options { initial_offset: offset, ..Options::default() });
    let from = (20_000_i64 * 86_400_000).to_string();
    let target = labels(&[("__address__", "a:1"), ("__meta_muster_from", &*from)]);
    let group = Group { source: "g".into(), labels: Labels::new(), targets: vec![target] };
    world.groups.send_replace(Snapshot {
        groups: [Arc::new(group)].into(),
        settled: true,
        ..Snapshot::default()
    });
    world.reload(&[TEN]).await;
    world.until(10.1).await;
    assert_ne!(world.ups("a:1"), "");
}

#[tokio::test(start_paused = true)]
async fn scrape_on_shutdown_scrapes_every_target_once_more() {
    for (scrape_on_shutdown, n_more) in [(false, 0), (true, 2)] {
        let mut world = World::configured(Options { scrape_on_shutdown, ..Options::default() });
        world.discover(&["a:1", "b:1"]);
        world.reload(&[TEN]).await;
        // Between two ticks, and one target is slow.
        world.until(12.3).await;
        world.answer("b:1", "2s", Some("b 1\n"));
        let before = world.n_scrapes();
        world.scraper.take().unwrap().shutdown(Duration::from_secs(4)).await;
        assert_eq!(world.n_scrapes() - before, n_more);
        let has_stale = world.scrapes.lock().unwrap().iter().any(|(_, scrape)| {
            scrape.points.iter().any(|point| point.bits == STALE_BITS)
                && scrape.points.iter().all(|point| point.bits == STALE_BITS)
        });
        assert!(!has_stale, "no series ends");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_scrape_is_waited_for_no_longer_than_allowed() {
    let mut world = World::configured(Options { scrape_on_shutdown: true, ..Options::default() });
    world.discover(&["a:1"]);
    world.reload(&[TEN]).await;
    world.until(10.1).await;
    world.answer("a:1", "7s", Some("a 1\n"));
    let before = Instant::now();
    world.scraper.take().unwrap().shutdown(Duration::from_secs(4)).await;
    assert_eq!(before.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn failed_scrapes_are_written_to_the_failure_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failures.log");
    let log = |job: &str, file: &str| format!("{TEN}\njob_name: {job}\nscrape_failure_log_file: '{file}'");
    let mut world = World::new();
    world.discover(&["a:1", "b:1"]);
    world.answer("a:1", "0s", None);
    let name = file.display().to_string();
    let unwritable = folder.path().join("none/x").display().to_string();
    world
        .reload(&[&log("one", &name), &log("two", &name), &log("three", &unwritable), "job_name: four"])
        .await;
    world.until(15.0).await;
    world.scraper.take().unwrap().shutdown(Duration::from_secs(3)).await;
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut pools: Vec<&str> = lines.iter().map(|line| line["scrape_pool"].as_str().unwrap()).collect();
    pools.sort_unstable();
    pools.dedup();
    assert_eq!(pools, ["one", "two"], "jobs may share a file");
    let line = &lines[0];
    assert_eq!(line["target"], "http://a:1/metrics");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["msg"], "cannot fetch the metrics: the target answered with status 500");
    assert!(line["time"].as_str().unwrap().starts_with("2024-10-04T00:00:"), "{line}");
    assert!(lines.iter().all(|line| line["target"] == "http://a:1/metrics"), "only failures");
}

#[tokio::test(start_paused = true)]
async fn keep_dropped_targets_bounds_how_many_are_shown_and_not_how_many_there_are() {
    let all =
        format!("{TEN}\nrelabel_configs: [{{source_labels: [__address__], regex: 'drop.*', action: drop}}]");
    let some = format!("{all}\nkeep_dropped_targets: 2");
    for (config, n_shown) in [(&all, 3), (&some, 2)] {
        let world = World::with(config, &["a:1", "drop:1", "drop:2", "drop:3"]).await;
        world.until(1.0).await;
        let status = world.status();
        assert_eq!((status.dropped.len(), status.n_dropped, status.active.len()), (n_shown, 3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_target_is_scraped_early_and_at_its_places_from_then_on() {
    let usual = World::with(TEN, &["a:1"]).await;
    usual.until(30.0).await;
    let phase = usual.phase("a:1");
    assert!(phase > 1.0, "{phase} is too soon to tell a difference");
    let world = World::configured(Options { early_first_scrapes: 1, ..Options::default() });
    world.discover(&["a:1"]);
    world.reload(&[TEN]).await;
    world.until(30.0).await;
    let places: Vec<String> = (0..3).map(|n| format!("{:.1}s 1", phase + f64::from(n) * 10.0)).collect();
    let early = format!("0.0s 1, {}", places.join(", "));
    assert!(early.starts_with(&world.ups("a:1")), "{} {early}", world.ups("a:1"));
    assert!(world.n_scrapes() >= 3);
}

#[tokio::test(start_paused = true)]
async fn more_new_targets_a_second_than_allowed_wait_for_their_places() {
    let names: Vec<String> = (0..20).map(|n| format!("t{n}:1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::configured(Options { early_first_scrapes: 3, ..Options::default() });
    world.discover(&names);
    world.reload(&["scrape_interval: 1h"]).await;
    world.until(0.2).await;
    assert_eq!(world.n_scrapes(), 3);
    // A second later as many may go ahead, but not those that wait already.
    world.until(2.0).await;
    let more: Vec<&str> = names.iter().copied().chain(["x:1", "y:1"]).collect();
    world.discover(&more);
    world.until(2.2).await;
    assert_ne!((world.ups("x:1"), world.ups("y:1")), (String::new(), String::new()));
    assert_eq!(world.n_scrapes(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_handed_over_is_not_scraped_early() {
    let world = World::configured(Options { early_first_scrapes: 10, ..Options::default() });
    let from = (20_000_i64 * 86_400_000).to_string();
    let targets = ["__meta_muster_from", "__meta_muster_until"]
        .map(|label| labels(&[("__address__", "a:1"), (label, &*from), ("side", label)]));
    let group = Group { source: "g".into(), labels: Labels::new(), targets: targets.to_vec() };
    world.groups.send_replace(Snapshot {
        groups: [Arc::new(group)].into(),
        settled: true,
        ..Snapshot::default()
    });
    world.reload(&["scrape_interval: 1h"]).await;
    world.until(1.0).await;
    assert_eq!(world.n_scrapes(), 0);
}
