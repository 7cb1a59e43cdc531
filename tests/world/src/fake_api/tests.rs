use super::*;
use crate::control_plane::objects;
use crate::http;

fn service(name: &str) -> Value {
    objects::service("ns", name)
}

async fn get(api: &FakeApi, path: &str) -> http::Answer {
    http::get(&format!("{}{path}", api.url())).await.unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

/// Opens a watch, does something to the API, and gives what the watch told until it ended.
async fn watched(api: &FakeApi, query: &str, act: impl FnOnce()) -> Result<String> {
    let url = format!("{}/api/v1/services?watch=1&{query}", api.url());
    let answer = tokio::spawn(async move { http::get(&url).await });
    while api.n_watches("services") == 0 {
        tokio::task::yield_now().await;
    }
    act();
    answer.await.unwrap().map(|answer| answer.text())
}

/// Type, name and version of each line.
fn events(text: &str) -> Vec<String> {
    let event = |line| {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return format!("no JSON: {line}") };
        let metadata = &event["object"]["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", word(&event["type"]), word(&metadata["name"]), word(&metadata["resourceVersion"]))
    };
    text.lines().map(event).collect()
}

#[tokio::test]
async fn pages_of_a_list_are_of_one_version_whatever_happens_in_between() {
    let api = FakeApi::start().await.unwrap();
    ["a", "b", "c"].iter().for_each(|name| api.put(&service(name)));
    let first = get(&api, "/api/v1/services?limit=2").await.json().unwrap();
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(1)));
    assert!(first["items"][0].get("kind").is_none() && first["kind"] == "ServiceList");
    api.delete(&service("c"));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let path = format!("/api/v1/services?limit=2&continue={token}");
    let second = get(&api, &path).await.json().unwrap();
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    api.compact("services");
    assert_eq!(get(&api, &path).await.status, 410);
}

#[tokio::test]
async fn a_watch_tells_what_enters_changes_and_leaves_its_selection() {
    let api = FakeApi::start().await.unwrap();
    api.put(&service("a"));
    let relabelled = {
        let mut service = service("b");
        service["metadata"]["labels"] = json!({ "app": "other" });
        service
    };
    let text = watched(&api, "resourceVersion=1&labelSelector=app%3Db", || {
        api.put(&service("b"));
        api.put(&service("b"));
        api.put(&relabelled);
        api.put(&service("b"));
        api.delete(&service("b"));
        api.interrupt("services", Interruption::End);
    });
    let expected = ["ADDED b 2", "MODIFIED b 3", "DELETED b 4", "ADDED b 5", "DELETED b 6"];
    assert_eq!(events(&text.await.unwrap()), expected);
    let text = watched(&api, "resourceVersion=4&allowWatchBookmarks=true&timeoutSeconds=1", || ());
    assert_eq!(events(&text.await.unwrap()), ["MODIFIED b 5", "DELETED b 6", "BOOKMARK - 6"]);
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_told_that_it_is_gone() {
    let api = FakeApi::start().await.unwrap();
    ["a", "b"].iter().for_each(|name| api.put(&service(name)));
    api.compact("services");
    let text = get(&api, "/api/v1/services?watch=1&resourceVersion=1").await.text();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    let text =
        watched(&api, "resourceVersion=2", || assert_eq!(api.interrupt("services", Interruption::Gone), 1));
    assert_eq!(events(&text.await.unwrap()), ["ERROR - -"]);
}

#[tokio::test]
async fn faults_happen_once_each_and_in_order() {
    let api = FakeApi::start().await.unwrap();
    for fault in [Fault::Gone, Fault::TooMany(7), Fault::Status(503), Fault::NotJson] {
        api.fail("services", fault);
    }
    let mut answers = Vec::new();
    for _ in 0..5 {
        let answer = get(&api, "/api/v1/services").await;
        answers.push((answer.status, answer.header("retry-after").map(str::to_owned), answer.json().is_ok()));
    }
    let expected = [
        (410, None, true),
        (429, Some("7".to_owned()), false),
        (503, None, true),
        (200, None, false),
        (200, None, true),
    ];
    assert_eq!(answers, expected);
    api.fail("services", Fault::BreaksOff);
    api.fail("services", Fault::Hangup);
    let url = format!("{}/api/v1/services", api.url());
    assert!(
        http::get(&url).await.is_err() && http::get(&url).await.is_err() && http::get(&url).await.is_ok()
    );
    api.put(&service("a"));
    api.put(&service("b"));
    api.fail_page("services", Fault::Gone);
    let first = get(&api, "/api/v1/services?limit=1").await.json().unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(get(&api, &format!("/api/v1/services?limit=1&continue={token}")).await.status, 410);
}

#[tokio::test]
async fn open_watches_are_interrupted() {
    let api = FakeApi::start().await.unwrap();
    api.put(&service("a"));
    let text = watched(&api, "resourceVersion=1", || {
        for interruption in [
            Interruption::DuplicateBookmarks,
            Interruption::NotJson,
            Interruption::UnknownEvent,
            Interruption::HalfObject,
        ] {
            api.interrupt("services", interruption);
        }
    });
    let expected = [
        "BOOKMARK - 1",
        "BOOKMARK - 1",
        "BOOKMARK - 0",
        "no JSON: <html>a proxy speaks</html>",
        "FUTURE unknown 1",
        "no JSON: {\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"na",
    ];
    assert_eq!(events(&text.await.unwrap()), expected);
    let cut =
        watched(&api, "resourceVersion=1", || assert_eq!(api.interrupt("services", Interruption::Cut), 1));
    assert!(cut.await.is_err());
}

#[tokio::test]
async fn who_may_what_is_asked_before_anything_else() {
    let api = FakeApi::start().await.unwrap();
    let status = async |path: &str| get(&api, path).await.status;
    api.forbid("secrets", true);
    api.take_away("probes", true);
    let probes = "/apis/monitoring.coreos.com/v1/probes";
    assert_eq!(
        [status("/api/v1/secrets").await, status("/api/v1/pods").await, status(probes).await],
        [403, 200, 404]
    );
    api.forbid("secrets", false);
    api.take_away("probes", false);
    assert_eq!([status("/api/v1/secrets").await, status(probes).await], [200, 200]);
    api.accept_only("a-token");
    assert_eq!(status("/api/v1/pods").await, 401);
    let seen = api.seen();
    assert_eq!((seen.len(), seen[0].resource, seen[0].is_watch()), (6, "secrets", false));
}

#[tokio::test]
async fn every_resource_has_recorded_objects_that_can_be_served() {
    let api = FakeApi::start().await.unwrap();
    for resource in &RESOURCES {
        let objects = api.put_recorded(resource.plural).unwrap();
        assert!(!objects.is_empty(), "{}", resource.plural);
        let root = if resource.version.contains('/') { "apis" } else { "api" };
        let list =
            get(&api, &format!("/{root}/{}/{}", resource.version, resource.plural)).await.json().unwrap();
        assert_eq!(names(&list).len(), objects.len(), "{}", resource.plural);
    }
}
