use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::world::control_plane::objects;
use ::world::fake_api::{FakeApi, Fault, Interruption};
use proptest::prelude::*;
use relabel::Need;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::{Context, Discovery, Group, SdConfigs, Snapshot, spawn_filtered};

mod roles;

/// An API server, and jobs that look at it.
pub(super) struct Scene {
    pub(super) api: FakeApi,
    folder: TempDir,
    kubernetes: Kubernetes,
}

impl Scene {
    pub(super) async fn new(sharing: Sharing) -> Self {
        let api = FakeApi::start().await.unwrap();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, api.kubeconfig("")).unwrap();
        let kubernetes = Kubernetes::new(Access::Kubeconfig { path, context: None }, sharing);
        Self { api, folder, kubernetes }
    }

    fn job(&self, config: Value, filter: Option<GroupFilter>) -> Discovery {
        let context = Context { kubernetes: self.kubernetes.clone(), ..Context::new(self.folder.path()) };
        let configs: SdConfigs = serde_json::from_value(json!({"kubernetes_sd_configs": [config]})).unwrap();
        spawn_filtered("job", &configs, &context, filter.as_ref()).unwrap()
    }

    /// A job with clusters of its own: what it finds owes nothing to what was found before.
    fn afresh(&self, config: Value) -> Discovery {
        let other = Self::access(self.folder.path(), self.kubernetes.inner.sharing);
        let context = Context { kubernetes: other, ..Context::new(self.folder.path()) };
        let configs: SdConfigs = serde_json::from_value(json!({"kubernetes_sd_configs": [config]})).unwrap();
        spawn_filtered("job", &configs, &context, None).unwrap()
    }

    fn access(folder: &Path, sharing: Sharing) -> Kubernetes {
        Kubernetes::new(Access::Kubeconfig { path: folder.join("kubeconfig"), context: None }, sharing)
    }

    /// What a job finds first, as text.
    pub(super) async fn found(&self, config: Value) -> String {
        let job = self.job(config, None);
        let snapshot = until(&mut job.snapshots(), |snapshot| snapshot.settled).await;
        text(&snapshot)
    }
}

pub(super) async fn until(
    snapshots: &mut watch::Receiver<Snapshot>,
    is_so: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let waiting = snapshots.wait_for(|snapshot| is_so(snapshot));
    let found = timeout(Duration::from_secs(20), waiting).await.ok().map(|found| found.unwrap().clone());
    found.unwrap_or_else(|| panic!("it has not come; there is\n{}", text(&snapshots.borrow())))
}

/// Groups with their labels, and what targets have beside them.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let put = |text: &mut String, indent: &str, labels: &model::Labels| {
        for (name, value) in labels.iter() {
            let name =
                name.strip_prefix("__meta_kubernetes_").map_or(name.to_owned(), |name| format!("~{name}"));
            text.push_str(&format!("{indent}{name}={value}\n"));
        }
    };
    for group in &*snapshot.groups {
        text.push_str(&format!("{}\n", group.source));
        put(&mut text, "  ", &group.labels);
        for target in &group.targets {
            text.push_str("  -\n");
            put(&mut text, "    ", target);
        }
    }
    text
}

fn addresses(snapshot: &Snapshot) -> Vec<&str> {
    let targets = snapshot.groups.iter().flat_map(|group| &group.targets);
    targets.map(|target| target.value("__address__")).collect()
}

fn group<'a>(snapshot: &'a Snapshot, source: &str) -> &'a Arc<Group> {
    snapshot.groups.iter().find(|group| *group.source == *source).unwrap()
}

/// Two services with three pods each.
fn fill(api: &FakeApi, namespace: &str) {
    for (net, app) in [(1, "cart"), (2, "till")] {
        objects::service_with_pods(namespace, app, net, 3).iter().for_each(|object| api.put(object));
    }
}

#[tokio::test]
async fn a_change_makes_only_those_groups_anew_that_it_is_part_of() {
    let scene = Scene::new(Sharing::AsWritten).await;
    scene.api.put(&objects::node("node-a", "10.1.0.1", &[("zone", "z1")]));
    fill(&scene.api, "shop");
    let job = scene.job(json!({"role": "endpointslice", "attach_metadata": {"node": true}}), None);
    let mut snapshots = job.snapshots();
    let first = until(&mut snapshots, |snapshot| snapshot.settled).await;
    assert_eq!(addresses(&first).len(), 6);
    let [cart, till] = ["endpointslice/shop/cart-00000", "endpointslice/shop/till-00000"];

    let mut pod = objects::Pod::new("shop", "cart-1", "10.1.0.1", "cart");
    pod.labels.push(("tier".to_owned(), "gold".to_owned()));
    scene.api.put(&pod.object());
    let label = "__meta_kubernetes_pod_label_tier";
    let has_tier = |snapshot: &Snapshot| {
        group(snapshot, cart).targets.iter().filter(|target| target.value(label) == "gold").count() == 1
    };
    let second = until(&mut snapshots, has_tier).await;
    assert!(Arc::ptr_eq(group(&first, till), group(&second, till)), "the other one is the same");

    let mut service = objects::service("shop", "till");
    service["metadata"]["labels"]["team"] = "money".into();
    scene.api.put(&service);
    let has_team = |snapshot: &Snapshot| {
        group(snapshot, till).labels.value("__meta_kubernetes_service_label_team") == "money"
    };
    let third = until(&mut snapshots, has_team).await;
    assert!(Arc::ptr_eq(group(&second, cart), group(&third, cart)));

    scene.api.put(&objects::node("node-a", "10.1.0.1", &[("zone", "z2")]));
    let is_in = |snapshot: &Snapshot| {
        let targets = snapshot.groups.iter().flat_map(|group| &group.targets);
        targets.clone().all(|target| target.value("__meta_kubernetes_node_label_zone") == "z2")
    };
    drop(until(&mut snapshots, is_in).await);

    scene.api.delete(&objects::endpoint_slices("shop", "cart", &[pod])[0]);
    drop(until(&mut snapshots, |snapshot| snapshot.groups.len() == 1).await);
}

#[tokio::test]
async fn jobs_share_watches_and_namespaces_are_selected_here() {
    let scene = Scene::new(Sharing::ClusterWide).await;
    let n_namespaces = 30;
    for number in 0..n_namespaces {
        fill(&scene.api, &format!("ns-{number}"));
    }
    let mut jobs = Vec::new();
    for number in 0..n_namespaces {
        for label in ["app=cart", "app=till"] {
            let config = json!({
                "role": "endpointslice",
                "namespaces": {"names": [format!("ns-{number}")]},
                "selectors": [{"role": "endpointslice", "label": label}],
            });
            let job = scene.job(config, None);
            jobs.push((job.snapshots(), job, number, label));
        }
    }
    for (snapshots, _, number, label) in &mut jobs {
        let snapshot = until(snapshots, |snapshot| snapshot.settled).await;
        let sources: Vec<&str> = snapshot.groups.iter().map(|group| &*group.source).collect();
        let app = label.trim_start_matches("app=");
        assert_eq!(sources, [format!("endpointslice/ns-{number}/{app}-00000")]);
    }
    let n_watches = || -> usize {
        ["endpointslices", "services", "pods"].iter().map(|plural| scene.api.n_watches(plural)).sum()
    };
    // Jobs settle with the lists, and the watches begin behind these.
    let all_begun = async {
        while n_watches() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), all_begun).await.unwrap();
    assert_eq!(n_watches(), 3, "for {} jobs", jobs.len());
}

#[tokio::test]
async fn as_written_each_namespace_has_its_watch_and_the_server_selects() {
    let scene = Scene::new(Sharing::AsWritten).await;
    for namespace in ["a", "b", "c"] {
        fill(&scene.api, namespace);
    }
    let config = json!({
        "role": "pod",
        "namespaces": {"names": ["a", "b"]},
        "selectors": [{"role": "pod", "label": "app=cart", "field": "spec.nodeName=node-a"}],
    });
    let found = scene.found(config).await;
    assert_eq!(found.matches("  -\n").count(), 6, "{found}");
    let asked: Vec<_> = scene.api.seen().into_iter().filter(|seen| !seen.is_watch()).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|seen| seen.query["labelSelector"] == "app=cart"));
    assert!(asked.iter().all(|seen| seen.query["fieldSelector"] == "spec.nodeName=node-a"));
}

#[tokio::test]
async fn a_filter_leaves_out_groups_and_counts_their_targets() {
    let scene = Scene::new(Sharing::ClusterWide).await;
    fill(&scene.api, "shop");
    let filter = GroupFilter::new(|labels| {
        assert_eq!(labels.known("__address__"), None, "targets have their own");
        assert_eq!(labels.known("absent"), Some(""));
        labels.known("__meta_kubernetes_service_label_app").is_none_or(|app| app == "cart")
    });
    let job = scene.job(json!({"role": "endpointslice"}), Some(filter));
    let mut snapshots = job.snapshots();
    let first = until(&mut snapshots, |snapshot| snapshot.settled).await;
    assert_eq!((addresses(&first).len(), first.n_passed_over), (3, 3));
    let pods = [objects::Pod::new("shop", "till-0", "10.2.0.0", "till")];
    scene.api.put(&objects::endpoint_slices("shop", "till", &pods)[0]);
    drop(until(&mut snapshots, |snapshot| snapshot.n_passed_over == 1 && snapshot.groups.len() == 1).await);
    let mut service = objects::service("shop", "till");
    service["metadata"]["labels"]["app"] = "cart".into();
    scene.api.put(&service);
    drop(until(&mut snapshots, |snapshot| snapshot.n_passed_over == 0 && snapshot.groups.len() == 2).await);
    scene.api.delete(&service);
    let is_wanted_for_want_of_knowledge =
        |snapshot: &Snapshot| snapshot.n_passed_over == 1 && snapshot.groups.len() == 1;
    drop(until(&mut snapshots, is_wanted_for_want_of_knowledge).await);
}

/// Each job wants one application; a quarter of the pods is of applications that nobody wants.
#[tokio::test]
async fn a_job_is_asked_only_about_groups_with_the_labels_that_it_needs() {
    let scene = Scene::new(Sharing::ClusterWide).await;
    let (n_pods, n_jobs) = (200, 50);
    let mut pods: Vec<_> = (0..n_pods)
        .map(|number| {
            let (name, address) = (format!("p{number}"), format!("10.0.0.{number}"));
            objects::Pod::new("shop", &name, &address, &format!("app-{}", number % (n_jobs * 4 / 3)))
        })
        .collect();
    pods.iter().for_each(|pod| scene.api.put(&pod.object()));
    let n_asked = Arc::new(AtomicUsize::new(0));
    let need = |label: &str, value: &str| Need {
        label: format!("__meta_kubernetes_pod_{label}").into(),
        values: [value.into()].into(),
    };
    let mut jobs = Vec::new();
    for number in 0..n_jobs {
        let (app, counted) = (format!("app-{number}"), Arc::clone(&n_asked));
        // All jobs need the second label, so that it tells them apart no better than their namespace does.
        let needs = vec![need("phase", "Running"), need("label_app", &app)];
        let is_wanted = move |labels: GroupLabels<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
            labels.known("__meta_kubernetes_pod_label_app") == Some(&*app)
        };
        let config = json!({"role": "pod", "namespaces": {"names": ["shop"]}});
        let job = scene.job(config, Some(GroupFilter::new(is_wanted).with_needs(needs)));
        jobs.push((job.snapshots(), job));
    }
    let mut n_wanted = 0;
    for (snapshots, _) in &mut jobs {
        let snapshot = until(snapshots, |snapshot| snapshot.settled).await;
        n_wanted += snapshot.groups.len();
        assert_eq!(snapshot.groups.len() + snapshot.n_passed_over, n_pods);
    }
    assert_eq!(n_asked.load(Ordering::Relaxed), n_wanted, "of {} pairs of a job and a pod", n_jobs * n_pods);

    // A pod that becomes one of another application concerns the job of the old one and that of the new one.
    pods[0].labels = vec![("app".to_owned(), "app-1".to_owned())];
    scene.api.put(&pods[0].object());
    let n_groups = |at: usize, n: usize| (at, move |snapshot: &Snapshot| snapshot.groups.len() == n);
    for (at, has_all) in [n_groups(0, 3), n_groups(1, 5)] {
        drop(until(&mut jobs[at].0, has_all).await);
    }
    assert_eq!(n_asked.load(Ordering::Relaxed), n_wanted + 2);
}

#[tokio::test]
async fn nothing_is_settled_while_a_right_is_missing_and_the_right_is_named() {
    let scene = Scene::new(Sharing::AsWritten).await;
    fill(&scene.api, "shop");
    scene.api.forbid("services", true);
    let job = scene.job(json!({"role": "endpointslice", "namespaces": {"names": ["shop"]}}), None);
    let mut snapshots = job.snapshots();
    let first = until(&mut snapshots, |snapshot| !snapshot.problems.is_empty()).await;
    let problem = first.problems[0].to_string();
    assert!(!first.settled && problem.contains("kubernetes_sd_configs::0"), "{problem}");
    assert!(problem.contains("cannot list services in namespace shop"), "{problem}");
    scene.api.forbid("services", false);
    drop(until(&mut snapshots, |snapshot| snapshot.settled && snapshot.problems.is_empty()).await);
}

#[tokio::test]
async fn who_may_not_see_the_cluster_looks_at_each_namespace() {
    let scene = Scene::new(Sharing::ClusterWide).await;
    fill(&scene.api, "shop");
    // Only the first request is for the whole cluster.
    scene.api.fail("pods", Fault::Status(403));
    let found = scene.found(json!({"role": "pod", "namespaces": {"names": ["shop"]}})).await;
    assert_eq!(found.matches("  -\n").count(), 6, "{found}");
    let paths: Vec<String> = scene.api.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths[..2], ["/api/v1/pods", "/api/v1/namespaces/shop/pods"]);
}

#[tokio::test]
async fn files_that_come_late_are_waited_for() {
    let scene = Scene::new(Sharing::AsWritten).await;
    let job = scene.job(json!({"role": "node", "kubeconfig_file": "missing"}), None);
    let first = until(&mut job.snapshots(), |snapshot| !snapshot.problems.is_empty()).await;
    let problem = first.problems[0].to_string();
    assert!(problem.contains("kubeconfig ") && problem.contains("missing: "), "{problem}");
}

#[tokio::test]
async fn an_api_server_that_is_written_out_gets_the_token() {
    let scene = Scene::new(Sharing::AsWritten).await;
    scene.api.put(&objects::node("node-a", "10.1.0.1", &[]));
    scene.api.accept_only("t0ken");
    std::fs::write(scene.folder.path().join("token"), "t0ken\n").unwrap();
    for authorization in [json!({"credentials": "t0ken"}), json!({"credentials_file": "token"})] {
        let config = json!({"role": "node", "api_server": scene.api.url(), "authorization": authorization});
        assert!(scene.found(config).await.starts_with("node/node-a\n"));
    }
}

fn refused(config: Value) -> Vec<String> {
    let configs: SdConfigs = serde_json::from_value(json!({"kubernetes_sd_configs": [config]})).unwrap();
    configs.check().into_iter().chain(configs.unsupported()).map(|problem| problem.to_string()).collect()
}

#[test]
fn what_prometheus_refuses_is_refused_with_the_key() {
    for (config, key, part) in [
        (
            json!({"role": "pod", "api_server": "http://a", "kubeconfig_file": "b"}),
            "kubeconfig_file",
            "`api_server`",
        ),
        (json!({"role": "pod", "bearer_token": "x"}), "", "without `api_server`"),
        (json!({"role": "pod", "kubeconfig_file": "b", "follow_redirects": false}), "", "leave them out"),
        (
            json!({"role": "pod", "api_server": "http://a", "namespaces": {"own_namespace": true}}),
            "namespaces::own_namespace",
            "name it in `names`",
        ),
        (json!({"role": "pod", "api_server": "a:6443"}), "api_server", "http://"),
        (
            json!({"role": "pod", "selectors": [{"role": "service"}]}),
            "selectors::0::role",
            "known: `pod`, `node`",
        ),
        (
            json!({"role": "node", "selectors": [{"role": "node"}, {"role": "node"}]}),
            "selectors::1::role",
            "already",
        ),
        (
            json!({"role": "node", "selectors": [{"role": "node", "label": "a b"}]}),
            "selectors::0::label",
            "operator",
        ),
        (
            json!({"role": "node", "selectors": [{"role": "node", "field": "a"}]}),
            "selectors::0::field",
            "`a`",
        ),
        (
            json!({"role": "node", "api_server": "https://a", "http_headers": {"X-A": {"values": ["b"]}}}),
            "http_headers",
            "does not take this key",
        ),
        (
            json!({"role": "node", "api_server": "https://a", "tls_config": {"ca_ref": "b"}}),
            "tls_config::ca_ref",
            "secret stores",
        ),
    ] {
        let problems = refused(config.clone());
        assert_eq!(problems.len(), 1, "{config}: {problems:?}");
        let path = format!("kubernetes_sd_configs::0{}{key}", if key.is_empty() { "" } else { "::" });
        assert!(problems[0].contains(&path) && problems[0].contains(part), "{config}: {problems:?}");
    }
    assert_eq!(refused(json!({"role": "endpointslice", "namespaces": {"own_namespace": true}})), [""; 0]);
}

#[test]
fn a_config_is_read_and_printed_as_prometheus_does() {
    let yaml = "kubernetes_sd_configs:\n- role: pod\n  namespaces: {names: [shop]}\n  attach_metadata: {node: true}\n";
    let root = ::config::parse(yaml, "job.yaml").unwrap().root;
    let configs: SdConfigs = ::config::read(&root, "").unwrap();
    assert_eq!(
        serde_json::to_value(&configs).unwrap(),
        json!({"kubernetes_sd_configs": [{
            "role": "pod", "kubeconfig_file": "", "namespaces": {"own_namespace": false, "names": ["shop"]},
            "attach_metadata": {"node": true, "namespace": false, "deployment": false, "job": false, "cronjob": false},
            "follow_redirects": true, "enable_http2": true,
        }]})
    );
    let root = ::config::parse("kubernetes_sd_configs: [{role: pods}]", "job.yaml").unwrap().root;
    let problem = ::config::read::<SdConfigs>(&root, "").unwrap_err()[0].to_string();
    assert!(problem.contains("job.yaml:1:32") && problem.contains("`pod`"), "{problem}");
}

#[derive(Clone, Debug)]
enum Step {
    Pod(u8, u8),
    NoPod(u8),
    Service(u8, u8),
    NoService(u8),
    Slice(u8, Vec<u8>),
    NoSlice(u8),
    Node(u8, u8),
    NoNode(u8),
    Namespace(u8),
    Interrupt(Interruption),
    Fail(u16),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6_u8, 0..3_u8).prop_map(|(pod, label)| Step::Pod(pod, label)),
        1 => (0..6_u8).prop_map(Step::NoPod),
        2 => (0..2_u8, 0..3_u8).prop_map(|(service, label)| Step::Service(service, label)),
        1 => (0..2_u8).prop_map(Step::NoService),
        2 => (0..2_u8, proptest::collection::vec(0..6_u8, 0..4)).prop_map(|(slice, pods)| Step::Slice(slice, pods)),
        1 => (0..2_u8).prop_map(Step::NoSlice),
        1 => (0..2_u8, 0..3_u8).prop_map(|(node, label)| Step::Node(node, label)),
        1 => (0..2_u8).prop_map(Step::NoNode),
        1 => (0..3_u8).prop_map(Step::Namespace),
        1 => prop_oneof![
            Just(Interruption::Gone),
            Just(Interruption::HalfObject),
            Just(Interruption::NotJson),
            Just(Interruption::DuplicateBookmarks),
            Just(Interruption::Cut),
        ]
        .prop_map(Step::Interrupt),
        1 => prop_oneof![Just(429_u16), Just(500)].prop_map(Step::Fail),
        3 => Just(Step::Wait),
    ]
}

fn pod_of(number: u8, label: u8) -> objects::Pod {
    let mut pod = objects::Pod::new("ns", &format!("p{number}"), &format!("10.0.0.{number}"), "app");
    pod.labels.push(("v".to_owned(), label.to_string()));
    pod.node = format!("n{}", number % 2);
    pod
}

fn take(api: &FakeApi, step: Step) {
    match step {
        Step::Pod(number, label) => api.put(&pod_of(number, label).object()),
        Step::NoPod(number) => api.delete(&pod_of(number, 0).object()),
        Step::Service(number, label) => {
            let mut service = objects::service("ns", &format!("s{number}"));
            service["metadata"]["labels"]["v"] = label.to_string().into();
            api.put(&service);
        }
        Step::NoService(number) => api.delete(&objects::service("ns", &format!("s{number}"))),
        Step::Slice(number, pods) => {
            let pods: Vec<_> = pods.into_iter().map(|pod| pod_of(pod, 0)).collect();
            let mut slices = objects::endpoint_slices("ns", &format!("s{number}"), &pods);
            slices.iter_mut().for_each(|slice| api.put(slice));
        }
        Step::NoSlice(number) => {
            api.delete(&objects::endpoint_slices("ns", &format!("s{number}"), &[pod_of(0, 0)])[0]);
        }
        Step::Node(number, label) => {
            api.put(&objects::node(&format!("n{number}"), "10.1.0.1", &[("v", &label.to_string())]));
        }
        Step::NoNode(number) => api.delete(&objects::node(&format!("n{number}"), "10.1.0.1", &[])),
        Step::Namespace(label) => api.put(&objects::namespace("ns", &[("v", &label.to_string())])),
        Step::Interrupt(how) => {
            for plural in ["pods", "services", "endpointslices", "nodes", "namespaces"] {
                api.interrupt(plural, how);
            }
        }
        Step::Fail(status) => {
            let fault = if status == 429 { Fault::TooMany(1) } else { Fault::Status(status) };
            api.fail("pods", fault.clone());
            api.fail("endpointslices", fault);
        }
        Step::Wait => {}
    }
}

proptest! {
    // Each case is a few hundred requests over loopback.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn after_any_changes_and_faults_groups_are_those_that_are_made_from_scratch(
        steps in proptest::collection::vec(step(), 0..40),
        role in prop_oneof![Just("endpointslice"), Just("pod")],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new(Sharing::AsWritten).await;
            let config = json!({"role": role, "attach_metadata": {"node": true, "namespace": true}});
            let job = scene.job(config.clone(), None);
            let mut snapshots = job.snapshots();
            drop(until(&mut snapshots, |snapshot| snapshot.settled).await);
            for step in steps {
                if matches!(step, Step::Wait) {
                    // Lets what is under way arrive, at most for a moment.
                    drop(timeout(Duration::from_millis(20), snapshots.changed()).await);
                } else {
                    take(&scene.api, step);
                }
            }
            let fresh = scene.afresh(config);
            let expected = until(&mut fresh.snapshots(), |snapshot| snapshot.settled).await;
            let is_same = |snapshot: &Snapshot| text(snapshot) == text(&expected);
            drop(until(&mut snapshots, is_same).await);
        });
    }
}
