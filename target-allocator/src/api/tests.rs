mod quarantine;

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::Request;
use model::Labels;
use telemetry::Registry;

use super::*;
use crate::assign::Strategy;
use crate::handover::Terms;
use crate::items::{Item, Items, arranged};
use crate::jobs::JobConfig;
use crate::marks::Mark;
use crate::moves::MoveLog;
use crate::placement::Placement;
use crate::roster::Roster;
use crate::view::{Configs, JobState, Parts as ViewParts};

pub(super) struct Fixture {
    pub(super) api: Api,
    views: watch::Sender<Arc<View>>,
    fetched: mpsc::Receiver<Fetched>,
    stop: watch::Sender<bool>,
}

fn items(addresses: &[&str]) -> Items {
    arranged(addresses.iter().map(|address| {
        let labels: Labels = [("__address__", *address), ("env", "x")].into_iter().collect();
        Arc::new(Item::alone(labels.hash64(), labels))
    }))
}

/// Two members; `node/plain` has two targets, `empty` none, `late` is not settled, `<b>` would break a page.
fn parts() -> ViewParts {
    let roster = Roster::of(["c-0", "c-1"]);
    let jobs: BTreeMap<Arc<str>, Items> = BTreeMap::from([
        ("node/plain".into(), items(&["h1:9100", "h2:9100", "h3:9100"])),
        ("empty".into(), items(&[])),
        ("<b>".into(), items(&["<i>:1"])),
    ]);
    let mut moves = MoveLog::default();
    let placement = Placement::default().next(
        Strategy::ConsistentHashing,
        &roster,
        &jobs,
        &Terms::default(),
        SystemTime::UNIX_EPOCH,
        &mut moves,
    );
    let mut states: BTreeMap<Arc<str>, JobState> =
        jobs.keys().map(|job| (Arc::clone(job), JobState::default())).collect();
    states.insert(
        "late".into(),
        JobState { waits_for: Some("job `late` has not answered".to_owned()), ..JobState::default() },
    );
    let configs = Configs::of(BTreeMap::from(["node/plain", "<b>", "empty"].map(|job| {
        let full = format!("{{\"basic_auth\":{{\"password\":\"hush\"}},\"job_name\":\"{job}\"}}");
        let redacted = full.replace("hush", "<secret>");
        (Arc::from(job), Arc::new(JobConfig { redacted, full: full.into() }))
    })));
    ViewParts {
        placement,
        jobs: states,
        waits_for: Vec::new(),
        members_wait_for: None,
        is_polling: false,
        shows_secrets: false,
        configs: Arc::new(configs),
        moves,
        monitored: Arc::default(),
        marks: Marks::default(),
    }
}

pub(super) fn fixture(change: impl FnOnce(&mut ViewParts)) -> Fixture {
    let mut parts = parts();
    change(&mut parts);
    let polls = Arc::new(Polls::default());
    polls.accept(parts.is_polling.then_some(Duration::from_secs(30)));
    polls.expect(&parts.placement.roster);
    let (views, view) = watch::channel(Arc::new(View::new(parts, None)));
    let (sender, fetched) = mpsc::channel(8);
    let metrics = Arc::new(Metrics::new(Registry::new()));
    metrics.publish(&view.borrow());
    let (stop, stopping) = watch::channel(false);
    let api = Api {
        view,
        polls,
        changed: Arc::new(Notify::new()),
        fetched: sender,
        metrics,
        errors: Arc::default(),
        kubernetes: None,
        questions: mpsc::channel(1).0,
        stopping,
    };
    Fixture { api, views, fetched, stop }
}

impl Fixture {
    async fn ask(&self, request: Request<()>, is_secure: bool) -> Response<Bytes> {
        self.api.answer(&request.into_parts().0, is_secure).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.ask(Request::get(path).body(()).unwrap(), false).await;
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    async fn page(&self, path: &str) -> Response<Bytes> {
        self.ask(Request::get(path).header("accept", "text/html,*/*").body(()).unwrap(), false).await
    }
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

#[tokio::test]
async fn scrape_configs_show_credentials_only_where_they_may() {
    let fixture = fixture(|_| {});
    let (status, body) = fixture.get("/scrape_configs").await;
    assert!(
        status == 200 && body.contains(r#""node/plain":{"basic_auth":{"password":"<secret>"}"#),
        "{body}"
    );
    assert!(!body.contains("hush") && !body.ends_with('\n'));

    let over_tls = fixture.ask(Request::get("/scrape_configs").body(()).unwrap(), true).await;
    assert!(text(&over_tls).contains("hush"));
    assert_eq!(over_tls.headers()["content-type"], "application/json");

    let page = fixture
        .ask(Request::get("/scrape_configs").header("accept", "text/html").body(()).unwrap(), true)
        .await;
    assert!(!text(&page).contains("hush"), "pages never show credentials");

    let open = self::fixture(|parts| parts.shows_secrets = true);
    assert!(open.get("/scrape_configs").await.1.contains("hush"));
}

#[tokio::test]
async fn jobs_lists_only_jobs_with_targets() {
    let (status, body) = fixture(|_| {}).get("/jobs").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        "{\"<b>\":{\"_link\":\"/jobs/%3Cb%3E/targets\"},\"node/plain\":{\"_link\":\"/jobs/node%2Fplain/targets\"}}\n"
    );
}

#[tokio::test]
async fn the_lists_of_collectors_are_a_partition_in_the_shape_of_http_sd() {
    let fixture = fixture(|_| {});
    let mut addresses = Vec::new();
    for collector in ["c-0", "c-1"] {
        let (status, body) =
            fixture.get(&format!("/jobs/node%2Fplain/targets?collector_id={collector}")).await;
        assert_eq!(status, 200);
        assert!(body.ends_with("]\n"), "{body}");
        let groups: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        for group in groups {
            let address = group["targets"][0].as_str().unwrap().to_owned();
            let expected =
                serde_json::json!({"targets": [address], "labels": {"__address__": address, "env": "x"}});
            assert_eq!(group, expected);
            addresses.push(address);
        }
    }
    addresses.sort_unstable();
    assert_eq!(addresses, ["h1:9100", "h2:9100", "h3:9100"]);
}

#[tokio::test]
async fn the_list_of_all_collectors_has_an_entry_for_each_even_for_an_unknown_job() {
    let fixture = fixture(|_| {});
    let (_, body) = fixture.get("/jobs/node%2Fplain/targets").await;
    let all: serde_json::Value = serde_json::from_str(&body).unwrap();
    let n_targets = |name: &str| all[name]["targets"].as_array().unwrap().len();
    assert_eq!(n_targets("c-0") + n_targets("c-1"), 3);
    assert_eq!(all["c-0"]["_link"], "/jobs/node%2Fplain/targets?collector_id=c-0");

    let (status, body) = fixture.get("/jobs/nope/targets").await;
    let expected = concat!(
        r#"{"c-0":{"_link":"/jobs/nope/targets?collector_id=c-0","targets":[]},"#,
        r#""c-1":{"_link":"/jobs/nope/targets?collector_id=c-1","targets":[]}}"#,
        "\n"
    );
    assert_eq!((status, body.as_str()), (200, expected));
}

#[tokio::test]
async fn unknown_jobs_and_collectors_get_an_empty_list_once_we_are_ready() {
    let fixture = fixture(|_| {});
    for path in [
        "/jobs/nope/targets?collector_id=c-0",
        "/jobs/empty/targets?collector_id=c-0",
        "/jobs/node%2Fplain/targets?collector_id=nobody",
        "/jobs/node%2Fplain/targets?collector_id=",
        "/jobs/node%2Fplain/targets?collector_id=nobody&collector_id=c-0",
    ] {
        assert_eq!(fixture.get(path).await, (200, "[]\n".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn names_of_jobs_are_form_decoded() {
    let fixture = fixture(|_| {});
    let both = |body: String| body.matches("__address__").count();
    let plain = both(fixture.get("/jobs/node%2Fplain/targets").await.1);
    assert_eq!(plain, 3);
    assert_eq!(both(fixture.get("/jobs/node%2fpl%61in/targets").await.1), plain);
    assert_eq!(both(fixture.get("/jobs/node/plain/targets").await.1), plain);
    assert_eq!(fixture.get("/jobs/node%2/targets").await.0, 400);
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_known() {
    let unknown = "discovery of job `late` has not answered yet".to_owned();
    let waiting = fixture(|parts| parts.waits_for = vec![unknown]);
    let expected = "[\"not ready\",\"discovery of job `late` has not answered yet\"]\n";
    for path in [
        "/readyz",
        "/scrape_configs",
        "/jobs",
        "/jobs/node%2Fplain/targets",
        "/jobs/node%2Fplain/targets?collector_id=c-0",
    ] {
        assert_eq!(waiting.get(path).await, (503, expected.to_owned()), "{path}");
    }
    assert_eq!(waiting.get("/livez").await, (200, String::new()));

    let without_members = fixture(|parts| parts.members_wait_for = Some("nobody is there".to_owned()));
    for path in ["/readyz", "/scrape_configs", "/jobs", "/jobs/x/targets", "/jobs/x/targets?collector_id=c-0"]
    {
        assert_eq!(without_members.get(path).await.0, 503, "{path}");
    }
}

#[tokio::test]
async fn a_job_that_has_not_settled_is_held_back_alone() {
    let fixture = fixture(|_| {});
    assert_eq!(fixture.get("/readyz").await, (200, String::new()));
    for path in ["/jobs/late/targets", "/jobs/late/targets?collector_id=c-0"] {
        assert_eq!(
            fixture.get(path).await,
            (503, "[\"not ready\",\"job `late` has not answered\"]\n".to_owned())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pollers_can_read_jobs_before_anybody_is_a_member() {
    let fixture = fixture(|parts| {
        parts.is_polling = true;
        parts.members_wait_for = Some("collectors are gathering".to_owned());
    });
    assert_eq!(fixture.get("/readyz").await.0, 200);
    assert_eq!(fixture.get("/scrape_configs").await.0, 200);
    let (status, body) = fixture.get("/jobs/node%2Fplain/targets?collector_id=s-0").await;
    assert_eq!((status, body.as_str()), (503, "[\"not ready\",\"collectors are gathering\"]\n"));
    assert!(fixture.api.polls.last(Instant::now()).contains_key("s-0"), "but it was heard");
    assert_eq!(fixture.get("/jobs/x/targets?collector_id=a%20b").await.0, 400);
    assert_eq!(fixture.api.polls.last(Instant::now()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_joins_waits_for_the_assignment_it_takes_part_in() {
    let fixture = fixture(|parts| parts.is_polling = true);
    let joined = fixture.get("/jobs/empty/targets?collector_id=c-2");
    let answered = async {
        fixture.api.changed.notified().await;
        let mut with_it = parts();
        with_it.is_polling = true;
        with_it.placement.roster = Roster::of(["c-0", "c-1", "c-2"]);
        fixture.views.send_replace(Arc::new(View::new(with_it, None)));
    };
    let (answer, ()) = tokio::join!(joined, answered);
    assert_eq!(answer, (200, "[]\n".to_owned()));
    let (status, body) = fixture.get("/jobs/empty/targets?collector_id=c-3").await;
    assert_eq!((status, body.as_str()), (503, "[\"not ready\",\"collector `c-3` is joining\"]\n"));
}

#[tokio::test]
async fn who_fetches_a_list_that_others_hold_is_reported_once_per_fetch() {
    let mut fixture = fixture(|parts| {
        let grown = Roster::of(["c-0", "c-1", "c-2"]);
        let jobs = parts
            .placement
            .jobs
            .iter()
            .map(|(job, placed)| (Arc::clone(job), Arc::clone(&placed.items)))
            .collect();
        parts.placement = parts.placement.next(
            Strategy::ConsistentHashing,
            &grown,
            &jobs,
            &Terms::default(),
            SystemTime::UNIX_EPOCH,
            &mut parts.moves,
        );
    });
    let view = fixture.api.view();
    let (job, state) =
        view.jobs.iter().find(|(_, state)| state.awaits(2)).expect("the third member got something");
    let path = format!("/jobs/{}/targets?collector_id=", crate::answers::query_escape(job));
    assert_eq!(fixture.get(&format!("{path}c-0")).await.0, 200);
    let head = Request::head(format!("{path}c-2")).body(()).unwrap();
    assert_eq!(fixture.ask(head, false).await.status(), 200);
    assert!(fixture.fetched.try_recv().is_err(), "neither an old owner nor a HEAD releases anything");
    fixture.get(&format!("{path}c-2")).await;
    let fetched = fixture.fetched.try_recv().unwrap();
    assert_eq!((&*fetched.member, fetched.epoch, &*fetched.job), ("c-2", 2, &**job));
    assert!(state.placed.listed(0).count() + state.placed.listed(1).count() > 0);
}

#[tokio::test]
async fn other_methods_and_paths_are_not_found() {
    let fixture = fixture(|_| {});
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response =
            fixture.ask(Request::builder().method(method).uri("/jobs").body(()).unwrap(), false).await;
        assert_eq!(
            (response.status().as_u16(), text(&response).as_str()),
            (404, "404 page not found"),
            "{method}"
        );
        assert_eq!(response.headers()["content-type"], "text/plain");
    }
    assert_eq!(fixture.get("/nope").await, (404, "404 page not found".to_owned()));
    let (status, body) = fixture.get("/debug/pprof/heap").await;
    assert!(status == 404 && body.contains("profiles"), "{body}");
}

#[tokio::test]
async fn a_slash_at_the_end_is_sent_to_the_page_without_it() {
    let fixture = fixture(|_| {});
    let response =
        fixture.ask(Request::get("/jobs/a%2Fb/targets/?collector_id=x").body(()).unwrap(), false).await;
    assert_eq!(response.status().as_u16(), 301);
    assert_eq!(response.headers()["location"], "/jobs/a%2Fb/targets?collector_id=x");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let fixture = fixture(|_| {});
    let get = fixture.ask(Request::get("/scrape_configs").body(()).unwrap(), false).await;
    let head = fixture.ask(Request::head("/scrape_configs").body(()).unwrap(), false).await;
    assert_eq!(head.headers()["etag"], get.headers()["etag"]);
    assert_eq!(head.headers()["content-length"], get.body().len().to_string());
    assert!(head.body().is_empty());
}

#[tokio::test]
async fn equal_answers_have_equal_validators_in_every_view() {
    let path = "/jobs/node%2Fplain/targets?collector_id=c-0";
    let (one, other) = (fixture(|_| {}), fixture(|_| {}));
    let first = one.ask(Request::get(path).body(()).unwrap(), false).await;
    let epoch = first.headers()["x-muster-epoch"].to_str().unwrap();
    assert_eq!((epoch.len(), epoch), (16, &*other.api.view().inputs), "equal on every replica");
    let again = Request::get(path).header("if-none-match", &first.headers()["etag"]).body(()).unwrap();
    let again = other.ask(again, false).await;
    assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
}

fn with_version(header: &str, value: &str) -> Request<()> {
    let path = "/jobs/node%2Fplain/targets?collector_id=c-0";
    Request::get(path).header(header, value).body(()).unwrap()
}

#[tokio::test]
async fn a_replica_that_knows_less_than_the_client_has_seen_answers_503() {
    let at = |known, changed| {
        fixture(|parts| {
            parts.marks = Marks::of([("pods", Mark { known, changed })]);
            if known < 100 {
                parts.placement.roster = Roster::of(["c-0", "c-2"]);
            }
        })
    };
    let (newer, older, later) = (at(100, 100), at(99, 99), at(150, 40));
    let first = newer.ask(with_version("x-none", ""), false).await;
    let seen = first.headers()["x-muster-seen"].to_str().unwrap();
    for (replica, status) in [(&newer, 200), (&older, 503), (&later, 200)] {
        let answer = replica.ask(with_version("x-muster-seen", seen), false).await;
        assert_eq!(answer.status().as_u16(), status);
    }
    let later = later.ask(with_version("x-muster-seen", seen), false).await;
    let seen = later.headers()["x-muster-seen"].to_str().unwrap();
    assert!(seen.ends_with("=100"), "what was seen once is not forgotten: {seen}");
    for path in ["/scrape_configs", "/jobs", "/jobs/x/targets"] {
        let request = Request::get(path).header("x-muster-seen", seen).body(()).unwrap();
        assert_eq!(older.ask(request, false).await.status(), 503, "{path}");
    }
    for nonsense in ["", "x;y", "e;00000000=9"] {
        assert_eq!(older.ask(with_version("x-muster-seen", nonsense), false).await.status(), 200);
    }
}

#[tokio::test]
async fn a_replica_with_the_same_inputs_answers_whatever_its_marks() {
    let at = |known| fixture(|parts| parts.marks = Marks::of([("pods", Mark { known, changed: known })]));
    let first = at(100).ask(with_version("x-none", ""), false).await;
    let seen = first.headers()["x-muster-seen"].to_str().unwrap();
    assert_eq!(at(99).ask(with_version("x-muster-seen", seen), false).await.status(), 200);
}

fn change_request(etag: Option<&str>) -> Request<()> {
    let request = Request::get("/changes?collector_id=c-0").header("user-agent", "muster/0.1.0");
    let request = match etag {
        Some(etag) => request.header("if-none-match", etag),
        None => request,
    };
    request.body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_for_changes_is_held_until_one_comes() {
    let fixture = fixture(|_| {});
    let first = fixture.ask(change_request(None), false).await;
    let told: serde_json::Value = serde_json::from_slice(first.body()).unwrap();
    assert_eq!(told["scrape_configs"], fixture.api.view().configs.redacted.etag());
    for job in ["node/plain", "<b>", "empty"] {
        let list = fixture.api.view().jobs[job].list_hash(0).map(etag);
        assert_eq!(told["jobs"][job].as_str(), list.as_deref(), "{told}");
    }
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();

    let began = Instant::now();
    let nothing = fixture.ask(change_request(Some(&etag)), false).await;
    assert_eq!((nothing.status().as_u16(), nothing.headers()["etag"].to_str().unwrap()), (304, &*etag));
    assert_eq!(began.elapsed(), crate::members::HOLD);

    let held = fixture.ask(change_request(Some(&etag)), false);
    let changing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let polls = fixture.api.polls.last(Instant::now());
        assert_eq!(polls["c-0"].every, Some(Duration::from_secs(1)), "it hears of changes at once");
        let mut alone = parts();
        alone.placement.roster = Roster::of(["c-0"]);
        for placed in alone.placement.jobs.values_mut() {
            Arc::make_mut(placed).owners.fill(Some(0));
        }
        fixture.views.send_replace(Arc::new(View::new(alone, None)));
    };
    let began = Instant::now();
    let (answer, ()) = tokio::join!(held, changing);
    assert_eq!((answer.status().as_u16(), began.elapsed()), (200, Duration::from_secs(3)));
    assert!(text(&answer).contains("node/plain") && text(&answer).contains("<b>"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(fixture.api.polls.last(Instant::now())["c-0"].every, None, "it has not asked again");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_when_the_allocator_stops_and_nobody_is_told_what_is_not_known() {
    let fixture = fixture(|parts| parts.waits_for = vec!["discovery".to_owned()]);
    let began = Instant::now();
    let held = fixture.ask(change_request(None), false);
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fixture.stop.send_replace(true);
    };
    let (answer, ()) = tokio::join!(held, stopping);
    assert_eq!((answer.status().as_u16(), began.elapsed()), (503, Duration::from_secs(1)));
    assert_eq!(fixture.get("/changes").await.0, 400);
}

#[tokio::test]
async fn one_of_ours_is_told_the_credentials_of_the_jobs_whose_targets_it_has() {
    let fixture = fixture(|parts| {
        for (job, placed) in &mut parts.placement.jobs {
            let owner = if **job == *"<b>" { 1 } else { 0 };
            Arc::make_mut(placed).owners.fill(Some(owner));
        }
    });
    let ask = |query: &str, agent: &str| {
        let request = Request::get(format!("/scrape_configs{query}")).header("user-agent", agent);
        fixture.ask(request.body(()).unwrap(), true)
    };
    let own = text(&ask("?collector_id=c-0", "muster/0.1.0").await);
    let own: serde_json::Value = serde_json::from_str(&own).unwrap();
    for (job, password) in [("<b>", "<secret>"), ("empty", "<secret>"), ("node/plain", "hush")] {
        assert_eq!(own[job]["basic_auth"]["password"], password, "{job}");
    }
    assert_eq!(text(&ask("?collector_id=c-1", "muster/0.1.0").await).matches("hush").count(), 1);
    for (query, agent) in
        [("", "muster/0.1.0"), ("?collector_id=c-0", "otelcol"), ("?collector_id=x", "muster/1")]
    {
        assert_eq!(text(&ask(query, agent).await), text(&ask("", "otelcol").await), "{query} {agent}");
    }
}

#[tokio::test]
async fn pages_are_escaped_and_load_nothing_from_elsewhere() {
    let fixture = fixture(|_| {});
    for path in [
        "/",
        "/jobs",
        "/scrape_configs",
        "/debug/targets",
        "/debug/jobs",
        "/debug/scrape_configs",
        "/debug/members",
        "/debug/moves",
        "/debug/quarantine",
    ] {
        let page = fixture.page(path).await;
        let body = text(&page);
        assert_eq!(page.status().as_u16(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(
            page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
        );
        assert!(!body.contains("<b><") && !body.contains("<i>"), "{path}: {body}");
        assert!(!body.contains("style=") && !body.contains("<script") && !body.contains("http://"), "{path}");
    }
    assert_eq!(fixture.page("/debug/style.css").await.headers()["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn debug_pages_answer_as_upstream_does() {
    let fixture = fixture(|_| {});
    let item = items(&["h1:9100"])[0].hash;
    for (path, status, holds) in [
        ("/debug/collector".to_owned(), 400, "collector_id"),
        ("/debug/collector?collector_id=nobody".to_owned(), 404, "nobody"),
        ("/debug/collector?collector_id=c-0&collector_id=c-1".to_owned(), 400, "collector_id"),
        ("/debug/collector?collector_id=c-1".to_owned(), 200, "Collector: c-1"),
        ("/debug/job".to_owned(), 400, "job_id"),
        ("/debug/job?job_id=node%2Fplain".to_owned(), 200, "h1:9100"),
        ("/debug/job?job_id=nope".to_owned(), 200, "Job: nope"),
        ("/debug/target".to_owned(), 400, "target_hash"),
        ("/debug/target?target_hash=x".to_owned(), 400, "number"),
        ("/debug/target?target_hash=1".to_owned(), 404, "hash 1"),
        (format!("/debug/target?target_hash={item}"), 200, "Endpoint Slice"),
    ] {
        let page = fixture.page(&path).await;
        assert_eq!(page.status().as_u16(), status, "{path}");
        assert!(text(&page).contains(holds), "{path}: {}", text(&page));
    }
}

#[tokio::test]
async fn the_assignment_is_told_as_json() {
    let fixture = fixture(|_| {});
    fixture.get("/jobs/empty/targets?collector_id=c-1").await;
    let (_, body) = fixture.get("/debug/assignment.json").await;
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["epoch"], &told["ready"]), (&1.into(), &true.into()));
    assert_eq!(told["strategy"], "consistent-hashing");
    assert_eq!(
        (&told["members"][0]["name"], &told["members"][0]["state"]),
        (&"c-0".into(), &"unseen".into())
    );
    assert_eq!(told["members"][1]["state"], "active");
    let job = told["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "node/plain").unwrap();
    assert_eq!(job["targets"], 3);
    assert_eq!(job["owners"]["c-0"].as_u64().unwrap() + job["owners"]["c-1"].as_u64().unwrap(), 3);
    assert_eq!(told["moves"]["total"], 0);
    assert_eq!(told["changes"][0]["joined"], serde_json::json!(["c-0", "c-1"]));
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_ask_for() {
    let fixture = fixture(|_| {});
    fixture.get("/jobs/node%2Fplain/targets?collector_id=c-0").await;
    let (_, text) = fixture.get("/metrics").await;
    for line in [
        "opentelemetry_allocator_targets{job_name=\"node/plain\"} 3",
        "opentelemetry_allocator_targets_remaining 4",
        "opentelemetry_allocator_targets_unassigned 0",
        "opentelemetry_allocator_collectors_discovered 2",
        "opentelemetry_allocator_collectors_allocatable{strategy=\"consistent-hashing\"} 2",
        "opentelemetry_allocator_http_duration_seconds_count{path=\"/jobs/:job_id/targets\"} 1",
        "opentelemetry_allocator_events_total{source=\"EventSourcePrometheusCR\"} 0",
        "muster_allocator_targets_moved_total{reason=\"member_left\"} 0",
        "muster_allocator_ready 1",
        "muster_allocator_epoch 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.contains("opentelemetry_allocator_targets_per_collector{collector_name=\"c-0\",strategy="));
}
