use std::collections::BTreeSet;

use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::roster::Member;

const N_TARGETS: u64 = 50_000;

fn ordinals(range: impl IntoIterator<Item = usize>) -> Roster {
    Roster::new(range.into_iter().map(|ordinal| Member::named(&format!("scraper-{ordinal}"))))
}

fn words(range: impl IntoIterator<Item = usize>) -> Roster {
    const WORDS: [&str; 12] = [
        "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll",
        "ledge",
    ];
    Roster::of(range.into_iter().map(|index| WORDS[index]))
}

fn hashes() -> impl Iterator<Item = u64> {
    (0..N_TARGETS).map(|index| xxhash_rust::xxh64::xxh64(&index.to_le_bytes(), 7))
}

fn subject(hash: u64) -> Subject<'static> {
    Subject { hash, job: "job", node: None, current: None }
}

fn owners(roster: &Roster) -> Vec<String> {
    let ring = Ring::new(roster);
    hashes().map(|hash| roster.name(ring.owner(hash).unwrap()).to_string()).collect()
}

/// The share of targets that have another owner, and whether each of them went to `to` (where one is given).
fn moved(before: &[String], after: &[String], to: Option<&str>) -> f64 {
    let moves: Vec<&String> = before.iter().zip(after).filter(|(b, a)| b != a).map(|(_, a)| a).collect();
    if let Some(to) = to {
        assert!(moves.iter().all(|owner| *owner == to), "a target moved between members that both stayed");
    }
    moves.len() as f64 / before.len() as f64
}

#[test]
fn one_more_member_takes_only_its_share_and_nothing_moves_between_the_others() {
    for n in [1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50] {
        let share = moved(&owners(&ordinals(0..n)), &owners(&ordinals(0..=n)), Some(&format!("scraper-{n}")));
        let ideal = 1.0 / (n + 1) as f64;
        assert!(share <= 1.15 * ideal, "{n} -> {}: moved {share:.4}, ideal {ideal:.4}", n + 1);
        assert!(share >= 0.85 * ideal, "{n} -> {}: moved {share:.4}, ideal {ideal:.4}", n + 1);
    }
    for n in 1..11 {
        let share = moved(&owners(&words(0..n)), &owners(&words(0..=n)), None);
        assert!(share <= 1.15 / (n + 1) as f64, "names {n}: moved {share:.4}");
    }
}

#[test]
fn one_more_ordinal_takes_its_share_while_others_are_away() {
    let away = [0, 3, 4];
    let members = |n: usize| (0..n).filter(move |ordinal| !away.contains(ordinal));
    let share = moved(&owners(&ordinals(members(8))), &owners(&ordinals(members(9))), Some("scraper-8"));
    assert!(share <= 1.15 / 6.0, "moved {share:.4}");
}

#[test]
fn a_member_that_goes_away_moves_only_its_targets_and_gets_them_back() {
    for (all, lost) in
        [(ordinals(0..7), ordinals((0..7).filter(|o| *o != 3))), (words(0..7), words([0, 1, 2, 4, 5, 6]))]
    {
        let before = owners(&all);
        let during = owners(&lost);
        let gone = all.name(3).to_string();
        for (before, during) in before.iter().zip(&during) {
            assert!(*before == gone || before == during, "{before} -> {during}");
            assert_ne!(*during, gone);
        }
        assert_eq!(owners(&all), before);
    }
}

#[test]
fn the_targets_of_an_absent_member_spread_evenly() {
    let before = owners(&ordinals(0..6));
    let during = owners(&ordinals([0, 1, 3, 4, 5]));
    let mut received = [0_usize; 6];
    for (before, during) in before.iter().zip(&during).filter(|(before, _)| *before == "scraper-2") {
        assert_ne!(before, during);
        received[during["scraper-".len()..].parse::<usize>().unwrap()] += 1;
    }
    let total: usize = received.iter().sum();
    for ordinal in [0, 1, 3, 4, 5] {
        let share = received[ordinal] as f64 / total as f64;
        assert!((0.17..0.23).contains(&share), "{received:?}");
    }
}

#[test]
fn members_carry_about_the_same_number_of_targets() {
    for roster in [ordinals(0..3), ordinals(0..10), ordinals(0..50), ordinals([1, 4, 9]), words(0..12)] {
        let ring = Ring::new(&roster);
        let mut load = vec![0_usize; roster.len()];
        for hash in hashes() {
            load[ring.owner(hash).unwrap()] += 1;
        }
        let average = N_TARGETS as f64 / roster.len() as f64;
        let most = *load.iter().max().unwrap() as f64;
        let least = *load.iter().min().unwrap() as f64;
        assert!(most / average <= 1.10 && least / average >= 0.90, "{load:?}");
    }
}

#[test]
fn the_placement_is_part_of_the_contract_between_replicas() {
    let three = ordinals(0..3);
    let ring = Ring::new(&three);
    let first: Vec<usize> = hashes().take(12).map(|hash| ring.owner(hash).unwrap()).collect();
    let direct: Vec<usize> =
        hashes().take(12).map(|hash| jump_consistent_hash::hash(hash, 3) as usize).collect();
    assert_eq!(first, direct, "with every ordinal present the owner is the plain jump hash");
}

#[test]
fn names_are_ordinals_only_with_one_stem_and_plain_numbers() {
    let by_ordinal = |names: &[&str]| {
        let ring = format!("{:?}", Ring::new(&Roster::of(names.iter().copied())));
        !ring.contains("by_ordinal: []")
    };
    assert!(by_ordinal(&["s-0", "s-1", "s-7"]));
    assert!(by_ordinal(&["a-b-0"]));
    assert!(!by_ordinal(&["a-0", "b-1"]));
    assert!(!by_ordinal(&["s-0", "extra"]));
    assert!(!by_ordinal(&["s-00", "s-1"]));
    assert!(!by_ordinal(&["s-+1"]));
    assert!(!by_ordinal(&["host-20240101"]), "beyond MAX_ORDINALS");
}

#[test]
fn two_members_far_apart_still_share() {
    let roster = ordinals([5, 9_000]);
    let ring = Ring::new(&roster);
    let first = hashes().take(2_000).filter(|hash| ring.owner(*hash) == Some(0)).count();
    assert!((800..1_200).contains(&first), "{first}");
}

#[test]
fn least_weighted_fills_evenly_and_never_moves_what_has_an_owner() {
    let mut subjects: Vec<Subject<'static>> = hashes().take(90).map(subject).collect();
    let two = ordinals(0..2);
    let owned = assign(Strategy::LeastWeighted, &subjects, &two);
    assert_eq!(owned.iter().filter(|owner| **owner == Some(0)).count(), 45);
    for (subject, owner) in subjects.iter_mut().zip(&owned) {
        subject.current = *owner;
    }
    let three = ordinals(0..3);
    assert_eq!(assign(Strategy::LeastWeighted, &subjects, &three), owned, "a new member starts empty");
    for subject in &mut subjects {
        subject.current = subject.current.filter(|owner| *owner == 0);
    }
    let after = assign(Strategy::LeastWeighted, &subjects, &three);
    assert_eq!(after.iter().filter(|owner| **owner == Some(0)).count(), 45);
    assert_eq!(after.iter().filter(|owner| **owner == Some(1)).count(), 23, "orphans go to the emptiest");
}

#[test]
fn least_weighted_breaks_ties_by_job_and_then_by_name() {
    let owned = |job, hash, current| Subject { job, current, ..subject(hash) };
    let subjects = [
        owned("a", 1, Some(0)),
        owned("b", 2, Some(1)),
        owned("a", 3, None), // equal totals: the second member has fewer of job a
    ];
    assert_eq!(assign(Strategy::LeastWeighted, &subjects, &ordinals(0..2)), [Some(0), Some(1), Some(1)]);
    let subjects = [owned("c", 9, None), owned("c", 4, None)]; // in order of hash: 4 first
    assert_eq!(assign(Strategy::LeastWeighted, &subjects, &ordinals(0..2)), [Some(1), Some(0)]);
}

#[test]
fn per_node_follows_the_node_and_falls_back_only_when_told() {
    let on = |name: &str, node: &str| Member::on(name.into(), Some(node.into()));
    let roster = Roster::new([on("agent-x", "worker-1"), on("agent-y", "worker-2")]);
    let at = |node, hash| Subject { node, ..subject(hash) };
    let subjects = [at(Some("worker-2"), 1), at(Some("worker-1"), 2), at(Some("worker-9"), 3), at(None, 4)];

    let none = assign(Strategy::PerNode { fallback: None }, &subjects, &roster);
    assert_eq!(none, [Some(1), Some(0), None, None]);

    for fallback in [Fallback::ConsistentHashing, Fallback::LeastWeighted] {
        let owners = assign(Strategy::PerNode { fallback: Some(fallback) }, &subjects, &roster);
        assert_eq!(owners[..2], [Some(1), Some(0)]);
        assert!(owners.iter().all(Option::is_some), "{fallback:?}: {owners:?}");
    }
}

#[test]
fn per_node_leaves_targets_with_a_draining_member_where_nobody_else_could_take_them() {
    let draining =
        |name: &str, node: &str| Member { is_draining: true, ..Member::on(name.into(), Some(node.into())) };
    let roster =
        Roster::new([draining("a", "n-1"), draining("b", "n-2"), Member::on("c".into(), Some("n-2".into()))]);
    let subjects = [Subject { node: Some("n-1"), ..subject(1) }, Subject { node: Some("n-2"), ..subject(2) }];
    assert_eq!(assign(Strategy::PerNode { fallback: None }, &subjects, &roster), [Some(0), Some(2)]);
    let fallback = Strategy::PerNode { fallback: Some(Fallback::ConsistentHashing) };
    assert_eq!(assign(fallback, &subjects, &roster), [Some(2), Some(2)]);
}

#[test]
fn a_member_without_a_node_serves_the_node_of_its_own_name() {
    let subjects = [Subject { node: Some("worker-1"), ..subject(1) }];
    let roster = Roster::of(["worker-0", "worker-1"]);
    assert_eq!(assign(Strategy::PerNode { fallback: None }, &subjects, &roster), [Some(1)]);
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![
        Just(Strategy::ConsistentHashing),
        Just(Strategy::LeastWeighted),
        Just(Strategy::PerNode { fallback: None }),
        Just(Strategy::PerNode { fallback: Some(Fallback::ConsistentHashing) }),
        Just(Strategy::PerNode { fallback: Some(Fallback::LeastWeighted) }),
    ]
}

proptest! {
    #[test]
    fn the_order_of_inputs_is_irrelevant(
        strategy in strategies(),
        hashes in prop::collection::btree_set(any::<u64>(), 0..60),
        ordinals in prop::collection::btree_set(0_usize..20, 1..8),
        named in any::<bool>(),
    ) {
        let name = |ordinal: &usize| if named { format!("{}-s", ordinal) } else { format!("s-{ordinal}") };
        let forward: Vec<Subject<'_>> = hashes.iter().map(|hash| subject(*hash)).collect();
        let backward: Vec<Subject<'_>> = forward.iter().rev().copied().collect();
        let members: Vec<Member> = ordinals.iter().map(|ordinal| Member::named(&name(ordinal))).collect();
        let one = Roster::new(members.clone());
        let other = Roster::new(members.into_iter().rev());
        let mut mirrored = assign(strategy, &backward, &other);
        mirrored.reverse();
        prop_assert_eq!(assign(strategy, &forward, &one), mirrored);
    }

    #[test]
    fn only_the_targets_of_a_lost_middle_member_move(
        hashes in prop::collection::btree_set(any::<u64>(), 0..200),
        ordinals in prop::collection::btree_set(0_usize..30, 2..12),
        lost in any::<prop::sample::Index>(),
        named in any::<bool>(),
    ) {
        let name = |ordinal: &usize| if named { format!("{}-s", ordinal) } else { format!("s-{ordinal}") };
        let n_middle = if named { ordinals.len() } else { ordinals.len() - 1 };
        let lost = *lost.get(&ordinals.iter().copied().take(n_middle).collect::<Vec<_>>());
        let rest: BTreeSet<usize> = ordinals.iter().copied().filter(|ordinal| *ordinal != lost).collect();
        let all = Roster::new(ordinals.iter().map(|ordinal| Member::named(&name(ordinal))));
        let some = Roster::new(rest.iter().map(|ordinal| Member::named(&name(ordinal))));
        let (before, after) = (Ring::new(&all), Ring::new(&some));
        for hash in hashes {
            let before = all.name(before.owner(hash).unwrap());
            let after = some.name(after.owner(hash).unwrap());
            prop_assert!(before == after || **before == name(&lost), "{} -> {}", before, after);
        }
    }

    #[test]
    fn a_draining_member_is_passed_over_as_if_it_were_gone(
        strategy in strategies(),
        hashes in prop::collection::btree_set(any::<u64>(), 0..60),
        ordinals in prop::collection::btree_set(0_usize..20, 2..8),
        drained in any::<prop::sample::Index>(),
        named in any::<bool>(),
    ) {
        let name = |ordinal: &usize| if named { format!("{}-s", ordinal) } else { format!("s-{ordinal}") };
        proptest::prop_assume!(strategy != Strategy::PerNode { fallback: None }); // the exception
        let drained = name(drained.get(&ordinals.iter().copied().collect::<Vec<_>>()));
        let members: Vec<Member> = ordinals.iter().map(|ordinal| Member::named(&name(ordinal))).collect();
        let draining = |member: &Member| Member { is_draining: *member.name == *drained, ..member.clone() };
        let with = Roster::new(members.iter().map(draining));
        let without = Roster::new(members.into_iter().filter(|member| *member.name != *drained));
        let subjects: Vec<Subject<'_>> = hashes.iter().map(|hash| subject(*hash)).collect();
        let names = |roster: &Roster| -> Vec<String> {
            assign(strategy, &subjects, roster).iter().map(|at| roster.name(at.unwrap()).to_string()).collect()
        };
        prop_assert_eq!(names(&with), names(&without));
    }

    #[test]
    fn every_target_has_one_owner_among_the_members(
        strategy in strategies(),
        hashes in prop::collection::vec(any::<u64>(), 0..60),
        n in 0_usize..9,
    ) {
        let roster = ordinals(0..n);
        let subjects: Vec<Subject<'_>> = hashes.iter().map(|hash| subject(*hash)).collect();
        let owners = assign(strategy, &subjects, &roster);
        prop_assert_eq!(owners.len(), subjects.len());
        let may_miss = n == 0 || strategy == Strategy::PerNode { fallback: None };
        for owner in owners {
            prop_assert!(owner.map_or(may_miss, |at| at < n));
        }
    }
}
