//! Who asked, and when. Bounded in number ([`MAX_MEMBERS`]) and in size of names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::LastPolls;
use crate::roster::{MAX_MEMBERS, Member, Roster};

/// The longest a collector's announced interval can stretch its lease.
pub const MAX_LEASE: Duration = Duration::from_secs(600);

/// The lease of collectors where `collectors.polling` does not say: only pages show it then.
const SHOWN_LEASE: Duration = Duration::from_secs(120);

/// How long a request for changes is held at most.
pub const HOLD: Duration = Duration::from_secs(20);

/// How long a member counts as one that hears of changes at once after its last request for them has ended: it fetches what
/// changed, and asks again.
const BETWEEN_WATCHES: Duration = Duration::from_secs(5);

/// How often such a member asks, so to speak.
const WATCHING_EVERY: Duration = Duration::from_secs(1);

/// What kind of program fetches a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Our own scraper, which keeps to an agreed turn.
    Muster,
    /// Any other.
    Other,
}

impl Client {
    /// How our own scraper begins its `User-Agent`.
    const AGENT: &str = "muster/";

    /// From the `User-Agent` of a request.
    #[must_use]
    pub fn of(agent: Option<&str>) -> Self {
        match agent {
            Some(agent) if agent.starts_with(Self::AGENT) => Self::Muster,
            _ => Self::Other,
        }
    }
}

/// When a collector last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// When.
    pub at: Instant,
    /// How long that is good for: the grace, or twice the interval which the collector announced, when that is longer.
    pub lease: Duration,
    /// The interval which the collector announced.
    pub every: Option<Duration>,
    /// Who fetched a list last; nothing when no list was fetched yet.
    pub client: Option<Client>,
}

impl Poll {
    /// When the collector has been away too long.
    #[must_use]
    pub fn ends_at(&self) -> Instant {
        self.at + self.lease
    }
}

/// What hearing from a collector means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was known already.
    Known,
    /// It was known already, but not which program fetches its lists.
    Recognized,
    /// It is a new member.
    Joined,
    /// It is not a member, and asking does not make it one.
    Stranger,
    /// It would be one member more than [`MAX_MEMBERS`].
    TooMany,
}

/// Remembers polls.
#[derive(Debug, Default)]
pub struct Polls {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Set where whoever asks becomes a member.
    grace: Option<Duration>,
    /// The names that are remembered where asking makes nobody a member.
    expected: BTreeSet<Arc<str>>,
    last: BTreeMap<Arc<str>, Poll>,
    /// Members whose requests for changes are held: how many, and until when they count where there is none.
    watching: BTreeMap<Arc<str>, (usize, Instant)>,
}

/// A held request for changes; ends when it is dropped.
#[derive(Debug)]
pub struct Watching {
    polls: Arc<Polls>,
    name: Arc<str>,
    is_counted: bool,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let now = Instant::now();
        let mut inner = self.polls.lock();
        if let Some((n_held, until)) = inner.watching.get_mut(&self.name) {
            *n_held -= 1;
            *until = now + BETWEEN_WATCHES;
        }
        if let Some(poll) = inner.last.get_mut(&self.name) {
            poll.at = now;
        }
    }
}

impl Polls {
    /// Whether whoever asks becomes a member (with this grace), or only expected members are remembered.
    pub fn accept(&self, grace: Option<Duration>) {
        let mut inner = self.lock();
        inner.grace = grace;
        if grace.is_none() {
            let expected = std::mem::take(&mut inner.expected);
            inner.last.retain(|name, _| expected.contains(name));
            inner.expected = expected;
        }
    }

    /// Names the members, where asking makes nobody one. Others are forgotten.
    pub fn expect(&self, roster: &Roster) {
        let mut inner = self.lock();
        let names = roster.iter().map(|member| Arc::clone(&member.name));
        inner.expected = names.collect();
        let Inner { expected, last, .. } = &mut *inner;
        last.retain(|name, _| expected.contains(name));
    }

    /// A collector asked. `announced` is the interval at which it says it asks, `client` is who it is if it fetches a
    /// list.
    pub fn hear(
        &self,
        name: &str,
        announced: Option<Duration>,
        client: Option<Client>,
        now: Instant,
    ) -> Heard {
        let mut inner = self.lock();
        let poll = Poll { at: now, lease: lease(inner.grace, announced), every: announced, client };
        if let Some(known) = inner.last.get_mut(name) {
            let before = known.client;
            *known = Poll { client: client.or(before), ..poll };
            return if known.client == before { Heard::Known } else { Heard::Recognized };
        }
        if inner.grace.is_none() {
            if inner.expected.contains(name) {
                inner.last.insert(name.into(), poll);
                return Heard::Recognized;
            }
            return Heard::Stranger;
        }
        if inner.last.len() >= MAX_MEMBERS {
            return Heard::TooMany;
        }
        inner.last.insert(name.into(), poll);
        Heard::Joined
    }

    /// A collector has fetched its lists elsewhere: from an earlier run, or from another replica; as if it had done so at `now`.
    pub fn recognize(&self, name: &str, client: Client, every: Option<Duration>, now: Instant) {
        let mut inner = self.lock();
        let is_member = inner.grace.is_some() || inner.expected.contains(name);
        if !is_member {
            return;
        }
        let poll = Poll { at: now, lease: lease(inner.grace, every), every, client: Some(client) };
        inner.last.entry(name.into()).or_insert(poll).client = Some(client);
    }

    /// A request for changes of this collector is held from now on. Only collectors that were heard are remembered.
    pub fn watch(self: &Arc<Self>, name: &str) -> Watching {
        let (name, now) = (Arc::<str>::from(name), Instant::now());
        let mut inner = self.lock();
        let is_counted = inner.last.contains_key(&name);
        inner.watching.retain(|_, (n_held, until)| *n_held > 0 || *until > now);
        if is_counted {
            inner.watching.entry(Arc::clone(&name)).or_insert((0, now)).0 += 1;
        }
        drop(inner);
        Watching { polls: Arc::clone(self), name, is_counted }
    }

    /// Forgets whoever has been away too long; tells who is left, and when the next lease ends.
    #[must_use]
    pub fn alive(&self, now: Instant) -> (Roster, Option<Instant>) {
        let mut inner = self.lock();
        let Inner { watching, last, .. } = &mut *inner;
        let is_held = |name: &Arc<str>| watching.get(name).is_some_and(|(n_held, _)| *n_held > 0);
        last.retain(|name, poll| {
            poll.at = if is_held(name) { now } else { poll.at };
            poll.ends_at() > now
        });
        let members = inner.last.keys().map(|name| Member::on(Arc::clone(name), None));
        let roster = Roster::new(members);
        let next_end = inner.last.values().map(Poll::ends_at).min();
        (roster, next_end)
    }

    /// The last polls by name, as they are at a moment: whoever hears of changes at once has asked just now.
    #[must_use]
    pub fn last(&self, now: Instant) -> LastPolls {
        let inner = self.lock();
        let is_watching = |name: &Arc<str>| {
            inner.watching.get(name).is_some_and(|(n_held, until)| *n_held > 0 || *until > now)
        };
        let poll = |(name, poll): (&Arc<str>, &Poll)| {
            let watched = Poll { at: now, every: Some(WATCHING_EVERY), ..*poll };
            (Arc::clone(name), if is_watching(name) { watched } else { *poll })
        };
        inner.last.iter().map(poll).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn lease(grace: Option<Duration>, announced: Option<Duration>) -> Duration {
    let grace = grace.unwrap_or(SHOWN_LEASE);
    announced.map_or(grace, |interval| grace.max(interval.saturating_mul(2).min(MAX_LEASE)))
}
