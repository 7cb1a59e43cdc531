//! The loop on a driven clock, without sockets.

mod kills;

use std::ffi::OsString;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Request;
use telemetry::Registry;

use super::*;
use crate::Allocator;
use crate::flags::Flags;
use crate::handover::{FROM, UNTIL};
use crate::settings::{Input, load};

const SECOND: Duration = Duration::from_secs(1);

struct Nothing;

impl config::World for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

/// A wall clock that goes with tokio's.
struct Driven {
    began: Instant,
}

impl Clock for Driven {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.began.elapsed()
    }
}

/// An allocator without sockets, and the folder of its configuration.
struct World {
    allocator: Allocator,
    folder: tempfile::TempDir,
    began: Instant,
}

fn settings(text: &str, base_dir: &Path) -> Settings {
    let flags = Flags::parse_args([OsString::from("muster-allocator")]).unwrap();
    let input = Input { text, source: "ta.yaml", base_dir, flags: &flags, world: &Nothing };
    load(&input).unwrap().settings
}

impl World {
    fn start(text: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), text)
    }

    fn start_in(folder: tempfile::TempDir, text: &str) -> Self {
        Self::start_since(folder, text, Instant::now())
    }

    /// With a clock that began earlier.
    fn start_since(folder: tempfile::TempDir, text: &str, began: Instant) -> Self {
        let clock = Arc::new(Driven { began });
        let settings = settings(text, folder.path());
        let allocator = Allocator::detached_with(settings, Registry::new(), clock, None).unwrap();
        Self { allocator, folder, began }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::get(path).body(()).unwrap().into_parts().0;
        let response = self.allocator.api().answer(&request, false).await;
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    /// What one of our scrapers gets, which asks every ten seconds: its targets, and the turns among them.
    async fn fetch(&self, job: &str, collector: &str) -> (usize, Vec<String>) {
        let request = Request::get(format!("/jobs/{job}/targets?collector_id={collector}"))
            .header("user-agent", "muster/0.1.0")
            .header("x-prometheus-refresh-interval-seconds", "10");
        let request = request.body(()).unwrap().into_parts().0;
        let response = self.allocator.api().answer(&request, false).await;
        let groups: Vec<serde_json::Value> = serde_json::from_slice(response.body()).unwrap();
        let turn = |group: &serde_json::Value| {
            let is_turn = |name: &str| name == FROM || name == UNTIL;
            let turns = group["labels"].as_object()?.iter().filter(|(name, _)| is_turn(name));
            turns.map(|(name, at)| format!("{name}={}", at.as_str().unwrap())).reduce(|all, one| all + &one)
        };
        (groups.len(), groups.iter().filter_map(turn).collect())
    }

    /// What a collector gets that takes gzip: the status, and whether it was compressed.
    async fn packed(&self, collector: &str) -> (u16, bool) {
        let request = Request::get(format!("/jobs/a/targets?collector_id={collector}"));
        let request = request.header("accept-encoding", "gzip").body(()).unwrap().into_parts().0;
        let response = self.allocator.api().answer(&request, false).await;
        (response.status().as_u16(), response.headers().contains_key("content-encoding"))
    }

    /// A counter of ours.
    async fn counted(&self, what: &str) -> usize {
        let name = format!("muster_allocator_{what}_total ");
        let metrics = self.get("/metrics").await.1;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&*name)).unwrap_or_default();
        value.parse().unwrap()
    }

    /// Addresses in the list of a collector.
    async fn list(&self, job: &str, collector: &str) -> Vec<String> {
        let (status, body) = self.get(&format!("/jobs/{job}/targets?collector_id={collector}")).await;
        assert_eq!(status, 200, "{body}");
        let groups: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        groups.iter().map(|group| group["targets"][0].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for a view of which something is true.
    async fn until(&self, holds: impl Fn(&View) -> bool) -> Arc<View> {
        let mut views = self.allocator.api().views();
        tokio::time::timeout(600 * SECOND, views.wait_for(|view| holds(view))).await.unwrap().unwrap().clone()
    }

    /// The time on the allocator's clock.
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    async fn ready(&self) -> Arc<View> {
        self.until(|view| view.why_no_lists().is_empty()).await
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn reload(&self, text: &str) -> Result<(), Vec<Problem>> {
        self.allocator.reload(settings(text, self.folder.path())).await
    }
}

fn addresses(range: std::ops::Range<usize>) -> String {
    range.map(|index| format!("'h{index}:1'")).collect::<Vec<_>>().join(", ")
}

fn fixed_job(name: &str, range: std::ops::Range<usize>) -> String {
    format!("{{job_name: {name}, static_configs: [{{targets: [{}]}}]}}", addresses(range))
}

fn with_jobs(members: &str, jobs: &[String]) -> String {
    format!("collectors: {members}\nconfig: {{scrape_configs: [{}]}}\n", jobs.join(", "))
}

/// A server that takes connections and never answers: discovery over HTTP stays silent.
fn silent_server() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/targets", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test(start_paused = true)]
async fn a_static_configuration_is_ready_at_once_and_every_target_has_one_owner() {
    let world = World::start(&with_jobs(
        "{static: [s-0, s-1, s-2]}",
        &[fixed_job("a", 0..30), fixed_job("b", 0..30)],
    ));
    let view = world.ready().await;
    assert_eq!(view.placement.epoch, 1);
    for job in ["a", "b"] {
        let mut all = Vec::new();
        for collector in ["s-0", "s-1", "s-2"] {
            all.extend(world.list(job, collector).await);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_discovery_stays_silent_holds_answers_back_until_patience_ends() {
    let (_listener, url) = silent_server();
    let silent = format!("{{job_name: late, http_sd_configs: [{{url: '{url}'}}]}}");
    let world = World::start(&with_jobs("{static: [s-0]}", &[fixed_job("a", 0..3), silent]));
    let began = Instant::now();
    world.until(|view| !view.jobs.is_empty()).await;
    for path in ["/readyz", "/scrape_configs", "/jobs", "/jobs/a/targets?collector_id=s-0"] {
        let (status, body) = world.get(path).await;
        assert!(status == 503 && body.contains("discovery of job `late`"), "{path}: {body}");
    }
    world.ready().await;
    assert!(began.elapsed() >= PATIENCE);
    assert_eq!(world.list("a", "s-0").await.len(), 3);
    assert_eq!(world.get("/jobs/late/targets?collector_id=s-0").await.0, 503, "never an empty list");
    assert!(world.get("/scrape_configs").await.1.contains("\"late\""));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_discovered_here_is_held_back_alone() {
    let foreign = "{job_name: c, consul_sd_configs: [{server: 'c:8500'}]}".to_owned();
    let world = World::start(&with_jobs("{static: [s-0]}", &[fixed_job("a", 0..3), foreign]));
    world.ready().await;
    assert_eq!(world.list("a", "s-0").await.len(), 3);
    let (status, body) = world.get("/jobs/c/targets?collector_id=s-0").await;
    assert!(status == 503 && body.contains("consul_sd_configs"), "{body}");
}

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

#[tokio::test(start_paused = true)]
async fn what_is_not_scraped_is_explained_by_the_rule_that_drops_it() {
    let job = "{job_name: a, static_configs: [{targets: ['h:1'], labels: {env: dev}}], relabel_configs: \
        [{source_labels: [env], target_label: stage}, {source_labels: [stage], regex: prod, action: keep}]}"
        .to_owned();
    let world = World::start(&with_jobs("{static: [s-0]}", &[job]));
    world.ready().await;
    let (status, body) = world.get("/debug/explain?target=h:1").await;
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    let answer = told["answer"].as_str().unwrap();
    assert!(answer.starts_with("target h:1 is found by job a, and rule 1 drops it: {"), "{answer}");
    let target = &told["targets"][0];
    assert_eq!((&target["outcome"], &target["dropped_by"]), (&"dropped".into(), &1.into()));
    let change = serde_json::json!([{"label": "stage", "before": null, "after": "dev"}]);
    assert_eq!(target["steps"][0]["changes"], change);
    let printed = crate::explain::text::print(&told);
    assert!(
        printed.contains("  rule 1 drops it: {") && printed.contains("it looked at \"dev\""),
        "{printed}"
    );

    for (path, status, part) in [
        ("/debug/explain?target=nowhere:1", 200, "target nowhere:1 is not found by any job"),
        ("/debug/explain?pod=ns/web", 200, "no cluster is asked"),
        ("/debug/explain?pod=web", 400, "`web` is not NAMESPACE/NAME"),
        ("/debug/explain", 400, "is not NAMESPACE/NAME"),
    ] {
        let (told, body) = world.get(path).await;
        assert!(told == status && body.contains(part), "{path}: {told} {body}");
    }
}
