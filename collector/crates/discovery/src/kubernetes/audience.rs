//! The jobs that look at an evaluation.

use super::index::Index;
use super::subscriber::{Change, News, Subscriber, Totals};

/// All jobs, and who of them may want what.
#[derive(Default)]
pub(super) struct Audience {
    jobs: Vec<Subscriber>,
    index: Index,
}

impl Audience {
    /// Takes over changes. A job is told only of groups that it may have wanted before or may want now.
    pub(super) fn take(&mut self, changes: &[Change]) {
        for change in changes {
            let forms = change.before.iter().chain(&change.now);
            for job in self.index.candidates(forms) {
                self.jobs[job].take(change);
            }
        }
    }

    /// Takes in jobs, for which everything that there is has just changed.
    pub(super) fn join(&mut self, jobs: Vec<Subscriber>, all: &[Change]) {
        let mut new = Self { index: Index::of(&jobs), jobs };
        new.take(all);
        self.jobs.append(&mut new.jobs);
        self.index = Index::of(&self.jobs);
    }

    /// Lets go of jobs that look no more.
    pub(super) fn tidy(&mut self) {
        let n_before = self.jobs.len();
        self.jobs.retain(|job| !job.views.is_closed());
        if self.jobs.len() != n_before {
            self.index = Index::of(&self.jobs);
        }
    }

    /// Lets every job see what is new to it. Gives back whether any of them has not seen how many targets it passes over.
    pub(super) fn show(&mut self, news: &News, totals: &Totals) -> bool {
        let mut is_any_waiting = false;
        for job in &mut self.jobs {
            is_any_waiting |= job.show(news, totals);
        }
        is_any_waiting
    }
}
