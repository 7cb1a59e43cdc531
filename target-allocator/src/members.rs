//! Who is there: by pods, from a list, from a file, or from who asks.
//!
//! Upstream knows collectors only as pods that match a selector. There are three other sources, for where there is no
//! Kubernetes, and each says when it *knows*: pods once they were listed and one is ready, a list at once, a file once it
//! could be read, pollers once they had time to gather. Until
//! then no list of targets is answered, because an answer for half of the members is wrong for all of them.

mod file;
mod pods;
mod polls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::kept::Kept;
use crate::roster::Roster;

pub use file::{MAX_MEMBERS_FILE, parse};
pub use pods::{Ordinals, PodFacts, Pods, PodsSeen};
pub use polls::{Client, HOLD, Heard, MAX_LEASE, Poll, Polls, Watching};

/// Why there are no members where nobody says who they are.
const NOBODY: &str =
    "there are no collectors: a selector that is not set matches no pod (collector_selector)";

/// Where members come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Pods of a cluster.
    Pods(PodSource),
    /// Nobody: a selector of pods that is not set matches none, as upstream.
    Nobody,
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

/// Which pods are members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSource {
    /// Their namespace.
    pub namespace: String,
    /// A label selector as the API server takes it; empty means all pods.
    pub selector: String,
    /// How long an unready one keeps its targets; zero ignores health.
    pub grace: Duration,
}

/// What is known of pods, kept up to date by whoever watches them; an error says why nothing is known yet.
pub type PodFeed = watch::Receiver<Result<Arc<PodsSeen>, String>>;

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
    pods: Option<(Pods, PodFeed)>,
    gathering_until: Option<Instant>,
}

impl Membership {
    /// Starts to watch. `polls` is where the server reports who asked; `feed` is needed where pods are members.
    #[must_use]
    pub fn start(source: Source, polls: &Arc<Polls>, changed: &Arc<Notify>, feed: Option<PodFeed>) -> Self {
        polls.accept(match &source {
            Source::Polling { grace, .. } => Some(*grace),
            Source::Nobody | Source::Pods(_) | Source::Static(_) | Source::File(_) => None,
        });
        let file = match &source {
            Source::File(path) => Some(file::Watch::start(path.clone(), Arc::clone(changed))),
            Source::Nobody | Source::Pods(_) | Source::Static(_) | Source::Polling { .. } => None,
        };
        let pods = match &source {
            Source::Pods(pods) => feed.map(|feed| (Pods::new(pods.grace), feed)),
            Source::Nobody | Source::Static(_) | Source::File(_) | Source::Polling { .. } => None,
        };
        Self { source, polls: Arc::clone(polls), file, pods, gathering_until: None }
    }

    /// Goes on with the members of an earlier run, where they can be away for a while and stay members.
    pub fn resume(&mut self, kept: &Kept, now: Instant) {
        if let Some((pods, _)) = &mut self.pods {
            pods.resume(kept.roster());
        }
        if self.source.is_polling() {
            self.recognize(kept, now);
        }
    }

    /// Takes over what an earlier run, or another replica, knows of the programs that fetch the members' lists.
    pub fn recognize(&self, kept: &Kept, now: Instant) {
        kept.clients().for_each(|(name, client, every)| self.polls.recognize(name, client, every, now));
    }

    /// Takes members from another source from now on. Pollers that have gathered need not gather again.
    pub fn switch(&mut self, source: Source, changed: &Arc<Notify>, feed: Option<PodFeed>) {
        let gathering_until = self.gathering_until.filter(|_| source.is_polling());
        *self = Self { gathering_until, ..Self::start(source, &self.polls, changed, feed) };
    }

    /// Who is there now.
    #[must_use]
    pub fn look(&mut self, now: Instant) -> Look {
        let look = match &self.source {
            Source::Pods(source) => Self::look_at_pods(self.pods.as_mut(), source, now),
            Source::Nobody => Look { known: Err(NOBODY.to_owned()), again_at: None },
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

    fn look_at_pods(pods: Option<&mut (Pods, PodFeed)>, source: &PodSource, now: Instant) -> Look {
        let PodSource { namespace, selector, .. } = source;
        let Some((pods, feed)) = pods else {
            let why = "pods are not watched: there is no access to a cluster".to_owned();
            return Look { known: Err(why), again_at: None };
        };
        match feed.borrow_and_update().clone() {
            Err(why) => Look { known: Err(why), again_at: None },
            Ok(seen) => match pods.look(&seen, now) {
                (roster, again_at) if roster.is_empty() => {
                    let n_pods = seen.pods.len();
                    let why = format!(
                        "no collector is ready: {n_pods} pods in namespace `{namespace}` match the selector `{selector}` (collector_namespace, collector_selector)"
                    );
                    Look { known: Err(why), again_at }
                }
                (roster, again_at) => Look { known: Ok(roster), again_at },
            },
        }
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
