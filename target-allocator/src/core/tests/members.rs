//! Members that come and go.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_member_in_the_file_takes_over_what_it_has_fetched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\ns-1\n").unwrap();
    let world = World::start_in(folder, &with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    world.ready().await;
    let before = (world.list("a", "s-0").await, world.list("a", "s-1").await);

    world.write("members", "s-0\ns-1\ns-2\n");
    let view = world.until(|view| view.placement.roster.len() == 3).await;
    let n_moved = view.moves.total();
    assert!(n_moved > 0);
    assert_eq!((world.list("a", "s-0").await, world.list("a", "s-1").await), before, "nobody lets go yet");

    let taken = world.list("a", "s-2").await;
    assert_eq!(taken.len() as u64, n_moved);
    world.until(|view| view.jobs["a"].placed.holds.is_empty()).await;
    let kept = [world.list("a", "s-0").await, world.list("a", "s-1").await].concat();
    assert_eq!(kept.len() + taken.len(), 60);
    assert!(taken.iter().all(|address| !kept.contains(address)));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_the_file_is_answered_with_an_empty_list_and_its_targets_have_owners() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\ns-1\n").unwrap();
    let world = World::start_in(folder, &with_jobs("{file: members}", &[fixed_job("a", 0..20)]));
    world.ready().await;
    world.write("members", "s-0\n");
    world.until(|view| view.placement.roster.len() == 1).await;
    assert_eq!(world.list("a", "s-0").await.len(), 20);
    assert_eq!(world.list("a", "s-1").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn pollers_gather_and_then_share_and_a_silent_one_loses_its_targets() {
    let world = World::start(&with_jobs("{polling: {grace: 10s, settle: 5s}}", &[fixed_job("a", 0..40)]));
    world.until(|view| view.waits_for.is_empty()).await;
    assert_eq!(world.get("/scrape_configs").await.0, 200, "members appear only when somebody can ask");
    for collector in ["s-0", "s-1"] {
        assert_eq!(world.get(&format!("/jobs/a/targets?collector_id={collector}")).await.0, 503);
    }
    world.ready().await;
    let share = world.list("a", "s-0").await.len();
    assert!(share < 40 && world.list("a", "s-1").await.len() + share == 40);

    let mut n_listed = 0;
    for _ in 0..12 {
        tokio::time::sleep(SECOND).await;
        n_listed = world.list("a", "s-0").await.len();
    }
    assert_eq!(n_listed, 40, "s-1 was silent for longer than its grace");

    let back = world.list("a", "s-1").await;
    assert_eq!(back.len(), 40 - share, "the first answer after the return is complete");
}

#[tokio::test(start_paused = true)]
async fn pollers_that_have_gathered_keep_their_places_through_a_reload() {
    let world = World::start(&with_jobs("{polling: {grace: 60s, settle: 5s}}", &[fixed_job("a", 0..40)]));
    world.until(|view| view.waits_for.is_empty()).await;
    world.get("/jobs/a/targets?collector_id=s-0").await;
    world.ready().await;
    world.reload(&with_jobs("{polling: {grace: 90s, settle: 5s}}", &[fixed_job("a", 0..50)])).await.unwrap();
    let view = world.until(|view| view.jobs["a"].placed.items.len() == 50).await;
    assert!(view.why_no_lists().is_empty());
    world.reload(&with_jobs("{static: [s-0, x-1]}", &[fixed_job("a", 0..50)])).await.unwrap();
    let view = world.until(|view| view.placement.roster.len() == 2).await;
    assert!(!view.is_polling && view.why_no_lists().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_collectors_nothing_is_answered_and_the_selector_that_is_missing_is_named() {
    let text = format!("collector_selector: null\nconfig: {{scrape_configs: [{}]}}\n", fixed_job("a", 0..3));
    let world = World::start(&text);
    world.until(|view| view.waits_for.is_empty()).await;
    for path in ["/readyz", "/readyz?verbose", "/jobs/a/targets?collector_id=s-0"] {
        let (status, body) = world.get(path).await;
        assert!(status == 503 && body.contains("(collector_selector)"), "{path}: {status} {body}");
    }
    world.reload(&with_jobs("{static: [s-0]}", &[fixed_job("a", 0..3)])).await.unwrap();
    world.ready().await;
    assert_eq!(world.list("a", "s-0").await.len(), 3);
}
