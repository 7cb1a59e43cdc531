//! When a target changes hands: the moment that the old and the new owner know beforehand.
//!
//! Collectors hear of a move one after the other, each when it next fetches its list. One that stops and one that starts
//! when it hears either lose scrapes or double them. Upstream has nothing against that. Our own scrapers scrape a target
//! at the same fixed place of its interval, whichever of them has it; so it is enough that both know from which moment
//! on it is the other's turn. Lists tell it in two labels, [`FROM`] and [`UNTIL`]. Other clients would overlook them,
//! which is why a [`Turn`] is given only where both sides are ours ([`Terms`]).
//!
//! **An allocator that is killed.** Members hear of a turn one after the other, and an allocator that is killed in between has told it to
//! one of them alone. No order of messages helps against that. Each of them reaches one of the two; there is a first one after which its
//! receiver does something else at the turn than before; and when the allocator is killed right behind that one and is not back before the turn,
//! the other one does not follow. What helps is that a scrape can be made before it is known whose it is. So:
//!
//! 1. A decision is kept ([`crate::kept`]) before it is told, and so is who has heard of it before anything follows from that.
//! 2. A turn is told as open ([`OPEN`]) until both have fetched a list with it, and as one that stands from then on. What stands is not
//!    taken back.
//! 3. Until a turn that is open has come, the old owner scrapes, as it did. From then on both scrape and hold back what they
//!    have, until the allocator says whose it was ([`scrape::Turn`]).
//! 4. Whoever decides next knows what was kept. A turn that stands has divided time already: the old owner forgets what it held back, and
//!    the new one sends it. A turn that is open is put off to a moment that nobody has come to yet, so that everything before that is the old
//!    owner's, which sends what it held back; the new owner forgets it.
//!
//! So whatever was told to whom, each slot is sent once, by who owns it according to what was kept. That does not need an allocator
//! that is back soon: it may be away until [`scrape::LONGEST_DOUBT`] after the turn. When nobody has said anything by then, both send,
//! because rather a slot comes twice than not at all. `core/tests/kills.rs` holds this for a kill after every message.
//!
//! As nothing that is held back shows until the allocator is back, turns are put off early enough that this is rare: when only one of
//! both has heard of a turn, an allocator that is back within [`OUTAGE`] comes in time to put it off. Once a turn stands it needs no allocator
//! any more.
//!
//! Slots can still be lost or doubled by a kill where what was decided could not be kept (no `state_file` or `state_config_map`, a full disk),
//! where a target vanishes while something of it is held back, and where an answer that was given and noted is lost on its way. A scraper that
//! ends while it holds something back asks once more whose that is; what nobody says of it sends, as it would at the end of doubt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::members::{Client, LastPolls, MAX_LEASE, Presence};

/// The label in the new owner's list: scrapes before this time, in milliseconds since 1970, are not its own.
pub const FROM: &str = "__meta_muster_from";

/// The label in the old owner's list: scrapes at this time, in milliseconds since 1970, or later are not its own.
pub const UNTIL: &str = "__meta_muster_until";

/// The label beside either while not both are known to have heard of the turn. Scrapers from before it was introduced overlook it and keep to
/// the turn.
pub const OPEN: &str = "__meta_muster_open";

/// How often members fetch their lists when none of ours has said.
const USUAL_REFRESH: Duration = Duration::from_secs(30);

/// The shortest announced interval that is believed.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// The longest announced interval that a turn waits for: with it, a lease is as long as it can be.
const MAX_REFRESH: Duration = Duration::from_secs(MAX_LEASE.as_secs() / 2);

/// What a fetch may be late, and clocks may differ.
const MARGIN: Duration = Duration::from_secs(2);

/// How long nobody may be able to ask for lists, in the middle of a handover, before scrapes are held back: an allocator is killed,
/// starts again, and scrapers find it again.
pub const OUTAGE: Duration = Duration::from_secs(10);

/// The moment at which a target changes hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Turn {
    /// Milliseconds since 1970: the first moment that is the new owner's.
    pub at: u64,
    /// The longest interval, in milliseconds, at which members fetch lists.
    refresh: u64,
}

impl Turn {
    /// The next turn. There is one interval and a margin to hear of it; what follows until the turn is an interval to hear that
    /// it was put off, and an outage.
    #[must_use]
    pub fn after(now: u64, refresh: Duration) -> Self {
        let refresh = millis(refresh.clamp(MIN_REFRESH, MAX_REFRESH));
        Self { at: now + 2 * refresh + millis(MARGIN + OUTAGE), refresh }
    }

    /// The same, but not before another one.
    #[must_use]
    pub fn not_before(self, other: Option<Self>) -> Self {
        Self { at: other.map_or(self.at, |other| self.at.max(other.at)), ..self }
    }

    /// When it is put off if not both have heard of it: who has, hears of that before the turn.
    #[must_use]
    pub fn fixed_at(self) -> u64 {
        self.at.saturating_sub(self.refresh + millis(OUTAGE))
    }

    /// When nobody needs to be told any more.
    #[must_use]
    pub fn ends_at(self) -> u64 {
        self.at + 2 * self.refresh
    }
}

/// Who keeps to a turn, and which one is given to targets that move now.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The turn.
    pub turn: Turn,
    ours: BTreeSet<Arc<str>>,
    /// Those of `ours` that have not asked within their lease.
    silent: BTreeSet<Arc<str>>,
    /// Whether everybody who has fetched a list is one of ours.
    only_ours: bool,
}

impl Terms {
    /// The terms at one moment. `now` and `at` are the same moment on two clocks.
    #[must_use]
    pub fn of(polls: &LastPolls, now: Instant, at: SystemTime) -> Self {
        let is_ours = |client| client == Some(Client::Muster);
        let ours = || polls.iter().filter(|(_, poll)| is_ours(poll.client));
        let is_silent = |poll| Presence::of(Some(poll), now) == Presence::Silent;
        let refresh = ours().filter_map(|(_, poll)| poll.every).max().unwrap_or(USUAL_REFRESH);
        Self {
            turn: Turn::after(unix_millis(at), refresh),
            ours: ours().map(|(name, _)| Arc::clone(name)).collect(),
            silent: ours().filter(|(_, poll)| is_silent(poll)).map(|(name, _)| Arc::clone(name)).collect(),
            only_ours: polls.values().all(|poll| poll.client != Some(Client::Other)),
        }
    }

    /// The turn of a target that moves between these two. `None` where one side would not keep to it: the old owner must
    /// be one of ours and alive; the new one may be unknown yet where everybody who is known is one of ours.
    #[must_use]
    pub fn between(&self, from: &str, to: &str) -> Option<Turn> {
        let is_living = self.ours.contains(from) && !self.is_silent(from);
        (is_living && (self.only_ours || self.ours.contains(to))).then_some(self.turn)
    }

    /// Whether this is one of ours that has not asked within its lease.
    #[must_use]
    pub fn is_silent(&self, name: &str) -> bool {
        self.silent.contains(name)
    }
}

/// Milliseconds since 1970; 0 for times before.
#[must_use]
pub fn unix_millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Poll;

    fn terms(polls: &[(&str, Option<Client>, Option<u64>)]) -> Terms {
        let now = Instant::now();
        let poll = |(name, client, every): &(&str, Option<Client>, Option<u64>)| {
            let every = every.map(Duration::from_secs);
            (Arc::from(*name), Poll { at: now, lease: MAX_LEASE, every, client: *client })
        };
        Terms::of(&polls.iter().map(poll).collect(), now, UNIX_EPOCH)
    }

    #[test]
    fn a_turn_leaves_every_member_of_ours_time_to_hear_of_it() {
        const MUSTER: Option<Client> = Some(Client::Muster);
        for (polls, at) in [
            (vec![], 72_000),
            (vec![("a", MUSTER, None)], 72_000),
            (vec![("a", MUSTER, Some(5)), ("b", MUSTER, Some(20)), ("c", None, Some(90))], 52_000),
            (vec![("a", MUSTER, Some(0))], 14_000),
            (vec![("a", MUSTER, Some(u64::MAX))], 612_000),
        ] {
            assert_eq!(terms(&polls).turn.at, at, "{polls:?}");
        }
        let turn = Turn::after(10_000, Duration::from_secs(5));
        assert_eq!((turn.fixed_at(), turn.at, turn.ends_at()), (17_000, 32_000, 42_000));
    }

    #[test]
    fn a_turn_is_given_only_where_both_sides_keep_to_it() {
        let (ours, other) = (Some(Client::Muster), Some(Client::Other));
        let all_ours = terms(&[("a", ours, None), ("b", ours, None), ("new", None, None)]);
        let mixed = terms(&[("a", ours, None), ("b", ours, None), ("x", other, None), ("new", None, None)]);
        for (from, to, among_ours, among_others) in [
            ("a", "b", true, true),
            ("a", "new", true, false),
            ("a", "unseen", true, false),
            ("a", "x", true, false),
            ("x", "a", false, false),
            ("unseen", "a", false, false),
        ] {
            assert_eq!(all_ours.between(from, to).is_some(), among_ours, "{from} to {to}");
            assert_eq!(mixed.between(from, to).is_some(), among_others, "{from} to {to}");
        }
    }

    #[test]
    fn a_member_that_has_fallen_silent_keeps_to_nothing() {
        let now = Instant::now();
        let poll = Poll { at: now, lease: MAX_LEASE, every: None, client: Some(Client::Muster) };
        let polls = LastPolls::from([("a".into(), poll), ("b".into(), Poll { at: now + MAX_LEASE, ..poll })]);
        let terms = Terms::of(&polls, now + MAX_LEASE, UNIX_EPOCH);
        assert!(terms.between("a", "b").is_none());
        assert!(terms.between("b", "a").is_some(), "it hears of the turn when it returns");
    }
}
