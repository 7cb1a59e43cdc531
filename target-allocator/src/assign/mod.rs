//! Who scrapes what: pure functions of targets and members.
//!
//! The three strategies have upstream's names and intent. `consistent-hashing` differs on purpose: upstream hashes the
//! address before relabelling onto a ring of 1061 partitions, which moves up to half of all targets when the ring is
//! rebuilt and leaves members idle when there are many; ours hashes the whole identity of a target and moves what must
//! move ([`Ring`]). `least-weighted` and `per-node` follow upstream, with ties broken by order of hash and name
//! so that replicas which start from the same knowledge agree.
//!
//! Nothing here reads a clock, a socket or a map of random order: the same input gives the same answer on every
//! replica, in every test, and the order of inputs does not matter.

mod consistent;
mod least_weighted;
mod per_node;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::roster::Roster;

pub use consistent::{MAX_ORDINALS, PROBES, Ring};

/// What a strategy may know about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The target's identity: labels after relabelling and its job ([`crate::items::Item::hash`]).
    pub hash: u64,
    /// The job, which `least-weighted` uses to break ties.
    pub job: &'a str,
    /// The node the target runs on, where its labels tell.
    pub node: Option<&'a str>,
    /// Position in the roster of the member that has it now; only `least-weighted` looks at it.
    pub current: Option<usize>,
}

/// How targets are shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// By hash: the default.
    #[default]
    ConsistentHashing,
    /// A target stays where it is; a new one goes to the member with the fewest.
    LeastWeighted,
    /// To the member on the target's node.
    PerNode {
        /// Takes the targets without a node, or on a node without a member; they have no owner otherwise.
        fallback: Option<Fallback>,
    },
}

/// Strategies that can stand in for `per-node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// By hash.
    ConsistentHashing,
    /// To the member with the fewest.
    LeastWeighted,
}

impl Strategy {
    /// Whether the owner of a target depends on that target and the roster alone, so that what did not change need not be
    /// shared out again.
    #[must_use]
    pub fn is_local(self) -> bool {
        match self {
            Self::ConsistentHashing => true,
            Self::LeastWeighted => false,
            Self::PerNode { fallback } => fallback != Some(Fallback::LeastWeighted),
        }
    }

    /// The name used in configuration files and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsistentHashing => "consistent-hashing",
            Self::LeastWeighted => "least-weighted",
            Self::PerNode { .. } => "per-node",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The position in the roster of each target's owner, in the order of the subjects. `None` where the strategy has no
/// member for a target, and everywhere when the roster is empty. Members that are draining are given nothing (with one
/// exception, see `per_node`).
#[must_use]
pub fn assign(strategy: Strategy, subjects: &[Subject<'_>], roster: &Roster) -> Vec<Option<usize>> {
    if roster.is_empty() {
        return vec![None; subjects.len()];
    }
    match strategy {
        Strategy::ConsistentHashing => consistent::assign(subjects, roster),
        Strategy::LeastWeighted => least_weighted::assign(subjects, roster),
        Strategy::PerNode { fallback } => per_node::assign(subjects, roster, fallback),
    }
}
