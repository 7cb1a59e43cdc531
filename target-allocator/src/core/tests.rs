//! The loop on a driven clock, without sockets.

mod changes;
mod falls;
mod handovers;
mod kills;
mod members;
mod restarts;

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
