//! Changed targets, jobs and settings, and what they cost.

use super::*;

#[tokio::test(start_paused = true)]
async fn changed_meta_labels_are_served_without_a_move() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), "- {targets: ['h:1'], labels: {__meta_uid: old}}\n")
        .unwrap();
    let job = "{job_name: a, file_sd_configs: [{files: [t.yaml]}]}".to_owned();
    let world = World::start_in(folder, &with_jobs("{static: [s-0, s-1]}", &[job]));
    let view = world.ready().await;
    let owner = view.jobs["a"].placed.owners.clone();
    world.write("t.yaml", "- {targets: ['h:1'], labels: {__meta_uid: new}}\n");
    let is_new = |view: &View| view.jobs["a"].placed.items[0].value("__meta_uid") == "new";
    let view = world.until(is_new).await;
    assert_eq!(view.jobs["a"].placed.owners, owner);
    assert_eq!(view.moves.total(), 0);
    let (_, body) = world.get("/jobs/a/targets").await;
    assert!(body.contains("\"__meta_uid\":\"new\""), "{body}");
}

/// A file of target groups, each with a label and targets of its own.
fn groups(groups: &[Vec<String>]) -> String {
    let line = |(number, targets): (usize, &Vec<String>)| {
        format!("- {{targets: [{}], labels: {{group: 'g{number}'}}}}\n", targets.join(", "))
    };
    groups.iter().enumerate().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_changed_target_costs_itself_and_the_lists_it_is_in_and_moves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<Vec<String>> =
        (0..20).map(|group| (0..50).map(|target| format!("'h-{group}-{target}:1'")).collect()).collect();
    std::fs::write(folder.path().join("t.yaml"), groups(&all)).unwrap();
    let job = "{job_name: a, file_sd_configs: [{files: [t.yaml]}]}".to_owned();
    let members = ["s-0", "s-1", "s-2"];
    let world = World::start_in(folder, &with_jobs("{static: [s-0, s-1, s-2]}", &[job]));
    let owners = |view: &View| -> BTreeMap<String, usize> {
        let placed = &view.jobs["a"].placed;
        let owned = placed.items.iter().zip(&placed.owners);
        owned.map(|(item, owner)| (item.address().to_owned(), owner.unwrap())).collect()
    };
    let view = world.ready().await;
    let (mut before, mut fingers) = (owners(&view), validators(&view));
    assert_eq!((before.len(), world.counted("targets_relabelled").await), (1_000, 1_000));
    for member in members {
        assert_eq!(world.packed(member).await, (200, true));
    }
    assert_eq!(world.counted("lists_encoded").await, 3, "once for each member");

    for change in 0..10_usize {
        let (group, place, address) = (change * 7 % 20, change * 11 % 50, format!("new-{change}:1"));
        all[group][place] = format!("'{address}'");
        world.write("t.yaml", &groups(&all));
        let view = world.until(|view| owners(view).contains_key(&address)).await;
        let (after, now) = (owners(&view), validators(&view));
        let is_elsewhere =
            |(address, owner): (&String, &usize)| before.get(address).is_some_and(|old| old != owner);
        assert!(!after.iter().any(is_elsewhere), "no other target moves");
        let n_changed = now.iter().zip(&fingers).filter(|(now, before)| now != before).count();
        assert!((1..=2).contains(&n_changed), "who had the old target, and who has the new one: {n_changed}");
        let encoded = world.counted("lists_encoded").await;
        for member in members {
            world.packed(member).await;
        }
        assert_eq!(world.counted("lists_encoded").await - encoded, n_changed);
        assert_eq!(world.counted("targets_relabelled").await, 1_001 + change);
        assert_eq!(view.moves.total(), 0);
        (before, fingers) = (after, now);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_change_is_looked_at_at_once_and_a_thousand_in_a_second_in_a_hundred_rounds() {
    let world = World::start(&with_jobs("{static: [s-0]}", &[fixed_job("a", 0..3)]));
    world.ready().await;
    tokio::time::sleep(SECOND).await;
    let api = world.allocator.api();
    let mut views = api.views();
    views.mark_unchanged();
    let mut rounds = async |n_changes: u32, pause: Duration| {
        let began = Instant::now();
        let (mut n_rounds, mut first) = (0, None);
        let changing = async {
            for _ in 0..n_changes {
                api.changed.notify_one();
                tokio::time::sleep(pause).await;
            }
            tokio::time::sleep(SECOND).await;
        };
        tokio::pin!(changing);
        loop {
            tokio::select! {
                () = &mut changing => return (n_rounds, first),
                changed = views.changed() => {
                    changed.unwrap();
                    n_rounds += 1;
                    first.get_or_insert(began.elapsed());
                }
            }
        }
    };
    assert_eq!(rounds(1, SECOND).await, (1, Some(Duration::ZERO)));
    let (n_rounds, first) = rounds(1_000, Duration::from_millis(1)).await;
    assert!((90..=105).contains(&n_rounds) && first == Some(Duration::ZERO), "{n_rounds}, {first:?}");
}

/// The hashes behind the validators of all lists of the job.
fn validators(view: &View) -> Vec<Option<u64>> {
    (0..view.placement.roster.len()).map(|at| view.jobs["a"].list_hash(at)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_owners_and_answers_new_jobs_when_they_have_settled() {
    let members = "{static: [s-0, s-1]}";
    let world = World::start(&with_jobs(members, &[fixed_job("a", 0..20), fixed_job("gone", 0..2)]));
    let before = world.ready().await;
    let (_listener, url) = silent_server();
    let silent = format!("{{job_name: late, http_sd_configs: [{{url: '{url}'}}]}}");
    world.reload(&with_jobs(members, &[fixed_job("a", 0..20), silent])).await.unwrap();
    let after = world.until(|view| view.jobs.contains_key("late")).await;
    assert_eq!(after.jobs["a"].placed.owners, before.jobs["a"].placed.owners);
    assert_eq!(world.get("/readyz").await.0, 200, "one new job does not stop the others");
    assert_eq!(world.get("/jobs/late/targets?collector_id=s-0").await.0, 503);
    assert_eq!(world.list("gone", "s-0").await, [""; 0]);
    assert!(!world.get("/scrape_configs").await.1.contains("gone"));
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_new_discovery_keeps_its_targets_until_that_has_settled() {
    let members = "{static: [s-0]}";
    let world = World::start(&with_jobs(members, &[fixed_job("a", 0..5)]));
    world.ready().await;
    let (_listener, url) = silent_server();
    let silent = format!("{{job_name: a, http_sd_configs: [{{url: '{url}'}}]}}");
    world.reload(&with_jobs(members, &[silent])).await.unwrap();
    world.until(|view| view.configs.jobs["a"].redacted.contains("http_sd_configs")).await;
    assert_eq!(world.list("a", "s-0").await.len(), 5);
    world.reload(&with_jobs(members, &[fixed_job("a", 5..7)])).await.unwrap();
    world.until(|view| view.jobs["a"].placed.items.len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn another_strategy_moves_targets_for_that_reason() {
    let job = fixed_job("a", 0..40);
    let world = World::start(&with_jobs("{static: [s-0, s-1]}", std::slice::from_ref(&job)));
    world.ready().await;
    let text = with_jobs("{static: [s-0, s-1]}", &[job]);
    world.reload(&format!("allocation_strategy: per-node\n{text}")).await.unwrap();
    let view = world.until(|view| view.placement.epoch == 2).await;
    assert_eq!(view.moves.total(), 40);
    assert!(view.jobs["a"].placed.owners.iter().all(Option::is_none), "no target names a node");
}

#[tokio::test(start_paused = true)]
async fn answers_that_did_not_change_are_the_same_bytes_in_the_next_view() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), "- {targets: ['h:1']}\n").unwrap();
    let followed = "{job_name: b, file_sd_configs: [{files: [t.yaml]}]}".to_owned();
    let world =
        World::start_in(folder, &with_jobs("{static: [s-0, s-1]}", &[fixed_job("a", 0..9), followed]));
    let before = world.ready().await;
    world.write("t.yaml", "- {targets: ['h:1', 'h:2']}\n");
    let after = world.until(|view| view.jobs["b"].placed.items.len() == 2).await;
    assert!(Arc::ptr_eq(&before.jobs["a"], &after.jobs["a"]));
    assert!(after.placement.epoch > before.placement.epoch);
}
