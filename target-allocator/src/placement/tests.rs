use model::Labels;

use super::*;
use crate::items::arranged;

fn items(range: std::ops::Range<usize>) -> Items {
    arranged(range.map(|index| {
        let labels: Labels = [("__address__", format!("host-{index}:9100"))].into_iter().collect();
        Arc::new(Item::alone(crate::items::identity(&labels, "node"), labels))
    }))
}

fn jobs(range: std::ops::Range<usize>) -> BTreeMap<Arc<str>, Items> {
    BTreeMap::from([("node".into(), items(range))])
}

pub(super) struct World {
    pub(super) placement: Placement,
    jobs: BTreeMap<Arc<str>, Items>,
    log: MoveLog,
    pub(super) terms: Terms,
    pub(super) at: SystemTime,
}

impl World {
    pub(super) fn start(names: &[&str]) -> Self {
        let mut world = Self {
            placement: Placement::default(),
            jobs: jobs(0..60),
            log: MoveLog::default(),
            terms: Terms::default(),
            at: SystemTime::UNIX_EPOCH,
        };
        world.members(names);
        world
    }

    pub(super) fn members(&mut self, names: &[&str]) {
        self.members_of_whom(names, "nobody");
    }

    /// Members of whom one is draining.
    pub(super) fn members_of_whom(&mut self, names: &[&str], drained: &str) {
        let member = |name: &&str| crate::roster::Member {
            is_draining: *name == drained,
            ..crate::roster::Member::named(name)
        };
        let roster = Roster::new(names.iter().map(member));
        self.step(Strategy::ConsistentHashing, &roster);
    }

    fn step(&mut self, strategy: Strategy, roster: &Roster) {
        self.placement =
            self.placement.next(strategy, roster, &self.jobs, &self.terms, self.at, &mut self.log);
    }

    pub(super) fn node(&self) -> &JobPlacement {
        &self.placement.jobs["node"]
    }

    pub(super) fn at(&self, name: &str) -> usize {
        self.placement.roster.position(name).unwrap()
    }

    pub(super) fn n_owned(&self, name: &str) -> usize {
        self.node().owned(self.at(name)).count()
    }

    fn n_listed(&self, name: &str) -> usize {
        self.node().listed(self.at(name)).count()
    }

    pub(super) fn fetch(&mut self, name: &str) {
        let (at, epoch) = (self.at(name), self.placement.epoch);
        if let Some(heard) = self.node().heard(at, epoch, unix_millis(self.at)) {
            self.placement.jobs.insert("node".into(), Arc::new(heard));
        }
    }
}

#[test]
fn the_first_placement_moves_nothing() {
    let world = World::start(&["s-0", "s-1"]);
    assert_eq!(world.placement.epoch, 1);
    assert_eq!(world.log.total(), 0);
    assert_eq!(world.n_owned("s-0") + world.n_owned("s-1"), 60);
    assert!(world.node().holds.is_empty());
}

#[test]
fn the_old_owner_lists_a_target_until_the_new_one_has_fetched_it() {
    let mut world = World::start(&["s-0", "s-1"]);
    let before = (world.n_owned("s-0"), world.n_owned("s-1"));
    world.members(&["s-0", "s-1", "s-2"]);
    let n_moved = world.n_owned("s-2");
    assert!(n_moved > 10, "{n_moved}");
    assert_eq!((world.n_listed("s-0"), world.n_listed("s-1")), before, "nobody lets go yet");
    assert_eq!(world.node().awaited(), [2]);

    world.fetch("s-0");
    assert_eq!(world.node().awaited(), [2], "an old owner's fetch releases nothing");
    world.fetch("s-2");
    assert_eq!(world.n_listed("s-0") + world.n_listed("s-1") + world.n_listed("s-2"), 60);
    assert!(world.node().awaited().is_empty());
    assert_eq!(world.log.count(Reason::MemberJoined), n_moved as u64);
}

#[test]
fn a_lost_member_holds_nothing() {
    let mut world = World::start(&["s-0", "s-1", "s-2"]);
    let n_lost = world.n_owned("s-1");
    world.members(&["s-0", "s-2"]);
    assert!(world.node().holds.is_empty());
    assert_eq!(world.n_listed("s-0") + world.n_listed("s-2"), 60);
    assert_eq!(world.log.count(Reason::MemberLeft), n_lost as u64);
    assert_eq!(world.log.total(), n_lost as u64, "only its targets moved");
}

#[test]
fn a_member_that_returns_gets_its_targets_back_and_ends_its_own_handover() {
    let mut world = World::start(&["s-0", "s-1", "s-2"]);
    let before = world.node().owners.clone();
    world.members(&["s-0", "s-2"]);
    world.members(&["s-0", "s-1", "s-2"]);
    assert_eq!(world.node().owners, before);
    assert_eq!(world.node().awaited(), [world.at("s-1")]);
    world.members(&["s-0", "s-2"]); // gone again before it fetched: the holders are the owners again
    assert!(world.node().holds.is_empty());
}

#[test]
fn a_target_that_moves_on_stays_with_the_one_who_really_scrapes_it() {
    let mut world = World::start(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.members(&["s-0", "s-1", "s-2"]); // s-1 never fetched
    assert_eq!(world.n_listed("s-0"), 60, "everything is still scraped by the first");
    world.fetch("s-1");
    world.fetch("s-2");
    assert_eq!(world.n_listed("s-0") + world.n_listed("s-1") + world.n_listed("s-2"), 60);
}

#[test]
fn a_fetch_of_an_older_list_releases_nothing() {
    let mut world = World::start(&["s-0"]);
    let old_epoch = world.placement.epoch;
    world.members(&["s-0", "s-1"]);
    assert!(world.node().heard(world.at("s-1"), old_epoch, 0).is_none());
}

#[test]
fn lists_of_all_members_at_once_are_the_lists_of_each() {
    let mut world = World::start(&["s-0", "s-1"]);
    world.members(&["s-0", "s-1", "s-2"]);
    let (owned, listed) = (world.node().owned_by_member(3), world.node().listed_by_member(3));
    for at in 0..3 {
        assert_eq!(owned[at], world.node().owned(at).collect::<Vec<_>>());
        assert_eq!(listed[at], world.node().listed(at).collect::<Vec<_>>());
    }
    let before = Arc::clone(&world.placement.jobs["node"]);
    world.fetch("s-2");
    assert!(world.node().lists_alike(&before, 2));
    assert!(!world.node().lists_alike(&before, 0));
}

#[test]
fn in_no_epoch_is_a_target_listed_by_nobody() {
    let mut world = World::start(&["s-0", "s-1"]);
    let scenes: [&[&str]; 6] =
        [&["s-0", "s-1", "s-2", "s-3"], &["s-1", "s-3"], &["x"], &["s-0"], &["s-0", "s-4"], &["s-0", "s-1"]];
    for names in scenes {
        world.members(names);
        let mut listed: Vec<u64> = Vec::new();
        for at in 0..world.placement.roster.len() {
            listed.extend(world.node().listed(at).map(|listed| listed.item.hash));
        }
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), 60, "{names:?}");
        world.fetch(names[0]);
    }
}

#[test]
fn new_and_vanished_targets_are_no_moves() {
    let mut world = World::start(&["s-0", "s-1"]);
    world.jobs = jobs(30..90);
    world.members(&["s-0", "s-1"]);
    assert_eq!(world.log.total(), 0);
    assert_eq!(world.node().items.len(), 60);
}

#[test]
fn changed_meta_labels_change_what_is_served_and_nothing_else() {
    let mut world = World::start(&["s-0", "s-1"]);
    let owners = world.node().owners.clone();
    let renewed = world.jobs["node"].iter().map(|item| {
        let mut labels: Labels = item.labels().collect();
        labels.set("__meta_kubernetes_pod_uid", "new");
        Arc::new(Item::alone(item.hash, labels))
    });
    world.jobs.insert("node".into(), arranged(renewed));
    world.members(&["s-0", "s-1"]);
    assert_eq!(world.node().owners, owners);
    assert_eq!(world.log.total(), 0);
    assert!(world.node().items.iter().all(|item| item.get("__meta_kubernetes_pod_uid").is_some()));
}

#[test]
fn a_job_that_did_not_change_is_shared_with_the_last_epoch() {
    let mut world = World::start(&["s-0", "s-1"]);
    let before = Arc::clone(&world.placement.jobs["node"]);
    world.members(&["s-0", "s-1"]);
    assert!(Arc::ptr_eq(&before, &world.placement.jobs["node"]));
}

#[test]
fn replicas_that_see_the_same_have_the_same_fingerprint() {
    let one = World::start(&["s-1", "s-0"]);
    let two = World::start(&["s-0", "s-1"]);
    assert_eq!(one.placement.fingerprint(), two.placement.fingerprint());
    assert_ne!(one.placement.fingerprint(), World::start(&["s-0"]).placement.fingerprint());
}

#[test]
fn least_weighted_keeps_owners_by_name_when_positions_shift() {
    let mut world = World::start(&["b"]);
    world.step(Strategy::LeastWeighted, &Roster::of(["b"]));
    world.step(Strategy::LeastWeighted, &Roster::of(["a", "b"]));
    assert_eq!(world.n_owned("b"), 60);
    assert_eq!(world.log.total(), 0);
}
