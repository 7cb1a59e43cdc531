//! Going on together with other replicas: what one has decided the others take over, and nothing is answered that was not agreed.
//!
//! Every replica may decide: that members have changed, that somebody has heard of a turn, that a turn is put off. It writes that to
//! the shared ConfigMap first; if another replica was faster, it takes over what that one decided and looks again. Members are
//! decided only by who has seen a change of its own and knows everything that the last decision was made from, so that a
//! replica that lags does not bring back members that have left.
//!
//! While nothing can be written nothing changes. After [`PATIENCE`] of that each replica goes on alone, because members that are gone must
//! not keep their targets for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::PATIENCE;
use crate::kept::Kept;
use crate::kubernetes::{Kubernetes, MAX_SHARED_BYTES, SharedAssignment, SharedAt, Unwritten, Version};
use crate::marks::{Marks, Seen};
use crate::placement::Placement;
use crate::roster::Roster;

/// Shortest time from one write to the next; what happens meanwhile is decided together.
const EVERY: Duration = Duration::from_millis(200);

/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How soon it is looked again whether a replica that lags has caught up.
const LAG: Duration = Duration::from_millis(100);

/// How long replicas may know different members, as clocks and outages differ, until one that has seen no change of its own decides.
const DISAGREEMENT: Duration = Duration::from_secs(60);

/// Longest wait for a write.
const PATIENT_WRITE: Duration = Duration::from_secs(5);

/// Another replica was faster, or the API server is away: what was decided does not count.
#[derive(Debug)]
pub(super) struct Undecided;

/// The shared assignment, and what this replica makes of it.
pub(super) struct Sharing {
    assignment: SharedAssignment,
    kubernetes: Kubernetes,
    /// The version that the own placement goes on from.
    base: Option<Version>,
    /// The own look at members when they were agreed upon last.
    own: Option<Roster>,
    differs_since: Option<Instant>,
    /// Nothing is written before.
    next: Instant,
    started: Instant,
    /// Since when nothing can be written.
    failing_since: Option<Instant>,
    is_told: bool,
}

impl Sharing {
    pub(super) fn start(kubernetes: &Kubernetes, at: SharedAt, changed: &Arc<Notify>) -> Self {
        let now = Instant::now();
        Self {
            assignment: SharedAssignment::open(&kubernetes.cluster, at, changed),
            kubernetes: kubernetes.clone(),
            base: None,
            own: None,
            differs_since: None,
            next: now,
            started: now,
            failing_since: None,
            is_told: false,
        }
    }

    /// Why nothing can be agreed upon yet.
    pub(super) fn waits_for(&mut self, now: Instant) -> Option<String> {
        let why = self.assignment.newest().err()?;
        if now < self.started + PATIENCE {
            return Some(why);
        }
        self.tell_alone(&why);
        None
    }

    /// Until when it is waited for what replicas have agreed upon.
    pub(super) fn patience_ends(&self) -> Instant {
        self.started + PATIENCE
    }

    /// What another replica has decided since the last look.
    pub(super) fn newer(&mut self) -> Option<Arc<Kept>> {
        let newest = self.assignment.newest().ok()?.cloned();
        let number = |version: &Option<Version>| version.as_ref().map(|version| version.number);
        if number(&newest) == number(&self.base) {
            return None;
        }
        self.base = newest;
        self.base.as_ref()?.kept.clone()
    }

    /// Whether something may be decided now.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// When something may be decided that could not be decided at `now`.
    pub(super) fn free_at(&self, now: Instant) -> Option<Instant> {
        (now < self.next).then_some(self.next)
    }

    /// Whether the members are to be those of the own look, and when to look again if that is open.
    pub(super) fn decides(
        &mut self,
        look: &Roster,
        agreed: &Roster,
        now: Instant,
    ) -> (bool, Option<Instant>) {
        if look == agreed {
            (self.own, self.differs_since) = (Some(look.clone()), None);
            return (true, None);
        }
        let since = *self.differs_since.get_or_insert(now);
        let is_own_change = self.own.as_ref() != Some(look);
        if !is_own_change && now < since + DISAGREEMENT {
            return (false, Some(since + DISAGREEMENT));
        }
        let seen = self.base.as_ref().and_then(|base| base.seen.as_ref());
        match seen.is_some_and(|seen| self.kubernetes.marks().is_behind(seen)) {
            true => (false, Some(now + LAG)),
            false => (true, None),
        }
    }

    /// Writes what was decided, where it is other than what was agreed upon last. Gives back what is to be taken over instead because
    /// not all of it could be written.
    ///
    /// # Errors
    /// When the decision does not count.
    pub(super) async fn agree(
        &mut self,
        decided: Kept,
        placement: &Placement,
        at: u64,
    ) -> Result<Option<Arc<Kept>>, Undecided> {
        let agreed = self.base.as_ref().and_then(|base| base.kept.as_deref());
        let decided = agreed.map_or(decided.clone(), |agreed| decided.completed(agreed, placement, at));
        if agreed.is_some_and(|agreed| !agreed.is_other(&decided)) {
            return Ok(None);
        }
        let (decided, is_whole) = decided.fitted(MAX_SHARED_BYTES);
        if agreed.is_some_and(|agreed| !agreed.is_other(&decided)) {
            return Ok((!is_whole).then(|| Arc::new(decided)));
        }
        if !is_whole {
            tracing::warn!(
                "more targets change hands than fit into MAX_SHARED_BYTES ({MAX_SHARED_BYTES}): their handovers are left out, and some scrapes are lost or made twice"
            );
        }
        let decided = Arc::new(decided);
        let written = timeout(PATIENT_WRITE, self.write(&decided)).await;
        let now = Instant::now();
        let why = match written {
            Ok(Ok(version)) => {
                self.base = Some(version);
                (self.next, self.failing_since, self.is_told) = (now + EVERY, None, false);
                return Ok((!is_whole).then_some(decided));
            }
            Ok(Err(Unwritten::Behind)) => {
                self.next = now + LAG;
                let is_unreadable = self.assignment.newest().is_err() && now >= self.patience_ends();
                return if is_unreadable { Ok(None) } else { Err(Undecided) };
            }
            Ok(Err(Unwritten::Failed(failure))) => failure.message,
            Err(_) => format!("no answer within {PATIENT_WRITE:?}"),
        };
        let since = *self.failing_since.get_or_insert(now);
        self.next = now + RETRY;
        if now >= since + PATIENCE {
            self.tell_alone(&why);
            return Ok(None);
        }
        tracing::debug!(why, "the assignment cannot be shared now");
        Err(Undecided)
    }

    async fn write(&mut self, decided: &Arc<Kept>) -> Result<Version, Unwritten> {
        let before = self.base.as_ref().and_then(|base| base.seen.as_ref());
        let seen = Seen::after("", &self.kubernetes.marks(), before);
        let after = self.base.as_ref().map(|base| base.number);
        self.assignment.write(decided, seen, after).await
    }

    /// With the version that was agreed upon, so that a replica that does not know it can be told from one that does.
    pub(super) fn marked(&self, marks: Marks) -> Marks {
        match &self.base {
            Some(base) => marks.with_assignment(base.number),
            None => marks,
        }
    }

    fn tell_alone(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                why,
                "the assignment cannot be shared with other replicas, this one goes on alone; it needs the rights to list, watch, create and update its ConfigMap (state_config_map)"
            );
        }
    }
}
