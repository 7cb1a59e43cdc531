//! What one job takes of an evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Labels;
use tokio::sync::watch;

use crate::Group;

/// Says whether a job wants anything of a group. It must want every group of which it would keep a target.
pub type GroupFilter = Arc<dyn Fn(GroupLabels<'_>) -> bool + Send + Sync>;

/// The labels that all targets of a group have.
#[derive(Clone, Copy)]
pub struct GroupLabels<'a> {
    labels: &'a Labels,
    own: &'a [Arc<str>],
}

impl<'a> GroupLabels<'a> {
    /// The labels of a group, and the names, in order, of those that targets have themselves.
    #[must_use]
    pub fn new(labels: &'a Labels, own: &'a [Arc<str>]) -> Self {
        Self { labels, own }
    }

    /// The value of a label, empty where no target has it; `None` where targets have their own.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<&'a str> {
        let is_own = self.own.binary_search_by(|own| (**own).cmp(name)).is_ok();
        (!is_own).then(|| self.labels.value(name))
    }
}

/// A group, with the names of the labels that its targets have themselves, in order.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) group: Arc<Group>,
    pub(super) own: Arc<[Arc<str>]>,
}

impl Made {
    /// `similar` are names that groups often have.
    pub(super) fn new(group: Group, similar: &mut Arc<[Arc<str>]>) -> Self {
        let mut own = BTreeSet::new();
        let mut before: Vec<&Arc<str>> = Vec::new();
        for target in &group.targets {
            let is_alike = target.len() == before.len()
                && target.shared_names().zip(&before).all(|(name, before)| Arc::ptr_eq(name, before));
            if !is_alike {
                before = target.shared_names().collect();
                own.extend(before.iter().map(|name| Arc::clone(name)));
            }
        }
        if !own.iter().eq(similar.iter()) {
            *similar = own.into_iter().collect();
        }
        Self { group: Arc::new(group), own: Arc::clone(similar) }
    }

    pub(super) fn labels(&self) -> GroupLabels<'_> {
        GroupLabels::new(&self.group.labels, &self.own)
    }
}

/// A group that came, went or changed.
pub(super) struct Change {
    /// The key of the object it is made of.
    pub(super) key: Arc<str>,
    pub(super) before: Option<Made>,
    pub(super) now: Option<Made>,
}

/// What a job sees.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) groups: Arc<[Arc<Group>]>,
    /// Targets in groups that the job's filter does not want.
    pub(super) n_passed_over: usize,
    pub(super) problems: Arc<[String]>,
    /// Whether everything has been read at least once.
    pub(super) is_whole: bool,
    /// Whether it never will be, unless rights are granted.
    pub(super) is_forbidden: bool,
}

/// What all jobs are told.
pub(super) struct News {
    pub(super) problems: Arc<[String]>,
    pub(super) is_whole: bool,
    pub(super) is_forbidden: bool,
    /// Whether it is time to tell how many targets are passed over.
    pub(super) are_numbers_due: bool,
}

/// A job that looks.
pub(super) struct Subscriber {
    pub(super) namespaces: Option<BTreeSet<Arc<str>>>,
    pub(super) filter: Option<GroupFilter>,
    pub(super) views: watch::Sender<View>,
    groups: BTreeMap<Arc<str>, Arc<Group>>,
    n_passed_over: usize,
    /// Whether the job has not seen it all.
    is_stale: bool,
}

impl Subscriber {
    pub(super) fn new(
        namespaces: Option<BTreeSet<Arc<str>>>,
        filter: Option<GroupFilter>,
        views: watch::Sender<View>,
    ) -> Self {
        Self { namespaces, filter, views, groups: BTreeMap::new(), n_passed_over: 0, is_stale: false }
    }

    /// Takes over changes.
    pub(super) fn take<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) {
        for change in changes.filter(|change| is_within(self.namespaces.as_ref(), &change.key)) {
            let was_wanted = self.groups.contains_key(&change.key);
            if let Some(before) = change.before.as_ref().filter(|_| !was_wanted) {
                self.n_passed_over = self.n_passed_over.saturating_sub(before.group.targets.len());
            }
            let is_wanted = change.now.as_ref().is_some_and(|made| self.wants(made));
            self.is_stale |= was_wanted || is_wanted;
            match &change.now {
                Some(made) if is_wanted => {
                    drop(self.groups.insert(Arc::clone(&change.key), Arc::clone(&made.group)));
                }
                now => {
                    drop(self.groups.remove(&change.key));
                    self.n_passed_over += now.as_ref().map_or(0, |made| made.group.targets.len());
                }
            }
        }
    }

    fn wants(&self, made: &Made) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(made.labels()))
    }

    /// Lets the job see what there is, if that is anything new. That only the number of targets which it passes over has
    /// changed is no news by itself, unless numbers are due: a change of one group would wake all jobs. Gives back whether
    /// the job has not seen the number.
    pub(super) fn show(&mut self, news: &News) -> bool {
        let News { problems, is_whole, is_forbidden, are_numbers_due } = news;
        let (is_whole, is_forbidden) = (*is_whole, *is_forbidden);
        let before = self.views.borrow().clone();
        let is_same = before.problems == *problems
            && (before.is_whole, before.is_forbidden) == (is_whole, is_forbidden);
        let is_counted = before.n_passed_over == self.n_passed_over;
        if is_same && !self.is_stale && (is_counted || !are_numbers_due) {
            return !is_counted;
        }
        let groups = if self.is_stale { self.groups.values().cloned().collect() } else { before.groups };
        self.is_stale = false;
        let (n_passed_over, problems) = (self.n_passed_over, Arc::clone(problems));
        let view = View { groups, n_passed_over, problems, is_whole, is_forbidden };
        drop(self.views.send_replace(view));
        false
    }
}

/// Whether an object is in one of the namespaces; what belongs to none is everywhere.
fn is_within(namespaces: Option<&BTreeSet<Arc<str>>>, key: &str) -> bool {
    let namespace = key.split_once('/').map(|(namespace, _)| namespace);
    match (namespaces, namespace) {
        (Some(names), Some(namespace)) => names.contains(namespace),
        _ => true,
    }
}
