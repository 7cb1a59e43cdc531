//! Sudden falls of the number of targets.

use super::*;

/// A file job whose list has this many targets.
fn listed(range: std::ops::Range<usize>) -> String {
    format!("- {{targets: [{}]}}\n", addresses(range))
}

#[tokio::test(start_paused = true)]
async fn a_fall_right_after_discovery_came_back_is_held_and_then_believed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), listed(0..40)).unwrap();
    let job = "{job_name: a, file_sd_configs: [{files: [t.yaml]}]}".to_owned();
    let world = World::start_in(folder, &with_jobs("{static: [s-0]}", &[job]));
    world.ready().await;

    world.write("t.yaml", "- nonsense");
    world.until(|view| !view.jobs["a"].state.problems.is_empty()).await;
    for _ in 0..60 {
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(world.list("a", "s-0").await.len(), 40, "ten minutes of trouble change nothing");
    }
    let began = Instant::now();
    world.write("t.yaml", &listed(0..3));
    let held = world.until(|view| view.jobs["a"].state.problems[0].contains("sudden_fall_hold")).await;
    assert_eq!(held.jobs["a"].placed.items.len(), 40);
    assert!(held.jobs["a"].state.problems[0].contains("only 3 of 40 targets"));
    let view = world.until(|view| view.jobs["a"].placed.items.len() == 3).await;
    assert!(began.elapsed() >= 30 * SECOND && began.elapsed() < 40 * SECOND, "{:?}", began.elapsed());
    assert_eq!(view.jobs["a"].state, crate::view::JobState::default());

    let began = Instant::now();
    world.write("t.yaml", &listed(0..1));
    world.until(|view| view.jobs["a"].placed.items.len() == 1).await;
    assert!(began.elapsed() < 10 * SECOND, "discovery was well: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fall_that_recovers_while_it_is_held_was_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), listed(0..40)).unwrap();
    let job = "{job_name: a, file_sd_configs: [{files: [t.yaml]}]}".to_owned();
    let world = World::start_in(folder, &with_jobs("{static: [s-0]}", &[job]));
    world.ready().await;
    for text in ["- nonsense".to_owned(), listed(0..3)] {
        world.write("t.yaml", &text);
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(world.list("a", "s-0").await.len(), 40);
    }
    world.write("t.yaml", &listed(1..41));
    let view = world.until(|view| view.jobs["a"].placed.items[0].address() != "h0:1").await;
    assert_eq!((view.jobs["a"].placed.items.len(), view.jobs["a"].state.problems.len()), (40, 0));
}
