use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::testing::{FakeApi, Fault};
use crate::{Custom, Kind, Pod, Reason, Scope, Service, Watch};

/// Keys and the label `v` of what a watch knows.
fn known(watch: &Watch<Pod>) -> BTreeMap<String, String> {
    let pair = |(key, pod): (&std::sync::Arc<str>, &std::sync::Arc<Pod>)| {
        (key.to_string(), pod.metadata.labels.get("v").map(ToString::to_string).unwrap_or_default())
    };
    watch.snapshot().iter().map(pair).collect()
}

fn labelled(value: &str) -> serde_json::Value {
    json!({"metadata": {"labels": {"v": value}}})
}

#[tokio::test(start_paused = true)]
async fn watches_of_a_scope_are_one_and_end_with_the_last_who_looks() {
    let api = FakeApi::with_pages_of(500);
    let cluster = api.cluster();
    let scope = Scope::namespace("shop");
    let mut one = cluster.watch::<Pod>(&scope);
    let two = cluster.watch::<Pod>(&scope);
    let elsewhere = cluster.watch::<Pod>(&Scope::all());
    let of_services = cluster.watch::<Service>(&scope);
    one.synced().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((cluster.n_watches(), api.n_watches()), (3, 3));
    drop((one, elsewhere, of_services));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((cluster.n_watches(), api.n_watches()), (1, 1));
    drop(two);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((cluster.n_watches(), api.n_watches()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_handle_hears_of_everything_first_and_then_of_changes_once() {
    let api = FakeApi::with_pages_of(500);
    api.put("shop", "a", &labelled("1"));
    let cluster = api.cluster();
    let mut early = cluster.watch::<Pod>(&Scope::all());
    early.synced().await;
    assert_eq!(early.changes(), ["shop/a".into()]);
    let mut late = cluster.watch::<Pod>(&Scope::all());
    assert_eq!(late.changes(), ["shop/a".into()]);
    assert_eq!(early.changes(), []);
    sleep(Duration::from_millis(1)).await;
    drop((early.changes(), late.changes()));
    api.put("shop", "b", &labelled("1"));
    api.put("shop", "b", &labelled("2"));
    late.changed().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(late.changes(), ["shop/b".into()]);
    api.delete("shop", "a");
    early.changed().await;
    let mut changes = early.changes();
    changes.sort();
    if changes == ["shop/b".into()] {
        early.changed().await;
        changes = early.changes();
    }
    assert!(changes.contains(&"shop/a".into()), "{changes:?}");
    assert_eq!(known(&early), BTreeMap::from([("shop/b".to_owned(), "2".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_fields_that_nobody_reads_is_none() {
    let api = FakeApi::with_pages_of(500);
    api.put("shop", "a", &labelled("1"));
    let cluster = api.cluster();
    let mut watch = cluster.watch::<Pod>(&Scope::all());
    watch.synced().await;
    sleep(Duration::from_secs(1)).await;
    drop(watch.changes());
    let version = watch.state().resource_version;
    let mut heartbeat = labelled("1");
    heartbeat["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
    api.put("shop", "a", &heartbeat);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watch.changes(), []);
    assert_ne!(watch.state().resource_version, version, "the version moves all the same");
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_and_watches_go_on_from_their_version() {
    let api = FakeApi::with_pages_of(2);
    for name in ["a", "b", "c", "d", "e"] {
        api.put("shop", name, &labelled("1"));
    }
    let cluster = api.cluster();
    let mut watch = cluster.watch::<Pod>(&Scope::namespace("shop").with_labels("app=x"));
    watch.synced().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watch.snapshot().len(), 5);
    let paths = api.paths();
    let root = "/api/v1/namespaces/shop/pods?labelSelector=app%3Dx";
    assert_eq!(paths[0], format!("{root}&limit=500"));
    assert_eq!(paths[2], format!("{root}&limit=500&continue=4"));
    assert!(
        paths[3].starts_with(&format!(
            "{root}&watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds="
        )),
        "{}",
        paths[3]
    );
    let seconds: u64 = paths[3].rsplit_once('=').unwrap().1.parse().unwrap();
    assert!((300..=600).contains(&seconds));
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_named_with_verb_and_resource() {
    let api = FakeApi::with_pages_of(500);
    (0..3).for_each(|_| api.fail(Fault::Status(403)));
    let cluster = api.cluster();
    let mut watch = cluster.watch::<Pod>(&Scope::namespace("shop"));
    watch.changed().await;
    watch.changed().await;
    assert_eq!(
        watch.problem().unwrap(),
        "cannot list pods in namespace shop: as told; grant the verbs list and watch on pods in namespace shop to the account in use"
    );
    assert_eq!(watch.state().failure.unwrap().reason, Reason::Forbidden);
    watch.synced().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watch.problem(), None, "it is over when a watch is open");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_the_server_does_not_know_is_asked_for_seldom() {
    let api = FakeApi::with_pages_of(500);
    (0..100).for_each(|_| api.fail(Fault::Status(404)));
    let cluster = api.cluster();
    let watch = cluster.watch_kind::<Custom>(Kind::SERVICE_MONITOR, &Scope::all());
    sleep(Duration::from_secs(120)).await;
    let n_requests = api.paths().len();
    assert!((4..=13).contains(&n_requests), "{n_requests}");
    assert_eq!(
        watch.problem().unwrap(),
        "cannot list servicemonitors.monitoring.coreos.com in the cluster: as told; install the resource \
         servicemonitors.monitoring.coreos.com in version monitoring.coreos.com/v1"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_while_the_server_is_away() {
    let api = FakeApi::with_pages_of(500);
    api.put("shop", "a", &labelled("1"));
    let cluster = api.cluster();
    let mut watch = cluster.watch::<Pod>(&Scope::all());
    watch.synced().await;
    sleep(Duration::from_secs(1)).await;
    (0..10_000).for_each(|_| api.fail(Fault::Status(503)));
    api.fail(Fault::Expire);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(watch.snapshot().len(), 1);
    assert!(watch.is_synced() && !watch.state().is_live);
    assert!(watch.problem().unwrap().starts_with("cannot list pods in the cluster"));
    assert!(api.paths().len() < 60, "600 seconds with waits of up to 30");
    api.heal();
    api.put("shop", "b", &labelled("1"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(watch.snapshot().len(), 2);
    assert!(watch.state().is_live);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Fail(Fault),
    /// In milliseconds.
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8, 0..3_u8).prop_map(|(name, value)| Step::Put(name, value)),
        2 => (0..12_u8).prop_map(Step::Delete),
        3 => prop_oneof![
            Just(Fault::Cut),
            Just(Fault::Expire),
            Just(Fault::Garbage),
            Just(Fault::Bookmarks),
            Just(Fault::Status(429)),
            Just(Fault::Status(500)),
            Just(Fault::PageExpired),
            Just(Fault::HalfList),
        ]
        .prop_map(Step::Fail),
        3 => (0..3000_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_events_and_faults_the_snapshot_is_what_the_server_holds(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let api = FakeApi::with_pages_of(3);
            api.put("ns", "steady", &labelled("s"));
            let cluster = api.cluster();
            let mut watch = cluster.watch::<Pod>(&Scope::all());
            watch.synced().await;
            let mut model = BTreeMap::from([("ns/steady".to_owned(), "s".to_owned())]);
            // What somebody knows who only listens to changes.
            let mut heard = BTreeMap::new();
            let mut listen = |watch: &mut Watch<Pod>| {
                let keys = watch.changes();
                let now = known(watch);
                for key in keys {
                    match now.get(&*key) {
                        Some(value) => drop(heard.insert(key.to_string(), value.clone())),
                        None => drop(heard.remove(&*key)),
                    }
                }
                heard.clone()
            };
            for step in steps {
                match step {
                    Step::Put(name, value) => {
                        api.put("ns", &name.to_string(), &labelled(&value.to_string()));
                        model.insert(format!("ns/{name}"), value.to_string());
                    }
                    Step::Delete(name) => {
                        api.delete("ns", &name.to_string());
                        model.remove(&format!("ns/{name}"));
                    }
                    Step::Fail(fault) => api.fail(fault),
                    Step::Wait(millis) => sleep(Duration::from_millis(millis.into())).await,
                }
                assert!(known(&watch).contains_key("ns/steady"), "what is there never vanishes");
                drop(listen(&mut watch));
            }
            api.heal();
            let settled = async {
                while known(&watch) != model {
                    watch.changed().await;
                }
            };
            timeout(Duration::from_secs(900), settled).await.expect("the watch catches up");
            assert_eq!(listen(&mut watch), model, "who listens to changes misses none");
        });
    }
}
