//! Handovers: who has heard of them, when their turns come, and who waits for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Core;
use crate::api::Fetched;
use crate::handover::{Terms, unix_millis};
use crate::placement::Placement;
use crate::roster::Roster;

impl Core {
    pub(super) fn hear(&mut self, fetched: Fetched) {
        let Fetched { job, member, epoch } = fetched;
        let is_known = self.placement.roster.position(&member).is_some() && self.jobs.contains_key(&job);
        if is_known {
            self.heard.insert((job, member), epoch);
        }
    }

    /// Lets those go whose successors have heard that they are it.
    pub(super) fn take_in(&mut self) {
        let now = unix_millis(self.shared.clock.now());
        for ((job, member), epoch) in &self.heard {
            let Some(at) = self.placement.roster.position(member) else { continue };
            let Some(placed) = self.placement.jobs.get_mut(job) else { continue };
            if let Some(heard) = placed.heard(at, *epoch, now) {
                *placed = Arc::new(heard);
            }
        }
    }

    /// Ends handovers and puts turns off, where it is time. Gives back when to look again.
    pub(super) fn hand_over(&mut self, now: Instant) -> Option<Instant> {
        let at = self.shared.clock.now();
        let at_millis = unix_millis(at);
        if self.turns_at()? <= at_millis {
            let terms = Terms::of(&self.polls(now), now, at);
            let Placement { epoch, roster, jobs, .. } = &mut self.placement;
            *epoch += 1;
            for placed in jobs.values_mut() {
                let is_silent = |at: usize| terms.is_silent(roster.name(at));
                if let Some(turned) = placed.turned(at_millis, terms.turn, *epoch, is_silent) {
                    *placed = Arc::new(turned);
                }
            }
        }
        Some(now + Duration::from_millis(self.turns_at()?.saturating_sub(at_millis)))
    }

    /// When the next handover must be looked at, in milliseconds since 1970.
    fn turns_at(&self) -> Option<u64> {
        self.placement.jobs.values().filter_map(|placed| placed.due()).min()
    }

    /// Until when members that join or begin to leave must wait, in milliseconds since 1970: for turns that stand, to which both
    /// sides keep whatever is decided before they come. Who is gone already is not waited for.
    pub(super) fn waits_until(&self, roster: &Roster, at: SystemTime) -> Option<u64> {
        let members = &self.placement.roster;
        let somebody_is_gone = members.iter().any(|member| roster.position(&member.name).is_none());
        if members == roster || somebody_is_gone {
            return None;
        }
        let now = unix_millis(at);
        self.placement.jobs.values().filter_map(|placed| placed.last_standing_turn(now)).max()
    }
}
