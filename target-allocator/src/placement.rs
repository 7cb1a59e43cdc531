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
//!
//! **Turns.** Where both sides are our own scrapers, [`Terms`] give the handover a [`Turn`], which both lists tell: until
//! then the target is scraped by the old owner alone, and from then on by the new one alone. The turn is open, which lists tell as
//! well, and put off for as long as not both have fetched a list that tells it ([`crate::handover`]). Such a handover ends when nobody needs to be told any more. A target
//! that moves on before its turn is scraped by the old owner until a new turn, which is not earlier than the first one;
//! after its turn, it is the new owner that holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::assign::{Strategy, Subject, assign};
use crate::handover::{FROM, Terms, Turn, UNTIL, unix_millis};
use crate::items::{Item, Items};
use crate::moves::{Move, MoveLog, Reason};
use crate::roster::Roster;

/// An old owner that still lists a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Position of the old owner in the roster.
    pub at: usize,
    /// The epoch since which both lists tell it as it is.
    pub since: u64,
    /// When the target changes hands. Without it, both scrape it until the new owner has fetched its list.
    pub turn: Option<Turn>,
    /// Whether the new owner has fetched a list that holds the target; without a turn, the hold ends with that.
    pub is_fetched: bool,
    /// Whether the old owner has fetched a list that tells the turn.
    pub is_told: bool,
}

impl Hold {
    /// Whether both have heard of the turn, so that it stands.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_fetched && self.is_told
    }

    /// When it ends or its turn must be put off, in milliseconds since 1970.
    fn due(&self) -> Option<u64> {
        self.turn.map(|turn| if self.is_settled() { turn.ends_at() } else { turn.fixed_at() })
    }

    fn is_due(&self, now: u64) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether the target has changed hands.
    fn has_turned(&self, now: u64) -> bool {
        self.is_settled() && self.turn.is_some_and(|turn| turn.at <= now)
    }
}

/// A turn as a list tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The label, [`FROM`] or [`UNTIL`].
    pub label: &'static str,
    /// The turn, in milliseconds since 1970.
    pub at: u64,
    /// Whether [`OPEN`](crate::handover::OPEN) is told as well.
    pub is_open: bool,
}

/// A target in a member's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The target.
    pub item: &'a Arc<Item>,
    /// While it is being handed over at an agreed turn: what is told of it.
    pub turn: Option<Told>,
}

impl<'a> Listed<'a> {
    /// A target that is not being handed over.
    #[must_use]
    pub fn plain(item: &'a Arc<Item>) -> Self {
        Self { item, turn: None }
    }

    fn with(item: &'a Arc<Item>, label: &'static str, hold: Option<&Hold>) -> Self {
        let told = |hold: &Hold| Some(Told { label, at: hold.turn?.at, is_open: !hold.is_settled() });
        Self { item, turn: hold.and_then(told) }
    }
}

/// Since when a target has its owner, or nobody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The beginning.
    pub since: SystemTime,
    /// What happened then.
    pub began: Began,
}

/// How a target came to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// The target was found.
    Found,
    /// The allocator started, and went on with what was before.
    Resumed,
    /// The target was moved.
    Moved(Reason),
}

/// Who has the targets of one job.
#[derive(Clone, Debug, Default)]
pub struct JobPlacement {
    /// The targets.
    pub items: Items,
    /// Position in the roster of each target's owner.
    pub owners: Vec<Option<usize>>,
    /// Since when each target has it; empty where that is not known.
    pub tenures: Vec<Tenure>,
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
    pub fn listed(&self, at: usize) -> impl Iterator<Item = Listed<'_>> {
        self.items.iter().zip(&self.owners).enumerate().filter_map(move |(index, (item, owner))| {
            let hold = self.holds.get(&index);
            if *owner == Some(at) {
                return Some(Listed::with(item, FROM, hold));
            }
            hold.filter(|hold| hold.at == at).map(|hold| Listed::with(item, UNTIL, Some(hold)))
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
    pub fn listed_by_member(&self, n_members: usize) -> Vec<Vec<Listed<'_>>> {
        let mut lists = vec![Vec::new(); n_members];
        let mut holds = self.holds.iter().peekable();
        for (index, (item, owner)) in self.items.iter().zip(&self.owners).enumerate() {
            let hold = holds.next_if(|(held, _)| **held == index).map(|(_, hold)| hold);
            if let Some(at) = owner {
                lists[*at].push(Listed::with(item, FROM, hold));
            }
            if let Some(hold) = hold {
                lists[hold.at].push(Listed::with(item, UNTIL, Some(hold)));
            }
        }
        lists
    }

    /// Whether a member has the same list in both.
    #[must_use]
    pub fn lists_alike(&self, other: &Self, at: usize) -> bool {
        // What holds add to the list: targets that it would not have, turns, and whether they stand.
        let shown = |placed: &Self| -> Vec<(usize, bool, Option<Turn>, bool)> {
            let is_shown = |(index, hold): &(&usize, &Hold)| {
                hold.at == at || (hold.turn.is_some() && placed.owners[**index] == Some(at))
            };
            let holds = placed.holds.iter().filter(is_shown);
            holds.map(|(index, hold)| (*index, hold.at == at, hold.turn, hold.is_settled())).collect()
        };
        Arc::ptr_eq(&self.items, &other.items) && self.owners == other.owners && shown(self) == shown(other)
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
        let new = |(index, hold): (&usize, &Hold)| self.owners[*index].filter(|_| !hold.is_fetched);
        let old = |hold: &Hold| Some(hold.at).filter(|_| hold.turn.is_some() && !hold.is_told);
        let holds = || self.holds.iter();
        holds()
            .filter_map(new)
            .chain(holds().filter_map(|(_, hold)| old(hold)))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The member `at` was given the list of `epoch`: whoever held its targets until then is released, at once or at the turn,
    /// and it knows of the turns of those that it holds itself, unless they are past at `now`, in milliseconds since 1970. `None`
    /// when nothing changes.
    #[must_use]
    pub fn heard(&self, at: usize, epoch: u64, now: u64) -> Option<Self> {
        let mut holds = self.holds.clone();
        holds.retain(|index, hold| {
            let is_late = hold.turn.is_some_and(|turn| turn.at <= now);
            let is_in_list = hold.since <= epoch && !is_late;
            hold.is_fetched |= is_in_list && self.owners[*index] == Some(at);
            hold.is_told |= is_in_list && hold.turn.is_some() && hold.at == at;
            !hold.is_fetched || hold.turn.is_some()
        });
        (holds != self.holds).then(|| Self { holds, ..self.clone() })
    }

    /// The last of the turns that stand and have not come yet, in milliseconds since 1970.
    #[must_use]
    pub fn last_standing_turn(&self, now: u64) -> Option<u64> {
        let standing = self.holds.values().filter(|hold| hold.is_settled());
        standing.filter_map(|hold| Some(hold.turn?.at)).filter(|at| now < *at).max()
    }

    /// When [`Self::turned`] must look at it, in milliseconds since 1970.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.holds.values().filter_map(Hold::due).min()
    }

    /// Ends handovers that nobody needs to be told of any more, and puts turns off to `next` that come too soon for somebody who
    /// has not heard of them; lists tell that from `epoch` on. Old owners that are silent are not waited for. `None` when nothing
    /// changes.
    #[must_use]
    pub fn turned(
        &self,
        now: u64,
        next: Turn,
        epoch: u64,
        is_silent: impl Fn(usize) -> bool,
    ) -> Option<Self> {
        if !self.holds.values().any(|hold| hold.is_due(now)) {
            return None;
        }
        let mut holds = self.holds.clone();
        for hold in holds.values_mut().filter(|hold| hold.is_due(now)) {
            hold.is_told |= is_silent(hold.at);
        }
        holds.retain(|_, hold| !(hold.is_settled() && hold.is_due(now)));
        for hold in holds.values_mut().filter(|hold| hold.is_due(now)) {
            let turn = Some(next.not_before(hold.turn));
            *hold = Hold { turn, since: epoch, is_fetched: false, is_told: false, ..*hold };
        }
        Some(Self { holds, ..self.clone() })
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
    /// The placement after this one. `terms` are those of the moment `at`.
    #[must_use]
    pub fn next(
        &self,
        strategy: Strategy,
        roster: &Roster,
        jobs: &BTreeMap<Arc<str>, Items>,
        terms: &Terms,
        at: SystemTime,
        log: &mut MoveLog,
    ) -> Self {
        let moved_to = self.roster.iter().map(|member| roster.position(&member.name)).collect();
        let epoch = self.epoch + 1;
        let step = Step { before: self, moved_to, strategy, roster, terms, epoch, at };
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
    terms: &'a Terms,
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
        let mut tenures = Vec::with_capacity(items.len());
        for (index, (item, owner)) in items.iter().zip(&owners).enumerate() {
            let Some((placed, old_index, old_owner)) = known.owned(item.hash) else {
                tenures.push(self.first_tenure(known, item.hash, *owner));
                continue;
            };
            let stays = owner.is_some() && self.moved_to[old_owner] == *owner;
            if let Some(hold) = self.hold(placed, old_index, *owner, stays) {
                holds.insert(index, hold);
            }
            if stays {
                tenures.push(placed.tenures.get(old_index).copied().unwrap_or(self.begins(Began::Resumed)));
            } else {
                let moved = self.describe(job, item, &placed.items[old_index], old_owner, *owner);
                tenures.push(self.begins(Began::Moved(moved.reason)));
                log.record(moved);
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
            _ => Arc::new(JobPlacement { items: Arc::clone(items), owners, tenures, holds }),
        }
    }

    fn begins(&self, began: Began) -> Tenure {
        Tenure { since: self.at, began }
    }

    /// Of a target that nobody had: one that nobody has still is as it was.
    fn first_tenure(&self, known: &Known<'_>, hash: u64, owner: Option<usize>) -> Tenure {
        let before = || known.placed?.tenures.get(*known.index.get(&hash)?).copied();
        before().filter(|_| owner.is_none()).unwrap_or(self.begins(Began::Found))
    }

    /// Who keeps listing a target beside its owner.
    fn hold(&self, placed: &JobPlacement, index: usize, owner: Option<usize>, stays: bool) -> Option<Hold> {
        let owner = owner?;
        let ongoing = placed.holds.get(&index);
        let still_there = |at: usize| self.moved_to[at].filter(|at| *at != owner);
        if stays {
            let hold = ongoing?;
            return still_there(hold.at).map(|at| Hold { at, ..*hold });
        }
        // An owner that never fetched its list, or whose turn has not come, scrapes nothing yet; whoever held the target
        // for it still does.
        let ongoing = ongoing.filter(|hold| !hold.has_turned(unix_millis(self.at)));
        let holder =
            ongoing.and_then(|hold| self.moved_to[hold.at]).or(self.moved_to[placed.owners[index]?])?;
        let turn = self.terms.between(self.roster.name(holder), self.roster.name(owner));
        let turn = turn.map(|turn| turn.not_before(ongoing.and_then(|hold| hold.turn)));
        let hold = Hold { at: holder, since: self.epoch, turn, is_fetched: false, is_told: false };
        (holder != owner).then_some(hold)
    }

    fn describe(&self, job: &Arc<str>, item: &Item, old_item: &Item, from: usize, to: Option<usize>) -> Move {
        let to_name = to.map(|at| Arc::clone(self.roster.name(at)));
        let joined = to_name.as_ref().is_some_and(|name| self.before.roster.position(name).is_none());
        let reason = if !self.moved_to[from].is_some_and(|at| self.roster.is_staying(at)) {
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
#[cfg(test)]
mod turns;
