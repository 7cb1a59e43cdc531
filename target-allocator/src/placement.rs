//! Which member has which target, from one epoch to the next.
//!
//! [`Placement::next`] is a pure function: the last placement, the targets and the roster go in; the new placement and
//! the moves come out.
//!
//! **Handover.** Collectors fetch their lists one after the other, so when a target moves, the old owner may hear of it
//! half a minute before the new one does, and the target would be scraped by nobody in between (upstream: a gap, or two
//! collectors at once, for up to a minute). Here the old owner keeps the target in its list until the new owner has
//! fetched a list that holds it: make before break. Between the two fetches both scrape it; nobody never does. The
//! owner proper is always exactly one, and only the owner counts in `/jobs/<job>/targets` without a collector.
//! A holder that leaves, and a target that vanishes or comes back, end the handover.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::assign::{Strategy, Subject, assign};
use crate::items::{Item, Items};
use crate::moves::{Move, MoveLog, Reason};
use crate::roster::Roster;

/// An old owner that still lists a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Position of the old owner in the roster.
    pub at: usize,
    /// The epoch since which the new owner lists the target.
    pub since: u64,
}

/// Who has the targets of one job.
#[derive(Clone, Debug, Default)]
pub struct JobPlacement {
    /// The targets.
    pub items: Items,
    /// Position in the roster of each target's owner.
    pub owners: Vec<Option<usize>>,
    /// Targets that are being handed over, by their index in `items`.
    pub holds: BTreeMap<usize, Hold>,
}

impl JobPlacement {
    /// The targets that a member owns.
    pub fn owned(&self, at: usize) -> impl Iterator<Item = &Arc<Item>> {
        self.items
            .iter()
            .zip(&self.owners)
            .filter(move |(_, owner)| **owner == Some(at))
            .map(|(item, _)| item)
    }

    /// The targets in a member's list: those it owns and those it still holds for a new owner.
    pub fn listed(&self, at: usize) -> impl Iterator<Item = &Arc<Item>> {
        self.items.iter().zip(&self.owners).enumerate().filter_map(move |(index, (item, owner))| {
            let holds = || self.holds.get(&index).is_some_and(|hold| hold.at == at);
            (*owner == Some(at) || holds()).then_some(item)
        })
    }

    /// [`Self::owned`] of every member at once.
    #[must_use]
    pub fn owned_by_member(&self, n_members: usize) -> Vec<Vec<&Arc<Item>>> {
        let mut lists = vec![Vec::new(); n_members];
        for (item, owner) in self.items.iter().zip(&self.owners) {
            if let Some(at) = owner {
                lists[*at].push(item);
            }
        }
        lists
    }

    /// [`Self::listed`] of every member at once.
    #[must_use]
    pub fn listed_by_member(&self, n_members: usize) -> Vec<Vec<&Arc<Item>>> {
        let mut lists = vec![Vec::new(); n_members];
        let mut holds = self.holds.iter().peekable();
        for (index, (item, owner)) in self.items.iter().zip(&self.owners).enumerate() {
            let hold = holds.next_if(|(held, _)| **held == index).map(|(_, hold)| hold.at);
            for at in owner.iter().chain(&hold) {
                lists[*at].push(item);
            }
        }
        lists
    }

    /// Whether a member has the same list in both.
    #[must_use]
    pub fn lists_alike(&self, other: &Self, at: usize) -> bool {
        let held = |placed: &Self| -> Vec<usize> {
            placed.holds.iter().filter(|(_, hold)| hold.at == at).map(|(index, _)| *index).collect()
        };
        Arc::ptr_eq(&self.items, &other.items) && self.owners == other.owners && held(self) == held(other)
    }

    /// Number of targets by member, and the number that nobody has.
    #[must_use]
    pub fn counts(&self, n_members: usize) -> (Vec<usize>, usize) {
        let mut counts = vec![0; n_members];
        let mut n_unassigned = 0;
        for owner in &self.owners {
            match owner {
                Some(at) => counts[*at] += 1,
                None => n_unassigned += 1,
            }
        }
        (counts, n_unassigned)
    }

    /// Members that must fetch their list before an old owner is released.
    #[must_use]
    pub fn awaited(&self) -> Vec<usize> {
        let mut awaited: Vec<usize> = self.holds.keys().filter_map(|index| self.owners[*index]).collect();
        awaited.sort_unstable();
        awaited.dedup();
        awaited
    }

    /// The new owner `at` was given the list of `epoch`: whoever held its targets until then is released.
    /// `None` when nothing changes.
    #[must_use]
    pub fn released(&self, at: usize, epoch: u64) -> Option<Self> {
        let mut holds = self.holds.clone();
        holds.retain(|index, hold| self.owners[*index] != Some(at) || hold.since > epoch);
        (holds.len() < self.holds.len()).then(|| Self { holds, ..self.clone() })
    }
}

/// Who has what, in one epoch.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Counts placements; the first has epoch 1.
    pub epoch: u64,
    /// How targets were shared out.
    pub strategy: Strategy,
    /// Among whom.
    pub roster: Roster,
    /// By job.
    pub jobs: BTreeMap<Arc<str>, Arc<JobPlacement>>,
}

impl Placement {
    /// The placement after this one.
    #[must_use]
    pub fn next(
        &self,
        strategy: Strategy,
        roster: &Roster,
        jobs: &BTreeMap<Arc<str>, Items>,
        at: SystemTime,
        log: &mut MoveLog,
    ) -> Self {
        let epoch = self.epoch + 1;
        let step = Step::new(self, strategy, roster, epoch, at);
        let mut placed = BTreeMap::new();
        let mut fresh = Vec::new();
        for (job, items) in jobs {
            match self.still_good(strategy, roster, job, items) {
                Some(before) => drop(placed.insert(Arc::clone(job), before)),
                None => fresh.push((job, items)),
            }
        }
        let known: Vec<Known<'_>> = fresh.iter().map(|(job, _)| step.known(job)).collect();
        let pairs = || fresh.iter().zip(&known);
        let subjects: Vec<Subject<'_>> =
            pairs().flat_map(|((job, items), known)| step.subjects(job, items, known)).collect();
        let mut owners = assign(strategy, &subjects, roster).into_iter();
        let n_before = log.total();
        for ((job, items), known) in pairs() {
            let owners = owners.by_ref().take(items.len()).collect();
            placed.insert(Arc::clone(job), step.job(job, items, known, owners, log));
        }
        log.record_change(epoch, at, &self.roster, roster, log.total() - n_before);
        Self { epoch, strategy, roster: roster.clone(), jobs: placed }
    }

    /// The last placement of a job, where sharing out again could not change it.
    fn still_good(
        &self,
        strategy: Strategy,
        roster: &Roster,
        job: &str,
        items: &Items,
    ) -> Option<Arc<JobPlacement>> {
        let same = strategy.is_local() && strategy == self.strategy && *roster == self.roster;
        let before = self.jobs.get(job).filter(|before| same && Arc::ptr_eq(&before.items, items))?;
        Some(Arc::clone(before))
    }

    /// xxHash64 over identity and owner of every target: equal on two replicas exactly when they give equal answers
    /// about owners.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh64::Xxh64::new(0);
        for (job, placed) in &self.jobs {
            hasher.update(job.as_bytes());
            hasher.update(&[0xff]);
            for (item, owner) in placed.items.iter().zip(&placed.owners) {
                hasher.update(&item.hash.to_le_bytes());
                hasher.update(owner.map_or("", |at| self.roster.name(at)).as_bytes());
                hasher.update(&[0xff]);
            }
        }
        hasher.digest()
    }
}

/// From one placement to the next.
struct Step<'a> {
    before: &'a Placement,
    /// Where each member of the old roster stands in the new one.
    moved_to: Vec<Option<usize>>,
    strategy: Strategy,
    roster: &'a Roster,
    epoch: u64,
    at: SystemTime,
}

/// The old placement of a job, and where each target stands in it.
struct Known<'a> {
    placed: Option<&'a Arc<JobPlacement>>,
    index: HashMap<u64, usize>,
}

impl<'a> Known<'a> {
    /// The old placement and the index in it of a target that had an owner.
    fn owned(&self, hash: u64) -> Option<(&'a JobPlacement, usize, usize)> {
        let (placed, index) = (self.placed?, *self.index.get(&hash)?);
        Some((placed, index, placed.owners[index]?))
    }
}

impl<'a> Step<'a> {
    fn new(
        before: &'a Placement,
        strategy: Strategy,
        roster: &'a Roster,
        epoch: u64,
        at: SystemTime,
    ) -> Self {
        let moved_to = before.roster.iter().map(|member| roster.position(&member.name)).collect();
        Self { before, moved_to, strategy, roster, epoch, at }
    }

    fn known(&self, job: &str) -> Known<'a> {
        let placed = self.before.jobs.get(job);
        let items = placed.iter().flat_map(|placed| placed.items.iter());
        Known { placed, index: items.enumerate().map(|(index, item)| (item.hash, index)).collect() }
    }

    fn subjects<'s>(
        &'s self,
        job: &'s str,
        items: &'s Items,
        known: &'s Known<'a>,
    ) -> impl Iterator<Item = Subject<'s>> + 's {
        items.iter().map(move |item| {
            let current = known.owned(item.hash).and_then(|(_, _, owner)| self.moved_to[owner]);
            Subject { hash: item.hash, job, node: item.node(), current }
        })
    }

    fn job(
        &self,
        job: &Arc<str>,
        items: &Items,
        known: &Known<'a>,
        owners: Vec<Option<usize>>,
        log: &mut MoveLog,
    ) -> Arc<JobPlacement> {
        let mut holds = BTreeMap::new();
        for (index, (item, owner)) in items.iter().zip(&owners).enumerate() {
            let Some((placed, old_index, old_owner)) = known.owned(item.hash) else { continue };
            let stays = owner.is_some() && self.moved_to[old_owner] == *owner;
            if let Some(hold) = self.hold(placed, old_index, *owner, stays) {
                holds.insert(index, hold);
            }
            if !stays {
                log.record(self.describe(job, item, &placed.items[old_index], old_owner, *owner));
            }
        }
        match known.placed {
            Some(before)
                if *self.roster == self.before.roster
                    && Arc::ptr_eq(&before.items, items)
                    && before.owners == owners
                    && before.holds == holds =>
            {
                Arc::clone(before)
            }
            _ => Arc::new(JobPlacement { items: Arc::clone(items), owners, holds }),
        }
    }

    /// Who keeps listing a target beside its owner.
    fn hold(&self, placed: &JobPlacement, index: usize, owner: Option<usize>, stays: bool) -> Option<Hold> {
        let owner = owner?;
        let ongoing = placed.holds.get(&index);
        let still_there = |at: usize| self.moved_to[at].filter(|at| *at != owner);
        if stays {
            let hold = ongoing?;
            return still_there(hold.at).map(|at| Hold { at, since: hold.since });
        }
        // An owner that never fetched its list scrapes nothing yet; whoever held the target for it still does.
        let holder =
            ongoing.and_then(|hold| self.moved_to[hold.at]).or(self.moved_to[placed.owners[index]?])?;
        (holder != owner).then_some(Hold { at: holder, since: self.epoch })
    }

    fn describe(&self, job: &Arc<str>, item: &Item, old_item: &Item, from: usize, to: Option<usize>) -> Move {
        let to_name = to.map(|at| Arc::clone(self.roster.name(at)));
        let joined = to_name.as_ref().is_some_and(|name| self.before.roster.position(name).is_none());
        let reason = if self.moved_to[from].is_none() {
            Reason::MemberLeft
        } else if joined {
            Reason::MemberJoined
        } else if self.strategy != self.before.strategy {
            Reason::StrategyChanged
        } else if item.node() != old_item.node() || matches!(self.strategy, Strategy::PerNode { .. }) {
            Reason::NodeChanged
        } else {
            Reason::Rebalanced
        };
        Move {
            job: Arc::clone(job),
            target: item.address().into(),
            hash: item.hash,
            from: Arc::clone(self.before.roster.name(from)),
            to: to_name,
            reason,
            epoch: self.epoch,
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests;
