//! `least-weighted`: a target stays with its member; a new one goes to the member with the fewest targets.
//!
//! As upstream: ties go to the member with fewer targets of the same job, then to the first by name, and a member that
//! joins gets nothing until targets appear. Upstream places new targets in the random order of a Go map; here they are
//! placed in order of hash and job, so that the outcome depends only on where targets were before.

use std::collections::HashMap;

use super::Subject;
use crate::roster::Roster;

pub(super) fn assign(subjects: &[Subject<'_>], roster: &Roster) -> Vec<Option<usize>> {
    let mut load = Load::new(roster);
    let mut owners: Vec<Option<usize>> =
        subjects.iter().map(|subject| subject.current.filter(|at| roster.is_staying(*at))).collect();
    for (subject, owner) in subjects.iter().zip(&owners) {
        if let Some(at) = owner {
            load.add(*at, subject.job);
        }
    }
    place_rest(subjects, &mut owners, &mut load);
    owners
}

/// Gives every subject without an owner to the member with the fewest, in order of hash and job.
pub(super) fn place_rest<'a>(subjects: &[Subject<'a>], owners: &mut [Option<usize>], load: &mut Load<'a>) {
    let mut rest: Vec<usize> = (0..subjects.len()).filter(|index| owners[*index].is_none()).collect();
    rest.sort_by_key(|index| (subjects[*index].hash, subjects[*index].job));
    for index in rest {
        let job = subjects[index].job;
        if let Some(at) = load.emptiest(job) {
            load.add(at, job);
            owners[index] = Some(at);
        }
    }
}

/// Number of targets by member, and by member and job.
pub(super) struct Load<'a> {
    /// Who can be given targets.
    staying: Vec<usize>,
    total: Vec<usize>,
    by_job: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Load<'a> {
    pub(super) fn new(roster: &Roster) -> Self {
        let staying = (0..roster.len()).filter(|at| roster.is_staying(*at)).collect();
        Self { staying, total: vec![0; roster.len()], by_job: HashMap::new() }
    }

    pub(super) fn add(&mut self, at: usize, job: &'a str) {
        self.total[at] += 1;
        self.by_job.entry(job).or_insert_with(|| vec![0; self.total.len()])[at] += 1;
    }

    fn emptiest(&self, job: &str) -> Option<usize> {
        let of_job = self.by_job.get(job);
        let load = |at: &usize| (self.total[*at], of_job.map_or(0, |counts| counts[*at]), *at);
        self.staying.iter().copied().min_by_key(load)
    }
}
