//! Who is there: from a list, from a file, or from who asks.
//!
//! Upstream knows collectors only as pods that match a selector. Without Kubernetes there are three other sources, and
//! each says when it *knows*: a list at once, a file once it could be read, pollers once they had time to gather. Until
//! then no list of targets is answered, because an answer for half of the members is wrong for all of them.

mod file;
mod polls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::roster::Roster;

pub use file::{MAX_MEMBERS_FILE, parse};
pub use polls::{Client, Heard, MAX_LEASE, Poll, Polls};

/// Where members come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A fixed list.
    Static(Roster),
    /// A file that is looked at again and again.
    File(PathBuf),
    /// Whoever asks for targets.
    Polling {
        /// How long a member stays after it last asked.
        grace: Duration,
        /// How long members may gather, from the first one that asks.
        settle: Duration,
    },
}

impl Source {
    /// Whether whoever asks becomes a member.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        matches!(self, Self::Polling { .. })
    }
}

/// What is known about members at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The members, or why they are not known yet.
    pub known: Result<Roster, String>,
    /// When to look again although nothing was reported.
    pub again_at: Option<Instant>,
}

/// Watches one source of members. Changes are reported through the notification; [`Membership::look`] tells them.
#[derive(Debug)]
pub struct Membership {
    source: Source,
    polls: Arc<Polls>,
    file: Option<file::Watch>,
    gathering_until: Option<Instant>,
}

impl Membership {
    /// Starts to watch. `polls` is where the server reports who asked.
    #[must_use]
    pub fn start(source: Source, polls: &Arc<Polls>, changed: &Arc<Notify>) -> Self {
        polls.accept(match &source {
            Source::Polling { grace, .. } => Some(*grace),
            Source::Static(_) | Source::File(_) => None,
        });
        let file = match &source {
            Source::File(path) => Some(file::Watch::start(path.clone(), Arc::clone(changed))),
            Source::Static(_) | Source::Polling { .. } => None,
        };
        Self { source, polls: Arc::clone(polls), file, gathering_until: None }
    }

    /// Takes members from another source from now on. Pollers that have gathered need not gather again.
    pub fn switch(&mut self, source: Source, changed: &Arc<Notify>) {
        let gathering_until = self.gathering_until.filter(|_| source.is_polling());
        *self = Self { gathering_until, ..Self::start(source, &self.polls, changed) };
    }

    /// Who is there now.
    #[must_use]
    pub fn look(&mut self, now: Instant) -> Look {
        let look = match &self.source {
            Source::Static(roster) => Look { known: Ok(roster.clone()), again_at: None },
            Source::File(path) => {
                let unread = || format!("the list of collectors in {} was not read yet", path.display());
                let known = self.file.as_ref().map_or_else(|| Err(unread()), |file| file.known());
                Look { known, again_at: None }
            }
            Source::Polling { settle, .. } => {
                let settle = *settle;
                self.look_at_pollers(now, settle)
            }
        };
        if let (Ok(roster), false) = (&look.known, self.source.is_polling()) {
            self.polls.expect(roster);
        }
        look
    }

    fn look_at_pollers(&mut self, now: Instant, settle: Duration) -> Look {
        let (roster, next_end) = self.polls.alive(now);
        if roster.is_empty() {
            self.gathering_until = None;
            let why = "no collector has asked for its targets yet (collectors.polling)";
            return Look { known: Err(why.to_owned()), again_at: None };
        }
        let until = *self.gathering_until.get_or_insert(now + settle);
        if now < until {
            let why = format!(
                "collectors are gathering: {} so far, answers begin {} s after the first one asked (collectors.polling.settle)",
                roster.len(),
                settle.as_secs_f64()
            );
            return Look { known: Err(why), again_at: Some(until) };
        }
        Look { known: Ok(roster), again_at: next_end }
    }
}

/// How a member looks from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has asked within its lease.
    Active,
    /// It has asked before, but not within its lease.
    Silent,
    /// It never asked.
    Unseen,
}

impl Presence {
    /// As it is written on pages and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silent => "silent",
            Self::Unseen => "unseen",
        }
    }

    /// Of a member, from when it last asked.
    #[must_use]
    pub fn of(poll: Option<&Poll>, now: Instant) -> Self {
        match poll {
            None => Self::Unseen,
            Some(poll) if poll.ends_at() > now => Self::Active,
            Some(_) => Self::Silent,
        }
    }
}

/// The last poll of every collector that asked, by name.
pub type LastPolls = BTreeMap<Arc<str>, Poll>;

#[cfg(test)]
mod tests;
