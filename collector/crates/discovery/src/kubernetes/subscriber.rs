//! What one job takes of an evaluation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::Labels;
use relabel::Need;
use tokio::sync::watch;

use crate::Group;

/// Says whether a job wants anything of a group. It must want every group of which it would keep a target.
#[derive(Clone)]
pub struct GroupFilter {
    is_wanted: Arc<dyn Fn(GroupLabels<'_>) -> bool + Send + Sync>,
    needs: Vec<Need>,
}

impl GroupFilter {
    /// Asks about each group.
    #[must_use]
    pub fn new(is_wanted: impl Fn(GroupLabels<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { is_wanted: Arc::new(is_wanted), needs: Vec::new() }
    }

    /// Asks only about groups whose targets may have these labels: the job must want no other.
    #[must_use]
    pub fn with_needs(self, needs: Vec<Need>) -> Self {
        Self { needs, ..self }
    }

    /// Whether the job wants anything of a group with these labels.
    #[must_use]
    pub fn wants(&self, labels: GroupLabels<'_>) -> bool {
        (self.is_wanted)(labels)
    }
}

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

/// How many targets there are.
#[derive(Default)]
pub(super) struct Totals {
    all: usize,
    by_namespace: HashMap<Box<str>, usize>,
}

impl Totals {
    /// Takes over a change.
    pub(super) fn take(&mut self, change: &Change) {
        let n_targets = |made: &Option<Made>| made.as_ref().map_or(0, |made| made.group.targets.len());
        let (n_before, n_now) = (n_targets(&change.before), n_targets(&change.now));
        self.all = self.all + n_now - n_before;
        if let Some(namespace) = namespace_of(&change.key) {
            let sum = self.by_namespace.entry(namespace.into()).or_default();
            *sum = *sum + n_now - n_before;
            if *sum == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }

    /// Those in these namespaces.
    fn within(&self, namespaces: Option<&BTreeSet<Arc<str>>>) -> usize {
        match namespaces {
            Some(names) => names.iter().filter_map(|name| self.by_namespace.get(&**name)).sum(),
            None => self.all,
        }
    }
}

/// A job that looks.
pub(super) struct Subscriber {
    /// Where; everywhere without any.
    namespaces: Option<BTreeSet<Arc<str>>>,
    filter: Option<GroupFilter>,
    /// Labels without which the job wants nothing.
    needs: Vec<Need>,
    pub(super) views: watch::Sender<View>,
    groups: BTreeMap<Arc<str>, Arc<Group>>,
    /// Targets in them.
    n_targets: usize,
    /// Whether the job has not seen it all.
    is_stale: bool,
}

impl Subscriber {
    pub(super) fn new(
        namespaces: Option<BTreeSet<Arc<str>>>,
        filter: Option<GroupFilter>,
        views: watch::Sender<View>,
    ) -> Self {
        let of_namespaces = namespaces.iter().map(|names| Need {
            label: "__meta_kubernetes_namespace".into(),
            values: names.iter().map(|name| Box::from(&**name)).collect(),
        });
        let of_filter = filter.iter().flat_map(|filter| filter.needs.iter().cloned());
        let needs = of_namespaces.chain(of_filter).collect();
        Self { namespaces, filter, needs, views, groups: BTreeMap::new(), n_targets: 0, is_stale: false }
    }

    /// Labels without which the job wants nothing.
    pub(super) fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Takes over a change.
    pub(super) fn take(&mut self, change: &Change) {
        let now = change.now.as_ref().filter(|made| self.wants(&change.key, made));
        let before = self.groups.remove(&change.key);
        self.is_stale |= before.is_some() || now.is_some();
        self.n_targets -= before.map_or(0, |group| group.targets.len());
        if let Some(made) = now {
            self.n_targets += made.group.targets.len();
            drop(self.groups.insert(Arc::clone(&change.key), Arc::clone(&made.group)));
        }
    }

    fn wants(&self, key: &str, made: &Made) -> bool {
        is_within(self.namespaces.as_ref(), key)
            && self.filter.as_ref().is_none_or(|filter| filter.wants(made.labels()))
    }

    /// Lets the job see what there is, if that is anything new. That only the number of targets which it passes over has
    /// changed is no news by itself, unless numbers are due: a change of one group would wake all jobs. Gives back whether
    /// the job has not seen the number.
    pub(super) fn show(&mut self, news: &News, totals: &Totals) -> bool {
        let News { problems, is_whole, is_forbidden, are_numbers_due } = news;
        let (is_whole, is_forbidden) = (*is_whole, *is_forbidden);
        let n_passed_over = totals.within(self.namespaces.as_ref()) - self.n_targets;
        let before = self.views.borrow().clone();
        let is_same = before.problems == *problems
            && (before.is_whole, before.is_forbidden) == (is_whole, is_forbidden);
        let is_counted = before.n_passed_over == n_passed_over;
        if is_same && !self.is_stale && (is_counted || !are_numbers_due) {
            return !is_counted;
        }
        let groups = if self.is_stale { self.groups.values().cloned().collect() } else { before.groups };
        self.is_stale = false;
        let problems = Arc::clone(problems);
        let view = View { groups, n_passed_over, problems, is_whole, is_forbidden };
        drop(self.views.send_replace(view));
        false
    }
}

fn namespace_of(key: &str) -> Option<&str> {
    key.split_once('/').map(|(namespace, _)| namespace)
}

/// Whether an object is in one of the namespaces.
fn is_within(namespaces: Option<&BTreeSet<Arc<str>>>, key: &str) -> bool {
    namespaces.is_none_or(|names| namespace_of(key).is_some_and(|namespace| names.contains(namespace)))
}
