use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Pods of a cluster: `s-<n>` belong to the StatefulSet `s`, others to nothing.
struct World {
    pods: Pods,
    seen: PodsSeen,
    now: Instant,
}

fn pod(name: &str) -> PodFacts {
    let stateful_set = name.starts_with("s-").then(|| Arc::from("s"));
    PodFacts {
        name: name.into(),
        node: Some("n".into()),
        stateful_set,
        is_ready: true,
        is_terminating: false,
    }
}

impl World {
    fn start(names: &[&str], replicas: Option<usize>) -> Self {
        let mut world = Self { pods: Pods::new(30 * SECOND), seen: PodsSeen::default(), now: Instant::now() };
        world.replicas(replicas);
        for name in names {
            world.put(pod(name));
        }
        world
    }

    fn replicas(&mut self, replicas: Option<usize>) {
        let ordinals = replicas.map(|replicas| ("s".into(), Ordinals { start: 0, replicas }));
        self.seen.stateful_sets = ordinals.into_iter().collect();
    }

    fn put(&mut self, pod: PodFacts) {
        self.remove(&pod.name.clone());
        self.seen.pods.push(pod);
    }

    fn remove(&mut self, name: &str) {
        self.seen.pods.retain(|pod| *pod.name != *name);
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut PodFacts)) {
        change(self.seen.pods.iter_mut().find(|pod| *pod.name == *name).unwrap());
    }

    /// Names of members after this many seconds; one that is draining has a minus in front.
    fn after(&mut self, seconds: u64) -> String {
        self.now += Duration::from_secs(seconds);
        let (roster, _) = self.pods.look(&self.seen, self.now);
        let name = |member: &Member| format!("{}{}", if member.is_draining { "-" } else { "" }, member.name);
        roster.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn again_in(&mut self) -> Option<Duration> {
        let (_, again_at) = self.pods.look(&self.seen, self.now);
        again_at.map(|at| at - self.now)
    }
}

#[test]
fn a_pod_joins_when_it_is_ready_and_not_before() {
    let mut world = World::start(&["s-0"], Some(2));
    world.put(PodFacts { is_ready: false, ..pod("s-1") });
    world.put(PodFacts { node: None, ..pod("s-2") });
    assert_eq!((world.after(0), world.after(600)), ("s-0".into(), "s-0".into()));
    world.change("s-1", |pod| pod.is_ready = true);
    assert_eq!(world.after(1), "s-0 s-1");
    assert_eq!(world.again_in(), None);
}

#[test]
fn an_unready_member_keeps_its_targets_for_the_grace_and_returns_when_it_is_ready() {
    let mut world = World::start(&["s-0", "x"], Some(1));
    world.after(0);
    world.change("x", |pod| pod.is_ready = false);
    assert_eq!(world.after(5), "s-0 x");
    assert_eq!(world.again_in(), Some(30 * SECOND));
    assert_eq!((world.after(29), world.after(1)), ("s-0 x".into(), "s-0".into()));
    world.change("x", |pod| pod.is_ready = true);
    assert_eq!(world.after(1), "s-0 x");
    world.change("x", |pod| pod.is_ready = false);
    assert_eq!(world.after(29), "s-0 x", "the grace begins anew");
}

#[test]
fn without_a_grace_every_scheduled_pod_is_a_member() {
    let mut world = World::start(&["s-0"], Some(2));
    world.pods = Pods::new(Duration::ZERO);
    world.put(PodFacts { is_ready: false, ..pod("s-1") });
    assert_eq!(world.after(0), "s-0 s-1");
    world.remove("s-1");
    assert_eq!(world.after(1), "s-0", "one that is gone cannot scrape");
}

#[test]
fn a_rolling_restart_changes_nothing_within_the_grace() {
    for replicas in [Some(3), None] {
        let mut world = World::start(&["s-0", "s-1", "s-2"], replicas);
        let all = world.after(0);
        // Where the number of replicas is not known, the highest ordinal could be leaving for good.
        let restarted = if replicas.is_some() { &["s-2", "s-1", "s-0"][..] } else { &["s-1", "s-0"][..] };
        for name in restarted {
            world.change(name, |pod| pod.is_terminating = true);
            assert_eq!(world.after(3), all);
            world.change(name, |pod| pod.is_ready = false);
            assert_eq!(world.after(3), all);
            world.remove(name);
            assert_eq!(world.after(3), all);
            world.put(PodFacts { node: None, is_ready: false, ..pod(name) });
            assert_eq!(world.after(3), all);
            world.put(PodFacts { is_ready: false, ..pod(name) });
            assert_eq!(world.after(17), all);
            world.put(pod(name));
            assert_eq!(world.after(100), all);
        }
    }
}

#[test]
fn a_restart_that_takes_longer_than_the_grace_moves_the_targets_until_the_pod_is_back() {
    let mut world = World::start(&["s-0", "s-1"], Some(2));
    world.after(0);
    world.remove("s-0");
    assert_eq!(
        (world.after(1), world.after(29), world.after(1)),
        ("s-0 s-1".into(), "s-0 s-1".into(), "s-1".into())
    );
    world.put(pod("s-0"));
    assert_eq!(world.after(1), "s-0 s-1");
}

#[test]
fn scale_in_drains_at_once_and_the_member_leaves_with_its_pod() {
    for replicas in [Some(2), None] {
        let mut world = World::start(&["s-0", "s-1", "s-2"], Some(3));
        world.after(0);
        world.replicas(replicas);
        world.change("s-2", |pod| pod.is_terminating = true);
        assert_eq!(world.after(0), "s-0 s-1 -s-2");
        world.change("s-2", |pod| pod.is_ready = false);
        assert_eq!(world.after(20), "s-0 s-1 -s-2", "it still runs");
        world.remove("s-2");
        assert_eq!(world.after(1), "s-0 s-1");
    }
}

#[test]
fn a_pod_that_nothing_brings_back_under_its_name_is_drained() {
    let mut world = World::start(&["web-7d4f", "web-9k2x"], None);
    world.after(0);
    world.change("web-7d4f", |pod| pod.is_terminating = true);
    assert_eq!(world.after(0), "-web-7d4f web-9k2x");
    world.remove("web-7d4f");
    assert_eq!(world.after(0), "web-9k2x");
    world.put(PodFacts { is_terminating: true, ..pod("web-late") });
    assert_eq!(world.after(0), "web-9k2x", "a pod that is being deleted does not join");
}

#[test]
fn where_nobody_can_take_over_nobody_is_drained() {
    let mut world = World::start(&["a", "b"], None);
    world.after(0);
    world.change("a", |pod| pod.is_terminating = true);
    world.change("b", |pod| pod.is_terminating = true);
    assert_eq!(world.after(0), "a b");
    world.put(pod("c"));
    assert_eq!(world.after(0), "-a -b c");
}

#[test]
fn a_deletion_that_was_decided_before_the_number_of_replicas_is_seen_drains_when_it_is() {
    let mut world = World::start(&["s-0", "s-1"], Some(2));
    world.after(0);
    world.change("s-1", |pod| pod.is_terminating = true);
    assert_eq!(world.after(0), "s-0 s-1");
    world.replicas(Some(1));
    assert_eq!(world.after(0), "s-0 -s-1");
}

#[test]
fn members_of_an_earlier_run_keep_their_targets_for_the_grace() {
    let mut world = World::start(&["s-0"], Some(3));
    world.put(PodFacts { is_ready: false, ..pod("s-1") });
    world.pods.resume(Roster::of(["s-0", "s-1", "s-2", "s-3", "x"]));
    assert_eq!(world.after(0), "s-0 s-1 s-2", "s-3 and x do not come back");
    assert_eq!(world.after(30), "s-0");
}

#[test]
fn while_the_api_server_is_away_nothing_changes_and_graces_begin_anew_afterwards() {
    let mut world = World::start(&["s-0", "s-1"], Some(2));
    world.after(0);
    world.change("s-1", |pod| pod.is_ready = false);
    world.after(0);
    world.seen.is_stale = true;
    assert_eq!((world.after(600), world.again_in()), ("s-0 s-1".into(), None));
    world.seen.is_stale = false;
    assert_eq!(
        (world.after(0), world.after(29), world.after(1)),
        ("s-0 s-1".into(), "s-0 s-1".into(), "s-0".into())
    );
}

#[test]
fn a_name_that_cannot_be_a_member_is_passed_over() {
    let mut world = World::start(&["a", "b&c"], None);
    assert_eq!(world.after(0), "a");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> impl Strategy<Value = PodFacts> {
        (0_usize..4, any::<[bool; 4]>()).prop_map(|(ordinal, [scheduled, ready, terminating, owned])| {
            PodFacts {
                node: scheduled.then(|| "n".into()),
                is_ready: ready,
                is_terminating: terminating,
                stateful_set: owned.then(|| "s".into()),
                ..pod(&format!("s-{ordinal}"))
            }
        })
    }

    proptest! {
        /// Whatever happens: every ready pod that stays is a member, nobody stays away longer than the grace, and
        /// somebody always can be given targets where there are members.
        #[test]
        fn ready_pods_are_members_and_nobody_stays_away_too_long(
            steps in prop::collection::vec((prop::collection::vec(facts(), 0..5), prop::option::of(0_usize..4), 0_u64..40), 1..20),
        ) {
            let mut world = World::start(&[], None);
            let mut away_since = BTreeMap::new();
            for (pods, replicas, seconds) in steps {
                world.seen.pods.clear();
                pods.into_iter().for_each(|pod| world.put(pod));
                world.replicas(replicas);
                world.now += Duration::from_secs(seconds);
                let (roster, again_at) = world.pods.look(&world.seen, world.now);
                prop_assert!(again_at.is_none_or(|at| at > world.now));
                prop_assert!(roster.is_empty() || roster.n_staying() > 0);
                let is_here = |pod: &&PodFacts| pod.node.is_some() && (pod.is_ready || pod.is_terminating);
                let here: Vec<&PodFacts> = world.seen.pods.iter().filter(is_here).collect();
                for pod in here.iter().filter(|pod| !pod.is_terminating) {
                    let at = roster.position(&pod.name);
                    prop_assert!(at.is_some_and(|at| roster.is_staying(at)), "{:?}", pod);
                }
                away_since.retain(|name: &Arc<str>, _| here.iter().all(|pod| pod.name != *name));
                for member in roster.iter().filter(|member| here.iter().all(|pod| pod.name != member.name)) {
                    let since = *away_since.entry(Arc::clone(&member.name)).or_insert(world.now);
                    prop_assert!(world.now < since + 30 * SECOND, "{:?}", member);
                }
            }
        }
    }
}
