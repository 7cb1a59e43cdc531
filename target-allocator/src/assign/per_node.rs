//! `per-node`: each target goes to the member on its own node.
//!
//! As upstream, with two clarifications: several members on one node share its targets by rendezvous (upstream lets
//! one of them win by chance), and a target without a node, or on a node without a member, goes to the fallback
//! strategy where one is configured and to nobody otherwise. Which labels tell the node is
//! [`crate::items::node_of`]'s business. A member that is draining keeps the targets of its node where nobody else could
//! take them.

use std::collections::HashMap;

use xxhash_rust::xxh64::xxh64;

use super::{Fallback, Subject, consistent, least_weighted};
use crate::roster::Roster;

pub(super) fn assign(
    subjects: &[Subject<'_>],
    roster: &Roster,
    fallback: Option<Fallback>,
) -> Vec<Option<usize>> {
    let mut by_node: HashMap<&str, Vec<(usize, u64)>> = HashMap::new();
    for (at, member) in roster.iter().enumerate() {
        by_node.entry(member.serves_node()).or_default().push((at, xxh64(member.name.as_bytes(), 0)));
    }
    let on_node = |subject: &Subject<'_>, is_eligible: &dyn Fn(usize) -> bool| {
        let members = by_node.get(subject.node?)?;
        consistent::best(subject.hash, members.iter().copied().filter(|(at, _)| is_eligible(*at)))
    };
    let stays = |at| roster.is_staying(at);
    let mut owners: Vec<Option<usize>> = subjects.iter().map(|subject| on_node(subject, &stays)).collect();
    match fallback {
        None => {
            for (subject, owner) in subjects.iter().zip(&mut owners) {
                *owner = owner.or_else(|| on_node(subject, &|_| true));
            }
        }
        Some(Fallback::ConsistentHashing) => {
            let ring = consistent::Ring::new(roster);
            for (subject, owner) in subjects.iter().zip(&mut owners) {
                *owner = owner.or_else(|| ring.owner(subject.hash));
            }
        }
        Some(Fallback::LeastWeighted) => by_least_weight(subjects, &mut owners, roster),
    }
    owners
}

/// Upstream's fallback counts the targets that members have by node, and leaves a target where it is.
fn by_least_weight(subjects: &[Subject<'_>], owners: &mut [Option<usize>], roster: &Roster) {
    let mut load = least_weighted::Load::new(roster);
    for (subject, owner) in subjects.iter().zip(owners.iter_mut()) {
        *owner = owner.or(subject.current.filter(|at| roster.is_staying(*at)));
        if let Some(at) = owner {
            load.add(*at, subject.job);
        }
    }
    least_weighted::place_rest(subjects, owners, &mut load);
}
