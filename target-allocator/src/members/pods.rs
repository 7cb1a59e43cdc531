//! Members by pods: who of the pods that match the selector can be given targets.
//!
//! As upstream: the name of a member is that of its pod, pods must be scheduled, and `collector_not_ready_grace_period`
//! bounds how long an unready one keeps its targets; 0 ignores health. Different on purpose: a pod becomes a member when it is
//! ready and not before (upstream gives targets to a pod that cannot scrape yet, and takes them away thirty seconds
//! later); a pod that is being deleted is drained, so that others take over while it still runs.
//!
//! A pod of a StatefulSet that is deleted or gone comes back under its name when its ordinal is below the number of replicas:
//! it is not drained, and keeps its targets for the grace, so that a rolling restart moves nothing. Where the StatefulSet
//! cannot be read, every ordinal but the highest is expected back.
//!
//! A pure state machine: facts and a time go in, members come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::roster::{MAX_MEMBERS, Member, Roster, check_name};

/// What matters of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Where it was scheduled.
    pub node: Option<Arc<str>>,
    /// The StatefulSet that controls it.
    pub stateful_set: Option<Arc<str>>,
    /// Whether it is running and its condition `Ready` is true.
    pub is_ready: bool,
    /// Whether it has a deletion timestamp.
    pub is_terminating: bool,
}

/// Which ordinals a StatefulSet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinals {
    /// `spec.ordinals.start`.
    pub start: usize,
    /// `spec.replicas`.
    pub replicas: usize,
}

/// Everything that matters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodsSeen {
    /// Whether the API server is out of reach, so that all of this is as old as that. Nothing changes until it is back.
    pub is_stale: bool,
    /// The pods that match the selector.
    pub pods: Vec<PodFacts>,
    /// The StatefulSets in their namespace, by name; those that cannot be read are absent.
    pub stateful_sets: BTreeMap<Arc<str>, Ordinals>,
}

/// What is remembered of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    node: Option<Arc<str>>,
    stateful_set: Option<Arc<str>>,
    /// Since when it is unready or gone.
    away_since: Option<Instant>,
    is_draining: bool,
}

/// Members by pods, from one look to the next.
#[derive(Clone, Debug)]
pub struct Pods {
    grace: Duration,
    known: BTreeMap<Arc<str>, Known>,
    /// Members of an earlier run that were not looked at yet.
    resumed: Option<Roster>,
    was_stale: bool,
}

impl Pods {
    /// Nobody is known yet. `grace` is how long an unready member keeps its targets; zero ignores health.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, known: BTreeMap::new(), resumed: None, was_stale: false }
    }

    /// Goes on with the members of an earlier run: who is unready or restarting now keeps its targets for the grace.
    pub fn resume(&mut self, roster: Roster) {
        self.resumed = Some(roster);
    }

    /// Who is a member at `now`, and when that changes by itself.
    pub fn look(&mut self, seen: &PodsSeen, now: Instant) -> (Roster, Option<Instant>) {
        let was_stale = std::mem::replace(&mut self.was_stale, seen.is_stale);
        if seen.is_stale && !self.known.is_empty() {
            return (self.roster(), None);
        }
        if was_stale {
            // Whoever was away may have been back long ago: its grace begins anew.
            let away = self.known.values_mut().filter_map(|known| known.away_since.as_mut());
            away.for_each(|since| *since = now);
        }
        let pods: BTreeMap<&Arc<str>, &PodFacts> =
            seen.pods.iter().filter(|pod| pod.node.is_some()).map(|pod| (&pod.name, pod)).collect();
        self.take_up_resumed(&pods, seen, now);
        for pod in pods.values() {
            self.look_at(pod, seen, now);
        }
        let gone: Vec<Arc<str>> =
            self.known.keys().filter(|name| !pods.contains_key(name)).cloned().collect();
        for name in gone {
            self.miss(&name, seen, now);
        }
        let grace = self.grace;
        self.known.retain(|_, known| known.away_since.is_none_or(|since| now < since + grace));
        let again_at = self.known.values().filter_map(|known| Some(known.away_since? + grace)).min();
        (self.roster(), again_at)
    }

    /// Draining members are that only where somebody stays who can take over.
    fn roster(&self) -> Roster {
        let somebody_stays = self.known.values().any(|known| !known.is_draining);
        let member = |(name, known): (&Arc<str>, &Known)| Member {
            is_draining: known.is_draining && somebody_stays,
            ..Member::on(Arc::clone(name), known.node.clone())
        };
        Roster::new(self.known.iter().map(member))
    }

    fn take_up_resumed(&mut self, pods: &BTreeMap<&Arc<str>, &PodFacts>, seen: &PodsSeen, now: Instant) {
        let Some(roster) = self.resumed.take() else { return };
        for member in roster.iter() {
            // Of a pod that is gone, only the name can tell which StatefulSet it belonged to.
            let of_name = || {
                let (stem, _) = ordinal(&member.name)?;
                seen.stateful_sets.keys().find(|name| ***name == *stem).cloned()
            };
            let pod = pods.get(&member.name);
            let stateful_set = pod.map_or_else(of_name, |pod| pod.stateful_set.clone());
            if pod.is_none() && stateful_set.is_none() {
                continue;
            }
            let node = pod.map_or_else(|| member.node.clone(), |pod| pod.node.clone());
            let known = Known { node, stateful_set, away_since: Some(now), is_draining: false };
            self.known.insert(Arc::clone(&member.name), known);
        }
    }

    fn look_at(&mut self, pod: &PodFacts, seen: &PodsSeen, now: Instant) {
        let is_well = pod.is_ready || self.grace.is_zero();
        let n_known = self.known.len();
        let known = match self.known.get_mut(&pod.name) {
            Some(known) => known,
            None if !is_well || pod.is_terminating || n_known >= MAX_MEMBERS => return,
            None if check_name(&pod.name).is_err() => return,
            None => {
                let known = Known { node: None, stateful_set: None, away_since: None, is_draining: false };
                self.known.entry(Arc::clone(&pod.name)).or_insert(known)
            }
        };
        known.node.clone_from(&pod.node);
        known.stateful_set.clone_from(&pod.stateful_set);
        let set = known.stateful_set.as_ref();
        let comes_back = pod.is_terminating && comes_back(&pod.name, set, seen);
        known.is_draining = pod.is_terminating && !comes_back;
        let is_here = if known.is_draining { true } else { is_well && !pod.is_terminating };
        known.away_since = if is_here { None } else { known.away_since.or(Some(now)) };
    }

    /// Its pod is not there any more.
    fn miss(&mut self, name: &Arc<str>, seen: &PodsSeen, now: Instant) {
        let Some(known) = self.known.get_mut(name) else { return };
        if known.is_draining || !comes_back(name, known.stateful_set.as_ref(), seen) {
            self.known.remove(name);
            return;
        }
        known.away_since = known.away_since.or(Some(now));
    }
}

/// Whether a pod that is being deleted, or is gone, will be there again under its name.
fn comes_back(name: &str, stateful_set: Option<&Arc<str>>, seen: &PodsSeen) -> bool {
    let Some(set) = stateful_set else { return false };
    let Some((_, own)) = ordinal(name) else { return false };
    match seen.stateful_sets.get(set) {
        Some(wanted) => own >= wanted.start && own - wanted.start < wanted.replicas,
        None => {
            let siblings = seen.pods.iter().filter(|pod| pod.stateful_set.as_ref() == Some(set));
            siblings.filter_map(|pod| ordinal(&pod.name)).any(|(_, other)| other > own)
        }
    }
}

/// `s-12` is `("s", 12)`.
fn ordinal(name: &str) -> Option<(&str, usize)> {
    let (stem, digits) = name.rsplit_once('-')?;
    Some((stem, digits.parse().ok()?))
}

#[cfg(test)]
mod tests;
