//! What an allocator goes on with that was killed.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_killed_allocator_goes_on_with_its_handovers() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        format!("state_file: state/kept.json\n{}", with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let first = World::start_in(folder, &text);
    first.ready().await;
    first.fetch("a", "s-0").await;
    first.write("members", "s-0\ns-1\n");
    first.until(|view| view.placement.roster.len() == 2).await;
    let told = (first.fetch("a", "s-0").await, first.fetch("a", "s-1").await);
    assert!(told.0.0 == 60 && !told.1.1.is_empty(), "{told:?}");
    first.until(|view| view.jobs["a"].placed.awaited().is_empty()).await;
    let (began, World { folder, .. }) = (first.began, first);

    let mut second = World::start_in(folder, &text);
    second.began = began;
    let view = second.ready().await;
    assert_eq!(view.moves.total(), 0);
    assert_eq!(
        (second.fetch("a", "s-0").await, second.fetch("a", "s-1").await),
        told,
        "both turns are as they were"
    );
}

#[tokio::test(start_paused = true)]
async fn members_that_joined_while_the_allocator_was_away_take_over_at_a_turn() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        format!("state_file: state/kept.json\n{}", with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let first = World::start_in(folder, &text);
    first.ready().await;
    first.fetch("a", "s-0").await;
    let kept = || std::fs::read_to_string(first.folder.path().join("state/kept.json")).unwrap_or_default();
    while !kept().contains("\"client\":\"muster\"") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let World { folder, .. } = first;

    std::fs::write(folder.path().join("members"), "s-0\ns-1\n").unwrap();
    let second = World::start_in(folder, &text);
    let view = second.until(|view| view.placement.roster.len() == 2).await;
    assert!(view.moves.total() > 0);
    let told = second.fetch("a", "s-0").await;
    assert_eq!((told.0, told.1.len() as u64), (60, view.moves.total()), "it is known to be one of ours");
}

#[tokio::test(start_paused = true)]
async fn with_least_weighted_a_restart_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let text = format!(
        "allocation_strategy: least-weighted\nstate_file: kept.json\n{}",
        with_jobs("{file: members}", &[fixed_job("a", 0..60)])
    );
    let first = World::start_in(folder, &text);
    first.ready().await;
    first.write("members", "s-0\ns-1\n");
    first.until(|view| view.placement.roster.len() == 2).await;
    assert_eq!(first.list("a", "s-0").await.len(), 60, "nothing moves to a member that joins");
    let World { folder, .. } = first;
    let second = World::start_in(folder, &text);
    second.ready().await;
    assert_eq!((second.list("a", "s-0").await.len(), second.list("a", "s-1").await.len()), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_state_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kept.json"), "{").unwrap();
    let text = format!("state_file: kept.json\n{}", with_jobs("{static: [s-0]}", &[fixed_job("a", 0..3)]));
    let world = World::start_in(folder, &text);
    world.ready().await;
    assert_eq!(world.list("a", "s-0").await.len(), 3);
    world.until(|_| true).await;
    let kept = std::fs::read(world.folder.path().join("kept.json")).unwrap();
    assert!(crate::kept::Kept::parse(&kept).is_ok(), "and written anew");
}
