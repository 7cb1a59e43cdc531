//! How new the inputs of an answer are, so that a replica which lags can be told from one that does not.
//!
//! Replicas that know the same give the same answers, and the epoch of an answer, a hash of its inputs, says whether they do. It
//! cannot say which of two is older. Of what comes from Kubernetes, resource versions can: each watch has two marks, the
//! version up to which it is known that nothing is missing (of lists, bookmarks and events), and the version of the last change
//! that was seen. An answer tells the second one of every watch; whoever asks again, perhaps another replica, sends them back.
//! A replica that does not know everything up to there refuses to answer. One that listed later than the change knows more
//! although it never saw the event, so the two marks must not be one. What it answers carries the higher of both, because a
//! third replica has to be measured by all that was seen.
//!
//! Inputs that do not come from watches (files, HTTP, who asks) have no order and are not compared.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Most watches that are told or read; an allocator has some twenty.
pub const MAX_MARKS: usize = 256;

/// Stands for what replicas have agreed upon among the watches.
const ASSIGNMENT: &str = "the assignment that replicas share";

/// The marks of one watch, as resource versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Nothing is missing up to here.
    pub known: u64,
    /// The last change that was seen.
    pub changed: u64,
}

/// The marks of every watch, by a key that is the same on every replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<String, Mark>);

impl Marks {
    /// Of watches by what they watch; the text may be anything.
    #[must_use]
    pub fn of<'a>(watches: impl IntoIterator<Item = (&'a str, Mark)>) -> Self {
        Self(watches.into_iter().map(|(text, mark)| (key(text), mark)).take(MAX_MARKS).collect())
    }

    /// With the version of what replicas have agreed upon, which is known exactly where it is gone on from.
    #[must_use]
    pub fn with_assignment(mut self, version: u64) -> Self {
        self.0.insert(key(ASSIGNMENT), Mark { known: version, changed: version });
        self
    }

    /// With the version of what replicas have agreed upon that others have.
    #[must_use]
    pub fn with_assignment_of(mut self, others: &Self) -> Self {
        let key = key(ASSIGNMENT);
        self.0.extend(others.0.get(&key).map(|mark| (key, *mark)));
        self
    }

    /// Whether something is missing here that was seen elsewhere. Watches that are not open here are not compared.
    #[must_use]
    pub fn is_behind(&self, seen: &Seen) -> bool {
        seen.changed.iter().any(|(key, changed)| self.0.get(key).is_some_and(|mark| mark.known < *changed))
    }
}

/// Short, and the same on every replica.
fn key(text: &str) -> String {
    format!("{:08x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 32)
}

/// What a client has seen: the epoch of an answer, and the last change in it by watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    epoch: String,
    changed: BTreeMap<String, u64>,
}

impl Seen {
    /// What an answer shows to a client that has seen something before.
    #[must_use]
    pub fn after(epoch: &str, marks: &Marks, before: Option<&Self>) -> Self {
        let earlier = |key: &str| before.and_then(|before| before.changed.get(key)).copied().unwrap_or(0);
        let changed = marks.0.iter().map(|(key, mark)| (key.clone(), mark.changed.max(earlier(key))));
        Self { epoch: epoch.to_owned(), changed: changed.collect() }
    }

    /// Whether it was the answer of this epoch.
    #[must_use]
    pub fn is_of(&self, epoch: &str) -> bool {
        self.epoch == epoch
    }

    /// Reads what [`Self`] prints; `None` when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let epoch = parts.next()?.to_owned();
        let mut changed = BTreeMap::new();
        for part in parts {
            let (key, value) = part.split_once('=')?;
            changed.insert(key.to_owned(), value.parse().ok()?);
            if changed.len() > MAX_MARKS {
                return None;
            }
        }
        Some(Self { epoch, changed })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.epoch)?;
        for (key, changed) in &self.changed {
            f.write_char(';')?;
            write!(f, "{key}={changed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(pods: (u64, u64), slices: (u64, u64)) -> Marks {
        let mark = |(known, changed)| Mark { known, changed };
        Marks::of([("pods", mark(pods)), ("endpointslices", mark(slices))])
    }

    fn shown(marks: &Marks, before: Option<&Seen>) -> Seen {
        Seen::parse(&Seen::after("e", marks, before).to_string()).unwrap()
    }

    #[test]
    fn a_replica_that_misses_a_change_is_behind_and_one_that_listed_later_is_not() {
        let seen = shown(&marks((120, 110), (130, 130)), None);
        for (replica, is_behind) in [
            (marks((110, 90), (130, 130)), false),
            (marks((109, 109), (130, 130)), true),
            (marks((500, 3), (500, 3)), false),
            (marks((500, 500), (129, 129)), true),
        ] {
            assert_eq!(replica.is_behind(&seen), is_behind, "{replica:?}");
        }
    }

    #[test]
    fn what_was_seen_is_not_forgotten_through_a_replica_that_never_saw_the_event() {
        let with_deletion = shown(&marks((120, 120), (50, 50)), None);
        let listed_later = marks((125, 90), (50, 50));
        assert!(!listed_later.is_behind(&with_deletion));
        let seen = shown(&listed_later, Some(&with_deletion));
        assert!(marks((119, 90), (50, 50)).is_behind(&seen), "it still has what was deleted");
    }

    #[test]
    fn watches_that_only_one_side_has_are_not_compared() {
        let seen = shown(&marks((9, 9), (9, 9)), None);
        assert!(!Marks::of([("nodes", Mark { known: 1, changed: 1 })]).is_behind(&seen));
        assert!(!Marks::default().is_behind(&seen));
        assert_eq!(shown(&Marks::default(), Some(&seen)).to_string(), "e");
    }

    #[test]
    fn a_replica_that_goes_on_from_an_older_agreement_is_behind() {
        let seen = shown(&marks((9, 9), (9, 9)).with_assignment(40), None);
        let replica = |version| marks((9, 9), (9, 9)).with_assignment(version);
        assert!(replica(39).is_behind(&seen) && !replica(40).is_behind(&seen));
        let live = marks((9, 9), (9, 9)).with_assignment_of(&replica(39));
        assert!(live.is_behind(&seen));
    }

    #[test]
    fn nonsense_is_no_mark() {
        for text in ["e;x", "e;x=-1", "e;x=1;", "e;x=99999999999999999999"] {
            assert_eq!(Seen::parse(text), None, "{text}");
        }
        let many: String = (0..=MAX_MARKS).map(|n| format!(";{n}=1")).collect();
        assert_eq!(Seen::parse(&format!("e{many}")), None);
        assert!(Seen::parse("").unwrap().is_of(""));
    }
}
