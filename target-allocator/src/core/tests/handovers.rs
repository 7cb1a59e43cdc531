//! Handovers between our own scrapers, as their lists tell them.

use super::*;

#[tokio::test(start_paused = true)]
async fn our_own_scrapers_change_over_at_a_turn_that_both_lists_tell() {
    let world = World::start(&with_jobs("{polling: {grace: 30s, settle: 0s}}", &[fixed_job("a", 0..40)]));
    world.until(|view| view.waits_for.is_empty()).await;
    world.fetch("a", "s-0").await;
    world.ready().await;
    assert_eq!(world.fetch("a", "s-0").await, (40, vec![]));

    let (n_taken, told) = world.fetch("a", "s-1").await;
    let from = told[0].clone();
    let turn: u64 = from.strip_prefix("__meta_muster_from=").unwrap().parse().unwrap();
    assert_eq!(told, vec![from; n_taken]);
    let (n_listed, told) = world.fetch("a", "s-0").await;
    assert_eq!((n_listed, told), (40, vec![format!("__meta_muster_until={turn}"); n_taken]));
    let (_, owners) = world.get("/jobs/a/targets").await;
    assert!(owners.matches("__address__").count() == 40 && !owners.contains("muster"), "{owners}");
    let (_, told) = world.get("/debug/assignment.json").await;
    assert!(told.contains(&format!("\"being_handed_over\":{n_taken}")), "{told}");

    while world.millis() + 1_000 < turn + 20_000 {
        let told = [world.fetch("a", "s-0").await.1, world.fetch("a", "s-1").await.1];
        assert!(told.iter().all(|turns| turns.len() == n_taken), "{told:?}");
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(world.fetch("a", "s-0").await, (40 - n_taken, vec![]));
    assert_eq!(world.fetch("a", "s-1").await, (n_taken, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_put_off_until_the_new_owner_has_fetched_its_list() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let world = World::start_in(folder, &with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    world.ready().await;
    world.fetch("a", "s-0").await;
    world.write("members", "s-0\ns-1\n");
    world.until(|view| view.placement.roster.len() == 2).await;
    let mut n_moved = 0;
    for _ in 0..10 {
        let (n_listed, told) = world.fetch("a", "s-0").await;
        n_moved = told.len();
        assert!(n_listed == 60 && n_moved > 0);
        let turn: u64 = told[0].strip_prefix("__meta_muster_until=").unwrap().parse().unwrap();
        let now = world.millis();
        assert!(turn > now + 19_000, "the old owner asks again before {turn}; now {now}");
        tokio::time::sleep(10 * SECOND).await;
    }
    assert_eq!(world.fetch("a", "s-1").await.0, n_moved);
    world.fetch("a", "s-0").await;
    let view = world.until(|view| view.jobs["a"].placed.holds.is_empty()).await;
    assert_eq!(view.moves.total(), n_moved as u64);
    assert_eq!(world.fetch("a", "s-0").await, (60 - n_moved, vec![]));
}

#[tokio::test(start_paused = true)]
async fn members_that_join_wait_for_turns_that_stand() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let world = World::start_in(folder, &with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    world.ready().await;
    world.fetch("a", "s-0").await;
    world.write("members", "s-0\ns-1\n");
    world.until(|view| view.placement.roster.len() == 2).await;
    let told = (world.fetch("a", "s-0").await.1, world.fetch("a", "s-1").await.1);
    let turn: u64 = told.1[0].strip_prefix("__meta_muster_from=").unwrap().parse().unwrap();

    world.write("members", "s-0\ns-1\ns-2\n");
    tokio::time::sleep(Duration::from_millis(turn - world.millis() - 100)).await;
    assert_eq!((world.fetch("a", "s-0").await.1, world.fetch("a", "s-1").await.1), told);
    let view = world.until(|view| view.placement.roster.len() == 3).await;
    assert!((turn..turn + 1_000).contains(&world.millis()), "at once after the turn");
    assert!(view.jobs["a"].placed.holds.values().all(|hold| hold.turn.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_gone_is_not_kept_for_a_turn() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("members"), "s-0\n").unwrap();
    let world = World::start_in(folder, &with_jobs("{file: members}", &[fixed_job("a", 0..60)]));
    world.ready().await;
    world.fetch("a", "s-0").await;
    world.write("members", "s-0\ns-1\n");
    world.until(|view| view.placement.roster.len() == 2).await;
    world.fetch("a", "s-0").await;
    world.fetch("a", "s-1").await;
    let began = world.millis();
    world.write("members", "s-0\n");
    world.until(|view| view.placement.roster.len() == 1).await;
    assert!(world.millis() < began + 10_000);
    assert_eq!(world.fetch("a", "s-0").await, (60, vec![]));
}
