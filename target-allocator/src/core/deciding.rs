//! Deciding who has what: from the last placement to the next, and what outlives a restart of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Core;
use super::sharing::{self, Sharing};
use crate::handover::{Terms, unix_millis};
use crate::items::Items;
use crate::kept::Kept;
use crate::members::LastPolls;
use crate::roster::Roster;

impl Core {
    /// Decides who has what from now on, and keeps that before it is answered. Gives back when to look again.
    pub(super) async fn decide(&mut self, look: Option<&Roster>, now: Instant) -> Option<Instant> {
        if let Some(newer) = self.sharing.as_mut().and_then(Sharing::newer) {
            self.take_over(newer, now);
        }
        // Alone nobody can be faster, so there is nothing to go back to.
        let before = self
            .sharing
            .is_some()
            .then(|| (self.placement.clone(), self.moves.clone(), self.resumed.clone()));
        let is_free = self.sharing.as_ref().is_none_or(|sharing| sharing.is_free(now));
        let mut again_at = vec![self.sharing.as_ref().and_then(|sharing| sharing.free_at(now))];
        if let Some(look) = look.filter(|_| self.is_open) {
            let (roster, again) = self.members(look, is_free, now);
            again_at.push(again);
            again_at.push(roster.and_then(|roster| self.share_out(&roster, now)));
        }
        if is_free {
            self.take_in();
            again_at.push(self.hand_over(now));
            match (self.keep(now).await, before) {
                (Err(sharing::Undecided), Some(before)) => {
                    (self.placement, self.moves, self.resumed) = before;
                    again_at = vec![Some(now)];
                }
                _ => self.heard.clear(),
            }
        }
        again_at.into_iter().flatten().min()
    }

    /// The members among whom targets are shared out: those that are seen, or those that replicas have agreed upon; nothing while
    /// they have not agreed upon any. And when to look again because that is open.
    fn members(&mut self, look: &Roster, is_free: bool, now: Instant) -> (Option<Roster>, Option<Instant>) {
        let Some(sharing) = &mut self.sharing else { return (Some(look.clone()), None) };
        let kept = self.resumed.as_ref().map(|kept| kept.roster());
        let agreed = kept.unwrap_or_else(|| self.placement.roster.clone());
        let (decides, again_at) = sharing.decides(look, &agreed, now);
        let roster = if decides && is_free { look.clone() } else { agreed };
        (Some(roster).filter(|roster| !roster.is_empty()), again_at)
    }

    /// Goes on from what another replica has decided.
    fn take_over(&mut self, newer: Arc<Kept>, now: Instant) {
        if self.placement.epoch == 0 {
            self.membership.resume(&newer, now);
            self.resumed = Some(newer);
            return;
        }
        self.membership.recognize(&newer, now);
        let (jobs, at) = (self.items(), self.shared.clock.now());
        let (strategy, roster) = (self.settings.strategy, newer.roster());
        let terms = Terms::default();
        let mut next = self.placement.next(strategy, &roster, &jobs, &terms, at, &mut self.moves);
        newer.impose(&mut next, &self.placement);
        self.placement = next;
    }

    /// Keeps what was decided. `Err` when it does not count.
    async fn keep(&mut self, now: Instant) -> Result<(), sharing::Undecided> {
        if self.placement.epoch == 0 {
            return Ok(());
        }
        let polls = self.polls(now);
        if let Some(sharing) = &mut self.sharing {
            let kept = Kept::of(&self.placement, &polls);
            let at = unix_millis(self.shared.clock.now());
            if let Some(cut) = sharing.agree(kept, &self.placement, at).await? {
                let before = self.placement.clone();
                self.placement.epoch += 1;
                cut.impose(&mut self.placement, &before);
            }
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.keep(&self.placement, &polls, now).await;
        }
        Ok(())
    }

    /// Who has asked, and when. Where replicas share the assignment, who is silent here may be asking another one.
    pub(super) fn polls(&self, now: Instant) -> LastPolls {
        let mut polls = self.shared.polls.last(now);
        if self.sharing.is_some() {
            polls.values_mut().for_each(|poll| poll.at = now);
        }
        polls
    }

    /// The targets of every job whose targets are known.
    fn items(&self) -> BTreeMap<Arc<str>, Items> {
        let jobs = self.jobs.iter();
        jobs.filter_map(|(name, running)| Some((Arc::clone(name), Arc::clone(running.items()?)))).collect()
    }

    /// Gives back when to look again because members had to wait.
    fn share_out(&mut self, roster: &Roster, now: Instant) -> Option<Instant> {
        let jobs = self.items();
        let strategy = self.settings.strategy;
        if let Some(kept) = self.resumed.take() {
            self.placement = kept.placement(&jobs);
            self.membership.recognize(&kept, now);
            tracing::info!(
                collectors = self.placement.roster.len(),
                "going on with the assignment of the last run"
            );
        }
        let at = self.shared.clock.now();
        let waits_until = self.waits_until(roster, at);
        let roster = if waits_until.is_some() { &self.placement.roster.clone() } else { roster };
        let joins_at =
            waits_until.map(|until| now + Duration::from_millis(until.saturating_sub(unix_millis(at))));
        let members_changed = self.placement.roster != *roster;
        if !members_changed
            && self.placement.strategy == strategy
            && self.placement.epoch > 0
            && self.has_all(&jobs)
        {
            return joins_at;
        }
        let began = std::time::Instant::now();
        let n_moved_before = self.moves.total();
        let terms = Terms::of(&self.polls(now), now, at);
        self.placement = self.placement.next(strategy, roster, &jobs, &terms, at, &mut self.moves);
        self.shared.metrics.allocated(members_changed, strategy.name(), began.elapsed());
        let (epoch, collectors) = (self.placement.epoch, roster.len());
        let (targets, moved) =
            (jobs.values().map(|items| items.len()).sum::<usize>(), self.moves.total() - n_moved_before);
        if members_changed || moved > 0 {
            tracing::info!(epoch, collectors, targets, moved, "shared out targets");
        } else {
            tracing::debug!(epoch, collectors, targets, "shared out targets");
        }
        joins_at
    }

    /// Whether the placement is about exactly these targets.
    fn has_all(&self, jobs: &BTreeMap<Arc<str>, Items>) -> bool {
        let placed = &self.placement.jobs;
        placed.len() == jobs.len()
            && jobs
                .iter()
                .all(|(name, items)| placed.get(name).is_some_and(|placed| Arc::ptr_eq(&placed.items, items)))
    }
}
