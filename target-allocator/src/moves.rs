//! What was moved from one collector to another, when and why. Bounded: counts are exact, the list is recent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use crate::roster::Roster;

/// Moves that are remembered one by one.
pub const RECENT_MOVES: usize = 500;

/// Changes of who is there that are remembered.
pub const RECENT_CHANGES: usize = 100;

/// Why a target has another owner than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The old owner is no longer a member, or is about to leave.
    MemberLeft,
    /// The new owner was not a member before.
    MemberJoined,
    /// Another strategy was configured.
    StrategyChanged,
    /// The target says it is on another node than before, or a member is.
    NodeChanged,
    /// None of the above: other members came or went, and this target's share shifted.
    Rebalanced,
}

impl Reason {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 5] =
        [Self::MemberLeft, Self::MemberJoined, Self::StrategyChanged, Self::NodeChanged, Self::Rebalanced];

    /// As it is written in metrics and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MemberLeft => "member_left",
            Self::MemberJoined => "member_joined",
            Self::StrategyChanged => "strategy_changed",
            Self::NodeChanged => "node_changed",
            Self::Rebalanced => "rebalanced",
        }
    }
}

/// One target that changed hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The job of the target.
    pub job: Arc<str>,
    /// Its address before relabelling.
    pub target: Box<str>,
    /// Its identity.
    pub hash: u64,
    /// Who had it.
    pub from: Arc<str>,
    /// Who has it now; nobody when the strategy has no member for it any more.
    pub to: Option<Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// The epoch in which it was moved.
    pub epoch: u64,
    /// When.
    pub at: SystemTime,
}

/// Members that came and went together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The epoch in which the new members took part for the first time.
    pub epoch: u64,
    /// When.
    pub at: SystemTime,
    /// Who was not there before.
    pub joined: Vec<Arc<str>>,
    /// Who is not there any more.
    pub left: Vec<Arc<str>>,
    /// How many targets changed hands for it.
    pub n_moved: u64,
}

/// Everything remembered about moves.
#[derive(Clone, Debug, Default)]
pub struct MoveLog {
    by_reason: BTreeMap<Reason, u64>,
    recent: VecDeque<Arc<Move>>,
    changes: VecDeque<Arc<Change>>,
}

impl MoveLog {
    /// Remembers a move.
    pub fn record(&mut self, moved: Move) {
        *self.by_reason.entry(moved.reason).or_default() += 1;
        push_bounded(&mut self.recent, Arc::new(moved), RECENT_MOVES);
    }

    /// Remembers who came and went between two rosters; nothing when the names are the same.
    pub fn record_change(
        &mut self,
        epoch: u64,
        at: SystemTime,
        before: &Roster,
        after: &Roster,
        n_moved: u64,
    ) {
        let missing = |from: &Roster, names: &Roster| -> Vec<Arc<str>> {
            let names = names.iter().map(|member| &member.name);
            names.filter(|name| from.position(name).is_none()).cloned().collect()
        };
        let (joined, left) = (missing(before, after), missing(after, before));
        if !joined.is_empty() || !left.is_empty() {
            let change = Change { epoch, at, joined, left, n_moved };
            push_bounded(&mut self.changes, Arc::new(change), RECENT_CHANGES);
        }
    }

    /// Moves since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// Moves since the start for one reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.by_reason.get(&reason).copied().unwrap_or(0)
    }

    /// The last [`RECENT_MOVES`], newest first.
    pub fn recent(&self) -> impl Iterator<Item = &Arc<Move>> {
        self.recent.iter().rev()
    }

    /// The last [`RECENT_CHANGES`], newest first.
    pub fn changes(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.changes.iter().rev()
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, bound: usize) {
    if queue.len() == bound {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_where_the_list_is_bounded() {
        let mut log = MoveLog::default();
        for hash in 0..(RECENT_MOVES as u64 + 7) {
            log.record(Move {
                job: "job".into(),
                target: "h:1".into(),
                hash,
                from: "s-0".into(),
                to: None,
                reason: Reason::MemberLeft,
                epoch: 1,
                at: SystemTime::UNIX_EPOCH,
            });
        }
        assert_eq!(log.total(), RECENT_MOVES as u64 + 7);
        assert_eq!(log.count(Reason::MemberLeft), log.total());
        assert_eq!(log.recent().count(), RECENT_MOVES);
        assert_eq!(log.recent().next().map(|moved| moved.hash), Some(RECENT_MOVES as u64 + 6));
    }

    #[test]
    fn a_change_names_who_came_and_who_went() {
        let mut log = MoveLog::default();
        let (before, after) = (Roster::of(["a", "b"]), Roster::of(["b", "c"]));
        log.record_change(1, SystemTime::UNIX_EPOCH, &before, &before, 0);
        assert_eq!(log.changes().count(), 0);
        log.record_change(2, SystemTime::UNIX_EPOCH, &before, &after, 5);
        let change = log.changes().next().unwrap();
        assert_eq!((change.joined[0].as_ref(), change.left[0].as_ref(), change.n_moved), ("c", "a", 5));
    }
}
