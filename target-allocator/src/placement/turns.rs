//! Handovers between our own scrapers, at an agreed turn.

use std::time::Duration;

use tokio::time::Instant;

use super::tests::World;
use super::*;
use crate::members::{Client, LastPolls, MAX_LEASE, Poll};

/// Members that announce ten seconds: a turn comes after 32 s, can be put off until 12 s have passed, and is over after 52 s.
fn polls(names: &[&str], client: Client) -> LastPolls {
    let every = Some(Duration::from_secs(10));
    let poll = Poll { at: Instant::now(), lease: MAX_LEASE, every, client: Some(client) };
    names.iter().map(|name| (Arc::from(*name), poll)).collect()
}

impl World {
    /// Our own members.
    fn ours(names: &[&str]) -> Self {
        let mut world = Self::start(names);
        world.terms = Terms::of(&polls(names, Client::Muster), Instant::now(), world.at);
        world
    }

    /// Lets time pass; everybody is still there.
    fn pass(&mut self, seconds: u64) {
        self.at += Duration::from_secs(seconds);
        let now = unix_millis(self.at);
        self.terms.turn = Turn::after(now, Duration::from_secs(10));
        self.placement.epoch += 1;
        let is_silent = |at: usize| self.terms.is_silent(self.placement.roster.name(at));
        let turned = self.node().turned(now, self.terms.turn, self.placement.epoch, is_silent);
        if let Some(turned) = turned {
            self.placement.jobs.insert("node".into(), Arc::new(turned));
        }
    }

    /// What the list of a member tells about turns, each kind once, and how many targets tell it.
    fn told(&self, name: &str) -> (usize, Vec<(&'static str, u64)>) {
        let listed = self.node().listed(self.at(name));
        let told = listed.filter_map(|listed| listed.turn);
        let mut told: Vec<_> = told.map(|turn| (turn.label, turn.at)).collect();
        let n_told = told.len();
        told.sort_unstable();
        told.dedup();
        (n_told, told)
    }

    /// Whether the list of a member has turns that are open.
    fn is_open(&self, name: &str) -> bool {
        let listed = self.node().listed(self.at(name));
        listed.filter_map(|listed| listed.turn).any(|turn| turn.is_open)
    }

    /// These members fetch their lists.
    fn fetch_all(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.fetch(name));
    }

    fn n_listed_twice(&self) -> usize {
        self.node().holds.len()
    }
}

const NOTHING: (usize, Vec<(&str, u64)>) = (0, Vec::new());

#[test]
fn both_lists_tell_the_turn_until_it_is_long_over() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    let n_moved = world.n_owned("s-1");
    assert_eq!(world.told("s-0"), (n_moved, vec![(UNTIL, 32_000)]));
    assert_eq!(world.told("s-1"), (n_moved, vec![(FROM, 32_000)]));
    assert_eq!(world.node().awaited(), [0, 1]);

    world.fetch("s-1");
    assert_eq!(world.node().awaited(), [0]);
    world.fetch("s-0");
    assert!(world.node().awaited().is_empty());
    world.pass(51);
    assert_eq!(world.told("s-0"), (n_moved, vec![(UNTIL, 32_000)]), "the turn that was told stays");
    assert_eq!(world.node().due(), Some(52_000));
    world.pass(1);
    assert_eq!((world.told("s-0"), world.told("s-1")), (NOTHING, NOTHING));
    assert_eq!((world.n_listed_twice(), world.node().due()), (0, None));
}

#[test]
fn between_others_there_is_no_turn() {
    for (known, newcomer) in [(Client::Muster, Client::Other), (Client::Other, Client::Muster)] {
        let mut world = World::start(&["s-0"]);
        let polls = polls(&["s-0"], known).into_iter().chain(polls(&["s-1"], newcomer)).collect();
        world.terms = Terms::of(&polls, Instant::now(), world.at);
        world.members(&["s-0", "s-1"]);
        assert_eq!((world.told("s-0"), world.told("s-1")), (NOTHING, NOTHING));
        assert_eq!((world.n_listed_twice(), world.node().due()), (world.n_owned("s-1"), None));
        world.fetch("s-1");
        assert_eq!(world.n_listed_twice(), 0);
    }
}

#[test]
fn a_turn_is_put_off_while_not_both_have_heard_of_it() {
    for who_hears in ["s-0", "s-1"] {
        let mut world = World::ours(&["s-0"]);
        world.members(&["s-0", "s-1"]);
        world.fetch(who_hears);
        world.pass(11);
        assert_eq!(world.told("s-0").1, [(UNTIL, 32_000)]);
        world.pass(1); // and twenty seconds are left to hear of that
        assert_eq!(world.told("s-0").1, [(UNTIL, 44_000)]);
        assert_eq!(world.node().awaited(), [0, 1], "both have to hear of it anew");
        world.pass(1_000);
        assert_eq!(world.told("s-0").1, [(UNTIL, 1_044_000)]);
        assert_eq!(world.told("s-1").1, [(FROM, 1_044_000)]);
        world.fetch_all(&["s-0", "s-1"]);
        world.pass(20);
        assert_eq!(world.told("s-0").1, [(UNTIL, 1_044_000)], "now it stands");
    }
}

#[test]
fn a_list_that_was_fetched_before_a_turn_was_put_off_does_not_tell_it() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    let epoch = world.placement.epoch;
    world.pass(12);
    assert!(world.node().heard(world.at("s-0"), epoch, 12_000).is_none());
    assert!(world.node().heard(world.at("s-0"), epoch + 1, 12_000).is_some());
}

#[test]
fn who_hears_of_a_turn_only_after_it_has_not_heard_of_it() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    let (at, epoch) = (world.at("s-1"), world.placement.epoch);
    assert!(world.node().heard(at, epoch, 31_999).is_some());
    assert!(world.node().heard(at, epoch, 32_000).is_none());
}

#[test]
fn a_turn_is_open_until_both_have_heard_of_it() {
    for (first, second) in [("s-0", "s-1"), ("s-1", "s-0")] {
        let mut world = World::ours(&["s-0"]);
        world.members(&["s-0", "s-1"]);
        world.fetch(first);
        assert!(world.is_open("s-0") && world.is_open("s-1"));
        world.fetch(second);
        assert!(!world.is_open("s-0") && !world.is_open("s-1"));
    }
}

#[test]
fn an_old_owner_that_falls_silent_is_not_waited_for() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.fetch("s-1");
    let polls = polls(&["s-0"], Client::Muster);
    world.terms = Terms::of(&polls, Instant::now() + MAX_LEASE, world.at);
    world.pass(12);
    assert_eq!(world.told("s-1").1, [(FROM, 32_000)]);
    assert_eq!(world.node().last_standing_turn(12_000), Some(32_000));
    assert_eq!(world.node().last_standing_turn(32_000), None);
}

#[test]
fn a_target_that_moves_on_before_its_turn_stays_with_the_first_until_a_later_one() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.fetch("s-1");
    world.pass(5);
    world.members(&["s-0", "s-2"]);
    let told = world.told("s-0");
    assert_eq!(told.1, [(UNTIL, 37_000)], "everything is still scraped by the first");
    assert_eq!(world.told("s-2"), (told.0, vec![(FROM, 37_000)]));
    assert_eq!(world.node().awaited(), [0, world.at("s-2")]);

    let told_before = world.node().holds.clone();
    world.terms.turn = Turn::after(0, Duration::from_secs(1));
    world.members(&["s-0", "s-3"]);
    let turns: BTreeMap<usize, u64> =
        world.node().holds.iter().map(|(index, hold)| (*index, hold.turn.unwrap().at)).collect();
    let moved_on = || told_before.keys().filter_map(|index| turns.get(index));
    assert!(moved_on().count() > 0);
    assert!(moved_on().all(|at| *at == 37_000), "never earlier than what was told: {turns:?}");
}

#[test]
fn a_target_that_moves_on_after_its_turn_is_held_by_who_has_it_then() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.fetch_all(&["s-0", "s-1"]);
    world.pass(32);
    world.terms = Terms::of(&polls(&["s-0", "s-1"], Client::Muster), Instant::now(), world.at);
    world.members(&["s-0", "s-1", "s-2"]);
    assert_eq!(world.told("s-0").1, [(UNTIL, 32_000), (UNTIL, 64_000)]);
    assert_eq!(world.told("s-1").1, [(FROM, 32_000), (UNTIL, 64_000)]);
    assert_eq!(world.told("s-2"), (world.n_owned("s-2"), vec![(FROM, 64_000)]));
}

#[test]
fn a_target_that_comes_back_before_its_turn_is_as_if_it_had_never_moved() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.fetch("s-1");
    world.pass(11);
    world.members(&["s-0"]);
    assert_eq!((world.told("s-0"), world.n_listed_twice()), (NOTHING, 0));
}

#[test]
fn a_holder_that_leaves_lets_the_new_owner_start_at_once() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    world.fetch("s-1");
    world.members(&["s-1"]);
    assert_eq!((world.told("s-1"), world.n_listed_twice()), (NOTHING, 0));
}

#[test]
fn a_member_that_is_drained_keeps_its_targets_until_the_turn_of_who_takes_over() {
    let mut world = World::ours(&["s-0", "s-1"]);
    let n_owned = world.n_owned("s-1");
    world.members_of_whom(&["s-0", "s-1"], "s-1");
    assert_eq!((world.n_owned("s-1"), world.told("s-1")), (0, (n_owned, vec![(UNTIL, 32_000)])));
    assert_eq!(world.told("s-0"), (n_owned, vec![(FROM, 32_000)]));
    world.fetch_all(&["s-0", "s-1"]);
    world.pass(52);
    assert_eq!((world.told("s-0"), world.n_listed_twice()), (NOTHING, 0));
    world.members(&["s-0"]);
    assert_eq!((world.told("s-0"), world.n_owned("s-0")), (NOTHING, 60));
}

#[test]
fn a_list_is_told_from_the_same_list_with_another_turn() {
    let mut world = World::ours(&["s-0"]);
    world.members(&["s-0", "s-1"]);
    let before = Arc::clone(&world.placement.jobs["node"]);
    let (owned, listed) = (world.node().owned_by_member(2), world.node().listed_by_member(2));
    for at in 0..2 {
        assert_eq!(owned[at], world.node().owned(at).collect::<Vec<_>>());
        assert_eq!(listed[at], world.node().listed(at).collect::<Vec<_>>());
    }
    let fingerprint = world.placement.fingerprint();
    world.fetch("s-1");
    assert!((0..2).all(|at| world.node().lists_alike(&before, at)), "one fetch shows in no list");
    world.fetch("s-0");
    assert!(
        (0..2).all(|at| !world.node().lists_alike(&before, at)),
        "both have to know that the turn stands"
    );
    world.pass(52);
    assert!((0..2).all(|at| !world.node().lists_alike(&before, at)));
    assert_eq!(world.placement.fingerprint(), fingerprint, "which is about owners alone");
}
